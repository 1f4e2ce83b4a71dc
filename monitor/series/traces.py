"""What a decision was made from: the state before, and what it was given; so that the same pure steps can make it again."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from operator import attrgetter
from typing import Any

from detectors import DriftScore
from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Episode, Evidence, RuleState
from monitor.alerting.incidents import ALL_FIRING, Incident
from monitor.alerting.retraining import RetrainHistory, RetrainOutcome, RetrainPolicy
from monitor.facts import WindowSpan
from monitor.series.alerts import Teller
from monitor.series.counted import CountedScore
from monitor.stream.events import Nanos

MOST_CALLS = 100  # that are kept between two times at which something is told
Episodes = tuple[Episode, Episode]


@dataclass(frozen=True, slots=True)
class Called:
    """One step of an incident: the name of the method, and what it was given."""

    step: str
    features: tuple[str, ...] = ()
    since: Mapping[str, Nanos] = field(default_factory=dict)
    states: Mapping[str, AlertState] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    scores: Mapping[str, DriftScore] = field(default_factory=dict)
    at: Span | None = None

    def on(self, incident: Incident) -> Episodes | None:
        """Do it; the episodes before and after, where the step follows the incident."""
        at = self.at or Span(0, 0)
        match self.step:
            case "follow":
                return incident.follow(self.since, self.evidence, at, self.states)
            case "without":
                return incident.without(self.features, at)
            case "step":
                return incident.step(self.scores, at)
            case "remember":
                incident.remember(self.evidence, at)
            case "forget":
                incident.forget(self.features)
            case "settle":
                incident.settle(self.features)
            case "fall_silent":
                incident.fall_silent(self.features)
            case _:
                raise ValueError(f"{self.step} is no step of an incident")
        return None


@dataclass(frozen=True, slots=True)
class SumStep:
    """How a chart came to its score: its sum before, what the subgroup added, its sum after, which is over `threshold` where it fires.

    `increment` None: the chart stands still, or is one of rates or rows, whose sum is taken as it is. `certain`: one subgroup was enough.
    """

    feature: str
    chart: str
    before: float
    increment: float | None
    threshold: float
    certain: bool
    after: float
    score: float


@dataclass(frozen=True, slots=True)
class JudgeStep:
    """How a judge of a metric came to its score. `taken`: a `JudgeTaken`, packed."""

    metric: str
    by: str
    value: float
    score: float | None
    taken: bytes


@dataclass(frozen=True, slots=True)
class IncidentTrace:
    """An incident as it was, all steps since, and which of them told this. `sums`: of charts, how each score came about; `judged`: of metrics.

    `said`: the fact before words were put to it.
    """

    teller: Teller
    apart: Nanos
    before: Incident
    called: tuple[Called, ...]
    told: int  # which of the steps
    window: WindowSpan
    sums: tuple[SumStep, ...] = ()
    judged: tuple[JudgeStep, ...] = ()
    said: Any = None


@dataclass(frozen=True, slots=True)
class RuleTrace:
    """One rule's alerts as they were, and the scores of the window that can change them; `counted`: those in front, with their counts.

    `said`: as of an `IncidentTrace`.
    """

    teller: Teller
    before: RuleState
    scores: Mapping[str, DriftScore]
    window: WindowSpan
    counted: tuple[CountedScore, ...] = ()
    said: Any = None


@dataclass(frozen=True, slots=True)
class RetrainTrace:
    """A model's history before a wish, and what `RetrainHistory` was asked: to decide, to approve, or to end what waits.

    `outcome`: what a person or time decided; `rule`, `kind`, `evidence`: of an alert that itself says that its data are bad.
    `after`: the history that was left.
    """

    asked: str
    before: RetrainHistory
    policy: RetrainPolicy
    at: Nanos
    reason: str
    vetoes: tuple[RetrainOutcome, ...] = ()
    forced: bool = False
    outcome: RetrainOutcome | None = None
    rule: str = ""
    kind: IncidentKind = IncidentKind.DRIFT
    evidence: tuple[Evidence, ...] = ()
    after: RetrainHistory | None = None

    @classmethod
    def of(
        cls,
        asked: str,
        before: RetrainHistory,
        policy: RetrainPolicy,
        at: Nanos,
        reason: str,
        vetoes: Collection[RetrainOutcome] = (),
        *,
        forced: bool = False,
    ) -> "RetrainTrace":
        """What is decided by now; vetoes have an order."""
        return cls(asked, before, policy, at, reason, tuple(sorted(vetoes)), forced)


class RecordedIncident(Incident):
    """An incident that knows what was done to it since something was told of it: which its entry in the audit log is made of."""

    __slots__ = ("_before", "_called", "_depth", "_quiet", "_results", "_told")

    def __init__(self, state: RuleState, apart: Nanos) -> None:
        super().__init__(state, apart)
        self._called: list[Called] = []
        self._results: list[Episodes | None] = []
        self._quiet: list[tuple[Span, Episodes]] = []  # subgroups of which nothing came, since anything was noted
        self._before: Incident | None = None
        self._told = True  # what comes next begins anew
        self._depth = 0

    def trace(self, teller: Teller, episodes: Episodes, window: WindowSpan) -> IncidentTrace | None:
        """What has led to these episodes; None where it was too much to keep. What comes next begins anew."""
        self._keep_quiet()
        self._told = True
        which = next((at for at, each in enumerate(self._results) if each is episodes), None)
        if self._before is None or which is None or len(self._called) > MOST_CALLS:
            return None
        return IncidentTrace(teller, self.apart, self._before, tuple(self._called), which, window)

    def passed(self) -> None:
        """Nothing has changed that is told."""
        self._told = True
        self._quiet.clear()

    @property
    def _rests(self) -> bool:
        """Whether nothing is said of it, nor fires."""
        state = self.state
        return state.episode.state is AlertState.INACTIVE and not (state.alerts or self.evidence or self.news)

    def _note(self, called: Called) -> None:
        if self._told:
            self._called, self._results, self._told = [], [], False
            self._before = copied(self)
        self._keep_quiet()
        self._keep(called, None)

    def _keep(self, called: Called, episodes: Episodes | None) -> None:
        if len(self._called) <= MOST_CALLS:
            self._called.append(called)
            self._results.append(episodes)

    def _keep_quiet(self) -> None:
        for at, episodes in self._quiet:
            self._keep(Called("follow", at=at), episodes)
        self._quiet.clear()

    def _followed(self, episodes: Episodes) -> Episodes:
        """Keep what came of the last step."""
        self._results[-1] = episodes
        return episodes

    def follow(
        self,
        firing: Mapping[str, Nanos],
        evidence: Sequence[Evidence],
        at: Span,
        states: Mapping[str, AlertState] = ALL_FIRING,
    ) -> Episodes:
        """Take one subgroup. Where nothing fires nor did, as nearly always, nothing becomes of it, and it is noted once anything follows."""
        if not firing and not evidence and not states and self._rests:
            episodes = self.state.episode, self.state.episode
            if len(self._quiet) <= MOST_CALLS:
                self._quiet.append((at, episodes))
            return episodes
        self._note(Called("follow", since=dict(firing), states=dict(states), evidence=tuple(evidence), at=at))
        self._depth += 1
        episodes = Incident.follow(self, firing, evidence, at, states)
        self._depth -= 1
        return self._followed(episodes)

    def without(self, features: Collection[str], at: Span) -> Episodes:
        """Take these features out."""
        self._note(Called("without", features=tuple(sorted(features)), at=at))
        return self._followed(Incident.without(self, features, at))

    def step(self, scores: Mapping[str, DriftScore], at: Span) -> Episodes:
        """Take one window."""
        self._note(Called("step", scores=dict(scores), at=at))
        return self._followed(Incident.step(self, scores, at))

    def remember(self, evidence: Sequence[Evidence], at: Span) -> None:
        """Take what fires now."""
        if not self._depth:
            self._note(Called("remember", evidence=tuple(evidence), at=at))
        Incident.remember(self, evidence, at)

    def forget(self, features: Collection[str]) -> None:
        """Forget that people were told of these."""
        if features:
            self._note(Called("forget", features=tuple(sorted(features))))
        Incident.forget(self, features)

    def settle(self, features: Sequence[str]) -> None:
        """Note what stays at a new level."""
        if features:
            self._note(Called("settle", features=tuple(features)))
        Incident.settle(self, features)

    def fall_silent(self, features: Sequence[str]) -> None:
        """Note what nobody can judge any more."""
        if features:
            self._note(Called("fall_silent", features=tuple(features)))
        Incident.fall_silent(self, features)


held_of = attrgetter(*(each.name for each in fields(Incident)))  # an incident is copied with every window


def copied(incident: Incident) -> Incident:
    """The same, which stays as it is."""
    twin = Incident(*held_of(incident))
    twin.state = copied_state(incident.state)
    twin.members, twin.heard, twin.largest = dict(incident.members), dict(incident.heard), dict(incident.largest)
    return twin


def copied_state(state: RuleState) -> RuleState:
    """The same; of rules those alone that its alerts are under."""
    return RuleState(state.rules, dict(state.alerts), dict(state.scores), state.episode)


def untraced(fact: Any) -> Any:
    """The fact without what it was made from, which goes nowhere but into the audit log."""
    held = getattr(fact, "alert", None)
    if held is not None and getattr(held, "trace", None) is not None:
        fact = replace(fact, alert=replace(held, trace=None))
    return replace(fact, trace=None) if getattr(fact, "trace", None) is not None else fact
