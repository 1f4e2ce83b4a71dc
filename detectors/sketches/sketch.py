"""Integer counts of a window's values on a frozen layout: exact, mergeable in any order, a few hundred bytes a feature."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Counts, Floats, Ints
from detectors.layout import Layout, LayoutMismatchError
from detectors.sketches import sums
from detectors.sketches.counting import COMPILED, count
from detectors.sketches.groups import GroupSizes
from detectors.sketches.ids import Hashes, Ids, IdSample
from detectors.sketches.packed import (
    HEADER,
    LENGTH,
    MAGIC,
    NONE,
    VERSION,
    WITH_GROUPS,
    WITH_IDS,
    WITH_MORE,
    WITH_SCHEMA,
    PackedSketch,
)
from detectors.sketches.schema import SchemaRuns, all_runs
from detectors.sketches.served import Served, ServedCounts
from detectors.sketches.unvaried import Unvaried
from detectors.sketches.violations import Violations, all_violations

MOST = np.iinfo(np.int64).max
FEWEST = np.dtype(np.uint8)  # that the counts of no rows are kept in


class Sketch:
    """The counts of one window (or pane) on its layout; only `update`, `add` and `subtract` change it.

    `counts` is int64[layout.size], a ragged [features x cells] matrix, `kept` the same in whatever width they are held; every row of events adds one to each feature's
    row, so each row of counts sums to `rows`. `ids` are those of the rows, None where no row had one; `groups` what the rows
    belong to, sessions or users, None where that is not told. `served` is how their requests were, None where that is not told;
    `unvaried` which columns hold one value alone, None where nobody has watched, or all vary. `violations` are the rules of a data
    contract that rows break, those rows among them that are counted nowhere else; None where none does. `schema` is what rows tell of
    the columns they have, None where no contract asks, and of windows whose panes change.

    >>> from detectors import CategoricalFeature
    >>> sketch = Sketch.empty(Layout((), (CategoricalFeature("plan", ("free", "pro")),)))
    >>> sketch.update(np.empty((3, 0)), np.array([[0], [1], [0]], dtype=np.int32))
    >>> sketch.row("plan").tolist()
    [2, 1, 0, 0]
    """

    __slots__ = (
        "_counts",
        "_own",
        "_tally",
        "groups",
        "ids",
        "kept",
        "layout",
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
        self._tally: Tally | None = None
        self._own = False  # whether nobody else holds on to what is kept in fewer bits than 64, and it may be wider than it need be
        self.layout = layout
        self.rows = rows
        self.kept = counts
        self._counts: Ints | None = sums.wide(counts) if counts.dtype == sums.INT64 else None  # the very same
        self.ids = ids
        self.groups = groups
        self.served = served
        self.unvaried = unvaried
        self.violations = violations
        self.schema = schema

    @property
    def counts(self) -> Ints:
        """The counts, int64[layout.size]; of those that are kept in fewer bits a copy, made once, that nobody may change."""
        if self._counts is None:
            self._counts = sums.wide(self.kept)
            self._counts.setflags(write=False)
        return self._counts

    def _changing(self) -> Ints:
        """The counts, of which another state comes now."""
        self._tally = None
        self._counts = self.kept = sums.wide(self.kept)
        return self._counts

    def _room(self, rows: int) -> Counts:
        """The counts, to which so many rows come now, in integers that hold them, and held by nobody else."""
        self._tally = None
        kind = sums.kind_of(self.rows + rows) if COMPILED else sums.INT64
        if self.kept.itemsize < kind.itemsize:
            self.kept, self._own = self.kept.astype(kind), True
        elif not self._own and self.kept.itemsize < sums.INT64.itemsize:
            self.kept, self._own = self.kept.copy(), True
        self._counts = sums.wide(self.kept) if self.kept.dtype == sums.INT64 else None
        return self.kept

    @classmethod
    def empty(cls, layout: Layout, *, watched: bool = False) -> Self:
        """Return a sketch of no rows; `watched`: it notes which columns hold one value alone."""
        found = cls(layout, 0, np.zeros(layout.size, dtype=FEWEST), unvaried=Unvaried.of(layout) if watched else None)
        found._own = True
        return found

    def update(self, numeric: Floats, codes: NDArray[np.int32], places: Ints | None = None) -> None:
        """Count a batch: numeric float64[n, k] with NaN as missing, codes int32[n, c] as `Reference.encode` gives them.

        A code is 0..K-1 for a known category, K for any other, K + 1 for missing. Of these rows those at `places` int64[m] are
        meant, None: all. Raises ValueError for another shape, code or place, and then counts nothing.
        """
        rows = len(numeric) if places is None else len(places)
        count(self.layout, numeric, codes, self._room(rows), places)
        self.rows += rows
        if self.unvaried is not None:
            self.unvaried.update(numeric, codes, places)

    def identify(self, hashes: Hashes) -> None:
        """Take the ids of rows that were counted, uint64[n] hashes; 0 is none."""
        self._tally = None
        if self.ids is None and hashes.any():
            self.ids = Ids()
        if self.ids is not None:
            self.ids.update(hashes)

    def assign(self, hashes: Hashes) -> None:
        """Take the groups of rows that were counted, uint64[n] hashes; 0 is none."""
        self._tally = None
        if self.groups is None and hashes.any():
            self.groups = GroupSizes()
        if self.groups is not None:
            self.groups.update(hashes)

    def serve(self, served: Served) -> None:
        """Take how the requests of rows that were counted were served, int16[n, 2]."""
        self._tally = None
        if self.served is None:
            self.served = ServedCounts()
        self.served.update(served)

    def violate(self, found: Violations) -> None:
        """Take the rules of a data contract that rows break, those of rows that are not counted included."""
        self._tally = None
        self.violations = all_violations(self.violations, found)

    def note_schema(self, found: SchemaRuns) -> None:
        """Take what rows tell of the columns they have; in each partition they came after those before."""
        self.schema = all_runs(self.schema, found)

    def add(self, other: "Sketch | PackedSketch") -> None:
        """Add the other's counts to these. Raises LayoutMismatchError when the layouts differ."""
        self.layout.same_as(other.layout)
        self.unvaried = self._unvaried_with(other)
        sums.add(self._changing(), other.kept[None])
        self.rows += other.rows
        self.ids = _both(self.ids, other.ids)
        self.groups = _all(self.groups, other.groups)
        self.served = _sum(self.served, other.served)
        self.violations = all_violations(self.violations, other.violations)
        self.schema = all_runs(self.schema, other.schema)

    def settle(self) -> None:
        """Put the ids of all parts together: a sum that nothing is taken out of again would else keep those of everything it was made of."""
        self.ids = None if self.ids is None else self.ids.whole()

    def subtract(self, part: "Sketch | PackedSketch") -> None:
        """Take counts out again that were added before. Raises LayoutMismatchError when the layouts differ."""
        self.layout.same_as(part.layout)
        sums.subtract(self._changing(), part.kept[None])
        self.rows -= part.rows
        if self.ids is not None and part.ids is not None:
            self.ids = self.ids.less(part.ids)
        if self.groups is not None and part.groups is not None:
            self.groups = self.groups.less(part.groups)
        if self.served is not None and part.served is not None:
            self.served = self.served.less(part.served)
        self.unvaried = self.schema = (
            None  # what has varied may have been what is taken out, and so what a run began with
        )
        if self.violations is not None and part.violations is not None:
            self.violations = self.violations.less(part.violations)

    def merge(self, other: "Sketch") -> "Sketch":
        """Return the sketch of both together: integer addition, so order never matters."""
        self.layout.same_as(other.layout)
        ids, groups = _both(self.ids, other.ids), _all(self.groups, other.groups)
        more = _sum(self.served, other.served), self._unvaried_with(other)
        told = all_violations(self.violations, other.violations), all_runs(self.schema, other.schema)
        return Sketch(self.layout, self.rows + other.rows, self.counts + other.counts, ids, groups, *more, *told)

    def _unvaried_with(self, other: "Sketch | PackedSketch") -> Unvaried | None:
        if not self.rows or not other.rows:
            held = self.unvaried if self.rows else other.unvaried
            return None if held is None else held.copy()
        return None if self.unvaried is None or other.unvaried is None else self.unvaried.plus(other.unvaried)

    def slid(self, gone: "Sketch | PackedSketch | None", come: "Sketch | PackedSketch | None") -> "Sketch":
        """Return these counts without some that were added before, and with others: those of the next window.

        Raises LayoutMismatchError when the layouts differ.
        """
        if gone is None or come is None or not self.plain or not gone.plain or not come.plain:
            return self._slid(gone, come)
        if not self.layout is gone.layout is come.layout:
            self.layout.same_as(gone.layout)
            self.layout.same_as(come.layout)
        counts, rows = sums.slid(self.kept, gone.kept, come.kept), self.rows - gone.rows + come.rows
        ids = _both(None, come.ids) if self.ids is None else self.ids.slid(gone.ids, come.ids)
        unvaried = come.unvaried if rows == come.rows else None
        return Sketch(self.layout, rows, counts, ids, unvaried=unvaried)

    def _slid(self, gone: "Sketch | PackedSketch | None", come: "Sketch | PackedSketch | None") -> "Sketch":
        total = self.copy()
        if gone is not None:
            total.subtract(gone)
        if come is not None:
            total.add(come)
        total.narrow()
        return total

    def narrow(self) -> None:
        """Hold the counts in the smallest integers that hold them."""
        self.kept = counts = sums.narrowed(self.kept)
        self._counts = sums.wide(counts) if counts.dtype == sums.INT64 else None

    def copy(self) -> "Sketch":
        """Return a sketch that no longer changes with this one."""
        parts = _both(self.ids, None), _all(self.groups, None), _sum(self.served, None), self.unvaried
        counts = self._shared() if self.kept.dtype != sums.INT64 else self.kept.copy()
        return Sketch(self.layout, self.rows, counts, *parts, self.violations, self.schema)

    def packed(self) -> PackedSketch:
        """Return the same counts, to be kept."""
        parts = self.ids, self.groups, self.served, self.unvaried, self.violations, self.schema
        return PackedSketch(self.layout, self.rows, self._shared(), *parts)

    def _shared(self) -> Counts:
        """The counts, as others may hold on to them: in fewer bits than 64 they are in the fewest, and not changed any more."""
        if self._own:
            self.kept, self._own = sums.narrowed(self.kept), False
        return self.kept

    @classmethod
    def unpacked(cls, kept: PackedSketch) -> Self:
        """Return a sketch of kept counts."""
        ids = None if kept.ids is None else kept.ids.copy()
        groups = None if kept.groups is None else kept.groups.copy()
        parts = ids, groups, None if kept.served is None else kept.served.copy(), kept.unvaried
        counts = kept.counts.copy() if kept.counts.dtype == sums.INT64 else kept.counts
        return cls(kept.layout, kept.rows, counts, *parts, kept.violations, kept.schema)

    def row(self, name: str) -> Ints:
        """Return the named feature's counts, a view in the layout of its feature. Raises KeyError."""
        return self.layout.row(self.counts, name)

    @property
    def plain(self) -> bool:
        """Whether nothing but counts and ids is told."""
        return self.groups is None and self.served is None and self.violations is None and self.schema is None

    @property
    def usable(self) -> Ints:
        """Rows with a value, int64[f]."""
        return np.asarray(self.rows - self.missing)

    @property
    def missing(self) -> Ints:
        """Rows without a value (absent or non-finite), int64[f]."""
        return np.asarray(sums.missing(self.layout, self.kept[None])[0])

    @property
    def unseen(self) -> Ints:
        """Rows outside the reference's range or categories, int64[f]."""
        return unseen(self.layout, self.kept)

    @property
    def arrived(self) -> int:
        """The rows, and those that are left out of them."""
        return self.rows + (0 if self.violations is None else self.violations.excluded)

    @property
    def volume(self) -> int:
        """How many rows there were: those that arrived, and, as estimated, those that a sampled log left out."""
        return self.rows if self.violations is None else self.violations.volume(self.rows)

    def tally(self) -> "Tally":
        """Return what several detectors ask for, worked out once as long as nothing is counted."""
        if self._tally is None:
            self._tally = Tally(self)
        return self._tally

    def to_bytes(self) -> bytes:
        """Write the counts in the smallest unsigned integers that hold them, with layout, version and checksum."""
        return self.packed().to_bytes()

    @classmethod
    def from_bytes(cls, layout: Layout, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes, LayoutMismatchError for another layout's."""
        if len(data) < HEADER.size + 4 or data[:4] != MAGIC:
            raise ValueError("these bytes are no sketch")
        if zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("the sketch is damaged: its checksum does not fit")
        _, version, width, layout_id, rows = HEADER.unpack_from(data)
        if not VERSION <= version <= WITH_SCHEMA:
            raise ValueError(f"the sketch has format {version}, this version reads {VERSION} to {WITH_SCHEMA}")
        if layout_id.hex() != layout.id:
            raise LayoutMismatchError(f"the sketch belongs to layout {layout_id.hex()}, not to {layout.id}")
        body = data[HEADER.size : -4]
        behind = Behind()
        if version > VERSION:
            body, rest = body[: width * layout.size], body[width * layout.size :]
            behind = _behind(version, rest, layout)
        if width not in {1, 2, 4, 8} or len(body) != width * layout.size:
            raise ValueError(f"the sketch should have {layout.size} counts of 1, 2, 4 or 8 bytes")
        counts = np.frombuffer(body, dtype=f"<u{width}").astype(np.int64)
        if rows > MOST or (counts < 0).any() or (np.add.reduceat(counts, layout.offsets[:-1]) != rows).any():
            raise ValueError(f"the sketch is damaged: its counts do not add up to {rows} rows")
        for what, told in behind.rows.items():
            if told > rows:
                raise ValueError(f"the sketch is damaged: more {what} than its {rows} rows")
        contract = behind.violations, behind.schema
        return cls(layout, rows, counts, behind.ids, behind.groups, behind.served, behind.unvaried, *contract)


@dataclass(frozen=True, slots=True)
class Behind:
    """What stands behind the counts."""

    ids: Ids | None = None
    groups: GroupSizes | None = None
    served: ServedCounts | None = None
    unvaried: Unvaried | None = None
    violations: Violations | None = None
    schema: SchemaRuns | None = None

    @property
    def excluded(self) -> int:
        """Rows that are counted as violations alone."""
        return 0 if self.violations is None else self.violations.excluded

    @property
    def rows(self) -> dict[str, int]:
        """How many of the counted rows each of them tells of; requests are of rows that are left out as well."""
        return {
            "ids": 0 if self.ids is None else self.ids.sample.rows,
            "rows of groups": 0 if self.groups is None else self.groups.rows,
            "requests": 0 if self.served is None else max(self.served.timed, self.served.told) - self.excluded,
        }


def _behind(version: int, data: bytes, layout: Layout) -> Behind:
    """What stands behind the counts. Raises ValueError for damaged bytes."""
    if version == WITH_IDS:
        return Behind(_ids(data))
    if version == WITH_GROUPS:
        [named], sizes = _parts(data, 1)
        return Behind(_ids(named) if named else None, GroupSizes.from_bytes(sizes))
    parts, rest = _parts(data, 4 + version - WITH_MORE)
    if rest:
        raise ValueError("the sketch is damaged: it goes on behind its end")
    ids, groups, served, unvaried, broken, schema = parts + [None] * (WITH_SCHEMA - version)
    return Behind(
        None if ids is None else _ids(ids),
        None if groups is None else GroupSizes.from_bytes(groups),
        None if served is None else ServedCounts.from_bytes(served),
        None if unvaried is None else Unvaried.from_bytes(layout, unvaried),
        None if broken is None else Violations.from_bytes(broken),
        None if schema is None else SchemaRuns.from_bytes(schema),
    )


def _parts(data: bytes, count: int) -> tuple[list[bytes | None], bytes]:
    """So many parts with their lengths, None for one that is not there, and what follows. Raises ValueError for damaged bytes."""
    parts: list[bytes | None] = []
    for _ in range(count):
        size = LENGTH.unpack_from(data)[0] if len(data) >= LENGTH.size else len(data)
        if size != NONE and size > len(data) - LENGTH.size:
            raise ValueError("the sketch is damaged: it ends too early")
        last = LENGTH.size + (0 if size == NONE else size)
        parts.append(None if size == NONE else data[LENGTH.size : last])
        data = data[last:]
    return parts, data


def _ids(data: bytes) -> Ids:
    return Ids((IdSample.from_bytes(data),))


def _sum(one: ServedCounts | None, other: ServedCounts | None) -> ServedCounts | None:
    if one is None or other is None:
        found = one if other is None else other
        return None if found is None else found.copy()
    return one.plus(other)


def _all(one: GroupSizes | None, other: GroupSizes | None) -> GroupSizes | None:
    if one is None or other is None:
        found = one if other is None else other
        return None if found is None else found.copy()
    return one.plus(other)


def _both(one: Ids | None, other: Ids | None) -> Ids | None:
    if one is None or other is None:
        found = one if other is None else other
        return None if found is None else found.copy()
    return one.plus(other)


class Tally:
    """What the detectors ask of one window's counts, which must not change meanwhile: rows by what became of them, int64[f].

    `kept` are the counts in whatever width they are held, to be gone through; `counts` int64[size].
    `all` int64[f] are the rows themselves and `some` bool[f] whether there is any: the same for each feature. `most` are the rows in
    the cell of values that has most of them. `ids` are those of the rows, None where no row had one; `groups` what they belong to,
    `served` how their requests were served. `arrived` are the rows and those that are left out of them, `volume` with
    those that a sampled log left out. `beside` is what else is known of them, None: nothing.
    """

    __slots__ = (
        "_counts",
        "_enough",
        "_missing",
        "_most",
        "_shifts",
        "_unseen",
        "_usable",
        "arrived",
        "beside",
        "groups",
        "ids",
        "kept",
        "layout",
        "rows",
        "served",
        "volume",
    )

    def __init__(self, sketch: Sketch) -> None:
        self.layout = sketch.layout
        self.rows = sketch.rows
        self.beside = beside = sketch.violations
        self.arrived, self.volume = (self.rows, self.rows) if beside is None else (sketch.arrived, sketch.volume)
        self.kept = sketch.kept
        self._counts: Ints | None = None
        self._enough: tuple[int, Bools] | None = None
        self.ids = sketch.ids
        self.groups = sketch.groups
        self.served = sketch.served
        self._missing: Ints | None = None
        self._most: Ints | None = None
        self._usable: Ints | None = None
        self._unseen: Ints | None = None
        self._shifts: tuple[object, Floats] | None = None

    @property
    def counts(self) -> Ints:
        """The counts, int64[size]."""
        if self._counts is None:
            self._counts = sums.wide(self.kept)
        return self._counts

    @property
    def missing(self) -> Ints:
        """Rows without a value, int64[f]."""
        if self._missing is None:
            self._missing = sums.missing(self.layout, self.kept[None])[0]
        return self._missing

    @property
    def most(self) -> Ints:
        """Rows in the fullest cell of values, int64[f]."""
        if self._most is None:
            self._most = sums.fullest(self.layout, self.kept[None])[0]
        return self._most

    @property
    def usable(self) -> Ints:
        """Rows with a value, int64[f]."""
        if self._usable is None:
            self._usable = self.rows - self.missing
        return self._usable

    def know(self, usable: Ints) -> None:
        """Take the rows with a value, found with those of other windows."""
        self._usable = usable

    def enough(self, least: int) -> Bools:
        """Whether there are so many rows with a value, and one at least, bool[f]; worked out once for the last number asked for."""
        held = self._enough  # another thread may ask, too
        if held is None or held[0] != least:
            held = self._enough = least, self.usable >= max(1, least)
        return held[1]

    @property
    def unseen(self) -> Ints:
        """Rows outside the reference's range or categories, int64[f]."""
        if self._unseen is None:
            self._unseen = unseen(self.layout, self.kept)
        return self._unseen

    def shifts(self, of: object, work_out: Callable[["Tally"], Floats]) -> Floats:
        """Return how far the means of numbers are from those of a baseline, float64[k], worked out once for the last one that asks."""
        held = self._shifts  # another thread may ask, too
        if held is None or held[0] is not of:
            held = self._shifts = of, work_out(self)
        return held[1]

    @property
    def all(self) -> Ints:
        """All rows, int64[f]."""
        return np.full(len(self.layout.names), self.rows)

    @property
    def some(self) -> Bools:
        """Whether there is any, bool[f]."""
        return np.full(len(self.layout.names), self.rows > 0)


def unseen(layout: Layout, counts: Counts) -> Ints:
    """Return the rows outside the reference's range or categories, int64[f]."""
    beyond = sums.wide(counts[layout.beyond])
    beyond[: layout.starts.size] += counts[layout.starts]
    return np.asarray(beyond)
