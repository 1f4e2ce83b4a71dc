"""Passes over data that lies in parts: each part gives counts by name, and counts are merged by addition, in any order.

Nothing but counts leaves a part: how many rows there are; of a number how often its values occur, or runs of neighbouring ones; of a
category its texts with their counts; sums as exact integers. A pass can be pickled, so that it is made where the data is.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.calibration.cells import MergedCells
from detectors.calibration.collect import Placed, WindowTally
from detectors.columns import Coded, Column, as_codes, as_columns, as_written_floats, distinct, infer_kind, refuse_time
from detectors.encoding import PREDICTION
from detectors.features import LARGEST, CategoricalFeature, Codes, Floats, Ints, Kind, NumericFeature
from detectors.layout import Layout
from detectors.performance import exact
from detectors.reference.arrivals import MOST_HELD, Arrivals, nanoseconds
from detectors.reference.copies import CELLS
from detectors.reference.fit import RawChunk, as_chunk, rows_of
from detectors.reference.grouping import GroupColumn
from detectors.reference.profiles import HELD
from detectors.reference.value_cells import ValueCells, keys_of, merged
from detectors.reference.workers import Workers
from detectors.sketches.groups import PLACES
from detectors.sketches.placing import ColumnCells
from detectors.spellings import CategoryCodes
from detectors.tables import TableLike, columns_of, refuse_strange, times_of

ROWS = "\0rows"  # the name under which a pass gives what belongs to rows; a column may be called "", as pandas writes an index to CSV
Parts = dict[str, bytes]
FAR = 1000  # powers of two within which a product scales as exactly as ldexp


class CountingPass(Protocol):
    """One pass: what it counts in one part of the data, and how counts of one name are merged."""

    @property
    def reading(self) -> "ReadAs":
        """How it reads columns."""

    def __call__(self, chunks: Iterable[RawChunk], workers: Workers | None = None) -> Parts:
        """Count one part. Raises ValueError naming the column that cannot be counted."""

    def merge(self, name: str, parts: Iterable[bytes]) -> bytes:
        """Return the counts of several parts together."""


@dataclass(frozen=True, slots=True)
class ReadAs:
    """Which columns are no features, and which one is the prediction."""

    prediction: str | None = None
    timestamp: str | None = None
    window_ns: int | None = None
    group: GroupColumn | None = None

    def chunk(self, raw: RawChunk) -> dict[str, Column]:
        """Return the columns of a chunk."""
        return as_chunk(raw, self.prediction)

    def columns(self, table: TableLike) -> RawChunk:
        """Return a table's columns, as `Reference.fit` takes them. Raises ValueError naming a column of what no feature is made of."""
        columns = columns_of(table)
        if self.timestamp is not None and self.timestamp in columns:
            columns[self.timestamp] = times_of(table, self.timestamp)
        refuse_strange(columns)
        if self.group is not None and self.group.name in columns:
            refuse_time(self.group.name, as_columns({self.group.name: columns[self.group.name]})[self.group.name])
        return columns

    def is_feature(self, name: str) -> bool:
        """Whether a column is counted as one."""
        return name != self.timestamp and (self.group is None or name != self.group.name)


class RowsSeen(msgspec.Struct):
    """Of the first pass: rows, whether there is a column of groups, when rows happened."""

    rows: int = 0
    grouped: bool = False
    first: int | None = None
    last: int | None = None
    windows: dict[int, int] = msgspec.field(default_factory=dict)
    minutes: bytes = b""

    @classmethod
    def of(cls, rows: int, arrivals: Arrivals, *, grouped: bool) -> "RowsSeen":
        """Return what arrivals say."""
        minutes = np.array(sorted(arrivals.minutes), dtype="<i8")
        return cls(
            rows, grouped, arrivals.first, arrivals.last, dict(arrivals.rows), zlib.compress(minutes.tobytes(), 1)
        )

    def arrivals(self, window_ns: int | None) -> Arrivals:
        """Return the same as arrivals."""
        minutes = np.frombuffer(zlib.decompress(self.minutes), "<i8").tolist() if self.minutes else []
        return Arrivals(window_ns, self.first, self.last, Counter(self.windows), minutes=set(minutes))


class ColumnSeen(msgspec.Struct):
    """Of the first pass: one column. `rank` is its place among the columns of a chunk, `kind` None while it shows no value."""

    rank: int
    kind: Kind | None = None
    halves: bool = True
    cells: bytes = b""
    texts: list[tuple[bytes, int]] = msgspec.field(default_factory=list)


