"""A sketch put away: the same counts in the smallest unsigned integers that hold them."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints
from detectors.sketches.grid import Grid

HEADER = struct.Struct("<4sBB8sQ")  # magic, version, bytes a count, grid id, rows; then the counts, then their CRC-32
MAGIC = b"dSKc"
VERSION = 1


class PackedSketch:
    """Counts that are only kept: added to a `Sketch`, unpacked or written, never changed, for sums are made in 64 bits.

    `counts` is uint8, uint16 or uint32[grid.size], and int64 beyond.
    """

    __slots__ = ("counts", "grid", "rows")

    def __init__(self, grid: Grid, rows: int, counts: Ints) -> None:
        self.grid = grid
        self.rows = rows
        kind = np.min_scalar_type(int(counts.max()))
        self.counts: NDArray[Any] = counts.astype(counts.dtype if kind.itemsize == counts.itemsize else kind)

    def to_bytes(self) -> bytes:
        """Write the counts with grid, version and checksum; `Sketch.from_bytes` reads them."""
        width = self.counts.itemsize
        head = HEADER.pack(MAGIC, VERSION, width, bytes.fromhex(self.grid.id), self.rows)
        body = head + self.counts.astype(f"<u{width}", copy=False).tobytes()
        return body + struct.pack("<I", zlib.crc32(body))
