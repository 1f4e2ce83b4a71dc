"""What can be asked over HTTP, on real sockets: routes, shapes, both metric formats, clients that dawdle."""

import http.client
import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import numpy as np
import prometheus_client.openmetrics.parser as openmetrics
import prometheus_client.parser as classic
import pytest
from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector

from detectors import DriftScore, Sketch
from detectors.charts import IncidentKind
from detectors.reference.live import Difference
from detectors.sketches.served import BINS
from monitor.alerting.alerts import AlertState
from monitor.alerting.episodes import Evidence, FirstOffset
from monitor.alerting.incidents import Escalation, Standing
from monitor.alerting.rules import Severity
from monitor.alerting.runs import FollowedRun, OpenRequest, RunState, StartedRun
from monitor.alerting.versions import KnownVersion, VersionSource, VersionState
from monitor.facts import (
    DELAY_BOUNDS,
    AlertChanged,
    AlertSeen,
    BaselineTrails,
    CalibrationLearning,
    CalibrationLearnt,
    CheckpointSaved,
    ClassCoverage,
    ClassTold,
    ContractBroken,
    ContractSample,
    CountsQuarantined,
    CoverageTest,
    DeadLettersBlocked,
    DeadLettersDropped,
    DeadLettersKept,
    DeadLettersSized,
    DeliveryForgotten,
    DetectorFailed,
    EventsCounted,
    EventsRejected,
    Fact,
    FeatureQuality,
    FewRows,
    FieldsRejected,
    HalvesCounted,
    JoinCounted,
    LabelDelays,
    LagMeasured,
    LateShare,
    MetricTold,
    PartitionsUnreachable,
    PerformanceEstimated,
    PerformanceJudged,
    RecordsWaiting,
    ReferenceAbsent,
    RegistryAnswered,
    ReliabilityTold,
    ReplicaAssigned,
    RequestsServed,
    RetrainRunEnded,
    SchemaChanged,
    ServiceJudged,
    ServiceLearning,
    SourceTroubled,
    SubgroupCharted,
    UsualLatency,
    VersionSeen,
    WatermarkAdvanced,
    WindowClosed,
    WindowIds,
    WindowRequests,
    WindowScored,
    WindowSpan,
)
from monitor.runtime.board import Board, ContractBoard, SeriesBoard
from monitor.runtime.exposition import CLASSIC
from monitor.runtime.http import Exchange, Server, Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import METRICS, DaemonStatus, Exposition
from monitor.runtime.page.frame import POLICY
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.store.sqlite import Backlog
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.build import DAY, REFERENCE, score_table
from tests.charted import plain_point
from tests.fakes import NOON, ManualClock, nothing_waits
from tests.reported import a_report_made

MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
CHURN = SeriesKey("churn", "3")
ODD = 'say "hi"\\\n{x="y"}'
EVIDENCE = (Evidence("age", "psi", 0.41, 0.25, 1e-9, 100),)


def score(feature: str, detector: str, value: float | None, **details: float) -> DriftScore:
    return DriftScore(
        feature=feature, detector=detector, value=value, rows=100, threshold=0.25, pvalue=0.5, details=details
    )


def changed(before: AlertState, after: AlertState, at: int = NOON) -> AlertChanged:
    return AlertChanged(
        key=CHURN,
        rule="drift",
        severity=Severity.CRITICAL,
        before=before,
        after=after,
        since=at - MINUTE,
        episode=2,
        window=WindowSpan(at - 5 * MINUTE, at, 100),
        evidence=EVIDENCE,
        reference="abc",
    )


