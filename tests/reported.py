"""A model's tally of a week in which something happened, and the report of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from monitor.facts import (
    IncidentTold,
    MetricSeen,
    ModelTallied,
    Report,
    ReportMade,
    RequestTold,
    VersionTold,
    WorthTold,
)
from monitor.reporting.making import ReportSpan, report_of
from monitor.reporting.tally import moment
from monitor.stream.events import DAY, HOUR, Nanos
from tests.build import MIDNIGHT

BEGIN, END = MIDNIGHT, MIDNIGHT + 7 * DAY
PLAIN = {"seen": 1.0, "windows": 12.0, "rows": 1200.0, "missing": 24.0, "values": 2400.0}
HOSTILE = '</td><script>alert(1)</script>"><img src=x onerror=alert(2)>\u202e'


def hours(without: range = range(0)) -> dict[Nanos, Mapping[str, float]]:
    """A week of hours, but for some of them."""
    return {BEGIN + hour * HOUR: dict(PLAIN) for hour in range(168) if hour not in without}


def incident(name: str, opened: Nanos, ended: Nanos | None = None, **more: Any) -> IncidentTold:
    """An incident of the budget's drift."""
    about = {"version": "3", "rule": "drift", "kind": "drift", "severity": "critical", "features": ("age",)}
    told = IncidentTold(incident=name, opened_at=moment(opened), **{**about, **more})
    return told if ended is None else replace(told, ended_at=moment(ended), ended="resolved")


def a_week(model: str = "churn", **changes: Any) -> ModelTallied:
    """A week with two incidents, a gap of three hours, a request and labels."""
    told = hours(range(50, 53))
    told[BEGIN + 30 * HOUR] = {**PLAIN, "opened/drift/drift": 1, "retrain/requested": 1, "warned": 3}
    told[BEGIN + 40 * HOUR] = {**PLAIN, "resolved": 1, "decision/ack": 1, "expected_warnings": 5.5}
    told[BEGIN + 100 * HOUR] = {**PLAIN, "opened/data_quality/drift": 1, "retrain/suppressed_cooldown": 2}
    told[BEGIN + 120 * HOUR] = {**PLAIN, "predictions": 1000, "labelled": 700}
    usual: dict[str, Any] = {
        "incidents": (
            incident("i1", BEGIN + 31 * HOUR, BEGIN + 41 * HOUR, words="mean 41 → 55"),
            incident("i2", BEGIN + 101 * HOUR, kind="data_quality", features=("plan",), silenced=True),
        ),
        "requests": (RequestTold("r1", moment(BEGIN + 31 * HOUR), "3", "drift", "requested", "requested"),),
        "worth": (WorthTold("3", moment(END), 0.7, (MetricSeen("recall", 0.81, 0.78, 0.84),)),),
        "versions": (VersionTold("3", moment(BEGIN - DAY)), VersionTold("4", moment(BEGIN + 60 * HOUR))),
        "per_month": 1.0,
    }
    return ModelTallied(model, told, **{**usual, **changes})


def a_report(model: str = "churn", **changes: Any) -> Report:
    """The report of that week."""
    return report_of(a_week(model, **changes), ReportSpan(BEGIN, END), END)


def a_report_made(model: str = "churn", **changes: Any) -> ReportMade:
    """The same, as it is told."""
    return ReportMade("0123456789abcdef", END + 8 * HOUR, a_report(model, **changes))
