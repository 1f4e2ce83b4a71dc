"""How far two windows of a feature are apart that were counted on layouts of their own: no farther than they are for certain."""

import math
from dataclasses import dataclass

import numpy as np

from detectors import special
from detectors.features import CategoricalFeature, Feature, Floats, Ints, NumericFeature

KS, TV = "ks", "tv"  # Kolmogorov-Smirnov distance of numbers, total variation of categories


@dataclass(frozen=True, slots=True)
class Apart:
    """A distance from 0 to 1, the chance of it or more where both come from one source, and the rows with a value of each."""

    measure: str
    value: float
    pvalue: float
    rows: tuple[int, int]


def apart(first: Feature, first_counts: Ints, second: Feature, second_counts: Ints) -> Apart | None:
    """Compare two rows of counts, each int64 of its feature's own cells; None where they are of two kinds, or one has no value.

    Of numbers it is the largest distance between the distribution functions at the edges of either, as far as bins of the other leave no
    doubt: never above that of the values themselves, so that the p-value, Kolmogorov's asymptotic one, is cautious. Of categories it is
    half the sum of differences of shares, those that one layout does not know taken as one; the p-value is Pearson's.

    >>> edges = np.linspace(0.0, 10.0, 11)
    >>> number = NumericFeature("age", edges, discrete=False)
    >>> low, high = (np.array([0, *row, 0, 0, 0, 0]) for row in ([50] * 10, [0, 0, *[50] * 8, 100]))
    >>> found = apart(number, low[:15], number, high[:15])
    >>> round(found.value, 2), found.pvalue < 1e-6
    (0.2, True)
    """
    match first, second:
        case NumericFeature(), NumericFeature():
            return _numbers(first, first_counts[: first.usable], second, second_counts[: second.usable])
        case CategoricalFeature(), CategoricalFeature():
            return _categories(first, first_counts[: first.usable], second, second_counts[: second.usable])
        case _:
            return None


def _numbers(first: NumericFeature, one: Ints, second: NumericFeature, two: Ints) -> Apart | None:
    rows = int(one.sum()), int(two.sum())
    if not (min(rows) and first.bins and second.bins):
        return None
    grid = np.union1d(first.edges, second.edges)
    (low_one, high_one), (low_two, high_two) = _between(first, one, grid), _between(second, two, grid)
    value = float(max(0.0, np.max(low_one - high_two), np.max(low_two - high_one)))
    together = rows[0] * rows[1] / sum(rows)
    return Apart(KS, value, float(special.kolmogorov(math.sqrt(together) * value)), rows)


def _between(feature: NumericFeature, counts: Ints, grid: Floats) -> tuple[Floats, Floats]:
    """Between what a distribution function lies at each place, float64[n] twice: it is known at the feature's own edges."""
    known = np.concatenate(
        [[0.0], np.cumsum(counts[:-1]) / counts.sum(), [1.0]]
    )  # before the first edge, at each, after the last
    below = np.searchsorted(feature.edges, grid, side="right")
    above = np.searchsorted(feature.edges, grid, side="left") + 1
    return known[below], known[above]


def _categories(first: CategoricalFeature, one: Ints, second: CategoricalFeature, two: Ints) -> Apart | None:
    rows = int(one.sum()), int(two.sum())
    if not min(rows):
        return None
    places = {name: at for at, name in enumerate(second.categories)}
    pairs = [(at, places[name]) for at, name in enumerate(first.categories) if name in places]
    both = np.array([[one[a], two[b]] for a, b in pairs] or np.zeros((0, 2)), dtype=np.float64).reshape(-1, 2)
    table = np.vstack([both, np.array(rows) - both.sum(axis=0)])
    table = table[table.sum(axis=1) > 0]
    shares = table / table.sum(axis=0)
    value = float(np.abs(shares[:, 0] - shares[:, 1]).sum() / 2)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    return Apart(TV, value, float(special.chdtrc(max(len(table) - 1, 1), statistic)), rows)
