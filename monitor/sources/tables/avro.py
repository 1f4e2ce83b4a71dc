"""Avro object container files: a row a record, a column a path; what lies inside of records is named with dots."""

from collections.abc import Collection, Iterator
from typing import Any

from numpy.typing import NDArray

from monitor.sources.formats.avro.container import Container
from monitor.sources.formats.values import Rejected
from monitor.sources.tables.base import CHUNK, TableError
from monitor.sources.tables.lines import LinesTable, from_rows

WHY = {
    "unknown_codec": "is packed by a codec that is not known here; null, deflate, bzip2, xz, snappy and zstandard are",
    "invalid_schema": "its header holds no Avro schema",
    "truncated": "ends in the middle of a block",
    "too_large": "holds a block of more than 64 MB",
    "not_object": "its schema is no record",
}


class AvroTable(LinesTable):
    """One container file, block by block."""

    def _sized(self, exact: Collection[str] = ()) -> Iterator[tuple[dict[str, NDArray[Any]], int]]:
        """Columns of some rows, and how many bytes those were."""
        told = 0
        for documents, end in self._documents(CHUNK):
            yield from_rows(list(map(flat, documents)), exact), end - told
            told = end

    def objects(self, rows: int) -> Iterator[tuple[list[dict[str, Any]], float]]:
        """Records as they are nested."""
        whole = max(self._path.stat().st_size, 1)
        return ((documents, min(1.0, end / whole)) for documents, end in self._documents(rows))

    def _documents(self, most: int) -> Iterator[tuple[list[dict[str, Any]], int]]:
        """Records, at most so many at once, and where in the file they end. Raises TableError."""
        held: list[dict[str, Any]] = []
        try:
            with self._path.open("rb") as file:
                for block in Container(file).blocks():
                    held += block
                    while len(held) >= most:
                        yield held[:most], file.tell()
                        del held[:most]
                if held:
                    yield held, file.tell()
        except Rejected as reason:
            raise TableError(f"{self._path}: {WHY.get(str(reason), 'is no Avro container, or is damaged')}") from None


def flat(document: dict[str, Any]) -> dict[str, Any]:
    """What is no object, by its path.

    >>> flat({"a": {"b": 1, "c": {"d": None}}, "e": []})
    {'a.b': 1, 'a.c.d': None, 'e': []}
    """
    found: dict[str, Any] = {}
    for name, value in document.items():
        if isinstance(value, dict):
            found.update((f"{name}.{below}", each) for below, each in flat(value).items())
        else:
            found[name] = value
    return found
