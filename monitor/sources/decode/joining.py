"""What of decoded rows is joined: predictions as numbers, and labels, inside their prediction or by themselves."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import canonical
from detectors.features import Floats
from detectors.performance.binary import two_labels
from monitor.series.truth import MULTICLASS, REGRESSION, Truth
from monitor.sources.decode.class_scores import ClassScores, score_columns
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.categories import CategoryTable
from monitor.sources.formats.fields import LABELLED, PREDICTION, WEIGHT, FieldMap, JoinedFields, Path, SeriesFields
from monitor.sources.formats.values import UNUSABLE as USELESS
from monitor.stream.events import JoinBatch
from monitor.stream.join import INLINE, LABEL, Rows, no_rows, rows_of
from monitor.stream.join import PREDICTION as PREDICTIONS

SCORE = "__score__"  # a column beside those of a reference
ID_MISSING, UNKNOWN, INVALID, WEIGHT_INVALID = "id_missing", "label_unknown", "label_invalid", "weight_invalid"
LEAST_WEIGHT, MOST_WEIGHT = 0.01, 100.0
UNUSABLE = "number_as_text", "wrong_type", "non_finite"  # reasons of what is there


def label_fields(truth: Truth, fields: FieldMap) -> JoinedFields:
    """The columns of a label, where a topic has one."""
    numeric: list[tuple[str, Path]] = []
    categorical: list[tuple[str, Path, tuple[str, ...]]] = []
    if fields.label and truth.task == REGRESSION:
        numeric.append((LABELLED, fields.label))
    elif fields.label:
        categorical.append((LABELLED, fields.label, truth.label_classes))
    if fields.label and fields.weight and truth.weighted:
        numeric.append((WEIGHT, fields.weight))
    return JoinedFields(tuple(numeric), tuple(categorical))


def prediction_fields(truth: Truth, fields: FieldMap, names: Sequence[str]) -> JoinedFields:
    """The columns of a prediction and of the label inside it, beside those of a reference that has these features."""
    joined = label_fields(truth, fields)
    if truth.scored and fields.scores:
        own, others = score_columns(truth.classes, fields.scores)
        numeric = (*own, *joined.numeric, *others)
        joined = replace(joined, numeric=numeric, scores=(len(own), 0), classes=truth.classes, listed=truth.listed)
    if PREDICTION in names:
        return joined
    if truth.task == MULTICLASS:
        categorical = (SCORE, fields.prediction, truth.classes), *joined.categorical
        return replace(joined, categorical=categorical, scores=(joined.scores[0], 1))
    return replace(joined, numeric=((SCORE, fields.prediction), *joined.numeric), scores=(1, 0))


@dataclass(frozen=True, slots=True)
class RowLabels:
    """Labels of some rows: float64[n], NaN where there is none, which rows have one that is no label, and their weights."""

    values: Floats
    unknown: NDArray[np.bool_]
    weights: Floats


class LabelColumns:
    """Where the labels of a series stand among its columns."""

    def __init__(self, series: SeriesFields, truth: Truth) -> None:
        self._numeric = {name: at for at, (name, _) in enumerate(series.numeric)}
        self._categorical = {name: at for at, (name, _) in enumerate(series.categorical)}
        self._values = np.array([*truth.label_values, np.nan])  # by code; the last is missing
        self._task = truth.task

    @property
    def there(self) -> bool:
        """Whether labels are read at all."""
        return LABELLED in self._numeric or LABELLED in self._categorical

    def labels(self, part: SeriesRows) -> RowLabels:
        """The labels of rows."""
        if LABELLED in self._numeric:
            values = part.numeric[:, self._numeric[LABELLED]]
            unknown = np.zeros(len(values), dtype=np.bool_)
        else:
            codes = part.codes[:, self._categorical[LABELLED]]
            values = self._values[codes]
            unknown = np.isnan(values) & (codes != len(self._values) - 1)
        return RowLabels(np.where(np.isinf(values), np.nan, values), unknown | np.isinf(values), self._weights(part))

    def refused(self, part: SeriesRows, held: RowLabels, *, look: bool) -> dict[int, str]:
        """Why rows have no label, by place. Numbers written as text are put in, and a weight that is absent is 1.

        Not to `look` at messages again is to know that what has no value is absent.
        """
        reasons = dict.fromkeys(np.flatnonzero(held.unknown).tolist(), UNKNOWN)
        for place, value in self._there(part, np.isnan(held.values) & ~held.unknown, part.series.fields.label, look):
            held.values[place] = as_number(value) if self._task == REGRESSION else np.nan
            if np.isnan(held.values[place]):
                reasons[place] = INVALID
        absent = np.isnan(held.weights)
        for place, _ in self._there(part, absent, part.series.fields.weight, look):
            absent[place] = False
        held.weights[absent] = 1.0
        fair = is_fair(held.weights)
        for place in np.flatnonzero(~fair).tolist():
            reasons.setdefault(place, WEIGHT_INVALID)
        return reasons

    def _there(
        self,
        part: SeriesRows,
        lacking: NDArray[np.bool_],
        path: Path,
        look: bool,  # noqa: FBT001 - of `refused`
    ) -> Iterator[tuple[int, object]]:
        """The rows that hold something at a path all the same, each with it."""
        for place in np.flatnonzero(lacking).tolist() if look else ():
            [value] = part.look(place, [path])
            if value is not None:
                yield place, value

    def _weights(self, part: SeriesRows) -> Floats:
        at = self._numeric.get(WEIGHT)
        return np.ones(len(part.times)) if at is None else part.numeric[:, at].copy()


def is_fair(weights: Floats) -> NDArray[np.bool_]:
    """bool[n]: can be counted."""
    return np.asarray((weights == 0) | ((weights >= LEAST_WEIGHT) & (weights <= MOST_WEIGHT)))


def weights_in(column: Floats | None, rows: int) -> tuple[Floats, NDArray[np.bool_]]:
    """The weights of a column as it was read, 1 where there is none, and which of them can be counted."""
    if column is None:
        return np.ones(rows), np.ones(rows, dtype=np.bool_)
    unusable = np.ascontiguousarray(column).view(np.uint64) == np.float64(USELESS).view(np.uint64)
    weights = np.where(np.isnan(column) & ~unusable, 1.0, column)
    return weights, is_fair(weights)


class PredictionColumns:
    """Where the predictions of a series stand among its columns, and the labels inside them."""

    def __init__(self, series: SeriesFields, truth: Truth) -> None:
        self._series = series
        self._truth = truth
        self._labels = LabelColumns(series, truth)
        self._classes = CategoryTable(truth.classes)
        name = PREDICTION if PREDICTION in {name for name, _ in (*series.numeric, *series.categorical)} else SCORE
        numeric, categorical = ([name for name, _ in held] for held in (series.numeric, series.categorical))
        self._number = numeric.index(name) if name in numeric else None
        self._class = categorical.index(name) if name in categorical else None
        self._by_code = None if self._class is None else meanings(truth, series.tables[self._class].categories)
        scored = series.joined is not None and bool(series.joined.classes)
        self._scores = ClassScores(series, truth.classes, listed=truth.listed) if scored else None

    @property
    def truth(self) -> Truth:
        """How labels are counted."""
        return self._truth

    def batch(self, part: SeriesRows, counts: DecodeCounts) -> JoinBatch:
        """The rows that have an id; labels that are none of ours are counted."""
        if part.ids is None or part.more is None:
            return JoinBatch(self._series.key, no_rows(PREDICTIONS), no_rows(LABEL), len(part.times))
        known = part.ids != 0
        predictions = rows_of(
            PREDICTIONS, high=part.ids, low=part.more, time=part.times, value=self.values(part, counts)
        )
        labels = self._inside(part, known, counts) if self._labels.there else no_rows(LABEL)
        return JoinBatch(self._series.key, predictions[known], labels, int(np.count_nonzero(~known)))

    def _inside(self, part: SeriesRows, known: NDArray[np.bool_], counts: DecodeCounts) -> Rows:
        assert part.ids is not None
        held = self._labels.labels(part)
        refused = self._labels.refused(part, held, look=any(counts.labels[reason] for reason in UNUSABLE))
        counts.fields.update(refused.values())
        kept = known & ~np.isnan(held.values)
        kept[list(refused)] = False
        columns = {"high": part.ids, "low": part.more, "time": part.times, "offset": INLINE}
        return rows_of(LABEL, **columns, value=held.values, weight=held.weights)[kept]

    def without(self, part: SeriesRows) -> SeriesRows:
        """The rows with the columns of their reference alone."""
        numbers, codes = self._series.own
        return replace(part, numeric=part.numeric[:, :numbers], codes=part.codes[:, :codes])

    def values(self, part: SeriesRows, counts: DecodeCounts) -> Floats:
        """The prediction of each row as a number; NaN where there is none."""
        said = self._said(part)
        return said if self._scores is None else self._truth.with_scores(said, self._scores.of(part, counts.fields))

    def _said(self, part: SeriesRows) -> Floats:
        if self._number is not None:
            numbers = np.where(np.isinf(part.numeric[:, self._number]), np.nan, part.numeric[:, self._number])
            return self._coded(numbers) if self._truth.task == MULTICLASS else numbers
        assert self._class is not None
        assert self._by_code is not None
        return np.asarray(self._by_code[part.codes[:, self._class]])

    def _coded(self, numbers: Floats) -> Floats:
        """Numbers that name classes as the places of those."""
        distinct, places = np.unique(numbers, return_inverse=True)
        found = [np.nan if math.isnan(each) else float(self._place(canonical(each))) for each in distinct.tolist()]
        return np.array(found, dtype=np.float64)[places]

    def _place(self, text: str | None) -> int:
        return min(self._classes[text], len(self._truth.classes))


def meanings(truth: Truth, categories: Sequence[str]) -> Floats:
    """What each code of a category is as a prediction, unseen and missing ones last."""
    if truth.task == MULTICLASS:
        classes, many = CategoryTable(truth.classes), len(truth.classes)
        return np.array([*(min(classes[text], many) for text in categories), many, np.nan], dtype=np.float64)
    positive = CategoryTable(tuple(two_labels(truth.positive)))
    known = [as_number(text) if text not in positive else 1.0 for text in categories]
    if truth.task != REGRESSION:
        known = [0.0 if math.isnan(each) else each for each in known]
    return np.array([*known, np.nan, np.nan])


def as_number(value: Any) -> float:
    """A number that may be written as text; NaN for all else."""
    try:
        found = float(value) if isinstance(value, str | int | float) else math.nan
    except (ValueError, OverflowError):
        return math.nan
    return found if math.isfinite(found) else math.nan
