"""Facts to metrics and log lines: nothing is passed over, nothing is said too often, no secret is said at all."""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from threading import Thread
from typing import Any, get_args

import numpy as np
import pytest
import structlog

from detectors import DriftScore
from detectors.charts import IncidentKind, LevelStep
from detectors.reference.live import Difference
from detectors.reference.live_service import blank_service
from detectors.sketches.served import BINS
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import Asked, Decision, PastDecision, Refusal, Scope, Silence
from monitor.alerting.episodes import Evidence, FirstOffset
from monitor.alerting.retraining import RetrainOutcome
from monitor.alerting.rules import Severity
from monitor.alerting.runs import FollowedRun, OpenRequest, RunsReport, RunState, StartedRun
from monitor.alerting.versions import KnownVersion, VersionSource, VersionState
from monitor.facts import (
    DELAY_BOUNDS,
    AlertChanged,
    AlertEscalated,
    AlertSeen,
    ApprovalLinkUsed,
    AuditHead,
    BackupFailed,
    BaselineTrails,
    CalibrationLearning,
    CalibrationLearnt,
    CalibrationStands,
    ChartsTakenOver,
    CheckpointFailed,
    CheckpointSaved,
    ClassCoverage,
    ClockSet,
    ContractBroken,
    ContractSample,
    CountsComplete,
    CountsMissing,
    CountsQuarantined,
    DaemonStarted,
    DaemonStopped,
    DeadLettersBlocked,
    DeadLettersDropped,
    DeadLettersKept,
    DeadLettersSized,
    DecisionEnded,
    DecisionMade,
    DecisionRefused,
    DecisionsStand,
    DeliveryForgotten,
    DeliveryTried,
    DetectorFailed,
    EventsAhead,
    EventsCounted,
    EventsRejected,
    Fact,
    FeatureQuality,
    FeaturesTracked,
    FewRows,
    FieldsRejected,
    FirstRowsCounted,
    ForeignCommit,
    HalvesCounted,
    JoinCounted,
    LabelDelays,
    LagMeasured,
    LateShare,
    LevelChanged,
    MetricTold,
    ModelTallied,
    NoticesUnclaimed,
    OffsetsExpired,
    OffsetsLost,
    OutboxDecided,
    PanesOpen,
    PartitionsAssigned,
    PartitionsHeld,
    PartitionsUnreachable,
    PerformanceEstimated,
    PerformanceJudged,
    PositionSuspected,
    RateImproved,
    ReaderChosen,
    RecordsSkipped,
    RecordsWaiting,
    ReferenceAbsent,
    ReferenceStoodIn,
    RegistryAnswered,
    ReplicaAssigned,
    ReportMade,
    RequestsServed,
    RequestsStand,
    RetrainDecided,
    RetrainEnded,
    RetrainRunEnded,
    RetrainRunUnseen,
    RetrainWish,
    RunsStand,
    SchemaChanged,
    ServiceJudged,
    ServiceLearning,
    ServiceLearnt,
    SourceAnswered,
    SourceTroubled,
    StateBegun,
    StateLost,
    StateRecovered,
    StateReset,
    SubgroupCharted,
    TopicsMissing,
    TrackPoint,
    UsualLatency,
    VersionChanged,
    VersionSeen,
    VersionsStand,
    WatermarkAdvanced,
    WebAccessChanged,
    WindowClosed,
    WindowScored,
    WindowSpan,
)
from monitor.runtime.board import DELIVERY_OUTCOMES, Board, SeriesBoard
from monitor.runtime.telemetry import MOST_COMPLAINTS, QUIET_FOR, Telemetry, configure_logging
from monitor.store.outbox import AddressedNotice, Notice
from monitor.store.sqlite import StateStore
from monitor.stream.events import SECOND, Partition, SeriesKey
from monitor.targets.base import Subscriber
from monitor.targets.notifier import Notifier
from monitor.targets.transport import Transport
from monitor.targets.webhook import Webhook, decode_secret
from tests.build import DAY, REFERENCE, score_table
from tests.charted import plain_point
from tests.fakes import NOON, ManualClock, Receiver
from tests.reported import a_report_made

