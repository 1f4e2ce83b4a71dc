"""How shares follow the hour of the day, or of the week, and what they are to be at a given time.

Hours are those that people live by: functions of `times` take what the clock shows, `local(times, timezone)`, so that traffic
which follows local hours follows them through a change of clocks. Without a zone that is UTC.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.clocks import HOUR_NS, clock, local, local_days
from detectors.features import Floats, Ints

__all__ = [
    "AGREES",
    "DAY",
    "HOUR_NS",
    "MONDAY",
    "PSEUDO_ROWS",
    "STANDS_OUT",
    "WEEK",
    "HourCounts",
    "HourlyProfiles",
    "Weights",
    "between",
    "clock",
    "enough",
    "expected",
    "hours",
    "local",
    "local_days",
    "means",
    "middles",
    "profile",
    "seasonal",
    "shares",
]

HourCounts = NDArray[np.float32]  # of an hour: they are many, and their own chance is far above the 24 bits
DAY, WEEK = 24, 168  # hours
MONDAY = 4 * DAY  # the epoch began on a Thursday
PSEUDO_ROWS, FEWEST_PSEUDO_ROWS = 50.0, 1.0  # with which an hour leans on the longer season it is part of: most, least
AGREES = {DAY: 0.8, WEEK: 0.6}  # correlation of one half of the days (or weeks) with the other: from there on a season
FEWEST_HOURS = 4  # that both halves must hold; and half of those that hold any traffic
LEFT_OUT_NS = 4 * HOUR_NS  # of whole days: a window at each end, from one middle to another, and a change of clocks
STANDS_OUT = {DAY: 2.2, WEEK: 1.6}  # variance between hours over that within them; of few hours chance makes more


def hours(times: Ints | int, season: int) -> Floats:
    """Return hours since the season began, with their fraction: since midnight, and Monday's for a week."""
    shift = 0 if season == DAY else (7 * DAY - MONDAY) * HOUR_NS
    return np.asarray((np.asarray(times) + shift) % (season * HOUR_NS) / HOUR_NS)


def enough(span_ns: int, days: int) -> bool:
    """Return whether windows that span so long were cut from so many days: exactly 7 teach a day's profile, 14 a week's.

    The first and the last window have been left out, and may be an hour long; the span may be one between middles.
    """
    return span_ns >= days * DAY * HOUR_NS - LEFT_OUT_NS


