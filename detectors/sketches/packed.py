"""A sketch put away: the same counts in the smallest unsigned integers that hold them."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints
from detectors.layout import Layout
from detectors.sketches.groups import GroupSizes
from detectors.sketches.ids import Ids
from detectors.sketches.violations import Violations

HEADER = struct.Struct(
    "<4sBB8sQ"
)  # magic, version, bytes a count, layout id, rows; then the counts, and what the version says, then the CRC-32
MAGIC = b"dSKc"
VERSION, WITH_IDS, WITH_GROUPS, WITH_VIOLATIONS = 1, 2, 3, 4
# 3: the length of the ids, the ids, the groups; 4: the lengths of ids and groups before each, then what breaks a contract
LENGTH = struct.Struct("<I")


class PackedSketch:
    """Counts that are only kept: added to a `Sketch`, unpacked or written, never changed, for sums are made in 64 bits.

    `counts` is uint8, uint16 or uint32[layout.size], and int64 beyond.
    """

    __slots__ = ("counts", "groups", "ids", "layout", "rows", "violations")

    def __init__(
        self,
        layout: Layout,
        rows: int,
        counts: Ints,
        ids: Ids | None = None,
        groups: GroupSizes | None = None,
        violations: Violations | None = None,
    ) -> None:
        self.layout = layout
        self.rows = rows
        self.violations = violations
        self.ids = None if ids is None else ids.whole()
        self.groups = None if groups is None else groups.packed()
        kind = np.min_scalar_type(int(counts.max()))
        self.counts: NDArray[Any] = counts.astype(counts.dtype if kind.itemsize == counts.itemsize else kind)

    def to_bytes(self) -> bytes:
        """Write the counts with layout, version and checksum; `Sketch.from_bytes` reads them."""
        width = self.counts.itemsize
        version, ids = (VERSION, b"") if self.ids is None else (WITH_IDS, self.ids.sample.to_bytes())
        groups = b"" if self.groups is None else self.groups.to_bytes()
        if self.violations is not None:
            behind = self.violations.to_bytes()
            version, ids = WITH_VIOLATIONS, LENGTH.pack(len(ids)) + ids + LENGTH.pack(len(groups)) + groups + behind
        elif self.groups is not None:
            version, ids = WITH_GROUPS, LENGTH.pack(len(ids)) + ids + groups
        head = HEADER.pack(MAGIC, version, width, bytes.fromhex(self.layout.id), self.rows)
        body = head + self.counts.astype(f"<u{width}", copy=False).tobytes() + ids
        return body + struct.pack("<I", zlib.crc32(body))
