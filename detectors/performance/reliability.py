"""Calibration: what positives there are where so many were predicted."""

import math
from dataclasses import dataclass

import numpy as np

from detectors.features import Floats
from detectors.performance.cells import NO_ROW, WeighedCells
from detectors.performance.intervals import effective_rows, normal_quantile, wilson
from detectors.performance.measured import Interval, Measured, Metric, Unavailable

FOLDED = math.sqrt(2 / math.pi)  # the mean of |z| for a standard normal z


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The rows with a score above `above` and up to `upto` (the first bin has 0 as well).

    `predicted` is their mean score, `observed` the share of positives among them, with Wilson's interval.
    """

    above: float
    upto: float
    rows: int
    predicted: float
    observed: float
    interval: Interval


@dataclass(frozen=True, slots=True, eq=False)
class Reliability(WeighedCells):
    """What is known of each reliability bin: rows by label, [2, R], and sums over rows, float64[R].

    `edges` float64[R + 1]; `scores` is Σ w·score, `errors` Σ w²·(score − label)².
    """

    edges: Floats
    scores: Floats
    errors: Floats


def reliability_table(bins: Reliability, confidence: float) -> list[ReliabilityBin]:
    """Return the bins that hold rows: the reliability diagram, as a table."""
    return [_bin(bins, k, confidence) for k in np.flatnonzero(bins.mass.sum(axis=0)).tolist()]


def _bin(bins: Reliability, k: int, confidence: float) -> ReliabilityBin:
    mass = bins.mass[:, k]
    whole = float(mass.sum())
    observed = float(mass[1]) / whole
    interval = wilson(observed, effective_rows(mass, bins.squares[:, k]), confidence)
    above, upto = bins.edges[k : k + 2].tolist()
    return ReliabilityBin(above, upto, int(bins.rows[:, k].sum()), float(bins.scores[k]) / whole, observed, interval)


def calibration_error(bins: Reliability, confidence: float) -> Metric:
    """Return the expected calibration error: the mean over rows of |observed − predicted| of their reliability bin.

    Naeini, Cooper and Hauskrecht, Obtaining well calibrated probabilities using Bayesian binning, AAAI 2015. Chance alone makes
    it larger than zero. The value is off by at most Σ|δ|, with δ what chance does to each bin's part, normal about zero; the
    interval reaches as far as that sum may: its mean, √(2/π)·Σσ, and normal quantiles of its standard deviation,
    √((1 − 2/π)·Σσ²). So it holds at any calibration, and is wide rather than short. The standard error is √Σσ².
    """
    whole = float(bins.mass.sum())
    if whole == 0:
        return Unavailable(NO_ROW, bins.total)
    value = float(np.abs(bins.mass[1] - bins.scores).sum()) / whole
    variances = bins.errors / whole**2
    spread = math.sqrt((1 - FOLDED**2) * float(variances.sum()))
    reach = FOLDED * float(np.sqrt(variances).sum()) + normal_quantile(confidence) * spread
    limits = max(0.0, value - reach), min(1.0, value + reach)
    return Measured(value, bins.total, math.sqrt(float(variances.sum())), limits)
