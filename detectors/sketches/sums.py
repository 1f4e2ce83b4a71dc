"""Sums over a window's cells, a pass each: by the compiled part where it was built, by numpy where not, to the last bit the same.

Each function asks the compiled part, which does nothing with arrays that it does not know, and then numpy does it. Counts are
int64, or as they are kept: in the smallest unsigned integers that hold them, an eighth of the memory to go through. Counts [w, size]
are of w windows, a row each: what is found of each is what would be found of it alone, to the last bit.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Counts, Floats, Ints
from detectors.layout import Cells, Layout
from detectors.sketches.counting import COMPILED

try:
    from detectors.sketches import _sums
except ImportError:  # installed without a compiler
    _sums = None  # type: ignore[assignment]

NOTHING_INSIDE = -2.0  # less than any difference can make up for
LANES = 4  # partial sums of a moment, as in the compiled part
KINDS = [(1 << 8 * width, np.dtype(f"u{width}")) for width in (1, 2, 4)]
INT64 = np.dtype(np.int64)
USED = COMPILED and _sums is not None
if USED:
    unvaried, fade, distinct, joined, within = _sums.unvaried, _sums.fade, _sums.distinct, _sums.joined, _sums.within


@dataclass(frozen=True, slots=True, eq=False)
class Cumulated:
    """The reference's own rows. Its shares are worked out when they are asked for: as tables they take three times the memory.

    `upto` [k, cells] are those up to each right edge, int32 where that holds them, `single` bool[k, cells] says where nothing
    lies inside a bin, `rows` float64[k] are at least 1, `most` float64[k] is the largest share inside a bin.
    """

    upto: NDArray[np.int32 | np.int64]
    single: Bools
    rows: Floats
    most: Floats

    @classmethod
    def of(cls, counts: Ints, single: Bools) -> Self:
        """Cumulate counts int64[k, cells]."""
        upto = np.cumsum(counts, axis=1)
        narrow = upto.max(initial=0) <= np.iinfo(np.int32).max  # beyond, numpy does it all
        rows = np.maximum(upto[:, -1], 1).astype(np.float64)
        most = np.where(single, 0, counts).max(axis=1, initial=0) / rows
        return cls(upto.astype(np.int32) if narrow else upto, single, rows, most)

    @property
    def below(self) -> Floats:
        """The share up to each right edge, float64[k, cells]."""
        return np.asarray(self.upto / self.rows[:, None])

    @property
    def inside(self) -> Floats:
        """The share in each bin, float64[k, cells]; less than nothing where it holds a single value."""
        share = np.diff(self.upto, prepend=0, axis=1) / self.rows[:, None]
        share[self.single] = NOTHING_INSIDE
        return np.asarray(share)


def wide(counts: Counts) -> Ints:
    """Return counts of any width as int64; those that are so already are not copied."""
    return counts.astype(np.int64, copy=False)


def kind_of(most: int) -> np.dtype[Any]:
    """Return the smallest integers that hold a number not below 0."""
    for limit, kind in KINDS:
        if most < limit:
            return kind
    return INT64


def narrowed(counts: Counts) -> Counts:
    """Return counts, none of which is below 0, as uint8, uint16 or uint32, the smallest that hold them, and int64 beyond; a copy, unless they are in these already."""
    limit, kind = KINDS[0]
    if counts.dtype == kind:
        return counts
    found = np.empty(counts.size, dtype=kind)
    most = _sums.narrow(counts, found) if USED else -1
    if 0 <= most < limit:  # as panes nearly always are
        return found
    kind = kind_of(most if most >= 0 else int(np.maximum.reduce(counts)))
    return counts.astype(kind, copy=counts.dtype == INT64)


def distances(layout: Layout, counts: Counts, rows: Ints, reference: Cumulated) -> tuple[Floats, Floats]:
    """Return how far each number's running share of `rows`, int64[w, k], or of one where there is none, is from the reference's: at most at an edge and at most inside, float64[w, k] each."""
    values, upper = np.empty(rows.shape), np.empty(rows.shape)
    theirs = (reference.upto, reference.single, reference.rows, reference.most)
    if not USED or not _sums.distances(counts, layout.starts, layout.widths, rows, *theirs, values, upper):
        for at, (window, usable) in enumerate(zip(counts, rows, strict=True)):
            some = np.maximum(usable, 1).astype(np.float64)
            values[at], upper[at] = numpy_distances(layout.numbers(wide(window)), some, reference)
    return values, upper


def numpy_distances(counts: Ints, rows: Floats, reference: Cumulated) -> tuple[Floats, Floats]:
    """Return the same of one window by numpy, from counts [k, cells]."""
    apart, share = running(counts), reference.inside
    apart /= rows[:, None]
    apart -= reference.below
    values = np.maximum(apart.max(axis=1), -apart.min(axis=1)) + 0.0  # one zero instead of two
    right = (apart + share).max(axis=1)
    left = (share[:, 1:] - apart[:, :-1]).max(axis=1, initial=0.0)
    return values, np.minimum(np.maximum(np.maximum(left, right), values), 1.0)


def running(counts: Ints) -> Floats:
    """Return each row cumulated, float64[k, cells]: in one run over all rows, which is quicker than row by row."""
    total = np.cumsum(counts).reshape(counts.shape)
    return np.asarray(np.subtract(total, total[:, :1] - counts[:, :1], dtype=np.float64))


def run_sums(counts: Counts, starts: Ints, chosen: Ints) -> Ints:
    """Return the sums of the chosen runs, int64[w, c], of counts [w, size]; they begin at `starts` int64[r], rising from 0, the last goes to the end."""
    sums = np.empty((len(counts), chosen.size), dtype=np.int64)
    if not USED or not _sums.runs(counts, starts, chosen, sums):
        return np.asarray(np.add.reduceat(wide(counts), starts, axis=1)[:, chosen])
    return sums


def missing(layout: Layout, counts: Counts) -> Ints:
    """Return the rows without a value, int64[w, f], of counts [w, size]."""
    found = np.empty((len(counts), len(layout.names)), dtype=np.int64)
    if not USED or not _sums.missing(counts, layout.halves, found):
        return np.ascontiguousarray(np.add.reduceat(wide(counts), layout.halves, axis=1)[:, 1::2])
    return found


def fullest(layout: Layout, counts: Counts) -> Ints:
    """Return the rows in the cell of values that has most of them, int64[w, f], of counts [w, size]."""
    found = np.empty((len(counts), len(layout.names)), dtype=np.int64)
    if not USED or not _sums.fullest(counts, layout.halves, found):
        return np.ascontiguousarray(np.maximum.reduceat(wide(counts), layout.halves, axis=1)[:, ::2])
    return found


def add(counts: Ints, parts: Counts) -> None:
    """Add counts of any width, [w, size], to these, int64[size]."""
    if not USED or not _sums.add(counts, parts):
        counts += np.add.reduce(parts, axis=0, dtype=np.int64)


def subtract(counts: Ints, parts: Counts) -> None:
    """Take counts of any width, [w, size], from these."""
    if not USED or not _sums.subtract(counts, parts):
        counts -= np.add.reduce(parts, axis=0, dtype=np.int64)


def slid(counts: Counts, gone: Counts, come: Counts) -> Counts:
    """Return counts without some, and with others, [size] of any width each, in the smallest integers that hold them."""
    found = np.empty(counts.size, dtype=counts.dtype)
    most = _sums.slide(counts, gone, come, found) if USED else -1
    if most < 0:
        return numpy_slid(counts, gone, come)
    if most < KINDS[0][0] and found.itemsize == 1:  # as nearly always
        return found
    kind = kind_of(most)
    if kind.itemsize <= found.itemsize:
        return found.astype(kind, copy=False)
    return slid(counts.astype(kind), gone, come)  # there are more of some than before


def numpy_slid(counts: Counts, gone: Counts, come: Counts) -> Counts:
    """Return the same by numpy."""
    return narrowed(wide(counts) - gone.astype(np.int64) + come.astype(np.int64))


def shifts(layout: Layout, counts: Counts, places: Floats, rows: Ints, zero: Floats) -> Floats:
    """Return the moment of each number over its `rows`, int64[w, k], less `zero`, float64[k], float64[w, k]; NaN where it has none."""
    found = np.empty(rows.shape)
    if not USED or not _sums.shifts(counts, layout.starts, layout.widths, places, rows, zero, found):
        for at, window in enumerate(counts):
            found[at] = numpy_shifts(layout, window, places, rows[at], zero)
    return found


def numpy_shifts(layout: Layout, counts: Counts, places: Floats, rows: Ints, zero: Floats) -> Floats:
    """Return the same of one window by numpy."""
    found = numpy_moments(layout.numbers(wide(counts)), places) / np.maximum(rows, 1) - zero
    return np.where(rows == 0, np.nan, found)


def nearest(values: Floats, known: Bools, bounds: Floats, places: Ints, near: Floats) -> None:
    """Raise `near`, float64[w, f], in these places to values [w, s] / bounds [s] where that is more, and known; NaN is nothing."""
    if not USED or not _sums.nearest(values, known, bounds, places, near):
        numpy_nearest(values, known, bounds, places, near)


def numpy_nearest(values: Floats, known: Bools, bounds: Floats, places: Ints, near: Floats) -> None:
    """Do the same by numpy."""
    with np.errstate(divide="ignore", invalid="ignore"):  # a bound may be 0
        found = np.where(known, values / bounds, np.nan)
    found[np.isnan(found)] = np.nan  # 0 / 0 is one of another sign
    near[:, places] = np.fmax(near[:, places], found)


def moments(layout: Layout, counts: Ints, places: Floats) -> Floats:
    """Return the sum of counts times places of each number, float64[k]; places are float64[k, cells], 0 beyond a row's cells."""
    sums = np.empty(len(places))
    if not USED or not _sums.moments(counts, layout.starts, layout.widths, places, sums):
        return numpy_moments(layout.numbers(counts), places)
    return sums