CHURN = SeriesKey("churn", "3")
P0 = Partition("t", 0)
CHANGED = AlertChanged(
    CHURN,
    "drift",
    Severity.CRITICAL,
    AlertState.PENDING,
    AlertState.FIRING,
    NOON,
    1,
    WindowSpan(0, NOON, 5),
    (Evidence("age", "psi", 0.41, 0.25, None, 5),),
    "abc",
)
SILENCED = Asked("s-1", Silence(Scope("churn", None, ("age",)), 3600 * SECOND), "ana", "release")
DECISION = Decision(SILENCED, "churn", NOON, None)
OVER = PastDecision(DECISION, NOON, "over")
JUDGED = PerformanceJudged(
    CHURN,
    0,
    NOON,
    7 * DAY,
    final=True,
    task="binary",
    predictions=10,
    labelled=8,
    sampling=1.0,
    metrics=(MetricTold("accuracy", 0.75, 0.4, 0.9, 8), MetricTold("auroc", None, None, None, 8, "no positive label")),
    classes=(ClassCoverage("positive", 4, 3),),
)
WISH = RetrainWish("b2", CHURN, "schedule", NOON, 0, NOON)
MADE = OpenRequest("r1", CHURN, "drift", NOON, NOON + SECOND, 0, NOON).take(
    RunsReport("r1", (FollowedRun("airflow", "airflow", StartedRun(RunState.FAILED, "d-1", "http://a/runs/d-1")),)),
    NOON,
)[0]
VERSION = KnownVersion("churn", "4", VersionSource.REQUEST, NOON, NOON, VersionState.WAITING)
EXAMPLES: dict[type[Fact], Fact] = {
    type(fact): fact
    for fact in (
        AlertEscalated(CHANGED, CHANGED.evidence, Severity.WARNING),
        LevelChanged(CHURN, NOON, "age", LevelStep.SETTLED),
        AuditHead(17, "5d" * 32),
        BaselineTrails(CHURN, NOON, "age", 28, 14, 0.2, 0.0, paused=False, begins=True),
        EventsCounted("t", "ok", 3),
        PerformanceEstimated(CHURN, 0, NOON, "binary", 100, 0.25, (MetricTold("accuracy", 0.9, 0.8, 0.95, 100),)),
        DecisionMade(DECISION),
        ModelTallied("churn", {}),
        a_report_made(),
        DecisionRefused(SILENCED, Refusal.UNKNOWN, "there is no model churn"),
        DecisionEnded(OVER),
        ApprovalLinkUsed("shown", "r1"),
        DecisionsStand((DECISION,), (OVER,)),
        EventsRejected("t", "too_large", 2),
        FieldsRejected("t", "number_as_text", 2),
        DeadLettersKept("t", "too_large", 2, 300),
        DeadLettersBlocked("the disk is full", 3),
        DeadLettersDropped("letters-00000001.jsonl", 64),
        DeadLettersSized(4096),
        WindowClosed(CHURN, 0, NOON, 5, (FeatureQuality("age", 0.0, 0.5),)),
        WindowScored(CHURN, NOON, score_table(DriftScore("age", "psi", 0.41, rows=5)), {"age": 2}),
        FeaturesTracked(CHURN, ("age",), (TrackPoint(0, NOON, b"\0\0"),), ()),
        SubgroupCharted(CHURN, 0, NOON, 5, plain_point(warned=2, expected_warnings=0.25)),
        CalibrationStands(CHURN, suspect=True),
        CalibrationLearning(CHURN, NOON, 3 * DAY, 14 * DAY, windows=72, needed=52),
        CalibrationLearnt(
            CHURN,
            NOON,
            "learnt_day",
            "abc",
            "def",
            334,
            14 * DAY,
            (Difference("age", 0.3, 0.5, 0.0, 0.01),),
            (),
            REFERENCE,
        ),
        RateImproved(CHURN, NOON, "age", "missing", 0.05, 0.0),
        AlertSeen(CHURN, "drift", Severity.CRITICAL, AlertState.FIRING, NOON, 1, ()),
        CHANGED,
        RetrainDecided(CHANGED, RetrainOutcome.COOLDOWN, 0, NOON),
        RequestsStand((RetrainDecided(None, RetrainOutcome.COOLDOWN, 0, NOON, WISH),)),
        RetrainRunEnded(MADE, MADE.runs[0]),
        RetrainRunUnseen("r1", "churn", "airflow", "it has no run of this request"),
        RetrainEnded(MADE),
        RunsStand((MADE,)),
        WatermarkAdvanced(NOON),
        StateReset(CHURN, "reference changed"),
        PartitionsAssigned(((P0, 5),)),
        TopicsMissing(("t",)),
        RecordsWaiting((("t", 3),), "schema registry http://r: it gave no answer in time (schema 7)", NOON, NOON),
        ReaderChosen(native=False, reason="the compiled part is not there, or not wanted"),
        PartitionsHeld((P0,)),
        ReplicaAssigned((P0,), (1, 5)),
        CountsQuarantined(1, "damaged", "damaged: its checksum does not fit"),
        CountsMissing(1, P0, "t/0: no counts of [0, 5) of everything: fold it again from 0"),
        CountsComplete(1, P0),
        PartitionsUnreachable(((P0, NOON),)),
        LateShare("t", 0.3, many=True, changed=True, cause="a partition is behind"),
        DetectorFailed(CHURN, NOON, "mode", "detector mode failed: ValueError"),
        FewRows(CHURN, 40.0, 300 * SECOND, 200, few=True),
        EventsAhead(P0, 12, 180 * SECOND),
        OffsetsExpired(P0, 9),
        OffsetsLost(P0, 3, 9),
        RecordsSkipped(P0, 3, 9),
        PositionSuspected(P0, 3, 4),
        ClockSet(-3600 * SECOND, 3600 * SECOND),
        ForeignCommit(P0, 3, 9),
        SourceTroubled("_TRANSPORT", "broker away"),
        SourceAnswered(NOON),
        LagMeasured(((P0, 5),)),
        PanesOpen(((CHURN, 3),)),
        CheckpointSaved(NOON, 0.01, 100),
        CheckpointFailed("disk full"),
        StateBegun("/state/driftd.sqlite3"),
        StateRecovered("damaged", "it is empty", "from driftd.sqlite3.backup-1", "driftd.sqlite3.damaged-1"),
        StateLost(P0, 9, 3),
        BackupFailed("disk full"),
        WebAccessChanged("web.yml: cannot be read: No such file or directory"),
        DeliveryTried("trainer", "webhook", "id", "retried", 500, "answered 500"),
        ReferenceStoodIn("models:/churn/3", "does not answer"),
        DeliveryForgotten("old", "id", "model.alert.firing", "churn/3/drift"),
        NoticesUnclaimed("old", 2, NOON, ("id", "other")),
        OutboxDecided("drop", "trainer", "id", "ana", "the receiver is gone"),
        DaemonStarted("http://127.0.0.1:9464", "127.0.0.1:9092", "0.1.0", "abc", compiled=True, broker_timed=("t",)),
        DaemonStopped(),
        JUDGED,
        JoinCounted(CHURN, "label", {"joined": 3}),
        HalvesCounted(CHURN, "asked", "request", {"joined": 3, "unmatched": 1}),
        ContractBroken(CHURN, {("age", "max"): 2}, (ContractSample(("age", "max"), "130"),)),
        SchemaChanged(CHURN, "age", "gone", NOON, (FirstOffset(P0, 7, NOON),)),
        LabelDelays(CHURN, (1,) * (len(DELAY_BOUNDS) + 1), 90.0),
        RequestsServed(CHURN, np.bincount([152, 153], minlength=BINS), 1.02, 2, 1),
        ServiceLearning(CHURN, CalibrationLearning(CHURN, NOON, 3 * DAY, 14 * DAY, windows=72, needed=52)),
        ServiceLearnt(
            CHURN, NOON, "learnt_day", "abc", "def", 334, 14 * DAY, (), blank_service(["__latency__", "__error__"])
        ),
        VersionSeen(VERSION),
        VersionChanged(replace(VERSION, standing=VersionState.GIVEN, reference="abc")),
        VersionsStand((replace(VERSION, version="5"),)),
        ReferenceAbsent(replace(VERSION, why="refs/churn-4.json does not exist")),
        ChartsTakenOver(CHURN, NOON, "churn/3", ("age",)),
        FirstRowsCounted(CHURN, NOON, 10_000, b""),
        RegistryAnswered("churn", "answered 503"),
        ServiceJudged(CHURN, 0, NOON, 5, 5, (UsualLatency(0.95, 0.2, 0.1),), 0.2, 0.01, ("latency",)),
    )
}


