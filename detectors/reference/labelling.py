"""Labels of a table while a reference is fitted: looked at in the first pass, counted beside predictions in the second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from detectors.calibration.collect import NO_TIME
from detectors.columns import Column, as_codes, as_written_floats
from detectors.features import CategoricalFeature, Codes, Floats, Ints, NumericFeature
from detectors.performance.binary import BinaryCounts, BinaryTask, truths_of
from detectors.performance.estimated_numbers import ErrorCells
from detectors.performance.multiclass import MOST_CLASSES, MulticlassCounts, MulticlassTask
from detectors.performance.regression import RegressionCounts, RegressionTask
from detectors.reference.labelled import AnyCounts, ReferencePerformance, packed_windows, score_edges
from detectors.reference.labels import LabelColumn
from detectors.reference.profiles import CategoryProfile
from detectors.spellings import CategoryCodes

MOST_WINDOWS: Final = 2016  # of which counts are kept: a week of five minutes, twelve of hours
MOST_LABELS: Final = 4 * MOST_CLASSES  # distinct ones: more of them are numbers
SHOWN: Final = 5


@dataclass(slots=True)
class LabelsSeen:
    """First pass: which labels there are, as long as they are few."""

    column: LabelColumn
    there: bool = False
    _profile: CategoryProfile = field(default_factory=CategoryProfile)
    _many: bool = False

    def look(self, chunk: Mapping[str, Column]) -> None:
        """Look at one chunk."""
        if (labels := chunk.get(self.column.name)) is None:
            return
        self.there = True
        if not self._many:
            self._profile.add(labels)
            self._many = len(self._profile.categories()) > MOST_LABELS

    @property
    def names(self) -> tuple[str, ...]:
        """The labels, the commonest first."""
        return self._profile.categories()

    def tally(self, feature: NumericFeature | CategoricalFeature | None, window_ns: int | None) -> "LabelTally":
        """Return what counts them beside a prediction. Raises ValueError, in one line, where they cannot be."""
        if feature is None:
            raise ValueError(f"label {self.column.name} needs prediction: what labels are the truth of")
        task = self.column.task or _usual_task(feature)
        categorical = isinstance(feature, CategoricalFeature)
        if categorical != (task == "multiclass"):
            kind = "categorical" if categorical else "numeric"
            raise ValueError(f"label {self.column.name}: task {task} needs a prediction of another kind than {kind}")
        if task == "binary":
            self._refuse_one_sided()
        return LabelTally(self.column, feature, self._empty(task, feature), window_ns or 0)

    def _refuse_one_sided(self) -> None:
        name, positive = self.column.name, self.column.positive
        truth = truths_of(np.array(self.names, dtype=object), positive, self.column.negative)
        shown = ", ".join(map(repr, self.names[:SHOWN])) or "nothing"
        if not (truth == 1).any():
            raise ValueError(
                f"label {name}: no row has the positive label {positive!r}; it holds {shown}: name it by positive (--positive)"
            )
        if not (truth == 0).any():
            raise ValueError(f"label {name}: no row has a negative label; it holds {shown}")

    def _empty(self, task: str, feature: NumericFeature | CategoricalFeature) -> AnyCounts:
        if isinstance(feature, NumericFeature):
            binary = task == "binary"
            return (
                BinaryCounts.empty(BinaryTask(threshold=self.column.threshold))
                if binary
                else RegressionCounts.empty(RegressionTask())
            )
        known = CategoryCodes(feature.categories)
        others = tuple(name for name in self.names if known.get(name) is None)
        classes = (*feature.categories, *others)
        if len(classes) > MOST_CLASSES:
            raise ValueError(f"label {self.column.name}: {len(classes)} classes are more than {MOST_CLASSES}")
        return MulticlassCounts.empty(MulticlassTask(classes))


def _usual_task(feature: NumericFeature | CategoricalFeature) -> str:
    if isinstance(feature, CategoricalFeature):
        return "multiclass"
    return "binary" if not feature.bins or (feature.min >= 0 and feature.max <= 1) else "regression"


class LabelTally:
    """Second pass: labelled predictions counted, all of them and by window."""

    def __init__(
        self, column: LabelColumn, feature: NumericFeature | CategoricalFeature, empty: AnyCounts, window_ns: int
    ) -> None:
        self._column = column
        self._feature = feature
        self._total = empty
        self._cells = _no_cells(feature, empty)
        self._window_ns = window_ns
        self._windows: dict[int, AnyCounts] = {}
        self._first = NO_TIME  # earlier windows are no longer counted

    def add(self, labels: Column | None, predictions: Floats | Codes | None, times: Ints | None) -> None:
        """Take a chunk: its labels, and its predictions as the reference counts them; without either there is nothing to count."""
        if labels is None or predictions is None:
            return
        truth, said = self._read(labels), self._said(predictions)
        self._total.update(truth, said)
        self._count_cells(truth, said)
        if times is not None and self._window_ns:
            self._count_windows(truth, said, times)

    def _read(self, labels: Column) -> Any:
        match self._total:
            case BinaryCounts():
                return truths_of(labels, self._column.positive, self._column.negative)
            case MulticlassCounts():
                return as_codes(labels, CategoryCodes(self._total.task.classes))
            case _:
                return as_written_floats(labels)

    def _said(self, predictions: Floats | Codes) -> Any:
        """Classes by their codes in the task: others and missing ones come after those of labels alone."""
        if not isinstance(self._feature, CategoricalFeature):
            return predictions
        more = len(self._total.task.classes) - len(self._feature.categories)  # type: ignore[union-attr]  # of a class
        return np.where(predictions >= len(self._feature.categories), predictions + more, predictions)

    def _count_cells(self, truth: Floats, said: Floats) -> None:
        if isinstance(self._feature, CategoricalFeature):
            return
        if isinstance(self._cells, ErrorCells):
            self._cells.add(self._feature, truth, said)
            return
        assert self._cells is not None
        kept = np.isfinite(said) & ((truth == 0) | (truth == 1))
        places = np.searchsorted(score_edges(self._feature, self._column.threshold), said[kept], side="left")
        many = self._cells.shape[1]
        counted = np.bincount(places + many * truth[kept].astype(np.int64), minlength=2 * many)
        self._cells = self._cells + counted.reshape(2, many)

    def _count_windows(self, truth: Any, said: Any, times: Ints) -> None:
        held = (times != NO_TIME) & (times // self._window_ns >= self._first)
        windows = times[held] // self._window_ns
        order = np.argsort(windows, kind="stable")
        truth, said, windows = truth[held][order], said[held][order], windows[order]
        starts = np.flatnonzero(np.diff(windows, prepend=windows[:1] - 1))
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), windows.size], strict=True):
            counts = self._windows.setdefault(int(windows[first]), type(self._total).empty(self._total.task))  # type: ignore[arg-type]  # the task is theirs
            counts.update(truth[first:last], said[first:last])
        if len(self._windows) > 2 * MOST_WINDOWS:
            self._windows = dict(self._last())
            self._first = min(self._windows)

    def _last(self) -> list[tuple[int, AnyCounts]]:
        return [(window, self._windows[window]) for window in sorted(self._windows)[-MOST_WINDOWS:]]

    def finished(self) -> ReferencePerformance:
        """Return all that was counted. Raises ValueError where no row could be."""
        windows = [(number, counts) for number, counts in self._last() if counts.cells.any()]
        starts = np.array([number * self._window_ns for number, _ in windows], dtype=np.int64)
        found = ReferencePerformance(
            self._feature,
            self._total,
            self._cells,
            self._column.positive,
            self._column.negative,
            self._window_ns,
            starts,
            packed_windows(starts, (counts.to_bytes() for _, counts in windows)),
        )
        if not found.rows:
            left = ", ".join(f"{reason} {count}" for reason, count in self._total.left_out.items())
            raise ValueError(
                f"label {self._column.name}: no row has a label and a prediction ({left or 'none at all'})"
            )
        return found


def _no_cells(feature: NumericFeature | CategoricalFeature, empty: AnyCounts) -> Ints | ErrorCells | None:
    if isinstance(feature, CategoricalFeature):
        return None
    if isinstance(empty, BinaryCounts):
        return np.zeros((2, score_edges(feature, empty.task.threshold).size + 1), dtype=np.int64)
    return ErrorCells.empty(feature.usable)
