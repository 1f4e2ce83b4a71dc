"""Alerts of a series: what is said of them, and how their states are saved."""

from collections.abc import Container
from dataclasses import dataclass, replace
from typing import Self

import msgspec

from detectors import DriftScore
from detectors.charts import IncidentKind
from monitor.alerting.alerts import Alert, AlertState
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.alerting.incidents import Standing
from monitor.alerting.rules import AlertRule, Severity
from monitor.alerting.table import DetectorScores
from monitor.facts import AlertChanged, AlertEscalated, AlertSeen, WindowSpan
from monitor.facts.alerts import NOTHING
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class Teller:
    """Says what becomes of one rule's alert. `interval`: how long the windows or subgroups are by which it advances."""

    key: SeriesKey
    rule: AlertRule
    reference: str
    interval: Nanos
    calibration: str = ""  # where the rule rests on one
    kind: IncidentKind = IncidentKind.DRIFT

    def told(
        self,
        before: Episode,
        after: Episode,
        evidence: tuple[Evidence, ...],
        window: WindowSpan,
        about: Standing = NOTHING,
    ) -> list[AlertSeen | AlertChanged]:
        """How an alert stands after a window, and whether it changed; nothing of one that stays inactive."""
        if before.state is after.state is AlertState.INACTIVE:
            return []
        seen = self.seen(after, evidence, about)
        if before.state is after.state:
            return [seen]
        return [seen, self._changed(before, after, evidence, window, about)]

    def escalated(
        self,
        episode: Episode,
        evidence: tuple[Evidence, ...],
        news: tuple[Evidence, ...],
        window: WindowSpan,
        about: Standing,
        severity_before: Severity,
    ) -> AlertEscalated:
        """That an open incident is told again."""
        return AlertEscalated(self._changed(episode, episode, evidence, window, about), news, severity_before)

    def seen(self, episode: Episode, evidence: tuple[Evidence, ...], about: Standing = NOTHING) -> AlertSeen:
        """How an alert stands."""
        return AlertSeen(
            key=self.key,
            rule=self.rule.name,
            severity=about.severity or self.rule.severity,
            state=episode.state,
            since=episode.since,
            episode=episode.number,
            evidence=evidence,
            kind=self.kind,
            about=about,
        )

    def _changed(
        self, before: Episode, after: Episode, evidence: tuple[Evidence, ...], window: WindowSpan, about: Standing
    ) -> AlertChanged:
        since = before.since if before.state in OPEN and after.state not in OPEN else after.since or before.since
        assert since is not None
        return AlertChanged(
            key=self.key,
            rule=self.rule.name,
            severity=about.severity or self.rule.severity,
            before=before.state,
            after=after.state,
            since=since,
            episode=after.number,
            window=window,
            evidence=evidence,
            kind=self.kind,
            about=about,
            reference=self.reference,
            calibration=self.calibration,
            onset=since - self.interval,
        )


def calling(teller: Teller, state: RuleState, part: DetectorScores) -> dict[str, DriftScore]:
    """The scores that can change an alert: those that breach, and those of features not inactive."""
    names, places = part.columns.names, part.asked.places
    found = {names[place]: place for place in part.above(teller.rule.name, teller.rule.min_rows)}
    found |= {name: places[name] for name in state.alerts if name in places}
    return {name: part.one(place) for name, place in found.items()}


# --- state ------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SavedRule:
    """A rule's state as saved; dropped on restore when the rule itself has changed."""

    rule: str
    alerts: dict[str, Alert]
    scores: dict[str, DriftScore]
    episode: Episode

    @classmethod
    def of(cls, rule: AlertRule, state: RuleState) -> Self:
        """The state as it is to be saved."""
        return cls(rule_fingerprint(rule), state.alerts, state.scores, state.episode)

    def made_under(self, rule: AlertRule | None) -> bool:
        """Whether the rule is still there and the same."""
        return rule is not None and self.rule == rule_fingerprint(rule)

    def restore(self, state: RuleState, features: Container[str]) -> None:
        """Take up the alerts of the features that are still watched."""
        state.alerts = {name: alert for name, alert in self.alerts.items() if name in features}
        state.scores = {name: score for name, score in self.scores.items() if name in state.alerts}
        state.episode = self.episode


def rule_fingerprint(rule: AlertRule) -> str:
    """What a rule's alert is made under."""
    return msgspec.json.encode(rule).decode()


def without_counts(alert: AlertChanged) -> AlertChanged:
    """The alert without the counts that words are made of, nor what it was decided from."""
    evidence, members = (
        tuple(replace(each, counts=b"") for each in found) for found in (alert.evidence, alert.about.members)
    )
    return replace(alert, evidence=evidence, about=replace(alert.about, members=members), trace=None)
