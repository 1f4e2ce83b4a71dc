"""The wall clock of a running daemon is set back or forth and put right again: no event is lost."""

import json
import os
import time
from pathlib import Path
from threading import Event, Thread
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from confluent_kafka import Producer

from detectors import Reference
from tests.integration import moved
from tests.integration.daemon import Driftd
from tests.parts.mock import MockBroker

TOPIC = "predictions"
HOUR = 3600.0


class Live(Thread):
    """Twenty events a second, stamped with the time of now."""

    def __init__(self, bootstrap: str) -> None:
        super().__init__(daemon=True)
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
        self.ending = Event()
        self.sent = 0

    def run(self) -> None:
        while not self.ending.wait(0.05):
            event = {"ts": time.time_ns() // 1_000_000, "model": "m", "features": {"x": 0.1}}
            self._producer.produce(TOPIC, json.dumps(event), partition=0)
            self.sent += 1
        assert self._producer.flush(30) == 0


def why_not_ready(daemon: Driftd) -> str:
    try:
        with urlopen(daemon.url + "/readyz", timeout=5):
            return ""
    except HTTPError as error:
        return error.read().decode()


@pytest.mark.parametrize("by", [-HOUR, HOUR])
def test_a_clock_that_is_set_and_put_right_again_loses_no_event(
    mock_broker: MockBroker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: float
) -> None:
    """Set back, what comes looks like the future: nothing is read meanwhile. Set forth and back again, reading goes on."""
    clock = tmp_path / "moved"
    moved.move(clock, 0.0)
    monkeypatch.setitem(os.environ, moved.VARIABLE, str(clock))
    Reference.fit({"x": np.random.default_rng(1).normal(size=5_000)}).save(tmp_path / "m.json")
    mock_broker.create_topic(TOPIC)
    kafka = {"bootstrap_servers": mock_broker.bootstrap, "start_from": "earliest"}
    models = [{"name": "m", "reference": "m.json", "window": "5s"}]
    daemon = Driftd(tmp_path, {"kafka": kafka, "topics": [{"name": TOPIC}], "models": models})
    daemon.module = moved.__name__
    daemon.start()
    live = Live(mock_broker.bootstrap)
    live.start()
    read = "driftd_events_total"
    daemon.wait_for(lambda: daemon.metric(read, outcome="ok") >= 20)
    moved.move(clock, by)
    if by < 0:
        daemon.wait_for(lambda: "the clock was set back by 36" in why_not_ready(daemon))
        assert daemon.metric("driftd_clock_behind_seconds") == pytest.approx(HOUR, abs=10)
    else:
        daemon.wait_for(lambda: bool(daemon.logged("clock.set")))
    time.sleep(2)
    moved.move(clock, 0.0)
    daemon.wait_for(lambda: len(daemon.logged("clock.set")) == 2 and not why_not_ready(daemon))
    live.ending.set()
    live.join(30)
    daemon.wait_for(lambda: daemon.metric(read, outcome="ok") == live.sent)

    assert daemon.metric("driftd_events_total", outcome="rejected") == 0
    assert daemon.metric("driftd_clock_behind_seconds") == 0
    assert [round(line["seconds"] / HOUR) for line in daemon.logged("clock.set")] == [
        round(by / HOUR),
        -round(by / HOUR),
    ]
    assert daemon.stop() == 0
