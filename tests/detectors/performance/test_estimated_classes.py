"""Without labels predicted classes are worth what they came to in the reference."""

import numpy as np
import pytest

from detectors import ClassEstimator, MulticlassCounts, MulticlassTask, Reference, Sketch, Unavailable
from tests.charted import seeded

CLASSES = np.array(["a", "b", "c"])
MEANING = np.array([[0.8, 0.15, 0.05], [0.2, 0.7, 0.1], [0.1, 0.3, 0.6]])  # of a prediction (down), by label
WINDOWS, LEAST = 300, 0.84  # of 300 intervals that hold with 93 %: 6 sigma below


def drawn(random: np.random.Generator, rows: int, *shares: float) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions: whatever is predicted how often, a prediction means the same."""
    said = random.choice(3, size=rows, p=shares)
    labels = (random.random(rows)[:, None] > MEANING[said].cumsum(axis=1)[:, :-1]).sum(axis=1)
    return CLASSES[labels], CLASSES[said]


def learnt(labels: np.ndarray, said: np.ndarray) -> ClassEstimator:
    return ClassEstimator.fit(Reference.fit({"y": said}, prediction="y"), labels, said)


def test_of_shifted_predictions_the_realised_metric_lies_in_the_interval() -> None:
    random = seeded()
    task = MulticlassTask(("a", "b", "c"))
    held: dict[str, list[bool]] = {}
    for _ in range(WINDOWS):
        estimator = learnt(*drawn(random, 1000, 0.5, 0.3, 0.2))
        labels, said = drawn(random, 500, 0.2, 0.3, 0.5)
        realised = MulticlassCounts.empty(task)
        realised.update(task.codes(labels), task.codes(said))
        for name, metric in estimator.estimate(said).metrics.items():
            low, high = metric.interval
            held.setdefault(name, []).append(low <= realised.metrics()[name].value <= high)

    assert set(held) == {"accuracy", "macro_f1", "weighted_f1"}
    assert {name: sum(each) for name, each in held.items() if sum(each) < LEAST * WINDOWS} == {}


def test_a_sketch_says_what_its_classes_say() -> None:
    random = seeded()
    labels, said = drawn(random, 1000, 0.5, 0.3, 0.2)
    reference = Reference.fit({"y": said}, prediction="y")
    estimator = ClassEstimator.fit(reference, labels, said)
    live = np.array(["a", "b", "b", "zebra", None], dtype=object)
    window = Sketch.empty(reference.layout)
    window.update(*reference.encode({"__prediction__": live}))

    assert estimator.estimate(window) == estimator.estimate(live)
    assert (estimator.estimate(live).rows, estimator.estimate(live).outside) == (3, 0.25)


def test_a_class_without_labels_may_come_to_anything() -> None:
    """A few of them widen the interval; of many nothing is told."""
    random = seeded()
    labels, said = drawn(random, 2000, 0.5, 0.3, 0.2)
    known = said != "c"
    estimator = ClassEstimator.fit(Reference.fit({"y": said}, prediction="y"), labels[known], said[known])
    some = np.repeat(["a", "b", "c"], [60, 38, 2])

    few, none = (estimator.estimate(window).metrics["accuracy"] for window in (some, some[:98]))
    assert np.ptp(few.interval) == pytest.approx(np.ptp(none.interval) + 0.04, abs=0.01)
    many = estimator.estimate(np.repeat(["a", "c"], 50))
    assert (many.outside, many.open) == (0.5, 0.5)
    assert {metric.reason for metric in many.metrics.values()} == {
        "what 50 % of the rows come to is not known: the reference has no labelled rows like these"
    }


def test_what_cannot_be_estimated_says_why() -> None:
    labels, said = drawn(seeded(), 200, 0.5, 0.3, 0.2)

    assert set(learnt(labels, said).estimate(["zebra"]).metrics.values()) == {Unavailable("no predicted class")}
    with pytest.raises(ValueError, match="needs rows of the reference with a label"):
        learnt(np.full(200, "zebra"), said)
    with pytest.raises(ValueError, match="no prediction that is a class"):
        ClassEstimator.fit(Reference.fit({"y": [1.0, 2.5]}, prediction="y"), [1, 0], [0.5, 0.5])
