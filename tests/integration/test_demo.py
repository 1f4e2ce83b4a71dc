"""`driftd demo` as anyone would run it: it passes, says so in plain lines where there is no terminal, and fails clearly."""

import re
import socket
import subprocess
import sys

import pytest


def demo(*options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "monitor", "demo", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.slow
def test_the_demo_finds_delivers_and_recovers_in_plain_lines() -> None:
    found = demo("--seconds", "45", "--port", "0")

    assert found.returncode == 0, found.stdout
    assert found.stderr == ""
    assert "\x1b" not in found.stdout
    lines = found.stdout.splitlines()
    assert re.search(r"serving http://127\.0\.0\.1:[1-9]\d*/metrics", lines[0])
    assert lines[-1].startswith("PASSED: fraud.amount fired after ")
    assert lines[-1].endswith(
        "retraining requested 1×, delivered 1×, all signatures verified; resolved; pricing stayed silent"
    )
    said = [line.split("  ", maxsplit=1)[-1].strip() for line in lines]
    order = ["begins to drift", "inactive → firing", "model.retrain.requested arrived", "back to normal", "→ resolved"]
    places = [next(at for at, line in enumerate(said) if words in line) for words in order]
    assert places == sorted(places)


def test_a_port_that_is_taken_is_one_line_and_exit_3() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        found = demo("--port", str(port))

    assert found.returncode == 3
    assert found.stdout == ""
    assert found.stderr == (
        f"driftd: http: port {port} cannot be bound: Address already in use; choose another with --port\n"
    )
