"""Arrow's columns as numpy: numbers, and texts as codes. Imported where files are read alone."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from detectors.columns import Coded
from monitor.sources.formats.arrow.columns import all_exact, decimals_of, is_period, is_text, without_views

WORDS = pa.array(["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"])  # among numbers they say missing
TRUTH = pa.array(["true", "false"])
FIRST = 64  # texts, which mostly tell already: a cast that fails makes an error of each that is no number
MOST_CODES = 65_536  # texts of one dictionary, which are all made into objects for each chunk


@contextmanager
def so_many_threads(threads: int) -> Iterator[None]:
    """Give arrow so many threads meanwhile; they are the process's."""
    before = pa.cpu_count()
    pa.set_cpu_count(threads)
    try:
        yield
    finally:
        pa.set_cpu_count(before)


def to_numpy(column: Any) -> NDArray[Any] | Coded:
    """An arrow column as numpy: numbers with NaN for null, times datetime64, texts and booleans that lack as codes, what is nested as objects."""
    if pa.types.is_nested(column.type):
        return np.fromiter(column.to_pylist(), dtype=object, count=len(column))
    if isinstance(column, pa.ExtensionArray):
        column = pc.not_equal(column.storage, 0) if column.type.extension_name == "arrow.bool8" else column.storage
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        column = pa.DictionaryArray.from_arrays(column.indices, without_views(column.dictionary))
    if pa.types.is_dictionary(column.type) and not _is_coded(column):
        column = column.dictionary_decode()
    if is_text(column.type) or (pa.types.is_boolean(column.type) and column.null_count):
        column = pc.dictionary_encode(without_views(column) if pa.types.is_string_view(column.type) else column)
    if pa.types.is_dictionary(column.type):
        return coded(column)
    if pa.types.is_decimal(column.type):
        return decimals_of(column)
    if pa.types.is_integer(column.type) and column.null_count:
        if not all_exact(column):
            return coded_texts(column)
        column = pc.cast(column, pa.float64(), safe=False)
    plain: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return plain


def exact(column: Any) -> NDArray[Any] | Coded:
    """The same of what tells rows apart: whole numbers stay what they are, for as doubles those above 2^53 would fall together."""
    return coded_texts(column) if pa.types.is_integer(column.type) and column.null_count else to_numpy(column)


def _is_coded(column: Any) -> bool:
    """Whether the codes of a dictionary column are worth keeping: those of texts, of which a chunk may hold most."""
    return is_text(column.type.value_type) and len(column.dictionary) <= MOST_CODES


def coded_texts(column: Any) -> Coded:
    """A column of texts, or of whole numbers, as codes."""
    return coded(pc.dictionary_encode(column))


def coded(column: Any) -> Coded:
    """A dictionary column of arrow with its codes as they are."""
    values = column.dictionary.to_pylist()
    rows = pc.fill_null(pc.cast(column.indices, pa.int64()), len(values))
    return Coded((*values, None), rows.to_numpy())


def unusable_type(kind: Any) -> str | None:
    """Why a column of an arrow type cannot be a feature; None where it can."""
    if isinstance(kind, pa.BaseExtensionType):
        return "a time" if kind.extension_name == "pandas.period" else unusable_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return unusable_type(kind.value_type)
    if pa.types.is_temporal(kind):
        return "a time"
    if pa.types.is_nested(kind):
        return "nested"
    plain = pa.types.is_null(kind) or pa.types.is_boolean(kind) or is_text(kind)
    if plain or pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return None
    return f"of type {kind}"


def unusable(field: Any) -> str | None:
    """The same of a field of a schema, which may say more than its type."""
    return "a time" if is_period(field) else unusable_type(field.type)


def kind_of(kind: Any) -> str | None:
    """What a column of an arrow type holds: numbers, text, booleans; None for nothing, and what is no feature."""
    if isinstance(kind, pa.BaseExtensionType):
        return "booleans" if kind.extension_name == "arrow.bool8" else kind_of(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if is_text(kind):
        return "text"
    if pa.types.is_boolean(kind):
        return "booleans"
    numbers = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    return "numbers" if numbers else None


def holds_numbers(column: Any) -> bool:
    """Whether every text of an arrow column that is there reads as a number."""
    return (len(column) <= FIRST or _are_numbers(column[:FIRST])) and _are_numbers(column)


def _are_numbers(column: Any) -> bool:
    try:
        pc.cast(pc.utf8_trim_whitespace(column), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True


def holds_booleans(column: Any) -> bool:
    """Whether every text of an arrow column that is there is true or false, in any case."""
    return bool(pc.all(pc.is_in(pc.utf8_lower(pc.drop_null(column)), value_set=TRUTH), min_count=0).as_py())


def without_words(texts: Any) -> Any:
    """An arrow column of texts in which those that say missing are."""
    return pc.if_else(pc.is_in(texts, value_set=WORDS), pa.scalar(None, texts.type), texts)


def or_nothing(texts: Any) -> Any:
    """An arrow column of texts in which empty ones are missing."""
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, texts.type), texts)


def holds_texts(kind: Any) -> bool:
    """Whether a column of an arrow type, if there is one, holds texts, as they are or as codes."""
    if kind is not None and pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return kind is not None and is_text(kind)


def plain_texts(column: Any) -> Any:
    """An arrow column of texts, however it holds them, as strings."""
    if pa.types.is_dictionary(column.type) and pa.types.is_string_view(column.type.value_type):
        column = pa.DictionaryArray.from_arrays(column.indices, without_views(column.dictionary))
    return without_views(column) if pa.types.is_string_view(column.type) else pc.cast(column, pa.string())
