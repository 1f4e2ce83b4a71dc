"""Words of performance: what a metric was, against what, how many labels are in, and whether they come at random."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from detectors.figures import share
from monitor.alerting.metrics import JudgedBy, MetricEvidence
from monitor.facts import ClassCoverage, PerformanceEstimated, PerformanceJudged

MOST_DECIMALS = 6
JUDGES = {JudgedBy.CHART: "its chart", JudgedBy.BETS: "the e-detector"}


def explain_metric(metric: MetricEvidence) -> str:
    """Say what a metric has become.

    >>> judged = dict(metric="accuracy", value=0.8412, lower=0.8304, upper=0.8513, windows=3, coverage=0.71)
    >>> explain_metric(MetricEvidence(bound=0.9, at_least=True, by=(JudgedBy.THRESHOLD,), **judged))
    '0.84 (0.83 to 0.85) against at least 0.90, 71 % of labels in'
    >>> explain_metric(MetricEvidence(bound=0.91, at_least=True, by=(JudgedBy.CHART, JudgedBy.BETS), usual=0.91, estimated=0.85, **judged))
    '0.91 → 0.84 (0.83 to 0.85) by its chart and the e-detector, 71 % of labels in; estimated without labels 0.85'
    >>> explain_metric(MetricEvidence(bound=0.9, at_least=True, by=(JudgedBy.DIFFERENCE,), expected=0.91, **judged))
    '0.84 (0.83 to 0.85), 71 % of labels in; labels no longer follow predictions as in the reference: 0.91 was to be expected of these, concept drift'
    """
    held = with_interval(metric.value, metric.lower, metric.upper)
    digits = digits_of(metric.value, metric.upper - metric.lower)
    judges = [JUDGES[each] for each in metric.by if each in JUDGES]
    by = f" by {' and '.join(judges)}" if judges else ""
    if JudgedBy.THRESHOLD in metric.by:
        limit = f"{'at least' if metric.at_least else 'at most'} {bound_words(metric.bound, digits)}"
        held += f" against {limit}{f', also{by}' if by else ''}"
    elif metric.by[0] is not JudgedBy.DIFFERENCE:
        usual = metric.bound if metric.usual is None else metric.usual
        held = f"{figure(usual, digits)} → {held}{by}"
    held += f", {share(metric.coverage)} of labels in"
    if metric.expected is not None:
        return held + _concept_drift(figure(metric.expected, digits))
    return held if metric.estimated is None else f"{held}; estimated without labels {figure(metric.estimated, digits)}"


def _concept_drift(expected: str) -> str:
    return f"; labels no longer follow predictions as in the reference: {expected} was to be expected of these, concept drift"


def digits_of(value: float, width: float = 0.0) -> int:
    """How many decimals a metric has: two as a rule, three digits of what is large or small, more where the ends of its interval are nearer.

    >>> digits_of(0.9123), digits_of(0.0123), digits_of(1234.5), digits_of(0.9123, width=0.002)
    (2, 4, 0, 3)
    """
    usual = 2 if value == 0 or 0.1 <= abs(value) < 10 else max(0, 2 - math.floor(math.log10(abs(value))))  # noqa: PLR2004 - three digits
    apart = min(max(math.ceil(-math.log10(width / 2)), 0), MOST_DECIMALS) if width > 0 else 0
    return max(usual, apart)


def figure(value: float, digits: int | None = None) -> str:
    """A metric for people, with so many decimals.

    >>> figure(0.9123), figure(0.0123), figure(1234.5), figure(-0.5), figure(0.0)
    ('0.91', '0.0123', '1 234', '−0.50', '0')
    """
    if value == 0 and digits is None:
        return "0"
    return _spelled_number(f"{value:,.{digits_of(value) if digits is None else digits}f}")


def bound_words(number: float, digits: int) -> str:
    """A bound with so many decimals, or as many as it has.

    >>> bound_words(0.9, 2), bound_words(0.905, 2)
    ('0.90', '0.905')
    """
    return figure(number, digits) if round(number, digits) == number else _spelled_number(f"{number:g}")


def _spelled_number(text: str) -> str:
    return text.replace(",", " ").replace("-", "−")


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


def no_positive_words(judged: PerformanceJudged) -> str:
    """That no label was ever the positive one, where that is so; else empty."""
    if not judged.no_positive:
        return ""
    return (
        "no label so far is the positive one: precision, recall and the like are not known, and nobody is told of performance; "
        "labels.positive names the label that is"
    )


def left_out_words(windows: Sequence[PerformanceJudged]) -> str:
    """How many labelled predictions of these windows could not be counted, and why; empty where all could."""
    reasons = sum((Counter(each.left_out) for each in windows), Counter[str]())
    if not reasons:
        return ""
    named = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
    labelled = sum(each.labelled for each in windows)
    return f"{reasons.total():,} of {labelled:,} labelled predictions could not be counted: {named}"


def _covered(coverage: ClassCoverage) -> str:
    return share(coverage.labelled / coverage.predictions) if coverage.predictions else "none"


Worth = PerformanceJudged | PerformanceEstimated


def metric_words(first: Worth, last: Worth, name: str) -> str:
    """A metric then and now with its interval; empty where it has no value now."""
    before, now = first.metric(name), last.metric(name)
    if now is None or now.value is None:
        return ""
    then = "" if first is last or before is None or before.value is None else f"{figure(before.value)} → "
    return f"{spelled(name)} {then}{with_interval(now.value, now.lower, now.upper)}"


def with_interval(value: float, lower: float | None, upper: float | None) -> str:
    """A figure, and between what it lies where that is known, with decimals that tell the ends apart."""
    if lower is None or upper is None:
        return figure(value)
    digits = digits_of(value, upper - lower)
    return f"{figure(value, digits)} ({figure(lower, digits)} to {figure(upper, digits)})"


def estimate_words(estimated: PerformanceEstimated) -> Iterator[str]:
    """Each metric that labels are expected to say, with its interval."""
    for metric in estimated.metrics:
        if metric.value is not None:
            yield f"{spelled(metric.name)} {with_interval(metric.value, metric.lower, metric.upper)}"


def difference_words(judged: PerformanceJudged) -> Iterator[str]:
    """What labels said less what was expected of the same predictions, of each metric where that is beyond chance."""
    for apart in judged.differences:
        if apart.beyond_chance:
            yield f"{spelled(apart.name)} {with_interval(apart.value, apart.lower, apart.upper)}"


def spelled(name: str) -> str:
    """A metric's name as people write it.

    >>> spelled("auroc"), spelled("balanced_accuracy"), spelled("f1"), spelled("cost_per_1000")
    ('AUROC', 'balanced accuracy', 'F1', 'cost per 1000')
    """
    known = {"auroc": "AUROC", "f1": "F1", "mcc": "MCC", "mae": "MAE", "rmse": "RMSE", "mape": "MAPE", "smape": "SMAPE"}
    known |= {"macro_f1": "macro F1", "weighted_f1": "weighted F1", "r2": "R²", "brier": "Brier score"}
    known |= {"r2_reference": "R² against the reference"}
    return known.get(name, name.replace("_", " "))


def coverage_words(judged: PerformanceJudged) -> str:
    """How much of the truth is in.

    `71 % of labels in`.
    """
    kept = "" if judged.sampling == 1 else f", of a sample of {share(judged.sampling)} of the ids"
    return f"{share(judged.coverage)} of labels in{kept}"
