"""Which records were rejected, and why: found after the fact, so that records that count pay nothing for it.

A decoder counts rejections by reason. Where their messages were known, they were noted (`DecodeCounts.reject`). The others are looked for by
reading groups of messages once more and comparing counts: first the messages of which no row came, then, if some are left, the rest.
A group that has one reason for all of its messages is told at once, so a flood of one kind costs one reading; others are cut up.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import SKIPPED, TOMBSTONE
from monitor.sources.formats.times import NOT_A_TIME
from monitor.stream.events import Partition
from monitor.stream.rejected import RejectedRecord, Why

WAYS = 16  # into how many groups one is cut up: each level reads all of it again
NONE = frozenset({TOMBSTONE, SKIPPED})  # reasons of what is no event, and is not rejected
Told = tuple[
    NDArray[np.intp] | None, NDArray[np.int64]
]  # places of messages, None: all; and event times read from them
Noted = Sequence[tuple[str, NDArray[np.intp]]]  # reasons, and the places of messages
Judge = Callable[[Sequence[int]], Counter[str]]
"""Why the rows of the messages at some places are rejected, or none; nothing is changed by it."""


@dataclass(slots=True)
class RejectionSearch:
    """Places of messages with the rows that were rejected. `left` are the rejections that nobody has found yet."""

    judge: Judge
    rows: Callable[[int], Sequence[Why]]  # that are rejected of the message at a place
    left: Counter[str]
    found: defaultdict[int, list[Why]] = field(default_factory=lambda: defaultdict(list))

    def look_through(self, records: TopicRecords, cut: TopicRecords, told: Sequence[Told], noted: Noted) -> None:
        """Look for all of them. `cut` are these records, one an event, of which `told` counted, and some were `noted` as they were rejected."""
        origins = _origins(records, cut)
        silent = np.full(len(records.values), origins is not None)
        if origins is not None:
            for places, times in told:
                counted = np.flatnonzero(times != NOT_A_TIME)
                silent[origins[counted if places is None else places[counted]]] = False
            self._take([(reason, origins[places]) for reason, places in noted])
        unknown = silent.copy()
        unknown[list(self.found)] = False
        self._look(np.flatnonzero(unknown).tolist(), silent=True)
        self._look(np.flatnonzero(~unknown).tolist(), silent=False)
        for place, whys in self.found.items():
            if len(whys) > 1 or not silent[place]:
                self.found[place] = self._named(place, whys)

    def _take(self, noted: Noted) -> None:
        for reason, places in noted:
            self.left[reason] -= len(places)
            for place in places.tolist():
                self.found[place].append((None, reason))

    def _look(self, places: Sequence[int], *, silent: bool) -> None:
        """`silent`: none of their rows counted, so that each message has at least one reason."""
        if not places or not +self.left:
            return
        counts = +self.judge(places)
        whys = Counter(
            {reason: count for reason, count in counts.items() if reason not in NONE and self.left[reason] > 0}
        )
        if not whys:
            return
        if len(places) == 1:
            (place,) = places
            whys -= Counter(reason for _, reason in self.found.get(place, ()))
            self._take([(reason, np.full(count, place)) for reason, count in whys.items()])
        elif silent and len(counts) == 1 and counts.total() == len(places):
            (reason,) = whys
            self._take([(reason, np.array(places))])
        else:
            size = -(-len(places) // WAYS)
            for at in range(0, len(places), size):
                self._look(places[at : at + size], silent=silent)

    def _named(self, place: int, whys: list[Why]) -> list[Why]:
        """The rows of a message that has several."""
        named = list(self.rows(place))
        return named if Counter(why for _, why in named) == Counter(why for _, why in whys) else whys


def rejected_records(records: TopicRecords, search: RejectionSearch) -> list[RejectedRecord]:
    """The records that were found, with all that there is of them; of what was not found the run in which it lies."""
    places = sorted(search.found)
    whole = records.with_all(places)
    offsets = whole.numbers or offsets_of(records, places)
    found = [
        RejectedRecord(
            Partition(records.topic, whole.partitions[at]),
            offsets[at],
            search.found[place],
            (whole.stamps[at] or None) if whole.stamps else None,
            whole.values[at],
            whole.keys[at] if whole.keys else None,
            tuple(whole.headers[at]) if whole.headers else (),
        )
        for at, place in enumerate(places)
    ]
    return [*found, *_unplaced(records, search.left)]


def _unplaced(records: TopicRecords, left: Counter[str]) -> list[RejectedRecord]:
    """Of rejections that could not be found again, as of a decoder that reads a message otherwise when it stands alone."""
    where = records.offsets[0] if records.offsets else None
    return [
        RejectedRecord(where.partition, where.first, [(None, reason)], last=where.last, each=count)
        for reason, count in sorted((+left).items())
        if where is not None
    ]


def _origins(records: TopicRecords, cut: TopicRecords) -> NDArray[np.intp] | None:
    """The place of each event's record, int64[n]; None where events do not tell."""
    if cut.partitions is records.partitions:
        return np.arange(len(records.values))
    if not cut.numbers:
        return None
    own = records.numbers or offsets_of(records, range(len(records.values)))
    known = {place: at for at, place in enumerate(zip(records.partitions, own, strict=True))}
    return np.array([known[place] for place in zip(cut.partitions, cut.numbers, strict=True)], dtype=np.intp)


def offsets_of(records: TopicRecords, places: Sequence[int]) -> list[int]:
    """The offsets of the records at these places, where no offset of what is spanned lacks; without a span they are counted from 0."""
    held = np.asarray(records.partitions, dtype=np.int64)
    offsets = np.empty(len(held), dtype=np.int64)
    firsts = {each.partition.index: each.first for each in records.offsets}
    for index in np.unique(held).tolist():
        ours = np.flatnonzero(held == index)
        offsets[ours] = firsts.get(index, 0) + np.arange(ours.size)
    chosen: list[int] = offsets[np.asarray(places, dtype=np.intp)].tolist()
    return chosen
