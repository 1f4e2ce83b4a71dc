"""Ids that are to come once: rows that repeat one of the same window or the window before, by the sample of ids of each pane.

The sample (detectors/sketches/ids.py) holds all ids of a pane with few of them, and of others those of the smallest hashes: the count is
then an estimate, and nothing where nothing comes twice. What came longer ago is forgotten: that is what `driftd contract check` asks.
"""

from collections.abc import Sequence

import msgspec

from detectors import Sketch
from detectors.sketches.ids import IdSample, merged
from monitor.facts import ContractBroken, Fact
from monitor.series.contract import ID, UNIQUE
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import SealedPane

IDS = "unique_ids"
SURE = 2.0  # standard errors, below which a repeat is left to chance in what pages people


class SavedIds(msgspec.Struct):
    """The window that panes are of, and the ids of its panes so far and of the window before."""

    number: int = 0
    now: bytes = b""
    before: bytes = b""


class UniqueIds(Operator[Sketch]):
    """Counts repeats as panes are sealed. `sure` are those of the last pane that sampling does not explain."""

    name = IDS
    kinds = (IDS,)

    def __init__(self, key: SeriesKey, window_length: Nanos) -> None:
        self._key = key
        self._length = window_length
        self._number = 0
        self._now: tuple[IdSample, ...] = ()
        self._before: tuple[IdSample, ...] = ()
        self._changed = False
        self.sure = 0

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Count the rows of a pane that repeat an id."""
        self.sure, number = 0, pane.start // self._length
        if number != self._number:
            self._before = self._now if number == self._number + 1 else ()
            self._number, self._now, self._changed = number, (), True
        if pane.sketch.ids is None:
            return []
        sample, known = pane.sketch.ids.sample, (*self._before, *self._now)
        found = sample.duplicates(merged(known) if known else None)
        self._now, self._changed = (merged((*self._now, sample)),), True
        self.sure = round(max(found.share - SURE * found.error, 0.0) * found.rows)
        count = round(found.share * found.rows)
        return [ContractBroken(self._key, {(ID, UNIQUE): count})] if count else []

    def changes(self) -> list[Entry]:
        """The ids, if any pane came."""
        changed, self._changed = self._changed, False
        return self.snapshot() if changed else []

    def snapshot(self) -> list[Entry]:
        """One row."""
        now, before = (b"".join(each.to_bytes() for each in held) for held in (self._now, self._before))
        return [Entry(IDS, msgspec.msgpack.encode(SavedIds(self._number, now, before)))]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take them up, whatever panes are now: an id is what it was."""
        del alike
        for entry in entries:
            saved = msgspec.msgpack.decode(entry.held, type=SavedIds)
            self._number = saved.number
            self._now, self._before = (
                (IdSample.from_bytes(held),) if held else () for held in (saved.now, saved.before)
            )
        return []
