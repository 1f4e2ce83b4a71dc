"""A range of time of some topics: looked up by the broker's timestamps, assigned by hand, nothing committed."""

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from monitor.facts import RecordsSkipped
from monitor.sources.base import SourceError, TopicRecords
from monitor.sources.formats.values import UNITS
from monitor.sources.kafka.bounds import ask_bounds, ask_offsets_at
from monitor.sources.kafka.client import ALL_DOWN, TRANSPORT, KafkaChoice
from monitor.sources.kafka.lookup import Listing, list_partitions
from monitor.sources.kafka.reader import PartitionReader, Polled
from monitor.sources.kafka.reading import reading_client
from monitor.sources.kafka.troubles import said
from monitor.stream.events import Nanos, Partition

MILLISECOND = UNITS["ms"]
WAIT = 1.0  # seconds for one poll
ASKING = 2.0  # and for the first
LOOKING_UP = 10.0  # seconds at most for each answer before reading: somebody waits for it
AGAIN = 0.2  # seconds until a question is asked again of a partition whose leader has moved
PASSING = frozenset({TRANSPORT, ALL_DOWN})  # troubles that the client deals with itself
MOVING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.FENCED_LEADER_EPOCH}
)


class EmptyRangeError(SourceError):
    """There is no record in the range."""


@dataclass(frozen=True, slots=True)
class RangePoll:
    """Some records of the range, the partitions that bring nothing more, what cannot be read, the share read by now."""

    records: Sequence[TopicRecords]
    finished: frozenset[Partition]
    skipped: Sequence[RecordsSkipped]
    done: float


