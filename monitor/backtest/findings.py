"""Keeps, of the facts of a replay, what the result is made of."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from detectors.charts import IncidentKind
from detectors.charts.design import CHARTS
from detectors.charts.point import ChartPoint
from detectors.features import Bools
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN, Evidence
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE
from monitor.alerting.severity import worst_severity
from monitor.backtest.contract import ContractFindings
from monitor.backtest.inject import Plant
from monitor.backtest.labelled import Judgements, LabelsRead
from monitor.backtest.pictures import Pictures
from monitor.backtest.replay import Turn
from monitor.backtest.result import AlertEpisode, EventCounts, Injected, Retrain, TopicEvents
from monitor.backtest.served import ServiceOutcome
from monitor.backtest.sweep import Sweep, explained, windows_between
from monitor.backtest.thinning import PeakPoint, RowsPoint, Thinned
from monitor.explain.stream import late_cause
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    CalibrationLearning,
    CalibrationLearnt,
    ContractBroken,
    EventsAhead,
    EventsCounted,
    EventsRejected,
    Fact,
    FieldsRejected,
    HalvesCounted,
    JoinCounted,
    PerformanceEstimated,
    PerformanceJudged,
    RetrainDecided,
    SchemaChanged,
    ServiceJudged,
    ServiceLearning,
    ServiceLearnt,
    SubgroupCharted,
    WindowClosed,
    WindowScored,
)
from monitor.series.series import SeriesSpec
from monitor.stream.events import EventBatch, Nanos, Partition, SeriesKey


@dataclass(slots=True)
class Hunt:
    """A planted change and what was found of it."""

    plant: Plant
    found: tuple[Nanos, str, int, Nanos] | None = None  # when, by which rule, in which place, by steps of which length
    crossed: tuple[Nanos, str, Nanos] | None = (
        None  # when which chart of its features fired anew, an incident being open
    )
    fired: str = ""  # the first chart of its features that fired anew, told or not
    before: Bools | None = None  # bool[features, charts]: what fired when the change came

    def see(self, rule: str, named: Mapping[str, Nanos], end: Nanos, length: Nanos) -> None:
        """An alert fires at `end`, on a window or subgroup of `length`: does it name the feature, and not from before?"""
        if self.found is not None or not explained(self.plant, end, length):
            return
        new = [
            place
            for place, (feature, first) in enumerate(named.items(), start=1)
            if feature in self.plant.features and first > self.plant.at
        ]
        if new:
            self.found = end, rule, new[0], length

    def chart(self, point: ChartPoint, rows: Sequence[int], length: Nanos, *, told: bool) -> None:
        """The charts took one more point: does one of the features fire that did not? `told`: an incident is open, which people see."""
        firing = (point.firing | point.certain)[list(rows)]
        if point.end <= self.plant.at:
            self.before = firing
        elif self.crossed is None and explained(self.plant, point.end, length):
            new = firing if self.before is None else firing & ~self.before
            if new.any():
                chart = CHARTS[int(np.flatnonzero(new.any(axis=0))[0])]
                self.fired = self.fired or chart
                self.crossed = (point.end, chart, length) if told else None

    @property
    def injected(self) -> Injected:
        """As a value: found where an alert names it, or where its chart fired while another incident was open.

        A chart that fires while none is open finds nothing: nobody is told.
        """
        plant = self.plant
        injected = Injected(plant.text, plant.key, plant.features[0], plant.at, plant.until, plant.rows)
        if self.crossed is not None and (self.found is None or self.crossed[0] < self.found[0]):
            end, chart, length = self.crossed
            delay = windows_between(plant.at, end, length)
            return replace(injected, found_at=end, rule=BUDGET_RULE, delay=delay, chart=chart)
        if self.found is None:
            return replace(injected, chart=self.fired)
        end, rule, rank, length = self.found
        chart = self.fired if rule == BUDGET_RULE else ""
        delay = windows_between(plant.at, end, length)
        return replace(injected, found_at=end, rule=rule, delay=delay, rank=rank, chart=chart)


@dataclass(slots=True)
class SeriesFindings:
    """What became of one series."""

    spec: SeriesSpec
    hunts: list[Hunt]
    sweep: Sweep
    pictures: Pictures
    rows: Thinned[RowsPoint] = field(default_factory=Thinned)
    peaks: Thinned[PeakPoint] = field(default_factory=Thinned)
    outcomes: Counter[str] = field(default_factory=Counter)
    first: Nanos | None = None
    last: Nanos | None = None
    rows_judged: int = 0
    charted: bool = False
    thresholds: dict[str, float] = field(default_factory=dict)
    warned: int = 0
    warnings_due: float = 0.0
    at: Nanos = 0  # the end of the newest window or subgroup judged
    learning: CalibrationLearning | None = None  # how far a cold reference has come
    learnt: CalibrationLearnt | None = None
    served: ServiceOutcome | None = None  # None: nothing judges requests
    begun_at: Nanos | None = None  # the start of the first
    opened_at: Nanos = 0  # the start of the newest window
    judgements: Judgements = field(default_factory=Judgements)
    contract: ContractFindings = field(default_factory=ContractFindings)
    named: dict[tuple[str, IncidentKind], dict[str, Nanos]] = field(
        default_factory=dict
    )  # by alert: whom it names, and since when

    def count(self, batch: EventBatch) -> None:
        """Note how far its events reach."""
        if len(batch):
            first, last = int(batch.event_times.min()), int(batch.event_times.max())
            self.first = first if self.first is None else min(first, self.first)
            self.last = last if self.last is None else max(last, self.last)
            self.contract.count(batch)

    def judged_length(self, rule: str) -> Nanos:
        """How long what a rule judges is: windows, of the charts subgroups."""
        return self.subgroup_ns if rule == BUDGET_RULE and self.charted else self.spec.windows.length

    @property
    def subgroup_ns(self) -> Nanos:
        """How long a whole subgroup is; the first is usually cut. 0: there are none."""
        return subgroup_length(self.spec) if self.charted else 0

    def name(self, alert: tuple[str, IncidentKind], evidence: Sequence[Evidence]) -> dict[str, Nanos]:
        """Note which features an alert names now; when each of them was first named, in the order of the evidence."""
        before = self.named.get(alert, {})
        self.named[alert] = {entry.feature: before.get(entry.feature, self.at) for entry in evidence}
        return self.named[alert]

    def close(self, window: WindowClosed) -> None:
        """A window was judged."""
        self.at = window.end
        self.begun_at = window.start if self.begun_at is None else self.begun_at
        self.rows.add(RowsPoint(window.end, 1, window.rows))
        self.rows_judged += window.rows

    def learn(self, fact: CalibrationLearning | CalibrationLearnt) -> None:
        """A cold reference has come further, or far enough."""
        if isinstance(fact, CalibrationLearnt):
            self.learning, self.learnt = None, fact
        else:
            self.learning = fact

    def serve(self, fact: ServiceJudged | ServiceLearning | ServiceLearnt) -> None:
        """Requests were judged, or what is usual of them was learnt."""
        self.served = (self.served or ServiceOutcome()).hear(fact)

    def chart(self, fact: SubgroupCharted, per_month: float, *, told: bool) -> None:
        """The charts took one more point; `told`: an incident of the budget is open."""
        point = fact.point
        self.at = fact.end
        self.begun_at = fact.start if self.begun_at is None else self.begun_at
        self.charted = True
        self.peaks.add(PeakPoint.of(point))
        self.warned += point.warned
        self.warnings_due += point.expected_warnings
        if not self.thresholds:
            self.thresholds = thresholds_of(point)
        self.sweep.take(point, per_month)
        names = self.spec.reference.names
        for hunt in self.hunts:
            hunt.chart(point, [names.index(name) for name in hunt.plant.features], self.subgroup_ns, told=told)


@dataclass(slots=True)
class TopicFindings:
    """What became of the events of one topic. `trailing`: late events by the partition that was furthest behind; None: none was."""

    outcomes: Counter[str] = field(default_factory=Counter)
    trailing: Counter[Partition | None] = field(default_factory=Counter)
    behind: dict[Partition | None, Nanos] = field(default_factory=dict)  # the most
    ahead: int = 0
    lead: Nanos = 0
    late_live: int = 0

    def count(self, fact: EventsCounted, behind: Mapping[Partition, Nanos]) -> None:
        """Events were counted, or late."""
        self.outcomes[fact.outcome] += fact.count
        if fact.outcome == "late":
            ours = {place: by for place, by in behind.items() if place.topic == fact.topic and by > 0}
            furthest = max(ours, key=lambda place: ours[place], default=None)
            self.trailing[furthest] += fact.count
            self.behind[furthest] = max(self.behind.get(furthest, 0), 0 if furthest is None else ours[furthest])

    def events(self, topic: str) -> TopicEvents:
        """As a value, with the cause of most of the late ones."""
        cause = ""
        if self.trailing:
            place = self.trailing.most_common(1)[0][0]
            cause = late_cause(topic, {} if place is None else {place: self.behind[place]})
        late_live = max(self.late_live, self.outcomes["late"])
        cause = cause or (late_cause(topic, {}) if late_live else "")
        return TopicEvents(topic, self.outcomes["ok"], self.outcomes["late"], cause, self.ahead, self.lead, late_live)


class Findings:
    """What a replay has said so far. `budget`: false alarms a month that are configured, None where off."""

    def __init__(
        self,
        specs: Iterable[SeriesSpec],
        plants: Sequence[Plant],
        budget: float | None,
        budgets: Sequence[float],
        shown: Sequence[str] = (),
        label_topics: frozenset[str] = frozenset(),
    ) -> None:
        self.budget = budget
        self.label_topics = {topic: LabelsRead() for topic in label_topics}
        self.series: dict[SeriesKey, SeriesFindings] = {}
        for spec in specs:
            planted = [plant for plant in plants if plant.key == spec.key]
            sweep = Sweep(spec.reference.names, planted, budgets, subgroup_length(spec))
            pictures = Pictures(spec.reference, shown)
            self.series[spec.key] = SeriesFindings(spec, [Hunt(plant) for plant in planted], sweep, pictures)
        self.events: Counter[str] = Counter()
        self.topics: dict[str, TopicFindings] = defaultdict(TopicFindings)
        self.halves: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)  # by topic and half
        self.rejected: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self.windows = 0
        self.alerts: list[AlertEpisode] = []
        self.retrains: list[Retrain] = []
        self._open: dict[tuple[SeriesKey, str, IncidentKind], int] = {}  # the place among the alerts

    def take(self, turn: Turn) -> None:
        """One piece of the record."""
        self.events["outside"] += turn.outside
        for batch in turn.batches:
            self.series[batch.key].count(batch)
        for topic, late in turn.late_live.items():
            self.topics[topic].late_live += late
        for fact in turn.facts:
            if isinstance(fact, ContractBroken | SchemaChanged):
                self.series[fact.key].contract.hear(fact)
            elif not self._of_labels(fact):
                self._hear_of_topic(fact, turn.behind)
                self._hear(fact)
        for fact in turn.advanced:
            self._draw(fact)

    def _draw(self, fact: Fact) -> None:
        """Keep what pictures are made of: counts, which facts that have words no longer hold."""
        match fact:
            case WindowClosed():
                self.series[fact.key].opened_at = fact.start
            case WindowScored():
                series = self.series[fact.key]
                series.pictures.see(fact.counts, series.opened_at, fact.at)
            case AlertChanged(after=state) | AlertSeen(state=state) if state in OPEN:
                at = fact.window.end if isinstance(fact, AlertChanged) else self.series[fact.key].at
                self.series[fact.key].pictures.alarm(fact.rule, fact.evidence, at)
            case CalibrationLearnt():
                self.series[fact.key].pictures.learn(fact.reference)
            case _:
                pass

    def _of_labels(self, fact: Fact) -> bool:
        """Whether a fact is of labels, which are no events."""
        match fact:
            case EventsCounted(topic=topic, outcome=outcome, count=count) if topic in self.label_topics:
                self.label_topics[topic].outcomes[outcome] += count
            case EventsRejected(topic, reason, count) | FieldsRejected(topic, reason, count) if (
                topic in self.label_topics
            ):
                self.label_topics[topic].reasons[reason] += count
            case EventsAhead(partition=Partition(topic=topic)):
                return topic in self.label_topics
            case PerformanceJudged() | PerformanceEstimated():
                self.series[fact.key].judgements.take(fact)
            case HalvesCounted(topic=topic, half=half, outcomes=outcomes):
                self.halves[topic, half].update(outcomes)
            case JoinCounted(side="label"):
                self.series[fact.key].judgements.labels.update(fact.outcomes)
            case _:
                return False
        return True

    def _hear_of_topic(self, fact: Fact, behind: Mapping[Partition, Nanos]) -> None:
        match fact:
            case EventsCounted():
                self.topics[fact.topic].count(fact, behind)
            case EventsAhead(partition, count, lead):
                topic = self.topics[partition.topic]
                topic.ahead, topic.lead = topic.ahead + count, max(topic.lead, lead)
            case _:
                pass

    def _hear(self, fact: Fact) -> None:
        match fact:
            case EventsCounted():
                self.events[fact.outcome] += fact.count
                if fact.key is not None:
                    self.series[fact.key].outcomes[fact.outcome] += fact.count
            case EventsRejected():
                self.rejected[fact.reason] += fact.count
            case FieldsRejected():
                self.fields[fact.reason] += fact.count
            case WindowClosed():
                self.windows += 1
                self.series[fact.key].close(fact)
            case SubgroupCharted() if self.budget is not None:
                told = any(key == fact.key and rule == BUDGET_RULE for key, rule, _ in self._open)
                self.series[fact.key].chart(fact, self.budget, told=told)
            case CalibrationLearning() | CalibrationLearnt() | ServiceJudged() | ServiceLearning() | ServiceLearnt():
                self._learn(fact)
            case AlertSeen() | AlertChanged():
                self._follow(fact)
            case RetrainDecided():
                self.retrains.append(Retrain(fact.key, fact.rule, fact.at, fact.reason, fact.outcome.value))
            case _:
                pass

    def _learn(
        self, fact: CalibrationLearning | CalibrationLearnt | ServiceJudged | ServiceLearning | ServiceLearnt
    ) -> None:
        series = self.series[fact.key]
        if isinstance(fact, CalibrationLearning | CalibrationLearnt):
            series.learn(fact)
        else:
            series.serve(fact)

    def _follow(self, fact: AlertSeen | AlertChanged) -> None:
        series, place = self.series[fact.key], (fact.key, fact.rule, fact.kind)
        if isinstance(fact, AlertChanged):
            series.at = max(series.at, fact.window.end)  # what labels say comes later, of windows before
            if fact.opened:
                self._open[place] = len(self.alerts)
                self.alerts.append(begun(fact))
        state = fact.after if isinstance(fact, AlertChanged) else fact.state
        if (number := self._open.get(place)) is not None:
            told = self.alerts[number]
            worst = worst_severity(told.severity, fact.severity)
            self.alerts[number] = replace(joined_by(told, fact.evidence), about=fact.about, severity=worst)
        named = series.name((fact.rule, fact.kind), fact.evidence if state in OPEN else ())
        if state is AlertState.FIRING:
            for hunt in series.hunts:
                hunt.see(fact.rule, named, series.at, series.judged_length(fact.rule))
        if isinstance(fact, AlertChanged) and fact.closed and number is not None:
            self.alerts[number] = replace(self.alerts[number], resolved_at=fact.window.end, settled=fact.settled)
            del self._open[place]

    @property
    def labels_rejected(self) -> Counter[str]:
        """Labels of topics of their own that could not be used, by reason."""
        return sum((labels.reasons for labels in self.label_topics.values()), Counter[str]())

    def open_share(self, key: SeriesKey) -> float:
        """Time with an incident, or an alert of an explicit rule, open over the time judged."""
        first, last = self.series[key].begun_at, self.series[key].at
        if first is None or last <= first:
            return 0.0
        ends = sorted(
            (alert.fired_at, last if alert.resolved_at is None else min(alert.resolved_at, last))
            for alert in self.alerts
            if alert.key == key and alert.rule != SELF_CHECK_RULE
        )
        covered, until = 0, first
        for begin, end in ends:
            covered += max(end - max(begin, until), 0)
            until = max(until, end)
        return covered / (last - first)

    @property
    def counts(self) -> EventCounts:
        """Events by outcome."""
        return EventCounts(**{name: self.events[name] for name in EventCounts.__slots__})

    def requested(self, *, granted: bool) -> tuple[Retrain, ...]:
        """The wishes to retrain that were granted, or those that were not."""
        return tuple(retrain for retrain in self.retrains if (retrain.outcome == RetrainOutcome.REQUESTED) is granted)


def subgroup_length(spec: SeriesSpec) -> Nanos:
    """How long a subgroup of a series is; its window, where it has no charts."""
    plan, calibration = spec.judging.plan, spec.reference.calibration
    return spec.windows.length if plan is None or calibration is None else plan.subgroup_ns(calibration)


def thresholds_of(point: ChartPoint) -> dict[str, float]:
    """The threshold of each chart."""
    return dict(zip(CHARTS, point.thresholds.tolist(), strict=True))


def begun(fact: AlertChanged) -> AlertEpisode:
    """An episode that has just begun."""
    return AlertEpisode(
        key=fact.key,
        rule=fact.rule,
        severity=fact.severity,
        since=fact.since,
        fired_at=fact.window.end,
        resolved_at=None,
        window=fact.window,
        evidence=fact.evidence,
        kind=fact.kind,
        about=fact.about,
    )


def joined_by(episode: AlertEpisode, evidence: Sequence[Evidence]) -> AlertEpisode:
    """The episode with the features that it had not named before."""
    known = {entry.feature for entry in (*episode.evidence, *episode.joined)}
    more = tuple(entry for entry in evidence if entry.feature not in known)
    return replace(episode, joined=episode.joined + more) if more else episode
