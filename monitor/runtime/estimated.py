"""What models are worth before labels come, as the JSON routes tell it: with the assumption, or why it cannot be said."""

from collections.abc import Mapping
from typing import Any, Final

from monitor.facts import MetricTold, PerformanceDifference, PerformanceEstimated
from monitor.stream.events import SeriesKey
from monitor.targets.payloads import rfc3339

ASSUMPTION: Final = "labels follow predictions as in the reference: no concept drift"
NO_LABELS: Final = "the reference has no labels; `driftd reference fit --label` counts them"
NO_WINDOW: Final = "no window is closed yet"


def estimated(estimates: Mapping[SeriesKey, PerformanceEstimated | None], key: SeriesKey) -> dict[str, Any]:
    """What the last closed window is worth, or why nobody knows."""
    if key not in estimates:
        return {"because": NO_LABELS}
    found = estimates[key]
    if found is None:
        return {"because": NO_WINDOW}
    return {
        "task": found.task,
        "window": {"start": rfc3339(found.start), "end": rfc3339(found.end)},
        "predictions": found.rows,
        "outside_ratio": found.outside,
        "assumption": ASSUMPTION,
        "metrics": {metric.name: metric_item(metric, "estimated") for metric in found.metrics},
    }


def metric_item(metric: MetricTold, estimate: str) -> dict[str, Any]:
    """A metric with its interval, or why there is none."""
    interval = None if metric.lower is None or metric.upper is None else [metric.lower, metric.upper]
    return {
        "estimate": estimate,
        "value": metric.value,
        "interval": interval,
        "bounds": metric.bounds,
        "over_missing": metric.over_missing,
        "rows": metric.rows,
        "because": metric.because,
    }


def difference_item(difference: PerformanceDifference) -> dict[str, Any]:
    """What was realised less what was estimated."""
    return {
        "value": difference.value,
        "interval": [difference.lower, difference.upper],
        "beyond_chance": difference.beyond_chance,
    }