class ColumnLook:
    """What a column holds, in the first pass."""

    def __init__(self, name: str, rank: int, given: Kind | None) -> None:
        self._name = name
        self._given = given
        self.rank = rank
        self.kind: Kind | None = None
        self.halves = True
        self.cells = ValueCells()
        self.texts: Counter[str] = Counter()

    def add(self, column: Column) -> None:
        """Take a column of any kind. Raises ValueError for times, and where its kind is now this, now that."""
        refuse_time(self._name, column)
        self._is(self._given or infer_kind(column))
        if self.kind is Kind.NUMERIC:
            self.halves &= not isinstance(column, Coded) and column.dtype == np.float16
            self.cells.add(as_written_floats(column))
        elif self.kind is Kind.CATEGORICAL:
            self._count(column)

    def _is(self, kind: Kind | None) -> None:
        if kind is not None and self.kind not in {None, kind}:
            raise ValueError(
                f"{self._name}: numbers in some parts and texts or truth in others; kinds= says which it is"
            )
        self.kind = kind or self.kind

    def _count(self, column: Column) -> None:
        texts, rows = distinct(column)
        counts = np.bincount(rows, minlength=len(texts)).tolist()
        for text, count in zip(texts, counts, strict=True):
            if text is not None and count:
                self.texts[text] += count
        self._refuse_many()

    def _refuse_many(self) -> None:
        if len(self.texts) > HELD:
            raise ValueError(
                f"{self._name}: more than {HELD:,} different texts cannot be counted in any order: is it an identifier? leave it out"
            )

    def take(self, seen: ColumnSeen) -> None:
        """Take what was seen of the column elsewhere. Raises ValueError as `add` does."""
        self.rank = min(self.rank, seen.rank)
        self._is(seen.kind)
        self.halves &= seen.halves
        if seen.cells:
            self.cells.merge(ValueCells.from_bytes(seen.cells))
        for text, count in seen.texts:
            self.texts[text.decode(errors="surrogatepass")] += count
        self._refuse_many()

    def seen(self) -> ColumnSeen:
        """Return all of it."""
        texts = [(text.encode(errors="surrogatepass"), count) for text, count in self.texts.items()]
        cells = self.cells.to_bytes() if self.kind is Kind.NUMERIC else b""
        return ColumnSeen(self.rank, self.kind, self.halves, cells, texts)


@dataclass(frozen=True, slots=True)
class FirstLook:
    """First pass: which columns there are, how often their values occur, and when rows happened."""

    reading: ReadAs
    kinds: Mapping[str, Kind]

    def __call__(self, chunks: Iterable[RawChunk], workers: Workers | None = None) -> Parts:
        """Count one part."""
        reading, columns, rows, grouped = self.reading, dict[str, ColumnLook](), 0, False
        arrivals, workers = Arrivals(reading.window_ns), workers or Workers()
        for chunk in map(reading.chunk, chunks):
            grouped |= reading.group is not None and reading.group.name in chunk
            for rank, name in enumerate(filter(reading.is_feature, chunk)):
                look = columns.setdefault(name, ColumnLook(name, rank, self.kinds.get(name)))
                look.rank = min(look.rank, rank)
            if reading.timestamp in chunk:
                arrivals.add(str(reading.timestamp), chunk[str(reading.timestamp)])
                _refuse_many_windows(len(arrivals.rows))
            workers.all(
                partial(columns[name].add, column) for name, column in chunk.items() if reading.is_feature(name)
            )
            rows += rows_of(chunk)
        found = {name: msgspec.msgpack.encode(look.seen()) for name, look in columns.items()}
        return {ROWS: msgspec.msgpack.encode(RowsSeen.of(rows, arrivals, grouped=grouped)), **found}

    def merge(self, name: str, parts: Iterable[bytes]) -> bytes:
        """Return the counts of several parts together."""
        if name == ROWS:
            return msgspec.msgpack.encode(self._rows(parts))
        seen = [msgspec.msgpack.decode(part, type=ColumnSeen) for part in parts]
        whole = ColumnLook(name, seen[0].rank, self.kinds.get(name))
        for each in seen:
            whole.take(each)
        return msgspec.msgpack.encode(whole.seen())

    def _rows(self, parts: Iterable[bytes]) -> RowsSeen:
        rows, grouped, arrivals = 0, False, Arrivals(self.reading.window_ns)
        for part in parts:
            seen = msgspec.msgpack.decode(part, type=RowsSeen)
            rows, grouped = rows + seen.rows, grouped | seen.grouped
            arrivals.take(seen.arrivals(self.reading.window_ns))
            _refuse_many_windows(len(arrivals.rows))
        return RowsSeen.of(rows, arrivals, grouped=grouped)


