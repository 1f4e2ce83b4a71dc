"""What a reference's labels say of its predictions, as a value and in the file."""

import base64
import json
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, Final

import numpy as np

from detectors.features import CategoricalFeature, Floats, Ints, NumericFeature
from detectors.performance.binary import BinaryCounts, BinaryTask
from detectors.performance.estimated_classes import ClassEstimator
from detectors.performance.estimated_numbers import ErrorCells, NumberEstimator
from detectors.performance.estimated_scores import ScoreEstimator
from detectors.performance.metrics import Metrics
from detectors.performance.multiclass import MulticlassCounts, MulticlassTask
from detectors.performance.regression import RegressionCounts, RegressionTask
from detectors.reference import file as serial
from detectors.reference.file import ReferenceFormatError

HEAD: Final = struct.Struct("<qI")  # of a window: where it starts, and the length of its counts
QUICK: Final = 1  # of zlib: windows are mostly zeros, however hard one tries
NOTHING: Final = zlib.compress(b"")
HUNDREDTHS: Final = np.arange(1, 101) / 100
AnyCounts = BinaryCounts | MulticlassCounts | RegressionCounts
Estimator = ScoreEstimator | ClassEstimator | NumberEstimator


def score_edges(feature: NumericFeature, threshold: float) -> Floats:
    """Return the upper ends of the cells that labelled scores are counted in: those of the prediction, cut at every threshold that may be asked for."""
    return np.union1d(feature.edges, np.nextafter([*HUNDREDTHS, threshold], 0.0))


