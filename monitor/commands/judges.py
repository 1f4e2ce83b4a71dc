"""What `driftd check` says of alerts on performance: who judges which metric, and what the reference says too little of."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from detectors import Sketch
from monitor.alerting.metrics import JudgedBy
from monitor.explain.performance import spelled, with_interval
from monitor.series.metric_judge import MetricJudge
from monitor.series.series import SeriesSpec
from monitor.series.truth import told
from monitor.settings.judges import labels_as, unscored, watching
from monitor.settings.schema import ModelSettings, PerformanceSettings


def judges_words(spec: SeriesSpec, model: ModelSettings) -> Iterator[str]:
    """Each judge of a series in a line, and the metrics that nobody can hold against the reference."""
    for judge in judges_of(spec):
        side = "at least" if judge.bound.at_least else "at most"
        what = f"{judge.metric} less what was expected" if judge.source is JudgedBy.DIFFERENCE else judge.metric
        yield f"  performance: {what} {side} {judge.bound.value:.4g} by {NAMES[judge.source]}"
    said = spec.reference.performance
    if said is not None and spec.performance is not None and spec.performance.truth.weighted and not said.weighted:
        yield "  performance: labels have weights, and those of the reference have none: it is compared with what weighs all alike"
    if said is not None and spec.judging.plan is not None:
        yield from (f"  performance: {line}" for line in unwatched(spec, model))


def unwatched(spec: SeriesSpec, model: ModelSettings) -> Iterator[str]:
    """The metrics that are to be held against the reference and cannot be, in a line with the reason."""
    if spec.performance is None:
        return
    charted = {judge.metric for judge in judges_of(spec) if judge.source is JudgedBy.CHART}
    wanted = watching(model.performance or PerformanceSettings(), spec.performance.truth)
    missing = [name for name in wanted if name not in charted]
    said = spec.reference.performance
    reasons = {name: why for name in missing if said is not None and (why := unscored(name, said)) is not None}
    for name, why in reasons.items():
        yield f"{name}: no chart, for the reference {why}"
    if missing := [name for name in missing if name not in reasons]:
        yield f"{', '.join(missing)}: no chart, for {_reason(spec)}"


def expected_worth(spec: SeriesSpec) -> Iterator[str]:
    """What of a series is told before labels come, in a line; nothing where its reference has no labels."""
    said = estimates_document(spec)
    if said is None:
        return
    if said["because"] is not None:
        yield f"  estimated without labels: nothing, for {said['because']}"
        return
    known = ", ".join(_in_reference(each) for each in said["metrics"])
    apart = f"; not {', '.join(map(spelled, said['not_estimated']))}" if said["not_estimated"] else ""
    yield f"  estimated without labels, by {said['labels']:,} labels of the reference: {known or 'nothing'}{apart}"


def _in_reference(metric: Mapping[str, Any]) -> str:
    value, lower, upper = metric["value"], metric["lower"], metric["upper"]
    return (
        spelled(metric["metric"])
        if value is None
        else f"{spelled(metric['metric'])} {with_interval(value, lower, upper)}"
    )


def estimates_document(spec: SeriesSpec) -> dict[str, Any] | None:
    """What of a series is told before labels come, beside what it was worth in its reference; None: that has no labels."""
    estimate, performance = spec.judging.estimate, spec.reference.performance
    if estimate is None or performance is None:
        return None
    names: list[str] = []
    if estimate.because is None:
        able = estimate.estimator.estimate(Sketch.empty(spec.reference.layout)).metrics
        names = [name for name in estimate.truth.names if name in able]
    realised = performance.at(estimate.truth.threshold).metrics() if names else {}
    told_there = [told(name, realised[name]) if name in realised else None for name in names]
    return {
        "because": estimate.because,
        "labels": performance.rows,
        "metrics": [
            {
                "metric": name,
                "value": None if each is None else each.value,
                "lower": None if each is None else each.lower,
                "upper": None if each is None else each.upper,
            }
            for name, each in zip(names, told_there, strict=True)
        ],
        "not_estimated": [name for name in estimate.truth.names if name not in names],
    }


def judges_of(spec: SeriesSpec) -> Sequence[MetricJudge]:
    """Who judges the metrics of a series."""
    performance = spec.performance
    return () if performance is None or performance.decision is None else performance.decision.judges


def _reason(spec: SeriesSpec) -> str:
    assert spec.performance is not None
    try:
        said = labels_as(spec.performance.truth, spec.reference)
    except ValueError as error:
        return str(error)
    return (
        f"the reference's {said.starts.size} windows with labels say too little of what is usual: "
        "60 of 50 labels that do not vary slowly would"
    )


NAMES: dict[Any, str] = {
    JudgedBy.THRESHOLD: "a threshold",
    JudgedBy.CHART: "a chart against the reference",
    JudgedBy.BETS: "the e-detector",
    JudgedBy.DIFFERENCE: "a chart of the difference from what was expected",
}
