"""The result for machines, as JSON, and for people, in a few lines."""

from collections.abc import Iterator, Sequence
from typing import Any

from detectors.charts import IncidentKind
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE, INCIDENT_RULES, SELF_CHECK_RULE
from monitor.backtest import contract, served, worth
from monitor.backtest.result import (
    AlertEpisode,
    BacktestResult,
    ExpectedRule,
    Injected,
    Model,
    Picture,
    PolicyOutcome,
    Retrain,
    SweepRow,
    TopicEvents,
)
from monitor.explain.documents import as_lines
from monitor.explain.figures import share
from monitor.explain.learning import learning_item, learnt_item
from monitor.explain.performance import spelled
from monitor.facts import CalibrationLearnt
from monitor.html.figures import plural
from monitor.stream.events import DAY, SECOND, Nanos
from monitor.targets.payloads import evidence_item, incident_item, rfc3339

DIGITS = 6
SHOWN_ALERTS = 5  # a model
SHOWN_EVIDENCE = 3  # an alert


def as_json(result: BacktestResult) -> bytes:
    """The result as JSON; the same result gives the same bytes."""
    return as_lines(document(result)) + b"\n"


def document(result: BacktestResult) -> dict[str, Any]:
    """The result as plain values; times are RFC 3339."""
    counts = result.events
    return {
        "driftd_version": result.version,
        "config_hash": result.config_hash,
        "period": {"from": rfc3339(result.first), "to": rfc3339(result.last)},
        "events": {
            "ok": counts.ok,
            "excluded": counts.excluded,
            "late": counts.late,
            "rejected": counts.rejected,
            "unmonitored": counts.unmonitored,
            "outside": counts.outside,
        },
        "topics": [_topic(item) for item in result.topics],
        "rejected": dict(result.rejected),
        "fields_rejected": dict(result.fields_rejected),
        "labels_rejected": dict(result.labels_rejected),
        "windows": result.windows,
        "alerts": [_alert(item) for item in result.alerts],
        "incidents": [_incident(item) for item in result.alerts if item.rule in INCIDENT_RULES],
        "open_share": {str(model.key): round(model.open_share, DIGITS) for model in result.models},
        "retrains": [_retrain(item) for item in result.retrains],
        "suppressed": [_retrain(item) | {"outcome": item.outcome} for item in result.suppressed],
        "policies": [_policy(item) for item in result.policies],
        "expected_false_alarms": result.expected_false_alarms,
        "explicit_rules": [_expected(item) for item in result.explicit],
        "injected": [_injected(item) for item in result.injected],
        "models": [_model(item) for item in result.models],
        "hints": list(result.hints),
    }


def _time(time: Nanos | None) -> str | None:
    return None if time is None else rfc3339(time)


def _topic(topic: TopicEvents) -> dict[str, Any]:
    return {
        "topic": topic.topic,
        "ok": topic.ok,
        "late": topic.late,
        "late_live": topic.late_live,
        "late_share": round(topic.late_share, DIGITS),
        "cause": topic.cause or None,
        "ahead": topic.ahead,
        "lead_seconds": round(topic.lead / SECOND, DIGITS),
    }


def _alert(alert: AlertEpisode) -> dict[str, Any]:
    return {
        "model": alert.key.model,
        "version": alert.key.version,
        "rule": alert.rule,
        "kind": alert.kind.value,
        "severity": alert.severity.value,
        "state": alert.end,
        "since": rfc3339(alert.since),
        "fired_at": rfc3339(alert.fired_at),
        "resolved_at": _time(alert.resolved_at),
        "window": {"start": rfc3339(alert.window.start), "end": rfc3339(alert.window.end), "rows": alert.window.rows},
        "evidence": [evidence_item(entry) for entry in alert.evidence],
        "joined": [evidence_item(entry) for entry in alert.joined],
    }


def _incident(alert: AlertEpisode) -> dict[str, Any]:
    return incident_item(alert.incident, alert.key, alert.kind, alert.severity, alert.about) | {
        "state": alert.end,
        "since": rfc3339(alert.since),
        "opened_at": rfc3339(alert.fired_at),
        "ended_at": _time(alert.resolved_at),
    }


def _retrain(retrain: Retrain) -> dict[str, Any]:
    return {
        "model": retrain.key.model,
        "requested_at": rfc3339(retrain.at),
        "reason": retrain.reason,
        "rule": retrain.rule,
    }


def _policy(outcome: PolicyOutcome) -> dict[str, Any]:
    return {
        "model": outcome.model,
        "rank": outcome.rank,
        "policy": outcome.policy,
        "configured": outcome.configured,
        "on": list(outcome.on),
        "every": outcome.every,
        "requests": outcome.requests,
        "suppressed": dict(outcome.suppressed),
        "age_days": {"mean": round(outcome.age_mean / DAY, DIGITS), "most": round(outcome.age_most / DAY, DIGITS)},
        "drift_days": round(outcome.drift / DAY, DIGITS),
        "uncovered_days": round(outcome.uncovered / DAY, DIGITS),
        "cost": None if outcome.cost is None else round(outcome.cost, DIGITS),
    }