WINDOW = WindowClosed(
    CHURN,
    NOON - 5 * MINUTE,
    NOON,
    100,
    (FeatureQuality("age", 0.1, 0.2, -1.5), FeatureQuality(ODD, 0.0, 0.5)),
    WindowIds(80, 60.0, 0.25, 0.01),
    3.5,
    WindowRequests(100, 0.1, 0.2, 0.25, 0.51234, 100, 4),
    (("age", "max", 2),),
    unlogged=900,
)
IDLE = SeriesKey("idle", "*")
VERSION = KnownVersion(
    "churn", "4", VersionSource.REQUEST, NOON, NOON, VersionState.WAITING, why="refs/churn-4.json does not exist"
)
LEARNT = CalibrationLearnt(
    key=IDLE,
    at=NOON,
    calibration="learnt_day",
    before="abc",
    after="def",
    windows=334,
    span=334 * 60 * MINUTE,
    differs=(Difference("age", 0.3, 0.5, 0.0, 0.01),),
    changes=("plan changes",),
    reference=REFERENCE,
)
MADE = OpenRequest("r1", CHURN, "drift", NOON, NOON + MINUTE, 0, NOON)
FACTS: list[Fact] = [
    RetrainRunEnded(MADE, FollowedRun("airflow", "airflow", StartedRun(RunState.SUCCEEDED, "d-1"))),
    WatermarkAdvanced(NOON + MINUTE),
    a_report_made(),
    WINDOW,
    WindowScored(
        CHURN,
        NOON,
        score_table(
            score("age", "psi", 0.41, expected=0.1, debiased=0.3),
            score("age", "ks", 0.3, upper=0.35, resolution=0.01),
            score("age", "adwin", 1.5, direction=-1),
            score(ODD, "chi2", None),
        ),
        {"age": 2, ODD: -1},
    ),
    changed(AlertState.PENDING, AlertState.FIRING),
    AlertSeen(CHURN, "drift", Severity.CRITICAL, AlertState.FIRING, NOON, 2, EVIDENCE),
    SubgroupCharted(
        CHURN, NOON - 5 * MINUTE, NOON, 100, plain_point(warned=3, expected_warnings=0.5, suspect=True, widened=1.5)
    ),
    BaselineTrails(CHURN, NOON, "age", 28, 9, 0.4, 0.01, paused=False),
    CalibrationLearning(IDLE, NOON, 84 * 60 * MINUTE, 14 * DAY, windows=84, needed=52),
    DetectorFailed(CHURN, NOON, "mode", "detector mode failed: ValueError"),
    DeliveryForgotten("trainer", "id", "model.alert.firing", "churn/3/drift"),
    FewRows(CHURN, 100.0, 5 * MINUTE, 200, few=True),
    EventsCounted("t", "ok", 7),
    EventsRejected("t", "too_large", 2),
    FieldsRejected("t", "missing", 3),
    DeadLettersKept("t", "empty", 1, 0),
    DeadLettersBlocked("the disk is full", 1),
    DeadLettersDropped("letters-00000001.jsonl", 64),
    DeadLettersSized(4096),
    LagMeasured(((Partition("t", 1), 5),)),
    ReplicaAssigned((Partition("t", 1),), (3,)),
    CountsQuarantined(3, "damaged", "damaged: its checksum does not fit"),
    LateShare("t", 0.125, many=True, changed=True, cause="t/1 is far behind the others"),
    RecordsWaiting((("t", 3),), "a registry is away", NOON, NOON),
    PartitionsUnreachable(((Partition("t", 2), NOON),)),
    SourceTroubled("_ALL_BROKERS_DOWN", "x"),
    CheckpointSaved(NOON, 0.004, 12_345),
    PerformanceJudged(
        CHURN,
        NOON - 5 * MINUTE,
        NOON,
        7 * DAY,
        final=True,
        task="binary",
        predictions=10,
        labelled=8,
        sampling=0.5,
        metrics=(
            MetricTold("accuracy", 0.75, 0.4, 0.9, 8, over_missing=(0.6, 0.8)),
            MetricTold("auroc", None, None, None, 8, "no positive label"),
        ),
        classes=(ClassCoverage("positive", 4, 3),),
        delay_median=60.0,
        left_out={"score_outside": 1},
        estimated=(MetricTold("accuracy", 0.9, 0.8, 0.95, 8),),
        coverage_test=CoverageTest(0.5, 0.001, "positive"),
        by_class=(ClassTold("positive", 3, (MetricTold("recall", 0.75, 0.4, 0.9, 8, over_missing=(0.6, 0.8)),)),),
        reliability=(ReliabilityTold(0.7, 0.8, 8, 0.75, 0.75, 0.4, 0.9),),
    ),
    PerformanceEstimated(
        CHURN, NOON - 5 * MINUTE, NOON, "binary", 100, 0.25, (MetricTold("accuracy", 0.9, 0.8, 0.95, 100),)
    ),
    JoinCounted(CHURN, "label", {"joined": 8}),
    HalvesCounted(CHURN, "asked", "request", {"joined": 8, "unmatched": 2}),
    ContractBroken(CHURN, {("age", "max"): 2}, (ContractSample(("age", "max"), "130"),)),
    SchemaChanged(CHURN, "zip", "new", NOON, (FirstOffset(Partition("p", 0), 7, NOON),)),
    JoinCounted(CHURN, "prediction", {"ok": 10}),
    LabelDelays(CHURN, (1,) * (len(DELAY_BOUNDS) + 1), 90.0),
    RequestsServed(CHURN, np.bincount([152, 153], minlength=BINS), 1.02, 2, 1),
    ServiceJudged(
        CHURN, NOON - 5 * MINUTE, NOON, 100, 99, (UsualLatency(0.95, 0.25, 0.125),), 0.04, 0.01, ("latency",)
    ),
    ServiceLearning(IDLE, CalibrationLearning(IDLE, NOON, 3 * DAY, 14 * DAY, windows=72, needed=52)),
    VersionSeen(VERSION),
    ReferenceAbsent(VERSION),
    RegistryAnswered("churn", "answered 503"),
]

FROZEN = AlertSeen(
    CHURN,
    "frozen",
    Severity.WARNING,
    AlertState.FIRING,
    NOON,
    1,
    (Evidence("age", "frozen", 300.0, 200.0, None, 300, since=NOON),),
    IncidentKind.SERVICE,
)


