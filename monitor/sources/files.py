"""Tables on disk as chunks of columns: CSV, JSON lines, Parquet; any size, in bounded memory."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitor.sources.values import Rejected, epoch, parse_time

CHUNK = 65_536  # rows
NO_VALUE = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # what a CSV writes where there is nothing
MOST_COLUMNS = 10_000

Column = NDArray[Any]
Chunk = dict[str, Column]


class TableError(Exception):
    """A file that cannot be read as a table: one line that names it and says why."""


@dataclass(slots=True)
class Shape:
    """What a first look at the files found: columns in order, and those of CSV text that hold numbers only."""

    columns: list[str]
    numeric_text: set[str] = field(default_factory=set)
    left_out: dict[str, str] = field(default_factory=dict)  # column: why


def look(paths: Sequence[Path]) -> Shape:
    """Read through the files once for their columns and kinds. Raises TableError."""
    columns: dict[str, None] = {}
    text: set[str] = set()
    numbers: dict[str, bool] = {}
    left_out: dict[str, str] = {}
    for path in paths:
        reader = reader_of(path)
        for chunk in guarded(path, reader):
            for name, column in chunk.items():
                columns.setdefault(name)
                if name not in left_out and (reason := unusable(column)) is not None:
                    left_out[name] = reason
                if reader is read_csv:
                    numbers[name] = numbers.get(name, True) and holds_numbers(column)
                    text.add(name)
            if len(columns) > MOST_COLUMNS:
                raise TableError(f"{path}: more than {MOST_COLUMNS} columns: is this a table?")
    if not columns:
        raise TableError(f"{paths[0]}: holds no rows")
    return Shape(list(columns), {name for name in text if numbers[name]}, left_out)


def chunks(paths: Sequence[Path], shape: Shape, wanted: Sequence[str], time: "TimeColumn | None") -> Iterator[Chunk]:
    """The wanted columns, chunk by chunk; a column that a file lacks is all missing. Raises TableError."""
    for path in paths:
        for chunk in guarded(path, reader_of(path)):
            rows = len(next(iter(chunk.values())))
            found: Chunk = {}
            for name in wanted:
                column = chunk.get(name)
                if column is None:
                    column = np.full(rows, None, dtype=object)
                found[name] = as_numbers(column) if name in shape.numeric_text else column
            if time is not None:
                found[time.name] = time.nanos(path, chunk)
            yield found


@dataclass(frozen=True, slots=True)
class TimeColumn:
    """The column of event times; integers are epochs in `unit` nanoseconds, text without a zone is UTC."""

    name: str
    unit: int

    def nanos(self, path: Path, chunk: Chunk) -> NDArray[np.int64]:
        """The times of a chunk, int64 nanoseconds. Raises TableError for a value that is no time."""
        column = chunk.get(self.name)
        if column is None:
            raise TableError(f"{path}: has no column {self.name}")
        if column.dtype.kind == "M":
            return column.astype("datetime64[ns]").astype(np.int64)
        if column.dtype.kind in "iu":
            return np.asarray(column, dtype=np.int64) * self.unit
        return np.fromiter((self._one(path, value) for value in column), dtype=np.int64, count=len(column))

    def _one(self, path: Path, value: Any) -> int:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and value.lstrip("-").isdigit():
            value = int(value)
        try:
            if isinstance(value, str):
                return parse_time(value)
            if isinstance(value, int | float):
                return epoch(value, self.unit)
        except Rejected:  # said below
            pass
        raise TableError(f"{path}: {self.name}: {str(value)[:40]!r} is no time")


def reader_of(path: Path) -> Callable[[Path], Iterator[Chunk]]:
    """The reader for a file's ending. Raises TableError."""
    match path.suffix.lower():
        case ".csv":
            return read_csv
        case ".jsonl" | ".ndjson":
            return read_json_lines
        case ".parquet" | ".pq":
            return read_parquet
        case ending:
            raise TableError(f"{path}: {ending or 'no ending'} is no format known here; .csv, .jsonl and .parquet are")


def guarded(path: Path, reader: Callable[[Path], Iterator[Chunk]]) -> Iterator[Chunk]:
    """A reader whose troubles are TableErrors."""
    import pyarrow as pa

    try:
        yield from reader(path)
    except FileNotFoundError:
        raise TableError(f"{path}: does not exist") from None
    except OSError as error:
        raise TableError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {' '.join(str(error).split())[:200]}") from None


def read_parquet(path: Path) -> Iterator[Chunk]:
    """Parquet, a row batch at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        for batch in file.iter_batches(batch_size=CHUNK):
            yield {name: to_numpy(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}


def read_csv(path: Path) -> Iterator[Chunk]:
    """CSV with a header line; every value as text, so that no early row decides a column's kind."""
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(path) as peek:
        names = peek.schema.names
    convert = csv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=NO_VALUE
    )
    with csv.open_csv(path, convert_options=convert) as reader:
        for batch in reader:
            if batch.num_rows:
                yield {name: to_numpy(column) for name, column in zip(names, batch.columns, strict=True)}


def read_json_lines(path: Path) -> Iterator[Chunk]:
    """One flat JSON object a line; a key that a line lacks is missing there."""
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, RecursionError) as error:
                raise TableError(f"{path}: line {number} is no JSON: {error}") from None
            if not isinstance(row, dict):
                raise TableError(f"{path}: line {number} is no JSON object")
            rows.append(row)
            if len(rows) == CHUNK:
                yield from_rows(rows)
                rows = []
    if rows:
        yield from_rows(rows)


def from_rows(rows: list[dict[str, Any]]) -> Chunk:
    """Objects to columns; numbers become float64, everything else stays as it is."""
    found: Chunk = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
            found[name] = np.array(values, dtype=np.float64)
        else:
            column = np.empty(len(values), dtype=object)
            column[:] = values
            found[name] = column
    return found


def to_numpy(column: Any) -> Column:
    """An arrow column as numpy: numbers float64 with NaN for null, times datetime64, the rest objects."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_dictionary(kind):
        column = column.dictionary_decode()
        kind = column.type
    if pa.types.is_decimal(kind):
        column = pc.cast(column, pa.float64())
    if pa.types.is_integer(kind) and column.null_count:
        column = pc.cast(column, pa.float64(), safe=False)
    found: Column = column.to_numpy(zero_copy_only=False)
    return found


def unusable(column: Column) -> str | None:
    """Why a column cannot be a feature by its type; None where it can."""
    if column.dtype.kind in "Mm":
        return "a time"
    if column.dtype.kind == "O":
        first = next((value for value in column if value is not None), None)
        if isinstance(first, dict | list | tuple | np.ndarray | bytes):
            return "nested"
        if first is not None and not isinstance(first, str | bool | int | float | np.generic):
            return f"of type {type(first).__name__}"
    return None


def holds_numbers(column: Column) -> bool:
    """Whether every text of a column that is there reads as a number."""
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.cast(pa.array(column, type=pa.string()), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def as_numbers(column: Column) -> NDArray[np.float64]:
    """Text that holds numbers only, as float64 with NaN for what is not there."""
    import pyarrow as pa
    import pyarrow.compute as pc

    cast = pc.cast(pa.array(column, type=pa.string()), pa.float64())
    return np.asarray(cast.to_numpy(zero_copy_only=False), dtype=np.float64)
