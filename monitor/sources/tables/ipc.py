"""Arrow's own files, as written by `to_feather` and `write_ipc`, and streams of it: columns of any type; one inside a struct is named by its dotted path."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from monitor.sources.formats.arrow.schema import index_of
from monitor.sources.tables import arrow
from monitor.sources.tables.base import CHUNK, Chunk, TableError, Texts, present
from monitor.sources.tables.parquet import INDEX, flat, leaves
from monitor.sources.tables.shape import Shape
from monitor.sources.tables.texts import TextTally, numbers_of

MAGIC = b"ARROW1"
OLD = b"FEA1"  # the first version of Feather, which was another format


class IpcTable:
    """One file or stream of batches."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _schema(self) -> Any:
        with self._opened() as (schema, _, _):
            return schema

    @cached_property
    def _leaves(self) -> dict[str, Any]:
        return dict(leaf for column in self._schema for leaf in leaves(column.name, column.type))

    @property
    def names(self) -> Sequence[str]:
        """The columns that hold no others."""
        return list(self._leaves)

    def look(self, shape: Shape, first: Path) -> Iterator[int]:
        """The schema says what columns are; texts and rows are read."""
        schema = self._schema
        shape.add(self._path, schema.names, first)
        for column in schema:
            kind = _decoded(column.type)
            if (reason := arrow.unusable(column.with_type(kind))) is not None:
                shape.left_out.setdefault(column.name, reason)
            shape.see(column.name, self._path, arrow.kind_of(kind))
        for name in index_of(schema):
            shape.left_out.setdefault(name, INDEX)
        names = [column.name for column in schema if arrow.holds_texts(_decoded(column.type))]
        tallies = {name: TextTally(typed=True) for name in names}
        for batch, _ in self._batches():
            for name, tally in tallies.items():
                if tally.mostly_numbers or not tally.real:
                    tally.add(arrow.plain_texts(_plain(batch.column(name))))
            yield batch.num_rows
        for name, tally in tallies.items():
            shape.texts.setdefault(name, TextTally()).merge(tally)

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:
        """A batch at a time, long ones in pieces."""
        names = present(self._path, self.names, wanted)
        numbers = {
            name for name in {*texts.numbers, *texts.parsed} if arrow.holds_texts(_decoded(self._leaves.get(name)))
        }
        for batch, done in self._batches(texts.rows):
            columns: dict[str, Any] = {}
            for name, column in zip(batch.schema.names, batch.columns, strict=True):
                columns |= dict(flat(name, column))
            held = ((name, _plain(columns[name])) for name in names)
            yield (
                {
                    name: numbers_of(column, texts.decimal)
                    if name in numbers
                    else arrow.exact(column)
                    if name in texts.exact
                    else arrow.to_numpy(column)
                    for name, column in held
                },
                done,
            )

    def objects(self, rows: int) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """Rows as they are nested."""
        return ((batch.to_pylist(), done) for batch, done in self._batches(rows))

    def _batches(self, rows: int = CHUNK) -> Iterator[tuple[Any, float]]:
        """Batches of at most so many rows, with the share of the file read by then; what leads outside of them is refused."""
        with self._opened() as (_, batches, size):
            for at, (batch, end) in enumerate(batches):
                try:
                    batch.validate(full=True)
                except pa.ArrowInvalid as error:
                    raise TableError(f"{self._path}: batch {at} is broken: {error}") from None
                for first in range(0, batch.num_rows, rows):
                    yield batch.slice(first, rows), min(1.0, end / max(size, 1))

    @contextmanager
    def _opened(self) -> Iterator[tuple[Any, Iterator[tuple[Any, float]], float]]:
        """The schema, the batches with where each ends, and where the last one does."""
        with pa.memory_map(str(self._path)) as file:
            begin = file.read(8)
            if begin.startswith(OLD):
                raise TableError(f"{self._path}: is Feather of version 1; write it again with a newer Arrow")
            file.seek(0)
            if begin.startswith(MAGIC):
                with pa.ipc.open_file(file) as reader:
                    count = reader.num_record_batches
                    yield reader.schema, ((reader.get_batch(at), at + 1.0) for at in range(count)), float(count)
            else:
                with pa.ipc.open_stream(file) as stream:
                    yield stream.schema, ((batch, float(file.tell())) for batch in stream), float(file.size())


def _decoded(kind: Any) -> Any:
    """The type of a column once its runs are written out."""
    return kind.value_type if kind is not None and pa.types.is_run_end_encoded(kind) else kind


def _plain(column: Any) -> Any:
    """A column without runs, of which few of Arrow's functions know."""
    return pc.run_end_decode(column) if pa.types.is_run_end_encoded(column.type) else column
