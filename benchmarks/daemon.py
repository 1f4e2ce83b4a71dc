"""`driftd run` as a process of its own, seen from outside: its metrics, its processor time, its memory."""

import contextlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import ROOT, command, environment
from benchmarks.traffic import FEATURES, calibrated, columns, write_config

START_SECONDS = 60
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class Daemon:
    """A running daemon."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process = process
        self.pid = process.pid
        self.url = f"http://127.0.0.1:{port}"

    def metrics(self) -> dict[tuple[str, str], float]:
        """Every sample now, by name and labels."""
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return {(name, labels): float(value) for name, labels, value in SAMPLE.findall(text)}

    def total(self, name: str, label: str = "") -> float:
        """The sum of one metric over the labels that hold some text."""
        return sum(value for (one, labels), value in self.metrics().items() if one == name and label in labels)

    def until(self, met: Callable[[], bool], seconds: float) -> bool:
        """Whether it was so within the time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SystemExit(f"driftd ended with {self.process.returncode}")
            with contextlib.suppress(OSError):
                if met():
                    return True
            time.sleep(0.05)
        return False


@contextlib.contextmanager
def running(home: Path, servers: str, topic: str, **model: Any) -> Iterator[Daemon]:
    """A daemon that is ready; stopped at the end."""
    from tests.parts.ports import free_ports

    [port] = free_ports(1)
    path = configured(home, servers, topic, port, **model)
    process = subprocess.Popen(
        [sys.executable, "-m", "monitor", "run", "--config", str(path)], cwd=ROOT, env=environment(), text=True
    )
    daemon = Daemon(process, port)
    try:
        if not daemon.until(lambda: daemon.total("driftd_ready") == 1, START_SECONDS):
            raise SystemExit("driftd was not ready in time")
        refuse_uncharted(daemon)
        yield daemon
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def refuse_uncharted(daemon: Daemon) -> None:
    """Raise where the budget's charts do not run: that is not what users run."""
    if not any(name == "driftd_chart_warnings_total" for name, _ in daemon.metrics()):
        raise SystemExit("driftd runs without charts")


def configured(
    home: Path,
    servers: str,
    topic: str,
    port: int,
    *,
    features: Sequence[str] = FEATURES,
    window: str = "10s",
    **model: Any,
) -> Path:
    """The configuration of one model of 20 numeric features, calibrated on windows of the same length."""
    from monitor.sections import parse_duration

    reference = home / f"bench-{window}.json"
    if not reference.exists():
        found = columns()
        calibrated({name: found[name] for name in features}, parse_duration(window)).save(reference)
    shared = {"name": "bench", "version": "1", "reference": reference.name, "window": window, "lateness": "1s"}
    return write_config(home, servers, topic, [shared | model], port)


@contextlib.contextmanager
def pacing(servers: str, topic: str, partitions: int, rate: float, seconds: float, *more: str) -> Iterator[Any]:
    """A producer at some pace beside us; ended at the end."""
    where = ("--servers", servers, "--topic", topic, "--partitions", str(partitions))
    pace = ("--rate", str(rate), "--seconds", str(seconds))
    process = subprocess.Popen(
        command("pacer", *where, *pace, *more), cwd=ROOT, env=environment(), stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait(30)
        if process.stdout is not None:
            process.stdout.close()
