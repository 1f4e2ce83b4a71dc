"""The open inference protocol (V2): tensors by name, as JSON, with their numbers behind it, or as protobuf."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Column
from monitor.sources.formats.tensors.arrays import (
    TYPES,
    UNKNOWN_TYPE,
    Naming,
    TensorSide,
    cells_of,
    extent,
    flat,
    joined,
    raw_cells,
    split,
    told,
)
from monitor.sources.formats.values import Rejected

MOST_TENSORS = 10_000


class NumbersApart(NamedTuple):
    """Numbers that were taken out of a message, float64[n], and where each array of them begins and ends."""

    numbers: NDArray[np.float64]
    bounds: Sequence[int]

    def array(self, place: Sequence[int]) -> NDArray[np.float64]:
        """One of the arrays, of which its place among them is left in the message."""
        begin, end = self.bounds[place[0]], self.bounds[place[0] + 1]
        return self.numbers[begin:end]


class BytesBehind:
    """The bytes behind a message's JSON: its tensors take them in their order."""

    def __init__(self, raw: bytes | memoryview) -> None:
        self._raw = memoryview(raw)
        self._at = 0

    def take(self, size: Any) -> memoryview:
        """The next so many bytes. Raises Rejected where there are not so many."""
        if type(size) is not int or not 0 <= size <= len(self._raw) - self._at:
            raise Rejected("tensor_bytes_missing")
        begin, self._at = self._at, self._at + size
        return self._raw[begin : self._at]

    def end(self) -> None:
        """Raises Rejected where something is left."""
        if self._at != len(self._raw):
            raise Rejected("trailing_bytes")


def is_tensors(held: Any) -> bool:
    """Whether this is a list of tensors of this protocol with their data: names alone are outputs that were asked for."""
    return isinstance(held, list) and bool(held) and all(isinstance(each, dict) and "shape" in each for each in held)


def side_of(
    tensors: Sequence[Mapping[str, Any]],
    naming: Naming,
    apart: NumbersApart | None = None,
    behind: BytesBehind | None = None,
) -> TensorSide:
    """The columns of a request or an answer. Raises Rejected."""
    if len(tensors) > MOST_TENSORS:
        raise Rejected("tensor_too_large")
    return joined([_tensor(each, naming, apart, behind) for each in tensors])


def _tensor(
    tensor: Mapping[str, Any], naming: Naming, apart: NumbersApart | None, behind: BytesBehind | None
) -> tuple[int, dict[str, Column]]:
    name, datatype = tensor.get("name"), str(tensor.get("datatype"))
    if not isinstance(name, str):
        raise Rejected("tensor_name_missing")
    if datatype not in TYPES:
        raise Rejected(UNKNOWN_TYPE)
    extents = extent(tensor.get("shape"))
    parameters = tensor.get("parameters")
    parameters = parameters if isinstance(parameters, dict) else {}
    if behind is not None and "binary_data_size" in parameters:
        cells = _binary(datatype, behind.take(parameters["binary_data_size"]), extents, parameters, naming)
    else:
        cells = _cells(tensor.get("data"), datatype, extents, parameters, naming, apart)
    return extents[0], split(name, extents, cells, naming)


def _cells(
    data: Any,
    datatype: str,
    extents: tuple[int, int],
    parameters: Mapping[str, Any],
    naming: Naming,
    apart: NumbersApart | None,
) -> Column:
    if apart is not None and is_place(data):
        return apart.array(data)
    values = flat(data)
    if datatype == "BYTES":
        values = told(values, parameters.get("content_type"), extents[0] * extents[1], naming)
    return cells_of(values)


def is_place(data: Any) -> bool:
    """Whether this stands for an array that was taken out: no other list of two whole numbers is left in a message."""
    return isinstance(data, list) and len(data) == 2 and type(data[0]) is int and type(data[1]) is int  # noqa: PLR2004 - place, length


def _binary(
    datatype: str, raw: memoryview, extents: tuple[int, int], parameters: Mapping[str, Any], naming: Naming
) -> Column:
    count = extents[0] * extents[1]
    cells = raw_cells(datatype, raw, count)
    if datatype != "BYTES":
        return cells
    return cells_of(told(cells.tolist(), parameters.get("content_type"), count, naming))
