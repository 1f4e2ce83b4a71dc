"""The open inference protocol (V2): tensors by name, as JSON, with their numbers behind it, or as protobuf."""

from collections.abc import Mapping, Sequence
from typing import Any

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
    behind: BytesBehind | None = None,
) -> TensorSide:
    """The columns of a request or an answer. Raises Rejected."""
    if len(tensors) > MOST_TENSORS:
        raise Rejected("tensor_too_large")
    return joined([_tensor(each, naming, behind) for each in tensors])


def _tensor(tensor: Mapping[str, Any], naming: Naming, behind: BytesBehind | None) -> tuple[int, dict[str, Column]]:
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
        cells = _cells(tensor.get("data"), datatype, extents, parameters, naming)
    return extents[0], split(name, extents, cells, naming)


def _cells(
    data: Any,
    datatype: str,
    extents: tuple[int, int],
    parameters: Mapping[str, Any],
    naming: Naming,
) -> Column:
    values = flat(data)
    if datatype == "BYTES":
        values = told(values, parameters.get("content_type"), extents[0] * extents[1], naming)
    return cells_of(values)


def _binary(
    datatype: str, raw: memoryview, extents: tuple[int, int], parameters: Mapping[str, Any], naming: Naming
) -> Column:
    count = extents[0] * extents[1]
    cells = raw_cells(datatype, raw, count)
    if datatype != "BYTES":
        return cells
    return cells_of(told(cells.tolist(), parameters.get("content_type"), count, naming))
