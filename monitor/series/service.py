"""Whether requests take longer or fail more often than in the reference: by the charts of features, an incident of the service each.

Latency is one number of the reference's service profile, failures are its missing values, so hours, days and their variation are known
as they are of features (detectors/reference/service.py). What is quicker, or fails less, is nobody's incident, and nothing is trained
for any of it. The first matters are the service's, so the charts have a share of the budget of their own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import msgspec

from detectors import Sketch
from detectors.charts import CHARTS as ALL_CHARTS
from detectors.charts import BudgetSpec, ChartPoint, Charts, FiringFeature, FiringReader, IncidentKind, LevelStep
from detectors.charts.floors import Floors
from detectors.reference.reference import ReferenceService
from detectors.reference.service import ERROR, LATENCY
from detectors.sketches.served import ServedCounts
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_ERRORS, BY_LATENCY
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import AlertRule, Severity
from monitor.facts import Fact, StateReset, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.evidence import integers
from monitor.series.incident import IncidentAlert, incident_row, restore_row
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import SeriesKey
from monitor.stream.windows import SealedPane

SHARE = 0.1  # of the budget, where the reference says how requests were served
CHARTS = "service_charts"  # kind of the row of what was counted
FLOORS = Floors(shift=0.25, scale=0.1)  # sigma of the logarithm: what nobody wants to hear of
WORSE = {  # the charts of each that speak of worse
    LATENCY: [at for at, chart in enumerate(ALL_CHARTS) if chart in {"location+", "scale+", "shape", "mass+", "mass-"}],
    ERROR: [ALL_CHARTS.index("missing")],
}
UNEASY = 0.5  # of its threshold, from which a chart warns
RULES: Mapping[str, AlertRule] = {LATENCY: BY_LATENCY, ERROR: BY_ERRORS}
HIGH = 0.95  # the quantile that is told
SLOWER, MUCH_SLOWER = 1.1, 1.5  # times the usual: told, where the centre stands; critical
MORE_POINTS, MORE_TIMES = 0.01, 3.0  # failures beyond the usual, and times it: critical
MICRO, PARTS = 1e6, 1e6  # what words are made of
STAYING = frozenset({LevelStep.SETTLED, LevelStep.ACCEPTED, LevelStep.TAKEN})


class SavedCharts(msgspec.Struct):
    """The charts, and by name what was counted since one began to warn."""

    charts: bytes
    since: dict[str, bytes]
    uncharted: bytes


def rules_of(service: ReferenceService | None) -> tuple[AlertRule, ...]:
    """The rules of what a reference says of requests; none where its windows teach nothing."""
    if service is None or service.profile.calibration is None:
        return ()
    return tuple(rule for name, rule in RULES.items() if name in service.profile.names)


class ServiceBudget(Operator[Sketch]):
    """The charts of how the requests of one series are served, and an incident of each rule."""

    name = "service"
    kinds = (CHARTS, *(rule.name for rule in RULES.values()))

    def __init__(self, key: SeriesKey, reference: str, service: ReferenceService, plan: BudgetSpec) -> None:
        self.charts = Charts(service.profile, plan)
        self._key = key
        self._service = service
        self._names = service.profile.names
        self._reader = FiringReader.of(self.charts.design)
        length = self.charts.design.subgroup_ns
        self.alerts = {
            name: IncidentAlert(Teller(key, RULES[name], reference, length, kind=IncidentKind.SERVICE), {name})
            for name in self._names
        }
        self._since: dict[str, ServedCounts] = {}  # since a chart began to warn
        self._uncharted = ServedCounts()  # since the last subgroup
        self._changed = self._moved = True  # charts; incidents

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane, which may end a subgroup, or two after a gap."""
        served, facts = pane.sketch.served, list[Fact]()
        points = self.charts.update(self._service.sketch(served, pane.sketch.rows).tally(), pane.start, pane.end)
        for point in points:
            if point.end <= pane.start:  # cut short by a gap
                facts += self._follow(point)
        if served is not None:
            self._since = {name: counts.plus(served) for name, counts in self._since.items()}
            self._uncharted = self._uncharted.plus(served)
        for point in points:
            if point.end > pane.start:
                facts += self._follow(point)
        self._changed = True
        return facts

    def _follow(self, point: ChartPoint) -> list[Fact]:
        read = list(self._reader.read(point))
        self._suspect(point, {each.feature for each in read})
        firing = {each.feature: each for each in read if self._is_worse(each)}
        staying = {self._names[each.place] for each in point.changes if each.step in STAYING}
        facts, span = list[Fact](), Span(point.start, point.end)
        for name, alert in self.alerts.items():
            if name in staying:
                alert.incident.settle([name])
            if name not in firing and not alert.incident.state.alerts:
                continue
            self._moved = True
            found = [self._evidence(firing[name], point)] if name in firing else []
            episodes = alert.incident.follow({each.feature: each.since or span.end for each in found}, found, span)
            facts += alert.told(episodes, WindowSpan(point.start, point.end, point.rows))
        return facts

    def _suspect(self, point: ChartPoint, firing: Collection[str]) -> None:
        """Keep the counts of what fires or seems to become worse, from the subgroup on in which that began."""
        ratios = point.ratios
        uneasy = {
            name
            for place, name in enumerate(self._names)
            if name in firing or ratios[place, WORSE[name]].max() >= UNEASY
        }
        grown = {self._names[place] for place in point.grown}  # which words are of from here on
        kept = {name: counts for name, counts in self._since.items() if name in uneasy - grown}
        self._since = {name: kept.get(name, self._uncharted) for name in uneasy}
        self._uncharted = ServedCounts()

    def _is_worse(self, each: FiringFeature) -> bool:
        """Whether requests take longer, or fail more often; what was told of goes on for as long as a chart fires."""
        if each.feature == ERROR:
            return each.chart == "missing"
        if each.feature != LATENCY or each.kind is IncidentKind.DATA_QUALITY:
            return False
        if self.alerts[LATENCY].incident.state.alerts or each.chart == "location+":
            return True
        return each.chart != "location-" and self._now(LATENCY) > SLOWER * self._usual(each)

    def _now(self, name: str) -> float:
        return self._since.get(name, ServedCounts()).quantile(HIGH) or 0.0

    def _usual(self, each: FiringFeature) -> float:
        """The quantile that is usual: at this hour, where the charts say how far all has moved, else in all of the reference."""
        if each.chart == "location+":
            return float(self._now(LATENCY) / 2 ** (each.effect * self._service.spread))
        return self._service.served.quantile(HIGH) or 0.0

    def _evidence(self, each: FiringFeature, point: ChartPoint) -> Evidence:
        rule = RULES[each.feature]
        counts, severity = self._errors(each) if each.feature == ERROR else self._latency(each)
        return Evidence(
            feature=each.feature,
            detector=rule.detector,
            score=max(each.score, 1.0),
            threshold=1.0,
            pvalue=each.pvalue,
            rows=point.rows,
            chart=each.chart,
            since=each.since,
            effect=each.effect,
            severity=severity,
            moving=each.moving,
            creeping=each.creeping,
            grown=each.grown,
            counts=integers(*counts),
        )

    def _latency(self, each: FiringFeature) -> tuple[tuple[float, float], Severity]:
        now, usual = self._now(LATENCY), self._usual(each)
        return (MICRO * now, MICRO * usual), Severity.CRITICAL if now >= MUCH_SLOWER * usual else Severity.WARNING

    def _errors(self, each: FiringFeature) -> tuple[tuple[float, float], Severity]:
        now, usual = self._since.get(ERROR, ServedCounts()).error_rate or 0.0, each.usual
        many = now >= max(usual + MORE_POINTS, MORE_TIMES * usual)
        return (PARTS * now, PARTS * usual), Severity.CRITICAL if many else Severity.WARNING

    def accept(self, features: Collection[str], until: int | None, at: int) -> list[Fact]:
        """Take how requests are served for how it should be, until then, or for good."""
        meant = {name for name in self._names if not features or name in features}
        changes = self.charts.accept(meant, until, at) if meant else []
        if not changes:
            return []
        self._changed = self._moved = True
        names = {self._names[each.place] for each in changes}
        facts = list[Fact]()
        for name in sorted(names):
            alert = self.alerts[name]
            alert.incident.settle([name])
            facts += alert.told(alert.incident.without({name}, Span(at, at)), WindowSpan(at, at, 0))
        return facts

    def current(self) -> list[Fact]:
        """The incidents that are not inactive."""
        return [fact for alert in self.alerts.values() for fact in alert.current()]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The charts, if any pane came, and the incidents, if they changed."""
        charts = [self._charts()] if self._changed else []
        incidents = self._incidents() if self._moved else []
        self._changed = self._moved = False
        return [*charts, *incidents]

    def snapshot(self) -> list[Entry]:
        """A row of the charts, and one of each incident."""
        return [self._charts(), *self._incidents()]

    def _incidents(self) -> list[Entry]:
        return [incident_row(RULES[name].name, alert) for name, alert in self.alerts.items()]

    def _charts(self) -> Entry:
        since = {name: counts.to_bytes() for name, counts in self._since.items()}
        saved = SavedCharts(self.charts.to_bytes(), since, self._uncharted.to_bytes())
        return Entry(CHARTS, msgspec.msgpack.encode(saved))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the incidents; the charts where the reference is the one that they were made of."""
        by_rule = {RULES[name].name: alert for name, alert in self.alerts.items()}
        facts = list[Fact]()
        for entry in entries:
            if entry.kind in by_rule:
                restore_row(entry, by_rule[entry.kind])
            elif entry.kind == CHARTS and alike:
                facts += self._restore(msgspec.msgpack.decode(entry.held, type=SavedCharts))
        return facts

    def _restore(self, saved: SavedCharts) -> list[Fact]:
        try:
            self.charts.restore(saved.charts)
        except ValueError as error:
            return [StateReset(self._key, f"charts of the service start anew: {error}")]
        self._since = {name: ServedCounts.from_bytes(held) for name, held in saved.since.items()}
        self._uncharted = ServedCounts.from_bytes(saved.uncharted)
        return []


def plan_of(plan: BudgetSpec, per_month: float) -> BudgetSpec:
    """What is asked of the charts of a service, beside those of features."""
    return replace(plan, per_month=per_month, floors=FLOORS, own_floors={}, importance={}, own_baselines={})
