"""Labels of a table while a reference is fitted: looked at in the first pass, counted beside predictions in the second."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from detectors.calibration.collect import NO_TIME
from detectors.columns import Coded, Column, as_codes, as_written_floats, distinct
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
    beside: dict[str, None] = field(default_factory=dict)  # columns of weights and scores that are there
    _profile: CategoryProfile = field(default_factory=CategoryProfile)
    _many: bool = False

    def look(self, chunk: Mapping[str, Column]) -> None:
        """Look at one chunk."""
        self.beside.update(dict.fromkeys(name for name in chunk if self.column.holds(name)))
        if (labels := chunk.get(self.column.name)) is None:
            return
        self.there = True
        if not self._many:
            self._profile.add(labels)
            self._many = len(self._profile.categories()) > MOST_LABELS

    def refuse_absent(self) -> None:
        """Raise ValueError where there is no column of weights, or none of scores, though it is named."""
        column, there = self.column, self.beside.keys() - {self.column.name, self.column.weight}
        if column.weight is not None and column.weight not in self.beside:
            raise ValueError(f"there is no column {column.weight} of weights")
        if column.scores is not None and not there:
            raise ValueError(f"no column of scores begins with {column.scores}")

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
        if self.column.scores is not None and task != "multiclass":
            raise ValueError(f"scores {self.column.scores}: task {task} has no classes; its prediction is all there is")
        if task == "binary":
            self._refuse_one_sided()
        empty = self._empty(task, feature)
        return LabelTally(self.column, feature, empty, window_ns or 0, self._scores(empty))

    def _scores(self, empty: AnyCounts) -> Mapping[str, int]:
        """The place of the class that each column of scores is of."""
        start = self.column.scores
        if start is None or not isinstance(empty, MulticlassCounts):
            return {}
        codes = CategoryCodes(empty.task.classes)
        named = {name: codes.get(name.removeprefix(start)) for name in self.beside if name.startswith(start)}
        return {name: place for name, place in named.items() if place is not None}

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
        weighted = self.column.weight is not None
        if isinstance(feature, NumericFeature):
            binary = task == "binary"
            return (
                BinaryCounts.empty(BinaryTask(threshold=self.column.threshold, weighted=weighted))
                if binary
                else RegressionCounts.empty(RegressionTask(weighted=weighted))
            )
        known = CategoryCodes(feature.categories)
        others = tuple(name for name in self.names if known.get(name) is None)
        classes = (*feature.categories, *others)
        if len(classes) > MOST_CLASSES:
            raise ValueError(f"label {self.column.name}: {len(classes)} classes are more than {MOST_CLASSES}")
        return MulticlassCounts.empty(MulticlassTask(classes, weighted=weighted))


def _usual_task(feature: NumericFeature | CategoricalFeature) -> str:
    if isinstance(feature, CategoricalFeature):
        return "multiclass"
    return "binary" if not feature.bins or (feature.min >= 0 and feature.max <= 1) else "regression"


@dataclass(frozen=True, slots=True)
class LabelledRows:
    """Rows with what came true and what was said, as their task counts them; with weights and the classes of the highest scores where there are."""

    truth: Any
    said: Any
    weights: Floats | None = None
    highest: Codes | None = None

    def only(self, which: Ints | slice) -> "LabelledRows":
        """Some of them."""
        weights = None if self.weights is None else self.weights[which]
        highest = None if self.highest is None else self.highest[which]
        return LabelledRows(self.truth[which], self.said[which], weights, highest)

    def count(self, counts: AnyCounts) -> None:
        """Add them to counts."""
        if isinstance(counts, MulticlassCounts):
            counts.update(self.truth, self.said, weights=self.weights, highest=self.highest)
        else:
            counts.update(self.truth, self.said, self.weights)


def rows_in(chunk: Mapping[str, Column]) -> int:
    """Return the rows of a chunk, whose columns are of one length."""
    return next(iter(chunk.values())).size


class LabelTally:
    """Second pass: labelled predictions counted, all of them and by window."""

    def __init__(
        self,
        column: LabelColumn,
        feature: NumericFeature | CategoricalFeature,
        empty: AnyCounts,
        window_ns: int,
        scores: Mapping[str, int] | None = None,
    ) -> None:
        self._column = column
        self._scores = scores or {}
        self._feature = feature
        self._total = empty
        self._cells = _no_cells(feature, empty)
        self._window_ns = window_ns
        self._windows: dict[int, AnyCounts] = {}
        self._first = NO_TIME  # earlier windows are no longer counted

    def add(self, chunk: Mapping[str, Column], predictions: Floats | Codes | None, times: Ints | None) -> None:
        """Take a chunk with its labels, and its predictions as the reference counts them; without either there is nothing to count."""
        labels = chunk.get(self._column.name)
        if labels is None or predictions is None:
            return
        rows = LabelledRows(self._read(labels), self._said(predictions), self._weights(chunk), self._highest(chunk))
        rows.count(self._total)
        self._count_cells(rows.truth, rows.said)
        if times is not None and self._window_ns:
            self._count_windows(rows, times)

    def _weights(self, chunk: Mapping[str, Column]) -> Floats | None:
        """The weight of each row, 1 where it has none, NaN where something else stands there; None where nobody asks for them."""
        if self._column.weight is None:
            return None
        held = chunk.get(self._column.weight)
        if held is None:
            return np.ones(rows_in(chunk))
        weights = as_written_floats(held)
        nothing = np.isnan(weights)
        if isinstance(held, Coded) or held.dtype.kind == "O":  # a text is no weight, and refused as live
            texts, of_row = distinct(held)
            nothing &= np.array([text is None for text in texts], dtype=np.bool_)[of_row]
        return np.where(nothing, 1.0, weights)

    def _highest(self, chunk: Mapping[str, Column]) -> Codes | None:
        """The classes with the highest scores of each row; None where there are no scores."""
        if not self._scores or not isinstance(self._total, MulticlassCounts):
            return None
        scores = np.full((rows_in(chunk), len(self._total.task.classes)), np.nan)
        for name, place in self._scores.items():
            if name in chunk:
                found = as_written_floats(chunk[name])
                scores[:, place] = np.where(np.isnan(scores[:, place]), found, scores[:, place])
        return self._total.task.highest(scores)

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

    def _count_windows(self, rows: "LabelledRows", times: Ints) -> None:
        held = (times != NO_TIME) & (times // self._window_ns >= self._first)
        windows = times[held] // self._window_ns
        order = np.argsort(windows, kind="stable")
        rows, windows = rows.only(np.flatnonzero(held)[order]), windows[order]
        starts = np.flatnonzero(np.diff(windows, prepend=windows[:1] - 1))
        for first, last in zip(starts.tolist(), [*starts[1:].tolist(), windows.size], strict=True):
            counts = self._windows.setdefault(int(windows[first]), type(self._total).empty(self._total.task))  # type: ignore[arg-type]  # the task is theirs
            rows.only(slice(first, last)).count(counts)
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
