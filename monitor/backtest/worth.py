"""What models were worth, of a backtest, for machines and in a line for people."""

from collections.abc import Iterator
from typing import Any

from detectors.durations import show_duration
from monitor.backtest.result import JudgedAge, Model
from monitor.explain.performance import bias_words, metric_words
from monitor.facts import MetricTold, PerformanceJudged
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
        "metrics": [_metric(each) for each in judged.metrics],
    }


def _metric(metric: MetricTold) -> dict[str, Any]:
    return {
        "metric": metric.name,
        "value": _rounded(metric.value),
        "lower": _rounded(metric.lower),
        "upper": _rounded(metric.upper),
        "over_missing": None if metric.over_missing is None else [_rounded(each) for each in metric.over_missing],
        "because": metric.because,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)


def lines(model: Model) -> Iterator[str]:
    """The last age in a line: the first window, and the last."""
    if not model.performance:
        return
    last = model.performance[-1]
    first, final = last.judged[0], last.judged[-1]
    words = [metric_words(first, final, metric.name) for metric in final.metrics]
    said = "; ".join([each for each in words if each][:IN_A_LINE])
    yield f"  performance by labels of {show_duration(last.age)}, {last.windows:,} windows: {said or 'no metric can be told'}"
    biased = [each for each in last.judged if bias_words(each)]
    if biased:
        yield f"  in {len(biased):,} of {len(last.judged):,} windows {bias_words(biased[-1])}"
