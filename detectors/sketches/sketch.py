"""Integer counts of a window's values on a frozen grid: exact, mergeable in any order, a few hundred bytes a feature."""

import struct
import zlib
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints, some
from detectors.sketches.counting import count
from detectors.sketches.grid import Grid, GridMismatchError, per_grid
from detectors.sketches.packed import HEADER, MAGIC, VERSION, PackedSketch
from detectors.sketches.sums import moments

MOST = np.iinfo(np.int64).max


class Sketch:
    """The counts of one window (or pane) on its grid; only `update`, `add` and `subtract` change it.

    `counts` is int64[grid.size], a ragged [features x cells] matrix; every row of events adds one to each feature's
    row, so each row of counts sums to `rows`.
    """

    __slots__ = ("counts", "grid", "rows")

    def __init__(self, grid: Grid, rows: int, counts: Ints) -> None:
        self.grid = grid
        self.rows = rows
        self.counts = counts

    @classmethod
    def empty(cls, grid: Grid) -> Self:
        """Return a sketch of no rows."""
        return cls(grid, 0, np.zeros(grid.size, dtype=np.int64))

    def update(self, numeric: Floats, codes: NDArray[np.int32]) -> None:
        """Count a batch: numeric float64[n, k] with NaN as missing, codes int32[n, c] as `Reference.encode` gives them.

        A code is 0..K-1 for a known category, K for any other, K + 1 for missing. Raises ValueError for another shape
        or code, and then counts nothing.
        """
        count(self.grid, numeric, codes, self.counts)
        self.rows += len(numeric)

    def add(self, other: "Sketch | PackedSketch") -> None:
        """Add the other's counts to these. Raises GridMismatchError when the grids differ."""
        self.grid.same_as(other.grid)
        self.counts += other.counts
        self.rows += other.rows

    def subtract(self, part: "Sketch | PackedSketch") -> None:
        """Take counts out again that were added before. Raises GridMismatchError when the grids differ."""
        self.grid.same_as(part.grid)
        self.counts -= part.counts
        self.rows -= part.rows

    def merge(self, other: "Sketch") -> "Sketch":
        """Return the sketch of both together: integer addition, so order never matters."""
        self.grid.same_as(other.grid)
        return Sketch(self.grid, self.rows + other.rows, self.counts + other.counts)

    def copy(self) -> "Sketch":
        """Return a sketch that no longer changes with this one."""
        return Sketch(self.grid, self.rows, self.counts.copy())

    def packed(self) -> PackedSketch:
        """Return the same counts, to be kept."""
        return PackedSketch(self.grid, self.rows, self.counts)

    @classmethod
    def unpacked(cls, kept: PackedSketch) -> Self:
        """Return a sketch of kept counts."""
        return cls(kept.grid, kept.rows, kept.counts.astype(np.int64))

    def row(self, name: str) -> Ints:
        """Return the named feature's counts, a view in the layout of its feature. Raises KeyError."""
        if name not in self.grid.names:
            raise KeyError(name)
        i = self.grid.names.index(name)
        return self.counts[self.grid.offsets[i] : self.grid.offsets[i + 1]]

    @property
    def usable(self) -> Ints:
        """Rows with a value, int64[f]."""
        return np.asarray(self.rows - self.missing)

    @property
    def missing(self) -> Ints:
        """Rows without a value (absent or non-finite), int64[f]."""
        tails = self.grid.tails
        return np.asarray(np.add.reduceat(self.counts[tails.index], tails.starts))

    @property
    def unseen(self) -> Ints:
        """Rows outside the reference's range or categories, int64[f]."""
        beyond = self.counts[self.grid.beyond]
        beyond[: self.grid.starts.size] += self.counts[self.grid.starts]
        return np.asarray(beyond)

    def mean_shift(self) -> Floats:
        """Return (mean - reference mean) / reference sd of each numeric feature, float64[k]; NaN without a usable row.

        Computed from counts and the reference's bin means, hence the same in any order of events. A feature that is
        constant in the reference has no sigma: there it is the share of rows above minus the share below the constant.
        """
        return self.tally().mean_shift()

    def tally(self) -> "Tally":
        """Return what several detectors ask for, worked out once."""
        return Tally(self)

    def to_bytes(self) -> bytes:
        """Write the counts in the smallest unsigned integers that hold them, with grid, version and checksum."""
        return self.packed().to_bytes()

    @classmethod
    def from_bytes(cls, grid: Grid, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes, GridMismatchError for another grid's."""
        if len(data) < HEADER.size + 4 or data[:4] != MAGIC:
            raise ValueError("these bytes are no sketch")
        if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("the sketch is damaged: its checksum does not fit")
        _, version, width, grid_id, rows = HEADER.unpack_from(data)
        if version != VERSION:
            raise ValueError(f"the sketch has format {version}, this version reads {VERSION}")
        if grid_id.hex() != grid.id:
            raise GridMismatchError(f"the sketch belongs to grid {grid_id.hex()}, not to {grid.id}")
        body = data[HEADER.size : -4]
        if width not in {1, 2, 4, 8} or len(body) != width * grid.size:
            raise ValueError(f"the sketch should have {grid.size} counts of 1, 2, 4 or 8 bytes")
        counts = np.frombuffer(body, dtype=f"<u{width}").astype(np.int64)
        if rows > MOST or (counts < 0).any() or (np.add.reduceat(counts, grid.offsets[:-1]) != rows).any():
            raise ValueError(f"the sketch is damaged: its counts do not add up to {rows} rows")
        return cls(grid, rows, counts)


class Tally:
    """What the detectors ask of one window's counts, which must not change meanwhile: rows by what became of them, int64[f].

    `all` int64[f] are the rows themselves and `some` bool[f] whether there is any: the same for each feature.
    """

    __slots__ = ("all", "counts", "grid", "missing", "rows", "some", "unseen", "usable")

    def __init__(self, sketch: Sketch) -> None:
        self.grid = sketch.grid
        self.rows = sketch.rows
        self.counts = sketch.counts
        self.missing = sketch.missing
        self.usable = self.rows - self.missing
        self.unseen = sketch.unseen
        self.all = self.missing + self.usable
        self.some = self.all > 0

    def mean_shift(self) -> Floats:
        """Return what `Sketch.mean_shift` does."""
        places, zero = _places(self.grid)
        rows = self.usable[: zero.size]
        shift = moments(self.grid, self.counts, places) / np.maximum(rows, 1) - zero
        empty = rows == 0
        if some(empty):
            shift[empty] = np.nan
        return np.asarray(shift)


@per_grid
def _places(grid: Grid) -> tuple[Floats, Floats]:
    """Where each numeric cell lies in reference sigma, float64[k, cells], and the reference's own mean there, float64[k]."""
    counts = grid.numbers(grid.counts)
    places = np.zeros(counts.shape)
    for row, feature in zip(places, grid.numeric, strict=True):
        cells = row[: feature.bins + 2]
        half = feature.std / 2  # halves, because the distance of two finite numbers may overflow
        if half > 0:
            with np.errstate(over="ignore"):  # an absurd sd out of a file: clipped in the next breath
                cells[:] = np.clip((feature.bin_means / 2 - feature.mean / 2) / half, -1e9, 1e9)
        elif feature.edges.size:
            cells[0], cells[-1] = -1.0, 1.0
    return places, moments(grid, grid.counts, places) / np.maximum(counts.sum(axis=1), 1)
