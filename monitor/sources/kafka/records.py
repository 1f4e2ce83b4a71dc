"""What one consume call returned, taken apart topic by topic: the part of polling that costs something a message."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, filterfalse
from typing import Any

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Message

from monitor.sources.base import TopicRecords
from monitor.sources.kafka.client import END
from monitor.stream.events import MILLISECOND, Nanos, OffsetRange

# Mapped over whole batches, which is twice as fast as a comprehension. Any: the client's types allow None, which a
# record without an error never has.
TOPIC: Any = Message.topic
PARTITION: Any = Message.partition
VALUE: Any = Message.value
KEY: Any = Message.key
OFFSET: Any = Message.offset
STAMP: Any = Message.timestamp
ERROR: Any = Message.error

BEYOND = 2**63 // MILLISECOND  # milliseconds: no time at all, as where a producer stamps in microseconds


@dataclass(frozen=True)
class Taken:
    """Messages of one topic, none of them an error, in the order read."""

    topic: str
    partitions: list[int]
    messages: Sequence[Any]

    def records(self, offsets: tuple[OffsetRange, ...]) -> TopicRecords:
        """What the decoder wants of them: their offsets, too, unless these are all that their partitions span."""
        records = TopicRecords(self.topic, self.partitions, list(map(VALUE, self.messages)), offsets, self.arrivals)
        if sum(each.last - each.first + 1 for each in offsets) == len(self.messages):
            return records
        return replace(records, numbers=list(map(OFFSET, self.messages)))

    def labels(self, offsets: tuple[OffsetRange, ...]) -> TopicRecords:
        """The same with what tells labels apart: keys, offsets and timestamps."""
        stamps = [time * MILLISECOND if 0 < time < BEYOND else 0 for _, time in map(STAMP, self.messages)]
        columns = list(map(KEY, self.messages)), list(map(OFFSET, self.messages)), stamps
        return TopicRecords(
            self.topic, self.partitions, list(map(VALUE, self.messages)), offsets, self.arrivals, *columns
        )

    def before(self, ends: Mapping[int, int]) -> "Taken":
        """Those that lie before the end of their partition."""
        if all(after <= ends[index] for index, after in self.next_offsets.items()):
            return self
        return _taken(self.topic, [each for each in self.messages if each.offset() < ends[each.partition()]])

    @cached_property
    def _last(self) -> dict[int, Any]:
        """The last message of each partition: they stand in order within it."""
        return dict(zip(self.partitions, self.messages, strict=True))

    @cached_property
    def next_offsets(self) -> dict[int, int]:
        """The offset after the last message of each partition."""
        return {index: message.offset() + 1 for index, message in self._last.items()}

    @property
    def arrivals(self) -> dict[int, Nanos]:
        """When the broker took the last message of each partition, where it says so: the producer's own stamp proves nothing."""
        stamps = {index: message.timestamp() for index, message in self._last.items()}
        return {
            index: time * MILLISECOND for index, (kind, time) in stamps.items() if kind == TIMESTAMP_LOG_APPEND_TIME
        }


def split(messages: Sequence[Any]) -> tuple[Sequence[Any], list[Any]]:
    """Records, and what is none: errors and ends of partitions, of which live traffic has one or two a call."""
    marks = list(filter(ERROR, messages))
    return (list(filterfalse(ERROR, messages)), marks) if marks else (messages, marks)


def has_errors(marks: Sequence[Any]) -> bool:
    """Whether any of these is more than the end of a partition."""
    return any(mark.error().code() != END for mark in marks)


def by_topic(messages: Sequence[Any], topics: Sequence[str]) -> list[Taken]:
    """The messages of each topic; where only one is read, they are not asked for it."""
    if not messages:
        return []
    if len(topics) == 1:
        return [_taken(topics[0], messages)]
    names = list(map(TOPIC, messages))
    read = set(names)
    if len(read) == 1:
        return [_taken(names[0], messages)]
    return [_taken(topic, list(compress(messages, map(topic.__eq__, names)))) for topic in read]


def _taken(topic: str, messages: Sequence[Any]) -> Taken:
    return Taken(topic, list(map(PARTITION, messages)), messages)
