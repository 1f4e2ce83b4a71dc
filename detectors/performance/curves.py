"""Areas under curves from scores on bins: AUROC and average precision, between bounds that no order inside a bin can leave.

Inside a bin of p positives and q negatives nobody knows who stands before whom. Whatever it is, pairs of different bins are
in the order of the bins, so AUROC lies between Σ over such pairs and that plus Σ p·q, over P·N. A bin that can hold one score
alone (an atom) hides nothing: its pairs are ties and count one half.

Average precision is the mean over positives of the precision TP / (TP + FP) at their score. With T positives and F negatives in
the bins above, a positive of this bin has at most (T + p) / (T + p + F): all positives share a score above all negatives. At
least it has, the i-th of them below all negatives, (T + i) / (T + i + F + q). That is concave in i, so its sum over i = 1..p is
no less than its integral from ½ to p + ½: p − c·log(1 + p / (T + ½ + c)), with c = F + q (Hermite and Hadamard). With weights
it is no less than the integral from 0 to p, for it rises.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.features import Bools, Floats
from detectors.performance.cells import WeighedCells
from detectors.performance.confusion import NO_NEGATIVE, NO_POSITIVE
from detectors.performance.intervals import delta_error, effective_rows, logit_or_wilson
from detectors.performance.measured import Interval, Measured, Metric, Unavailable

ROUNDING: Final = 1e-12  # bounds are wider by this, for sums in doubles
FIRST: Final = 16  # positives of a bin that are added up one by one


@dataclass(frozen=True, slots=True, eq=False)
class ScoreCells(WeighedCells):
    """Rows by label (negative, positive) and score bin, from low to high, [2, B]; `atoms` bool[B] hold one score alone."""

    atoms: Bools
    weighted: bool


def auroc(cells: ScoreCells, confidence: float) -> Metric:
    """Return the area under the ROC curve: the chance that a positive's score is above a negative's.

    The standard error is DeLong's (DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988), with scores of one bin as ties. The
    interval is normal on the scale of log odds, around either bound. Where there is no spread, as where all pairs are in order,
    it is Wilson's for min(P, N) independent pairs.
    """
    negatives, positives = cells.mass
    rows = cells.total
    if not positives.any() or not negatives.any():
        return Unavailable(NO_NEGATIVE if positives.any() else NO_POSITIVE, rows)
    pairs = float(positives.sum() * negatives.sum())
    below = np.cumsum(negatives) - negatives
    ties = positives * negatives
    sure = float((positives * below).sum() + ties[cells.atoms].sum() / 2) / pairs
    bounds = _widened(sure, sure + float(ties[~cells.atoms].sum()) / pairs)
    value = sure + float(ties[~cells.atoms].sum()) / 2 / pairs
    error = _delong(cells)
    return Measured(min(1.0, value), rows, error, _area_interval(cells, bounds, error, confidence), bounds)


def area_and_slope(mass: Floats) -> tuple[Floats, Floats]:
    """Return the area with scores of one bin as ties, and its gradient at each cell of [..., 2, B]; both labels have rows."""
    running = np.cumsum(mass, axis=-1)
    totals = running[..., -1:]
    placements = ((running - mass / 2) / totals)[..., ::-1, :]  # of negatives among positives, and the other way round
    placements[..., 0, :] = 1 - placements[..., 0, :]
    area = (mass[..., 1, :] * placements[..., 1, :]).sum(axis=-1) / totals[..., 1, 0]
    return area, (placements - area[..., None, None]) / totals


def _delong(cells: ScoreCells) -> float | None:
    """The standard error; None where a label has one row alone."""
    counts = cells.rows.sum(axis=1)
    if counts.min() < 2:  # noqa: PLR2004 - one row has no spread
        return None
    _, slope = area_and_slope(cells.mass)
    return delta_error(slope, cells.squares * (counts / (counts - 1))[:, None])


def _area_interval(cells: ScoreCells, bounds: Interval, error: float | None, confidence: float) -> Interval | None:
    if error is None:
        return None
    pairs = min(effective_rows(*label) for label in zip(cells.mass, cells.squares, strict=True))
    lowest, _ = logit_or_wilson(bounds[0], error, pairs, confidence)
    _, highest = logit_or_wilson(bounds[1], error, pairs, confidence)
    return min(bounds[0], lowest), max(bounds[1], highest)


def average_precision(cells: ScoreCells, confidence: float) -> Metric:
    """Return the mean precision over the positives, as scikit-learn's `average_precision_score`.

    The standard error is by the delta method, with scores of one bin as ties. The interval is normal on the scale of log odds
    (Boyd, Eng and Page, Area under the precision-recall curve: point estimates and confidence intervals, ECML PKDD 2013), around
    either bound; where there is no spread, Wilson's for as many rows as positives.
    """
    negatives, positives = cells.mass[:, ::-1]
    rows = cells.total
    if not positives.any():
        return Unavailable(NO_POSITIVE, rows)
    low, high = _precision_bounds(negatives, positives, cells.atoms[::-1], weighted=cells.weighted)
    error = delta_error(precision_and_slope(cells.mass)[1], cells.squares)
    alike = effective_rows(cells.mass[1], cells.squares[1])
    lowest = logit_or_wilson(low, error, alike, confidence)[0]
    highest = logit_or_wilson(high, error, alike, confidence)[1]
    return Measured((low + high) / 2, rows, error, (min(low, lowest), max(high, highest)), (low, high))


def _precision_bounds(negatives: Floats, positives: Floats, atoms: Bools, *, weighted: bool) -> Interval:
    """Bounds from cells of falling score."""
    holding = positives > 0
    hits, misses = np.cumsum(positives)[holding], np.cumsum(negatives)[holding]
    p, q, atom = positives[holding], negatives[holding], atoms[holding]
    tied = p * hits / (hits + misses)
    most = p * hits / (hits + misses - q)
    least = _least_of_weights(p, hits - p, misses) if weighted else _least_of_rows(p, hits - p, misses)
    whole = float(positives.sum())
    low = float(np.where(atom, tied, np.minimum(least, tied)).sum()) / whole
    high = float(np.where(atom, tied, most).sum()) / whole
    return _widened(low, high)


def _least_of_rows(p: Floats, before: Floats, misses: Floats) -> Floats:
    """Σ (T + i) / (T + i + c) over i = 1..p: the first few by themselves, the others by the integral."""
    places = np.arange(1, FIRST + 1)[:, None]
    first = np.where(places <= p, (before + places) / (before + places + misses), 0.0).sum(axis=0)
    rest = np.maximum(p - FIRST, 0.0)
    return np.asarray(first + rest - misses * np.log1p(rest / (before + FIRST + 0.5 + misses)))


def _least_of_weights(p: Floats, before: Floats, misses: Floats) -> Floats:
    """The integral of (T + x) / (T + x + c) over x from 0 to p."""
    ratios = np.divide(p, before + misses, out=np.zeros_like(p), where=misses > 0)
    return np.asarray(p - misses * np.log1p(ratios))


def precision_and_slope(mass: Floats) -> tuple[Floats, Floats]:
    """Return Σ p·T / (T + F) / P, where scores of one bin are ties, and its gradient at each cell of [..., 2, B]; P is not 0."""
    above = np.cumsum(mass[..., ::-1], axis=-1)[..., ::-1]  # rows of this score or more
    whole = above[..., 0, :] + above[..., 1, :]
    whole[whole == 0] = 1.0
    positives = above[..., 1, :1]
    shares, precisions = mass[..., 1, :] / positives, above[..., 1, :] / whole
    average = (shares * precisions).sum(axis=-1)
    parts = above[..., ::-1, :] * (shares / whole**2)[..., None, :]
    slope = np.cumsum(parts, axis=-1)  # of a negative, then a positive: to all that score no more
    slope[..., 0, :] *= -1
    slope[..., 1, :] += (precisions - average[..., None]) / positives
    return average, slope


def _widened(low: float, high: float) -> Interval:
    return max(0.0, low - ROUNDING), min(1.0, high + ROUNDING)
