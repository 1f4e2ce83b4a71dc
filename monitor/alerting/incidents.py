"""The budget's alert: many features, one incident of a kind; what people are told of it, once and again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from detectors import DriftScore
from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.alerting.rules import Severity
from monitor.alerting.severity import is_worse, worst_severity
from monitor.stream.events import DAY, HOUR, Nanos

WAITING = {AlertState.FIRING: AlertState.PENDING, AlertState.RECOVERING: AlertState.PENDING}
WEEK, MONTH = 7 * DAY, 30 * DAY
GROWN = 1.5  # times what was told, of what a test calls twice as large: one subgroup's effect varies
MOST_ESCALATIONS = 100  # kept of one incident
ALL_FIRING: Mapping[str, AlertState] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Escalation:
    """An incident that was told again: when, and because of which features."""

    at: Nanos
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """What an incident is, beside its alert. `members`: every feature that was ever part of it, each as last seen.

    `severity` None: that of the rule. `silent`: those that ended because nobody can judge them any more.
    """

    opened_at: Nanos | None = None
    escalations: tuple[Escalation, ...] = ()
    settled: tuple[str, ...] = ()
    members: tuple[Evidence, ...] = ()
    severity: Severity | None = None
    silent: tuple[str, ...] = ()  # members that nobody can judge any more


@dataclass(slots=True)
class Incident:
    """What fires, and whether people are told of it.

    The same features that fire again within `apart` of the last page wait until that time is over: flapping is one page a day. A
    note waits until it is more, and what creeps until a month is over since people last heard of it.
    """

    state: RuleState
    apart: Nanos = DAY
    opened_at: Nanos | None = None  # when people were last told
    told: frozenset[str] = frozenset()  # of these features
    evidence: tuple[Evidence, ...] = field(default=())  # what fires, the feature to look at first in front
    members: dict[str, Evidence] = field(default_factory=dict)  # of the incident that is open, or was last
    settled: tuple[str, ...] = ()  # members that stay at a new level
    silent: tuple[str, ...] = ()  # members of which nothing is heard any more
    escalations: tuple[Escalation, ...] = ()
    severity: Severity | None = None  # the worst that people were told of; None where the rule says it
    heard: dict[str, Nanos] = field(default_factory=dict)  # when people were last told of a feature, in the last month
    again_at: Nanos | None = None  # when people were last told again, of this incident or the one before
    largest: dict[str, float] = field(
        default_factory=dict
    )  # effect that was told of this incident, by chart and feature
    due: tuple[str, ...] = ()  # features that people are to be told of once an hour is over
    news: tuple[Evidence, ...] = ()  # what the last subgroup is told again for
    known: Severity | None = None  # the severity before that

    def follow(
        self,
        firing: Mapping[str, Nanos],
        evidence: Sequence[Evidence],
        at: Span,
        states: Mapping[str, AlertState] = ALL_FIRING,
    ) -> tuple[Episode, Episode]:
        """Take one subgroup of the charts: features that fire, each with the end of its first subgroup.

        `states`: of those that do something else, such as recover. The episode before and after is returned.
        """
        held_back = {each.feature for each in evidence if self._holds_back(each, at)}
        self.state.alerts = {
            name: Alert(AlertState.PENDING if name in held_back else states.get(name, AlertState.FIRING), since=since)
            for name, since in firing.items()
        }
        known = [each for each in evidence if each.feature not in held_back]
        episodes = self._follow(at, worse=any(is_worse(_severity(each), self._worst) for each in known))
        self.remember(evidence, at)
        return episodes

    def without(self, features: Collection[str], at: Span) -> tuple[Episode, Episode]:
        """Take these features out, between two subgroups; the episode before and after is returned."""
        self.state.alerts = {name: alert for name, alert in self.state.alerts.items() if name not in features}
        self.evidence = tuple(each for each in self.evidence if each.feature not in features)
        self.due, self.news = tuple(name for name in self.due if name not in features), ()
        return self._follow(at)

    def forget(self, features: Collection[str]) -> None:
        """Forget that people were told of these: what is said of them from now on is another thing, and does not wait."""
        self.told -= frozenset(features)
        self.heard = {name: heard for name, heard in self.heard.items() if name not in features}
        self.largest = {way: size for way, size in self.largest.items() if way.partition(" ")[2] not in features}

    def step(self, scores: Mapping[str, DriftScore], at: Span) -> tuple[Episode, Episode]:
        """Take one window of a cold reference, whose effect sizes go through the states of a rule."""
        self.state.advance(scores, at)
        return self._follow(at)

    def since(self, at: Span) -> Nanos:
        """When what goes on now began: the end of its first subgroup."""
        return min((alert.since for alert in self.state.alerts.values() if alert.since is not None), default=at.end)

    def settle(self, features: Sequence[str]) -> None:
        """Note which of its features stay at a new level from now on."""
        if self.open:
            self.settled += tuple(name for name in features if name in self.members and name not in self.settled)

    def fall_silent(self, features: Sequence[str]) -> None:
        """Note which of its features nobody can judge any more."""
        if self.open:
            self.silent += tuple(name for name in features if name not in self.silent)

    @property
    def open(self) -> bool:
        """Whether people have been told and it is not over."""
        return self.state.episode.state in OPEN

    def _holds_back(self, evidence: Evidence, at: Span) -> bool:
        """Whether this is not for people yet: a note, or what creeps and was told less than a month ago."""
        if self.open and evidence.feature in self.members:
            return False
        if evidence.severity is Severity.INFO:
            return True
        heard = self.heard.get(evidence.feature)
        return evidence.creeping and heard is not None and at.end - heard < MONTH

    def _follow(self, at: Span, *, worse: bool = False) -> tuple[Episode, Episode]:
        """Follow the alerts; what is `worse` than people were told of the last incident does not wait."""
        alerts, before = self.state.alerts, self.state.episode
        firing = {name for name, alert in alerts.items() if alert.state in OPEN}
        waits = not worse and self._waits(firing, at)
        shown = list(map(_waiting, alerts.values())) if waits else alerts.values()
        after = self.state.episode = before.follow(shown, at)
        if before.state not in OPEN and after.state in OPEN:
            self._begin(at)
        if after.state in OPEN:
            self.told |= firing
        return before, after

    def _begin(self, at: Span) -> None:
        if self.opened_at is not None and at.end - self.opened_at >= self.apart:
            self.told = frozenset()
        self.opened_at = at.end
        self.members, self.settled, self.escalations, self.severity, self.due = {}, (), (), None, ()
        self.silent = ()
        self.largest = {}
        self.heard = {name: heard for name, heard in self.heard.items() if at.end - heard < MONTH}

    def _waits(self, firing: set[str], at: Span) -> bool:
        if self.opened_at is None or self.open:
            return False
        return at.end - self.opened_at < self.apart and self.told >= firing

    # --- telling again ------------------------------------------------------------------------------------------

    def remember(self, evidence: Sequence[Evidence], at: Span) -> None:
        """Take what fires now, the feature to look at first in front; `news` is what people are to be told again for."""
        fired = {each.feature for each in self.evidence}
        self.evidence, self.news = tuple(evidence), ()
        if not self.open:
            return
        shown = [each for each in evidence if self.state.alerts[each.feature].state in OPEN]
        if self.opened_at == at.end:
            self._tell(shown, at)
        else:
            self._escalate(shown, fired, at)
        self.members |= {each.feature: each for each in shown}

    def _escalate(self, shown: Sequence[Evidence], fired: Collection[str], at: Span) -> None:
        """Tell what is new beside what `fired` before: at once where it is worse, else once an hour."""
        new = [
            each.feature
            for place, each in enumerate(shown)
            if is_worse(_severity(each), self._worst)
            or (
                (each.grown and self._is_another(each, GROWN))
                if each.feature in fired and each.feature in self.members
                else self._is_new(each, at, leads=not place)
            )
        ]
        firing = {each.feature: each for each in shown}
        self.settled = tuple(name for name in self.settled if name not in firing)
        self.due = tuple(name for name in dict.fromkeys((*self.due, *new)) if name in firing)
        worse = any(is_worse(_severity(firing[name]), self._worst) for name in self.due)
        if not self.due or not (worse or self._quiet_for(HOUR, at)):
            return
        self.news = tuple(each for each in shown if each.feature in self.due)
        self.due = ()
        self.escalations = (*self.escalations, Escalation(at.end, tuple(each.feature for each in self.news)))
        self.escalations = self.escalations[-MOST_ESCALATIONS:]
        self.known, self.again_at = self.severity, at.end
        self._tell(self.news, at)

    def _is_new(self, evidence: Evidence, at: Span, *, leads: bool) -> bool:
        """Whether what joins is to be told as a change of its own.

        What joins within a day, had begun to change when the incident opened and does not lead is the same change, proven later.
        """
        assert self.opened_at is not None
        heard, known = self.heard.get(evidence.feature), evidence.feature in self.members
        if heard is not None and at.end - heard < (WEEK if known else DAY):  # what flickers is told once
            return known and self._is_another(evidence)
        later = evidence.since is not None and evidence.since > self.opened_at
        return later or leads or at.end - self.opened_at > DAY

    def _is_another(self, evidence: Evidence, times: float = 2.0) -> bool:
        """Whether a feature has changed otherwise than was told of this incident: another way, or so many times as far."""
        known = self.largest.get(_way(evidence))
        return known is None or abs(evidence.effect or 0.0) >= times * known > 0

    def _quiet_for(self, span: Nanos, at: Span) -> bool:
        return self.again_at is None or at.end - self.again_at >= span

    def _tell(self, evidence: Sequence[Evidence], at: Span) -> None:
        self.heard |= {each.feature: at.end for each in evidence}
        self.largest |= {
            _way(each): max(abs(each.effect or 0.0), self.largest.get(_way(each), 0.0)) for each in evidence
        }
        known = [] if self.severity is None else [self.severity]
        self.severity = worst_severity(*known, *map(_severity, evidence))

    @property
    def _worst(self) -> Severity:
        return Severity.CRITICAL if self.severity is None else self.severity

    @property
    def standing(self) -> Standing:
        """What is known of it besides its alert."""
        members = tuple(self.members.values())
        return Standing(self.opened_at, self.escalations, self.settled, members, self.severity, self.silent)


def _severity(evidence: Evidence) -> Severity:
    """How bad it is; where nobody has measured that, as bad as can be."""
    return Severity.CRITICAL if evidence.severity is None else evidence.severity


def _way(evidence: Evidence) -> str:
    return f"{evidence.chart} {evidence.feature}"


def _waiting(alert: Alert) -> Alert:
    return replace(alert, state=WAITING.get(alert.state, alert.state))