@dataclass(frozen=True, eq=False, repr=False)
class ReferencePerformance:
    """What the predictions of a reference were worth by its labels, in counts.

    `total` are the counts of all labelled rows; their task says how they are counted. `cells` are those that an estimate
    without labels is made from: of scores rows int64[2, C] by label and cell of `score_edges`, of numbers the errors by
    cell of the prediction; of classes the total has them. `positive` and `negative` are the labels of scores as they were spelled.
    `windows` are the reference's own, `window_ns` long and starting at `starts` int64[k] nanoseconds, rising: those with labels, the last 2016;
    none where its rows have no time. They are kept small, and read one by one.

    >>> from detectors import LabelColumn, Reference
    >>> table = {"score": np.arange(1, 100) / 100, "paid": np.arange(1, 100) > 30}
    >>> reference = Reference.fit(table, prediction="score", label=LabelColumn("paid"))
    >>> reference.performance
    <ReferencePerformance: binary, 99 labelled rows, 0 windows>
    >>> round(reference.performance.metrics()["recall"].value, 2)
    0.72
    >>> round(reference.performance.estimator().estimate([0.9, 0.4]).metrics["accuracy"].value, 1)
    0.5
    """

    prediction: NumericFeature | CategoricalFeature
    total: AnyCounts
    cells: Ints | ErrorCells | None = None
    positive: str = "1"
    negative: str | None = None
    window_ns: int = 0
    starts: Ints = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    kept: bytes = NOTHING  # the windows, as the file has them: zlib of each one's start, length and `Counts.to_bytes`

    def __repr__(self) -> str:
        return f"<ReferencePerformance: {self.task}, {self.rows} labelled rows, {self.starts.size} windows>"

    @property
    def task(self) -> str:
        """How it is counted: binary, multiclass or regression."""
        match self.total:
            case BinaryCounts():
                return "binary"
            case MulticlassCounts():
                return "multiclass"
            case _:
                return "regression"

    @property
    def rows(self) -> int:
        """Rows that have a prediction and a label that could be counted."""
        match self.total:
            case MulticlassCounts():
                return self.total.confusion().total
            case _:
                return int(self.total.cells[: self.total.task.cells].sum())

    @property
    def weighted(self) -> bool:
        """Whether its labels have weights."""
        return self.total.task.weighted

    @property
    def threshold(self) -> float:
        """From which score on a prediction is positive; 0.5 where there are no scores."""
        return self.total.task.threshold if isinstance(self.total, BinaryCounts) else 0.5

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes, those of the prediction first; none of scores and numbers."""
        return self.total.task.classes if isinstance(self.total, MulticlassCounts) else ()

    @property
    def label_mean(self) -> float | None:
        """The mean of labels that are numbers; None of others, and where none could be counted."""
        return self.total.label_mean if isinstance(self.total, RegressionCounts) else None

    @property
    def windows(self) -> Iterator[AnyCounts]:
        """The counts of each of the reference's own windows, in the order of `starts`."""
        return self.latest(self.starts.size)

    def latest(self, many: int) -> Iterator[AnyCounts]:
        """Return the counts of so many of the reference's own windows, the last ones, in the order of `starts`."""
        for _, written in islice(_windows(zlib.decompress(self.kept)), max(self.starts.size - many, 0), None):
            yield type(self.total).from_bytes(self.total.task, written)  # type: ignore[arg-type]  # the task is theirs

    def metrics(self) -> Metrics:
        """Return every metric of all labelled rows."""
        return self.total.metrics()

    def at(self, threshold: float) -> "ReferencePerformance":
        """Return the same at another operating threshold of scores.

        Raises ValueError for one that is no hundredth, nor the one that it was fitted with: what lies on its two sides was not counted apart.
        """
        if not isinstance(self.total, BinaryCounts) or threshold == self.threshold:
            return self
        total = self._total_at(threshold)
        moved = (_moved(each, total.task).to_bytes() for each in self.windows if isinstance(each, BinaryCounts))
        return replace(self, total=total, kept=packed_windows(self.starts, moved))

    def _total_at(self, threshold: float) -> BinaryCounts:
        """All labelled rows at an operating threshold. Raises ValueError as `at` does."""
        assert isinstance(self.total, BinaryCounts)
        if threshold == self.threshold:
            return self.total
        task = BinaryTask(threshold=threshold, weighted=self.weighted)
        if not np.isin(task.edges, self.total.task.edges).all():
            raise ValueError(
                f"the reference's labels were counted for thresholds of whole hundredths and {self.threshold}, not {threshold}: "
                "fit it with this one"
            )
        return _moved(self.total, task)

    def estimator(self, threshold: float | None = None) -> Estimator:
        """Return what tells the worth of windows without labels.

        Raises ValueError where the labels do not suffice for one, and for a threshold as `at` does.
        """
        asked = self.threshold if threshold is None else threshold
        if isinstance(self.total, MulticlassCounts):
            return ClassEstimator(_unweighted(self.total))
        assert isinstance(self.prediction, NumericFeature)
        if isinstance(self.cells, ErrorCells):
            return NumberEstimator.of(self.prediction, self.cells)
        assert self.cells is not None
        return ScoreEstimator(self.prediction, self._sides(self.prediction, self.cells, asked), asked)

    def expectation(self, threshold: float | None = None) -> ScoreEstimator | ClassEstimator | None:
        """Return what tells the worth of labelled rows by their predictions alone, from counts of the same task; None of numbers, whose counts hold none.

        Raises ValueError as `estimator` does.
        """
        match self.total:
            case BinaryCounts():
                return ScoreEstimator.of_counts(self._total_at(self.threshold if threshold is None else threshold))
            case MulticlassCounts():
                return ClassEstimator(_unweighted(self.total))
            case _:
                return None

    def _sides(self, feature: NumericFeature, cells: Ints, threshold: float) -> Ints:
        """Labelled rows by label, cell of the prediction and side of the threshold, int64[2, cells, 2]."""
        edges, below = score_edges(feature, self.threshold), np.nextafter(threshold, 0.0)
        if below not in edges:
            self._total_at(threshold)
        upper, lower = np.append(edges, np.inf), np.append(-np.inf, edges)
        places = np.searchsorted(feature.edges, upper, side="left") * 2 + (lower >= below)
        sides = [np.bincount(places, weights=each, minlength=2 * feature.usable) for each in cells]
        return np.array(sides).astype(np.int64).reshape(2, feature.usable, 2)

    # --- in the file ------------------------------------------------------------------------------------------------

    def head(self) -> dict[str, Any]:
        """Return what is short."""
        own: dict[str, Any] = {"task": self.task, "window_ns": self.window_ns}
        if self.task == "binary":
            own |= {"threshold": self.threshold, "positive": self.positive, "negative": self.negative}
        own |= {"weighted": True} if self.weighted else {}
        return own | ({"classes": list(self.classes)} if self.classes else {})

    def blobs(self) -> dict[str, bytes]:
        """Return what is long, by its key."""
        return {
            "total": self.total.to_bytes(),
            "cells": _cells_to_bytes(self.cells),
            "windows": zlib.decompress(self.kept),
        }

    def content(self) -> bytes:
        """Return what enters the hash of the reference, however it is packed in the file."""
        blobs = self.blobs()
        lengths = {name: len(blob) for name, blob in blobs.items()}
        return json.dumps({**self.head(), **lengths}, sort_keys=True).encode() + b"".join(blobs.values())

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: what is long in base64 of zlib."""
        packed = {name: base64.b64encode(zlib.compress(blob, 9)).decode() for name, blob in self.blobs().items()}
        return {**self.head(), **packed}

    @classmethod
    def from_dict(cls, content: Any, prediction: NumericFeature | CategoricalFeature | None) -> "ReferencePerformance":
        """Read the JSON form. Raises ReferenceFormatError saying in one line what is wrong."""
        raw = serial.typed(content, dict, "performance")
        try:
            return cls._read(raw, prediction)
        except ReferenceFormatError:
            raise
        except (ValueError, zlib.error, struct.error, OverflowError) as error:
            raise ReferenceFormatError(f"performance: {error}") from error

    @classmethod
    def _read(
        cls, raw: dict[str, Any], prediction: NumericFeature | CategoricalFeature | None
    ) -> "ReferencePerformance":
        if prediction is None:
            raise ReferenceFormatError("performance is of a reference without a prediction")
        total, window_ns = _empty(raw), serial.integer(raw.get("window_ns", 0), "performance.window_ns")
        total = type(total).from_bytes(total.task, _blob(raw, "total"))  # type: ignore[arg-type]  # the task is theirs
        windows = _blob(raw, "windows")
        performance = cls(
            prediction,
            total,
            _cells_from_bytes(_blob(raw, "cells"), total, prediction, raw),
            serial.typed(raw.get("positive", "1"), str, "performance.positive"),
            None if raw.get("negative") is None else serial.typed(raw["negative"], str, "performance.negative"),
            window_ns,
            _starts(windows),
            zlib.compress(windows, QUICK),
        )
        for _ in performance.windows:  # damaged ones are found here, not on the way
            pass
        return performance


def _unweighted(counts: MulticlassCounts) -> MulticlassCounts:
    """The same rows, each counted once: an estimate is of predictions, which have no weights."""
    task = replace(counts.task, weighted=False)
    return MulticlassCounts(task, counts.cells[: task.cells].astype(np.int64), list(counts.sums), counts.refused.copy())


def _moved(counts: BinaryCounts, task: BinaryTask) -> BinaryCounts:
    """Counts on the edges of another task, all of which are theirs; sums do not depend on the threshold."""
    places = np.searchsorted(task.edges, counts.task.edges, side="left")
    parts = counts.cells.astype(np.int64).reshape(-1, counts.task.edges.size)  # by label; with weights three times
    moved = np.zeros((len(parts), task.edges.size), dtype=np.int64)
    for counted, each in zip(moved, parts, strict=True):
        np.add.at(counted, places, each)
    return BinaryCounts(task, moved.ravel(), list(counts.sums), counts.refused.copy())


def _empty(raw: dict[str, Any]) -> AnyCounts:
    weighted = serial.typed(raw.get("weighted", False), bool, "performance.weighted")
    match serial.get(raw, "task", "performance"):
        case "binary":
            return BinaryCounts.empty(
                BinaryTask(threshold=serial.number(raw.get("threshold"), "performance.threshold"), weighted=weighted)
            )
        case "multiclass":
            classes = serial.typed(serial.get(raw, "classes", "performance"), list, "performance.classes")
            named = tuple(serial.typed(each, str, "performance.classes") for each in classes)
            return MulticlassCounts.empty(MulticlassTask(named, weighted=weighted))
        case "regression":
            return RegressionCounts.empty(RegressionTask(weighted=weighted))
        case other:
            raise ReferenceFormatError(
                f"performance.task is {serial.shown(other)}; this version reads binary, multiclass, regression"
            )


def _blob(raw: dict[str, Any], key: str) -> bytes:
    text = serial.typed(serial.get(raw, key, "performance"), str, f"performance.{key}")
    return zlib.decompress(base64.b64decode(text, validate=True))


def packed_windows(starts: Ints, written: Iterable[bytes]) -> bytes:
    """Return windows as a reference keeps them, by their starts and `Counts.to_bytes`."""
    packing = zlib.compressobj(QUICK)
    packed = [
        packing.compress(HEAD.pack(start, len(each)) + each)
        for start, each in zip(starts.tolist(), written, strict=True)
    ]
    return b"".join([*packed, packing.flush()])


def _windows(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Where each window starts, and its counts as bytes. Raises ValueError where they are cut off."""
    at = 0
    while at < len(blob):
        start, length = HEAD.unpack_from(blob, at)
        at += HEAD.size + length
        yield start, blob[at - length : at]
    if at != len(blob):
        raise ValueError("windows are cut off")


