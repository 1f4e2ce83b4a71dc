"""Kafka, assigned by hand: no group, no rebalance; our own positions are the truth, commits are for lag tools."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from threading import Thread
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from monitor.clock import Clock
from monitor.facts import (
    Fact,
    LagMeasured,
    OffsetsLost,
    PartitionsAssigned,
    PartitionsHeld,
    RecordsSkipped,
    SourceAnswered,
    SourceTroubled,
    TopicsMissing,
)
from monitor.sources.base import Poll, SourceError
from monitor.sources.kafka.audit import CommitAudit
from monitor.sources.kafka.bounds import ask_bounds, ask_ends, remembered_end
from monitor.sources.kafka.client import (
    ABSENT_TOPIC,
    ALL_DOWN,
    END,
    FATAL,
    LOST,
    SAFE_PROPERTIES,
    SILENT,
    TRANSPORT,
    UNREADABLE,
    KafkaChoice,
)
from monitor.sources.kafka.records import Taken, by_topic, has_errors, split
from monitor.sources.kafka.unreadable import UnreadableBatch
from monitor.stream.events import Partition

PATIENCE = 1.0  # seconds: what the loop waits for an answer about topics and bounds while it runs
START_PATIENCE = 5.0  # seconds: same, before it runs
SOON = 0.5  # seconds from a lost connection to the next look-up
ABSENT = 5.0  # seconds between two polls after which we were away ourselves

T = TypeVar("T")


class KafkaSource:
    """All partitions of some topics, read from positions that the caller keeps."""

    def __init__(self, choice: KafkaChoice, clock: Clock) -> None:
        self._choice = choice
        self._clock = clock
        self._stored: dict[Partition, int] = {}
        self._positions: dict[Partition, int] = {}
        self._missing: tuple[str, ...] | None = None  # None: not looked up yet
        self._taken_on: set[Partition] = set()  # since the last poll
        self._unreadable: dict[Partition, UnreadableBatch] = {}  # ends being searched for; positions stand before them
        self._stranded: set[Partition] = set()  # out of bounds while the bounds could not be had
        self._held: frozenset[Partition] = frozenset()  # not assigned for now, for they run ahead
        self._held_ends: dict[Partition, int] = {}  # as of the last look-up: nothing is fetched of them
        self._pending: list[Fact] = []
        self._fatal: str | None = None
        self._closing: Thread | None = None
        self._last_trouble = ""
        self._answered = True  # the last look-up
        self._leaderless: set[Partition] = set()
        self._last_poll = self._next_lookup = self._next_lag = 0.0
        self._consumer = Consumer(self._properties(), logger=SILENT)
        self._audit = CommitAudit(self._consumer)

    def _properties(self) -> dict[str, Any]:
        return {
            **SAFE_PROPERTIES,
            **self._choice.properties,
            "bootstrap.servers": self._choice.bootstrap_servers,
            "group.id": self._choice.group_id,
            "error_cb": self._note_trouble,
            "on_commit": self._note_commit,
        }

    def _note_trouble(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == FATAL:
            self._fatal = error.str()
        if error.code() != ALL_DOWN:  # it says less than what came before it
            self._last_trouble = error.str()
        if error.code() == TRANSPORT:  # look soon which partitions it concerns
            self._next_lookup = min(self._next_lookup, self._clock.elapsed() + SOON)
        self._pending.append(SourceTroubled(error.name(), error.str()))

    def _note_commit(self, error: KafkaError | None, offsets: Sequence[TopicPartition]) -> None:
        failed = self._audit.committed(error, offsets)
        if failed is not None:
            self._note_trouble(failed)

    # --- opening ------------------------------------------------------------------------------------------------

    def open(self, positions: Mapping[Partition, int]) -> None:
        """Find the partitions and begin. Raises SourceError when the broker is silent for the start-up time."""
        self._stored = dict(positions)
        deadline = self._clock.elapsed() + self._choice.startup_timeout
        found = self._insist(self._partitions, deadline)
        known_topics = {partition.topic for partition in positions}
        starts = {}
        for partition in found:
            low, high = self._insist(partial(self._bounds, partition), deadline)
            first = low if self._choice.from_earliest or partition.topic in known_topics else high
            starts[partition] = self._start_of(partition, low, high, first)
        self._take_on(starts)
        self._audit.begin(positions)
        self._look_for_foreign_commits(START_PATIENCE)
        self._next_lookup = self._clock.elapsed() + self._choice.lookup_every

    def _insist(self, ask: Callable[[float], T], deadline: float) -> T:
        """Ask until there is an answer. Raises SourceError at the deadline."""
        while True:
            left = deadline - self._clock.elapsed()
            try:
                return ask(max(0.1, min(START_PATIENCE, left)))
            except KafkaException as error:
                self._consumer.poll(0.1)  # nothing is assigned yet: it brings the reason through error_cb
                if self._clock.elapsed() >= deadline:
                    servers, waited = self._choice.bootstrap_servers, self._choice.startup_timeout
                    reason = self._last_trouble or error.args[0].str()
                    raise SourceError(f"kafka: no answer from {servers} for {waited:g} s: {reason}") from None

    def _partitions(self, patience: float) -> list[Partition]:
        """The partitions of our topics that exist now; topics that do not are remembered as missing."""
        cluster = self._consumer.list_topics(timeout=patience)
        found: list[Partition] = []
        missing = []
        away = set()
        for topic in self._choice.topics:
            metadata = cluster.topics.get(topic)
            if metadata is None or (metadata.error is not None and metadata.error.code() in ABSENT_TOPIC):
                missing.append(topic)
            elif metadata.error is not None:  # refused, or between two leaders: not the same as not there
                self._last_trouble = f"topic {topic}: {metadata.error.str()}"
                raise KafkaException(metadata.error)
            else:
                found += [Partition(topic, index) for index in sorted(metadata.partitions)]
                away |= {
                    Partition(topic, index)
                    for index, one in metadata.partitions.items()
                    if one.leader not in cluster.brokers
                }
        self._leaderless = away
        self._pending.append(SourceAnswered(self._clock.now()))
        if tuple(missing) != self._missing:
            self._missing = tuple(missing)
            self._pending.append(TopicsMissing(self._missing))
        return found

    def _bounds(self, partition: Partition, patience: float) -> tuple[int, int]:
        return ask_bounds(self._consumer, partition, patience)

    def _start_of(self, partition: Partition, low: int, high: int, first: int) -> int:
        """Where to begin: at our own position; where there is none, at `first`."""
        stored = self._stored.get(partition)
        return first if stored is None else self._inside(partition, stored, low, high)

    def _inside(self, partition: Partition, wanted: int, low: int, high: int) -> int:
        """The position, if it is there. If not: stop and say so, or count the loss and go on, as configured."""
        if low <= wanted <= high:
            return wanted
        if not self._choice.skip_lost:
            raise SourceError(
                f"kafka: {partition}: our position {wanted} is not there, the partition now holds {low} to {high} "
                "(retention, or a topic made anew); set kafka.lost_offsets: skip to go on from its first event"
            )
        self._pending.append(OffsetsLost(partition, wanted, low))
        return low

    def _take_on(self, starts: Mapping[Partition, int]) -> None:
        if not starts:
            return
        self._positions.update(starts)
        self._consumer.incremental_assign([TopicPartition(p.topic, p.index, at) for p, at in starts.items()])
        self._pending.append(PartitionsAssigned(tuple(starts.items())))
        self._taken_on.update(starts)

    # --- reading ------------------------------------------------------------------------------------------------

    def poll(self, timeout: float) -> Poll:
        """Records, partition ends and what else was noticed. Raises SourceError when it cannot go on."""
        self._look_up()
        messages = self._consumer.consume(self._wanted(), timeout) if self._positions else self._idle(timeout)
        records, marks = split(messages)
        ends: set[Partition] = set()
        if self._unreadable or (marks and (self._held or has_errors(marks))):
            taken = by_topic(self._settle(messages, ends), self._choice.topics)
        else:
            taken = by_topic(records, self._choice.topics)
            self._advance(taken, marks, ends)
        self._measure_lag()
        if self._fatal is not None:
            raise SourceError(f"kafka: the client cannot go on: {self._fatal}")
        facts, self._pending = tuple(self._pending), []
        taken_on, self._taken_on = frozenset(self._taken_on), set()
        return Poll(tuple(one.records for one in taken), frozenset(ends), taken_on, self._blind(), facts)

    def _blind(self) -> frozenset[Partition]:
        """Partitions whose silence means nothing: their broker is away, their bounds are, we were, or did not ask."""
        now = self._clock.elapsed()
        absent = now - self._last_poll > ABSENT
        self._last_poll = now
        doubtful = self._positions if absent or not self._answered else self._unreadable
        return self._held.union(self._leaderless, self._stranded, doubtful)

    def _wanted(self) -> int:
        """How many messages to take at once: few where a partition runs ahead by as many before it is noticed."""
        return max(1, self._choice.batch // 10) if self._held else self._choice.batch

    def _idle(self, timeout: float) -> list[Message]:
        """Nothing to read yet; keep the client's callbacks served."""
        message = self._consumer.poll(timeout)
        return [] if message is None else [message]

    def _advance(self, taken: Sequence[Taken], marks: Sequence[Any], ends: set[Partition]) -> None:
        """Count records, and take ends: where a record came after one, the partition has grown since."""
        for one in taken:
            for index, after in one.next_offsets.items():
                self._positions[Partition(one.topic, index)] = after
        for mark in marks:
            partition = Partition(mark.topic(), mark.partition())
            if mark.offset() >= self._positions[partition]:  # more: control records are never delivered
                self._positions[partition] = mark.offset()
                ends.add(partition)

    def _settle(self, messages: Sequence[Any], ends: set[Partition]) -> list[Message]:
        """Count records and deal with errors in their order; the records to hand on are returned."""
        records: list[Message] = []
        moved = set(self._held)  # fetched from elsewhere, or not now: what this poll still has of them is out of date
        for message in messages:
            error = message.error()
            if message.topic() is None or message.partition() < 0:
                self._note_trouble(error)
                continue
            partition = Partition(message.topic(), message.partition())
            if partition in moved:
                continue
            if partition in self._unreadable or (error is not None and error.code() != END):
                if self._deal_with(partition, message, error):
                    moved.add(partition)
            elif error is None:
                self._positions[partition] = message.offset() + 1
                ends.discard(partition)
                records.append(message)
            else:  # past the control records of transactions, which are never delivered
                self._positions[partition] = max(message.offset(), self._positions[partition])
                ends.add(partition)
        return records

    def _deal_with(self, partition: Partition, message: Any, error: KafkaError | None) -> bool:
        """Whether the partition is now fetched from elsewhere."""
        code = None if error is None else error.code()
        batch = self._unreadable.get(partition)
        if code in UNREADABLE and batch is None:
            batch = UnreadableBatch(first=max(message.offset(), self._positions[partition]))
            self._unreadable[partition] = batch
            self._positions[partition] = batch.first
        elif code in UNREADABLE and batch is not None:
            batch.failed(begins=message.offset())
        elif batch is not None and (code is None or code == END or code in LOST):
            batch.passed()
        elif code in LOST:
            self._recover(partition)
            return True
        else:
            assert error is not None
            self._note_trouble(error)
            return False
        self._step_over(partition, batch)
        return True

    def _step_over(self, partition: Partition, batch: UnreadableBatch) -> None:
        """Try the next offset, or go on behind the batch once its end is known."""
        if not batch.ended:
            self._go_to(partition, batch.probe)
            return
        del self._unreadable[partition]
        assert batch.after is not None
        self._pending.append(RecordsSkipped(partition, batch.first, batch.after - 1))
        self._positions[partition] = batch.after
        self._go_to(partition, batch.after)

    def _go_to(self, partition: Partition, offset: int) -> None:
        """Fetch from another offset. By a new assignment: a seek is refused after the errors that ask for one."""
        place = TopicPartition(partition.topic, partition.index, offset)
        self._consumer.incremental_unassign([place])
        self._consumer.incremental_assign([place])

    def _recover(self, partition: Partition) -> None:
        """Our position is out of the partition's bounds while we run, or a broker that lags behind thinks so."""
        try:
            low, high = self._bounds(partition, PATIENCE)
        except KafkaException as error:
            self._note_trouble(error.args[0])
            self._stranded.add(partition)
            return
        self._stranded.discard(partition)
        self._positions[partition] = self._inside(partition, self._positions[partition], low, high)
        self._go_to(partition, self._positions[partition])

    def _look_up(self) -> None:
        """Every few seconds, look for topics that were missing and partitions that are new."""
        if self._clock.elapsed() < self._next_lookup:
            return
        try:
            for partition in self._partitions(PATIENCE):
                if partition not in self._positions:
                    low, high = self._bounds(partition, PATIENCE)
                    self._take_on({partition: self._start_of(partition, low, high, first=low)})
            for partition in tuple(self._stranded):
                self._recover(partition)
            self._held_ends = ask_ends(self._consumer, self._held - self._leaderless, PATIENCE)
            self._answered = True
        except KafkaException as error:
            self._answered = False
            self._note_trouble(error.args[0])
        self._next_lookup = self._clock.elapsed() + self._choice.lookup_every

    def _measure_lag(self) -> None:
        now = self._clock.elapsed()
        if now < self._next_lag:
            return
        self._next_lag = now + 1.0
        lags = []
        for partition, position in self._positions.items():
            high = self._end_of(partition)
            if high >= 0 and self._answered and partition not in self._leaderless:  # else what is cached is old
                lags.append((partition, max(0, high - position)))
        self._pending.append(LagMeasured(tuple(lags)))

    def _end_of(self, partition: Partition) -> int:
        """The next offset that the broker will give, as last told; a held one is not fetched, so it was asked for."""
        return max(remembered_end(self._consumer, partition), self._held_ends.get(partition, -1))

    # --- holding ------------------------------------------------------------------------------------------------

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing of these until told otherwise; one whose position is being searched for goes on until found.

        By assignment, not by the client's pause: both throw away what was fetched ahead, but an assignment begins
        at our own position and reports the end anew.
        """
        held = partitions.intersection(self._positions).difference(self._stranded, self._unreadable)
        if held == self._held:
            return
        if stopped := held - self._held:
            self._consumer.incremental_unassign([TopicPartition(one.topic, one.index) for one in stopped])
        if resumed := self._held - held:
            places = [TopicPartition(one.topic, one.index, self._positions[one]) for one in resumed]
            self._consumer.incremental_assign(places)
        self._held = held
        self._pending.append(PartitionsHeld(tuple(sorted(held))))

    # --- positions ----------------------------------------------------------------------------------------------

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return dict(self._positions)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions under our group, after looking whether somebody else did so meanwhile."""
        self._look_for_foreign_commits()
        try:
            self._audit.commit(positions)
        except KafkaException as error:
            self._note_trouble(error.args[0])

    def _look_for_foreign_commits(self, patience: float = PATIENCE) -> None:
        now = self._clock.elapsed()
        try:
            self._pending += self._audit.look(self._positions, now, self._choice.audit_every, patience)
        except KafkaException as error:
            self._note_trouble(error.args[0])

    @property
    def foreign(self) -> bool:
        """Whether somebody else commits under our group."""
        return self._audit.foreign is not None

    def trouble(self) -> str | None:
        """Why not ready: nothing assigned though topics exist, or another process commits under our group."""
        if self._audit.foreign is not None:
            found = self._audit.foreign
            return (
                f"{found.partition}: offset {found.found} was committed under group {self._choice.group_id} "
                "by somebody else: is a second driftd running?"
            )
        return None if self._positions or self._missing else "no partition is assigned yet"

    def close(self) -> None:
        """Close the client; after some seconds it is left behind, since everything that matters is saved."""
        if self._closing is None:
            self._closing = Thread(target=self._consumer.close, name="kafka-close", daemon=True)
            self._closing.start()
            self._closing.join(self._choice.closing)
