"""Which ids came, and how often: a sample of the ids by their hashes, of bounded size, that merges exactly in any order.

The 512 ids of the smallest hashes are kept, each with the rows that had it (bottom-k, Bar-Yossef and others 2002; with counts,
Beyer and others 2007). A hash knows nothing of how often its id comes, so these are a simple random sample of the distinct ids,
the same ids in every pane: one that is among the smallest of a union is among the smallest of each part, with all its rows. Of
fewer ids the sample is all of them. A HyperLogLog (Flajolet and others 2007) would take as many bytes for an error of 1.6 % of the
rows; here, where nothing comes twice, no sampled id does: the share is then exactly 0.

Z. Bar-Yossef and others, Counting distinct elements in a data stream, RANDOM (2002). K. Beyer and others, On synopses for
distinct-value estimation under multiset operations, SIGMOD (2007). L. Kish, Survey Sampling (1965), on unequal weights.
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Ints
from detectors.sketches import sums

Hashes = NDArray[np.uint64]
"""Of ids, one a row; 0 is no id."""

KEPT = 512  # ids
PENDING = 8192  # rows that wait to be sorted together
MANY = 2048  # rows from which it pays to look at the small hashes first,
AMPLE = 2  # times as many as are kept
LARGEST = 2**64 - 1
HEAD = struct.Struct("<QHB")  # rows with an id, ids kept, bytes a count; then the hashes, then the counts


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What a sample says: `rows` with an id, of them `distinct` ids, hence the `share` that repeat one, with its standard error.

    `events` of `sampled` rows are repeats. `weight` is how many independent rows one of these is worth (Kish 1965).
    """

    rows: int
    distinct: float
    share: float
    error: float
    events: int
    sampled: int
    weight: float


@dataclass(frozen=True, slots=True, eq=False)
class IdSample:
    """The ids of the smallest hashes, uint64[k] rising, with the rows of each, int64[k], and all rows with an id."""

    rows: int
    hashes: Hashes
    counts: Ints

    @staticmethod
    def most() -> int:
        """How many ids are kept at most."""
        return KEPT

    @property
    def bound(self) -> int | None:
        """The largest hash that may be in it; None where it has all ids."""
        return int(self.hashes[-1]) if self.hashes.size == KEPT else None

    def duplicates(self, before: "IdSample | None" = None) -> Duplicates:
        """Say how many rows repeat an id: of these rows, or one that is in the sample `before` them."""
        hashes, counts = self.hashes, self.counts
        if before is not None and before.bound is not None:  # beyond it nobody knows what came before
            comparable = int(hashes.searchsorted(np.uint64(before.bound), side="right"))
            hashes, counts = hashes[:comparable], counts[:comparable]
        new = np.ones(hashes.size, dtype=np.bool_) if before is None else _not_in(before.hashes, hashes)
        sampled, first = int(counts.sum()), int(np.count_nonzero(new))
        if not sampled:
            return Duplicates(self.rows, 0.0, 0.0, 0.0, 0, 0, 1.0)
        if first == sampled:  # as a rule nothing comes twice: what follows would say just that
            return Duplicates(self.rows, float(self.rows), 0.0, 0.0, 0, sampled, 1.0)
        share, k = 1 - first / sampled, counts.size
        apart = new - counts * (first / sampled)  # of a ratio of means, linearised
        unseen = max(1 - sampled / max(self.rows, 1), 0.0)
        error = float(np.sqrt(unseen * np.square(apart).sum() / max(k - 1, 1) * k)) / sampled
        weight = float(sampled / np.square(counts).sum())
        return Duplicates(self.rows, self.rows * (1 - share), share, error, sampled - first, sampled, weight)

    def to_bytes(self) -> bytes:
        """Write it; `from_bytes` reads it."""
        width = np.min_scalar_type(int(self.counts.max(initial=0))).itemsize
        head = HEAD.pack(self.rows, self.hashes.size, width)
        return head + self.hashes.astype("<u8").tobytes() + self.counts.astype(f"<u{width}").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        if len(data) < HEAD.size:
            raise ValueError("the ids are damaged: there are too few bytes")
        rows, kept, width = HEAD.unpack_from(data)
        if width not in {1, 2, 4, 8} or len(data) != HEAD.size + kept * (8 + width) or kept > KEPT:
            raise ValueError(f"the ids should be at most {KEPT} hashes with their counts")
        hashes = np.frombuffer(data, "<u8", kept, HEAD.size).astype(np.uint64)
        counts = np.frombuffer(data, f"<u{width}", kept, HEAD.size + 8 * kept).astype(np.int64)
        total = int(counts.sum())
        if (hashes[1:] <= hashes[:-1]).any() or (counts < 1).any() or total > rows or (kept < KEPT and total != rows):
            raise ValueError(f"the ids are damaged: they do not make {rows} rows")
        return cls(rows, hashes, counts)


