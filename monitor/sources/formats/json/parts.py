"""Messages of JSON that hold many events, cut into one message an event, which is then read as JSON is (HOT)."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages, Prepared, TopicRecords
from monitor.sources.formats.base import Prepares, Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json import JsonDecoder
from monitor.sources.formats.json.documents import read_documents
from monitor.sources.formats.values import Rejected
from monitor.sources.lines import USED, LineValues, cut_lying
from monitor.stream.events import Nanos

Cut = Callable[[bytes], list[bytes]]
"""The events of a message that is not empty, at least one. Raises Rejected."""
Weave = Callable[[bytes], Messages | None]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LyingEvents:
    """What the compiled part finds where it lies: lines, or objects of an array with an object under `key`; in messages of so many bytes, and lines.

    `weave` makes events of other messages, None of those that it leaves; it raises Rejected.
    """

    key: str | None
    most: int
    lines: int = 0
    weave: Weave | None = None


@dataclass(frozen=True, slots=True)
class CutEvents:
    """The events of some messages, the place of each one's message, and why messages have none."""

    values: Sequence[bytes | None]
    places: NDArray[np.int64]
    rejected: Counter[str]


@dataclass(frozen=True, slots=True)
class PreparedEvents:
    """The events of some messages, cut ahead, and what was read of them."""

    messages: Sequence[bytes | None]
    events: CutEvents
    prepared: Prepared | None

    @property
    def nbytes(self) -> int:
        """What is kept beside the messages."""
        woven = self.events.values.nbytes if isinstance(self.events.values, LineValues) else 0
        return woven + self.events.places.nbytes + (0 if self.prepared is None else self.prepared.nbytes)


class PartsDecoder:
    """Cuts messages, and leaves the rest to JSON."""

    def __init__(self, topic: TopicFields, cut: Cut, lying: LyingEvents | None = None) -> None:
        """`lying` are events of which `cut` gives the same."""
        self.parts = JsonDecoder(topic)
        self._cut = cut
        self._lying = lying if USED else None

    def split(self, records: TopicRecords) -> tuple[TopicRecords, Counter[str]]:
        """One record an event; keys, offsets and all else of a record are those of each of its events. What holds none is counted."""
        ahead = records.prepared
        if not (isinstance(ahead, PreparedEvents) and ahead.messages is records.values):
            ahead = PreparedEvents(records.values, self._parts(records.values), None)
        found = ahead.events
        if len(found.places) == len(records.values) and not found.rejected:
            return replace(records, values=found.values, prepared=ahead.prepared), found.rejected
        each = found.places
        return (
            replace(
                records,
                partitions=_of(records.partitions, each),
                values=found.values,
                keys=_of(records.keys, each),
                numbers=_of(records.numbers or _numbers(records), each),
                stamps=_of(records.stamps, each),
                headers=_of(records.headers, each),
                prepared=ahead.prepared,
            ),
            found.rejected,
        )

    def prepare(self, values: Sequence[bytes | None], reader: Reader, latest: Nanos) -> PreparedEvents:
        """Cut values ahead, in any thread, and read their events."""
        found = self._parts(values)
        return PreparedEvents(
            values, found, reader.prepare(found.values, latest) if isinstance(reader, Prepares) else None
        )

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """A row an event."""
        found = self._parts(values)
        rows = read_documents(found.values)
        messages = found.places[rows.messages]
        return replace(rows, messages=messages, rejected=Counter(rows.rejected) + found.rejected)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The events that can be read. Raises Rejected where none can."""
        if not raw:
            raise Rejected("empty")
        reason, good = "", 0
        for part in self._cut(raw):
            try:
                yield from self.parts.inspect(part)
                good += 1
            except Rejected as rejected:
                reason = reason or str(rejected)
        if not good:
            raise Rejected(reason)

    def _parts(self, values: Sequence[bytes | None]) -> CutEvents:
        rejected: Counter[str] = Counter()

        def cut(place: int) -> list[bytes | None]:
            raw = values[place]
            try:
                return [*self._cut(raw)] if raw else [raw]  # what is nothing is counted by who reads it
            except Rejected as reason:
                rejected[str(reason)] += 1
                return []

        def woven(place: int) -> list[bytes | None] | Messages:
            raw = values[place]
            try:
                found = None if weave is None or not raw else weave(raw)
            except Rejected as reason:
                rejected[str(reason)] += 1
                return []
            return cut(place) if found is None else found

        if self._lying is not None:
            lying, weave = self._lying, self._lying.weave
            return CutEvents(*cut_lying(values, lying.key, lying.most, lying.lines, woven), rejected)
        events = [cut(place) for place in range(len(values))]
        places = np.repeat(np.arange(len(events)), list(map(len, events)))
        return CutEvents([event for each in events for event in each], places, rejected)


def _of(held: Sequence[T], places: NDArray[np.int64]) -> Sequence[T]:
    if not held or not len(places):
        return ()
    first = held[0]
    if all(each is first or each == first for each in held):  # as of a partition
        return [first] * len(places)
    return [held[place] for place in places.tolist()]


def _numbers(records: TopicRecords) -> Sequence[int]:
    """The offsets of records where no offset of what is spanned lacks."""
    following = {each.partition.index: each.first for each in records.offsets}
    if not following or not following.keys() >= set(records.partitions):
        return ()
    numbers = []
    for partition in records.partitions:
        numbers.append(following[partition])
        following[partition] += 1
    return numbers
