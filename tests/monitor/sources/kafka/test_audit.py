"""Whose commits stand under our group, as far as a client that answers from a list can tell."""

from collections.abc import Sequence

from confluent_kafka import TopicPartition

from monitor.facts import ForeignCommit
from monitor.sources.kafka.audit import CommitAudit
from monitor.stream.events import Partition

P0 = Partition("t", 0)


class Group:
    """What is committed under a group, of one partition."""

    def __init__(self) -> None:
        self.stands = TopicPartition("t", 0, -1001)

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        return [self.stands]

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        (self.stands,) = offsets


def test_a_commit_that_is_gone_is_nobodys_and_is_made_again() -> None:
    """It goes with its topic, or when the broker's `offsets.retention.minutes` are over."""
    group = Group()
    audit = CommitAudit(group)
    audit.begin({P0: 5})
    assert audit.look([P0], 0.0, 1.0) == []
    audit.commit({P0: 5})
    group.stands = TopicPartition("t", 0, -1001)

    assert audit.look([P0], 2.0, 1.0) == []
    assert audit.other is None
    audit.commit({P0: 5})
    assert group.stands.offset == 5


def test_a_commit_of_somebody_else_is_told() -> None:
    group = Group()
    audit = CommitAudit(group)
    audit.begin({P0: 5})
    audit.look([P0], 0.0, 1.0)
    audit.commit({P0: 5})
    group.stands = TopicPartition("t", 0, 9, "driftd other")

    assert audit.look([P0], 2.0, 1.0) == [ForeignCommit(P0, 5, 9)]
