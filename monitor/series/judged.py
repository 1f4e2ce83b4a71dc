"""What the counts of a window come to: metrics with what missing labels leave open, tables, and whether labels come at random."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import detectors
from detectors.features import Ints
from monitor.facts import ClassTold, CoverageTest, MetricTold, ReliabilityTold
from monitor.series.truth import BINARY, MULTICLASS, Truth, told

OF_POSITIVES = (
    "precision",
    "recall",
    "f1",
    "balanced_accuracy",
    "mcc",
    "auroc",
    "average_precision",
)  # say nothing without
MOST_CLASSES = 50  # of a table by class, those with the most labels


def metrics_told(truth: Truth, counts: Any, missing: Ints, *, never_positive: bool = False) -> tuple[MetricTold, ...]:
    """The metrics asked for, with so many labels missing by predicted class (the last: of none).

    `never_positive`: no label was ever the positive one. Then those that would be 0 for it are absent: most likely labels are spelled otherwise.
    """
    found = measured(truth, counts)
    if never_positive:
        because = f"no label so far is the positive one, {truth.positive!r}"
        found = {**found, **{name: detectors.Unavailable(because, found[name].rows) for name in OF_POSITIVES}}
    bounds = _over_missing(truth, counts, missing)
    return tuple(told(name, found[name], bounds.get(name)) for name in truth.names)


def has_positive(counts: Any) -> bool:
    """Whether counts of two classes hold a positive label."""
    return bool(counts.histogram[1].any())


def measured(truth: Truth, counts: Any, names: Collection[str] | None = None) -> Mapping[str, Any]:
    """The metrics of counts: every one, or those of `names`."""
    costs = costs_of(truth)
    money = {} if costs is None else {"costs": costs}
    found: Mapping[str, Any] = counts.metrics(names=names, **money)
    return found


def costs_of(truth: Truth) -> Any:
    """The library's cost matrix; None where nothing is said of money."""
    return None if truth.costs is None else detectors.CostMatrix(*truth.costs)


def _over_missing(truth: Truth, counts: Any, missing: Ints) -> Mapping[str, Any]:
    """Of rows with weights nothing is known: those of the missing labels come with them. Numbers may be anything."""
    if truth.weighted:
        return {}
    if truth.task == BINARY:
        negative, positive = missing[:2].tolist()
        return _known(counts.bounds_over_missing(negative, positive, costs_of(truth)))
    return _known(counts.bounds_over_missing(missing[:-1])) if truth.task == MULTICLASS else {}


def _known(bounds: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {name: limits for name, limits in bounds.items() if isinstance(limits, tuple)}


def coverage_test(names: Sequence[str], predictions: Ints, labelled: Ints) -> CoverageTest | None:
    """Whether labels come as often for one predicted class as for another; None where there is nothing to compare."""
    found = detectors.selection_bias(predictions[: len(names)], labelled[: len(names)])
    return None if found is None else CoverageTest(found.pvalue, found.level, names[found.group])


def by_class(truth: Truth, counts: Any, missing: Ints) -> tuple[ClassTold, ...]:
    """Precision, recall and F1 of each class against the rest, of those with the most labels."""
    if truth.task != MULTICLASS:
        return ()
    labels = counts.confusion().rows.sum(axis=1)
    most = sorted((-labels).argsort(kind="stable")[:MOST_CLASSES].tolist())
    names = [truth.classes[at] for at in most]
    bounds = {} if truth.weighted else counts.by_class_over_missing(missing[:-1], names)
    every = counts.by_class(classes=names)
    return tuple(
        ClassTold(name, rows, tuple(_of_class(every[name], _known(bounds.get(name, {})))))
        for name, rows in zip(names, labels[most].tolist(), strict=True)
    )


def _of_class(metrics: Mapping[str, Any], bounds: Mapping[str, Any]) -> Iterator[MetricTold]:
    for name, metric in metrics.items():
        yield told(name, metric, bounds.get(name))


def reliability(truth: Truth, counts: Any) -> tuple[ReliabilityTold, ...]:
    """The reliability diagram of scores: the bins that hold rows."""
    if truth.task != BINARY:
        return ()
    return tuple(
        ReliabilityTold(each.above, each.upto, each.rows, each.predicted, each.observed, *each.interval)
        for each in counts.reliability()
    )
