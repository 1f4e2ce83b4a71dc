"""Parquet: columns of any type; one inside a struct is named by its dotted path."""

from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.sources.formats.arrow.columns import is_text
from monitor.sources.formats.arrow.schema import index_of
from monitor.sources.tables import arrow
from monitor.sources.tables.base import CHUNK, Chunk, Texts, present
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.texts import TextTally, numbers_of

INDEX = "the index of pandas"
READ = 2**20  # bytes of one column at once
CELLS = 2**22  # values of a chunk, 32 MB as numbers: of a wide table fewer rows are read at once
LEAST = 1_024  # rows


class ParquetTable:
    """One Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _leaves(self) -> dict[str, Any]:
        with pq.ParquetFile(self._path) as file:
            return dict(leaf for column in file.schema_arrow for leaf in leaves(column.name, column.type))

    @property
    def names(self) -> Sequence[str]:
        """The columns that hold no others."""
        return list(self._leaves)

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """The schema says it all."""
        with pq.ParquetFile(self._path) as file:
            schema = file.schema_arrow
            shape.add(self._path, schema.names, first)
            for column in schema:
                if (reason := arrow.unusable(column)) is not None:
                    shape.left_out.setdefault(column.name, reason)
                shape.see(column.name, self._path, arrow.kind_of(column.type))
            for name in index_of(schema):
                shape.left_out.setdefault(name, INDEX)
            for name, tally in _tallies(file, [column.name for column in schema if arrow.holds_texts(column.type)]):
                shape.texts.setdefault(name, TextTally()).merge(tally)
            yield file.metadata.num_rows

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """A row batch at a time."""
        numbers = {name for name in {*texts.numbers, *texts.parsed} if arrow.holds_texts(self._leaves.get(name))}
        names = present(self._path, self.names, wanted)
        coded = [name for name in names if is_text(self._leaves[name])]
        rows = 0
        # Texts as codes, which is what is counted; pages as they are needed, for a row group read ahead is 250 MB and slower.
        with pq.ParquetFile(self._path, read_dictionary=coded, pre_buffer=False, buffer_size=READ) as file:
            whole = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=rows_at_once(texts.rows, len(names)), columns=names):
                columns: dict[str, Any] = {}
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    columns |= dict(flat(name, column))
                rows += batch.num_rows
                meant = {
                    name: numbers_of(column, texts.decimal)
                    if name in numbers
                    else arrow.exact(column)
                    if name in texts.exact
                    else arrow.to_numpy(column)
                    for name, column in ((name, columns[name]) for name in names)
                }
                yield meant, rows / whole

    def objects(self, rows: int) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """Rows as they are nested."""
        with pq.ParquetFile(self._path) as file:
            read, whole = 0, max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=rows):
                read += batch.num_rows
                yield batch.to_pylist(), read / whole


def rows_at_once(most: int, columns: int) -> int:
    """The rows of a chunk.

    >>> rows_at_once(65_536, 12), rows_at_once(65_536, 1_000)
    (65536, 4194)
    """
    return min(most, max(LEAST, CELLS // max(columns, 1)))


def _tallies(file: Any, names: list[str]) -> Iterator[tuple[str, TextTally]]:
    """What texts look like: of columns that are mostly numbers all of them, of others the first ones."""
    tallies = {name: TextTally(typed=True) for name in names}
    for batch in file.iter_batches(batch_size=CHUNK, columns=names) if names else ():
        going = [name for name in names if tallies[name].mostly_numbers or not tallies[name].real]
        for name in going:
            tallies[name].add(arrow.plain_texts(batch.column(name)))
        if not going:
            break
    yield from tallies.items()


def leaves(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    """The columns of a column that hold no others, by dotted name."""
    if pa.types.is_struct(kind):
        for field in kind:
            yield from leaves(f"{name}.{field.name}", field.type)
    else:
        yield name, kind


def flat(name: str, column: Any) -> Iterator[tuple[str, Any]]:
    """The same, with what they hold."""
    if pa.types.is_struct(column.type):
        for field, inner in zip(column.type, column.flatten(), strict=True):
            yield from flat(f"{name}.{field.name}", inner)
    else:
        yield name, column
