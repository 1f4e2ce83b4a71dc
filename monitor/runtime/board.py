"""The current state of everything, kept up to date by facts. /metrics and the JSON routes show it."""

from collections import Counter, defaultdict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, product

import numpy as np

from detectors import Baseline, Distribution, PackedSketch
from detectors.charts import KINDS, IncidentKind, LevelStep
from detectors.distribution import distribution_of
from detectors.sketches.violations import Rule
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import DECISION_KINDS, Decision, PastDecision, is_silenced
from monitor.alerting.retraining import PERFORMANCE_REASON, REASON, RetrainOutcome
from monitor.alerting.rules import BUDGET_RULE, PERFORMANCE_RULE
from monitor.alerting.runs import ENDS, OpenRequest
from monitor.alerting.table import ScoreTable
from monitor.alerting.versions import KnownVersion, VersionSource
from monitor.facts import (
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    ApprovalLinkUsed,
    BackupFailed,
    BaselineTrails,
    CalibrationLearning,
    CalibrationLearnt,
    CalibrationStands,
    CheckpointFailed,
    CheckpointSaved,
    ClockSet,
    ContractBroken,
    CountsComplete,
    CountsMissing,
    CountsQuarantined,
    DeadLettersBlocked,
    DeadLettersDropped,
    DeadLettersKept,
    DeadLettersSized,
    DecisionMade,
    DecisionsStand,
    DeliveryForgotten,
    DeliveryTried,
    DetectorFailed,
    EventsAhead,
    EventsCounted,
    EventsRejected,
    Fact,
    FeaturesTracked,
    FewRows,
    FieldsRejected,
    HalvesCounted,
    JoinCounted,
    LabelDelays,
    LagMeasured,
    LateShare,
    LevelChanged,
    ModelTallied,
    OffsetsExpired,
    OffsetsLost,
    PanesOpen,
    PartitionsHeld,
    PartitionsUnreachable,
    PerformanceEstimated,
    PerformanceJudged,
    ReaderChosen,
    RecordsSkipped,
    RecordsWaiting,
    ReferenceAbsent,
    RegistryAnswered,
    ReplicaAssigned,
    ReportMade,
    RequestsServed,
    RequestsStand,
    RetrainDecided,
    RetrainRunEnded,
    RunsStand,
    SchemaChanged,
    ServiceJudged,
    ServiceLearning,
    ServiceLearnt,
    SourceAnswered,
    SourceTroubled,
    StateLost,
    StateRecovered,
    SubgroupCharted,
    TopicsMissing,
    TrackPoint,
    VersionChanged,
    VersionSeen,
    VersionsStand,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
)
from monitor.pipeline import KEPT_RESOLVED
from monitor.retraining import KEPT as KEPT_RETRAINS
from monitor.runtime.requests import RequestCounts, ServiceBoard
from monitor.runtime.versions import changed
from monitor.series.history import KEPT_WINDOWS
from monitor.series.scoring import DRIFT, INSUFFICIENT
from monitor.series.tracks import HOURS, KEPT_POINTS, WINDOWS
from monitor.stream.events import Nanos, Partition, SeriesKey

FOLDS, JUDGES = "fold", "judge"  # roles of a replica
HELD = frozenset({LevelStep.SETTLED, LevelStep.ACCEPTED})  # steps after which a feature is held to a level of its own
NO_SCORES = ScoreTable(())
DURATION_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
DELIVERY_OUTCOMES = ("delivered", "present", "refused", "retried", "dead")
POLLS = ("answered", "failed")
APPROVAL_OUTCOMES = ("shown", "decided", "refused", "forged", "expired")
WEBHOOK_OUTCOMES = {"delivered": "delivered", "present": "delivered", "retried": "retried"} | dict.fromkeys(
    ("refused", "dead"), "dead"
)  # of the webhooks' own counter, which is older and knows three
INSUFFICIENT_CAUSES = FEW_ROWS, FEW_VALUES = "few_rows", "few_values"
PREDICTIONS_JOINED = "driftd_join_predictions_total", ("ok", "late", "without_id")
KEPT_JUDGED = 120  # windows whose performance was judged
LABELS_JOINED = (
    "driftd_labels_total",
    ("received", "joined", "corrected", "withdrawn", "unmatched", "sampled_out", "expired"),
)
HALVES_JOINED = "driftd_halves_total", ("joined", "unmatched", "evicted", "repeated")
VIOLATIONS = "driftd_contract_violations_total"
SAMPLES = 3  # of a rule
GOES_ON = (
    *(
        "deliveries",
        "lags",
        "unreachable",
        "late",
        "partitions_held",
        "replica",
        "counts_missing",
        "topics_missing",
        "waiting",
        "checkpoint_at",
    ),
    *(
        "letters_blocked",
        "letters_bytes",
        "checkpoint_durations",
        "state_bytes",
        "retrains",
        "turned_at",
        "answered_at",
        "clock_behind",
    ),
)  # of the process, whatever series there are
EVENT_OUTCOMES = ("ok", "late", "rejected", "unmonitored", "tombstone", "skipped")


