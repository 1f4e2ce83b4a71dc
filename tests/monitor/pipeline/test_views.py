"""A series with a second view: labels, which may be late by days. What features do does not depend on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from monitor.alerting.alerts import AlertState
from monitor.alerting.table import ScoreTable
from monitor.facts import EventsCounted, Fact, RateImproved, StateReset, WindowClosed
from monitor.pipeline import Pipeline
from monitor.series.operators import Operator, Scored, Scoring
from monitor.series.records import Entry, Owner, owned
from monitor.series.series import SeriesSpec
from monitor.series.view import ViewSpec
from monitor.stream.delta import PaneDelta
from monitor.stream.events import EventBatch, Nanos, SeriesKey
from monitor.stream.windows import ClosedWindow, SealedPane, WindowSpec
from tests.build import DAY, KEY, MINUTE, RULE, at, feed, make_batch, make_pipeline, make_spec, of, play, restored

LABELS = "labels"
LATE = 3 * DAY
NUMBERS = Struct("<qd")


@dataclass
class LabelCounts:
    """Rows, and the sum of their labels."""

    violations: ClassVar[None] = None  # nobody holds them against a contract
    rows: int = 0
    total: float = 0.0

    def update(self, numeric: np.ndarray, codes: np.ndarray, places: np.ndarray | None = None) -> None:
        del codes
        numeric = numeric if places is None else numeric[places]
        self.rows += len(numeric)
        self.total += float(numeric[:, 0].sum())

    def identify(self, hashes: np.ndarray) -> None:
        del hashes

    def add(self, other: Self) -> None:
        self.rows, self.total = self.rows + other.rows, self.total + other.total

    def subtract(self, part: Self) -> None:
        self.rows, self.total = self.rows - part.rows, self.total - part.total

    def copy(self) -> "LabelCounts":
        return LabelCounts(self.rows, self.total)

    def packed(self) -> "LabelCounts":
        return self.copy()

    def to_bytes(self) -> bytes:
        return NUMBERS.pack(self.rows, self.total)


class LabelSketches:
    """Makes them."""

    def empty(self) -> LabelCounts:
        return LabelCounts()

    def unpacked(self, kept: LabelCounts) -> LabelCounts:
        return kept.copy()

    def from_bytes(self, data: bytes) -> LabelCounts:
        return LabelCounts(*NUMBERS.unpack(data))


class NoScores(Scoring[LabelCounts]):
    """Labels are not scored: what they say is the operator's."""

    kinds = ()

    def __init__(self, key: SeriesKey) -> None:
        self._key = key

    def score(self, window: ClosedWindow[LabelCounts]) -> Scored:
        return Scored(WindowClosed(self._key, window.start, window.end, window.sketch.rows, ()), ScoreTable(()))

    def tell(self, scored: Scored, standing: Mapping[str, AlertState]) -> list[Fact]:
        return []

    def settle(self, *, whole: bool) -> None:
        return

    def current(self, standing: Mapping[str, AlertState]) -> list[Fact]:
        return []

    def changes(self) -> list[Entry]:
        return []

    def snapshot(self) -> list[Entry]:
        return []

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        return []


class LabelMeans(Operator[LabelCounts]):
    """Says the mean of each window's labels, beside that of the windows so far."""

    name = "means"
    kinds = ("means",)

    def __init__(self, key: SeriesKey) -> None:
        self._key = key
        self.so_far = LabelCounts()
        self.panes = 0

    def on_pane(self, pane: SealedPane[LabelCounts]) -> list[Fact]:
        self.panes += 1
        return []

    def on_window(self, window: ClosedWindow[LabelCounts], scores: ScoreTable) -> list[Fact]:
        before = self.so_far.total / max(self.so_far.rows, 1)
        self.so_far.add(window.sketch)
        now = window.sketch.total / window.sketch.rows
        return [RateImproved(self._key, window.end, "label", "mean", before, now)]  # any fact will do

    def changes(self) -> list[Entry]:
        return self.snapshot()

    def snapshot(self) -> list[Entry]:
        return [Entry("means", self.so_far.to_bytes())]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        for entry in entries:
            self.so_far = LabelSketches().from_bytes(entry.held)
        return []


LABEL_VIEW = ViewSpec(
    LABELS,
    WindowSpec(2 * MINUTE, MINUTE, LATE),
    LabelSketches(),
    "labels:1",
    lambda key: (NoScores(key), [LabelMeans(key)]),
)


def spec_with(*views: ViewSpec[Any], **changes: Any) -> SeriesSpec:
    plain = make_spec(rules=[RULE], **changes)
    return SeriesSpec(plain.key, plain.windows, plain.judging, plain.retraining, views)