def _expected(expected: ExpectedRule) -> dict[str, Any]:
    return {
        "model": expected.key.model,
        "version": expected.key.version,
        "rule": expected.rule,
        "expected_false_alarms": expected.count,
        "why": expected.why,
    }


def _injected(injected: Injected) -> dict[str, Any]:
    return {
        "inject": injected.text,
        "model": injected.key.model,
        "version": injected.key.version,
        "feature": injected.feature,
        "at": rfc3339(injected.at),
        "until": _time(injected.until),
        "events": injected.rows,
        "found_at": _time(injected.found_at),
        "rule": injected.rule or None,
        "delay_windows": injected.delay,
        "rank": injected.rank,
        "chart": injected.chart or None,
    }


def _model(model: Model) -> dict[str, Any]:
    return {
        "model": model.key.model,
        "version": model.key.version,
        "calibration": model.calibration,
        "learning": None if model.learning is None else learning_item(model.learning),
        "learnt": None if model.learnt is None else _learnt(model, model.learnt),
        "budget": model.budget,
        "months": round(model.months, DIGITS),
        "expected_false_alarms": model.expected_false_alarms,
        "events": {"ok": model.events, "late": model.late},
        "windows": model.windows,
        "open_share": round(model.open_share, DIGITS),
        "panes": model.subgroups,
        "warnings": {"seen": model.warnings_seen, "expected": model.warnings_expected},
        "thresholds": dict(model.thresholds),
        "timeline": [
            {"end": rfc3339(end), "rows": round(rows, DIGITS)} for end, rows in zip(model.ends, model.rows, strict=True)
        ],
        "charted": [rfc3339(end) for end in model.charted],
        "nearest": [
            {
                "feature": track.feature,
                "highest": round(track.highest, DIGITS),
                "of_threshold": [None if peak is None else round(peak, DIGITS) for peak in track.peaks],
            }
            for track in model.tracks
        ],
        "distributions": [_picture(picture) for picture in model.pictures],
        "sweep": [_sweep(row) for row in model.sweep],
        "performance": worth.ages(model),
        "labels": None if model.performance is None else dict(model.labels),
        "estimated": worth.estimates(model),
        "contract": contract.item(model),
        "service": served.item(model.served),
    }


def _picture(picture: Picture) -> dict[str, Any]:
    item = {"feature": picture.shown.feature, "at": rfc3339(picture.at), "rule": picture.rule or None}
    return item | picture.shown.to_dict()


def _learnt(model: Model, learnt: CalibrationLearnt) -> dict[str, Any]:
    item = {"at": rfc3339(learnt.at), **learnt_item(learnt)}
    return item | {"expected_false_alarms": model.expected_since_learnt}


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
    out = f"{counts.excluded:,} excluded, " if counts.excluded else ""
    yield f"{rfc3339(result.first)} to {rfc3339(result.last)}: {counts.ok:,} events, {out}{counts.late:,} late, {counts.rejected:,} rejected, {result.windows:,} windows"
    for model in result.models:
        yield from _about(model, [alert for alert in result.alerts if alert.key == model.key], result)
    for planted in result.injected:
        yield f"{planted.text}: {_finding(planted)}"
    if result.retrains or result.suppressed:
        yield f"retraining: {len(result.retrains)} requested, {len(result.suppressed)} suppressed"
    yield from map(_compared, (item for item in result.policies if item.cost is not None))


def _compared(outcome: PolicyOutcome) -> str:
    """A policy of retraining in a line."""
    left = f"{outcome.uncovered / DAY:.3g} of {outcome.drift / DAY:.3g} days of drift uncovered"
    now = " (as configured)" if outcome.configured else ""
    return (
        f"{outcome.model}, {outcome.rank}. {outcome.policy}{now}: cost {outcome.cost:g}, "
        f"{plural(outcome.requests, 'request')}, {left}, the model {outcome.age_mean / DAY:.3g} days old"
    )


