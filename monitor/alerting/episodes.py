"""The alert that people see: one per rule, as bad as its worst feature."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from detectors import DriftScore
from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.metrics import MetricEvidence
from monitor.alerting.rules import AlertRule, Severity
from monitor.stream.events import Nanos, Partition

# From bad to good. Recovering is worse than pending: the episode is still open.
WORST_FIRST = (AlertState.FIRING, AlertState.RECOVERING, AlertState.PENDING, AlertState.INACTIVE)
OPEN = frozenset({AlertState.FIRING, AlertState.RECOVERING})


@dataclass(frozen=True, slots=True)
class Episode:
    """The rule's alert: `number` counts its firing episodes; `resolved_at` is the end of the last one."""

    state: AlertState = AlertState.INACTIVE
    since: Nanos | None = None
    number: int = 0
    resolved_at: Nanos | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for what no episode is: a saved one may hold anything."""
        if self.since is None and self.state is not AlertState.INACTIVE:
            raise ValueError(f"an alert that is {self.state.value} since never")

    def follow(self, alerts: Iterable[Alert], at: Span) -> "Episode":
        """The episode after its features' alerts have taken one more step."""
        alerts = list(alerts)
        if not alerts and self.state is AlertState.INACTIVE:
            return self
        state = worst(alert.state for alert in alerts)
        if state is AlertState.INACTIVE:
            return self._closed(at) if self.state in OPEN else replace(self, state=state, since=None)
        if state is AlertState.PENDING:
            before = self._closed(at) if self.state in OPEN else self
            return replace(before, state=state, since=before.onset(alerts, AlertState.PENDING))
        if self.state in OPEN:
            return replace(self, state=state)
        return replace(self, state=state, since=self.onset(alerts, state), number=self.number + 1)

    def _closed(self, at: Span) -> "Episode":
        return replace(self, state=AlertState.INACTIVE, since=None, resolved_at=at.end)

    def onset(self, alerts: list[Alert], state: AlertState) -> Nanos:
        """When the features now in `state` first breached; never inside the last episode, or ids would repeat."""
        since = min(alert.since for alert in alerts if alert.state is state and alert.since is not None)
        return since if self.resolved_at is None else max(since, self.resolved_at)


def worst(states: Iterable[AlertState]) -> AlertState:
    """The worst of some states; inactive where there are none."""
    found = set(states)
    return next((state for state in WORST_FIRST if state in found), AlertState.INACTIVE)


def worst_of_each(standings: Iterable[Mapping[str, AlertState]]) -> dict[str, AlertState]:
    """Every feature that any of them names, with its worst state."""
    together: dict[str, AlertState] = {}
    for standing in standings:
        for feature, state in standing.items():
            together[feature] = worst((state, together.get(feature, state)))
    return together


@dataclass(frozen=True, slots=True)
class FirstOffset:
    """The first record of a partition that was otherwise than agreed."""

    partition: Partition
    offset: int
    event_time: Nanos


@dataclass(frozen=True, slots=True)
class Evidence:
    """One feature's part in a firing alert.

    `chart` is the chart that fired (`location+`, `missing`, …), `since` when the feature began to drift, `effect` how
    far it has gone (σ of the reference, or a share of the rows), `resolution` how much the score may be understated,
    `words` what has changed, for people to read; they decide nothing. `counts` are the integers that words are made of,
    those of an int64 row as bytes: a feature's row of counts, the rows before and now, or the warnings seen and expected.
    """

    feature: str
    detector: str
    score: float
    threshold: float
    pvalue: float | None
    rows: int
    chart: str = ""
    since: Nanos | None = None
    effect: float | None = None
    resolution: float | None = None
    words: str = field(default="", compare=False)
    counts: bytes = field(default=b"", compare=False, repr=False)
    severity: Severity | None = None  # how bad it is by its size; None: as the rule has it
    moving: bool = False  # it never stays at a level
    creeping: bool = False  # same, so slowly that it seemed to
    grown: bool = False  # it has just become twice as large as it was, or has turned the other way
    measured: MetricEvidence | None = None  # of performance: the metric
    first: tuple[FirstOffset, ...] = ()  # of a schema: where it began, the earliest in front

    @property
    def excess(self) -> float:
        """Score over threshold: what evidence is ordered by."""
        return self.score / self.threshold if self.threshold > 0 else self.score


def evidence_of(firing: Iterable[tuple[AlertRule, DriftScore]]) -> tuple[Evidence, ...]:
    """The evidence of firing features, the furthest past its threshold first, then by name."""
    found = [
        Evidence(
            score.feature,
            score.detector,
            score.value,
            rule.fire_above,
            score.pvalue,
            score.rows,
            resolution=score.details.get("resolution"),
        )
        for rule, score in firing
        if score.value is not None
    ]
    return tuple(sorted(found, key=lambda one: (-one.excess, one.feature)))


@dataclass(slots=True)
class RuleState:
    """One rule over one series: the alert of each feature it matches, their scores when last judged, the episode."""

    rules: Mapping[str, AlertRule]  # by feature: thresholds may differ
    alerts: dict[str, Alert] = field(default_factory=dict)
    scores: dict[str, DriftScore] = field(default_factory=dict)  # last score of each feature not inactive
    episode: Episode = field(default_factory=Episode)

    def step(self, scores: Mapping[str, DriftScore], at: Span) -> tuple[Episode, Episode]:
        """Take one window; the episode before and after is returned."""
        self.advance(scores, at)
        before, self.episode = self.episode, self.episode.follow(self.alerts.values(), at)
        return before, self.episode

    def advance(self, scores: Mapping[str, DriftScore], at: Span) -> None:
        """Let the alerts take one window, and leave the episode as it is.

        Features that are inactive and do not breach may be left out of `scores`: nothing becomes of them.
        """
        for feature in [*self.alerts, *(name for name in scores if name in self.rules and name not in self.alerts)]:
            rule, score = self.rules[feature], scores.get(feature)
            alert = self.alerts.get(feature, Alert()).step(rule, rule.classify(score), at)
            self._keep(feature, alert, score)

    def _keep(self, feature: str, alert: Alert, score: DriftScore | None) -> None:
        if alert.state is AlertState.INACTIVE:
            self.alerts.pop(feature, None)
            self.scores.pop(feature, None)
            return
        self.alerts[feature] = alert
        if score is not None and score.value is not None:
            self.scores[feature] = score

    def state_of(self, feature: str) -> AlertState:
        """The state of one feature not inactive as people are to hear of it: it waits while the alert as a whole does."""
        state = self.alerts[feature].state
        return AlertState.PENDING if state in OPEN and self.episode.state is AlertState.PENDING else state

    @property
    def shown(self) -> dict[str, AlertState]:
        """The state of each feature not inactive, as people are to hear of it."""
        return {name: self.state_of(name) for name in self.alerts}

    def evidence(self) -> tuple[Evidence, ...]:
        """The features that are as bad as the alert itself, with their last scores."""
        features = [name for name in self.alerts if self.state_of(name) is self.episode.state]
        return evidence_of((self.rules[name], self.scores[name]) for name in features if name in self.scores)
