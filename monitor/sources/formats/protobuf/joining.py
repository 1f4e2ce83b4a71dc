"""Rows that were read by several schemas, as one: a column of each path, in the order of the messages."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.columns import Coded, Column
from detectors.sketches.ids import Hashes
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import Path
from monitor.sources.formats.protobuf.columns import LazyColumns, MessageRows


def joined(parts: Sequence[Rows], rejected: Counter[str]) -> Rows:
    """The rows of all parts by the order of their messages, with what else was rejected."""
    for part in parts:
        rejected.update(part.rejected)
    if len(parts) == 1:
        return replace(parts[0], rejected=dict(rejected))
    read = [part for part in parts if isinstance(part, MessageRows) and len(part)]
    if not read:
        return Rows({}, np.empty(0, dtype=np.intp), dict(rejected))
    messages = np.concatenate([part.messages for part in read])
    order = np.argsort(messages, kind="stable")
    paths = dict.fromkeys(path for part in read for path in part.columns)
    makers: dict[Path, Callable[[], Column]] = {path: partial(_column, read, path, order) for path in paths}
    jsonlike = frozenset[Path]().union(*(part.jsonlike for part in read)) - makers.keys()

    def documents() -> Sequence[Mapping[str, Any]]:
        found = [document for part in read for document in part.documents()]
        return [found[at] for at in order.tolist()]

    hashed = {path: partial(_hashes, read, path, order) for path in {path for part in read for path in part.hashed}}
    return MessageRows(
        LazyColumns(makers), messages[order], dict(rejected), jsonlike=jsonlike, documents=documents, hashed=hashed
    )


def _hashes(parts: Sequence[MessageRows], path: Path, order: NDArray[np.intp]) -> tuple[Hashes, Hashes]:
    first, second = zip(*(part.wide_hashes(path) for part in parts), strict=True)
    return np.concatenate(first)[order], np.concatenate(second)[order]


def _column(parts: Sequence[MessageRows], path: Path, order: NDArray[np.intp]) -> Column:
    columns = [part.column(path) for part in parts]
    sizes = [len(part) for part in parts]
    if all(column is None or isinstance(column, Coded) for column in columns):
        return _coded(columns, sizes, order)
    kinds = {"c" if isinstance(column, Coded) else column.dtype.kind for column in columns if column is not None}
    whole = all(column is not None for column in columns)
    if kinds in ({"f"}, {"M"}) or (kinds == {"i"} and whole):
        nothing = np.nan if kinds == {"f"} else np.datetime64("NaT", "ns")
        each = zip(columns, sizes, strict=True)
        return np.concatenate([np.full(n, nothing) if held is None else np.asarray(held) for held, n in each])[order]
    values = [value for held, n in zip(columns, sizes, strict=True) for value in _values(held, n)]
    return np.fromiter(values, dtype=object, count=len(values))[order]


def _coded(columns: Sequence[Column | None], sizes: Sequence[int], order: NDArray[np.intp]) -> Coded:
    values: list[object] = [None]
    rows: list[NDArray[Any]] = []
    for column, size in zip(columns, sizes, strict=True):
        if isinstance(column, Coded):
            rows.append(column.rows.astype(np.int64) + len(values))
            values += column.values
        else:
            rows.append(np.zeros(size, dtype=np.int64))
    return Coded(tuple(values), np.concatenate(rows)[order])


def _values(column: Column | None, size: int) -> list[Any]:
    """The values of a column as JSON would have them, None for a missing one."""
    if column is None:
        return [None] * size
    values = column.tolist()
    if not isinstance(column, Coded) and column.dtype.kind == "f":
        return [None if value != value else value for value in values]  # noqa: PLR0124 - NaN
    return values