class Scene:
    """A board behind a real server."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.trouble: str | None = None
        board = Board(
            {
                CHURN: SeriesBoard("abc", 1000, {"drift": "critical"}, calibration="day", min_rows=200),
                SeriesKey("idle", "*"): SeriesBoard("def", 10),
            }
        )
        self.board = board
        shown = ContractBoard("2", (("age", "max"),), ("__id__: unique asks of all events before",))
        board.expect_contract(CHURN, shown, ["t"])
        board.expect(topics=["t"], targets=[("trainer", "webhook"), ("board", "kanban")], rules=[(CHURN, "drift")])
        self.telemetry = Telemetry(board, self.clock.now)
        status = DaemonStatus(
            version="1.2.3",
            now=self.clock.now,
            ready=lambda: self.trouble,
            other_committer=lambda: False,
            backlog=lambda: {"trainer": Backlog(2, NOON - 5 * SECOND)},
            targets=("trainer",),
            started=NOON,
            compiled={"decoding": True, "counting": False},
        )
        process = CollectorRegistry()
        ProcessCollector(registry=process)
        PlatformCollector(registry=process)
        exposition = Exposition(self.telemetry.look, status, process)
        self.surface = Surface(
            self.telemetry,
            exposition,
            lambda: self.trouble,
            Deciding(None, Inbox(), self.telemetry.look),
            nothing_waits(),
        )
        self.server = Server("127.0.0.1", 0)
        self.server.serve(self.surface)
        self.port = int(self.server.address[1])

    def ask(self, target: str, *, method: str = "GET", **headers: str) -> tuple[int, str, str]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request(method, target, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheader("content-type", ""), answer.read().decode()

    def json(self, target: str) -> Any:
        status, kind, body = self.ask(target)
        assert (status, kind) == (200, "application/json")
        return json.loads(body)

    def close(self) -> None:
        self.server.close()


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = Scene()
    yield found
    found.close()


# --- routes -----------------------------------------------------------------------------------------------------------


def test_health_is_that_of_the_process_alone(scene: Scene) -> None:
    scene.trouble = "starting: positions are being looked up"

    assert scene.ask("/healthz") == (200, "text/plain; charset=utf-8", "ok\n")


def test_readiness_says_why_not(scene: Scene) -> None:
    assert scene.ask("/readyz")[::2] == (200, "ready\n")

    scene.trouble = "state could not be saved: database or disk is full"

    assert scene.ask("/readyz")[::2] == (503, "state could not be saved: database or disk is full\n")


@pytest.mark.parametrize("target", ["/nothing", "/api/v1/", "/metrics/", "//[", "/%00", "*", "/api/v1/models/x/y"])
def test_what_there_is_not_is_answered_with_what_there_is(scene: Scene, target: str) -> None:
    known = "/, /metrics, /healthz, /readyz, /api/v1/status, /api/v1/models, /api/v1/alerts, /api/v1/incidents, /api/v1/windows, /api/v1/decisions, /api/v1/retraining, /api/v1/outbox, /api/v1/versions, /api/v1/audit, /api/v1/models/{model}, /api/v1/models/{model}/features/{feature}, /api/v1/models/{model}/report, /api/v1/models/{model}/versions"

    assert scene.ask(target)[::2] == (404, f"nothing here; there is {known}\n")
    assert scene.ask(target, accept="text/html,*/*;q=0.8")[:2] == (404, "text/html; charset=utf-8")


def test_a_page_forbids_whatever_is_not_in_it(scene: Scene) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", scene.port, timeout=10)) as connection:
        connection.request("GET", "/")
        answer = connection.getresponse()

        assert (answer.status, answer.getheader("content-security-policy")) == (200, POLICY)
        assert answer.getheader("x-content-type-options") == "nosniff"
        assert answer.getheader("referrer-policy") == "no-referrer"
        assert b"<script" not in answer.read()


@pytest.mark.parametrize("target", ["/", "/metrics", "/healthz", "/readyz", "/api/v1/models", "/nothing"])
def test_head_is_get_without_the_body(scene: Scene, target: str) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", scene.port, timeout=10)) as connection:
        connection.request("HEAD", target)
        answer = connection.getresponse()

        assert answer.read() == b""
        assert int(answer.getheader("content-length", "0")) > 0
        assert answer.status == scene.ask(target)[0]
        assert answer.getheader("server", "").strip() == "driftd"
        assert answer.getheader("cache-control") == "no-store"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(scene: Scene, method: str) -> None:
    assert scene.ask("/api/v1/models", method=method)[0] == 501


@pytest.mark.parametrize(("target", "status"), [("/api/v1/models", 405), ("/metrics", 405), ("/nothing", 404)])
def test_only_decisions_the_outbox_and_new_versions_are_taken(scene: Scene, target: str, status: int) -> None:
    said = {
        "error": "nothing is taken here but at /api/v1/decisions, /api/v1/outbox, /api/v1/versions, /api/v1/registry/webhook"
    }

    assert scene.ask(target, method="POST") == (status, "application/json", json.dumps(said, separators=(",", ":")))


def test_a_feature_is_told_beside_its_reference(scene: Scene) -> None:
    window = Sketch.empty(REFERENCE.layout)
    window.update(*REFERENCE.encode({"age": [10.0, 200.0, None, 20.0], "plan": ["pro", "EU-2", "pro", "free"]}))
    scene.telemetry.record([*FACTS, LEARNT])
    scored = WindowScored(IDLE, NOON, score_table(score("age", "ks", 0.3)), {"age": 2, "plan": 0}, window.packed())
    scene.telemetry.record([WindowClosed(IDLE, NOON - MINUTE, NOON, 4, (FeatureQuality("age", 0.25, 0.25),)), scored])

    [plan] = scene.json("/api/v1/models/idle/features/plan")
    [age] = scene.json("/api/v1/models/idle/features/age?version=%2A")

    assert plan == {
        "model": "idle",
        "version": "*",
        "feature": "plan",
        "window": {"start": "2026-11-23T11:59:00Z", "end": "2026-11-23T12:00:00Z", "rows": 4},
        "reference": {"hash": "def", "rows": 10},
        "distribution": {
            "kind": "categorical",
            "rows": {"reference": 100, "current": 4},
            "bins": {"scale": "linear", "edges": [], "reference": [], "current": []},
            "shares": [
                {"part": "category", "label": "free", "reference": 0.75, "current": 0.25},
                {"part": "category", "label": "pro", "reference": 0.25, "current": 0.5},
                {"part": "new", "label": "new", "reference": 0.0, "current": 0.25},
                {"part": "missing", "label": "missing", "reference": 0.0, "current": 0.0},
            ],
        },
    }
    assert (age["state"], age["missing_ratio"], age["scores"][0]["detector"]) == (2, 0.25, "ks")
    assert len(age["distribution"]["bins"]["edges"]) == len(age["distribution"]["bins"]["current"]) + 1
    assert scene.json("/api/v1/models")[1]["drifted_ratio"] == 0.5
    assert 'driftd_drifted_features_ratio{model="idle",version="*"} 0.5' in scene.ask("/metrics")[2]


@pytest.mark.parametrize(
    ("target", "there"),
    [
        ("idle/features/income", "there is age, plan"),
        ("idle/features/age?version=7", "there is churn/3, idle/*"),
        ("nobody/features/age", "there is churn/3, idle/*"),
    ],
)
def test_of_a_feature_that_there_is_not_it_is_said_what_there_is(scene: Scene, target: str, there: str) -> None:
    scene.telemetry.record([LEARNT])
    answer = json.dumps({"error": there}, separators=(",", ":"))

    assert scene.ask(f"/api/v1/models/{target}") == (404, "application/json", answer)


def test_a_feature_without_a_window_has_no_distribution(scene: Scene) -> None:
    scene.telemetry.record([LEARNT])
    [age] = scene.json("/api/v1/models/idle/features/age")

    assert (age["window"], age["distribution"]) == (None, None)
    assert "driftd_drifted_features_ratio{" not in scene.ask("/metrics")[2]


ACCURACY = {
    "estimate": "realised",
    "value": 0.75,
    "interval": [0.4, 0.9],
    "bounds": None,
    "over_missing": [0.6, 0.8],
    "rows": 8,
    "because": None,
}
ESTIMATED = ACCURACY | {"estimate": "estimated", "value": 0.9, "interval": [0.8, 0.95], "over_missing": None}
NONE = {"value": None, "interval": None, "over_missing": None}


def test_models_have_the_documented_shape(scene: Scene) -> None:
    scene.telemetry.record(FACTS)

    churn, idle = scene.json("/api/v1/models")

    ids = {"rows": 80, "distinct": 60, "duplicate_share": 0.25, "error": 0.01}
    psi = {"detector": "psi", "value": 0.41, "threshold": 0.25, "pvalue": 0.5}
    assert churn == {
        "model": "churn",
        "version": "3",
        "window": {
            "start": "2026-11-23T11:55:00Z",
            "end": "2026-11-23T12:00:00Z",
            "rows": 100,
            "unlogged": 900,
            "ids": ids,
        },
        "requests": {
            "latency_seconds": {"requests": 100, "p50": 0.1, "p90": 0.2, "p95": 0.25, "p99": 0.5123},
            "errors": {"requests": 100, "failed": 4, "ratio": 0.04},
        },
        "calibration": "day",
        "learning": None,
        "learnt": None,
        "watermark": "2026-11-23T12:01:00Z",
        "insufficient": "a usual window of 5m holds 100 rows, min_rows is 200: KS, PSI and χ² will say insufficient_data; "
        "a window of 10m would do",
        "drifted_ratio": 1.0,
        "features": [
            {
                "feature": "age",
                "state": 2,
                "missing_ratio": 0.1,
                "unseen_ratio": 0.2,
                "insufficient": None,
                "scores": [psi, {**psi, "detector": "ks", "value": 0.3}, {**psi, "detector": "adwin", "value": 1.5}],
                "level": None,
                "baseline": {"baseline": "trailing 28d", "days": 9, "shift": 0.4, "beyond": 0.01, "paused": False},
            },
            {
                "feature": ODD,
                "state": -1,
                "missing_ratio": 0.0,
                "unseen_ratio": 0.5,
                "insufficient": {"cause": "few_rows", "values": 100, "min_rows": 200},
                "scores": [{**psi, "detector": "chi2", "value": None, "pvalue": None}],
                "level": None,
                "baseline": None,
            },
        ],
        "alerts": ["drift"],
        "contract": {
            "version": "2",
            "rows": 100,
            "excluded": None,
            "violations": [{"field": "age", "rule": "max", "count": 2, "share": 0.02, "samples": ["130"]}],
            "schema": [
                {
                    "field": "zip",
                    "change": "new",
                    "first": [{"topic": "p", "partition": 0, "offset": 7, "event_time": "2026-11-23T12:00:00Z"}],
                }
            ],
            "not_checked": ["__id__: unique asks of all events before"],
        },
        "service": {
            "learning": None,
            "learnt": None,
            "last": {
                "start": "2026-11-23T11:55:00Z",
                "end": "2026-11-23T12:00:00Z",
                "requests": 100,
                "latency_seconds": {"p95": {"now": 0.25, "usual": 0.125}},
                "errors": {"ratio": 0.04, "usual": 0.01},
                "firing": ["latency"],
            },
        },
        "performance": [
            {
                "age": "7d",
                "provisional": False,
                "frozen": False,
                "task": "binary",
                "window": {"start": "2026-11-23T11:55:00Z", "end": "2026-11-23T12:00:00Z"},
                "predictions": 10,
                "labelled": 8,
                "coverage": 0.8,
                "sampling": 0.5,
                "classes": [{"class": "positive", "predictions": 4, "labelled": 3}],
                "selection_bias": {
                    "beyond_chance": False,
                    "pvalue": 0.5,
                    "level": 0.001,
                    "class": "positive",
                    "words": None,
                },
                "delay_seconds": {"median": 60.0, "most": None},
                "left_out": {"score_outside": 1},
                "metrics": {"accuracy": ACCURACY, "auroc": {**ACCURACY, **NONE, "because": "no positive label"}},
                "estimated": {"accuracy": ESTIMATED},
                "difference": {
                    "accuracy": {
                        "value": pytest.approx(-0.15),
                        "interval": pytest.approx([-0.2, -0.05]),
                        "beyond_chance": True,
                    }
                },
            }
        ],
        "estimated": {
            "task": "binary",
            "window": {"start": "2026-11-23T11:55:00Z", "end": "2026-11-23T12:00:00Z"},
            "predictions": 100,
            "outside_ratio": 0.25,
            "assumption": "labels follow predictions as in the reference: no concept drift",
            "metrics": {"accuracy": {**ESTIMATED, "rows": 100}},
        },
    }
    [told] = churn["performance"]
    told["by_class"] = [{"class": "positive", "labels": 3, "metrics": {"recall": ACCURACY}}]
    told["reliability"] = [
        {"above": 0.7, "upto": 0.8, "rows": 8, "predicted": 0.75, "observed": 0.75, "interval": [0.4, 0.9]}
    ]
    assert scene.json("/api/v1/models/churn") == [churn]
    assert idle["performance"] is None
    assert idle["estimated"] == {"because": "the reference has no labels; `driftd reference fit --label` counts them"}
    assert (idle["window"], idle["features"], idle["alerts"]) == (None, [], [])
    assert (idle["service"]["learning"]["words"], idle["service"]["last"]) == ("learning 3/14 d", None)
    assert idle["learning"] == {
        "words": "learning 3.5/14 d",
        "days": 3.5,
        "of_days": 14.0,
        "windows": 84,
        "of_windows": 52,
        "apart": False,
        "why": None,
    }


def test_a_reference_that_has_learnt_is_shown_with_what_differs(scene: Scene) -> None:
    scene.telemetry.record([LEARNT])
    idle = scene.json("/api/v1/models")[1]
    found = families(scene, "OpenMetrics")

    assert (idle["calibration"], idle["learning"]) == ("learnt_day", None)
    assert idle["learnt"] == {
        "at": "2026-11-23T12:00:00Z",
        "calibration": "learnt_day",
        "windows": 334,
        "days": 13.9167,
        "training": "abc",
        "reference": "def",
        "differing": 1,
        "differs": [
            {
                "feature": "age",
                "psi": 0.3,
                "shift_sigma": 0.5,
                "missing": 0.0,
                "unseen": 0.01,
                "words": "age PSI 0.30, mean +0.50 σ, unseen +1.0 points",
            }
        ],
        "changes": ["plan changes"],
    }
    assert samples(found["driftd_learning_ratio"]) == {}
    assert samples(found["driftd_calibration_info"])["idle", "*", "learnt_day"] == 1


def test_alerts_have_the_documented_shape(scene: Scene) -> None:
    scene.telemetry.record(FACTS)
    scene.telemetry.record(changed(AlertState.FIRING, AlertState.INACTIVE, NOON + at * MINUTE) for at in range(150))

    firing, *resolved = scene.json("/api/v1/alerts")

    assert firing == {
        "model": "churn",
        "version": "3",
        "rule": "drift",
        "kind": "drift",
        "incident": firing["incident"],
        "severity": "critical",
        "state": "firing",
        "since": "2026-11-23T12:00:00Z",
        "resolved_at": None,
        "episode": 2,
        "evidence": [
            {"feature": "age", "detector": "psi", "score": 0.41, "threshold": 0.25, "pvalue": 1e-9, "rows": 100}
        ],
        "silenced": False,
        "acknowledged": None,
    }
    assert len(resolved) == 100
    assert {one["state"] for one in resolved} == {"resolved"}
    assert resolved[0]["resolved_at"] == "2026-11-23T14:29:00Z"  # the newest first


def test_incidents_have_the_documented_shape(scene: Scene) -> None:
    age = replace(EVIDENCE[0], chart="location+", since=NOON, effect=0.8, words="mean +0.8 σ")
    about = Standing(NOON + MINUTE, (Escalation(NOON + HOUR, ("plan",)),), ("plan",), (age,))
    ended = replace(changed(AlertState.FIRING, AlertState.INACTIVE, NOON + HOUR), about=about)
    opened = AlertSeen(CHURN, "drift", Severity.CRITICAL, AlertState.FIRING, NOON, 2, (age,), about=about)
    scene.telemetry.record([ended, opened, replace(opened, kind=IncidentKind.DATA_QUALITY, state=AlertState.PENDING)])

    found, over = scene.json("/api/v1/incidents")

    assert found == {
        "incident": opened.incident,
        "model": "churn",
        "version": "3",
        "kind": "drift",
        "state": "open",
        "severity": "critical",
        "since": "2026-11-23T12:00:00Z",
        "opened_at": "2026-11-23T12:01:00Z",
        "ended_at": None,
        "silenced": False,
        "acknowledged": None,
        "features": [
            {
                "feature": "age",
                "chart": "location+",
                "since": "2026-11-23T12:00:00Z",
                "effect": 0.8,
                "words": "mean +0.8 σ",
            }
        ],
        "settled": ["plan"],
        "escalations": [{"at": "2026-11-23T13:00:00Z", "features": ["plan"]}],
    }
    assert (over["state"], over["ended_at"]) == ("settled", "2026-11-23T13:00:00Z")
    assert [one["kind"] for one in scene.json("/api/v1/alerts")[:2]] == ["drift", "data_quality"]


def test_an_alert_that_is_over_is_no_longer_shown_as_open(scene: Scene) -> None:
    scene.telemetry.record(FACTS)
    scene.telemetry.record([AlertSeen(CHURN, "drift", Severity.CRITICAL, AlertState.INACTIVE, None, 2, ())])

    assert scene.json("/api/v1/alerts") == []
    assert scene.json("/api/v1/models")[0]["alerts"] == []


def closed_windows(count: int, key: SeriesKey = CHURN) -> list[WindowClosed]:
    return [WindowClosed(key, NOON + at * MINUTE, NOON + (at + 1) * MINUTE, at, ()) for at in range(count)]


def test_windows_are_the_newest_first(scene: Scene) -> None:
    scene.telemetry.record(closed_windows(600))
    scene.telemetry.record(closed_windows(2, SeriesKey("idle", "*")))

    found = scene.json("/api/v1/windows?model=churn&limit=1000")

    assert [one["rows"] for one in found] == list(range(599, 99, -1))
    assert found[-1] == {
        "model": "churn",
        "version": "3",
        "start": "2026-11-23T13:40:00Z",
        "end": "2026-11-23T13:41:00Z",
        "rows": 100,
    }
    assert len(scene.json("/api/v1/windows")) == 100
    assert [one["rows"] for one in scene.json("/api/v1/windows?model=idle&limit=1")] == [1]
    assert scene.json("/api/v1/windows?model=none") == []
    assert len(scene.json("/api/v1/windows?limit=600")) == 502


def test_windows_say_what_a_sampled_log_left_out(scene: Scene) -> None:
    scene.telemetry.record([WINDOW])

    assert [(one["rows"], one["unlogged"]) for one in scene.json("/api/v1/windows?model=churn&limit=1")] == [(100, 900)]


@pytest.mark.parametrize("limit", ["0", "-1", "x", "1.5", "%20", "1e3", "\u0663", "9" * 10, "9" * 5000, "+1"])
def test_a_limit_that_cannot_be_is_refused(scene: Scene, limit: str) -> None:
    status, kind, body = scene.surface.answer(f"/api/v1/windows?limit={limit}", "")

    assert (status, kind) == (400, "application/json")
    assert json.loads(body) == {"error": "limit must be a whole number from 1 to 999999999"}


# --- metrics ----------------------------------------------------------------------------------------------------------

FORMATS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "Prometheus": ("text/plain", "text/plain", classic.text_string_to_metric_families),
    "OpenMetrics": (
        "application/openmetrics-text; version=1.0.0",
        "application/openmetrics-text",
        openmetrics.text_string_to_metric_families,
    ),
}


def families(scene: Scene, style: str) -> dict[str, Any]:
    accept, kind, parse = FORMATS[style]
    status, found_kind, body = scene.ask("/metrics", accept=accept)
    assert status == 200
    assert found_kind.startswith(kind)
    return {family.name: family for family in parse(body)}


def samples(family: Any) -> dict[tuple[str, ...], float]:
    """By their labels' values, in the order of the documentation."""
    spec = METRICS.get(family.name) or METRICS[f"{family.name}_total"]
    return {tuple(sample.labels[label] for label in spec.labels): sample.value for sample in family.samples}


