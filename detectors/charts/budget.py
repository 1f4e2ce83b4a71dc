"""From false alarms a month to the threshold of each chart, in closed form."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from detectors.calibration.arl import DRIFT, gaussian_arl, gaussian_threshold

__all__ = [
    "DRIFT",
    "Budget",
    "BudgetError",
    "adwin_delta",
    "gaussian_arl",
    "gaussian_threshold",
    "points_per_month",
    "ratio_threshold",
]

SECOND_NS = 1_000_000_000
MONTH_NS = 30 * 86_400 * SECOND_NS
SHORTEST = 20.0  # points between false alarms of one chart that the formula still holds for
ROUNDING = 1e-9
RATES_SHARE = 0.1
CERTAIN = 1e-12  # the chance at which one subgroup may page by itself, see charts.py
ADWIN_RATE = 1e-3  # false cuts a check and unit of delta, standardised panes at clock 1: measured in tests/detectors/univariate/test_adwin.py


class BudgetError(ValueError):
    """A budget that no threshold can hold, with the nearest one that can be."""


def points_per_month(subgroup_ns: int) -> float:
    """Return how many disjoint subgroups of this length a month of 30 days has."""
    return MONTH_NS / subgroup_ns


def ratio_threshold(arl: float) -> float:
    """Return h of a CUSUM of log likelihood ratios that errs at most once in `arl` points: log ARL (Lorden 1971)."""
    return math.log(arl)


@dataclass(frozen=True, slots=True)
class Budget:
    """False alarms a month shared by the charts of a model, each with a point every `subgroup_ns`.

    `rates` of the charts are sums of likelihood ratios, whose bound promises less than they keep: they share a tenth of the
    budget, the others the rest, equally. Raises BudgetError where no threshold can hold it, ValueError for no chart and no length.
    """

    per_month: float
    charts: int
    subgroup_ns: int
    rates: int = 0

    def __post_init__(self) -> None:
        if self.charts < 1 or self.subgroup_ns < 1:
            raise ValueError("a budget needs at least one chart, and subgroups longer than nothing")
        points = max(self.charts - self.rates, 1) * points_per_month(self.subgroup_ns) / self._share
        most, least = points / SHORTEST, points * CERTAIN * 10
        if not least * (1 - ROUNDING) <= self.per_month <= most * (1 + ROUNDING):
            nearest = _two_digits(most, math.floor) if self.per_month > most else _two_digits(least, math.ceil)
            raise BudgetError(
                f"false_alarms_per_month {self.per_month:g} cannot be held by {self.charts} charts of "
                f"{points_per_month(self.subgroup_ns):g} points a month; {nearest} can"
            )

    @property
    def arl(self) -> float:
        """Points between false alarms that each chart of normal deviates may have on average."""
        return max(self.charts - self.rates, 1) * points_per_month(self.subgroup_ns) / (self.per_month * self._share)

    @property
    def _share(self) -> float:
        """Of the budget, for the charts that are no rates."""
        return 1 - RATES_SHARE if self.rates else 1.0

    @property
    def rates_arl(self) -> float:
        """The same of each chart of rates."""
        return max(self.rates, 1) * points_per_month(self.subgroup_ns) / (self.per_month * RATES_SHARE)


def _two_digits(bound: float, towards: Callable[[float], int]) -> str:
    """A bound in two digits, on the side of it that can be held."""
    unit = 10.0 ** (math.floor(math.log10(bound)) - 1)
    return f"{towards(bound / unit) * unit:.2g}"


def adwin_delta(per_month: float, features: int, pane_ns: int) -> float:
    """Return ADWIN's delta at which its cuts on unchanged data keep to the budget by measurement, not by proof."""
    checks = max(features, 1) * points_per_month(pane_ns)
    return min(max(per_month / (checks * ADWIN_RATE), 1e-12), 0.3)
