"""What a clock shows: that of the zone, through every change."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.calibration import seasons
from detectors.calibration.clocks import UnknownTimezoneError, clock, local, local_days
from detectors.calibration.seasons import DAY, HOUR_NS, WEEK
from detectors.features import Ints

ZONES = ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Casablanca", "UTC"]


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


def hourly(begin: str, end: str) -> Ints:
    return np.arange(at(begin), at(end), HOUR_NS, dtype=np.int64)


@given(st.sampled_from(ZONES), st.lists(st.integers(0, 4_102_444_799), min_size=1, max_size=20))
def test_a_clock_shows_what_the_calendar_says(zone: str, seconds: list[int]) -> None:
    """Lord Howe moves by half an hour, Kathmandu has moved by a quarter, Casablanca twice around Ramadan."""
    shown = clock(zone).local(np.array(seconds) * 10**9)
    said = [datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo(zone)).utcoffset() for second in seconds]

    assert shown.tolist() == [
        (second + int(offset.total_seconds())) * 10**9
        for second, offset in zip(seconds, said, strict=True)
        if offset is not None
    ]


def test_without_a_zone_times_are_utc() -> None:
    times = hourly("2026-03-28T00:00Z", "2026-03-30T00:00Z")

    assert local(times).tolist() == local(times, "UTC").tolist() == times.tolist()
    assert local_days(times).tolist() == (times // (24 * HOUR_NS)).tolist()


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-11-29", 24)])
def test_a_day_lasts_from_midnight_to_midnight(day: str, hours: int) -> None:
    times = hourly("2026-03-01T00:00Z", "2026-12-01T00:00Z")
    number = int(np.datetime64(day).astype("datetime64[D]").astype(np.int64))

    assert (local_days(times, "Europe/Berlin") == number).sum() == hours


def test_an_hour_of_the_week_is_the_same_on_both_sides_of_a_change() -> None:
    """Nine o'clock on two Mondays, with the last Sunday of March between them."""
    before, after = (local(at(time), "Europe/Berlin") for time in ("2026-03-23T08:00Z", "2026-03-30T07:00Z"))

    assert seasons.hours(before, DAY) == seasons.hours(after, DAY) == 9
    assert seasons.hours(before, WEEK) == seasons.hours(after, WEEK) == 9


@pytest.mark.parametrize("name", ["Europe/Berlim", "../etc/passwd", "Europe", "", " ", "/usr"])
def test_an_unknown_zone_is_said_in_one_line(name: str) -> None:
    if not name:
        assert clock(name) is clock("UTC")
        return
    with pytest.raises(
        UnknownTimezoneError, match=r"is not in this system's time zone database.*Europe/Berlin"
    ) as refusal:
        clock(name)

    assert "\n" not in str(refusal.value)
