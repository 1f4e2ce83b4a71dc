"""Labels over Kafka: `driftd run` as a process, killed while it reads, tells what a plain join of the same messages tells."""

import json
import os
from collections.abc import Iterator
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
COUNT, STEP_MS = 3_000, 100  # five minutes of predictions
WAIT_MS = 10 * 60_000
KILLS = int(os.environ.get("KILLS", "6"))  # `make kills` has a hundred
OF = {"model": "m", "version": "*"}


@pytest.fixture
def daemons() -> Iterator[list[Driftd]]:
    """What a test has started, ended with it."""
    started: list[Driftd] = []
    yield started
    for daemon in started:
        if daemon.running:
            daemon.kill()


def make(home: Path, bootstrap: str) -> Driftd:
    scores = np.linspace(0.0, 1.0, 500)
    Reference.fit({"x": np.arange(500.0), "score": scores}, prediction="score").save(home / "m.json")
    config = {
        "kafka": {"bootstrap_servers": bootstrap, "start_from": "earliest"},
        "topics": [{"name": "predictions"}, {"name": "outcomes", "kind": "labels"}],
        "models": [
            {"name": "m", "reference": "m.json", "window": "1m", "lateness": "0s", "labels": {"wait": "10m"}},
        ],
        "checkpoint_interval": "50ms",
        "idle_after": "1s",
    }
    return Driftd(home, config)


class Messages:
    """Predictions with scores, and labels in an order of their own, with corrections and withdrawals."""

    def __init__(self, rng: np.random.Generator, bootstrap: str) -> None:
        self._producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 5, "log_level": 0})
        self.scores = rng.random(COUNT).round(3)
        self.labels: dict[int, int] = {}
        told: list[tuple[int, int | None, int]] = []
        for number in np.flatnonzero(rng.random(COUNT) < 0.7).tolist():
            first = BEGIN_MS + number * STEP_MS + int(rng.integers(WAIT_MS // 2))
            said = [int(rng.random() < 0.5)]
            said += [1 - said[0]] if rng.random() < 0.1 else []
            told += [(number, label, first + at) for at, label in enumerate(said)]
            self.labels[number] = said[-1]
        for number in rng.choice(list(self.labels), 100, replace=False).tolist():
            told.append((number, None, BEGIN_MS + number * STEP_MS + WAIT_MS // 2 + 10))
            del self.labels[number]
        self.told = [told[at] for at in rng.permutation(len(told)).tolist()]

    def predict(self, first: int, last: int, *, at_ms: int = BEGIN_MS) -> None:
        """Predictions of some numbers."""
        for number in range(first, last):
            features = {"x": float(number % 500)}
            score = float(self.scores[number % COUNT])
            event = {"id": f"r-{number}", "ts": at_ms + number * STEP_MS, "features": features, "prediction": score}
            self._producer.produce("predictions", json.dumps(event), partition=0)

    def tell(self, first: int, last: int) -> None:
        """Labels, and messages without a value that take one back."""
        for number, label, at in self.told[first:last]:
            if label is None:
                self._producer.produce("outcomes", None, key=f"r-{number}", timestamp=at, partition=number % 2)
            else:
                message = json.dumps({"id": f"r-{number}", "ts": at, "label": label})
                self._producer.produce("outcomes", message, key=f"r-{number}", partition=number % 2)

    def flush(self) -> None:
        """All of it is there."""
        assert self._producer.flush(10) == 0


def plainly(messages: Messages, last: int) -> dict[str, Any]:
    """The last whole window of the predictions before this one."""
    window = 60_000 // STEP_MS
    first_ms = (BEGIN_MS + last * STEP_MS) // 60_000 * 60_000 - 60_000
    first = (first_ms - BEGIN_MS) // STEP_MS
    held = [number for number in range(first, first + window) if number in messages.labels]
    hits = [(messages.scores[number] >= 0.5) == (messages.labels[number] == 1) for number in held]
    return {"predictions": window, "labelled": len(held), "accuracy": float(np.mean(hits))}


def test_a_daemon_killed_again_and_again_tells_what_a_plain_join_tells(
    tmp_path: Path, daemons: list[Driftd], mock_broker: "MockBroker"
) -> None:
    mock_broker.create_topic("predictions")
    mock_broker.create_topic("outcomes", 2)
    rng = np.random.default_rng(seeded())
    messages = Messages(rng, mock_broker.bootstrap)
    daemon = make(tmp_path, mock_broker.bootstrap)
    daemons.append(daemon)
    parts, of_labels = COUNT // KILLS, -(-len(messages.told) // KILLS)
    for part in range(KILLS):
        messages.predict(part * parts, COUNT if part == KILLS - 1 else (part + 1) * parts)
        messages.tell(part * of_labels, (part + 1) * of_labels)
        messages.flush()
        daemon.start()
        daemon.wait_for(lambda: daemon.metric("driftd_events_total", topic="predictions", outcome="ok") > 0)
        daemon.kill()
    end_ms = BEGIN_MS + COUNT * STEP_MS + WAIT_MS
    messages.predict(COUNT, COUNT + 20, at_ms=end_ms)
    messages.flush()
    daemon.start()

    def told() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = daemon.get("/api/v1/models/m")[0]["performance"]
        return found

    wanted = plainly(messages, COUNT)
    daemon.wait_for(lambda: bool(told()) and told()[0]["window"]["end"] >= "2025-11-23T04:10:00Z")
    [last] = told()
    assert {name: last[name] for name in ("predictions", "labelled")} | {
        "accuracy": last["metrics"]["accuracy"]["value"]
    } == {**wanted, "accuracy": pytest.approx(wanted["accuracy"])}
    assert daemon.stop() == 0