@pytest.mark.parametrize("style", FORMATS)
def test_metrics_are_those_documented_and_no_others(scene: Scene, style: str) -> None:
    scene.telemetry.record([*FACTS, FROZEN])
    series = scene.board.series[CHURN]
    scene.board.series[CHURN] = replace(series, rules={**series.rules, "frozen": "warning"})
    other = SeriesKey("churn", "4")  # a challenger, with labels too
    scene.board.series[other] = series
    scene.telemetry.record([replace(each, key=other) for each in FACTS if isinstance(each, PerformanceJudged)])

    found = families(scene, style)

    ours = {name: family for name, family in found.items() if not name.startswith(("process_", "python_"))}
    assert ours.keys() == {name.removesuffix("_total") for name in METRICS}
    for name, spec in METRICS.items():
        family = ours[name.removesuffix("_total")]
        assert (family.type, family.documentation) == (spec.kind, spec.help)
        labels = {frozenset(sample.labels) - {"le"} for sample in family.samples}
        assert labels == {frozenset(spec.labels)}, name


@pytest.mark.parametrize("style", FORMATS)
def test_what_is_frozen_is_named_with_since_when_and_gone_once_it_varies(scene: Scene, style: str) -> None:
    scene.telemetry.record([*FACTS, FROZEN])
    name = "driftd_frozen_since_timestamp_seconds"
    assert samples(families(scene, style)[name]) == {("churn", "3", "age"): NOON / SECOND}

    scene.telemetry.record([replace(FROZEN, state=AlertState.INACTIVE, evidence=())])
    assert samples(families(scene, style)[name]) == {}


