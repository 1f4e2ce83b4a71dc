"""Rates with their uncertainty, delays, and what no rule can beat."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from benchmarks.measure import Figures
from detectors.charts.budget import points_per_month

DAY = 288  # windows of five minutes
MONTH = int(points_per_month(300 * 10**9))


def garwood(count: int, exposure: float, sure: float = 0.95) -> tuple[float, float]:
    """Return the exact interval of a Poisson rate (Garwood 1936); `exposure` in months."""
    tail = (1 - sure) / 2
    low = stats.chi2.ppf(tail, 2 * count) / 2 if count else 0.0
    return float(low) / exposure, float(stats.chi2.ppf(1 - tail, 2 * count + 2)) / 2 / exposure


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something happened in so many model-months."""

    count: int
    months: float

    @property
    def mean(self) -> float:
        """Per month."""
        return self.count / self.months

    @property
    def low(self) -> float:
        """Lower end of the 95 % interval."""
        return garwood(self.count, self.months)[0]

    @property
    def high(self) -> float:
        """Upper end of it."""
        return garwood(self.count, self.months)[1]


def onsets(alarmed: Sequence[bool] | np.ndarray, before: object = False) -> int:  # noqa: FBT002 - it is data
    """How many pages a rule without a life-cycle sends: windows with an alarm after one without; `before` the first of them."""
    found = np.asarray(alarmed, dtype=np.int8)
    return int((np.diff(found, prepend=int(bool(before))) == 1).sum())


def delays(found: Iterable[float], horizon: int) -> Figures:
    """Mean and p95 in windows; what was not found within the horizon counts as long as that."""
    all_of = np.array(list(found), dtype=np.float64)
    seen = all_of <= horizon
    capped = np.minimum(all_of, horizon)
    return {
        "changes": int(all_of.size),
        "found": float(seen.mean()),
        "mean": float(capped.mean()),
        "error": float(capped.std(ddof=1) / math.sqrt(capped.size)) if capped.size > 1 else 0.0,
        "p95": float(np.quantile(capped, 0.95, method="inverted_cdf")),
        "horizon": horizon,
    }


def lorden(features: int, divergence: float, months: float = 1.0) -> float:
    """Windows that any rule needs on average that errs once in so many months (Lorden 1971): log(F * ARL) / KL, at least one.

    `divergence`: Kullback-Leibler, of a window. The one feature that changes is not known beforehand.
    """
    return max(1.0, math.log(features * MONTH * months) / divergence) if divergence > 0 else math.inf


def normal_divergence(shift: float, stretch: float = 1.0) -> float:
    """Of one row: normal with mean `shift` and sd `stretch` against the standard normal."""
    return (shift**2 + stretch**2 - 1) / 2 - math.log(stretch)


def share_divergence(after: float, before: float) -> float:
    """Of one row: an event that happens with other chances."""
    rest = (1 - after) * math.log((1 - after) / (1 - before)) if after < 1 else 0.0
    return after * math.log(after / before) + rest


def cells_divergence(after: np.ndarray, before: np.ndarray) -> float:
    """Of one row: categories with other shares."""
    held = after > 0
    return float((after[held] * np.log(after[held] / before[held])).sum())
