"""Recorded events through the pipeline on a virtual clock: it is always as late as the newest event."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from monitor.backtest.inject import Plant
from monitor.backtest.order import RecordOrder
from monitor.backtest.recorded import Recorded
from monitor.explain.explainer import Explainer
from monitor.facts import EventsCounted, Fact
from monitor.pipeline import Pipeline
from monitor.sources.formats.values import LATEST_NANOS
from monitor.stream.events import EventBatch, MicroBatch, Nanos, Partition


@dataclass(frozen=True, slots=True)
class Range:
    """Event times that count: from `first` until before `until`; None: no limit."""

    first: Nanos | None = None
    until: Nanos | None = None

    @property
    def limited(self) -> bool:
        """Whether any event could lie outside."""
        return self.first is not None or self.until is not None

    def within(self, batch: EventBatch) -> EventBatch:
        """The events that count."""
        first, until = self.first or -LATEST_NANOS, self.until or LATEST_NANOS
        counts = (batch.event_times >= first) & (batch.event_times < until)
        if counts.all():
            return batch
        named = tuple(unseen for unseen in batch.unseen_categories if first <= unseen.event_time < until)
        return replace(batch.where(counts), unseen_categories=named)


@dataclass(frozen=True, slots=True)
class Turn:
    """What a part of the record led to. `batches` are the events folded in, `outside` those that do not count.

    `facts` have words, `advanced` are the last of them as they were before, with counts.
    `behind` is how far partitions trail event time, where any event was late. `late_live` are events by topic that would be
    late live, where the order of the record is known to be that of a partition.
    """

    facts: Sequence[Fact]
    batches: Sequence[EventBatch]
    outside: int
    events: int
    done: float
    advanced: Sequence[Fact] = ()
    behind: Mapping[Partition, Nanos] = field(default_factory=dict)
    late_live: Mapping[str, int] = field(default_factory=dict)


class Replay:
    """Reads a record to its end, then closes the windows that are open.

    It goes pane by pane: what is said of a pane then knows nothing of later events, and sparse events do not fill memory
    with open panes.
    """

    def __init__(
        self, pipeline: Pipeline, recorded: Recorded, plants: Sequence[Plant] = (), within: Range = Range()
    ) -> None:
        self._pipeline = pipeline
        self._recorded = recorded
        self._plants = plants
        self._within = within
        references = {key: series.spec.reference for key, series in pipeline.series.items()}
        self._explainer = Explainer(references, pipeline.watermark.behind)
        self._slide = min(view.spec.windows.slide for view in pipeline.views.values())
        self._partitions: set[Partition] = set()
        self._orders = {place: RecordOrder(view.spec.windows) for place, view in pipeline.views.items()}
        self._now: Nanos = 0

    def run(self, take: Callable[[Turn], None]) -> None:
        """Hand on what each pane led to. Raises RecordedError."""
        for piece in self._recorded.pieces():
            arrived, outside = self._counted(piece.arrived)
            self._partitions |= arrived.assigned
            self._now = max(self._now, *arrived.seen.values(), 0)
            late_live = self._late_live(arrived.batches)
            if piece.finished:
                arrived = replace(arrived, seen={**arrived.seen, **dict.fromkeys(piece.finished, LATEST_NANOS)})
            for part in map(self._named, slices(arrived, self._slide)):
                take(self._turn(part, piece.done))
            self._recorded.hold(self._pipeline.ahead())
            take(Turn(piece.facts, (), outside, piece.events, piece.done, late_live=late_live))
        take(self._finish())

    def _counted(self, arrived: MicroBatch) -> tuple[MicroBatch, int]:
        """What is to be counted of a micro-batch, changed as planted, and how many events were outside."""
        before = sum(map(len, arrived.batches))
        batches: Iterable[EventBatch] = arrived.batches
        seen = arrived.seen
        if self._within.limited:
            first, until = self._within.first, self._within.until
            batches = [batch for batch in map(self._within.within, batches) if len(batch)]
            seen = {partition: time if until is None else min(time, until) for partition, time in seen.items()}
            seen = {partition: time for partition, time in seen.items() if first is None or time >= first}
        for plant in self._plants:
            batches = [plant.into(batch) for batch in batches]
        kept = tuple(batches)
        return replace(arrived, batches=kept, seen=seen), before - sum(map(len, kept))

    def _late_live(self, batches: Iterable[EventBatch]) -> Mapping[str, int]:
        """Events by topic that would be late live. Of several partitions at once nobody knows the order."""
        late: Counter[str] = Counter()
        for batch in batches if len(self._partitions) == 1 else ():
            if len(batch):
                late[batch.topic] += self._orders[batch.key, batch.view].late(batch)
        return late

    def _named(self, arrived: MicroBatch) -> MicroBatch:
        batches: Iterable[EventBatch] = arrived.batches
        for plant in self._plants:
            batches = [plant.named_in(batch) for batch in batches]
        return replace(arrived, batches=tuple(batches))

    def _finish(self) -> Turn:
        """Let event time pass the end of each view's newest pane, so that the windows that end there close."""
        ends = [
            max(view.windows.panes) + view.spec.windows.slide + view.spec.windows.lateness
            for view in self._pipeline.views.values()
            if view.windows.panes
        ]
        if not ends:
            return Turn((), (), 0, 0, 1.0)
        self._now = max(self._now, *ends)
        return self._turn(MicroBatch(seen=dict.fromkeys(self._partitions, max(ends))), 1.0)

    def _turn(self, arrived: MicroBatch, done: float) -> Turn:
        self._explainer.see(arrived.batches)
        counted = self._pipeline.ingest(arrived, self._now)
        advanced = self._pipeline.advance()
        late = any(isinstance(fact, EventsCounted) and fact.outcome == "late" for fact in counted)
        behind = self._pipeline.watermark.behind() if late else {}
        return Turn([*counted, *self._explainer.explain(advanced)], arrived.batches, 0, 0, done, advanced, behind)


