"""Numbers that wander by nature: prices, weather, counters, clocks. What they were in the reference says little of what is next."""

from collections.abc import Sequence

import numpy as np

from detectors import special
from detectors.calibration import seasons
from detectors.calibration.components import normal_scores
from detectors.calibration.days import DAY_NS, DayLevels, OwnWindows
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.regression import Best, left_by
from detectors.calibration.unsteady import SHARED, Wandering
from detectors.features import Bools, Floats, Ints

CHANCE = 0.05  # over all features: a suggestion, where the level matters in any case
LEAST = 0.25  # of a number's variance lies between days: else it hardly matters where its level is
STILL = 0.1  # of it, when the best step or trend is taken out: else that says it all
RISING = 0.5
FEWEST_DAYS = 8
ALIKE = 0.25  # of a number's variance, at most, lies within windows where all rows of a time share one value
LEFT = 0.05  # of it, at least, that hours do not tell


def wandering(levels: DayLevels, held: Bools, which: Ints, fit: Best, names: Sequence[str]) -> list[Wandering]:
    """Return those of some series, int64[s], on the days they have, bool[n], that wander; `fit` is the best change of each.

    The level of a day leans on that of the day before: von Neumann's ratio (1941) of what the usual level leaves, at the
    chance shared by the numbers whose level matters; and still does when the best step is taken out, for one step makes
    neighbours alike too. Or it rises, or falls, every day; blocks of few days are looked at for that alone.
    """
    if held.sum() < FEWEST_DAYS:
        return []
    values = levels.values[held][:, which]
    apart = left_by(values, levels.known(held, which))
    share = np.square(values - values.mean(axis=0)).mean(axis=0)
    matters = (levels.what[which] == "mean") & (share >= LEAST)
    still = matters & (levels.days.length >= DAY_NS) & (np.square(fit.rest).mean(axis=0) >= STILL)
    leans = (
        still
        & (_neighbours(apart) < CHANCE / max(int(still.sum()), 1))
        & (fit.autocorrelation > 1 / np.sqrt(len(values)))  # one standard error
    )
    found = []
    for at in np.flatnonzero(matters).tolist():
        moves = np.diff(values[:, at])
        way = "rises" if (moves > 0).all() else "falls" if (moves < 0).all() else "wanders"
        if leans[at] or (way != "wanders" and share[at] >= RISING):
            found.append(Wandering(names[levels.feature[which[at]]], float(min(share[at], 1.0)), way))
    return found


def shared(windows: OwnWindows, learnt: Sequence[FeatureCalibration], names: Sequence[str]) -> list[Wandering]:
    """Return the numbers that all rows of a time share, as weather or a price: a window holds one value, the next one another.

    They are of the time, not of the rows: however many rows a window has, it says of them what one would. By the analysis of
    variance of windows, and only where hours do not tell the value, as they do of a clock's.
    """
    numeric = len(windows.merged.layout.numeric)
    found = [_shared(windows, feature, at) for at, feature in enumerate(learnt[:numeric])]
    return [Wandering(names[at], share, SHARED) for at, share in enumerate(found) if share is not None]


def _shared(windows: OwnWindows, learnt: FeatureCalibration, at: int) -> float | None:
    """The share of a number's variance that is neither of rows nor of hours, if it is one that rows share."""
    cells = windows.cells[:, at, : windows.merged.sizes[at]]
    kept = cells.sum(axis=1) > 0
    counts = cells[kept].astype(np.float64)
    if counts.shape[1] < 2 or kept.sum() < FEWEST_DAYS:  # noqa: PLR2004 - a constant
        return None
    rows = counts.sum(axis=1)
    pooled = seasons.shares(counts.sum(axis=0))
    location = normal_scores(pooled[None], np.array([pooled.size]), 1)[0, :, 0]
    mean = counts @ location / rows
    within = float((counts @ np.square(location) - rows * np.square(mean)).sum() / rows.sum())
    if not location.any() or within > ALIKE or float(np.median(rows)) < 1 / ALIKE:
        return None
    free = 1.0
    if learnt.season:
        hour = seasons.hours(windows.local[kept], learnt.season).astype(np.int64) % learnt.season
        mean = mean - seasons.means(mean, hour, learnt.season)[hour]
        free = 1 - np.unique(hour).size / mean.size
    left = float((rows * np.square(mean)).sum() / rows.sum()) / max(free, ALIKE)
    return min(left, 1.0) if left >= LEFT else None


def _neighbours(apart: Floats) -> Floats:
    """Return the chance of days so like the days before, float64[s] (Young 1941: normal, which is on the safe side)."""
    count = len(apart)
    squares = np.maximum(np.square(apart).sum(axis=0), 1e-12)
    agreement = 1 - np.square(np.diff(apart, axis=0)).sum(axis=0) / (2 * squares)
    return np.asarray(special.ndtr(-agreement / np.sqrt((count - 2) / (count * count - 1))))
