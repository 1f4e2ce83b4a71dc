"""An operator from outside the tree, which keeps what people accept, and a series that has it in a view of its own."""

import json
from collections.abc import Collection, Sequence
from typing import Any

from detectors import Sketch
from monitor.facts import Fact, RateImproved
from monitor.pipeline import Pipeline
from monitor.series.features import feature_view
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.series import SeriesSpec
from monitor.series.view import ViewSpec
from monitor.stream.events import Nanos, SeriesKey
from tests.build import KEY


class Accepts(Operator[Sketch]):
    """Keeps what it was asked to accept, in its saved state."""

    name = "accepts"
    kinds = ("accepts",)

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], Nanos | None, Nanos]] = []

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        self.taken.append((sorted(features), until, at))
        return [RateImproved(KEY, at, "age", "accepted", 0.0, 0.0)]  # any fact will do

    def changes(self) -> list[Entry]:
        return self.snapshot()

    def snapshot(self) -> list[Entry]:
        return [Entry("accepts", json.dumps(self.taken).encode())]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        for entry in entries:
            self.taken = [(features, until, at) for features, until, at in json.loads(entry.held)]
        return []


def with_accepts(spec: SeriesSpec) -> SeriesSpec:
    """The series with another view, whose operator accepts."""
    plain = feature_view(spec.windows, spec.judging)
    view: ViewSpec[Any] = ViewSpec(
        "extra", plain.windows, plain.sketches, "1", lambda key: (plain.build(key)[0], [Accepts()])
    )
    return SeriesSpec(spec.key, spec.windows, spec.judging, spec.retraining, (view,))


def accepted(found: Pipeline, key: SeriesKey = KEY) -> list[Any]:
    return found.series[key].views["extra"].operator("accepts").taken  # type: ignore[attr-defined,no-any-return]
