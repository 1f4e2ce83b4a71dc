"""Targets that go wrong in every documented way, one daemon: each has a line and a metric, what can be mended is mended, and reading goes on."""

import base64
import json
import random
import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from detectors import Reference
from monitor.cli import main
from tests.apis.airflow import Airflow
from tests.apis.argo import Argo
from tests.apis.dagster import Dagster
from tests.apis.github import Github
from tests.apis.mlflow import Mlflow
from tests.apis.pagers import Always
from tests.apis.prefect import Prefect
from tests.apis.service import CANARY, Reply
from tests.fakes import Receiver
from tests.integration.daemon import Driftd
from tests.parts.certificates import expired

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC, BEGIN, WINDOW, ROWS = "predictions", 1_763_870_400, 10, 100
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
TOKEN = "correct-horse-battery-staple"
SAID = {  # of each target: how its first attempt ended, and what the log says of it
    "wrong-token": ("retried", "401"),
    "expired": ("retried", "TLS: the certificate is not trusted: certificate has expired"),
    "unknown": ("retried", "workflowtemplates not found"),
    "quota": ("retried", "API rate limit exceeded"),
    "quota-in-silence": ("retried", "429"),
    "error-under-200": ("refused", "Missing required config entry"),
    "registry-down": ("retried", "broke off"),
    "nobody-there": ("retried", "cannot be reached"),
}


@pytest.fixture
def open_() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


def produce(bootstrap: str, first: int, last: int) -> int:
    """Events of windows, of which the fourth and all later ones drift; how many."""
    from confluent_kafka import Producer

    producer, draw = Producer({"bootstrap.servers": bootstrap, "log_level": 0}), random.Random(first)
    for number in range(first * ROWS, last * ROWS):
        ts = BEGIN * 1000 + number * WINDOW * 1000 // ROWS
        features = {"x": draw.gauss(3.0 if number // ROWS > 3 else 0.0, 1.0)}
        producer.produce(TOPIC, json.dumps({"ts": ts, "model": "churn", "version": "3", "features": features}))
    assert producer.flush(30) == 0
    return (last - first) * ROWS


def config(bootstrap: str, targets: list[dict[str, Any]]) -> dict[str, Any]:
    model = {"name": "churn", "version": "3", "reference": "m.json", "window": f"{WINDOW}s", "lateness": "1s"}
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.5, "clear_below": 0.4, "severity": "critical"}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [model | {"min_rows": 50}],
        "alerting": {"false_alarms_per_month": None, "rules": [rule]},
        "targets": targets,
        "checkpoint_interval": "100ms",
        "http": {"token_file": "token"},
    }


class Hanging:
    """Takes a connection, and what is sent, and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(60)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/hook"
        self.asked: socket.socket | None = None

    def wait(self) -> None:
        """Until somebody is kept waiting."""
        self.asked, _ = self._listener.accept()

    def still_asks(self) -> bool:
        """Whether who asked still waits for an answer."""
        assert self.asked is not None
        self.asked.setblocking(False)
        try:
            while self.asked.recv(65536):
                pass
        except BlockingIOError:
            return True
        return False

    def close(self) -> None:
        if self.asked is not None:
            self.asked.close()
        self._listener.close()


def listing(daemon: Driftd, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of `driftd outbox list`."""
    capsys.readouterr()
    assert main(["outbox", "list", "--config", str(daemon.config)]) == 0
    return capsys.readouterr().out.splitlines()


