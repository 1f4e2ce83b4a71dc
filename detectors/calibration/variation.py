"""How a statistic of one window varies from window to window: from one to the next, and slowly."""

from dataclasses import dataclass

import numpy as np

from detectors.features import Floats

LOCAL = 36  # windows whose common level is taken out before variation from one to the next is measured
SHORT = (1, 2, 3, 4, 6)  # windows a block: what depends on its neighbour varies more in blocks
SLOW = (12, 36, 72, 144, 288)  # windows a block: an hour to a day of five-minute windows
FEWEST_BLOCKS = 6
SURE = 0.002  # chance at which a larger variance than expected is taken for chance


@dataclass(frozen=True, slots=True)
class Slow:
    """Slow variation: its standard deviation, and the degrees of freedom that it was measured with."""

    sd: float
    dof: int


def quick_sd(series: Floats, *, unit: float = 1.0) -> float:
    """Return the standard deviation that sums of neighbouring windows grow with, at least `unit`.

    Over blocks of up to six windows, slow variation taken out; longer blocks count where they vary more than the shorter ones
    explain. Then its upper bound: an underestimate would cost the budget more than an overestimate costs delay.
    """
    if not series.size:
        return unit
    whole = min(LOCAL, series.size)
    series = series[: series.size // whole * whole]
    apart = (series.reshape(-1, whole) - series.reshape(-1, whole).mean(axis=1, keepdims=True)).ravel()
    variance, bound = unit**2, unit
    for length in SHORT:
        blocks = _block_means(apart, length)
        free = blocks.size * (1 - length / whole)
        if blocks.size < FEWEST_BLOCKS or free < FEWEST_BLOCKS:
            continue
        squares = float(np.square(blocks).sum()) * length
        if squares > variance * chi2_bound(free):
            variance = squares / free
            bound = float(np.sqrt(variance) * (1 + 1 / np.sqrt(2 * free)))
    return bound


def slow_sd(series: Floats, quick: float) -> Slow:
    """Return how much block means vary beyond what windows of this `quick` deviation explain; 0 where chance does."""
    slow = Slow(0.0, 1)
    for length in SLOW:
        blocks = _block_means(series, length)
        if blocks.size < FEWEST_BLOCKS:
            continue
        free = blocks.size - 1
        apart, alone = float(blocks.var(ddof=1)), quick**2 / length
        if apart * free > alone * chi2_bound(free) and apart - alone > slow.sd**2:
            slow = Slow(float(np.sqrt(apart - alone)), free)
    return slow


def _block_means(series: Floats, length: int) -> Floats:
    return np.asarray(series[: series.size // length * length].reshape(-1, length).mean(axis=1))


def chi2_bound(free: float) -> float:
    """Return the chi-square of so many degrees that chance hardly exceeds."""
    from scipy import special

    return float(special.chdtri(free, SURE))


def t_quantile(chance: float, dof: int) -> float:
    """Return Student's t that is exceeded with this chance."""
    from scipy import special

    return float(special.stdtrit(max(dof, 1), 1 - chance))
