"""Columns of Arrow as those of rows, without an object a row: numbers as numpy, texts and truth as codes, times as datetime64.

Only what is no such column, a list or a map, becomes objects.
"""

import datetime as dt
import uuid
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.columns import Coded, Column, LyingTexts
from monitor.importing import without

with without("pandas"):
    pa.scalar(None)  # pyarrow asks once whether a value is one of pandas, for which it loads that: 0.5 s and 60 MB

LAST_EXACT: Final = 1e22  # power of ten that a double holds
SURELY_WHOLE: Final = (
    2.0**50
)  # a double is a few units of the last place from it: rounding still finds the whole number
EXACT: Final = 2**53  # up to here a double tells each whole number from the next
FEW: Final = 64  # values of a dictionary that are read whether they are needed or not
BOOL8, UUID, PERIOD = "arrow.bool8", "arrow.uuid", "pandas.period"


Convert = Callable[[Any], Column]


def to_column(held: Any) -> Column:
    """A chunked array as a column: NaN, NaT and None are missing. No dictionary is compared with another."""
    return converter(held.type)(held)


def converter(kind: Any) -> Convert:
    """What makes columns of an arrow type."""
    for convert, tests in CONVERTERS:
        if any(test(kind) for test in tests):
            return convert
    return _objects


def _integers(held: Any) -> Column:
    return _numpy(held) if not held.null_count or all_exact(held) else encoded(held)


def _parts(convert: Callable[[Any], Column]) -> Convert:
    """A column of several dictionaries, each with its own codes."""
    return lambda held: joined([convert(chunk) for chunk in held.chunks]) if held.num_chunks else nothing(0)


def _numpy(held: Any) -> NDArray[Any]:
    found: NDArray[Any] = held.chunk(0).to_numpy(zero_copy_only=False) if held.num_chunks == 1 else held.to_numpy()
    return found


def nothing(rows: int) -> NDArray[np.float64]:
    """A column in which all is missing."""
    return np.full(rows, np.nan)


def all_exact(held: Any) -> bool:
    """Whether all whole numbers are exact as doubles, which have a way to say missing."""
    found = pc.min_max(held)
    least, most = found["min"].as_py(), found["max"].as_py()
    return least is None or (least >= -EXACT and most <= EXACT)


def _truth(held: Any) -> Column:
    if not held.null_count:
        return _numpy(held)
    codes = pc.fill_null(pc.cast(held, pa.int8()), 2)
    return Coded((False, True, None), codes.to_numpy().astype(np.int64))


def _times(held: Any) -> NDArray[Any]:
    """Instants and days; what is a time of day or a span is no time that an event has."""
    if pa.types.is_timestamp(held.type) or pa.types.is_date(held.type):
        return _numpy(held)
    return no_times(held)


def no_times(held: Any) -> NDArray[Any]:
    """As many times as there are rows, all missing: of a column that holds times which no event has."""
    return np.full(len(held), "NaT", dtype="datetime64[ns]")


def is_period(field: Any) -> bool:
    """Whether a field holds periods of pandas, which are whole numbers to whoever has not loaded it."""
    said = (field.metadata or {}).get(b"ARROW:extension:name")
    return said == PERIOD.encode() or getattr(field.type, "extension_name", None) == PERIOD


def is_view(kind: Any) -> bool:
    """Whether an arrow type is texts or bytes that lie elsewhere."""
    return bool(pa.types.is_string_view(kind) or pa.types.is_binary_view(kind))


def without_views(column: Any) -> Any:
    """Texts or bytes that lie elsewhere, put together. What is missing looks nowhere first: Arrow's cast follows that, too, which nobody has validated."""
    validity, views, *data = column.buffers()
    if column.null_count:
        held = views_of(views, 0, column.offset + len(column)).copy()
        held[column.offset + np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))] = 0
        views = pa.py_buffer(held)
    buffers = [validity, views, *data]
    whole = pa.Array.from_buffers(column.type, len(column), buffers, column.null_count, column.offset)
    return pc.cast(whole, pa.string() if pa.types.is_string_view(column.type) else pa.binary())


def views_of(held: Any, first: int, rows: int) -> NDArray[np.int32]:
    """The views of rows, shape (rows, 4), in a buffer that may have any number of bytes behind them."""
    return np.frombuffer(held or b"", dtype=np.int32, count=4 * rows, offset=16 * first).reshape(-1, 4)


