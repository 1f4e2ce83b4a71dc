"""What becomes of alerts whose rule was removed or changed: who was told of them is told that they have ended."""

from collections.abc import Mapping, Sequence

import msgspec

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.budget import OF_SERVICE
from monitor.alerting.episodes import OPEN
from monitor.alerting.rules import CONTRACT_RULE, SCHEMA_RULE, AlertRule, Severity
from monitor.facts import AlertChanged, Fact, StateReset, WindowSpan
from monitor.series.alerts import SavedRule
from monitor.series.incident import INCIDENT, saved_incidents
from monitor.series.records import Entry
from monitor.series.rules import RULES, saved_rules
from monitor.series.view import STATE, SavedView
from monitor.stream.events import SeriesKey

INCIDENTS = frozenset({INCIDENT, CONTRACT_RULE, SCHEMA_RULE, *(rule.name for rule in OF_SERVICE)})  # kinds of rows


def ends_of_removed_rules(key: SeriesKey, entries: Sequence[Entry], rules: Mapping[str, AlertRule]) -> list[Fact]:
    """The ends of open alerts of rules that are not among `rules` as they were saved."""
    removed = _removed(entries, rules)
    ended = (_ended(key, *of, saved, view) for view in _views(entries) for of, saved in removed.items())
    return [fact for fact in ended if fact is not None]


def resets_of_removed_rules(key: SeriesKey, entries: Sequence[Entry], rules: Mapping[str, AlertRule]) -> list[Fact]:
    """Which alerts are forgotten, and why."""
    gone, changed = "is gone: its alert is forgotten", "changed: its alert starts anew"
    names = dict.fromkeys(name for name, _ in _removed(entries, rules))
    return [StateReset(key, f"rule {name} {changed if name in rules else gone}") for name in names]


def _removed(entries: Sequence[Entry], rules: Mapping[str, AlertRule]) -> dict[tuple[str, IncidentKind], SavedRule]:
    """The saved alerts whose rule is gone or another, by rule and kind."""
    saved = {
        (name, IncidentKind.DRIFT): rule
        for entry in entries
        if entry.kind == RULES
        for name, rule in saved_rules(entry).items()
    }
    for entry in entries:
        if entry.kind in INCIDENTS:
            incidents = saved_incidents(entry).items()
            saved |= {(name.partition("/")[0], incident.kind): incident.alert for name, incident in incidents}
    return {of: rule for of, rule in saved.items() if not rule.made_under(rules.get(of[0]))}


def _views(entries: Sequence[Entry]) -> list[SavedView]:
    return [msgspec.json.decode(entry.held, type=SavedView) for entry in entries if entry.kind == STATE]


def _ended(key: SeriesKey, name: str, kind: IncidentKind, saved: SavedRule, view: SavedView) -> AlertChanged | None:
    episode = saved.episode
    if episode.state not in OPEN or episode.since is None:
        return None
    return AlertChanged(
        key=key,
        rule=name,
        severity=Severity(msgspec.json.decode(saved.rule)["severity"]),
        before=episode.state,
        after=AlertState.INACTIVE,
        since=episode.since,
        episode=episode.number,
        window=view.last or WindowSpan(episode.since, episode.since, 0),
        evidence=(),
        reference=view.fingerprint.partition(":")[0],
        kind=kind,
    )
