"""Metrics that are the mean of a loss between 0 and 1: its sum, and the rows that it is of."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from detectors.performance.binary import BinaryCounts
from detectors.performance.confusion import Confusion
from detectors.performance.exact import as_float
from detectors.performance.multiclass import MulticlassCounts


@dataclass(frozen=True, slots=True)
class LossSum:
    """The sum of a loss in [0, 1], and how many rows it is of."""

    loss: float
    rows: int


def _wrong(cells: Confusion) -> LossSum:
    total = int(cells.rows.sum())
    return LossSum(float(total - int(cells.rows.trace())), total)


def _of(label: int | None, prediction: int | None) -> Callable[[Confusion], LossSum]:
    """Rows that are wrong among those of a label, or of a prediction."""

    def wrong(cells: Confusion) -> LossSum:
        among = cells.rows[label] if label is not None else cells.rows[:, prediction]
        right = label if label is not None else prediction
        assert right is not None
        return LossSum(float(among.sum() - among[right]), int(among.sum()))

    return wrong


OF_CONFUSION: Final[dict[str, Callable[[Confusion], LossSum]]] = {
    "accuracy": _wrong,
    "precision": _of(None, 1),
    "recall": _of(1, None),
    "specificity": _of(0, None),
}
BOUNDED: Final = {"binary": (*OF_CONFUSION, "brier"), "multiclass": ("accuracy",), "regression": ()}
LOWER_IS_BETTER: Final = frozenset({"brier"})


def loss_of(counts: Any, metric: str) -> LossSum | None:
    """Return the loss whose mean is the metric, or one less the metric; None where there is none, or rows have weights.

    >>> from detectors.performance.binary import BinaryTask
    >>> counts = BinaryCounts.empty(BinaryTask())
    >>> counts.update(labels=[1, 0, 1, 0], scores=[0.9, 0.2, 0.4, 0.6])
    >>> loss_of(counts, "accuracy"), loss_of(counts, "brier"), loss_of(counts, "auroc")
    (LossSum(loss=2.0, rows=4), LossSum(loss=0.77, rows=4), None)
    """
    if counts.task.weighted:
        return None
    if isinstance(counts, BinaryCounts) and metric == "brier":
        bins = counts.task.reliability_bins
        return LossSum(as_float(sum(counts.sums[bins : 2 * bins])), int(counts.histogram.sum()))
    of_two = isinstance(counts, BinaryCounts) and metric in OF_CONFUSION
    if of_two or (isinstance(counts, MulticlassCounts) and metric == "accuracy"):
        return OF_CONFUSION[metric](counts.confusion())
    return None
