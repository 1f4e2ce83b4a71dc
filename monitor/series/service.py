"""Whether requests take longer or fail more often than in the reference: by the charts of features, an incident of the service each.

Latency is one number of the reference's service profile, failures are its missing values, so hours, days and their variation are known
as they are of features (detectors/reference/service.py). What is quicker, or fails less, is nobody's incident, and nothing is trained
for any of it. The first matters are the service's, so the charts have a share of the budget of their own.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from detectors import Sketch, special
from detectors.charts import CHARTS as ALL_CHARTS
from detectors.charts import BudgetSpec, ChartPoint, Charts, FiringFeature, FiringReader, IncidentKind, LevelStep
from detectors.charts.floors import Floors
from detectors.features import Floats
from detectors.reference.reference import ReferenceService
from detectors.reference.service import ERROR, LATENCY
from detectors.sketches.served import BOUNDS, ServedCounts
from monitor.alerting.alerts import Span
from monitor.alerting.budget import BY_ERRORS, BY_LATENCY
from monitor.alerting.episodes import OPEN, Evidence
from monitor.alerting.rules import AlertRule, Severity
from monitor.facts import Fact, ServiceJudged, StateReset, UsualLatency, WindowSpan
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
    LATENCY: [
        at
        for at, chart in enumerate(ALL_CHARTS)
        if chart in {"location+", "scale+", "shape", "unseen", "mass+", "mass-"}
    ],
    ERROR: [ALL_CHARTS.index("missing")],
}
UNEASY = 0.5  # of its threshold, from which a chart warns
RULES: Mapping[str, AlertRule] = {LATENCY: BY_LATENCY, ERROR: BY_ERRORS}
QUANTILES = {  # that are told, the first that says enough: times the usual from which each is slow, and critical
    0.95: (1.1, 1.5),
    0.99: (1.5, 3.0),
    0.999: (1.5, 3.0),
    0.5: (1.1, 1.5),
}
SHOWN = 0.5, 0.95, 0.99  # quantiles that are shown beside the usual
COMMON = {0.95, 0.5}  # of them: what few requests took differs by chance
TAIL = QUANTILES.keys() - {0.5}
SURELY = 1e-3  # the chance that as many requests are so slow, from which on a quantile says nothing
UP, DOWN = (ALL_CHARTS.index(chart) for chart in ("location+", "location-"))
MORE_POINTS, MORE_TIMES = 0.01, 3.0  # failures beyond the usual, and times it: critical
MICRO, PARTS, PER_MILLE = 1e6, 1e6, 1e3  # what words are made of
STAYING = frozenset({LevelStep.SETTLED, LevelStep.ACCEPTED, LevelStep.TAKEN})


@dataclass(frozen=True, slots=True)
class Quantile:
    """What so many of the requests took at most, and what is usual, in seconds; whether that is `sure` to be slower."""

    share: float
    now: float
    usual: float
    sure: bool

    @property
    def times(self) -> float:
        """How many times the usual."""
        return self.now / max(self.usual, float(BOUNDS[0]))

    @property
    def critical(self) -> bool:
        """Whether people are to be woken."""
        return self.sure and self.times >= QUANTILES[self.share][1]


class SavedCharts(msgspec.Struct):
    """The charts, and by name what was counted since one began to warn."""

    charts: bytes
    since: dict[str, bytes]
    uncharted: bytes
    due: bytes = b""  # float64[w]; earlier versions had none of these
    level: bytes = b""
    leans: int = 0
    came: int = 0


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
        self._came = 0  # requests, the same
        self._judged: ServiceJudged | None = None  # the last subgroup
        self._lately = ServedCounts()  # of the last subgroup
        self._due: Floats = np.zeros(self.charts.design.cells.width)  # by cell, of as many latencies as since then
        self._level: ServedCounts | None = None  # what is accepted or has settled
        self._leans = 0  # 1 where the centre is slower, -1 where it is quicker
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
        self._came += pane.sketch.rows
        for point in points:
            if point.end > pane.start:
                facts += self._follow(point)
        self._changed = True
        return facts

    def _follow(self, point: ChartPoint) -> list[Fact]:
        came, self._came = (self._uncharted, self._came), 0
        facts = self._told(point)
        self._judged = self._beside_usual(point, *came)
        return [*facts, self._judged]

    def _beside_usual(self, point: ChartPoint, served: ServedCounts, came: int) -> ServiceJudged:
        """How the requests of a subgroup were served, beside what is usual."""
        latencies = list[UsualLatency]()
        rates: tuple[float | None, float | None] = None, None
        if LATENCY in self._names:
            place = self._names.index(LATENCY)
            due = self.charts.expected(point.start, point.end)[place] * max(served.timed, 1)
            usual = ServedCounts(self._service.latencies(due, self._level))
            for share in SHOWN:
                latencies.append(UsualLatency(share, served.quantile(share), usual.quantile(share) or 0.0))
        if ERROR in self._names and came:
            held = float(self.charts.design.usual_rates[self._names.index(ERROR), 0])
            rates = served.failed / came, held
        told = tuple(RULES[name].name for name, alert in self.alerts.items() if alert.state.episode.state in OPEN)
        return ServiceJudged(self._key, point.start, point.end, came, served.timed, tuple(latencies), *rates, told)

    def _told(self, point: ChartPoint) -> list[Fact]:
        self._hold({self._names[each.place]: each.step for each in point.changes})
        read = self._reader.read(point)
        self._suspect(point, {each.feature for each in read})
        firing = {each.feature: each for each in reversed(read) if self._is_worse(each)}  # what says most comes last
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

    def _hold(self, changes: Mapping[str, LevelStep]) -> None:
        """Keep what requests took while a level came to be, for as long as it is one."""
        if LATENCY in changes:
            self._level = self._since.get(LATENCY, self._level) if changes[LATENCY] in STAYING else None

    def _suspect(self, point: ChartPoint, firing: Collection[str]) -> None:
        """Keep the counts of what fires or seems to become worse, from the subgroup on in which that began."""
        ratios = point.ratios
        uneasy = {
            name
            for place, name in enumerate(self._names)
            if name in firing or ratios[place, WORSE[name]].max() >= UNEASY
        }
        # Words are of what is from here on.
        anew = {self._names[place] for place in {*point.grown, *point.turned}} | self._quicker(point)
        kept = {name: counts for name, counts in self._since.items() if name in uneasy - anew}
        self._since = {name: kept.get(name, self._uncharted) for name in uneasy}
        if LATENCY in uneasy:
            due = self.charts.expected(point.start, point.end)[self._names.index(LATENCY)] * self._uncharted.timed
            self._due = self._due + due if LATENCY in kept else due
        self._lately, self._uncharted = self._uncharted, ServedCounts()

    def _quicker(self, point: ChartPoint) -> set[str]:
        """Latency, where its centre is no longer slower, or quicker from here on."""
        if LATENCY not in self._names:
            return set()
        firing = point.firing[self._names.index(LATENCY)]
        before, self._leans = self._leans, int(firing[UP]) - int(firing[DOWN])
        return {LATENCY} if self._leans < before else set()

    def _is_worse(self, each: FiringFeature) -> bool:
        """Whether requests take longer than is usual at these hours, or fail more often."""
        if each.feature == ERROR:
            return each.chart == "missing"
        if each.feature != LATENCY or each.chart == "missing":
            return False
        slow = self._slow()
        return slow.sure or (self._leans > 0 and slow.now > slow.usual)

    def _slow(self) -> Quantile:
        """The quantile that says most: the first that is critical, else that is surely slower, else of the common ones the furthest off."""
        found = self._quantiles()
        sure = [each for each in found if each.critical] or [each for each in found if each.sure]
        return sure[0] if sure else max((each for each in found if each.share in COMMON), key=lambda each: each.times)

    def _quantiles(self) -> list[Quantile]:
        counts, due = self._since.get(LATENCY, ServedCounts()), self._service.latencies(self._due, self._level)
        usual, found = ServedCounts(due), list[Quantile]()
        for share, (slow, _) in QUANTILES.items():
            now, held = counts.quantile(share) or 0.0, usual.quantile(share) or 0.0
            beyond = int(np.searchsorted(BOUNDS, slow * held)) + 1
            chance = poisson_tail(int(counts.latencies[beyond:].sum()), float(due[beyond:].sum()))
            said = share in TAIL or self._leans > 0  # the centre is for its own chart to say
            found.append(Quantile(share, now, held, said and now > slow * held and chance < SURELY))
        return found

    def _evidence(self, each: FiringFeature, point: ChartPoint) -> Evidence:
        rule = RULES[each.feature]
        numbers, severity = self._errors(each) if each.feature == ERROR else self._latency()
        counts, known = integers(*numbers), next(iter(self.alerts[each.feature].incident.evidence), None)
        if known is not None and known.counts and not each.grown and self._may_be_over(known):
            counts, severity = known.counts, known.severity or severity
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
            counts=counts,
        )

    def _may_be_over(self, told: Evidence) -> bool:
        """Whether the last subgroup is nearer to what is usual than to what was told: words stay those of what was wrong."""
        now, usual, *share = np.frombuffer(told.counts, "<i8").tolist()
        if told.feature == ERROR:
            lately = PARTS * (self._lately.error_rate or 0.0)
        else:
            lately = MICRO * (self._lately.quantile(share[0] / PER_MILLE) or 0.0)
        return bool(lately < (now + usual) / 2)

    def _latency(self) -> tuple[tuple[float, ...], Severity]:
        slow = self._slow()
        counts = MICRO * slow.now, MICRO * slow.usual, PER_MILLE * slow.share
        return counts, Severity.CRITICAL if slow.critical else Severity.WARNING

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
        self._hold({self._names[each.place]: each.step for each in changes})
        names = {self._names[each.place] for each in changes}
        facts = list[Fact]()
        for name in sorted(names):
            alert = self.alerts[name]
            alert.incident.settle([name])
            facts += alert.told(alert.incident.without({name}, Span(at, at)), WindowSpan(at, at, 0))
        return facts

    def current(self) -> list[Fact]:
        """The incidents that are not inactive, and the last subgroup."""
        judged = [] if self._judged is None else [self._judged]
        return [*(fact for alert in self.alerts.values() for fact in alert.current()), *judged]

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
        level = b"" if self._level is None else self._level.to_bytes()
        saved = SavedCharts(
            self.charts.to_bytes(),
            since,
            self._uncharted.to_bytes(),
            self._due.tobytes(),
            level,
            self._leans,
            self._came,
        )
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
        if saved.due:
            self._due = np.frombuffer(saved.due)
        else:  # what an earlier version counted says nothing of its hours
            self._since.pop(LATENCY, None)
        self._level = ServedCounts.from_bytes(saved.level) if saved.level else None
        self._leans, self._came = saved.leans, saved.came
        return []


def poisson_tail(count: int, due: float) -> float:
    """Return the chance of so many or more where so many are due."""
    return float(special.gammainc(count, due)) if count else 1.0


def plan_of(plan: BudgetSpec, per_month: float) -> BudgetSpec:
    """What is asked of the charts of a service, beside those of features."""
    return replace(plan, per_month=per_month, floors=FLOORS, own_floors={}, importance={}, own_baselines={})
