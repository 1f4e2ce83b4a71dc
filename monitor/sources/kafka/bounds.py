"""Where a partition begins and ends, as its broker says or as the client remembers it."""

from collections.abc import Iterable

from confluent_kafka import OFFSET_END, OFFSET_INVALID, Consumer, KafkaException, TopicPartition

from monitor.stream.events import Partition


def ask_bounds(consumer: Consumer, partition: Partition, patience: float) -> tuple[int, int]:
    """The first offset and the next. Raises KafkaException.

    The client asks two questions; when only one is answered it takes that for both bounds. So two that are equal
    are asked for again.
    """
    place = TopicPartition(partition.topic, partition.index)
    low, high = consumer.get_watermark_offsets(place, timeout=patience)
    if low == high:
        low, high = consumer.get_watermark_offsets(place, timeout=patience)
    return int(low), int(high)


def ask_ends(consumer: Consumer, partitions: Iterable[Partition], patience: float) -> dict[Partition, int]:
    """The next offset of each partition, one request a broker; what is not answered is left out. Raises KafkaException."""
    wanted = [TopicPartition(one.topic, one.index, OFFSET_END) for one in partitions]
    if not wanted:
        return {}
    answers = consumer.offsets_for_times(wanted, timeout=patience)
    return {
        Partition(one.topic, one.partition): int(one.offset) for one in answers if one.error is None and one.offset >= 0
    }


def remembered_end(consumer: Consumer, partition: Partition) -> int:
    """The next offset as the last fetch told it; negative where none did."""
    try:
        _, high = consumer.get_watermark_offsets(TopicPartition(partition.topic, partition.index), cached=True)
    except KafkaException:
        return OFFSET_INVALID
    return int(high)
