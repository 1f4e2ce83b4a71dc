"""Results of backtests, made up: what the report is to be written from."""

from dataclasses import replace
from typing import Any

import numpy as np

from detectors import Reference
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import Severity
from monitor.backtest.result import (
    AlertEpisode,
    BacktestResult,
    EventCounts,
    ExpectedRule,
    Injected,
    Model,
    Picture,
    Retrain,
    SweepRow,
    Track,
)
from monitor.facts import WindowSpan
from monitor.stream.events import Nanos, SeriesKey
from tests.build import DAY, HOUR, MIDNIGHT, MINUTE

CHURN = SeriesKey("churn", "3")
LOANS = SeriesKey("loans", "*")
DAYS = 14
SUBGROUPS = np.arange(1, DAYS * 24 * 4 + 1) * 15 * MINUTE + MIDNIGHT
CHANGE: Nanos = MIDNIGHT + 9 * DAY + 6 * HOUR
PAGE = CHANGE + 45 * MINUTE
FEATURES = ("age", "plan", "income_last_12_months", "country", "tenure_days", "__prediction__")


def evidence(feature: str = "age", **changes: Any) -> Evidence:
    """How one feature fired."""
    charted: dict[str, Any] = {"chart": "location+", "since": CHANGE + 15 * MINUTE, "effect": 0.8123456}
    return replace(Evidence(feature, "drift", 2.9182345, 1.0, 1e-9, 1203, **charted, words="mean +0.8 σ"), **changes)


def episode(**changes: Any) -> AlertEpisode:
    """A page of four features that lasted a day."""
    window = WindowSpan(PAGE - 15 * MINUTE, PAGE, 1203)
    found = (
        evidence(),
        evidence("plan", chart="unseen", effect=0.081, score=2.34, words='new category "EU-2" 8 %'),
        evidence("income_last_12_months", chart="missing", effect=0.139, score=1.59, words="missing 0.1 % → 14 %"),
        evidence("tenure_days", chart="scale+", effect=0.3, score=1.06, words=""),
    )
    later = {"since": PAGE + 30 * MINUTE, "score": 1.06, "words": 'category "DE" 30 % → 45 %'}
    joined = (evidence("country", chart="shape", effect=0.2, **later),)
    fired = AlertEpisode(CHURN, "drift", Severity.CRITICAL, PAGE, PAGE, PAGE + DAY, window, found, joined)
    return replace(fired, **changes)


def injected(**changes: Any) -> Injected:
    """A change that was planted and found."""
    planted = Injected("age:shift=0.5sd@2025-12-02T06:00", CHURN, "age", CHANGE, CHANGE + DAY, 115_488)
    return replace(planted, **{"found_at": PAGE, "rule": "drift", "delay": 3, "rank": 1, **changes})


def track(feature: str, high: float, seed: int = 1) -> Track:
    """Evidence that wanders under the warning, rises with the change and falls with its end; one gap of hours."""
    noise = np.random.default_rng(seed).gamma(1.2, 0.06, SUBGROUPS.size)
    inside = (SUBGROUPS > CHANGE) & (SUBGROUPS <= CHANGE + DAY)
    values = np.where(inside, np.minimum((SUBGROUPS - CHANGE) / (4 * HOUR), 1.0) * high, noise)
    gap = (SUBGROUPS > MIDNIGHT + 4 * DAY) & (SUBGROUPS < MIDNIGHT + 4 * DAY + 9 * HOUR)
    peaks = tuple(None if missing else float(value) for value, missing in zip(values, gap, strict=True))
    return Track(feature, float(values.max()), peaks, tuple("" if one is None else "location+" for one in peaks))


def make_model(**changes: Any) -> Model:
    """Two weeks in subgroups of a quarter of an hour, six features charted."""
    hours = (SUBGROUPS - MIDNIGHT) / HOUR
    rows = 1200 + 500 * np.sin((hours - 9) * np.pi / 12) + np.random.default_rng(7).normal(0, 40, SUBGROUPS.size)
    highs = (3.31, 2.34, 1.59, 1.06, 0.41, 0.38)
    model = Model(
        key=CHURN,
        window_ns=15 * MINUTE,
        slide_ns=5 * MINUTE,
        features=42,
        reference="9f2c1ab377d0e1",
        reference_rows=2_419_200,
        calibration="week",
        calibrated="4 032 windows of 5m over 2 weeks, about 1 200 rows each",
        drifting=(),
        budget=1.0,
        months=DAYS / 30,
        expected_false_alarms=DAYS / 30,
        warnings_seen=14,
        warnings_expected=9.8765432,
        events=1_612_800,
        late=120,
        windows=4030,
        ends=tuple(SUBGROUPS.tolist()),
        rows=tuple(rows.round().tolist()),
        subgroup_ns=15 * MINUTE,
        subgroups=SUBGROUPS.size,
        charted=tuple(SUBGROUPS.tolist()),
        tracks=tuple(track(name, high, seed) for seed, (name, high) in enumerate(zip(FEATURES, highs, strict=True))),
        thresholds={"location+": 14.13, "location-": 14.13, "scale+": 14.13, "shape": 14.13, "missing": 12.4},
        warn_at=0.5,
        sweep=a_sweep(),
        pictures=(picture("age"), picture("plan", rule="")),
    )
    return replace(model, **changes)


