"""The newest few messages of a topic, for a look at what is there; nothing is committed, nothing waits for more."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message, TopicPartition

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.kafka.bounds import ask_bounds
from monitor.sources.kafka.client import ALL_DOWN, SILENT
from monitor.sources.kafka.lookup import list_partitions
from monitor.sources.kafka.records import TakenMessages
from monitor.sources.kafka.troubles import gravest
from monitor.stream.events import Partition

EACH = 50  # messages of a partition
MOST = 200  # of a topic
PATIENCE = 10.0  # seconds for a broker to answer
POLL = 0.5


class SampleError(Exception):
    """Nothing could be read: one line that says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Some records of a topic with all their parts, and how many its partitions hold."""

    records: TopicRecords
    held: int
    partitions: int


def newest_of(properties: Mapping[str, Any], topic: str, patience: float | None = None, each: int = EACH) -> Sample:
    """Read the newest messages of each partition. Raises SampleError."""
    troubles: list[str] = []

    def note(error: Any) -> None:
        if error.code() != ALL_DOWN:
            troubles.append(error.str())

    settings = {
        **properties,
        "group.id": "driftd-look",
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "allow.auto.create.topics": False,
        "error_cb": note,
    }
    with closing(Consumer(settings, logger=SILENT)) as consumer:
        try:
            return _read(consumer, topic, PATIENCE if patience is None else patience, each)
        except KafkaException as error:
            consumer.poll(0)  # brings the reason
            raise SampleError(gravest(troubles) or error.args[0].str()) from None


def _read(consumer: Consumer, topic: str, patience: float, each: int) -> Sample:
    listing = list_partitions(consumer, [topic], patience)
    if listing.missing:
        raise SampleError(f"there is no topic {topic}")
    for error in listing.refused.values():
        raise KafkaException(error)
    bounds = {place: ask_bounds(consumer, place, patience) for place in listing.partitions}
    filled = [place for place, (low, high) in bounds.items() if low < high]
    held = sum(high - low for low, high in bounds.values())
    few = max(1, min(each, MOST // max(1, len(filled))))
    starts = [TopicPartition(topic, place.index, max(bounds[place][0], bounds[place][1] - few)) for place in filled]
    messages = _take(consumer, starts, set(filled), patience, few)
    return Sample(TakenMessages(topic, messages).records((), ~RecordParts.NOTHING), held, len(listing.partitions))


def _take(
    consumer: Consumer, starts: list[TopicPartition], waiting: set[Partition], patience: float, few: int
) -> list[Message]:
    """What lies between these places and the ends."""
    taken: list[Message] = []
    if not starts:
        return taken
    consumer.assign(starts)
    left = patience
    while waiting and left > 0 and len(taken) < few * len(starts):
        messages = consumer.consume(few * len(starts), POLL)
        left = patience if messages else left - POLL
        for message in messages:
            if message.error() is None:
                taken.append(message)
            else:  # the end of its partition; of none where it is about all of them
                waiting.discard(Partition(str(message.topic()), message.partition() or 0))
    return taken
