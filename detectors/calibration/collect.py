"""Counts a reference by window on merged cells, its rows in any order."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.cells import MergedCells
from detectors.calibration.windows import WindowCounts
from detectors.features import LARGEST, Bools, Codes, Floats, Ints

KEPT_NS = 8 * 7 * 86_400 * 10**9  # of windows: a week is then seen eight times
KEPT_WINDOWS = 1000  # at least: of long windows eight weeks hold few
MOST_BYTES = 2**30  # of counts: a thousand features keep eight weeks of windows of 5 minutes
BLOCK = 16_384  # values compared at once, which stay in the processor's cache
NO_TIME = np.iinfo(np.int64).min  # how numpy stores NaT


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """A chunk's rows by window: `window` int64[n] numbers those that occur, `known` says which of them are counted.

    `slots` is where the known ones stand in `counts` uint32[k, f, width], which columns are added to.
    """

    cells: MergedCells
    counts: NDArray[np.uint32]
    window: Ints
    known: Bools
    slots: Ints

    def add(self, at: int, column: Floats | Codes) -> None:
        """Count one feature of the chunk, `at` in the layout's order: a number's values, or a categorical's codes."""
        lost = self.cells.width  # a place beside the cells, thrown away below
        if at < len(self.cells.layout.numeric):
            cell = _ranked(np.asarray(column, dtype=np.float64), self.cells.rungs(at), lost)
        else:
            cell = np.append(self.cells.codes(at), lost)[column]
        counts = np.bincount(self.window * (lost + 1) + cell, minlength=self.known.size * (lost + 1))
        self.counts[self.slots, at] += counts.reshape(-1, lost + 1)[self.known, :lost].astype(np.uint32)


class WindowTally:
    """Adds up a reference chunk by chunk, column by column; what is not put into a cell is missing.

    It holds 4 bytes a cell of each feature and window, so at most 64 bytes a feature and window.
    """

    def __init__(self, cells: MergedCells, window_ns: int, windows: Ints) -> None:
        """`windows`: numbers (event time // `window_ns`) of those that occur, rising; the last eight weeks are counted, or thousand."""
        self.cells = cells
        self._window_ns = window_ns
        self._windows = windows[-most_windows(cells, window_ns) :]
        self._rows = np.zeros(self._windows.size, dtype=np.int64)
        self._counts = np.zeros((self._windows.size, len(cells.cuts), cells.width), dtype=np.uint32)

    def place(self, times: Ints) -> Placed:
        """Begin a chunk with its rows' event times, int64[n] nanoseconds; a row of NO_TIME is in no window."""
        windows, window = np.unique(times // self._window_ns, return_inverse=True)
        known = np.isin(windows, self._windows, assume_unique=True)
        slots = np.searchsorted(self._windows, windows[known])
        self._rows[slots] += np.bincount(window, minlength=windows.size)[known]
        return Placed(self.cells, self._counts, window, known, slots)

    def counted(self) -> WindowCounts:
        """Return all that was taken."""
        return WindowCounts(self._window_ns, self._windows * self._window_ns, self._rows, self._counts)


def most_windows(cells: MergedCells, window_ns: int) -> int:
    """How many windows are kept: eight weeks of them or a thousand, as far as a gibibyte goes."""
    return max(1, min(max(KEPT_NS // window_ns, KEPT_WINDOWS), MOST_BYTES // (4 * cells.width * len(cells.cuts))))


def _ranked(values: Floats, rungs: Floats, lost: int) -> NDArray[np.uint8]:
    """How many rungs lie below each value; `lost` where it is missing. For at most 15 rungs a third of a search's time."""
    below = np.zeros(values.size, dtype=np.uint8)
    for first in range(0, values.size, BLOCK):
        block, ranks = values[first : first + BLOCK], below[first : first + BLOCK]
        above = np.empty(block.size, dtype=np.bool_)
        for rung in rungs.tolist():
            np.greater(block, rung, out=above)
            ranks += above.view(np.uint8)
        ranks[~(np.abs(block) < LARGEST)] = lost
    return below
