"""Decoded events as columns: what passes from the decoder to the panes."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.stream.schema import RowSchema
from monitor.stream.violations import RowViolations

Nanos = int
"""Event or processing time: nanoseconds since the Unix epoch, UTC."""

SECOND: Nanos = 1_000_000_000
MILLISECOND: Nanos = 1_000_000
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
ANY_VERSION = "*"
FEATURES = "features"  # the view that predictions and their features are counted in


class SeriesKey(msgspec.Struct, frozen=True, order=True, omit_defaults=True, cache_hash=True):
    """What is monitored as one: a model, a version and a segment of its events.

    The version `*` stands for every version not named elsewhere; an empty segment is all events, and is not written.
    """

    model: str
    version: str
    segment: str = ""

    def __str__(self) -> str:
        return "/".join([self.model, self.version, *([self.segment] if self.segment else [])])


class Partition(msgspec.Struct, frozen=True, order=True, cache_hash=True):  # looked up a dozen times a turn, each
    """One partition of one topic."""

    topic: str
    index: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.index}"


class UnseenCategory(NamedTuple):
    """The text of a category that the reference does not know: its column of `codes`, and when the event was."""

    column: int
    text: str
    event_time: Nanos


class OffsetRange(NamedTuple):
    """The records of one partition that events come from: the first and the last offset, both included."""

    partition: Partition
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class EventBatch:
    """Events of one series, columnar.

    `event_times` int64[n]; `numeric` float64[n, k], NaN where missing; `codes` int32[n, c], the reference's
    category codes. Columns stand in the order of the series' layout. `unseen_categories` are a few of the new categories, for
    display alone. `offsets` are the records of the poll they came from; `view` says which view of the series counts them.
    `ids` uint64[n] are hashes of the events' ids, 0 where one has none; None where none are read. `groups` the same of what events
    belong to; `served` int16[n, 2] how the requests that they answered were served, None where nothing is told. `violations` are the
    rules of a data contract that rows break; None where none does.
    """

    key: SeriesKey
    topic: str
    event_times: NDArray[np.int64]
    numeric: NDArray[np.float64]
    codes: NDArray[np.int32]
    unseen_categories: tuple[UnseenCategory, ...] = ()
    offsets: tuple[OffsetRange, ...] = ()
    view: str = FEATURES
    ids: NDArray[np.uint64] | None = None
    groups: NDArray[np.uint64] | None = None
    served: NDArray[np.int16] | None = None
    violations: RowViolations | None = None

    def __len__(self) -> int:
        return len(self.event_times)

    def where(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "EventBatch":
        """Some of the events: bool[n], places or a slice. Names of new categories stay behind."""
        return replace(
            self,
            event_times=self.event_times[which],
            numeric=self.numeric[which],
            codes=self.codes[which],
            unseen_categories=(),
            ids=None if self.ids is None else self.ids[which],
            groups=None if self.groups is None else self.groups[which],
            served=None if self.served is None else self.served[which],
            violations=None if self.violations is None else self.violations.where(which),
        )


@dataclass(frozen=True, slots=True)
class JoinBatch:
    """Predictions and labels of one series, to be joined: rows of the dtypes in `join.py`. `anonymous` predictions more have no id."""

    key: SeriesKey
    predictions: NDArray[Any]
    labels: NDArray[Any]
    anonymous: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class HalfBatch:
    """Halves of one series that one poll brought, with an id each: rows of the dtype that `halves.py` gives to a request or a response."""

    key: SeriesKey
    topic: str
    half: int
    rows: NDArray[Any]
    offsets: tuple[OffsetRange, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def event_times(self) -> NDArray[np.int64]:
        """When they were, int64[n]."""
        return np.asarray(self.rows["time"])


class SchemaBatch(NamedTuple):
    """What all rows of one series that a poll brought tell of the columns they have."""

    key: SeriesKey
    rows: RowSchema


@dataclass(frozen=True, slots=True)
class MicroBatch:
    """All that one poll brought.

    `seen` is the largest valid event time a partition brought, of any model; `read` the partitions that brought
    anything at all; `confirmed` those whose leader said that nothing lay beyond what was read, with when that was, in
    processing time; `assigned` those that the source has newly taken on; `unconfirmed` those whose leader did not answer
    lately, whose silence therefore means nothing. `joins` is what is to be joined with labels, `schemas` what rows tell of the columns
    that they have. Partitions of labels are among all of these. `versions`: model, version and event time of events of a series that
    takes any version, as far as messages were looked through. `halves` are requests and responses that wait for each other.
    """

    batches: tuple[EventBatch, ...] = ()
    seen: Mapping[Partition, Nanos] = field(default_factory=dict)
    read: frozenset[Partition] = frozenset()
    confirmed: Mapping[Partition, Nanos] = field(default_factory=dict)
    assigned: frozenset[Partition] = frozenset()
    unconfirmed: frozenset[Partition] = frozenset()
    joins: tuple[JoinBatch, ...] = ()
    schemas: tuple[SchemaBatch, ...] = ()
    versions: tuple[tuple[str, str, Nanos], ...] = ()
    halves: tuple[HalfBatch, ...] = ()

    def of(self, topics: frozenset[str], *, others: bool) -> "MicroBatch":
        """What it says of the partitions of some topics, or of all others."""

        def ours(place: Partition) -> bool:
            return (place.topic in topics) is not others

        return MicroBatch(
            seen={place: time for place, time in self.seen.items() if ours(place)},
            read=frozenset(filter(ours, self.read)),
            confirmed={place: time for place, time in self.confirmed.items() if ours(place)},
            assigned=frozenset(filter(ours, self.assigned)),
            unconfirmed=frozenset(filter(ours, self.unconfirmed)),
        )
