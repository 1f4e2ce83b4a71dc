"""Performance without labels: what a window of scores is worth, if a score means what it meant in the reference.

Confidence-based performance estimation (Kivimäki et al., Confidence-based estimators for predictive performance in model
monitoring, JAIR 82, 2025; NannyML's CBPE). A row of the window in cell s is positive with chance p(s), learnt from labelled rows of the
reference. With m(s) rows of the window, m·p positives and m·(1 − p) negatives are expected, and every metric is that of those.

Two things make the realised metric another one. Labels fall by chance: Σ m·p·(1 − p)·d², with d what a metric gains when a row of s turns
from negative to positive. And p is of few rows: Σ p·(1 − p)/n·(Σ m·d)² over the blocks of n rows that share a p. Nothing here knows
whether labels now follow another law (concept drift), nor scores that the reference did not have: their share is told.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline
from detectors.encoding import PREDICTION
from detectors.features import Floats, Ints, NumericFeature
from detectors.performance.binary import BinaryCounts
from detectors.performance.confusion import NO_PREDICTED, PER, CostMatrix
from detectors.performance.counts import column
from detectors.performance.curves import area_and_slope, precision_and_slope
from detectors.performance.intervals import fisher, logit_or_wilson, normal_quantile
from detectors.performance.measured import Interval, Measured, Metric, Unavailable
from detectors.performance.metrics import EstimatedPerformance, Metrics
from detectors.sketches import Sketch

STEP: Final = (
    1e-30  # of derivatives along the imaginary axis, which nothing is lost to (Squire and Trapp, SIAM Review 40, 1998)
)
PRIOR: Final = 1.0  # rows by which a chance leans on the score itself


def _accuracy(tn: complex, fp: complex, fn: complex, tp: complex) -> complex:
    return (tn + tp) / (tn + fp + fn + tp)


def _recall(_tn: complex, _fp: complex, fn: complex, tp: complex) -> complex:
    return tp / (fn + tp)


def _specificity(tn: complex, fp: complex, _fn: complex, _tp: complex) -> complex:
    return tn / (tn + fp)


def _balanced(tn: complex, fp: complex, fn: complex, tp: complex) -> complex:
    return (tp / (fn + tp) + tn / (tn + fp)) / 2


def _precision(_tn: complex, fp: complex, _fn: complex, tp: complex) -> complex:
    return tp / (fp + tp)


def _f1(_tn: complex, fp: complex, fn: complex, tp: complex) -> complex:
    return 2 * tp / (2 * tp + fp + fn)


def _matthews(tn: complex, fp: complex, fn: complex, tp: complex) -> complex:
    return complex(tp * tn - fp * fn) / ((tp + fp) ** 0.5 * (tp + fn) ** 0.5 * (tn + fp) ** 0.5 * (tn + fn) ** 0.5)


RATIOS: Final[dict[str, Callable[[complex, complex, complex, complex], complex]]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced,
    "precision": _precision,
    "recall": _recall,
    "f1": _f1,
    "specificity": _specificity,
    "mcc": _matthews,
}


@dataclass(frozen=True, eq=False)
class ScoreEstimator:
    """What scores mean, by the cells that the prediction is counted on.

    `labelled` int64[2, cells, 2] are rows of the reference by label, cell (under, the bins, over) and side of the
    threshold: below it, or not. They add up.

    >>> from detectors import Reference
    >>> scores = np.arange(1, 100) / 100
    >>> reference = Reference.fit({"score": scores}, prediction="score")
    >>> estimator = ScoreEstimator.fit(reference, labels=scores > 0.3, scores=scores, threshold=0.5)
    >>> round(estimator.estimate([0.9, 0.4]).metrics["accuracy"].value, 1)
    0.5
    """

    feature: NumericFeature
    labelled: Ints
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.labelled.shape != (2, self.feature.usable, 2):
            raise ValueError(f"labelled rows must be of shape {(2, self.feature.usable, 2)}, not {self.labelled.shape}")
        if not self.feature.bins or not self.labelled.sum(axis=(1, 2)).all():
            raise ValueError(
                "an estimate needs rows of the reference with positive labels, and some with negative ones"
            )

    @classmethod
    def fit(cls, baseline: Baseline, labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> "ScoreEstimator":
        """Learn from labelled rows, those of the reference say: labels [n] of 1 and 0, scores [n]; rows without either are left out.

        Raises ValueError for a reference without a numeric prediction, and where only one label occurs.
        """
        feature = next((each for each in baseline.layout.numeric if each.name == PREDICTION), None)
        if feature is None:
            raise ValueError("the reference has no prediction that is a number: name its column by prediction=…")
        truth = column(labels, None, "labels")
        score = column(scores, truth.size, "scores")
        kept = np.isfinite(score) & ((truth == 0) | (truth == 1))
        positive, cells = truth[kept].astype(np.int64), np.searchsorted(feature.edges, score[kept], side="left")
        places = (positive * feature.usable + cells) * 2 + (score[kept] >= threshold)
        counts = np.bincount(places, minlength=4 * feature.usable)
        return cls(feature, counts.reshape(2, feature.usable, 2), threshold)

    @classmethod
    def of_counts(cls, counts: BinaryCounts) -> "ScoreEstimator":
        """Learn from counts of labelled scores, to tell what scores of the same task are worth.

        Raises ValueError where only one label occurs.
        """
        edges, threshold = counts.task.edges, counts.task.threshold
        above = np.append(edges, np.inf) >= threshold  # it is an edge, so a bin is wholly above or below
        rows = np.pad(counts.histogram.astype(np.int64), ((0, 0), (0, 1)))
        labelled = np.stack([np.where(above, 0, rows), np.where(above, rows, 0)], axis=2)
        return cls(NumericFeature(PREDICTION, edges.copy(), discrete=False), labelled, threshold)

    @cached_property
    def _blocks(self) -> Ints:
        """Which block of equal chance each of the cells, cut at the threshold, is in, int64[2·cells]; empty ones go with those before."""
        from scipy import optimize

        rows = self.labelled.sum(axis=0).ravel()
        some = rows > 0
        shares = self.labelled[1].ravel()[some] / rows[some]
        fitted = optimize.isotonic_regression(shares, weights=rows[some]).x
        blocks = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
        return np.asarray(blocks[np.maximum(np.cumsum(some) - 1, 0)])

    @cached_property
    def _chances(self) -> tuple[Floats, Floats]:
        """The chance of a positive in each block, and its variance, float64[blocks].

        Chances never fall as scores rise (isotonic regression; Zadrozny and Elkan, KDD 2002). A block of few rows leans on the
        score itself, which counts as one row, so that no chance is 0 or 1 for want of rows.
        """
        positives, rows = (
            np.bincount(self._blocks, weights=part.ravel()) for part in (self.labelled[1], self.labelled.sum(axis=0))
        )
        scores = np.bincount(self._blocks, weights=self.labelled.sum(axis=0).ravel() * self._scores) / rows
        chances = (positives + PRIOR * scores) / (rows + PRIOR)
        return chances, chances * (1 - chances) / (rows + PRIOR)

    @property
    def _scores(self) -> Floats:
        """About the score of each cell, cut, between 0 and 1."""
        edges = self.feature.edges
        middles = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
        return np.repeat(middles, 2).clip(0.001, 0.999)

    @cached_property
    def _sides(self) -> Floats:
        """Which share of a cell's rows lies on each side of the threshold, float64[cells, 2]."""
        rows = self.labelled.sum(axis=0)
        whole = rows.sum(axis=1, keepdims=True)
        above = np.append(self.feature.edges, self.feature.edges[-1]) >= self.threshold
        return np.where(whole > 0, rows / np.maximum(whole, 1), np.stack([~above, above], axis=1))

    def estimate(
        self, window: Sketch | BinaryCounts | ArrayLike, confidence: float = 0.95, costs: CostMatrix | None = None
    ) -> EstimatedPerformance:
        """Return what a window is worth, by its sketch, or by its scores [n]; missing ones are left out.

        Of an estimator `of_counts` also by counts of the same task: their labels are not looked at.
        """
        cells = self._cells(window)
        rows = int(cells.sum())
        mass = (cells[:, None] * self._sides).ravel()
        chances, variances = self._chances
        expected = np.array([mass * (1 - chances[self._blocks]), mass * chances[self._blocks]])
        guess = _Expectation(mass, expected, self._blocks, chances, variances, rows)
        names = [*RATIOS, "auroc", "average_precision", *([] if costs is None else ["cost_per_1000"])]
        unknown = int(cells[self.labelled.sum(axis=(0, 2)) == 0].sum())
        if not rows:
            return EstimatedPerformance(Metrics(dict.fromkeys(names, Unavailable("no score"))), 0, 0.0)
        return EstimatedPerformance(guess.metrics(confidence, costs), rows, unknown / rows)

    def _cells(self, window: Sketch | BinaryCounts | ArrayLike) -> Ints:
        """Rows by cell: under, the bins, over."""
        if isinstance(window, BinaryCounts):
            return np.append(window.histogram.sum(axis=0), 0)
        if isinstance(window, Sketch):
            return window.row(self.feature.name)[: self.feature.usable]
        scores = column(window, None, "scores")
        cells = np.searchsorted(self.feature.edges, scores[np.isfinite(scores)], side="left")
        return np.bincount(cells, minlength=self.feature.usable)


