"""Tables on disk as chunks of columns: CSV, JSON lines, Parquet; any size, in bounded memory."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded
from monitor.sources.formats.values import LATEST_NANOS, Rejected, number, timestamp
from monitor.sources.tables import arrow
from monitor.stream.events import SECOND

CHUNK = 65_536  # rows
READ = 2**20  # bytes of one column at once
NO_VALUE = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None"]  # what a CSV writes where there is nothing
MOST_COLUMNS = 10_000
OTHER_SEPARATORS = ";\t|"
BOM = b"\xef\xbb\xbf"
NOT_A_TIME = np.iinfo(np.int64).min  # how numpy stores NaT
TIME_REFUSED = {
    "timestamp_before_2000": "is before 2000; is --timestamp-unit right?",
    "timestamp_in_future": "is after 2262; is --timestamp-unit right?",
}

Column = NDArray[Any] | Coded
Chunk = dict[str, Column]
Progress = Callable[[int], None]


class TableError(Exception):
    """A file that cannot be read as a table: one line that names it and says why."""


@dataclass(slots=True)
class Shape:
    """What a first look at the files found: columns in order, what their CSV texts hold, which are no features."""

    columns: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    booleans: set[str] = field(default_factory=set)
    parsed: set[str] = field(default_factory=set)  # texts to be read as numbers, missing where they are none
    left_out: dict[str, str] = field(default_factory=dict)  # column: why
    lacking: list[str] = field(default_factory=list)  # what one file has and another has not, in words

    def add(self, path: Path, names: Sequence[str], first: Path) -> None:
        """Take the columns of one more file. Raises TableError."""
        if twice := [name for name, count in Counter(names).items() if count > 1]:
            raise TableError(f"{path}: has two columns called {twice[0]}")
        known = set(self.columns)
        if known:
            self.lacking += [
                f"{path} has no column {name}: missing in its rows" for name in self.columns if name not in names
            ]
            self.lacking += [
                f"{first} has no column {name}: missing in its rows" for name in names if name not in known
            ]
        self.columns += [name for name in names if name not in known]
        if len(self.columns) > MOST_COLUMNS:
            raise TableError(f"{path}: more than {MOST_COLUMNS} columns: is this a table?")


def look(paths: Sequence[Path], progress: Progress | None = None) -> Shape:
    """Find columns and kinds: of Parquet from its schema, of text by reading it through. Raises TableError."""
    shape = Shape()
    looked = 0
    for path in paths:
        with explained(path):
            for rows in format_of(path).look(path, shape, paths[0]):
                looked += rows
                if progress is not None:
                    progress(looked)
    if not looked or not shape.columns:
        raise TableError(f"{paths[0]}: holds no rows")
    return shape


def chunks(paths: Sequence[Path], shape: Shape, wanted: Sequence[str], time: "TimeColumn | None") -> Iterator[Chunk]:
    """The wanted columns, chunk by chunk; a column that a file lacks is all missing. Raises TableError."""
    return ahead(chunks_of(paths, shape, wanted, time))


def ahead(found: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same, each read in a thread while the one before it is used."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        pending = reader.submit(next, found, None)
        while (chunk := pending.result()) is not None:
            pending = reader.submit(next, found, None)
            yield chunk


def chunks_of(paths: Sequence[Path], shape: Shape, wanted: Sequence[str], time: "TimeColumn | None") -> Iterator[Chunk]:
    """The wanted columns, one chunk after the other. Raises TableError."""
    for path in paths:
        with explained(path):
            for chunk in format_of(path).read(path, shape, [*wanted, *([] if time is None else [time.name])]):
                rows = len(next(iter(chunk.values()), ()))
                nothing = np.full(rows, None, dtype=object)
                found = {name: chunk.get(name, nothing) for name in wanted}
                if time is not None:
                    found[time.name] = time.nanos(path, chunk)
                yield found


# --- event times ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class TimeColumn:
    """The column of event times; numbers are epochs in `unit` nanoseconds, text without a zone is UTC."""

    name: str
    unit: int
    absent: int = 0  # rows without a time

    def nanos(self, path: Path, chunk: Mapping[str, Column]) -> NDArray[np.datetime64]:
        """The times of a chunk, datetime64[ns], NaT where there is none. Raises TableError for a value that is no time."""
        column = chunk.get(self.name)
        if column is None:
            raise TableError(f"{path}: has no column {self.name}")
        times = self._read(path, column)
        self.absent += int(np.isnat(times).sum())
        return times

    def _read(self, path: Path, found: Column) -> NDArray[np.datetime64]:
        column = np.asarray(found)
        if column.dtype.kind == "M":
            there = column[~np.isnat(column)].astype("datetime64[s]")
            for extreme in (there.min(), there.max()) if there.size else ():
                self._one(path, int(extreme.astype(np.int64)), SECOND, shown=str(extreme))
            return column.astype("datetime64[ns]")
        if column.dtype.kind in "iu" and column.size:
            for extreme in (column.min(), column.max()):
                self._one(path, extreme.item(), self.unit)
            return (column.astype(np.int64) * self.unit).view("datetime64[ns]")
        values = column.tolist()
        times = np.fromiter((self._one(path, value, self.unit) for value in values), np.int64, count=len(values))
        return times.view("datetime64[ns]")

    def _one(self, path: Path, value: Any, unit: int, shown: str = "") -> int:
        if value is None or value != value:  # noqa: PLR0124 - NaN
            return NOT_A_TIME
        try:
            return timestamp(as_number(value), unit, LATEST_NANOS - 1)
        except Rejected as rejected:
            why = TIME_REFUSED.get(str(rejected), "is no time")
            raise TableError(f"{path}: {self.name}: {shown or repr(value)[:40]} {why}") from None


def as_number(value: Any) -> Any:
    """Text that is a plain number as a number, everything else as it is."""
    if isinstance(value, str) and value.replace(".", "", 1).removeprefix("-").isdecimal():
        return float(value) if "." in value else int(value)
    return value


# --- formats ----------------------------------------------------------------------------------------------------------


class Format(NamedTuple):
    """How files of one kind are looked at and read."""

    look: Callable[[Path, Shape, Path], Iterator[int]]  # adds to the shape, yields rows
    read: Callable[[Path, Shape, Collection[str]], Iterator[Mapping[str, Column]]]  # the wanted columns, maybe more


def format_of(path: Path) -> Format:
    """The format that a file's ending says. Raises TableError."""
    match path.suffix.lower():
        case ".csv":
            return Format(look_at_csv, read_csv)
        case ".jsonl" | ".ndjson":
            return Format(look_at_json_lines, read_json_lines)
        case ".parquet" | ".pq":
            return Format(look_at_parquet, read_parquet)
        case ending:
            raise TableError(f"{path}: {ending or 'no ending'} is no format known here; .csv, .jsonl and .parquet are")


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a reader's troubles into TableErrors of one line."""
    import pyarrow as pa

    if path.exists() and not path.is_file():
        what = "a directory; name the files in it" if path.is_dir() else "no regular file, which can be read again"
        raise TableError(f"{path}: is {what}")
    try:
        yield
    except FileNotFoundError:
        raise TableError(f"{path}: does not exist") from None
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:
        why = " ".join((getattr(error, "strerror", None) or str(error)).split())[:200]
        if "utf8" in why.lower().replace("-", ""):
            why = f"is not UTF-8, save it as that: {why}"
        raise TableError(f"{path}: cannot be read: {why}") from None