@pytest.mark.parametrize("style", FORMATS)
def test_requests_are_counted_in_buckets_that_are_powers_of_two(scene: Scene, style: str) -> None:
    scene.telemetry.record([*FACTS, RequestsServed(CHURN, np.bincount([1], minlength=BINS), 0.000001, 3, 0)])

    found = families(scene, style)
    family = found["driftd_request_latency_seconds"]
    below = {each.labels["le"]: each.value for each in family.samples if each.name.endswith("_bucket")}
    assert (below["0.0009765625"], below["0.5"], below["1.0"], below["64.0"], below["+Inf"]) == (1, 2, 3, 3, 3)
    assert len(below) == 18
    assert samples(found["driftd_requests"]) == {("churn", "3", "ok"): 4, ("churn", "3", "error"): 1}
    assert samples(found["driftd_request_error_ratio"]) == {("churn", "3"): 0.04}


@pytest.mark.parametrize("style", FORMATS)
def test_metrics_say_what_was_told(scene: Scene, style: str) -> None:
    scene.telemetry.record(FACTS)

    found = {
        name: samples(family)
        for name, family in families(scene, style).items()
        if name.startswith("driftd_") and family.type != "histogram"
    }

    assert found["driftd_drift_score"] == {
        ("churn", "3", "age", "psi"): 0.41,
        ("churn", "3", "age", "ks"): 0.3,
        ("churn", "3", "age", "adwin"): 1.5,
    }
    assert found["driftd_drift_state"] == {("churn", "3", "age"): 2, ("churn", "3", ODD): -1}
    assert found["driftd_alert_state"] == {("churn", "3", "drift"): 2}
    others = ("late", "rejected", "unmonitored", "tombstone", "skipped")
    assert found["driftd_events"] == {("t", "ok"): 7, **{("t", outcome): 0 for outcome in others}}
    assert found["driftd_insufficient_features"] == {
        ("churn", "3", "few_rows"): 1,
        ("churn", "3", "few_values"): 0,
    }
    assert found["driftd_late_ratio"] == {("t",): 0.125}
    assert found["driftd_partition_unreachable_since_timestamp_seconds"] == {("t", "2"): NOON / SECOND}
    assert found["driftd_watermark_timestamp_seconds"] == {
        ("churn",): NOON / SECOND + 60,
        ("idle",): NOON / SECOND + 60,
    }
    assert found["driftd_outbox_oldest_seconds"] == {("trainer",): 5}
    assert found["driftd_reference_info"] == {("churn", "3", "abc", "1000"): 1, ("idle", "*", "def", "10"): 1}
    assert found["driftd_consumer_lag"] == {("t", "1"): 5}
    assert found["driftd_feature_shift_sigma"] == {("churn", "3", "age"): -1.5}
    assert found["driftd_calibration_info"] == {("churn", "3", "day"): 1, ("idle", "*", "cold"): 1}
    assert found["driftd_chart_warnings"] == {("churn", "3"): 3}
    assert found["driftd_detector_failures"] == {("churn", "3", "mode"): 1}
    assert found["driftd_chart_warnings_expected"] == {("churn", "3"): 0.5}
    assert found["driftd_calibration_suspect"] == {("churn", "3"): 1}
    assert found["driftd_allowance_ratio"] == {("churn", "3"): 1.5}
    assert found["driftd_reliability_ratio"] == {
        ("churn", "3", "0.7 to 0.8", of): value
        for of, value in {"predicted": 0.75, "observed": 0.75, "lower": 0.4, "upper": 0.9}.items()
    }