@dataclass(frozen=True, eq=False)
class _Expectation:
    """The rows of a window by cell, cut at the threshold, and what is expected of them, [negative or positive, 2·cells]."""

    mass: Floats
    expected: Floats
    blocks: Ints
    chances: Floats
    variances: Floats
    rows: int

    def metrics(self, confidence: float, costs: CostMatrix | None) -> Metrics:
        found: dict[str, Metric] = {name: self._ratio(name, confidence) for name in RATIOS}
        for name, curve in (("auroc", area_and_slope), ("average_precision", precision_and_slope)):
            value, slope = curve(self.expected)
            found[name] = self._measured(name, value, self._error(slope[1] - slope[0]), confidence)
        if costs is not None:
            found["cost_per_1000"] = self._money(costs, confidence)
        return Metrics(found)

    @cached_property
    def _confusion(self) -> Floats:
        """Expected rows by label and prediction, [2, 2]."""
        return np.asarray(self.expected.reshape(2, -1, 2).sum(axis=1))

    def _ratio(self, name: str, confidence: float) -> Metric:
        values = self._confusion.ravel().tolist()
        said = values[0] + values[2], values[1] + values[3]
        if name in {"precision", "mcc"} and not said[1]:
            return Unavailable(NO_PREDICTED, self.rows)
        if name == "mcc" and not said[0]:
            return Unavailable("all predictions are of one class", self.rows)
        value = complex(RATIOS[name](*values)).real
        slope = [
            RATIOS[name](*(c + 1j * STEP * (k == at) for k, c in enumerate(values))).imag / STEP for at in range(4)
        ]
        return self._measured(name, value, self._error_of_sides(slope[2] - slope[0], slope[3] - slope[1]), confidence)

    def _money(self, costs: CostMatrix, confidence: float) -> Metric:
        by_cell = PER * costs.by_cell / self.rows
        value = float((self._confusion * by_cell).sum())
        error = self._error_of_sides(*(by_cell[1] - by_cell[0]).tolist())
        return self._measured("cost_per_1000", value, error, confidence)

    def _measured(self, name: str, value: float, error: float, confidence: float) -> Metric:
        return Measured(value, self.rows, error, _interval(name, value, error, self.rows, confidence))

    @cached_property
    def _chance(self) -> Floats:
        """The variance of the number of positives in each cell, were chances known, [2·cells]."""
        chances = self.chances[self.blocks]
        return np.asarray(self.mass * chances * (1 - chances))

    def _error(self, turned: Floats) -> float:
        """The standard error of what gains `turned` [2·cells] by a row that turns from negative to positive."""
        learnt = np.bincount(self.blocks, weights=self.mass * turned, minlength=self.chances.size)
        return float(np.sqrt((self._chance * turned**2).sum() + (learnt**2 * self.variances).sum()))

    @cached_property
    def _by_side(self) -> tuple[Floats, Floats]:
        """Of what the threshold alone tells apart: that variance on each side of it, [2], and the matrix [2, 2] of what blocks are learnt from."""
        many = self.chances.size
        mass = np.array([np.bincount(self.blocks[at::2], weights=self.mass[at::2], minlength=many) for at in range(2)])
        return self._chance.reshape(-1, 2).sum(axis=0), np.asarray((mass * self.variances) @ mass.T)

    def _error_of_sides(self, below: float, above: float) -> float:
        """The same where only the side of the threshold decides what is gained."""
        chance, learnt = self._by_side
        turned = np.array([below, above])
        return math.sqrt(float(chance @ turned**2 + turned @ learnt @ turned))


def _interval(name: str, value: float, error: float, rows: int, confidence: float) -> Interval:
    if name == "cost_per_1000":
        reach = normal_quantile(confidence) * error
        return value - reach, value + reach
    if name == "mcc":
        return fisher(value, error, confidence)
    return logit_or_wilson(value, error, rows, confidence)
