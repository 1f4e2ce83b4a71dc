"""Lengths of time as people write them: 500ms, 30s, 5m, 12h, 7d."""

import datetime as dt
import re
from decimal import Decimal

NANOS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
LONGEST = 3650 * NANOS["d"]  # so that event time and a duration together stay within int64
WRITTEN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|us|ns|s|m|h|d)")

LengthOfTime = str | dt.timedelta


def nanoseconds(length: LengthOfTime) -> int:
    """Return a length of time in nanoseconds.

    Args:
        length: A text such as `5m`, or a timedelta. A unit is required, so that 30 is never taken for minutes.

    Raises:
        ValueError: It is neither, or longer than ten years.

    >>> nanoseconds("1.5s"), nanoseconds(dt.timedelta(minutes=5))
    (1500000000, 300000000000)
    """
    if isinstance(length, dt.timedelta):
        nanos = Decimal(length // dt.timedelta(microseconds=1) * 1000)
    else:
        match = WRITTEN.fullmatch(length.strip()) if isinstance(length, str) else None
        if match is None:
            raise ValueError("must be a duration such as 500ms, 30s, 5m, 1h or 7d")
        nanos = Decimal(match[1]) * NANOS[match[2]]
    if abs(nanos) > LONGEST:
        raise ValueError(f"must be at most {show_duration(LONGEST)}")
    return round(nanos)


def show_duration(nanos: int) -> str:
    """Return nanoseconds in the largest unit that divides them.

    >>> show_duration(7200 * 10**9)
    '2h'
    """
    if nanos == 0:
        return "0s"
    unit = next(unit for unit in ("d", "h", "m", "s", "ms", "us", "ns") if nanos % NANOS[unit] == 0)
    return f"{nanos // NANOS[unit]}{unit}"
