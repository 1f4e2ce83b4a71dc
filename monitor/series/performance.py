"""The view of performance: predictions joined with the labels that come for them, counted by pane, judged at fixed ages.

It waits for days where features wait for seconds, and has a clock of its own: the watermark, but no further than labels are read.
A pane is judged when the clock has passed its end by an age; what a window comes to is the sum of its panes, each judged at that
age. So windows of one age alone are ever beside each other.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from detectors.features import Ints
from monitor.alerting.alerts import Span
from monitor.facts import (
    DELAY_BOUNDS,
    AlertSeen,
    ClassCoverage,
    Fact,
    JoinCounted,
    LabelDelays,
    MetricTold,
    PerformanceJudged,
    StateReset,
)
from monitor.series import judged
from monitor.series.deciding import DECISION, DecisionSpec, PerformanceDecision, forgotten
from monitor.series.estimating import EstimateSpec
from monitor.series.records import Entry, Owner, Record
from monitor.series.truth import BINARY, MONEY, UNCOUNTED, Truth
from monitor.stream.events import SECOND, JoinBatch, Nanos, SeriesKey
from monitor.stream.join import LABEL, Join, JoinSpec, Matched, Rows, Side, Stretch, at_level
from monitor.stream.windows import WindowSpec, ends_between

PERFORMANCE = "performance"  # the view's name
STATE, PREDICTIONS, LABELS, PANE = "state", "predictions", "labels", "pane"
PIECES = 32  # that a stretch is saved in before it is written anew
DELAY_EDGES = 2.0 ** (np.arange(1, 28 * 8) / 8)  # seconds, 9 % apart: the median of a window is as exact as that
TOLD = "metrics", "costs"  # keys of a truth that say what is told of counts
LATER_ASKED = "asked for since this window was judged"
MOST = 0.9  # of labels: the delay that so many have is told


@dataclass(frozen=True, slots=True)
class PerformanceSpec:
    """What a series' performance is judged by: what is joined, at which ages, rising, and how labels are counted.

    `topics` are those of labels that it has some from, beside those inside its predictions. `decision`: who raises alerts; None: nobody.
    """

    join: JoinSpec
    ages: tuple[Nanos, ...]
    truth: Truth
    topics: frozenset[str] = frozenset()
    decision: DecisionSpec | None = None
    expectation: EstimateSpec | None = None  # None: labelled rows are not estimated by their predictions

    @property
    def fingerprint(self) -> str:
        """What panes and windows are kept under: when it changes they are worthless."""
        join = self.join
        return msgspec.json.encode([join.length, join.slide, join.wait, self.ages, self.truth.as_known()]).decode()

    def keeps_rows(self, fingerprint: str) -> bool:
        """Whether rows that were kept under another fingerprint mean the same. Labels read without their weights have none."""
        (before, weighed), (now, weighs) = map(_of_rows, (fingerprint, self.fingerprint))
        return before == now and weighed >= weighs

    def keeps_windows(self, fingerprint: str) -> bool:
        """Whether windows that were judged under another fingerprint are still told: the mean that R² is held against is that of a reference."""
        return _of_windows(fingerprint, *TOLD, "reference_mean") == _of_windows(
            self.fingerprint, *TOLD, "reference_mean"
        )

    def keeps_counts(self, fingerprint: str) -> bool:
        """Whether rows that were counted under another fingerprint count alike: which metrics are made of them decides nothing."""
        return _of_windows(fingerprint, *TOLD) == _of_windows(self.fingerprint, *TOLD)

    def told_anew(self, fact: PerformanceJudged, fingerprint: str) -> PerformanceJudged:
        """A window that was judged under another fingerprint with the metrics that are asked for now; those that it was not judged by are absent."""
        before = msgspec.json.decode(fingerprint)[-1].get("costs")
        priced = before == msgspec.json.decode(self.fingerprint)[-1].get("costs")
        known = {each.name: each for each in fact.metrics if each.name != MONEY or priced}
        estimated = {each.name: each for each in fact.estimated if each.name != MONEY or priced}
        names = self.truth.names
        metrics = (known.get(name) or MetricTold(name, None, None, None, fact.labelled, LATER_ASKED) for name in names)
        kept = tuple(estimated[name] for name in names if name in estimated)
        return replace(fact, metrics=tuple(metrics), estimated=kept)


def _of_rows(fingerprint: str) -> tuple[list[Any], bool]:
    length, slide, wait, _, truth = msgspec.json.decode(fingerprint)
    same = [length, slide, wait, *(truth[name] for name in ("task", "classes", "positive", "negative"))]
    return same, bool(truth["weighted"])


def _of_windows(fingerprint: str, *without: str) -> list[Any]:
    *joined, truth = msgspec.json.decode(fingerprint)
    return [*joined, {name: value for name, value in truth.items() if name not in (*UNCOUNTED, *without)}]


@dataclass(slots=True)
class PaneTruth:
    """What a pane, or a window, comes to at an age, and the level of the ids that are counted."""

    level: int
    counts: Any
    predictions: Ints  # by predicted class, and those of none
    labelled: Ints  # likewise
    delays: Ints
    matched: Matched | None = field(default=None, repr=False)

    def add(self, other: "PaneTruth") -> None:
        """Add another pane's."""
        self.counts.add(other.counts)
        self.predictions = self.predictions + other.predictions
        self.labelled = self.labelled + other.labelled
        self.delays = self.delays + other.delays


