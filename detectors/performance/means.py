"""Means of a loss from exact sums, with their error."""

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Self

from detectors.performance.cells import WeighedCells
from detectors.performance.exact import as_fraction
from detectors.performance.intervals import student
from detectors.performance.measured import Measured, Metric, Unavailable

TWO = 2  # rows, for a spread


@dataclass(frozen=True, slots=True)
class LossSums:
    """Exact sums over rows of a loss l and weights w: Σw, Σw², Σwl, Σw²l, Σw²l², in the units of `exact`."""

    rows: int
    mass: Fraction
    squares: Fraction
    loss: int
    squared_weight_loss: int
    squared_loss: int

    @classmethod
    def of(cls, cells: WeighedCells, loss: int, squared_weight_loss: int, squared_loss: int) -> Self:
        """Return the sums of a loss over all rows of some cells."""
        mass, squares = Fraction(float(cells.mass.sum())), Fraction(float(cells.squares.sum()))
        return cls(cells.total, mass, squares, loss, squared_weight_loss, squared_loss)

    def mean(self) -> float:
        """Return the mean, rounded once."""
        return float(as_fraction(self.loss) / self.mass)

    def error(self) -> float | None:
        """Return its standard error; None for one row."""
        if self.rows < TWO:
            return None
        mean = as_fraction(self.loss) / self.mass
        spread = as_fraction(self.squared_loss) - 2 * mean * as_fraction(self.squared_weight_loss)
        spread += mean**2 * self.squares
        return math.sqrt(max(0.0, float(spread / self.mass**2)) * self.rows / (self.rows - 1))


def mean_metric(sums: LossSums, confidence: float, reason: str, least: float = -math.inf) -> Metric:
    """Return a mean with Student's interval, which ends at `least`; none where all losses are equal, or there is one."""
    if not sums.mass:
        return Unavailable(reason, sums.rows)
    value, error = sums.mean(), sums.error()
    if not error:
        return Measured(value, sums.rows, error)
    low, high = student(value, error, sums.rows, confidence)
    return Measured(value, sums.rows, error, (max(least, low), high))
