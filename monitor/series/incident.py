"""The budget's alerts at work: an incident with what is said of it, and how it is saved."""

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import msgspec

from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Episode, Evidence, RuleState
from monitor.alerting.incidents import Incident
from monitor.alerting.rules import AlertRule
from monitor.facts import AlertSeen, Fact, WindowSpan
from monitor.series.alerts import SavedRule, Teller
from monitor.series.records import Entry
from monitor.stream.events import Nanos

INCIDENT = "incident"


class IncidentAlert:
    """One incident of these features, and who tells of it. `rules`: by feature, where scores go through them."""

    def __init__(
        self, teller: Teller, features: Collection[str], rules: Mapping[str, AlertRule] = MappingProxyType({})
    ) -> None:
        self.teller = teller
        self.features = features
        self.incident = Incident(RuleState(rules))

    @property
    def state(self) -> RuleState:
        """The alerts of its features, and the episode."""
        return self.incident.state

    def told(self, episodes: tuple[Episode, Episode], window: WindowSpan) -> list[Fact]:
        """How it stands after a window or subgroup, given the episode before and after."""
        return [*self.teller.told(*episodes, self.incident.evidence, window)]

    def current(self) -> list[AlertSeen]:
        """How it stands, unless it is inactive."""
        episode = self.state.episode
        return [] if episode.state is AlertState.INACTIVE else [self.teller.seen(episode, self.incident.evidence)]


@dataclass(slots=True)
class SavedIncident:
    """An incident as saved. Its evidence holds the counts that words are made of, and no words."""

    alert: SavedRule
    evidence: tuple[Evidence, ...]
    opened_at: Nanos | None
    told: frozenset[str]

    @classmethod
    def of(cls, alert: IncidentAlert) -> "SavedIncident":
        """The incident as it is to be saved."""
        incident = alert.incident
        saved = SavedRule.of(alert.teller.rule, incident.state)
        return cls(saved, incident.evidence, incident.opened_at, incident.told)

    def restore(self, alert: IncidentAlert) -> None:
        """Take it up again, unless its rule has changed."""
        if not self.alert.made_under(alert.teller.rule):
            return
        self.alert.restore(alert.state, alert.features)
        incident = alert.incident
        incident.evidence, incident.opened_at, incident.told = self.evidence, self.opened_at, self.told


def incident_entry(alerts: Sequence[IncidentAlert]) -> Entry:
    """The incidents of a series in one row."""
    return packed_incidents({alert.teller.rule.name: SavedIncident.of(alert) for alert in alerts})


def packed_incidents(saved: Mapping[str, SavedIncident]) -> Entry:
    """Saved incidents, by their rules, in one row."""
    return Entry(INCIDENT, zlib.compress(msgspec.msgpack.encode(saved), 1))


def saved_incidents(entry: Entry) -> dict[str, SavedIncident]:
    """The incidents of a row."""
    return msgspec.msgpack.decode(zlib.decompress(entry.held), type=dict[str, SavedIncident])


def restore_incidents(entries: Sequence[Entry], alerts: Sequence[IncidentAlert], *, alike: bool) -> None:
    """Take up saved incidents. Counts of another layout say nothing any more."""
    saved = {name: each for entry in entries if entry.kind == INCIDENT for name, each in saved_incidents(entry).items()}
    for alert in alerts:
        if alert.teller.rule.name in saved:
            saved[alert.teller.rule.name].restore(alert)
            if not alike:
                alert.incident.evidence = tuple(replace(each, counts=b"") for each in alert.incident.evidence)
