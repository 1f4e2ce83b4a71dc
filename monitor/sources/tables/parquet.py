"""Parquet: columns of any type; one inside a struct is named by its dotted path."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.sources.tables import arrow
from monitor.sources.tables.base import CHUNK, Chunk, Texts, present
from monitor.sources.tables.shape import Shape

INDEX = "the index of pandas"
MADE_INDEX = re.compile(r"__index_level_[0-9]+__")
READ = 2**20  # bytes of one column at once


class ParquetTable:
    """One Parquet file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    @cached_property
    def _leaves(self) -> dict[str, Any]:
        with pq.ParquetFile(self._path) as file:
            return dict(leaf for column in file.schema_arrow for leaf in _leaves(column.name, column.type))

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
                if (reason := arrow.unusable_type(column.type)) is not None:
                    shape.left_out.setdefault(column.name, reason)
                shape.see(column.name, self._path, arrow.kind_of(column.type))
            for name in _index_of(schema):
                shape.left_out.setdefault(name, INDEX)
            yield file.metadata.num_rows

    def read(self, wanted: Collection[str], texts: Texts) -> Iterator[tuple[Chunk, float]]:  # noqa: ARG002 - a Table's
        """A row batch at a time."""
        names = present(self._path, self.names, wanted)
        coded = [name for name in names if arrow.is_text(self._leaves[name])]
        rows = 0
        # Texts as codes, which is what is counted; pages as they are needed, for a row group read ahead is 250 MB and slower.
        with pq.ParquetFile(self._path, read_dictionary=coded, pre_buffer=False, buffer_size=READ) as file:
            whole = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=CHUNK, columns=names):
                columns: dict[str, Any] = {}
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    columns |= dict(_flat(name, column))
                rows += batch.num_rows
                yield {name: arrow.to_numpy(columns[name]) for name in names}, rows / whole


def _index_of(schema: Any) -> list[str]:
    """The columns that pandas made of its index."""
    try:
        said = json.loads((schema.metadata or {}).get(b"pandas", b"{}")).get("index_columns", [])
    except (ValueError, AttributeError):
        said = []
    named = [name for name in said if isinstance(name, str)]
    return [name for name in schema.names if name in named or MADE_INDEX.fullmatch(name)]


def _leaves(name: str, kind: Any) -> Iterator[tuple[str, Any]]:
    if pa.types.is_struct(kind):
        for field in kind:
            yield from _leaves(f"{name}.{field.name}", field.type)
    else:
        yield name, kind


def _flat(name: str, column: Any) -> Iterator[tuple[str, Any]]:
    if pa.types.is_struct(column.type):
        for field, inner in zip(column.type, column.flatten(), strict=True):
            yield from _flat(f"{name}.{field.name}", inner)
    else:
        yield name, column
