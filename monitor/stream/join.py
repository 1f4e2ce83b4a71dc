"""Predictions and labels that wait for each other: sorted runs of rows in stretches of time, in bounded memory.

prediction time   |--stretch 0--|--stretch 1--|--stretch 2--|     rows sorted by time
label time        |--stretch 0--|--stretch 1--|--stretch 2--|     rows sorted by hash

A label is looked up when its prediction's pane is judged, not when it comes: so early ones, late ones and corrections need no
case of their own, and what a pane comes to is a function of the rows that are there. Of an id's labels the one stamped last
counts, of those stamped alike the one of the largest offset. Stretches are dropped once no pane can need them.

Near the bound both sides keep the ids of a level (`sampling.py`). Between two moves of the clock the order of rows changes nothing,
not even then. A stretch keeps the highest level that was ever in force while it was there; what is judged is judged at the highest
of all stretches that it looks at, so predictions and labels are those of the same ids.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools, Floats, Ints
from monitor.stream.events import HOUR, MINUTE, Nanos
from monitor.stream.sampling import LEVELS, least_level, levels_of

PREDICTION = np.dtype([("high", "<u8"), ("low", "<u8"), ("time", "<i8"), ("value", "<f8")])
LABEL = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("time", "<i8"), ("offset", "<i8"), ("value", "<f8"), ("weight", "<f8")]
)
INLINE = -1  # the offset of a label inside its prediction: one that comes by itself is later
Hashes = NDArray[np.uint64]
Rows = NDArray[Any]
"""Rows of one side, of the dtype PREDICTION or LABEL. The value of a label that was withdrawn is NaN."""

STRETCHES = 8  # that rows wait through: fewer waste memory on what is over, more cost a look each
EARLY: Nanos = HOUR  # how long before its prediction a label may be stamped: clocks differ
LEAST_EARLY: Nanos = MINUTE
RUNS_ALIKE = 2  # a run is merged with the one before unless that is so many times as long


@dataclass(frozen=True, slots=True)
class JoinSpec:
    """What waits for what, and for how long: event time in nanoseconds; `memory` is bytes of rows."""

    length: Nanos
    slide: Nanos
    wait: Nanos
    memory: int

    @property
    def early(self) -> Nanos:
        """How long before its prediction's pane a label may be stamped."""
        return max(LEAST_EARLY, min(self.wait, EARLY))

    @property
    def stretch(self) -> Nanos:
        """How much time one stretch holds: whole panes."""
        wanted = (self.wait + self.early + self.length) // STRETCHES
        return max(1, -(-wanted // self.slide)) * self.slide


@dataclass(slots=True)
class Stretch:
    """Rows of one side whose times lie in one stretch: sorted runs, and what came since, unsorted."""

    level: int
    runs: list[Rows] = field(default_factory=list)
    fresh: list[Rows] = field(default_factory=list)
    waiting: int = 0  # how many of these, the last, are not saved
    sorted: list[Rows] = field(default_factory=list)  # rows that are among the runs, and not saved
    pieces: int = 0  # that it is saved in
    sizes: Ints = field(default_factory=lambda: np.zeros(LEVELS, dtype=np.int64))  # bytes by exact level
    thinned: bool = False  # since it was saved
    matched: int = 0  # labels that were found by a prediction
    removed: int = 0  # rows that are of no level that is kept
    asked: int = 0  # highest level of predictions that looked for labels here: of lower ones some were thinned out

    def add(self, rows: Rows) -> None:
        """Take rows that are of its level, or above."""
        self.hold(rows)
        self.waiting += rows.size

    def hold(self, rows: Rows) -> None:
        """Take such rows that are saved already."""
        _pile(self.fresh, rows)
        self.sizes += rows.itemsize * np.bincount(levels_of(rows["high"]), minlength=LEVELS)

    def raise_to(self, level: int) -> None:
        """Keep the ids of this level and above."""
        before = self.count
        self.level = level
        self.thinned = True
        self.sizes[:level] = 0
        self.waiting = sum(at_level(rows, level).size for rows in self._last())
        self.runs, self.fresh, self.sorted = (
            [kept for rows in part if (kept := at_level(rows, level)).size]
            for part in (self.runs, self.fresh, self.sorted)
        )
        self.removed += before - self.count

    def sorted_runs(self, sort: Callable[[Rows], Rows]) -> list[Rows]:
        """All rows as sorted runs, each more than twice as long as the next: merging costs little, and so does looking."""
        if self.fresh:
            self.sorted += [rows.copy() for rows in self._last()]
            self.waiting = 0
            run = sort(np.concatenate(self.fresh))
            self.fresh = []
            while self.runs and self.runs[-1].size <= RUNS_ALIKE * run.size:
                run = sort(np.concatenate([self.runs.pop(), run]))
            self.runs.append(run)
        return self.runs

    def _last(self) -> list[Rows]:
        """The fresh rows that are not saved: no copies, for there may be as many as fit."""
        parts, left = list[Rows](), self.waiting
        for rows in reversed(self.fresh):
            taken = min(left, rows.size)
            left -= taken
            parts += [rows[rows.size - taken :]] if taken else []
        return parts[::-1]

    @property
    def unsaved(self) -> list[Rows]:
        """What came since it was saved."""
        return [*self.sorted, *self._last()]

    def saved(self) -> None:
        """Know that all of it is."""
        self.waiting, self.sorted = 0, []

    @property
    def rows(self) -> Iterator[Rows]:
        """All rows, in no order."""
        yield from self.runs
        yield from self.fresh

    @property
    def count(self) -> int:
        """How many rows."""
        return sum(len(rows) for rows in self.rows)

    def count_at(self, level: int) -> int:
        """How many rows are of ids of a level and above."""
        return sum(len(at_level(rows, level)) for rows in self.rows)


def _pile(parts: list[Rows], rows: Rows) -> None:
    """Append rows; parts that are no longer are joined, for an array of one row takes five times the row."""
    while parts and parts[-1].size <= rows.size:
        rows = np.concatenate([parts.pop(), rows])
    parts.append(rows)


def at_level(rows: Rows, level: int) -> Rows:
    """The rows of ids of a level and above."""
    return rows if level == 0 else rows[levels_of(rows["high"]) >= level]


class Side:
    """One side of the join: stretches by their number."""

    def __init__(self, stretch: Nanos, dtype: np.dtype[Any], sort: Callable[[Rows], Rows]) -> None:
        self.stretches: dict[int, Stretch] = {}
        self.dtype = dtype
        self._stretch = stretch
        self._sort = sort

    def add(self, rows: Rows, level: int) -> None:
        """Put rows where they belong; a new stretch begins at this level."""
        numbers = rows["time"] // self._stretch
        for number in np.unique(numbers).tolist():
            stretch = self.stretches.get(number)
            if stretch is None:
                stretch = self.stretches[number] = Stretch(level)
            here = rows[numbers == number]
            ours = at_level(here, stretch.level)
            stretch.removed += here.size - ours.size
            if ours.size:
                stretch.add(ours)

    def runs(self, start: Nanos, end: Nanos) -> list[tuple[int, Rows]]:
        """The sorted runs of the stretches that hold [start, end), each with the number of its stretch."""
        numbers = self._between(start, end)
        return [(number, run) for number in numbers for run in self.stretches[number].sorted_runs(self._sort)]

    def level(self, start: Nanos, end: Nanos) -> int:
        """The highest level of the stretches that hold [start, end)."""
        return max((self.stretches[number].level for number in self._between(start, end)), default=0)

    def _between(self, start: Nanos, end: Nanos) -> list[int]:
        first, last = start // self._stretch, (end - 1) // self._stretch
        return [number for number in sorted(self.stretches) if first <= number <= last]

    def over(self, until: Nanos) -> list[int]:
        """The stretches that end by then."""
        return [number for number in sorted(self.stretches) if (number + 1) * self._stretch <= until]


@dataclass(frozen=True, slots=True)
class Matched:
    """Predictions, each with the label that counts at some age.

    `labels` float64[n], NaN where none has come or it was withdrawn; `weights` and `times` are those of the label. `tallies` count labels
    by what became of them, `found` how many there were in each stretch of labels.
    """

    predictions: Rows
    labels: Floats
    weights: Floats
    times: Ints
    tallies: Mapping[str, int]
    found: Mapping[int, int]

    @property
    def labelled(self) -> Bools:
        """bool[n]: has a label."""
        return ~np.isnan(self.labels)


class Join:
    """Both sides of one series, within their bound."""

    def __init__(self, spec: JoinSpec) -> None:
        self.spec = spec
        self.predictions = Side(spec.stretch, PREDICTION, by_time)
        self.labels = Side(spec.stretch, LABEL, by_hash)
        self.level = 0  # of stretches that begin now

    @property
    def sides(self) -> tuple[Side, Side]:
        """Predictions, labels."""
        return self.predictions, self.labels

    @property
    def bytes(self) -> int:
        """What its rows take."""
        return sum(int(each.sizes.sum()) for each in self._stretches())

    def _stretches(self) -> list[Stretch]:
        return [each for side in self.sides for each in side.stretches.values()]

    def add(self, predictions: Rows, labels: Rows) -> None:
        """Take rows of both sides, and keep within the bound."""
        for side, rows in ((self.predictions, predictions), (self.labels, labels)):
            if rows.size:
                side.add(rows, self.level)
        self._bound()

    def _bound(self) -> None:
        if self.bytes <= self.spec.memory:
            return
        stretches = self._stretches()
        sizes, levels = np.array([each.sizes for each in stretches]), np.array([each.level for each in stretches])
        self.level = max(self.level, least_level(sizes, levels, self.spec.memory))
        for each in stretches:
            if each.level < self.level:
                each.raise_to(self.level)

    def forget(self, clock: Nanos) -> list[tuple[Side, int, Stretch]]:
        """Drop the stretches that no pane can need from now on, and return them. Those that begin later keep all ids, if they can."""
        self.level = 0
        needed_from = clock - self.spec.wait - self.spec.length
        over = [(self.predictions, number) for number in self.predictions.over(needed_from)]
        over += [(self.labels, number) for number in self.labels.over(needed_from - self.spec.early)]
        return [(side, number, side.stretches.pop(number)) for side, number in over]

    # --- what a pane comes to -----------------------------------------------------------------------------------

    def level_of(self, start: Nanos, end: Nanos, age: Nanos) -> int:
        """The level at which the predictions of [start, end) can be judged at an age."""
        early = self.spec.early
        return max(self.predictions.level(start, end), self.labels.level(start - early, end + age + 1))

    def matched(self, start: Nanos, age: Nanos, level: int) -> Matched:
        """The predictions of the pane that begins here, with the labels stamped by its end and an age. Of an id that came twice the first counts."""
        return self.match(self._predictions(start, level), start, age)

    def match(self, predictions: Rows, start: Nanos, age: Nanos) -> Matched:
        """Any predictions of the pane that begins here, one an id and sorted by hash, with the labels stamped by its end and an age."""
        early, until = start - self.spec.early, start + self.spec.slide + age
        found: Counter[int] = Counter()
        hashes = np.ascontiguousarray(predictions["high"]), np.ascontiguousarray(predictions["low"])
        places, labels = [np.empty(0, dtype=np.int64)], [no_rows(LABEL)]
        for number, run in self.labels.runs(early, until + 1):
            where, which = look_up(run, *hashes)
            timely = (which["time"] >= early) & (which["time"] <= until)
            found[number] += int(np.count_nonzero(timely))
            places.append(where[timely])
            labels.append(which[timely])
        return _last_of_each(predictions, np.concatenate(places), np.concatenate(labels), found)

    def _predictions(self, start: Nanos, level: int) -> Rows:
        end = start + self.spec.slide
        parts = []
        for _, run in self.predictions.runs(start, end):
            first, last = np.searchsorted(run["time"], [start, end])
            parts.append(at_level(run[first:last], level))
        rows = by_hash_and_time(np.concatenate(parts)) if parts else no_rows(PREDICTION)
        return rows[firsts(rows)]


def look_up(run: Rows, high: Hashes, low: Hashes) -> tuple[Ints, Rows]:
    """The labels of a run, sorted by hash, that predictions find by the halves of their hashes: the place of the prediction, and the label."""
    hashes = np.ascontiguousarray(run["high"])  # else each search copies it
    first = hashes.searchsorted(high)
    there = np.flatnonzero(hashes[np.minimum(first, hashes.size - 1)] == high)  # of most runs a few
    first = first[there]
    many = hashes.searchsorted(high[there], side="right") - first
    places = np.repeat(there, many)
    at = np.arange(places.size) - np.repeat(many.cumsum() - many, many) + np.repeat(first, many)
    same = run["low"][at] == low[places]
    return places[same], run[at[same]]


def by_time(rows: Rows) -> Rows:
    """Rows sorted by time."""
    return rows[np.argsort(rows["time"], kind="stable")]


def by_hash(rows: Rows) -> Rows:
    """Rows sorted by the first half of their hash."""
    return rows[np.argsort(rows["high"], kind="stable")]


def by_hash_and_time(rows: Rows) -> Rows:
    """Rows sorted by hash, time and value."""
    return rows[order_by_hash_and_time(rows)]


def order_by_hash_and_time(rows: Rows) -> Ints:
    """The order of rows by hash, time and value, int64[n]."""
    order = np.argsort(rows["high"])
    high = rows["high"][order]
    if not (high[1:] == high[:-1]).any():  # as a rule no id comes twice, and the rest decides nothing
        return order
    return np.lexsort((rows["value"], rows["time"], rows["low"], rows["high"]))


def firsts(rows: Rows) -> Bools:
    """bool[n]: the first row of its id, of sorted ones."""
    different = (rows["high"][1:] != rows["high"][:-1]) | (rows["low"][1:] != rows["low"][:-1])
    return np.concatenate([np.ones(min(1, rows.size), np.bool_), different])


def _last_of_each(predictions: Rows, rows: Ints, labels: Rows, found: Mapping[int, int]) -> Matched:
    """The label that counts of each prediction: the last by time, offset and, of the very same, by value."""
    size = len(predictions)
    last = np.ones(rows.size, dtype=np.bool_)
    if np.bincount(rows, minlength=1).max() > 1:
        order = np.lexsort((labels["weight"], labels["value"], labels["offset"], labels["time"], rows))
        rows, labels = rows[order], labels[order]
        last[:-1] = rows[1:] != rows[:-1]
    values, weights, times = np.full(size, np.nan), np.ones(size), np.zeros(size, dtype=np.int64)
    held = rows[last]
    values[held], weights[held], times[held] = labels["value"][last], labels["weight"][last], labels["time"][last]
    withdrawn = int(np.count_nonzero(np.isnan(labels["value"][last])))
    tallies = {
        "joined": int(held.size) - withdrawn,
        "withdrawn": withdrawn,
        "corrected": int(rows.size - held.size),
    }
    return Matched(predictions, values, weights, times, tallies, found)


def rows_of(dtype: np.dtype[Any], **columns: Any) -> Rows:
    """Rows of columns; what is not given is zero."""
    size = len(next(iter(columns.values())))
    rows = np.zeros(size, dtype=dtype)
    for name, column in columns.items():
        rows[name] = column
    return rows


def no_rows(dtype: np.dtype[Any]) -> Rows:
    """None of them."""
    return np.empty(0, dtype=dtype)
