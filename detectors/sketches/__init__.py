"""Counted representations of a window: the frozen grid and the counts on it."""

from detectors.sketches import counting, sums
from detectors.sketches.grid import Cells, Grid, GridMismatchError, per_grid
from detectors.sketches.packed import PackedSketch
from detectors.sketches.sketch import Sketch, Tally

COMPILED = {"counting": counting.COMPILED, "scoring": sums.USED}  # what compiled parts do; the rest numpy does

__all__ = ["COMPILED", "Cells", "Grid", "GridMismatchError", "PackedSketch", "Sketch", "Tally", "per_grid"]
