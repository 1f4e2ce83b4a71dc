"""The internal topics of replicas: how they must be, made and checked.

Counts are dropped once they are old: each prefix is sent again as its cell fills, and who comes later hears all of them. State is compacted:
of each piece of a snapshot the newest stays, for as long as nobody has written another.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._resource import ResourceType
from confluent_kafka.cimpl import NewTopic

from monitor.sources.kafka.client import ABSENT_TOPIC, SILENT

PATIENCE = 15.0  # seconds for the cluster to answer
STEP = 0.1  # seconds from one look at whether a topic is known to the next
COUNTS_KEPT = 7 * 86_400_000  # milliseconds: how long an owner may be away, and hear all that was sent meanwhile
LARGEST = 1_048_588  # bytes of a batch, Kafka's own default: a prefix of a hundred features and some panes fits
WIDE = 3  # brokers from which on each record is kept by three of them
COMPACTED = {"segment.bytes": "67108864", "min.cleanable.dirty.ratio": "0.1"}  # so that what was replaced goes soon
CLEANUP, RETENTION, BYTES, IN_SYNC = "cleanup.policy", "retention.ms", "max.message.bytes", "min.insync.replicas"


@dataclass(frozen=True, slots=True)
class InternalTopic:
    """How a topic must be. `retention`: so long records are kept at least, in milliseconds; None: the newest of each key for ever."""

    name: str
    partitions: int
    retention: int | None

    @property
    def cleanup(self) -> str:
        """How Kafka drops what is old."""
        return "compact" if self.retention is None else "delete"

    def settings(self, brokers: int) -> dict[str, str]:
        """What it is made with, in a cluster of so many brokers."""
        told = {CLEANUP: self.cleanup, BYTES: str(LARGEST)}
        told |= COMPACTED if self.retention is None else {RETENTION: str(self.retention)}
        return told | ({IN_SYNC: "2"} if brokers >= WIDE else {})


@dataclass(frozen=True, slots=True)
class FoundTopic:
    """How a topic is: its partitions, how many brokers keep each, its settings by name."""

    partitions: int
    copies: int
    settings: Mapping[str, str] = field(default_factory=dict)


def complaints(wanted: InternalTopic, found: FoundTopic | None, brokers: int) -> Iterator[str]:
    """What is wrong with a topic, a line each; None: it is not there."""
    if found is None:
        yield f"topic {wanted.name}: does not exist: make it with `driftd topics create`"
        return
    if found.partitions != wanted.partitions:
        yield (
            f"topic {wanted.name}: has {found.partitions} partitions where replicas.judge_partitions is {wanted.partitions}"
        )
    if found.settings.get(CLEANUP) != wanted.cleanup:
        yield f"topic {wanted.name}: {CLEANUP} is {found.settings.get(CLEANUP)} and must be {wanted.cleanup}"
    kept = int(found.settings.get(RETENTION, -1))
    if wanted.retention is not None and 0 <= kept < wanted.retention:
        yield f"topic {wanted.name}: {RETENTION} is {kept} and must be at least {wanted.retention}, or -1"
    if (largest := int(found.settings.get(BYTES, LARGEST))) < LARGEST:
        yield f"topic {wanted.name}: {BYTES} is {largest} and must be at least {LARGEST}"
    if brokers >= WIDE and found.copies < WIDE:
        yield f"topic {wanted.name}: is kept by {found.copies} of {brokers} brokers and must be by {WIDE}"
    if brokers >= WIDE and int(found.settings.get(IN_SYNC, "1")) < 2:  # noqa: PLR2004 - one may fail
        yield f"topic {wanted.name}: {IN_SYNC} is {found.settings.get(IN_SYNC, '1')} and must be at least 2"


class InternalTopics:
    """The topics of one group, at one cluster. All methods raise KafkaException."""

    def __init__(self, properties: Mapping[str, Any], wanted: Sequence[InternalTopic]) -> None:
        """`properties` are those by which the cluster is reached. Raises what the client raises for properties that it refuses."""
        self.wanted = wanted
        self._admin = AdminClient(dict(properties), logger=SILENT)

    def check(self) -> list[str]:
        """What is wrong, a line each."""
        brokers, found = self._look()
        return [line for topic in self.wanted for line in complaints(topic, found.get(topic.name), brokers)]

    def create(self) -> list[str]:
        """Make those that are not there; their names."""
        brokers, found = self._look()
        missing = [topic for topic in self.wanted if topic.name not in found]
        copies = min(WIDE, brokers)
        new = [NewTopic(each.name, each.partitions, copies, config=each.settings(brokers)) for each in missing]
        asked = self._admin.create_topics(new, operation_timeout=PATIENCE) if new else {}
        for future in asked.values():
            _answer(future, fine=KafkaError.TOPIC_ALREADY_EXISTS)  # by another at the same time
        self._wait_for(missing)
        return [topic.name for topic in missing]

    def _wait_for(self, made: Sequence[InternalTopic]) -> None:
        """Wait until whoever we ask knows of topics that were made."""
        for _ in range(round(PATIENCE / STEP)):
            if {topic.name for topic in made} <= self._look()[1].keys():
                return
            Event().wait(STEP)

    def _look(self) -> tuple[int, dict[str, FoundTopic]]:
        """How many brokers there are, and those of the topics that are there."""
        cluster = self._admin.list_topics(timeout=PATIENCE)
        there = {
            topic.name: held
            for topic in self.wanted
            if (held := cluster.topics.get(topic.name)) is not None
            and (held.error is None or held.error.code() not in ABSENT_TOPIC)
        }
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in there]
        asked = self._admin.describe_configs(resources, request_timeout=PATIENCE) if resources else {}
        settings = {
            resource.name: {name: str(entry.value) for name, entry in _answer(future).items()}
            for resource, future in asked.items()
        }
        found = {
            name: FoundTopic(
                len(held.partitions),
                min((len(each.replicas) for each in held.partitions.values()), default=0),
                settings[name],
            )
            for name, held in there.items()
        }
        return len(cluster.brokers), found


def _answer(asked: "Future[Any]", fine: int | None = None) -> Any:
    try:
        return asked.result(PATIENCE)
    except KafkaException as error:
        if error.args[0].code() != fine:
            raise
        return None
