"""Tails heavier than a normal one, known from all features together.

Few windows of one feature say nothing of what happens once a month; those of all features do. Beyond a high quantile the
excess follows an exponential law (peaks over threshold, Pickands 1975, of shape zero), and the normal deviate that is
exceeded as rarely takes the deviate's place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from detectors import special
from detectors.features import Floats

CHANCE = 0.01  # of a deviate in the tail
FEWEST = 30  # deviates in the tail, that its law is known from
MOST = 0.05  # chance, beyond which it is no tail
SURELY = 3.0  # standard errors of the mean excess
FURTHEST = 500.0  # times the mean excess: beyond it all are alike


class Tail(NamedTuple):
    """Deviates beyond `start` come with this chance, and by `excess` further on average. A chance of 0 is a normal tail."""

    chance: float
    start: float
    excess: float


NO_TAIL = Tail(0.0, 0.0, 1.0)


def heavier_tail(deviates: Sequence[Floats]) -> Tail:
    """Return the tail of deviates of several features, unless it may be a normal one."""
    every = np.concatenate([np.empty(0), *deviates])
    chance = max(CHANCE, FEWEST / max(every.size, 1))
    if chance > MOST:
        return NO_TAIL
    start = float(np.quantile(every, 1 - chance))
    beyond = every[every > start] - start
    if not beyond.size:
        return NO_TAIL
    excess = float(beyond.mean())
    density = np.exp(-(start**2) / 2) / np.sqrt(2 * np.pi)
    usual = float(density / special.ndtr(-start)) - start
    return Tail(chance, start, excess) if excess > usual * (1 + SURELY / np.sqrt(beyond.size)) else NO_TAIL


def normalised(deviates: Floats, chance: Floats | float, start: Floats | float, excess: Floats | float) -> Floats:
    """Return deviates as far out as a normal one of the same chance; those that are nearer by themselves stay.

    >>> normalised(np.array([1.0, 2.0, 6.0]), *Tail(0.01, 2.0, 1.0)).round(2)
    array([1.  , 2.  , 3.56])
    """
    far = (deviates > start) & (np.asarray(chance) > 0)
    if not far.any():
        return deviates
    shares, starts, excesses = (np.broadcast_to(part, deviates.shape)[far] for part in (chance, start, excess))
    beyond = np.minimum((deviates[far] - starts) / excesses, FURTHEST)
    found = deviates.copy()
    found[far] = np.minimum(deviates[far], -special.ndtri(shares * np.exp(-beyond)))
    return found
