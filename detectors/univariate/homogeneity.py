"""Pearson's test that window and reference share one distribution over the same cells, for all features at once."""

import numpy as np

from detectors import special
from detectors.features import Bools, Floats, Ints, some
from detectors.layout import Cells
from detectors.sketches import sums

NO_CELL = -1


def pearson(window: Ints, reference: Ints, cells: Cells, pool: Ints) -> tuple[Floats, Ints, Floats]:
    """Return X² float64[F], degrees of freedom int64[F] and p float64[F] of the 2 x cells table of each feature.

    `window` and `reference` int64[c] are counts in the order of `cells`; `pool` int64[F] is the position of the cell
    for what the reference hardly knows, or NO_CELL. Cells empty on both sides do not count. A pool whose expected
    window count is below 1 (Cochran 1954) joins the rarest other cell when two or more others remain: else one single
    unseen value would look certain in a long reference. One cell or none: X² is 0 and p is 1.
    """
    if some(pool != NO_CELL):
        window, reference = _join_thin_pools(window, reference, cells, pool)
    statistic, dof = sums.pearson(window, reference, cells)
    return statistic, dof, special.chdtrc(np.maximum(dof, 1), statistic)


def _join_thin_pools(window: Ints, reference: Ints, cells: Cells, pool: Ints) -> tuple[Ints, Ints]:
    n = np.add.reduceat(window, cells.starts)
    m = np.add.reduceat(reference, cells.starts)
    both = window + reference
    others = np.add.reduceat((both > 0).astype(np.int64), cells.starts) - (both[pool] > 0)
    thin = (pool != NO_CELL) & (both[pool] > 0) & (both[pool] * (n / np.maximum(n + m, 1)) < 1) & (others > 1)
    if not thin.any():
        return window, reference
    source, target = pool[thin], _rarest(reference, both > 0, cells, pool)[thin]
    window, reference = window.copy(), reference.copy()
    for counts in (window, reference):
        counts[target] += counts[source]
        counts[source] = 0
    return window, reference


def _rarest(reference: Ints, held: Bools, cells: Cells, pool: Ints) -> Ints:
    """Return the position of each feature's cell with the fewest reference rows, the pool left out, int64[F]."""
    eligible = held.copy()
    eligible[pool[pool != NO_CELL]] = False
    weight = np.where(eligible, reference, np.iinfo(np.int64).max)
    found = np.flatnonzero(weight == np.minimum.reduceat(weight, cells.starts)[cells.owner])
    first = np.empty(cells.starts.size, dtype=np.int64)
    first[cells.owner[found][::-1]] = found[::-1]  # the last assignment wins, so the first such cell
    return first
