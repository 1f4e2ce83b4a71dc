"""How labels of a model are counted: its task, and what its predictions and labels are as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import detectors
from detectors.baseline import NumericBaseline
from detectors.features import Floats, Ints
from detectors.performance.binary import two_labels
from monitor.facts import MetricTold

BINARY, MULTICLASS, REGRESSION = "binary", "multiclass", "regression"
METRICS = {  # by task; of classes also the share of labels among the few highest scores, once those are read
    BINARY: (
        "accuracy",
        "balanced_accuracy",
        "precision",
        "recall",
        "f1",
        "specificity",
        "mcc",
        "log_loss",
        "brier",
        "calibration_error",
        "auroc",
        "average_precision",
    ),
    MULTICLASS: ("accuracy", "macro_f1", "weighted_f1"),
    REGRESSION: ("bias", "mae", "rmse", "mape", "smape", "quantile_loss", "r2"),
}
MONEY = "cost_per_1000"  # of two classes, where costs are known
QUANTILE_LOSS = "quantile_loss"
MEDIAN = 0.5  # the quantile of its loss, unless another is asked for
LATER: Mapping[str, Any] = {
    "ranges": (),
    "costs": None,
    "quantile": MEDIAN,
}  # keys of a truth that came later, as they are unless used


@dataclass(frozen=True, slots=True)
class Truth:
    """What labels are counted as. A score and a number are themselves; a class is its place in `classes`, the number of classes any other.

    The library's task is made when it is needed: it takes long to import.
    """

    task: str
    threshold: float = 0.5
    positive: str = "1"
    negative: str | None = None  # None: every other label is
    classes: tuple[str, ...] = ()
    weighted: bool = False
    metrics: tuple[str, ...] = ()  # those told; none: all
    ranges: tuple[float, ...] = ()  # of predicted numbers, by which coverage is told apart: where they end, rising
    costs: tuple[float, ...] | None = (
        None  # of true and false negatives' and positives' rows, as those of a cost matrix
    )
    quantile: float = MEDIAN  # of the quantile loss

    @property
    def label_classes(self) -> tuple[str, ...]:
        """What a label may be called; of numbers nothing."""
        return {BINARY: tuple(self._two), MULTICLASS: self.classes}.get(self.task, ())

    @property
    def label_values(self) -> tuple[float, ...]:
        """What they are as numbers, then what any other is: NaN where that is refused."""
        if self.task == BINARY:
            return (*self._two.values(), 0.0 if self.negative is None else np.nan)
        return (*map(float, range(len(self.classes))), np.nan)

    @property
    def _two(self) -> dict[str, float]:
        return two_labels(self.positive, self.negative)

    @property
    def names(self) -> tuple[str, ...]:
        """The metrics that are told."""
        return self.metrics or (METRICS[self.task] if self.costs is None else (*METRICS[self.task], MONEY))

    def empty(self) -> Any:
        """Counts of no rows."""
        kinds: dict[str, Any] = {BINARY: detectors.BinaryCounts, MULTICLASS: detectors.MulticlassCounts}
        return kinds.get(self.task, detectors.RegressionCounts).empty(task_of(self))

    def count(self, labels: Floats, predictions: Floats, weights: Floats) -> Any:
        """Counts of labelled rows, whose labels are known."""
        counts, weight = self.empty(), weights if self.weighted else None
        if self.task == MULTICLASS:
            counts.update(labels.astype(np.int64), self._codes(predictions), weights=weight)
        else:
            counts.update(labels, predictions, weight)
        return counts

    def _codes(self, predictions: Floats) -> Ints:
        return np.where(np.isnan(predictions), len(self.classes) + 1, predictions).astype(np.int64)

    @property
    def predicted_classes(self) -> Sequence[str]:
        """What coverage is told apart by: classes, of numbers ranges."""
        return {BINARY: ("negative", "positive"), MULTICLASS: self.classes}.get(self.task, range_names(self.ranges))

    def predicted(self, predictions: Floats) -> Ints:
        """The predicted class of each row, one more where it has none."""
        none = len(self.predicted_classes)
        with np.errstate(invalid="ignore"):
            if self.task == BINARY:
                return np.where(np.isnan(predictions), none, predictions >= self.threshold).astype(np.int64)
            if self.task == MULTICLASS:
                return np.minimum(self._codes(predictions), none)
        return np.where(np.isnan(predictions), none, np.searchsorted(self.ranges, predictions)).astype(np.int64)

    def as_known(self) -> dict[str, Any]:
        """What tells it apart from others; what came later only where it is used, so that what was saved before is still known."""
        return {name: value for name, value in asdict(self).items() if name not in LATER or value != LATER[name]}


def told(name: str, metric: Any, over_missing: tuple[float, float] | None = None) -> MetricTold:
    """A metric as it is told."""
    if isinstance(metric, detectors.Unavailable):
        return MetricTold(name, None, None, None, metric.rows, metric.reason, None, over_missing)
    lower, upper = metric.interval or (None, None)
    return MetricTold(name, metric.value, lower, upper, metric.rows, None, metric.bounds, over_missing)


def quarters(predicted: NumericBaseline) -> tuple[float, ...]:
    """Where predictions of a reference end that are a quarter of them, a half, three quarters; fewer where many are alike.

    They are ends of its bins, written with no more digits than tell them apart.
    """
    seen = predicted.counts[: predicted.bins + 1].cumsum()
    if not seen.size or not predicted.count:
        return ()
    places = np.searchsorted(seen, np.array([0.25, 0.5, 0.75]) * predicted.count)
    ends = np.unique(predicted.edges[np.minimum(places, predicted.bins)])
    ends = ends[(ends >= predicted.min) & (ends < predicted.max)].tolist()
    rounded = (tuple(float(f"{end:.{digits}g}") for end in ends) for digits in range(3, 18))
    return next(each for each in rounded if len(set(each)) == len(each))


def range_names(ends: Sequence[float]) -> tuple[str, ...]:
    """Ranges of numbers in words."""
    if not ends:
        return ()
    texts = [f"{end:g}" if float(f"{end:g}") == end else repr(end) for end in ends]
    return (f"up to {texts[0]}", *(f"{one} to {two}" for one, two in pairwise(texts)), f"above {texts[-1]}")


@cache
def task_of(truth: Truth) -> Any:
    """The library's task: made once, for its bins take longer to make than rows to count."""
    match truth.task:
        case "binary":
            return detectors.BinaryTask(threshold=truth.threshold, weighted=truth.weighted)
        case "multiclass":
            return detectors.MulticlassTask(truth.classes, weighted=truth.weighted)
        case _:
            return detectors.RegressionTask(quantile=truth.quantile, weighted=truth.weighted)