def _refuse_many_windows(windows: int) -> None:
    if windows > MOST_HELD:
        raise ValueError(
            f"rows lie in more than {MOST_HELD:,} windows: fewer can be counted in any order; take longer windows"
        )


@dataclass(frozen=True, slots=True, eq=False)
class CloserLook:
    """A pass that is made where a run of values holds much and is not one value: what is inside of it.

    `runs` are the least and the largest key of each such run, rising, int64[m] each, by column.
    """

    reading: ReadAs
    runs: Mapping[str, tuple[Ints, Ints]]

    def __call__(self, chunks: Iterable[RawChunk], workers: Workers | None = None) -> Parts:
        """Count one part."""
        cells, workers = {name: ValueCells() for name in self.runs}, workers or Workers()
        for chunk in map(self.reading.chunk, chunks):
            workers.all(partial(self._add, cells[name], name, chunk[name]) for name in self.runs if name in chunk)
        return {name: held.to_bytes() for name, held in cells.items()}

    def _add(self, cells: ValueCells, name: str, column: Column) -> None:
        least, most = self.runs[name]
        keys = keys_of(as_written_floats(column))  # what is not finite lies outside of every run
        run = np.searchsorted(least, keys, side="right") - 1
        cells.add_keys(keys[(run >= 0) & (keys <= most[run])])

    def merge(self, name: str, parts: Iterable[bytes]) -> bytes:  # noqa: ARG002 - as other passes have it
        """Return the counts of several parts together."""
        return merged(parts).to_bytes()


@dataclass(frozen=True, slots=True)
class Scaling:
    """How values are made small before they are summed: times 2**`power`, less `shift`; then none is above 1 in size."""

    power: int
    shift: float

    def small(self, values: Floats) -> Floats:
        """Return float64[n] of finite values."""
        scaled = values * 2.0**self.power if abs(self.power) < FAR else np.ldexp(values, self.power)
        return np.asarray(scaled - self.shift)

    def large(self, small: float) -> float:
        """Return the value again, at most the largest there is."""
        return self.length(small + self.shift)

    def length(self, small: float) -> float:
        """Return how far apart values are, at most the largest number, given how far their small forms are."""
        with np.errstate(over="ignore"):
            return float(np.clip(np.ldexp(small, -self.power), -LARGEST, LARGEST))


class CountsSent(msgspec.Struct):
    """Of the last pass: one feature.

    `cells` int64 are the counts of its row, of so many `rows`; `sums` exact ones of small values by usable cell, then of their squares. `windows`
    int32[m] have `held` uint32[m, width]. `joint` int64[8, 8]: rows by its group of cells and the prediction's.
    """

    rows: int
    cells: bytes
    sums: bytes = b""
    windows: bytes = b""
    held: bytes = b""
    joint: bytes = b""


class WindowRows(msgspec.Struct):
    """Of the last pass: rows by window, int64[k], and what their groups add up to, int32[k, 512] of int64[k] that say theirs."""

    rows: int
    by_window: bytes = b""
    sums: bytes = b""
    grouped: bytes = b""


@dataclass(slots=True, eq=False)
class FeatureCounts:
    """The counts of one feature, in the last pass; `totals` are exact sums, see `CountsSent`."""

    cells: Ints
    totals: list[int] = field(default_factory=list)
    joint: Ints = field(default_factory=lambda: np.zeros((CELLS, CELLS), dtype=np.int64))
    rows: int = 0

    def take(self, other: CountsSent) -> None:
        """Add what was counted elsewhere, but for its windows."""
        self.rows += other.rows
        self.cells = self.cells + _ints(other.cells)
        if other.sums:
            theirs = exact.from_bytes(other.sums, len(self.totals))
            self.totals = [one + more for one, more in zip(self.totals, theirs, strict=True)]
        if other.joint:
            self.joint = self.joint + _ints(other.joint).reshape(CELLS, CELLS)


