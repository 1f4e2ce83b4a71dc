"""What a value of a message is worth: numbers, categories, timestamps, and the reasons why not."""

import math
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from detectors import canonical
from detectors.features import Bools, Floats
from monitor.stream.events import SECOND, Nanos

EARLIEST: Nanos = 946_684_800 * SECOND  # 2000-01-01; age is no reason to reject, a wrong unit is
LATEST_NANOS = (1 << 63) - 1
UNITS: dict[str, Nanos] = {"s": SECOND, "ms": 1_000_000, "us": 1_000, "ns": 1}
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
LEAP = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}.[0-9]{2}:[0-9]{2}:)60(|[.,Z+-].*)"
)  # in one place: a long text costs no more
UNUSABLE = float(np.uint64(0x7FF8000000000001).view(np.float64))
"""The NaN of a number that is there but is none: a text, an object. `_reader.hpp` writes the same; whoever does not ask sees a NaN.

A NaN that a message holds may have the same bits: whoever reads doubles as they lie makes another one of it.
"""
HALF_A_CHARACTER = "its name holds half a character, which cannot be written"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Rejected(Exception):  # noqa: N818 - not an error of ours: what a message gets
    """A message that cannot be used at all; the text is the reason, a metric label."""


def number(value: Any, reasons: Counter[str]) -> float:
    """A feature's value as float64, truth as 1 and 0; NaN (or ±inf, counted apart by the sketch) with a reason where it is none."""
    if value is None:
        reasons["missing"] += 1
        return math.nan
    if isinstance(value, str):
        reasons["number_as_text"] += 1
        return UNUSABLE
    if not isinstance(value, int | float):
        reasons["wrong_type"] += 1
        return UNUSABLE
    try:
        as_float = float(value)
    except OverflowError:
        as_float = math.inf if value > 0 else -math.inf
    if math.isfinite(as_float):
        return as_float
    reasons["non_finite"] += 1
    return math.nan if math.isnan(as_float) else as_float  # of all NaNs this one: those of messages may have any bits


def unusable(values: Floats) -> Bools:
    """Which numbers are none though something is there, bool[n]."""
    return np.asarray(values.view(np.uint64) == np.float64(UNUSABLE).view(np.uint64))


def category(value: Any, reasons: Counter[str]) -> str | None:
    """A feature's value as category text; None with a reason where it is none."""
    if value is None:
        reasons["missing"] += 1
        return None
    if isinstance(value, float) and not math.isfinite(value):
        reasons["non_finite"] += 1
        return None
    if not isinstance(value, str | int | float):
        reasons["wrong_type"] += 1
        return None
    text = canonical(value)
    if text is None:  # a whole number beyond all floats
        reasons["non_finite"] += 1
    return text


def is_writable(text: str) -> bool:
    """Whether a text can be written: JSON may hold half a character, by an escape of its own."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def version_text(value: Any) -> str:
    """A model's version, compared as text: 3 and "3" are the same, absent is the empty text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return canonical(value) or ""


def timestamp(value: Any, unit: Nanos, latest: Nanos) -> Nanos:
    """Event time of one message, nanoseconds. Raises Rejected with the reason."""
    if value is None:
        raise Rejected("timestamp_missing")
    if type(value) is not int and (isinstance(value, bool) or not isinstance(value, str | int | float)):
        raise Rejected("timestamp_invalid")
    nanos = parse_time(value) if isinstance(value, str) else epoch(value, unit)
    if nanos < EARLIEST:
        raise Rejected("timestamp_before_2000")
    if nanos > latest:
        raise Rejected("timestamp_in_future")
    return nanos


def epoch(value: Any, unit: Nanos) -> Nanos:
    """An int or float epoch in `unit` nanoseconds, clamped into int64: a wrong unit is seen as far past or future."""
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Rejected("timestamp_invalid")
        whole = math.floor(value)
        nanos = whole * unit + round((value - whole) * unit)
    else:
        nanos = value * unit
    return max(-LATEST_NANOS, min(LATEST_NANOS, nanos))


def parse_time(text: str) -> Nanos:
    """RFC 3339 text to nanoseconds; without a zone it is UTC. Digits past the microsecond are cut.

    A leap second is the next second, as POSIX counts.
    """
    text = text.strip().upper()
    if (leap := LEAP.fullmatch(text)) is not None:
        return _after_leap(parse_time(f"{leap[1]}59{leap[2]}"))
    if DATE.match(text) is None:  # 20260102… may as well be an epoch
        raise Rejected("timestamp_invalid")
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise Rejected("timestamp_invalid") from None
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    since = time - EPOCH
    return (since // timedelta(microseconds=1)) * 1_000


def _after_leap(before: Nanos) -> Nanos:
    """The time a second later, where that is a second of the day's last minute in UTC. Raises Rejected."""
    if before // SECOND % 86_400 != 86_399:  # noqa: PLR2004 - 23:59:59
        raise Rejected("timestamp_invalid")
    return before + SECOND
