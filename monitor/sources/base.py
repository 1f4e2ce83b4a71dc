"""What a source of events promises."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Flag, auto
from functools import cached_property
from types import MappingProxyType
from typing import Any, Protocol, overload

import numpy as np
from numpy.typing import NDArray

from monitor.facts import Fact
from monitor.stream.events import Nanos, OffsetRange, Partition


class SourceError(Exception):
    """The source cannot go on: one line that says why. Exit code 3."""


class NotNow(SourceError):  # noqa: N818 - not for ever
    """Records cannot be decoded now, for something outside is away: one line that says what. They are kept, and decoded later."""


NO_TOPICS: Mapping[str, str] = MappingProxyType({})
NONE_VERIFIED: Mapping[Partition, int] = MappingProxyType({})


class Messages(Protocol):
    """A capsule that says where the values of messages lie, for compiled parts (`_messages.hpp`)."""


def lent(values: Sequence[bytes | None]) -> list[bytes | None] | Messages:
    """Values as compiled parts take them: where they lie, if somebody else holds them, for as long as `values` are there."""
    if isinstance(values, list):
        return values
    messages: Messages | None = getattr(values, "messages", None)  # asking for a protocol takes a hundred times as long
    return list(values) if messages is None else messages


class Prepared(Protocol):
    """What was done of the work on the values of records before their turn came; who did it knows what it is."""

    @property
    def nbytes(self) -> int:
        """What it keeps in memory."""
        ...


Prepare = Callable[[str, Sequence[bytes | None]], Prepared | None]
"""Prepares values of a topic, in any thread; None where nothing can be done before."""


def nothing_prepared(topic: str, values: Sequence[bytes | None]) -> None:
    """Leave all for later."""
    del topic, values


class RecordParts(Flag):
    """What of records is wanted beside their values: each costs something a message."""

    NOTHING = 0
    KEYS = auto()
    STAMPS = auto()  # the broker's timestamps
    HEADERS = auto()
    NUMBERS = auto()  # offsets, also where no offset of what is spanned lacks
    ALL = KEYS | STAMPS | HEADERS | NUMBERS


Headers = Sequence[tuple[str, bytes | None]]
"""Of one record, in their order; a name may stand there twice."""


class PartitionIndexes(Sequence[int]):
    """The partition of each record, of int32[n]: to numpy an array, to all others numbers, which are made when they are asked for."""

    def __init__(self, held: NDArray[np.int32]) -> None:
        self._held = held

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001 - numpy's interface
        return np.array(self._held, dtype=dtype, copy=copy)

    @cached_property
    def _numbers(self) -> list[int]:
        numbers: list[int] = self._held.tolist()
        return numbers

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[int]:
        return iter(self._numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self._numbers == list(other)

    __hash__ = None  # type: ignore[assignment]

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[int]: ...
    def __getitem__(self, place: int | slice) -> int | Sequence[int]:
        return self._numbers[place]


@dataclass(frozen=True, slots=True)
class TopicRecords:
    """Raw records of one topic, in the order read; `partitions[i]` is the partition index of `values[i]`.

    `offsets` are what they span in each partition: what lies in between and is not here is not there, or could not
    be read. `arrivals` are the broker's timestamps of the last record of each partition, where it gives any. `numbers` are the offsets of
    the records; they may be empty where no offset of what is spanned lacks. `keys`, `stamps` and `headers` are those of each record where
    they were asked for (`RecordParts`), else empty. `prepared` is what was made of the values ahead. `whole` gives the records at some
    places with all that there is of them; None: there is no more than this.
    """

    topic: str
    partitions: Sequence[int]
    values: Sequence[bytes | None]
    offsets: tuple[OffsetRange, ...] = ()
    arrivals: Mapping[int, Nanos] = field(default_factory=dict)
    keys: Sequence[bytes | None] = ()
    numbers: Sequence[int] = ()
    stamps: Sequence[Nanos] = ()
    headers: Sequence[Headers] = ()
    prepared: Prepared | None = None
    whole: Callable[[Sequence[int]], "TopicRecords"] | None = field(default=None, compare=False, repr=False)

    @property
    def indexes(self) -> Sequence[int]:
        """The partitions of its records, each once, rising."""
        held = np.asarray(self.partitions, dtype=np.int32)
        changed = held[1:][held[1:] != held[:-1]]
        return sorted({*held[:1].tolist(), *changed.tolist()})

    def with_all(self, places: Sequence[int]) -> "TopicRecords":
        """The records at some places, with all that there is of them."""
        return self.only(places) if self.whole is None else self.whole(places)

    def only(self, places: Sequence[int]) -> "TopicRecords":
        """The records at some places."""
        if not places:
            return TopicRecords(self.topic, (), ())
        return TopicRecords(
            self.topic,
            [self.partitions[at] for at in places],
            [self.values[at] for at in places],
            self.offsets,
            self.arrivals,
            [self.keys[at] for at in places] if self.keys else (),
            [self.numbers[at] for at in places] if self.numbers else (),
            [self.stamps[at] for at in places] if self.stamps else (),
            [self.headers[at] for at in places] if self.headers else (),
        )


@dataclass(frozen=True, slots=True)
class Poll:
    """What one poll brought.

    `ends`: partitions now read to their end; `confirmed`: those of which the leader said that nothing lies beyond our
    position, not even of an open transaction, and when it was asked; `assigned`: newly taken on; `unconfirmed`: their
    silence means nothing, because their leader did not answer lately or we did not read, as of those that are held.
    """

    records: tuple[TopicRecords, ...] = ()
    ends: frozenset[Partition] = frozenset()
    assigned: frozenset[Partition] = frozenset()
    confirmed: Mapping[Partition, Nanos] = field(default_factory=dict)
    unconfirmed: frozenset[Partition] = frozenset()
    facts: tuple[Fact, ...] = field(default=())


class Source(Protocol):
    """A durable log of partitions with positions that the caller owns.

    Every record is delivered at least once from the positions given at `open` on; `positions` names the next offset
    of each partition, counting all that `poll` has returned.
    """

    def open(
        self,
        positions: Mapping[Partition, int],
        topics: Mapping[str, str] = NO_TOPICS,
        verified: Mapping[Partition, int] = NONE_VERIFIED,
    ) -> None:
        """Begin at these positions; where there is none, at the configured start. `topics`: the ids of the topics that they are of.

        `verified`: as `verified` had it. What it does not name was read of these topics, all of it.
        """
        ...

    def found(self) -> list[Fact]:
        """What is to be told of the beginning before positions are saved that lie behind it, each once; what nobody takes the next poll brings."""
        ...

    def poll(self, timeout: float) -> Poll:
        """Wait at most `timeout` seconds for records. Raises SourceError when it cannot go on."""
        ...

    def prepare_with(self, prepare: Prepare) -> None:
        """How to prepare what is read ahead; who reads nothing ahead does without."""
        ...

    def hold(self, partitions: frozenset[Partition]) -> None:
        """Read nothing of these partitions, and of all others, until told otherwise; no record is lost or repeated.

        A held partition brings no end and is unconfirmed. When it is let go, its end is reported anew once reached.
        """
        ...

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition read."""
        ...

    def topics(self) -> dict[str, str]:
        """The ids of the topics that the positions are of, as far as the log gives any."""
        ...

    def verified(self) -> dict[Partition, int]:
        """Before which offset nothing was read of a topic made after that of `topics`; from there to the position something may have been."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish positions for lag tools. They are advice: our own are the truth."""
        ...

    @property
    def other_committer(self) -> bool:
        """Whether somebody else publishes positions under our name."""
        ...

    def trouble(self) -> str | None:
        """Why the source is not ready, in one line; None when it is."""
        ...

    def close(self) -> None:
        """Let go of connections, in bounded time."""
        ...
