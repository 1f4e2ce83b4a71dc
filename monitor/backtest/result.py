"""What a backtest found, as plain values: the report, the JSON and the summary are written from these alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from detectors import Distribution
from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence, FirstOffset
from monitor.alerting.ids import incident_id
from monitor.alerting.incidents import Standing
from monitor.alerting.rules import BUDGET_RULE, Severity
from monitor.backtest.served import ServiceOutcome
from monitor.facts import CalibrationLearning, CalibrationLearnt, PerformanceEstimated, PerformanceJudged, WindowSpan
from monitor.facts.alerts import NOTHING
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by outcome, over all series; `outside` were not within --from and --until, `excluded` break a data contract."""

    ok: int = 0
    excluded: int = 0
    late: int = 0
    rejected: int = 0
    unmonitored: int = 0
    outside: int = 0

    @property
    def read(self) -> int:
        """All events looked at."""
        return self.ok + self.excluded + self.late + self.rejected + self.unmonitored + self.outside


@dataclass(frozen=True, slots=True)
class TopicEvents:
    """Events of a topic: in time, and late with the cause; `ahead` of those around them, by `lead` at most.

    `late_live`: those that would be late live, where every event counts in its turn; no fewer than `late`.
    """

    topic: str
    ok: int
    late: int
    cause: str = ""
    ahead: int = 0
    lead: Nanos = 0
    late_live: int = 0

    @property
    def late_share(self) -> float:
        """Of those that were counted or late, the share that is late live."""
        return max(self.late, self.late_live) / max(1, self.ok + self.late)


@dataclass(frozen=True, slots=True)
class AlertEpisode:
    """One episode of one rule: when it fired, on what window and for what reason, and when it resolved (None: not by the end).

    `since` is the end of its first breaching window, `evidence` as it was when it fired; `joined` are the features that
    came in later, each as it was then. `severity` is the worst that it came to. `about` is its incident where the budget has one, `settled` whether it ended by settling.
    """

    key: SeriesKey
    rule: str
    severity: Severity
    since: Nanos
    fired_at: Nanos
    resolved_at: Nanos | None
    window: WindowSpan
    evidence: tuple[Evidence, ...]
    joined: tuple[Evidence, ...] = ()
    kind: IncidentKind = IncidentKind.DRIFT
    about: Standing = NOTHING
    settled: bool = False

    @property
    def incident(self) -> str:
        """The id of the incident."""
        return incident_id(self.key, self.rule, self.kind, self.since)

    @property
    def pages(self) -> bool:
        """Whether it is a page: critical, which cannot wait; a warning goes to the channel."""
        return self.severity is Severity.CRITICAL

    @property
    def by_budget(self) -> bool:
        """Whether it is of the rule that the budget of false alarms is for."""
        return self.rule == BUDGET_RULE

    @property
    def end(self) -> str:
        """How it stands at the end: open, settled or resolved."""
        if self.resolved_at is None:
            return "open"
        return "settled" if self.settled else "resolved"


@dataclass(frozen=True, slots=True)
class Retrain:
    """A wish to retrain; `outcome` is `requested`, or why it was suppressed."""

    key: SeriesKey
    rule: str
    at: Nanos
    reason: str
    outcome: str


@dataclass(frozen=True, slots=True)
class PolicyOutcome:
    """What a policy of retraining would have come to for a model. Times are lengths in nanoseconds.

    `suppressed` are wishes by reason. `age_mean` and `age_most` are the model's, new at the beginning. `drift` is how long its incidents
    lasted, `uncovered` how much of that no training had seen. `cost` None: none is given. `rank` 1 is the best of the model's.
    """

    model: str
    policy: str
    on: tuple[str, ...]
    every: str | None
    configured: bool
    requests: int
    suppressed: Mapping[str, int]
    age_mean: Nanos
    age_most: Nanos
    drift: Nanos
    uncovered: Nanos
    cost: float | None
    rank: int = 0


@dataclass(frozen=True, slots=True)
class Injected:
    """A change that was planted, and the first episode that began within it and names its feature.

    `until` None: to the end. `rows` events were changed. `found_at` None: not found. `delay` counts windows from the
    change to the page, the page's own among them; of the rule `drift` subgroups. `rank` is the feature's place in the page's evidence, 1 the first;
    None where its chart, `chart`, fired while another incident was open. A chart that fired while none was is no finding.
    """

    text: str
    key: SeriesKey
    feature: str
    at: Nanos
    until: Nanos | None
    rows: int
    found_at: Nanos | None = None
    rule: str = ""
    delay: int | None = None
    rank: int | None = None
    chart: str = ""


@dataclass(frozen=True, slots=True)
class Track:
    """How near one feature came to a page: `peaks[i]` is its largest S ÷ threshold at `Model.charted[i]`, None where nothing was charted.

    `charts[i]` is the chart that was nearest there; 1 is a page, `Model.warn_at` a warning.
    """

    feature: str
    highest: float
    peaks: tuple[float | None, ...]
    charts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """A feature beside its reference: in an alarm of `rule` at `at`; without a rule over the whole recording until then."""

    shown: Distribution
    at: Nanos
    rule: str = ""


