"""Recorded events as micro-batches: what the pipeline gets from Kafka, it gets from here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from monitor.facts import Fact
from monitor.sources import lines
from monitor.sources.ahead import ahead
from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.lines import LongLineError, Values
from monitor.stream.events import MicroBatch, Nanos, Partition

LINES = frozenset({".jsonl", ".ndjson", ".json"})
MESSAGES = frozenset({".bin"})  # a file is a message
TABLES = frozenset({".parquet", ".pq", ".csv", ".arrow", ".feather", ".ipc", ".avro"})


class RecordedError(Exception):
    """Recorded events that cannot be read: one line that names the file or topic and says why."""


class EmptyRecordError(RecordedError):
    """A record that can be read and holds nothing: there is no event to judge."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some events as read, and what the decoder said of them. `events` were looked at, `done` of 1 is read by now.

    `finished` are partitions that bring nothing more, so that nobody waits for them; the last one is not named.
    """

    arrived: MicroBatch
    facts: Sequence[Fact]
    events: int
    done: float
    finished: frozenset[Partition] = frozenset()


class Recorded(Protocol):
    """Events on record, which end."""

    def pieces(self) -> Iterator[Piece]:
        """All of it, once, in order. Raises RecordedError."""
        ...

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing more of these, and of all others, until told otherwise."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was noticed that a reader of the result should know."""
        ...


class Lines:
    """Files of messages as they are on the topic, one a line or one a file, read in the order given as one partition."""

    def __init__(self, paths: Sequence[Path], decoder: TopicDecoder) -> None:
        self._paths = paths
        self._decoder = decoder
        self._partition = Partition(decoder.topic, 0)
        self._now: Nanos = 0  # the largest event time seen
        self._read = 0  # messages
        self.notes: Sequence[str] = ()

    def hold(self, partitions: frozenset[Partition]) -> None:
        """A single partition runs ahead of nothing."""

    def pieces(self) -> Iterator[Piece]:
        """Some thousand events at once. Raises RecordedError."""
        sizes = [size_of(path) for path in self._paths]
        whole, read = max(sum(sizes), 1), 0
        new = frozenset({self._partition})
        for path in self._paths:
            for block, values in blocks(path):
                read += block
                numbers = range(self._read, self._read + len(values))
                records = TopicRecords(self._decoder.topic, [0] * len(values), values, numbers=numbers)
                decoded = self._decoded(records)
                self._read += len(values)
                self._now = max(self._now, *decoded.seen.values(), 0)
                yield piece_of(decoded, self._partition, new, len(values), min(1.0, read / whole))
                new = frozenset()

    def _decoded(self, records: TopicRecords) -> Decoded:
        """Decode messages; what they need from outside is not waited for. Raises RecordedError."""
        try:
            return self._decoder.decode(records, self._now)
        except NotNow as why:
            raise RecordedError(str(why)) from None


class RecordsAhead:
    """A record of one partition, of which each piece is read and decoded in a thread while the one before it is judged."""

    def __init__(self, recorded: Recorded) -> None:
        self._recorded = recorded

    @property
    def notes(self) -> Sequence[str]:
        """The record's."""
        return self._recorded.notes

    def hold(self, partitions: frozenset[Partition]) -> None:
        """A single partition runs ahead of nothing."""

    def pieces(self) -> Iterator[Piece]:
        """All of it, once, in order. Raises RecordedError."""
        return ahead(self._recorded.pieces())


def piece_of(decoded: Decoded, partition: Partition, assigned: frozenset[Partition], events: int, done: float) -> Piece:
    """What a decoder made of events of one partition."""
    read = frozenset({partition})
    joins, schemas = tuple(decoded.joins), tuple(decoded.schemas)
    arrived = MicroBatch(
        tuple(decoded.batches),
        decoded.seen,
        read,
        assigned=assigned,
        joins=joins,
        schemas=schemas,
        versions=tuple(decoded.versions),
        halves=tuple(decoded.halves),
    )
    return Piece(arrived, decoded.facts, events, done)


def size_of(path: Path) -> int:
    """Bytes of a file that can be read. Raises RecordedError."""
    try:
        if path.is_dir():
            raise RecordedError(f"{path}: is a directory; name the files in it")
        size = path.stat().st_size
    except FileNotFoundError:
        raise RecordedError(f"{path}: does not exist") from None
    except OSError as error:
        raise unreadable(path, error) from None
    if path.is_file() and not size:
        raise EmptyRecordError(f"{path}: is empty")
    return size


def unreadable(path: Path, error: OSError) -> RecordedError:
    """The system's own words."""
    return RecordedError(f"{path}: cannot be read: {error.strerror or error}")


def blocks(path: Path) -> Iterator[tuple[int, Values]]:
    """The lines of a file, a block of bytes at once with how long it was, empty ones left out; or the one message that a file is. Raises RecordedError."""
    try:
        with path.open("rb") as file:
            if path.suffix.lower() in MESSAGES:
                message = file.read(lines.LONGEST + 1)
                if len(message) > lines.LONGEST:
                    raise RecordedError(f"{path}: is longer than {lines.LONGEST >> 20} MiB: is this one message?")
                yield len(message), [message]
                return
            yield from lines.blocks(file)
    except LongLineError as error:
        raise RecordedError(f"{path}: {error}") from None
    except OSError as error:
        raise unreadable(path, error) from None