def labelled(**changes: Any) -> Pipeline:
    return make_pipeline(spec_with(LABEL_VIEW, **changes))


def labels(times: Sequence[Nanos], values: Sequence[float]) -> EventBatch:
    numeric = np.array(values, dtype=np.float64)[:, None]
    codes = np.empty((len(values), 0), dtype=np.int32)
    return EventBatch(KEY, "truth", np.array(times, dtype=np.int64), numeric, codes, view=LABELS)


def means(facts: Sequence[Fact]) -> list[tuple[float, float]]:
    return [((fact.at - at(0)) / MINUTE, fact.now) for fact in of(facts, RateImproved)]


def test_labels_do_not_delay_the_windows_of_features() -> None:
    alone, beside = make_pipeline(spec_with()), labelled()
    feed(beside, labels([at(0), at(1)], [0.0, 1.0]), until=at(0))
    feed(alone, until=at(0))

    for number in range(8):
        letter = "CBBDCCBC"[number]
        assert play(beside, letter, first=number) == play(alone, letter, first=number)
    assert beside.most_ahead == alone.most_ahead


def test_labels_wait_for_days_and_then_close_in_their_own_windows() -> None:
    pipeline = labelled()
    feed(pipeline, labels([at(0), at(1), at(1.5)], [0.0, 1.0, 1.0]))
    assert means(feed(pipeline, until=at(2) + LATE - 1)) == []

    assert means(feed(pipeline, until=at(2) + LATE)) == [(2.0, pytest.approx(2 / 3))]


def test_a_label_that_comes_days_later_is_in_time_where_an_event_would_be_late() -> None:
    pipeline = labelled()
    play(pipeline, "CCC")
    facts = feed(pipeline, labels([at(0)], [1.0]), make_batch([at(0)]), until=at(3))

    assert of(facts, EventsCounted) == [
        EventsCounted("truth", "ok", 1, KEY),
        EventsCounted("predictions", "late", 1, KEY),
    ]


def test_both_views_are_saved_and_taken_up_again() -> None:
    straight, stopped, fresh = labelled(), labelled(), labelled()
    for pipeline in (straight, stopped):
        feed(pipeline, labels([at(0), at(1), at(2)], [0.0, 1.0, 0.0]))
        play(pipeline, "CB", first=2)
        feed(pipeline, until=at(2) + LATE)

    assert restored(stopped, fresh) == []
    assert fresh.current() == stopped.current()
    assert feed(fresh, until=at(9) + LATE) == feed(straight, until=at(9) + LATE)
    operator = fresh.series[KEY].views[LABELS].operator("means")
    assert operator.so_far == straight.series[KEY].views[LABELS].operator("means").so_far


def test_rows_of_features_are_called_as_ever_and_those_of_another_view_bear_its_name() -> None:
    pipeline = labelled()
    feed(pipeline, labels([at(0)], [1.0]), make_batch([at(0)]))
    kinds = {record.kind for record in pipeline.snapshot() if record.key}

    assert {kind for kind in kinds if "/" in kind} == {"labels/series", "labels/pane", "labels/means"}
    assert {"series", "pane", "report", "adwin", "rules"} <= kinds
    of_series = [record for record in pipeline.snapshot() if record.key.startswith("[")]
    assert {owned(record)[0] for record in of_series} == {Owner(KEY), Owner(KEY, LABELS)}


def test_a_view_that_is_no_longer_configured_is_forgotten_and_said() -> None:
    pipeline, fresh = labelled(), make_pipeline(spec_with())
    feed(pipeline, labels([at(0)], [1.0]))

    assert restored(pipeline, fresh) == [StateReset(KEY, "no longer configured: its state is forgotten")]
    assert not any(record.kind.startswith(LABELS) for record in fresh.snapshot())


def test_another_make_of_one_view_leaves_the_other() -> None:
    pipeline = labelled()
    play(pipeline, "C")
    feed(pipeline, labels([at(0), at(1)], [1.0, 1.0]), make_batch([at(1)]), until=at(1))
    fresh = labelled(length=2 * MINUTE)
    restored(pipeline, fresh)

    assert fresh.series[KEY].features.windows.panes == {}
    assert len(fresh.series[KEY].views[LABELS].windows.panes) == 2


def test_what_a_replica_sends_of_labels_is_merged_too() -> None:
    pipeline, other = labelled(), labelled()
    [delta] = pipeline.folder.fold(labels([at(0), at(1)], [0.0, 1.0]))
    pipeline.merge(delta)
    other.merge(PaneDelta.from_bytes(delta.to_bytes(LabelSketches()), LabelSketches()))

    assert feed(pipeline, until=at(9) + LATE) == feed(other, until=at(9) + LATE)
