"""What the cells of a window say: location, scale and the rest, each as a number that is standard normal when nothing has changed."""

from functools import cache

import numpy as np

from detectors import special
from detectors.features import Bools, Floats, Ints

TINY = 1e-9
STRETCH = 1.25  # of the tail that a skew makes short, at most
STEPS = 4
MOST_SHIFT, MOST_STRETCH = 3.0, 3.0  # that an expectation is moved by, in sigma and times
LEAST = 3.0  # rows: a cell that hardly any are expected in is not divided by less, for one row there would look like a change


def normal_scores(shares: Floats, sizes: Ints, numeric: int) -> Floats:
    """Return scores of location and scale, float64[f, width, 2]: mean 0 and variance 1 under `shares`, orthogonal.

    The mean of the normal quantiles inside each cell, and of their squares (van der Waerden; Klotz 1962): nearly as good as
    the t and F tests where data are normal, unmoved by outliers, at home with ties. Only the first `numeric` features have
    them; a feature of two cells has no scale.
    """
    held = np.arange(shares.shape[1]) < sizes[:, None]
    upper = np.cumsum(shares, axis=1)
    lower = np.concatenate([np.zeros((len(shares), 1)), upper[:, :-1]], axis=1)
    q = np.where(held, np.maximum(shares, TINY), 1.0)
    first = (_density(special.ndtri(lower)) - _density(special.ndtri(upper))) / q
    second = (_moment(special.ndtri(lower)) - _moment(special.ndtri(upper))) / q
    weights = np.where(held, shares, 0.0)
    location = _unit(np.where(held, first, 0.0), weights, held)
    scale = np.where(held, second, 0.0)
    scale = _unit(scale - location * (weights * scale * location).sum(axis=1, keepdims=True), weights, held)
    scores = np.stack([location, scale], axis=2)
    scores[sizes < 3, :, 1] = 0.0  # noqa: PLR2004 - location takes one degree of freedom, scale another
    scores[numeric:] = 0.0
    return scores


def _density(z: Floats) -> Floats:
    finite = np.isfinite(z)
    return np.asarray(np.where(finite, np.exp(-np.square(np.where(finite, z, 0.0)) / 2), 0.0) / np.sqrt(2 * np.pi))


def _moment(z: Floats) -> Floats:
    return np.asarray(np.where(np.isfinite(z), z, 0.0) * _density(z))


def _unit(scores: Floats, weights: Floats, held: Bools) -> Floats:
    """Return the scores with mean 0 and variance 1 under the weights; all zero where they do not vary."""
    total = np.maximum(weights.sum(axis=1, keepdims=True), TINY)
    apart = np.where(held, scores - (weights * scores).sum(axis=1, keepdims=True) / total, 0.0)
    spread = np.sqrt((weights * apart * apart).sum(axis=1, keepdims=True) / total)
    return np.asarray(np.where(spread > 1e-4, apart / np.maximum(spread, 1e-4), 0.0))  # noqa: PLR2004 - below it is rounding


def recentred(q: Floats, moved: Floats, scores: Floats, sizes: Ints | None = None) -> tuple[Floats, Floats]:
    """Return the shares of cells once location and scale have moved as seen, float64[k, size], and the scale score [k] of that.

    A normal quantile behind each cell's border is shifted and stretched until the scores [size, 2] or [k, size, 2] move by
    `moved` float64[k, 2]; a few steps are enough for what days differ by. The score of scale is of the stretch alone: a shift
    by a moves it too, by a² / √2. `sizes` int64[k]: cells of each, if not all.
    """
    borders = special.ndtri(np.clip(np.cumsum(q, axis=-1), 0.0, 1.0))
    last = np.full(len(q), q.shape[1]) if sizes is None else sizes
    borders[np.arange(q.shape[1]) >= last[:, None] - 1] = np.inf
    shift, stretch, there = moved[:, 0].copy(), np.ones(len(q)), q
    for _ in range(STEPS):
        below = special.ndtr((borders - shift[:, None]) / stretch[:, None])
        there = np.diff(below, prepend=0.0, axis=-1)
        apart = there - q
        seen = apart @ scores if scores.ndim == 2 else np.einsum("kw,kws->ks", apart, scores)  # noqa: PLR2004
        shift = np.clip(shift + moved[:, 0] - seen[:, 0], -MOST_SHIFT, MOST_SHIFT)
        stretch = np.clip(stretch * np.exp((moved[:, 1] - seen[:, 1]) / np.sqrt(2)), 1 / MOST_STRETCH, MOST_STRETCH)
    return there, np.sqrt(2) * np.log(stretch)


def straightened(u: Floats, skew: Floats) -> Floats:
    """Return what is standard normal when u is standardised with this skew (Wilson and Hilferty 1931).

    The short tail is stretched by a quarter at most: a skew that outliers have made would turn two deviations into ten.
    """
    g = np.where(np.abs(skew) < 1e-3, 1e-3, skew)  # noqa: PLR2004 - there it is the identity
    sign = np.sign(g)
    z = 6 / g * (np.cbrt(g * u / 2 + 1) - 1) + g / 6
    return np.asarray(sign * np.maximum(sign * z, STRETCH * np.minimum(sign * u, 0.0)))


def chi2_deviate(statistic: Floats, dof: Floats, noncentral: Floats) -> Floats:
    """Return the normal deviate of a noncentral chi-square (Sankaran 1959, second approximation); 0 noncentrality is Wilson-Hilferty.

    >>> float(chi2_deviate(np.array([40.0]), np.array([13.0]), np.array([0.0]))[0].round(2))
    3.61
    """
    k, d = dof, noncentral
    first, second, third = k + d, k + 2 * d, k + 3 * d
    h = 1 - 2 * first * third / (3 * second * second)
    p = second / (first * first)
    m = (h - 1) * (1 - 3 * h)
    mean = 1 + h * p * (h - 1 - (2 - h) * m * p / 2)
    spread = h * np.sqrt(2 * p) * (1 + m * p / 2)
    return np.asarray((np.maximum(statistic / first, 0.0) ** h - mean) / spread)


@cache
def normal_quantile(chance: float) -> float:
    """Return the standard normal deviate that is exceeded with this chance."""
    return float(-special.ndtri(chance))


def chi2_quantile(chance: float, dof: Floats) -> Floats:
    """Return the chi-square value that is exceeded with this chance."""
    return np.asarray(special.chdtri(np.maximum(dof, 1.0), chance))
