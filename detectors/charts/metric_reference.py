"""What a metric is in the labelled windows of a reference: its middle, how much windows vary, and which loss they may have."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from typing import Any, Final

import numpy as np

from detectors.charts.bets import LEAST_LIMIT, BettingDesign
from detectors.charts.metric_bounds import MetricBound
from detectors.charts.metric_variation import FEWEST, SURE, MetricVariation
from detectors.performance.bounded import loss_of
from detectors.performance.measured import Measured, Metric
from detectors.performance.metrics import EstimatedPerformance
from detectors.reference.labelled import AnyCounts, ReferencePerformance

MEANS: Final = frozenset(
    {
        "accuracy",
        "precision",
        "recall",
        "specificity",
        "log_loss",
        "brier",
        "bias",
        "mae",
        "mape",
        "smape",
        "quantile_loss",
        "top_3_accuracy",
        "top_5_accuracy",
    }
)  # over the rows that they are of: their error follows from how many there are
Measure = Callable[[Any], Mapping[str, Metric]]
MOST_WINDOWS: Final = 250  # the last ones: enough for a variance, and each takes milliseconds
AT_ONCE: Final = 25  # windows that are estimated together
FEWEST_ROWS: Final = 50  # labelled ones of a window
MOST_LIMIT: Final = 0.99  # loss that is betted against


@dataclass(frozen=True, slots=True)
class MetricReference:
    """A metric of a reference.

    `value` is the mean of its windows by their rows: some metrics are larger or smaller the fewer rows they are of. `unit` is the
    standard error of one row, `error` that of a usual window. `own_error`: the error depends on more than rows.
    """

    value: float
    unit: float
    error: float
    variation: MetricVariation
    own_error: bool = False

    @classmethod
    def of(cls, windows: Sequence[Measured], *, own_error: bool = False) -> "MetricReference":
        """Return that of windows in time order, one of which has a standard error at least. Raises ValueError for fewer than 60."""
        rows = np.array([one.rows for one in windows], dtype=np.float64)
        units = np.array([one.standard_error or 0.0 for one in windows]) * np.sqrt(rows)
        if not (units > 0).any():
            raise ValueError("no window has a standard error")
        unit = float(np.median(units[units > 0]))
        values = np.array([one.value for one in windows])
        value = float(np.average(values, weights=np.maximum(rows, 1)))
        variation = MetricVariation.of(((values - value) * np.sqrt(rows) / unit).tolist())
        return cls(value, unit, unit / float(np.sqrt(np.median(rows))), variation, own_error)

    def bound(self, *, at_least: bool) -> MetricBound:
        """Return what a chart holds windows against: the middle, as far on the wrong side as it may lie."""
        off = SURE * self.variation.centre * self.error
        value = self.value - off if at_least else self.value + off
        return MetricBound(value, at_least, self.variation.lasting, self.error, self.unit, self.own_error)

    def bets(self, loss: float, arl: float) -> BettingDesign:
        """Return bets against the mean loss, as large as it may be; `loss` is that of all rows. Windows are worth what they vary."""
        limit = min(loss + SURE * self.variation.centre * self.error, MOST_LIMIT)
        return BettingDesign(max(limit, LEAST_LIMIT), arl, self.variation.lasting, self.usual_rows)

    @property
    def usual_rows(self) -> float:
        """Rows of a usual window."""
        return (self.unit / self.error) ** 2


def reference_windows(performance: ReferencePerformance, span_ns: int) -> Iterator[AnyCounts]:
    """Yield the windows of a reference, so many together that none is shorter than `span_ns`, nor has fewer than 50 labelled rows."""
    times = max(1, -(-span_ns // max(performance.window_ns, 1)))
    length, many = times * performance.window_ns, MOST_WINDOWS * times
    recent = zip(performance.starts[-many:].tolist(), performance.latest(many), strict=True)
    held: Any = None
    for _, together in groupby(recent, key=lambda each: each[0] // length):
        for _, counts in together:
            held = counts if held is None else _plus(held, counts)
        if labelled_rows(held) >= FEWEST_ROWS:
            yield held
            held = None


def _plus(counts: Any, more: Any) -> Any:
    counts.add(more)
    return counts


def labelled_rows(counts: Any) -> int:
    """Return how many labelled rows were counted."""
    return (
        int(counts.cells[: counts.task.cells].sum())
        if not hasattr(counts.task, "classes")
        else counts.confusion().total
    )


def measured_windows(
    performance: ReferencePerformance, span_ns: int, measure: Measure, estimator: Any = None
) -> list[tuple[Mapping[str, Metric], EstimatedPerformance | None]]:
    """Return the metrics of the windows of a reference, and what `estimator` expects of their predictions; None where there is none.

    `measure`: from counts to metrics. Some windows at a time: estimated together they take less time, held together more memory.
    """
    windows, found = reference_windows(performance, span_ns), list[tuple[Mapping[str, Metric], Any]]()
    while some := list(islice(windows, AT_ONCE)):
        expected = [None] * len(some) if estimator is None else estimator.estimate_each(some)
        found += zip(map(measure, some), expected, strict=True)
    return found


def metric_references(
    windows: Sequence[Mapping[str, Metric]], metrics: Sequence[str], *, weighted: bool
) -> dict[str, MetricReference]:
    """Return what each metric is in the windows of a reference; without those of which too few windows say what is usual."""
    found: dict[str, MetricReference] = {}
    for metric in metrics:
        known = [each for each in (one.get(metric) for one in windows) if isinstance(each, Measured)]
        certain = any(one.standard_error for one in known)
        if certain and len(known) >= FEWEST:
            reference = MetricReference.of(known, own_error=weighted or metric not in MEANS)
            found |= {metric: reference} if reference.variation.enough else {}
    return found


def usual_loss(performance: ReferencePerformance, metric: str) -> float | None:
    """Return the mean of the loss of a metric over all rows of a reference; None where it is the mean of no bounded one."""
    loss = loss_of(performance.total, metric)
    return None if loss is None or not loss.rows else loss.loss / loss.rows
