"""Holidays: public ones and other days that are no ordinary ones, by a file, a country or a list."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from detectors.calibration.clocks import DAY_NS, local_days, named
from detectors.calibration.seasons import middles
from detectors.features import Bools, Ints

YEARS = range(1990, 2061)  # of a country
YEARS_KEPT = 10  # after the last day of a reference
COUNTRY = re.compile(r"(?P<country>[A-Z]{2})(-(?P<part>[A-Za-z0-9]{1,5}))?")
LINE = re.compile(r"(\d{4}-\d{2}-\d{2})([,;\s].*)?")
EVENT = re.compile(r"(DTSTART|DTEND|RRULE|RDATE)[^:]*:(.*)")
EPOCH = date(1970, 1, 1)
Source = str | Path | Iterable[date | str]


class HolidaysError(ValueError):
    """A calendar that cannot be read, in one line."""


@dataclass(frozen=True, slots=True)
class Holidays:
    """Local days, as numbers since 1970, whose traffic is not held against that of ordinary days."""

    days: frozenset[int] = frozenset()
    timezone: str | None = None

    def hold(self, times: Ints) -> Bools:
        """Return which times fall on such a day."""
        return np.isin(local_days(times, self.timezone), list(self.days))

    def cover(self, start: int, end: int) -> bool:
        """Return whether the window [start, end) is one of such days: any hour of it, or half of a window longer than a day."""
        if not self.days:
            return False
        share = float(self.hold(middles(start, end)).mean())
        return share > 0 if end - start <= DAY_NS else share >= 0.5  # noqa: PLR2004 - half


NO_HOLIDAYS = Holidays()


def read_holidays(source: Source) -> tuple[int, ...]:
    """Return the days of a calendar, rising, as numbers since 1970.

    `source`: `DE` or `DE-BY`, a country or a part of it, by the package `holidays`; a file of dates, one a line, whatever
    follows them; an iCalendar file of whole days; or the dates themselves. Raises HolidaysError.

    >>> read_holidays(["2026-12-25", date(1970, 1, 2)])
    (1, 20812)
    """
    if not isinstance(source, str | Path):
        return _rising(day if isinstance(day, date) else _date(day, "holidays") for day in source)
    place = COUNTRY.fullmatch(str(source))
    if place is not None:
        return _rising(_of_country(place["country"], place["part"]))
    return _rising(_of_file(Path(source)))


def is_country(text: str) -> bool:
    """Return whether a text is a country or a part of it, `DE` or `DE-BY`, not a file."""
    return COUNTRY.fullmatch(text) is not None


def calendar_of(source: Source, timezone: str | None = None) -> Holidays:
    """Return the holidays of a calendar by the clock of a zone. Raises HolidaysError and UnknownTimezoneError."""
    return Holidays(frozenset(read_holidays(source)), named(timezone))


def within_reach(days: Iterable[int], first: int, last: int) -> tuple[int, ...]:
    """Return the days that a reference from one local day to another need know: its own, and those of ten years after."""
    return tuple(day for day in days if first <= day <= last + 366 * YEARS_KEPT)


def iso(day: int) -> str:
    """Return the date of a day: `2026-12-25`."""
    return (EPOCH + timedelta(days=day)).isoformat()


def _rising(days: Iterable[date]) -> tuple[int, ...]:
    return tuple(sorted({(day - EPOCH).days for day in days}))


def _date(text: str, where: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise HolidaysError(f"{where}: {text!r} is no date such as 2026-12-25") from None


def _of_country(country: str, part: str | None) -> Iterable[date]:
    try:
        from holidays import country_holidays
    except ImportError:
        raise HolidaysError(
            f"holidays {country}: the package holidays is not installed: pip install 'driftd[holidays]', or name a file"
        ) from None
    try:
        return list(country_holidays(country, subdiv=part, years=YEARS))
    except NotImplementedError as error:
        raise HolidaysError(f"holidays: {error}") from None


def _of_file(path: Path) -> Iterator[date]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise HolidaysError(f"holidays: {path} is no text") from None
    except OSError as error:
        raise HolidaysError(f"holidays: {path} cannot be read: {error.strerror or error}") from None
    except ValueError:  # no file can be called so
        raise HolidaysError(f"holidays: {str(path)!r} holds a NUL character") from None
    found = list(_of_calendar(text, path) if text.startswith("BEGIN:VCALENDAR") else _of_lines(text, path))
    if not found:
        raise HolidaysError(f"holidays: {path} holds no date")
    return iter(found)


def _of_lines(text: str, path: Path) -> Iterator[date]:
    for number, line in enumerate(text.splitlines(), start=1):
        told = line.split("#")[0].strip()
        if told:
            found = LINE.fullmatch(told)
            yield _date(found[1] if found else told, f"holidays: {path}, line {number}")


def _of_calendar(text: str, path: Path) -> Iterator[date]:
    """The whole days of the events of an iCalendar file (RFC 5545), the end left out. What recurs by a rule is refused."""
    for event in text.split("BEGIN:VEVENT")[1:]:
        told = dict(EVENT.findall(event.split("END:VEVENT")[0]))
        if told.keys() & {"RRULE", "RDATE"}:
            raise HolidaysError(f"holidays: {path} has an event that recurs by a rule; give each year its dates")
        start = _day(told.get("DTSTART", ""), path)
        end = _day(told["DTEND"], path) if "DTEND" in told else start
        yield from (start + timedelta(days=day) for day in range(max((end - start).days, 1)))


def _day(text: str, path: Path) -> date:
    digits = text.strip()[:8]
    return _date(f"{digits[:4]}-{digits[4:6]}-{digits[6:]}", f"holidays: {path}")
