"""What `driftd check` says of alerts on performance: who judges which metric, and what the reference says too little of."""

from collections.abc import Iterator, Sequence
from typing import Any

from monitor.alerting.metrics import JudgedBy
from monitor.series.metric_judge import MetricJudge
from monitor.series.series import SeriesSpec
from monitor.settings.judges import watching
from monitor.settings.schema import ModelSettings, PerformanceSettings


def judges_words(spec: SeriesSpec, model: ModelSettings) -> Iterator[str]:
    """Each judge of a series in a line, and the metrics that nobody can hold against the reference."""
    performance = spec.performance
    if performance is None:
        return
    judges: Sequence[MetricJudge] = () if performance.decision is None else performance.decision.judges
    for judge in judges:
        side = "at least" if judge.bound.at_least else "at most"
        yield f"  performance: {judge.metric} {side} {judge.bound.value:.4g} by {NAMES[judge.source]}"
    said = spec.reference.performance
    charted = {judge.metric for judge in judges if judge.source is JudgedBy.CHART}
    wanted = watching(model.performance or PerformanceSettings(), performance.truth)
    missing = [name for name in wanted if name not in charted]
    if said is not None and spec.judging.plan is not None and missing:
        yield (
            f"  performance: {', '.join(missing)}: no chart, for the reference's {said.starts.size} windows with labels say too little of "
            "what is usual: 60 of 50 labels that do not vary slowly would"
        )


NAMES: dict[Any, str] = {
    JudgedBy.THRESHOLD: "a threshold",
    JudgedBy.CHART: "a chart against the reference",
    JudgedBy.BETS: "the e-detector",
}
