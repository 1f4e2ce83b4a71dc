"""What `driftd check` says of alerts on performance: who judges which metric, and what the reference says too little of."""

from collections.abc import Iterator, Sequence
from typing import Any

from monitor.alerting.metrics import JudgedBy
from monitor.series.metric_judge import MetricJudge
from monitor.series.series import SeriesSpec
from monitor.settings.judges import labels_as, watching
from monitor.settings.schema import ModelSettings, PerformanceSettings


def judges_words(spec: SeriesSpec, model: ModelSettings) -> Iterator[str]:
    """Each judge of a series in a line, and the metrics that nobody can hold against the reference."""
    for judge in judges_of(spec):
        side = "at least" if judge.bound.at_least else "at most"
        what = f"{judge.metric} less what was expected" if judge.source is JudgedBy.DIFFERENCE else judge.metric
        yield f"  performance: {what} {side} {judge.bound.value:.4g} by {NAMES[judge.source]}"
    if spec.reference.performance is not None and spec.judging.plan is not None:
        yield from (f"  performance: {line}" for line in unwatched(spec, model))


def unwatched(spec: SeriesSpec, model: ModelSettings) -> Iterator[str]:
    """The metrics that are to be held against the reference and cannot be, in a line with the reason."""
    if spec.performance is None:
        return
    charted = {judge.metric for judge in judges_of(spec) if judge.source is JudgedBy.CHART}
    wanted = watching(model.performance or PerformanceSettings(), spec.performance.truth)
    missing = [name for name in wanted if name not in charted]
    if missing:
        yield f"{', '.join(missing)}: no chart, for {_reason(spec)}"


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
