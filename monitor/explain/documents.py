"""Plain values as JSON for programs, also with texts that only an escape can write."""

import json
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
        return json.dumps(msgspec.to_builtins(value), separators=(",", ":")).encode()


def as_lines(value: Any) -> bytes:
    r"""The same over several lines, for people.

    >>> print(as_lines(["\ud800"]).decode())
    [
     "\ud800"
    ]
    """
    try:
        return bytes(msgspec.json.format(msgspec.json.encode(value), indent=1))
    except UnicodeEncodeError:
        return json.dumps(msgspec.to_builtins(value), indent=1).encode()
