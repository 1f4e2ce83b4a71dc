"""What one consume call returned, taken apart topic by topic: the part of polling that costs something a message."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress, filterfalse
from typing import Any, Protocol, Self

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, KafkaError, Message

from monitor.sources.base import Headers, Prepared, RecordParts, TopicRecords
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
HEADERS: Any = Message.headers
ERROR: Any = Message.error

BEYOND = 2**63 // MILLISECOND  # milliseconds: no time at all, as where a producer stamps in microseconds


# --- what reading needs, whoever has the messages ---------------------------------------------------------------------


class Mark(Protocol):
    """A message but for its value: a record, an error, or the end of a partition. That of an error may name no partition."""

    def topic(self) -> str | None:
        """Of which topic."""
        ...

    def partition(self) -> int:
        """Of which partition; negative: of none."""
        ...

    def offset(self) -> int:
        """At which offset."""
        ...

    def error(self) -> KafkaError | None:
        """What is wrong; None of a record."""
        ...


class Taken(Protocol):
    """Messages of one topic, none of them an error, in the order read."""

    @property
    def topic(self) -> str:
        """Their topic."""
        ...

    @property
    def values(self) -> Sequence[bytes | None]:
        """Their values: each time the same object."""
        ...

    prepared: Prepared | None
    """What was made of the values ahead."""

    @property
    def next_offsets(self) -> Mapping[int, int]:
        """The offset after the last message of each partition."""
        ...

    def __len__(self) -> int: ...

    def records(self, offsets: tuple[OffsetRange, ...], parts: RecordParts = RecordParts.NOTHING) -> TopicRecords:
        """What the decoder wants of them: their offsets, too, unless these are all that their partitions span."""
        ...

    def before(self, ends: Mapping[int, int]) -> Self:
        """Those that lie before the end of their partition."""
        ...


class Batch(Protocol):
    """What one call has brought."""

    def __len__(self) -> int: ...

    @property
    def marks(self) -> Sequence[Any]:
        """Errors and ends of partitions, of which live traffic has one or two a call."""
        ...

    @property
    def bytes(self) -> int:
        """How much its messages take."""
        ...

    def all(self) -> Iterable[Any]:
        """Each message as a `Mark`, records too, in the order read."""
        ...

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence[Taken]:
        """The records of each topic, where `topics` are read; None: those at all places."""
        ...


def has_errors(marks: Sequence[Any]) -> bool:
    """Whether any of these is more than the end of a partition."""
    return any(mark.error().code() != END for mark in marks)


def whole(offsets: tuple[OffsetRange, ...], count: int) -> bool:
    """Whether so many records are all that their partitions span."""
    return sum(each.last - each.first + 1 for each in offsets) == count


def event_times(milliseconds: Iterable[int]) -> list[Nanos]:
    """Timestamps as times; 0 where there is none."""
    return [time * MILLISECOND if 0 < time < BEYOND else 0 for time in milliseconds]


def taken_times(stamps: Mapping[int, tuple[int, int]]) -> dict[int, Nanos]:
    """When the broker took the last message of each partition, where it says so: the producer's own stamp proves nothing."""
    return {index: time * MILLISECOND for index, (kind, time) in stamps.items() if kind == TIMESTAMP_LOG_APPEND_TIME}


def headers_of(message: Any) -> Headers:
    """The headers of a record; none where the client cannot read them, as where a name is no UTF-8: then it may not be asked again."""
    try:
        return HEADERS(message) or ()
    except (SystemError, UnicodeError):
        return ()


# --- messages as the Python client has them ---------------------------------------------------------------------------


class MessageBatch:
    """A list of the client's messages."""

    def __init__(self, messages: Sequence[Any]) -> None:
        self._messages = messages
        self.marks: Sequence[Any] = list(filter(ERROR, messages))

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def bytes(self) -> int:
        """How much its values take."""
        return sum(map(len, filter(None, map(VALUE, self._messages))))

    def all(self) -> Iterable[Any]:
        """Each message."""
        return self._messages

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence["TakenMessages"]:
        """The records of each topic; where only one is read, they are not asked for it."""
        chosen = self._messages if places is None else [self._messages[place] for place in places]
        records = list(filterfalse(ERROR, chosen)) if self.marks else chosen
        if not records:
            return []
        if len(topics) == 1:
            return [TakenMessages(topics[0], records)]
        names = list(map(TOPIC, records))
        read = set(names)
        if len(read) == 1:
            return [TakenMessages(names[0], records)]
        return [TakenMessages(topic, list(compress(records, map(topic.__eq__, names)))) for topic in read]


class TakenMessages:
    """Records of one topic as the client's messages."""

    def __init__(self, topic: str, messages: Sequence[Any]) -> None:
        self.topic = topic
        self._messages = messages
        self._partitions: list[int] = list(map(PARTITION, messages))
        self.prepared: Prepared | None = None

    def __len__(self) -> int:
        return len(self._messages)

    def records(self, offsets: tuple[OffsetRange, ...], parts: RecordParts = RecordParts.NOTHING) -> TopicRecords:
        """With what is wanted."""
        messages = self._messages
        numbered = RecordParts.NUMBERS in parts or not whole(offsets, len(self))
        arrivals = taken_times({index: message.timestamp() for index, message in self._last.items()})
        return TopicRecords(
            self.topic,
            self._partitions,
            self.values,
            offsets,
            arrivals,
            keys=list(map(KEY, messages)) if RecordParts.KEYS in parts else (),
            numbers=list(map(OFFSET, messages)) if numbered else (),
            stamps=event_times(time for _, time in map(STAMP, messages)) if RecordParts.STAMPS in parts else (),
            headers=list(map(headers_of, messages)) if RecordParts.HEADERS in parts else (),
            prepared=self.prepared,
            whole=self._whole,
        )

    def _whole(self, places: Sequence[int]) -> TopicRecords:
        """The records at some places, with all that there is of them."""
        return TakenMessages(self.topic, [self._messages[place] for place in places]).records((), RecordParts.ALL)

    @cached_property
    def values(self) -> Sequence[bytes | None]:
        """Their values."""
        return list(map(VALUE, self._messages))

    def before(self, ends: Mapping[int, int]) -> "TakenMessages":
        """Those that lie before the end of their partition."""
        if all(after <= ends[index] for index, after in self.next_offsets.items()):
            return self
        return TakenMessages(self.topic, [each for each in self._messages if each.offset() < ends[each.partition()]])

    @cached_property
    def _last(self) -> dict[int, Any]:
        """The last message of each partition: they stand in order within it."""
        return dict(zip(self._partitions, self._messages, strict=True))

    @cached_property
    def next_offsets(self) -> dict[int, int]:
        """The offset after the last message of each partition."""
        return {index: message.offset() + 1 for index, message in self._last.items()}
