"""Decoded events as columns: what passes from the decoder to the panes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Nanos = int
"""Event or processing time: nanoseconds since the Unix epoch, UTC."""

SECOND: Nanos = 1_000_000_000
ANY_VERSION = "*"


@dataclass(frozen=True, slots=True, order=True)
class SeriesKey:
    """What is monitored as one: a model and a version; `*` stands for every version not named elsewhere."""

    model: str
    version: str

    def __str__(self) -> str:
        return f"{self.model}/{self.version}"


@dataclass(frozen=True, slots=True, order=True)
class Partition:
    """One partition of one topic."""

    topic: str
    index: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.index}"


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one series, columnar.

    `event_times` int64[n]; `numeric` float64[n, k], NaN where missing; `codes` int32[n, c], the reference's
    category codes. Columns stand in the order of the series' grid. `newcomers` are texts of a few categories that the
    reference does not know, each with its column of `codes`: for display alone, hence of no part of a batch.
    """

    key: SeriesKey
    topic: str
    event_times: NDArray[np.int64]
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]
    newcomers: tuple[tuple[int, str], ...] = ()

    def __len__(self) -> int:
        return len(self.event_times)

    def where(self, mask: NDArray[np.bool_]) -> "EventBatch":
        """The events whose place in `mask`, bool[n], is true."""
        return EventBatch(self.key, self.topic, self.event_times[mask], self.numeric[mask], self.codes[mask])


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """All that one poll brought.

    `seen` is the largest valid event time a partition brought, of any model; `read` the partitions that brought
    anything at all; `ends` those now read to their end; `assigned` those that the source has newly taken on; `blind`
    those whose broker did not answer lately, whose silence therefore means nothing.
    """

    batches: tuple[EventBatch, ...] = ()
    seen: Mapping[Partition, Nanos] = field(default_factory=dict)
    read: frozenset[Partition] = frozenset()
    ends: frozenset[Partition] = frozenset()
    assigned: frozenset[Partition] = frozenset()
    blind: frozenset[Partition] = frozenset()