@pytest.mark.slow
def test_each_has_a_line_and_a_metric_and_reading_never_waits(
    mock_broker: "MockBroker",
    tmp_path: Path,
    open_: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Reference.fit({"x": np.random.default_rng(1).normal(size=20_000)}).save(tmp_path / "m.json")
    (tmp_path / "token").write_text(TOKEN, encoding="utf-8")
    monkeypatch.setenv("TOKEN", CANARY)
    monkeypatch.setenv("PASSWORD", CANARY)
    monkeypatch.setenv("WRONG", f"wrong-{CANARY}")
    monkeypatch.setenv("WEBHOOK", SECRET)

    def started(make: Callable[[], Any]) -> Any:
        found = make()
        open_.callback(found.close)
        return found

    context, ca_file = expired(tmp_path)
    hanging, secure = started(Hanging), started(lambda: Receiver(context))
    airflow, argo, github, silent, dagster, mlflow = map(started, (Airflow, Argo, Github, Prefect, Dagster, Mlflow))
    limit = Reply(429, {"message": "API rate limit exceeded"}, {"retry-after": "3600"})
    github.instead, silent.instead, mlflow.away = Always([limit]), Always([Reply(429)]), True
    hook = {"type": "webhook", "secret_env": "WEBHOOK"}
    targets = [
        {"name": "hanging", **hook, "url": hanging.url, "timeout": "120s"},
        {"name": "wrong-token", **airflow.entry(password_env="WRONG")},
        {"name": "expired", **hook, "url": secure.url, "ca_file": str(ca_file)},
        {"name": "unknown", **argo.entry(template="nope")},
        {"name": "quota", **github.entry()},
        {"name": "quota-in-silence", **silent.entry()},
        {"name": "error-under-200", **dagster.entry(run_config={"rows": "many"})},
        {"name": "registry-down", **mlflow.entry()},
        {"name": "nobody-there", "type": "dagster", "url": "http://127.0.0.1:1", "location": "jobs", "job": "retrain"},
    ]
    mock_broker.create_topic(TOPIC)
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap, targets))
    daemon.start()  # whoever is down

    events = produce(mock_broker.bootstrap, 0, 6)
    hanging.wait()
    for first in range(6, 26, 5):  # read and judged while one target keeps its answer and the others fail
        events += produce(mock_broker.bootstrap, first, first + 5)
        wait_read(daemon, events)
    daemon.wait_for(lambda: len(daemon.get("/api/v1/windows?limit=100")) >= 23)
    daemon.wait_for(lambda: {*SAID} <= {*tried(daemon)})
    assert hanging.still_asks()
    assert daemon.status("/readyz") == 200
    assert "canary" not in daemon.log.read_text(encoding="utf-8")
    for name, (outcome, words) in SAID.items():
        ended, line = tried(daemon)[name]
        assert (ended, words in line) == (outcome, True), line
        assert daemon.metric("driftd_target_deliveries_total", target=name, outcome=outcome) >= 1

    waiting = {line.split("  ")[1]: line for line in listing(daemon, capsys)}
    assert {*waiting} == {each["name"] for each in targets}
    assert "given up" in waiting["error-under-200"]
    assert "429" in waiting["quota"]

    mend(daemon, github, mlflow, capsys)
    left = {line.split("  ")[1] for line in listing(daemon, capsys)}
    assert left == {each["name"] for each in targets} - {"quota", "registry-down", "error-under-200"}
    assert (len(github.runs), len(mlflow.runs), len(dagster.runs)) == (1, 1, 0)
    daemon.kill()


def wait_read(daemon: Driftd, events: int) -> None:
    """Wait until so many events are counted."""
    daemon.wait_for(lambda: daemon.metric("driftd_events_total", outcome="ok") == events)


def tried(daemon: Driftd) -> dict[str, tuple[str, str]]:
    """Of each target how its first attempt ended, with the log line."""
    found: dict[str, tuple[str, str]] = {}
    for kind, label in (("target", "target"), ("webhook", "webhook")):
        for outcome in ("retried", "refused", "delivered"):
            for line in daemon.logged(f"{kind}.{outcome}"):
                found.setdefault(line[label], (outcome, json.dumps(line)))
    return found


def mend(daemon: Driftd, github: Github, mlflow: Mlflow, capsys: pytest.CaptureFixture[str]) -> None:
    """One limit is lifted and one registry is back; what can never be is dropped."""
    mlflow.away = False
    daemon.wait_for(lambda: len(mlflow.runs) == 1)  # by itself
    github.instead = []
    there = ["--config", str(daemon.config)]
    assert main(["outbox", "retry", "--target", "quota", "--by", "ana", *there]) == 0  # who asked for an hour
    daemon.wait_for(lambda: len(github.runs) == 1)
    (dead,) = [line for line in listing(daemon, capsys) if "  error-under-200  " in line]
    name = dead.partition("  ")[0]
    dropped = ["drop", name, "--target", "error-under-200", "--reason", "the job takes no such key", "--by", "ana"]
    assert main(["outbox", *dropped, *there]) == 0
    gone = {"quota", "registry-down"}
    daemon.wait_for(lambda: not gone & {line.split("  ")[1] for line in listing(daemon, capsys)})