@dataclass(frozen=True, slots=True)
class SweepRow:
    """What another budget would have done: `pages` in all, `false_pages` those outside every injected change.

    `false_pages` is None without an injection, since nobody knows. `delays[i]` is in subgroups, for the model's i-th
    injected change; None: not found. `first_page` is the end of the first subgroup that would have paged. `now`: the
    budget that is configured.
    """

    per_month: float
    pages: int
    false_pages: int | None
    delays: tuple[int | None, ...]
    first_page: Nanos | None
    now: bool


@dataclass(frozen=True, slots=True)
class JudgedAge:
    """What a model was worth, by the labels that had come by an age: how many windows were judged, and these, or every so many of them."""

    age: Nanos
    windows: int
    judged: tuple[PerformanceJudged, ...]

    @property
    def final(self) -> bool:
        """Whether no later age is judged."""
        return self.judged[-1].final


@dataclass(frozen=True, slots=True)
class Estimates:
    """What a model was worth by its predictions and its reference's labels alone: how many windows, and these, or every so many of them."""

    windows: int
    estimated: tuple[PerformanceEstimated, ...]


@dataclass(frozen=True, slots=True)
class BrokenRule:
    """A rule of a data contract, how many events broke it, and a few of their values in words."""

    field: str
    rule: str
    count: int
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SchemaSpan:
    """A column that was otherwise than agreed, told at `at`; `first` where it began. `ended_at` None: not by the end."""

    field: str
    change: str
    at: Nanos
    first: tuple[FirstOffset, ...] = ()
    ended_at: Nanos | None = None


@dataclass(frozen=True, slots=True)
class ContractOutcome:
    """What events were held against, and what came of it. `excluded` None: none are left out."""

    version: str
    rows: int
    excluded: int | None
    violations: tuple[BrokenRule, ...] = ()
    schema: tuple[SchemaSpan, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """One series over the whole time.

    `calibration` is `week`, `day`, `pooled` or `cold`, with `learnt_` before it where live traffic has taught it; `calibrated` says in words what it rests on, `drifting` what moved
    within the reference itself. `budget` None: off. `expected_false_alarms` None: not known, for the reference is cold, or was until it had `learnt`: then `expected_since_learnt` is of the time after. `ends` and `rows` are of its windows, thinned to a bounded number of
    points (the rows are then the mean of some windows); so are `charted`, the ends of charted subgroups (the peaks
    then the highest). `subgroup_ns` is the length of a subgroup. `thresholds` by chart. `open_share` is the time with an
    incident, or an alert of an explicit rule, open over the time judged.
    """

    key: SeriesKey
    window_ns: Nanos
    slide_ns: Nanos
    features: int
    reference: str
    reference_rows: int
    calibration: str
    calibrated: str
    drifting: tuple[str, ...]
    budget: float | None
    months: float
    expected_false_alarms: float | None
    warnings_seen: int | None
    warnings_expected: float | None
    events: int
    late: int
    windows: int
    ends: tuple[Nanos, ...]
    rows: tuple[float, ...]
    subgroup_ns: Nanos
    subgroups: int
    charted: tuple[Nanos, ...]
    tracks: tuple[Track, ...]
    thresholds: Mapping[str, float]
    warn_at: float
    sweep: tuple[SweepRow, ...]
    learning: CalibrationLearning | None = None
    learnt: CalibrationLearnt | None = None
    expected_since_learnt: float | None = None
    open_share: float = 0.0
    pictures: tuple[Picture, ...] = ()  # those that alarmed first
    not_shown: tuple[str, ...] = ()  # features that came less near to a page than those of `tracks`
    performance: tuple[JudgedAge, ...] | None = None  # None: it has no labels, or none were read
    labels: Mapping[str, int] = field(default_factory=dict)  # what became of them
    estimates: Estimates | None = None  # None: its reference has no labels
    contract: ContractOutcome | None = None  # None: it has none
    served: ServiceOutcome | None = None  # None: nothing judges its requests


@dataclass(frozen=True, slots=True)
class ExpectedRule:
    """How often an explicit rule fires for no reason, over the time of this backtest; None: cannot be said, `why` says it."""

    key: SeriesKey
    rule: str
    count: float | None
    why: str


@dataclass(frozen=True, slots=True)
class BacktestResult:
    """Everything that a backtest found. `hints` are sentences that a reader should know before the figures."""

    version: str
    config: str
    config_hash: str
    command: str
    inputs: tuple[str, ...]
    first: Nanos
    last: Nanos
    events: EventCounts
    rejected: Mapping[str, int]
    fields_rejected: Mapping[str, int]
    labels_rejected: Mapping[str, int]
    windows: int
    models: tuple[Model, ...]
    alerts: tuple[AlertEpisode, ...]
    retrains: tuple[Retrain, ...]
    suppressed: tuple[Retrain, ...]
    injected: tuple[Injected, ...] = ()
    explicit: tuple[ExpectedRule, ...] = ()
    hints: tuple[str, ...] = field(default=())
    topics: tuple[TopicEvents, ...] = ()
    policies: tuple[PolicyOutcome, ...] = ()

    @property
    def expected_false_alarms(self) -> float | None:
        """Pages that the budgets allow over this time, and explicit rules may be expected to add; None where a model's are not known."""
        by_budget = total(model.expected_false_alarms for model in self.models)
        return None if by_budget is None else by_budget + sum(rule.count or 0.0 for rule in self.explicit)


def total(expected: Iterable[float | None]) -> float | None:
    """The sum of figures; not known where one of them is not."""
    known = list(expected)
    return None if None in known else sum(each for each in known if each is not None)
