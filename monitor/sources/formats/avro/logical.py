"""What logical types mean, as JSON would say it: times as RFC 3339 text, decimals as numbers, UUIDs and durations as text."""

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import Any
from uuid import UUID

from monitor.sources.formats.avro.schema import AvroType, SchemaError

EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - arithmetic in UTC, which is said behind it
FIRST, LAST = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"
FIRST_DAY, LAST_DAY = date.min.toordinal(), date.max.toordinal()
DAY = 86_400_000_000  # microseconds
PER_SECOND = {"millis": 1_000, "micros": 1_000_000, "nanos": 1_000_000_000}
LONGEST_DECIMAL = 512  # of a decimal; a longer one is none that can be meant
_EXACT = Context(prec=2_000)  # more digits than so many bytes hold


def time_text(value: int, per_second: int) -> str:
    """An epoch as RFC 3339 text in UTC, cut after the microsecond; beyond the years 1 to 9999 the first or last moment of these.

    >>> time_text(1763870700123, 1000)
    '2025-11-23T04:05:00.123000Z'
    """
    micros = value * 1_000_000 // per_second
    try:
        return (EPOCH + timedelta(microseconds=micros)).isoformat(timespec="microseconds") + "Z"
    except OverflowError:
        return FIRST if value < 0 else LAST


def day_text(value: int) -> str:
    """Days since 1970 as a date."""
    ordinal = value + EPOCH.toordinal()
    return date.fromordinal(min(max(ordinal, FIRST_DAY), LAST_DAY)).isoformat()


def clock_text(value: int, per_second: int) -> str | int:
    """A time of day; what is beyond a day stays the number that it is."""
    micros = value * 1_000_000 // per_second
    if not 0 <= micros < DAY:
        return value
    return (EPOCH + timedelta(microseconds=micros)).time().isoformat(timespec="microseconds")


def decimal_number(raw: bytes, scale: int) -> float | int:
    """An unscaled number of any length, the highest byte first, to the nearest float; without a scale a whole number."""
    unscaled = int.from_bytes(raw[:LONGEST_DECIMAL], "big", signed=True)
    if len(raw) > LONGEST_DECIMAL:
        return math.copysign(math.inf, unscaled)
    if scale == 0:
        return unscaled
    return float(Decimal(unscaled).scaleb(-scale, _EXACT))


def duration_text(raw: bytes) -> str:
    """Months, days and milliseconds as ISO 8601 has them.

    >>> duration_text((1).to_bytes(4, "little") + (2).to_bytes(4, "little") + (3004).to_bytes(4, "little"))
    'P1M2DT3.004S'
    """
    months, days, millis = (int.from_bytes(raw[at : at + 4], "little") for at in (0, 4, 8))
    return f"P{months}M{days}DT{millis // 1000}.{millis % 1000:03}S"


def bytes_text(raw: bytes) -> str:
    """Bytes as Avro's own JSON has them: a character each."""
    return raw.decode("latin-1")


def converter(told: AvroType) -> Callable[[Any], Any] | None:
    """What makes the value of a logical type out of the one that is read; None where that is it."""
    unit = PER_SECOND.get(told.logical.rpartition("-")[2], 1)
    meanings: dict[str, Callable[[Any], Any]] = {
        "decimal": lambda raw: decimal_number(raw, told.scale),
        "uuid": lambda raw: str(UUID(bytes=raw)),
        "duration": duration_text,
        "date": day_text,
        "time": lambda value: clock_text(value, unit),
        "timestamp": lambda value: time_text(value, unit),
    }
    kind = told.logical.removeprefix("local-").partition("-")[0]
    return meanings.get(kind, bytes_text if told.kind in {"bytes", "fixed"} else None)


# --- defaults of a reader's schema ------------------------------------------------------------------------------------


def default_of(told: AvroType, value: Any) -> Any:
    """A default, which JSON says, as a value of its type with what that means applied. Raises SchemaError."""
    if told.kind == "union":
        fitting = [branch for branch in told.children if _fits(branch, value)]
        if not fitting:
            raise SchemaError(f"the default {str(value)[:40]} is of no branch of its union")
        return default_of(fitting[0], value)
    if not _fits(told, value):
        raise SchemaError(f"the default {str(value)[:40]} is no {told.kind}")
    return _default(told, value)


def _default(told: AvroType, value: Any) -> Any:
    match told.kind:
        case "array":
            return [default_of(told.children[0], each) for each in value]
        case "map":
            return {name: default_of(told.children[0], each) for name, each in value.items()}
        case "record":
            return _record(told, value)
        case "bytes" | "fixed":
            value = _latin(value)
        case "float" | "double":
            value = _real(value)
    meaning = converter(told)
    return value if meaning is None else meaning(value)


def _record(told: AvroType, value: dict[str, Any]) -> dict[str, Any]:
    said = told.defaults | value
    missing = [name for name in told.names if name not in said]
    if missing:
        raise SchemaError(f"a default of {told.name} lacks {missing[0]}")
    return {name: default_of(child, said[name]) for name, child in zip(told.names, told.children, strict=True)}


def _real(value: float) -> float:
    try:
        return float(value)
    except OverflowError:
        raise SchemaError("a default is larger than any double") from None


def _latin(value: str) -> bytes:
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise SchemaError("a default of bytes holds a character beyond \\u00ff") from None


def _fits(told: AvroType, value: Any) -> bool:
    """Whether JSON says a value of this type: numbers by what they are, for truth is no number."""
    if told.kind == "fixed":
        return isinstance(value, str) and len(value) == told.size
    return type(value) in SAID.get(told.kind, {str})


SAID: dict[str, set[type]] = {
    "null": {type(None)},
    "boolean": {bool},
    "int": {int},
    "long": {int},
    "float": {int, float},
    "double": {int, float},
    "array": {list},
    "map": {dict},
    "record": {dict},
}
"""How JSON says defaults; all else is text."""
