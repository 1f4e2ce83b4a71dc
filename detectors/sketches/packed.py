"""A sketch put away: the same counts in the smallest unsigned integers that hold them."""

import struct
import zlib

from detectors.features import Counts
from detectors.layout import Layout
from detectors.sketches import sums
from detectors.sketches.groups import GroupSizes
from detectors.sketches.ids import Ids
from detectors.sketches.schema import SchemaRuns
from detectors.sketches.served import ServedCounts
from detectors.sketches.unvaried import Unvaried
from detectors.sketches.violations import Violations

HEADER = struct.Struct(
    "<4sBB8sQ"
)  # magic, version, bytes a count, layout id, rows; then the counts, and what else the version says, then the CRC-32
MAGIC = b"dSKc"
VERSION, WITH_IDS, WITH_GROUPS, WITH_MORE, WITH_VIOLATIONS, WITH_SCHEMA = (
    1,
    2,
    3,
    4,
    5,
    6,
)  # the third: the length of the ids, the ids, the groups
# 4: of ids, groups, requests and unvaried columns each the length, then what it is; of what there is not, no length but NONE.
# 5: the same, with what breaks a contract behind them. 6: the same, and behind that what is told of the schema.
NONE = 0xFFFFFFFF
LENGTH = struct.Struct("<I")


class PackedSketch:
    """Counts that are only kept: added to a `Sketch`, unpacked or written, never changed, for sums are made in 64 bits.

    `counts`, and `kept`, the same, is uint8, uint16 or uint32[layout.size], and int64 beyond; those given that are no int64 are the
    smallest. `plain`: nothing but counts and ids is told.
    """

    __slots__ = (
        "counts",
        "groups",
        "ids",
        "kept",
        "layout",
        "plain",
        "rows",
        "schema",
        "served",
        "unvaried",
        "violations",
    )

    def __init__(
        self,
        layout: Layout,
        rows: int,
        counts: Counts,
        ids: Ids | None = None,
        groups: GroupSizes | None = None,
        served: ServedCounts | None = None,
        unvaried: Unvaried | None = None,
        violations: Violations | None = None,
        schema: SchemaRuns | None = None,
    ) -> None:
        self.layout = layout
        self.rows = rows
        self.violations = violations
        self.schema = schema
        self.ids = None if ids is None else ids.whole()
        self.groups = None if groups is None else groups.packed()
        self.served = None if served is None else served.packed()
        self.unvaried = (
            unvaried if unvaried is not None and unvaried.columns.size else None
        )  # else there is nothing to keep
        self.counts = self.kept = sums.narrowed(counts) if counts.dtype == sums.INT64 else counts
        self.plain = groups is None and served is None and violations is None and schema is None

    def to_bytes(self) -> bytes:
        """Write the counts with layout, version and checksum; `Sketch.from_bytes` reads them."""
        width = self.counts.itemsize
        version, more = self._more()
        head = HEADER.pack(MAGIC, version, width, bytes.fromhex(self.layout.id), self.rows)
        body = head + self.counts.astype(f"<u{width}", copy=False).tobytes() + more
        return body + struct.pack("<I", zlib.crc32(body))

    def _more(self) -> tuple[int, bytes]:
        """What stands behind the counts, and the version that says so: the oldest that can."""
        ids = None if self.ids is None else self.ids.sample.to_bytes()
        parts = [self.groups, self.served, self.unvaried]
        last = self.violations, self.schema
        if any(part is not None for part in (*last, self.served, self.unvaried)):
            version, behind = WITH_MORE, list[bytes | None]()
            for number, part in enumerate(last, start=1):
                behind.append(None if part is None else part.to_bytes())
                version = version if part is None else WITH_MORE + number
            held = [ids, *(None if part is None else part.to_bytes() for part in parts)]
            return version, b"".join(map(_with_length, [*held, *behind[: version - WITH_MORE]]))
        if self.groups is not None:
            return WITH_GROUPS, LENGTH.pack(len(ids or b"")) + (ids or b"") + self.groups.to_bytes()
        return (VERSION, b"") if ids is None else (WITH_IDS, ids)


def _with_length(part: bytes | None) -> bytes:
    return LENGTH.pack(NONE) if part is None else LENGTH.pack(len(part)) + part