def numpy_moments(counts: Ints, places: Floats) -> Floats:
    """Return the same by numpy, from counts [k, cells]. A cumulated sum adds one after the other, which a sum does not."""
    products = np.pad(counts * places, ((0, 0), (0, -counts.shape[1] % LANES)))
    lanes = products.reshape(len(products), products.shape[1] // LANES, LANES).cumsum(axis=1)[:, -1]
    return np.asarray((lanes[:, 0] + lanes[:, 1]) + (lanes[:, 2] + lanes[:, 3]) + 0.0)


def pearson(window: Ints, reference: Ints, cells: Cells) -> tuple[Floats, Ints]:
    """Return X² float64[F] and degrees of freedom int64[F] of each feature's 2 x cells table; 0 and 0 with one cell or none.

    `window` and `reference` int64[c] are counts in the order of `cells`; cells empty on both sides do not count.
    """
    found, dof = np.empty(cells.starts.size), np.empty(cells.starts.size, dtype=np.int64)
    if not USED or not _sums.pearson(window, reference, cells.starts, found, dof):
        return numpy_pearson(window, reference, cells)
    return found, dof


def numpy_pearson(window: Ints, reference: Ints, cells: Cells) -> tuple[Floats, Ints]:
    """Return the same by numpy."""
    n = np.maximum(np.add.reduceat(window, cells.starts), 1).astype(np.float64)
    m = np.maximum(np.add.reduceat(reference, cells.starts), 1).astype(np.float64)
    both = window + reference
    apart = window / n[cells.owner] - reference / m[cells.owner]
    parts = apart * apart / np.maximum(both, 1)
    sums = np.bincount(cells.owner, weights=parts, minlength=n.size)  # one after the other, as reduceat does not
    dof = np.maximum(np.add.reduceat(both > 0, cells.starts, dtype=np.int64) - 1, 0)
    return np.where(dof, sums * n * m, 0.0), dof


def shares(window: Ints, reference: Ints, cells: Cells) -> tuple[Floats, Floats, Floats]:
    """Return p / q and p - q of each cell, float64[w, c], and the index that chance alone would give each feature, float64[w, F].

    p and q are the window's and the reference's share, (count + 1/2) / (rows + B / 2), B the feature's cells that are not
    empty on both sides; 1 and 0 where one is. Chance gives (B - 1)(1/n + 1/m)(1 + B/2n).
    """
    ratios, apart, expected = np.empty(window.shape), np.empty(window.shape), np.empty((len(window), cells.starts.size))
    if not USED or not _sums.shares(window, reference, cells.starts, ratios, apart, expected):
        return numpy_shares(window, reference, cells)
    return ratios, apart, expected


def numpy_shares(window: Ints, reference: Ints, cells: Cells) -> tuple[Floats, Floats, Floats]:
    """Return the same by numpy."""
    held = window + reference > 0
    bins = np.maximum(np.add.reduceat(held, cells.starts, axis=1, dtype=np.int64), 1)
    n, m = np.add.reduceat(window, cells.starts, axis=1), np.add.reduceat(reference, cells.starts)
    p = (window + 0.5) / (n + bins * 0.5)[:, cells.owner]
    q = (reference + 0.5) / (m + bins * 0.5)[:, cells.owner]
    some = np.maximum(n, 1)
    expected = (bins - 1) * (1 / some + 1 / np.maximum(m, 1)) * (1 + bins / (2 * some))
    return np.where(held, p / q, 1.0), np.where(held, p - q, 0.0), expected
