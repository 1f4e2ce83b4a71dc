"""When reports are due, and that each is made once: wall time says when, event time of what.

    due, Monday 08:00          the wall clock: people read it then
    of  [Mon 00:00, Mon 00:00) whole days of event time before it, from where the last report ended

It waits for event time to come to the end of what it is of; where that takes longer than half a day, it is made of what there is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import msgspec

from monitor.alerting.ids import plain_id
from monitor.alerting.schedule import LATEST, Schedule
from monitor.facts import Fact, ReportMade
from monitor.reporting.making import UTC_NAME, ReportSpan, report_of
from monitor.reporting.tallies import Tallies
from monitor.reporting.tally import KEPT, moment, nanos
from monitor.series.records import Record
from monitor.stream.events import DAY, HOUR, MINUTE, Nanos

STATE = "reports"  # kind of the row
PATIENCE: Nanos = 12 * HOUR  # wall time for which event time is waited for
FIRST: Nanos = 7 * DAY  # of what the first report is
LONGEST: Nanos = KEPT - 4 * DAY
SHORTEST: Nanos = 20 * HOUR  # between two reports; a day of a clock change has 23
LOOKED_AT = 50  # times in a row that must lie so far apart
LOOKED_FROM = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ReportPlan:
    """When reports are made, and of which models."""

    schedule: Schedule
    models: tuple[str, ...]

    @property
    def zone(self) -> ZoneInfo:
        """The zone of its days."""
        return ZoneInfo(self.schedule.timezone or UTC_NAME)

    def due(self, after: Nanos, now: Nanos) -> Nanos | None:
        """The last time that it was due after one time, at another; None where it was not. Those before are caught up by this one."""
        found, at = None, max(after, now - KEPT)
        while (at := self.schedule.after(at)) <= now and at != LATEST:
            found = at
        return found

    def end(self, due: Nanos) -> Nanos:
        """Where the days end that a report is of: the last midnight, to the hour of event time."""
        local = moment(due).astimezone(self.zone)
        midnight = datetime.combine(local.date(), time(), self.zone)
        return nanos(midnight) // HOUR * HOUR


def refuse_often(schedule: Schedule) -> None:
    """Raise ValueError for a schedule that is due twice on a day: a report is of whole days."""
    before = schedule.after(nanos(LOOKED_FROM))
    for _ in range(LOOKED_AT):
        due = schedule.after(before)
        if due - before < SHORTEST:
            raise ValueError(f"{schedule.cron!r} is due more often than daily: a report is of whole days")
        before = due


@dataclass(slots=True)
class ReportCourse:
    """How far the reports of a model are: when the last was due, wall time, and to where it told, event time."""

    due: Nanos
    told: Nanos | None = None


class Reports:
    """Makes the reports of a plan; none where there is none."""

    def __init__(self, tallies: Tallies, plan: ReportPlan | None, instance: str = "") -> None:
        self._tallies = tallies
        self._instance = instance  # in whose name reports are made
        self._plan = plan
        self._courses: dict[str, ReportCourse] = {}
        self._look_at: Nanos | None = None  # wall time before which nothing is due
        self._looked_at: Nanos = 0
        self._changed = False

    def advance(self, now: Nanos, read: Nanos | None) -> list[Fact]:
        """The reports that are due at a wall time; `read` is how far event time has come. Called often: most times there is nothing."""
        plan = self._plan
        if plan is None or (self._look_at is not None and self._looked_at <= now < self._look_at):
            return []
        made: list[Fact] = [fact for model in plan.models for fact in self._of(model, plan, now, read)]
        next_due = min((plan.schedule.after(now) for _ in plan.models), default=LATEST)
        waiting = any(plan.due(course.due, now) is not None for course in self._courses.values())
        self._looked_at, self._look_at = now, min(next_due, now + MINUTE) if waiting else next_due
        return made

    def _of(self, model: str, plan: ReportPlan, now: Nanos, read: Nanos | None) -> Iterable[ReportMade]:
        course = self._courses.get(model)
        if course is None or course.due > now + DAY:  # new, or the clock was wrong when the last was made
            told = None if course is None else course.told
            self._courses[model] = course = ReportCourse(now, told)
            self._changed = True
        due = plan.due(course.due, now)
        if due is None:
            return
        end = plan.end(due)
        whole = read is not None and read >= end
        if not whole and now < due + PATIENCE:
            return
        start = end - FIRST if course.told is None else max(course.told, end - LONGEST)
        reached = end if whole else start if read is None else min(max(start, read // HOUR * HOUR), end)
        self._courses[model] = ReportCourse(due, reached)
        self._changed = True
        if start < end:
            report = report_of(self._tallies.tallied(model), ReportSpan(start, end, plan.schedule.timezone), read)
            yield ReportMade(plain_id(self._instance, "report", model, due), due, report)

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Record]:
        """The row, where it changed since the last call."""
        changed, self._changed = self._changed, False
        return self.snapshot() if changed else []

    def snapshot(self) -> list[Record]:
        """The row; none where nothing was ever planned."""
        return [Record(STATE, "", msgspec.json.encode(self._courses))] if self._courses else []

    def restore(self, record: Record) -> None:
        """Take it up."""
        assert record.payload is not None
        self._courses = msgspec.json.decode(record.payload, type=dict[str, ReportCourse])
