"""Metrics of scores and labels are those of the definitions, row by row."""

import math
from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from detectors import BinaryCounts, BinaryTask, CostMatrix, Measured, Unavailable
from detectors.performance.binary import truths
from detectors.performance.counts import WEIGHT_UNIT
from tests import definitions
from tests.charted import seeded

BY_PREDICTION = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "mcc")
BY_SCORE = ("log_loss", "brier", "calibration_error")
AREAS = ("auroc", "average_precision")
SCIKIT_LEARN = {
    "accuracy": 0.75,
    "balanced_accuracy": 0.7510751075107511,
    "precision": 0.7024793388429752,
    "recall": 0.8585858585858586,
    "f1": 0.7727272727272727,
    "specificity": 0.6435643564356436,
    "mcc": 0.5135771659138961,
    "log_loss": 0.48530318507252024,
    "brier": 0.16221294185828058,
}
SCIKIT_LEARN_AREAS = {"auroc": 0.8422842284228422, "average_precision": 0.8442199343671267}
LAWS = ("even", "near the ends", "one decimal", "hard", "all the same", "in the middle")


def counted(labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None, **task: Any) -> BinaryCounts:
    counts = BinaryCounts.empty(BinaryTask(weighted=weights is not None, **task))
    counts.update(labels, scores, weights)
    return counts


def drawn(random: np.random.Generator, law: str, n: int) -> np.ndarray:
    match law:
        case "even":
            return random.random(n)
        case "near the ends":
            return random.beta(0.05, 0.1, n)
        case "one decimal":
            return np.round(random.random(n), 1)
        case "hard":
            return random.integers(0, 2, n).astype(float)
        case "all the same":
            return np.full(n, random.random())
        case _:
            return random.beta(50, 50, n)


def cases(law: str) -> Iterator[tuple[Any, Any, Any, float]]:
    """Labels, scores and weights, or None; thresholds of all kinds."""
    random = seeded()
    for n in (1, 2, 5, 40, 40, 40):
        scores = drawn(random, law, n)
        labels = (random.random(n) < random.choice([scores, np.full(n, 0.3)])).astype(int)
        weights = np.rint(random.uniform(0.01, 100, n) / WEIGHT_UNIT) * WEIGHT_UNIT
        threshold = float(random.choice([0.5, 0.3, 1.0, 1e-3, scores[0] or 0.5]))
        for given in (None, weights):
            yield labels, scores, given, threshold


@pytest.mark.parametrize("law", LAWS)
def test_what_counts_and_sums_decide_is_the_definition(law: str) -> None:
    for labels, scores, weights, threshold in cases(law):
        metrics = counted(labels, scores, weights, threshold=threshold).metrics()
        said, every = (scores >= threshold).astype(int), np.ones(len(labels)) if weights is None else weights
        for name in (*BY_PREDICTION, *BY_SCORE):
            if isinstance(metrics[name], Measured):
                values = scores if name in BY_SCORE else said
                assert metrics[name].value == pytest.approx(
                    getattr(definitions, name)(labels, values, every), rel=1e-11, abs=1e-12
                )
        assert all(isinstance(metrics[name], Measured) for name in (*BY_SCORE, "accuracy"))


@pytest.mark.parametrize("law", LAWS)
def test_areas_lie_between_their_bounds_and_these_in_the_interval(law: str) -> None:
    for labels, scores, weights, _ in cases(law):
        metrics = counted(labels, scores, weights, bins=16).metrics()
        every = np.ones(len(labels)) if weights is None else weights
        for name in AREAS:
            metric = metrics[name]
            if isinstance(metric, Measured):
                low, high = metric.bounds
                assert low <= getattr(definitions, name)(labels, scores, every) <= high
                assert low <= metric.value <= high
                assert metric.interval is None or metric.interval[0] <= low <= high <= metric.interval[1]


