"""Tensors to columns: their shape is checked before anything is made of it; null is missing whatever the type."""

import base64
import binascii
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from monitor.sources.formats.values import Rejected

MOST_COLUMNS = 10_000  # of one message
MOST_CELLS = 1 << 22  # of one message; all that fits a message is less, but a shape may claim anything
LARGEST = 2**53 - 1  # up to it no two whole numbers are one double
MISMATCH = "tensor_shape_mismatch"
UNKNOWN_TYPE = "tensor_datatype_unknown"
TYPES: Mapping[str, str] = {
    "BOOL": "?",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "FP16": "<f2",
    "BF16": "<u2",
    "FP32": "<f4",
    "FP64": "<f8",
    "BYTES": "",
}
TRUTH = False, True, None
Columns = Mapping[str, Column]


@dataclass(frozen=True, slots=True)
class TensorSide:
    """A request or an answer: columns of `rows` rows each, by name."""

    rows: int
    columns: Columns


@dataclass(frozen=True, slots=True)
class Naming:
    """What the columns of wide tensors are called: by tensor, or of any that is so wide; texts that say missing."""

    of_any: tuple[str, ...] = ()
    by_tensor: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    missing: frozenset[str] = frozenset()

    def of(self, tensor: str, width: int, otherwise: Callable[[int], str]) -> Sequence[str]:
        """The names of a tensor's columns. Raises Rejected where it has another number of columns."""
        named = self.by_tensor.get(tensor, self.of_any)
        if not named:
            return [otherwise(at) for at in range(width)]
        if len(named) != width:
            raise Rejected("tensor_width_differs")
        return named


PLAIN = Naming()


def extent(shape: Any) -> tuple[int, int]:
    """The rows of a shape, and the columns of each. Raises Rejected: negative, no whole number, more than any message holds."""
    if not isinstance(shape, Sequence) or isinstance(shape, str) or len(shape) > np.iinfo(np.int8).max:
        raise Rejected(MISMATCH)
    if not all(type(each) is int and 0 <= each <= MOST_CELLS for each in shape):
        raise Rejected(MISMATCH)
    rows, width = (shape[0], math.prod(shape[1:])) if shape else (1, 1)
    if rows * width > MOST_CELLS or width > MOST_COLUMNS:
        raise Rejected("tensor_too_large")
    if not rows * width:
        raise Rejected("no_rows")
    return rows, width


def split(name: str, extents: tuple[int, int], cells: Column, naming: Naming) -> dict[str, Column]:
    """The columns of a tensor, row by row in `cells`. One of a single column keeps its name. Raises Rejected."""
    rows, width = extents
    if len(cells) != rows * width:
        raise Rejected(MISMATCH)
    if width == 1 and name not in naming.by_tensor:
        return {name: cells}
    names = naming.of(name, width, lambda at: f"{name}[{at}]")
    return {each: strided(cells, at, width) for at, each in enumerate(names)}


def strided(cells: Column, first: int, step: int) -> Column:
    """Every so many cells, from one on."""
    return Coded(cells.values, cells.rows[first::step]) if isinstance(cells, Coded) else cells[first::step]


def joined(sides: Sequence[tuple[int, Mapping[str, Column]]]) -> TensorSide:
    """Tensors side by side; of two of a name the last counts. Raises Rejected where their rows differ."""
    if not sides:
        raise Rejected("not_inference")
    rows = sides[0][0]
    if any(other != rows for other, _ in sides):
        raise Rejected("tensor_rows_differ")
    columns = dict[str, Column](chain.from_iterable(held.items() for _, held in sides))
    return TensorSide(rows, bounded(rows, columns))


def bounded(rows: int, columns: dict[str, Column]) -> dict[str, Column]:
    """The same. Raises Rejected where there are too many."""
    if len(columns) > MOST_COLUMNS or rows * len(columns) > MOST_CELLS:
        raise Rejected("tensor_too_large")
    return columns


# --- cells ------------------------------------------------------------------------------------------------------------


def flat(data: Any) -> list[Any]:
    """Nested lists as one, those of a level all as long. Raises Rejected."""
    if not isinstance(data, list):
        raise Rejected(MISMATCH)
    while data and isinstance(data[0], list):
        length = len(data[0])
        if set(map(type, data)) != {list} or set(map(len, data)) != {length}:
            raise Rejected(MISMATCH)
        data = list(chain.from_iterable(data))
    found: list[Any] = data
    if list in set(map(type, found)):
        raise Rejected(MISMATCH)
    return found