class SavedPane(msgspec.Struct):
    """A pane that later windows share, as it was judged: what comes late for it counts in none of them."""

    number: int
    start: Nanos
    level: int
    counts: bytes
    predictions: list[int]
    labelled: list[int]
    delays: list[int]


class SavedPerformance(msgspec.Struct):
    """The view as saved, without its rows."""

    fingerprint: str
    clock: Nanos | None
    origin: Nanos | None
    judged: list[Nanos | None]
    level: int
    levels: dict[str, list[tuple[int, int, int]]]  # by side: number, level and labels found of each stretch
    told: list[PerformanceJudged]
    removed: dict[int, int] = {}  # labels that were thinned out, by the number of their stretch
    asked: dict[int, int] = {}  # highest level of predictions that asked for labels, likewise
    positive_seen: bool = (
        True  # whether any label was the positive one; what was saved before this was told is taken to have seen one
    )


class Performance:
    """The performance of one series at work."""

    def __init__(self, key: SeriesKey, spec: PerformanceSpec) -> None:
        self.key = key
        self.spec = spec
        self.join = Join(spec.join)
        self.clock: Nanos | None = None
        self._windows = WindowSpec(spec.join.length, spec.join.slide, spec.join.wait)
        self._owner = Owner(key, PERFORMANCE)
        self._origin: Nanos | None = None
        self._starts: list[Nanos] = []  # of the panes that hold predictions, rising
        self._judged: list[Nanos | None] = [None] * len(spec.ages)  # until which end, by age
        self._panes: dict[tuple[int, Nanos], PaneTruth] = {}  # of windows still to be judged, by age and start
        self._unsaved: dict[tuple[int, Nanos], None] = {}  # of these, and those that are gone
        self._told: dict[int, PerformanceJudged] = {}  # the last window, by age
        self._positive_seen = spec.truth.task != BINARY  # whether any label was the positive one
        self._gone: list[Entry] = []  # rows that the store still holds
        self._changed = False
        self._distrusted: Sequence[Span] = ()  # times whose predictions say nothing of the model
        self.decision = (
            None if spec.decision is None else PerformanceDecision(key, spec.decision, spec.truth, spec.join.length)
        )

    # --- events in ----------------------------------------------------------------------------------------------

    def take(self, batch: JoinBatch) -> list[Fact]:
        """Take decoded predictions and labels; those whose pane is judged are late."""
        predictions, late = self._timely(batch.predictions, self.spec.join.wait)
        labels, expired = self._timely(batch.labels, self.spec.join.wait + self.spec.join.early + self.spec.join.length)
        self._changed = True
        if predictions.size:
            self._see(predictions)
        self.join.add(predictions, labels)
        of_predictions = {"ok": len(predictions), "late": late, "without_id": batch.anonymous}
        of_labels = {"received": len(labels), "expired": expired}
        return [*self._counted("prediction", of_predictions), *self._counted("label", of_labels)]

    def _timely(self, rows: Rows, wait: Nanos) -> tuple[Rows, int]:
        if self.clock is None or not rows.size:
            return rows, 0
        horizon = self._horizon(self.clock, wait)
        timely = rows["time"] >= horizon
        return (rows, 0) if timely.all() else (rows[timely], int(np.count_nonzero(~timely)))

    def _horizon(self, clock: Nanos, age: Nanos) -> Nanos:
        """The last end of a pane that the clock has passed by an age."""
        return (clock - age) // self.spec.join.slide * self.spec.join.slide

    def _see(self, predictions: Rows) -> None:
        earliest = int(predictions["time"].min())
        self._origin = earliest if self._origin is None else min(self._origin, earliest)
        self._know_panes(predictions)

    def _know_panes(self, predictions: Rows) -> None:
        slide = self.spec.join.slide
        for start in (np.unique(predictions["time"] // slide) * slide).tolist():
            at = bisect_left(self._starts, start)
            if at == len(self._starts) or self._starts[at] != start:
                insort(self._starts, start)

    def _counted(self, side: str, outcomes: Mapping[str, int]) -> list[Fact]:
        known = {outcome: count for outcome, count in outcomes.items() if count}
        return [JoinCounted(self.key, side, known)] if known else []

    # --- time ---------------------------------------------------------------------------------------------------

    def advance(self, clock: Nanos, distrusted: Sequence[Span] = ()) -> list[Fact]:
        """Judge what the clock has passed, and drop what nothing needs any more. Nobody judges windows that share time with `distrusted`."""
        if self.clock is not None and clock <= self.clock:
            return []
        self.clock, self._changed, self._distrusted = clock, True, distrusted
        facts = [fact for end, number in self._due(clock) for fact in self._judge(end, number)]
        self._judged = [self._horizon(clock, age) for age in self.spec.ages]
        return [*facts, *self._forget(clock)]

    def _due(self, clock: Nanos) -> list[tuple[Nanos, int]]:
        """Ends of windows, each with the number of the age at which it is judged now, in the order of a clock that moves slowly."""
        ages = self.spec.ages
        due = [
            (end, number)
            for number, age in enumerate(ages)
            for end in ends_between(self._starts, self._judged[number], self._horizon(clock, age), self._windows)
        ]
        return sorted(due, key=lambda each: (each[0] + ages[each[1]], each[1]))

    def _judge(self, end: Nanos, number: int) -> list[Fact]:
        """Judge the window that ends here, and tell what became of the labels of its last pane."""
        join, age, facts = self.spec.join, self.spec.ages[number], list[Fact]()
        start = end - join.length
        level = self.join.level_of(start, end, age)
        if number == len(self.spec.ages) - 1:
            facts += self._close(self._pane(end - join.slide, number, level))
        if self._origin is not None and start >= self._origin:
            facts += self._tell(start, end, number, level)
        for place in [place for place in self._panes if place[0] == number and place[1] < start + join.slide]:
            del self._panes[place]
            self._unsaved[place] = None
        return facts

    def _tell(self, start: Nanos, end: Nanos, number: int, level: int) -> list[Fact]:
        first, last = bisect_left(self._starts, start), bisect_left(self._starts, end)
        total = self._empty(level)
        for pane_start in self._starts[first:last]:
            pane = self._pane(pane_start, number, level)
            pane.matched = None  # its rows are counted: later windows need no more
            total.add(pane)
        if not total.predictions.sum():
            return []
        self._positive_seen = self._positive_seen or judged.has_positive(total.counts)
        fact = self._told[number] = self._fact(start, end, number, total)
        decided = [] if self.decision is None or fact.no_positive else self.decision.take(fact, total.counts)
        return [fact, *decided]

    def _fact(self, start: Nanos, end: Nanos, number: int, total: PaneTruth) -> PerformanceJudged:
        truth, missing = self.spec.truth, total.predictions - total.labelled
        never = bool(total.labelled.sum()) and not self._positive_seen
        by_class = zip(truth.predicted_classes, total.predictions.tolist(), total.labelled.tolist(), strict=False)
        return PerformanceJudged(
            self.key,
            start,
            end,
            self.spec.ages[number],
            final=number == len(self.spec.ages) - 1,
            task=truth.task,
            predictions=int(total.predictions.sum()),
            labelled=int(total.labelled.sum()),
            sampling=0.5**total.level,
            metrics=judged.metrics_told(truth, total.counts, missing, never_positive=never),
            classes=tuple(ClassCoverage(*each) for each in by_class),
            delay_median=_quantile(total.delays, 0.5),
            delay_most=_quantile(total.delays, MOST),
            left_out=total.counts.left_out,
            estimated=() if self.spec.expectation is None else self.spec.expectation.told(total.counts)[0],
            coverage_test=judged.coverage_test(truth.predicted_classes, total.predictions, total.labelled),
            by_class=judged.by_class(truth, total.counts, missing),
            reliability=judged.reliability(truth, total.counts),
            no_positive=never,
            frozen=any(each.start < end and start < each.end for each in self._distrusted),
        )

    def _pane(self, start: Nanos, number: int, level: int) -> PaneTruth:
        """What a pane comes to at an age, counted once for all windows that share it and are judged at one level."""
        known = self._panes.get((number, start))
        if known is None or known.level != level:
            known = self._panes[number, start] = self._count(
                self.join.matched(start, self.spec.ages[number], level), level
            )
            self._unsaved[number, start] = None
        return known

    def _count(self, matched: Matched, level: int) -> PaneTruth:
        truth, labelled = self.spec.truth, matched.labelled
        values = matched.predictions["value"]
        classes, many = truth.predicted(values), len(truth.predicted_classes) + 1
        return PaneTruth(
            level,
            truth.count(matched.labels[labelled], values[labelled], matched.weights[labelled]).packed(),
            np.bincount(classes, minlength=many),
            np.bincount(classes[labelled], minlength=many),
            np.bincount(np.searchsorted(DELAY_EDGES, _delays(matched)), minlength=DELAY_EDGES.size + 1),
            matched,
        )

    def _empty(self, level: int) -> PaneTruth:
        none = np.zeros(len(self.spec.truth.predicted_classes) + 1, dtype=np.int64)
        return PaneTruth(level, self.spec.truth.empty(), none, none, np.zeros(DELAY_EDGES.size + 1, dtype=np.int64))

    def _close(self, pane: PaneTruth) -> list[Fact]:
        """Tell what became of the labels of a pane that is judged for the last time."""
        matched = pane.matched
        if matched is None or not len(matched.predictions):
            return []
        for number, count in matched.found.items():
            stretch = self.join.labels.stretches[number]
            stretch.matched += count
            stretch.asked = max(stretch.asked, pane.level)
        pane.matched = None
        facts = self._counted("label", matched.tallies)
        delays = _delays(matched)
        if delays.size:
            counts = np.bincount(np.searchsorted(DELAY_BOUNDS, delays), minlength=len(DELAY_BOUNDS) + 1)
            facts.append(LabelDelays(self.key, tuple(counts.tolist()), float(delays.sum())))
        return facts

    def _forget(self, clock: Nanos) -> list[Fact]:
        over: Counter[str] = Counter()
        for side, number, stretch in self.join.forget(clock):
            self._gone += [_piece(side, number, piece, None) for piece in range(stretch.pieces)]
            if side is self.join.labels:
                over += _left_over(stretch)
        needed_from = min(until for until in self._judged if until is not None) - self.spec.join.length
        del self._starts[: bisect_left(self._starts, needed_from)]
        return self._counted("label", over)

    # --- what people decide -------------------------------------------------------------------------------------

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Take these metrics as they are for how they should be."""
        self._changed |= self.decision is not None
        return [] if self.decision is None else self.decision.accept(features, until, at)

    # --- state --------------------------------------------------------------------------------------------------

    def current(self) -> list[Fact]:
        """The facts that say where things stand, for a reader that starts now."""
        return [*self._told.values(), *self.alerts()]

    def alerts(self) -> list[AlertSeen]:
        """Its incident, unless it is inactive."""
        return [] if self.decision is None else self.decision.current()

    def changes(self) -> list[Record]:
        """The records that changed since the last call: rows that came, not those that were there."""
        return self._records(anew=1) if self._changed else []

    def _records(self, *, anew: int) -> list[Record]:
        gone, self._gone, self._changed = self._gone, [], False
        pieces = (entry for side in self.join.sides for entry in _new_pieces(side, anew=anew))
        decided = [] if self.decision is None else self.decision.changes()
        entries = [*gone, *pieces, *self._changed_panes(), *decided, self._entry()]
        return [self._owner.record(entry) for entry in entries]

    def snapshot(self) -> list[Record]:
        """All state as records."""
        for _, _, stretch in self._stretches():
            stretch.pieces, stretch.thinned = 0, True
        self._gone, self._unsaved = [], dict.fromkeys(self._panes)
        if self.decision is not None:
            self.decision.changed = True
        return self._records(anew=sum(len(side.stretches) for side in self.join.sides))

    def _changed_panes(self) -> Iterator[Entry]:
        for place in self._unsaved:
            number, start = place
            pane = self._panes.get(place)
            row = start // self.spec.join.slide * len(self.spec.ages) + number
            yield Entry(PANE, None if pane is None else _saved_pane(number, start, pane), row)
        self._unsaved = {}

    def _stretches(self) -> Iterator[tuple[Side, int, Stretch]]:
        for side in self.join.sides:
            for number, stretch in side.stretches.items():
                yield side, number, stretch

    def _entry(self) -> Entry:
        levels: dict[str, list[tuple[int, int, int]]] = {}
        for side, number, stretch in self._stretches():
            levels.setdefault(_kind(side), []).append((number, stretch.level, stretch.matched))
        told = list(self._told.values())
        labels = self.join.labels.stretches.items()
        removed = {number: each.removed for number, each in labels if each.removed}
        asked = {number: each.asked for number, each in labels if each.asked}
        saved = SavedPerformance(
            self.spec.fingerprint,
            self.clock,
            self._origin,
            self._judged,
            self.join.level,
            levels,
            told,
            removed,
            asked,
            self._positive_seen,
        )
        return Entry(STATE, msgspec.json.encode(saved))

    def restore(self, entries: Sequence[Entry]) -> list[Fact]:
        """Take up saved state; what had to be dropped is said."""
        states = [msgspec.json.decode(each.held, type=SavedPerformance) for each in entries if each.kind == STATE]
        if not states:
            return []
        alike = self.spec.keeps_counts(states[0].fingerprint)
        return [*self._restore(states[0], entries), *self._restore_decision(entries, alike=alike)]

    def _restore_decision(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        if self.decision is not None:
            return self.decision.restore(entries, alike=alike)
        self._gone += [Entry(DECISION, None) for each in entries if each.kind == DECISION]
        self._changed |= bool(self._gone)
        return forgotten(self.key, entries)

    def _restore(self, saved: SavedPerformance, entries: Sequence[Entry]) -> list[Fact]:
        if not self.spec.keeps_rows(saved.fingerprint):
            return [StateReset(self.key, "labels are joined otherwise: the join starts anew")]
        self.clock, self._origin, self.join.level = saved.clock, saved.origin, saved.level
        self._positive_seen = saved.positive_seen
        self._restore_rows(saved, entries)
        alike = self.spec.keeps_windows(saved.fingerprint)
        if alike:
            self._judged = saved.judged
            told = [self.spec.told_anew(each, saved.fingerprint) for each in saved.told]
            self._told = {self.spec.ages.index(each.age): each for each in told}
        elif saved.clock is not None:
            self._judged = [self._horizon(saved.clock, age) for age in self.spec.ages]
        self._restore_panes(entries, alike=self.spec.keeps_counts(saved.fingerprint))
        if alike:
            return []
        return [
            StateReset(self.key, "labels are counted otherwise: windows judged are forgotten, rows that wait are kept")
        ]

    def _restore_panes(self, entries: Sequence[Entry], *, alike: bool) -> None:
        """Take up the panes of windows to come; those counted otherwise go, and are counted anew of the rows that wait."""
        panes = [entry for entry in entries if entry.kind == PANE]
        for entry in panes if alike else ():
            self._restore_pane(msgspec.msgpack.decode(entry.held, type=SavedPane))
        if not alike:
            self._gone = [Entry(PANE, None, each.number) for each in panes]
            self._changed = True

    def _restore_rows(self, saved: SavedPerformance, entries: Sequence[Entry]) -> None:
        for side in self.join.sides:
            for number, level, matched in saved.levels.get(_kind(side), []):
                side.stretches[number] = Stretch(level, matched=matched)
        for number, removed in saved.removed.items():
            self.join.labels.stretches[number].removed = removed
        for number, asked in saved.asked.items():
            self.join.labels.stretches[number].asked = asked
        for entry in entries:
            if entry.kind in {PREDICTIONS, LABELS}:
                self._restore_piece(entry)

    def _restore_pane(self, saved: SavedPane) -> None:
        counts = self.spec.truth.empty()
        predictions, labelled, delays = (
            np.array(each, dtype=np.int64) for each in (saved.predictions, saved.labelled, saved.delays)
        )
        restored = type(counts).from_bytes(counts.task, saved.counts).packed()
        self._panes[saved.number, saved.start] = PaneTruth(saved.level, restored, predictions, labelled, delays)

    def _restore_piece(self, entry: Entry) -> None:
        assert entry.number is not None
        side = self.join.labels if entry.kind == LABELS else self.join.predictions
        number, piece = divmod(entry.number, PIECES)
        stretch = side.stretches[number]
        stretch.pieces = max(stretch.pieces, piece + 1)
        rows = at_level(np.frombuffer(entry.held, dtype=side.dtype), stretch.level)
        if rows.size:
            stretch.hold(rows)
        if side is self.join.predictions and rows.size:
            self._know_panes(rows)


def _saved_pane(number: int, start: Nanos, pane: PaneTruth) -> bytes:
    cells = pane.predictions.tolist(), pane.labelled.tolist(), pane.delays.tolist()
    return msgspec.msgpack.encode(SavedPane(number, start, pane.level, pane.counts.to_bytes(), *cells))


def _left_over(stretch: Stretch) -> Counter[str]:
    """What became of the labels of a stretch that no prediction found.

    Those of ids whose predictions were thinned out where labels were looked for are sampled out, and not unmatched. Some of those found
    may have been thinned out since.
    """
    unmatched = max(0, stretch.count_at(stretch.asked) - stretch.matched)
    over = stretch.count + stretch.removed - stretch.matched - unmatched
    return Counter(unmatched=unmatched, sampled_out=max(0, over))


def _kind(side: Side) -> str:
    return LABELS if side.dtype == LABEL else PREDICTIONS


def _new_pieces(side: Side, *, anew: int = 1) -> Iterator[Entry]:
    """What of a side is not saved: the rows that came since, a piece a stretch; where there are many, all of it anew.

    A stretch that was thinned is written anew too, so many at a time: until then rows that went are in the store, and passed over when
    it is read.
    """
    for number, stretch in side.stretches.items():
        if (stretch.thinned and anew > 0) or (stretch.unsaved and stretch.pieces == PIECES):
            anew -= stretch.thinned
            yield from (_piece(side, number, piece, None) for piece in range(1, stretch.pieces))
            yield _piece(side, number, 0, _bytes(list(stretch.rows)))
            stretch.pieces, stretch.thinned = 1, False
        elif stretch.unsaved:
            yield _piece(side, number, stretch.pieces, _bytes(stretch.unsaved))
            stretch.pieces += 1
        stretch.saved()


def _bytes(parts: Sequence[Rows]) -> bytes:
    return b"".join(np.ascontiguousarray(rows).view(np.uint8).data for rows in parts)


def _piece(side: Side, number: int, piece: int, payload: bytes | None) -> Entry:
    return Entry(_kind(side), payload, number * PIECES + piece)


def _delays(matched: Matched) -> Any:
    """Seconds from each labelled prediction to its label."""
    labelled = matched.labelled
    return np.maximum(0, matched.times[labelled] - matched.predictions["time"][labelled]) / SECOND


def _quantile(delays: Ints, share: float) -> float | None:
    """A quantile of delays counted between `DELAY_EDGES`: the middle of the cell that holds it."""
    total = int(delays.sum())
    if not total:
        return None
    cell = int(np.searchsorted(delays.cumsum(), share * total))
    if cell == 0:
        return 0.0
    lower, upper = DELAY_EDGES[min(cell, DELAY_EDGES.size) - 1], DELAY_EDGES[min(cell, DELAY_EDGES.size - 1)]
    return float(np.sqrt(lower * upper))
