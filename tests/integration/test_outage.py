"""After an outage: an hour of unread events is judged as if there had been none, in memory that does not depend on it."""

import base64
import json
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import Producer

from detectors import Reference
from monitor.commands.demo.receiver import Receiver
from tests.integration.daemon import Driftd
from tests.parts.mock import MockBroker

BEGIN = 1_763_870_700  # event time of the first event, seconds; a whole minute
MINUTE = 60
PARTITIONS = 4
SPREAD = (0, 1, 1, 1, 2, 2, 2, 3, 3, 3)  # partition of an event, in turn
SMALL = 10  # events in a batch of the first partition: the mock gives a batch a request, so it is read slowly
MODEL = {"version": "1", "reference": "m.json", "lateness": "2s", "min_rows": 100}
SECRET = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
RULES = [
    {"name": "psi-high", "detector": "psi", "fire_above": 0.25, "clear_below": 0.1, "for": 2, "severity": "critical"},
    {"name": "quiet", "detector": "volume", "fire_above": 0.4, "clear_below": 0.2},
]


@pytest.fixture
def ending() -> Iterator[ExitStack]:
    """What a test has started, ended with it."""
    with ExitStack() as stack:
        yield stack


# --- traffic ----------------------------------------------------------------------------------------------------------


def shifted(model: str, minute: int) -> bool:
    """`a` drifts and recovers while we are away, `b` begins to while we are away and goes on after."""
    return 20 <= minute < 30 if model == "a" else 65 <= minute < 75


