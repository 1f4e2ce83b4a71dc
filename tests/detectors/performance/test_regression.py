"""Metrics of numbers are those of the definitions, row by row."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from detectors import Measured, RegressionCounts, RegressionTask, Unavailable
from detectors.performance.counts import WEIGHT_UNIT
from tests import definitions
from tests.charted import seeded


def counted(
    labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None, **task: Any
) -> RegressionCounts:
    counts = RegressionCounts.empty(RegressionTask(weighted=weights is not None, **task))
    counts.update(labels, predictions, weights)
    return counts


LOSSES = {
    "bias": lambda y, p: p - y,
    "mae": lambda y, p: abs(p - y),
    "smape": lambda y, p: 2 * abs(p - y) / (abs(y) + abs(p)) if y or p else 0.0,
    "quantile_loss": lambda y, p: 0.8 * max(y - p, 0) + 0.2 * max(p - y, 0),
}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("centre", [0.0, 1e9])
def test_every_metric_is_the_definition(centre: float, weighted: bool) -> None:
    random = seeded()
    for n in (2, 10, 100, 100):
        labels = np.round(random.normal(centre, 2, n))
        said = np.where(random.random(n) < 0.1, labels, labels + random.normal(0.5, 1, n))
        weights = np.rint(random.uniform(0.01, 100, n) / WEIGHT_UNIT) * WEIGHT_UNIT if weighted else None
        every = np.ones(n) if weights is None else weights
        metrics = counted(labels, said, weights, quantile=0.8, reference_mean=centre + 0.25).metrics()

        for name, loss in LOSSES.items():
            mean = definitions.weighted_mean(loss, labels, said, every)
            assert metrics[name].value == pytest.approx(mean, rel=1e-12, abs=1e-14)
        square = definitions.weighted_mean(lambda y, p: (p - y) ** 2, labels, said, every)
        assert metrics["rmse"].value == pytest.approx(math.sqrt(square))
        reference = definitions.r2(labels, said, every, centre + 0.25)
        assert metrics["r2_reference"].value == pytest.approx(reference, abs=1e-9)
        if np.ptp(labels):
            assert metrics["r2"].value == pytest.approx(definitions.r2(labels, said, every), rel=1e-7)
        some = labels != 0
        if some.any():
            share = definitions.weighted_mean(lambda y, p: abs((p - y) / y), labels[some], said[some], every[some])
            assert metrics["mape"].value == pytest.approx(share)
            assert metrics["mape"].rows == np.count_nonzero(some)


def test_labels_far_from_zero_do_not_blur_r2() -> None:
    """Sums of squares differ in their last digits alone; they are exact."""
    random = seeded()
    labels = random.normal(1e9, 1, 500)
    said = labels + random.normal(0, 0.5, 500)

    assert counted(labels, said).metrics()["r2"].value == pytest.approx(
        definitions.r2(labels, said, np.ones(500)), abs=1e-6
    )


def test_values_are_those_of_scikit_learn() -> None:
    """Of these rows as scikit-learn 1.9.1 gave them."""
    at = np.arange(1, 201)
    labels = 1000 + at % 17 * 1.5
    said = labels + ((at * 0.6180339887498949) % 1 - 0.4) * 4
    metrics = counted(labels, said, quantile=0.8).metrics()
    known = {
        "mae": 1.0404958414910517,
        "rmse": 1.2226629109046752,
        "mape": 0.001028153710158656,
        "quantile_loss": 0.3973488775082001,
        "r2": 0.9716198185816024,
    }

    assert {name: metrics[name].value for name in known} == pytest.approx(known, rel=1e-12)


def test_labels_of_zero_are_no_percentage_and_are_told() -> None:
    counts = counted([0.0, 0.0, 4.0], [1.0, 0.0, 5.0])

    assert counts.zero_labels == 2
    assert counts.metrics()["mape"] == Measured(0.25, 1)
    assert counts.metrics()["smape"].value == pytest.approx((2 + 0 + 2 / 9) / 3)
    assert counted([0.0], [1.0]).metrics()["mape"] == Unavailable("every label is 0", 0)


def test_without_spread_r2_is_absent_and_says_why() -> None:
    metrics = counted([3.0, 3.0], [3.0, 4.0], reference_mean=3.0).metrics()

    assert metrics["r2"] == Unavailable("all labels are equal", 2)
    assert metrics["r2_reference"] == Unavailable("all labels are the mean of the reference's", 2)
    assert counted([3.0, 4.0], [3.0, 4.0]).metrics()["r2_reference"] == Unavailable("the reference has no labels", 2)


def test_perfect_predictions_have_no_error() -> None:
    metrics = counted([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]).metrics()

    assert (metrics["rmse"].value, metrics["mae"].value, metrics["r2"].value) == (0.0, 0.0, 1.0)
    assert metrics["r2"].interval is None


def test_what_is_no_number_or_beyond_all_is_counted_and_left_out() -> None:
    counts = counted([np.nan, np.inf, 1.0, 1.0, 1.0], [1.0, 1.0, np.nan, -1e71, 2.0])

    assert counts.left_out == {
        "label_missing": 1,
        "label_beyond": 1,
        "prediction_missing": 1,
        "prediction_beyond": 1,
    }


@pytest.mark.parametrize(
    "labels", [[1e70, -1e70, 0.0], [5e-324, 0.0, 1e-300], [1e70, 1e-70, 3.0], [1e-200, 2e-200, 0.0]]
)
def test_the_largest_and_smallest_numbers_break_nothing(labels: list[float]) -> None:
    for said in (labels[::-1], [-1e70, 1e70, 1e70], [5e-324] * 3, labels):
        for mean in (None, 0.0, 1e70):
            for weights in (None, [0.01] * 3, [100.0] * 3):
                assert counted(labels, said, weights, reference_mean=mean).metrics()["mae"].rows == 3


@pytest.mark.parametrize("task", [{"quantile": 0.0}, {"quantile": 1.0}, {"reference_mean": math.nan}])
def test_a_task_that_cannot_be_is_refused(task: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(task))} must be"):
        RegressionTask(**task)


def test_one_row_has_a_root_mean_square_error_and_no_interval() -> None:
    """It was the square of it; so where all errors are of one size."""
    for labels, predictions, rmse in (([1.0], [4.0], 3.0), ([1.0, 2.0], [3.0, 0.0], 2.0), ([1.0], [1.0], 0.0)):
        counts = RegressionCounts.empty(RegressionTask())
        counts.update(labels, predictions)
        found = counts.metrics()["rmse"]
        assert isinstance(found, Measured)
        assert (found.value, found.interval) == (rmse, None)
