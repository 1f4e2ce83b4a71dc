"""Performance without labels of predicted numbers: how far predictions of each size were off in the reference.

Direct loss estimation (NannyML's DLE) with the prediction alone to go by: a row of the window in group g of predictions has the mean
loss of the reference's labelled rows in g. With m(g) rows of the window, n(g) of the reference and variance v(g) of the loss, the
realised mean is off by Σ m·v + Σ m²·v/n, over the square of all rows.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline
from detectors.encoding import PREDICTION
from detectors.features import Bools, Floats, Ints, NumericFeature
from detectors.performance import exact
from detectors.performance.counts import column
from detectors.performance.exact import as_fraction, exact_sums
from detectors.performance.intervals import normal_quantile
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import MOST_OPEN, EstimatedPerformance, Metrics, uncovered
from detectors.performance.regression import MOST
from detectors.sketches import Sketch

ENOUGH: Final = 30  # rows of a group, for a variance
NAMES: Final = ("bias", "mae", "rmse")

POWERS: Final = 4  # sums by cell: of the error, its size, its square and the fourth power


@dataclass(slots=True, eq=False)
class ErrorCells:
    """Errors of labelled rows by cell of the prediction (under, the bins, over), exactly: in whatever order they come.

    `rows` int64[cells]; `sums` are of the error, its size, its square and its fourth power, for each cell after cell, in units of 2⁻¹⁰⁷⁴.
    """

    rows: Ints
    sums: list[int]

    @classmethod
    def empty(cls, cells: int) -> "ErrorCells":
        """Return cells of no rows."""
        return cls(np.zeros(cells, dtype=np.int64), [0] * (POWERS * cells))

    def add(self, feature: NumericFeature, labels: Floats, predictions: Floats) -> None:
        """Take rows, float64[n] each; those without either are left out."""
        kept = (np.abs(labels) <= MOST) & (np.abs(predictions) <= MOST)
        errors = predictions[kept] - labels[kept]
        cells = np.searchsorted(feature.edges, predictions[kept], side="left")
        self.rows = self.rows + np.bincount(cells, minlength=self.rows.size)
        values = np.concatenate([errors, np.abs(errors), errors**2, errors**4])
        places = np.concatenate([cells + self.rows.size * power for power in range(POWERS)])
        added = exact_sums(values, places, len(self.sums))
        self.sums = [one + two for one, two in zip(self.sums, added, strict=True)]

    def moments(self, groups: Ints) -> tuple[Floats, Floats]:
        """Return mean and variance of error, size and square in each group of cells, float64[3, groups] each."""
        many = int(groups[-1]) + 1
        rows, totals = [0] * many, [[0] * many for _ in range(POWERS)]
        for cell, (group, count) in enumerate(zip(groups.tolist(), self.rows.tolist(), strict=True)):
            rows[group] += count
            for power, total in enumerate(totals):
                total[group] += self.sums[power * len(self.rows) + cell]
        sums = [[as_fraction(each) for each in total] for total in totals]
        squares = (sums[2], sums[2], sums[3])
        means = [[float(s / n) for s, n in zip(part, rows, strict=True)] for part in sums[:3]]
        apart = [
            [max(0.0, float((two - one * one / n) / (n - 1))) for one, two, n in zip(part, square, rows, strict=True)]
            for part, square in zip(sums[:3], squares, strict=True)
        ]
        return np.array(means), np.array(apart)

    def to_bytes(self) -> bytes:
        """Write them."""
        return self.rows.astype("<i8").tobytes() + exact.to_bytes(self.sums)

    @classmethod
    def from_bytes(cls, data: bytes, cells: int) -> "ErrorCells":
        """Read what `to_bytes` wrote. Raises ValueError for anything else."""
        rows = np.frombuffer(data[: 8 * cells], "<i8").astype(np.int64)
        if rows.size != cells or (rows < 0).any():
            raise ValueError(f"errors must be of {cells} cells")
        return cls(rows, exact.from_bytes(data[8 * cells :], POWERS * cells))


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
        errors = ErrorCells.empty(feature.usable)
        errors.add(feature, truth, column(predictions, truth.size, "predictions"))
        return cls.of(feature, errors)

    @classmethod
    def of(cls, feature: NumericFeature, errors: ErrorCells) -> "NumberEstimator":
        """Learn from the errors of labelled rows by cell of the prediction. Raises ValueError for fewer than 30 rows."""
        if errors.rows.sum() < ENOUGH:
            raise ValueError(f"an estimate needs {ENOUGH} rows of the reference with a label and a prediction at least")
        groups = _grouped(errors.rows)
        rows = np.bincount(groups, weights=errors.rows).astype(np.float64)
        means, variances = errors.moments(groups)
        return cls(feature, groups, errors.rows > 0, rows, means, variances)

    def estimate(self, window: Sketch | ArrayLike, confidence: float = 0.95) -> EstimatedPerformance:
        """Return what a window is worth, by its sketch, or by its predictions [n]; missing ones are left out."""
        cells = self._cells(window)
        rows = int(cells.sum())
        if not rows:
            return EstimatedPerformance(Metrics(dict.fromkeys(NAMES, Unavailable("no prediction"))), 0, 0.0)
        share = int(cells[self._beyond].sum()) / rows
        metrics = dict(zip(NAMES, self._metrics(cells, normal_quantile(confidence)), strict=True))
        if share > MOST_OPEN:
            metrics = dict.fromkeys(NAMES, Unavailable(uncovered(share), rows))
        return EstimatedPerformance(Metrics(metrics), rows, int(cells[~self.seen].sum()) / rows, share)

    @cached_property
    def _beyond(self) -> Bools:
        """Which cells lie below the first or above the last one with a labelled row, bool[cells]: how far off those are nothing says."""
        return np.asarray(~(np.logical_or.accumulate(self.seen) & np.logical_or.accumulate(self.seen[::-1])[::-1]))

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
