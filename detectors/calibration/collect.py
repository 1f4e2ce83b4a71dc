"""Counts a reference by window on merged cells, its rows in any order."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.cells import MergedCells
from detectors.calibration.windows import WindowCounts
from detectors.features import Codes, Floats, Ints
from detectors.sketches.groups import PLACES, spread, together
from detectors.sketches.ids import Hashes
from detectors.sketches.placing import NOWHERE, tally
from detectors.sketches.violations import PART

KEPT_NS = 8 * 7 * 86_400 * 10**9  # of windows: a week is then seen eight times
KEPT_WINDOWS = 1000  # at least: of long windows eight weeks hold few
MOST_BYTES = 2**30  # of counts: a thousand features keep eight weeks of windows of 5 minutes
NO_TIME = np.iinfo(np.int64).min  # how numpy stores NaT


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A chunk's rows by window: `window` int64[n] numbers those that occur, `slots` says where each of these stands.

    That is in `counts` uint32[k, f, width], which columns are added to; NOWHERE where a window is not counted. `merged`
    says for each feature which cell of them a cell of its row of counts belongs to.
    """

    merged: tuple[Ints, ...]
    counts: NDArray[np.uint32]
    window: Ints
    slots: Ints

    def add(self, at: int, cells: Codes) -> None:
        """Count one feature of the chunk, `at` in the layout's order: the cell of each row in the feature's row of counts."""
        tally(cells, self.merged[at], self.window, self.slots, self.counts[:, at])


class WindowTally:
    """Adds up a reference chunk by chunk, column by column; what is not put into a cell is missing.

    It holds 4 bytes a cell of each feature and window, so at most 64 bytes a feature and window.
    """

    def __init__(self, cells: MergedCells, window_ns: int, windows: Ints) -> None:
        """`windows`: numbers (event time // `window_ns`) of those that occur, rising; the last eight weeks are counted, or thousand."""
        self.cells = cells
        self._window_ns = window_ns
        self._windows = windows[-most_windows(cells, window_ns) :]
        self._merged = tuple(cells.places(at) for at in range(len(cells.cuts)))
        self._rows = np.zeros(self._windows.size, dtype=np.int64)
        self._counts = np.zeros((self._windows.size, len(cells.cuts), cells.width), dtype=np.uint32)
        self._groups: _Groups | None = None
        self._unlogged: Ints | None = None

    def place(self, times: Ints, groups: Hashes | None = None, weights: Ints | None = None) -> Placed:
        """Begin a chunk with its rows' event times, int64[n] nanoseconds; a row of NO_TIME is in no window.

        `groups` uint64[n] are hashes of what rows belong to, 0 where one belongs to nothing.
        `weights` int64[n] are millionths: how many rows each stands for.
        """
        windows, window = occurring(times // self._window_ns)
        known = np.isin(windows, self._windows, assume_unique=True)
        slots = np.where(known, np.searchsorted(self._windows, windows), NOWHERE)
        self._rows[slots[known]] += np.bincount(window, minlength=windows.size)[known]
        if groups is not None:
            self._groups = self._groups or _Groups(self._windows.size)
            inside = known[window]
            self._groups.add(slots[window[inside]], groups[inside])
        if weights is not None:
            more = np.bincount(window, weights=weights - PART, minlength=windows.size).astype(np.int64)
            self._unlogged = np.zeros_like(self._rows) if self._unlogged is None else self._unlogged
            self._unlogged[slots[known]] += more[known]
        return Placed(self._merged, self._counts, window, slots)

    def part(self, at: int) -> tuple[Ints, NDArray[np.uint32]]:
        """Return which windows have values of a feature, `at` in the layout's order, int64[m], and their cells, uint32[m, width]."""
        held = np.flatnonzero(self._counts[:, at].any(axis=1))
        return held, self._counts[held, at]

    def take(self, at: int, windows: Ints, cells: NDArray[np.uint32]) -> None:
        """Take what another tally of the same windows returned as its part."""
        self._counts[windows, at] += cells

    def rows_part(self) -> tuple[Ints, NDArray[np.int32] | None, Ints | None]:
        """Return the rows of each window, int64[k], and what their groups add up to, int32[k, 512] of int64[k] rows that say theirs; None without groups."""
        groups = self._groups
        return (self._rows, None, None) if groups is None else (self._rows, groups.sums, groups.rows)

    def take_rows(self, rows: Ints, sums: NDArray[np.int32] | None = None, grouped: Ints | None = None) -> None:
        """Take what another tally of the same windows returned of its rows."""
        self._rows += rows
        if sums is not None and grouped is not None:
            self._groups = self._groups or _Groups(self._windows.size)
            self._groups.sums += sums
            self._groups.rows += grouped

    def counted(self) -> WindowCounts:
        """Return all that was taken."""
        more = None if self._unlogged is None else self._rows + (self._unlogged + PART // 2) // PART
        counted = WindowCounts(self._window_ns, self._windows * self._window_ns, self._rows, self._counts, arrived=more)
        if self._groups is None:
            return counted
        return replace(counted, together=self._groups.together(self._rows), grouped=self._groups.rows)


class _Groups:
    """What the groups of each window add up to: 2 KiB a window."""

    def __init__(self, windows: int) -> None:
        self.sums = np.zeros((windows, PLACES), dtype=np.int32)
        self.rows = np.zeros(windows, dtype=np.int64)  # that have one

    def add(self, slots: Ints, hashes: Hashes) -> None:
        places, signs = spread(hashes)
        np.add.at(self.sums, (slots, places), signs.astype(np.int32))
        self.rows += np.bincount(slots[signs != 0], minlength=self.rows.size)

    def together(self, rows: Ints) -> Floats:
        return together(self.sums, self.rows, rows)


def most_windows(cells: MergedCells, window_ns: int) -> int:
    """How many windows are kept: eight weeks of them or a thousand, as far as a gibibyte goes."""
    return max(1, min(max(KEPT_NS // window_ns, KEPT_WINDOWS), MOST_BYTES // (4 * cells.width * len(cells.cuts))))


def occurring(windows: Ints) -> tuple[Ints, Ints]:
    """Return which windows int64[n] there are, rising, and which of them each row is in, int64[n].

    Rows that follow one another are mostly of one window: runs of them are sorted.
    """
    heads = np.flatnonzero(np.diff(windows, prepend=windows[:1] - 1))
    distinct, which = np.unique(windows[heads], return_inverse=True)
    return distinct, np.repeat(which, np.diff(heads, append=windows.size))
