"""A Kafka source driven by hand: everything it brings, in the order it brings it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from monitor.clock import Clock, SystemClock
from monitor.facts import Fact
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.source import KafkaSource
from monitor.store.starts import Starts
from monitor.stream.events import Nanos, OffsetRange, Partition
from tests.parts import threads

F = TypeVar("F")
GROUP = "driftd"
DELIVERED_WITHIN = 30.0  # seconds, before a test fails


class Reader:
    """An open source and what its polls returned."""

    def __init__(
        self,
        source: KafkaSource,
        positions: Mapping[Partition, int],
        topics: Mapping[str, str],
        verified: Mapping[Partition, int],
    ) -> None:
        self.source = source
        self.values: dict[Partition, list[bytes | None]] = {}
        self.parts: list[
            tuple[Any, ...]
        ] = []  # keys, stamps and headers of records, empty where they were not asked for
        self.offsets: list[OffsetRange] = []  # that polls spanned, in their order
        self.ends: list[Partition] = []  # one for each time an end was reported
        self.assigned: list[Partition] = []
        self.confirmed: Mapping[Partition, Nanos] = {}  # as the last poll had it
        self.unconfirmed: frozenset[Partition] = frozenset()  # as the last poll had it
        self.facts: list[Fact] = []
        self.slowest = 0.0  # seconds of one poll
        source.open(positions, topics, verified)

    @property
    def count(self) -> int:
        return sum(map(len, self.values.values()))

    def poll(self, timeout: float = 0.1) -> None:
        began = time.monotonic()
        poll = self.source.poll(timeout)
        self.slowest = max(self.slowest, time.monotonic() - began)
        for records in poll.records:
            self.offsets += records.offsets
            self.parts.append((list(records.keys), list(records.stamps), [list(each) for each in records.headers]))
            for index, value in zip(records.partitions, records.values, strict=True):
                self.values.setdefault(Partition(records.topic, index), []).append(value)
        self.ends += poll.ends
        self.assigned += poll.assigned
        self.confirmed = poll.confirmed
        self.unconfirmed = poll.unconfirmed
        self.facts += poll.facts

    def until(self, met: Callable[[], bool], *, seconds: float = 60) -> None:
        """Poll until so; fail with what was seen when that takes too long."""
        deadline = time.monotonic() + seconds
        while not met():
            assert time.monotonic() < deadline, f"not within {seconds} s; read {self.count}, facts {self.facts[-20:]}"
            self.poll()

    def read(self, count: int, *, seconds: float = 60) -> None:
        """Poll until so many records have come, in all, and no more follow at once."""
        self.until(lambda: self.count >= count, seconds=seconds)
        self.poll(0.2)

    def all(self, kind: type[F]) -> list[F]:
        """Facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    def saved(self, *, then: Callable[[], object] = lambda: None) -> dict[Partition, int]:
        """Commit as a checkpoint does; the positions it would have saved."""
        positions = self.source.positions()
        then()
        self.source.commit(positions)
        return positions


@contextlib.contextmanager
def reading(
    broker: Any,
    *names: str,
    positions: Mapping[Partition, int] | None = None,
    topics: Mapping[str, str] | None = None,
    verified: Mapping[Partition, int] | None = None,
    **choice: Any,
) -> Iterator[Reader]:
    """A source on some topics, from their first events unless told otherwise, closed at the end. `topics`: the ids of those of `positions`, of which nothing made later was read before `verified`."""
    source = make_source(broker.bootstrap, *names, **choice)
    try:
        yield Reader(source, positions or {}, topics or {}, verified or {})
    finally:
        source.close()


def make_source(
    bootstrap: str, *topics: str, clock: Clock | None = None, starts: Starts | None = None, **choice: Any
) -> KafkaSource:
    """As the daemon makes it, but quicker to look around."""
    quick = {"from_earliest": True, "lookup_every": 0.2, "audit_every": 0.2, "startup_timeout": 20.0, "closing": 1.0}
    properties = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 200, "fetch.wait.max.ms": 50}
    properties |= choice.pop("properties", {})
    chosen = {"group_id": GROUP, "threads": threads.wanted(1), **quick, **choice}
    wanted = KafkaChoice(bootstrap, topics=topics, properties=properties, **chosen)
    return KafkaSource(wanted, clock or SystemClock(), starts)


def produce(broker: Any, topic: str, values: Sequence[bytes | None], *, partition: int = 0, **settings: Any) -> None:
    """Returns once the broker has them; further settings with _ for the dot."""
    properties = {key.replace("_", "."): value for key, value in settings.items()}
    # A batch that is sent again, as to a partition that is new, comes neither twice nor after the next.
    properties["enable.idempotence"] = True
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0, "linger.ms": 20, **properties})
    failed = []
    for value in values:
        producer.produce(topic, value, partition=partition, on_delivery=lambda error, _: error and failed.append(error))
    deadline = time.monotonic() + DELIVERED_WITHIN
    while len(producer) and time.monotonic() < deadline:
        producer.poll(0.05)  # to flush would send what a batch is to hold as far as it has come
    assert not len(producer)
    assert not failed, failed


def produce_records(broker: Any, topic: str, records: Sequence[Mapping[str, Any]]) -> None:
    """One after another to the first partition, each with a value, key, timestamp and headers as it says."""
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0, "enable.idempotence": True})
    for record in records:
        producer.produce(topic, partition=0, **record)
    assert producer.flush(DELIVERED_WITHIN) == 0


def produce_apart(broker: Any, topic: str, values: Sequence[bytes], *, partition: int = 0) -> None:
    """A batch each: the mock cluster deletes and fetches whole batches."""
    produce(broker, topic, values, partition=partition, batch_num_messages=1)


def numbered(count: int, prefix: str = "") -> list[bytes]:
    """Values that tell a loss, a repeat and a wrong order apart."""
    return [f"{prefix}{at}".encode() for at in range(count)]


@contextlib.contextmanager
def group_member(broker: Any, group: str = GROUP) -> Iterator[Consumer]:
    """Somebody else who knows our group's name."""
    consumer = Consumer({"bootstrap.servers": broker.bootstrap, "group.id": group, "log_level": 0})
    try:
        yield consumer
    finally:
        consumer.close()


def commit_as_another(broker: Any, topic: str, offset: int, *, partition: int = 0, group: str = GROUP) -> None:
    """A commit under our group that is not ours."""
    with group_member(broker, group) as other:
        other.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)


def committed(broker: Any, topic: str, *, partition: int = 0, group: str = GROUP) -> int:
    """The offset that lag tools see; negative where there is none."""
    deadline = time.monotonic() + 15
    with group_member(broker, group) as other:
        while True:
            try:
                [found] = other.committed([TopicPartition(topic, partition)], timeout=5)
                return int(found.offset)
            except KafkaException:  # a broker that has just started does not know its groups yet
                if time.monotonic() > deadline:
                    raise
