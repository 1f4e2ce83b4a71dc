"""Who judges a model's metrics: thresholds of the configuration, checked."""

from detectors import Reference
from detectors.charts.budget import points_per_month
from detectors.charts.metric_bounds import MetricBound
from monitor.alerting.metrics import JudgedBy
from monitor.alerting.rules import Severity
from monitor.series.deciding import DecisionSpec, MetricJudge
from monitor.series.truth import METRICS, Truth
from monitor.settings.loading import ConfigError
from monitor.settings.schema import ModelSettings
from monitor.settings.thresholds import MetricThresholdSettings

LOSSES = frozenset({"log_loss", "brier", "calibration_error", "bias", "mae", "rmse", "mape", "smape", "quantile_loss"})
OF_SIZE = frozenset({"bias"})  # wrong on both sides of 0
WITHIN = {
    "mcc": (-1.0, 1.0),
    "r2": (float("-inf"), 1.0),
}  # what a metric that should be large may be; others lie between 0 and 1
LOSSES_WITHIN = {"brier": (0.0, 1.0), "calibration_error": (0.0, 1.0), "smape": (0.0, 2.0)}  # others are above 0
USUAL_BUDGET = 1.0  # false alarms a month where there is no budget
PERFORMANCE_SHARE = 0.2  # of the budget, where performance is watched


def decision_spec(
    model: ModelSettings, truth: Truth, reference: Reference, per_month: float | None
) -> DecisionSpec | None:
    """Who judges a model's metrics, of so many false alarms a month; None where nobody does. Raises ConfigError."""
    thresholds = {} if model.performance is None else model.performance.thresholds
    key = f"models.{model.name}.performance.thresholds"
    bounds = {name: _bound(f"{key}.{name}", name, threshold, truth) for name, threshold in thresholds.items()}
    if not bounds:
        return None
    budget = (per_month or USUAL_BUDGET) * PERFORMANCE_SHARE
    arl = points_per_month(model.window) * len(bounds) / budget
    judges = tuple(_by_threshold(name, bound, thresholds[name], arl) for name, bound in bounds.items())
    return DecisionSpec(judges, reference.hash)


def _by_threshold(name: str, bound: MetricBound, threshold: MetricThresholdSettings, arl: float) -> MetricJudge:
    return MetricJudge(
        metric=name,
        source=JudgedBy.THRESHOLD,
        bound=bound,
        arl=arl,
        hold=threshold.hold,
        keep_firing_for=threshold.keep_firing_for,
        severity=Severity(threshold.severity),
    )


def _bound(key: str, name: str, threshold: MetricThresholdSettings, truth: Truth) -> MetricBound:
    """The bound of a threshold. Raises ConfigError for one that this metric cannot have."""
    if name not in METRICS[truth.task]:
        raise ConfigError(f"{key}: is no metric of task {truth.task}; there is {', '.join(METRICS[truth.task])}")
    wanted, other = ("at_most", "at_least") if name in LOSSES else ("at_least", "at_most")
    limit = getattr(threshold, wanted)
    if limit is None:
        better = "smaller" if name in LOSSES else "larger"
        raise ConfigError(f"{key}.{other}: {better} is better; give {wanted}")
    low, high = LOSSES_WITHIN.get(name, (0.0, float("inf"))) if name in LOSSES else WITHIN.get(name, (0.0, 1.0))
    if not low < limit < high:
        raise ConfigError(f"{key}.{wanted}: {limit:g} must be {_between(low, high)}")
    return MetricBound(limit, at_least=name not in LOSSES, size=name in OF_SIZE)


def _between(low: float, high: float) -> str:
    if high == float("inf"):
        return f"above {low:g}"
    return f"below {high:g}" if low == float("-inf") else f"between {low:g} and {high:g}"
