"""What other budgets would have done on the same subgroups: their thresholds, over the same increments."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from detectors.charts.budget import BudgetError
from detectors.charts.charts import Sums
from detectors.charts.design import rescaled
from detectors.charts.point import ChartPoint
from detectors.features import Bools
from monitor.backtest.inject import Plant
from monitor.backtest.result import SweepRow
from monitor.stream.events import Nanos

BUDGETS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
QUIET = 0.5  # of the threshold: a page ends where every sum that was over it has come down to that


@dataclass(slots=True)
class Trial:
    """One budget over the subgroups of one series. An open page joins what comes; a page is counted where it opens."""

    per_month: float
    sums: Sums
    plants: Sequence[Plant]
    subgroup_ns: Nanos
    pages: int = 0
    true_pages: int = 0
    first_page: Nanos | None = None
    found: dict[int, int] = field(default_factory=dict)  # by planted change: subgroups until its feature was over
    _over: Bools | None = None  # what keeps the page open

    def take(self, point: ChartPoint, planted: Sequence[Sequence[int]]) -> None:
        """One more subgroup; `planted` are the rows of the features that each change touches."""
        over = self.sums.advance(point.increments)
        self.sums.values = np.minimum(self.sums.values, self.sums.limits)  # as high as it must come down from
        over |= point.certain
        if over.any() and self._over is None:
            self._open(point)
        kept = np.zeros_like(over) if self._over is None else self._over & (self.sums.values > self.sums.limits * QUIET)
        held = over | kept
        self._over = held if held.any() else None
        for number, (plant, rows) in enumerate(zip(self.plants, planted, strict=True)):
            if number not in self.found and explained(plant, point.end, self.subgroup_ns) and over[rows].any():
                self.found[number] = windows_between(plant.at, point.end, self.subgroup_ns)

    def _open(self, point: ChartPoint) -> None:
        self.pages += 1
        self.first_page = point.end if self.first_page is None else self.first_page
        self.true_pages += any(explained(plant, point.end, self.subgroup_ns) for plant in self.plants)

    def row(self, budget: float | None) -> SweepRow:
        """The outcome; `budget` is the one that is configured."""
        delays = tuple(self.found.get(number) for number in range(len(self.plants)))
        false_pages = self.pages - self.true_pages if self.plants else None
        return SweepRow(self.per_month, self.pages, false_pages, delays, self.first_page, now=self.per_month == budget)


def explained(plant: Plant, end: Nanos, subgroup_ns: Nanos) -> bool:
    """Whether what is found at the end of a subgroup may be due to a planted change."""
    return plant.at < end and (plant.until is None or end <= plant.until + subgroup_ns)


def windows_between(began: Nanos, end: Nanos, length: Nanos) -> int:
    """How many disjoint windows a change at `at` was seen in by the end of the last one, that one among them."""
    return max(1, -(-(end - began) // length))


class Sweep:
    """All budgets over one series."""

    def __init__(
        self, names: Sequence[str], plants: Sequence[Plant], budgets: Sequence[float], subgroup_ns: Nanos
    ) -> None:
        self._names = names
        self._plants = plants
        self._budgets = budgets
        self._subgroup_ns = subgroup_ns
        self._planted = [[names.index(name) for name in plant.features] for plant in plants]
        self._trials: list[Trial] | None = None
        self.unreachable: list[str] = []

    def take(self, point: ChartPoint, per_month: float) -> None:
        """One more subgroup, charted under the budget that is configured."""
        if self._trials is None:
            self._trials = self._begin(point, per_month)
        for trial in self._trials:
            trial.take(point, self._planted)

    def _begin(self, point: ChartPoint, per_month: float) -> list[Trial]:
        trials = []
        for budget in sorted({*self._budgets, per_month}):
            try:
                limits = rescaled(point.thresholds, budget / per_month)
            except BudgetError:
                self.unreachable.append(
                    f"false_alarms_per_month {budget:g} cannot be held by so few charts and subgroups"
                )
                continue
            trials.append(Trial(budget, Sums(limits, len(self._names)), self._plants, self._subgroup_ns))
        return trials

    def rows(self, budget: float | None) -> tuple[SweepRow, ...]:
        """The outcome of each budget, smallest first."""
        return tuple(trial.row(budget) for trial in self._trials or ())
