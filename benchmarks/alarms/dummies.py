"""Rules that look at nothing: what a figure is worth beside them."""

from collections.abc import Callable

import numpy as np

from benchmarks.alarms.scoring import DAY, MONTH

Rule = Callable[[int], np.ndarray]  # windows -> bool[windows], whether it alarms


def always(windows: int) -> np.ndarray:
    """Alarm in every window."""
    return np.ones(windows, dtype=np.bool_)


def never(windows: int) -> np.ndarray:
    """Say nothing."""
    return np.zeros(windows, dtype=np.bool_)


def periodic(windows: int) -> np.ndarray:
    """Alarm once a day."""
    return np.arange(windows) % DAY == DAY - 1


DUMMIES: dict[str, Rule] = {"always": always, "never": never, "periodic, once a day": periodic}


def delays_of(rule: Rule, changes: int, rng: np.random.Generator) -> np.ndarray:
    """Windows from a change at a random moment to the next alarm, float64[changes]; inf where there is none."""
    alarms = np.flatnonzero(rule(MONTH + 2 * DAY))
    begins = rng.integers(0, MONTH, changes)
    following = np.searchsorted(alarms, begins)
    reached = following < alarms.size
    found = np.full(changes, np.inf)
    found[reached] = alarms[following[reached]] - begins[reached] + 1
    return found
