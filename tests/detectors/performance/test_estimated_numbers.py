"""Without labels predicted numbers are as far off as their like were in the reference."""

import numpy as np
import pytest

from detectors import Measured, NumberEstimator, Reference, RegressionCounts, RegressionTask, Sketch, Unavailable
from tests.charted import seeded

WINDOWS, LEAST = 300, 0.84  # of 300 intervals that hold with 93 %: 6 sigma below


def drawn(random: np.random.Generator, rows: int, low: float, high: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions: the larger the prediction, the further it is off."""
    said = random.uniform(low, high, rows)
    return said + random.normal(0.1, said), said


def learnt(labels: np.ndarray, said: np.ndarray) -> NumberEstimator:
    return NumberEstimator.fit(Reference.fit({"y": said}, prediction="y"), labels, said)


def test_of_shifted_predictions_the_realised_metric_lies_in_the_interval() -> None:
    random = seeded()
    held: dict[str, list[bool]] = {}
    for _ in range(WINDOWS):
        estimator = learnt(*drawn(random, 2000, 1, 5))
        labels, said = drawn(random, 500, 3, 5)
        realised = RegressionCounts.empty(RegressionTask())
        realised.update(labels, said)
        metrics = realised.metrics()
        for name, metric in estimator.estimate(said).metrics.items():
            low, high = metric.interval
            held.setdefault(name, []).append(low <= metrics[name].value <= high)

    assert set(held) == {"bias", "mae", "rmse"}
    assert {name: sum(each) for name, each in held.items() if sum(each) < LEAST * WINDOWS} == {}


def test_a_sketch_says_what_its_numbers_say() -> None:
    random = seeded()
    labels, said = drawn(random, 2000, 1, 5)
    reference = Reference.fit({"y": said}, prediction="y")
    estimator = NumberEstimator.fit(reference, labels, said)
    live = np.array([2.0, 3.0, 7.0, np.nan])
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"__prediction__": live}))

    assert estimator.estimate(window) == estimator.estimate(live)
    assert (estimator.estimate(live).rows, estimator.estimate(live).outside) == (3, pytest.approx(1 / 3))


def test_numbers_beyond_all_that_has_labels_may_be_off_by_anything() -> None:
    random = seeded()
    estimator = learnt(*drawn(random, 2000, 1, 5))

    assert isinstance(estimator.estimate(random.uniform(1.1, 4.9, 100)).metrics["mae"], Measured)
    beyond = estimator.estimate(np.concatenate([np.full(90, 3.0), np.full(10, 50.0)]))
    assert beyond.open == 0.1
    assert all("what 10 % of the rows come to" in metric.reason for metric in beyond.metrics.values())


def test_groups_have_enough_rows_and_lose_none() -> None:
    random = seeded()
    labels, said = drawn(random, 700, 1, 5)
    estimator = learnt(labels, np.where(random.random(700) < 0.5, said, np.round(said)))

    assert estimator.rows.min() >= 30
    assert estimator.rows.sum() == 700
    assert estimator.rows.size > 5


def test_what_cannot_be_estimated_says_why() -> None:
    labels, said = drawn(seeded(), 100, 1, 5)

    assert set(learnt(labels, said).estimate([np.nan]).metrics.values()) == {Unavailable("no prediction")}
    assert learnt(said, said).estimate(said).metrics["rmse"].value == 0
    with pytest.raises(ValueError, match="needs 30 rows of the reference"):
        learnt(labels[:29], said[:29])
    with pytest.raises(ValueError, match="no prediction that is a number"):
        NumberEstimator.fit(Reference.fit({"y": ["a", "b"]}, prediction="y"), [1, 0], [0.5, 0.5])
