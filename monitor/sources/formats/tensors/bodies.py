"""The body of an inference request or answer, by what it is and not by what it is called: JSON, JSON with tensors behind it, protobuf."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from monitor.sources.formats.base import REQUEST, RESPONSE, WHOLE
from monitor.sources.formats.json.documents import (
    MAX_BYTES,
    MAX_DEPTH,
    parse_leniently,
    refusal,
)
from monitor.sources.formats.tensors import v1, v2
from monitor.sources.formats.tensors.arrays import Naming, TensorSide
from monitor.sources.formats.tensors.wire import infer
from monitor.sources.formats.values import Rejected

GZIP = b"\x1f\x8b"
MOST_BYTES = 1 << 24  # of a body of binary tensors
NOT_INFERENCE = "not_inference"
SPACE = b" \t\r\n"
QUOTE = 0x22
BRACKETS = np.zeros(256, dtype=np.int8)  # how much deeper one is after a letter
BRACKETS[list(b"{[")], BRACKETS[list(b"}]")] = 1, -1
DEEPER: Sequence[int] = BRACKETS.tolist()
FEW = 4096  # brackets that are sooner looked at one by one than as an array
NO_MARKS = bytes(set(range(256)) - set(b'{[]}"'))  # letters that are neither brackets nor quotes
V1_KEYS = {REQUEST: ("instances", "inputs"), RESPONSE: ("predictions", "outputs")}


class Protocol(Enum):
    """How a body is to be read, where something says so."""

    ANY = "any"
    SELDON = "seldon"


@dataclass(frozen=True, slots=True)
class Inference:
    """What a body says: a request, an answer, or both, and whose they are as far as it tells."""

    request: TensorSide | None
    response: TensorSide | None
    id: str | None = None
    model: str | None = None
    version: str | None = None

    @property
    def half(self) -> int:
        """What of a prediction this is."""
        if self.request is not None and self.response is not None:
            return WHOLE
        return RESPONSE if self.request is None else REQUEST


class BodyReading(NamedTuple):
    """How to read a body. `half`: which one it is, where something beside it says so; of protobuf nothing in it does."""

    naming: Naming
    half: int | None = None
    protocol: Protocol = Protocol.ANY

    @property
    def answers(self) -> Naming:
        """Names of features are not those of answers."""
        return Naming(missing=self.naming.missing)


def unzipped(raw: bytes) -> bytes:
    """A body as it was before it was compressed. Raises Rejected: it is never longer than a body may be."""
    if not raw.startswith(GZIP):
        return raw
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        found = inflater.decompress(raw, MOST_BYTES + 1)
    except zlib.error:
        raise Rejected("malformed_gzip") from None
    if len(found) > MOST_BYTES:
        raise Rejected("too_large")
    if not inflater.eof or inflater.unused_data:
        raise Rejected("malformed_gzip")
    return found


def read_body(raw: bytes, how: BodyReading) -> Inference:
    """A body as requests and answers. Raises Rejected."""
    raw = unzipped(raw)
    if not raw:
        raise Rejected("empty")
    if len(raw) > MOST_BYTES:
        raise Rejected("too_large")
    if raw.lstrip(SPACE)[:1] != b"{":
        return _protobuf(raw, how)
    if raw.rstrip(SPACE)[-1:] == b"}" and refusal(raw) is None:  # as a rule it is JSON, whose last byte tells
        try:
            return of_document(parse_leniently(raw), how)
        except Rejected as reason:
            if str(reason) != "malformed_json":
                raise
    end = header_end(raw)
    held = _document(raw[:end])
    behind = memoryview(raw)[end:]
    if not behind.tobytes().strip(SPACE):
        raise Rejected("malformed_json")
    try:
        return of_document(held, how, v2.BytesBehind(behind))
    except Rejected as reason:
        raise Rejected("trailing_bytes" if str(reason) == NOT_INFERENCE else str(reason)) from None


def header_end(raw: bytes) -> int:
    """Where the first JSON value of a body ends. Raises Rejected: nowhere, or it is too deep. A megabyte of brackets takes milliseconds."""
    held = raw[:MAX_BYTES]
    if b"\\" in held:
        held = held.replace(rb"\\", b"  ").replace(rb"\"", b"  ")  # as long as it was
    if not _is_cut(held.translate(None, NO_MARKS)):
        letters = np.frombuffer(held, dtype=np.uint8)
        deeper = BRACKETS[letters]
        deeper &= (np.cumsum(letters == QUOTE, dtype=np.uint8) & 1).view(np.int8) - 1  # not those inside of texts
        depth = np.cumsum(deeper, dtype=np.int32)
        closed = (deeper < 0) & (depth <= 0)
        at = int(closed.argmax())
        if depth[: at if closed[at] else None].max(initial=0) > MAX_DEPTH:
            raise Rejected("too_deep")
        if closed[at]:
            return at + 1
    raise Rejected("malformed_json" if len(raw) <= MAX_BYTES else "too_large")


def _is_cut(marks: bytes) -> bool:
    """Whether brackets, among the quotes of texts, surely never close the first one. Raises Rejected where they are too deep before."""
    outside = b"".join(marks.split(b'"')[::2])
    depth = 0
    for bracket in outside if len(outside) <= FEW else b"":
        depth += DEEPER[bracket]
        if depth > MAX_DEPTH:
            raise Rejected("too_deep")
        if depth <= 0:
            return False
    return len(outside) <= FEW


def _document(raw: bytes) -> dict[str, Any]:
    reason = refusal(raw)
    if reason is not None:
        raise Rejected(reason)
    return parse_leniently(raw)


def of_document(
    held: Mapping[str, Any],
    how: BodyReading,
    behind: v2.BytesBehind | None = None,
    apart: v2.NumbersApart | None = None,
) -> Inference:
    """A JSON body. Raises Rejected."""
    sides = _seldon(held, how) if _is_seldons(held, how) else _sides(held, how, behind, apart)
    if behind is not None:
        behind.end()
    if how.half in {REQUEST, RESPONSE}:  # a body may hold both; an event is of one of them
        sides = (sides[0], None) if how.half == REQUEST else (None, sides[1])
    if sides == (None, None):
        raise Rejected(NOT_INFERENCE)
    return Inference(*sides, text_at(held, "id"), text_at(held, "model_name"), text_at(held, "model_version"))


def text_at(held: Mapping[str, Any], name: str) -> str | None:
    """A text under a key, None where there is none; a number is a text, too."""
    value = held.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if abs(value) < 1 << 64 else None
    return value or None if isinstance(value, str) else None


def _sides(
    held: Mapping[str, Any], how: BodyReading, behind: v2.BytesBehind | None, apart: v2.NumbersApart | None
) -> tuple[TensorSide | None, TensorSide | None]:
    order = [name for name in held if name in {"inputs", "outputs", "instances", "predictions"}]
    found: dict[int, TensorSide] = {}
    for name in order:  # tensors behind a body are in the order of those that it names
        half = REQUEST if name in V1_KEYS[REQUEST] else RESPONSE
        naming = how.naming if half == REQUEST else how.answers
        value = held[name]
        if name in {"inputs", "outputs"} and v2.is_tensors(value):
            found[half] = v2.side_of(value, naming, apart, behind)
        elif apart is not None:
            raise Rejected(NOT_INFERENCE)  # of no tensors: whoever took numbers out of it reads it anew
        elif not _is_asked_for(name, value, held):
            found[half] = v1.columns_of(value, naming, "x" if half == REQUEST else "predictions")
    return found.get(REQUEST), found.get(RESPONSE)


def _is_asked_for(name: str, value: Any, held: Mapping[str, Any]) -> bool:
    """Whether these are only the names of outputs that a request asks for."""
    return name == "outputs" and ("inputs" in held or not value) and isinstance(value, list)


def _is_seldons(held: Mapping[str, Any], how: BodyReading) -> bool:
    if how.protocol is Protocol.SELDON:
        return True
    return isinstance(held.get("data"), dict) and bool({"ndarray", "tensor"} & held["data"].keys())


def _seldon(held: Mapping[str, Any], how: BodyReading) -> tuple[TensorSide | None, TensorSide | None]:
    if how.half is None:
        raise Rejected("half_unknown")
    data = held.get("data")
    if how.half == REQUEST:
        return v1.seldon_side(data, how.naming, "x"), None
    return None, v1.seldon_side(data, how.answers, "predictions")


def _protobuf(raw: bytes, how: BodyReading) -> Inference:
    if how.half is None:
        raise Rejected("half_unknown")
    response = how.half == RESPONSE
    found, side = infer(raw, how.answers if response else how.naming, response=response)
    sides = (None, side) if response else (side, None)
    return Inference(sides[0], sides[1], found.id or None, found.model or None, found.version or None)
