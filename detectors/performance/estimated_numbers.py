"""Performance without labels of predicted numbers: how far predictions of each size were off in the reference.

Direct loss estimation (NannyML's DLE) with the prediction alone to go by: a row of the window in group g of predictions has the mean
loss of the reference's labelled rows in g. With m(g) rows of the window, n(g) of the reference and variance v(g) of the loss, the
realised mean is off by Σ m·v + Σ m²·v/n, over the square of all rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline
from detectors.encoding import PREDICTION
from detectors.features import Bools, Floats, Ints, NumericFeature
from detectors.performance.counts import column
from detectors.performance.intervals import normal_quantile
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import EstimatedPerformance, Metrics
from detectors.performance.regression import MOST
from detectors.sketches import Sketch

ENOUGH: Final = 30  # rows of a group, for a variance
NAMES: Final = ("bias", "mae", "rmse")


@dataclass(frozen=True, eq=False)
class NumberEstimator:
    """How far predictions are off, by the cells that they are counted on.

    Cells with few labelled rows are put together with their neighbours, until a group has 30. `groups` int64[cells] says
    which one each is in; `seen` bool[cells] whether the reference has labelled rows of it. `rows` float64[groups], `means` and
    `variances` float64[3, groups] of error, its size and its square.

    >>> from detectors import Reference
    >>> predictions = np.arange(1000) % 100
    >>> reference = Reference.fit({"price": predictions}, prediction="price")
    >>> estimator = NumberEstimator.fit(reference, labels=predictions * 1.1, predictions=predictions)
    >>> round(estimator.estimate([50, 50, 60]).metrics["mae"].value, 1)
    5.3
    """

    feature: NumericFeature
    groups: Ints
    seen: Bools
    rows: Floats
    means: Floats
    variances: Floats

    @classmethod
    def fit(cls, baseline: Baseline, labels: ArrayLike, predictions: ArrayLike) -> "NumberEstimator":
        """Learn from labelled rows: labels [n], predictions [n]; rows without either are left out.

        Raises ValueError for a reference without a numeric prediction, and for fewer than 30 rows.
        """
        feature = next((each for each in baseline.layout.numeric if each.name == PREDICTION), None)
        if feature is None:
            raise ValueError("the reference has no prediction that is a number: name its column by prediction=…")
        truth = column(labels, None, "labels")
        said = column(predictions, truth.size, "predictions")
        kept = (np.abs(truth) <= MOST) & (np.abs(said) <= MOST)
        if np.count_nonzero(kept) < ENOUGH:
            raise ValueError(f"an estimate needs {ENOUGH} rows of the reference with a label and a prediction at least")
        return cls._of(feature, truth[kept], said[kept])

    @classmethod
    def _of(cls, feature: NumericFeature, labels: Floats, predictions: Floats) -> "NumberEstimator":
        cells = np.searchsorted(feature.edges, predictions, side="left")
        counts = np.bincount(cells, minlength=feature.usable)
        groups = _grouped(counts)
        rows = np.bincount(groups, weights=counts).astype(np.float64)
        errors = predictions - labels
        losses = np.array([errors, np.abs(errors), errors**2])
        means = np.array([np.bincount(groups[cells], weights=loss) for loss in losses]) / rows
        apart = (losses - means[:, groups[cells]]) ** 2
        variances = np.array([np.bincount(groups[cells], weights=each) for each in apart]) / (rows - 1)
        return cls(feature, groups, counts > 0, rows, means, variances)

    def estimate(self, window: Sketch | ArrayLike, confidence: float = 0.95) -> EstimatedPerformance:
        """Return what a window is worth, by its sketch, or by its predictions [n]; missing ones are left out."""
        cells = self._cells(window)
        rows = int(cells.sum())
        if not rows:
            return EstimatedPerformance(Metrics(dict.fromkeys(NAMES, Unavailable("no prediction"))), 0, 0.0)
        metrics = dict(zip(NAMES, self._metrics(cells, normal_quantile(confidence)), strict=True))
        return EstimatedPerformance(Metrics(metrics), rows, int(cells[~self.seen].sum()) / rows)

    def _metrics(self, cells: Ints, reach: float) -> Iterator[Metric]:
        mass, rows = np.bincount(self.groups, weights=cells), int(cells.sum())
        values = (self.means * mass).sum(axis=1) / rows
        errors = np.sqrt((self.variances * (mass + mass**2 / self.rows)).sum(axis=1)) / rows
        for name, value, error in zip(NAMES, values.tolist(), errors.tolist(), strict=True):
            if name == "rmse":
                yield _root(value, error, rows, reach)
            else:
                low = value - reach * error
                yield Measured(value, rows, error, (low if name == "bias" else max(0.0, low), value + reach * error))

    def _cells(self, window: Sketch | ArrayLike) -> Ints:
        """Rows by cell: under, the bins, over."""
        if isinstance(window, Sketch):
            return window.row(PREDICTION)[: self.feature.usable]
        said = column(window, None, "predictions")
        cells = np.searchsorted(self.feature.edges, said[np.isfinite(said)], side="left")
        return np.bincount(cells, minlength=self.feature.usable)


def _root(square: float, error: float, rows: int, reach: float) -> Metric:
    if not square:
        return Measured(0.0, rows, 0.0)
    value = math.sqrt(square)
    factor = math.exp(reach * error / (2 * square))
    return Measured(value, rows, error / (2 * value), (value / factor, value * factor))


def _grouped(counts: Ints) -> Ints:
    """Return the group of each cell: runs of cells with enough rows, what is left over with the last."""
    group, held, groups = 0, 0, []
    for left, count in zip((counts.sum() - np.cumsum(counts)).tolist(), counts.tolist(), strict=True):
        groups.append(group)
        held += count
        if held >= ENOUGH and left >= ENOUGH:
            group, held = group + 1, 0
    return np.array(groups, dtype=np.int64)
