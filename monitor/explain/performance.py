"""Words of performance: what a metric was, against what, and how many of the labels are in."""

import math

from monitor.alerting.metrics import JudgedBy, MetricEvidence
from monitor.explain.figures import share

MOST_DECIMALS, USUAL_DECIMALS = 6, 4
JUDGES = {JudgedBy.CHART: "its chart", JudgedBy.BETS: "the e-detector"}


def explain_metric(metric: MetricEvidence) -> str:
    """Say what a metric has become.

    >>> judged = dict(metric="accuracy", value=0.8412, lower=0.8304, upper=0.8513, windows=3, coverage=0.71)
    >>> explain_metric(MetricEvidence(bound=0.9, at_least=True, by=(JudgedBy.THRESHOLD,), **judged))
    '0.84 (0.83 to 0.85) against at least 0.90, 71 % of labels in'
    >>> explain_metric(MetricEvidence(bound=0.91, at_least=True, by=(JudgedBy.CHART, JudgedBy.BETS), usual=0.91, **judged))
    '0.91 → 0.84 (0.83 to 0.85) by its chart and the e-detector, 71 % of labels in'
    """
    decimals = decimals_of(metric.upper - metric.lower)
    value, low, high = (f"{number:.{decimals}f}" for number in (metric.value, metric.lower, metric.upper))
    held = f"{value} ({low} to {high})"
    judges = [JUDGES[each] for each in metric.by if each in JUDGES]
    by = f" by {' and '.join(judges)}" if judges else ""
    if JudgedBy.THRESHOLD in metric.by:
        limit = f"{'at least' if metric.at_least else 'at most'} {written(metric.bound, decimals)}"
        held += f" against {limit}{f', also{by}' if by else ''}"
    else:
        usual = metric.bound if metric.usual is None else metric.usual
        held = f"{usual:.{decimals}f} → {held}{by}"
    return f"{held}, {share(metric.coverage)} of labels in"


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
