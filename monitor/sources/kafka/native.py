"""The native reader: librdkafka called from the compiled part, no Python object a message.

It takes the place of the Python client where that reads. The library is the very one that the Python client has loaded.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, overload

import confluent_kafka
import numpy as np
from confluent_kafka import KafkaError, KafkaException, cimpl

from monitor.sources.base import Messages, PartitionIndexes, Prepared, RecordParts, TopicRecords
from monitor.sources.formats.json.scanning import COMPILED
from monitor.sources.kafka.portion import ENOUGH, STEP
from monitor.sources.kafka.records import Mark, event_times, taken_times, whole
from monitor.stream.events import OffsetRange

try:
    from monitor.sources.kafka import _native
except ImportError:  # installed without a compiler
    _native = None  # type: ignore[assignment]

THERE = _native is not None and COMPILED
FOREVER = 2**31 - 1  # milliseconds
CALLED_BACK = frozenset({"OAUTHBEARER"})  # mechanisms of which only the Python client asks for what they need
MECHANISM = ("sasl.mechanism", "sasl.mechanisms")


def unavailable(properties: Mapping[str, Any]) -> str | None:
    """Why the Python client has to read with these properties; None where the native reader can."""
    if not THERE:
        return "the compiled part is not there, or not wanted"
    for name, value in properties.items():
        if name in MECHANISM and str(value).upper() in CALLED_BACK:
            return f"{name}: {value} is served by the Python client alone"
        if not isinstance(value, str | int | float | bool):
            return f"{name} is served by the Python client alone"
    return _unknown_library()


def _unknown_library() -> str | None:
    """What is wrong with the library that the Python client has loaded."""
    try:
        found = _native.load(str(cimpl.__file__))
    except OSError as error:
        return str(error)
    told, number = confluent_kafka.libversion()
    return None if found == number else f"the Python client says that its library is {told}, which it is not"


# --- what it answers with ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PlaceTold:
    """A partition with an offset, as the Python client's `TopicPartition` has it."""

    topic: str
    partition: int
    offset: int
    metadata: str | None
    error: KafkaError | None


@dataclass(frozen=True, slots=True)
class PartitionListed:
    """A partition of a topic that is listed."""

    id: int
    leader: int


@dataclass(frozen=True, slots=True)
class TopicListed:
    """A topic, and what is wrong with it."""

    partitions: Mapping[int, PartitionListed]
    error: KafkaError | None


@dataclass(frozen=True, slots=True)
class ClusterListed:
    """What the cluster holds."""

    brokers: frozenset[int]
    topics: Mapping[str, TopicListed]


@dataclass(frozen=True, slots=True)
class NativeMark:
    """A message but for its value."""

    _topic: str
    _partition: int
    _offset: int
    _code: int
    _reason: str

    def topic(self) -> str | None:
        """Of which topic."""
        return self._topic or None

    def partition(self) -> int:
        """Of which partition; negative: of none."""
        return self._partition

    def offset(self) -> int:
        """At which offset."""
        return self._offset

    def error(self) -> KafkaError | None:
        """What is wrong; None of a record."""
        return KafkaError(self._code, self._reason) if self._code else None


# --- the messages of one call -----------------------------------------------------------------------------------------


class NativeBatch:
    """Messages where the library holds them, as long as this or any of its records is there."""

    def __init__(self, batch: "_native.Batch", parts: Sequence[tuple[str, "_native.Part"]]) -> None:
        self._batch = batch
        self._parts = parts  # the records by topic
        self.marks: Sequence[Mark] = [self._mark(place) for place in _native.marks(batch)]

    def _mark(self, place: int) -> NativeMark:
        return NativeMark(*_native.message(self._batch, place))

    def __len__(self) -> int:
        return _native.size(self._batch)

    @property
    def bytes(self) -> int:
        """How much its messages take."""
        return _native.weight(self._batch)

    def all(self) -> Iterable[Mark]:
        """Each message, records too."""
        return map(self._mark, range(len(self)))

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence["NativeRecords"]:
        """The records of each topic."""
        del topics
        parts = self._parts if places is None else _native.parts(self._batch, list(places))
        return [NativeRecords(topic, part) for topic, part in parts]


class NativeRecords:
    """Records of one topic where the library holds them."""

    def __init__(self, topic: str, part: "_native.Part") -> None:
        self.topic = topic
        self._part = part
        self.prepared: Prepared | None = None

    def __len__(self) -> int:
        return _native.count(self._part)

    def records(self, offsets: tuple[OffsetRange, ...], parts: RecordParts = RecordParts.NOTHING) -> TopicRecords:
        """With what is wanted."""
        part = self._part
        numbered = RecordParts.NUMBERS in parts or not whole(offsets, len(self))
        return TopicRecords(
            self.topic,
            PartitionIndexes(np.frombuffer(_native.partitions(part), np.int32)),
            self.values,
            offsets,
            taken_times({index: (kind, time) for index, _, kind, time in self._lasts}),
            keys=_native.keys(part) if RecordParts.KEYS in parts else (),
            numbers=_native.offsets(part) if numbered else (),
            stamps=event_times(_native.stamps(part)) if RecordParts.STAMPS in parts else (),
            headers=_native.headers(part) if RecordParts.HEADERS in parts else (),
            prepared=self.prepared,
            whole=self._whole,
        )

    def _whole(self, places: Sequence[int]) -> TopicRecords:
        """The records at some places, with all that there is of them."""
        return NativeRecords(self.topic, _native.only(self._part, list(places))).records((), RecordParts.ALL)

    @cached_property
    def values(self) -> "NativeValues":
        """Their values, where they lie."""
        return NativeValues(self._part)

    def before(self, ends: Mapping[int, int]) -> "NativeRecords":
        """Those that lie before the end of their partition."""
        if all(after <= ends[index] for index, after in self.next_offsets.items()):
            return self
        return NativeRecords(self.topic, _native.before(self._part, dict(ends)))

    @cached_property
    def _lasts(self) -> list[tuple[int, int, int, int]]:
        return _native.lasts(self._part)

    @cached_property
    def next_offsets(self) -> dict[int, int]:
        """The offset after the last message of each partition."""
        return {index: offset + 1 for index, offset, _, _ in self._lasts}