def look_at_parquet(path: Path, shape: Shape, first: Path) -> Iterator[int]:
    """The schema of a Parquet file says it all."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        shape.add(path, schema.names, first)
        for column in schema:
            if (reason := arrow.unusable_type(column.type)) is not None:
                shape.left_out.setdefault(column.name, reason)
        yield file.metadata.num_rows


def read_parquet(path: Path, shape: Shape, wanted: Collection[str]) -> Iterator[Chunk]:  # noqa: ARG001 - a Format's
    """Parquet, a row batch at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as plain:
        texts = [column.name for column in plain.schema_arrow if arrow.is_text(column.type)]
    # Texts as codes, which is what is counted; pages as they are needed, for a row group read ahead is 250 MB and slower.
    with pq.ParquetFile(path, read_dictionary=texts, pre_buffer=False, buffer_size=READ) as file:
        names = [name for name in file.schema_arrow.names if name in wanted]
        if not names:
            raise TableError(f"{path}: has none of the columns {', '.join(wanted)}")
        for batch in file.iter_batches(batch_size=CHUNK, columns=names):
            yield {name: arrow.to_numpy(batch.column(name)) for name in names}


def look_at_csv(path: Path, shape: Shape, first: Path) -> Iterator[int]:
    """CSV has only text: read all of it to see which columns hold numbers or booleans and nothing else."""
    names = header_of(path)
    others = set(shape.columns)
    shape.add(path, names, first)
    numbers = {name for name in names if name not in others or name in shape.numbers}
    booleans = {name for name in names if name not in others or name in shape.booleans}
    for batch in csv_batches(path, names, set()):
        numbers = {name for name in numbers if arrow.holds_numbers(batch.column(names.index(name)))}
        booleans = {name for name in booleans if arrow.holds_booleans(batch.column(names.index(name)))}
        yield batch.num_rows
    shape.numbers = (shape.numbers - set(names)) | numbers
    shape.booleans = (shape.booleans - set(names)) | (booleans - numbers)


