"""Cells of rows with their weights, and the share of some of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Floats, Ints
from detectors.performance.intervals import delta_error, effective_rows, wilson
from detectors.performance.measured import Measured, Metric, Unavailable

NO_ROW = "no labelled row"


@dataclass(frozen=True, slots=True, eq=False)
class WeighedCells:
    """Some cells: `rows` are counted, `mass` is their weight and `squares` the sum of squared weights.

    All three are of one shape, and the same numbers where no row has a weight.
    """

    rows: Ints
    mass: Floats
    squares: Floats

    def through(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> tuple[Ints, Floats, Floats]:
        """Return rows, mass and squares, each changed in one way: put into another shape, or added up."""
        return change(self.rows), change(self.mass), change(self.squares)

    @property
    def total(self) -> int:
        """All rows."""
        return int(self.rows.sum())

    @property
    def worth(self) -> float:
        """How many rows of equal weight are worth as much."""
        return effective_rows(self.mass, self.squares)


def share(cells: WeighedCells, hits: Bools, among: Bools, reason: str, confidence: float) -> Metric:
    """Return which share of the rows in `among` lies in `hits`, with Wilson's interval."""
    whole = float(cells.mass[among].sum())
    rows = int(cells.rows[among].sum())
    if whole == 0:
        return Unavailable(reason, rows)
    value = float(cells.mass[hits & among].sum()) / whole
    error = delta_error(np.where(among, hits - value, 0.0) / whole, cells.squares)
    worth = effective_rows(cells.mass[among], cells.squares[among])
    alike = value * (1 - value) / error**2 if error > 0 else worth
    return Measured(value, rows, error, wilson(value, alike, confidence))
