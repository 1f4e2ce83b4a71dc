"""Metrics of classes are those of the definitions, row by row."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from detectors import Measured, MulticlassCounts, MulticlassTask, Unavailable
from detectors.performance.counts import WEIGHT_UNIT
from tests import definitions
from tests.charted import seeded

CLASSES = ("a", "b", "c", "d", "e")


def counted(
    labels: ArrayLike,
    predictions: ArrayLike,
    scores: ArrayLike | None = None,
    weights: ArrayLike | None = None,
    **task: Any,
) -> MulticlassCounts:
    counts = MulticlassCounts.empty(MulticlassTask(CLASSES, weighted=weights is not None, **task))
    counts.update(labels, predictions, scores, weights)
    return counts


def test_every_metric_is_the_definition() -> None:
    random = seeded()
    for n in (1, 2, 10, 80, 80, 80):
        labels = random.integers(0, random.integers(1, 6), n)
        said = np.where(random.random(n) < 0.5, labels, random.integers(0, random.integers(1, 6), n))
        scores = np.round(random.random((n, 5)), 1)
        weights = np.rint(random.uniform(0.01, 100, n) / WEIGHT_UNIT) * WEIGHT_UNIT
        for given in (None, weights):
            every = np.ones(n) if given is None else given
            counts = counted(labels, said, scores, given, top=(1, 2, 3))
            each = definitions.f1_by_class(labels, said, every)
            among = {k: definitions.weight_where(labels == k, every) for k in each}
            order = [np.argsort(row, kind="stable")[::-1] for row in scores]
            values = {name: metric.value for name, metric in counts.metrics().items()}

            assert values == pytest.approx(
                {
                    "accuracy": definitions.accuracy(labels, said, every),
                    "macro_f1": sum(each.values()) / len(each),
                    "weighted_f1": sum(among[k] * each[k] for k in each) / sum(among.values()),
                    **{
                        f"top_{k}_accuracy": definitions.weight_where(
                            [y in row[:k] for y, row in zip(labels, order, strict=True)], every
                        )
                        / sum(every)
                        for k in (1, 2, 3)
                    },
                }
            )
            of_class = {
                k: counts.by_class()[name]["f1"].value
                for k, name in enumerate(CLASSES)
                if isinstance(counts.by_class()[name]["f1"], Measured)
            }
            assert of_class == pytest.approx(each)


def test_values_are_those_of_scikit_learn() -> None:
    """Of these rows as scikit-learn 1.9.1 gave them."""
    at = np.arange(1, 201)
    labels = at * 7 % 5
    scores = np.stack([(at * (k + 1) * 0.6180339887498949) % 1 for k in range(5)], axis=1)
    scores[at - 1, labels] += 0.3
    counts = counted(labels, scores.argmax(axis=1), scores, top=(2, 3))

    assert {name: metric.value for name, metric in counts.metrics().items()} == pytest.approx(
        {
            "accuracy": 0.555,
            "macro_f1": 0.5608194632127866,
            "weighted_f1": 0.5608194632127866,
            "top_2_accuracy": 0.71,
            "top_3_accuracy": 0.875,
        },
        abs=1e-12,
    )
    assert [counts.by_class()[name]["f1"].value for name in CLASSES] == pytest.approx(
        [0.6285714285714286, 0.6052631578947368, 0.611764705882353, 0.5454545454545454, 0.41304347826086957], abs=1e-12
    )


def test_classes_are_found_however_they_are_spelled() -> None:
    task = MulticlassTask(("1", "2", "red"))

    assert task.codes([1, 1.0, "1", "1.0", "red", "green", None, float("nan")]).tolist() == [0, 0, 0, 0, 2, 3, 4, 4]


def test_unknown_classes_are_counted_and_left_out() -> None:
    task = MulticlassTask(("a", "b"))
    counts = MulticlassCounts.empty(task)
    counts.update(task.codes(["a", "x", None, "b", "b"]), task.codes(["a", "a", "a", "y", None]))

    assert counts.left_out == {
        "label_missing": 1,
        "label_unknown": 1,
        "prediction_missing": 1,
        "prediction_unknown": 1,
    }
    assert counts.metrics()["accuracy"].rows == 1


def test_without_scores_there_is_no_top_and_the_reason() -> None:
    counts = counted(np.array([0, 1]), np.array([0, 0]))

    assert counts.metrics()["top_3_accuracy"] == Unavailable("no scores of classes", 0)
    assert "top_5_accuracy" not in counts.metrics()  # of five classes that is always 1


def test_rows_with_a_missing_score_count_but_for_the_top() -> None:
    """Three are looked at: with two nobody knows the third; with three what is not there is lower."""
    scores = [[1, 2, np.nan, np.nan, np.inf], [np.nan, 2, 3, 4, np.nan], [np.nan, 2, 3, 4, np.nan]]
    counts = counted(np.array([0, 1, 4]), np.array([0, 0, 0]), scores)

    assert counts.left_out == {"scores_missing": 1}
    assert counts.metrics()["accuracy"].rows == 3
    assert counts.metrics()["top_3_accuracy"].rows == 2
    assert counts.metrics()["top_3_accuracy"].value == 0.5


def test_a_class_that_never_occurs_has_no_metric_and_does_not_weigh() -> None:
    counts = counted(np.array([0, 0, 1]), np.array([0, 1, 1]))

    assert {name: metric.reason for name, metric in counts.by_class()["e"].items()} == {
        "precision": "no positive prediction",
        "recall": "no positive label",
        "f1": "neither positive labels nor positive predictions",
    }
    assert counts.metrics()["macro_f1"].value == pytest.approx(2 / 3)


def test_what_is_no_code_is_refused_and_counts_nothing() -> None:
    counts = counted(np.array([0]), np.array([0]))
    before = counts.copy()
    for labels in (np.array([7]), np.array([-1]), np.array([0.5]), np.array([[0]])):
        with pytest.raises(ValueError, match="must be one column of codes 0 to 6"):
            counts.update(labels, np.array([0]))
    with pytest.raises(ValueError, match=r"scores must be numbers of shape \(1, 5\)"):
        counts.update(np.array([0]), np.array([0]), [[0.1, 0.9]])

    assert counts == before


@pytest.mark.parametrize("classes", [("a",), ("a", "a"), tuple(map(str, range(257)))])
def test_classes_that_cannot_be_counted_are_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="classes must be 2 to 256 and distinct"):
        MulticlassTask(classes)
