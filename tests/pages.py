"""A board worth looking at behind a real server: what tests, pictures and the documents show of the status page."""

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry

from detectors import PackedSketch, Reference, ScoreColumns, Sketch
from detectors.charts import IncidentKind
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import Ack, Asked, Decision
from monitor.alerting.episodes import Evidence
from monitor.alerting.incidents import Escalation, Standing
from monitor.alerting.rules import Severity
from monitor.alerting.table import AskedScores, DetectorScores, ScoreTable
from monitor.facts import (
    AlertChanged,
    AlertSeen,
    CalibrationLearning,
    CheckpointSaved,
    ClassCoverage,
    ClassTold,
    CoverageTest,
    DecisionsStand,
    DeliveryTried,
    EventsCounted,
    EventsRejected,
    Fact,
    FeatureQuality,
    FeaturesTracked,
    LagMeasured,
    LateShare,
    MetricTold,
    PerformanceJudged,
    ReliabilityTold,
    TrackPoint,
    WatermarkAdvanced,
    WindowClosed,
    WindowScored,
    WindowSpan,
)
from monitor.runtime.board import Board, SeriesBoard
from monitor.runtime.http import Server, Surface
from monitor.runtime.inbox import Inbox
from monitor.runtime.metrics import DaemonStatus, Exposition
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import Deciding
from monitor.store.outbox import Backlog
from monitor.stream.events import SECOND, Nanos, Partition, SeriesKey
from tests.build import DAY, HOUR, MINUTE
from tests.fakes import NOON, nothing_waits
from tests.parts.chromium import Chromium

WINDOW: Nanos = 5 * MINUTE
BEGAN = NOON - 8 * HOUR + 5 * MINUTE
CHURN, FRAUD, RANKER = SeriesKey("churn", "3"), SeriesKey("fraud", "2026.11"), SeriesKey("ranker", "*")
FEATURES = ("age", "plan", "tenure_days", "country", "sessions_7d", "basket_total", "device", "__prediction__")
QUIET = tuple(SeriesKey(name, "1") for name in ("eta", "pricing", "search", "upsell"))


def values(rows: int, *, now: bool) -> dict[str, Any]:
    """Rows of all features: how they were in the reference, or how they are now, where three of them have changed."""
    rng = np.random.default_rng(rows)
    plans = rng.choice(["free", "pro", "team"], rows, p=[0.61, 0.31, 0.08] if now else [0.8, 0.12, 0.08])
    devices = np.where(rng.random(rows) < (0.14 if now else 0.001), None, rng.choice(["ios", "android", "web"], rows))
    return {
        "age": rng.normal(47.9 if now else 41.2, 8.2, rows).round(1),
        "plan": plans.tolist(),
        "tenure_days": rng.gamma(2, 122 if now else 100, rows).round(),
        "country": rng.choice(["DE", "FR", "NL", "PL"], rows).tolist(),
        "sessions_7d": rng.poisson(4, rows).astype(float),
        "basket_total": rng.lognormal(3, 0.8, rows).round(2),
        "device": devices.tolist(),
        "__prediction__": rng.beta(2, 5, rows).round(3),
    }


def counted(rows: int) -> PackedSketch:
    """The counts of a window of today."""
    window = Sketch.empty(REFERENCE.layout)
    window.update(*REFERENCE.encode(values(rows, now=True)))
    return window.packed()


REFERENCE = Reference.fit(values(50_000, now=False))
COUNTS = counted(9_412)


def evidence(feature: str, score: float, words: str, **changes: Any) -> Evidence:
    """One feature's part in an incident of the budget."""
    found = Evidence(feature, "drift", score, 1.0, None, 9_412, "location+", BEGAN, 0.83, words=words)
    return replace(found, **changes)