@pytest.mark.parametrize("style", FORMATS)
def test_names_with_quotes_backslashes_and_newlines_survive(scene: Scene, style: str) -> None:
    scene.telemetry.record(FACTS)

    found = families(scene, style)["driftd_feature_unseen_ratio"]

    assert {sample.labels["feature"]: sample.value for sample in found.samples} == {"age": 0.2, ODD: 0.5}


def test_before_anything_happened_counters_stand_at_zero(scene: Scene) -> None:
    found = families(scene, "OpenMetrics")

    assert set(samples(found["driftd_webhook_deliveries"]).values()) == {0}
    assert len(samples(found["driftd_alert_transitions"])) == len(AlertState)
    assert samples(found["driftd_alert_state"]) == {("churn", "3", "drift"): 0}
    assert samples(found["driftd_drift_score"]) == {}
    assert (
        samples(found["driftd_chart_warnings"]) == samples(found["driftd_calibration_suspect"]) == {("churn", "3"): 0}
    )


def test_durations_add_up(scene: Scene) -> None:
    scene.telemetry.record([CheckpointSaved(NOON, seconds, 1) for seconds in (0.0005, 0.004, 0.004, 99.0)])

    family = families(scene, "OpenMetrics")["driftd_checkpoint_duration_seconds"]

    buckets = {sample.labels.get("le"): sample.value for sample in family.samples if sample.name.endswith("_bucket")}
    assert (buckets["0.001"], buckets["0.005"], buckets["2.5"], buckets["+Inf"]) == (1, 3, 3, 4)
    assert {s.name.rpartition("_")[2]: s.value for s in family.samples if "bucket" not in s.name} == {
        "count": 4,
        "sum": pytest.approx(99.0085),
    }


