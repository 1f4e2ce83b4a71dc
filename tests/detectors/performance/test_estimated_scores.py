"""Without labels a window is worth what the reference's labels say of its scores."""

from pathlib import Path

import numpy as np
import pytest

from detectors import (
    BinaryCounts,
    BinaryTask,
    CostMatrix,
    LabelColumn,
    Measured,
    Reference,
    ScoreEstimator,
    Sketch,
    Unavailable,
)
from detectors.performance.estimated_scores import ratios
from tests.charted import seeded

CAR_LOAN = Path(__file__).parents[3] / "examples" / "car_loan"
NANNYML = {  # 0.13.1, of the ten chunks of 5000 rows
    "auroc": [0.9707, 0.9710, 0.9714, 0.9711, 0.9711, 0.9611, 0.9618, 0.9611, 0.9625, 0.9613],
}
WINDOWS, LEAST = 300, 0.8  # of 300 intervals that hold with 91 %: 6 sigma below


def drawn(random: np.random.Generator, rows: int, *law: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores that are not calibrated, but mean the same wherever they fall."""
    scores = random.beta(*law, rows)
    return (random.random(rows) < scores**1.5).astype(int), scores


def learnt(labels: np.ndarray, scores: np.ndarray, **settings: float) -> ScoreEstimator:
    return ScoreEstimator.fit(Reference.fit({"s": scores}, prediction="s"), labels, scores, **settings)


def realised(labels: np.ndarray, scores: np.ndarray, threshold: float = 0.5) -> dict:
    counts = BinaryCounts.empty(BinaryTask(threshold=threshold))
    counts.update(labels, scores)
    return counts.metrics(costs=CostMatrix(false_positive=1.0, false_negative=5.0))


def test_of_shifted_scores_the_realised_metric_lies_in_the_interval() -> None:
    """Covariate shift alone: the assumption holds."""
    random = seeded()
    held: dict[str, list[bool]] = {}
    for _ in range(WINDOWS):
        estimator = learnt(*drawn(random, 2000, 1, 1))
        labels, scores = drawn(random, 500, 2, 1.2)
        estimated = estimator.estimate(scores, costs=CostMatrix(false_positive=1.0, false_negative=5.0)).metrics
        metrics = realised(labels, scores)
        for name, metric in estimated.items():
            low, high = metric.interval
            held.setdefault(name, []).append(low <= metrics[name].value <= high)

    shares = {name: sum(each) / WINDOWS for name, each in held.items()}
    assert len(shares) == 10
    assert {name: share for name, share in shares.items() if share < LEAST} == {}


def test_the_reference_itself_is_worth_what_it_was() -> None:
    random = seeded()
    labels, scores = drawn(random, 20_000, 0.5, 1.5)
    estimated = learnt(labels, scores, threshold=0.3).estimate(scores).metrics
    metrics = realised(labels, scores, 0.3)

    for name, metric in estimated.items():
        assert metric.value == pytest.approx(metrics[name].value, abs=3 * metrics[name].standard_error)


def test_a_threshold_inside_a_cell_cuts_it() -> None:
    """Cells are quantiles of the reference; the threshold is none."""
    random = seeded()
    labels, scores = drawn(random, 50_000, 1, 1)
    threshold = 0.5 + 1e-3
    cells = learnt(labels, scores, threshold=threshold).labelled.sum(axis=0)

    assert np.count_nonzero(cells.min(axis=1)) == 1
    assert cells[:, 1].sum() == np.count_nonzero(scores >= threshold)


@pytest.mark.parametrize("name", NANNYML)
def test_car_loan_is_worth_what_nannyml_says(name: str) -> None:
    import pandas as pd

    reference, live = (pd.read_parquet(CAR_LOAN / f"{part}.parquet") for part in ("reference", "analysis"))
    fitted = Reference.fit(reference[["y_pred_proba"]], prediction="y_pred_proba")
    estimator = ScoreEstimator.fit(fitted, reference["repaid"], reference["y_pred_proba"])
    chunks = [live["y_pred_proba"][first : first + 5000] for first in range(0, 50_000, 5000)]

    found = [estimator.estimate(chunk).metrics[name] for chunk in chunks]

    assert [metric.value for metric in found] == pytest.approx(NANNYML[name], abs=2e-4)
    assert all(metric.standard_error > 1e-3 for metric in found)


def test_a_sketch_says_what_its_scores_say() -> None:
    random = seeded()
    labels, scores = drawn(random, 3000, 1, 1)
    reference = Reference.fit({"s": scores, "age": random.normal(size=3000)}, prediction="s")
    estimator = ScoreEstimator.fit(reference, labels, scores)
    live = np.concatenate([random.random(200), [np.nan, np.inf]])
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"__prediction__": live, "age": random.normal(size=202)}))

    assert estimator.estimate(window) == estimator.estimate(live)
    assert estimator.estimate(window).rows == 200


def test_scores_that_the_reference_did_not_have_are_told() -> None:
    random = seeded()
    labels, scores = drawn(random, 2000, 2, 2)
    estimator = learnt(labels, scores.clip(0.2, 0.8))

    estimated = estimator.estimate(np.array([0.1, 0.1, 0.5, 0.9]))
    assert estimated.outside == 0.75
    assert estimator.estimate(np.array([0.3, 0.5])).outside == 0
    assert estimator.estimate(np.array([0.1, *np.full(99, 0.5)])).outside == 0.01


def test_scores_of_which_the_reference_says_nothing_have_no_estimate() -> None:
    """All are predicted positive, the reference had none of those: nothing is told, and not that none is found."""
    random = seeded()
    labels, scores = drawn(random, 4000, 2, 2)
    known = scores < 0.45
    reference = Reference.fit(
        {"s": scores[known], "y": labels[known]}, prediction="s", label=LabelColumn("y", positive="1")
    )
    for estimator in (reference.performance.estimator(), reference.performance.expectation()):
        told = estimator.estimate(random.uniform(0.55, 0.95, 1000))
        assert told.outside == 1
        assert told.open > 0.05
        assert all(isinstance(metric, Unavailable) and metric.rows == 1000 for metric in told.metrics.values())
        assert "the reference has no labelled rows like these" in told.metrics["auroc"].reason


def test_few_scores_beyond_the_reference_leave_open_so_much_more() -> None:
    """A tenth lies beyond its scores, on either side of the threshold: the interval holds whatever those are."""
    random = seeded()
    labels, scores = drawn(random, 4000, 2, 2)
    known = scores < 0.45
    estimator = learnt(labels[known], scores[known])
    live = np.concatenate([random.uniform(0.1, 0.44, 950), random.uniform(0.46, 0.49, 50)])

    told = estimator.estimate(live)
    assert 0 < told.open <= 0.05
    low, high = told.metrics["recall"].interval
    assert low == 0  # nothing is predicted positive
    assert high > 0.2
    inside = estimator.estimate(live[:950]).metrics["accuracy"]
    assert np.ptp(told.metrics["accuracy"].interval) > np.ptp(inside.interval) + 2 * told.open


def test_scores_come_to_be_where_the_reference_has_a_gap_about_the_threshold() -> None:
    """A model that was sure is no longer: on which side its scores are, a cell of the reference cannot say."""
    random = seeded()
    scores = np.concatenate([random.uniform(0, 0.3, 2000), random.uniform(0.7, 1, 2000)])
    labels = (random.random(4000) < scores).astype(int)
    estimator = learnt(labels, scores)

    unsure = estimator.estimate(random.uniform(0.4, 0.48, 1000)).metrics
    assert "either side of the threshold" in unsure["recall"].reason
    assert isinstance(estimator.estimate(scores[::4]).metrics["recall"], Measured)
    assert isinstance(estimator.estimate(random.choice(scores, 40)).metrics["recall"], Measured)


def test_few_labels_on_many_cells_leave_little_open() -> None:
    """Between labelled rows a chance lies between theirs."""
    random = seeded()
    labels, scores = drawn(random, 8000, 1, 1)
    reference = Reference.fit({"s": scores}, prediction="s")
    told = ScoreEstimator.fit(reference, labels[::20], scores[::20]).estimate(scores)

    assert told.outside > 0.1
    assert told.open < 0.05
    assert isinstance(told.metrics["f1"], Measured)


def test_what_cannot_be_estimated_says_why() -> None:
    labels, scores = drawn(seeded(), 2000, 1, 1)
    estimator = learnt(labels, scores)

    assert set(estimator.estimate([]).metrics.values()) == {Unavailable("no score")}
    low = estimator.estimate(np.full(10, 0.1)).metrics
    assert low["precision"] == Unavailable("no positive prediction", 10)
    assert low["mcc"].reason == "no positive prediction"
    assert estimator.estimate(np.full(10, 0.9)).metrics["mcc"].reason == "all predictions are of one class"
    assert low["accuracy"].rows == 10


def test_few_labelled_rows_are_less_certain() -> None:
    random = seeded()
    window = random.random(1000)
    few, many = (learnt(*drawn(random, rows, 1, 1)).estimate(window).metrics for rows in (200, 20_000))

    for name in ("accuracy", "f1", "mcc"):  # twice as large, as a rule
        assert few[name].standard_error > many[name].standard_error


def test_no_chance_is_certain_for_want_of_rows() -> None:
    """Twenty rows, told apart without a fault: a window is not."""
    labels, scores = np.repeat([0, 1], 10), np.linspace(0.1, 0.9, 20)
    accuracy = learnt(labels, scores).estimate(np.linspace(0.1, 0.9, 500)).metrics["accuracy"]

    assert 0.9 < accuracy.value < 0.999
    assert accuracy.interval[0] < 0.97


def test_a_reference_that_teaches_nothing_is_refused() -> None:
    scores = np.linspace(0, 1, 50)
    with pytest.raises(ValueError, match="needs rows of the reference with positive labels"):
        learnt(np.ones(50), scores)
    with pytest.raises(ValueError, match="no prediction that is a number"):
        ScoreEstimator.fit(Reference.fit({"age": scores}), np.ones(50), scores)
    with pytest.raises(ValueError, match="no prediction that is a number"):
        ScoreEstimator.fit(Reference.fit({"s": ["a", "b"]}, prediction="s"), [1, 0], [0.5, 0.5])


def test_counts_of_labelled_scores_are_estimated_as_the_scores_are() -> None:
    """By their scores alone: what labels they have makes no difference."""
    random = seeded()
    labels, scores = drawn(random, 5000, 1, 1)
    learning, window = BinaryCounts.empty(BinaryTask()), BinaryCounts.empty(BinaryTask())
    learning.update(labels, scores)
    estimator = ScoreEstimator.of_counts(learning)
    later = drawn(random, 2000, 2, 1.2)[1]
    window.update(np.zeros(2000), later)

    told, by_scores = estimator.estimate(window), learnt(labels, scores).estimate(later)
    assert told.rows == by_scores.rows == 2000
    assert told.metrics == estimator.estimate(later).metrics
    for name, metric in told.metrics.items():
        assert metric.value == pytest.approx(by_scores.metrics[name].value, abs=0.02)


@pytest.mark.parametrize("confusion", [(50.0, 7.0, 11.0, 32.0), (90.0, 0.5, 3.0, 6.5), (5.0, 60.0, 0.25, 30.0)])
def test_slopes_are_what_a_row_that_turns_positive_brings(confusion: tuple[float, ...]) -> None:
    tn, fp, fn, tp = confusion
    step = 1e-6
    below = ratios(tn - step, fp, fn + step, tp)
    above = ratios(tn, fp - step, fn, tp + step)

    for name, (value, *slopes) in ratios(tn, fp, fn, tp).items():
        measured = [(turned[name][0] - value) / step for turned in (below, above)]
        assert slopes == pytest.approx(measured, rel=1e-4, abs=1e-7), name


def test_several_windows_at_once_are_each_estimated_as_by_itself() -> None:
    random = seeded()
    estimator = learnt(*drawn(random, 2000, 1, 1))
    windows = [drawn(random, rows, 2, 1.2)[1] for rows in (500, 0, 40)]
    costs = CostMatrix(false_positive=1.0, false_negative=5.0)

    together = estimator.estimate_each(windows, costs=costs)
    assert together[1].rows == 0
    for told, window in zip(together, windows, strict=True):
        alone = estimator.estimate(window, costs=costs)
        assert (told.rows, told.outside) == (alone.rows, alone.outside)
        for name, metric in told.metrics.items():
            if isinstance(metric, Measured):
                assert metric.value == pytest.approx(alone.metrics[name].value, rel=1e-12)
                assert metric.interval == pytest.approx(alone.metrics[name].interval, rel=1e-9)
            else:
                assert metric == alone.metrics[name]
    assert estimator.estimate_each([]) == []
