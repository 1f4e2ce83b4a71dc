"""New versions beside the series that they come after: charts that still hold go on, and traffic that moves on is no silence."""

from collections.abc import Mapping, Sequence

from monitor.alerting.rules import NO_DATA_RULE
from monitor.facts import Fact
from monitor.series.charts import NAME as CHARTS
from monitor.series.charts import ChartBudget
from monitor.series.nodata import NoData
from monitor.series.records import Entry, Owner
from monitor.series.series import Series
from monitor.stream.events import Nanos, SeriesKey


def hear_others(series: Mapping[SeriesKey, Series]) -> None:
    """Let each series of a model with new versions know how far the others have events: who asks one version asks the model."""
    renewed = {key.model for key, each in series.items() if each.spec.after is not None}
    for key, each in series.items():
        if key.model in renewed:
            _hear(each, [other for name, other in series.items() if name.model == key.model and name != key])


def _hear(series: Series, others: Sequence[Series]) -> None:
    def newest() -> Nanos | None:
        ends = [end for other in others for end in (other.features.newest, _watch(other).pauses.last)]
        return max((end for end in ends if end is not None), default=None)

    _watch(series).others = newest


def _watch(series: Series) -> NoData:
    watch = series.features.operator(NO_DATA_RULE)
    assert isinstance(watch, NoData)
    return watch


def take_over(
    series: Mapping[SeriesKey, Series], rows: Mapping[Owner, Sequence[Entry]], at: Nanos | None
) -> list[Fact]:
    """Let new versions have the charts that still hold: those of the series before, or their own of another reference.

    `rows` is the state that all series were restored from, at event time `at`.
    """
    facts = list[Fact]()
    for key, each in series.items():
        budget, after = each.features.operators_by_name.get(CHARTS), each.spec.after
        if after is None or at is None or each.features.restored or not isinstance(budget, ChartBudget):
            continue
        if after.reference.calibration is None:
            continue
        of, before = (key, after.first) if _charts(rows, key) else (after.key, after.reference)
        for held in _charts(rows, of):
            facts += budget.take_over(held, before, at, of=of)
    return facts


def _charts(rows: Mapping[Owner, Sequence[Entry]], key: SeriesKey) -> list[bytes]:
    return [entry.held for entry in rows.get(Owner(key), ()) if entry.kind == CHARTS]
