"""Whether charts warn as seldom as the calibration promises; days.py asks the same of days."""

import numpy as np

from detectors.charts.budget import gaussian_arl
from detectors.charts.design import DRIFTS
from detectors.features import Floats, Ints

MEMORY_NS = 7 * 86_400 * 10**9
TIMES = 2.0  # as many warnings as chance allows, and
MORE = 10.0  # so many on top: then the calibration is suspect, until it is half of both


class SelfCheck:
    """Counts of warnings seen and of those that chance would bring at most, older ones fading."""

    def __init__(self, thresholds: Floats, subgroup_ns: int) -> None:
        arls = [
            gaussian_arl(limit / 2, drift) for limit, drift in zip(thresholds.tolist(), DRIFTS.tolist(), strict=False)
        ]
        self.chances = 1 / np.array(arls)  # of a warning, a point of each chart
        self._fading = 1 - min(subgroup_ns / MEMORY_NS, 0.5)
        self.counts = np.zeros(2)  # seen, expected
        self.suspected = np.zeros(1, dtype=np.bool_)

    def follow(self, seen: int, charts: Ints) -> float:
        """Take one point of so many charts of each kind, int64[5]; the number of warnings expected of it is returned."""
        due = float(charts @ self.chances)
        self.counts = self.counts * self._fading + (seen, due)
        excess = self.counts[0] / (TIMES * self.counts[1] + MORE)
        self.suspected[0] = excess > (0.5 if self.suspected[0] else 1.0)
        return due

    @property
    def suspect(self) -> bool:
        """Whether far more was seen than expected."""
        return bool(self.suspected[0])
