"""JSON lines: one flat object a line, a column a key."""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from detectors import canonical
from monitor.sources.formats.json.documents import parse_leniently
from monitor.sources.formats.values import HALF_A_CHARACTER, Rejected, is_writable, number
from monitor.sources.tables.base import BOM, CHUNK, Chunk, TableError, Texts
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.texts import TextTally, numbers_of


class LinesTable:
    """One file of JSON lines; a key that a line lacks is missing there."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @property
    def names(self) -> Sequence[str]:
        """The keys of its lines, all of which are read."""
        return list(dict.fromkeys(name for columns in self._columns() for name in columns))

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """Read all of it: lines name their columns one by one."""
        names: dict[str, None] = {}
        for columns in self._columns():
            names |= dict.fromkeys(columns)
            for name, column in columns.items():
                shape.see(name, self._path, *(kinds := _kinds(column)))
                if "text" in kinds:
                    shape.texts.setdefault(name, TextTally(typed=True)).add(_as_texts(column))
                if (reason := _unusable(name, column)) is not None:
                    shape.left_out.setdefault(name, reason)
            yield len(next(iter(columns.values()), ()))
        shape.add(self._path, list(names), first)

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:  # noqa: ARG002 - a Table's
        """Some thousand lines at a time."""
        whole, read = max(self._path.stat().st_size, 1), 0
        numbers = {*texts.numbers, *texts.parsed}
        for columns, size in self._sized(texts.exact):
            read += size
            for name in numbers & columns.keys():
                if columns[name].dtype.kind == "O":
                    columns[name] = numbers_of(_as_texts(columns[name]), texts.decimal)
            yield columns, min(1.0, read / whole)

    def _columns(self) -> Iterator[dict[str, NDArray[Any]]]:
        return (columns for columns, _ in self._sized())

    def _sized(self, exact: Collection[str] = ()) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
        """Columns of some lines, and how many bytes those were."""
        rows: list[dict[str, Any]] = []
        size = 0
        with self._path.open("rb") as file:
            for count, line in enumerate(file, start=1):
                size += len(line)
                text = line.removeprefix(BOM) if count == 1 else line
                if not text.strip():
                    continue
                rows.append(self._row(text, count))
                if len(rows) == CHUNK:
                    yield from_rows(rows, exact), size
                    rows, size = [], 0
        if rows:
            yield from_rows(rows, exact), size

    def _row(self, text: bytes, count: int) -> dict[str, Any]:
        try:
            row = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError) as error:
            row = self._leniently(text, count, error)
        if not isinstance(row, dict):
            raise TableError(f"{self._path}: line {count} is no JSON object")
        return row

    def _leniently(self, text: bytes, count: int, error: Exception) -> Any:
        """A line as an event would be read: NaN is a number that is missing."""
        try:
            return parse_leniently(text)
        except Rejected:
            raise TableError(f"{self._path}: line {count} is no JSON: {error}; one object a line is read") from None


def from_rows(rows: list[dict[str, Any]], exact: Collection[str] = ()) -> dict[str, NDArray[Any]]:
    """Objects to columns; numbers become float64, those of `exact` columns and everything else stays as it is."""
    columns: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if name not in exact and all(
            value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values
        ):
            columns[name] = np.array([number(value, Counter()) for value in values], dtype=np.float64)
        else:
            columns[name] = np.fromiter(values, dtype=object, count=len(values))
    return columns


def _kinds(column: NDArray[Any]) -> list[str]:
    """What the values of a column are."""
    if column.dtype.kind != "O":
        return ["numbers"] if not np.isnan(column).all() else []
    types = set(map(type, column.tolist())) - {type(None)}
    return [word for word, held in (("text", str), ("booleans", bool)) if held in types] + (
        ["numbers"] if types & {int, float} else []
    )


def _as_texts(column: NDArray[Any]) -> Any:
    """The values of a column as arrow's texts: numbers as they are written, what is nested as nothing."""
    texts = [value if isinstance(value, str) else canonical(value) for value in column]
    try:
        return pa.array(texts, pa.string())
    except UnicodeEncodeError:  # JSON may hold half a character, "\\ud800"; a mark in its place is as little a number
        return pa.array(
            [None if text is None else text.encode(errors="replace").decode() for text in texts], pa.string()
        )


def _unusable(name: str, column: NDArray[Any]) -> str | None:
    """Why a column of JSON values cannot be a feature; None where it can."""
    if not is_writable(name):
        return HALF_A_CHARACTER
    first = next((value for value in column if value is not None), None) if column.dtype.kind == "O" else None
    return "nested" if isinstance(first, dict | list) else None