@dataclass(frozen=True, slots=True)
class ContractBoard:
    """The data contract of a series: its version, the rules that are asked of each event, and in words what is not."""

    version: str
    rules: tuple[Rule, ...]
    left_out: tuple[str, ...] = ()
    exclude: bool = False


@dataclass(slots=True)  # not frozen, which takes three times as long: two are made for each window; nobody changes one
class SeriesBoard:
    """One series: its last window with rows, and what was scored in it. Another window makes another board."""

    reference: str
    reference_rows: int
    rules: Mapping[str, str] = field(default_factory=dict)  # name: severity
    length: Nanos = 0  # of its windows
    calibration: str = "cold"
    window: WindowClosed | None = None
    scores: ScoreTable = field(default_factory=lambda: NO_SCORES)
    states: Mapping[str, int] = field(default_factory=dict)
    learning: CalibrationLearning | None = None  # how far a cold reference has come
    learnt: CalibrationLearnt | None = None  # what it has learnt
    baseline: Baseline | None = None  # what it is held against, and drawn beside
    counts: PackedSketch | None = None  # of the last window
    few: FewRows | None = None  # its usual windows hold too few rows
    min_rows: int = 0

    def with_window(
        self,
        window: WindowClosed | None,
        scores: ScoreTable,
        states: Mapping[str, int],
        counts: PackedSketch | None = None,
    ) -> "SeriesBoard":
        """The board with another window or other scores; `dataclasses.replace` takes five times as long."""
        about = self.reference, self.reference_rows, self.rules, self.length, self.calibration
        return SeriesBoard(
            *about, window, scores, states, self.learning, self.learnt, self.baseline, counts, self.few, self.min_rows
        )

    def insufficient(self) -> dict[str, tuple[str, int]]:
        """The features of which a detector had too few values in the last window: the cause, and how many there were."""
        found: dict[str, tuple[str, int]] = {}
        cause = FEW_ROWS if self.window is not None and self.window.rows < self.min_rows else FEW_VALUES
        for part in self.scores.parts:
            columns, _ = part.wanted()
            short = ~columns.known & (columns.rows < self.min_rows)
            for place in np.flatnonzero(short).tolist():
                found[columns.names[place]] = cause, int(columns.rows[place])
        return found

    @property
    def drifted(self) -> float | None:
        """Share of the features in drift among those that could be judged in the last window; None where none could."""
        judged = [
            state for feature, state in self.states.items() if feature != volume.FEATURE and state != INSUFFICIENT
        ]
        return judged.count(DRIFT) / len(judged) if judged else None

    @property
    def features(self) -> tuple[str, ...]:
        """The features of the reference."""
        return () if self.baseline is None else self.baseline.names

    def distribution(self, feature: str) -> Distribution | None:
        """A feature of the last window beside the reference; None where no window was closed, and of what is no feature."""
        if self.baseline is None or self.counts is None or feature not in self.baseline.features:
            return None
        at = self.baseline.names.index(feature)
        first, last = self.counts.layout.offsets[at : at + 2].tolist()
        return distribution_of(self.baseline.features[feature], self.counts.counts[first:last].astype(np.int64))


@dataclass(slots=True)
class SeriesTrack:
    """How near the features of a series came: the last windows, and the hours of the last days; the oldest first."""

    features: tuple[str, ...] = ()
    windows: deque[TrackPoint] = field(default_factory=lambda: deque(maxlen=KEPT_POINTS[WINDOWS]))
    hours: deque[TrackPoint] = field(default_factory=lambda: deque(maxlen=KEPT_POINTS[HOURS]))

    def add(self, tracked: FeaturesTracked) -> None:
        """Take further points; one that is there already is replaced."""
        self.features = tracked.features
        for points, more in ((self.windows, tracked.windows), (self.hours, tracked.hours)):
            for point in more:
                if points and points[-1].start == point.start:
                    points.pop()
                points.append(point)

    def copy(self) -> "SeriesTrack":
        """This moment's track."""
        return SeriesTrack(self.features, self.windows.copy(), self.hours.copy())


