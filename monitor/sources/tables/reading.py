"""Parquet and CSV as columns by the path of the message that each holds, and their event times."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from detectors.columns import Coded
from monitor.sources.formats.values import EARLIEST, LATEST_NANOS, Rejected, timestamp
from monitor.sources.tables import arrow
from monitor.sources.tables.files import CHUNK, READ, Column, as_number, csv_batches, header_of
from monitor.stream.events import SECOND, Nanos

Place = tuple[str, ...]
Chunk = Mapping[Place, Column]
NOT_A_TIME = np.iinfo(np.int64).min  # how numpy stores NaT
REFUSED = ("timestamp_missing", "timestamp_before_2000", "timestamp_in_future")


@dataclass(frozen=True, slots=True)
class Kinds:
    """What the texts of a CSV mean: the paths of numbers, those of nothing but true and false, that of the event time."""

    numbers: frozenset[Place]
    logical: frozenset[Place]
    time: Place


class Table(Protocol):
    """A file with named columns."""

    @property
    def names(self) -> Sequence[str]:
        """Its columns."""
        ...

    def read(self, columns: Mapping[Place, str], kinds: Kinds) -> Iterator[tuple[Chunk, float]]:
        """Some rows at once, with the share of the file that is read by then."""
        ...


def table_of(path: Path) -> Table:
    """A file by its ending."""
    return CsvTable(path) if path.suffix.lower() == ".csv" else ParquetTable(path)


class ParquetTable:
    """Parquet; a column inside a struct is named by its dotted path."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with pq.ParquetFile(path) as file:
            self._leaves = dict(leaf for column in file.schema_arrow for leaf in _leaves(column.name, column.type))
        self.names = list(self._leaves)

    def read(self, columns: Mapping[Place, str], kinds: Kinds) -> Iterator[tuple[Chunk, float]]:  # noqa: ARG002 - a Table's
        """A row batch at a time, texts as codes."""
        names = list(columns.values())
        texts = [name for name in names if arrow.is_text(self._leaves[name])]
        rows = 0
        with pq.ParquetFile(self._path, read_dictionary=texts, pre_buffer=False, buffer_size=READ) as file:
            whole = max(file.metadata.num_rows, 1)
            for batch in file.iter_batches(batch_size=CHUNK, columns=names):
                found: dict[str, Any] = {}
                for name, column in zip(batch.schema.names, batch.columns, strict=True):
                    found |= dict(_flat(name, column))
                rows += batch.num_rows
                yield {place: arrow.to_numpy(found[name]) for place, name in columns.items()}, rows / whole


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


class CsvTable:
    """CSV with a header line: texts, which mean what the reference says."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = header_of(path)

    def read(self, columns: Mapping[Place, str], kinds: Kinds) -> Iterator[tuple[Chunk, float]]:
        """A block of the file at a time."""
        whole, read = max(self._path.stat().st_size, 1), 0
        for batch in csv_batches(self._path, self.names, ()):
            read += batch.nbytes
            texts = dict(zip(self.names, batch.columns, strict=True))
            yield {place: _meant(texts[name], place, kinds) for place, name in columns.items()}, min(1.0, read / whole)


def _meant(text: Any, place: Place, kinds: Kinds) -> Column:
    if place in kinds.logical:
        return arrow.to_numpy(pc.utf8_lower(text))
    if place not in kinds.numbers and place != kinds.time:
        return arrow.to_numpy(text)
    try:
        plain = pc.cast(pc.utf8_trim_whitespace(text), pa.int64() if place == kinds.time else pa.float64())
    except pa.ArrowInvalid:
        coded = arrow.to_numpy(text)
        assert isinstance(coded, Coded)
        return coded if place == kinds.time else Coded(tuple(map(_number_or_text, coded.values)), coded.rows)
    return arrow.to_numpy(plain)


def _number_or_text(text: object) -> object:
    try:
        return float(text) if isinstance(text, str) else text
    except ValueError:
        return text


# --- event times ------------------------------------------------------------------------------------------------------


def times_of(column: Column, unit: Nanos, rejected: Counter[str]) -> NDArray[np.int64]:
    """Event times int64[n] nanoseconds, `NOT_A_TIME` where there is none; those are counted by reason.

    Numbers are epochs in `unit` nanoseconds, text without a zone is UTC.
    """
    if not isinstance(column, Coded) and column.dtype.kind == "M":
        return _bounded(column, rejected)
    if not isinstance(column, Coded) and column.dtype.kind in "iu" and column.size:
        in_range = (column >= -(-EARLIEST // unit)) & (column <= LATEST_NANOS // unit)
        if in_range.all():
            return np.asarray(column.astype(np.int64) * unit)
    values = column.values if isinstance(column, Coded) else column.tolist()
    times, why = np.full(len(values), NOT_A_TIME, dtype=np.int64), [""] * len(values)
    for at, value in enumerate(values):
        try:
            times[at] = _time_of(value, unit)
        except Rejected as reason:
            why[at] = str(reason)
    if not isinstance(column, Coded):
        rejected.update(reason for reason in why if reason)
        return times
    counts = np.bincount(column.rows, minlength=len(values)).tolist()
    for name, count in zip(why, counts, strict=True):
        if name and count:
            rejected[name] += count
    return np.asarray(times[column.rows])


def _time_of(value: Any, unit: Nanos) -> Nanos:
    if value is None or value != value:  # noqa: PLR0124 - NaN
        raise Rejected("timestamp_missing")
    return timestamp(as_number(value), unit, LATEST_NANOS)


def _bounded(column: NDArray[Any], rejected: Counter[str]) -> NDArray[np.int64]:
    """Times of any unit as nanoseconds, which reach to 2262."""
    absent, seconds = np.isnat(column), column.astype("datetime64[s]").view(np.int64)
    early, late = (seconds < EARLIEST // SECOND) & ~absent, seconds >= LATEST_NANOS // SECOND
    for rows, reason in zip((absent, early, late), REFUSED, strict=True):
        if count := int(np.count_nonzero(rows)):
            rejected[reason] += count
    return np.where(absent | early | late, NOT_A_TIME, column.astype("datetime64[ns]").view(np.int64))
