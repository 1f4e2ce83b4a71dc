"""Replicas: what one of them does, and what it was told that it cannot use."""

from dataclasses import dataclass

from monitor.stream.events import Partition


@dataclass(frozen=True, slots=True)
class ReplicaAssigned:
    """What a replica does from now on: the partitions that it folds, and the judge partitions that it owns."""

    folds: tuple[Partition, ...]
    judges: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CountsQuarantined:
    """A record of the counts topic was put aside, and never merged: why, as a name and in words."""

    judge: int
    fault: str
    words: str


@dataclass(frozen=True, slots=True)
class CountsMissing:
    """Counts of some records did not come, though something came that stands behind them: event time stands."""

    judge: int
    partition: Partition
    words: str


@dataclass(frozen=True, slots=True)
class CountsComplete:
    """What was missing has come."""

    judge: int
    partition: Partition
