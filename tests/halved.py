"""Predictions whose halves come apart, as JSON, and what reads them: whole from one topic, or requests and responses from two."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from detectors import Reference
from monitor.facts import Fact
from monitor.pipeline import Pipeline
from monitor.series.halves import HalvesWait
from monitor.series.series import SeriesSpec
from monitor.series.truth import BINARY, Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.joining import PredictionColumns, prediction_fields
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MILLISECOND, MicroBatch, Nanos, Partition
from tests.build import KEY, MIDNIGHT, MINUTE, make_spec, restored
from tests.labelled import performance_spec

TOPICS = {WHOLE: "whole", REQUEST: "requests", RESPONSE: "responses"}
TRUTH = Truth(BINARY)
FUTURE = 10**6 * MINUTE


def reference() -> Reference:
    """Two features and a score."""
    ages, plans, scores = np.arange(100.0), ["free", "free", "free", "pro"] * 25, np.linspace(0, 1, 100)
    return Reference.fit({"age": ages, "plan": plans, "score": scores}, prediction="score")


@dataclass(frozen=True, slots=True)
class Answered:
    """A prediction: when it was asked for, how much later it was answered, milliseconds, and what it says."""

    number: int
    at_ms: int
    took_ms: int
    age: float | None
    score: float
    label: int | None = None

    @property
    def common(self) -> dict[str, Any]:
        """What both halves have."""
        return {"model": KEY.model, "version": KEY.version, "id": f"r-{self.number}"}

    @property
    def asked(self) -> dict[str, Any]:
        """What the request has."""
        return {"ts": self.at_ms, "features": {"age": self.age, "plan": "pro" if self.number % 3 else "trial"}}

    @property
    def said(self) -> dict[str, Any]:
        """What the response has."""
        label = {} if self.label is None else {"label": self.label}
        return {"prediction": self.score, "took": self.took_ms / 1000, "failed": self.number % 5 == 0, **label}

    def message(self, half: int) -> tuple[Nanos, bytes]:
        """Event time and value of one of its messages."""
        if half == WHOLE:
            return self.at_ms * MILLISECOND, json.dumps(self.common | self.asked | self.said).encode()
        if half == REQUEST:
            return self.at_ms * MILLISECOND, json.dumps(self.common | self.asked).encode()
        at_ms = self.at_ms + self.took_ms
        return at_ms * MILLISECOND, json.dumps(self.common | {"ts": at_ms} | self.said).encode()


def halved_spec(wait: Nanos = MINUTE, memory: int = 32_000_000, **changes: Any) -> SeriesSpec:
    """A series of one-minute windows whose predictions have labels inside."""
    spec = make_spec(reference=reference(), lateness=changes.pop("lateness", wait), **changes)
    performance = performance_spec(wait=10 * MINUTE, truth=TRUTH)
    return replace(spec, performance=performance, halves=HalvesWait(wait, memory))


def decoder_of(spec: SeriesSpec, half: int) -> TopicDecoder:
    """What reads a topic."""
    fields = FieldMap(label=("label",)) if half != REQUEST else FieldMap()
    fields = fields if half == REQUEST else replace(fields, latency=("took",), error=("failed",))
    joined = prediction_fields(TRUTH, fields, spec.reference.names)
    series = SeriesFields(spec.key, spec.reference.layout, fields, joined, served=True)
    columns = {spec.key: PredictionColumns(series, TRUTH)}
    contracts = {} if spec.contract is None else {spec.key: spec.contract}
    return TopicDecoder(TOPICS[half], [series], fields, FUTURE, joined=columns, contracts=contracts, half=half)


class Reading:
    """Topics of one partition each, read in order, and the pipeline behind them."""

    def __init__(
        self,
        spec: SeriesSpec,
        logs: dict[int, Sequence[tuple[Nanos, bytes]]],
        store: dict[tuple[str, str], bytes] | None = None,
    ) -> None:
        self.pipeline = Pipeline([spec], idle_after=10**6 * MINUTE)
        if store:
            restored(store, self.pipeline, MIDNIGHT)
        self.decoders = {half: decoder_of(spec, half) for half in logs}
        self.logs = logs
        self.at = dict.fromkeys(logs, 0)
        places = frozenset(Partition(TOPICS[half], 0) for half in logs)
        self.pipeline.ingest(MicroBatch(assigned=places), MIDNIGHT)

    def poll(self, sizes: dict[int, int]) -> list[Fact]:
        """Read so many messages of each topic, in this order, as one micro-batch."""
        parts: dict[str, list[Any]] = {"batches": [], "joins": [], "halves": [], "schemas": []}
        seen, facts = {}, list[Fact]()
        for half, size in sizes.items():
            first = self.at[half]
            values = [value for _, value in self.logs[half][first : first + size]]
            self.at[half] += len(values)
            if not values:
                continue
            numbers = range(first, first + len(values))
            records = TopicRecords(TOPICS[half], [0] * len(values), values, numbers=numbers)
            decoded = self.decoders[half].decode(records, MIDNIGHT)
            parts = {name: [*held, *getattr(decoded, name)] for name, held in parts.items()}
            facts += decoded.facts
            seen |= decoded.seen
        arrived = MicroBatch(seen=seen, read=frozenset(seen), **{name: tuple(held) for name, held in parts.items()})
        return [*facts, *self.pipeline.ingest(arrived, MIDNIGHT), *self.pipeline.advance()]

    def end(self, at: Nanos) -> list[Fact]:
        """Let event time come so far in all of them."""
        seen = {Partition(TOPICS[half], 0): at for half in self.logs}
        return [*self.pipeline.ingest(MicroBatch(seen=seen), MIDNIGHT), *self.pipeline.advance()]

    @property
    def left(self) -> bool:
        """Whether anything is still to be read."""
        return any(self.at[half] < len(log) for half, log in self.logs.items())


def logs_of(answered: Iterable[Answered], halves: Iterable[int]) -> dict[int, Sequence[tuple[Nanos, bytes]]]:
    """A log of each topic, in the order of event times."""
    answered = list(answered)
    return {half: sorted((each.message(half) for each in answered), key=lambda message: message[0]) for half in halves}
