"""Killed without warning, again and again: nothing is lost, nothing counted twice, nothing asked for twice."""

import base64
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pytest

from detectors import Reference
from monitor.commands.demo.receiver import Receiver
from tests.integration.daemon import Driftd

pytestmark = pytest.mark.usefixtures("reader_kind")

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

TOPIC = "predictions"
PARTITIONS = 3
EVENTS = 120_000
PER_SECOND = 400  # events in one second of event time
WINDOW = 10  # seconds
BEGIN = 1_763_870_700  # event time of the first event, seconds
KILLS = 20
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


class Load(Thread):
    """Produces all events over a while, one feature shifted in the middle third."""

    def __init__(self, bootstrap: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._servers = bootstrap
        self._random = random.Random(seed)
        self.pace = Event()
        self.truth: Counter[int] = Counter()
        self.first_ms = BEGIN * 1000

    def run(self) -> None:
        from confluent_kafka import Producer

        producer = Producer(
            {"bootstrap.servers": self._servers, "linger.ms": 5, "compression.type": "zstd", "log_level": 0}
        )
        for number in range(EVENTS):
            late_by = self._random.randrange(400)  # out of order, within the lateness
            event_ms = BEGIN * 1000 + number * 1000 // PER_SECOND - late_by
            self.first_ms = min(self.first_ms, event_ms)
            self.truth[event_ms // 1000 // WINDOW * WINDOW] += 1
            producer.produce(TOPIC, self._event(number, event_ms), partition=self._random.randrange(PARTITIONS))
            if number % 1000 == 0:
                producer.flush(10)
                self.pace.wait(0.5)
        assert producer.flush(30) == 0

    def _event(self, number: int, event_ms: int) -> bytes:
        shift = 1.5 if EVENTS // 3 < number < 2 * EVENTS // 3 else 0.0
        return msgspec.json.encode(
            {
                "id": str(number),
                "ts": event_ms,
                "model": "m",
                "version": "1",
                "features": {"x": self._random.gauss(shift, 1.0), "plan": self._random.choice("abc")},
            }
        )


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver(SECRET) as server:
        yield server
        server.shutdown()


def config(bootstrap: str, url: str) -> dict[str, Any]:
    rule = {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1, "for": 2}
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [
            {
                "name": "m",
                "version": "1",
                "reference": "m.json",
                "window": f"{WINDOW}s",
                "lateness": "2s",
                "min_rows": 100,
            }
        ],
        "alerting": {"false_alarms_per_month": None, "rules": [{**rule, "keep_firing_for": 2, "severity": "critical"}]},
        "webhooks": [{"name": "trainer", "url": url, "types": ["*"], "secret_file": "secret"}],
        "checkpoint_interval": "100ms",
        "idle_after": "60s",
    }


def truth_of(load: Load, windows: list[dict[str, Any]]) -> list[int]:
    return [load.truth[seconds(window["start"])] for window in windows]


def seconds(time_text: str) -> int:
    return int(datetime.fromisoformat(time_text).astimezone(UTC).timestamp())


@pytest.mark.slow
def test_twenty_kills_under_load_change_no_count_and_ask_for_retraining_once(
    mock_broker: "MockBroker", tmp_path: Path, receiver: Receiver
) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    chance = random.Random(seed)
    rng = np.random.default_rng(seed)
    Reference.fit({"x": rng.normal(size=20_000), "plan": rng.choice(["a", "b", "c"], 20_000)}).save(tmp_path / "m.json")
    (tmp_path / "secret").write_text(SECRET, encoding="utf-8")
    mock_broker.create_topic(TOPIC, PARTITIONS)
    daemon = Driftd(tmp_path, config(mock_broker.bootstrap, receiver.url))
    load = Load(mock_broker.bootstrap, seed)
    load.start()

    for _ in range(KILLS):
        daemon.start(ready=chance.random() < 0.8)  # some die while they start
        time.sleep(chance.uniform(0.0, 1.5))
        assert daemon.running, daemon.log.read_text(encoding="utf-8")[-2000:]
        daemon.kill()
    assert len(daemon.logged("source.assigned")) >= KILLS // 4  # on a busy machine many die before their first turn
    load.pace.set()  # as fast as it goes now
    daemon.start()
    load.join(60)
    last = BEGIN + EVENTS // PER_SECOND - WINDOW  # the window after it stays open: nothing comes after that one
    daemon.wait_for(lambda: bool(found := daemon.get("/api/v1/windows?limit=1")) and seconds(found[0]["end"]) == last)
    daemon.wait_told()
    windows = daemon.get("/api/v1/windows?limit=500")
    assert daemon.stop() == 0

    first = -(-load.first_ms // (WINDOW * 1000)) * WINDOW  # the first window wholly after the first event
    assert [seconds(window["start"]) for window in windows] == list(range(last - WINDOW, first - 1, -WINDOW))
    assert [window["rows"] for window in windows] == truth_of(load, windows)
    by_type: dict[str, set[str]] = {}
    for delivery in receiver.deliveries():
        assert delivery.verified
        by_type.setdefault(delivery.type, set()).add(delivery.id)
    assert {kind: len(ids) for kind, ids in by_type.items()} == {
        "model.retrain.requested": 1,
        "model.alert.firing": 1,
        "model.alert.resolved": 1,
    }
