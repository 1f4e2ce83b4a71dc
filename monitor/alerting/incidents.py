"""The budget's alert: many features, one incident, and at most a page a day of the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from detectors import DriftScore
from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.stream.events import DAY, Nanos

WAITING = {AlertState.FIRING: AlertState.PENDING, AlertState.RECOVERING: AlertState.PENDING}


@dataclass(frozen=True, slots=True)
class Escalation:
    """An incident that was told again: when, and because of which features."""

    at: Nanos
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What an incident is, beside its alert. `members`: every feature that was ever part of it, each as last seen."""

    opened_at: Nanos | None = None
    escalations: tuple[Escalation, ...] = ()
    settled: tuple[str, ...] = ()
    members: tuple[Evidence, ...] = ()


@dataclass(slots=True)
class Incident:
    """What fires, and whether people are told of it.

    The same features that fire again within a day of the last page wait until that day is over: flapping is one page a day.
    """

    state: RuleState
    opened_at: Nanos | None = None  # when people were last told
    told: frozenset[str] = frozenset()  # of these features
    evidence: tuple[Evidence, ...] = field(default=())  # what fires, the feature to look at first in front
    members: dict[str, Evidence] = field(
        default_factory=dict
    )  # of the incident that is open, or was last, as last seen

    def follow(self, firing: Mapping[str, Nanos], evidence: Sequence[Evidence], at: Span) -> tuple[Episode, Episode]:
        """Take one subgroup of the charts: features that fire, each with the end of its first subgroup.

        The episode before and after is returned.
        """
        self.state.alerts = {name: Alert(AlertState.FIRING, since=since) for name, since in firing.items()}
        episodes = self._follow(at)
        self.remember(evidence)
        return episodes

    def step(self, scores: Mapping[str, DriftScore], at: Span) -> tuple[Episode, Episode]:
        """Take one window of a cold reference, whose effect sizes go through the states of a rule."""
        self.state.advance(scores, at)
        return self._follow(at)

    def since(self, at: Span) -> Nanos:
        """When what goes on now began: the end of its first subgroup."""
        return min((alert.since for alert in self.state.alerts.values() if alert.since is not None), default=at.end)

    def _follow(self, at: Span) -> tuple[Episode, Episode]:
        alerts, before = self.state.alerts, self.state.episode
        firing = {name for name, alert in alerts.items() if alert.state in OPEN}
        shown = list(map(_waiting, alerts.values())) if self._waits(firing, at) else alerts.values()
        after = self.state.episode = before.follow(shown, at)
        if before.state not in OPEN and after.state in OPEN:
            if self.opened_at is not None and at.end - self.opened_at >= DAY:
                self.told = frozenset()
            self.opened_at = at.end
            self.members = {}
        if after.state in OPEN:
            self.told |= firing
        return before, after

    def remember(self, evidence: Sequence[Evidence]) -> None:
        """Keep what fires now, the feature to look at first in front, while people are told of it."""
        self.evidence = tuple(evidence)
        if self.state.episode.state in OPEN:
            self.members |= {each.feature: each for each in evidence}

    @property
    def standing(self) -> Standing:
        """What is known of it besides its alert."""
        return Standing(self.opened_at, members=tuple(self.members.values()))

    def _waits(self, firing: set[str], at: Span) -> bool:
        if self.opened_at is None or self.state.episode.state in OPEN:
            return False
        return at.end - self.opened_at < DAY and self.told >= firing


def _waiting(alert: Alert) -> Alert:
    return replace(alert, state=WAITING.get(alert.state, alert.state))