def test_readiness_is_a_metric_too(scene: Scene) -> None:
    assert samples(families(scene, "Prometheus")["driftd_ready"]) == {(): 1}

    scene.trouble = "x"

    assert samples(families(scene, "Prometheus")["driftd_ready"]) == {(): 0}


def test_metrics_stand_ready_until_a_window_closes(scene: Scene) -> None:
    line, said = b"GET /metrics HTTP/1.1\r", [False]
    assert not scene.surface.stands_ready(line)
    for end in (NOON, NOON + MINUTE):
        scene.telemetry.record(
            [WindowClosed(CHURN, end - MINUTE, end, 10, ()), WindowScored(CHURN, end, score_table(), {})]
        )
        said.append(scene.surface.stands_ready(line))
        scene.ask("/metrics")
        said.append(scene.surface.stands_ready(line))

    assert said == [False, False, True, False, True]
    assert scene.surface.stands_ready(b"GET /healthz HTTP/1.1\r")
    assert not scene.surface.stands_ready(b"GET /api/v1/models HTTP/1.1\r")


# --- sockets ----------------------------------------------------------------------------------------------------------


def test_a_port_that_is_taken_is_an_error(scene: Scene) -> None:
    with pytest.raises(OSError, match="in use"):
        Server("127.0.0.1", scene.port)


