"""What is told of a window is what is measured of it."""

import cProfile
import pstats

import numpy as np
import pytest

from monitor.series import judged
from monitor.series.truth import MULTICLASS, Truth

TOLD = 50


def told(classes: int) -> tuple[tuple[judged.ClassTold, ...], int]:
    """The table by class of a window of so many classes, and how many shares of rows were computed for it."""
    truth = Truth(MULTICLASS, classes=tuple(map(str, range(classes))))
    counts, labels = truth.empty(), np.repeat(np.arange(classes), np.arange(classes) + 1)
    counts.update(labels, np.roll(labels, 1))
    profile = cProfile.Profile()
    found = profile.runcall(judged.by_class, truth, counts, np.ones(classes + 1, dtype=np.int64))
    shares = [calls for (_, _, name), (calls, *_) in pstats.Stats(profile).stats.items() if name == "share"]  # type: ignore[attr-defined]  # it has them
    return found, sum(shares)


def test_the_classes_with_the_most_labels_alone_are_measured() -> None:
    """Of 240 classes as much work as of 60: each metric that is told, and its two bounds."""
    (few, of_few), (many, of_many) = told(60), told(240)

    assert [each.name for each in few] == [str(k) for k in range(10, 60)]
    assert [each.name for each in many] == [str(k) for k in range(190, 240)]
    assert of_few == of_many == TOLD * 3 * 3


def test_what_is_told_of_a_class_is_what_it_is_worth_among_all() -> None:
    truth = Truth(MULTICLASS, classes=tuple(map(str, range(60))))
    counts, labels = truth.empty(), np.repeat(np.arange(60), np.arange(60) + 1)
    counts.update(labels, np.roll(labels, 1))
    missing = np.arange(61)
    metrics, bounds = counts.by_class(), counts.by_class_over_missing(missing[:-1])

    for each in judged.by_class(truth, counts, missing):
        assert [metric.name for metric in each.metrics] == ["precision", "recall", "f1"]
        for metric in each.metrics:
            assert metric.value == metrics[each.name][metric.name].value
            assert metric.over_missing == bounds[each.name][metric.name]
    with pytest.raises(ValueError, match="'61' is no class of the task"):
        counts.by_class(classes=["0", "61"])