@pytest.mark.parametrize("name", AREAS)
def test_bounds_are_reached_by_some_order_inside_a_bin(name: str) -> None:
    """A bin holds two positives and three negatives: the best order and the worst."""
    random = seeded()
    inside = 0.4 + 1e-4 * np.sort(random.random(5))
    around = np.array([0.1, 0.2, 0.8, 0.9])
    labels = np.array([0, 1, 1, 0])
    best = np.concatenate([inside[[0, 0, 0]], inside[[4, 4]], around])
    worst = np.concatenate([inside[2:], inside[:2], around])
    truth = np.concatenate([[0, 0, 0, 1, 1], labels])
    low, high = counted(truth, best, bins=4).metrics()[name].bounds
    reached = [getattr(definitions, name)(truth, scores, np.ones(9)) for scores in (worst, best)]

    assert counted(truth, worst, bins=4).metrics()[name].bounds == (low, high)
    assert high == pytest.approx(reached[1], abs=1e-11)
    assert low == pytest.approx(reached[0], abs=1e-11)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_scores_of_few_decimals_leave_no_doubt(decimals: int) -> None:
    random = seeded()
    scores = np.round(random.random(200), decimals)
    labels = random.integers(0, 2, 200)
    for written in (scores, scores.astype(np.float32)):
        metrics = counted(labels, written, decimals=decimals).metrics()
        for name in AREAS:
            low, high = metrics[name].bounds
            assert high - low < 1e-11
            assert metrics[name].value == pytest.approx(getattr(definitions, name)(labels, scores, np.ones(200)))


def test_bounds_are_narrow_for_scores_of_every_kind() -> None:
    """At the default bins, also where most scores are near 0."""
    random = seeded()
    for law in (random.beta(0.1, 2, 20_000), random.random(20_000), random.beta(30, 1, 20_000)):
        labels = (random.random(law.size) < law).astype(int)
        low, high = counted(labels, law).metrics()["auroc"].bounds
        assert high - low < 0.03


def test_values_are_those_of_scikit_learn() -> None:
    """Of these rows as scikit-learn 1.9.1 gave them."""
    at = np.arange(1, 201)
    scores = (at * 0.6180339887498949) % 1
    labels = ((at * 0.7548776662466927) % 1 < scores).astype(int)
    metrics = counted(labels, scores, threshold=0.4).metrics()

    assert {name: metrics[name].value for name in SCIKIT_LEARN} == pytest.approx(SCIKIT_LEARN, abs=1e-12)
    for name, value in SCIKIT_LEARN_AREAS.items():
        assert metrics[name].bounds[0] <= value <= metrics[name].bounds[1]


def test_a_score_of_the_threshold_is_positive() -> None:
    for threshold in (0.5, 0.1, 1.0, 1 / 3, 5e-324):
        below = np.nextafter(threshold, 0.0)
        cells = counted([1, 1, 0, 0], [threshold, below, threshold, below], threshold=threshold).confusion().rows

        assert cells.tolist() == [[1, 1], [1, 1]]


def test_other_thresholds_are_those_that_bins_are_cut_at() -> None:
    random = seeded()
    scores = random.random(500)
    labels = random.integers(0, 2, 500)
    counts = counted(labels, scores, bins=16)

    for edge in counts.task.edges[:-1].tolist():
        threshold = float(np.nextafter(edge, 1.0))
        assert counts.confusion(threshold).rows[1, 1] == np.count_nonzero(labels[scores >= threshold])
    for inside in (0.123, 0.0, 1.5):
        with pytest.raises(ValueError, match=r"inside a bin of scores; the operating one is 0\.5"):
            counts.confusion(inside)


def test_one_class_alone_says_what_cannot_be_said() -> None:
    positive, negative = counted([1] * 9, np.linspace(0.1, 0.9, 9)).metrics(), counted([0, 0], [0.1, 0.2]).metrics()

    assert {name for name, metric in positive.items() if isinstance(metric, Unavailable)} == {
        "balanced_accuracy",
        "specificity",
        "mcc",
        "auroc",
    }
    assert positive["auroc"] == Unavailable("no negative label", 9)
    assert negative["average_precision"].reason == negative["recall"].reason == "no positive label"
    assert negative["precision"].reason == "no positive prediction"
    assert negative["mcc"].reason == "all labels are of one class"
    assert counted([1, 0], [0.1, 0.2]).metrics()["mcc"].reason == "all predictions are of one class"


def test_all_scores_equal_are_a_coin() -> None:
    metric = counted([1, 0] * 50, [0.5] * 100).metrics()["auroc"]

    assert metric.value == pytest.approx(0.5)
    assert metric.interval[0] < 0.4
    assert metric.interval[1] > 0.6


def test_a_model_without_a_fault_is_not_certain_to_have_none() -> None:
    metrics = counted([1] * 20 + [0] * 20, [0.9] * 20 + [0.1] * 20).metrics()

    for name in (*BY_PREDICTION, *AREAS):
        low, high = metrics[name].interval
        assert metrics[name].value == pytest.approx(1)
        assert 0.5 < low < 0.96
        assert high == pytest.approx(1)