def slices(arrived: MicroBatch, length: Nanos) -> Iterator[MicroBatch]:
    """A micro-batch in parts of event time, the earliest first.

    The facts are those of the whole: nothing of a part is late that would not have been. A part is over for those who
    wait once it is read, if anything follows.
    """
    parts: dict[int, list[EventBatch]] = defaultdict(list)
    for batch in arrived.batches:
        for number, part in _parts(batch, length):
            parts[number].append(part)
    numbers = sorted(parts)
    if len(numbers) <= 1:
        yield arrived
        return
    for number in numbers:
        end = LATEST_NANOS if number == numbers[-1] else (number + 1) * length
        seen = {partition: min(time, end) for partition, time in arrived.seen.items()}
        assigned = arrived.assigned if number == numbers[0] else frozenset()
        yield replace(arrived, batches=tuple(parts[number]), seen=seen, assigned=assigned)


def _parts(batch: EventBatch, length: Nanos) -> Iterator[tuple[int, EventBatch]]:
    """The events of a batch by `length` of event time, numbered, those of each in their order."""
    if not len(batch):
        return
    spans = batch.event_times // length
    steps = np.diff(spans)
    if not steps.any():
        yield int(spans[0]), batch
        return
    named = defaultdict(list)
    for unseen in batch.unseen_categories:
        named[unseen.event_time // length].append(unseen)
    if (steps < 0).any():
        order = np.argsort(spans, kind="stable")
        batch, spans = batch.where(order), spans[order]
    bounds = [0, *(np.flatnonzero(np.diff(spans)) + 1).tolist(), len(spans)]
    for first, end in pairwise(bounds):
        number = int(spans[first])
        yield number, replace(batch.where(slice(first, end)), unseen_categories=tuple(named[number]))
