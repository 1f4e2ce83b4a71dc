"""Whether charts warn as seldom as the calibration promises."""

import numpy as np

from detectors.decision.budget import gaussian_arl
from detectors.features import Floats

MEMORY = 2016  # steps: a week of five minutes
TIMES = 2.0  # as many warnings as chance allows, and
MORE = 10.0  # so many on top: then the calibration is suspect, until it is half of both


class SelfCheck:
    """Counts of warnings seen and of those that chance would bring at most, older ones fading."""

    def __init__(self, thresholds: Floats) -> None:
        self.chance = 1 / gaussian_arl(float(thresholds[0]) / 2)  # of a warning, a chart and step
        self.counts = np.zeros(2)  # seen, expected
        self.suspected = np.zeros(1, dtype=np.bool_)

    def follow(self, seen: int, charts: int) -> float:
        """Take one step of so many charts; the number of warnings expected of it is returned."""
        due = charts * self.chance
        self.counts = self.counts * (1 - 1 / MEMORY) + (seen, due)
        excess = self.counts[0] / (TIMES * self.counts[1] + MORE)
        self.suspected[0] = excess > (0.5 if self.suspected[0] else 1.0)
        return due

    @property
    def suspect(self) -> bool:
        """Whether far more was seen than expected."""
        return bool(self.suspected[0])
