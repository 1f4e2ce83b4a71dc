"""What models were worth, of a backtest, for machines and in a line for people."""

from collections.abc import Iterator, Sequence
from typing import Any

from detectors.durations import show_duration
from detectors.figures import share
from monitor.backtest.result import JudgedAge, Model
from monitor.explain.performance import Worth, bias_words, left_out_words, metric_words
from monitor.facts import MetricTold, PerformanceDifference, PerformanceEstimated, PerformanceJudged
from monitor.targets.payloads import rfc3339

DIGITS = 6
IN_A_LINE = 3  # metrics


def ages(model: Model) -> list[dict[str, Any]] | None:
    """What a model was worth by the age at which it was judged; None: no label was read."""
    return None if model.performance is None else [_age(each) for each in model.performance]


def _age(judged: JudgedAge) -> dict[str, Any]:
    return {
        "age": show_duration(judged.age),
        "provisional": not judged.final,
        "task": judged.judged[-1].task,
        "windows": judged.windows,
        "judged": [_window(each) for each in judged.judged],
    }


def _window(judged: PerformanceJudged) -> dict[str, Any]:
    test = judged.coverage_test
    return {
        "start": rfc3339(judged.start),
        "end": rfc3339(judged.end),
        "predictions": judged.predictions,
        "labelled": judged.labelled,
        "coverage": round(judged.coverage, DIGITS),
        "sampling": judged.sampling,
        "selection_bias": None if test is None else test.beyond_chance,
        "left_out": dict(judged.left_out),
        "metrics": [_metric(each) | {"over_missing": _limits(each)} for each in judged.metrics],
        "estimated": [_metric(each) for each in judged.estimated],
        "difference": [_difference(each) for each in judged.differences],
    }


def estimates(model: Model) -> dict[str, Any] | None:
    """What a model was worth before labels came, window by window; None: its reference has no labels."""
    if model.estimates is None:
        return None
    return {"windows": model.estimates.windows, "judged": [_estimate(each) for each in model.estimates.estimated]}


def _estimate(estimated: PerformanceEstimated) -> dict[str, Any]:
    return {
        "start": rfc3339(estimated.start),
        "end": rfc3339(estimated.end),
        "predictions": estimated.rows,
        "outside": round(estimated.outside, DIGITS),
        "metrics": [_metric(each) for each in estimated.metrics],
    }


def _metric(metric: MetricTold) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "value": _rounded(metric.value),
        "lower": _rounded(metric.lower),
        "upper": _rounded(metric.upper),
        "rows": metric.rows,
        "because": metric.because,
    }


def _limits(metric: MetricTold) -> list[float | None] | None:
    return None if metric.over_missing is None else [_rounded(each) for each in metric.over_missing]


def _difference(apart: PerformanceDifference) -> dict[str, Any]:
    value, lower, upper = map(_rounded, (apart.value, apart.lower, apart.upper))
    return {"metric": apart.name, "value": value, "lower": lower, "upper": upper, "beyond_chance": apart.beyond_chance}


def _then_and_now(windows: Sequence[Worth]) -> str:
    """The first metrics that the last window has; empty where it has none."""
    words = [metric_words(windows[0], windows[-1], metric.name) for metric in windows[-1].metrics]
    return "; ".join([each for each in words if each][:IN_A_LINE])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def _spanned(windows: int) -> str:
    """That figures are of the first window and of the last."""
    return "1 window" if windows == 1 else f"first to last of {windows:,} windows"


def lines(model: Model) -> Iterator[str]:
    """What was estimated, and the last age, in a line each: the first window, and the last."""
    if model.estimates is not None:
        windows = model.estimates.estimated
        outside = max(each.outside for each in windows)
        strange = f"; up to {share(outside)} of a window unlike what the reference has labels of" if outside else ""
        said = _then_and_now(windows) or next((each.because or "" for each in windows[-1].metrics), "")
        yield f"  estimated without labels, {_spanned(model.estimates.windows)}: {said or 'no metric can be told'}{strange}"
    if not model.performance:
        return
    last = model.performance[-1]
    said = _then_and_now(last.judged) or "no metric can be told"
    yield f"  performance by labels of {show_duration(last.age)}, {_spanned(last.windows)}: {said}"
    if words := left_out_words(last.judged):
        yield f"  {words}"
    biased = [each for each in last.judged if bias_words(each)]
    if biased:
        yield f"  in {len(biased):,} of {len(last.judged):,} windows {bias_words(biased[-1])}"
