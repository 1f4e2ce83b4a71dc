"""A sketch put away: the same counts in the smallest unsigned integers that hold them."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints
from detectors.layout import Layout

HEADER = struct.Struct("<4sBB8sQ")  # magic, version, bytes a count, layout id, rows; then the counts, then their CRC-32
MAGIC = b"dSKc"
VERSION = 1


class PackedSketch:
    """Counts that are only kept: added to a `Sketch`, unpacked or written, never changed, for sums are made in 64 bits.

    `counts` is uint8, uint16 or uint32[layout.size], and int64 beyond.
    """

    __slots__ = ("counts", "layout", "rows")

    def __init__(self, layout: Layout, rows: int, counts: Ints) -> None:
        self.layout = layout
        self.rows = rows
        kind = np.min_scalar_type(int(counts.max()))
        self.counts: NDArray[Any] = counts.astype(counts.dtype if kind.itemsize == counts.itemsize else kind)

    def to_bytes(self) -> bytes:
        """Write the counts with layout, version and checksum; `Sketch.from_bytes` reads them."""
        width = self.counts.itemsize
        head = HEADER.pack(MAGIC, VERSION, width, bytes.fromhex(self.layout.id), self.rows)
        body = head + self.counts.astype(f"<u{width}", copy=False).tobytes()
        return body + struct.pack("<I", zlib.crc32(body))
