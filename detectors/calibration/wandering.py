"""Numbers that wander by nature: prices, weather, counters, clocks. What they were in the reference says little of what is next."""

from collections.abc import Sequence

import numpy as np

from detectors.calibration.days import DAY_NS, DayLevels
from detectors.calibration.regression import Best, left_by
from detectors.calibration.unsteady import Wandering
from detectors.features import Bools, Floats, Ints

CHANCE = 0.05  # over all features: a suggestion, where the level matters in any case
LEAST = 0.25  # of a number's variance lies between days: else it hardly matters where its level is
STILL = 0.1  # of it, when the best step or trend is taken out: else that says it all
RISING = 0.5
FEWEST_DAYS = 8


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


def _neighbours(apart: Floats) -> Floats:
    """Return the chance of days so like the days before, float64[s] (Young 1941: normal, which is on the safe side)."""
    from scipy import special

    count = len(apart)
    squares = np.maximum(np.square(apart).sum(axis=0), 1e-12)
    agreement = 1 - np.square(np.diff(apart, axis=0)).sum(axis=0) / (2 * squares)
    return np.asarray(special.ndtr(-agreement / np.sqrt((count - 2) / (count * count - 1))))
