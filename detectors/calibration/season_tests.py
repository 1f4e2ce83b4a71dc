"""Whether a feature follows the hour of the day, and the day of the week: days are the units, for a day's hours move together."""

import numpy as np

from detectors import special
from detectors.calibration import seasons
from detectors.features import Floats, Ints

DAY_NS, HOUR_NS = 24 * seasons.HOUR_NS, seasons.HOUR_NS
SURE = 0.01  # chance of taking seven days that differ by luck for a week's pattern
SMALLEST = 0.05  # sigma, that days of the week differ by, root mean square
PARTS = 6  # of a day: hours next to each other are alike
DAYS = 7


def follows_day(series: Floats, middles: Ints) -> bool:
    """Return whether a series follows the hour, each day's own level taken out."""
    days, which = np.unique(middles // DAY_NS, return_inverse=True)
    level = np.bincount(which, weights=series) / np.bincount(which)
    return days.size > 1 and seasons.seasonal(series - level[which], middles, seasons.DAY)


def follows_week(series: Floats, middles: Ints, unit: float = 1.0) -> bool:
    """Return whether the levels of days, or their course, follow the day of the week: an analysis of variance of whole days.

    By less than 0.05 σ they may follow what they like; `unit` is that of the series, in σ.
    """
    parts = _parts(series, middles)
    if parts is None:
        return False
    days, weekday = parts
    level = days.mean(axis=1, keepdims=True)
    return _differ(level * unit, weekday) or _differ((days - level) * unit, weekday)


def _parts(series: Floats, middles: Ints) -> tuple[Floats, Ints] | None:
    """Return the means of each day's six parts, float64[d, 6], of days that have all, and their days of the week."""
    part = middles // (DAY_NS // PARTS)
    keys, which, held = np.unique(part, return_inverse=True, return_counts=True)
    means = np.bincount(which, weights=series) / held
    days, many = np.unique(keys // PARTS, return_counts=True)
    whole = np.isin(keys // PARTS, days[many == PARTS])
    found = means[whole].reshape(-1, PARTS)
    weekday = days[many == PARTS] % DAYS
    return (found, weekday) if found.shape[0] - np.unique(weekday).size >= DAYS - 2 else None


def _differ(days: Floats, weekday: Ints) -> bool:
    """Return whether rows float64[d, parts] differ between days of the week by more than within them (F test)."""
    names, which = np.unique(weekday, return_inverse=True)
    of_each = np.stack([days[which == at].mean(axis=0) for at in range(names.size)])
    free = max(days.shape[1] - 1, 1)
    inside = float(np.square(days - of_each[which]).sum()) / ((len(days) - names.size) * free)
    among = float(np.square(of_each[which] - days.mean(axis=0)).sum()) / ((names.size - 1) * free)
    if np.square(of_each - days.mean(axis=0)).mean() < SMALLEST**2:
        return False
    return (
        float(special.fdtrc((names.size - 1) * free, (len(days) - names.size) * free, among / max(inside, 1e-12)))
        < SURE
    )