@dataclass(slots=True)
class Durations:
    """A histogram of seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(DURATION_BUCKETS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        place = next(
            (number for number, bound in enumerate(DURATION_BUCKETS) if seconds <= bound), len(DURATION_BUCKETS)
        )
        self.counts[place] += 1
        self.total += seconds


@dataclass(slots=True)
class Board:
    """What is shown. To copy it or to apply facts, hold the telemetry's lock; read from a copy."""

    series: dict[SeriesKey, SeriesBoard]
    windows: dict[SeriesKey, deque[WindowClosed]] = field(  # the last ones, oldest first
        default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT_WINDOWS))
    )
    tracks: dict[SeriesKey, SeriesTrack] = field(default_factory=lambda: defaultdict(SeriesTrack))
    deliveries: Mapping[str, DeliveryTried] = field(default_factory=dict)  # the last attempt, by target
    panes: Mapping[SeriesKey, int] = field(default_factory=dict)
    alerts: dict[tuple[SeriesKey, str, IncidentKind], AlertSeen] = field(default_factory=dict)  # not inactive
    levels: Mapping[tuple[SeriesKey, str], LevelChanged] = field(
        default_factory=dict
    )  # by feature that has one of its own
    trailing: Mapping[tuple[SeriesKey, str], BaselineTrails] = field(
        default_factory=dict
    )  # by feature compared with its past
    resolved: deque[AlertChanged] = field(default_factory=lambda: deque(maxlen=KEPT_RESOLVED))
    failed: Mapping[tuple[SeriesKey, str], DetectorFailed] = field(
        default_factory=dict
    )  # by detector: its last failure
    counters: dict[str, Counter[tuple[str, ...]]] = field(default_factory=lambda: defaultdict(Counter))
    expected_warnings: dict[tuple[str, str], float] = field(default_factory=dict)  # by model and version
    suspect: dict[tuple[str, str], bool] = field(default_factory=dict)  # same: it warns more often than by chance
    holiday: dict[tuple[str, str], bool] = field(default_factory=dict)  # same: the last subgroup fell on one
    widened: dict[tuple[str, str], float] = field(default_factory=dict)  # same: what days may do, over the reference's
    performance: Mapping[SeriesKey, Mapping[Nanos, PerformanceJudged]] = field(
        default_factory=dict
    )  # of series with labels: the last window judged, by age
    estimated: Mapping[SeriesKey, PerformanceEstimated | None] = field(
        default_factory=dict
    )  # of series whose reference has labels: the last closed window, None before one
    worth: Mapping[SeriesKey, tuple[PerformanceJudged, ...]] = field(
        default_factory=dict
    )  # likewise, the last windows of the last age, without tables
    delays: Mapping[SeriesKey, LabelDelays] = field(default_factory=dict)  # likewise, of all labels since the start
    requests: Mapping[SeriesKey, RequestCounts] = field(
        default_factory=dict
    )  # of series that tell of them, since the start
    services: Mapping[SeriesKey, ServiceBoard] = field(default_factory=dict)  # of series whose requests are judged
    contracts: Mapping[SeriesKey, ContractBoard] = field(default_factory=dict)  # of series that have one
    schemas: Mapping[SeriesKey, Mapping[str, SchemaChanged]] = field(
        default_factory=dict
    )  # columns that are otherwise than agreed
    broken: Mapping[tuple[SeriesKey, Rule], tuple[str, ...]] = field(
        default_factory=dict
    )  # the last few values, in words
    lags: Mapping[Partition, int] = field(default_factory=dict)
    unreachable: Mapping[Partition, Nanos] = field(default_factory=dict)  # since when their leaders are silent
    late: dict[str, LateShare] = field(default_factory=dict)  # by topic
    partitions_held: int = 0
    replica: Mapping[str, int] | None = None  # partitions by role; None: it is no replica
    counts_missing: frozenset[tuple[int, Partition]] = frozenset()  # judge partition, and that whose counts it lacks
    topics_missing: int = 0
    clock_behind: Nanos = 0  # the wall clock, where it was set back
    waiting: RecordsWaiting | None = None  # records that cannot be decoded yet
    native: bool | None = None  # whether the native reader reads; None: not known yet
    watermark: Nanos | None = None
    checkpoint_at: Nanos | None = None
    checkpoint_durations: Durations = field(default_factory=Durations)
    state_bytes: int = 0
    letters_blocked: bool | None = None  # whether dead letters cannot be kept now; None: nobody keeps any
    letters_bytes: int | None = None  # of their directory, where they have one
    decisions: tuple[Decision, ...] = ()  # in force
    past_decisions: tuple[PastDecision, ...] = ()  # the last that are over
    requests_made: tuple[OpenRequest, ...] = ()  # the last of each model, the oldest first
    retrains: tuple[RetrainDecided, ...] = ()  # the last wishes for retraining that were decided, the oldest first
    champions: Mapping[str, str] = field(default_factory=dict)  # version by model, where the configuration names one
    rows_seen: Counter[SeriesKey] = field(default_factory=Counter)  # of the windows that are kept, and since the start
    tallies: Mapping[str, ModelTallied] = field(default_factory=dict)  # by model
    versions: Mapping[tuple[str, str], KnownVersion] = field(default_factory=dict)  # that were told of
    turned_at: Nanos | None = None
    answered_at: Nanos | None = None

    def expect(
        self, topics: Iterable[str], targets: Iterable[tuple[str, str]], rules: Iterable[tuple[SeriesKey, str]]
    ) -> None:
        """Begin the counters whose labels are known at zero, so that a first event is seen as an increase.

        A target is its name and its type.
        """
        for topic in topics:
            for outcome in EVENT_OUTCOMES:
                self.counters["driftd_events_total"][topic, outcome] += 0
            self.counters["driftd_offsets_lost_total"][(topic,)] += 0
            self.counters["driftd_offsets_expired_total"][(topic,)] += 0
            self.counters["driftd_events_ahead_total"][(topic,)] += 0
        for target, kind in targets:
            for outcome in DELIVERY_OUTCOMES:
                self._count_delivery(target, kind, outcome, 0)
        for key, rule in rules:
            for state in AlertState:
                labels = key.model, key.version, rule, state.name.lower()
                self.counters["driftd_alert_transitions_total"][labels] += 0
        for key in self.series:
            reasons = (REASON, PERFORMANCE_REASON) if PERFORMANCE_RULE in self.series[key].rules else (REASON,)
            for reason, retrain in product(reasons, RetrainOutcome):
                self.counters["driftd_retrain_requests_total"][key.model, reason, retrain.value] += 0
            self._expect_warnings(key)
        self.counters["driftd_checkpoint_failures_total"][()] += 0
        self.counters["driftd_detector_failures_total"].update()  # of which detectors is known when one fails
        self.counters["driftd_replica_quarantined_total"].update()  # and for which reasons when a record is put aside
        self._expect_state()
        self._expect_decisions()
        for outcome in APPROVAL_OUTCOMES:
            self.counters["driftd_approval_links_total"][(outcome,)] += 0
        self._expect_labels()

    def _expect_labels(self) -> None:
        for key, (metric, outcomes) in product(self.performance, (PREDICTIONS_JOINED, LABELS_JOINED)):
            for outcome in outcomes:
                self.counters[metric][key.model, key.version, outcome] += 0

    def _expect_decisions(self) -> None:
        for key, decision in product(self.series, DECISION_KINDS):
            self.counters["driftd_decisions_total"][key.model, decision] += 0
        for key, source in product(self.series, VersionSource):
            self.counters["driftd_model_versions_total"][key.model, source.value] += 0

    def _expect_warnings(self, key: SeriesKey) -> None:
        series = self.series[key]
        performance = (IncidentKind.PERFORMANCE,) if PERFORMANCE_RULE in series.rules else ()
        for kind in (*(KINDS if BUDGET_RULE in series.rules else ()), *performance, IncidentKind.SERVICE):
            self.counters["driftd_incident_escalations_total"][key.model, key.version, kind.value] += 0
        if series.calibration != "cold" and BUDGET_RULE in series.rules:
            of = key.model, key.version
            self.counters["driftd_chart_warnings_total"][of] += 0
            self.expected_warnings[of], self.suspect[of], self.holiday[of] = 0.0, False, False
            self.widened[of] = 1.0

    def go_on_from(self, before: "Board") -> None:
        """Take what the process has counted and seen, where series have changed while it runs."""
        for name, counter in before.counters.items():
            self.counters[name].update(
                {labels: value - self.counters[name][labels] for labels, value in counter.items()}
            )
        for name in GOES_ON:
            setattr(self, name, getattr(before, name))
        self.expected_warnings |= before.expected_warnings
        self.requests, self.delays = {**self.requests, **before.requests}, {**self.delays, **before.delays}
        self.broken = {place: said for place, said in before.broken.items() if place[0] in self.series}
        for key in self.series:
            if key in before.series:
                self._go_on_with(key, before)

    def _go_on_with(self, key: SeriesKey, before: "Board") -> None:
        """Take of a series what its saved state does not tell, or tells less of."""
        if key in before.windows:
            self.windows[key], self.rows_seen[key] = before.windows[key], before.rows_seen[key]
        if key in self.performance and key in before.worth:
            self.worth = {**self.worth, key: before.worth[key]}
        self.series[key] = replace(self.series[key], few=before.series[key].few)
        labels = key.model, key.version
        if labels in self.widened and labels in before.widened:
            self.holiday[labels], self.widened[labels] = before.holiday[labels], before.widened[labels]

    def copy(self) -> "Board":
        """This moment's board, whatever comes next. References alone are taken: it costs little at any size.

        The windows before the last stay behind, and so do the tracks; `recent` and `track` take those.
        """
        durations = self.checkpoint_durations
        return replace(
            self,
            series=dict(self.series),
            windows={},
            tracks={},
            alerts=dict(self.alerts),
            expected_warnings=dict(self.expected_warnings),
            suspect=dict(self.suspect),
            holiday=dict(self.holiday),
            widened=dict(self.widened),
            resolved=self.resolved.copy(),
            rows_seen=self.rows_seen.copy(),
            counters=defaultdict(Counter, {name: counter.copy() for name, counter in self.counters.items()}),
            checkpoint_durations=Durations(durations.counts.copy(), durations.total),
        )

    def recent(self, model: str | None, limit: int) -> list[list[WindowClosed]]:
        """The last closed windows of each series of a model, or of all; newest first, at most `limit` of each."""
        return [
            list(islice(reversed(windows), limit))
            for key, windows in self.windows.items()
            if model is None or key.model == model
        ]

    def track(self, key: SeriesKey) -> SeriesTrack:
        """How near the features of a series came."""
        return self.tracks[key].copy() if key in self.tracks else SeriesTrack()

    def is_silenced(self, model: str) -> bool:
        """Whether nobody is told of any version of a model."""
        return all(is_silenced(self.decisions, key, ()) for key in self.series if key.model == model)

    def apply(self, *facts: Fact) -> None:
        """Take facts in their order. Of windows of a series that close together the last one alone is made a board of."""
        closed: dict[SeriesKey, WindowClosed] = {}
        scored: dict[SeriesKey, WindowScored | None] = {}
        for fact in facts:
            match fact:
                case WindowClosed():
                    self._remember(fact)
                    if fact.quality:
                        closed[fact.key], scored[fact.key] = fact, None
                case WindowScored():
                    scored[fact.key] = fact
                case FeaturesTracked():
                    self.tracks[fact.key].add(fact)
                case _:
                    self._apply(fact)
        for key, found in scored.items():
            series = self.series[key]
            said = (NO_SCORES, {}) if found is None else (found.scores, found.states, found.counts)
            self.series[key] = series.with_window(closed.get(key, series.window), *said)

    def _apply(self, fact: Fact) -> None:
        match fact:
            case (
                EventsCounted()
                | EventsAhead()
                | EventsRejected()
                | FieldsRejected()
                | RecordsSkipped()
                | OffsetsExpired()
                | OffsetsLost()
            ):
                self._count_events(fact)
            case AlertSeen() | AlertChanged() | AlertEscalated() | LevelChanged():
                self._alert(fact)
            case RetrainDecided() | RequestsStand() | RetrainRunEnded() | RunsStand():
                self._take_retraining(fact)
            case SubgroupCharted(key=key, point=point):
                labels = key.model, key.version
                self.counters["driftd_chart_warnings_total"][labels] += point.warned
                self.expected_warnings[labels] = self.expected_warnings.get(labels, 0.0) + point.expected_warnings
                self.suspect[labels], self.holiday[labels] = point.suspect, point.holiday
                self.widened[labels] = point.widened
            case BaselineTrails(key=key, feature=feature):
                self.trailing = {**self.trailing, (key, feature): fact}
            case CalibrationLearning() | CalibrationLearnt() | CalibrationStands():
                self._learn(fact)
            case _:
                self._note(fact)

    def _learn(self, fact: CalibrationLearning | CalibrationLearnt | CalibrationStands) -> None:
        if isinstance(fact, CalibrationStands):
            self.suspect[fact.key.model, fact.key.version] = fact.suspect
            return
        series = self.series[fact.key]
        if isinstance(fact, CalibrationLearning):
            self.series[fact.key] = replace(series, learning=fact)
            return
        series = replace(series, calibration=fact.calibration, learning=None, learnt=fact)
        self.series[fact.key] = replace(series, baseline=fact.reference)
        self._expect_warnings(fact.key)

    def _serve(self, fact: RequestsServed | ServiceJudged | ServiceLearning | ServiceLearnt) -> None:
        if isinstance(fact, RequestsServed):
            self.requests = {**self.requests, fact.key: self.requests.get(fact.key, RequestCounts()).plus(fact)}
        else:
            self.services = {**self.services, fact.key: self.services.get(fact.key, ServiceBoard()).hear(fact)}

    def _note_unjudged(self, fact: FewRows | DetectorFailed) -> None:
        """Why windows of a series are not judged as they should be."""
        if isinstance(fact, FewRows):
            self.series[fact.key] = replace(self.series[fact.key], few=fact if fact.few else None)
        else:
            self.failed = {**self.failed, (fact.key, fact.detector): fact}
            self.counters["driftd_detector_failures_total"][fact.key.model, fact.key.version, fact.detector] += 1

    def _note(self, fact: Fact) -> None:
        match fact:
            case WatermarkAdvanced(at):
                self.watermark = at
            case FewRows() | DetectorFailed():
                self._note_unjudged(fact)
            case PerformanceJudged() | JoinCounted() | LabelDelays() | HalvesCounted():
                self._perform(fact)
            case PerformanceEstimated(key):
                self.estimated = {**self.estimated, key: fact}
            case RequestsServed() | ServiceJudged() | ServiceLearning() | ServiceLearnt():
                self._serve(fact)
            case ContractBroken(key):
                self._break(fact)
            case SchemaChanged(key, name):
                others = {column: each for column, each in self.schemas.get(key, {}).items() if column != name}
                self.schemas = {**self.schemas, key: others if fact.ended else {**others, name: fact}}
            case DecisionsStand(in_force, past):
                self.decisions, self.past_decisions = in_force, past
            case DecisionMade() | ApprovalLinkUsed():
                self._count_decision(fact)
            case _:
                self._note_service(fact)

    def _count_decision(self, fact: DecisionMade | ApprovalLinkUsed) -> None:
        if isinstance(fact, ApprovalLinkUsed):
            self.counters["driftd_approval_links_total"][(fact.outcome,)] += 1
        else:
            kind = fact.decision.model, fact.decision.asked.kind
            self.counters["driftd_decisions_total"][kind] += not fact.repeated

    def _break(self, fact: ContractBroken) -> None:
        for (column, rule), count in fact.counts.items():
            self.counters[VIOLATIONS][fact.key.model, fact.key.version, column, rule] += count
        for sample in fact.samples:
            kept = self.broken.get((fact.key, sample.rule), ())
            self.broken = {**self.broken, (fact.key, sample.rule): (*kept, sample.words)[-SAMPLES:]}

    def expect_contract(self, key: SeriesKey, shown: ContractBoard, topics: Iterable[str]) -> None:
        """Begin the counters of a contract at zero; `topics` may bring its events."""
        self.contracts = {**self.contracts, key: shown}
        for column, rule in shown.rules:
            self.counters[VIOLATIONS][key.model, key.version, column, rule] += 0
        for topic in topics if shown.exclude else ():
            self.counters["driftd_events_total"][topic, "excluded"] += 0

    def expect_halves(self, topics: Iterable[tuple[str, str]]) -> None:
        """Begin the counters of requests and responses that come apart, by topic and half, at zero."""
        metric, outcomes = HALVES_JOINED
        for key, (topic, half), outcome in product(self.series, list(topics), outcomes):
            self.counters[metric][key.model, key.version, topic, half, outcome] += 0

    def _perform(self, fact: PerformanceJudged | JoinCounted | LabelDelays | HalvesCounted) -> None:
        match fact:
            case PerformanceJudged(key=key, age=age):
                self.performance = {**self.performance, key: {**self.performance.get(key, {}), age: fact}}
                windows = self.worth.get(key, ())
                if fact.final and (not windows or windows[-1].end <= fact.end):  # it is said again after a restore
                    earlier = windows[:-1] if windows and windows[-1].end == fact.end else windows
                    slim = replace(fact, by_class=(), reliability=())
                    self.worth = {**self.worth, key: (*earlier, slim)[-KEPT_JUDGED:]}
            case JoinCounted(key, side, outcomes):
                metric, _ = PREDICTIONS_JOINED if side == "prediction" else LABELS_JOINED
                for outcome, count in outcomes.items():
                    self.counters[metric][key.model, key.version, outcome] += count
            case HalvesCounted(key, topic, half, outcomes):
                metric, _ = HALVES_JOINED
                for outcome, count in outcomes.items():
                    self.counters[metric][key.model, key.version, topic, half, outcome] += count
            case LabelDelays(key):
                before = self.delays.get(key)
                self.delays = {**self.delays, key: fact if before is None else before.plus(fact)}

    def expect_letters(self) -> None:
        """Dead letters are kept."""
        self.letters_blocked = False
        self.counters["driftd_dead_letters_dropped_bytes_total"][()] += 0

    def _note_letters(self, fact: DeadLettersKept | DeadLettersBlocked | DeadLettersDropped | DeadLettersSized) -> None:
        match fact:
            case DeadLettersKept(topic, reason, count, size):
                self.counters["driftd_dead_letters_total"][topic, reason] += count
                self.counters["driftd_dead_letters_bytes_total"][topic, reason] += size
            case DeadLettersBlocked():
                self.letters_blocked = True
            case DeadLettersDropped(_, size):
                self.counters["driftd_dead_letters_dropped_bytes_total"][()] += size
            case DeadLettersSized(size):
                self.letters_bytes = size

    def _expect_state(self) -> None:
        self.counters["driftd_state_backup_failures_total"][()] += 0
        for cause in ("damaged", "gone", "lost"):
            self.counters["driftd_state_recoveries_total"][(cause,)] += 0

    def _note_state(self, fact: StateRecovered | StateLost | BackupFailed) -> None:
        match fact:
            case StateRecovered(cause=cause):
                self.counters["driftd_state_recoveries_total"][(cause,)] += 1
            case StateLost():
                self.counters["driftd_state_recoveries_total"][("lost",)] += 1
            case BackupFailed():
                self.counters["driftd_state_backup_failures_total"][()] += 1

    def _note_service(self, fact: Fact) -> None:
        match fact:
            case CheckpointSaved(at, seconds, size):
                self.checkpoint_at, self.state_bytes = at, size
                self.letters_blocked = None if self.letters_blocked is None else False
                self.checkpoint_durations.add(seconds)
            case PanesOpen(panes):
                self.panes = {**self.panes, **dict(panes)}
            case CheckpointFailed():
                self.counters["driftd_checkpoint_failures_total"][()] += 1
            case ClockSet(_, behind):
                self.clock_behind = behind
            case StateRecovered() | StateLost() | BackupFailed():
                self._note_state(fact)
            case ModelTallied(model=model):
                self.tallies = {**self.tallies, model: fact}
            case ReportMade():
                self.counters["driftd_reports_total"][(fact.model,)] += 1
            case DeliveryTried() | DeliveryForgotten():
                self._note_delivery(fact)
            case VersionSeen() | VersionChanged() | VersionsStand() | ReferenceAbsent() | RegistryAnswered():
                self._note_version(fact)
            case _:
                self._note_source(fact)

    def _note_delivery(self, fact: DeliveryTried | DeliveryForgotten) -> None:
        if isinstance(fact, DeliveryTried):
            self._count_delivery(fact.target, fact.type, fact.outcome, 1)
            self.deliveries = {**self.deliveries, fact.target: fact}
        else:
            self.counters["driftd_outbox_forgotten_total"][(fact.target,)] += 1

    def _note_version(
        self, fact: VersionSeen | VersionChanged | VersionsStand | ReferenceAbsent | RegistryAnswered
    ) -> None:
        match fact:
            case VersionsStand(known):
                self.versions = changed(self.versions, known)
            case RegistryAnswered(model, why):
                self.counters["driftd_registry_polls_total"][model, POLLS[bool(why)]] += 1
            case _:
                self.versions = changed(self.versions, [fact.known])
        if isinstance(fact, VersionSeen):
            self.counters["driftd_model_versions_total"][fact.known.model, fact.known.source.value] += 1
        if isinstance(fact, ReferenceAbsent):
            self.counters["driftd_version_reference_failures_total"][(fact.known.model,)] += 1

    def _note_source(self, fact: Fact) -> None:
        if isinstance(fact, DeadLettersKept | DeadLettersBlocked | DeadLettersDropped | DeadLettersSized):
            self._note_letters(fact)
        elif isinstance(fact, ReplicaAssigned | CountsQuarantined | CountsMissing | CountsComplete):
            self._note_replica(fact)
        else:
            self._note_partitions(fact)

    def _note_partitions(self, fact: Fact) -> None:
        match fact:
            case LateShare(topic):
                self.late = self.late | {topic: fact}
            case PartitionsHeld(partitions):
                self.partitions_held = len(partitions)
            case PartitionsUnreachable(partitions):
                self.unreachable = dict(partitions)
            case ReaderChosen(native):
                self.native = native
            case TopicsMissing(topics):
                self.topics_missing = len(topics)
            case RecordsWaiting(records):
                self.waiting = fact if records else None
            case SourceAnswered(at):
                self.answered_at = at
            case LagMeasured(lags):
                self.lags = dict(lags)
            case SourceTroubled(error, _):
                self.counters["driftd_kafka_errors_total"][(error,)] += 1
            case _:  # the rest is only logged
                pass

    def _note_replica(self, fact: ReplicaAssigned | CountsQuarantined | CountsMissing | CountsComplete) -> None:
        match fact:
            case ReplicaAssigned(folds, judges):
                self.replica = {FOLDS: len(folds), JUDGES: len(judges)}
                self.counts_missing = frozenset(each for each in self.counts_missing if each[0] in judges)
            case CountsQuarantined(_, fault):
                self.counters["driftd_replica_quarantined_total"][(fault,)] += 1
            case CountsMissing(judge, partition):
                self.counts_missing |= {(judge, partition)}
            case CountsComplete(judge, partition):
                self.counts_missing -= {(judge, partition)}

    def _count_delivery(self, target: str, kind: str, outcome: str, count: int) -> None:
        self.counters["driftd_target_deliveries_total"][target, outcome] += count
        if kind == "webhook":
            self.counters["driftd_webhook_deliveries_total"][target, WEBHOOK_OUTCOMES[outcome]] += count

    def _count_events(
        self,
        fact: EventsCounted
        | EventsAhead
        | EventsRejected
        | FieldsRejected
        | RecordsSkipped
        | OffsetsExpired
        | OffsetsLost,
    ) -> None:
        match fact:
            case EventsAhead(partition, count):
                self.counters["driftd_events_ahead_total"][(partition.topic,)] += count
            case EventsCounted(topic, outcome, count):
                self.counters["driftd_events_total"][topic, outcome] += count
            case EventsRejected(topic, reason, count):
                self.counters["driftd_events_rejected_total"][topic, reason] += count
            case FieldsRejected(topic, reason, count):
                self.counters["driftd_fields_rejected_total"][topic, reason] += count
            case RecordsSkipped(partition, first, last):
                self.counters["driftd_events_total"][partition.topic, "rejected"] += last - first + 1
                self.counters["driftd_events_rejected_total"][partition.topic, "unreadable_batch"] += last - first + 1
            case OffsetsExpired(partition, first):
                self.counters["driftd_offsets_expired_total"][(partition.topic,)] += first
            case OffsetsLost(partition, wanted, resumed):
                self.counters["driftd_offsets_lost_total"][(partition.topic,)] += abs(resumed - wanted)

    def _remember(self, window: WindowClosed) -> None:
        """Keep a window for the list of the last ones, without its details."""
        key = window.key
        windows = self.windows[key]
        if not windows or windows[-1].end < window.end:
            brief = WindowClosed(key, window.start, window.end, window.rows, (), unlogged=window.unlogged)
            self.rows_seen[key] += window.rows
            windows.append(brief)  # of five hundred windows that would be most of the memory

    def _alert(self, fact: AlertSeen | AlertChanged | AlertEscalated | LevelChanged) -> None:
        match fact:
            case AlertEscalated(alert=AlertChanged(key=key, kind=kind)):
                self.counters["driftd_incident_escalations_total"][key.model, key.version, kind.value] += 1
            case LevelChanged(key=key, feature=feature, step=step):
                self.levels = {place: level for place, level in self.levels.items() if place != (key, feature)}
                if step in HELD:
                    self.levels |= {(key, feature): fact}
            case AlertSeen(key=key, rule=rule, kind=kind, state=AlertState.INACTIVE):
                self.alerts.pop((key, rule, kind), None)
            case AlertSeen(key=key, rule=rule, kind=kind):
                self.alerts[key, rule, kind] = fact
            case AlertChanged(key=key, rule=rule, after=after):
                labels = key.model, key.version, rule, after.name.lower()
                self.counters["driftd_alert_transitions_total"][labels] += 1
                self.remember_resolved(fact)

    def _take_retraining(self, fact: RetrainDecided | RequestsStand | RetrainRunEnded | RunsStand) -> None:
        match fact:
            case RetrainDecided():
                of = fact.key.model, fact.reason, fact.outcome.value
                self.counters["driftd_retrain_requests_total"][of] += 1
                self.retrains = (*self.retrains, replace(fact, alert=None))[-KEPT_RETRAINS:]
            case RequestsStand(decided):
                self.retrains = decided
            case RetrainRunEnded(request, run):
                self.counters["driftd_retrain_runs_total"][request.key.model, run.target, run.found.state.value] += 1
            case RunsStand(requests):
                self.requests_made = requests

    def requests_in_flight(self) -> list[OpenRequest]:
        """The requests for retraining that wait for a run's end or a new version."""
        return [each for each in self.requests_made if each.is_in_flight(self.watermark)]

    def expect_runs(self, targets: Iterable[str]) -> None:
        """Begin the counters of ends of runs at targets that tell of them."""
        models = dict.fromkeys(key.model for key in self.series)
        for model, target, state in product(models, targets, ENDS):
            self.counters["driftd_retrain_runs_total"][model, target, state.value] += 0

    def expect_versions(self, followed: Iterable[str], asked: Iterable[str]) -> None:
        """Begin the counters of models whose new versions are followed, and of those that a registry is asked for."""
        for model in followed:
            self.counters["driftd_version_reference_failures_total"][(model,)] += 0
        for model, outcome in product(asked, POLLS):
            self.counters["driftd_registry_polls_total"][model, outcome] += 0

    def remember_resolved(self, alert: AlertChanged) -> None:
        """Keep an alert whose episode has ended. It may come twice: with the restored state, and when its end is told."""
        if alert.closed and alert not in self.resolved:
            self.resolved.append(alert)
