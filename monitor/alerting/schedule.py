"""When a cron expression is due: event times in, event times out, on the clock of a time zone.

The reader of expressions is imported where there is one: most configurations have none.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from monitor.stream.events import HOUR, SECOND, Nanos

FIELDS = 5
LOOKED_AT = 50  # times in a row that must lie an hour apart
FROM = datetime(2025, 1, 1, tzinfo=UTC)
LATEST: Nanos = 2**62  # the year 2116: what is due later is never due


@dataclass(frozen=True, slots=True)
class Schedule:
    """A cron expression of five fields and the zone whose clock it is read on; None: UTC.

    As Debian's cron: a time that the clock skips in spring is due right after the gap, one that it shows twice is due once.
    """

    cron: str
    timezone: str | None = None

    def after(self, at: Nanos) -> Nanos:
        """The first time after `at`; `LATEST` where there is none.

        >>> Schedule("0 3 * * 1").after(0) // SECOND  # the first Monday of 1970, at three
        356400
        """
        from cronsim import CronSim

        begin = datetime.fromtimestamp(at // SECOND, tz=UTC if self.timezone is None else ZoneInfo(self.timezone))
        try:
            due = next(CronSim(self.cron, begin))
        except (StopIteration, OverflowError, ValueError):
            return LATEST
        return int(due.timestamp()) * SECOND

    @classmethod
    def parse(cls, cron: str, timezone: str | None = None) -> "Schedule":
        """Read an expression. Raises ValueError in one line, also for one that is due more often than hourly, or never."""
        if len(cron.split()) != FIELDS:
            raise ValueError(f"{cron!r} has {len(cron.split())} fields, not {FIELDS}: minute hour day month weekday")
        from cronsim import CronSim, CronSimError

        try:
            CronSim(cron, FROM)
        except CronSimError as error:
            raise ValueError(f"{cron!r} is no cron expression: {str(error).lower()}") from None
        schedule = cls(cron, timezone)
        before = schedule.after(int(FROM.timestamp()) * SECOND)
        if before == LATEST:
            raise ValueError(f"{cron!r} is never due")
        for _ in range(LOOKED_AT):
            due = schedule.after(before)
            if due - before < HOUR:
                raise ValueError(f"{cron!r} is due more often than hourly")
            before = due
        return schedule
