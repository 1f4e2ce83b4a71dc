"""Which partitions there are."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from confluent_kafka import KafkaError

from monitor.sources.kafka.client import ABSENT_TOPIC, AskingClient
from monitor.stream.events import Partition


@dataclass(slots=True)
class Listing:
    """The partitions of some topics that exist now; topics that are not there, or that the broker says nothing of."""

    partitions: list[Partition] = field(default_factory=list)
    leaders: dict[Partition, int] = field(default_factory=dict)  # of those that have one
    missing: list[str] = field(default_factory=list)
    refused: dict[str, KafkaError] = field(default_factory=dict)  # or between two leaders: not the same as not there


def list_partitions(consumer: AskingClient, topics: Iterable[str], patience: float) -> Listing:
    """Ask the cluster. Raises KafkaException."""
    cluster = consumer.list_topics(timeout=patience)
    listing = Listing()
    for topic in topics:
        metadata = cluster.topics.get(topic)
        if metadata is None or (metadata.error is not None and metadata.error.code() in ABSENT_TOPIC):
            listing.missing.append(topic)
        elif metadata.error is not None:
            listing.refused[topic] = metadata.error
        else:
            listing.partitions += [Partition(topic, index) for index in sorted(metadata.partitions)]
            listing.leaders |= {
                Partition(topic, index): held.leader
                for index, held in metadata.partitions.items()
                if held.leader in cluster.brokers
            }
    return listing