AGE = evidence("age", 3.4, "mean 41.2 → 47.9, up 0.8 σ")
PLAN = evidence("plan", 2.1, "pro 12 % → 31 %, free 80 % → 61 %", chart="shape", effect=0.19, since=BEGAN + 3 * HOUR)
TENURE = evidence("tenure_days", 1.3, "spread up 22 %", chart="scale+", effect=0.22, since=BEGAN + 5 * HOUR)
DEVICE = evidence("device", 5.2, "missing 0.1 % → 14 %", chart="missing", effect=0.14, since=NOON - HOUR)
DRIFTING = AlertSeen(
    CHURN,
    "drift",
    Severity.CRITICAL,
    AlertState.FIRING,
    BEGAN,
    4,
    (AGE, PLAN, TENURE),
    about=Standing(
        BEGAN + 10 * MINUTE,
        (Escalation(BEGAN + 4 * HOUR, ("plan",)), Escalation(BEGAN + 6 * HOUR, ("tenure_days",))),
        members=(AGE, PLAN, TENURE),
        severity=Severity.CRITICAL,
    ),
)
BROKEN = AlertSeen(
    FRAUD,
    "drift",
    Severity.WARNING,
    AlertState.FIRING,
    NOON - HOUR,
    1,
    (DEVICE,),
    IncidentKind.DATA_QUALITY,
    Standing(NOON - 50 * MINUTE, members=(DEVICE,), severity=Severity.WARNING),
)
OVER = AlertChanged(
    RANKER,
    "drift",
    Severity.WARNING,
    AlertState.FIRING,
    AlertState.INACTIVE,
    NOON - 2 * DAY,
    2,
    WindowSpan(NOON - 31 * HOUR - WINDOW, NOON - 31 * HOUR, 900),
    (replace(AGE, feature="basket_total"),),
    "abc",
    about=Standing(NOON - 2 * DAY + 10 * MINUTE, members=(replace(AGE, feature="basket_total"),)),
)


def judged(key: SeriesKey, count: int = 40, *, biased: bool = False) -> list[PerformanceJudged]:
    """Hours of which labels have told, a week and a day ago: accuracy falls from 0.91 to 0.84, and most positives have a label."""
    return [
        judged_at(key, NOON - age - (count - 1 - at) * HOUR, age, at / max(1, count - 1), biased=biased)
        for age in (DAY, 7 * DAY)
        for at in range(count)
    ]


def judged_at(key: SeriesKey, end: Nanos, age: Nanos, fallen: float, *, biased: bool) -> PerformanceJudged:
    """One hour."""
    right = 0.91 - 0.07 * fallen
    return PerformanceJudged(
        key,
        end - HOUR,
        end,
        age,
        final=age == 7 * DAY,
        task="binary",
        predictions=1000,
        labelled=710,
        sampling=1.0,
        metrics=(
            MetricTold("accuracy", right, right - 0.03, right + 0.02, 710, over_missing=(0.6, 0.9)),
            MetricTold("auroc", right + 0.05, right + 0.03, right + 0.06, 710),
            MetricTold("mcc", None, None, None, 710, "all predictions are of one class"),
        ),
        classes=(ClassCoverage("negative", 600, 390), ClassCoverage("positive", 400, 320)),
        coverage_test=CoverageTest(1e-7 if biased else 0.4, 0.001, "positive"),
        reliability=(ReliabilityTold(0.8, 0.9, 300, 0.84, 0.79, 0.74, 0.83),),
        by_class=(ClassTold("positive", 320, (MetricTold("recall", 0.8, 0.75, 0.84, 320),) * 3),),
    )


ROWS_NEAR = 0.08  # how near the number of rows always is


