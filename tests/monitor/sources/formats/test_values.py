"""Single JSON values: what counts, what does not, and why not."""

import math
from collections import Counter
from datetime import UTC, datetime
from time import process_time
from typing import Any

import pytest

from monitor.sources.formats.json.documents import (
    BEGIN,
    MAX_BYTES,
    MAX_DEPTH,
    depths,
    dig,
    is_too_deep,
    parse_leniently,
    refusal,
)
from monitor.sources.formats.values import (
    Rejected,
    category,
    number,
    timestamp,
    version_text,
)
from monitor.stream.events import SECOND, Nanos
from tests.fakes import NOON

MS = 1_000_000
HUGE = 10**400
LATEST = NOON + 600 * SECOND


def short(value: Any) -> str:
    """A test's name stays readable."""
    return repr(value)[:24].replace("\\", "/")


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (b"{" + b" " * MAX_BYTES, "too_large"),
        (b'{"a": "\xff"}', "invalid_utf8"),
        (b'{"a": "\xed\xa0\x80"}', "invalid_utf8"),  # an encoded surrogate
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * (MAX_DEPTH + 1), "too_deep"),
        (b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, None),
        (b"[[],[],{}]" * 50, None),
        (b'{"a": "' + b"[" * 100_000 + b'"}', None),
        (b'{"a": "\\"' + b"[" * 100 + b'"}', None),
        (b'{"a": "\\\\", "b": ' + b"[" * 100, "too_deep"),
        (b'"' + b"[" * 100, None),  # an open string: the parser will say so
        ('{"a": "é日本😀"}'.encode(), None),
        (b" " * MAX_BYTES, None),
    ],
    ids=short,
)
def test_a_message_is_refused_before_it_is_parsed(raw: bytes | None, reason: str | None) -> None:
    assert refusal(raw) == reason


def test_brackets_in_strings_are_no_nesting() -> None:
    assert depths(b'{"a[[[": "{{{\\"[[", "b": [{"c": "]"}]}').max() == 3


@pytest.mark.parametrize("piece", [b'\\"', b'\\\\"', b'"', b'\\\\\\"', b"["])
def test_of_a_long_message_the_begin_tells_no_other_depth_than_the_whole(piece: bytes) -> None:
    """Wherever in a text it is cut."""
    for at in range(BEGIN - 6, BEGIN + 2):
        for more in (b"[" * MAX_DEPTH, b'"' + b"[" * MAX_DEPTH):
            raw = b'{"a": "' + b"x" * (at - 7) + piece + more

            assert is_too_deep(raw) == (depths(raw).max() > MAX_DEPTH)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b'{"a": NaN}', math.nan),
        (b'{"a": Infinity}', math.inf),
        (b'{"a": -Infinity}', -math.inf),
        (b'{"a": 1e999}', math.inf),
        (b'{"a": -1e999}', -math.inf),
        (b'{"a": ' + b"9" * 5000 + b"}", math.inf),
        (b'{"a": -' + b"9" * 5000 + b"}", -math.inf),
        (b'{"a": 9007199254740993}', 2**53 + 1),
        (b'{"a": 18446744073709551617}', 2**64 + 1),
        (b'{"a": 18446744073709551617, "b": NaN}', 2**64 + 1),
        (b'{"a": 1, "a": 2}', 2),
        (b'{"a": "x", "a": 2, "b": NaN}', 2),
        (b'\xef\xbb\xbf{"a": 2}', 2),  # a byte order mark
    ],
    ids=short,
)
def test_a_message_is_parsed_leniently(raw: bytes, value: float) -> None:
    assert parse_leniently(raw)["a"] == pytest.approx(value, nan_ok=True, rel=0)


