"""On how many threads events are read and counted changes nothing that is said: windows, scores, counters, ids, positions."""

import base64
import json
import random
import re
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest
import yaml

from detectors import Reference
from monitor.app import Daemon
from monitor.configuration import load
from monitor.settings import load_settings
from monitor.sources.kafka.source import KafkaSource
from tests.fakes import NOON
from tests.parts.mock import MockBroker
from tests.parts.ports import free_ports
from tests.parts.reader import make_source, produce

pytestmark = pytest.mark.usefixtures("client_kind")

SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
PARTITIONS = 3
EVENTS = 6_000  # one a second
BATCH = 40  # so that there are many to be ahead
WITHIN = 120.0  # seconds, before a test fails
# But for the share of late events, which is of minutes by the clock on the wall: how many a run takes is not of the events.
COUNTED = re.compile(r"driftd_(events|fields|windows|drift_score|window_rows|alert)[a-z_]*(\{|\s)")


@pytest.fixture(params=["native", "python"])
def client_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the native reader, and by the Python client with the compiled scan."""
    request.getfixturevalue("compiled_parts")
    if request.param == "python":
        monkeypatch.setattr("monitor.sources.kafka.native.THERE", False)


def event(number: int, chance: random.Random) -> bytes:
    """As a rule a plain one; some are odd, some no event at all."""
    stamp = NOON // 1_000_000 + number * 1000
    features: dict[str, Any] = {
        "age": chance.gauss(50 + number / 100, 20),
        "plan": chance.choice(["pro", "free", "new"]),
    }
    match chance.randrange(60):
        case 0:
            return b'{"ts": '
        case 1:
            features["age"] = "41"
        case 2:
            features["age"] = {"years": 41}
        case 3:
            del features["plan"]
        case 4:
            stamp += 1000 * 10**9  # milliseconds: far in the future
        case 5:
            return json.dumps({"ts": stamp, "model": "other", "version": 1, "features": features}).encode()
    return json.dumps({"ts": stamp, "model": "churn", "version": 3, "features": features}).encode()


def configured(home: Path) -> Path:
    rules = [{"name": "psi-high", "detector": "psi", "fire_above": 0.25}]
    model = {"name": "churn", "version": "3", "reference": "r.json", "window": "1m", "lateness": "2s", "min_rows": 5}
    (closed,) = free_ports(1)
    settings = {
        "kafka": {"bootstrap_servers": "127.0.0.1:1"},
        "topics": [{"name": "predictions"}],
        "models": [model],
        "state": str(home / "state"),
        "http": {"port": 0},
        "alerting": {"rules": rules},
        "webhooks": [{"name": "nobody", "url": f"http://127.0.0.1:{closed}/", "types": ["*"], "secret_env": "SECRET"}],
        "checkpoint_interval": "50ms",
        "idle_after": "10m",
    }
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    ages = [float(age) for age in range(100)]
    Reference.fit({"age": ages, "plan": ["pro", "free"] * 50}).save(home / "r.json")
    return home / "driftd.yaml"


def got(daemon: Daemon, path: str) -> str:
    with urlopen(daemon.server.url + path, timeout=10) as response:
        return str(response.read().decode())


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WITHIN
    while not met():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.02)


def said(home: Path, source: KafkaSource) -> dict[str, Any]:
    """All that a daemon comes to that reads the topic from its beginning to its end."""
    home.mkdir()
    path = configured(home)
    daemon = Daemon.start(load(load_settings(path), home, {"SECRET": SECRET}), source=source)
    thread = Thread(target=daemon.run)
    thread.start()
    try:
        wait_until(lambda: sum(source.positions().values()) == EVENTS)
        last = NOON // 10**9 + EVENTS - 60  # the window after it stays open
        wait_until(
            lambda: any(ends_at_or_after(each, last) for each in json.loads(got(daemon, "/api/v1/windows?limit=500")))
        )
        windows = json.loads(got(daemon, "/api/v1/windows?limit=500"))
        metrics = sorted(line for line in got(daemon, "/metrics").splitlines() if COUNTED.match(line))
    finally:
        daemon.stop()
        thread.join(60)
    assert not thread.is_alive()
    with closing(sqlite3.connect(home / "state" / "driftd.sqlite3")) as state:
        positions = state.execute("SELECT * FROM position ORDER BY topic, partition").fetchall()
        notices = state.execute("SELECT DISTINCT id, type, subject, event_time FROM notice ORDER BY id").fetchall()
    return {"windows": windows, "metrics": metrics, "positions": positions, "notices": notices}


def ends_at_or_after(window: dict[str, Any], second: int) -> bool:
    from datetime import datetime

    return datetime.fromisoformat(window["end"]).timestamp() >= second


def test_what_is_said_is_the_same_on_any_number_of_threads(mock_broker: MockBroker, topic: str, tmp_path: Path) -> None:
    del topic
    chance = random.Random(7)
    mock_broker.create_topic("predictions", PARTITIONS)
    values = [event(number, chance) for number in range(EVENTS)]
    for index in range(PARTITIONS):
        produce(mock_broker, "predictions", values[index::PARTITIONS], partition=index)

    found = {
        threads: said(
            tmp_path / str(threads), make_source(mock_broker.bootstrap, "predictions", threads=threads, batch=BATCH)
        )
        for threads in (1, 2, 4)
    }

    assert len(found[1]["windows"]) > EVENTS // 60 - 5
    assert any("malformed" in line or "rejected" in line for line in found[1]["metrics"])
    assert found[1]["notices"]
    for what, alone in found[1].items():
        assert found[2][what] == alone
        assert found[4][what] == alone
