"""A column at a time: each value's cell, with counts and sums, and cells by window. By the compiled part where it was built.

Sums are those of one value after the other, in the order of rows: however a column is cut into chunks, they are the same to the last bit.
"""

import numpy as np
from numpy.typing import NDArray

from detectors.features import LARGEST, Codes, Floats, Ints
from detectors.sketches.counting import COMPILED

if COMPILED:
    from detectors.sketches import _count

NOWHERE = -1  # the merged cell of what is missing, and the slot of a window that is not counted


class ColumnCells:
    """Counts values of one number by cell: under, bins, over, missing, -inf, +inf, as a layout has them.

    `edges` float64[m], rising; `counts` int64[m + 4]. `sums` float64[m + 4] are of how far values lie above the lower end
    of their bin, times `scale`, so that they stay as exact as a bin is narrow; those beside bins are not to be used.
    """

    def __init__(self, edges: Floats, scale: float = 1.0) -> None:
        self.edges = np.require(edges if edges.size else np.array([-LARGEST]), np.float64, ["C", "A"])
        self.scale = scale
        self._bases = np.concatenate([self.edges[:1], self.edges, np.zeros(3)]) * scale
        self.counts = np.zeros(self.edges.size + 4, dtype=np.int64)
        self.sums = np.zeros(self.edges.size + 4)

    def add(self, values: Floats) -> Codes:
        """Take float64[n]. Returns the cell of each, int32[n]."""
        cells = np.empty(values.size, dtype=np.int32)
        if not COMPILED or not _count.place(self.edges, values, self.scale, self._bases, self.counts, self.sums, cells):
            self.numpy_add(values, cells)
        return cells

    def means(self) -> Floats:
        """Return the mean of each bin, float64[m - 1]; NaN where it is empty."""
        bins = slice(1, self.edges.size)
        with np.errstate(invalid="ignore"):
            above = self.sums[bins] / self.counts[bins]
        return np.asarray((self._bases[bins] + above) / self.scale)

    def numpy_add(self, values: Floats, cells: Codes) -> None:
        """Do the same by numpy, into `cells` int32[n]."""
        infinite = np.abs(values) >= LARGEST
        held = np.where(infinite, 0.0, values)
        cells[:] = self.edges.searchsorted(held, side="left")  # NaN behind all: over
        missing = self.edges.size + 1
        cells[np.isnan(values)] = missing
        cells[infinite] = np.where(values[infinite] < 0, missing + 1, missing + 2)
        self.counts += np.bincount(cells, minlength=self.counts.size)
        with np.errstate(over="ignore", invalid="ignore"):  # beside the bins, where sums are not used
            np.add.at(self.sums, cells, held * self.scale - self._bases[cells])


def tally(cells: Codes, merged: Ints, window: Ints, slots: Ints, counts: NDArray[np.uint32]) -> None:
    """Count rows by window and merged cell.

    Row i of int32[n] `cells` has the place merged[cells[i]] in the line slots[window[i]] of `counts` uint32[k, width]; where
    either is NOWHERE it is not counted. `merged`, `window` and `slots` are int64.
    """
    if not COMPILED or not _count.tally(cells, merged, window, slots, counts):
        numpy_tally(cells, merged, window, slots, counts)


def numpy_tally(cells: Codes, merged: Ints, window: Ints, slots: Ints, counts: NDArray[np.uint32]) -> None:
    """Do the same by numpy."""
    wide = counts.shape[1] + 1  # a place beside the cells for what is nowhere
    places = np.where(merged == NOWHERE, counts.shape[1], merged)[cells]
    found = np.bincount(window * wide + places, minlength=slots.size * wide).reshape(-1, wide)
    known = slots != NOWHERE
    counts[slots[known]] += found[known, :-1].astype(np.uint32)  # no window has two slots
