"""A report in words: its parts, each a line and a table, whoever sets them: as a page, as a mail, as plain text."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.explain.figures import share, thousands
from monitor.explain.performance import digits_of, figure, spelled
from monitor.facts import BudgetTold, IncidentTold, MetricSeen, Report

Row = tuple[str, ...]
OUTCOMES = {
    "requested": "requested",
    "pending_approval": "waits for approval",
}
OPEN = "open"


@dataclass(frozen=True, slots=True)
class ReportPart:
    """A heading, what it comes to in a line or some, and a table with its caption."""

    heading: str
    lines: tuple[str, ...]
    heads: Row = ()
    rows: tuple[Row, ...] = ()
    caption: str = ""


def headline(report: Report) -> str:
    """What a report is, in a few words.

    >>> from datetime import UTC
    >>> span_words(datetime(2026, 11, 16, tzinfo=UTC), datetime(2026, 11, 23, tzinfo=UTC), "UTC")
    '2026-11-16 to 2026-11-22'
    """
    return f"{report.model}: {span_words(report.start, report.end, report.timezone)}"


def span_words(start: datetime, end: datetime, timezone: str) -> str:
    """From when to when: the first and the last day where it is of whole days, else the times."""
    first, last = (each.astimezone(ZoneInfo(timezone)) for each in (start, end))
    if first.hour or first.minute or last.hour or last.minute:
        return f"{first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}"
    last -= timedelta(days=1)
    return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}" if first.date() < last.date() else f"{first:%Y-%m-%d}"


def in_short(report: Report) -> str:
    """A report in a line."""
    opened = sum(each.count for each in report.opened)
    parts = [
        f"{counted(opened, 'incident')} opened, {len(report.open)} open",
        f"{counted(report.outcomes.get('requested', 0), 'retraining')} requested",
    ]
    parts += [f"{share(report.labels.coverage)} of labels in"] if report.labels else []
    parts += ["budget held" if report.budget.held else "more than false alarms explain"] if report.budget else []
    parts += [f"{counted(report.hours_without, 'hour')} without data"] if report.hours_without else []
    return ", ".join(parts)


def parts_of(report: Report) -> list[ReportPart]:
    """All parts, in the order in which they are read."""
    return [
        _fired(report),
        _held_back(report),
        ReportPart("False-alarm budget", tuple(budget_words(report.budget))),
        _retraining(report),
        _performance(report),
        ReportPart("Data", tuple(_data(report))),
    ]


def _fired(report: Report) -> ReportPart:
    opened = sum(each.count for each in report.opened)
    kinds = ", ".join(f"{each.count} × {each.rule} ({each.kind})" for each in report.opened)
    lines = [f"{counted(opened, 'incident')} opened{f': {kinds}' if kinds else ''}."]
    if report.resolved or report.settled or report.escalated:
        lines.append(
            f"{report.resolved} resolved, {report.settled} settled at a new level, {counted(report.escalated, 'time')} people were told that one has grown."
        )
    if len(report.incidents) < report.incidents_total:
        lines.append(f"The table has {len(report.incidents)} of {report.incidents_total}.")
    heads = ("Opened", "Version", "Kind", "Severity", "What", "Ended")
    return ReportPart(
        "What fired",
        tuple(lines),
        heads,
        tuple(incident_row(each, report) for each in report.incidents),
        "Incidents: open ones first, then the newest",
    )


def incident_row(incident: IncidentTold, report: Report) -> Row:
    """An incident as a row."""
    named = ", ".join(incident.features)
    more = incident.features_total - len(incident.features)
    what = f"{named}{f' and {more} more' if more > 0 else ''}{f': {incident.words}' if incident.words else ''}"
    ended = OPEN if incident.ended_at is None else f"{incident.ended} {timed(incident.ended_at, report)}"
    return (
        timed(incident.opened_at, report),
        incident.version,
        incident.kind,
        incident.severity,
        what or incident.rule,
        ended + (", nobody was told: silenced" if incident.silenced else ""),
    )


def _held_back(report: Report) -> ReportPart:
    lines = [
        f"{counted(report.silenced, 'incident')} opened in silence: nobody was told.",
        f"{counted(report.reminders_held, 'note')} of growth held back by silences and acknowledgements.",
    ]
    made = ", ".join(f"{count} × {kind}" for kind, count in sorted(report.decisions.items()))
    lines.append(f"People decided: {made}." if made else "People decided nothing.")
    return ReportPart("What was suppressed", tuple(lines))


def budget_words(budget: BudgetTold | None) -> Iterator[str]:
    """Whether the budget was held, and by what that is said."""
    if budget is None:
        yield "There is none: alerting.false_alarms_per_month is null."
        return
    expected = f"{budget.expected:.2g}"
    told = f"{counted(budget.opened, 'incident')} opened where the budget of {budget.per_month:g} a month lets {expected} false ones be expected"
    if budget.opened == 0:
        yield f"Held: {told}."
    elif budget.held:
        yield f"Held: {told}; so many or more come by chance alone in {share(budget.chance)} of such spans."
    else:
        yield f"More than false alarms explain: {told}. Either something changed, or the budget is not held: look at each, and accept what is no drift."
    if budget.expected_warnings:
        yield (
            f"{counted(budget.warnings, 'warning')} of charts, told to nobody, where at most about {budget.expected_warnings:.2g} "
            "come by chance: the calibration checks itself by these."
        )


def _retraining(report: Report) -> ReportPart:
    counted_words = ", ".join(
        f"{count} × {OUTCOMES.get(name, name.replace('_', ' '))}" for name, count in sorted(report.outcomes.items())
    )
    lines = [f"Asked for: {counted_words}." if counted_words else "Nothing asked for retraining."]
    lines += [
        f"Version {each.version} was judged for the first time from {timed(each.since, report)} on."
        for each in report.versions
    ]
    rows = [
        (timed(each.at, report), each.version, each.reason, each.because + (f", by {each.by}" if each.by else ""))
        for each in report.requests
    ]
    return ReportPart(
        "Retraining",
        tuple(lines),
        ("At", "Version", "Reason", "Outcome"),
        tuple(rows),
        "What asked, and what became of it",
    )


def _performance(report: Report) -> ReportPart:
    labels = report.labels
    line = (
        "No window was judged by labels."
        if labels is None
        else f"{share(labels.coverage)} of {thousands(labels.predictions)} predictions have a label, of the windows whose labels were waited for until now."
    )
    rows = [
        (each.version, spelled(metric.name), metric_words(metric), timed(each.end, report))
        for each in report.worth
        for metric in each.metrics
    ]
    heads = ("Version", "Metric", "As judged last, with its 95 % interval", "Window until")
    return ReportPart(
        "Labels and performance", (line,), heads, tuple(rows), "Each version's window that was judged last"
    )


def metric_words(metric: MetricSeen) -> str:
    """A metric with its interval."""
    if metric.lower is None or metric.upper is None:
        return figure(metric.value)
    digits = digits_of(metric.value, metric.upper - metric.lower)
    return f"{figure(metric.value, digits)} ({figure(metric.lower, digits)} to {figure(metric.upper, digits)})"


def _data(report: Report) -> Iterator[str]:
    yield f"{counted(report.windows, 'window')} of {counted(report.rows, 'row')}" + (
        f", {report.few_windows} of them with too few rows to be judged." if report.few_windows else "."
    )
    if report.missing is not None:
        yield f"{share(report.missing)} of all values were missing."
    if report.hours_without:
        yield f"No data in {report.hours_without} of {counted(report.hours, 'hour')}, at most {counted(report.longest_gap, 'hour')} in a row."
    if not report.whole:
        as_of = "nothing was read" if report.as_of is None else f"events were read until {timed(report.as_of, report)}"
        yield f"Not all of it: {as_of}. What comes later is in the next report."


# --- plain text -------------------------------------------------------------------------------------------------------


def plain_text(report: Report) -> str:
    """All of it as plain text."""
    pieces = [f"{headline(report)} ({report.timezone})", in_short(report), ""]
    for part in parts_of(report):
        pieces += [part.heading, *(f"  {line}" for line in part.lines)]
        pieces += [f"  - {'; '.join(cell for cell in row if cell)}" for row in part.rows]
        pieces.append("")
    return "\n".join(pieces).rstrip() + "\n"


def timed(at: datetime, report: Report) -> str:
    """A time in the zone of the report."""
    return f"{at.astimezone(ZoneInfo(report.timezone)):%Y-%m-%d %H:%M}"


def counted(count: int, word: str) -> str:
    """A count with its word.

    >>> counted(1, "hour"), counted(0, "hour")
    ('1 hour', '0 hours')
    """
    return f"{thousands(count)} {word}{'' if count == 1 else 's'}"
