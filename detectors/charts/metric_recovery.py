"""When a metric that was wrong is right again: by evidence, as it began, and never by where one window happens to lie.

The recovery test of the charts (`recovery.py`) for one metric: the likelihood ratio of "on the bound" against "as far beyond it as it has been"
is summed up while the alert is open, between 0 (it is as it was) and 9.2, odds of 10 000 to 1.

How far beyond the bound it has been the windows say until the sum was last 0. Those since may be right again: were they averaged in, a short fault would be the
smaller the longer it is over, and its end ever harder to prove. They count once the sum is 0 again. A fault that has become smaller and is none the less one is not over: the
mean of the windows since must lie no further beyond the bound than the smallest fault that is looked for.
"""

from dataclasses import dataclass, replace

from detectors.calibration.arl import DRIFT
from detectors.charts.design import CLIP
from detectors.charts.recovery import REMEMBERED, SMALLEST, SURE_OF_RECOVERY

MOST_RIGHT = -2.0  # deviate: one window on the right side says no more
LEAST = SMALLEST * DRIFT  # deviate of a fault that is looked for


@dataclass(frozen=True, slots=True)
class MetricRecovery:
    """What speaks for it that it is over. `level`: the mean deviate of `windows` windows since it began; `since` is the sum of those of `waiting` windows after them.

    >>> wrong = MetricRecovery().plus(4.0).plus(4.0).plus(4.0).plus(4.0)
    >>> wrong.is_wrong, wrong.plus(0.0).is_over, wrong.plus(0.0).plus(0.0).is_over
    (True, False, True)
    """

    level: float = 0.0
    windows: float = 0.0
    odds: float = 0.0
    since: float = 0.0
    waiting: float = 0.0

    @classmethod
    def of(cls, deviate: float, windows: float) -> "MetricRecovery":
        """Return that of what has been so many standard errors beyond the bound for so many windows."""
        return cls(min(max(deviate, MOST_RIGHT), CLIP), min(windows, REMEMBERED))

    def plus(self, deviate: float) -> "MetricRecovery":
        """Return the same after one more window, so many standard errors beyond the bound."""
        deviate = min(max(deviate, MOST_RIGHT), CLIP)
        level = max(self.level if self.windows else deviate, LEAST)
        odds = min(max(self.odds + level * (level / 2 - deviate), 0.0), SURE_OF_RECOVERY)
        after = replace(self, odds=odds, since=self.since + deviate, waiting=self.waiting + 1)
        return after if odds > 0 else after.still_wrong()

    def still_wrong(self) -> "MetricRecovery":
        """Return the same, with the windows that waited among those that say how far beyond the bound it is."""
        windows = min(self.windows + self.waiting, REMEMBERED)
        part = min(self.waiting / windows, 1.0)
        return MetricRecovery(self.level + (self.since / self.waiting - self.level) * part, windows)

    @property
    def is_wrong(self) -> bool:
        """Whether nothing speaks for it."""
        return self.odds <= 0

    @property
    def is_over(self) -> bool:
        """Whether the odds are all one asks for."""
        return self.odds >= SURE_OF_RECOVERY and self.since <= LEAST * self.waiting
