"""A time range of Kafka topics as a record: looked up by the broker's timestamps, assigned by hand, nothing committed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition

from monitor.backtest.recorded import EmptyRecordError, Piece, RecordedError
from monitor.facts import Fact
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.kafka.bounds import ask_bounds
from monitor.sources.kafka.client import ABSENT_TOPIC, ALL_DOWN, END, SAFE_PROPERTIES, SILENT, TRANSPORT, KafkaChoice
from monitor.sources.kafka.records import PARTITION, VALUE, by_topic, split
from monitor.stream.events import EventBatch, MicroBatch, Nanos, Partition

MILLISECOND: Nanos = 1_000_000
WAIT = 1.0  # seconds for one poll
PASSING = frozenset({TRANSPORT, ALL_DOWN})  # troubles that the client deals with itself


class TopicRange:
    """The records of some topics whose timestamps at the broker lie in [first, until); None: from the beginning, to the end."""

    def __init__(
        self, choice: KafkaChoice, decoders: Mapping[str, TopicDecoder], first: Nanos | None, until: Nanos | None
    ) -> None:
        self._choice = choice
        self._decoders = decoders
        self._first = first
        self._until = until
        self._consumer = Consumer(
            {
                **SAFE_PROPERTIES,
                **choice.properties,
                "bootstrap.servers": choice.bootstrap_servers,
                "group.id": choice.group_id,  # never joined, nothing is committed
                "error_cb": self._note,
            },
            logger=SILENT,
        )
        self._trouble = ""
        self._starts: dict[Partition, int] = {}
        self._ends: dict[Partition, int] = {}
        self._positions: dict[Partition, int] = {}  # of the partitions not read to their end yet
        self._held: frozenset[Partition] = frozenset()
        self._now: Nanos = 0  # the largest event time seen
        self.notes: Sequence[str] = ()

    def _note(self, error: Any) -> None:
        if error.code() != ALL_DOWN:
            self._trouble = error.str()

    # --- what is to be read ---------------------------------------------------------------------------------------

    def pieces(self) -> Iterator[Piece]:
        """A poll at once. Raises RecordedError."""
        try:
            self._look_up()
            assigned = frozenset(self._positions)
            places = [TopicPartition(one.topic, one.index, at) for one, at in self._positions.items()]
            self._consumer.incremental_assign(places)
            yield Piece(MicroBatch(assigned=assigned), (), 0, 0.0)
            yield from self._read()
        except KafkaException as error:
            why = self._trouble or error.args[0].str()
            raise RecordedError(f"kafka: {self._choice.bootstrap_servers}: {why}") from None
        finally:
            self._consumer.close()

    def _look_up(self) -> None:
        """Find where the range begins and ends in each partition. Raises KafkaException and RecordedError."""
        partitions = [one for topic in self._choice.topics for one in self._partitions(topic)]
        bounds = {one: ask_bounds(self._consumer, one, self._choice.startup_timeout) for one in partitions}
        self._refuse_without_times([one for one, (low, high) in bounds.items() if low < high])
        starts = self._offsets_at(self._first, partitions)
        ends = self._offsets_at(self._until, partitions)
        for one, (low, high) in bounds.items():
            start = max(low, starts.get(one, low if self._first is None else high))
            end = min(high, ends.get(one, high))
            if start < end:
                self._starts[one] = self._positions[one] = start
                self._ends[one] = end
        if not self._positions:
            held = sum(high - low for low, high in bounds.values())
            raise EmptyRecordError(
                f"kafka: no record of {', '.join(self._choice.topics)} has a timestamp between --from and --until; {held:,} are there"
            )

    def _partitions(self, topic: str) -> list[Partition]:
        found = self._consumer.list_topics(topic, timeout=self._choice.startup_timeout).topics[topic]
        if found.error is not None and found.error.code() in ABSENT_TOPIC:
            raise RecordedError(f"kafka: there is no topic {topic}")
        if found.error is not None:
            raise KafkaException(found.error)
        return [Partition(topic, index) for index in sorted(found.partitions)]

    def _refuse_without_times(self, filled: Sequence[Partition]) -> None:
        """Some brokers answer each question for a time with nothing, also that for the oldest there is. Raises RecordedError."""
        asked = self._first is not None or self._until is not None
        if asked and filled and not self._offsets_at(MILLISECOND, filled):
            raise RecordedError(
                f"kafka: {self._choice.bootstrap_servers} does not say which offset belongs to a time: "
                "leave --from and --until out to read all there is"
            )

    def _offsets_at(self, time: Nanos | None, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The first offset at or after a time; none where there is none."""
        if time is None:
            return {}
        wanted = [TopicPartition(one.topic, one.index, -(-time // MILLISECOND)) for one in partitions]
        answers = self._consumer.offsets_for_times(wanted, timeout=self._choice.startup_timeout)
        for one in answers:
            if one.error is not None:
                raise RecordedError(f"kafka: {one.topic}/{one.partition}: {one.error.str()}")
        return {Partition(one.topic, one.partition): int(one.offset) for one in answers if one.offset >= 0}

    # --- reading ----------------------------------------------------------------------------------------------------

    def _read(self) -> Iterator[Piece]:
        silent, whole = 0.0, sum(self._ends[one] - start for one, start in self._starts.items())
        while self._positions:
            messages = self._consumer.consume(self._choice.batch, WAIT)
            silent = 0.0 if messages else silent + WAIT
            if silent >= self._choice.startup_timeout:
                why = f": {self._trouble}" if self._trouble else ""
                raise RecordedError(f"kafka: no answer from {self._choice.bootstrap_servers} for {silent:g} s{why}")
            records, marks = split(messages)
            taken = self._take(records)
            finished = self._pass(marks)
            left = sum(self._ends[one] - at for one, at in self._positions.items())
            yield self._piece(taken, finished if self._positions else frozenset(), 1 - left / whole)

    def _take(self, records: Sequence[Any]) -> list[TopicRecords]:
        """The records within the range, by topic; positions move on."""
        found = []
        for one in by_topic(records, self._choice.topics):
            messages = one.messages
            for index, after in one.next_offsets.items():
                partition = Partition(one.topic, index)
                if after > self._ends[partition]:
                    messages = [
                        each for each in messages if each.partition() != index or each.offset() < self._ends[partition]
                    ]
                if partition in self._positions:
                    self._positions[partition] = after
            if messages:
                found.append(TopicRecords(one.topic, list(map(PARTITION, messages)), list(map(VALUE, messages))))
        return found

    def _pass(self, marks: Sequence[Any]) -> frozenset[Partition]:
        """Deal with ends and errors; the partitions now read to the end of the range are returned, and let go."""
        for mark in marks:
            code, partition = mark.error().code(), Partition(mark.topic() or "", mark.partition() or 0)
            if code == END and partition in self._positions:
                self._positions[partition] = max(mark.offset(), self._positions[partition])
            elif code != END and code not in PASSING:
                raise RecordedError(f"kafka: {partition}: {mark.error().str()}")
        finished = frozenset(one for one, at in self._positions.items() if at >= self._ends[one])
        if finished:
            self._consumer.incremental_unassign(
                [TopicPartition(one.topic, one.index) for one in finished if one not in self._held]
            )
            for one in finished:
                del self._positions[one]
        return finished

    def _piece(self, taken: Sequence[TopicRecords], finished: frozenset[Partition], done: float) -> Piece:
        batches: list[EventBatch] = []
        facts: list[Fact] = []
        seen: dict[Partition, Nanos] = {}
        for records in taken:
            decoded = self._decoders[records.topic].decode(records, self._now)
            batches += decoded.batches
            facts += decoded.facts
            seen |= decoded.seen
        self._now = max(self._now, *seen.values(), 0)
        read = frozenset(Partition(records.topic, index) for records in taken for index in set(records.partitions))
        events = sum(len(records.values) for records in taken)
        return Piece(MicroBatch(tuple(batches), seen, read=read), facts, events, done, finished)

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing more of these, and of all others, until told otherwise; as `KafkaSource.hold` does."""
        held = partitions.intersection(self._positions)
        if stopped := held - self._held:
            self._consumer.incremental_unassign([TopicPartition(one.topic, one.index) for one in stopped])
        if resumed := (self._held - held).intersection(self._positions):
            places = [TopicPartition(one.topic, one.index, self._positions[one]) for one in resumed]
            self._consumer.incremental_assign(places)
        self._held = held
