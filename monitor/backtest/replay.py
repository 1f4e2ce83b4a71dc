"""Recorded events through the pipeline on a virtual clock: it is always as late as the newest event."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np

from detectors import PluginError
from monitor.backtest.inject import Plant
from monitor.backtest.order import RecordOrder
from monitor.backtest.recorded import Recorded
from monitor.explain.explainer import Explainer
from monitor.facts import DetectorFailed, EventsCounted, Fact
from monitor.pipeline import Pipeline
from monitor.sources.formats.values import LATEST_NANOS
from monitor.stream.clocks import LatestTimes
from monitor.stream.events import FEATURES, EventBatch, JoinBatch, MicroBatch, Nanos, Partition, SchemaBatch, SeriesKey
from monitor.stream.rising import RisingValues
from monitor.stream.schema import RowSchema


@dataclass(frozen=True, slots=True)
class Range:
    """Event times that count: from `first` until before `until`; None: no limit."""

    first: Nanos | None = None
    until: Nanos | None = None

    def told(self, batch: SchemaBatch) -> SchemaBatch:
        """The rows that count."""
        times = batch.rows.times
        counts = (times >= (self.first or -LATEST_NANOS)) & (times < (self.until or LATEST_NANOS))
        return SchemaBatch(batch.key, batch.rows.where(counts))

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

    def predicted(self, batch: JoinBatch) -> JoinBatch:
        """The predictions that count, with all labels."""
        times = batch.predictions["time"]
        counts = (times >= (self.first or -LATEST_NANOS)) & (times < (self.until or LATEST_NANOS))
        return replace(batch, predictions=batch.predictions[counts])


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
        self,
        pipeline: Pipeline,
        recorded: Recorded,
        plants: Sequence[Plant] = (),
        within: Range = Range(),
        label_topics: frozenset[str] = frozenset(),
    ) -> None:
        self._label_topics = label_topics
        self._ended: set[Partition] = set()
        self._pipeline = pipeline
        self._recorded = recorded
        self._plants = plants
        self._within = within
        pipeline.admit = self._admitted
        references = {key: series.spec.reference for key, series in pipeline.series.items()}
        self._explainer = Explainer(references, pipeline.watermark.behind)
        self._slide = min(view.spec.windows.slide for view in pipeline.views.values())
        self._partitions: set[Partition] = set()
        self._orders = {place: RecordOrder(view.spec.windows) for place, view in pipeline.views.items()}
        self._now: Nanos = 0
        self._rising: dict[SeriesKey, RisingValues] = defaultdict(RisingValues)
        self._labelled = LatestTimes()

    def run(self, take: Callable[[Turn], None]) -> None:
        """Hand on what each pane led to. Raises RecordedError."""
        for piece in self._recorded.pieces():
            whole, halves = self._pipeline.whole(piece.arrived)  # first: all else is then of whole events
            arrived, outside = self._counted(whole)
            self._partitions |= arrived.assigned
            self._now = max(self._now, *arrived.seen.values(), 0)
            for batch in arrived.joins:
                self._labelled.show(batch.labels["time"])
            late_live = self._late_live(arrived.batches)
            if over := self._over(piece.finished):
                arrived = replace(arrived, seen={**arrived.seen, **dict.fromkeys(over, LATEST_NANOS)})
            self._explainer.hear(piece.facts)
            for part in map(self._named, slices(arrived, self._slide)):
                take(self._turn(part, piece.done))
            self._recorded.hold(self._ahead())
            take(Turn([*piece.facts, *halves], (), outside, piece.events, piece.done, late_live=late_live))
        take(self._finish())

    def _over(self, finished: frozenset[Partition]) -> frozenset[Partition]:
        """The partitions that nobody waits for any more. The last of the events is not among them: with it event time ends."""
        self._ended |= finished
        return finished if self._events_follow else frozenset(each for each in finished if self._of_labels(each))

    @property
    def _events_follow(self) -> bool:
        return any(each not in self._ended for each in self._partitions if not self._of_labels(each))

    def _of_labels(self, partition: Partition) -> bool:
        return partition.topic in self._label_topics

    def _ahead(self) -> frozenset[Partition]:
        """Partitions that run ahead. Once all events are read no label waits for them."""
        ahead = self._pipeline.ahead()
        return ahead if self._events_follow else frozenset(each for each in ahead if not self._of_labels(each))

    def _counted(self, arrived: MicroBatch) -> tuple[MicroBatch, int]:
        """What is to be counted of a micro-batch, changed as planted, and how many events were outside."""
        before = sum(map(len, arrived.batches))
        batches: Iterable[EventBatch] = arrived.batches
        seen, joins, schemas = arrived.seen, arrived.joins, arrived.schemas
        if self._within.limited:
            batches = [batch for batch in map(self._within.within, batches) if len(batch)]
            seen = {place: time for place, time in map(self._shown, seen.items()) if time is not None}
            joins = tuple(map(self._within.predicted, joins))
            schemas = tuple(map(self._within.told, schemas))
        schemas = tuple(SchemaBatch(key, self._looked_at(key, rows)) for key, rows in schemas)
        for plant in self._plants:
            batches = [plant.into(batch) for batch in batches]
            joins = tuple(map(plant.joined, joins))
        kept = tuple(batches)
        counted = replace(arrived, batches=kept, seen=seen, joins=joins, schemas=schemas)
        return counted, before - sum(map(len, kept))

    def _admitted(self, batch: EventBatch) -> EventBatch:
        """What counts of requests that nobody answered, changed as planted."""
        batch = self._within.within(batch) if self._within.limited else batch
        for plant in self._plants:
            batch = plant.into(batch)
        return batch

    def _looked_at(self, key: SeriesKey, rows: RowSchema) -> RowSchema:
        """The rows with those that do not rise in the order of the record, before it is cut by event time."""
        return replace(rows, fell=self._rising[key].fell(rows))

    def _shown(self, each: tuple[Partition, Nanos]) -> tuple[Partition, Nanos | None]:
        """How far a partition has shown event time, as far as that counts; labels come after what they are of."""
        (place, time), first, until = each, self._within.first, self._within.until
        if self._of_labels(place):
            return each
        return place, None if first is not None and time < first else min(time, until or LATEST_NANOS)

    def _late_live(self, batches: Iterable[EventBatch]) -> Mapping[str, int]:
        """Events by topic that would be late live. Of several partitions at once nobody knows the order.

        What one reader left another has read: it comes after the rest, but lay among it, and is held to what was reached before.
        """
        late: Counter[str] = Counter()
        before: dict[tuple[SeriesKey, str], RecordOrder] = {}
        for batch in batches if len(self._partitions) == 1 else ():
            if len(batch):
                place = batch.key, batch.view
                order = replace(before[place]) if place in before else self._orders[place]
                before.setdefault(place, replace(order))
                late[batch.topic] += order.late(batch)
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
        waiting = ((each.unanswered_until, key) for key, each in self._pipeline.halves.items())
        ends += [self._window_end(time, key) for time, key in waiting if time is not None]
        settled = self._told_until(max(ends, default=self._now))
        if not ends:
            return self._settle(settled)
        self._now = max(self._now, *ends)
        events = [each for each in self._partitions if not self._of_labels(each)]
        turn, last = self._turn(MicroBatch(seen=dict.fromkeys(events, max(ends))), 1.0), self._settle(settled)
        return replace(turn, facts=[*turn.facts, *last.facts], advanced=[*turn.advanced, *last.advanced])

    def _window_end(self, time: Nanos, key: SeriesKey) -> Nanos:
        """When the pane that a request is of is sealed."""
        windows = self._pipeline.views[key, FEATURES].spec.windows
        return time - time % windows.slide + windows.slide + windows.lateness

    def _told_until(self, end: Nanos) -> Nanos:
        """How far labels tell what predictions until `end` were worth. Labels inside their predictions are all there."""
        return self._labelled.reached(end) if self._label_topics else LATEST_NANOS

    def _settle(self, until: Nanos) -> Turn:
        """Judge performance as far as the record tells it."""
        advanced = self._pipeline.settle(until)
        return Turn(self._explainer.explain(advanced), (), 0, 0, 1.0, advanced)

    def _turn(self, arrived: MicroBatch, done: float) -> Turn:
        self._explainer.see(arrived.batches)
        counted = self._pipeline.ingest(arrived, self._now)
        advanced = self._pipeline.advance()
        for fact in advanced:
            if isinstance(fact, DetectorFailed):  # the daemon goes on; here somebody sees whether it works
                raise PluginError(fact.why)
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
    schemas: dict[int, list[SchemaBatch]] = defaultdict(list)
    for key, rows in arrived.schemas:
        for number, some in rows.by(length):
            schemas[number].append(SchemaBatch(key, some))
    numbers = sorted(parts)
    if len(numbers) <= 1:
        yield arrived
        return
    for number in numbers:
        end = LATEST_NANOS if number == numbers[-1] else (number + 1) * length
        seen = {partition: min(time, end) for partition, time in arrived.seen.items()}
        assigned = arrived.assigned if number == numbers[0] else frozenset()
        joins = arrived.joins if number == numbers[0] else ()
        told = tuple(schemas[number])
        versions = tuple(each for each in arrived.versions if each[2] // length == number)
        counted = replace(arrived, batches=tuple(parts[number]), seen=seen, assigned=assigned, joins=joins)
        yield replace(counted, schemas=told, versions=versions)


def _parts(batch: EventBatch, length: Nanos) -> Iterator[tuple[int, EventBatch]]:
    """The events of a batch by `length` of event time, numbered, those of each in their order."""
    if not len(batch):
        if batch.unseen_categories:  # of halves
            yield batch.unseen_categories[0].event_time // length, batch
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
