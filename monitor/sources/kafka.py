"""Kafka, assigned by hand: no group, no rebalance; our own positions are the truth, commits are for lag tools."""

import logging
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, TopicPartition

from monitor.clock import Clock
from monitor.facts import (
    Fact,
    LagMeasured,
    OffsetsLost,
    PartitionsAssigned,
    RecordsSkipped,
    SourceTroubled,
    TopicsMissing,
)
from monitor.sources.audit import CommitAudit
from monitor.sources.base import Poll, SourceError, TopicRecords
from monitor.stream.events import Partition

# Each of these closes a known way to lose, repeat or stall: docs/adr/0004-kafka-client-settings.md
SAFE_PROPERTIES: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "check.crcs": True,
    "isolation.level": "read_committed",
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 32_768,
    "socket.keepalive.enable": True,
    "topic.metadata.refresh.interval.ms": 30_000,
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 100,
    "fetch.queue.backoff.ms": 10,  # the default of 1 s starves a bounded queue: a sixth of the rate
}
LOST = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})  # noqa: SLF001 - librdkafka's own codes
UNREADABLE = frozenset(
    {
        KafkaError._BAD_COMPRESSION,  # noqa: SLF001 - same
        KafkaError._BAD_MSG,  # noqa: SLF001 - same
        KafkaError.INVALID_MSG,
        KafkaError.MSG_SIZE_TOO_LARGE,
    }
)
END = KafkaError._PARTITION_EOF  # noqa: SLF001 - same

_SILENT = logging.getLogger("monitor.sources.kafka")  # librdkafka writes to stderr otherwise; errors come by error_cb
_SILENT.addHandler(logging.NullHandler())
_SILENT.propagate = False


@dataclass(frozen=True, slots=True)
class KafkaChoice:
    """What the operator chose. Times in seconds."""

    bootstrap_servers: str
    group_id: str
    topics: tuple[str, ...]
    from_earliest: bool = False
    properties: Mapping[str, Any] = field(default_factory=dict)
    startup_timeout: float = 60.0
    skip_lost: bool = False
    batch: int = 10_000
    lookup_every: float = 5.0  # for missing topics and new partitions
    audit_every: float = 15.0  # for commits that are not ours


