"""Numbers and codes to counts: by the compiled part where it was built, by numpy where not, with the same result."""

import os

import numpy as np

from detectors.features import LARGEST, Codes, Counts, Floats, Ints, NumericFeature
from detectors.layout import Layout, per_layout

try:
    from detectors.sketches import _count
except ImportError:  # installed without a compiler
    _count = None  # type: ignore[assignment]

COMPILED = _count is not None and os.environ.get("DRIFTD_PURE") != "1"  # whether `Sketch.update` runs compiled
MANY = 600  # rows from which sorting a column is quicker than looking each value up


def count(layout: Layout, numeric: Floats, codes: Codes, counts: Counts, places: Ints | None = None) -> None:
    """Add a batch to the flat counts of a layout, integers of any width that hold as many rows: of it the rows at `places` int64[m]; None: all.

    Raises ValueError for another shape, code or place, and then counts nothing. Whatever the compiled part does not take, wrong or only
    unusual, goes to numpy.
    """
    if not COMPILED or not compiled_counter(layout).count(numeric, codes, counts, places):
        numpy_counter(layout).count(*rows_at(places, numeric, codes), counts)


def rows_at(places: Ints | None, numeric: Floats, codes: Codes) -> tuple[Floats, Codes]:
    """The rows at some places, None: all; columns lie together, as they did. Raises ValueError where there is no such row."""
    if places is None:
        return numeric, codes
    rows = min(len(numeric), len(codes))
    if len(places) and not (places.min() >= 0 and places.max() < rows):
        raise ValueError(f"places {places.min()} to {places.max()} are not all among {rows} rows")
    return numeric.T.take(places, axis=1).T, codes.T.take(places, axis=1).T


class NumpyCounter:
    """Counting with numpy alone; the compiled part is held to it."""

    def __init__(self, layout: Layout) -> None:
        numeric = len(layout.numeric)
        self._ladders = _ladders(layout)
        self._names = tuple(feature.name for feature in layout.categorical)
        self._first = layout.offsets[numeric:-1]  # the cell of code 0, int64[c]
        self._codes = np.diff(layout.offsets[numeric:])  # how many there are, int64[c]

    def count(self, numeric: Floats, codes: Codes, counts: Counts) -> None:
        """Add a batch to the flat counts. Raises ValueError for another shape or code, and then counts nothing."""
        self._check_shapes(numeric, codes)
        self._check_codes(codes)
        if len(numeric) < MANY:
            self._count_each(numeric, codes, counts)
        else:
            self._count_columns(numeric, codes, counts)

    def _count_each(self, numeric: Floats, codes: Codes, counts: Counts) -> None:
        numbers = zip(self._ladders, numeric.T, strict=True)
        cells = [cells[rungs.searchsorted(column, side="left")] for (rungs, cells), column in numbers]
        np.add.at(counts, np.concatenate([*cells, (codes + self._first).ravel()]), 1)

    def _count_columns(self, numeric: Floats, codes: Codes, counts: Counts) -> None:
        for (rungs, cells), column in zip(self._ladders, numeric.T, strict=True):
            below = np.searchsorted(np.sort(column), rungs, side="right")  # the other way round: NaN is sorted last
            counts[cells] += np.diff(below, prepend=0, append=column.size).astype(counts.dtype)
        for first, number, column in zip(self._first, self._codes, codes.T, strict=True):
            counts[first : first + number] += np.bincount(column, minlength=number).astype(counts.dtype)

    def _check_shapes(self, numeric: Floats, codes: Codes) -> None:
        expected = len(self._ladders), len(self._names)
        if numeric.ndim != 2 or codes.ndim != 2 or (numeric.shape[1], codes.shape[1]) != expected:  # noqa: PLR2004
            raise ValueError(
                f"need [n, {expected[0]}] numbers and [n, {expected[1]}] codes, not {numeric.shape} and {codes.shape}"
            )
        if numeric.shape[0] != codes.shape[0]:
            raise ValueError(f"{numeric.shape[0]} rows of numbers, but {codes.shape[0]} rows of codes")

    def _check_codes(self, codes: Codes) -> None:
        if not codes.size:
            return
        if int(codes.min()) < 0:
            raise ValueError(f"code {codes.min()} is below zero")
        most = codes.max(axis=0)
        for j in np.flatnonzero(most >= self._codes):
            raise ValueError(f"{self._names[j]}: code {most[j]} is above {self._codes[j] - 1}, missing")


@per_layout
def numpy_counter(layout: Layout) -> NumpyCounter:
    """Return what counts on this layout without the compiled part."""
    return NumpyCounter(layout)


@per_layout
def compiled_counter(layout: Layout) -> "_count.Counter":
    """Return what counts on this layout in the compiled part."""
    offsets = layout.offsets[len(layout.numeric) :]
    return _count.Counter(
        tuple(np.require(_edges(feature), np.float64, ["C", "A"]) for feature in layout.numeric),
        layout.starts.copy(),
        np.stack([offsets[:-1], np.diff(offsets)], axis=1).ravel(),
        layout.size,
    )


def _edges(feature: NumericFeature) -> Floats:
    """A feature's own; of one without a value all is over."""
    return feature.edges if feature.edges.size else np.array([-LARGEST])


def _ladders(layout: Layout) -> list[tuple[Floats, Ints]]:
    """Per numeric feature its edges with outer rungs, and the cell of each place between them, below and above.

    The outer rungs let one search sort out infinities and NaN as well::

        place    0      1      2 … B+1   B+2    B+3    B+4
                 -inf   under  bins      over   +inf   NaN     (searchsorted, side="left", puts NaN last)
    """
    ladders = []
    for first, feature in zip(layout.offsets, layout.numeric, strict=False):
        rungs = np.concatenate([[-LARGEST], _edges(feature), [np.nextafter(LARGEST, 0), np.inf]])
        usable = feature.bins + 2  # then missing, -inf, +inf
        ladders.append((rungs, first + np.array([usable + 1, *range(usable), usable + 2, usable])))
    return ladders
