"""Integer counts of a window's values on a frozen grid: exact, mergeable in any order, a few hundred bytes a feature."""

import struct
import zlib
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints
from detectors.sketches.grid import Grid, GridMismatchError, per_grid

HEADER = struct.Struct("<4sBB8sQ")  # magic, version, bytes a count, grid id, rows; then the counts, then their CRC-32
MAGIC = b"dSKc"
VERSION = 1
MOST = np.iinfo(np.int64).max


class Sketch:
    """The counts of one window (or pane) on its grid; only `update` and `add` change it.

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
        rows = self._rows_of(numeric, codes)
        batch = np.empty_like(self.counts)
        offsets = self.grid.offsets
        for i, (ladder, order) in enumerate(zip(self.grid.ladders, self.grid.orders, strict=True)):
            steps = np.searchsorted(ladder, numeric[:, i], side="left")
            batch[offsets[i] : offsets[i + 1]] = np.bincount(steps, minlength=order.size)[order]
        for j, feature in enumerate(self.grid.categorical):
            i = j + len(self.grid.numeric)
            counted = np.bincount(codes[:, j], minlength=feature.counts.size)
            if counted.size != feature.counts.size:
                raise ValueError(f"{feature.name}: code {counted.size - 1} is above {feature.counts.size - 1}, missing")
            batch[offsets[i] : offsets[i + 1]] = counted
        self.counts += batch
        self.rows += rows

    def _rows_of(self, numeric: Floats, codes: NDArray[np.int32]) -> int:
        expected = len(self.grid.numeric), len(self.grid.categorical)
        if numeric.ndim != 2 or codes.ndim != 2 or (numeric.shape[1], codes.shape[1]) != expected:  # noqa: PLR2004
            raise ValueError(
                f"need [n, {expected[0]}] numbers and [n, {expected[1]}] codes, not {numeric.shape} and {codes.shape}"
            )
        if numeric.shape[0] != codes.shape[0]:
            raise ValueError(f"{numeric.shape[0]} rows of numbers, but {codes.shape[0]} rows of codes")
        if codes.size and int(codes.min()) < 0:
            raise ValueError(f"code {codes.min()} is below zero")
        return int(numeric.shape[0])

    def add(self, other: "Sketch") -> None:
        """Add the other's counts to these. Raises GridMismatchError when the grids differ."""
        self.grid.same_as(other.grid)
        self.counts += other.counts
        self.rows += other.rows

    def merge(self, other: "Sketch") -> "Sketch":
        """Return the sketch of both together: integer addition, so order never matters."""
        self.grid.same_as(other.grid)
        return Sketch(self.grid, self.rows + other.rows, self.counts + other.counts)

    def copy(self) -> "Sketch":
        """Return a sketch that no longer changes with this one."""
        return Sketch(self.grid, self.rows, self.counts.copy())

    def row(self, name: str) -> Ints:
        """Return the named feature's counts, a view in the layout of its feature. Raises KeyError."""
        if name not in self.grid.names:
            raise KeyError(name)
        i = self.grid.names.index(name)
        return self.counts[self.grid.offsets[i] : self.grid.offsets[i + 1]]

    @property
    def usable(self) -> Ints:
        """Rows with a value, int64[f]."""
        return np.asarray(np.add.reduceat(self.counts, self.grid.halves)[0::2])

    @property
    def missing(self) -> Ints:
        """Rows without a value (absent or non-finite), int64[f]."""
        return np.asarray(np.add.reduceat(self.counts, self.grid.halves)[1::2])

    @property
    def unseen(self) -> Ints:
        """Rows outside the reference's range or categories, int64[f]."""
        beyond = self.counts[self.grid.lost - 1]  # over, or other
        beyond[: len(self.grid.numeric)] += self.counts[self.grid.offsets[: len(self.grid.numeric)]]
        return np.asarray(beyond)

    def mean_shift(self) -> Floats:
        """Return (mean - reference mean) / reference sd of each numeric feature, float64[k]; NaN without a usable row.

        Computed from counts and the reference's bin means, hence the same in any order of events. A feature that is
        constant in the reference has no sigma: there it is the share of rows above minus the share below the constant.
        """
        if not self.grid.numeric:
            return np.empty(0)
        bins, (places, zero) = self.grid.bins, _places(self.grid)
        sums = np.add.reduceat(self.counts[bins.index] * places, bins.starts)
        rows = self.usable[: len(self.grid.numeric)]
        shift = np.full(rows.size, np.nan)
        np.divide(sums, rows, out=shift, where=rows > 0)
        return np.asarray(shift - zero)

    def to_bytes(self) -> bytes:
        """Write the counts in the smallest unsigned integers that hold them, with grid, version and checksum."""
        width = np.min_scalar_type(int(self.counts.max())).itemsize
        head = HEADER.pack(MAGIC, VERSION, width, bytes.fromhex(self.grid.id), self.rows)
        body = head + self.counts.astype(f"<u{width}").tobytes()
        return body + struct.pack("<I", zlib.crc32(body))

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


@per_grid
def _places(grid: Grid) -> tuple[Floats, Floats]:
    """Where each numeric cell lies in reference sigma, float64[cells], and the reference's own mean there, float64[k]."""
    places = []
    for feature in grid.numeric:
        half = feature.std / 2  # halves, because the distance of two finite numbers may overflow
        if half > 0:
            with np.errstate(over="ignore"):  # an absurd sd out of a file: clipped in the next breath
                places.append(np.clip((feature.bin_means / 2 - feature.mean / 2) / half, -1e9, 1e9))
        else:
            sides = np.zeros(feature.bins + 2)
            sides[0], sides[-1] = (-1.0, 1.0) if feature.edges.size else (0.0, 0.0)
            places.append(sides)
    flat = np.concatenate(places)
    bins = grid.bins
    sums = np.add.reduceat(grid.counts[bins.index] * flat, bins.starts)
    rows = np.add.reduceat(grid.counts[bins.index], bins.starts)
    return flat, np.asarray(sums / np.maximum(rows, 1))
