"""The budget's alerts at work: an incident with what is said of it, and how it is saved."""

import zlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

import msgspec

from detectors.charts import IncidentKind
from detectors.charts.matters import Matters
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.alerting.incidents import Escalation, Incident
from monitor.alerting.rules import BUDGET_RULE, AlertRule, Severity
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, Fact, WindowSpan
from monitor.series.alerts import SavedRule, Teller
from monitor.series.records import Entry
from monitor.series.traces import IncidentTrace, JudgeStep, RecordedIncident, RuleTrace, SumStep
from monitor.stream.events import DAY, Nanos

INCIDENT = "incident"


class IncidentAlert:
    """One incident of these features, and who tells of it. `rules`: by feature, where scores go through them."""

    def __init__(
        self,
        teller: Teller,
        features: Collection[str],
        rules: Mapping[str, AlertRule] = MappingProxyType({}),
        apart: Nanos = DAY,
    ) -> None:
        self.teller = teller
        self.features = features
        self.state = RuleState(rules)  # the alerts of its features, and the episode
        self.incident = RecordedIncident(self.state, apart)

    @property
    def name(self) -> str:
        """What it is called among the saved ones: its rule, and its kind where that is not drift."""
        rule, kind = self.teller.rule.name, self.teller.kind
        return rule if kind is IncidentKind.DRIFT or rule != BUDGET_RULE else f"{rule}/{kind.value}"

    def told(
        self,
        episodes: tuple[Episode, Episode],
        window: WindowSpan,
        steps: Callable[[], tuple[SumStep | JudgeStep, ...]] = tuple,
    ) -> list[Fact]:
        """How it stands after a window or subgroup, given the episode before and after. `steps`: how its scores came about."""
        facts = told_of(self.teller, self.incident, episodes, window)
        changed = any(not isinstance(fact, AlertSeen) for fact in facts)
        if not changed:
            self.incident.passed()
            return [*facts]
        trace = self.incident.trace(self.teller, episodes, window)
        if trace is not None:
            found = steps()
            sums = tuple(each for each in found if isinstance(each, SumStep))
            judged = tuple(each for each in found if isinstance(each, JudgeStep))
            trace = replace(trace, sums=sums, judged=judged)
        return [traced(fact, trace) for fact in facts]

    def current(self) -> list[AlertSeen]:
        """How it stands, unless it is inactive."""
        episode = self.state.episode
        if episode.state is AlertState.INACTIVE:
            return []
        return [self.teller.seen(episode, self.incident.evidence, self.incident.standing)]


def told_of(
    teller: Teller, incident: Incident, episodes: tuple[Episode, Episode], window: WindowSpan
) -> list[AlertSeen | AlertChanged | AlertEscalated]:
    """How an incident stands after a window or subgroup, given the episode before and after."""
    if episodes[0].state is episodes[1].state is AlertState.INACTIVE and not incident.news:
        return []
    about = incident.standing
    facts: list[AlertSeen | AlertChanged | AlertEscalated] = [*teller.told(*episodes, incident.evidence, window, about)]
    if incident.news:
        known = incident.known or teller.rule.severity
        facts.append(teller.escalated(episodes[1], incident.evidence, incident.news, window, about, known))
    return facts


def traced(fact: AlertSeen | AlertChanged | AlertEscalated, trace: IncidentTrace | RuleTrace | None) -> Fact:
    """The fact with what it was decided from."""
    trace = None if trace is None else replace(trace, said=fact)
    match fact:
        case AlertChanged():
            return replace(fact, trace=trace)
        case AlertEscalated(alert=alert):
            return replace(fact, alert=replace(alert, trace=trace))
        case _:
            return fact