def test_it_can_be_served_on_ipv6(scene: Scene) -> None:
    try:
        server = Server("::1", 0)
    except OSError:
        pytest.skip("this machine has no IPv6")
    assert server.url == f"http://[::1]:{server.address[1]}"
    server.close()


def test_a_silent_client_does_not_hold_the_others_up(scene: Scene) -> None:
    with closing(socket.create_connection(("127.0.0.1", scene.port))):
        assert scene.ask("/healthz")[0] == 200


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text;version=abc", "text/plain;version=x,*/*", ";;,=", "\xe9"]
)
def test_whatever_a_client_accepts_it_is_answered(scene: Scene, accept: str) -> None:
    status, kind, text = scene.ask("/metrics", accept=accept)

    assert (status, kind) == (200, CLASSIC)
    assert "driftd_ready 1.0" in text


@pytest.mark.parametrize(
    "request_text",
    [
        b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET " + b"x" * 70_000,
        b"BREW / HTTP/1.1\r\n\r\n",
    ],
    ids=["empty", "no target", "TLS", "version", "too long", "method"],
)
def test_nonsense_does_not_end_the_server(scene: Scene, request_text: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", scene.port))) as client:
        client.sendall(request_text)
        client.shutdown(socket.SHUT_WR)
        client.settimeout(10)
        with suppress(ConnectionResetError):
            client.recv(1000)

    assert scene.ask("/healthz")[0] == 200


def test_a_mistake_of_ours_is_not_silent(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_target: str, _accept: str) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(scene.surface, "answer", fail)

    assert scene.ask("/healthz")[0] == 500
    said, deadline = "", time.monotonic() + 10
    while "ZeroDivisionError: a bug" not in said and time.monotonic() < deadline:  # the answer comes first
        time.sleep(0.01)
        said += capsys.readouterr().err
    assert "ZeroDivisionError: a bug" in said


def test_requests_are_not_logged(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.ask("/nothing?secret=1")

    assert capsys.readouterr().err == ""
    assert Exchange.sys_version == ""
