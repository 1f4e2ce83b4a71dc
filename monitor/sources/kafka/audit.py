"""Whose commits stand under our group: ours, or those of a second daemon."""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from monitor.facts import Fact, ForeignCommit
from monitor.sources.kafka.client import AskingClient
from monitor.stream.events import Partition

FORBIDDEN = frozenset({KafkaError.GROUP_AUTHORIZATION_FAILED, KafkaError.TOPIC_AUTHORIZATION_FAILED})
CLEAN_AFTER = 4  # looks without a commit of somebody else after which the alarm ends
OURS = "driftd "  # how the mark of every driftd begins
PATIENCE = 1.0  # seconds: a look is taken inside the loop, which stands still while the broker is away


@dataclass(frozen=True, slots=True)
class Commit:
    """What stands under the group for one partition; -1 where nothing does."""

    offset: int
    mark: str


class CommitAudit:
    """Commits positions for lag tools and looks, now and then, for commits that are not ours.

    Each commit bears a mark, made anew by each process, as its metadata. What bears another and was not there when we
    came is somebody else's.
    """

    def __init__(self, consumer: AskingClient) -> None:
        self._consumer = consumer
        self._mark = f"{OURS}{uuid.uuid4().hex}"
        self._stored: dict[Partition, int] = {}
        self._inherited: dict[Partition, Commit] = {}  # what stood there when we came
        self._published: dict[Partition, int] = {}
        self._next_look = 0.0
        self._clean = 0
        self.other: ForeignCommit | None = None

    def begin(self, stored: Mapping[Partition, int]) -> None:
        """Remember what we had saved.

        We commit only what is saved, so a commit ahead of a stored position is somebody else's, or the state is an
        older copy: either way it must be said.
        """
        self._stored = dict(stored)

    def left(self, partitions: Iterable[Partition], patience: float) -> dict[Partition, int]:
        """What a driftd committed under our group, before we came. Raises KafkaException, but not where we may not see it."""
        try:
            found = self._fetch(partitions, patience)
        except KafkaException as error:
            if error.args[0].code() in FORBIDDEN:
                return {}
            raise
        return {place: commit.offset for place, commit in found.items() if commit.mark.startswith(OURS)}

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish what has changed since the last commit. Raises KafkaException.

        A partition waits until it was looked at: we would write over what the look is for.
        """
        changed = {
            partition: at
            for partition, at in positions.items()
            if partition in self._inherited and self._published.get(partition) != at
        }
        if changed:
            offsets = [TopicPartition(place.topic, place.index, at, self._mark) for place, at in changed.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)
            self._published.update(changed)

    def committed(self, error: KafkaError | None, offsets: Iterable[TopicPartition]) -> KafkaError | None:
        """Take the broker's answer to a commit: what failed is published again. Returns the first error."""
        failed = [offset for offset in offsets if error is not None or offset.error is not None]
        for offset in failed:
            self._published.pop(Partition(offset.topic, offset.partition), None)
        return error or (failed[0].error if failed else None)

    def look(self, partitions: Iterable[Partition], now: float, every: float, patience: float = PATIENCE) -> list[Fact]:
        """Look once in `every` seconds; commits of somebody else are returned as facts. Raises KafkaException."""
        if now < self._next_look:
            return []
        self._next_look = now + every
        others: list[Fact] = []
        for partition, commit in self._fetch(partitions, patience).items():
            if other := self._judge(partition, commit):
                self.other = other
                others.append(other)
            if commit != Commit(self._published.get(partition, -1), self._mark):
                self._published.pop(partition, None)  # written over, overtaken by an older one, or never arrived
        self._clean = 0 if others else self._clean + 1
        if self._clean >= CLEAN_AFTER:
            self.other = None
        return others

    def _judge(self, partition: Partition, commit: Commit) -> ForeignCommit | None:
        if partition not in self._inherited:
            self._inherited[partition] = commit
            stored = self._stored.get(partition, commit.offset)
            return ForeignCommit(partition, stored, commit.offset) if commit.offset > stored else None
        if commit.mark == self._mark or commit == self._inherited[partition]:
            return None
        if commit.offset < 0:  # gone with its topic, or after the broker's offsets.retention: nobody's commit
            return None
        return ForeignCommit(partition, self._published.get(partition, -1), commit.offset)

    def _fetch(self, partitions: Iterable[Partition], patience: float) -> dict[Partition, Commit]:
        wanted = [TopicPartition(partition.topic, partition.index) for partition in partitions]
        if not wanted:
            return {}
        return {
            Partition(answer.topic, answer.partition): Commit(max(answer.offset, -1), answer.metadata or "")
            for answer in self._consumer.committed(wanted, timeout=patience)
            if answer.error is None
        }
