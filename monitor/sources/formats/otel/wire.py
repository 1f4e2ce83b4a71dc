"""A request to export traces out of Protobuf's wire format, as OTLP's JSON would have it: what is read of it, and no more.

Fields by opentelemetry-proto 1.x: trace/v1/trace.proto, common/v1/common.proto. What is unknown is passed over, as Protobuf wants it.
"""

import struct
from collections.abc import Callable, Iterator
from typing import Any

from monitor.sources.formats.json.documents import MAX_BYTES
from monitor.sources.formats.values import Rejected

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10  # bytes
WIDTHS = {FIXED64: 8, FIXED32: 4}
MALFORMED = "malformed_otlp"
TRACE_ID, SPAN_ID = 16, 8  # bytes
METRIC_DATA = {5, 7, 9, 10, 11}  # of a metric: gauge, sum, histograms, summary
Value = int | memoryview
Message = dict[str, Any]


def fields_of(raw: memoryview) -> Iterator[tuple[int, int, Value]]:
    """Number, wire type and value of each field. Raises Rejected where the bytes are none."""
    at, end = 0, len(raw)
    while at < end:
        tag, at = _varint(raw, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            value, at = _varint(raw, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            width, at = _varint(raw, at)
        else:
            width = WIDTHS.get(kind, end + 1)
        if number == 0 or width > end - at:
            raise Rejected(MALFORMED)
        yield number, kind, raw[at : at + width]
        at += width


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for place, byte in enumerate(raw[at : at + LONGEST_VARINT]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:  # noqa: PLR2004 - the last byte has no high bit
            return value & (1 << 64) - 1, at + place + 1
    raise Rejected(MALFORMED)


def request_of(raw: bytes) -> Message:
    """A request. Raises Rejected: also where it is one of logs or of metrics."""
    if len(raw) > MAX_BYTES:
        raise Rejected("too_large")
    return {"resourceSpans": [_resource_spans(held) for held in _within(memoryview(raw), 1)]}


def _within(raw: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages in one field; all bytes are looked at."""
    for number, kind, value in fields_of(raw):
        if number == wanted:
            yield _bytes(kind, value)


def _bytes(kind: int, value: Value) -> memoryview:
    if kind != BYTES or isinstance(value, int):
        raise Rejected(MALFORMED)
    return value


def _resource_spans(raw: memoryview) -> Message:
    resources = [{"attributes": _attributes(held, 1)} for held in _within(raw, 1)]
    scopes = [{"spans": [_span(span) for span in _within(scope, 2)]} for scope in _within(raw, 2)]
    return {"resource": resources[-1] if resources else {}, "scopeSpans": scopes}


def _attributes(raw: memoryview, number: int) -> list[Message]:
    return [_key_value(held) for held in _within(raw, number)]


def _span(raw: memoryview) -> Message:
    held = list(fields_of(raw))
    _refuse_other_signals(held)
    span: Message = {"attributes": [], "events": []}
    for number, kind, value in held:
        convert = SPAN.get((number, kind))
        if convert is not None:
            name, read = convert
            made = read(value)
            span[name] = [*span[name], made] if isinstance(span.get(name), list) else made
    return span


def _refuse_other_signals(held: list[tuple[int, int, Value]]) -> None:
    """A log's first field is a time, and a span's an id; a metric has neither id nor times, but a name and data."""
    kinds = {(number, kind) for number, kind, _ in held}
    if kinds & {(1, FIXED64), (11, FIXED64)}:
        raise Rejected("signal_logs")
    named = (1, BYTES) in kinds and (7, FIXED64) not in kinds
    if named and any((number, BYTES) in kinds for number in METRIC_DATA):
        lengths = [len(value) for number, kind, value in held if number == 1 and not isinstance(value, int)]
        if lengths[-1] != TRACE_ID or (2, BYTES) not in kinds:
            raise Rejected("signal_metrics")


def _event(raw: Value) -> Message:
    held = _message(raw)
    names = [_text(name) for name in _within(held, 2)]
    return {"name": names[-1] if names else "", "attributes": _attributes(held, 3)}


def _status(raw: Value) -> Message:
    codes = [value for number, kind, value in fields_of(_message(raw)) if (number, kind) == (3, VARINT)]
    return {"code": codes[-1] if codes else 0}


def _key_value(raw: memoryview) -> Message:
    held: Message = {"key": "", "value": {}}
    for number, kind, value in fields_of(raw):
        if (number, kind) == (1, BYTES):
            held["key"] = _text(value)
        elif (number, kind) == (2, BYTES):
            held["value"] = _any_value(_message(value), within=True)
    return held


def _any_value(raw: memoryview, *, within: bool) -> Message:
    """A value; of an array the values, but not of arrays in it. Objects are no feature: empty."""
    held: Message = {}
    for number, kind, value in fields_of(raw):
        read = VALUE.get((number, kind))
        if read is not None:
            name, convert = read
            held = {name: convert(value)}
        elif (number, kind) == (5, BYTES):
            values = list(_within(_message(value), 1)) if within else []
            held = {"arrayValue": {"values": [_any_value(each, within=False) for each in values]}}
    return held


def _message(value: Value) -> memoryview:
    if isinstance(value, int):
        raise Rejected(MALFORMED)
    return value


def _text(value: Value) -> str:
    return str(_message(value), "utf-8", "replace")


def _hex(value: Value) -> str:
    return _message(value).hex()


def _fixed(value: Value) -> int:
    return int.from_bytes(_message(value), "little")


def _signed(value: Value) -> int:
    assert isinstance(value, int)
    return value - (1 << 64) if value >> 63 else value


def _double(value: Value) -> float:
    (number,) = struct.unpack("<d", _message(value))
    return float(number)


Convert = Callable[[Value], Any]
SPAN: dict[tuple[int, int], tuple[str, Convert]] = {
    (1, BYTES): ("traceId", _hex),
    (2, BYTES): ("spanId", _hex),
    (7, FIXED64): ("startTimeUnixNano", _fixed),
    (8, FIXED64): ("endTimeUnixNano", _fixed),
    (9, BYTES): ("attributes", lambda value: _key_value(_message(value))),
    (11, BYTES): ("events", _event),
    (15, BYTES): ("status", _status),
}
VALUE: dict[tuple[int, int], tuple[str, Convert]] = {
    (1, BYTES): ("stringValue", _text),
    (2, VARINT): ("boolValue", bool),
    (3, VARINT): ("intValue", _signed),
    (4, FIXED64): ("doubleValue", _double),
}
