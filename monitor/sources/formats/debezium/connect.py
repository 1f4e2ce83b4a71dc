"""Values of Kafka Connect's JSON by their schema: Connect's logical types, and Debezium's.

What each is was seen of Debezium 3.6.1 on PostgreSQL 15 (tests/parts/formats/debezium.py).
"""

import math
from base64 import b64decode
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from monitor.sources.formats.json.documents import UNREADABLE, is_too_deep

NUMBERS = {  # how what JSON has no number for is written: by doubles, and by decimals as texts
    "NaN": math.nan,
    "NAN": math.nan,
    "Infinity": math.inf,
    "POSITIVE_INFINITY": math.inf,
    "-Infinity": -math.inf,
    "NEGATIVE_INFINITY": -math.inf,
}
UNCHANGED = {  # of a long value that an update left as it was: it is not in the log
    "__debezium_unavailable_value",
    "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
}
MOST_DIGITS = 1_000  # of a decimal, and of its scale
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400_000_000
Convert = Callable[[Any], Any]
Schema = Mapping[str, Any]


def plain(value: Any) -> Any:
    """A value of which nothing is known: words for numbers as such; a decimal that brings its scale as its number."""
    if isinstance(value, str):
        return None if value in UNCHANGED else NUMBERS.get(value, value)
    if isinstance(value, dict) and value.keys() == {"scale", "value"}:
        return decimal(value["value"], value["scale"])
    return value


def decimal(value: Any, scale: Any) -> Any:
    """An unscaled whole number in base64, its highest byte first; NaN where it is none. Of no digits behind the point it is an int."""
    digits = _scale(scale)
    if not isinstance(value, str) or digits is None or len(value) > MOST_DIGITS:
        return plain(value) if value is None else math.nan
    if value in NUMBERS or value in UNCHANGED:
        return plain(value)
    try:
        unscaled = int.from_bytes(b64decode(value, validate=True), "big", signed=True)
    except ValueError:
        return math.nan
    return unscaled * 10**-digits if digits <= 0 else float(Decimal(f"{unscaled}e-{digits}"))


def _scale(value: Any) -> int | None:
    """A scale, which a schema has as text."""
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 5:  # noqa: PLR2004 - digits
        return None
    return held if abs(held := int(text)) <= MOST_DIGITS else None


def number_in_text(value: Any) -> Any:
    """A decimal as text; NaN where it is none."""
    held = plain(value)
    if not isinstance(held, str):
        return held
    try:
        return float(held)
    except ValueError:
        return math.nan


def inside(value: Any) -> Any:
    """What stands in a JSON text; the text itself where it is none."""
    if not isinstance(value, str):
        return value
    raw = value.encode(errors="surrogatepass")
    try:
        return plain(value) if is_too_deep(raw) else msgspec.json.decode(raw)
    except UNREADABLE:
        return plain(value)


def _at(us_each: float) -> Convert:
    """A time, of whole numbers since 1970; None outside the years that there are, as infinity is."""

    def convert(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return plain(value)
        us = value * int(us_each) if us_each >= 1 else value // round(1 / us_each)
        try:
            time = EPOCH + timedelta(microseconds=us)
        except OverflowError:
            return None
        return time.date().isoformat() if us_each == DAY_US else time.isoformat()

    return convert


def _clock(us_each: float) -> Convert:
    """A time of day, of whole numbers since midnight."""

    def convert(value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, int):
            return plain(value)
        us = value * int(us_each) if us_each >= 1 else value // round(1 / us_each)
        return (EPOCH + timedelta(microseconds=us)).time().isoformat() if 0 <= us < DAY_US else None

    return convert


def _text_time(value: Any) -> Any:
    """A time as text, None where it is infinite; of a date the zone is none."""
    if not isinstance(value, str):
        return value
    if value.lower().lstrip("-") == "infinity":
        return None
    return value[:10] if len(value) == 11 and value[-1] == "Z" else plain(value)  # noqa: PLR2004 - 2026-01-01Z


MS, US, NS = 1_000, 1, 1 / 1_000
BY_NAME: dict[str, Convert] = {
    "org.apache.kafka.connect.data.Date": _at(DAY_US),
    "org.apache.kafka.connect.data.Time": _clock(MS),
    "org.apache.kafka.connect.data.Timestamp": _at(MS),
    "io.debezium.time.Date": _at(DAY_US),
    "io.debezium.time.Time": _clock(MS),
    "io.debezium.time.MicroTime": _clock(US),
    "io.debezium.time.NanoTime": _clock(NS),
    "io.debezium.time.Timestamp": _at(MS),
    "io.debezium.time.MicroTimestamp": _at(US),
    "io.debezium.time.NanoTimestamp": _at(NS),
    "io.debezium.time.ZonedTimestamp": _text_time,
    "io.debezium.time.ZonedTime": _text_time,
    "io.debezium.time.IsoDate": _text_time,
    "io.debezium.time.IsoTime": _text_time,
    "io.debezium.time.IsoTimestamp": _text_time,
    "io.debezium.data.Json": inside,
}
DECIMAL = "org.apache.kafka.connect.data.Decimal"


def converters(schema: Any) -> dict[str, Convert]:
    """What makes values of a struct's fields, by name; of those that need nothing, nothing."""
    held = schema.get("fields") if isinstance(schema, dict) else None
    made: dict[str, Convert] = {}
    for each in held if isinstance(held, list) else ():
        name, convert = (each.get("field"), _converter(each)) if isinstance(each, dict) else (None, None)
        if isinstance(name, str) and convert is not None:
            made[name] = convert
    return made


def _converter(schema: Schema) -> Convert | None:
    name = schema.get("name")
    if name == DECIMAL:
        parameters = schema.get("parameters")
        scale = parameters.get("scale") if isinstance(parameters, dict) else None
        return lambda value: decimal(value, scale)
    return BY_NAME.get(name) if isinstance(name, str) else None


def field_schema(schema: Any, name: str) -> Any:
    """The schema of a struct's field; None where there is none."""
    held = schema.get("fields") if isinstance(schema, dict) else None
    fields = held if isinstance(held, list) else []
    return next((each for each in fields if isinstance(each, dict) and each.get("field") == name), None)


def row_of(
    held: Mapping[str, Any], schema: Any, told: Mapping[str, Convert], leave: Collection[str] = ()
) -> dict[str, Any]:
    """A struct's values by field; `told` by the user wins over the schema."""
    convert = {**converters(schema), **told}
    return {name: value if name in leave else convert.get(name, plain)(value) for name, value in held.items()}