def is_text(kind: Any) -> bool:
    """Whether an arrow type is a text."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def is_binary(kind: Any) -> bool:
    """Whether an arrow type is bytes."""
    large, view = pa.types.is_large_binary(kind), pa.types.is_binary_view(kind)
    return bool(pa.types.is_binary(kind) or large or view or pa.types.is_fixed_size_binary(kind))


def _texts(held: Any) -> Column:
    """Texts; a view is cast first, for Arrow's own counting takes null for empty there. One that is the same in all rows as a single code; others where they lie, until somebody asks for codes."""
    if pa.types.is_string_view(held.type):
        held = pa.chunked_array(list(map(without_views, held.chunks)), type=pa.string())
    chunks = [chunk for chunk in held.chunks if len(chunk)]
    if not chunks:
        return Coded((None,), np.zeros(0, dtype=np.int64))
    lying = list(map(_lying, chunks))
    data, starts, sizes = lying[0]
    if len(lying) > 1:
        before = np.cumsum([0, *(held.size for held, _, _ in lying[:-1])])
        data = np.concatenate([each[0] for each in lying])
        sizes = np.concatenate([each[2] for each in lying])
        starts = np.concatenate([each[1] + first for each, first in zip(lying, before.tolist(), strict=True)])
    if not held.null_count and _are_same(data, sizes):
        return Coded((chunks[0][0].as_py(),), np.zeros(len(held), dtype=np.int64))
    return LyingTexts(data, starts, sizes, lambda: encoded(held))


Lying = tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]


def _lying(chunk: Any) -> Lying:
    """The bytes of a chunk's texts, where each begins, and how many it has."""
    _, offsets, data = chunk.buffers()
    kind = np.dtype(np.int64 if pa.types.is_large_string(chunk.type) else np.int32)
    ends: NDArray[Any] = np.frombuffer(offsets, kind, count=len(chunk) + 1, offset=kind.itemsize * chunk.offset)
    first, last = int(ends[0]), int(ends[-1])
    starts = ends[:-1].astype(np.int64)
    sizes = ends[1:] - starts
    starts -= first
    if chunk.null_count:
        sizes[np.asarray(chunk.is_null().to_numpy(zero_copy_only=False))] = 0
    held = np.frombuffer(data or b"", dtype=np.uint8)[first:last]
    return held, starts, sizes


def _are_same(data: NDArray[np.uint8], sizes: NDArray[np.int64]) -> bool:
    """Whether all texts, with nothing between them, are the same."""
    size = int(sizes[0])
    if size * sizes.size != data.size or not (data[:size] == data[data.size - size :]).all():
        return False
    return bool((sizes == size).all() and (data[size:] == data[: data.size - size]).all())


# --- values each once -------------------------------------------------------------------------------------------------


def encoded(held: Any) -> Coded:
    """A column of texts, bytes or whole numbers as codes."""
    if pa.types.is_binary_view(held.type):
        held = pa.chunked_array(list(map(without_views, held.chunks)), type=pa.binary())
    chunks = pc.dictionary_encode(held).chunks  # all of them have the same dictionary
    if not chunks:
        return Coded((None,), np.zeros(0, dtype=np.int64))
    values = (*chunks[-1].dictionary.to_pylist(), None)
    return Coded(values, np.concatenate([_indices(chunk, len(values) - 1) for chunk in chunks]))


def _indices(chunk: Any, missing: int) -> NDArray[Any]:
    """The codes of a dictionary column, where nothing is the one given."""
    held = chunk.indices
    if held.null_count:
        held = pc.fill_null(pc.cast(held, pa.int64()), missing)
    found: NDArray[Any] = held.to_numpy(zero_copy_only=False)
    return found


def _dictionary(chunk: Any) -> Column:
    """A column of codes as it is. Of a dictionary that is longer than the column only what some row has is read."""
    values = chunk.dictionary
    if is_view(values.type):
        values = without_views(values)
    rows = _indices(chunk, len(values))
    if len(values) > FEW and len(values) > len(rows):
        used, rows = np.unique(rows, return_inverse=True)
        values = values.take(pa.array(used, mask=used == len(values)))
    return Coded((*_values(values), None), rows.astype(np.int64, copy=False))


def _values(values: Any) -> Sequence[Any]:
    """The values of a dictionary, as those of a column."""
    column = to_column(pa.chunked_array([values]))
    if isinstance(column, Coded):
        return column.tolist()
    if column.dtype.kind == "M":
        return texts_of(column)
    return [None if value != value else value for value in column.tolist()]  # noqa: PLR0124 - NaN


def texts_of(times: NDArray[Any]) -> list[str | None]:
    """Times as texts, for words: ISO 8601, UTC."""
    there = ~np.isnat(times)
    texts = np.datetime_as_string(times)
    return [
        f"{text}Z" if known and "T" in text else text if known else None
        for text, known in zip(texts.tolist(), there.tolist(), strict=True)
    ]


def _run_ends(chunk: Any) -> Column:
    """Runs of values, each value read once."""
    values = to_column(pa.chunked_array([chunk.values]))
    ends = chunk.run_ends.to_numpy(zero_copy_only=False)
    rows = np.searchsorted(ends, np.arange(chunk.offset, chunk.offset + len(chunk)), side="right")
    return Coded(values.values, values.rows[rows]) if isinstance(values, Coded) else values[rows]


# --- what has a meaning beside its storage ----------------------------------------------------------------------------


def _extension(held: Any) -> Column:
    kind = held.type
    storage = pa.chunked_array([chunk.storage for chunk in held.chunks], type=kind.storage_type)
    name = kind.extension_name
    if name == BOOL8:
        return to_column(pc.not_equal(storage, pa.scalar(0, storage.type)))
    if name == UUID:
        found = encoded(storage)
        texts = (str(uuid.UUID(bytes=value)) if isinstance(value, bytes) else None for value in found.values)
        return Coded(tuple(texts), found.rows)
    if name == PERIOD:
        return no_times(held)
    return to_column(storage)


