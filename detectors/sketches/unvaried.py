"""Which columns of some rows hold one value alone: what is frozen is told from what has moved into one bin.

A column is *unvaried* while all its values are one, and once it is not it never is again. Rows without a value say nothing, and of a
category that the reference does not know nobody can say whether it is one. Two unvaried columns make one that is unvaried
where their values are the same: so neither order nor grouping matters.
"""

from typing import Self

import numpy as np

from detectors.features import Codes, Floats, Ints
from detectors.layout import Layout

ROW = np.dtype([("column", "<u4"), ("value", "<f8")])


class Unvaried:
    """The columns of a layout that have not varied yet: `columns` int64[m], rising, and the value of each, NaN as long as there is none.

    >>> from detectors import CategoricalFeature
    >>> columns = Unvaried.of(Layout((), (CategoricalFeature("plan", ("free", "pro")), CategoricalFeature("sex", ("f", "m")))))
    >>> columns.update(np.empty((2, 0)), np.array([[1, 0], [1, 1]], dtype=np.int32))
    >>> columns.columns.tolist(), columns.values.tolist()
    ([0], [1.0])
    """

    __slots__ = ("columns", "layout", "values")

    def __init__(self, layout: Layout, columns: Ints, values: Floats) -> None:
        self.layout = layout
        self.columns = columns
        self.values = values

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """Return those of no rows: all of them."""
        return cls(layout, np.arange(len(layout.names)), np.full(len(layout.names), np.nan))

    def update(self, numeric: Floats, codes: Codes) -> None:
        """Take some rows, as they are counted. Costs next to nothing once every column has varied."""
        if not self.columns.size or not len(numeric):
            return
        numbers = len(self.layout.numeric)
        ends = numeric[0] != numeric[-1]  # of most columns two rows are enough; NaN says nothing
        ends &= ~np.isnan(numeric[0]) & ~np.isnan(numeric[-1])
        values = self.values.copy()
        kept = np.ones(self.columns.size, dtype=np.bool_)
        for place, column in enumerate(self.columns.tolist()):
            if column < numbers:
                found = np.inf if ends[column] else _number(numeric[:, column])
            else:
                found = _code(codes[:, column - numbers], len(self.layout.categorical[column - numbers].categories))
            values[place], kept[place] = _together(values[place], found)
        self.columns, self.values = self.columns[kept], values[kept]

    def plus(self, other: "Unvaried") -> "Unvaried":
        """Return those of both."""
        columns, here, there = np.intersect1d(self.columns, other.columns, assume_unique=True, return_indices=True)
        mine, theirs = self.values[here], other.values[there]
        same = (mine == theirs) | np.isnan(mine) | np.isnan(theirs)
        return Unvaried(self.layout, columns[same], np.where(np.isnan(mine), theirs, mine)[same])

    def copy(self) -> "Unvaried":
        """Return columns that no longer change with these."""
        return Unvaried(self.layout, self.columns, self.values)

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        rows = np.empty(self.columns.size, dtype=ROW)
        rows["column"], rows["value"] = self.columns, self.values
        return rows.tobytes()

    @classmethod
    def from_bytes(cls, layout: Layout, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        if len(data) % ROW.itemsize:
            raise ValueError("the unvaried columns are damaged")
        rows = np.frombuffer(data, dtype=ROW)
        columns = rows["column"].astype(np.int64)
        if (np.diff(columns) <= 0).any() or (columns >= len(layout.names)).any():
            raise ValueError("the unvaried columns are damaged")
        return cls(layout, columns, rows["value"].astype(np.float64))


def _number(column: Floats) -> float:
    """The one finite value of a column; NaN where it has none, inf where it has several."""
    known = column[np.isfinite(column)]
    if not known.size:
        return np.nan
    return float(known[0]) if (known == known[0]).all() else np.inf


def _code(column: Codes, unseen: int) -> float:
    """The same of codes: a category that is not known may be several."""
    known = column[column <= unseen]
    if not known.size:
        return np.nan
    return float(known[0]) if known[0] != unseen and (known == known[0]).all() else np.inf


def _together(one: float, other: float) -> tuple[float, bool]:
    """The value of both, and whether it is one."""
    if np.isnan(one) or np.isnan(other):
        return (other if np.isnan(one) else one), other != np.inf
    return one, one == other