@dataclass(frozen=True, slots=True, eq=False)
class CountPlan:
    """What the last pass counts on. `windows` are the numbers of those that occur, `merged` where their merged cells are cut and joined; None where none are.

    `scales` by number. `groups` by feature: the group of each cell, beside that of the prediction; none without one.
    """

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]
    scales: Mapping[str, Scaling]
    windows: Ints | None = None
    merged: tuple[tuple[Ints, ...], tuple[Ints, ...]] | None = None
    groups: Mapping[str, Ints] = field(default_factory=dict)

    @property
    def features(self) -> tuple[NumericFeature | CategoricalFeature, ...]:
        """All of them, in the layout's order."""
        return (*self.numeric, *self.categorical)

    def tally(self, window_ns: int | None) -> WindowTally | None:
        """Return an empty tally of the windows; None where none are cut."""
        if self.windows is None or self.merged is None or window_ns is None:
            return None
        cells = MergedCells(Layout(self.numeric, self.categorical), *self.merged)
        return WindowTally(cells, window_ns, self.windows)

    def empty(self, feature: NumericFeature | CategoricalFeature) -> FeatureCounts:
        """Return no counts of a feature."""
        numeric = isinstance(feature, NumericFeature)
        return FeatureCounts(np.zeros(feature.cells, dtype=np.int64), [0] * (feature.usable + 1 if numeric else 0))


class NumberCounter:
    """Counts one number: cells, and exact sums of its values and of their squares."""

    def __init__(self, feature: NumericFeature, scale: Scaling, counts: FeatureCounts) -> None:
        self._feature, self._scale, self._counts = feature, scale, counts
        self._cells = ColumnCells(feature.edges)

    def add(self, column: Column) -> Codes:
        """Take a column. Returns the cell of each row."""
        values = as_written_floats(column)
        cells = self._cells.add(values)
        inside = cells < self._feature.usable
        small = self._scale.small(values[inside])
        size = self._feature.usable
        sums = exact.exact_sums(small, cells[inside].astype(np.int64), size)
        sums += exact.exact_columns([np.square(small)])
        totals = self._counts.totals
        totals[:] = [one + more for one, more in zip(totals, sums, strict=True)]
        self._counts.cells = self._cells.counts
        return cells


class CategoryCounter:
    """Counts one category."""

    def __init__(self, feature: CategoricalFeature, counts: FeatureCounts) -> None:
        self._codes, self._counts = CategoryCodes(feature.categories), counts

    def add(self, column: Column) -> Codes:
        """Take a column. Returns the cell of each row."""
        codes = as_codes(column, self._codes)
        self._counts.cells += np.bincount(codes, minlength=self._counts.cells.size)
        return codes


