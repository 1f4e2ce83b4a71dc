"""The clock on a wall: what it shows at a time, and which day it is there."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np

from detectors.features import Ints

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
FIRST, LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)  # between which changes are looked for
STEP = timedelta(days=7)  # no zone has changed its offset and back within a week since 1970


class UnknownTimezoneError(ValueError):
    """A name that is no zone of this system's database."""


@dataclass(frozen=True, slots=True, eq=False)
class WallClock:
    """The offsets of one zone: `offsets` int64[k + 1] nanoseconds east of Greenwich, each until `changes` int64[k], rising.

    A zone has a few hundred changes, so that a time is looked up among them, not asked of a calendar.
    """

    changes: Ints
    offsets: Ints

    def local(self, times: Ints | int) -> Ints:
        """Return what the clock shows, as nanoseconds since its own 1970; the hour set back in autumn is shown twice."""
        times = np.asarray(times, dtype=np.int64)
        return np.asarray(times + self.offsets[np.searchsorted(self.changes, times, side="right")])


def clock(timezone: str | None = None) -> WallClock:
    """Return the clock of an IANA name, `Europe/Berlin`; None is UTC. Raises UnknownTimezoneError in one line.

    >>> str(clock("Europe/Berlin").local(0).astype("datetime64[ns]").astype("datetime64[m]"))
    '1970-01-01T01:00'
    """
    return _clock(timezone or "UTC")


def named(timezone: str | None) -> str | None:
    """Return the name under which a zone is kept, None for UTC. Raises UnknownTimezoneError."""
    clock(timezone)
    return None if timezone in {None, "", "UTC", "Etc/UTC"} else timezone


def local(times: Ints | int, timezone: str | None = None) -> Ints:
    """Return what the clock of a zone shows at each time, int64 nanoseconds."""
    return clock(timezone).local(times)


def local_days(times: Ints | int, timezone: str | None = None) -> Ints:
    """Return the number of the local day of each time, 0 for 1970-01-01: between two midnights there, be it 23 or 25 hours long."""
    return np.asarray(local(times, timezone) // DAY_NS)


@cache
def _clock(timezone: str) -> WallClock:
    if timezone == "UTC":
        return WallClock(np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64))
    zone = _zone(timezone)
    changes, offsets = list[int](), [_offset(FIRST, zone)]
    at = FIRST
    while at < LAST:
        later = at + STEP
        if _offset(later, zone) != offsets[-1]:
            changes.append(_change(at, later, zone))
            offsets.append(_offset(later, zone))
        at = later
    return WallClock(np.array(changes, dtype=np.int64), np.array(offsets, dtype=np.int64))


def _zone(timezone: str) -> ZoneInfo:
    try:
        return ZoneInfo(timezone)
    except (LookupError, ValueError, OSError):  # not found; a path; a folder
        raise UnknownTimezoneError(
            f"timezone {timezone!r} is not in this system's time zone database: an IANA name such as Europe/Berlin is; "
            "where there is no database, the package tzdata brings one"
        ) from None


def _offset(at: datetime, zone: ZoneInfo) -> int:
    east = at.astimezone(zone).utcoffset()
    assert east is not None
    return int(east.total_seconds()) * 10**9


def _change(before: datetime, after: datetime, zone: ZoneInfo) -> int:
    """When the offset becomes the later one, to the second, in nanoseconds: by halving."""
    low, high, known = int(before.timestamp()), int(after.timestamp()), _offset(before, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(datetime.fromtimestamp(middle, UTC), zone) == known:
            low = middle
        else:
            high = middle
    return high * 10**9
