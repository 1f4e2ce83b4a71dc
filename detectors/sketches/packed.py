"""A sketch put away: the same counts in the smallest unsigned integers that hold them."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints
from detectors.layout import Layout
from detectors.sketches.ids import Ids

HEADER = struct.Struct(
    "<4sBB8sQ"
)  # magic, version, bytes a count, layout id, rows; then the counts, of version 2 the ids, then the CRC-32
MAGIC = b"dSKc"
VERSION, WITH_IDS = 1, 2


class PackedSketch:
    """Counts that are only kept: added to a `Sketch`, unpacked or written, never changed, for sums are made in 64 bits.

    `counts` is uint8, uint16 or uint32[layout.size], and int64 beyond.
    """

    __slots__ = ("counts", "ids", "layout", "rows")

    def __init__(self, layout: Layout, rows: int, counts: Ints, ids: Ids | None = None) -> None:
        self.layout = layout
        self.rows = rows
        self.ids = None if ids is None else ids.whole()
        kind = np.min_scalar_type(int(counts.max()))
        self.counts: NDArray[Any] = counts.astype(counts.dtype if kind.itemsize == counts.itemsize else kind)

    def to_bytes(self) -> bytes:
        """Write the counts with layout, version and checksum; `Sketch.from_bytes` reads them."""
        width = self.counts.itemsize
        version, ids = (VERSION, b"") if self.ids is None else (WITH_IDS, self.ids.sample.to_bytes())
        head = HEADER.pack(MAGIC, version, width, bytes.fromhex(self.layout.id), self.rows)
        body = head + self.counts.astype(f"<u{width}", copy=False).tobytes() + ids
        return body + struct.pack("<I", zlib.crc32(body))
