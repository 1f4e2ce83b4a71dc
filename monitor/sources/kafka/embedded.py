"""A broker inside this process: librdkafka's mock cluster, on loopback, for the demo and for tests."""

from collections.abc import Iterator
from contextlib import closing

from confluent_kafka import Consumer, Producer

from monitor.sources.kafka.bounds import ask_bounds
from monitor.stream.events import Partition

LIMIT = "it keeps the last 5 MiB, or 100 000 batches, of each partition and drops what is older"
PATIENCE = 5.0  # seconds for an answer of this very process


class EmbeddedBroker:
    """A Kafka broker that lives as long as this object, reachable by any client on this machine.

    It keeps at most 5 MiB or 100 000 batches a partition (`LIMIT`; `dropped` says what is gone) and creates topics, of four
    partitions, when they are first asked for. It is no place for data that matters.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._producer = Producer(
            {"test.mock.num.brokers": brokers, "linger.ms": 5, "log_level": 0}  # it announces itself on stderr
        )
        listed = self._producer.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in listed)
        self._told: dict[Partition, int] = {}  # the first offset that was there when last told

    def create(self, topic: str) -> None:
        """Make a topic; asking for its metadata does."""
        self._producer.list_topics(topic, timeout=10)

    @property
    def producer(self) -> Producer:
        """A producer connected to the broker."""
        return self._producer

    def dropped(self, topic: str) -> dict[Partition, int]:
        """How many messages of each partition are gone, where any are."""
        settings = {"bootstrap.servers": self.bootstrap_servers, "group.id": "driftd-look", "log_level": 0}
        places = [
            Partition(topic, index) for index in self._producer.list_topics(topic, timeout=10).topics[topic].partitions
        ]
        with closing(Consumer(settings)) as consumer:
            first = {place: ask_bounds(consumer, place, PATIENCE)[0] for place in places}
        return {place: offset for place, offset in first.items() if offset}

    def news(self, topic: str) -> Iterator[str]:
        """A line for each partition that has dropped messages since this was last asked."""
        for place, gone in self.dropped(topic).items():
            if (more := gone - self._told.get(place, 0)) > 0:
                self._told[place] = gone
                yield f"{place}: {more:,} messages were dropped, {gone:,} in all: the broker of this walk is full; {LIMIT}"
