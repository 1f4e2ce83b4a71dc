"""What one replica folds: records of its partitions to prefixes of cells, and what of that is safe to be forgotten."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import numpy as np

from monitor.facts import Fact, LagMeasured, SourceTroubled
from monitor.replicas.cells import ReplicaPlan, SourceLog, ViewPlace
from monitor.replicas.folding import UNKNOWN, CellFolder, LogEnd, SentRecord, SourceRead
from monitor.series.view import ViewSpec
from monitor.sources.base import RecordParts, SourceError, TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.kafka.client import FATAL, KafkaChoice
from monitor.sources.kafka.ends import LeaderEnd
from monitor.sources.kafka.reader import PartitionReader, Polled
from monitor.sources.kafka.records import Taken
from monitor.sources.kafka.troubles import said
from monitor.stream.events import Nanos, OffsetRange, Partition

STALE = 5.0  # seconds after which a leader's answer is none


class GroupStart(msgspec.Struct, frozen=True):
    """What is written beside a position in the group: where the group began to read this partition, and which topic that was.

    `count`: how many partitions the topic had when the group began with it; those from there on were added later. None where that is not known.
    """

    first: int
    topic: str = ""
    count: int | None = None

    def written(self) -> str:
        """As text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def read(cls, text: str) -> "GroupStart | None":
        """From text; None where a single process has written the position."""
        try:
            return msgspec.json.decode(text, type=cls)
        except (msgspec.MsgspecError, UnicodeEncodeError):
            return None


def partitions_at_start(starts: Mapping[int, GroupStart | None], there: int) -> int:
    """How many partitions a topic had when a group began with it, of `there` that it has: those from there on were added later.

    `starts` is what stands in the group, by the number of the partition; None: a position of a single process, which has one of each.

    >>> partitions_at_start({}, 6), partitions_at_start({0: GroupStart(100, "", 6)}, 9), partitions_at_start({0: None, 5: None}, 9)
    (6, 6, 6)
    """
    told = [start.count for start in starts.values() if start is not None and start.count is not None]
    return min(told) if told else 1 + max(starts, default=there - 1)


@dataclass(slots=True)
class FoldedLog:
    """A partition that is folded. `over`: cells that are over, each with the number of records that must be acknowledged before it is forgotten."""

    folder: CellFolder
    start: GroupStart
    over: list[tuple[int, int]] = field(default_factory=list)
    committed: int = 0  # the beginning of a cell: where who takes over begins

    def safe(self, acknowledged: int) -> int:
        """Where who takes over may begin, given how many records are acknowledged."""
        while self.over and self.over[0][1] <= acknowledged:
            self.committed = self.over.pop(0)[0]
        return self.committed


