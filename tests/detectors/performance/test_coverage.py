"""Whether labels come at random, and what metrics may come to once all are in."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import (
    BinaryCounts,
    BinaryTask,
    CostMatrix,
    Measured,
    MulticlassCounts,
    MulticlassTask,
    Unavailable,
    selection_bias,
)
from tests.charted import seeded

COSTS = CostMatrix(false_positive=1.0, false_negative=25.0, true_positive=-3.0)
rows = st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.4, 0.6, 0.9]), st.booleans()), max_size=40)
of_classes = st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.booleans()), max_size=30)


@pytest.mark.parametrize(("shares", "level"), [([0.8, 0.2], 0.05), ([0.99, 0.01], 0.05), ([0.4, 0.3, 0.2, 0.1], 0.05)])
@pytest.mark.parametrize("many", [12, 300, 30_000])
def test_labels_that_come_at_random_are_told_off_no_more_often_than_the_level_says(
    shares: list[float], level: float, many: int
) -> None:
    """Of 500 windows; the bound is crossed by chance once in 100 000 such tests."""
    random = seeded()
    said = random.multinomial(many, shares, 500)
    known = random.binomial(said, random.uniform(0.05, 0.95, (500, 1)))
    tests = [selection_bias(*each, level=level) for each in zip(said, known, strict=True)]

    assert sum(test is not None and test.beyond_chance for test in tests) <= 500 * level + 4.4 * np.sqrt(500 * level)


def test_the_level_is_used_where_there_are_rows_enough() -> None:
    """An exact test of counts keeps below its level; of many rows by little."""
    random = seeded()
    said = random.multinomial(20_000, [0.7, 0.3], 1000)
    known = random.binomial(said, 0.4)
    tests = [selection_bias(*each, level=0.1) for each in zip(said, known, strict=True)]

    assert sum(test is not None and test.beyond_chance for test in tests) > 100 - 4.4 * np.sqrt(100)


@pytest.mark.parametrize(
    ("predictions", "labelled", "group"), [([900, 100], [180, 90], 1), ([50, 50, 900], [5, 45, 400], 1)]
)
def test_labels_of_one_class_that_come_more_often_are_found(
    predictions: list[int], labelled: list[int], group: int
) -> None:
    found = selection_bias(predictions, labelled)

    assert found is not None
    assert found.beyond_chance
    assert found.group == group


def test_where_all_labels_are_in_or_none_is_there_is_nothing_to_say() -> None:
    for labelled in ([5, 7], [0, 0]):
        found = selection_bias([5, 7], labelled)
        assert found is not None
        assert found.pvalue == 1
    assert selection_bias([5, 0], [2, 0]) is None
    assert selection_bias([], []) is None


def test_the_chance_is_that_of_every_table_as_far_out() -> None:
    """Six predictions of one class and four of the other, three labels: all of the four."""
    tables = [sum(each) for each in product([0, 1], repeat=10) if sum(each) == 3 and sum(each[6:]) == 3]
    found = selection_bias([6, 4], [0, 3])

    assert found is not None
    assert found.pvalue == pytest.approx(2 * len(tables) / 120)


def test_ten_million_predictions_are_no_harder() -> None:
    found = selection_bias([9_000_000, 1_000_000], [4_500_000, 503_000])

    assert found is not None
    assert found.pvalue == pytest.approx(1.26e-8, rel=0.02)  # 5.69 of the normal law's standard deviations


@pytest.mark.parametrize("counts", [([1, 2], [1, 3]), ([1], [1, 1]), ([1.0, 2.0], [1, 1]), ([1, 2], [-1, 0])])
def test_what_are_no_counts_is_refused(counts: tuple[list[float], list[float]]) -> None:
    with pytest.raises(ValueError, match=r"predictions|labels"):
        selection_bias(*counts)


@given(rows)
def test_what_all_labels_say_lies_within_the_bounds(rows: list[tuple[int, float, bool]]) -> None:
    every, known = BinaryCounts.empty(BinaryTask()), BinaryCounts.empty(BinaryTask())
    every.update([label for label, _, _ in rows], [score for _, score, _ in rows])
    known.update([label for label, _, there in rows if there], [score for _, score, there in rows if there])
    waiting = [score for _, score, there in rows if not there]
    negative = sum(score < 0.5 for score in waiting)
    bounds = known.bounds_over_missing(negative, len(waiting) - negative, COSTS)

    for name, limits in bounds.items():
        metric = every.metrics(costs=COSTS)[name]
        if isinstance(metric, Measured) and not isinstance(limits, Unavailable):
            assert limits[0] - 1e-9 <= metric.value <= limits[1] + 1e-9
    assert isinstance(bounds["accuracy"], tuple) == isinstance(bounds["cost_per_1000"], tuple) == bool(rows)


@given(of_classes)
def test_so_it_does_of_classes(rows: list[tuple[int, int, bool]]) -> None:
    task = MulticlassTask(("cat", "dog", "owl"))
    every, known = MulticlassCounts.empty(task), MulticlassCounts.empty(task)
    for counts, taken in ((every, rows), (known, [row for row in rows if row[2]])):
        counts.update(*(np.array([row[at] for row in taken], dtype=np.int64) for at in (0, 1)))
    missing = np.bincount([said for _, said, there in rows if not there], minlength=3).astype(np.int64)

    told = {"every": every.metrics(), **every.by_class()}
    bounds = {"every": known.bounds_over_missing(missing), **known.by_class_over_missing(missing)}
    for of, limits_of in bounds.items():
        for name, limits in limits_of.items():
            metric = told[of][name]
            if isinstance(metric, Measured) and not isinstance(limits, Unavailable):
                assert limits[0] - 1e-9 <= metric.value <= limits[1] + 1e-9


def test_bounds_of_accuracy_of_classes_are_reached() -> None:
    task = MulticlassTask(("cat", "dog", "owl"))
    known = MulticlassCounts.empty(task)
    known.update(np.array([0, 1, 2, 2]), np.array([0, 1, 1, 2]))

    assert known.bounds_over_missing([2, 0, 4])["accuracy"] == (pytest.approx(0.3), pytest.approx(0.9))
    with pytest.raises(ValueError, match="3 counts"):
        known.bounds_over_missing([1, 2])


def test_each_missing_label_may_be_that_which_costs_most() -> None:
    known = BinaryCounts.empty(BinaryTask())
    known.update([1, 0], [0.9, 0.1])

    assert known.bounds_over_missing(1, 1, COSTS)["cost_per_1000"] == (
        pytest.approx(-6000 / 4),
        pytest.approx((-3 + 25 + 1) * 1000 / 4),
    )