def _about(model: Model, alerts: list[AlertEpisode], result: BacktestResult) -> Iterator[str]:
    rules = [rule for rule in result.explicit if rule.key == model.key and rule.count is not None]
    expected = expected_words(model, sum(rule.count or 0.0 for rule in rules))
    alarms = "alert" if len(alerts) == 1 else "alerts"
    yield f"{model.key}: {len(alerts)} {alarms}, {expected}; calibration {model.calibration}"
    yield f"  {headline(model, alerts)}"
    for rule in alerts[:SHOWN_ALERTS]:
        until = "open at the end" if rule.resolved_at is None else f"{rule.end} {rfc3339(rule.resolved_at)}"
        kind = (
            ""
            if rule.kind is IncidentKind.DRIFT or rule.rule != BUDGET_RULE
            else f" ({rule.kind.value.replace('_', ' ')})"
        )
        yield f"  {rfc3339(rule.fired_at)} {rule.rule}{kind}: {_reasons(rule)}; {until}"
    if len(alerts) > SHOWN_ALERTS:
        yield f"  and {len(alerts) - SHOWN_ALERTS} more"
    yield from worth.lines(model)
    yield from contract.lines(model)
    yield from (f"  {line}" for line in served.lines(model.served))
    if len(model.sweep) > 1:
        pages = ", ".join(f"{amount(row.per_month)}: {row.pages}" for row in model.sweep)
        yield f"  pages by false_alarms_per_month: {pages}"


def headline(model: Model, alerts: Sequence[AlertEpisode]) -> str:
    """What a team must know: pages and warnings, time under alarm, the largest effect, what joined.

    The largest effect is the evidence that is furthest over its threshold.
    """
    said = [*paged_words(alerts, budget=model.budget is not None), f"under alarm {share(model.open_share)} of the time"]
    evidence = [
        entry for alert in alerts if alert.rule != SELF_CHECK_RULE for entry in (*alert.evidence, *alert.joined)
    ]
    if evidence:
        said.append(f"largest effect: {entry_words(max(evidence, key=lambda entry: entry.excess))}")
    if joined := list(dict.fromkeys(entry.feature for alert in alerts for entry in alert.joined)):
        more = f" and {len(joined) - SHOWN_EVIDENCE} more" if len(joined) > SHOWN_EVIDENCE else ""
        said.append(f"joined later: {', '.join(joined[:SHOWN_EVIDENCE])}{more}")
    return "; ".join(said)


def paged_words(alerts: Sequence[AlertEpisode], *, budget: bool) -> Iterator[str]:
    """How many pages, how many of them the budget of false alarms is for, where there is one, and how many warnings; what the self-check says is none."""
    pages = [alert for alert in alerts if alert.pages]
    warnings = sum(not alert.pages and alert.rule != SELF_CHECK_RULE for alert in alerts)
    yield f"{len(pages)} {'page' if len(pages) == 1 else 'pages'}{_of_budget(pages) if budget else ''}"
    if warnings:
        yield f"{warnings} {'warning' if warnings == 1 else 'warnings'}"


def _of_budget(pages: Sequence[AlertEpisode]) -> str:
    """How many of some pages are by the budget, unless all are."""
    many = sum(alert.by_budget for alert in pages)
    if many == len(pages):
        return ""
    return ", not by the budget" if len(pages) == 1 else f", {many or 'none'} of them by the budget"


def entry_words(entry: Evidence) -> str:
    """A feature's part, or a metric's, in a few words."""
    name = entry.feature if entry.measured is None else spelled(entry.measured.metric)
    return f"{name} {entry.words or f'{entry.detector} {entry.score:.3g} above {entry.threshold:.3g}'}"


def expected_words(model: Model, by_rules: float) -> str:
    """How many false alerts are to be expected, as far as that is known."""
    if model.expected_false_alarms is not None:
        return f"{amount(model.expected_false_alarms + by_rules)} false ones to be expected"
    unknown = "how many false ones to expect is not known"
    if model.learnt is None or model.expected_since_learnt is None:
        return unknown
    return f"{unknown} until {rfc3339(model.learnt.at)}, {amount(model.expected_since_learnt)} by the budget after"


def _reasons(alert: AlertEpisode) -> str:
    """The first few features, in words."""
    reasons = [entry_words(entry) for entry in alert.evidence]
    more = f" and {len(reasons) - SHOWN_EVIDENCE} more" if len(reasons) > SHOWN_EVIDENCE else ""
    return ", ".join(reasons[:SHOWN_EVIDENCE]) + more


def _finding(injected: Injected) -> str:
    if injected.found_at is None or injected.delay is None:
        fired = f"its chart {injected.chart} fired, nobody is told; " if injected.chart else ""
        return f"not found ({fired}{injected.rows:,} events changed)"
    place = "first in the page" if injected.rank == 1 else f"number {injected.rank} in the page"
    if injected.rank is None:
        place = f"chart {injected.chart}, while another incident was open"
    windows = "window" if injected.delay == 1 else "windows"
    return f"found after {injected.delay} {windows}, {rfc3339(injected.found_at)}, by {injected.rule}, {place}"


def amount(number: float) -> str:
    """A number for people: three digits, no exponent.

    >>> [amount(one) for one in (0.1, 30.0, 0.03333, 1234.5)]
    ['0.1', '30', '0.0333', '1,234']
    """
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"  # noqa: PLR2004 - three digits