class Scene:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.clock = ManualClock()
        self.board = Board({CHURN: SeriesBoard("abc", 1000)})
        self.telemetry = Telemetry(self.board, self.clock.now)
        self._capsys = capsys

    def record(self, *facts: Fact, level: str = "debug") -> list[dict[str, Any]]:
        """Record facts; the log lines that came of it."""
        configure_logging(level, "json")  # here: another phase of a test has another stderr
        self.telemetry.record(facts)
        return [json.loads(line) for line in self._capsys.readouterr().err.splitlines()]

    def events(self, *facts: Fact) -> list[str]:
        return [line["event"] for line in self.record(*facts)]

    def count(self, name: str, *labels: str) -> int:
        return self.board.counters[name][labels]


@pytest.fixture
def scene(capsys: pytest.CaptureFixture[str]) -> Iterator[Scene]:
    yield Scene(capsys)
    structlog.reset_defaults()


def test_there_is_an_example_of_every_fact() -> None:
    assert set(EXAMPLES) == set(get_args(Fact))


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_every_fact_is_seen_or_heard(scene: Scene, kind: type[Fact]) -> None:
    """A fact that changes neither a metric nor the log was forgotten here."""
    before = repr(scene.board)

    said = scene.record(EXAMPLES[kind])

    assert said or repr(scene.board) != before


