"""Two versions of a model on the same windows of time: how far a metric of one is above that of the other, and how sure that is.

    first    ▇ ▇ ▇ ▇ ▇ ▇      windows that hold rows of either
    second   ▆ ▇ ▅ ▇ ▆ ▆
    ─────────────────────
    apart    + 0 + 0 + +      from TEN windows on these differences say how much they vary, whatever makes them vary

Where each row went to one of them (split traffic) the rows are independent. Where both saw every row (shadow traffic) they come in
pairs, which windows do not know. Differences of windows know it: what makes a window hard for both is in neither. Of fewer windows the
intervals of the two are put together as of independent rows: of pairs, where both are wrong on the same rows, that is too wide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from detectors import special
from detectors.features import Floats
from detectors.performance.intervals import normal_quantile
from detectors.performance.measured import Interval

FEWEST_WINDOWS = 10  # whose differences say how much they vary
USUAL = 0.95  # confidence of the intervals that come in


class WindowWorth(NamedTuple):
    """A metric of a window with its 95 % interval, and how many rows it is of."""

    value: float
    lower: float
    upper: float
    rows: int


@dataclass(frozen=True, slots=True)
class VersionDifference:
    """A metric of two versions over the same windows. `first`, `second`: mean of the windows by rows, with 95 % intervals.

    `value` is the second less the first, with an interval of the confidence that was asked for. `paired`: by differences of windows.
    """

    first: float
    first_interval: Interval
    second: float
    second_interval: Interval
    value: float
    interval: Interval
    windows: int
    paired: bool

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval is all on one side of 0."""
        lower, upper = self.interval
        return lower > 0 or upper < 0


def difference(
    first: Sequence[WindowWorth], second: Sequence[WindowWorth], tests: int = 1, confidence: float = 0.95
) -> VersionDifference:
    """Compare two versions; the windows of one stand at the places of those of the other.

    `tests` metrics are compared, whose intervals are to hold all at once with this confidence (Bonferroni). The interval by
    windows is Student's of a weighted mean; that by rows the one of Zou and Donner, Statistics in Medicine 27 (2008), which keeps
    the unequal sides of its parts. Raises ValueError for no window, or not as many of each.

    >>> windows = [WindowWorth(0.9, 0.88, 0.92, 1000)] * 3, [WindowWorth(0.8, 0.775, 0.825, 1000)] * 3
    >>> found = difference(*windows)
    >>> round(found.value, 3), [round(limit, 3) for limit in found.interval], found.paired
    (-0.1, [-0.118, -0.082], False)
    """
    if not first or len(first) != len(second):
        raise ValueError(f"{len(first)} windows of one and {len(second)} of the other cannot be compared")
    sure = 1 - (1 - confidence) / tests
    one, two = (np.array(each, dtype=np.float64).reshape(-1, 4) for each in (first, second))
    weights = one[:, 3] * two[:, 3] / np.maximum(one[:, 3] + two[:, 3], 1.0)
    if not weights.sum() > 0:
        weights = np.ones(len(first))
    mean_one, mean_two = _pooled(one, weights), _pooled(two, weights)
    apart = two[:, 0] - one[:, 0]
    value = float(weights @ apart / weights.sum())
    error = _error(apart, weights, value) if apart.size >= FEWEST_WINDOWS else 0.0
    own = [_own(windows, weights, pooled) for windows, pooled in ((one, mean_one), (two, mean_two))]
    if error > 0:
        interval = _student(value, error, apart.size, sure)
    else:
        interval = _by_rows(mean_one, mean_two, value, normal_quantile(sure) / normal_quantile(USUAL))
    return VersionDifference(*own[0], *own[1], value, interval, apart.size, error > 0)


def _pooled(windows: Floats, weights: Floats) -> tuple[float, Interval]:
    """The mean of windows, and its interval of both sides' own widths."""
    value, lower, upper = (windows[:, at] for at in range(3))
    mean, total = float(weights @ value / weights.sum()), float(weights.sum())
    down = math.sqrt(float(((weights * (value - lower)) ** 2).sum())) / total
    up = math.sqrt(float(((weights * (upper - value)) ** 2).sum())) / total
    return mean, (mean - down, mean + up)


def _own(windows: Floats, weights: Floats, pooled: tuple[float, Interval]) -> tuple[float, Interval]:
    """The mean of windows with its 95 % interval: of many windows by how much they vary.

    The unequal sides of small windows' intervals do not even out in the mean: of 120 windows of 90 rows at 0.97 they hold it in 89 %.
    """
    mean = pooled[0]
    error = _error(windows[:, 0], weights, mean) if len(windows) >= FEWEST_WINDOWS else 0.0
    return (mean, _student(mean, error, len(windows), USUAL)) if error > 0 else pooled


def _error(apart: Floats, weights: Floats, mean: float) -> float:
    """The standard error of a weighted mean, by how much its parts vary."""
    squares = float(((weights * (apart - mean)) ** 2).sum())
    return math.sqrt(squares * apart.size / (apart.size - 1)) / float(weights.sum())


def _student(value: float, error: float, windows: int, confidence: float) -> Interval:
    reach = float(special.stdtrit(windows - 1, (1 + confidence) / 2)) * error
    return value - reach, value + reach


def _by_rows(one: tuple[float, Interval], two: tuple[float, Interval], value: float, wider: float) -> Interval:
    (first, (first_low, first_high)), (second, (second_low, second_high)) = one, two
    down = math.hypot(second - second_low, first_high - first)
    up = math.hypot(second_high - second, first - first_low)
    return value - wider * down, value + wider * up
