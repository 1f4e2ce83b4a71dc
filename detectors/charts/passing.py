"""Excursions that pass by themselves: what levels may do beyond what the reference's few days show.

Two weeks of reference hold fourteen days, in which the wildest day of a month is seldom among them. What left its level and came
back within the time in which another level would have settled was a draw from the law of ordinary days, wilder than it was
known. It is learnt from twice.

1. Of the feature itself: its variance is known from `OWN_DAYS` days, one more is added, the square that was seen; of no more
   than the bound, so that one wild day does not make all days wild (Huber 1964). A month later little of it is left.
2. Of all: no law of days is assumed. What is allowed follows what has been told: it grows by `STEP` of its logarithm with each
   page that passes, and shrinks by as much with each that the budget has left unused, so that in the long run pages that
   pass are as many as the budget says whatever days do (adaptive conformal inference: Gibbs and Candès 2021).

What went further than twice the bound is a fault, whoever mended it, and nothing is learnt from it. No bound is widened beyond one
sigma: a change of that size is told whatever has passed. Where the reference shows no levels that move there is nothing to
widen: of such features each excursion is told.

P. J. Huber, Robust estimation of a location parameter, Ann. Math. Statist. 35 (1964). I. Gibbs and E. Candès, Adaptive
conformal inference under distribution shift, NeurIPS 34 (2021).
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.charts.budget import MONTH_NS
from detectors.charts.design import CHARTS, ChartDesign
from detectors.features import Bools, Floats, Ints, some

DAY_NS = 86_400 * 10**9
NEVER = np.iinfo(np.int64).min
OWN_DAYS = 14.0  # that a feature's variance is taken to be known from
AT_BOUND = 12.0  # square, over the variance, of a draw at the bound: some 3.5 standard deviations
STEP = 0.4  # of the logarithm of what is allowed, a page
MOST = float(np.log(3.0))
FAULT = 2.0  # times the bound, from which it is none of the ordinary days
WAYS = np.array([0, 0, 1, 1, 2])  # location, scale or shape of each chart
UNITS = np.array([1.0, 1.0, np.sqrt(2), np.sqrt(2), 1.0])  # of an effect, in those that a bound has
SHAPE = CHARTS.index("shape")


class Passing:
    """How much more the levels of one series may do than the reference shows.

    `own` float64[f, 3]: variance of each feature's location, scale and shape over what the reference says, less 1; `common`: the
    logarithm of what all bounds are multiplied by.
    """

    def __init__(self, design: ChartDesign, per_month: float, lasting: int) -> None:
        self._design, self._rate, self._lasting = design, per_month, lasting
        self.own = np.zeros((len(design.rows), 3))
        self.common = np.zeros(1)
        self.times = np.full(2, NEVER)  # of the last look, and of the last page that was counted

    @property
    def widened(self) -> Floats:
        """What bounds are multiplied by, float64[f, 3]."""
        widened = np.sqrt(1 + self.own) * np.exp(self.common)
        widened[self._design.trailing_days > 0] = 1.0  # those learn from each day
        return np.asarray(widened)

    def follow(self, recovered: Bools, since: Ints, effects: Floats, end: int) -> bool:
        """Take the charts that have come back bool[f, 5], since when they fired, and how large they were; whether bounds moved."""
        moved = self._fade(end)
        if not some(recovered):
            return moved
        passed = recovered & (end - since < self._lasting)
        bounds = self._design.bounds[:, WAYS]
        share = np.where(bounds > 0, effects * UNITS / np.maximum(bounds, 1e-300), np.inf)
        share[:, SHAPE] = np.where(bounds[:, SHAPE] > 0, 1.0, np.inf)  # its effect holds chance too
        ordinary = passed & (share < FAULT)
        ordinary[self._design.trailing_days > 0] = False
        if not ordinary.any():
            return moved
        self._learn(ordinary, share)
        if self.times[1] == NEVER or end - self.times[1] >= DAY_NS:
            self.common[0] = min(self.common[0] + STEP, MOST)
            self.times[1] = end
        return True

    def _learn(self, ordinary: Bools, share: Floats) -> None:
        squares = np.where(ordinary, AT_BOUND * np.square(np.minimum(share, 1.0)), 0.0)
        for way in range(3):
            of_way = way == WAYS
            which = ordinary[:, of_way].any(axis=1)
            seen = squares[:, of_way].max(axis=1)
            grown = (1 + self.own[:, way]) * (OWN_DAYS + np.maximum(seen, 1.0)) / (OWN_DAYS + 1)
            self.own[:, way] = np.where(which, grown - 1, self.own[:, way])

    def _fade(self, end: int) -> bool:
        """Forget a day's share, once a day."""
        if self.times[0] == NEVER:
            self.times[0] = end
        gone = end - int(self.times[0])
        if gone < DAY_NS:
            return False
        self.times[0] = end
        if not (self.common[0] or self.own.any()):
            return False
        self.own *= np.exp(-gone / MONTH_NS)
        self.common[0] = max(self.common[0] - STEP * self._rate * gone / MONTH_NS, 0.0)
        return True

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        return {f"passing_{part}": getattr(self, part) for part in ("own", "common", "times")}
