"""Student's t fitted to the days of many features: how heavy its tail is, and each feature's variance under it.

By maximum likelihood with weights, which is the EM algorithm (Lange, Little and Taylor 1989); the degrees of freedom are
common to all features, place and scale are each feature's own.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from detectors.features import Floats

TAILS = (3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0)  # degrees of freedom that are tried
SURELY = 4.0  # log likelihood over a normal law: by chance once in some 400 references
TURNS = 40  # of the algorithm
FEWEST_DAYS = 6  # of a feature, to say anything of its scale


@dataclass(frozen=True, slots=True, eq=False)
class DaysLaw:
    """`tail` degrees of freedom; `variances` float64[features] under it, times what the days' squares say."""

    tail: float
    variances: Floats


def tail_of_days(days: Sequence[Floats]) -> DaysLaw | None:
    """Return the law of features' days, each float64[d], where a normal one does not explain them."""
    if not days or min(each.size for each in days) < FEWEST_DAYS:
        return None
    most = max(each.size for each in days)
    rows = np.array([np.pad(each, (0, most - each.size), constant_values=np.nan) for each in days])
    normal = _fitted(rows, np.inf)
    best = max((_fitted(rows, tail) for tail in TAILS), key=lambda fit: fit.likelihood)
    if best.likelihood < normal.likelihood + SURELY:
        return None
    return DaysLaw(best.tail, best.squares * best.tail / (best.tail - 2) / np.maximum(normal.squares, 1e-300))


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    tail: float
    likelihood: float
    squares: Floats  # scale squared, of each row


def _fitted(rows: Floats, tail: float) -> _Fit:
    """Fit place and scale of each row float64[f, d], NaN where there is no day."""
    from scipy import special

    held = np.isfinite(rows)
    number = held.sum(axis=1)
    place, squares = np.nanmean(rows, axis=1), np.maximum(np.nanvar(rows, axis=1), 1e-300)
    for _ in range(TURNS if np.isfinite(tail) else 0):
        z2 = np.square(rows - place[:, None]) / squares[:, None]
        weights = np.where(held, (tail + 1) / (tail + z2), 0.0)
        place = np.nansum(weights * rows, axis=1) / weights.sum(axis=1)
        squares = np.maximum(np.nansum(weights * np.square(rows - place[:, None]), axis=1) / number, 1e-300)
    z2 = np.square(rows - place[:, None])[held] / np.repeat(squares, number)
    logs = float((number * np.log(squares)).sum()) / 2
    if not np.isfinite(tail):
        return _Fit(tail, -float(z2.sum()) / 2 - logs - 0.5 * np.log(2 * np.pi) * z2.size, squares)
    constant = special.gammaln((tail + 1) / 2) - special.gammaln(tail / 2) - 0.5 * np.log(tail * np.pi)
    return _Fit(tail, float(constant * z2.size - (tail + 1) / 2 * np.log1p(z2 / tail).sum()) - logs, squares)
