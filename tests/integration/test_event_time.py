"""A stream is not lost in silence: a backlog in one of several partitions closes its windows, and one fast clock makes nobody late."""

import json
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from confluent_kafka import Producer

from detectors import Reference
from tests.integration.daemon import Driftd
from tests.parts.mock import MockBroker

TOPIC = "predictions"
STEP = 50  # milliseconds
COUNT = 3_000  # events: 150 s of event time


def settings(home: Path, bootstrap: str, lateness: str) -> dict[str, Any]:
    Reference.fit({"x": np.linspace(0.0, 1.0, 500)}).save(home / "r.json")
    return {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": TOPIC}],
        "models": [{"name": "churn", "reference": "r.json", "window": "10s", "lateness": lateness, "min_rows": 50}],
        "idle_after": "2s",
    }


def written(bootstrap: str, stamps: Iterable[int], partitions: Sequence[int]) -> None:
    """An event of each stamp, in turn over the partitions, as producers would that are no slower than their clock."""
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number, stamp in enumerate(stamps):
        value = json.dumps({"ts": stamp, "model": "churn", "features": {"x": number % 100 / 100}})
        producer.produce(TOPIC, value, partition=partitions[number % len(partitions)])
    producer.flush(30)


def times() -> list[int]:
    """Event times up to a minute ago, from a whole ten seconds on."""
    first = (int(time.time()) - 60 - COUNT * STEP // 1000) // 10 * 10_000
    return [first + number * STEP for number in range(COUNT)]


def rows(daemon: Driftd) -> list[int]:
    return [window["rows"] for window in daemon.get("/api/v1/windows?limit=500")]


def test_a_backlog_in_one_of_four_partitions_closes_its_windows_by_itself(
    mock_broker: MockBroker, tmp_path: Path
) -> None:
    mock_broker.create_topic(TOPIC, 4)
    written(mock_broker.bootstrap, times(), [0])
    daemon = Driftd(tmp_path, settings(tmp_path, mock_broker.bootstrap, "0s"))
    daemon.start()

    daemon.wait_for(lambda: len(rows(daemon)) == 14, seconds=30)
    assert rows(daemon) == [200] * 14
    assert daemon.metric("driftd_events_total", outcome="late") == 0
    assert daemon.stop() == 0


def test_one_fast_clock_in_fifty_makes_nobody_late_and_is_named(mock_broker: MockBroker, tmp_path: Path) -> None:
    mock_broker.create_topic(TOPIC, 2)
    stamps = [stamp + 180_000 * (number % 50 == 25) for number, stamp in enumerate(times())]
    written(mock_broker.bootstrap, stamps, [0, 1])
    daemon = Driftd(tmp_path, settings(tmp_path, mock_broker.bootstrap, "5s"))
    daemon.start()

    daemon.wait_for(lambda: len(rows(daemon)) >= 13, seconds=30)
    assert set(rows(daemon)[-13:]) == {196}  # of 200; the others count where they say
    assert daemon.metric("driftd_events_total", outcome="late") == 0
    daemon.wait_for(lambda: daemon.metric("driftd_events_ahead_total") >= COUNT // 50 - 2)
    (said, *_) = daemon.logged("events.ahead")
    assert said["partition"].startswith(TOPIC)
    assert 170 < said["seconds"] <= 180
    assert daemon.stop() == 0
