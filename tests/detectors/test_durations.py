"""Lengths of time as people write them."""

import datetime as dt

import pytest

from detectors.durations import LONGEST, nanoseconds, show_duration

MINUTE = 60 * 10**9


@pytest.mark.parametrize(
    ("written", "nanos"),
    [("5m", 5 * MINUTE), (" 1.5 h", 90 * MINUTE), ("500ms", 5 * 10**8), (dt.timedelta(hours=1), 60 * MINUTE)],
)
def test_a_length_of_time_is_read(written: str | dt.timedelta, nanos: int) -> None:
    assert nanoseconds(written) == nanos


@pytest.mark.parametrize("written", ["30", "", "5 minutes", "-5m", 30, None])
def test_what_has_no_unit_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="must be a duration such as 500ms"):
        nanoseconds(written)


@pytest.mark.parametrize("written", ["4000d", dt.timedelta(days=4000), dt.timedelta(days=-4000)])
def test_more_than_ten_years_is_refused(written: str | dt.timedelta) -> None:
    with pytest.raises(ValueError, match="must be at most 3650d"):
        nanoseconds(written)


@pytest.mark.parametrize("nanos", [0, 1, 1500 * 10**6, 5 * MINUTE, LONGEST])
def test_what_is_shown_can_be_read(nanos: int) -> None:
    assert nanoseconds(show_duration(nanos)) == nanos
