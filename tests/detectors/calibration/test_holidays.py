"""Calendars: dates one a line, iCalendar, a country; and which windows they cover."""

import sys
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from detectors.calibration.clocks import DAY_NS, HOUR_NS, UnknownTimezoneError
from detectors.calibration.holidays import (
    Holidays,
    HolidaysError,
    calendar_of,
    is_country,
    iso,
    read_holidays,
    within_reach,
)

CHRISTMAS = 20_812  # 2026-12-25
ICS = """BEGIN:VCALENDAR
VERSION:2.0
BEGIN:VEVENT
DTSTART;VALUE=DATE:20261225
DTEND;VALUE=DATE:20261227
SUMMARY:Christmas
END:VEVENT
BEGIN:VEVENT
DTSTART;VALUE=DATE:20270101
SUMMARY:New Year
END:VEVENT
END:VCALENDAR
"""


def written(path: Path, text: str, name: str = "days.txt") -> Path:
    (path / name).write_bytes(text.encode())
    return path / name


def refusal(source: object) -> str:
    with pytest.raises(HolidaysError) as refused:
        read_holidays(source)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_dates_stand_one_a_line_with_remarks(tmp_path: Path) -> None:
    text = "\ufeff# bank holidays\r\n2026-12-26, St Stephen\r\n\r\n2026-12-25 Christmas\r\n2026-12-25\r\n1970-01-02;x # y\r\n"

    assert read_holidays(written(tmp_path, text)) == (1, CHRISTMAS, CHRISTMAS + 1)


def test_a_calendar_gives_its_whole_days_the_end_left_out(tmp_path: Path) -> None:
    assert read_holidays(written(tmp_path, ICS, "days.ics")) == (CHRISTMAS, CHRISTMAS + 1, CHRISTMAS + 7)
    assert read_holidays(written(tmp_path, ICS.replace("\n", "\r\n"), "dos.ics"))[1:] == (CHRISTMAS + 1, CHRISTMAS + 7)


def test_dates_themselves_will_do() -> None:
    assert read_holidays([date(2026, 12, 25), "1970-01-01"]) == (0, CHRISTMAS)
    assert read_holidays(()) == ()
    assert iso(CHRISTMAS) == "2026-12-25"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("2026-12-25\n25.12.2026\n", "days.txt, line 2: '25.12.2026' is no date such as 2026-12-25"),
        ("2026-02-30\n", "days.txt, line 1: '2026-02-30' is no date such as 2026-12-25"),
        ("# none\n", "days.txt holds no date"),
        ("", "days.txt holds no date"),
        (ICS.replace("SUMMARY:New Year", "RRULE:FREQ=YEARLY"), "days.txt has an event that recurs by a rule"),
        (ICS.replace("20270101", "soon"), "is no date such as"),
    ],
)
def test_what_is_no_calendar_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in refusal(written(tmp_path, text))


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(bytes(range(128, 256)))

    assert "No such file" in refusal(tmp_path / "none")
    assert "is no text" in refusal(tmp_path / "binary")
    assert refusal(Path("a\0b")) == "holidays: 'a\\x00b' holds a NUL character"


@pytest.mark.parametrize(
    ("text", "country"),
    [("DE", True), ("DE-BY", True), ("US-CA", True), ("de", False), ("DE.txt", False), ("./DE", False)],
)
def test_two_capitals_are_a_country(text: str, country: bool) -> None:
    assert is_country(text) == country


def test_a_country_needs_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "holidays", None)

    assert "pip install 'driftd[holidays]'" in refusal("DE-BY")


def test_a_country_is_asked_for_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def country_holidays(country: str, *, subdiv: str | None, years: range) -> dict[date, str]:
        asked.append((country, subdiv, 2026 in years))
        if country == "XX":
            raise NotImplementedError("Country XX not available")
        return {date(2026, 12, 25): "Christmas"}

    package = ModuleType("holidays")
    monkeypatch.setattr(package, "country_holidays", country_holidays, raising=False)
    monkeypatch.setitem(sys.modules, "holidays", package)

    assert read_holidays("DE-BY") == (CHRISTMAS,)
    assert "Country XX not available" in refusal("XX")
    assert asked == [("DE", "BY", True), ("XX", None, True)]


def test_the_package_itself_knows_a_part_of_a_country() -> None:
    pytest.importorskip("holidays")
    epiphany = read_holidays(["2026-01-06"])[0]  # in Bavaria, not in Berlin

    assert {CHRISTMAS, epiphany} <= set(read_holidays("DE-BY"))
    assert epiphany not in read_holidays("DE-BE")
    assert "QQ" in refusal("DE-QQ")


def test_windows_of_a_holiday_are_those_of_its_local_hours() -> None:
    midnight = CHRISTMAS * DAY_NS
    here, there = Holidays(frozenset({CHRISTMAS})), Holidays(frozenset({CHRISTMAS}), "Europe/Berlin")

    assert here.cover(midnight, midnight + HOUR_NS)
    assert not here.cover(midnight - HOUR_NS, midnight)
    assert there.cover(midnight - HOUR_NS, midnight)
    assert not there.cover(midnight + 23 * HOUR_NS, midnight + DAY_NS)
    assert here.cover(midnight - HOUR_NS, midnight + 5 * HOUR_NS)
    assert not here.cover(midnight - 2 * DAY_NS, midnight + DAY_NS)  # a third of it
    assert not Holidays().cover(midnight, midnight + HOUR_NS)


def test_a_reference_keeps_the_days_of_its_own_time_and_of_ten_years_after() -> None:
    assert within_reach((1, 10, 20, 5000), 10, 20) == (10, 20)


def test_a_calendar_has_a_clock() -> None:
    assert calendar_of(["1970-01-01"], "UTC") == Holidays(frozenset({0}))
    assert calendar_of((), "Europe/Berlin").timezone == "Europe/Berlin"
    with pytest.raises(UnknownTimezoneError):
        calendar_of((), "Europe/Berlim")
