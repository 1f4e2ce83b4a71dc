"""Rows as earlier versions wrote them, to those of today: a series kept its rules and incidents in its own row."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from detectors import DriftScore
from monitor.alerting.alerts import Alert
from monitor.alerting.episodes import Episode, Evidence
from monitor.facts import WindowSpan
from monitor.series.alerts import SavedRule
from monitor.series.incident import SavedIncident, packed_incidents
from monitor.series.records import Entry
from monitor.series.rules import RULES
from monitor.series.view import STATE, SavedView
from monitor.stream.events import Nanos
from monitor.stream.rising import Last


@dataclass(slots=True)
class OldIncident:
    """What the budget's rules kept besides; their evidence has words and no counts."""

    found: tuple[Evidence, ...]
    opened_at: Nanos | None
    told: tuple[str, ...]


@dataclass(slots=True)
class OldRule:
    """A rule's state."""

    rule: str
    alerts: dict[str, Alert]
    scores: dict[str, DriftScore]
    episode: Episode
    incident: OldIncident | None = None

    @property
    def saved(self) -> SavedRule:
        """The same as today."""
        return SavedRule(self.rule, self.alerts, self.scores, self.episode)


@dataclass(slots=True)
class OldSeries:
    """A series' own row."""

    fingerprint: str
    origin: Nanos | None
    sealed_until: Nanos | None
    rules: Mapping[str, OldRule] = field(default_factory=dict)
    last: WindowSpan | None = None
    rising: Last = field(default_factory=dict)

    def entries(self) -> list[Entry]:
        """The rows of today."""
        view = SavedView(self.fingerprint, self.origin, self.sealed_until, self.last, self.rising)
        rules = {name: rule.saved for name, rule in self.rules.items() if rule.incident is None}
        incidents = {
            name: SavedIncident(rule.saved, rule.incident.found, rule.incident.opened_at, rule.incident.told)
            for name, rule in self.rules.items()
            if rule.incident is not None
        }
        return [
            Entry(STATE, msgspec.json.encode(view)),
            *([Entry(RULES, msgspec.json.encode(rules))] if rules else []),
            *([packed_incidents(incidents)] if incidents else []),
        ]


def todays(entries: Iterable[Entry]) -> list[Entry]:
    """The rows of one view as this version writes them."""
    found = []
    for entry in entries:
        found += msgspec.json.decode(entry.held, type=OldSeries).entries() if entry.kind == STATE else [entry]
    return found
