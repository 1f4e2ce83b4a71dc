"""How labels of a model are counted: its task, and what its predictions and labels are as numbers."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

import detectors
from detectors.baseline import NumericBaseline
from detectors.features import Bools, Floats, Ints
from detectors.performance.binary import two_labels
from monitor.facts import MetricTold

BINARY, MULTICLASS, REGRESSION = "binary", "multiclass", "regression"
METRICS = {  # by task; what more there is with scores of classes, costs or a reference with labels: `Truth.known`
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
TOPS = (3, 5)  # of so many classes with the highest scores one may be the label
TOP = "top_{}_accuracy".format
R2_REFERENCE = "r2_reference"
SCORED = 2.0**50  # of a prediction that holds the highest scores too: see `packed`
BYTE = 8
MEDIAN = 0.5  # the quantile of its loss, unless another is asked for
LATER: Mapping[str, Any] = {
    "ranges": (),
    "costs": None,
    "quantile": MEDIAN,
    "scored": False,
    "reference_mean": None,
}  # keys of a truth that came later, as they are unless used
UNCOUNTED = ("listed",)  # keys that say how predictions are read, not how they are counted


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
    scored: bool = False  # predicted classes come with scores
    listed: bool = False  # these may be a list in the order of `classes`
    reference_mean: float | None = None  # of labels that are numbers

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
        return self.metrics or self.known

    @property
    def known(self) -> tuple[str, ...]:
        """The metrics that there are."""
        more = [MONEY] if self.costs is not None else []
        more += [TOP(k) for k in TOPS if k < len(self.classes)] if self.scored else []
        more += [R2_REFERENCE] if self.reference_mean is not None else []
        return (*METRICS[self.task], *more)

    def empty(self) -> Any:
        """Counts of no rows."""
        kinds: dict[str, Any] = {BINARY: detectors.BinaryCounts, MULTICLASS: detectors.MulticlassCounts}
        return kinds.get(self.task, detectors.RegressionCounts).empty(task_of(self))

    def count(self, labels: Floats, predictions: Floats, weights: Floats) -> Any:
        """Counts of labelled rows, whose labels are known."""
        counts, weight = self.empty(), weights if self.weighted else None
        if self.task == MULTICLASS:
            highest = unpacked(predictions)[1] if self.scored else None
            depth = task_of(self).depth
            said = None if highest is None else highest[:, :depth]
            counts.update(labels.astype(np.int64), self._codes(predictions), weights=weight, highest=said)
        else:
            counts.update(labels, predictions, weight)
        return counts

    def _codes(self, predictions: Floats) -> Ints:
        classes, _ = unpacked(predictions)
        return np.where(np.isnan(classes), len(self.classes) + 1, classes).astype(np.int64)

    def with_scores(self, predictions: Floats, scores: Floats) -> Floats:
        """Predicted classes with the highest of their scores float64[n, K], where those suffice and the class is known."""
        highest = task_of(self).highest(scores)
        return packed(predictions, highest, predictions < len(self.classes)) if highest.shape[1] else predictions

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
        """What tells its counts from others'; what came later only where it is used, so that what was saved before is still known."""
        return used(asdict(self))


def used(truth: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a truth that count: of those that came later the ones that are not as they are unless used."""
    said = {name: value for name, value in truth.items() if name not in UNCOUNTED}
    return {name: value for name, value in said.items() if name not in LATER or value not in (LATER[name], [])}


def packed(predictions: Floats, highest: Ints, known: Bools) -> Floats:
    """Predicted classes, and where `known` the codes of the highest scores too, int[n, up to 5], in one number: 8 bytes wait for a label, with scores or without.

    A code takes a byte, the class the lowest; the sum is a whole number below 2⁵¹, hence exact. What is below 2⁵⁰ is a class alone.
    """
    held = predictions + SCORED
    for place in range(highest.shape[1]):
        held += highest[:, place] * 2.0 ** (BYTE * (place + 1))
    return np.where(known & (highest[:, 0] >= 0), held, predictions)


def unpacked(predictions: Floats) -> tuple[Floats, Ints]:
    """The predicted classes, and the codes of the highest scores int64[n, 5], -1 in rows without."""
    with np.errstate(invalid="ignore"):
        scored = predictions >= SCORED
    whole = np.where(scored, predictions, 0).astype(np.int64)
    places = BYTE * (1 + np.arange(max(TOPS)))
    codes = np.where(scored[:, None], whole[:, None] >> places & (2**BYTE - 1), -1)
    return np.where(scored, whole & (2**BYTE - 1), predictions), codes


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
            return detectors.MulticlassTask(truth.classes, top=TOPS, weighted=truth.weighted)
        case _:
            return detectors.RegressionTask(truth.quantile, truth.reference_mean, truth.weighted)
