"""TensorFlow's protocol (V1), instances and predictions, and Seldon's own: names beside an array of rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from detectors.columns import Column
from monitor.sources.formats.tensors.arrays import (
    MISMATCH,
    MOST_CELLS,
    MOST_COLUMNS,
    Naming,
    TensorSide,
    bounded,
    cells_of,
    extent,
    flat,
    joined,
    split,
    strided,
)
from monitor.sources.formats.values import Rejected

Names = list[str] | str
"""Of columns that have none: each, or what stands before their number."""


def rows_of(instances: Any, naming: Naming, otherwise: str) -> TensorSide:
    """A list of rows: numbers, lists of numbers, or objects of them. Raises Rejected."""
    if not isinstance(instances, list):
        raise Rejected("not_inference")
    if not instances:
        raise Rejected("no_rows")
    if all(isinstance(each, dict) for each in instances):
        return _objects(instances, naming)
    return _matrix(instances, naming, otherwise)


def _matrix(instances: list[Any], naming: Naming, otherwise: str) -> TensorSide:
    cells, rows = flat(instances), len(instances)
    width, rest = divmod(len(cells), rows)
    if rest or not width:
        raise Rejected(MISMATCH)
    if any(isinstance(each, dict) for each in cells):
        raise Rejected(MISMATCH)
    _, width = extent([rows, width])
    numbered = (lambda at: f"{otherwise}{at}") if otherwise == "x" else (lambda at: f"{otherwise}[{at}]")
    names = [otherwise] if width == 1 and otherwise != "x" else naming.of("", width, numbered)
    return TensorSide(rows, _columns(names, cells))


def _columns(names: Any, cells: list[Any]) -> dict[str, Column]:
    """The columns of rows that lie behind one another, each by what it holds."""
    whole = cells_of(cells)
    if not isinstance(whole, np.ndarray) or whole.dtype.kind != "O":
        return {name: strided(whole, at, len(names)) for at, name in enumerate(names)}
    return {name: cells_of(cells[at :: len(names)]) for at, name in enumerate(names)}


def _objects(instances: list[dict[str, Any]], naming: Naming) -> TensorSide:
    names = dict.fromkeys(name for each in instances for name in each)
    if not names:
        raise Rejected("no_rows")
    if len(names) > MOST_COLUMNS or len(names) * len(instances) > MOST_CELLS:
        raise Rejected("tensor_too_large")
    found = dict[str, Column]()
    for name in names:
        found |= _of_key(name, [each.get(name) for each in instances], naming)
    return TensorSide(len(instances), bounded(len(instances), found))


def _of_key(name: str, values: list[Any], naming: Naming) -> Mapping[str, Column]:
    """What stands under a key of each row: a list is a wide column."""
    if not any(isinstance(each, list) for each in values):
        return {name: cells_of(values)}
    cells = flat(values)
    return split(name, extent([len(values), len(cells) // len(values)]), cells_of(cells), naming)


def columns_of(inputs: Any, naming: Naming, otherwise: str) -> TensorSide:
    """Columns by name, each a list of rows; or a list of rows. Raises Rejected."""
    if not isinstance(inputs, dict):
        return rows_of(inputs, naming, otherwise)
    sides = []
    for name, values in inputs.items():
        cells = flat(values if isinstance(values, list) else [values])
        rows = len(values) if isinstance(values, list) else 1
        if not rows or len(cells) % rows:
            raise Rejected(MISMATCH if rows else "no_rows")
        extents = extent([rows, len(cells) // rows])
        sides.append((rows, split(name, extents, cells_of(cells), naming)))
    return joined(sides)


def seldon_side(data: Any, naming: Naming, otherwise: str) -> TensorSide:
    """Seldon's `data`: an `ndarray`, or a `tensor` of shape and values; `names` are those of its columns. Raises Rejected."""
    if not isinstance(data, dict):
        raise Rejected("not_inference")
    names = data.get("names")
    names = tuple(map(str, names)) if isinstance(names, list) else ()
    tensor = data.get("tensor")
    instances: Any = data.get("ndarray")
    if isinstance(tensor, dict):
        rows, width = extent(tensor.get("shape"))
        cells = flat(tensor.get("values"))
        if len(cells) != rows * width:
            raise Rejected(MISMATCH)
        instances = [cells[at : at + width] for at in range(0, len(cells), width)]
    named = Naming(names, {}, naming.missing) if names and not naming.of_any else naming
    if named.of_any and isinstance(instances, list) and instances and not isinstance(instances[0], list | dict):
        instances = [[each] for each in instances] if len(named.of_any) == 1 else [instances]
    side = rows_of(instances, named, otherwise)
    if names and otherwise != "x" and len(side.columns) == 1 == len(names):
        return TensorSide(side.rows, dict(zip(names, side.columns.values(), strict=True)))
    return side
