"""Where the places of a message come to lie among the columns of a series: seen in the rows of its probe."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from monitor.sources.formats.fields import Path, SeriesFields
from monitor.sources.formats.tensors.rows import TensorRows

FIRST_TEXT = 100_000_000_000  # as `_template.hpp` has it
ABSENT, NUMBERS, TEXTS = "absent", "numbers", "texts"  # what a column comes from
NOBODY = -1


class ProbedArray(NamedTuple):
    """An array of a message: its elements, those of each array in it, 0 where there are none, whether a shape stands beside it."""

    size: int
    width: int
    shaped: bool


class Cell(NamedTuple):
    """One cell of each row: of which array, where in the row."""

    array: int
    at: int
    texts: bool


@dataclass(frozen=True, slots=True)
class Aim:
    """What a template fills: the sources of numbers and categories of a series, and the column of each cell of each array.

    Categories that come as numbers are columns of numbers behind those of the series. `nothing`: some texts say missing.
    """

    numeric: tuple[str, ...]
    categorical: tuple[str, ...]
    columns: list[list[int]]
    nothing: bool = False


def cells_of(rows: TensorRows, arrays: Sequence[ProbedArray]) -> dict[Path, Cell] | None:
    """The cell that each column of a probe is made of; None where it cannot be told, or not all of the message is in its columns."""
    size = len(rows)
    starts = np.cumsum([0, *(array.size for array in arrays)]).tolist()
    if any(array.size % size for array in arrays) or not all(_is_regular(array, size) for array in arrays):
        return None
    found: dict[Path, Cell] = {}
    for path, column in rows.own.items():
        placed = _ordinals(column)
        if placed is None:
            return None
        ordinals, texts = placed
        if not 0 <= ordinals[0] < starts[-1]:  # a text that says a number
            return None
        array = bisect_right(starts, int(ordinals[0])) - 1
        each = arrays[array].size // size
        at = int(ordinals[0]) - starts[array]
        if at >= each or not np.array_equal(ordinals, ordinals[0] + each * np.arange(size)):
            return None
        found[path] = Cell(array, at, texts)
    return found if len(set(found.values())) * size == starts[-1] else None


def _is_regular(array: ProbedArray, rows: int) -> bool:
    """Whether the length of an array tells its rows, or a shape does."""
    return array.shaped or array.size == rows * (array.width or 1)


def _ordinals(column: Column) -> tuple[NDArray[np.int64], bool] | None:
    """The places that a column is made of, and whether they are texts; None where it holds anything else."""
    if isinstance(column, Coded) or not len(column):
        return None
    if column.dtype.kind == "f":
        return (column.astype(np.int64), False) if np.isfinite(column).all() else None
    held = column.tolist()
    if column.dtype.kind != "O" or not all(isinstance(each, str) and each.isdecimal() for each in held):
        return None
    return np.array([int(each) for each in held]) - FIRST_TEXT, True


def aim_of(
    series: SeriesFields | None,
    rows: TensorRows,
    cells: Mapping[Path, Cell],
    arrays: Sequence[ProbedArray],
    *,
    nothing: bool,
) -> Aim | None:
    """What a template fills of a series, None: of nobody's. None where a column is made otherwise."""
    columns = [[NOBODY] * (array.size // len(rows)) for array in arrays]
    if series is None:
        return Aim((), (), columns)
    numeric = [_source(path, rows, cells) for _, path in series.numeric]
    categorical = [_source(path, rows, cells) for _, path in series.categorical]
    if TEXTS in numeric or None in numeric or None in categorical:
        return None
    taken: list[tuple[Path, int]] = [(path, at) for at, (_, path) in enumerate(series.numeric)]
    extra = len(series.numeric)
    for at, ((_, path), source) in enumerate(zip(series.categorical, categorical, strict=True)):
        taken.append((path, at if source == TEXTS else extra))
        extra += source == NUMBERS
    for path, column in taken:
        if path in cells:
            cell = cells[path]
            if columns[cell.array][cell.at] != NOBODY:
                return None  # two columns of one cell
            columns[cell.array][cell.at] = column
    return Aim(_told(numeric), _told(categorical), columns, nothing and TEXTS in categorical)


def _source(path: Path, rows: TensorRows, cells: Mapping[Path, Cell]) -> str | None:
    if path in cells:
        return TEXTS if cells[path].texts else NUMBERS
    return ABSENT if rows.column(path) is None else None


def _told(sources: Sequence[Any]) -> tuple[str, ...]:
    return tuple(sources)
