"""Rates that have become better: fewer missing or unseen values. Something to know, nothing to be woken for."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.charts.design import ChartDesign
from detectors.features import Bools, Floats, Ints

ODDS = 1 / 3  # of the reference's, that the sums look for
FLOOR = 0.1  # of the rate: less is nobody's news


class Improvements:
    """Log likelihood ratios of a third of the reference's rate, summed up to the same threshold as the charts of rates."""

    def __init__(self, design: ChartDesign) -> None:
        rates = design.rates
        usual, behind = (part[: 2 * rates.features].reshape(2, -1).T for part in (rates.known, rates.behind))
        self._dispersion = rates.dispersion[: 2 * rates.features].reshape(2, -1).T
        self._threshold = float(design.thresholds[-1])
        error = design.error * np.sqrt(usual / behind * self._dispersion)
        lower = np.clip(usual * (1 - FLOOR) - error, 0.0, 1.0)
        self._cost: Floats = np.log1p(lower * (ODDS - 1))
        self.values: Floats = np.zeros_like(lower)
        self.better: Bools = np.zeros_like(lower, dtype=np.bool_)

    @property
    def none(self) -> Bools:
        """No rate at all, bool[f, 2]."""
        return np.zeros_like(self.better)

    def follow(self, missing: Ints, unseen: Ints, rows: int) -> Bools:
        """Take one subgroup; which rates, bool[f, 2] missing and unseen, have just become better."""
        events = np.stack([missing, unseen]).T
        gained = (events * np.log(ODDS) - rows * self._cost) / self._dispersion
        self.values = np.maximum(self.values + np.minimum(gained, self._threshold / 2), 0.0)
        newly = (self.values >= self._threshold) & ~self.better
        self.values = np.minimum(self.values, 2 * self._threshold)  # so that it is soon seen when they are worse again
        self.better = (self.better | newly) & (self.values > 0)
        return np.asarray(newly)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        return {"improved": self.values, "better": self.better}