def header_of(path: Path) -> list[str]:
    """The names in a CSV's first line. Raises TableError for a line that is no header."""
    from pyarrow import csv

    with csv.open_csv(path) as peek:
        names = [name.strip() for name in peek.schema.names]
    if len(names) == 1 and (other := next((one for one in OTHER_SEPARATORS if one in names[0]), None)):
        raise TableError(f"{path}: is separated by {other!r}; commas are read")
    values = [as_number(name) for name in names]
    if all(isinstance(value, int | float) for value in values) and values != list(range(len(names))):
        raise TableError(f"{path}: the first line must name the columns; it is {','.join(names)[:60]}")
    return names


def csv_batches(path: Path, names: Sequence[str], numbers: Collection[str]) -> Iterator[Any]:
    """Record batches of text, with `numbers` as float64."""
    import pyarrow as pa
    from pyarrow import csv

    kinds = {name: pa.float64() if name in numbers else pa.string() for name in names}
    convert = csv.ConvertOptions(column_types=kinds, strings_can_be_null=True, null_values=NO_VALUE)
    parse = csv.ParseOptions(newlines_in_values=True)
    header = csv.ReadOptions(column_names=names, skip_rows=1)
    with csv.open_csv(path, read_options=header, parse_options=parse, convert_options=convert) as reader:
        yield from (batch for batch in reader if batch.num_rows)


def read_csv(path: Path, shape: Shape, wanted: Collection[str]) -> Iterator[Chunk]:
    """CSV with a header line."""
    import pyarrow.compute as pc

    names = header_of(path)
    if not set(names) & set(wanted):
        raise TableError(f"{path}: has none of the columns {', '.join(wanted)}")
    for batch in csv_batches(path, names, shape.numbers):
        found = {}
        for name, column in zip(names, batch.columns, strict=True):
            if name in wanted:
                values = arrow.to_numpy(pc.utf8_lower(column) if name in shape.booleans else column)
                if isinstance(values, Coded) and name in shape.parsed:
                    values = arrow.numbers_of(values)
                found[name] = values
        yield found


def look_at_json_lines(path: Path, shape: Shape, first: Path) -> Iterator[int]:
    """JSON lines name their columns row by row: read all of them."""
    names: dict[str, None] = {}
    for chunk in read_json_lines(path, shape, ()):
        names |= dict.fromkeys(chunk)
        for name, column in chunk.items():
            if (reason := unusable(column)) is not None:
                shape.left_out.setdefault(name, reason)
        yield len(next(iter(chunk.values()), ()))
    shape.add(path, list(names), first)


def read_json_lines(path: Path, shape: Shape, wanted: Collection[str]) -> Iterator[dict[str, NDArray[Any]]]:  # noqa: ARG001 - a Format's
    """One flat JSON object a line; a key that a line lacks is missing there."""
    rows: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for count, line in enumerate(file, start=1):
            text = line.removeprefix(BOM) if count == 1 else line
            if not text.strip():
                continue
            try:
                row = msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError) as error:
                raise TableError(f"{path}: line {count} is no JSON: {error}; one object a line is read") from None
            if not isinstance(row, dict):
                raise TableError(f"{path}: line {count} is no JSON object")
            rows.append(row)
            if len(rows) == CHUNK:
                yield from_rows(rows)
                rows = []
    if rows:
        yield from_rows(rows)


# --- columns ----------------------------------------------------------------------------------------------------------


def from_rows(rows: list[dict[str, Any]]) -> dict[str, NDArray[Any]]:
    """Objects to columns; numbers become float64, everything else stays as it is."""
    found: dict[str, NDArray[Any]] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = [row.get(name) for row in rows]
        if all(value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values):
            found[name] = np.array([number(value, Counter()) for value in values], dtype=np.float64)
        else:
            column = np.empty(len(values), dtype=object)
            column[:] = values
            found[name] = column
    return found


def unusable(column: NDArray[Any]) -> str | None:
    """Why a column of JSON values cannot be a feature; None where it can."""
    first = next((value for value in column if value is not None), None) if column.dtype.kind == "O" else None
    return "nested" if isinstance(first, dict | list) else None