def picture(feature: str, rule: str = "drift") -> Picture:
    """A number that has moved, or a category."""
    rng = np.random.default_rng(3)
    before = rng.normal(40, 10, 5000) if rule else rng.choice(["free", "pro"], 5000)
    now = {feature: before[:400] + 8 if rule else before[:400]}
    return Picture(Reference.fit({feature: before}).distributions(now)[feature], PAGE, rule)


def a_sweep() -> tuple[SweepRow, ...]:
    """Six budgets: more of it finds sooner, and cries more often."""
    tried = ((0.1, 1, 0, 5), (0.3, 1, 0, 4), (1.0, 1, 0, 3), (3.0, 2, 1, 3), (10.0, 5, 4, 2), (30.0, 15, 14, 2))
    return tuple(
        SweepRow(budget, pages, false, (delay,), PAGE, now=budget == 1.0) for budget, pages, false, delay in tried
    )


def a_cold_model() -> Model:
    """A reference that learnt nothing of its windows: nothing charted, effects alone."""
    unknown: dict[str, Any] = {
        "warnings_seen": None,
        "expected_false_alarms": None,
        "warnings_expected": None,
        "tracks": (),
        "charted": (),
        "sweep": (),
    }
    said = {"calibration": "cold", "calibrated": "no --timestamp", "drifting": ("fico: mean +0.4 σ from 2025-11-20",)}
    return make_model(key=LOANS, subgroups=0, thresholds={}, **said, **unknown)


def make_result(**changes: Any) -> BacktestResult:
    """Two models, one of them cold; one page, found where it was planted; one rule of somebody's own."""
    rule = episode(
        rule="psi-high",
        severity=Severity.WARNING,
        fired_at=MIDNIGHT + 2 * DAY,
        resolved_at=MIDNIGHT + 2 * DAY + 3 * HOUR,
    )
    by_psi = evidence(
        "country",
        detector="psi",
        chart="",
        since=None,
        effect=None,
        words="",
        score=0.271234,
        threshold=0.25,
        resolution=0.0026041,
    )
    still = episode(key=LOANS, fired_at=MIDNIGHT + 12 * DAY, resolved_at=None)
    early = replace(
        rule,
        since=MIDNIGHT + 2 * DAY,
        evidence=(by_psi,),
        window=WindowSpan(rule.fired_at - 15 * MINUTE, rule.fired_at, 980),
    )
    result = BacktestResult(
        version="0.1.0",
        config="driftd.yaml",
        config_hash="5b1f2c3d4e5f60718293",
        command="driftd backtest --config driftd.yaml --input november.jsonl --inject age:shift=0.5sd@2025-12-02T06:00",
        inputs=("november.jsonl", "december.parquet"),
        first=MIDNIGHT + MINUTE,
        last=MIDNIGHT + DAYS * DAY,
        events=EventCounts(ok=3_225_600, late=240, rejected=31, unmonitored=5),
        rejected={"timestamp": 20, "json": 11},
        fields_rejected={"wrong_type": 812},
        labels_rejected={},
        windows=8060,
        models=(make_model(), a_cold_model()),
        alerts=(early, episode(), still),
        retrains=(Retrain(CHURN, "drift", PAGE, "drift", "requested"),),
        suppressed=(Retrain(CHURN, "drift", PAGE + DAY, "drift", "suppressed_cooldown"),),
        injected=(injected(),),
        explicit=(ExpectedRule(CHURN, "psi-high", 3.1234567, "psi > 0.25 on 42 features, if rows are independent"),),
        hints=("0.01 % of the events were late: sort the file by time, or raise lateness.",),
    )
    return replace(result, **changes)
