"""Assigned partitions, read in order: positions, ends, holding, batches that cannot be read. For live and for ranges."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, TopicPartition

from monitor.facts import RecordsSkipped
from monitor.sources.kafka.ahead import Fetches
from monitor.sources.kafka.client import END, LOST, UNREADABLE
from monitor.sources.kafka.portion import HELD
from monitor.sources.kafka.records import Batch, Taken, has_errors
from monitor.sources.kafka.unreadable import UnreadableBatch
from monitor.stream.events import OffsetRange, Partition


@dataclass(slots=True)
class Polled:
    """What one poll brought.

    `begins` are the positions before it. `ends`: partitions now read to their end. `lost`: our position is not there,
    says the broker. `troubles`: whatever else it says, of a partition where it names one. `messages`: how many came, whatever they are.
    """

    taken: Sequence[Taken] = field(default_factory=list)
    begins: dict[Partition, int] = field(default_factory=dict)
    ends: set[Partition] = field(default_factory=set)
    skipped: list[RecordsSkipped] = field(default_factory=list)
    lost: list[Partition] = field(default_factory=list)
    troubles: list[tuple[Partition | None, KafkaError]] = field(default_factory=list)
    messages: int = 0

    def add(self, apart: "Polled") -> None:
        """What was polled apart, of other partitions."""
        self.taken = [*self.taken, *apart.taken]
        self.begins |= apart.begins
        self.skipped += apart.skipped
        self.troubles += apart.troubles
        self.messages += apart.messages

    @property
    def answered(self) -> bool:
        """Whether anything came."""
        return self.messages > 0

    def brought(self) -> set[Partition]:
        """The partitions that records came of."""
        return {Partition(taken.topic, index) for taken in self.taken for index in taken.next_offsets}

    def offsets(self, taken: Taken) -> tuple[OffsetRange, ...]:
        """What the records of a topic span: from our position on, since what is not there is passed by too."""
        places = {Partition(taken.topic, index): after for index, after in taken.next_offsets.items()}
        return tuple(OffsetRange(place, self.begins[place], after - 1) for place, after in places.items())


class PartitionReader:
    """Partitions that are assigned by hand. `positions` are the next offsets, counting all that `poll` has returned."""

    def __init__(self, consumer: Fetches, topics: Sequence[str], batch: int) -> None:
        self._consumer = consumer
        self._topics = topics
        self.batch = batch  # messages to take at once, at most
        self.positions: dict[Partition, int] = {}
        self.unreadable: dict[Partition, UnreadableBatch] = {}  # ends being searched for; positions stand before them
        self.held: frozenset[Partition] = frozenset()  # not assigned for now, for they run ahead or are kept back
        self.kept_back: frozenset[Partition] = frozenset()  # held until released, whoever else is to be held

    # --- assignment -------------------------------------------------------------------------------------------------

    def take_on(self, starts: Mapping[Partition, int], kept_back: frozenset[Partition] = frozenset()) -> None:
        """Read these from here on, but for those that are kept back."""
        self.positions.update(starts)
        self.kept_back |= kept_back
        self.held |= kept_back
        if read := starts.keys() - kept_back:
            self._consumer.incremental_assign(_places(read, starts))

    def release(self, partitions: frozenset[Partition]) -> None:
        """Read these, which were kept back, from where their positions are now."""
        self.kept_back -= partitions
        self.hold(self.held - partitions)

    def let_go(self, partitions: Iterable[Partition]) -> None:
        """Read nothing more of these."""
        gone = set(partitions)
        self._consumer.incremental_unassign(_places(gone - self.held))
        self.held -= gone
        for partition in gone:
            del self.positions[partition]
            self.unreadable.pop(partition, None)

    def move_to(self, partition: Partition, offset: int) -> None:
        """Go on elsewhere, once it is not held."""
        self.positions[partition] = offset
        if partition not in self.held:
            self._fetch_from(partition, offset)

    def _fetch_from(self, partition: Partition, offset: int) -> None:
        """By a new assignment: a seek is refused after the errors that ask for one."""
        place = _places([partition], {partition: offset})
        self._consumer.incremental_unassign(place)
        self._consumer.incremental_assign(place)

    def hold(self, partitions: frozenset[Partition]) -> bool:
        """Read nothing of these until told otherwise; one whose position is being searched for goes on until found.

        By assignment, not by the client's pause: both throw away what was fetched ahead, but an assignment begins
        at our own position and reports the end anew. Returns whether anything changed.
        """
        held = (partitions | self.kept_back).intersection(self.positions).difference(self.unreadable)
        if held == self.held:
            return False
        if stopped := held - self.held:
            self._consumer.incremental_unassign(_places(stopped))
        if resumed := self.held - held:
            self._consumer.incremental_assign(_places(resumed, self.positions))
        self.held = held
        return True

    # --- reading ----------------------------------------------------------------------------------------------------

    def poll(self, timeout: float) -> Polled:
        """Wait at most `timeout` seconds for records; positions move on."""
        batch = self._consumer.batch(self._wanted(), timeout)
        polled = Polled(messages=len(batch))
        if self.unreadable or (batch.marks and (self.held or has_errors(batch.marks))):
            self._settle(batch, polled)
        else:
            polled.taken = batch.taken(self._topics)
            self._advance(batch.marks, polled)
        return polled

    def _wanted(self) -> int:
        """How many messages to take at once: fewer where a partition runs ahead by as many before it is noticed.

        Where nothing is to be read yet, one: what the client tells is told all the same.
        """
        if not self.positions:
            return 1
        return max(1, self.batch // HELD) if self.held else self.batch

    def _advance(self, marks: Sequence[Any], polled: Polled) -> None:
        """Count records, and take ends: where a record came after one, the partition has grown since."""
        for taken in polled.taken:
            for index, after in taken.next_offsets.items():
                partition = Partition(taken.topic, index)
                if partition in self.positions:
                    polled.begins[partition] = self.positions[partition]
                    self.positions[partition] = after
        for mark in marks:
            partition = Partition(mark.topic(), mark.partition())
            # More than our position: control records are never delivered.
            if mark.offset() >= self.positions.get(partition, mark.offset() + 1):
                self.positions[partition] = mark.offset()
                polled.ends.add(partition)

    def _settle(self, batch: Batch, polled: Polled) -> None:
        """Count records and deal with errors in their order."""
        records: list[int] = []  # their places
        polled.begins = dict(self.positions)
        moved = set(self.held)  # fetched from elsewhere, or not now: what this poll still has of them is out of date
        for place, message in enumerate(batch.all()):
            error = message.error()
            if message.topic() is None or message.partition() < 0:
                polled.troubles.append((None, error))
                continue
            partition = Partition(message.topic(), message.partition())
            if partition in moved:
                continue
            if partition in self.unreadable or (error is not None and error.code() != END):
                if self._deal_with(partition, message, error, polled):
                    moved.add(partition)
            elif partition not in self.positions:
                continue
            elif error is None:
                self.positions[partition] = message.offset() + 1
                polled.ends.discard(partition)
                records.append(place)
            else:  # past the control records of transactions, which are never delivered
                self.positions[partition] = max(message.offset(), self.positions[partition])
                polled.ends.add(partition)
        polled.taken = batch.taken(self._topics, records)

    # --- errors -----------------------------------------------------------------------------------------------------

    def _deal_with(self, partition: Partition, message: Any, error: KafkaError | None, polled: Polled) -> bool:
        """Whether what this poll still has of the partition is out of date."""
        code = None if error is None else error.code()
        batch = self.unreadable.get(partition)
        if code in UNREADABLE and batch is None:
            batch = UnreadableBatch(first=max(message.offset(), self.positions[partition]))
            self.unreadable[partition] = batch
            self.positions[partition] = batch.first
        elif code in UNREADABLE and batch is not None:
            batch.failed(begins=message.offset())
        elif batch is not None and (code is None or code == END or code in LOST):
            batch.passed()
        elif code in LOST:
            polled.lost.append(partition)
            return True
        else:
            assert error is not None
            polled.troubles.append((partition, error))
            return False
        self._step_over(partition, batch, polled)
        return True

    def _step_over(self, partition: Partition, batch: UnreadableBatch, polled: Polled) -> None:
        """Try the next offset, or go on behind the batch once its end is known."""
        if not batch.ended:
            self._fetch_from(partition, batch.probe)
            return
        del self.unreadable[partition]
        assert batch.after is not None
        polled.skipped.append(RecordsSkipped(partition, batch.first, batch.after - 1))
        self.move_to(partition, batch.after)


def _places(partitions: Iterable[Partition], offsets: Mapping[Partition, int] | None = None) -> list[TopicPartition]:
    """As the client names them, at some offsets, in the same order in every process."""
    if offsets is None:
        return [TopicPartition(partition.topic, partition.index) for partition in sorted(partitions)]
    return [TopicPartition(partition.topic, partition.index, offsets[partition]) for partition in sorted(partitions)]
