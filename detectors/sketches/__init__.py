"""Counted representations of a window: the frozen grid and the counts on it."""

from detectors.sketches.grid import Cells, Grid, GridMismatchError, per_grid
from detectors.sketches.sketch import Sketch

__all__ = ["Cells", "Grid", "GridMismatchError", "Sketch", "per_grid"]
