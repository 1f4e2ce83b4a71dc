"""Columns as people hand them over, to floats and codes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.features import Floats, Ints, Kind, canonical
from detectors.precision import as_written
from detectors.spellings import CategoryCodes

Array = NDArray[np.generic]
NUMBERS = "iuf"
BOOLEANS = ("false", "true")


@dataclass(frozen=True, slots=True, eq=False)
class Coded:
    """A column told by its values, each once, and int[n] saying which one each row has; not every value need occur.

    Texts and booleans read as codes are counted as codes, and no object is made for a row.

    >>> Coded(("free", None), np.array([0, 1, 0])).tolist()
    ['free', None, 'free']
    """

    values: tuple[object, ...]
    rows: NDArray[np.integer[Any]]

    @property
    def size(self) -> int:
        """Rows."""
        return self.rows.size

    def __len__(self) -> int:
        return self.rows.size

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:  # noqa: FBT001 - numpy's own protocol
        """Every row's value, as objects."""
        found = np.empty(len(self.values), dtype=object)
        found[:] = self.values
        return np.array(found[self.rows], dtype=dtype, copy=copy)

    def tolist(self) -> list[object]:
        """Every row's value."""
        return [self.values[row] for row in self.rows.tolist()]

    @property
    def occurring(self) -> list[object]:
        """The values that some row has, in the order of `values`."""
        counts = np.bincount(self.rows, minlength=len(self.values)).tolist()
        return [value for value, count in zip(self.values, counts, strict=True) if count]


class LyingTexts(Coded):
    """A column of texts where they lie, UTF-8 uint8[m]: where each begins, and its bytes, int64[n] each, 0 of a missing one.

    Codes are made when they are asked for, by `encode`; whoever hashes texts does without.
    """

    def __init__(
        self, data: NDArray[np.uint8], starts: NDArray[np.int64], sizes: NDArray[np.int64], encode: Callable[[], Coded]
    ) -> None:
        set_once = object.__setattr__  # of a frozen class
        set_once(self, "data", data)
        set_once(self, "starts", starts)
        set_once(self, "sizes", sizes)
        set_once(self, "_encode", encode)

    data: NDArray[np.uint8]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]
    _encode: Callable[[], Coded]

    @cached_property
    def _coded(self) -> Coded:
        return self._encode()

    @property
    def values(self) -> tuple[object, ...]:
        """Its values, each once."""
        return self._coded.values

    @property
    def rows(self) -> NDArray[np.integer[Any]]:
        """Which one each row has."""
        return self._coded.rows

    @property
    def size(self) -> int:
        """Rows."""
        return self.sizes.size

    def __len__(self) -> int:
        return self.sizes.size


Column = Array | Coded


def as_columns(data: Mapping[str, ArrayLike]) -> dict[str, Column]:
    """Return one-dimensional arrays of one length. Raises ValueError naming the column that is not."""
    columns = {name: _as_column(name, values) for name, values in data.items()}
    lengths = {name: column.size for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        first, *rest = lengths
        odd = next(name for name in rest if lengths[name] != lengths[first])
        raise ValueError(f"columns differ in length: {first} has {lengths[first]} rows, {odd} has {lengths[odd]}")
    return columns


def _as_column(name: str, values: ArrayLike) -> Column:
    if isinstance(values, Coded):
        return values
    column = np.asarray(values)
    if column.dtype.kind in "UT" and not isinstance(values, np.ndarray):
        column = np.asarray(values, dtype=object)  # else [1.0, "a"] would have become the texts "1.0" and "a"
    if column.dtype.kind == "T":
        column = column.astype(object)
    if column.ndim != 1:
        raise ValueError(f"{name}: a column has one dimension, this has {column.ndim}")
    if column.dtype.kind not in "biufUOM":
        raise ValueError(f"{name}: {column.dtype} is neither numbers, text nor booleans")
    return column


def refuse_time(name: str, column: Column) -> None:
    """Raise ValueError for a column of times."""
    if not isinstance(column, Coded) and column.dtype.kind == "M":
        raise ValueError(f"{name}: {column.dtype} is a time, not a feature; leave it out or convert it to a number")


def infer_kind(column: Column) -> Kind | None:
    """Tell numbers from text and booleans; None when every value is missing, so that a later chunk may tell."""
    if isinstance(column, Coded):
        return _kind_of(column.occurring)
    if column.dtype.kind in "bU":
        return Kind.CATEGORICAL
    if column.dtype.kind in NUMBERS:
        return Kind.NUMERIC
    return _kind_of(column.tolist())


def _kind_of(values: list[Any]) -> Kind | None:
    if any(isinstance(value, str | bool | np.bool_) for value in values):
        return Kind.CATEGORICAL
    return Kind.NUMERIC if any(canonical(value) is not None for value in values) else None


def as_floats(column: Column) -> Floats:
    """Return float64[n]; NaN for None, text and whatever else is no number. Booleans count as 0 and 1.

    It is the column itself where that holds such numbers already.
    """
    if isinstance(column, Coded):
        return np.asarray(np.array([_as_float(value) for value in column.values], dtype=np.float64)[column.rows])
    if column.dtype.kind in "biuf":
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a long double may overflow; a single may be a NaN that signals
            return column.astype(np.float64, copy=False)
    if column.dtype.kind != "O":
        return np.full(column.size, np.nan)
    return np.array([_as_float(value) for value in column.tolist()], dtype=np.float64)


def as_written_floats(column: Column) -> Floats:
    """Return the same, singles and halves as the decimals that they are written as: a reference is of these."""
    if not isinstance(column, Coded) and column.dtype in (np.float32, np.float16):
        return as_written(column)
    return as_floats(column)


def _as_float(value: object) -> float:
    if type(value) is float:
        return value
    if isinstance(value, str) or canonical(value) is None:
        return float(value) if isinstance(value, float | np.floating) else np.nan
    try:
        return float(value)  # type: ignore[arg-type]  # canonical knows texts and numbers only
    except OverflowError:
        return np.inf


def distinct(column: Column) -> tuple[list[str | None], Ints]:
    """Return the canonical texts of a column (None: missing), and int64[n] saying which one each row has.

    A text may be there twice, and need not occur.
    """
    if isinstance(column, Coded):
        return [canonical(value) for value in column.values], column.rows.astype(np.int64, copy=False)
    if column.dtype.kind == "b":
        return list(BOOLEANS), column.astype(np.int64)
    if column.dtype.kind == "O":
        seen: dict[str | None, int] = {}
        rows = [
            seen.setdefault(value if type(value) is str else canonical(value), len(seen)) for value in column.tolist()
        ]
        return list(seen), np.array(rows, dtype=np.int64)
    if column.dtype.kind == "M":
        return [None], np.zeros(column.size, dtype=np.int64)  # a time is of the wrong type, whatever its unit
    values, inverse = np.unique(column, return_inverse=True)
    plain = as_written(values) if values.dtype.kind == "f" else values
    return [canonical(value) for value in plain.tolist()], inverse.astype(np.int64)


def as_codes(column: Column, codes: CategoryCodes) -> NDArray[np.int32]:
    """Return int32[n]: the code of a known category, then one for any other, then one for missing."""
    texts, rows = distinct(column)
    table = [codes.missing if text is None else codes.get(text, codes.unseen) for text in texts]
    return np.array(table, dtype=np.int32)[rows] if table else np.empty(0, dtype=np.int32)
