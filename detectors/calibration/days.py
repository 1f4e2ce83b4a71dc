"""A reference by the day: each feature's level in each of its days, the pattern within the day taken out.

Days are what varies independently of each other: a day's windows go up and down together, so that thousands of windows of
two weeks say no more about what a usual day may do than fourteen days.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import seasons
from detectors.calibration.cells import MergedCells
from detectors.calibration.components import normal_scores
from detectors.calibration.feature import FeatureCalibration
from detectors.features import Bools, Floats, Ints

DAY_NS = seasons.DAY * seasons.HOUR_NS
WEEKDAYS = 7
FEWEST_DAYS = 7.5  # of fewer, blocks are compared
MOST_DAYS = 120  # of more, weeks are
BLOCKS = 24
WHOLE = 0.5  # of a usual day's windows, and rows: the first and the last may be cut off


@dataclass(frozen=True, slots=True, eq=False)
class OwnWindows:
    """All features in the reference's own windows: `cells` [k, f, width], `rows` float64[k], `starts`, `middles` int64[k].

    Days and hours are those of `timezone`; None is UTC.
    """

    merged: MergedCells
    cells: NDArray[np.uint32]
    rows: Floats
    starts: Ints
    middles: Ints
    timezone: str | None = None

    @property
    def window_ns(self) -> int:
        """Length of a window."""
        return 2 * int(self.middles[0] - self.starts[0])

    @property
    def local(self) -> Ints:
        """What the clock of the zone shows in the middle of each window, int64[k]."""
        return seasons.local(self.middles, self.timezone)

    def numeric(self, at: int) -> bool:
        """Whether this feature, in the layout's order, is a number."""
        return at < len(self.merged.layout.numeric)


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """Runs of windows of one day, and of one hour in it where hours are told apart.

    `starts` int64[n] nanoseconds of the local clock, each `length` long: days, or weeks of a very long reference, or blocks of
    one of less than eight days, which have no clock; `since` int64[n] the same as event times. `firsts` int64[r]: where each run begins among the windows, `of` its day, `hour` its hour.
    """

    starts: Ints
    since: Ints
    length: int
    firsts: Ints
    of: Ints
    hour: Ints

    @classmethod
    def of_windows(cls, windows: OwnWindows) -> "Days":
        """Cut a reference's windows; a day that holds less than half the usual number of windows is left to `levels`."""
        length, times = _length(windows), windows.local
        whole = length % DAY_NS == 0
        number = (times if whole else windows.middles - windows.starts[0]) // length
        hour = np.zeros_like(number)
        if whole and windows.window_ns < DAY_NS and DAY_NS % windows.window_ns == 0:  # so that hours come again
            hour = times // seasons.HOUR_NS % seasons.DAY
        firsts = np.flatnonzero(np.diff(number * seasons.DAY + hour, prepend=-1))
        days, of = np.unique(number[firsts], return_inverse=True)
        first = np.searchsorted(number, days)
        begun, east = windows.starts[first], (times - windows.middles)[first]
        starts, since = (days * length, days * length - east) if whole else (begun, begun)
        return cls(starts, since, length, firsts, of, hour[firsts])

    def __len__(self) -> int:
        return self.starts.size

    @property
    def single(self) -> bool:
        """Whether they are days, no weeks or blocks."""
        return self.length == DAY_NS

    def sums(self, values: NDArray[np.number]) -> Floats:
        """Return sums over the windows of each run, float64[r, …]."""
        return np.add.reduceat(values, self.firsts, axis=0, dtype=np.float64)

    def by_day(self, runs: Floats) -> Floats:
        """Return sums over the runs of each day, float64[n, …]."""
        return np.add.reduceat(runs, np.searchsorted(self.of, np.arange(len(self))), axis=0)


