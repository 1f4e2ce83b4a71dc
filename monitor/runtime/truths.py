"""What labels say of a model beside its metrics, as JSON: whether they come at random, tables by class and of reliability."""

from typing import Any

from monitor.explain.performance import bias_words
from monitor.facts import ClassTold, PerformanceJudged, ReliabilityTold
from monitor.runtime.estimated import metric_item

REALISED = "realised"


def bias_item(judged: PerformanceJudged) -> dict[str, Any] | None:
    """Whether coverage differs between predicted classes beyond chance; null where there is nothing to compare."""
    test = judged.coverage_test
    if test is None:
        return None
    return {
        "beyond_chance": test.beyond_chance,
        "pvalue": test.pvalue,
        "level": test.level,
        "class": test.name,
        "words": bias_words(judged) or None,
    }


def tables(judged: PerformanceJudged) -> dict[str, Any]:
    """By class and of reliability, each where the task has it."""
    return {
        "by_class": [class_item(each) for each in judged.by_class],
        "reliability": [reliability_item(each) for each in judged.reliability],
    }


def class_item(entry: ClassTold) -> dict[str, Any]:
    """One class against the rest."""
    return {
        "class": entry.name,
        "labels": entry.labels,
        "metrics": {metric.name: metric_item(metric, REALISED) for metric in entry.metrics},
    }


def reliability_item(entry: ReliabilityTold) -> dict[str, Any]:
    """One bin of scores."""
    return {
        "above": entry.above,
        "upto": entry.upto,
        "rows": entry.rows,
        "predicted": entry.predicted,
        "observed": entry.observed,
        "interval": [entry.lower, entry.upper],
    }
