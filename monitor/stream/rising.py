"""Values that are to rise in each partition: which rows fall below the one before, however polls cut them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import LARGEST
from monitor.stream.schema import RowSchema

Last = dict[str, dict[str, int | float]]
"""The last value of each column, by partition (`topic/0`)."""


class RisingValues:
    """The last value of each column in each partition; what it says follows from the order of rows in their partitions alone.

    >>> times = np.array([1, 3, 2, 2])
    >>> rows = RowSchema(("t/0",), np.zeros(4, dtype=np.int16), np.arange(4), times, rising={"__time__": times})
    >>> RisingValues().fell(rows)["__time__"].tolist()
    [False, False, True, False]
    """

    def __init__(self) -> None:
        self.last: Last = {}

    def fell(self, rows: RowSchema) -> dict[str, NDArray[np.bool_]]:
        """The rows whose value lies below that of the row before in their partition, by column; only columns where any does."""
        if not rows.rising or not len(rows.times):
            return {}
        found = {name: np.zeros(len(rows.times), dtype=np.bool_) for name in rows.rising}
        for number, partition in enumerate(rows.partitions):
            ours = np.flatnonzero(rows.partition == number)
            last = self.last.setdefault(partition, {})
            for name, values in rows.rising.items():
                asked = ours[_of_its_type(rows, name)[ours]]
                found[name][asked], end = _fell(values[asked], last.get(name))
                if end is not None:
                    last[name] = end
        return {name: fell for name, fell in found.items() if fell.any()}


def _of_its_type(rows: RowSchema, name: str) -> NDArray[np.bool_]:
    """The rows whose value is not of the wrong type: of those nothing else is asked."""
    if rows.wrong is None or name not in rows.columns:
        return np.ones(len(rows.times), dtype=np.bool_)
    return np.asarray(~rows.wrong[rows.columns.index(name)])


def _fell(values: NDArray[Any], last: float | None) -> tuple[NDArray[np.bool_], int | float | None]:
    """The values below the one before, and the last of them; one that is missing is passed over."""
    fell = np.zeros(values.size, dtype=np.bool_)
    known = np.flatnonzero(np.abs(values) < LARGEST)
    if not known.size:
        return fell, last
    held = values[known]
    fell[known[1:]] = held[1:] < held[:-1]
    fell[known[0]] = last is not None and bool(held[0] < last)
    return fell, held[-1].item()


def by_span(rows: RowSchema, fell: Mapping[str, NDArray[np.bool_]], length: int) -> dict[int, dict[str, int]]:
    """How many rows fell in each `length` of event time, numbered, by column."""
    counted: dict[int, dict[str, int]] = {}
    for name, which in fell.items():
        spans, counts = np.unique(rows.times[which] // length, return_counts=True)
        for span, count in zip(spans.tolist(), counts.tolist(), strict=True):
            counted.setdefault(span, {})[name] = count
    return counted