def _length(windows: OwnWindows) -> int:
    span = int(windows.starts[-1] - windows.starts[0]) + windows.window_ns
    if span < FEWEST_DAYS * DAY_NS:
        return max(windows.window_ns, span // BLOCKS)
    if windows.window_ns > DAY_NS:
        return windows.window_ns
    return DAY_NS if span <= MOST_DAYS * DAY_NS else WEEKDAYS * DAY_NS


@dataclass(frozen=True, slots=True, eq=False)
class DayLevels:
    """Series of levels: `values` float64[n, s], NaN on a day that holds too little.

    `feature` int64[s] in the layout's order, `what` of it: the mean and the spread of a number in sigma of its normal scores,
    the share of each cell of a categorical (`mix`), the share of missing values. `unit` float64[s]: standard deviation of one
    row of it. `weekly` bool[s]: follows the day of the week.
    """

    days: Days
    values: Floats
    feature: Ints
    what: NDArray[np.str_]
    unit: Floats
    weekly: Bools

    def known(self, held: Bools, which: Ints) -> Floats:
        """Return what these series may follow on these days while nothing changes: one level, or one of each day of the week."""
        weekday = self.days.starts[held] // DAY_NS % WEEKDAYS
        if not (self.weekly[which].all() and self.days.single and held.sum() >= 2 * WEEKDAYS):
            return np.ones((weekday.size, 1))
        return np.asarray(weekday[:, None] == np.unique(weekday), dtype=np.float64)

    def shown(self, series: int, by: float) -> float:
        """Return a size as it is told: that of the scale's score as a share of sigma."""
        return float(by / np.sqrt(2)) if self.what[series] == "spread" else float(by)

    def alike(self) -> Iterator[tuple[Bools, Ints]]:
        """Return the days that series have, bool[n], and which series: those at once whose days and weeks are the same."""
        held = np.isfinite(self.values)
        kinds, kind = np.unique(np.vstack([held, self.weekly]), axis=1, return_inverse=True)
        for at in range(kinds.shape[1]):
            yield kinds[:-1, at].astype(np.bool_), np.flatnonzero(kind.ravel() == at)


def levels(windows: OwnWindows, learnt: Sequence[FeatureCalibration]) -> DayLevels:
    """Return the series of all features; what does not vary has none."""
    days = Days.of_windows(windows)
    rows = days.sums(windows.rows)
    counted = np.bincount(days.of, weights=np.diff(days.firsts, append=windows.rows.size))
    whole = counted >= WHOLE * np.median(counted)
    values, feature, what, unit = [], [], [], []
    for at in range(len(windows.merged.cuts)):
        for name, series, sd in _of_feature(windows, days, at, rows):
            values.append(np.where(whole, series, np.nan))
            feature.append(at)
            what.append(name)
            unit.append(sd)
    weekly = np.array([learnt[at].season == seasons.WEEK for at in feature], dtype=np.bool_)
    columns = np.array(values).T if values else np.empty((len(days), 0))
    return DayLevels(
        days, columns, np.array(feature, dtype=np.int64), np.array(what, dtype=np.str_), np.array(unit), weekly
    )


def _of_feature(windows: OwnWindows, days: Days, at: int, rows: Floats) -> Iterator[tuple[str, Floats, float]]:
    cells = days.sums(windows.cells[:, at, : windows.merged.sizes[at]])
    usable = cells.sum(axis=1)
    total = usable.sum()
    if total and np.count_nonzero(cells.sum(axis=0)) > 1:
        pooled = cells.sum(axis=0) / total
        share = _level(days, cells, usable)
        if windows.numeric(at):
            scores = normal_scores(pooled[None], np.array([pooled.size]), 1)[0]
            mean, spread = (share @ scores).T
            yield "mean", mean, 1.0
            if scores[:, 1].any():
                yield "spread", spread - np.square(mean) / np.sqrt(2), 1.0  # what a shift of the mean adds to it
        else:
            yield from (
                ("mix", each, sd) for each, sd in zip(share.T, np.sqrt(pooled * (1 - pooled)).tolist(), strict=True)
            )
    if 0 < total < rows.sum():
        lost = 1 - total / rows.sum()
        yield "missing", _level(days, (rows - usable)[:, None], rows)[:, 0], float(np.sqrt(lost * (1 - lost)))


def _level(days: Days, counts: Floats, rows: Floats) -> Floats:
    """Return each day's shares less those expected in its hours, float64[n, size]; NaN where it has hardly a row."""
    hourly, behind = np.zeros((seasons.DAY, counts.shape[1])), np.zeros(seasons.DAY)
    np.add.at(hourly, days.hour, counts)
    np.add.at(behind, days.hour, rows)
    expected = (hourly / np.maximum(behind, 1e-9)[:, None])[days.hour] * rows[:, None]
    of_day = days.by_day(rows)
    few = of_day < WHOLE * np.median(of_day)
    return np.asarray(days.by_day(counts - expected) / np.where(few, np.nan, of_day)[:, None])
