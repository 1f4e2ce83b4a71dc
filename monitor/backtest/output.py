"""The result for machines, as JSON, and for people, in a few lines."""

from collections.abc import Iterator
from typing import Any

import msgspec

from monitor.backtest.result import AlertEpisode, BacktestResult, ExpectedRule, Injected, Model, Retrain, SweepRow
from monitor.stream.events import Nanos
from monitor.targets.payloads import evidence_item, rfc3339

DIGITS = 6
SHOWN_ALERTS = 5  # a model
SHOWN_EVIDENCE = 3  # an alert


def as_json(result: BacktestResult) -> bytes:
    """The result as JSON; the same result gives the same bytes."""
    return msgspec.json.format(msgspec.json.encode(document(result)), indent=1) + b"\n"


def document(result: BacktestResult) -> dict[str, Any]:
    """The result as plain values; times are RFC 3339."""
    counts = result.events
    return {
        "driftd_version": result.version,
        "config_hash": result.config_hash,
        "period": {"from": rfc3339(result.first), "to": rfc3339(result.last)},
        "events": {
            "ok": counts.ok,
            "late": counts.late,
            "rejected": counts.rejected,
            "unmonitored": counts.unmonitored,
            "outside": counts.outside,
        },
        "rejected": dict(result.rejected),
        "fields_rejected": dict(result.fields_rejected),
        "windows": result.windows,
        "alerts": [_alert(one) for one in result.alerts],
        "retrains": [_retrain(one) for one in result.retrains],
        "suppressed": [_retrain(one) | {"outcome": one.outcome} for one in result.suppressed],
        "expected_false_alarms": result.expected_false_alarms,
        "explicit_rules": [_expected(one) for one in result.explicit],
        "injected": [_injected(one) for one in result.injected],
        "models": [_model(one) for one in result.models],
        "hints": list(result.hints),
    }


def _time(at: Nanos | None) -> str | None:
    return None if at is None else rfc3339(at)


def _alert(one: AlertEpisode) -> dict[str, Any]:
    return {
        "model": one.key.model,
        "version": one.key.version,
        "rule": one.rule,
        "severity": one.severity.value,
        "since": rfc3339(one.since),
        "fired_at": rfc3339(one.fired_at),
        "resolved_at": _time(one.resolved_at),
        "window": {"start": rfc3339(one.window.start), "end": rfc3339(one.window.end), "rows": one.window.rows},
        "evidence": [evidence_item(each) for each in one.evidence],
        "joined": [evidence_item(each) for each in one.joined],
    }


def _retrain(one: Retrain) -> dict[str, Any]:
    return {"model": one.key.model, "requested_at": rfc3339(one.at), "reason": one.reason, "rule": one.rule}


def _expected(one: ExpectedRule) -> dict[str, Any]:
    return {
        "model": one.key.model,
        "version": one.key.version,
        "rule": one.rule,
        "expected_false_alarms": one.count,
        "why": one.why,
    }


def _injected(one: Injected) -> dict[str, Any]:
    return {
        "inject": one.text,
        "model": one.key.model,
        "version": one.key.version,
        "feature": one.feature,
        "at": rfc3339(one.at),
        "until": _time(one.until),
        "events": one.rows,
        "found_at": _time(one.found_at),
        "rule": one.rule or None,
        "delay_windows": one.delay,
        "rank": one.rank,
    }


def _model(one: Model) -> dict[str, Any]:
    return {
        "model": one.key.model,
        "version": one.key.version,
        "calibration": one.calibration,
        "budget": one.budget,
        "months": round(one.months, DIGITS),
        "expected_false_alarms": one.expected_false_alarms,
        "events": {"ok": one.events, "late": one.late},
        "windows": one.windows,
        "panes": one.panes,
        "warnings": {"seen": one.warnings_seen, "expected": one.warnings_expected},
        "thresholds": dict(one.thresholds),
        "timeline": [
            {"end": rfc3339(end), "rows": round(rows, DIGITS)} for end, rows in zip(one.ends, one.rows, strict=True)
        ],
        "charted": [rfc3339(end) for end in one.charted],
        "nearest": [
            {
                "feature": track.feature,
                "highest": round(track.highest, DIGITS),
                "of_threshold": [None if peak is None else round(peak, DIGITS) for peak in track.peaks],
            }
            for track in one.tracks
        ],
        "sweep": [_sweep(row) for row in one.sweep],
    }


def _sweep(row: SweepRow) -> dict[str, Any]:
    return {
        "false_alarms_per_month": row.per_month,
        "pages": row.pages,
        "false_pages": row.false_pages,
        "delays_panes": list(row.delays),
        "first_page": _time(row.first_page),
    }


# --- for people ---------------------------------------------------------------------------------------------------------


def summary(result: BacktestResult) -> Iterator[str]:
    """A few lines: what was read, what each model would have said and why, what was to be expected."""
    counts = result.events
    yield f"{rfc3339(result.first)} to {rfc3339(result.last)}: {counts.ok:,} events, {counts.late:,} late, {counts.rejected:,} rejected, {result.windows:,} windows"
    for model in result.models:
        yield from _about(model, [one for one in result.alerts if one.key == model.key], result)
    for planted in result.injected:
        yield f"{planted.text}: {_finding(planted)}"
    if result.retrains or result.suppressed:
        yield f"retraining: {len(result.retrains)} requested, {len(result.suppressed)} suppressed"


def _about(model: Model, alerts: list[AlertEpisode], result: BacktestResult) -> Iterator[str]:
    rules = [one for one in result.explicit if one.key == model.key and one.count is not None]
    expected = model.expected_false_alarms + sum(one.count or 0.0 for one in rules)
    alarms = "alert" if len(alerts) == 1 else "alerts"
    yield f"{model.key}: {len(alerts)} {alarms}, {amount(expected)} false ones to be expected; calibration {model.calibration}"
    for one in alerts[:SHOWN_ALERTS]:
        until = "not resolved" if one.resolved_at is None else f"resolved {rfc3339(one.resolved_at)}"
        yield f"  {rfc3339(one.fired_at)} {one.rule}: {_reasons(one)}; {until}"
    if len(alerts) > SHOWN_ALERTS:
        yield f"  and {len(alerts) - SHOWN_ALERTS} more"
    if len(model.sweep) > 1:
        pages = ", ".join(f"{amount(row.per_month)}: {row.pages}" for row in model.sweep)
        yield f"  pages by false_alarms_per_month: {pages}"


def _reasons(alert: AlertEpisode) -> str:
    """The first few features, in words."""
    said = [
        f"{one.feature} {one.words or f'{one.detector} {one.score:.3g} above {one.threshold:.3g}'}"
        for one in alert.evidence
    ]
    more = f" and {len(said) - SHOWN_EVIDENCE} more" if len(said) > SHOWN_EVIDENCE else ""
    return ", ".join(said[:SHOWN_EVIDENCE]) + more


def _finding(one: Injected) -> str:
    if one.found_at is None or one.delay is None:
        return f"not found ({one.rows:,} events changed)"
    place = "first in the page" if one.rank == 1 else f"number {one.rank} in the page"
    windows = "window" if one.delay == 1 else "windows"
    return f"found after {one.delay} {windows}, {rfc3339(one.found_at)}, by {one.rule}, {place}"


def amount(number: float) -> str:
    """A number for people: three digits, no exponent.

    >>> [amount(one) for one in (0.1, 30.0, 0.03333, 1234.5)]
    ['0.1', '30', '0.0333', '1,234']
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits
