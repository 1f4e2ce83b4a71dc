"""ModelInferRequest and ModelInferResponse from their bytes: a reader of these two messages, and of no others.

Fields as in the open inference protocol's `open_inference_grpc.proto`; what is unknown in them is refused, not skipped: these
messages do not change, so it is another message.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from detectors.columns import Coded, Column
from monitor.sources.formats.tensors.arrays import (
    TRUTH,
    TYPES,
    UNKNOWN_TYPE,
    Naming,
    TensorSide,
    cells_of,
    extent,
    joined,
    raw_cells,
    split,
    text_of,
    told,
    widened,
)
from monitor.sources.formats.values import Rejected

MALFORMED = "malformed_protobuf"
OTHER = "other_message_type"
MOST_FIELDS = 100_000  # of one message: names, dimensions, texts; numbers lie packed
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
LONGEST = 10  # bytes of a number of 64 bits
MASK = (1 << 64) - 1
SIGN = 1 << 63
SIZES = {FIXED64: 8, FIXED32: 4}
CONTENTS = {1: "bool", 2: "i4", 3: "i8", 4: "u4", 5: "u8", 6: "<f4", 7: "<f8", 8: "bytes"}
PARAMETERS = {1: "bool", 2: "int", 3: "text", 4: "double", 5: "unsigned"}
REQUEST_FIELDS = {1: "model", 2: "version", 3: "id", 4: "parameters", 5: "tensors", 6: "asked", 7: "raw"}
RESPONSE_FIELDS = {1: "model", 2: "version", 3: "id", 4: "parameters", 5: "tensors", 6: "raw"}


@dataclass(slots=True)
class Infer:
    """What such a message says."""

    model: str = ""
    version: str = ""
    id: str = ""
    tensors: list[memoryview] = field(default_factory=list)
    raw: list[memoryview] = field(default_factory=list)


def infer(raw: bytes | memoryview, naming: Naming, *, response: bool) -> tuple[Infer, TensorSide]:
    """A message as its columns. Raises Rejected."""
    found = _message(memoryview(raw), RESPONSE_FIELDS if response else REQUEST_FIELDS)
    if not found.tensors:
        raise Rejected(OTHER)
    if found.raw and len(found.raw) != len(found.tensors):
        raise Rejected("tensor_bytes_missing")
    sides = [_tensor(each, found.raw[at] if found.raw else None, naming) for at, each in enumerate(found.tensors)]
    return found, joined(sides)


def _message(raw: memoryview, fields: Mapping[int, str]) -> Infer:
    found = Infer()
    for number, value in _fields(raw):
        name = fields.get(number)
        if name is None or not isinstance(value, memoryview):
            raise Rejected(OTHER)
        match name:
            case "model" | "version" | "id":
                setattr(found, name, _text(value))
            case "tensors":
                found.tensors.append(value)
            case "raw":
                found.raw.append(value)
            case _:
                pass  # parameters, and outputs that are asked for
    return found


def _tensor(raw: memoryview, apart: memoryview | None, naming: Naming) -> tuple[int, dict[str, Column]]:
    name, datatype, shape, content = "", "", list[int](), ""
    contents: memoryview | None = None
    for number, value in _fields(raw):
        match number:
            case 1:
                name = _text(value)
            case 2:
                datatype = _text(value)
            case 3:
                shape += _whole_numbers(value)
            case 4:
                content = _content_type(value) or content
            case 5:
                contents = _part(value)
            case _:
                raise Rejected(OTHER)
    if not name or datatype not in TYPES:
        raise Rejected(UNKNOWN_TYPE if name else OTHER)
    extents = extent(shape)
    count = extents[0] * extents[1]
    cells = raw_cells(datatype, apart, count) if apart is not None else _contents(contents, datatype)
    if datatype == "BYTES":
        cells = cells_of(told(cells.tolist(), content, count, naming))
    return extents[0], split(name, extents, cells, naming)


def _contents(raw: memoryview | None, datatype: str) -> Column:
    """The cells of a tensor, of whichever kind they are: FP16 lies among the FP32 ones."""
    held = dict[str, list[Any]]()
    for number, value in _fields(raw or memoryview(b"")):
        if number not in CONTENTS:
            raise Rejected(OTHER)
        held.setdefault(CONTENTS[number], []).append(value)
    if not held:
        return np.empty(0)
    kind, parts = next(iter(held.items()))
    if len(held) > 1 or (kind == "bytes") != (datatype == "BYTES"):
        raise Rejected("tensor_data_invalid")
    if kind == "bytes":
        return cells_of([text_of(bytes(_part(each))) for each in parts])
    return _packed(kind, parts)


def _packed(kind: str, parts: list[Any]) -> Column:
    if kind.startswith("<"):
        size = int(kind[2:])
        whole = b"".join(bytes(each) if isinstance(each, memoryview) else _fixed(each, size) for each in parts)
        if len(whole) % size:
            raise Rejected(MALFORMED)
        return np.frombuffer(whole, dtype=kind).astype(np.float64) + 0.0
    numbers = [each for part in parts for each in _whole_numbers(part, signed=kind[0] != "u")]
    if kind == "bool":
        return Coded(TRUTH, np.array([each != 0 for each in numbers], dtype=np.int8))
    return widened(np.array(numbers, dtype="u8" if kind[0] == "u" else "i8"))


def _fixed(value: Any, size: int) -> bytes:
    """One number of a field that is not packed."""
    if not isinstance(value, bytes) or len(value) != size:
        raise Rejected(MALFORMED)
    return value


def _content_type(raw: Any) -> str:
    """What an entry of a map of parameters says of the content type."""
    key, value = "", memoryview(b"")
    for number, held in _fields(_part(raw)):
        match number:
            case 1:
                key = _text(held)
            case 2:
                value = _part(held)
            case _:
                raise Rejected(OTHER)
    if key != "content_type":
        return ""
    return next((_text(held) for number, held in _fields(value) if PARAMETERS.get(number) == "text"), "")


# --- the wire ---------------------------------------------------------------------------------------------------------


def _fields(raw: memoryview) -> Iterator[tuple[int, Any]]:
    """The fields of a message: a number, eight or four bytes, or a view of bytes."""
    at, count = 0, 0
    while at < len(raw):
        key, at = _varint(raw, at)
        number, kind = key >> 3, key & 7
        count += 1
        if not number or count > MOST_FIELDS:
            raise Rejected(MALFORMED if not number else "tensor_too_large")
        value, at = _value(raw, at, kind)
        yield number, value


def _value(raw: memoryview, at: int, kind: int) -> tuple[Any, int]:
    if kind == VARINT:
        return _varint(raw, at)
    if kind == BYTES:
        size, at = _varint(raw, at)
        if size > len(raw) - at:
            raise Rejected(MALFORMED)
        return raw[at : at + size], at + size
    size = SIZES.get(kind, 0)
    if not size or size > len(raw) - at:
        raise Rejected(MALFORMED)
    return bytes(raw[at : at + size]), at + size


def _varint(raw: memoryview, at: int) -> tuple[int, int]:
    found = 0
    for place in range(at, min(at + LONGEST, len(raw))):
        byte = raw[place]
        found |= (byte & 0x7F) << 7 * (place - at)
        if byte < 0x80:  # noqa: PLR2004 - the last of a number
            return found & MASK, place + 1
    raise Rejected(MALFORMED)


def _whole_numbers(value: Any, *, signed: bool = True) -> list[int]:
    """Numbers that lie packed, or a single one."""
    if isinstance(value, int):
        numbers = [value]
    else:
        numbers, raw, at = [], _part(value), 0
        while at < len(raw):
            number, at = _varint(raw, at)
            numbers.append(number)
    return [each - (1 << 64) if each & SIGN else each for each in numbers] if signed else numbers


def _part(value: Any) -> memoryview:
    if not isinstance(value, memoryview):
        raise Rejected(OTHER)
    return value


def _text(value: Any) -> str:
    try:
        return bytes(_part(value)).decode()
    except UnicodeDecodeError:
        raise Rejected(MALFORMED) from None
