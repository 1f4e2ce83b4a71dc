"""Alerts, and what they ask for."""

from dataclasses import dataclass, field
from typing import Any

from detectors.charts import IncidentKind, LevelStep
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import OPEN, Evidence
from monitor.alerting.ids import incident_id
from monitor.alerting.incidents import Standing
from monitor.alerting.retraining import REASON, RetrainOutcome, reason_of
from monitor.alerting.rules import Severity
from monitor.facts.windows import WindowSpan
from monitor.stream.events import Nanos, Partition, SeriesKey

NOTHING = Standing()


@dataclass(frozen=True, slots=True)
class AlertSeen:
    """An alert as it stands after a window, whether or not it changed. `about`: its incident, where the budget has one."""

    key: SeriesKey
    rule: str
    severity: Severity
    state: AlertState
    since: Nanos | None
    episode: int
    evidence: tuple[Evidence, ...]
    kind: IncidentKind = IncidentKind.DRIFT
    about: Standing = NOTHING
    instance: str = ""  # under whose name it is told

    @property
    def incident(self) -> str:
        """The id of the incident, the same from opening to end; empty where none is open."""
        return (
            ""
            if self.since is None or self.state not in OPEN
            else incident_id(self.key, self.rule, self.kind, self.since, self.instance)
        )


@dataclass(frozen=True, slots=True)
class AlertChanged:
    """An alert went from one state to another on a window.

    `since` is the end of the episode's first breaching window, also when the episode has just ended. `calibration` is what
    the reference is judged by: week, day, pooled or cold; empty where the rule does not ask. `onset` is the start of the
    first breaching window, where it is known. `kind` is what the alert is about, `about` its incident,
    where the budget has one.
    """

    key: SeriesKey
    rule: str
    severity: Severity
    before: AlertState
    after: AlertState
    since: Nanos
    episode: int
    window: WindowSpan
    evidence: tuple[Evidence, ...]
    reference: str
    calibration: str = ""
    onset: Nanos | None = field(default=None, compare=False)
    kind: IncidentKind = IncidentKind.DRIFT
    about: Standing = NOTHING
    trace: Any = field(default=None, compare=False, repr=False)  # what it was decided from, for the audit log alone
    instance: str = ""  # under whose name it is told

    @property
    def incident(self) -> str:
        """The id of the incident, the same from opening to end."""
        return incident_id(self.key, self.rule, self.kind, self.since, self.instance)

    @property
    def opened(self) -> bool:
        """Whether an episode began."""
        return self.before not in OPEN and self.after in OPEN

    @property
    def closed(self) -> bool:
        """Whether an episode ended."""
        return self.before in OPEN and self.after not in OPEN

    @property
    def settled(self) -> bool:
        """Whether it ended because what had changed has become what is usual."""
        return self.closed and bool(self.about.settled)

    @property
    def silent(self) -> bool:
        """Whether it ended because nobody can say any more whether it goes on."""
        return self.closed and bool(self.about.silent)


@dataclass(frozen=True, slots=True)
class AlertEscalated:
    """An open incident is told again: `new` is what joined or grew, or is worse than people knew. `severity_before`: what they knew."""

    alert: AlertChanged
    new: tuple[Evidence, ...]
    severity_before: Severity


@dataclass(frozen=True, slots=True)
class RetrainWish:
    """What asked for retraining: an alert, a schedule, or a person. `id` is that of the request, should it become one.

    `at` is event time; `data_from` to `data_to` what to train on; `window` the last that was judged. `by` and `why` are a person's.
    """

    id: str
    key: SeriesKey
    reason: str
    at: Nanos
    data_from: Nanos
    data_to: Nanos
    incident: str = ""
    rule: str = ""
    window: WindowSpan | None = None
    reference: str = ""
    by: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class OffsetSpan:
    """Records of one partition: from `first` on, before `end`."""

    partition: Partition
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class RetrainDecided:
    """A wish for retraining was granted, suppressed for a reason, or waits for approval until `expires_at`, event time.

    `alert` None: a schedule or a person asked. `offsets` hold all events of the data that were read, and some beside them; `whole`:
    they go back as far as the data. `by` and `why`: who approved or rejected it.
    """

    alert: AlertChanged | None
    outcome: RetrainOutcome
    data_from: Nanos
    data_to: Nanos
    wish: RetrainWish | None = None
    offsets: tuple[OffsetSpan, ...] = ()
    whole: bool = True
    expires_at: Nanos | None = None
    by: str = ""
    why: str = ""
    trace: Any = field(default=None, compare=False, repr=False)  # what it was decided from, for the audit log alone

    @property
    def key(self) -> SeriesKey:
        """The series that it is about."""
        if self.wish is not None:
            return self.wish.key
        assert self.alert is not None
        return self.alert.key

    @property
    def reason(self) -> str:
        """Why it was asked for."""
        if self.wish is not None:
            return self.wish.reason
        return REASON if self.alert is None else reason_of(self.alert.kind)

    @property
    def rule(self) -> str:
        """The rule of the alert; empty where none asked."""
        return "" if self.alert is None else self.alert.rule

    @property
    def at(self) -> Nanos:
        """When it was decided, event time."""
        return self.data_to if self.wish is None else self.wish.at


@dataclass(frozen=True, slots=True)
class RequestsStand:
    """The last wishes for retraining with what became of each, the oldest first."""

    decided: tuple[RetrainDecided, ...]


@dataclass(frozen=True, slots=True)
class LevelChanged:
    """A feature is held to another level than before: it has settled, people have accepted it, or it is held to the reference again.

    `until`: event time to which people have accepted it; None for good.
    """

    key: SeriesKey
    at: Nanos
    feature: str
    step: LevelStep
    until: Nanos | None = None