def middles(start: int, end: int) -> Ints:
    """Return the middles of the hours that make up a span, of the span itself where it is no longer than one."""
    count = max(1, -(-(end - start) // HOUR_NS))
    return start + (end - start) * (2 * np.arange(count, dtype=np.int64) + 1) // (2 * count)


@dataclass(frozen=True, slots=True)
class Weights:
    """Linear interpolation between the middles of two hours, for each time asked."""

    low: Ints
    high: Ints
    share: Floats  # of the later hour


def between(times: Ints | int, season: int) -> Weights:
    """Return which two hours' middles each time lies between."""
    place = hours(times, season) - 0.5
    low = np.floor(place).astype(np.int64)
    return Weights(low % season, (low + 1) % season, place - low)


def profile(cells: Floats, times: Ints, season: int, parent: Floats) -> Floats:
    """Return counts a season's hour, float64[season, size], each with a few rows of its parent's shares, float64[size] or [k, size].

    As many as the hours themselves speak for: those that are unlike each other lean on nothing, see `pseudo_rows`.
    """
    counts = np.zeros((season, cells.shape[1]))
    hour = hours(times, season).astype(np.int64) % season
    np.add.at(counts, hour, cells)
    leaning = (
        np.broadcast_to(parent, (season, cells.shape[1]))
        if parent.ndim == 1
        else np.tile(parent, (season // len(parent), 1))
    )
    return counts + pseudo_rows(counts, leaning, 1 if parent.ndim == 1 else len(parent)) * leaning


def pseudo_rows(counts: Floats, parents: Floats, distinct: int) -> float:
    """Return with how many rows of its parent an hour is known best: what a Dirichlet law of the hours' shares adds up to.

    `counts`, `parents` float64[hours, size], of which `distinct` differ. X² of hours against their parents is (C - 1)(1 + r(n - 1))
    for each hour of n rows (Mosimann 1962); r by moments (Kleinman 1973), and 1/r - 1 rows are what the law is worth.
    """
    rows, usual = counts.sum(axis=1), parents > 0
    group = np.arange(len(rows)) % distinct
    held = np.bincount(group, weights=rows, minlength=distinct)
    free = float(np.count_nonzero(rows) - np.count_nonzero(held))
    alone = float((rows**2 / np.maximum(held[group], 1.0)).sum())
    cells = float(usual.any(axis=0).sum()) - 1
    room = cells * (float(rows.sum()) - alone - free)
    if room <= 0:
        return PSEUDO_ROWS
    due = rows[:, None] * parents
    x2 = float((np.square(counts - due)[usual] / np.maximum(due[usual], 1e-9)).sum())
    rho = max((x2 - cells * free) / room, 1 / (1 + PSEUDO_ROWS))
    return max(1 / rho - 1, FEWEST_PSEUDO_ROWS)


def shares(counts: Floats) -> Floats:
    """Return rows of counts as shares."""
    return np.asarray(counts / np.maximum(counts.sum(axis=-1, keepdims=True), 1e-9))


def expected(counts: Floats, times: Ints | int, season: int) -> tuple[Floats, Floats]:
    """Return shares at each time by interpolation, float64[..., size], and the reference rows that they rest on."""
    return _interpolated(counts, between(times, season))


def _interpolated(counts: Floats, at: Weights) -> tuple[Floats, Floats]:
    of, rows = shares(counts), counts.sum(axis=-1)
    share = at.share[..., None]
    resting = 1 / ((1 - at.share) ** 2 / rows[..., at.low] + at.share**2 / rows[..., at.high])
    return of[..., at.low, :] * (1 - share) + of[..., at.high, :] * share, resting


@dataclass(frozen=True, slots=True, eq=False)
class HourlyProfiles:
    """The hours of all features that follow one season: kept once, whoever looks at them.

    `which` int64[s] are the features, `counts` float32[s, season, width] theirs; `missed` int64[m] are those of the s whose
    hours are missed by their interpolation, `lacks_of_fit` float32[m, season, 3] by how much. Hours are those of `timezone`.
    """

    season: int
    which: Ints
    counts: HourCounts
    missed: Ints
    lacks_of_fit: HourCounts
    timezone: str | None = None

    @classmethod
    def of(
        cls,
        season: int,
        which: Sequence[int],
        counts: Sequence[HourCounts],
        lacks_of_fit: Sequence[HourCounts | None],
        width: int,
        timezone: str | None = None,
    ) -> "HourlyProfiles":
        """Copy what each feature has, float32[season, its cells] and float32[season, 3], side by side."""
        stacked = np.zeros((len(which), season, width), dtype=np.float32)
        for row, hourly in zip(stacked, counts, strict=True):
            row[:, : hourly.shape[1]] = hourly
        known = [at for at, missed in enumerate(lacks_of_fit) if missed is not None and missed.any()]
        beside = np.array([lacks_of_fit[at] for at in known], dtype=np.float32).reshape(-1, season, 3)
        for array in (stacked, beside):
            array.setflags(write=False)
        rows, missed = np.array(which, dtype=np.int64), np.array(known, dtype=np.int64)
        return cls(season, rows, stacked, missed, beside, timezone)

    def expected(self, start: int, end: int) -> tuple[Floats, Floats, Floats]:
        """Return shares float64[s, width] in [start, end), the reference rows behind them [s], and what they miss [s, 3].

        Of more than an hour the hours' mean by their rows, and the most that any of them misses.
        """
        times = local(middles(start, end), self.timezone)
        at, count = between(times, self.season), np.arange(times.size)
        around = self.counts[:, np.concatenate([at.low, at.high])].astype(np.float64)  # these hours alone
        each, behind = _interpolated(around, Weights(count, count + times.size, at.share))
        weights = behind / behind.sum(axis=1, keepdims=True)
        lack_of_fit = np.zeros((self.which.size, 3))
        if self.missed.size:
            lack_of_fit[self.missed] = self.lacks_of_fit[
                :, hours(times, self.season).astype(np.int64) % self.season
            ].max(axis=1)
        return (each * weights[:, :, None]).sum(axis=1), behind.mean(axis=1) * times.size, lack_of_fit


def seasonal(series: Floats, times: Ints, season: int) -> bool:
    """Return whether a series follows the hour: it varies more between hours than within, alike in odd and even days (weeks)."""
    hour = hours(times, season).astype(np.int64) % season
    turn = (times // (season * HOUR_NS)) % 2
    halves = [means(series[turn == half], hour[turn == half], season) for half in (0, 1)]
    both = np.isfinite(halves[0]) & np.isfinite(halves[1])
    level = means(series, hour, season)
    if both.sum() < max(np.isfinite(level).sum() // 2, FEWEST_HOURS):
        return False
    even, odd = halves[0][both], halves[1][both]
    if even.std() < 1e-9 or odd.std() < 1e-9:  # noqa: PLR2004 - constant but for rounding
        return False
    counts = np.bincount(hour, minlength=season)
    inside = np.square(series - level[hour]).sum() / max(series.size - season, 1)
    among = float((counts * np.square(np.nan_to_num(level) - series.mean())).sum()) / (season - 1)
    return bool(
        np.corrcoef(even, odd)[0, 1] > AGREES[season] and among > STANDS_OUT[season] * max(float(inside), 1e-12)
    )


def means(series: Floats, hour: Ints, season: int) -> Floats:
    """Return the mean in each hour, float64[season]; NaN where there is none."""
    rows = np.bincount(hour, minlength=season)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.bincount(hour, weights=series, minlength=season) / np.where(rows > 0, rows, np.nan))