@dataclass(slots=True)
class SavedIncident:
    """An incident as saved. Its evidence holds the counts that words are made of, and no words; so do members that fire no more."""

    alert: SavedRule
    evidence: tuple[Evidence, ...]
    opened_at: Nanos | None
    told: tuple[str, ...]  # sorted: a set would be saved in another order by each process
    kind: IncidentKind = IncidentKind.DRIFT
    members: tuple[Evidence, ...] = ()
    matters: dict[str, Nanos] = field(default_factory=dict)  # by feature
    settled: tuple[str, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    severity: Severity | None = None
    heard: dict[str, Nanos] = field(default_factory=dict)
    largest: dict[str, float] = field(default_factory=dict)
    due: tuple[str, ...] = ()
    again_at: Nanos | None = None

    @classmethod
    def of(cls, alert: IncidentAlert, matters: Matters) -> "SavedIncident":
        """The incident as it is to be saved, with what fires of its kind."""
        incident = alert.incident
        saved = SavedRule.of(alert.teller.rule, incident.state)
        firing = {each.feature for each in incident.evidence}
        members = tuple(
            replace(each, counts=b"") if each.feature in firing else each for each in incident.members.values()
        )
        of_kind = {name: began for (name, kind), began in matters.items() if kind is alert.teller.kind}
        return cls(
            alert=saved,
            evidence=incident.evidence,
            opened_at=incident.opened_at,
            told=tuple(sorted(incident.told)),
            kind=alert.teller.kind,
            members=members,
            matters=of_kind,
            settled=incident.settled,
            escalations=incident.escalations,
            severity=incident.severity,
            heard=incident.heard,
            largest=incident.largest,
            due=incident.due,
            again_at=incident.again_at,
        )

    def restore(self, alert: IncidentAlert) -> None:
        """Take it up again, unless its rule has changed."""
        if not self.alert.made_under(alert.teller.rule):
            return
        self.alert.restore(alert.state, alert.features)
        incident = alert.incident
        incident.evidence, incident.opened_at, incident.told = self.evidence, self.opened_at, frozenset(self.told)
        firing = {each.feature: each for each in self.evidence} if incident.state.episode.state in OPEN else {}
        incident.members = {each.feature: firing.get(each.feature, each) for each in self.members}
        incident.settled, incident.escalations, incident.severity = self.settled, self.escalations, self.severity
        incident.heard, incident.largest = self.heard, self.largest
        incident.due, incident.again_at = self.due, self.again_at


def incident_entry(alerts: Sequence[IncidentAlert], matters: Matters | None = None) -> Entry:
    """The incidents of a series in one row."""
    return packed_incidents({alert.name: SavedIncident.of(alert, matters or {}) for alert in alerts})


def packed_incidents(saved: Mapping[str, SavedIncident]) -> Entry:
    """Saved incidents, by name, in one row."""
    return Entry(INCIDENT, zlib.compress(msgspec.msgpack.encode(saved), 1))


def saved_incidents(entry: Entry) -> dict[str, SavedIncident]:
    """The incidents of a row."""
    return msgspec.msgpack.decode(zlib.decompress(entry.held), type=dict[str, SavedIncident])


def restore_incidents(entries: Sequence[Entry], alerts: Sequence[IncidentAlert], *, alike: bool) -> Matters:
    """Take up saved incidents; what fires is returned. Counts of another layout say nothing any more."""
    saved = {name: each for entry in entries if entry.kind == INCIDENT for name, each in saved_incidents(entry).items()}
    for alert in alerts:
        if alert.name in saved:
            saved[alert.name].restore(alert)
            if not alike:
                without_counts(alert.incident)
    return {(name, each.kind): began for each in saved.values() for name, began in each.matters.items()}


def incident_row(kind: str, alert: IncidentAlert) -> Entry:
    """One incident in a row of its own kind."""
    return Entry(kind, incident_entry([alert]).held)


def restore_row(entry: Entry, alert: IncidentAlert) -> None:
    """Take up the incident of such a row, whatever its features are called."""
    for saved in saved_incidents(entry).values():
        alert.features = tuple(saved.alert.alerts)
        saved.restore(alert)


def without_counts(incident: Incident) -> None:
    """Leave out what words would be made of: counts of another layout say nothing."""
    incident.evidence = tuple(replace(each, counts=b"") for each in incident.evidence)
    incident.members = {name: replace(each, counts=b"") for name, each in incident.members.items()}
