"""The Kafka client as we use it: what the operator chose, its settings, its error codes, its silence."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Protocol

from confluent_kafka import Consumer, KafkaError

from monitor.sources.base import RecordParts

# Each of these closes a known way to lose, repeat or stall: docs/adr/0004-kafka-client-settings.md
FETCH, LARGEST = "fetch.max.bytes", "message.max.bytes"
SAFE_PROPERTIES: dict[str, Any] = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "enable.partition.eof": True,
    "check.crcs": True,
    "isolation.level": "read_committed",
    "queued.min.messages": 10_000,
    "queued.max.messages.kbytes": 8_192,  # of all partitions; a fetch brings no more either
    "max.partition.fetch.bytes": 262_144,  # compressed; as messages it may be twenty times that, all at once
    FETCH: 2_097_152,  # compressed, of all partitions: a hundred full ones took 100 MB more without it
    "socket.keepalive.enable": True,
    "topic.metadata.refresh.interval.ms": 30_000,
    "allow.auto.create.topics": False,
    "fetch.wait.max.ms": 200,
    "fetch.min.bytes": 65_536,  # else a trickle is a hundred fetches a second, each costing more than its events
    "log_level": 0,  # errors come through error_cb
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
ABSENT_TOPIC = frozenset(
    {
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,  # noqa: SLF001 - same
        KafkaError._UNKNOWN_PARTITION,  # noqa: SLF001 - same
    }
)
TRANSPORT = KafkaError._TRANSPORT  # noqa: SLF001 - same
END = KafkaError._PARTITION_EOF  # noqa: SLF001 - same
FATAL = KafkaError._FATAL  # noqa: SLF001 - same
ALL_DOWN = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 - same

SILENT = logging.getLogger(__name__)  # librdkafka writes to stderr otherwise, at any level when fatal
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


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
    parts: Mapping[str, RecordParts] = field(default_factory=dict)  # by topic, what is wanted beside values
    label_topics: frozenset[str] = frozenset()  # those that bring no event time
    threads: int = 1  # the loop's, and those that read ahead for it
    scouting: float = (
        10.0  # how long one reads ahead of us where we have died: longer than from one checkpoint to the next
    )
    closing: float = 5.0  # a commit under way to a broker that is away would hold it for much longer

    def parts_of(self, topic: str) -> RecordParts:
        """What is wanted of a topic's records beside their values."""
        return self.parts.get(topic, RecordParts.NOTHING)


Asks = Callable[..., Any]


class AskingClient(Protocol):
    """A consumer as far as it asks and commits, by the names of the Python client, which its answers have, too.

    Times in seconds; all but the first and the last raise KafkaException.
    """

    @property
    def poll(self) -> Asks:
        """Wait for a message; what the client has to tell is told by its callbacks."""
        ...

    @property
    def list_topics(self) -> Asks:
        """What the cluster holds."""
        ...

    @property
    def get_watermark_offsets(self) -> Asks:
        """The first offset of a partition and the next."""
        ...

    @property
    def offsets_for_times(self) -> Asks:
        """The first offset at or after a time, which stands where the offset does."""
        ...

    @property
    def committed(self) -> Asks:
        """What stands under the group."""
        ...

    @property
    def commit(self) -> Asks:
        """Publish offsets."""
        ...

    @property
    def close(self) -> Asks:
        """End its connections."""
        ...


def make_consumer(
    choice: KafkaChoice, properties: Mapping[str, Any] = MappingProxyType({}), **callbacks: Callable[..., None]
) -> Consumer:
    """A client that joins no group; `properties` win over all. Raises what the client raises for properties that it refuses."""
    return Consumer({**properties_of(choice), **properties, **callbacks}, logger=SILENT)


def properties_of(choice: KafkaChoice) -> dict[str, Any]:
    """The client's properties, ours among them."""
    properties = {**SAFE_PROPERTIES, **choice.properties}
    if FETCH not in choice.properties and LARGEST in properties:  # the client refuses a fetch of less
        largest = str(properties[LARGEST])
        if largest.isdecimal():
            properties[FETCH] = max(properties[FETCH], int(largest))
        else:  # spelled as the client alone understands it, which then chooses by itself
            del properties[FETCH]
    return {**properties, "bootstrap.servers": choice.bootstrap_servers, "group.id": choice.group_id}