@pytest.mark.parametrize(
    "raw",
    [
        b"{",
        b"{} {}",
        b'{"a": 1,}',
        b'{"a": 01}',
        b"{'a': 1}",
        b'{"a": "\x01"}',
        b'{"a": "\xff"}',
        b"hello",
        b" ",
        b'{"a": nan}',
        b"[" * 100_000,
        '{"a": 1}'.encode("utf-16"),
        '{"a": 1}'.encode("utf-16-le"),
    ],
    ids=short,
)
def test_what_is_no_json_is_malformed(raw: bytes) -> None:
    with pytest.raises(Rejected, match=r"^malformed_json$"):
        parse_leniently(raw)


@pytest.mark.parametrize("raw", [b"[]", b"1", b'"a"', b"null", b"NaN", b"[{}]"])
def test_only_an_object_is_a_message(raw: bytes) -> None:
    with pytest.raises(Rejected, match=r"^not_object$"):
        parse_leniently(raw)


@pytest.mark.parametrize(
    ("path", "value"),
    [(("a", "b"), 1), (("a", "x"), None), (("a", "b", "c"), None), (("x", "b"), None), (("l", "0"), None), ((), ...)],
)
def test_a_path_leads_to_a_value_or_to_none(path: tuple[str, ...], value: Any) -> None:
    found = {"a": {"b": 1}, "l": [1]}

    assert dig(found, path) == (found if value is ... else value)


@pytest.mark.parametrize(
    ("value", "as_float", "reason"),
    [
        (3, 3.0, None),
        (-0.0, -0.0, None),
        (2**53 + 1, float(2**53), None),
        (2**64, float(2**64), None),
        (1e308, 1e308, None),
        (5e-324, 5e-324, None),
        (None, math.nan, "missing"),
        (True, 1.0, None),
        ("3", math.nan, "number_as_text"),
        ("", math.nan, "number_as_text"),
        ([3], math.nan, "wrong_type"),
        ({"a": 3}, math.nan, "wrong_type"),
        (math.nan, math.nan, "non_finite"),
        (math.inf, math.inf, "non_finite"),
        (-math.inf, -math.inf, "non_finite"),
        (HUGE, math.inf, "non_finite"),
        (-HUGE, -math.inf, "non_finite"),
    ],
    ids=short,
)
def test_a_numeric_value_is_a_float_or_has_a_reason(value: Any, as_float: float, reason: str | None) -> None:
    reasons: Counter[str] = Counter()

    found = number(value, reasons)

    assert (found == as_float and math.copysign(1, found) == math.copysign(1, as_float)) or math.isnan(as_float)
    assert math.isnan(found) == math.isnan(as_float)
    assert reasons == ({reason: 1} if reason else {})


@pytest.mark.parametrize(
    ("value", "text", "reason"),
    [
        ("pro", "pro", None),
        ("", "", None),
        (True, "true", None),
        (3, "3", None),
        (3.0, "3", None),
        (-0.0, "0", None),
        (2.5, "2.5", None),
        (2**64 + 1, str(2**64 + 1), None),
        (None, None, "missing"),
        (math.nan, None, "non_finite"),
        (math.inf, None, "non_finite"),
        ([1], None, "wrong_type"),
        ({}, None, "wrong_type"),
    ],
)
def test_a_category_is_text_or_has_a_reason(value: Any, text: str | None, reason: str | None) -> None:
    reasons: Counter[str] = Counter()

    assert category(value, reasons) == text
    assert reasons == ({reason: 1} if reason else {})


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), ("3", "3"), (3, "3"), (3.0, "3"), (3.5, "3.5"), ("3.0", "3.0"), (True, "true")]
)
def test_versions_are_compared_as_text(value: Any, text: str) -> None:
    assert version_text(value) == text