def _starts(blob: bytes) -> Ints:
    starts = [start for start, _ in _windows(blob)]
    if sorted(set(starts)) != starts:
        raise ValueError("the starts of windows do not rise")
    return np.array(starts, dtype=np.int64)


def _cells_to_bytes(cells: Ints | ErrorCells | None) -> bytes:
    if isinstance(cells, ErrorCells):
        return cells.to_bytes()
    return b"" if cells is None else cells.astype("<i8").tobytes()


def _cells_from_bytes(
    data: bytes, total: AnyCounts, prediction: NumericFeature | CategoricalFeature, raw: dict[str, Any]
) -> Ints | ErrorCells | None:
    if isinstance(prediction, CategoricalFeature) != isinstance(total, MulticlassCounts):
        raise ValueError(f"task {raw['task']} is of another kind of prediction than the reference has")
    if isinstance(prediction, CategoricalFeature):
        if raw["classes"][: len(prediction.categories)] != list(prediction.categories):
            raise ValueError("classes do not begin with those of the prediction")
        return None
    if isinstance(total, RegressionCounts):
        return ErrorCells.from_bytes(data, prediction.usable)
    assert isinstance(total, BinaryCounts)
    counts = np.frombuffer(data, dtype="<i8").astype(np.int64)
    many = score_edges(prediction, total.task.threshold).size + 1
    if counts.size != 2 * many or (counts < 0).any():
        raise ValueError(f"cells must be {2 * many} counts, none below zero")
    return counts.reshape(2, many)
