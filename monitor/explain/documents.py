"""Plain values as JSON for programs, also with texts that only an escape can write."""

import json
import math
from typing import Any

import msgspec


def as_json(value: Any) -> bytes:
    r"""JSON of plain values and structs. Half a character is written as it came, by its escape.

    >>> as_json({"ü": "\ud800"}), as_json({"ü": 1})
    (b'{"\\u00fc":"\\ud800"}', b'{"\xc3\xbc":1}')
    """
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return _escaped(value, separators=(",", ":"))


def as_lines(value: Any) -> bytes:
    r"""The same over several lines, for people.

    >>> as_lines({"half": "\ud800"}) == as_lines({"half": "x"}).replace(b"x", rb"\ud800")
    True
    """
    try:
        return bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    except UnicodeEncodeError:
        return _escaped(value, indent=1)


def _escaped(value: Any, **style: Any) -> bytes:
    return json.dumps(_finite(msgspec.to_builtins(value)), **style).encode()


def _finite(value: Any) -> Any:
    """The same without numbers that JSON does not have: null, as msgspec writes them."""
    match value:
        case dict():
            return {key: _finite(held) for key, held in value.items()}
        case list() | tuple():
            return [_finite(held) for held in value]
        case float():
            return value if math.isfinite(value) else None
        case _:
            return value
