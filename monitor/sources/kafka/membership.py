"""In a consumer group for what it assigns, and nothing else: no record is read by this client.

Who is a member is told which partitions are its own; which records of them are read, and from where, is others' business. What is committed
is committed by the member: the group takes it from no one whom it has given up.

The assignor is cooperative-sticky. What stays with a member is not disturbed when another joins or leaves, and what a judge partition holds
is the dearest to move.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient

from monitor.sources.base import SourceError
from monitor.sources.kafka.client import ALL_DOWN, FATAL, SILENT
from monitor.sources.kafka.troubles import said
from monitor.stream.events import Partition

ASSIGNOR = "cooperative-sticky"
POLLED_WITHIN = (
    300_000  # milliseconds from one poll to the next: as long as it may take to take up the state of many models
)
PATIENCE = 10.0  # seconds for the coordinator to answer
NAME = "client.id"  # of a member, as the group shows it to others
NAMED = "driftd-"  # and then what all members must have in common


@dataclass(frozen=True, slots=True)
class GroupPosition:
    """What stands in the group for a partition: the offset, and what was written beside it."""

    offset: int
    beside: str


@dataclass(frozen=True, slots=True)
class OwnershipHeard:
    """Who is to hear of changes, while `poll` runs.

    `revoked` may still commit; after it the partitions are others'. `lost`: they are already.
    """

    gained: Callable[[Sequence[Partition]], None]
    revoked: Callable[[Sequence[Partition]], None]
    lost: Callable[[Sequence[Partition]], None]


class Membership:
    """One member of a group. Raises what the client raises for properties that it refuses."""

    def __init__(
        self,
        properties: Mapping[str, Any],
        group: str,
        topics: Collection[str],
        session: float,
        heard: OwnershipHeard,
        mark: str,
    ) -> None:
        """`session`: seconds after which the group takes a silent member for dead; `mark`: what all its members have in common."""
        self.group = group
        self._heard = heard
        self._fatal: str | None = None
        self.trouble = ""
        self.owned: frozenset[Partition] = frozenset()
        self.joined = False  # something was assigned once, if only nothing
        self._consumer = Consumer(
            {
                NAME: NAMED + mark,
                **properties,
                "group.id": group,
                "partition.assignment.strategy": ASSIGNOR,
                "session.timeout.ms": round(session * 1000),
                "heartbeat.interval.ms": max(1, round(session * 1000 / 4)),
                "max.poll.interval.ms": max(POLLED_WITHIN, round(session * 1000)),
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "latest",  # of what is paused nothing comes
                "queued.min.messages": 1,
                "topic.metadata.refresh.interval.ms": 10_000,  # how soon a new partition has an owner
                "allow.auto.create.topics": False,
                "error_cb": self._note,
            },
            logger=SILENT,
        )
        self._consumer.subscribe(sorted(topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)

    def _note(self, error: KafkaError) -> None:
        if error.fatal() or error.code() == FATAL:
            self._fatal = error.str()
        elif error.code() != ALL_DOWN:
            self.trouble = said(error.str())

    # --- ownership --------------------------------------------------------------------------------------------------

    def _assigned(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        self.joined = True
        consumer.incremental_assign(places)
        consumer.pause(places)
        gained = _partitions(places)
        self.owned |= frozenset(gained)
        self._heard.gained(gained)

    def _revoked(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        gone = _partitions(places)
        self._heard.revoked(gone)
        self.owned -= frozenset(gone)
        consumer.incremental_unassign(places)

    def _lost(self, consumer: Consumer, places: list[TopicPartition]) -> None:
        gone = _partitions(places)
        self.owned -= frozenset(gone)
        self._heard.lost(gone)
        consumer.incremental_unassign(places)

    def poll(self, timeout: float) -> None:
        """Hear of changes, and be heard of: a member that does not poll is taken for dead. Raises SourceError when it cannot go on."""
        self._consumer.poll(timeout)
        if self._fatal is not None:
            raise SourceError(f"kafka: the client cannot go on: {self._fatal}")

    # --- what stands in the group -----------------------------------------------------------------------------------

    def commit(self, positions: Mapping[Partition, GroupPosition]) -> bool:
        """Write positions; whether they stand now. Once they do, nobody else owned these partitions until then.

        The group takes nothing from whom it has given up, of which `lost` is heard by the next polls, nor for a moment while it gives out
        partitions anew: then these are tried again.
        """
        places = [TopicPartition(each.topic, each.index, held.offset, held.beside) for each, held in positions.items()]
        try:
            answers = self._consumer.commit(offsets=places, asynchronous=False)
        except KafkaException as error:
            self.trouble = said(error.args[0].str())
            return False
        for answer in answers or ():
            if answer.error is not None:
                self.trouble = said(answer.error.str())
                return False
        return True

    def committed(self, partitions: Collection[Partition]) -> dict[Partition, GroupPosition]:
        """What stands in the group, of those of which anything does. Raises KafkaException."""
        places = [TopicPartition(each.topic, each.index) for each in sorted(partitions)]
        answers = self._consumer.committed(places, timeout=PATIENCE) if places else []
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {
            Partition(each.topic, each.partition): GroupPosition(each.offset, each.metadata or "")
            for each in answers
            if each.offset >= 0
        }

    def close(self) -> None:
        """Leave the group, after `revoked` was heard of all that is owned."""
        self._consumer.close()


def other_members(properties: Mapping[str, Any], groups: Collection[str], mark: str) -> list[str]:
    """Members of groups under another mark, a few words each; those with a `client.id` of the user's bear none. Raises KafkaException."""
    admin = AdminClient(dict(properties), logger=SILENT)
    found = list[str]()
    for group, asked in admin.describe_consumer_groups(sorted(groups), request_timeout=PATIENCE).items():
        names = [(each.client_id or "", each.host) for each in asked.result(2 * PATIENCE).members]
        found += [
            f"{name.removeprefix(NAMED)} of {host.removeprefix('/')} in group {group}"
            for name, host in names
            if name.startswith(NAMED) and name != NAMED + mark
        ]
    return sorted(set(found))


def _partitions(places: Sequence[TopicPartition]) -> list[Partition]:
    return sorted(Partition(each.topic, each.partition) for each in places)
