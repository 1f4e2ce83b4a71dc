"""Where a partition begins and ends, as its leader says."""

from collections.abc import Iterable

from confluent_kafka import OFFSET_END, KafkaError, TopicPartition

from monitor.sources.kafka.client import AskingClient
from monitor.stream.events import Partition


def ask_bounds(consumer: AskingClient, partition: Partition, patience: float) -> tuple[int, int]:
    """The first offset and the next. Raises KafkaException.

    The client asks two questions; when only one is answered it takes that for both bounds. So two that are equal
    are asked for again.
    """
    place = TopicPartition(partition.topic, partition.index)
    low, high = consumer.get_watermark_offsets(place, timeout=patience)
    if low == high:
        low, high = consumer.get_watermark_offsets(place, timeout=patience)
    return int(low), int(high)


def ask_ends(consumer: AskingClient, partitions: Iterable[Partition], patience: float) -> dict[Partition, int]:
    """The next offset of each partition, one request a broker; what is not answered is left out. Raises KafkaException."""
    return ask_offsets_at(consumer, partitions, OFFSET_END, patience)[0]


def ask_offsets_at(
    consumer: AskingClient, partitions: Iterable[Partition], time: int, patience: float
) -> tuple[dict[Partition, int], dict[Partition, KafkaError]]:
    """The first offset at or after a time in milliseconds, where there is one; and what was refused. Raises KafkaException."""
    wanted = [TopicPartition(partition.topic, partition.index, time) for partition in partitions]
    answers = consumer.offsets_for_times(wanted, timeout=patience) if wanted else []
    told = {Partition(answer.topic, answer.partition): answer for answer in answers}
    offsets = {place: int(answer.offset) for place, answer in told.items() if answer.error is None}
    refused = {place: answer.error for place, answer in told.items() if answer.error is not None}
    return {place: offset for place, offset in offsets.items() if offset >= 0}, refused
