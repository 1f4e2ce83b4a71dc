"""Days of a reference that are unlike its others: holidays, outages, a release that was taken back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.calibration.days import DayLevels
from detectors.calibration.regression import deviating
from detectors.calibration.unsteady import Deviation, OddDay
from detectors.features import Floats

CHANCE = 0.01  # over all days and features, of calling a usual one odd
MOST = 3
IN_SO_MANY = 5  # days at most one is odd


@dataclass(frozen=True, slots=True, eq=False)
class SeriesChange:
    """One series that changes from day `at` on, or from the first on where `how` is a trend; `regressor` float64[n] is its form."""

    series: int
    at: int
    shift: float
    how: str
    chance: float
    regressor: Floats

    @property
    def onset(self) -> set[int]:
        """The days around a step, which may be partly before and partly after it."""
        return {self.at - 1, self.at} if self.how == "step" else set()


@dataclass(frozen=True, slots=True)
class Odd:
    """One series on one day: how far it is from its other days, and the chance of that."""

    series: int
    day: int
    by: float
    chance: float


def odd(levels: DayLevels, changes: Mapping[int, SeriesChange], smallest: Mapping[str, float]) -> list[Odd]:
    """Return which series are odd on which days, beyond the `smallest` size of each kind.

    `changes`: how a feature has been found to change, so that its days are not odd by that.
    """
    found = []
    for held, which in levels.alike() if levels.days.single else ():
        days = np.flatnonzero(held)
        known = levels.known(held, which)
        for series in which.tolist():
            change = changes.get(int(levels.feature[series]))
            own = known if change is None else np.column_stack([known, np.nan_to_num(change.regressor[held])])
            values, least = levels.values[held, series], smallest[str(levels.what[series])]
            most = min(MOST, days.size // IN_SO_MANY)
            rows = deviating(values, own, most, CHANCE / levels.feature.size)
            by = _apart(values, own, [row for row, _ in rows])
            found += [
                Odd(series, int(days[row]), size, chance)
                for (row, chance), size in zip(rows, by.tolist(), strict=True)
                if abs(size) >= least and (change is None or int(days[row]) not in change.onset)
            ]
    return found


def _apart(values: Floats, known: Floats, rows: Sequence[int]) -> Floats:
    """Return how far rows are from what the others say they should be."""
    if not rows:
        return np.empty(0)
    others = np.delete(np.arange(values.size), rows)
    fit = np.linalg.lstsq(known[others], values[others], rcond=None)[0]
    return np.asarray(values[rows] - known[rows] @ fit)


def told(levels: DayLevels, odd: Sequence[Odd], names: Sequence[str]) -> tuple[OddDay, ...]:
    """Return them day by day, each feature once by what is surest of it."""
    days = []
    for day in sorted({each.day for each in odd}):
        surest: dict[int, Odd] = {}
        for each in sorted((each for each in odd if each.day == day), key=lambda each: each.chance):
            surest.setdefault(int(levels.feature[each.series]), each)
        deviations = tuple(
            Deviation(names[feature], levels.shown(each.series, each.by), str(levels.what[each.series]))
            for feature, each in surest.items()
        )
        days.append(OddDay(int(levels.days.starts[day]), deviations))
    return tuple(days)