def test_the_least_likely_score_costs_a_finite_loss() -> None:
    metric = counted([1, 0], [0.0, 1.0]).metrics()["log_loss"]

    assert metric.value == pytest.approx(-math.log(np.finfo(float).eps))
    assert metric.interval is None  # both are equal: two rows know nothing of the spread


def test_money_is_told_by_a_thousand_predictions() -> None:
    costs = CostMatrix(true_negative=-1.0, false_positive=5.0, false_negative=100.0, true_positive=-20.0)
    metric = counted([1, 1, 0, 0, 0], [0.9, 0.1, 0.9, 0.1, 0.1]).metrics(costs=costs)["cost_per_1000"]

    assert metric.value == pytest.approx(1000 * (-20 + 100 + 5 - 1 - 1) / 5)
    assert metric.interval[0] < metric.value < metric.interval[1]
    with pytest.raises(ValueError, match="finite"):
        CostMatrix(false_positive=math.nan)


def test_the_reliability_table_says_what_came_of_each_score() -> None:
    table = counted([0, 1, 1, 1], [0.0, 0.1, 0.95, 1.0]).reliability()

    assert [(row.above, row.upto, row.rows, row.predicted, row.observed) for row in table] == [
        (0.0, 0.1, 2, 0.05, 0.5),
        (0.9, 1.0, 2, 0.975, 1.0),
    ]
    assert all(row.interval[0] <= row.observed <= row.interval[1] for row in table)


def test_scores_outside_are_counted_and_left_out() -> None:
    counts = counted([1, 0, np.nan, 0.5, 1, 1], [1.2, np.nan, 0.5, 0.5, -1e-9, 0.5])

    assert counts.left_out == {"label_missing": 1, "label_unknown": 1, "score_missing": 1, "score_outside": 2}
    assert counts.metrics()["accuracy"].rows == 1


@pytest.mark.parametrize(
    "task", [{"threshold": 0}, {"threshold": math.nan}, {"bins": 1}, {"decimals": 5}, {"reliability_bins": 0}]
)
def test_a_task_that_cannot_be_is_refused(task: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=rf"^{next(iter(task))} must be"):
        BinaryTask(**task)


def test_bounds_over_missing_labels_hold_for_every_one_of_them_and_are_reached() -> None:
    random = seeded()
    for _ in range(20):
        labels, scores = random.integers(0, 2, 12), random.random(12)
        waiting = np.repeat([0.1, 0.9], random.integers(0, 4, 2))
        negative, positive = np.count_nonzero(waiting < 0.5), np.count_nonzero(waiting > 0.5)
        bounds = counted(labels, scores).bounds_over_missing(negative, positive)
        found: dict[str, list[float | None]] = {name: [] for name in BY_PREDICTION}
        for come in product([0, 1], repeat=waiting.size):
            metrics = counted([*labels, *come], [*scores, *waiting]).metrics()
            for name in BY_PREDICTION:
                found[name].append(getattr(metrics[name], "value", None))
        for name, values in found.items():
            if None not in values:
                assert bounds[name] == pytest.approx((min(values), max(values)))
    assert counted([1], [0.9]).bounds_over_missing(0, 1)["mcc"] == Unavailable("all predictions are of one class", 2)


@pytest.mark.parametrize("positive", ["charged off", "Charged Off", "Charged off", "CHARGED OFF"])
@pytest.mark.parametrize("negative", [None, "fully paid", "Fully Paid"])
def test_which_spelling_of_a_label_is_configured_decides_nothing(positive: str, negative: str | None) -> None:
    labels = ["Charged Off", "Charged off", "charged off", "CHARGED OFF", "Fully Paid", "fully paid"]

    assert truths(labels, positive, negative).tolist() == [1, 1, 1, 1, 0, 0]


def test_short_words_are_labels_in_any_letters_and_truth_is_a_number_still() -> None:
    assert truths(["yEs", "yes", "YeS", "no"], "Yes", "nO").tolist() == [1, 1, 1, 0]
    assert truths([True, "TRUE", 1, "1", "false", 0], "true", "false").tolist() == [1, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(("positive", "negative"), [("A", "a"), ("YES", "yes"), ("Straße", "STRASSE")])
def test_two_labels_that_differ_in_their_letters_alone_are_as_they_are_written(positive: str, negative: str) -> None:
    assert truths([positive, negative, "Yes"], positive, negative).tolist() == [1, 0, 2]