class NativeValues(Sequence[bytes | None]):
    """The values of records: where they lie, for the scan; as bytes, for who asks for them."""

    def __init__(self, part: "_native.Part") -> None:
        self._part = part
        self._count = _native.count(part)

    @property
    def messages(self) -> Messages:
        """Where they lie; they are there as long as this is."""
        return _native.values(self._part)

    @cached_property
    def _all(self) -> list[bytes | None]:
        return _native.all_values(self._part)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes | None]:
        return iter(self._all)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[bytes | None]: ...
    def __getitem__(self, place: int | slice) -> bytes | Sequence[bytes | None] | None:
        if isinstance(place, slice):
            return self._all[place]
        at = int(place)  # numpy's integers, too
        return _native.value(self._part, at + self._count if at < 0 else at)


# --- the client -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class NativeConsumer:
    """What is used of the Python client's consumer, with the same names, errors and callbacks. Times in seconds."""

    properties: Mapping[str, Any] = field(repr=False)
    error_cb: Callable[[KafkaError], object] = lambda _error: None
    on_commit: Callable[[KafkaError | None, Sequence[Any]], object] = lambda _error, _offsets: None
    _client: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if (reason := unavailable(self.properties)) is not None:
            raise ValueError(reason)
        self._client = self._call(_native.connect, [(name, str(value)) for name, value in self.properties.items()])
        self.properties = {}  # secrets among them

    @staticmethod
    def _call(function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return function(*arguments)
        except _native.FailedError as failed:
            raise KafkaException(KafkaError(*failed.args)) from None

    def batch(self, most: int, timeout: float) -> NativeBatch:
        """Wait for so many messages, at most so long, no longer than a step where it brings enough. What the library has to tell is told."""
        found = self._call(_native.consume, self._client, most, ENOUGH, _milliseconds(timeout), _milliseconds(STEP))
        self._tell()
        return NativeBatch(*found)

    def poll(self, timeout: float) -> Mark | None:
        """The next message, but for its value."""
        return next(iter(self.batch(1, timeout).all()), None)

    def _tell(self) -> None:
        for code, reason, fatal in _native.failures(self._client):
            self.error_cb(KafkaError(code, reason, fatal))
        for code, offsets in _native.commits(self._client):
            self.on_commit(_error(code), list(map(_place, offsets)))

    def incremental_assign(self, places: Sequence[Any]) -> None:
        """Read these, too."""
        self._call(_native.assign, self._client, _offsets(places))

    def incremental_unassign(self, places: Sequence[Any]) -> None:
        """Read these no more."""
        self._call(_native.unassign, self._client, _offsets(places))

    def commit(self, *, offsets: Sequence[Any], asynchronous: bool) -> None:
        """Publish offsets; `on_commit` gets the answer."""
        assert asynchronous
        self._call(_native.commit, self._client, _offsets(offsets))

    def committed(self, places: Sequence[Any], timeout: float) -> list[PlaceTold]:
        """What stands under our group."""
        found = self._call(_native.committed, self._client, _offsets(places), _milliseconds(timeout))
        return list(map(_place, found))

    def offsets_for_times(self, places: Sequence[Any], timeout: float) -> list[PlaceTold]:
        """The first offset at or after a time, which stands where the offset does."""
        found = self._call(_native.offsets_for_times, self._client, _offsets(places), _milliseconds(timeout))
        return list(map(_place, found))

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        """The first offset of a partition and the next."""
        asked = self._client, place.topic, place.partition, _milliseconds(timeout)
        low, high = self._call(_native.watermarks, *asked)
        return low, high

    def list_topics(self, timeout: float) -> ClusterListed:
        """What the cluster holds."""
        brokers, topics = self._call(_native.metadata, self._client, _milliseconds(timeout))
        listed = {
            name: TopicListed({id_: PartitionListed(id_, leader) for id_, leader in partitions}, _error(code))
            for name, code, partitions in topics
        }
        return ClusterListed(frozenset(brokers), listed)

    def close(self) -> None:
        """End its connections. What it has brought stays."""
        self._call(_native.close, self._client)


def _milliseconds(timeout: float) -> int:
    return min(FOREVER, max(0, round(timeout * 1000)))


def _error(code: int) -> KafkaError | None:
    return KafkaError(code) if code else None


def _place(told: tuple[str, int, int, str, int]) -> PlaceTold:
    topic, partition, offset, metadata, code = told
    return PlaceTold(topic, partition, offset, metadata or None, _error(code))


def _offsets(places: Sequence[Any]) -> list[tuple[str, int, int, str]]:
    return [(place.topic, place.partition, place.offset, place.metadata or "") for place in places]
