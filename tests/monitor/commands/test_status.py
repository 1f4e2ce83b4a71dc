"""`driftd status` against the HTTP of a daemon: what it prints, in which order, and its exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import msgspec
import pytest

from monitor.alerting.table import ScoreTable
from monitor.cli import main
from monitor.commands.answers import ModelItem
from monitor.commands.status import model_row
from monitor.facts import AlertSeen, WindowScored
from monitor.stream.events import SeriesKey
from tests.build import HOUR
from tests.fakes import NOON
from tests.pages import CHURN, DRIFTING, FEATURES, HEALTHY, Scene, closed, column, quiet_day, usual_day

Output = pytest.CaptureFixture[str]


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = usual_day(troubled=True)
    yield found
    found.close()


@pytest.fixture
def quiet() -> Iterator[Scene]:
    found = quiet_day()
    yield found
    found.close()


def test_what_is_wrong_is_said_first_and_ends_with_1(scene: Scene, capsys: Output) -> None:
    assert main(["status", "--url", scene.url]) == 1
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith(
        "2 incidents are open; driftd 0.9.0 is ready; events are complete until 2026-11-23T12:00:00Z"
    )
    assert (
        lines[1]
        == "! 31 % of the events of predictions are late and not counted: partition predictions/2 is 12 minutes behind"
    )
    assert "CRITICAL churn/3: drift since 2026-11-23T04:05:00Z" in lines
    assert "    age  mean 41.2 → 47.9, up 0.8 σ" in lines
    assert f"    driftd ack {DRIFTING.incident}" in lines
    assert "WARNING fraud/2026.11: data quality since 2026-11-23T11:00:00Z, looked after by ana" in lines
    assert any(line.startswith("churn/3        ALERTING") and "age 3.32" in line for line in lines)
    assert any(
        line.startswith("predictions  54") and line.endswith("malformed_json 31, timestamp_missing 6") for line in lines
    )
    assert any(
        line.startswith("trainer  webhook https://trainer.internal/retrain   dead answered 410") for line in lines
    )


def test_a_quiet_day_ends_with_0(quiet: Scene, capsys: Output) -> None:
    assert main(["status", "--url", quiet.url]) == 0
    assert capsys.readouterr().out.startswith("All is quiet; driftd 0.9.0 is ready")


def test_a_daemon_that_is_not_ready_ends_with_1(quiet: Scene, capsys: Output) -> None:
    quiet.trouble = "the loop has not turned for 30 s"

    assert main(["status", "--url", quiet.url]) == 1
    assert "is not ready: the loop has not turned for 30 s" in capsys.readouterr().out


def test_a_model_is_told_feature_by_feature_the_nearest_first(scene: Scene, capsys: Output) -> None:
    assert main(["status", "churn", "--url", scene.url]) == 1
    told = capsys.readouterr().out
    rows = [line.split() for line in told.partition("FEATURE ")[2].splitlines()[1:]]

    assert [row[:3] for row in rows[:2]] == [["age", "drift", "3.32"], ["plan", "drift", "2.00"]]
    assert told.splitlines()[0].startswith("2 incidents are open; driftd 0.9.0 is ready; events are complete until")
    assert told.splitlines()[1].startswith("! 31 % of the events of predictions are late")
    assert main(["status", "search", "--url", scene.url]) == 0  # what is open is another's


def test_a_model_that_is_not_judged_is_not_well(quiet: Scene, capsys: Output) -> None:
    quiet.clock += HOUR
    assert main(["status", "search", "--url", quiet.url]) == 1
    told = capsys.readouterr().out.splitlines()

    assert told[0].startswith("No incident is open, but driftd does not see or tell everything; driftd")
    assert told[1].startswith("! event time stands at 2026-11-23 12:00 UTC: nothing newer is judged")


def test_before_the_first_event_time_the_words_are_other_ones(capsys: Output) -> None:
    scene = Scene(up=HOUR)
    try:
        main(["status", "--url", scene.url])
    finally:
        scene.close()
    first = capsys.readouterr().out.splitlines()[0]

    assert first.endswith("driftd 0.9.0 is ready; no event time is known yet")


@pytest.mark.parametrize("arguments", [[], ["churn"], ["--json"]])
def test_a_score_over_a_threshold_of_0_is_shown(capsys: Output, arguments: list[str]) -> None:
    scores = ScoreTable((column("psi", FEATURES, [0.1] * len(FEATURES), 9_412, 0.0),))
    scene = usual_day(WindowScored(CHURN, NOON, scores, dict.fromkeys(FEATURES, 2)))
    try:
        assert main(["status", *arguments, "--url", scene.url]) == 1
    finally:
        scene.close()

    assert "60000.0" in capsys.readouterr().out


def test_a_ratio_that_no_number_says_is_a_dash() -> None:
    near = {"feature": "age", "of_threshold": None}
    model = {"model": "churn", "version": "3", "state": "ok", "features": 1, "drifting": 0, "nearest": [near]}
    standing = {**model, "window": None, "learning": None}

    assert model_row(msgspec.convert(standing, ModelItem))[2] == "age -"


def test_a_model_that_is_not_there(scene: Scene, capsys: Output) -> None:
    assert main(["status", "chrun", "--url", scene.url]) == 2
    assert capsys.readouterr().err.startswith("driftd: driftd watches no model 'chrun'; there is churn, eta,")


def test_a_daemon_that_is_away_is_one_line(quiet: Scene, capsys: Output) -> None:
    quiet.close()

    assert main(["status", "--url", quiet.url]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"driftd: {quiet.url} does not answer: ")
    assert told.err.count("\n") == 1


class Stranger(BaseHTTPRequestHandler):
    """Answers every question alike."""

    answer = b"{}"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(self.answer)))
        self.end_headers()
        self.wfile.write(self.answer)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.do_GET()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.mark.parametrize("answer", [b"{}", b"[]", b'{"status": "UP"}', b"1", b"null", b'[{"models": 1}]', b"<html>"])
@pytest.mark.parametrize(
    "arguments", ["status", "status churn", "accept --list", "accept churn --for-good --token-file token"]
)
def test_something_else_that_answers_is_one_line(
    arguments: str, answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    if (arguments, answer) == ("accept --list", b"[]"):
        return  # so answers a driftd without decisions
    monkeypatch.chdir(tmp_path)
    Path("token").write_text("0123456789abcdef0123456789abcdef")
    Path("token").chmod(0o600)
    with ThreadingHTTPServer(("127.0.0.1", 0), type("It", (Stranger,), {"answer": answer})) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            assert main([*arguments.split(), "--url", f"http://127.0.0.1:{server.server_address[1]}"]) == 3
        finally:
            server.shutdown()
    told = capsys.readouterr()

    assert told.out == ""
    assert told.err.startswith("driftd: http://127.0.0.1:")
    assert told.err.endswith("is another driftd, or something else, running there?\n")
    assert told.err.count("\n") == 1


def test_a_terminal_without_unicode_is_told_in_its_letters(scene: Scene) -> None:
    told = driftd("status", "--url", scene.url, env={"PYTHONIOENCODING": "ascii"})

    assert (told.returncode, told.stderr) == (1, "")
    assert r"    age  mean 41.2 \u2192 47.9, up 0.8 \u03c3" in told.stdout.splitlines()


def test_json_for_a_terminal_without_unicode_is_still_json(scene: Scene) -> None:
    told = driftd("status", "--json", "--url", scene.url, env={"PYTHONIOENCODING": "ascii"})

    assert told.stdout.isascii()
    assert json.loads(told.stdout)["incidents"][0]["evidence"][0]["words"] == "mean 41.2 → 47.9, up 0.8 σ"


@pytest.mark.parametrize("arguments", ["status --url {url}", "--help", "status --help"])
def test_a_reader_that_has_gone_is_no_mistake(scene: Scene, arguments: str) -> None:
    """Its end of the pipe is closed before driftd begins, so that every write of driftd meets it."""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "monitor", *arguments.format(url=scene.url).split()]
    try:
        told = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)

    assert (told.returncode, told.stderr) == (0, "")


def driftd(*arguments: str, env: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "monitor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | env)


def test_an_address_that_is_none(capsys: Output) -> None:
    assert main(["status", "--url", "ftp://x"]) == 2
    assert "no address such as" in capsys.readouterr().err


def test_without_an_address_the_configuration_says_it(
    quiet: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "driftd.yaml"
    port = quiet.server.address[1]
    model = {"name": "eta", "reference": "eta.json"}
    config.write_text(
        json.dumps(
            {"topics": [{"name": "t", "kind": "predictions"}], "models": [model], "state": "s", "http": {"port": port}}
        )
    )
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)

    assert main(["status", "--config", str(config)]) == 0


def test_all_of_it_as_json(scene: Scene, capsys: Output) -> None:
    assert main(["status", "--json", "--url", scene.url]) == 1
    said = json.loads(capsys.readouterr().out)

    assert said["incidents"][0]["incident"] == DRIFTING.incident
    assert said["models"][0]["model"] == "churn"


def test_a_name_from_outside_steers_no_terminal(capsys: Output) -> None:
    key = SeriesKey("a\x1b[31m", "1")
    alert = AlertSeen(key, "drift", DRIFTING.severity, DRIFTING.state, DRIFTING.since, 1, DRIFTING.evidence)
    scene = Scene([*closed({key: ("x\x1b[2J",)}), *HEALTHY, alert], {key: ("x\x1b[2J",)})
    try:
        main(["status", "--url", scene.url])
        main(["status", key.model, "--url", scene.url])
        main(["status", "nobody", "--url", scene.url])
    finally:
        scene.close()
    told = capsys.readouterr()

    assert "\x1b" not in told.out + told.err
