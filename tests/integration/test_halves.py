"""Requests and responses over two topics: `driftd run` as a process, killed while halves wait, tells what one that was never killed tells."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from confluent_kafka import Producer

from detectors import Reference
from tests.charted import seeded
from tests.integration.daemon import Driftd

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

BEGIN_MS = 1_763_870_700_000
COUNT, STEP_MS = 6_000, 50  # five minutes of predictions
WINDOW_MS, LATENESS_MS = 10_000, 30_000
KILLS = int(os.environ.get("KILLS", "6"))  # `make kills-halves` has fifty
LAST = 20
AFTER_MS = BEGIN_MS + COUNT * STEP_MS + 10 * LATENESS_MS  # what comes last lets all windows close


@pytest.fixture
def daemons() -> Iterator[list[Driftd]]:
    """What a test has started, ended with it."""
    started: list[Driftd] = []
    yield started
    for daemon in started:
        if daemon.running:
            daemon.kill()


def make(home: Path, bootstrap: str, group: str) -> Driftd:
    home.mkdir()
    scores = np.linspace(0.0, 1.0, 500)
    table = {"x": np.arange(500.0), "plan": ["free", "pro"] * 250, "score": scores}
    Reference.fit(table, prediction="score").save(home / "m.json")
    config = {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest", "group_id": group},
        "topics": [
            {"name": "asked", "half": "request"},
            {"name": "answered", "half": "response", "fields": {"latency": {"path": "took", "unit": "ms"}}},
        ],
        "models": [
            {
                "name": "m",
                "reference": "m.json",
                "window": f"{WINDOW_MS // 1000}s",
                "lateness": f"{LATENESS_MS // 1000}s",
                "min_rows": 10,
                "halves": {"unmatched": "count"},
            }
        ],
        "checkpoint_interval": "50ms",
        "idle_after": "60s",
    }
    return Driftd(home, config)


class Messages:
    """Requests, and responses up to twenty seconds later: some never come, some come twice, some without a request."""

    def __init__(self, rng: np.random.Generator, bootstrap: str) -> None:
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0, "enable.idempotence": True}
        )
        asked = BEGIN_MS + np.arange(COUNT) * STEP_MS
        answered = asked + rng.integers(0, 20_000, COUNT)
        scores = rng.random(COUNT).round(3)
        chance = rng.random(COUNT)
        chance[0] = 0.5  # the first is whole: else the first window begins before the first event, and is not judged
        self.requests = [
            (int(at), {"id": f"r-{number}", "ts": int(at), "features": {"x": number % 500, "plan": "free"}})
            for number, at in enumerate(asked)
            if chance[number] > 0.05
        ]
        responses = [
            (
                int(at),
                {"id": f"r-{number}", "ts": int(at), "prediction": scores[number], "took": int(at - asked[number])},
            )
            for number, at in enumerate(answered)
            for _ in range(2 if 0.1 < chance[number] < 0.15 else 1)
            if not 0.05 < chance[number] <= 0.1
        ]
        self.responded = len({message["id"] for _, message in responses})
        self.responses = sorted(responses, key=lambda each: each[0])
        self.whole = {number for number in range(COUNT) if chance[number] > 0.1}

    def produce(self, after_ms: int, until_ms: int) -> None:
        """What is stamped within a time; responses lag behind, in a log as in life."""
        for topic, log in (("asked", self.requests), ("answered", self.responses)):
            lag = 0 if topic == "asked" else 5_000
            for at, message in log:
                if after_ms <= at + lag < until_ms:
                    self._producer.produce(topic, json.dumps(message), partition=0)
        assert self._producer.flush(30) == 0

    def end(self) -> None:
        """What lets all windows close; of a single one it would be said that its clock runs fast."""
        for number in range(LAST):
            last = {"id": f"last-{number}", "ts": AFTER_MS + number * STEP_MS}
            self._producer.produce("asked", json.dumps({**last, "features": {"x": 1, "plan": "pro"}}), partition=0)
            self._producer.produce("answered", json.dumps({**last, "prediction": 0.5}), partition=0)
        assert self._producer.flush(30) == 0


def told(daemon: Driftd) -> list[dict[str, Any]]:
    """Its windows, all of them."""
    end = datetime.fromtimestamp((BEGIN_MS + COUNT * STEP_MS) / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    daemon.wait_for(lambda: end in {window["end"] for window in daemon.get("/api/v1/windows?limit=100")}, seconds=120)
    found: list[dict[str, Any]] = daemon.get("/api/v1/windows?limit=100")
    return found


def test_a_daemon_killed_while_halves_wait_tells_what_one_tells_that_was_never_killed(
    tmp_path: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic("asked")
    mock_broker.create_topic("answered")
    messages = Messages(np.random.default_rng(seeded()), mock_broker.bootstrap)
    daemon = make(tmp_path / "killed", mock_broker.bootstrap, "killed")
    daemons.append(daemon)
    until = (
        BEGIN_MS + 30_000 + (COUNT * STEP_MS - 15_000) * np.arange(1, KILLS + 1) // KILLS
    )  # in the first part some are answered
    until[-1], after, waited = BEGIN_MS + 10**9, BEGIN_MS, 0
    for end in until.tolist():
        messages.produce(after, end)
        after = end
        daemon.start()
        daemon.wait_for(lambda: daemon.metric("driftd_halves_total", topic="asked", outcome="joined") > 0)
        joined = daemon.metric("driftd_halves_total", topic="asked", outcome="joined")
        waited += joined < len(messages.whole)
        daemon.kill()
    messages.end()
    daemon.start()
    other = make(tmp_path / "whole", mock_broker.bootstrap, "whole")
    daemons.append(other)
    other.start()

    mine, theirs = told(daemon), told(other)

    assert waited
    assert mine == theirs
    rows = {window["start"]: window["rows"] for window in theirs}
    assert sum(rows.values()) == len(messages.requests)  # those that nobody answers as well
    counted = {
        (topic, outcome): int(other.metric("driftd_halves_total", topic=topic, outcome=outcome))
        for topic in ("asked", "answered")
        for outcome in ("joined", "unmatched", "evicted", "repeated")
    }
    joined, asked, answered = len(messages.whole) + LAST, len(messages.requests) + LAST, messages.responded + LAST
    assert counted == {
        ("asked", "joined"): joined,
        ("asked", "unmatched"): asked - joined,
        ("asked", "evicted"): 0,
        ("asked", "repeated"): 0,
        ("answered", "joined"): joined,
        ("answered", "unmatched"): answered - joined,
        ("answered", "evicted"): 0,
        ("answered", "repeated"): len(messages.responses) - messages.responded,
    }
    assert daemon.stop() == other.stop() == 0
