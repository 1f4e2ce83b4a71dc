"""Laws of counts, of any task: merging is addition, subtracting undoes it, and what cannot be counted is counted as such."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from detectors import (
    BinaryCounts,
    BinaryTask,
    MulticlassCounts,
    MulticlassTask,
    RegressionCounts,
    RegressionTask,
    TaskMismatchError,
    truths,
)
from tests.charted import seeded

Counts = Any  # of one kind or another
ROWS = 300


@dataclass(frozen=True)
class Kind:
    """Counts of one task, and rows for them: some of them good for nothing."""

    name: str
    counts: Any
    task: Any
    other: Any
    draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]

    def of(self, rows: tuple[np.ndarray, ...]) -> Counts:
        counts = self.counts.empty(self.task)
        counts.update(*rows)
        return counts


def spoiled(random: np.random.Generator, values: np.ndarray, *bad: float) -> np.ndarray:
    return np.where(random.random(len(values)) < 0.05, random.choice(bad, len(values)), values)


def weights(random: np.random.Generator, n: int) -> np.ndarray:
    return spoiled(random, random.uniform(0.01, 100, n), 0.0, -1.0, np.nan, 1e9)


def binary(random: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    labels = spoiled(random, random.integers(0, 2, n).astype(float), 2.0, np.nan)
    return labels, spoiled(random, random.beta(0.3, 0.5, n), -0.1, 1.1, np.nan, np.inf, 0.0, 1.0)


def multiclass(random: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    scores = np.round(random.random((n, 4)), 1)
    scores[random.random(n) < 0.1, 2] = np.nan
    return random.integers(0, 6, n), random.integers(0, 6, n), scores


def regression(random: np.random.Generator, n: int) -> tuple[np.ndarray, ...]:
    labels = spoiled(random, np.ldexp(random.normal(size=n), random.integers(-60, 60, n)), 0.0, np.nan, np.inf, 1e80)
    return labels, spoiled(random, labels + random.normal(size=n), np.nan, 0.0, -np.inf)


def weighing(draw: Callable[[np.random.Generator, int], tuple[np.ndarray, ...]]) -> Any:
    return lambda random, n: (*draw(random, n), weights(random, n))


CLASSES = ("a", "b", "c", "d")
KINDS = [
    Kind("binary", BinaryCounts, BinaryTask(), BinaryTask(threshold=0.4), binary),
    Kind("weighted binary", BinaryCounts, BinaryTask(weighted=True), BinaryTask(), weighing(binary)),
    Kind("multiclass", MulticlassCounts, MulticlassTask(CLASSES), MulticlassTask(CLASSES[::-1]), multiclass),
    Kind(
        "weighted multiclass",
        MulticlassCounts,
        MulticlassTask(CLASSES, weighted=True),
        MulticlassTask(CLASSES, top=(2,), weighted=True),
        weighing(multiclass),
    ),
    Kind("regression", RegressionCounts, RegressionTask(), RegressionTask(reference_mean=1.0), regression),
    Kind(
        "weighted regression",
        RegressionCounts,
        RegressionTask(weighted=True),
        RegressionTask(quantile=0.9, weighted=True),
        weighing(regression),
    ),
]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)


@each_kind
def test_parts_merged_in_any_order_are_the_whole(kind: Kind) -> None:
    random = seeded()
    rows = kind.draw(random, ROWS)
    cuts = np.sort(random.integers(0, ROWS, 3))
    parts = [kind.of(tuple(column[index] for column in rows)) for index in np.split(random.permutation(ROWS), cuts)]

    whole = kind.counts.empty(kind.task)
    for part in parts:
        whole = part.merge(whole)

    assert whole == kind.of(rows)
    assert whole.metrics() == kind.of(rows).metrics()


@each_kind
def test_adding_and_then_subtracting_leaves_what_was_before(kind: Kind) -> None:
    random = seeded()
    counts, other = kind.of(kind.draw(random, ROWS)), kind.of(kind.draw(random, ROWS))
    before = counts.copy()

    counts.add(other.packed())
    assert counts != before
    counts.subtract(other)

    assert counts == before
    assert counts.to_bytes() == before.to_bytes()


@each_kind
def test_bytes_hold_all(kind: Kind) -> None:
    counts = kind.of(kind.draw(seeded(), ROWS))

    again = kind.counts.from_bytes(kind.task, counts.to_bytes())

    assert again == counts
    assert again.metrics() == counts.metrics()
    again.update(*kind.draw(seeded(), 5))
    assert again != counts


@each_kind
def test_bytes_that_are_damaged_or_of_another_task_are_refused(kind: Kind) -> None:
    data = bytearray(kind.of(kind.draw(seeded(), ROWS)).to_bytes())

    with pytest.raises(TaskMismatchError):
        kind.counts.from_bytes(kind.other, bytes(data))
    with pytest.raises(ValueError, match="no counts of predictions"):
        kind.counts.from_bytes(kind.task, b"something else, and long enough")
    data[40] ^= 1
    with pytest.raises(ValueError, match="damaged"):
        kind.counts.from_bytes(kind.task, bytes(data))


@each_kind
def test_counts_of_different_tasks_do_not_add(kind: Kind) -> None:
    for change in ("add", "subtract", "merge"):
        with pytest.raises(TaskMismatchError, match="cannot be added"):
            getattr(kind.counts.empty(kind.task), change)(kind.counts.empty(kind.other))


@each_kind
def test_packed_counts_are_the_same_and_take_no_rows(kind: Kind) -> None:
    rows = kind.draw(seeded(), ROWS)
    packed = kind.of(rows).packed()

    assert packed == kind.of(rows)
    assert packed.metrics() == kind.of(rows).metrics()
    assert kind.task.weighted or packed.cells.nbytes < kind.of(rows).cells.nbytes
    with pytest.raises(ValueError, match="read-only"):
        packed.update(*rows)
    assert packed == kind.of(rows)


@each_kind
def test_every_row_is_counted_or_left_out_under_one_reason(kind: Kind) -> None:
    counts = kind.of(kind.draw(seeded(), ROWS))

    of_rows = sum(number for reason, number in counts.left_out.items() if reason != "scores_missing")
    usable = counts.confusion().total if kind.counts is not RegressionCounts else counts.metrics()["mae"].rows

    assert of_rows > 0
    assert usable + of_rows == ROWS


@each_kind
def test_no_row_has_no_metric_but_a_reason(kind: Kind) -> None:
    metrics = kind.counts.empty(kind.task).metrics()

    assert {metric.rows for metric in metrics.values()} == {0}
    assert all("label" in metric.reason for metric in metrics.values())


@each_kind
def test_an_empty_batch_changes_nothing(kind: Kind) -> None:
    rows = kind.draw(seeded(), ROWS)
    counts = kind.of(rows)
    counts.update(*(column[:0] for column in rows))

    assert counts == kind.of(rows)


@each_kind
def test_one_row_has_values_and_no_spread(kind: Kind) -> None:
    """Whatever the row, no number is NaN, and none is out of thin air."""
    for _ in range(30):
        for metric in kind.of(kind.draw(seeded(), 1)).metrics().values():
            assert hasattr(metric, "reason") or metric.rows == 1


def test_a_batch_that_does_not_fit_is_refused_and_counts_nothing() -> None:
    counts = BinaryCounts.empty(BinaryTask())
    for labels, scores in (([1, 0], [0.5]), (["yes"], [0.5]), ([[1]], [[0.5]]), ([1], ["0.5"]), ([1, 0], [0.5, "x"])):
        with pytest.raises(ValueError, match="must be one column of numbers"):
            counts.update(labels, scores)
    with pytest.raises(ValueError, match="weighted=True"):
        counts.update([1], [0.5], [2.0])

    assert counts == BinaryCounts.empty(BinaryTask())


def test_weights_of_one_are_no_weights() -> None:
    labels, scores = np.array([1, 0, 1, 1]), np.array([0.9, 0.2, 0.4, 0.8])
    plain, weighted = BinaryCounts.empty(BinaryTask()), BinaryCounts.empty(BinaryTask(weighted=True))
    plain.update(labels, scores)
    weighted.update(labels, scores)

    values = [{name: metric.value for name, metric in counts.metrics().items()} for counts in (plain, weighted)]
    assert values[0] == pytest.approx(values[1], abs=1e-12)


def test_columns_of_any_library_are_taken_as_they_are() -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    labels, scores = [1, 0, None, 1], [0.9, None, 0.2, 0.4]
    taken = [
        (pd.Series(labels, dtype="Int64"), pd.Series(scores)),
        (pl.Series(labels), pl.Series(scores)),
        (pa.array(labels), pa.array(scores)),
        (pd.Series([True, False, None, True], dtype="boolean"), np.array(scores, dtype=object)),
    ]
    for given in taken:
        counts = BinaryCounts.empty(BinaryTask())
        counts.update(*given)
        assert counts.left_out == {"label_missing": 1, "score_missing": 1}
        assert counts.confusion().rows.tolist() == [[0, 0], [1, 1]]


def test_classes_and_truth_of_any_library_are_taken_as_they_are() -> None:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    labels = ["fraud", "fine", None, "maybe"]
    for given in (labels, pd.Series(labels), pd.Series(labels, dtype="category"), pl.Series(labels), pa.array(labels)):
        assert MulticlassTask(("fine", "fraud")).codes(given).tolist() == [1, 0, 3, 2]
        assert truths(given, positive="fraud", negative="fine").tolist() == pytest.approx(
            [1, 0, np.nan, 2], nan_ok=True
        )
