"""A time range of Kafka topics as a record."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing

from monitor.backtest.recorded import EmptyRecordError, Piece, RecordedError
from monitor.facts import Fact, RecordsSkipped
from monitor.sources.ahead import ahead
from monitor.sources.base import SourceError
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.kafka.range import EmptyRangeError, KafkaRange, RangePoll
from monitor.stream.events import EventBatch, HalfBatch, JoinBatch, MicroBatch, Nanos, Partition, SchemaBatch


class TopicRange:
    """The records of some topics within a range of time.

    With more than one of `threads` a poll is waited for while the one before it is decoded: then nothing may be held.
    """

    def __init__(self, records: KafkaRange, decoders: Mapping[str, TopicDecoder], threads: int = 1) -> None:
        self._threads = threads
        self._records = records
        self._decoders = decoders
        self._now: Nanos = 0  # the largest event time seen
        self._skipped: list[RecordsSkipped] = []

    @property
    def notes(self) -> Sequence[str]:
        """Records that could not be read."""
        return [
            f"{skip.partition}: offsets {skip.first} to {skip.last} could not be read and are left out"
            for skip in self._skipped
        ]

    def pieces(self) -> Iterator[Piece]:
        """A poll at once. Raises RecordedError."""
        try:
            yield Piece(MicroBatch(assigned=self._records.open()), (), 0, 0.0)
            polls = self._records.polls()
            with closing(ahead(polls) if self._threads > 1 else polls) as ready:  # before the records are
                for poll in ready:
                    yield self._piece(poll)
        except EmptyRangeError as error:
            raise EmptyRecordError(str(error)) from None
        except SourceError as error:
            raise RecordedError(str(error)) from None
        finally:
            self._records.close()

    def _piece(self, poll: RangePoll) -> Piece:
        self._skipped += poll.skipped
        batches: list[EventBatch] = []
        joins: list[JoinBatch] = []
        schemas: list[SchemaBatch] = []
        facts: list[Fact] = []
        versions: list[tuple[str, str, Nanos]] = []
        halves: list[HalfBatch] = []
        seen: dict[Partition, Nanos] = {}
        for records in poll.records:
            decoded = self._decoders[records.topic].decode(records, self._now)
            batches += decoded.batches
            joins += decoded.joins
            schemas += decoded.schemas
            facts += decoded.facts
            versions += decoded.versions
            halves += decoded.halves
            seen |= decoded.seen
        self._now = max(self._now, *seen.values(), 0)
        read = frozenset(Partition(records.topic, index) for records in poll.records for index in records.indexes)
        events = sum(len(records.values) for records in poll.records)
        arrived = MicroBatch(
            tuple(batches),
            seen,
            read=read,
            joins=tuple(joins),
            schemas=tuple(schemas),
            versions=tuple(versions),
            halves=tuple(halves),
        )
        return Piece(arrived, facts, events, poll.done, poll.finished)

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing more of these, and of all others, until told otherwise."""
        self._records.hold(partitions)