@dataclass(frozen=True, slots=True, eq=False)
class LastCount:
    """The last pass: every feature on its bins or categories, exact sums, and windows where there are any."""

    reading: ReadAs
    plan: CountPlan

    def __call__(self, chunks: Iterable[RawChunk], workers: Workers | None = None) -> Parts:
        """Count one part."""
        reading, plan, rows, workers = self.reading, self.plan, 0, workers or Workers()
        tally = plan.tally(reading.window_ns)
        counts = {feature.name: plan.empty(feature) for feature in plan.features}
        counters: dict[str, NumberCounter | CategoryCounter] = {
            each.name: NumberCounter(each, plan.scales[each.name], counts[each.name]) for each in plan.numeric
        }
        counters |= {each.name: CategoryCounter(each, counts[each.name]) for each in plan.categorical}
        for chunk in map(reading.chunk, chunks):
            rows += rows_of(chunk)
            placed, cells = self._place(tally, chunk), dict[str, Codes]()
            workers.all(
                partial(self._count, at, name, counter, chunk[name], placed, cells)
                for at, (name, counter) in enumerate(counters.items())
                if name in chunk
            )
            for name, held in cells.items():
                counts[name].rows += rows_of(chunk)
                self._with_prediction(counts[name], name, held, cells)
        return self._parts(rows, counts, tally)

    @staticmethod
    def _count(
        at: int,
        name: str,
        counter: NumberCounter | CategoryCounter,
        column: Column,
        placed: Placed | None,
        cells: dict[str, Codes],
    ) -> None:
        cells[name] = counter.add(column)
        if placed is not None:
            placed.add(at, cells[name])

    def _with_prediction(self, counts: FeatureCounts, name: str, held: Codes, cells: Mapping[str, Codes]) -> None:
        groups = self.plan.groups
        if name == PREDICTION or name not in groups or PREDICTION not in cells:
            return
        ours, said = groups[name][held], groups[PREDICTION][cells[PREDICTION]]
        both = (ours >= 0) & (said >= 0)
        pairs = np.bincount(ours[both] * CELLS + said[both], minlength=CELLS * CELLS)
        counts.joint += pairs.reshape(CELLS, CELLS)

    def _place(self, tally: WindowTally | None, chunk: Mapping[str, Column]) -> Placed | None:
        name, group = self.reading.timestamp, self.reading.group
        if tally is None or name is None or name not in chunk:
            return None
        hashes = None if group is None else group.hashes(chunk.get(group.name), rows_of(chunk))
        return tally.place(nanoseconds(name, chunk[name]), hashes)

    def _parts(self, rows: int, counts: Mapping[str, FeatureCounts], tally: WindowTally | None) -> Parts:
        found = {ROWS: msgspec.msgpack.encode(_rows_of(rows, tally))}
        for at, (name, held) in enumerate(counts.items()):
            windows = None if tally is None else tally.part(at)
            found[name] = msgspec.msgpack.encode(_written(held, windows))
        return found

    def merge(self, name: str, parts: Iterable[bytes]) -> bytes:
        """Return the counts of several parts together."""
        if name == ROWS:
            return msgspec.msgpack.encode(self._merged_rows(parts))
        at = next(at for at, feature in enumerate(self.plan.features) if feature.name == name)
        tally = self.plan.tally(self.reading.window_ns)
        counts = self.take(at, tally, parts)
        return msgspec.msgpack.encode(_written(counts, None if tally is None else tally.part(at)))

    def take(self, at: int, tally: WindowTally | None, parts: Iterable[bytes]) -> FeatureCounts:
        """Return the counts of a feature, `at` in the layout's order, in several parts, and put its windows into the tally."""
        whole = self.plan.empty(self.plan.features[at])
        for part in parts:
            counts = msgspec.msgpack.decode(part, type=CountsSent)
            whole.take(counts)
            if tally is not None and counts.windows:
                held = np.frombuffer(zlib.decompress(counts.held), "<u4").reshape(-1, tally.cells.width)
                tally.take(at, np.frombuffer(zlib.decompress(counts.windows), "<i8"), held)
        return whole

    def _merged_rows(self, parts: Iterable[bytes]) -> WindowRows:
        tally = self.plan.tally(self.reading.window_ns)
        return _rows_of(self.take_rows(tally, parts), tally)

    @staticmethod
    def take_rows(tally: WindowTally | None, parts: Iterable[bytes]) -> int:
        """Return how many rows several parts have, and put those of each window into the tally."""
        rows = 0
        for part in parts:
            seen = msgspec.msgpack.decode(part, type=WindowRows)
            rows += seen.rows
            if tally is not None and seen.by_window:
                sums = np.frombuffer(zlib.decompress(seen.sums), "<i4").reshape(-1, PLACES) if seen.sums else None
                tally.take_rows(_ints(seen.by_window), sums, _ints(seen.grouped) if seen.sums else None)
        return rows


def _rows_of(rows: int, tally: WindowTally | None) -> WindowRows:
    if tally is None:
        return WindowRows(rows)
    by_window, sums, grouped = tally.rows_part()
    if sums is None or grouped is None:
        return WindowRows(rows, _bytes(by_window))
    return WindowRows(rows, _bytes(by_window), zlib.compress(sums.astype("<i4").tobytes(), 1), _bytes(grouped))


def _written(counts: FeatureCounts, windows: tuple[Ints, NDArray[np.uint32]] | None) -> CountsSent:
    found = CountsSent(counts.rows, _bytes(counts.cells), exact.to_bytes(counts.totals) if counts.totals else b"")
    if counts.joint.any():
        found.joint = _bytes(counts.joint)
    if windows is not None:
        numbers, held = windows
        found.windows = _bytes(numbers)
        found.held = zlib.compress(held.astype("<u4").tobytes(), 1)
    return found


def _bytes(numbers: Ints) -> bytes:
    return zlib.compress(numbers.astype("<i8").tobytes(), 1)


def _ints(data: bytes) -> Ints:
    return np.frombuffer(zlib.decompress(data), "<i8").astype(np.int64)


def count_tables(counting: CountingPass, tables: Iterable[TableLike]) -> Parts:
    """Count a part that is given as tables of pandas, polars or pyarrow, or as dictionaries of arrays; their times may be of any kind."""
    return counting(map(counting.reading.columns, tables))


def put_together(counting: CountingPass, found: Iterable[Mapping[str, bytes]]) -> Parts:
    """Return the counts of all parts, merged name by name."""
    by_name: dict[str, list[bytes]] = {}
    for parts in found:
        for name, part in parts.items():
            by_name.setdefault(name, []).append(part)
    return {name: parts[0] if len(parts) == 1 else counting.merge(name, parts) for name, parts in by_name.items()}


Apply = Callable[[CountingPass], Mapping[str, bytes]]
