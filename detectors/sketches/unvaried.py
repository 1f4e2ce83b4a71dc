"""Which columns of some rows hold one value alone: what is frozen is told from what has moved into one bin.

A column is *unvaried* while all its values are one, and once it is not it never is again. Rows without a value say nothing, and of a
category that the reference does not know nobody can say whether it is one. Two unvaried columns make one that is unvaried
where their values are the same: so neither order nor grouping matters.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Codes, Floats, Ints, some
from detectors.layout import Layout, per_layout
from detectors.sketches import sums
from detectors.sketches.counting import rows_at

NONE = np.empty(0, dtype=np.int64), np.empty(0)
ROW = np.dtype([("column", "<u4"), ("value", "<f8")])


class Unvaried:
    """The columns of a layout that have not varied yet: `columns` int64[m], rising, and the value of each, NaN as long as there is none.

    >>> from detectors import CategoricalFeature
    >>> columns = Unvaried.of(Layout((), (CategoricalFeature("plan", ("free", "pro")), CategoricalFeature("sex", ("f", "m")))))
    >>> columns.update(np.empty((2, 0)), np.array([[1, 0], [1, 1]], dtype=np.int32))
    >>> columns.columns.tolist(), columns.values.tolist()
    ([0], [1.0])
    """

    __slots__ = ("_unseen", "columns", "layout", "values")

    def __init__(self, layout: Layout, columns: Ints, values: Floats) -> None:
        self.layout = layout
        self.columns = columns
        self.values = values
        self._unseen = _unseen(layout)

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """Return those of no rows: all of them."""
        return cls(layout, *_all_columns(layout))

    def update(self, numeric: Floats, codes: Codes, places: Ints | None = None) -> None:
        """Take some rows, or those of them at `places` int64[m], as they are counted. Costs little, however many columns never vary."""
        if not self.columns.size or not len(numeric if places is None else places):
            return
        values, kept = self.values.copy(), np.empty(self.columns.size, dtype=np.bool_)
        if sums.USED and sums.unvaried(numeric, codes, self.columns, self._unseen, values, kept, places):
            self.columns, self.values = (self.columns[kept], values[kept]) if some(kept) else NONE
        else:
            self._update(*rows_at(places, numeric, codes))

    def _update(self, numeric: Floats, codes: Codes) -> None:
        """Do it by numpy."""
        numbers = len(self.layout.numeric)
        split = int(np.searchsorted(self.columns, numbers))
        first, second = self.columns[:split], self.columns[split:] - numbers
        parts = (
            _of_numbers(numeric, first, self.values[:split]),
            _of_codes(codes, second, self.values[split:], self._unseen[second]),
        )
        values, kept = (np.concatenate(each) for each in zip(*parts, strict=True))
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


@per_layout
def _all_columns(layout: Layout) -> tuple[Ints, Floats]:
    """All columns, without a value; nobody changes these."""
    return np.arange(len(layout.names)), np.full(len(layout.names), np.nan)


@per_layout
def _unseen(layout: Layout) -> Ints:
    """The codes of categories that are not known."""
    return np.array([len(each.categories) for each in layout.categorical], dtype=np.int64)


def _of_numbers(numeric: Floats, columns: Ints, values: Floats) -> tuple[Floats, Bools]:
    """The values of these columns after more rows, and which still hold one alone: of most, the two ends are enough."""
    expected = np.where(np.isnan(values), numeric[0, columns], values)
    ends = numeric[-1, columns]
    kept = (ends == expected) | ~np.isfinite(ends) | ~np.isfinite(expected)
    block = numeric[:, columns[kept]]
    return _alone(block, np.isfinite(block), values, kept)


def _of_codes(codes: Codes, columns: Ints, values: Floats, unseen: Ints) -> tuple[Floats, Bools]:
    """The same of categories: one that is not known may be several."""
    block = codes[:, columns]
    several = (block == unseen).any(axis=0)
    kept = ~several
    return _alone(block[:, kept], block[:, kept] < unseen[kept], values, kept)


def _alone(block: NDArray[Any], known: Bools, values: Floats, kept: Bools) -> tuple[Floats, Bools]:
    """Take the rows of those columns that may still hold one value, which stands where `known`."""
    before = values[kept]
    first = block[known.argmax(axis=0), np.arange(before.size)]
    expected = np.where(np.isnan(before) & known.any(axis=0), first, before)
    values, kept = values.copy(), kept.copy()
    values[kept] = expected
    kept[kept] = ((block == expected) | ~known).all(axis=0)
    return values, kept
