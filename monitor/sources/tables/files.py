"""Files of several formats as one table: a first look, then chunk by chunk in bounded memory."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from detectors import Kind
from detectors.columns import Column
from monitor.sources.ahead import ahead
from monitor.sources.tables.avro import AvroTable
from monitor.sources.tables.base import Dialect, TableError, explained
from monitor.sources.tables.csv import PLAIN, CsvTable
from monitor.sources.tables.ipc import IpcTable
from monitor.sources.tables.lines import LinesTable
from monitor.sources.tables.packed import packed
from monitor.sources.tables.parquet import ParquetTable
from monitor.sources.tables.shape import Nests, Shape, Table
from monitor.sources.tables.times import TimeColumn

FORMATS: dict[str, Callable[[Path], Table]] = {
    ".arrow": IpcTable,
    ".avro": AvroTable,
    ".csv": CsvTable,
    ".feather": IpcTable,
    ".ipc": IpcTable,
    ".jsonl": LinesTable,
    ".ndjson": LinesTable,
    ".parquet": ParquetTable,
    ".pq": ParquetTable,
}
Pieces = dict[str, Column]
NO_KINDS: Mapping[str, Kind] = {}


def table_of(path: Path, dialect: Dialect = PLAIN) -> Table:
    """A file as the table that its ending says. Raises TableError."""
    if (why := packed(path)) is not None:
        raise TableError(why)
    ending = path.suffix.lower()
    if ending not in FORMATS:
        raise TableError(
            f"{path}: {ending or 'no ending'} is no format known here; .csv, .jsonl, .parquet, .arrow and .avro are"
        )
    return CsvTable(path, dialect) if ending == ".csv" else FORMATS[ending](path)


def objects_of(path: Path, rows: int) -> Iterator[tuple[list[dict[str, Any]], float]]:
    """The rows of a file as objects, at most so many at once, with the share of it read by then. Raises TableError."""
    with explained(path):
        table = table_of(path)
        if not isinstance(table, Nests):
            raise TableError(
                f"{path}: cannot hold what messages of this format do; .jsonl, .parquet, .arrow and .avro can"
            )
        yield from table.objects(rows)


def look(paths: Sequence[Path], progress: Callable[[int], None] | None = None, dialect: Dialect = PLAIN) -> Shape:
    """Find columns and kinds: of Parquet from its schema, of text by reading it through. Raises TableError."""
    shape = Shape(dialect)
    looked = 0
    for path in paths:
        with explained(path):
            for rows in table_of(path, dialect).look(shape, paths[0]):
                looked += rows
                if progress is not None:
                    progress(looked)
    if not looked or not shape.columns:
        raise TableError(f"{paths[0]}: holds no rows")
    return shape


def chunks(
    paths: Sequence[Path],
    shape: Shape,
    wanted: Sequence[str],
    time: TimeColumn | None,
    kinds: Mapping[str, Kind] = NO_KINDS,
    exact: Sequence[str] = (),
    threads: int = 1,
) -> Iterator[Pieces]:
    """The wanted columns, chunk by chunk; a column that a file lacks is all missing. Raises TableError.

    `exact` are those that tell rows apart: no number of theirs becomes a double. With more than one of `threads` a chunk is read while
    the one before it is used.
    """
    pieces = chunks_of(paths, shape, wanted, time, kinds, exact)
    return ahead(pieces) if threads > 1 else pieces


def chunks_of(
    paths: Sequence[Path],
    shape: Shape,
    wanted: Sequence[str],
    time: TimeColumn | None,
    kinds: Mapping[str, Kind] = NO_KINDS,
    exact: Sequence[str] = (),
) -> Iterator[Pieces]:
    """The wanted columns, one chunk after the other. Raises TableError."""
    named = [*wanted, *([] if time is None else [time.name])]
    read_as = shape.reading(kinds, None if time is None else time.name, exact)
    for path in paths:
        with explained(path):
            for chunk, _ in table_of(path, shape.dialect).read(named, read_as):
                rows = len(next(iter(chunk.values()), ()))
                nothing = np.full(rows, None, dtype=object)
                columns = {name: chunk.get(name, nothing) for name in wanted}
                if time is not None:
                    columns[time.name] = time.nanos(path, chunk)
                yield columns
