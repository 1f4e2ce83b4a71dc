"""From a model's tally to a report of some span of event time."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import tzinfo
from zoneinfo import ZoneInfo

from monitor.alerting.rules import BUDGET_RULE, ERRORS_RULE, LATENCY_RULE, PERFORMANCE_RULE
from monitor.facts import BudgetTold, DayTold, IncidentTold, LabelsTold, ModelTallied, OpenedTold, Report
from monitor.reporting import tally
from monitor.reporting.tally import moment
from monitor.stream.events import DAY, HOUR, Nanos

MONTH_DAYS = 30.0  # that a budget is of
BUDGETED = frozenset({BUDGET_RULE, PERFORMANCE_RULE, LATENCY_RULE, ERRORS_RULE})  # rules that share the budget
LISTED, LISTED_REQUESTS = 30, 20
UTC_NAME = "UTC"


@dataclass(frozen=True, slots=True)
class ReportSpan:
    """Of what a report is: [start, end), event time, in a zone; None: UTC."""

    start: Nanos
    end: Nanos
    timezone: str | None = None

    @property
    def zone(self) -> tzinfo:
        """The zone."""
        return ZoneInfo(self.timezone or UTC_NAME)


def report_of(known: ModelTallied, span: ReportSpan, read: Nanos | None) -> Report:
    """A model's report; `read` is how far event time has come."""
    hours = {at: counts for at, counts in known.hours.items() if span.start <= at < span.end}
    total: Counter[str] = Counter()
    for counts in hours.values():
        total.update(counts)
    incidents = incidents_of(known, span)
    gaps = gaps_of(known, span, read)
    start, end = moment(span.start), moment(span.end)
    named = {
        name: {key.removeprefix(name): int(n) for key, n in total.items() if key.startswith(name)} for name in SETS
    }
    return Report(
        model=known.model,
        start=start,
        end=end,
        timezone=span.timezone or UTC_NAME,
        as_of=None if read is None else moment(read),
        whole=read is not None and read >= span.end,
        windows=int(total[tally.WINDOWS]),
        rows=int(total[tally.ROWS]),
        few_windows=int(total[tally.FEW]),
        missing=total[tally.MISSING] / total[tally.VALUES] if total[tally.VALUES] else None,
        hours=len(gaps),
        hours_without=sum(gaps),
        longest_gap=longest_run(gaps),
        days=days_of(hours, span),
        opened=opened_of(named[tally.OPENED]),
        escalated=int(total[tally.ESCALATED]),
        settled=int(total[tally.SETTLED]),
        resolved=int(total[tally.RESOLVED]),
        silenced=sum(each.silenced and start < each.opened_at <= end for each in incidents),
        reminders_held=int(total[tally.HELD]),
        incidents=tuple(incidents[:LISTED]),
        incidents_total=len(incidents),
        outcomes=named[tally.RETRAIN],
        requests=tuple(each for each in known.requests if start < each.at <= end)[-LISTED_REQUESTS:],
        decisions=named[tally.DECISION],
        budget=budget_of(total, named[tally.OPENED], span, known.per_month),
        labels=LabelsTold(int(total[tally.PREDICTIONS]), int(total[tally.LABELLED]))
        if total[tally.PREDICTIONS]
        else None,
        worth=known.worth,
        versions=tuple(each for each in known.versions if start <= each.since < end),
    )


SETS = (tally.OPENED, tally.RETRAIN, tally.DECISION)


def incidents_of(known: ModelTallied, span: ReportSpan) -> list[IncidentTold]:
    """Those that were open at any time of the span, as they stood at its end: open ones first, then the newest."""
    start, end = moment(span.start), moment(span.end)
    found = [
        each for each in known.incidents if each.opened_at <= end and (each.ended_at is None or each.ended_at > start)
    ]
    return sorted(found, key=lambda each: (each.ended_at is not None, -each.opened_at.timestamp(), each.incident))


def gaps_of(known: ModelTallied, span: ReportSpan, read: Nanos | None) -> list[bool]:
    """Of each hour that should have been judged, whether it was not: from the model's first on, as far as events were read."""
    began = min(known.hours, default=span.end)
    first, last = max(span.start, began), min(span.end, began if read is None else read // HOUR * HOUR)
    return [tally.SEEN not in known.hours.get(at, {}) for at in range(first, last, HOUR)]


def longest_run(flags: list[bool]) -> int:
    """How many are true in a row at most.

    >>> longest_run([True, False, True, True])
    2
    """
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest


def days_of(hours: Mapping[Nanos, Mapping[str, float]], span: ReportSpan) -> tuple[DayTold, ...]:
    """What each day of the zone held."""
    found: dict[object, list[int]] = {}
    for at in range(span.start, span.end, HOUR):
        counts = hours.get(at, {})
        day = found.setdefault(moment(at).astimezone(span.zone).date(), [0, 0])
        day[0] += int(counts.get(tally.ROWS, 0))
        day[1] += int(sum(n for name, n in counts.items() if name.startswith(tally.OPENED)))
    return tuple(DayTold(day, *counts) for day, counts in found.items())  # type: ignore[arg-type]  # a date


def opened_of(counts: Mapping[str, int]) -> tuple[OpenedTold, ...]:
    """How many opened under each rule, the most first."""
    named = [(*key.partition("/")[::2], count) for key, count in counts.items()]
    return tuple(
        OpenedTold(rule, kind, count) for kind, rule, count in sorted(named, key=lambda each: (-each[2], each))
    )


def budget_of(
    total: Mapping[str, float], opened: Mapping[str, int], span: ReportSpan, per_month: float | None
) -> BudgetTold | None:
    """What the budget lets expect, and what opened; None where there is none."""
    if per_month is None:
        return None
    found = sum(count for key, count in opened.items() if key.partition("/")[2] in BUDGETED)
    expected = per_month * (span.end - span.start) / DAY / MONTH_DAYS
    return BudgetTold(
        per_month,
        expected,
        found,
        at_least(found, expected),
        int(total.get(tally.WARNED, 0)),
        float(total.get(tally.EXPECTED, 0.0)),
    )


def at_least(count: int, expected: float) -> float:
    """The chance of so many or more where so many are expected, by Poisson's law.

    >>> round(at_least(0, 0.2), 3), round(at_least(1, 0.2), 3), round(at_least(3, 0.2), 4)
    (1.0, 0.181, 0.0011)
    """
    fewer = sum(math.exp(n * math.log(expected) - expected - math.lgamma(n + 1)) for n in range(count))
    return min(max(1.0 - fewer, 0.0), 1.0)


def last_of(known: ModelTallied, lasts: Nanos, read: Nanos | None) -> Report:
    """The report of the last span, so long, until where events were read."""
    newest = max(known.hours, default=0) + HOUR
    end = newest if read is None else -(-read // HOUR) * HOUR
    span = ReportSpan(end - -(-min(lasts, tally.KEPT) // HOUR) * HOUR, end, known.timezone)
    return replace(report_of(known, span, read), whole=True)