@pytest.mark.parametrize(
    ("fact", "event", "level"),
    [
        (CHANGED, "alert.firing", "warning"),
        (EXAMPLES[RetrainDecided], "retrain.decided", "info"),
        (EXAMPLES[RetrainRunEnded], "retrain.run_ended", "warning"),
        (EXAMPLES[RetrainRunUnseen], "retrain.run_unseen", "warning"),
        (EXAMPLES[RetrainEnded], "retrain.ended", "warning"),
        (EXAMPLES[StateReset], "state.reset", "warning"),
        (EXAMPLES[DecisionMade], "decision.made", "info"),
        (EXAMPLES[ReportMade], "report.made", "info"),
        (EXAMPLES[DecisionRefused], "decision.refused", "warning"),
        (EXAMPLES[DecisionEnded], "decision.ended", "info"),
        (EXAMPLES[AlertEscalated], "alert.escalated", "warning"),
        (EXAMPLES[LevelChanged], "level.settled", "info"),
        (EXAMPLES[BaselineTrails], "baseline.trailing", "info"),
        (EXAMPLES[ServiceLearning], "service.learning", "debug"),
        (EXAMPLES[ServiceLearnt], "service.learnt", "warning"),
        (BaselineTrails(CHURN, NOON, "age", 28, 28, 2.0, 0.7, paused=False), "baseline.outgrown", "warning"),
        (EXAMPLES[RateImproved], "rate.improved", "info"),
        (EXAMPLES[PartitionsAssigned], "source.assigned", "info"),
        (EXAMPLES[TopicsMissing], "source.topics_missing", "warning"),
        (EXAMPLES[RecordsWaiting], "source.records_waiting", "warning"),
        (RecordsWaiting((), "as above", NOON, NOON + SECOND), "source.records_decoded", "info"),
        (EXAMPLES[ReaderChosen], "source.reader", "info"),
        (EXAMPLES[OffsetsExpired], "source.offsets_expired", "info"),
        (EXAMPLES[OffsetsLost], "source.offsets_lost", "error"),
        (EXAMPLES[EventsAhead], "events.ahead", "warning"),
        (EXAMPLES[DetectorFailed], "detector.failed", "error"),
        (EXAMPLES[FewRows], "window.few_rows", "warning"),
        (FewRows(CHURN, 240.0, 300 * SECOND, 200, few=False), "window.enough_rows", "info"),
        (EXAMPLES[PartitionsUnreachable], "source.partitions_unreachable", "error"),
        (EXAMPLES[LateShare], "events.late", "warning"),
        (LateShare("t", 0.01, many=False, changed=True, cause=""), "events.timely", "info"),
        (EXAMPLES[RecordsSkipped], "source.records_skipped", "error"),
        (EXAMPLES[PositionSuspected], "source.position_suspected", "error"),
        (EXAMPLES[ClockSet], "clock.set", "error"),
        (ClockSet(3600 * SECOND, 0), "clock.set", "warning"),
        (EXAMPLES[ForeignCommit], "source.foreign_commit", "error"),
        (EXAMPLES[SourceTroubled], "source.troubled", "warning"),
        (EXAMPLES[CheckpointFailed], "checkpoint.failed", "error"),
        (EXAMPLES[CheckpointSaved], "checkpoint.saved", "debug"),
        (EXAMPLES[StateBegun], "state.begun", "warning"),
        (EXAMPLES[StateRecovered], "state.recovered", "error"),
        (EXAMPLES[StateLost], "state.lost", "error"),
        (EXAMPLES[BackupFailed], "state.backup_failed", "error"),
        (EXAMPLES[WebAccessChanged], "http.access_refused", "error"),
        (WebAccessChanged(None), "http.access_changed", "info"),
        (EXAMPLES[EventsRejected], "events.rejected", "warning"),
        (EXAMPLES[FieldsRejected], "fields.rejected", "warning"),
        (EXAMPLES[DeadLettersBlocked], "dead_letters.blocked", "error"),
        (EXAMPLES[DeadLettersDropped], "dead_letters.dropped", "warning"),
        (EXAMPLES[DeliveryTried], "webhook.retried", "warning"),
        (EXAMPLES[NoticesUnclaimed], "outbox.unclaimed", "warning"),
        (EXAMPLES[DeliveryForgotten], "outbox.forgotten", "warning"),
        (EXAMPLES[ReferenceStoodIn], "reference.kept", "warning"),
        (EXAMPLES[OutboxDecided], "outbox.dropped", "info"),
        (OutboxDecided("retry", "trainer", "id", "ana", ""), "outbox.retried", "info"),
        (DeliveryTried("trainer", "webhook", "id", "delivered", 204, ""), "webhook.delivered", "info"),
        (DeliveryTried("trainer", "webhook", "id", "refused", 410, ""), "webhook.dead", "warning"),
        (DeliveryTried("trainer", "webhook", "id", "dead", 500, ""), "webhook.dead", "warning"),
        (DeliveryTried("tickets", "kanban", "id", "present", 409, ""), "target.present", "info"),
        (DeliveryTried("tickets", "kanban", "id", "refused", 410, ""), "target.refused", "warning"),
        (DeliveryTried("tickets", "kanban", "id", "dead", None, ""), "target.dead", "warning"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_what_matters_is_logged_at_its_level(scene: Scene, fact: Fact, event: str, level: str) -> None:
    (line,) = scene.record(fact)

    assert (line["event"], line["level"]) == (event, level)


def test_an_alert_is_logged_with_the_page_of_its_incident(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "json")
    Telemetry(Board({CHURN: SeriesBoard("abc", 1000)}), ManualClock().now, "https://ops.internal").record([CHANGED])
    (line,) = map(json.loads, capsys.readouterr().err.splitlines())

    assert line["url"] == f"https://ops.internal/incident?id={CHANGED.incident}"


@pytest.mark.parametrize(
    "fact",
    [
        EXAMPLES[EventsCounted],
        FieldsRejected("t", "missing", 9),
        TopicsMissing(()),
        EXAMPLES[SubgroupCharted],
        EXAMPLES[CalibrationStands],
        EXAMPLES[DecisionsStand],
        EXAMPLES[ModelTallied],
        DecisionMade(DECISION, repeated=True),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_what_is_usual_is_not_logged(scene: Scene, fact: Fact) -> None:
    assert scene.record(fact) == []


@pytest.mark.parametrize(
    ("fact", "name", "labels", "count"),
    [
        (EXAMPLES[EventsRejected], "driftd_events_rejected_total", ("t", "too_large"), 2),
        (EXAMPLES[FieldsRejected], "driftd_fields_rejected_total", ("t", "number_as_text"), 2),
        (EXAMPLES[SourceTroubled], "driftd_kafka_errors_total", ("_TRANSPORT",), 1),
        (EXAMPLES[CheckpointFailed], "driftd_checkpoint_failures_total", (), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_complaint_is_logged_once_a_minute_and_counted_always(
    scene: Scene, fact: Fact, name: str, labels: tuple[str, ...], count: int
) -> None:
    assert len(scene.events(*[fact] * 100)) == 1
    scene.clock.advance(QUIET_FOR / SECOND - 1)
    assert scene.events(fact) == []
    scene.clock.advance(1)
    assert len(scene.events(fact)) == 1

    assert scene.count(name, *labels) == 102 * count


def test_another_complaint_is_another_line(scene: Scene) -> None:
    said = scene.events(
        EventsRejected("t", "too_large", 1), EventsRejected("t", "empty", 1), EventsRejected("u", "empty", 1)
    )

    assert said == ["events.rejected"] * 3


def test_complaints_remembered_are_bounded(scene: Scene) -> None:
    scene.record(*(SourceTroubled(f"E{at}", "") for at in range(3 * MOST_COMPLAINTS)))

    assert len(scene.telemetry._said) <= MOST_COMPLAINTS


def test_warnings_of_charts_add_up_beside_those_expected(scene: Scene) -> None:
    charted = EXAMPLES[SubgroupCharted]
    scene.record(charted, charted, SubgroupCharted(CHURN, 0, NOON, 5, plain_point(suspect=True)))

    assert scene.count("driftd_chart_warnings_total", "churn", "3") == 4
    assert scene.board.expected_warnings == {("churn", "3"): 0.5}
    assert scene.board.suspect == {("churn", "3"): True}


def test_a_restored_doubt_of_the_calibration_stands(scene: Scene) -> None:
    scene.telemetry.restore([EXAMPLES[CalibrationStands]])

    assert scene.board.suspect == {("churn", "3"): True}


def test_what_was_learnt_is_a_line_that_names_what_differs(scene: Scene) -> None:
    (line,) = scene.record(EXAMPLES[CalibrationLearnt], level="info")

    assert (line["event"], line["level"]) == ("calibration.learnt", "warning")
    assert (line["model"], line["calibration"], line["windows"], line["days"]) == ("churn", "learnt_day", 334, 14.0)
    assert (line["training"], line["reference"]) == ("abc", "def")
    assert line["differs"] == ["age PSI 0.30, mean +0.50 σ, unseen +1.0 points"]


def test_learning_is_shown_and_told_to_those_who_look_closely(scene: Scene) -> None:
    assert scene.record(EXAMPLES[CalibrationLearning], level="info") == []
    assert scene.board.series[CHURN].learning == EXAMPLES[CalibrationLearning]
    assert [line["progress"] for line in scene.record(EXAMPLES[CalibrationLearning])] == ["learning 3/14 d"]


def test_a_restored_lesson_stands(scene: Scene) -> None:
    scene.telemetry.restore([EXAMPLES[CalibrationLearnt]])

    assert scene.board.series[CHURN].calibration == "learnt_day"


def test_skipped_records_count_as_rejected(scene: Scene) -> None:
    scene.record(RecordsSkipped(P0, 3, 9))

    assert scene.count("driftd_events_total", "t", "rejected") == 7
    assert scene.count("driftd_events_rejected_total", "t", "unreadable_batch") == 7


def test_only_the_loop_can_say_that_it_turns(scene: Scene) -> None:
    """A notifier that delivers while the loop is stuck must not make it look alive."""
    scene.telemetry.turned()
    scene.clock.advance(60)

    scene.record(EXAMPLES[DeliveryTried])
    assert scene.telemetry.look(lambda board: board.turned_at) == NOON

    scene.telemetry.turned()
    assert scene.telemetry.look(lambda board: board.turned_at) == NOON + 60 * SECOND


def test_what_is_restored_is_neither_counted_nor_logged(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("debug", "json")
    resolved = AlertChanged(
        CHURN, "drift", Severity.CRITICAL, AlertState.FIRING, AlertState.INACTIVE, 0, 1, CHANGED.window, (), "abc"
    )

    scene.telemetry.restore([EXAMPLES[WindowClosed], EXAMPLES[AlertSeen], resolved])

    assert list(scene.board.resolved) == [resolved]
    assert scene.board.alerts.keys() == {(CHURN, "drift", IncidentKind.DRIFT)}
    assert scene.count("driftd_alert_transitions_total", "churn", "3", "drift", "inactive") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_a_copy_of_the_board_knows_nothing_of_what_came_after(scene: Scene, kind: type[Fact]) -> None:
    scene.record(*EXAMPLES.values())
    copied = scene.telemetry.look(Board.copy)
    before = repr(copied)

    scene.record(EXAMPLES[kind], EXAMPLES[CheckpointSaved])

    assert repr(copied) == before != repr(scene.board)


def test_a_decision_is_logged_with_who_what_and_why_and_counted_once(scene: Scene) -> None:
    (line,) = scene.record(DecisionMade(DECISION), DecisionMade(DECISION, repeated=True))

    assert {key: line[key] for key in ("id", "decision", "model", "features", "by", "reason", "until")} == {
        "id": "s-1",
        "decision": "silence",
        "model": "churn",
        "features": ["age"],
        "by": "ana",
        "reason": "release",
        "until": "2026-11-23T13:00:00Z",
    }
    assert scene.count("driftd_decisions_total", "churn", "silence") == 1


def test_webhooks_are_counted_as_targets_and_as_ever(scene: Scene) -> None:
    """The older counter knows three outcomes; other types of targets are not in it."""
    for outcome in DELIVERY_OUTCOMES:
        scene.record(DeliveryTried("trainer", "webhook", "id", outcome, None, ""))
        scene.record(DeliveryTried("tickets", "kanban", "id", outcome, None, ""))

    counted = scene.board.counters["driftd_target_deliveries_total"]
    assert counted == dict.fromkeys(product(("trainer", "tickets"), DELIVERY_OUTCOMES), 1)
    older = scene.board.counters["driftd_webhook_deliveries_total"]
    assert older == {("trainer", "delivered"): 2, ("trainer", "retried"): 1, ("trainer", "dead"): 2}


def test_threads_lose_no_count(scene: Scene) -> None:
    configure_logging("error", "json")
    fact = DeliveryTried("trainer", "webhook", "id", "delivered", 204, "")
    threads = [Thread(target=lambda: [scene.telemetry.record([fact]) for _ in range(200)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert scene.count("driftd_webhook_deliveries_total", "trainer", "delivered") == 800


# --- logs -------------------------------------------------------------------------------------------------------------


def test_a_line_cannot_be_forged_by_a_name(scene: Scene) -> None:
    (line,) = scene.record(StateReset(SeriesKey('a\n{"event": "forged"}', "\u2028"), "x"))

    assert line["event"] == "state.reset"


@pytest.mark.parametrize(("level", "lines"), [("debug", 3), ("info", 2), ("warning", 1), ("error", 0)])
def test_the_level_is_obeyed(scene: Scene, level: str, lines: int) -> None:
    said = scene.record(EXAMPLES[CheckpointSaved], EXAMPLES[PartitionsAssigned], EXAMPLES[StateReset], level=level)

    assert len(said) == lines


def test_people_get_text(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info", "console")

    scene.telemetry.record([EXAMPLES[StateReset]])

    assert "state.reset" in capsys.readouterr().err


def test_no_secret_is_in_any_log_line(
    scene: Scene, tmp_path: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """A delivery that fails in every way, with secrets in key, query and answer."""
    configure_logging("debug", "json")
    receiver = Receiver()
    receiver.answers = [500, (503, {"retry-after": "canary"}), (302, {"location": "http://x/canary"}), 410]
    store = StateStore(tmp_path)
    secret = decode_secret("whsec_" + "Y2FuYXJ5" * 4)  # canarycanary…
    hook = Webhook("trainer", f"{receiver.url}?token=canary", secret)
    notifier = Notifier(
        Subscriber(hook, "webhook", frozenset({"*"})), store, scene.clock, lambda fact: scene.telemetry.record([fact])
    )
    store.save([], {}, [AddressedNotice(Notice("id", "t", "s", NOON, b"{}"), ("trainer",))], NOON)
    with Transport(scene.clock) as io:
        for _ in range(4):
            assert notifier.turn(io)
            scene.clock.advance(600)
    receiver.close()
    scene.clock.advance(600)
    store.save([], {}, [AddressedNotice(Notice("id2", "t", "s", NOON, b"{}"), ("trainer",))], NOON)
    with Transport(scene.clock) as io:
        assert notifier.turn(io)
    store.close()

    said = capsys.readouterr().err
    assert said.count("webhook.") == 5
    assert "canary" not in said.lower()
    assert "Y2FuYXJ5" not in said
    ours = [record for record in caplog.records if not record.name.startswith("httpcore")]
    assert ours == []


def test_windows_that_close_together_leave_the_board_that_they_leave_one_by_one() -> None:
    """Also where the last one is not scored yet, or facts of other series stand between."""
    other = SeriesKey("fraud", "1")
    facts: list[Fact] = []
    for number in range(3):
        for key in (CHURN, other):
            closed = WindowClosed(key, number, number + 1, 5 + number, (FeatureQuality("age", 0.0, 0.0),))
            scored = WindowScored(
                key, number + 1, score_table(DriftScore("age", "psi", 0.1 * number, rows=5)), {"age": 2}
            )
            facts += [closed, scored] if (number, key) != (2, other) else [closed]
    together, apart = (Board({key: SeriesBoard("abc", 10) for key in (CHURN, other)}) for _ in range(2))

    together.apply(*facts)
    for fact in facts:
        apart.apply(fact)

    assert together == apart
    assert together.series[CHURN].window == facts[-3]
    assert [len(each) for each in together.windows.values()] == [3, 3]
    assert not together.series[other].states


def test_panes_that_did_not_change_are_still_shown() -> None:
    """The pipeline names the series whose number of panes has changed, and no others."""
    other = SeriesKey("fraud", "1")
    board = Board({key: SeriesBoard("abc", 10) for key in (CHURN, other)})

    for panes in (((CHURN, 1), (other, 1)), ((CHURN, 2),), ()):
        board.apply(PanesOpen(panes))

    assert board.panes == {CHURN: 2, other: 1}


@pytest.mark.parametrize(
    ("fact", "name", "counted"),
    [
        (EXAMPLES[OffsetsExpired], "driftd_offsets_expired_total", {("t",): 9}),
        (OffsetsLost(P0, 4, 11), "driftd_offsets_lost_total", {("t",): 7}),
        (RecordsSkipped(P0, 3, 5), "driftd_events_rejected_total", {("t", "unreadable_batch"): 3}),
        (EXAMPLES[StateRecovered], "driftd_state_recoveries_total", {("damaged",): 1}),
        (EXAMPLES[StateLost], "driftd_state_recoveries_total", {("lost",): 1}),
        (EXAMPLES[BackupFailed], "driftd_state_backup_failures_total", {(): 1}),
    ],
)
def test_what_is_counted_moves_its_counter(
    scene: Scene, fact: Fact, name: str, counted: dict[tuple[str, ...], int]
) -> None:
    scene.record(fact)

    assert dict(scene.board.counters[name]) == counted