AT: Nanos = 1_795_435_200_250 * MS


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        (1_795_435_200_250, MS),
        (1_795_435_200_250.0, MS),
        (1_795_435_200.25, SECOND),
        (1_795_435_200_250_000, 1_000),
        (AT, 1),
        ("2026-11-23T12:00:00.25Z", MS),
        ("2026-11-23t12:00:00.250z", MS),
        ("2026-11-23T13:00:00.25+01:00", MS),
        ("2026-11-23T06:30:00.250-05:30", MS),
        ("2026-11-23 12:00:00.25", MS),  # without a zone: UTC
        (" 2026-11-23T12:00:00.25Z\n", MS),
        ("2026-11-23T12:00:00.250000999Z", MS),
    ],
)
def test_a_time_is_read(value: Any, unit: Nanos) -> None:
    assert timestamp(value, unit, LATEST) == AT


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "timestamp_missing"),
        (True, "timestamp_invalid"),
        ([], "timestamp_invalid"),
        ({}, "timestamp_invalid"),
        ("", "timestamp_invalid"),
        ("yesterday", "timestamp_invalid"),
        ("1795435200250", "timestamp_invalid"),
        ("1701010700000", "timestamp_invalid"),  # could pass as the year 1701 without dashes
        ("20261123T120000Z", "timestamp_invalid"),
        ("2026-W01-1", "timestamp_invalid"),
        ("2026-13-01T00:00:00Z", "timestamp_invalid"),
        ("2026-11-23T25:00:00Z", "timestamp_invalid"),
        ("\ud800", "timestamp_invalid"),
        (math.nan, "timestamp_invalid"),
        (math.inf, "timestamp_invalid"),
        (0, "timestamp_before_2000"),
        (-5, "timestamp_before_2000"),
        (1_795_435_200, "timestamp_before_2000"),  # seconds taken for milliseconds
        (-HUGE, "timestamp_before_2000"),
        ("1970-01-01T00:00:00Z", "timestamp_before_2000"),
        ("0001-01-01T00:00:00+23:59", "timestamp_before_2000"),
        (1_795_435_200_250_000, "timestamp_in_future"),  # microseconds taken for milliseconds
        (1e308, "timestamp_in_future"),
        (HUGE, "timestamp_in_future"),
        (9_223_372_036_854, "timestamp_in_future"),  # the year 2262
        ("9999-12-31T23:59:59-23:59", "timestamp_in_future"),
        (1_795_435_800_001, "timestamp_in_future"),  # a millisecond past the tolerance
    ],
    ids=short,
)
def test_a_time_that_cannot_be_is_rejected(value: Any, reason: str) -> None:
    with pytest.raises(Rejected, match=f"^{reason}$"):
        timestamp(value, MS, LATEST)


def test_the_bounds_of_time_are_inclusive() -> None:
    assert timestamp("2000-01-01T00:00:00Z", MS, LATEST) == 946_684_800 * SECOND
    assert timestamp(LATEST // MS, MS, LATEST) == LATEST


def test_noon_is_noon() -> None:
    assert datetime.fromtimestamp(NOON / SECOND, UTC).isoformat() == "2026-11-23T12:00:00+00:00"


@pytest.mark.parametrize(
    "text",
    ["2016-12-31T23:59:60Z", "2016-12-31 23:59:60", "2017-01-01T00:59:60.000+01:00", "2016-12-31t15:59:60-08:00"],
)
def test_a_leap_second_is_the_next_second(text: str) -> None:
    assert timestamp(text, MS, LATEST) == timestamp("2017-01-01T00:00:00Z", MS, LATEST)


@pytest.mark.parametrize("text", ["2016-12-31T23:58:60Z", "2016-12-31T23:59:61Z", "2016-12-31T23:59:60+01:00"])
def test_a_sixtieth_second_within_the_day_is_none(text: str) -> None:
    with pytest.raises(Rejected, match="timestamp_invalid"):
        timestamp(text, MS, LATEST)


@pytest.mark.parametrize("end", ["", "\nx"])
def test_a_long_text_of_sixtieth_seconds_is_no_time_and_costs_little(end: str) -> None:
    text = "2026-11-23T12:00:00" + ":00:60." * 20_000 + end
    begin = process_time()

    with pytest.raises(Rejected, match="timestamp_invalid"):
        timestamp(text, MS, LATEST)

    assert process_time() - begin < 1