def produce(
    broker: Any, topic: str, first: int, last: int, per_second: int, *, bulk: int = 0
) -> Counter[tuple[str, int]]:
    """Steady traffic of two models, from one second to another; the events of each model's minutes."""
    settings = {
        "linger.ms": 20,
        "compression.type": "none" if bulk else "lz4",
        "enable.idempotence": True,
        "log_level": 0,
    }
    producers = [
        Producer(
            {"bootstrap.servers": broker.bootstrap, **settings, "batch.num.messages": SMALL if at == 0 else 10_000}
        )
        for at in range(PARTITIONS)
    ]
    chance = random.Random(first)
    truth: Counter[tuple[str, int]] = Counter()
    for number in range(first * per_second, last * per_second):
        second, model = number // per_second, "ab"[number % 2]
        late_by = chance.randrange(500)  # out of order, within the lateness
        ts = BEGIN * 1000 + number * 1000 // per_second - (late_by if second else 0)
        x = chance.gauss(1.5 if shifted(model, second // MINUTE) else 0.0, 1.0)
        event = b'{"ts":%d,"model":"%c","version":"1","features":{"x":%.2f},"id":"%s"}' % (
            ts,
            ord(model),
            x,
            b"x" * bulk,
        )
        partition = SPREAD[number // 2 % len(SPREAD)]
        producers[partition].produce(topic, event, partition=partition)
        truth[model, ts // 1000 // MINUTE * MINUTE] += 1
        if number % 5_000 == 0:
            flush(producers)
    flush(producers)
    return truth


def flush(producers: Iterable[Producer]) -> None:
    for producer in producers:
        assert producer.flush(30) == 0


def config(broker: Any, topic: str, name: str, **changes: Any) -> dict[str, Any]:
    kafka = {"bootstrap_servers": broker.bootstrap, "start_from": "earliest", "group_id": f"{topic}-{name}"}
    rest = {"checkpoint_interval": "100ms", "max_future": "1m"}
    return {"kafka": kafka, "topics": [{"name": topic}], **rest, **changes}


def seconds(text: str) -> int:
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp())


# --- judged as if there had been none ---------------------------------------------------------------------------------

BEFORE, BACK, LAST = 10 * MINUTE, 70 * MINUTE, 80 * MINUTE  # the daemon is away from the first to the second
RATE = 20  # events in one second of event time


class Watcher:
    """A daemon with a receiver of its own."""

    def __init__(self, broker: Any, topic: str, home: Path, ending: ExitStack) -> None:
        home.mkdir()
        rng = np.random.default_rng(1)
        Reference.fit({"x": rng.normal(size=20_000)}).save(home / "m.json")
        (home / "secret").write_text(SECRET, encoding="utf-8")
        self.receiver = ending.enter_context(Receiver(SECRET))
        ending.callback(self.receiver.shutdown)
        webhook = {"name": "pager", "url": self.receiver.url, "types": ["*"], "secret_file": "secret"}
        models = [{"name": one, **MODEL, "window": "1m"} for one in "ab"]
        rest = {"alerting": {"false_alarms_per_month": None, "rules": RULES}, "webhooks": [webhook]}
        self.daemon = Driftd(home, config(broker, topic, home.name, models=models, **rest))
        ending.callback(lambda: self.daemon.running and self.daemon.kill())
        self.daemon.start()

    def read(self, count: int) -> None:
        """Wait until so many events were counted by this process."""
        self.daemon.wait_for(lambda: self.daemon.metric("driftd_events_total", outcome="ok") >= count)

    def close(self, last: int) -> None:
        """Wait until both models' window that ends then is judged, and all is said."""

        def closed() -> bool:
            return [seconds(one["end"]) for one in self.daemon.get("/api/v1/windows?limit=2")] == [last, last]

        self.daemon.wait_for(closed)
        self.daemon.wait_told()

    @property
    def windows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.daemon.get("/api/v1/windows?limit=1000")
        return sorted(found, key=lambda window: (window["model"], window["end"]))

    @property
    def said(self) -> dict[str, tuple[str, str]]:
        """Each notification by its id: its type and what it says, but for the hash of the configuration and the
        offsets to train on, which are as exact as the polls in which records came."""
        return {
            one.id: (one.type, json.dumps({**one.data, "config_hash": "", "offsets": []}, sort_keys=True))
            for one in self.receiver.deliveries()
        }

    @property
    def partitions(self) -> list[list[int]]:
        """The partitions to train on, of each request for retraining."""
        return [
            [each["partition"] for each in one.data["offsets"]]
            for one in self.receiver.deliveries()
            if "offsets" in one.data
        ]


@pytest.mark.usefixtures("reader_kind")
def test_an_hour_away_changes_no_window_and_no_alert(
    broker: Any, topic: str, tmp_path: Path, ending: ExitStack
) -> None:
    """Two daemons over one topic, one of them killed while it reads and away for an hour of event time."""
    broker.create_topic(topic, PARTITIONS)
    watching, away = (Watcher(broker, topic, tmp_path / name, ending) for name in ("watching", "away"))
    truth = produce(broker, topic, 0, BEFORE, RATE)
    away.read(1)
    away.daemon.kill()
    for first in range(BEFORE, BACK, 10 * MINUTE):
        truth += produce(broker, topic, first, first + 10 * MINUTE, RATE)
        watching.read((first + 10 * MINUTE) * RATE)
    away.daemon.start()
    truth += produce(broker, topic, BACK, LAST, RATE)
    for one in (watching, away):
        one.close(BEGIN + LAST - MINUTE)

    assert len(watching.windows) == 79 + 78  # the first of `b` is not whole
    for window in watching.windows:
        assert window["rows"] == truth[window["model"], seconds(window["start"])]
    assert away.windows == watching.windows
    assert away.said == watching.said
    assert away.partitions == watching.partitions == [[*range(PARTITIONS)]] * 2
    assert sorted(kind for kind, _ in away.said.values()) == [
        *["model.alert.firing"] * 2,
        *["model.alert.resolved"] * 2,
        *["model.retrain.requested"] * 2,
    ]
    assert [one.daemon.metric("driftd_events_total", outcome="late") for one in (watching, away)] == [0, 0]


# --- in memory that does not depend on it -----------------------------------------------------------------------------

FEATURES = 50  # a pane of them is 150 kB
PANE = 10  # seconds of event time
CROWDED = 40  # events in one second of event time
UNREAD = 1500  # seconds of event time


def peaks_of_reading(broker: Any, topic: str, home: Path, ending: ExitStack, length: int) -> tuple[int, float]:
    """The most resident memory in kB, and the most panes, of a daemon that reads a topic from its first event on."""
    broker.create_topic(topic, PARTITIONS)
    bulk = 0 if isinstance(broker, MockBroker) else 300  # the mock has no room; Kafka would give all in one answer
    produce(broker, topic, 0, length, CROWDED, bulk=bulk)
    home.mkdir()
    rng = np.random.default_rng(1)
    names = ["x", *(f"x{at}" for at in range(1, FEATURES))]
    Reference.fit({name: rng.normal(size=5_000) for name in names}).save(home / "m.json")
    models = [{"name": one, **MODEL, "window": f"{PANE}s"} for one in "ab"]
    daemon = Driftd(home, config(broker, topic, home.name, models=models))
    ending.callback(lambda: daemon.running and daemon.kill())
    daemon.start()
    panes = [0.0]

    def read() -> bool:
        panes.append(daemon.metric("driftd_open_panes"))
        return daemon.metric("driftd_events_total", outcome="ok") >= length * CROWDED

    daemon.wait_for(read, seconds=240)
    assert daemon.metric("driftd_events_total", outcome="late") == 0
    status = Path(f"/proc/{daemon.pid}/status").read_text(encoding="ascii")
    [peak] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")]
    assert daemon.stop() == 0
    return peak, max(panes)


@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux for the peak of resident memory")
def test_memory_does_not_grow_with_the_backlog(broker: Any, topic: str, tmp_path: Path, ending: ExitStack) -> None:
    """One partition is read slowly, so the others would be read far ahead of it."""
    once, panes_once = peaks_of_reading(broker, f"{topic}-once", tmp_path / "once", ending, UNREAD)
    four, panes_four = peaks_of_reading(broker, f"{topic}-four", tmp_path / "four", ending, 4 * UNREAD)
    print(f"{once / 1024:.0f} MiB with {panes_once:g} panes; four times the backlog: {four / 1024:.0f}, {panes_four:g}")

    assert four < 1.25 * once
    assert panes_four < 0.6 * 2 * 4 * UNREAD / PANE  # of both models, had they been read to their ends
