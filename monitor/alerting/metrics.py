"""What an alert on performance rests on: a metric, what it is held against, and by what."""

from dataclasses import dataclass
from enum import StrEnum

LOSSES = frozenset(
    {"log_loss", "brier", "calibration_error", "bias", "mae", "rmse", "mape", "smape", "quantile_loss", "cost_per_1000"}
)  # metrics of which less is better; of others more is
BOTH_WAYS = frozenset({"bias"})  # wrong on both sides


class JudgedBy(StrEnum):
    """By what a metric is judged."""

    THRESHOLD = "threshold"  # an absolute one, of the configuration
    CHART = "chart"  # against the reference's own labelled windows
    BETS = "e-detector"  # bets against the loss of the reference
    DIFFERENCE = "difference"  # a chart of what labels say less what was to be expected of the same predictions


@dataclass(frozen=True, slots=True)
class MetricEvidence:
    """A metric since it began to be wrong: its value over `windows` windows with its interval, and the bound that it breaks.

    `by`: what has fired, the first in front; `usual`: its value in the reference, where that is known; `coverage`: share of the
    predictions of the last window with a label; `expected`: what was to be expected of the same predictions, where the difference fires;
    `estimated`: what the reference's labels let expect of the last window's predictions, where they cover them.
    """

    metric: str
    value: float
    lower: float
    upper: float
    bound: float
    at_least: bool
    by: tuple[JudgedBy, ...]
    windows: int
    coverage: float
    usual: float | None = None
    expected: float | None = None
    estimated: float | None = None


def metric_feature(metric: str) -> str:
    """What a metric is called among features, as in silences.

    >>> metric_feature("accuracy")
    '__accuracy__'
    """
    return f"__{metric}__"