def near(key: SeriesKey, at: Nanos, features: Sequence[str]) -> list[float]:
    """How near each feature was at a time: ripples, and what drifts rises to where the incident says."""
    noise = np.random.default_rng([len(key.model), at // WINDOW])
    found = dict(zip(features, 0.12 + 0.22 * noise.beta(1.2, 5, len(features)), strict=True))
    for alert in (DRIFTING, BROKEN):
        for entry in alert.evidence if alert.key == key else ():
            assert entry.since is not None
            rise = min(1.0, max(0.0, (at - entry.since + 20 * MINUTE) / (2 * HOUR)))
            found[entry.feature] += rise * (entry.score - 0.25)
    return [found[feature] for feature in features]


def track(key: SeriesKey, features: Sequence[str], windows: int = 120, hours: int = 192) -> FeaturesTracked:
    """The last windows and hours of a series."""

    def points(every: Nanos, count: int) -> tuple[TrackPoint, ...]:
        ends = [NOON - every * (count - 1 - at) for at in range(count)]
        return tuple(TrackPoint(end - every, end, packed(end)) for end in ends)

    def packed(end: Nanos) -> bytes:
        return np.array([*near(key, end, features), ROWS_NEAR], "<f2").tobytes()

    return FeaturesTracked(key, (*features, volume.FEATURE), points(WINDOW, windows), points(HOUR, hours))


def column(
    detector: str, features: Sequence[str], values: Sequence[float], rows: int, threshold: float | None = None
) -> DetectorScores:
    """What one detector said of all features."""
    every = np.arange(len(features))
    scores = ScoreColumns(
        detector, tuple(features), every >= 0, np.full(len(features), rows), np.array(values), None, {}
    )
    asked = AskedScores({name: at for at, name in enumerate(features)}, None, every, (threshold,) * len(features), {})
    return DetectorScores(scores, asked)


def window(key: SeriesKey, features: Sequence[str], rows: int = 9_412) -> list[Fact]:
    """The last window of a series, scored."""
    close = near(key, NOON, features)
    quality = tuple(
        FeatureQuality(name, 0.14 if (key, name) == (FRAUD, "device") else 0.001, 0.0, 0.83 if name == "age" else 0.02)
        for name in features
    )
    states = {name: 2 if each >= 1 else 1 if each >= 0.5 else 0 for name, each in zip(features, close, strict=True)}
    states[volume.FEATURE] = 0
    scores = ScoreTable(
        (
            column("drift", features, close, rows, 1.0),
            column("psi", features, [each / 4 for each in close], rows),
            column("volume", (volume.FEATURE,), [ROWS_NEAR / 2], rows, 0.5),
        )
    )
    earlier = [
        WindowClosed(key, NOON - WINDOW * at, NOON - WINDOW * (at - 1), rows + 700 * (at % 7) - 300 * (at % 3), ())
        for at in range(100, 1, -1)
    ]
    closed = WindowClosed(key, NOON - WINDOW, NOON, rows, quality)
    return [*earlier, closed, WindowScored(key, NOON, scores, states, COUNTS)]


ACK = Asked("a-1", Ack(BROKEN.incident), "ana", "the app's release lost it, rollback under way")
HEALTHY: list[Fact] = [
    WatermarkAdvanced(NOON),
    EventsCounted("predictions", "ok", 4_183_220),
    EventsCounted("predictions", "late", 812),
    EventsCounted("predictions", "rejected", 37),
    EventsRejected("predictions", "malformed_json", 31),
    EventsRejected("predictions", "timestamp_missing", 6),
    LateShare("predictions", 0.0002, many=False, changed=False, cause=""),
    LagMeasured(tuple((Partition("predictions", at), 12 + at) for at in range(4))),
    CheckpointSaved(NOON + 20 * SECOND, 0.004, 12_345_678),
    DeliveryTried("pager", "webhook", "id", "delivered", 202, ""),
]
ALERTS: list[Fact] = [DRIFTING, BROKEN, OVER, DecisionsStand((Decision(ACK, "fraud", NOON - 30 * MINUTE, NOON),), ())]
TROUBLED: list[Fact] = [
    LateShare("predictions", 0.31, many=True, changed=True, cause="partition predictions/2 is 12 minutes behind"),
    DeliveryTried("trainer", "webhook", "id", "dead", 410, "answered 410"),
]


def board(keys: Mapping[SeriesKey, Sequence[str]]) -> Board:
    """A board on which these series stand."""
    rules = {"drift": "critical"}
    found = Board({key: SeriesBoard("9f86d081884c", 50_000, rules, WINDOW, "day", baseline=REFERENCE) for key in keys})
    found.expect(["predictions"], [("pager", "webhook"), ("trainer", "webhook")], [(key, "drift") for key in keys])
    return found


class Scene:
    """The pages behind a real server. What has happened is given; without it nothing has. `up`: for how long it has run."""

    def __init__(
        self, facts: Sequence[Fact] = (), keys: Mapping[SeriesKey, Sequence[str]] | None = None, up: Nanos = 9 * DAY
    ) -> None:
        self.clock = NOON + 65 * SECOND  # a minute after the last window
        self.keys = dict.fromkeys((CHURN, FRAUD, RANKER, *QUIET), FEATURES) if keys is None else keys
        self.trouble: str | None = None
        self.telemetry = Telemetry(board(self.keys), self.now)
        with_alerts = [fact for fact in facts if not isinstance(fact, AlertChanged)]
        self.telemetry.restore(with_alerts)
        self.telemetry.restore(fact for fact in facts if isinstance(fact, AlertChanged))
        status = DaemonStatus(
            version="0.9.0",
            now=self.now,
            ready=lambda: self.trouble,
            other_committer=lambda: False,
            backlog=lambda: {"trainer": Backlog(1, NOON - 3 * MINUTE)},
            targets=("pager", "trainer"),
            started=self.clock - up,
            patience=dict.fromkeys(self.keys, 3 * WINDOW),
            outcomes=self.telemetry.outcomes,
            addresses={
                "pager": ("webhook", "https://events.example.org/v2/***"),
                "trainer": ("webhook", "https://trainer.internal/retrain"),
            },
        )
        exposition = Exposition(self.telemetry.look, status, CollectorRegistry())
        deciding = Deciding(None, Inbox(), self.telemetry.look)
        self.surface = Surface(self.telemetry, exposition, lambda: self.trouble, deciding, nothing_waits())
        self.server = Server("127.0.0.1", 0)
        self.server.serve(self.surface)

    def now(self) -> Nanos:
        """The time."""
        return self.clock

    @property
    def url(self) -> str:
        """Where it is served."""
        return self.server.url

    def get(self, path: str, accept: str = "text/html") -> tuple[int, str, str]:
        """Status, type and body of an answer, without a socket."""
        status, kind, body = self.surface.answer(path, accept)
        return int(status), kind, body.decode()

    def close(self) -> None:
        """Stop serving."""
        self.server.close()


def closed(keys: Mapping[SeriesKey, Sequence[str]]) -> list[Fact]:
    """Each of these series has closed windows for eight days."""
    return [fact for key, features in keys.items() for fact in (*window(key, features), track(key, features))]


def usual_day(*more: Fact, troubled: bool = False) -> Scene:
    """Two incidents are open, one ended, the rest is quiet, a cold model learns."""
    seven = dict.fromkeys((CHURN, FRAUD, RANKER, *QUIET), FEATURES)
    learning = CalibrationLearning(QUIET[0], NOON, 3 * DAY, 14 * DAY, windows=72, needed=52)
    facts = [*closed(seven), *HEALTHY, *ALERTS, learning, *(TROUBLED if troubled else []), *more]
    return Scene(facts)


def quiet_day() -> Scene:
    """Nothing is wrong."""
    four = dict.fromkeys(QUIET, FEATURES)
    return Scene([*closed(four), *HEALTHY], four)


# --- the documents' pictures ------------------------------------------------------------------------------------------

PICTURES: dict[str, tuple[str, int, int, bool]] = {  # by file: address, width, height, dark
    "status-first.png": ("/", 1200, 840, False),
    "status-phone.png": ("/", 390, 844, True),
    "status-incident.png": (f"/incident?id={DRIFTING.incident}", 1200, 1000, False),
    "status-feature.png": ("/feature?model=churn&version=3&name=age", 1200, 1160, True),
}


def draw(into: Path) -> None:
    """Write the pictures that docs/status-page.md shows."""
    with tempfile.TemporaryDirectory() as profile:
        chromium, scene = Chromium(Path(profile)), usual_day()
        try:
            for name, (address, width, height, dark) in PICTURES.items():
                page = chromium.open(scene.url + address, width=width, height=height, dark=dark)
                (into / name).write_bytes(page.screenshot(whole=False))
        finally:
            chromium.stop()
            scene.close()


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
