"""Whose commits stand under our group: ours, or those of a second daemon."""

from collections import defaultdict, deque
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, TopicPartition

from monitor.facts import Fact, ForeignCommit
from monitor.stream.events import Partition

REMEMBERED = 1024  # commits per partition: a broker that was away may still show an old one of ours
CLEAN_AFTER = 4  # looks without a foreign commit after which the alarm ends


class CommitAudit:
    """Commits positions for lag tools and looks, now and then, for commits that are not ours."""

    def __init__(self, consumer: Consumer, group_id: str) -> None:
        self._consumer = consumer
        self._group_id = group_id
        self._sent: dict[Partition, deque[int]] = defaultdict(lambda: deque(maxlen=REMEMBERED))
        self._next_look = 0.0
        self._clean = 0
        self.foreign: ForeignCommit | None = None

    def begin(self, starts: Mapping[Partition, int], stored: Mapping[Partition, int], next_look: float) -> None:
        """Take what the group had committed before as known.

        We commit only what is saved, so a commit ahead of a stored position is somebody else's, or the state is an
        older copy: either way it must be said.
        """
        self._next_look = next_look
        for partition, found in self._fetch(starts).items():
            self._sent[partition].append(found)
            if partition in stored and found > stored[partition]:
                self.foreign = ForeignCommit(partition, stored[partition], found)

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish what has changed since the last commit. Raises KafkaException."""
        offsets = [
            TopicPartition(partition.topic, partition.index, at)
            for partition, at in positions.items()
            if not self._sent[partition] or self._sent[partition][-1] != at
        ]
        if not offsets:
            return
        self._consumer.commit(offsets=offsets, asynchronous=True)
        for offset in offsets:
            self._sent[Partition(offset.topic, offset.partition)].append(offset.offset)

    def look(self, now: float, every: float) -> list[Fact]:
        """Look once in `every` seconds; foreign commits are returned as facts. Raises KafkaException."""
        if now < self._next_look:
            return []
        self._next_look = now + every
        found = [
            ForeignCommit(partition, sent[-1] if sent else -1, at)
            for partition, at in self._fetch(self._sent).items()
            if at not in (sent := self._sent[partition])
        ]
        self._clean = 0 if found else self._clean + 1
        if found:
            self.foreign = found[0]
        elif self._clean >= CLEAN_AFTER:
            self.foreign = None
        return list(found)

    def _fetch(self, partitions: Iterable[Partition]) -> dict[Partition, int]:
        wanted = [TopicPartition(partition.topic, partition.index) for partition in partitions]
        if not wanted:
            return {}
        found = self._consumer.committed(wanted, timeout=5.0)
        return {
            Partition(one.topic, one.partition): one.offset for one in found if one.error is None and one.offset >= 0
        }
