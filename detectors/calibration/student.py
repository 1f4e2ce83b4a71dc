"""Student's t fitted to the days of many features: how heavy its tail is, and each feature's variance under it.

A feature has few days, and each its own place (one of each day of the week where it follows the week) and scale. Both are
integrated out, by flat priors on the place and on the logarithm of the scale, so that what is left depends on the
days' configuration alone: of all tests that do not mind place and scale the likelihood of it is the most powerful
(Lehmann and Romano 2005, section 6.3). The degrees of freedom are common to all features.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from detectors import special
from detectors.features import Floats, Ints

TAILS = (3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0, 20.0)  # degrees of freedom that are tried
NORMAL = 0.95  # how likely a normal law is before anything is seen; the rest is shared by the tails
RARE = 5e-4  # chance at which a single tail stands for all laws that are possible
NEARLY_NORMAL = 24.0  # degrees of freedom from which nothing is gained by telling it from a normal law
FEWEST_DAYS = 6  # of a feature, to say anything of its scale
MOST_FEATURES = 48  # whose days tell of the tail; of more, so many evenly
SCALES = np.geomspace(0.1, 4.0, 40)  # of the days' own deviation, that are integrated over
PLACES = 80  # same, between the lowest of the days and the highest and so far beyond: `BEYOND`
BEYOND = 4.0  # times the scale, if that is more than theirs
APART = np.sinh(np.linspace(0.0, 8.0, 140))  # of two days, at which their density is worked out
PAIR = 2


@dataclass(frozen=True, slots=True, eq=False)
class DaysLaw:
    """`tail` degrees of freedom; `variances` float64[features] under it, times what the days' squares say."""

    tail: float
    variances: Floats


def tail_of_days(days: Sequence[Floats], weekdays: Sequence[Ints]) -> DaysLaw | None:
    """Return the law of features' days, each float64[d], where a normal one does not explain them.

    `weekdays` int64[d]: which of them share a place; all alike where days do not follow the week.
    """
    if not days or min(each.size for each in days) < FEWEST_DAYS:
        return None
    asked = np.linspace(0, len(days) - 1, min(len(days), MOST_FEATURES)).astype(np.int64).tolist()
    told = [_groups(days[at], weekdays[at]) for at in asked]
    logs = np.array([[_integrated(each, tail)[0] for tail in (np.inf, *TAILS)] for each in told]).sum(axis=0)
    tail = _tail(logs)
    if tail >= NEARLY_NORMAL:
        return None
    scales = [
        [_integrated(_groups(*each), of)[1] for of in (tail, np.inf)] for each in zip(days, weekdays, strict=True)
    ]
    wild, normal = np.array(scales).T
    return DaysLaw(tail, wild * tail / (tail - 2) / normal)


def _tail(logs: Floats) -> float:
    """Return the tail whose rare draws are those of all laws together, by their log likelihoods float64[1 + t], the normal one's first.

    A tail that two weeks have not refuted is possible: the mixture is what the next day is drawn from, for all that is known.
    """
    from scipy import optimize

    before = np.array([NORMAL, *[(1 - NORMAL) / len(TAILS)] * len(TAILS)])
    weights = before * np.exp(logs - logs.max())
    weights /= weights.sum()
    tails = np.array([1e9, *TAILS])
    units = np.sqrt(tails / (tails - 2))

    def beyond(bound: float) -> float:
        return float(2 * weights @ special.stdtr(tails, -bound * units)) - RARE

    bound = optimize.brentq(beyond, 1.0, 50.0)

    def apart(log: float) -> float:
        tail = float(np.exp(log))
        return float(2 * special.stdtr(tail, -bound * np.sqrt(tail / (tail - 2)))) - RARE

    low, high = np.log(TAILS[0]), np.log(1e6)
    if apart(low) <= 0 or apart(high) >= 0:
        return TAILS[0] if apart(low) <= 0 else np.inf
    return float(np.exp(optimize.brentq(apart, low, high)))


def _groups(days: Floats, weekdays: Ints) -> list[Floats]:
    """Return days that share a place, in units of their own deviation from it."""
    groups = [days[weekdays == each] for each in np.unique(weekdays)]
    groups = [each - each.mean() for each in groups if each.size > 1]
    whole = np.concatenate(groups)
    return [each / max(float(np.sqrt(np.square(whole).mean())), 1e-300) for each in groups]


def _integrated(groups: list[Floats], tail: float) -> tuple[float, float]:
    """Return the log likelihood of a feature's days, place and scale integrated out, and the square of the scale."""
    pairs = np.array([each[1] - each[0] for each in groups if each.size == PAIR])
    logs = _of_pairs(pairs, tail) if pairs.size else np.zeros(SCALES.size)
    logs = logs + sum(_placed(each, tail) for each in groups if each.size > PAIR)
    most = logs.max()
    weights = np.exp(logs - most)
    centre = float(weights @ np.log(SCALES) / weights.sum())
    return float(np.log(weights.sum()) + most), float(np.exp(2 * centre))


def _of_pairs(apart: Floats, tail: float) -> Floats:
    """Return the log likelihood of differences of two days, at each scale, float64[s]."""
    z = np.abs(apart)[None] / SCALES[:, None]
    logs = -np.square(z) / 4 - np.log(4 * np.pi) / 2
    if np.isfinite(tail):
        logs = np.interp(np.log1p(z), np.log1p(APART), _difference(tail))
    return np.asarray(logs.sum(axis=1) - apart.size * np.log(SCALES))


@cache
def _difference(tail: float) -> Floats:
    """Return the log density of the difference of two draws of Student's t, float64, at `APART`."""
    nearer = np.sinh(np.linspace(-np.arcsinh(APART / 2), 12.0, 800))  # to one of them than to the other: half of it
    density = np.exp(_student(nearer, tail) + _student(nearer + APART, tail))
    return np.asarray(np.log(2 * np.trapezoid(density, nearer, axis=0)))


def _student(x: Floats, tail: float) -> Floats:
    constant = special.gammaln((tail + 1) / 2) - special.gammaln(tail / 2) - np.log(tail * np.pi) / 2
    return np.asarray(constant - (tail + 1) / 2 * np.log1p(np.square(x) / tail))


def _placed(group: Floats, tail: float) -> Floats:
    """Return the log likelihood of days that share a place, at each scale, float64[s]; the place integrated out."""
    beyond = BEYOND * np.maximum(SCALES, 1.0)
    places = np.linspace(group.min() - beyond, group.max() + beyond, PLACES, axis=1)
    z = (group - places[:, :, None]) / SCALES[:, None, None]
    logs = (_student(z, tail) if np.isfinite(tail) else -np.square(z) / 2 - np.log(2 * np.pi) / 2).sum(axis=2)
    most = logs.max(axis=1, keepdims=True)
    inside = np.log(np.exp(logs - most).sum(axis=1) * (places[:, 1] - places[:, 0])) + most[:, 0]
    return np.asarray(inside - group.size * np.log(SCALES))
