"""How certain a number is: standard errors and confidence intervals from counts and sums.

Cells of counts are multinomial. A metric m that does not change when all cells are doubled has, to first order, the variance
Σ s·(∂m/∂c)² over the cells, with s the cell's sum of squared weights, which is its count where no row has a weight: the delta
method, which is the infinitesimal jackknife (Efron, The Jackknife, the Bootstrap and Other Resampling Plans, 1982, ch. 6).
"""

import math
from functools import cache
from statistics import NormalDist

import numpy as np

from detectors import special
from detectors.features import Floats
from detectors.performance.measured import Interval

MOST_LOG_ODDS = 700.0  # that an interval reaches: beyond, exp is no float


@cache
def normal_quantile(confidence: float) -> float:
    """Return how many standard errors an interval reaches to both sides. Raises ValueError unless 0 < confidence < 1.

    >>> round(normal_quantile(0.95), 4)
    1.96
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def delta_error(gradient: Floats, squares: Floats) -> float:
    """Return the standard error of a metric by its gradient at the cells and their sums of squared weights."""
    return math.sqrt(float((squares * gradient**2).sum()))


def wilson(share: float, rows: float, confidence: float) -> Interval:
    """Return the score interval of a share of so many independent rows.

    Wilson, Probable inference, the law of succession, and statistical inference, JASA 22 (1927). Rows of unequal weight count
    as the number of equal ones with the same standard error (Franco et al., JSSAM 7, 2019).

    >>> tuple(round(limit, 4) for limit in wilson(0.9, 100, 0.95))
    (0.8256, 0.9448)
    """
    z2 = normal_quantile(confidence) ** 2
    centre = (share + z2 / (2 * rows)) / (1 + z2 / rows)
    reach = math.sqrt(z2 * (share * (1 - share) / rows + z2 / (4 * rows**2))) / (1 + z2 / rows)
    return (0.0 if share == 0 else max(0.0, centre - reach), 1.0 if share == 1 else min(1.0, centre + reach))


def student(mean: float, error: float, rows: int, confidence: float) -> Interval:
    """Return the interval of a mean of so many rows, two at least, by Student's law (Biometrika 6, 1908)."""
    reach = float(special.stdtrit(rows - 1, (1 + confidence) / 2)) * error
    return mean - reach, mean + reach


def logit(share: float, error: float, confidence: float) -> Interval:
    """Return the interval of a number between 0 and 1, neither of them, that is normal on the scale of log odds.

    So it stays between 0 and 1 (Pepe, The Statistical Evaluation of Medical Tests for
    Classification and Prediction, 2003, ch. 5, for areas under curves).
    """
    times = math.exp(min(normal_quantile(confidence) * error / (share * (1 - share)), MOST_LOG_ODDS))
    return share / (share + (1 - share) * times), share / (share + (1 - share) / times)


def logit_or_wilson(share: float, error: float, rows: float, confidence: float) -> Interval:
    """Return `logit`; where the rows show no spread, as where all is right, the score interval of a share."""
    if 0 < share < 1 and error > 0:
        return logit(share, error, confidence)
    return wilson(min(max(share, 0.0), 1.0), rows, confidence)


def fisher(correlation: float, error: float, confidence: float) -> Interval:
    """Return the interval of a correlation, not 1 or −1, that is normal on the scale of the inverse hyperbolic tangent.

    Fisher, On the probable error of a coefficient of correlation, Metron 1 (1921).
    """
    reach = normal_quantile(confidence) * error / (1 - correlation**2)
    centre = math.atanh(correlation)
    return math.tanh(centre - reach), math.tanh(centre + reach)


def effective_rows(mass: Floats, squares: Floats) -> float:
    """Return how many rows of equal weight are worth as much (Kish, Survey Sampling, 1965): (Σw)² / Σw²."""
    return float(np.sum(mass)) ** 2 / float(np.sum(squares))
