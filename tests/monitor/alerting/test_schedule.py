"""When a cron expression is due, on the clock of a zone."""

from datetime import UTC, datetime

import pytest

from monitor.alerting.schedule import LATEST, Schedule
from monitor.stream.events import SECOND, Nanos

BERLIN = "Europe/Berlin"


def at(text: str) -> Nanos:
    """A time of UTC."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


def due(schedule: Schedule, after: Nanos, times: int) -> list[str]:
    """When it is due next, so many times, in UTC."""
    found = []
    for _ in range(times):
        after = schedule.after(after)
        found.append(datetime.fromtimestamp(after // SECOND, tz=UTC).isoformat()[:16])
    return found


def test_a_schedule_is_read_on_the_clock_of_its_zone() -> None:
    assert due(Schedule("0 3 * * 1", BERLIN), at("2026-01-01"), 2) == ["2026-01-05T02:00", "2026-01-12T02:00"]
    assert due(Schedule("0 3 * * 1"), at("2026-01-01"), 1) == ["2026-01-05T03:00"]


def test_an_hour_that_the_clock_skips_is_due_right_after_it() -> None:
    """On 2026-03-29 the clock goes from 02:00 to 03:00."""
    assert due(Schedule("30 2 * * *", BERLIN), at("2026-03-28T12:00"), 2) == ["2026-03-29T01:00", "2026-03-30T00:30"]


def test_an_hour_that_comes_twice_is_due_once() -> None:
    """On 2026-10-25 the hour from 02:00 on comes twice."""
    assert due(Schedule("30 2 * * *", BERLIN), at("2026-10-24T12:00"), 2) == ["2026-10-25T00:30", "2026-10-26T01:30"]


@pytest.mark.parametrize("zone", [None, BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
@pytest.mark.parametrize("cron", ["0 * * * *", "30 2 * * *", "0 0 1 * *", "15 */6 * * 1-5", "0 1 L * *"])
def test_it_is_due_later_than_asked_and_again_later_for_years(cron: str, zone: str | None) -> None:
    """The next time depends on nothing but the time it is asked for: so a restart, or a replay, finds the same ones."""
    schedule, last = Schedule(cron, zone), at("2025-12-31T23:59")
    for _ in range(400):
        found = schedule.after(last)
        assert found > last
        assert schedule.after((found + last) // 2) == found
        last = found


@pytest.mark.parametrize(
    ("cron", "why"),
    [
        ("every monday", "has 2 fields, not 5: minute hour day month weekday"),
        ("0 3 * * 1 *", "has 6 fields, not 5"),
        ("0 25 * * *", "is no cron expression: bad hour"),
        ("a b c d e", "is no cron expression: bad minute"),
        ("0 0 31 2 *", "is no cron expression: bad day-of-month"),
        ("*/5 * * * *", "is due more often than hourly"),
        ("0,30 3 * * *", "is due more often than hourly"),
        ("", "has 0 fields, not 5"),
    ],
)
def test_nonsense_is_refused_in_a_line(cron: str, why: str) -> None:
    with pytest.raises(ValueError, match=r"cron|fields|due") as refused:
        Schedule.parse(cron)

    assert why in str(refused.value)
    assert repr(cron) in str(refused.value)
    assert "\n" not in str(refused.value)


def test_what_is_never_due_again_is_said_so() -> None:
    assert Schedule("0 0 30 2 1").after(at("2026-01-01")) > at("2026-01-01")  # the weekday alone counts, as in cron
    assert at("2110-01-01") < LATEST
