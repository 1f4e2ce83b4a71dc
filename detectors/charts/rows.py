"""Charts of the rows themselves: too few, too many."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.charts.budget import DRIFT
from detectors.charts.design import CLIP, ROWS_FLOOR, ChartDesign, most
from detectors.charts.recovery import Recovery
from detectors.features import Bools

LEARNING = 12  # subgroups after which the usual rows of this traffic are known: a reference is often a sample of it
DAY_NS = 86_400 * 10**9
NEVER = np.iinfo(np.int64).min


class RowCharts:
    """Two sums, of rows below half and above twice what the hour usually brings."""

    def __init__(self, design: ChartDesign, quiet: int) -> None:
        self._rate = design.calibration.arrival_rate
        self._subgroup_ns = design.subgroup_ns
        self._day = -(-DAY_NS // design.subgroup_ns)  # in subgroups
        self._longer = float(np.log(design.subgroup_ns / design.calibration.window_ns))
        self._limit = float(design.thresholds[0])
        self._most = float(most(design.thresholds)[0])
        self.values = np.zeros(2)
        self.firing: Bools = np.zeros(2, dtype=np.bool_)
        self.since = np.full(2, NEVER)
        self._risen = np.full(2, NEVER)
        self._lasted = np.zeros(2, dtype=np.int64)  # subgroups seen since it rose: silence is not one
        self.learnt = np.zeros(2)  # subgroups, and the sum of their logarithms over what was expected
        self.recovery = Recovery((2,), quiet)

    def follow(self, rows: int, start: int, end: int, covered: int | None = None, *, each: float = 1.0) -> None:
        """Take the rows of a subgroup, of which `covered` nanoseconds were seen; the first ones only say what is usual.

        Of a sampled log one row that is there stands for `each` of them.

        What has gone on for a day is learnt anew: traffic that has grown for good is no incident for good.
        """
        if (self._lasted[self.firing] >= self._day).any():
            self._forget()
        seen = 0.0 if covered is None else float(np.log(covered / self._subgroup_ns))
        apart = float(np.log(max(rows, 1))) - self._expected(start, end) - seen
        if self.learnt[0] < LEARNING:
            self.learnt += (1.0, apart)
            return
        apart -= float(self.learnt[1] / self.learnt[0])
        if abs(apart) < ROWS_FLOOR and not (self.values.any() or self.firing.any()):  # as nearly always
            return
        beyond = np.array([-apart, apart]) - ROWS_FLOOR - self._rate.missed(start, end)
        usual = max(rows, 1) / np.exp(apart)  # few rows vary by chance besides, as a Poisson count does
        z = np.clip(beyond / np.hypot(self._rate.sd, 1 / np.sqrt(max(usual / each, 1.0))), -CLIP, CLIP)
        self.values = np.maximum(self.values + np.minimum(z - DRIFT, self._most), 0.0)
        self._risen = np.where(self.values > 0, np.where(self._risen == NEVER, start, self._risen), NEVER)
        newly = (self.values >= self._limit) & ~self.firing
        self.since = np.where(newly, self._risen, self.since)
        self.firing = self.firing | newly
        self.recovery.forget(newly)
        recovered = self.recovery.follow(self.firing, z, np.ones(2, dtype=np.bool_))
        self.firing = self.firing & ~recovered
        self.values = np.where(recovered, 0.0, self.values)
        self.since = np.where(recovered, NEVER, self.since)
        self._risen = np.where(recovered, NEVER, self._risen)
        self._lasted = np.where(self.firing | (self.values > 0), self._lasted + 1, 0)

    def _forget(self) -> None:
        for array in (self.values, self.learnt, self._lasted):
            array[:] = 0
        self.firing[:] = False
        self.since[:] = self._risen[:] = NEVER
        self.recovery.forget(np.ones(2, dtype=np.bool_))

    def _expected(self, start: int, end: int) -> float:
        return self._rate.expected(start, end) + self._longer

    @property
    def begun(self) -> bool:
        """Whether there was a subgroup at all."""
        return bool(self.learnt[0] > 0)

    def usual(self, start: int, end: int) -> float | None:
        """Return the rows that a subgroup usually has; None while that is being learnt."""
        if self.learnt[0] < LEARNING:
            return None
        return float(np.exp(self._expected(start, end) + self.learnt[1] / self.learnt[0]))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        return {
            "volume": self.values,
            "volume_firing": self.firing,
            "volume_since": self.since,
            "volume_risen": self._risen,
            "volume_lasted": self._lasted,
            "volume_learnt": self.learnt,
            **self.recovery.arrays("volume_rest"),
        }