class KafkaSource:
    """All partitions of some topics, read from positions that the caller keeps."""

    def __init__(self, choice: KafkaChoice, clock: Clock) -> None:
        self._choice = choice
        self._clock = clock
        self._positions: dict[Partition, int] = {}
        self._missing: tuple[str, ...] = ()
        self._taken_on: set[Partition] = set()  # since the last poll
        self._skips: dict[Partition, int] = {}  # how far to step over the next unreadable record
        self._pending: list[Fact] = []
        self._fatal: str | None = None
        self._next_lookup = self._next_lag = 0.0
        self._consumer = Consumer(self._properties(), logger=_SILENT)
        self._audit = CommitAudit(self._consumer, choice.group_id)

    def _properties(self) -> dict[str, Any]:
        return {
            **SAFE_PROPERTIES,
            **self._choice.properties,
            "bootstrap.servers": self._choice.bootstrap_servers,
            "group.id": self._choice.group_id,
            "error_cb": self._note_trouble,
            "on_commit": lambda error, _: None if error is None else self._note_trouble(error),
        }

    def _note_trouble(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = error.str()
        self._pending.append(SourceTroubled(error.name(), error.str()))

    # --- opening ------------------------------------------------------------------------------------------------

    def open(self, positions: Mapping[Partition, int]) -> None:
        """Find the partitions and begin. Raises SourceError when the broker is silent for the start-up time."""
        deadline = self._clock.elapsed() + self._choice.startup_timeout
        while True:
            try:
                found = self._partitions(timeout=min(5.0, self._choice.startup_timeout))
                break
            except KafkaException as error:
                if self._clock.elapsed() >= deadline:
                    servers = self._choice.bootstrap_servers
                    waited = self._choice.startup_timeout
                    raise SourceError(
                        f"kafka: no broker at {servers} answered for {waited:g} s: {error.args[0].str()}"
                    ) from None
        known_topics = {partition.topic for partition in positions}
        starts = {
            partition: self._start_of(partition, positions.get(partition), new=partition.topic in known_topics)
            for partition in found
        }
        self._take_on(starts)
        self._audit.begin(starts, positions, self._clock.elapsed() + self._choice.audit_every)
        self._next_lookup = self._clock.elapsed() + self._choice.lookup_every

    def _partitions(self, timeout: float) -> list[Partition]:
        """The partitions of our topics that exist now; topics that do not are remembered as missing."""
        known = self._consumer.list_topics(timeout=timeout).topics
        found: list[Partition] = []
        missing = []
        for topic in self._choice.topics:
            metadata = known.get(topic)
            if metadata is None or metadata.error is not None or not metadata.partitions:
                missing.append(topic)
            else:
                found += [Partition(topic, index) for index in sorted(metadata.partitions)]
        if tuple(missing) != self._missing or not self._positions:
            self._missing = tuple(missing)
            self._pending.append(TopicsMissing(self._missing))
        return found

    def _start_of(self, partition: Partition, stored: int | None, *, new: bool) -> int:
        """Where to begin: at our own position; a partition added later at its first event; else as configured."""
        low, high = self._bounds(partition)
        if stored is None:
            return low if new or self._choice.from_earliest else high
        if low <= stored <= high:
            return stored
        return self._lost(partition, stored, low)

    def _bounds(self, partition: Partition) -> tuple[int, int]:
        deadline = self._clock.elapsed() + self._choice.startup_timeout
        while True:
            try:
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(partition.topic, partition.index), timeout=5.0
                )
            except KafkaException as error:
                if self._clock.elapsed() >= deadline:
                    raise SourceError(
                        f"kafka: {partition}: its bounds could not be read: {error.args[0].str()}"
                    ) from None
            else:
                return int(low), int(high)

    def _lost(self, partition: Partition, wanted: int, resumed: int) -> int:
        """Events are gone that we had not read: stop and say so, or count the loss and go on, as configured."""
        if not self._choice.skip_lost:
            raise SourceError(
                f"kafka: {partition}: our position {wanted} is no longer there, the topic now starts at {resumed} "
                "(retention, or a topic made anew); set kafka.lost_offsets: skip to go on from there"
            )
        self._pending.append(OffsetsLost(partition, wanted, resumed))
        return resumed

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
        messages: list[Any] = (
            self._consumer.consume(self._choice.batch, timeout) if self._positions else self._idle(timeout)
        )  # Any: the client's types allow None where an error-free message has none
        values: dict[str, tuple[list[int], list[bytes | None]]] = defaultdict(lambda: ([], []))
        ends: set[Partition] = set()
        last: dict[tuple[str, int], int] = {}
        for message in messages:
            error = message.error()
            if error is None:
                topic, index = message.topic(), message.partition()
                partitions, payloads = values[topic]
                partitions.append(index)
                payloads.append(message.value())
                last[topic, index] = message.offset()
            else:
                self._deal_with(message, error, ends)
        read = {Partition(*place): offset + 1 for place, offset in last.items()}
        for partition, position in read.items():
            self._positions[partition] = max(position, self._positions[partition])
        records = tuple(TopicRecords(topic, *found) for topic, found in values.items())
        self._measure_lag()
        if self._fatal is not None:
            raise SourceError(f"kafka: the client cannot go on: {self._fatal}")
        facts, self._pending = tuple(self._pending), []
        taken_on, self._taken_on = frozenset(self._taken_on), set()
        return Poll(records, frozenset(end for end in ends if end not in read or self._at_end(end)), taken_on, facts)

    def _idle(self, timeout: float) -> list[Any]:
        """Nothing to read yet; keep the client's callbacks served."""
        message = self._consumer.poll(timeout)
        return [] if message is None else [message]

    def _at_end(self, partition: Partition) -> bool:
        _, high = self._cached_bounds(partition)
        return self._positions[partition] >= high

    def _cached_bounds(self, partition: Partition) -> tuple[int, int]:
        try:
            low, high = self._consumer.get_watermark_offsets(
                TopicPartition(partition.topic, partition.index), cached=True
            )
        except KafkaException:
            return OFFSET_INVALID, OFFSET_INVALID
        return int(low), int(high)

    def _deal_with(self, message: Any, error: KafkaError, ends: set[Partition]) -> None:
        code = error.code()
        if message.topic() is None or message.partition() is None or message.partition() < 0:
            self._note_trouble(error)
            return
        partition = Partition(message.topic(), message.partition())
        if code == END:
            ends.add(partition)
            self._skips.pop(partition, None)
        elif code in LOST:
            self._recover(partition)
        elif code in UNREADABLE:
            self._step_over(partition, message.offset())
        else:
            self._note_trouble(error)

    def _recover(self, partition: Partition) -> None:
        """Our position is out of the partition's bounds while we run."""
        low, _ = self._bounds(partition)
        wanted = self._positions.get(partition, low)
        self._positions[partition] = self._lost(partition, wanted, low)
        self._consumer.seek(TopicPartition(partition.topic, partition.index, low))

    def _step_over(self, partition: Partition, offset: int) -> None:
        """A batch that cannot be decompressed: step past it, further each time, never past the end."""
        first = max(offset, self._positions.get(partition, 0), 0)
        step = self._skips.get(partition, 1)
        _, high = self._bounds(partition)
        target = min(first + step, max(high, first + 1))
        self._skips[partition] = min(step * 2, 1024)
        self._pending.append(RecordsSkipped(partition, first, target - 1))
        self._positions[partition] = target
        with suppress(KafkaException):
            self._consumer.seek(TopicPartition(partition.topic, partition.index, target))

    def _look_up(self) -> None:
        """Every few seconds, look for topics that were missing and partitions that are new."""
        now = self._clock.elapsed()
        if now < self._next_lookup:
            return
        self._next_lookup = now + self._choice.lookup_every
        try:
            found = self._partitions(timeout=1.0)
        except KafkaException as error:
            self._note_trouble(error.args[0])
            return
        self._take_on(
            {partition: self._bounds(partition)[0] for partition in found if partition not in self._positions}
        )

    def _measure_lag(self) -> None:
        now = self._clock.elapsed()
        if now < self._next_lag:
            return
        self._next_lag = now + 1.0
        lags = []
        for partition, position in self._positions.items():
            _, high = self._cached_bounds(partition)
            if high >= 0:
                lags.append((partition, max(0, high - position)))
        self._pending.append(LagMeasured(tuple(lags)))

    # --- positions ----------------------------------------------------------------------------------------------

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        return dict(self._positions)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions under our group, after looking whether somebody else did so meanwhile."""
        now = self._clock.elapsed()
        try:
            self._pending += self._audit.look(now, self._choice.audit_every)
            self._audit.commit(positions)
        except KafkaException as error:
            self._note_trouble(error.args[0])

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
        """Close the client; after five seconds it is left behind, since everything that matters is saved."""
        closing = Thread(target=self._consumer.close, name="kafka-close", daemon=True)
        closing.start()
        closing.join(5.0)
