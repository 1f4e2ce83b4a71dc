"""CloudEvents in records of Kafka and in lines of a file: attributes and data, however they are put (Kafka protocol binding 1.0.2).

What a record holds is decided by its content type, as the binding says; a value that looks like an envelope is one, whatever
stands beside it.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import msgspec

from monitor.sources.formats.json.documents import UNREADABLE, refusal
from monitor.sources.formats.values import Rejected

STRUCTURED, BATCHED = "application/cloudevents", "application/cloudevents-batch"
NONE = "not_cloudevent"
MOST_ATTRIBUTES = 100
READ = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
READ_MANY = msgspec.json.Decoder(list[dict[str, msgspec.Raw]]).decode
HELD = "data", "data_base64"


@dataclass(frozen=True, slots=True)
class Envelope:
    """An event: its attributes as texts, and its data."""

    attributes: Mapping[str, str]
    data: bytes


def envelopes(value: bytes, headers: Iterable[tuple[str, bytes | None]]) -> list[Envelope | Rejected]:
    """The events of a record. Raises Rejected where there is none."""
    attributes, content = _binary(headers)
    kind, _, encoding = content.partition("+")
    if kind in {STRUCTURED, BATCHED} and encoding not in {"", "json"}:
        raise Rejected("cloudevents_encoding")
    if kind == BATCHED:
        return [_each(held) for held in _documents(value)]
    if kind == STRUCTURED:
        return [_structured(value)]
    if (found := lookalike(value)) is not None:
        return [found]
    if "id" not in attributes and "type" not in attributes:
        raise Rejected(NONE)
    return [Envelope(attributes, value)]


def _binary(headers: Iterable[tuple[str, bytes | None]]) -> tuple[dict[str, str], str]:
    """Attributes from headers, as Kafka's binding and HTTP's call them, and the content type."""
    found: dict[str, str] = {}
    content = ""
    for name, value in headers:
        low, text = name.lower(), (value or b"").decode(errors="replace")
        if low == "content-type":
            content = text.partition(";")[0].strip().lower()
        elif low.startswith("ce_"):
            found[low[3:]] = text
        elif low.startswith("ce-"):
            found[low[3:]] = unquote(text)
    if content:
        found.setdefault("datacontenttype", content)
    return found, content


def lookalike(value: bytes) -> Envelope | None:
    """A value that is an envelope, whatever its record says; None where it is data. Raises Rejected."""
    if value.lstrip(b" \t\r\n")[:1] != b"{" or b'"specversion"' not in value or refusal(value) is not None:
        return None
    try:
        held = READ(value)
    except UNREADABLE:
        return None
    return _envelope(held) if "specversion" in held and any(name in held for name in HELD) else None


def _structured(value: bytes) -> Envelope:
    _refuse(value)
    try:
        held = READ(value)
    except UNREADABLE:
        raise Rejected("malformed_json") from None
    return _envelope(held)


def _documents(value: bytes) -> list[dict[str, msgspec.Raw]]:
    _refuse(value)
    try:
        return READ_MANY(value)
    except UNREADABLE:
        raise Rejected("malformed_json") from None


def _refuse(value: bytes) -> None:
    reason = refusal(value)
    if reason is not None:
        raise Rejected(reason)


def _each(held: Mapping[str, msgspec.Raw]) -> Envelope | Rejected:
    try:
        return _envelope(held)
    except Rejected as reason:
        return reason


def _envelope(held: Mapping[str, msgspec.Raw]) -> Envelope:
    if "specversion" not in held:
        raise Rejected(NONE)
    if len(held) > MOST_ATTRIBUTES:
        raise Rejected("too_many_attributes")
    attributes = {}
    for name, raw in held.items():
        if name not in HELD and (text := _text(raw)) is not None:
            attributes[name] = text
    return Envelope(attributes, _data(held, attributes.get("datacontenttype", "")))


def _text(raw: msgspec.Raw) -> str | None:
    """An attribute as text: numbers and truth as they are written."""
    value = _value(raw)
    if isinstance(value, str):
        return value
    return None if value is None or isinstance(value, dict | list) else bytes(raw).decode()


def _value(raw: msgspec.Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except UNREADABLE:
        raise Rejected("malformed_json") from None


def _data(held: Mapping[str, msgspec.Raw], content: str) -> bytes:
    """The data as the bytes that they would be alone."""
    if "data_base64" in held:
        text = _value(held["data_base64"])
        try:
            return base64.b64decode(text, validate=True)
        except (TypeError, ValueError, binascii.Error):
            raise Rejected("malformed_base64") from None
    raw = held.get("data")
    if raw is None or bytes(raw) == b"null":
        raise Rejected("data_missing")
    kind = content.partition(";")[0].strip().lower()
    if (not kind or kind.endswith(("/json", "+json"))) or bytes(raw[:1]) != b'"':
        return bytes(raw)
    return str(_value(raw)).encode(errors="replace")
