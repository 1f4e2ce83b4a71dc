"""Rows that come in groups, sessions or users: how alike the rows of one are, and what the rows of a window are worth.

1. Design effect. Where the rows of a group share a part rho of a score's variance, the mean of a window varies
   D = 1 + rho (K - 1) times as much as that of independent rows; K is how many rows the group of a row drawn at random has
   (Kish 1965; sketches/groups.py). K is known of each window, so a night of three long sessions is weighed as what it is.
2. Alike. rho is a feature's own, and one of location, of scale and of the shape: what comes from the user is one value a session,
   what comes from the request is not. By moments over the reference's own windows, levels of three hours taken out:
   E[r² - 1] = rho (K - 1), each window weighed by 1 / K, since r² varies by no more than K.
3. Worth. In place of n rows a window counts for n D0 / D, D0 the design effect of the reference's usual window. All else that a
   calibration learns is learnt of rows counted so, and what charts are held to with it: at the usual K nothing changes.

L. Kish, Survey Sampling (1965).
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from detectors.features import Bools, Floats, Ints

FEWEST = 12  # windows, that say how alike rows are
LEAST = 0.25  # of a row more than itself, that there has to be in a group to tell
WILDEST = 16.0  # times its variance at most: what lies beyond is no matter of groups


@dataclass(frozen=True, slots=True, eq=False)
class Together:
    """How many rows come together in each window, float64[k], NaN where that is not told, and in a usual one."""

    sizes: Floats
    usual: float

    @classmethod
    def of(cls, sizes: Floats | None) -> Self | None:
        """Return what windows tell; None where none does."""
        if sizes is None or np.isnan(sizes).all():
            return None
        return cls(sizes, float(np.nanmedian(sizes)))

    def where(self, which: Bools) -> "Together":
        """Return the same of some windows."""
        return Together(self.sizes[which], self.usual)

    def alike(self, squares: Floats) -> float:
        """Return rho by the squares of what should be standard normal if rows were independent, float64[k], NaN where not known."""
        known = np.isfinite(squares) & np.isfinite(self.sizes)
        size = np.maximum(self.sizes[known], 1.0)
        more = float(((size - 1) / size).sum())
        if size.size < FEWEST or more < LEAST * size.size / (1 + LEAST):
            return 0.0
        beyond = (np.minimum(squares[known], WILDEST * size) - 1) / size
        return float(np.clip(beyond.sum() / more, 0.0, 1.0))

    def worth(self, alike: Floats) -> Floats:
        """Return what rows of each window are worth, float64[k, c], of scores that are so alike, float64[c]."""
        return worth(alike, self.sizes[:, None], self.usual)


def worth(alike: Floats, together: Floats | float, usual: float) -> Floats:
    """Return what a row is worth beside one of a usual window, where so many come together; 1 where that is not told (NaN).

    >>> worth(np.array([0.0, 0.5, 1.0]), 40.0, 20.0).round(2)
    array([1.  , 0.51, 0.5 ])
    """
    size = np.where(np.isnan(together), usual, together)
    return np.asarray((1 + alike * (usual - 1)) / (1 + alike * (size - 1)))


def within(values: Floats, groups: Ints) -> Floats:
    """Return values [k, c] less the mean of their group of windows, as wide as before; NaN where a group is of one."""
    _, which, many = np.unique(groups, return_inverse=True, return_counts=True)
    means = np.stack([np.bincount(which, weights=column) / many for column in values.T], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        wider = np.where(many > 1, np.sqrt(many / (many - 1.0)), np.nan)
    return np.asarray((values - means[which]) * wider[which, None])