class Folding:
    """Folds the partitions that are given to it, each from the beginning of a cell."""

    def __init__(
        self,
        reader: PartitionReader,
        choice: KafkaChoice,
        decoders: Mapping[str, TopicDecoder],
        plan: ReplicaPlan,
        places: Mapping[ViewPlace, ViewSpec[Any]],
        ends: Callable[[], Mapping[Partition, LeaderEnd]],
        send: Callable[[SentRecord], int],
    ) -> None:
        """`send` says how many records were sent by then."""
        self._reader = reader
        self._choice = choice
        self._decoders = decoders
        self._plan = plan
        self._places = places
        self._ends = ends
        self._send = send
        self._heard: dict[Partition, float] = {}
        self.logs: dict[Partition, FoldedLog] = {}

    # --- which ------------------------------------------------------------------------------------------------------

    def take_on(self, log: SourceLog, begin: int, start: GroupStart, elapsed: float) -> None:
        """Fold a partition from the beginning of a cell on."""
        folder = CellFolder(log, begin, self._plan, self._places)
        self.logs[log.partition] = FoldedLog(folder, start, committed=begin)
        self._heard[log.partition] = elapsed
        self._reader.take_on({log.partition: begin})

    def let_go(self, partition: Partition) -> None:
        """Fold a partition no more."""
        if self.logs.pop(partition, None) is not None:
            self._reader.let_go([partition])

    # --- reading ----------------------------------------------------------------------------------------------------

    def turn(self, timeout: float, now: Nanos) -> list[Fact]:
        """Read and fold once. Raises SourceError when it cannot go on."""
        polled = self._reader.poll(timeout)
        facts = self._troubles(polled)
        for taken in polled.taken:
            for span in polled.offsets(taken):
                if (log := self.logs.get(span.partition)) is not None:
                    facts += self._fold(log, taken, span, now)
        facts += polled.skipped
        for partition, log in self.logs.items():  # past control records, and what cannot be read
            self._pass(log, self._reader.positions[partition], now)
        return facts

    def _troubles(self, polled: Polled) -> list[Fact]:
        """What the broker says. Raises SourceError where the client cannot go on, or a position is gone."""
        for partition in polled.lost:
            raise SourceError(
                f"kafka: {partition}: offset {self._reader.positions[partition]} is not there any more, and nobody has counted from there on"
            )
        for _, error in polled.troubles:
            if error.fatal() or error.code() == FATAL:
                raise SourceError(f"kafka: the client cannot go on: {error.str()}")
        return [SourceTroubled(error.name(), said(error.str())) for _, error in polled.troubles]

    def _fold(self, log: FoldedLog, taken: Taken, span: OffsetRange, now: Nanos) -> list[Fact]:
        """Fold the records of one partition, cell by cell.

        Those of the open cell stay where the reader has them: of most polls that is all of them. What lies behind its end is copied.
        """
        index, first, end = span.partition.index, log.folder.position, min(log.folder.end, span.last + 1)
        within = taken.before({**dict.fromkeys(taken.next_offsets, 0), index: end})
        facts = list[Fact]()
        if len(within):
            part = OffsetRange(span.partition, first, end - 1)
            facts = self._fold_part(log, within.records((part,), self._choice.parts_of(taken.topic)), part, now)
        self._pass(log, end, now)
        if end <= span.last:
            records = taken.records((span,), self._choice.parts_of(taken.topic) | RecordParts.NUMBERS)
            facts += self._fold_rest(log, records, OffsetRange(span.partition, end, span.last), now)
        return facts

    def _fold_rest(self, log: FoldedLog, records: TopicRecords, span: OffsetRange, now: Nanos) -> list[Fact]:
        """Fold what lies behind the end of the cell that was open."""
        facts = list[Fact]()
        numbers, ours = np.asarray(records.numbers), np.asarray(records.partitions) == span.partition.index
        while (first := log.folder.position) <= span.last:
            end = min(log.folder.end, span.last + 1)
            chosen = np.flatnonzero(ours & (numbers >= first) & (numbers < end)).tolist()
            if chosen:
                part = OffsetRange(span.partition, first, end - 1)
                facts += self._fold_part(log, replace(records.only(chosen), offsets=(part,)), part, now)
            self._pass(log, end, now)
        return facts

    def _fold_part(self, log: FoldedLog, records: TopicRecords, span: OffsetRange, now: Nanos) -> list[Fact]:
        """Fold records that lie in one cell, and all else that their span holds."""
        decoded = self._decoders[records.topic].decode(records, now)
        seen = decoded.seen.get(span.partition)
        batches, seen = tuple(decoded.batches), None if seen is None else min(seen, now)
        self._read(log, SourceRead(span.first, span.last + 1, batches, seen), now)
        return decoded.facts

    def _pass(self, log: FoldedLog, end: int, now: Nanos) -> None:
        """Nothing of what lies before `end` counts."""
        while (first := log.folder.position) < end:
            self._read(log, SourceRead(first, min(end, log.folder.end)), now)

    def _read(self, log: FoldedLog, read: SourceRead, now: Nanos) -> None:
        sent = [self._send(record) for record in log.folder.read(read, now)]
        if sent:
            log.over.append((log.folder.begin, sent[-1]))

    # --- sending ----------------------------------------------------------------------------------------------------

    def flush(self, now: Nanos, elapsed: float) -> None:
        """Send what is new of all partitions, and how far they were read."""
        ends = self._ends()
        for partition, log in self.logs.items():
            for record in log.folder.flush(now, self._end(partition, ends, elapsed)):
                self._send(record)

    def _end(self, partition: Partition, ends: Mapping[Partition, LeaderEnd], elapsed: float) -> LogEnd:
        """What is known of the end of a partition."""
        end = ends.get(partition)
        if end is not None:
            self._heard[partition] = max(self._heard[partition], end.elapsed)
        if elapsed - self._heard[partition] >= STALE:
            return LogEnd(silent=True)
        position = self._reader.positions[partition]
        doubtful = partition in self._reader.unreadable or partition in self._reader.held
        if end is None or doubtful or not end.position <= end.offset <= position or elapsed - end.elapsed >= STALE:
            return UNKNOWN
        return LogEnd(end.as_of)

    def lags(self) -> LagMeasured:
        """How far each partition is behind its end, of those of which that is known."""
        ends, positions = self._ends(), self._reader.positions
        return LagMeasured(
            tuple((place, max(0, ends[place].offset - positions[place])) for place in self.logs if place in ends)
        )
