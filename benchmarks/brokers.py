"""The brokers that benchmarks read from: librdkafka's mock cluster and a real Apache Kafka, filled once."""

import contextlib
import tempfile
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

PARTITIONS = 32  # the mock keeps 5 MiB a partition
BLOCK = 1_000
IN_FLIGHT = 100_000  # events that the producer may hold
FLUSH_SECONDS = 60
PRODUCER = {
    "linger.ms": 20,
    "compression.type": "lz4",
    "queue.buffering.max.messages": 2 * IN_FLIGHT,
    "batch.num.messages": BLOCK,
    "log_level": 0,
}


@contextlib.contextmanager
def mock() -> Iterator[Any]:
    """A mock cluster in this process."""
    from tests.parts.mock import MockBroker

    broker = MockBroker()
    try:
        yield broker
    finally:
        broker.stop()


@contextlib.contextmanager
def apache() -> Iterator[Any]:
    """A real node, or None where there is none; then it is said why."""
    from tests.parts.kafka import ApacheKafka
    from tests.parts.missing import MissingPart

    with tempfile.TemporaryDirectory() as directory:
        try:
            broker = ApacheKafka(Path(directory))
        except MissingPart as missing:
            print(f"Apache Kafka left out: {missing}")
            yield None
            return
        try:
            yield broker
        finally:
            broker.close()


def producer(servers: str, **changes: Any) -> Any:
    """A producer that compresses as busy topics do."""
    from confluent_kafka import Producer

    return Producer({**PRODUCER, "bootstrap.servers": servers, **changes})


def produce(servers: str, topic: str, values: Iterable[bytes], partitions: int = PARTITIONS) -> float:
    """Fill a topic, a block of events a partition in turn; events a second."""
    client, began, sent, rest = producer(servers), time.perf_counter(), 0, iter(values)
    while block := [{"value": value} for value in islice(rest, BLOCK)]:
        client.produce_batch(topic, block, partition=sent // BLOCK % partitions)
        sent += len(block)
        if sent % IN_FLIGHT == 0:
            drain(client)
    drain(client)
    return sent / (time.perf_counter() - began)


def drain(client: Any) -> None:
    """Wait until the broker has all that was handed over."""
    if client.flush(FLUSH_SECONDS):
        raise SystemExit("the broker did not take all events")


def filled(broker: Any, topic: str, values: Iterable[bytes], partitions: int = PARTITIONS) -> str:
    """Make a topic and fill it; its broker's address."""
    broker.create_topic(topic, partitions)
    produce(broker.bootstrap, topic, values, partitions)
    return str(broker.bootstrap)


def reading_properties(servers: str) -> dict[str, Any]:
    """The daemon's own settings of its client, without ends of partitions."""
    from monitor.sources.kafka.client import SAFE_PROPERTIES

    return {**SAFE_PROPERTIES, "enable.partition.eof": False, "bootstrap.servers": servers, "group.id": "bench"}


def reader(servers: str, topic: str, partitions: int = PARTITIONS) -> Any:
    """A consumer of all partitions, with the daemon's own settings."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(reading_properties(servers))
    consumer.assign([TopicPartition(topic, at, 0) for at in range(partitions)])
    return consumer
