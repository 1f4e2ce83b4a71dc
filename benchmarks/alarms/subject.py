"""One model of a case: its features and levels drawn, its reference fitted, ready to be watched."""

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from benchmarks.alarms.cases import Case, Pick
from benchmarks.alarms.gridded import Grid
from benchmarks.alarms.plain import PlainRule
from benchmarks.alarms.traffic import HOUR, Change, Pane, Planted, Traffic
from benchmarks.alarms.watch import Watch
from detectors import Reference
from detectors.features import Floats

MONTH_HOURS = 720.0
SPARE_HOURS = 14 * 24.0  # of life at least, for trials
FOR_EVER = 10**9


class Living(Protocol):
    """Where panes come from."""

    @property
    def window_ns(self) -> int:
        """Length of a window."""

    def start(self, window: int) -> int:
        """When a window begins."""

    def panes(self, reference: Reference, first: int, windows: int, planted: Sequence[Planted] = ()) -> Iterator[Pane]:
        """The windows as the daemon counts them."""


class Subject:
    """A model with its reference and the traffic that follows it. `begins`: the first window after the reference."""

    def __init__(self, case: Case, months: float, rng: np.random.Generator) -> None:
        self.case, self.rng = case, rng
        self.living: Living
        self._means: Floats | None = None
        if case.grid is None:
            self._draw(case, months)
        else:
            self._count(case)

    def _draw(self, case: Case, months: float) -> None:
        """Row by row, a reference fitted as a user fits one."""
        assert case.habits is not None
        habits = case.habits(self.rng)
        self.features, self.hours = habits.features, habits.hours
        self.names = [one.name for one in habits.features]
        self.begins = round(case.reference_days * 24 / self.hours)
        life = max(months * MONTH_HOURS, SPARE_HOURS)
        self.living = traffic = Traffic(habits, self.begins + round(life / self.hours), self.rng)
        self.planted = [
            self.plant(one.change, self.pick(one.pick), self.at(24 * one.day), self.at(24 * (one.day + one.lasts)))
            for one in case.plants
        ]
        self.reference, self._means = traffic.fit(self.begins, self.planted)

    def _count(self, case: Case) -> None:
        """By counts of the harness's own."""
        assert case.grid is not None
        self.living = grid = Grid(case.grid, self.rng, case.reference_days)
        self.begins, self.hours, self.reference = grid.begins, case.grid.minutes / 60, grid.reference
        self.features, self.names, self.planted = (), list(grid.reference.names), list[Planted]()

    def at(self, hours: float) -> int:
        """The window so many hours after the reference's end."""
        return FOR_EVER if np.isinf(hours) else self.begins + round(hours / self.hours)

    def pick(self, pick: Pick) -> list[str]:
        """Names of features."""
        return pick(self.features, self.rng)

    def plant(self, change: Change, chosen: Sequence[str], since: int, until: int = FOR_EVER) -> Planted:
        """A change of features by name; what is no feature, as the rows themselves, has no place."""
        return Planted(change, tuple(self.names.index(name) for name in chosen if name in self.names), since, until)

    def panes(self, first: int, windows: int, planted: Sequence[Planted]) -> Iterator[Pane]:
        """Windows number `first` and on."""
        return self.living.panes(self.reference, first, windows, planted)

    def watch(self) -> Watch:
        """A fresh operator."""
        return Watch(self.reference, self.living.window_ns)

    def plain(self) -> PlainRule | None:
        """The plain rule, taught by the reference's windows; None where there are no means."""
        return None if self._means is None else PlainRule(self._means)

    def day(self, at: int) -> float:
        """Days since the reference's end, of a time in nanoseconds."""
        return round((at - self.living.start(self.begins)) / (24 * HOUR), 2)
