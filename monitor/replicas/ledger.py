"""What an owner has heard of one log: prefixes held and staged, progress that waits for its prefixes, and what is missing.

    held      the prefixes that the taken progress names: they are counted
    staged    the newest of each place beyond that: they wait for progress that names them
    waiting   the newest progress of a cell that is not taken yet

A prefix replaces the one before, so nothing has to be subtracted, and of repeats, zombies and reordered producers only the newest
matters. Progress is taken whole or not at all: what is counted is always all records of a log up to one offset.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from monitor.replicas.cells import SourceLog, ViewPlace, cell_end
from monitor.replicas.wire import CellPrefix, CellProgress, FaultyRecordError, RecordFault
from monitor.stream.delta import NO_ROWS, PaneCounts, RowsHeld
from monitor.stream.events import Nanos

AHEAD = 4  # cells beyond the open one of which prefixes are kept while something of it is missing; the others are read again


@dataclass(frozen=True, slots=True)
class OffsetGap:
    """Records of a log whose counts did not come, though something came that stands behind them: [first, end).

    `places` are those that miss some; empty where nobody has said. It closes when somebody folds the cell that begins at `cell` again.
    """

    log: SourceLog
    cell: int
    first: int
    end: int
    places: tuple[ViewPlace, ...] = ()

    def __str__(self) -> str:
        of = ", ".join(map(str, self.places)) or "everything"
        return f"{self.log}: no counts of [{self.first}, {self.end}) of {of}: fold it again from {self.cell}"


@dataclass(slots=True)
class KeptPrefix:
    """A prefix as it is kept. `raw` is the record, `rows` what its panes account for; `panes` their counts, none once they are handed over."""

    end: int
    digest: bytes
    raw: bytes
    rows: Mapping[Nanos, RowsHeld]
    panes: Mapping[Nanos, PaneCounts]


@dataclass(slots=True)
class CellState:
    """What was heard of one cell. `passed` are digests of counts that were given up."""

    begin: int
    held: dict[ViewPlace, KeptPrefix] = field(default_factory=dict)
    staged: dict[ViewPlace, KeptPrefix] = field(default_factory=dict)
    waiting: CellProgress | None = None
    raw: bytes = b""  # the record of what is waiting
    passed: dict[ViewPlace, bytes] = field(default_factory=dict)

    def newest(self, place: ViewPlace) -> KeptPrefix | None:
        """The prefix of a place that reaches furthest."""
        return self.staged.get(place) or self.held.get(place)

    def is_new(self, prefix: CellPrefix, digest: bytes) -> bool:
        """Whether it reaches further than what is there. Raises FaultyRecordError where two that end alike say two things."""
        for kept in (self.staged.get(prefix.place), self.held.get(prefix.place)):
            if kept is not None and kept.end == prefix.end and kept.digest != digest:
                raise FaultyRecordError(RecordFault.CONTRADICTS, f"{prefix.place} in [{prefix.begin}, {prefix.end})")
        newest = self.newest(prefix.place)
        return newest is None or newest.end < prefix.end

    def stage(self, place: ViewPlace, kept: KeptPrefix) -> None:
        """Keep a prefix until progress names it. Raises FaultyRecordError where it has fewer rows than one of fewer records."""
        newest = self.newest(place)
        if newest is not None:
            for start, before in newest.rows.items():
                if kept.rows.get(start, NO_ROWS).rows < before.rows:
                    raise FaultyRecordError(
                        RecordFault.CONTRADICTS, f"{place} has lost rows between {newest.end} and {kept.end}"
                    )
        self.staged[place] = kept

    def missing(self, progress: CellProgress) -> tuple[list[ViewPlace], bool]:
        """The places of which progress names counts that did not come; and whether it only has to wait, for one of them is further.

        Raises FaultyRecordError where it does not know what is counted already.
        """
        absent, ahead = list[ViewPlace](), False
        for place, digest in progress.digests.items():
            held, staged = self.held.get(place), self.staged.get(place)
            if digest in {held and held.digest, staged and staged.digest, self.passed.get(place)}:
                continue
            if staged is not None and staged.end > progress.end:
                ahead = True
            elif held is not None and held.end >= progress.end:
                raise FaultyRecordError(RecordFault.CONTRADICTS, f"{place} in [{self.begin}, {progress.end})")
            else:
                absent.append(place)
        if not self.held.keys() <= progress.digests.keys():
            raise FaultyRecordError(
                RecordFault.CONTRADICTS, f"[{self.begin}, {progress.end}) without what is counted of it"
            )
        return absent, ahead


@dataclass(slots=True)
class LogState:
    """How far one log was taken: `taken` in the cell that begins at `begin`; `at` when the last progress was read."""

    log: SourceLog
    length: int
    begin: int
    taken: int
    at: Nanos | None = None
    gap: OffsetGap | None = None
    later: int | None = None  # the first cell after the open one of which anything was heard
    cells: dict[int, CellState] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """The end of the open cell."""
        return cell_end(self.begin, self.length)

    def cell(self, begin: int, end: int) -> CellState | None:
        """The cell that a record [begin, end) is of; None where it is over, or too far ahead.

        Raises FaultyRecordError for one that is no cell, or does not begin where it was begun.
        """
        if begin < self.begin:
            return None
        if (begin > self.begin and begin % self.length) or end > cell_end(begin, self.length):
            raise FaultyRecordError(
                RecordFault.ELSEWHERE, f"[{begin}, {end}), and the open cell is [{self.begin}, {self.end})"
            )
        if begin > self.begin:
            self.later = begin if self.later is None else min(self.later, begin)
            if begin - self.end >= AHEAD * self.length:
                return None
        return self.cells.setdefault(begin, CellState(begin))

    def open_next(self) -> None:
        """The open cell is over: open the next."""
        self._open(self.end)

    def open_later(self) -> None:
        """Leave the open cell as it is for the next of which anything was heard."""
        assert self.later is not None
        self._open(self.later)

    def _open(self, begin: int) -> None:
        self.cells.pop(self.begin, None)
        self.begin = self.taken = begin
        self.later = min((each for each in self.cells if each > begin), default=None)

    def stalled(self, absent: list[ViewPlace]) -> OffsetGap | None:
        """What is missing, given what the progress of the open cell names in vain."""
        cell = self.cells.get(self.begin)
        if absent:
            assert cell is not None
            assert cell.waiting is not None
            return OffsetGap(self.log, self.begin, self.taken, cell.waiting.end, tuple(sorted(absent)))
        return None if self.later is None else OffsetGap(self.log, self.begin, self.taken, self.later)
