"""How a statistic of one window varies from one to the next; how it varies slowly says slow.py."""

import numpy as np

from detectors import special
from detectors.features import Floats, Ints

LOCAL_NS = 3 * 3600 * 10**9
FEWEST_LOCAL = 6
LOCAL = 36  # windows whose common level is taken out before variation from one to the next is measured
SHORT = (1, 2, 3, 4, 6)  # windows a block: what depends on its neighbour varies more in blocks
FEWEST_BLOCKS = 6
SURE = 0.002  # chance at which a larger variance than expected is taken for chance


def quick_sd(series: Floats, groups: Ints | None = None, *, unit: float = 1.0) -> float:
    """Return the standard deviation that sums of neighbouring windows grow with, at least `unit`.

    `groups` int64[k], rising: windows whose level in common is taken out, see `groups_of`. Over blocks of up to six windows;
    longer blocks count where they vary more than the shorter ones explain. Then its upper bound: an underestimate would cost
    the budget more than an overestimate costs delay.
    """
    if not series.size:
        return unit
    apart, whole = _apart(series, groups)
    variance, bound = unit**2, unit
    for length in SHORT:
        blocks = _block_means(apart, length)
        free = blocks.size * (1 - length / whole)
        if blocks.size < FEWEST_BLOCKS or free < FEWEST_BLOCKS or 2 * length > whole:
            continue
        squares = float(np.square(blocks).sum()) * length
        if squares > variance * chi2_bound(free):
            variance = squares / free
            bound = float(np.sqrt(variance) * (1 + 1 / np.sqrt(2 * free)))
    return bound


def _apart(series: Floats, groups: Ints | None) -> tuple[Floats, int]:
    """Return windows less the level of their group, of the groups that are whole, and how many one has."""
    if groups is None:
        whole = min(LOCAL, series.size)
        kept = series[: series.size // whole * whole]
    else:
        many = np.bincount(groups - groups[0])
        whole = int(many.max())
        kept = series[many[groups - groups[0]] == whole]
    rows = kept.reshape(-1, whole)
    return np.asarray((rows - rows.mean(axis=1, keepdims=True)).ravel()), whole


def groups_of(times: Ints, window_ns: int) -> Ints:
    """Return which windows have a level in common, int64[k]: those of three hours, or six of long windows, by the clock."""
    return times // max(LOCAL_NS, FEWEST_LOCAL * window_ns)


def _block_means(series: Floats, length: int) -> Floats:
    return np.asarray(series[: series.size // length * length].reshape(-1, length).mean(axis=1))


def chi2_bound(free: float) -> float:
    """Return the chi-square of so many degrees that chance hardly exceeds."""
    return float(special.chdtri(free, SURE))


def t_quantile(chance: float, dof: int) -> float:
    """Return Student's t that is exceeded with this chance."""
    return float(special.stdtrit(max(dof, 1), 1 - chance))
