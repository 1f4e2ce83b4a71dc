"""How many rows a window usually has, hour by hour, and how far that varies."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from detectors.calibration import seasons
from detectors.calibration.components import normal_quantile
from detectors.calibration.feature import DAYS_FOR_DAY, DAYS_FOR_WEEK, UNSURE
from detectors.calibration.slow import nested
from detectors.calibration.variation import groups_of, quick_sd
from detectors.features import Floats, Ints

SLOW_DEVIATIONS = 3.0  # of what days differ by, that one deviation of the charts of rows stands for
RATE_FLOOR = 0.05  # of the logarithm of rows: no traffic is steadier than that
RATE_LACK_OF_FIT = float(np.log(2))  # as far from the hour's level as the charts of rows let pass, see charts/design.py


@dataclass(frozen=True, slots=True)
class ArrivalRate:
    """Rows a window: `season` 0, 24 or 168 and the logarithms of its usual rows float64[season or 1]; `sd` around them.

    `lack_of_fit`: how far windows of each hour lie from these in most turns of the season, as a nightly batch does; () where none.
    """

    sd: float
    season: int
    level: tuple[float, ...]
    lack_of_fit: tuple[float, ...] = ()
    timezone: str | None = None  # of the hours

    def __post_init__(self) -> None:
        if self.season not in {0, seasons.DAY, seasons.WEEK} or len(self.level) != (self.season or 1):
            raise ValueError(f"calibration: volume: {len(self.level)} levels for a season of {self.season} hours")
        if not (np.isfinite([self.sd, *self.level]).all() and self.sd > 0):
            raise ValueError("calibration: volume: sd must be above zero, and all numbers finite")
        if self.lack_of_fit and not (
            len(self.lack_of_fit) == self.season and np.isfinite(self.lack_of_fit).all() and min(self.lack_of_fit) >= 0
        ):
            raise ValueError(f"calibration: volume: misfit should be {self.season} finite numbers, none below zero")

    def expected(self, start: int, end: int) -> float:
        """Return the logarithm of the rows that a window in [start, end) usually has."""
        if not self.season:
            return self.level[0]
        at, level = seasons.between(self._middles(start, end), self.season), np.array(self.level)
        return float(np.log(np.exp(level[at.low] * (1 - at.share) + level[at.high] * at.share).mean()))

    def missed(self, start: int, end: int) -> float:
        """Return how far from that a window in [start, end) lies every time, the most of its hours."""
        if not self.lack_of_fit:
            return 0.0
        hours = seasons.hours(self._middles(start, end), self.season).astype(np.int64) % self.season
        return float(max(self.lack_of_fit[at] for at in hours.tolist()))

    def _middles(self, start: int, end: int) -> Ints:
        return seasons.local(seasons.middles(start, end), self.timezone)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form, exact."""
        content = {"sd": self.sd, "season": self.season, "level": list(self.level)}
        return content | ({"misfit": list(self.lack_of_fit)} if self.lack_of_fit else {})

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], timezone: str | None = None) -> Self:
        """Read the JSON form, of a calibration of this zone."""
        level, lack_of_fit = (tuple(map(float, numbers)) for numbers in (content["level"], content.get("misfit", ())))
        return cls(float(content["sd"]), int(content["season"]), level, lack_of_fit, timezone)


def arrival_rate(rows: Floats, middles: Ints, window_ns: int, timezone: str | None = None) -> ArrivalRate:
    """Learn from windows of so many rows, around these middles, by the hours of a zone."""
    logs = np.log(np.maximum(rows, 1.0))
    span, middles = int(middles[-1] - middles[0]) + window_ns, seasons.local(middles, timezone)
    season = 0
    if window_ns <= seasons.HOUR_NS:
        for longer, days in ((seasons.DAY, DAYS_FOR_DAY), (seasons.WEEK, DAYS_FOR_WEEK)):
            if seasons.enough(span, days) and seasons.seasonal(logs, middles, longer):
                season = longer
    if not season:
        level: Floats = np.array([np.median(logs)])
        apart = logs - level[0]
    else:
        hour = seasons.hours(middles, season).astype(np.int64) % season
        level = np.array([np.median(logs[hour == each]) if (hour == each).any() else np.nan for each in range(season)])
        level = np.where(np.isnan(level), np.nanmedian(level), level)
        at = seasons.between(middles, season)
        apart = logs - (level[at.low] * (1 - at.share) + level[at.high] * at.share)
    quick = quick_sd(apart, groups_of(middles, window_ns), unit=RATE_FLOOR)
    chance = normal_quantile(UNSURE * window_ns / seasons.HOUR_NS) * quick  # the furthest window of an hour
    lack_of_fit = _recurring(np.abs(apart), middles, season, max(chance, RATE_LACK_OF_FIT)) if season else ()
    turns = max(span / (season * seasons.HOUR_NS), 1.0) if season else 0.0
    slow = nested(apart, quick**2, middles, window_ns, turns=turns, weekly=season == seasons.WEEK)
    sd = float(np.hypot(quick, SLOW_DEVIATIONS * np.sqrt(slow.variance * (1 + slow.past))))
    return ArrivalRate(sd, season, tuple(level.tolist()), lack_of_fit, timezone)


def _recurring(apart: Floats, middles: Ints, season: int, least: float) -> tuple[float, ...]:
    """How far the furthest window of each hour lies in most turns of the season, 0 where less than `least`; () where nowhere."""
    hour = seasons.hours(middles, season).astype(np.int64) % season
    turns, turn = np.unique(middles // seasons.HOUR_NS - hour, return_inverse=True)
    furthest = np.zeros((turns.size, season))
    np.maximum.at(furthest, (turn, hour), apart)
    usually = np.quantile(furthest, 0.5, axis=0, method="lower")
    usually = np.where(usually > least, usually, 0.0)
    return tuple(usually.tolist()) if usually.any() else ()
