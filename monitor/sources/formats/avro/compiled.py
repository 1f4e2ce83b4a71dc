"""The compiled part of Avro: the types of a schema as it takes them, and its reading of single messages.

A property test holds it to what is read in plain Python (`datum`), which everything is without it, or with DRIFTD_PURE=1.
"""

import os
from collections.abc import Callable
from typing import Any

from monitor.sources.formats.avro import datum
from monitor.sources.formats.avro.datum import NOT_OBJECT, DatumReader
from monitor.sources.formats.avro.logical import converter
from monitor.sources.formats.avro.schema import AvroType
from monitor.sources.formats.values import Rejected

try:
    from monitor.sources.formats.avro import _avro
except ImportError:  # installed without a compiler
    _avro = None  # type: ignore[assignment]

COMPILED = _avro is not None and os.environ.get("DRIFTD_PURE") != "1"
VERDICTS = {
    -3: datum.TRUNCATED,
    -4: datum.TRAILING,
    -5: datum.MALFORMED,
    -6: datum.TOO_DEEP,
    -7: datum.INVALID_UTF8,
}
"""Why the compiled part refuses a message for good, as it tells it in place of a series."""

__all__ = ["COMPILED", "VERDICTS", "CompiledDatumReader", "_avro", "datum_reader", "described"]

KINDS = ("null", "boolean", "whole", "float", "double", "bytes", "string", "fixed", "enum", "array", "map", "record")
NUMBERS = {kind: number for number, kind in enumerate((*KINDS, "union", "constant"))} | {"int": 2, "long": 2}
PLAIN, DECIMAL, MILLIS, MICROS, NANOS, WORDS = range(6)
SAID_NULL, SAID_FLAG, SAID_WHOLE, SAID_REAL, SAID_TEXT, SAID_OTHER = range(6)
LEAST, MOST = -(1 << 63), (1 << 63) - 1
Described = tuple[int, int, int, int, list[int], list[str], int, int, float]


class CompiledDatumReader:
    """Reads what one schema wrote, as `DatumReader` does."""

    def __init__(self, told: AvroType) -> None:
        listed = _listed(told, lambda each: each)
        self._types = _avro.types(
            [described for _, described in listed],
            [(list(each.names), converter(each), each.value) for each, _ in listed],
        )

    def read(self, raw: bytes, at: int = 0) -> dict[str, Any]:
        """A message that is one datum, a record, and nothing else. Raises Rejected."""
        found = _avro.document(self._types, raw, at)
        if isinstance(found, int):
            raise Rejected(VERDICTS[found])
        if not isinstance(found[0], dict):
            raise Rejected(NOT_OBJECT)
        return found[0]


def datum_reader(told: AvroType) -> "CompiledDatumReader | DatumReader":
    """What reads single messages that one schema wrote."""
    try:
        return CompiledDatumReader(told) if COMPILED else DatumReader(told)
    except UnicodeEncodeError:  # a name that no message can hold
        return DatumReader(told)


def described(root: AvroType) -> list[Described]:
    """All types of a schema as shapes take them, the first that of a datum."""
    return [told for _, told in _listed(root, _plain)]


def _listed(root: AvroType, plain: Callable[[AvroType], AvroType]) -> list[tuple[AvroType, Described]]:
    numbers: dict[int, int] = {}
    found: list[AvroType] = []

    def number(told: AvroType) -> int:
        if id(told) not in numbers:
            numbers[id(told)] = len(found)
            found.append(told)
        return numbers[id(told)]

    listed: list[tuple[AvroType, Described]] = []
    number(root)
    while len(listed) < len(found):
        told = found[len(listed)] = plain(found[len(listed)])
        below = [number(child) for child in told.children]
        listed.append((told, _described(told, below)))
    return listed


def _plain(told: AvroType) -> AvroType:
    """A constant that is an object, as a record of constants."""
    if told.kind != "constant" or not isinstance(told.value, dict):
        return told
    children = [AvroType("constant", value=value) for value in told.value.values()]
    return AvroType("record", names=list(told.value), children=children)


def _described(told: AvroType, below: list[int]) -> Described:
    said, whole, real, names = _said(told.value) if told.kind == "constant" else (SAID_NULL, 0, 0.0, told.names)
    return NUMBERS[told.kind], _meaning(told), told.size, told.scale, below, list(names), said, whole, real


def _meaning(told: AvroType) -> int:
    if told.logical == "decimal":
        return DECIMAL
    if "timestamp" in told.logical:
        return {"millis": MILLIS, "micros": MICROS, "nanos": NANOS}[told.logical.rpartition("-")[2]]
    return WORDS if told.logical else PLAIN


def _said(value: Any) -> tuple[int, int, float, list[str]]:
    """What a constant is: kind, whole number, real one, text."""
    if isinstance(value, str):
        return SAID_TEXT, 0, 0.0, [value]
    if isinstance(value, bool):
        return SAID_FLAG, int(value), 0.0, []
    if isinstance(value, float):
        return SAID_REAL, 0, value, []
    if isinstance(value, int) and LEAST <= value <= MOST:
        return SAID_WHOLE, value, 0.0, []
    return (SAID_NULL if value is None else SAID_OTHER), 0, 0.0, []
