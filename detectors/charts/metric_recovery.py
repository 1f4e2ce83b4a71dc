"""When a metric that was wrong is right again: by evidence, as it began, and never by where one window happens to lie.

The recovery test of the charts (`recovery.py`) for one metric: the likelihood ratio of "on the bound" against "as far beyond it as it has been"
is summed up while the alert is open, between 0 (it is as it was) and 9.2, odds of 10 000 to 1.
"""

from dataclasses import dataclass

from detectors.calibration.arl import DRIFT
from detectors.charts.design import CLIP
from detectors.charts.recovery import REMEMBERED, SMALLEST, SURE_OF_RECOVERY

MOST_RIGHT = -2.0  # deviate: one window on the right side says no more


@dataclass(frozen=True, slots=True)
class MetricRecovery:
    """What speaks for it that it is over. `level`: the mean deviate of `windows` windows since it began.

    >>> wrong = MetricRecovery().plus(4.0).plus(4.0).plus(4.0).plus(4.0)
    >>> wrong.is_wrong, wrong.plus(-1.0).is_over, wrong.plus(-1.0).plus(-1.0).is_over
    (True, False, True)
    """

    level: float = 0.0
    windows: float = 0.0
    odds: float = 0.0

    def plus(self, deviate: float) -> "MetricRecovery":
        """Return the same after one more window, so many standard errors beyond the bound."""
        deviate = min(max(deviate, MOST_RIGHT), CLIP)
        windows = min(self.windows + 1, REMEMBERED)
        mean = self.level + (deviate - self.level) / windows
        level = max(mean, SMALLEST * DRIFT)
        odds = self.odds + level * (level / 2 - deviate)
        return MetricRecovery(mean, windows, min(max(odds, 0.0), SURE_OF_RECOVERY))

    @property
    def is_wrong(self) -> bool:
        """Whether nothing speaks for it."""
        return self.odds <= 0

    @property
    def is_over(self) -> bool:
        """Whether the odds are all one asks for."""
        return self.odds >= SURE_OF_RECOVERY