class KafkaRange:
    """The records whose timestamps at the broker lie in [first, until); None: from the beginning, to the end.

    Topics that are in `longer` are read so much further.
    """

    def __init__(
        self,
        choice: KafkaChoice,
        first: Nanos | None,
        until: Nanos | None,
        longer: Mapping[str, Nanos] = MappingProxyType({}),
    ) -> None:
        self._longer = longer
        self._choice = choice
        self._first = first
        self._until = until
        self._consumer = reading_client(choice, error_cb=self._note).client
        self._reader = PartitionReader(self._consumer, choice.topics, choice.batch)
        self._ends: dict[Partition, int] = {}
        self._whole = 0  # offsets of the range
        self._trouble = ""
        self._down = False
        self._patience = min(choice.startup_timeout, LOOKING_UP)

    def _note(self, error: Any) -> None:
        if error.code() == ALL_DOWN:
            self._down = True
        else:
            self._trouble = said(error.str())

    def close(self) -> None:
        """Let go of connections."""
        self._consumer.close()

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing more of these, and of all others, until told otherwise."""
        self._reader.hold(partitions)

    # --- what is to be read -------------------------------------------------------------------------------------------

    def open(self) -> frozenset[Partition]:
        """Find where the range begins and ends in each partition, and take them on. Raises SourceError."""
        try:
            starts = self._settled()
            self._reader.take_on(starts)
        except KafkaException as error:
            self._consumer.poll(0)  # brings the reason
            raise self._given_up(self._trouble or error.args[0].str()) from None
        self._whole = sum(self._ends[partition] - start for partition, start in starts.items())
        return frozenset(starts)

    def _settled(self) -> dict[Partition, int]:
        """Where the range begins, asked again while leaders move, as long as somebody waits. Raises KafkaException and SourceError."""
        left = self._patience
        while True:
            try:
                return self._look_up()
            except KafkaException as error:
                left -= AGAIN
                if error.args[0].code() not in MOVING or left <= 0:
                    raise
                self._consumer.poll(AGAIN)  # nothing is assigned yet

    def _look_up(self) -> dict[Partition, int]:
        """Where the range begins in each partition that has any of it. Raises KafkaException and SourceError."""
        partitions = self._partitions()
        bounds = {each: ask_bounds(self._consumer, each, self._patience) for each in partitions}
        self._refuse_without_times([each for each, (low, high) in bounds.items() if low < high])
        first, until = self._offsets_at(self._first, partitions), self._untils(partitions)
        starts = {}
        for partition, (low, high) in bounds.items():
            start = max(low, first.get(partition, low if self._first is None else high))
            end = min(high, until.get(partition, high))
            if start < end:
                starts[partition] = start
                self._ends[partition] = end
        if not starts:
            held = sum(high - low for low, high in bounds.values())
            raise EmptyRangeError(
                f"kafka: no record of {', '.join(self._choice.topics)} has a timestamp between --from and --until; {held:,} are there"
            )
        return starts

    def _listing(self) -> Listing:
        """Ask until somebody answers, or until all brokers are known to be down. Raises KafkaException."""
        left = self._patience
        while True:
            try:
                return list_partitions(self._consumer, self._choice.topics, min(left, ASKING))
            except KafkaException:
                left -= ASKING
                self._consumer.poll(0)  # brings the reason
                if left <= 0 or self._down:
                    raise

    def _partitions(self) -> list[Partition]:
        listing = self._listing()
        if listing.missing:
            raise SourceError(f"kafka: there is no topic {listing.missing[0]}")
        for error in listing.refused.values():
            raise KafkaException(error)
        return listing.partitions

    def _refuse_without_times(self, filled: Sequence[Partition]) -> None:
        """Some brokers answer each question for a time with nothing, also that for the oldest there is. Raises SourceError."""
        asked = self._first is not None or self._until is not None
        if asked and filled and not self._offsets_at(MILLISECOND, filled):
            raise SourceError(
                f"kafka: {self._choice.bootstrap_servers} does not say which offset belongs to a time: "
                "leave --from and --until out to read all there is"
            )

    def _offsets_at(self, time: Nanos | None, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The first offset at or after a time; none where there is none. Raises SourceError, and KafkaException where a leader moves."""
        if time is None:
            return {}
        offsets, refused = ask_offsets_at(self._consumer, partitions, -(-time // MILLISECOND), self._patience)
        for partition, error in refused.items():
            raise KafkaException(error) if error.code() in MOVING else SourceError(f"kafka: {partition}: {error.str()}")
        return offsets

    def _untils(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The offsets at which the range ends, where it does."""
        found: dict[Partition, int] = {}
        for more in sorted({self._longer.get(each.topic, 0) for each in partitions} if self._until is not None else ()):
            of_these = [each for each in partitions if self._longer.get(each.topic, 0) == more]
            found |= self._offsets_at(None if self._until is None else self._until + more, of_these)
        return found

    # --- reading ------------------------------------------------------------------------------------------------------

    def polls(self) -> Generator[RangePoll, None, None]:
        """All of the range. Raises SourceError."""
        silent = 0.0
        while self._reader.positions:
            try:
                polled = self._reader.poll(WAIT)
            except KafkaException as error:
                raise self._given_up(self._trouble or error.args[0].str()) from None
            silent = 0.0 if polled.answered else silent + WAIT
            if silent >= self._choice.startup_timeout:
                why = f": {self._trouble}" if self._trouble else ""
                raise SourceError(f"kafka: no answer from {self._choice.bootstrap_servers} for {silent:g} s{why}")
            self._refuse_trouble(polled)
            records = self._within(polled)
            finished = self._finish()
            left = sum(self._ends[partition] - at for partition, at in self._reader.positions.items())
            yield RangePoll(records, finished, polled.skipped, 1 - left / self._whole)

    def _given_up(self, why: str) -> SourceError:
        return SourceError(f"kafka: {self._choice.bootstrap_servers}: {why}")

    def _refuse_trouble(self, polled: Polled) -> None:
        """A range is read once: what the client does not deal with itself ends it. Raises SourceError."""
        for partition in polled.lost:
            raise SourceError(f"kafka: {partition}: records of the range are gone (retention, or a topic made anew)")
        for where, error in polled.troubles:
            if error.code() not in PASSING:
                raise SourceError(f"kafka: {where}: {error.str()}" if where else f"kafka: {error.str()}")

    def _within(self, polled: Polled) -> list[TopicRecords]:
        """The records before the ends of the range, by topic."""
        records = []
        for taken in polled.taken:
            ends = {index: self._ends[Partition(taken.topic, index)] for index in taken.next_offsets}
            inside = taken.before(ends)
            if len(inside):
                records.append(inside.records(polled.offsets(inside), self._choice.parts_of(inside.topic)))
        return records

    def _finish(self) -> frozenset[Partition]:
        """Let go of the partitions read to the end of the range; they are told unless nothing else is read."""
        positions = self._reader.positions
        finished = frozenset(partition for partition, at in positions.items() if at >= self._ends[partition])
        if finished:
            self._reader.let_go(finished)
        return finished if positions else frozenset()
