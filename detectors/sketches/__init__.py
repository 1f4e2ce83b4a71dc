"""Counted representations of a window: the frozen grid and the counts on it."""

from detectors.sketches.counting import COMPILED
from detectors.sketches.grid import Cells, Grid, GridMismatchError, per_grid
from detectors.sketches.packed import PackedSketch
from detectors.sketches.sketch import Sketch

__all__ = ["COMPILED", "Cells", "Grid", "GridMismatchError", "PackedSketch", "Sketch", "per_grid"]
