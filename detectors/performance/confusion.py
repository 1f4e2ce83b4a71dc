"""Metrics that counts of labels by predictions decide: accuracy, precision, recall, F1, Matthews correlation, money."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints
from detectors.performance.cells import NO_ROW, WeighedCells, share
from detectors.performance.intervals import delta_error, fisher, logit_or_wilson, normal_quantile
from detectors.performance.measured import Interval, Measured, Metric, Unavailable

NO_POSITIVE = "no positive label"
NO_NEGATIVE = "no negative label"
NO_PREDICTED = "no positive prediction"
PER = 1000  # predictions, that money is told for


@dataclass(frozen=True, slots=True)
class CostMatrix:
    """What a prediction costs, by what it is and by what came true; gains are below zero. Any unit of money.

    >>> CostMatrix(false_positive=1.0, false_negative=25.0).by_cell.tolist()
    [[0.0, 1.0], [25.0, 0.0]]
    """

    true_negative: float = 0.0
    false_positive: float = 0.0
    false_negative: float = 0.0
    true_positive: float = 0.0

    def __post_init__(self) -> None:
        if not np.isfinite(self.by_cell).all():
            raise ValueError(f"costs must be finite numbers, not {self}")

    @property
    def by_cell(self) -> Floats:
        """Costs by label and prediction, float64[2, 2]."""
        return np.array([[self.true_negative, self.false_positive], [self.false_negative, self.true_positive]])


class Confusion(WeighedCells):
    """Rows by label (down) and prediction (across), [K, K]; of two classes the second is the positive one."""

    __slots__ = ()

    def against_rest(self, classes: Sequence[int]) -> list["Confusion"]:
        """Return the same rows by class k and not k, of each of these classes."""
        parts = self.through(lambda part: _collapsed(part, np.array(classes, dtype=np.int64)))
        return [Confusion(*cells) for cells in zip(*parts, strict=True)]

    def plus(self, more: Ints) -> "Confusion":
        """Return these rows and more, of weight 1."""
        return Confusion(self.rows + more, self.mass + more, self.squares + more)

    def smoothed(self) -> "Confusion":
        """Return half a row more in each cell (Jeffreys): an empty cell is no impossible one."""
        return Confusion(self.rows, self.mass + 0.5, self.squares + 0.5)


def _collapsed(cells: NDArray[Any], classes: Ints) -> NDArray[Any]:
    hit, label, said = cells[classes, classes], cells.sum(axis=1)[classes], cells.sum(axis=0)[classes]
    table = np.array([[cells.sum() - label - said + hit, said - hit], [label - hit, hit]])
    return table.transpose(2, 0, 1)


ALL = np.ones((2, 2), np.bool_)
RIGHT = np.array([[True, False], [False, True]])
POSITIVE = np.array([[False, False], [True, True]])
SAID = np.array([[False, True], [False, True]])
HIT = POSITIVE & SAID


def accuracy(confusion: Confusion, confidence: float) -> Metric:
    """Return the share of right predictions, of any number of classes."""
    right = np.eye(len(confusion.rows), dtype=np.bool_)
    return share(confusion, right, np.ones_like(right), NO_ROW, confidence)


def precision(confusion: Confusion, confidence: float) -> Metric:
    """Return the share of positive predictions that came true."""
    return share(confusion, HIT, SAID, NO_PREDICTED, confidence)


def recall(confusion: Confusion, confidence: float) -> Metric:
    """Return the share of positive labels that were predicted."""
    return share(confusion, HIT, POSITIVE, NO_POSITIVE, confidence)


def specificity(confusion: Confusion, confidence: float) -> Metric:
    """Return the share of negative labels that were predicted."""
    return share(confusion, ~SAID, ~POSITIVE, NO_NEGATIVE, confidence)


def f1(confusion: Confusion, confidence: float) -> Metric:
    """Return the harmonic mean of precision and recall.

    It is 2J / (1 + J), with J the share of hits among the rows that are not true negatives; so the interval is that of J.
    """
    jaccard = share(confusion, HIT, POSITIVE | SAID, "neither positive labels nor positive predictions", confidence)
    if isinstance(jaccard, Unavailable) or jaccard.standard_error is None or jaccard.interval is None:
        return jaccard
    low, high = (2 * limit / (1 + limit) for limit in jaccard.interval)
    hits = float(confusion.mass[1, 1])  # not by J: this is rounded as scikit-learn's
    value = 2 * hits / float(2 * hits + confusion.mass[0, 1] + confusion.mass[1, 0])
    return Measured(value, jaccard.rows, 2 * jaccard.standard_error / (1 + jaccard.value) ** 2, (low, high))


def balanced_accuracy(confusion: Confusion, confidence: float) -> Metric:
    """Return the mean of recall and specificity.

    Both are of different rows. The interval squares and adds how far theirs reach: MOVER (Zou and Donner, Construction of
    confidence limits about effect measures, Statistics in Medicine 27, 2008).
    """
    parts = [recall(confusion, confidence), specificity(confusion, confidence)]
    for part in parts:
        if isinstance(part, Unavailable):
            return Unavailable(part.reason, confusion.total)
    both = [part for part in parts if isinstance(part, Measured)]
    value = (both[0].value + both[1].value) / 2
    below = math.hypot(*(part.value - part.interval[0] for part in both if part.interval)) / 2
    above = math.hypot(*(part.interval[1] - part.value for part in both if part.interval)) / 2
    error = math.hypot(*(part.standard_error or 0.0 for part in both)) / 2
    return Measured(value, confusion.total, error, (max(0.0, value - below), min(1.0, value + above)))


def matthews(confusion: Confusion, confidence: float) -> Metric:
    """Return the Matthews correlation of labels and predictions.

    Its error is by the delta method, its interval normal after Fisher's transformation (Itaya et al., Asymptotic properties of
    Matthews correlation coefficient, Statistics in Medicine 44, 2025) with half a row more in each cell.
    """
    labels, said = confusion.mass.sum(axis=1), confusion.mass.sum(axis=0)
    for masses, what in ((labels, "labels"), (said, "predictions")):
        if not masses.all():
            return Unavailable(f"all {what} are of one class" if confusion.total else NO_ROW, confusion.total)
    value, error = _matthews(confusion)
    low, high = fisher(*_matthews(confusion.smoothed()), confidence)
    return Measured(value, confusion.total, error, (min(low, value), max(high, value)))


def _matthews(confusion: Confusion) -> tuple[float, float]:
    cells = confusion.mass
    labels, said = cells.sum(axis=1), cells.sum(axis=0)
    scale = math.sqrt(labels[0]) * math.sqrt(labels[1]) * math.sqrt(said[0]) * math.sqrt(said[1])
    value = float(cells[0, 0] * cells[1, 1] - cells[0, 1] * cells[1, 0]) / scale
    others = np.array([[cells[1, 1], -cells[1, 0]], [-cells[0, 1], cells[0, 0]]])
    gradient = others / scale - value / 2 * (1 / labels[:, None] + 1 / said[None, :])
    return min(1.0, max(-1.0, value)), delta_error(gradient, confusion.squares)


def money(confusion: Confusion, costs: CostMatrix, confidence: float) -> Metric:
    """Return what a thousand predictions cost, with the delta method's error and a normal interval.

    The interval is that of half a row more in each cell: rare costs that a few rows do not show may yet come.
    """
    if not confusion.mass.any():
        return Unavailable(NO_ROW, confusion.total)
    value, error = _money(confusion, costs.by_cell)
    centre, spread = _money(confusion.smoothed(), costs.by_cell)
    reach = normal_quantile(confidence) * spread
    return Measured(value, confusion.total, error, (min(value, centre - reach), max(value, centre + reach)))


def _money(confusion: Confusion, costs: Floats) -> tuple[float, float]:
    whole = float(confusion.mass.sum())
    value = float((confusion.mass * costs).sum()) / whole
    return PER * value, delta_error(PER * (costs - value) / whole, confusion.squares)


def mean_f1(confusion: Confusion, confidence: float, *, by_support: bool) -> Metric:
    """Return the mean of F1 over the classes that labels or predictions have; all equal, or by their labels.

    The error is by the delta method; the interval is normal on the scale of log odds.
    """
    if not confusion.mass.any():
        return Unavailable(NO_ROW, confusion.total)
    value, slope = f1_and_slope(confusion.mass, by_support=by_support)
    error = delta_error(slope, confusion.squares)
    return Measured(value, confusion.total, error, logit_or_wilson(value, error, confusion.worth, confidence))


def f1_and_slope(mass: Floats, *, by_support: bool) -> tuple[float, Floats]:
    """Return a mean of F1, and its gradient at each cell, [K, K]."""
    labels, said = mass.sum(axis=1), mass.sum(axis=0)
    seen = labels + said > 0
    sizes, whole = np.where(seen, labels + said, 1.0), float(labels.sum())
    each = 2 * np.diagonal(mass) / sizes
    weights = labels / whole if by_support else seen / seen.sum()
    value = float((weights * each).sum())
    pull = weights * each / sizes
    slope = np.diag(2 * weights / sizes) - pull[:, None] - pull[None, :]
    return value, slope + ((each - value) / whole)[:, None] if by_support else slope


MEASURES: Final = {
    "accuracy": accuracy,
    "balanced_accuracy": balanced_accuracy,
    "precision": precision,
    "recall": recall,
    "f1": f1,
    "specificity": specificity,
    "mcc": matthews,
}


Bounds = dict[str, Interval | Unavailable]


def bounds_over_missing(
    confusion: Confusion,
    negative: int,
    positive: int,
    costs: CostMatrix | None = None,
    names: Collection[str] = MEASURES,
) -> Bounds:
    """Return between what each of these metrics of two classes lies once the labels of some predictions have come, whatever they are.

    `negative` and `positive` are the predictions that wait for a label. No metric is better than where all of them are
    right, or worse than where all are wrong (Manski, Nonparametric bounds on treatment effects, American Economic Review
    80, 1990). A metric that has no value at either end is absent with the reason.

    >>> cells = np.array([[40, 10], [5, 45]])
    >>> bounds_over_missing(Confusion(cells, 1.0 * cells, 1.0 * cells), negative=100, positive=0)["accuracy"]
    (0.425, 0.925)
    """
    wrong, right = np.array([[0, positive], [negative, 0]]), np.array([[negative, 0], [0, positive]])
    worst, best = confusion.plus(wrong), confusion.plus(right)
    bounds = {name: _between(MEASURES[name](worst, 0.95), MEASURES[name](best, 0.95)) for name in names}
    return bounds if costs is None else bounds | {"cost_per_1000": _money_between(confusion, negative, positive, costs)}


def _money_between(confusion: Confusion, negative: int, positive: int, costs: CostMatrix) -> Interval | Unavailable:
    """Each missing label is that which costs least, or most."""
    rows = confusion.mass.sum() + negative + positive
    if not rows:
        return Unavailable(NO_ROW)
    known, waiting = float((confusion.mass * costs.by_cell).sum()), np.array([negative, positive])
    least, most = (float((waiting * ends).sum()) for ends in (costs.by_cell.min(axis=0), costs.by_cell.max(axis=0)))
    return PER * (known + least) / float(rows), PER * (known + most) / float(rows)


def right_over_missing(confusion: Confusion, missing: Ints) -> Bounds:
    """Return between what accuracy lies, of any number of classes, with so many labels missing by predicted class, int64[K]."""
    wrong, right = np.zeros_like(confusion.rows), np.diag(missing)
    wrong[1, 0], wrong[0, 1:] = missing[0], missing[1:]
    return {"accuracy": _between(*(accuracy(confusion.plus(more), 0.95) for more in (wrong, right)))}


def _between(low: Metric, high: Metric) -> Interval | Unavailable:
    if isinstance(low, Unavailable):
        return low
    return high if isinstance(high, Unavailable) else (low.value, high.value)
