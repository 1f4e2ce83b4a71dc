"""A predicted class and what came true: labels by predictions, and how far down the scores the label stood."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.columns import as_codes, as_columns
from detectors.features import Codes, Floats, Ints
from detectors.performance import confusion as by_confusion
from detectors.performance.cells import NO_ROW, WeighedCells, share
from detectors.performance.confusion import Confusion
from detectors.performance.counts import Counts
from detectors.performance.measured import Interval, Metric, Unavailable
from detectors.performance.metrics import Metrics, computed
from detectors.spellings import CategoryCodes
from detectors.tables import columns_of

MOST_CLASSES: Final = 256  # the square of it is counted
NO_SCORES = "no scores of classes"
OF_CLASS: Final = ("precision", "recall", "f1")


@dataclass(frozen=True)
class MulticlassTask:
    """Which classes are counted, by their canonical texts, and for which k the k highest scores are looked at.

    Raises ValueError for fewer than two classes, more than 256, one that is there twice, and a k below 1.
    """

    classes: tuple[str, ...]
    top: tuple[int, ...] = (3, 5)
    weighted: bool = False

    def __post_init__(self) -> None:
        if not 2 <= len(self.classes) <= MOST_CLASSES or len(set(self.classes)) != len(self.classes):  # noqa: PLR2004
            raise ValueError(
                f"classes must be 2 to {MOST_CLASSES} and distinct, not {len(self.classes)} of {self.classes}"
            )
        if any(k < 1 for k in self.top):
            raise ValueError(f"top must be whole numbers of at least 1, not {self.top}")

    @property
    def depth(self) -> int:
        """How many of the highest scores are told apart."""
        return max((k for k in self.top if k < len(self.classes)), default=0)

    @property
    def cells(self) -> int:
        """Labels by predictions, then the places of the label among the scores, and beyond."""
        return len(self.classes) ** 2 + self.depth + 1

    @property
    def sums(self) -> int:
        """None: counts decide."""
        return 0

    def codes(self, values: ArrayLike) -> Codes:
        """Return the code of each value, int32[n]: 0..K-1 for a class, however spelled, K for any other, K + 1 for missing.

        >>> MulticlassTask(("1", "2")).codes([1, 2.0, "2", None, 7]).tolist()
        [0, 1, 1, 3, 2]
        """
        return as_codes(as_columns(columns_of({"classes": values}))["classes"], CategoryCodes(self.classes))

    def highest(self, scores: ArrayLike) -> Codes:
        """Return the codes of the `depth` classes with the highest scores, the highest first, int32[n, depth]; -1 where too few are there.

        `scores` [n, K] by class, of any scale. Of equal scores that of the later class is the higher, as in scikit-learn. One that is NaN or
        infinite is not there, and lower than those that are; fewer than `depth` are too few. Raises ValueError for another shape.

        >>> MulticlassTask(("cat", "dog", "owl"), top=(2,)).highest([[0.2, 0.5, 0.3], [0.4, 0.4, 0.2], [0.9, np.nan, np.nan]]).tolist()
        [[1, 2], [1, 0], [-1, -1]]
        """
        table = _table(scores, np.shape(scores)[0] if np.ndim(scores) else 0, len(self.classes))
        left = np.where(np.isfinite(table), table, -np.inf)[:, ::-1]  # the first of equal ones is then the later class
        found = np.empty((len(table), self.depth), dtype=np.int32)
        rows = np.arange(len(table))
        enough = np.isfinite(table).sum(axis=1) >= self.depth
        left = np.ascontiguousarray(left)
        for place in range(self.depth):
            at = left.argmax(axis=1)
            found[:, place] = len(self.classes) - 1 - at
            left[rows, at] = -np.inf
        found[~enough] = -1
        return found


class MulticlassCounts(Counts[MulticlassTask]):
    """Predicted classes and labels of one window (or pane), counted. All is exact.

    >>> task = MulticlassTask(("cat", "dog", "owl"))
    >>> counts = MulticlassCounts.empty(task)
    >>> counts.update(task.codes(["cat", "dog", "owl", "owl"]), task.codes(["cat", "dog", "owl", "dog"]))
    >>> counts.metrics()["accuracy"].value, counts.by_class()["owl"]["recall"].value
    (0.75, 0.5)
    """

    REASONS = (
        "label_missing",
        "label_unknown",
        "prediction_missing",
        "prediction_unknown",
        "weight_refused",
        "scores_missing",
    )
    __slots__ = ()

    def update(
        self,
        labels: Codes,
        predictions: Codes,
        scores: ArrayLike | None = None,
        weights: ArrayLike | None = None,
        highest: Codes | None = None,
    ) -> None:
        """Count a batch: codes int[n] as `MulticlassTask.codes` gives them, scores [n, K] by class, or in their place what `MulticlassTask.highest` makes of them.

        A row that cannot be counted is left out, and counted under the first of `REASONS` that holds; where too few scores
        are there under `scores_missing`, and only its place among the scores is left out. Raises ValueError for other codes and shapes, and
        then counts nothing.
        """
        rows, many = np.size(labels), len(self.task.classes)
        codes = [_codes(given, rows, many, name) for given, name in ((labels, "labels"), (predictions, "predictions"))]
        if scores is not None:
            highest = self.task.highest(_table(scores, rows, many))
        if highest is not None and highest.shape != (rows, self.task.depth):
            raise ValueError(f"highest must be of shape {(rows, self.task.depth)}, not {highest.shape}")
        weight, usable = self._weighed(weights, rows)
        causes = [code == many + which for code in codes for which in (1, 0)]
        kept = self._refuse([*causes, ~usable])
        taken = None if weight is None else weight[kept]
        self._count(codes[0][kept] * many + codes[1][kept], taken)
        if highest is not None and self.task.depth:
            self._place(codes[0][kept], highest[kept], taken)

    def _place(self, labels: Ints, highest: Codes, weights: Floats | None) -> None:
        known = highest[:, 0] >= 0
        self.refused[-1] += np.count_nonzero(~known)
        hits = highest[known] == labels[known, None]
        places = np.where(hits.any(axis=1), hits.argmax(axis=1), self.task.depth)
        self._count(len(self.task.classes) ** 2 + places, None if weights is None else weights[known])

    def confusion(self) -> Confusion:
        """Return rows by label and prediction, [K, K]."""
        many = len(self.task.classes)
        return Confusion(*self._counted.through(lambda part: part[: many**2].reshape(many, many)))

    def metrics(self, confidence: float = 0.95, names: Collection[str] | None = None) -> Metrics:
        """Return every metric by its name, or those of `names` alone; one that cannot be computed with the reason."""
        cells = self.confusion()
        found: dict[str, Callable[[], Metric]] = {
            "accuracy": partial(by_confusion.accuracy, cells, confidence),
            "macro_f1": partial(by_confusion.mean_f1, cells, confidence, by_support=False),
            "weighted_f1": partial(by_confusion.mean_f1, cells, confidence, by_support=True),
        }
        tops = (k for k in self.task.top if k <= self.task.depth)
        return computed(found | {f"top_{k}_accuracy": partial(self._top, k, confidence) for k in tops}, names)

    def by_class(self, confidence: float = 0.95, classes: Sequence[str] | None = None) -> dict[str, Metrics]:
        """Return precision, recall and F1 of each of these classes against the rest, of all by default, by class and name."""
        names, places = self._named(classes)
        found = self.confusion().against_rest(places)
        return {name: _of_class(cells, confidence) for name, cells in zip(names, found, strict=True)}

    def bounds_over_missing(self, missing: ArrayLike) -> dict[str, Interval | Unavailable]:
        """Return between what accuracy lies once labels have come, with so many missing by predicted class, int [K].

        Means of F1 have no bounds here: which labels are the worst for one class depends on the others.
        """
        return by_confusion.right_over_missing(self.confusion(), self._by_class(missing))

    def by_class_over_missing(
        self, missing: ArrayLike, classes: Sequence[str] | None = None
    ) -> dict[str, dict[str, Interval | Unavailable]]:
        """Return the same of precision, recall and F1 of each of these classes against the rest, of all by default."""
        names, places = self._named(classes)
        counts = self._by_class(missing)[places]
        others = int(np.sum(missing)) - counts
        each = zip(names, self.confusion().against_rest(places), others.tolist(), counts.tolist(), strict=True)
        return {
            name: by_confusion.bounds_over_missing(cells, other, own, names=OF_CLASS)
            for name, cells, other, own in each
        }

    def _named(self, classes: Sequence[str] | None) -> tuple[Sequence[str], list[int]]:
        """Classes and their places. Raises ValueError for one that is none of the task."""
        if classes is None:
            return self.task.classes, list(range(len(self.task.classes)))
        places = {name: place for place, name in enumerate(self.task.classes)}
        unknown = [name for name in classes if name not in places]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no class of the task")
        return classes, [places[name] for name in classes]

    def _by_class(self, missing: ArrayLike) -> Ints:
        counts = np.asarray(missing)
        if counts.shape != (len(self.task.classes),) or counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError(f"missing must be {len(self.task.classes)} counts, one of each class")
        return counts.astype(np.int64)

    def _top(self, k: int, confidence: float) -> Metric:
        first = len(self.task.classes) ** 2
        cells = WeighedCells(*self._counted.through(lambda part: part[first:]))
        hits = np.arange(cells.rows.size) < k
        return share(cells, hits, np.ones_like(hits), NO_SCORES if self.confusion().total else NO_ROW, confidence)


def _of_class(cells: Confusion, confidence: float) -> Metrics:
    return Metrics(
        {
            name: by_confusion.MEASURES[name](cells, confidence) if cells.total else Unavailable(NO_ROW)
            for name in OF_CLASS
        }
    )


def _codes(given: ArrayLike, rows: int, many: int, name: str) -> Ints:
    codes = np.asarray(given)
    fits = codes.shape == (rows,) and codes.dtype.kind in "iu"
    if not fits or (codes.size and not 0 <= codes.min() <= codes.max() <= many + 1):
        raise ValueError(f"{name} must be one column of codes 0 to {many + 1}, as MulticlassTask.codes gives them")
    return codes.astype(np.int64)


def _table(given: ArrayLike, rows: int, many: int) -> NDArray[np.float64]:
    scores = np.asarray(given)
    if scores.shape != (rows, many) or scores.dtype.kind not in "biuf":
        raise ValueError(f"scores must be numbers of shape {(rows, many)}, not {scores.dtype} of shape {scores.shape}")
    return scores.astype(np.float64)
