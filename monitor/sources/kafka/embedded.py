"""A broker inside this process: librdkafka's mock cluster, on loopback, for the demo and for tests."""

from confluent_kafka import Producer


class EmbeddedBroker:
    """A Kafka broker that lives as long as this object, reachable by any client on this machine.

    It keeps at most 5 MiB or 100 000 batches a partition and creates topics, of four partitions, when they
    are first asked for. It is no place for data that matters.
    """

    def __init__(self, brokers: int = 1) -> None:
        self._producer = Producer(
            {"test.mock.num.brokers": brokers, "linger.ms": 5, "log_level": 0}  # it announces itself on stderr
        )
        listed = self._producer.list_topics(timeout=10).brokers.values()
        self.bootstrap_servers = ",".join(f"{broker.host}:{broker.port}" for broker in listed)

    def create(self, topic: str) -> None:
        """Make a topic; asking for its metadata does."""
        self._producer.list_topics(topic, timeout=10)

    @property
    def producer(self) -> Producer:
        """A producer connected to the broker."""
        return self._producer
