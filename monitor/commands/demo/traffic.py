"""Live events of two models; one feature of one of them drifts for a while."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Thread
from typing import Any

import msgspec
import numpy as np
from confluent_kafka import KafkaException, Producer
from numpy.random import Generator
from numpy.typing import NDArray

from detectors import Reference
from monitor.clock import SystemClock
from monitor.stream.events import MILLISECOND, SECOND

CLOCK = SystemClock()
TOPIC = "predictions"
RATE = 1_000  # events a second, per model
TICK = 0.05  # seconds
WINDOW = 1  # seconds
REFERENCE_WINDOWS = 120
UNEVEN = 0.6  # how the rows a window of the reference differ, as a logarithm: machines stall, and that is no drift
DRIFT_FACTOR = 1.9  # of fraud's amount: a currency that is no longer converted

Drawn = dict[str, NDArray[Any]]


def fraud(rng: Generator, rows: int) -> Drawn:
    """Card payments with a fraud score."""
    amount = rng.lognormal(3.4, 0.8, rows)
    return {
        "amount": amount,
        "account_age_days": rng.gamma(2.0, 300.0, rows),
        "country": rng.choice(["DE", "FR", "ES", "IT", "NL"], rows, p=[0.4, 0.25, 0.15, 0.12, 0.08]),
        "channel": rng.choice(["web", "app", "phone"], rows, p=[0.5, 0.4, 0.1]),
        "score": rng.beta(1.2, 9.0, rows),
    }


def pricing(rng: Generator, rows: int) -> Drawn:
    """Rides with a price."""
    distance = rng.gamma(2.2, 3.1, rows)
    return {
        "distance_km": distance,
        "passengers": rng.integers(1, 5, rows),
        "vehicle": rng.choice(["standard", "large", "electric"], rows, p=[0.6, 0.15, 0.25]),
        "score": 2.5 + 1.4 * distance + rng.normal(0, 1.0, rows),
    }


MODELS: dict[str, Callable[[Generator, int], Drawn]] = {"fraud": fraud, "pricing": pricing}


def write_references(directory: Path, rng: Generator) -> None:
    """A reference for each model, from two minutes of its own traffic before any drift, with timestamps."""
    sizes = np.maximum((RATE * WINDOW * rng.lognormal(0, UNEVEN, REFERENCE_WINDOWS)).astype(int), 20)
    times = np.repeat(np.arange(REFERENCE_WINDOWS) * WINDOW * SECOND, sizes)
    for name, generate in MODELS.items():
        columns = generate(rng, times.size)
        reference = Reference.fit(columns, prediction="score", timestamps=times, window_ns=WINDOW * SECOND)
        reference.save(directory / f"{name}.reference.json")


@dataclass(frozen=True, slots=True)
class Timetable:
    """When drift begins and ends, in seconds after the start."""

    begins: float
    ends: float


class Traffic(Thread):
    """Produces until stopped, with event times of now."""

    def __init__(self, producer: Producer, timetable: Timetable, rng: Generator) -> None:
        super().__init__(name="traffic", daemon=True)
        self._producer = producer
        self._timetable = timetable
        self._rng = rng
        self._encoder = msgspec.json.Encoder()
        self.stopping = Event()
        self.produced = 0
        self.drifting = False
        self.drift_began: int | None = None  # event time, nanoseconds
        self.drift_ended: int | None = None

    def run(self) -> None:
        """Produce at a steady rate, whatever the machine does between ticks."""
        began = CLOCK.elapsed()
        sent = 0
        while not self.stopping.wait(TICK):
            elapsed = CLOCK.elapsed() - began
            self._follow_timetable(elapsed)
            due = int(elapsed * RATE)
            for model in MODELS:
                self._produce(model, due - sent)
            sent = due
            self._producer.poll(0)
        self._producer.flush(2)

    def _follow_timetable(self, elapsed: float) -> None:
        self.drifting = self._timetable.begins <= elapsed < self._timetable.ends
        if self.drifting and self.drift_began is None:
            self.drift_began = CLOCK.now()
        if elapsed >= self._timetable.ends and self.drift_ended is None:
            self.drift_ended = CLOCK.now()

    def _produce(self, model: str, rows: int) -> None:
        columns = MODELS[model](self._rng, rows)
        if model == "fraud" and self.drifting:
            columns["amount"] = columns["amount"] * DRIFT_FACTOR
        predictions = columns.pop("score").tolist()
        names = list(columns)
        now = CLOCK.now() // MILLISECOND
        for values, prediction in zip(
            zip(*(column.tolist() for column in columns.values()), strict=True), predictions, strict=True
        ):
            event = {
                "id": f"{model}-{self.produced}",
                "ts": now,
                "model": model,
                "version": "1",
                "features": dict(zip(names, values, strict=True)),
                "prediction": prediction,
            }
            try:
                self._producer.produce(TOPIC, self._encoder.encode(event))
            except (BufferError, KafkaException):
                return
            self.produced += 1