NONE = IdSample(0, np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))


def merged(samples: Sequence[IdSample], pending: Iterable[Hashes] = ()) -> IdSample:
    """Return the sample of everything, with the rows that are pending."""
    bounds = [each.bound for each in samples if each.bound is not None]
    fresh = _counted(pending)
    if not samples:
        return fresh
    if len(samples) == 1 and not fresh.rows:
        return samples[0]
    parts = [*samples, fresh]
    rows = sum(each.rows for each in parts)
    if len(parts) == 2 and (found := _joined(rows, *parts)) is not None:  # noqa: PLR2004 - as a rule
        return found
    hashes, counts = np.concatenate([each.hashes for each in parts]), np.concatenate([each.counts for each in parts])
    if bounds:
        inside = hashes <= np.uint64(min(bounds))
        hashes, counts = hashes[inside], counts[inside]
    if hashes.size >= MANY:  # likewise, see `_counted`
        inside = hashes <= np.uint64(AMPLE * KEPT * (LARGEST // hashes.size))
        small = _added(rows, hashes[inside], counts[inside])
        if small.hashes.size == KEPT:
            return small
    return _added(rows, hashes, counts)


def _joined(rows: int, one: IdSample, other: IdSample) -> IdSample | None:
    """Two samples to one, by the compiled part; None where it does not take them.

    The ids of a full one are all within its bound, so that the smallest of both are, too: no bound need be looked at.
    """
    if not sums.USED:
        return None
    size = min(one.hashes.size + other.hashes.size, KEPT)
    kept, counts = np.empty(size, dtype=np.uint64), np.empty(size, dtype=np.int64)
    found = sums.joined(one.hashes, one.counts, other.hashes, other.counts, kept, counts)
    return IdSample(rows, kept[:found], counts[:found]) if found >= 0 else None


def _added(rows: int, hashes: Hashes, counts: Ints) -> IdSample:
    """The smallest of them, each with all its counts."""
    order = np.argsort(hashes, kind="stable")
    hashes = hashes[order]
    begins = _begins(hashes)
    totals = np.add.reduceat(counts[order], begins) if begins.size else counts
    return IdSample(rows, hashes[begins][:KEPT], totals[:KEPT])


def _counted(pending: Iterable[Hashes]) -> IdSample:
    """Rows that are not counted yet; `rows` are those that wait, for the others have been counted."""
    waiting = list(pending)
    if not waiting:
        return NONE
    hashes = np.concatenate(waiting) if len(waiting) > 1 else waiting[0]
    rows = hashes.size
    if rows >= MANY:  # the smallest are all among the small ones, unless most of these are the same
        small = _smallest(hashes[hashes <= np.uint64(AMPLE * KEPT * (LARGEST // rows))], rows)
        if small.hashes.size == KEPT:
            return small
    return _smallest(hashes, rows)


def _smallest(hashes: Hashes, rows: int) -> IdSample:
    """The smallest of them with their counts."""
    hashes = hashes.copy()
    hashes.sort()
    if sums.USED:
        size = min(hashes.size, KEPT)
        kept, counts = np.empty(size, dtype=np.uint64), np.empty(size, dtype=np.int64)
        found = sums.distinct(hashes, kept, counts)
        if found >= 0:
            return IdSample(rows, kept[:found], counts[:found])
    begins = _begins(hashes)
    if begins.size == hashes.size:  # as nearly always
        return IdSample(rows, hashes[:KEPT].copy(), np.ones(min(hashes.size, KEPT), dtype=np.int64))
    counts = np.diff(np.append(begins, hashes.size))
    return IdSample(rows, hashes[begins][:KEPT], counts[:KEPT])


def _not_in(others: Hashes, hashes: Hashes) -> NDArray[np.bool_]:
    """Which of some hashes are not among others, both rising."""
    if not others.size:
        return np.ones(hashes.size, dtype=np.bool_)
    return np.asarray(others.take(others.searchsorted(hashes), mode="clip") != hashes)


def _within(hashes: Hashes, bound: int) -> tuple[Hashes, int]:
    """The hashes that are no larger, and how many are not 0, which is none."""
    if sums.USED:
        kept, rows = np.empty(hashes.size, dtype=np.uint64), np.zeros(1, dtype=np.int64)
        found = sums.within(hashes, np.array([bound], dtype=np.uint64), kept, rows)
        if found >= 0:
            return kept if found == kept.size else kept[:found].copy(), int(rows[0])
    return hashes[hashes - np.uint64(1) < np.uint64(bound)], int(np.count_nonzero(hashes))  # less one, 0 is the largest


def _begins(hashes: Hashes) -> NDArray[np.intp]:
    """Where another one begins, in rising order; `np.diff` takes five times as long for a few."""
    new = np.empty(hashes.size, dtype=np.bool_)
    new[:1] = True
    np.not_equal(hashes[1:], hashes[:-1], out=new[1:])
    return new.nonzero()[0]


class Ids:
    """The ids of a sketch: samples of its parts, and rows that wait. What was added as a part can be taken out again."""

    __slots__ = ("_parts", "_pending", "_rows", "_waiting")

    def __init__(self, parts: tuple[IdSample, ...] = ()) -> None:
        self._parts = parts
        self._pending: list[Hashes] = []
        self._waiting = 0  # rows in there
        self._rows = 0  # seen, but of hashes that are too large to matter

    def update(self, hashes: Hashes) -> None:
        """Take the ids of some rows; a row without one has 0."""
        bound = self._parts[0].bound if len(self._parts) == 1 else None
        kept, rows = _within(hashes, LARGEST if bound is None else bound)
        self._rows += rows - kept.size
        if not kept.size:
            return
        self._pending.append(kept)
        self._waiting += kept.size
        if self._waiting >= PENDING:
            self._settle()

    def _settle(self) -> None:
        """Let nothing wait."""
        if self._waiting or self._rows:
            found = merged(self._parts, self._pending) if self._parts else _counted(self._pending)
            self._parts = (IdSample(found.rows + self._rows, found.hashes, found.counts),)
            self._pending, self._waiting, self._rows = [], 0, 0

    @property
    def parts(self) -> tuple[IdSample, ...]:
        """All of it, nothing waiting."""
        if self._waiting or self._rows:
            self._settle()
        return self._parts

    @property
    def sample(self) -> IdSample:
        """The sample of all of it."""
        parts = self.parts
        return parts[0] if len(parts) == 1 else merged(parts) if parts else NONE

    def copy(self) -> "Ids":
        """Return ids that no longer change with these; they are of the same parts."""
        return Ids(self.parts)

    def whole(self) -> "Ids":
        """Return the same as one part."""
        return self if len(self.parts) == 1 else Ids((self.sample,))

    def slid(self, gone: "Ids | None", come: "Ids | None") -> "Ids":
        """Return these without some that were added, and with others."""
        left = self if gone is None else self.less(gone)
        return Ids(left.parts if come is None else left.parts + come.parts)

    def plus(self, other: "Ids") -> "Ids":
        """Return these and others."""
        return Ids(self.parts + other.parts)

    def less(self, other: "Ids") -> "Ids":
        """Return these without others that were added. Raises ValueError where they were not."""
        if len(other.parts) == 1 and self.parts and self.parts[0] is other.parts[0]:  # as where a window slides
            return Ids(self.parts[1:])
        gone = {id(each) for each in other.parts}
        left = tuple(each for each in self.parts if id(each) not in gone)
        if len(left) + len(gone) != len(self.parts):
            raise ValueError("these ids were not added as they are")
        return Ids(left)
