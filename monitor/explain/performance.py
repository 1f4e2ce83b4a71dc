"""Words of performance: what a metric was, against what, how many labels are in, and whether they come at random."""

import math
from collections.abc import Iterator

from detectors.figures import share
from monitor.alerting.metrics import JudgedBy, MetricEvidence
from monitor.facts import ClassCoverage, PerformanceEstimated, PerformanceJudged

MOST_DECIMALS, USUAL_DECIMALS = 6, 4
LARGE = 10.0  # numbers from here on need no decimals
JUDGES = {JudgedBy.CHART: "its chart", JudgedBy.BETS: "the e-detector"}


def explain_metric(metric: MetricEvidence) -> str:
    """Say what a metric has become.

    >>> judged = dict(metric="accuracy", value=0.8412, lower=0.8304, upper=0.8513, windows=3, coverage=0.71)
    >>> explain_metric(MetricEvidence(bound=0.9, at_least=True, by=(JudgedBy.THRESHOLD,), **judged))
    '0.84 (0.83 to 0.85) against at least 0.90, 71 % of labels in'
    >>> explain_metric(MetricEvidence(bound=0.91, at_least=True, by=(JudgedBy.CHART, JudgedBy.BETS), usual=0.91, **judged))
    '0.91 → 0.84 (0.83 to 0.85) by its chart and the e-detector, 71 % of labels in'
    >>> explain_metric(MetricEvidence(bound=0.9, at_least=True, by=(JudgedBy.DIFFERENCE,), expected=0.91, **judged))
    '0.84 (0.83 to 0.85), 71 % of labels in; labels no longer follow predictions as in the reference: 0.91 was to be expected of these, concept drift'
    """
    decimals = max(decimals_of(metric.upper - metric.lower), USUAL_DECIMALS // 2 if abs(metric.value) < LARGE else 0)
    value, low, high = (f"{number:.{decimals}f}" for number in (metric.value, metric.lower, metric.upper))
    held = f"{value} ({low} to {high})"
    judges = [JUDGES[each] for each in metric.by if each in JUDGES]
    by = f" by {' and '.join(judges)}" if judges else ""
    if JudgedBy.THRESHOLD in metric.by:
        limit = f"{'at least' if metric.at_least else 'at most'} {written(metric.bound, decimals)}"
        held += f" against {limit}{f', also{by}' if by else ''}"
    elif metric.by[0] is not JudgedBy.DIFFERENCE:
        usual = metric.bound if metric.usual is None else metric.usual
        held = f"{usual:.{decimals}f} → {held}{by}"
    drift = "" if metric.expected is None else _concept_drift(f"{metric.expected:.{decimals}f}")
    return f"{held}, {share(metric.coverage)} of labels in{drift}"


def _concept_drift(expected: str) -> str:
    return f"; labels no longer follow predictions as in the reference: {expected} was to be expected of these, concept drift"


def decimals_of(width: float) -> int:
    """How many decimals tell the ends of an interval of this width apart from its middle.

    >>> [decimals_of(width) for width in (0.02, 0.13, 40.0, 0.0)]
    [2, 2, 0, 4]
    """
    return min(max(math.ceil(-math.log10(width / 2)), 0), MOST_DECIMALS) if width > 0 else USUAL_DECIMALS


def written(number: float, decimals: int) -> str:
    """A bound with so many decimals, or as many as it has.

    >>> written(0.9, 2), written(0.905, 2)
    ('0.90', '0.905')
    """
    rounded = f"{number:.{decimals}f}"
    return rounded if float(rounded) == number else f"{number:g}"


def bias_words(judged: PerformanceJudged) -> str:
    """That labels do not come at random, where that is beyond chance; else empty."""
    test = judged.coverage_test
    if test is None or not test.beyond_chance:
        return ""
    ours = next(each for each in judged.classes if each.name == test.name)
    others = [each for each in judged.classes if each.name != test.name]
    rest = ClassCoverage("", sum(each.predictions for each in others), sum(each.labelled for each in others))
    whose = others[0].name if len(others) == 1 else "all others"
    soon = "" if judged.final else " so far"
    return (
        f"labels do not come at random{soon}: {_covered(ours)} of the predictions {ours.name} have one, {_covered(rest)} of "
        f"{whose}; metrics are those of the labels that are in"
    )


def _covered(coverage: ClassCoverage) -> str:
    return share(coverage.labelled / coverage.predictions) if coverage.predictions else "none"


def metric_words(first: PerformanceJudged, last: PerformanceJudged, name: str) -> str:
    """A metric then and now with its interval; empty where it has no value now."""
    before, now = first.metric(name), last.metric(name)
    if now is None or now.value is None:
        return ""
    then = "" if first is last or before is None or before.value is None else f"{figure(before.value)} → "
    return f"{spelled(name)} {then}{_with_interval(now.value, now.lower, now.upper)}"


def _with_interval(value: float, lower: float | None, upper: float | None) -> str:
    reach = "" if lower is None or upper is None else f" ({figure(lower)} to {figure(upper)})"
    return f"{figure(value)}{reach}"


def estimate_words(estimated: PerformanceEstimated) -> Iterator[str]:
    """Each metric that labels are expected to say, with its interval."""
    for metric in estimated.metrics:
        if metric.value is not None:
            yield f"{spelled(metric.name)} {_with_interval(metric.value, metric.lower, metric.upper)}"


def difference_words(judged: PerformanceJudged) -> Iterator[str]:
    """What labels said less what was expected of the same predictions, of each metric where that is beyond chance."""
    for apart in judged.differences:
        if apart.beyond_chance:
            yield f"{spelled(apart.name)} {_with_interval(apart.value, apart.lower, apart.upper)}"


def spelled(name: str) -> str:
    """A metric's name as people write it.

    >>> spelled("auroc"), spelled("balanced_accuracy"), spelled("f1"), spelled("cost_per_1000")
    ('AUROC', 'balanced accuracy', 'F1', 'cost per 1000')
    """
    known = {"auroc": "AUROC", "f1": "F1", "mcc": "MCC", "mae": "MAE", "rmse": "RMSE", "mape": "MAPE", "smape": "SMAPE"}
    known |= {"macro_f1": "macro F1", "weighted_f1": "weighted F1", "r2": "R²", "brier": "Brier score"}
    return known.get(name, name.replace("_", " "))


def figure(value: float) -> str:
    """A metric for people: two decimals as a rule, three digits of what is large or small.

    >>> figure(0.9123), figure(0.0123), figure(1234.5), figure(-0.5), figure(0.0)
    ('0.91', '0.0123', '1 234', '−0.50', '0')
    """
    size = abs(value)
    if value == 0:
        return "0"
    digits = 2 if 0.1 <= size < 10 else max(0, 2 - math.floor(math.log10(size)))  # noqa: PLR2004 - three digits
    return f"{value:,.{digits}f}".replace(",", " ").replace("-", "−")


def coverage_words(judged: PerformanceJudged) -> str:
    """How much of the truth is in.

    `71 % of labels in`.
    """
    kept = "" if judged.sampling == 1 else f", of a sample of {share(judged.sampling)} of the ids"
    return f"{share(judged.coverage)} of labels in{kept}"