def cells_of(values: Sequence[Any]) -> Column:
    """Values as JSON gives them: numbers as doubles, missing ones NaN, where they are nothing else; truth coded; else objects."""
    kinds = set(map(type, values))
    if kinds <= {float, int, type(None)}:
        found = _numbers(values)
        if int not in kinds or not (np.abs(found) > LARGEST).any() or not any(map(_is_long, values)):
            return found
    if kinds <= {bool, type(None)} and bool in kinds:
        return Coded(TRUTH, np.array([2 if each is None else each for each in values], dtype=np.int8))
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects


def _is_long(value: Any) -> bool:
    """Whether this is a whole number that may be none of the doubles."""
    return type(value) is int and abs(value) > LARGEST


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    try:
        return np.array(values, dtype=np.float64) + 0.0  # of -0 it makes 0
    except OverflowError:
        return np.full(len(values), np.inf)  # larger than all floats: the caller keeps them as they are


def raw_cells(datatype: str, raw: bytes | memoryview, count: int) -> Column:
    """So many cells as they lie in memory, the lowest byte first. Raises Rejected where there are more or fewer."""
    if datatype == "BYTES":
        return cells_of([text_of(each) for each in raw_texts(raw, count)])
    kind = np.dtype(TYPES[datatype])
    if len(raw) != count * kind.itemsize:
        raise Rejected(MISMATCH)
    if datatype == "BF16":  # the upper half of a float32
        return (np.frombuffer(raw, dtype=kind).astype(np.uint32) << 16).view(np.float32).astype(np.float64)
    if datatype == "BOOL":
        return Coded(TRUTH, (np.frombuffer(raw, dtype=np.uint8) != 0).astype(np.int8))
    return widened(np.frombuffer(raw, dtype=kind))


def widened(found: NDArray[Any]) -> NDArray[Any]:
    """Numbers as doubles; whole ones that are none as they are."""
    if found.dtype.kind in "iu" and (int(found.max(initial=0)) > LARGEST or int(found.min(initial=0)) < -LARGEST):
        return found.astype(object)
    return found.astype(np.float64) + 0.0


def raw_texts(raw: bytes | memoryview, count: int) -> list[bytes]:
    """Texts, each behind its length in four bytes, the lowest first. Raises Rejected."""
    found, at = list[bytes](), 0
    while at < len(raw) and len(found) < count:
        begin = at + 4
        at = begin + int.from_bytes(raw[at:begin], "little")
        if begin > len(raw) or at > len(raw):
            raise Rejected(MISMATCH)
        found.append(bytes(raw[begin:at]))
    if at != len(raw):
        raise Rejected(MISMATCH)
    return found


def text_of(raw: bytes) -> str:
    """Bytes as text: what is no UTF-8 keeps a mark in its place."""
    return raw.decode(errors="replace")


# --- what the content type says of texts ------------------------------------------------------------------------------


def told(values: list[Any], content: Any, count: int, naming: Naming) -> list[Any]:
    """Cells of a tensor of texts by its content type. Raises Rejected."""
    match content:
        case "pd_json":
            values = [_document(each) for each in values]
        case "base64":
            values = [_decoded(each) for each in values]
        case "np" if len(values) < count:
            values = unpadded(values, count)
        case _:
            pass
    if naming.missing:
        values = [None if isinstance(each, str) and each in naming.missing else each for each in values]
    return values


def _document(value: Any) -> Any:
    """What a text of JSON says; what is no JSON is what it is."""
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, RecursionError, UnicodeEncodeError):
        return None if value in {"NaN", "Infinity", "-Infinity"} else value


def _decoded(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return text_of(base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError):
        return value


def unpadded(values: list[Any], count: int) -> list[str]:
    """Texts that run together, each filled up with NUL to the length of the longest (numpy's type S). Raises Rejected."""
    if not all(isinstance(each, str) for each in values):
        raise Rejected(MISMATCH)
    whole = "".join(values).encode(errors="surrogatepass")
    length, rest = divmod(len(whole), count)
    if rest or not length:
        raise Rejected(MISMATCH)
    try:
        return [whole[at : at + length].rstrip(b"\0").decode() for at in range(0, len(whole), length)]
    except UnicodeDecodeError:
        raise Rejected(MISMATCH) from None