def _decimals(held: Any) -> Column:
    """Decimals as the nearest doubles; whole numbers that doubles do not tell apart as they are."""
    column = held.combine_chunks() if held.num_chunks != 1 else held.chunk(0)
    if isinstance(column, pa.ChunkedArray):
        column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
    numbers = decimals_of(column)
    if held.type.scale > 0 or not (np.abs(numbers) >= EXACT).any():
        return numbers
    texts = encoded(pa.chunked_array([pc.cast(column, pa.string())]))
    return Coded(tuple(None if text is None else int(Decimal(str(text))) for text in texts.values), texts.rows)


def decimals_of(column: Any) -> NDArray[np.float64]:
    """Decimals as the nearest doubles. Arrow's own cast multiplies by a power of ten: 0.35 becomes 0.35000000000000003."""
    scale = 10.0 ** min(max(column.type.scale, -1), 30)
    if 1 <= scale <= LAST_EXACT:
        near = np.asarray(pc.cast(column, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        whole = np.rint(near * scale)
        if not (np.abs(whole) >= SURELY_WHOLE).any():
            return np.asarray(whole / scale)  # a division of exact numbers is rounded right
    texts = pc.cast(pc.cast(column, pa.string()), pa.float64())
    return np.asarray(texts.to_numpy(zero_copy_only=False))


# --- objects ----------------------------------------------------------------------------------------------------------


def _objects(held: Any) -> NDArray[Any]:
    """Lists, maps and empty structs as JSON would have them."""
    found = np.full(len(held), None, dtype=object)
    try:
        values = held.to_pylist()
    except (ValueError, OverflowError):  # a time beyond what Python has
        return found
    of_map = pa.types.is_map(held.type)
    for row, value in enumerate(values):
        found[row] = dict(value) if of_map and value is not None and not value else plain(value)
    return found


def plain(value: Any) -> Any:
    """A value as JSON would have it; bytes are nothing there."""
    if isinstance(value, list):
        if value and all(isinstance(each, tuple) for each in value):  # a map
            return {str(key): plain(held) for key, held in value}
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {name: plain(held) for name, held in value.items()}
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    value = str(value) if isinstance(value, uuid.UUID) else value
    return value if isinstance(value, str | int | float | None) else None


# --- columns of several parts -----------------------------------------------------------------------------------------


def joined(columns: Sequence[Column]) -> Column:
    """Columns one after the other, each value as it was."""
    if len(columns) == 1:
        return columns[0]
    arrays = [column for column in columns if not isinstance(column, Coded)]
    if not arrays:
        return _joined_codes([column for column in columns if isinstance(column, Coded)])
    if len(arrays) == len(columns):
        kinds = {array.dtype for array in arrays}
        if len(kinds) == 1 or {kind.kind for kind in kinds} == {"f"}:
            with np.errstate(invalid="ignore"):  # a single may be a NaN that signals
                return np.concatenate(arrays)
    return _joined_objects(columns)


def _joined_codes(columns: Sequence[Coded]) -> Coded:
    """Codes of several dictionaries: the same values have the same codes only where the whole dictionary is the same."""
    firsts: dict[tuple[Any, ...], int] = {}
    values: list[object] = []
    rows = []
    for column in columns:
        key = tuple((type(value), str(value) if isinstance(value, dict) else value) for value in column.values)
        if key not in firsts:
            firsts[key] = len(values)
            values += column.values
        rows.append(column.rows.astype(np.int64) + firsts[key])
    return Coded(tuple(values), np.concatenate(rows))


def _joined_objects(columns: Sequence[Column]) -> NDArray[Any]:
    found = np.full(sum(len(column) for column in columns), None, dtype=object)
    at = 0
    for column in columns:
        for value in as_objects(column):
            found[at] = value
            at += 1
    return found


def as_objects(column: Column) -> Sequence[Any]:
    """A column's values as JSON would have them: None is missing, times are texts."""
    if isinstance(column, Coded):
        return column.tolist()
    if column.dtype.kind == "M":
        return texts_of(column)
    values: list[Any] = column.tolist()
    if column.dtype.kind != "f":
        return values
    return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN


CONVERTERS: Final[Sequence[tuple[Convert, Sequence[Callable[[Any], bool]]]]] = (
    (_extension, (lambda kind: isinstance(kind, pa.BaseExtensionType),)),
    (_numpy, (pa.types.is_floating,)),
    (_integers, (pa.types.is_integer,)),
    (_truth, (pa.types.is_boolean,)),
    (_texts, (is_text,)),
    (encoded, (is_binary,)),
    (_parts(_dictionary), (pa.types.is_dictionary,)),
    (_parts(_run_ends), (pa.types.is_run_end_encoded,)),
    (_decimals, (pa.types.is_decimal,)),
    (_times, (pa.types.is_temporal,)),
    (lambda held: nothing(len(held)), (pa.types.is_null,)),
)
