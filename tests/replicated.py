"""Logs that several folders read: events with their offsets, and what one process would be given of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from monitor.facts import Fact
from monitor.pipeline import Pipeline
from monitor.replicas.cells import ReplicaPlan, SourceLog, ViewPlace, judge_of, places_of, plan_of
from monitor.replicas.folding import CellFolder, SentRecord, SourceRead
from monitor.replicas.ledger import CellState, LogState
from monitor.replicas.owner import Heard, ReplicaOwner
from monitor.replicas.wire import CellProgress
from monitor.series.series import SeriesSpec
from monitor.series.view import ViewSpec
from monitor.stream.events import EventBatch, MicroBatch, Nanos, OffsetRange, SeriesKey
from tests.build import make_batch, make_pipeline

LOGS = tuple(SourceLog("predictions", "topic-1", index) for index in range(3))


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event where it stands in its log. A `key` of None: of a model that is not monitored."""

    offset: int
    time: Nanos
    key: SeriesKey | None
    age: float | None = 50.0


@dataclass(frozen=True, slots=True)
class Logs:
    """All logs, where reading begins and ends in each, and the series that are monitored."""

    events: Mapping[SourceLog, Sequence[LoggedEvent]]
    begins: Mapping[SourceLog, int]
    ends: Mapping[SourceLog, int]
    specs: tuple[SeriesSpec, ...]
    plan: ReplicaPlan
    idle_after: Nanos

    @classmethod
    def of(
        cls,
        events: Mapping[SourceLog, Sequence[LoggedEvent]],
        specs: Iterable[SeriesSpec],
        *,
        begins: Mapping[SourceLog, int] | None = None,
        judges: int = 1,
        length: int = 8,
        idle_after: Nanos = 30 * 10**9,
    ) -> "Logs":
        """Logs that end behind their last event."""
        specs = tuple(specs)
        ends = {log: each[-1].offset + 1 if each else 0 for log, each in events.items()}
        begins = dict.fromkeys(events, 0) if begins is None else begins
        plan = plan_of(specs, judges=judges, length=length)
        return cls(events, begins, {log: max(ends[log], begins[log]) for log in events}, specs, plan, idle_after)

    @property
    def places(self) -> Mapping[ViewPlace, ViewSpec[Any]]:
        """All views."""
        return places_of(self.specs)

    def of_judge(self, judge: int) -> list[SeriesSpec]:
        """The series that one judge partition owns."""
        return [spec for spec in self.specs if judge_of(spec.key.model, self.plan.judges) == judge]

    def pipeline(self, judge: int = 0) -> Pipeline:
        """A pipeline of them."""
        return make_pipeline(*self.of_judge(judge), idle_after=self.idle_after)

    def folder(self, log: SourceLog, begin: int) -> CellFolder:
        """A folder of one log."""
        return CellFolder(log, begin, self.plan, self.places)

    def between(self, log: SourceLog, first: int, end: int, keys: Iterable[SeriesKey] | None = None) -> SourceRead:
        """What is read of a log between two offsets, of some series or all."""
        found = [each for each in self.events[log] if first <= each.offset < end]
        read = [key for key in {each.key: None for each in found} if key is not None and (keys is None or key in keys)]
        batches = [self._batch(log, key, [each for each in found if each.key == key], first, end) for key in read]
        return SourceRead(first, end, tuple(batches), max((each.time for each in found), default=None))

    @staticmethod
    def _batch(log: SourceLog, key: SeriesKey, events: Sequence[LoggedEvent], first: int, end: int) -> EventBatch:
        batch = make_batch([each.time for each in events], [each.age for each in events], key=key)
        return replace(batch, topic=log.topic, offsets=(OffsetRange(log.partition, first, end - 1),))


@dataclass(frozen=True, slots=True)
class Turned:
    """A turn of the owner: what it took of a log."""

    log: SourceLog
    first: int
    progress: CellProgress


class WatchedOwner(ReplicaOwner):
    """An owner that keeps the turns it makes."""

    turns: list[Turned]

    def _take(self, state: LogState, cell: CellState, progress: CellProgress) -> list[Fact]:
        self.turns.append(Turned(state.log, state.taken, progress))
        return super()._take(state, cell, progress)


def owner_of(logs: Logs, judge: int = 0, *, assigned: bool = True) -> WatchedOwner:
    """An owner that has heard nothing yet."""
    owner = WatchedOwner(logs.pipeline(judge), logs.plan, logs.places, judge)
    owner.turns = []
    if assigned:
        owner.assign(logs.begins, now=0)
    return owner


def heard(owner: ReplicaOwner, records: Iterable[SentRecord]) -> Heard:
    """All that comes of these records."""
    whole = Heard()
    for record in records:
        each = owner.hear(record.value)
        whole.facts += each.facts
        whole.told += each.told
        whole.repeats += each.repeats
    return whole


def read_at_once(logs: Logs, judge: int, turns: Iterable[Turned]) -> list[Fact]:
    """What one process says that reads the same logs in these turns."""
    pipeline = logs.pipeline(judge)
    keys = {spec.key for spec in logs.of_judge(judge)}
    facts = pipeline.ingest(MicroBatch(assigned=frozenset(log.partition for log in logs.events)), now=0)
    for turn in turns:
        progress, partition = turn.progress, turn.log.partition
        read = logs.between(turn.log, turn.first, progress.end, keys)
        arrived = MicroBatch(
            read.batches,
            {} if read.seen is None else {partition: read.seen},
            read=frozenset({partition} if progress.end > turn.first else ()),
            confirmed={} if progress.confirmed is None else {partition: progress.confirmed},
            unconfirmed=frozenset({partition} if progress.silent else ()),
        )
        facts += [*pipeline.ingest(arrived, progress.at), *pipeline.advance()]
    return facts
