"""Requests and responses that wait for each other: rows of numbers, found by id, in bounded memory.

Two halves meet where their ids and the places of their rows in their messages are the same, and their times are no further apart than
`wait`: a function of the halves alone, not of the order in which they come. Of halves that are alike the first counts; ids of pairs are
remembered as long as a half may wait, so that one that is sent again is known. Halves are given up when the watermark has passed them by
`wait`, on a grid of 64 steps; where memory is full, all that is stamped up to some time goes.

A half is found by a key of 64 bits, the second of its id's hashes: runs of sorted keys, each more than twice as long as the next.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.features import Bools
from detectors.sketches.violations import Rule
from monitor.stream.events import HalfBatch, Nanos

WHOLE, REQUEST, RESPONSE = 0, 1, 2
HALVES = {REQUEST: "request", RESPONSE: "response"}  # what of a prediction a half is
MET = np.dtype([("high", "<u8"), ("low", "<u8"), ("time", "<i8"), ("row", "<i4")])
TIMED, TOLD, FAILED = 1, 2, 4  # what is said of how a request was served: flags
GRID = 64  # steps of the time that halves wait
NOT_THERE = -1
STEP = np.uint64(0x9E3779B97F4A7C15)  # between the keys of rows of one message
INDEX_BYTES = 32  # of a row, beside it: its key, and key and place in a run, which may have twice as many
KEPT = 0.9  # of the memory, where it is full
FEWEST = 256  # rows that there is room for
Hashes = NDArray[np.uint64]
Rows = NDArray[Any]
"""Rows of one half, as `HalfShape` has them, or of MET."""
Places = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class HalfShape:
    """The columns of the halves of one series: numbers and categories of its reference, all but the prediction in a request.

    `predicted` says whether the prediction is among the numbers (0) or the categories (1), and where; None where the reference has none.
    `labels`: how labels are counted, empty where none are joined; `rules` are those of its data contract.
    `sampled`: rows say how many requests they stand for. `no_prediction` is the code of a missing one, where it is a category.
    """

    numbers: int
    categories: int
    predicted: tuple[int, int] | None = None
    labels: str = ""
    rules: tuple[Rule, ...] = ()
    sampled: bool = False
    no_prediction: int = 0

    def columns(self, half: int) -> tuple[Places, Places]:
        """Which columns of the reference a half has, numbers and categories: int64[k], int64[c]."""
        kinds = [np.arange(self.numbers), np.arange(self.categories)]
        for kind, columns in enumerate(kinds):
            ours = np.zeros(columns.size, dtype=np.bool_)
            if self.predicted is not None and self.predicted[0] == kind:
                ours[self.predicted[1]] = True
            kinds[kind] = columns[ours if half == RESPONSE else ~ours]
        return kinds[0], kinds[1]

    def dtype(self, half: int) -> np.dtype[Any]:
        """What a waiting row is."""
        numbers, categories = self.columns(half)
        held: list[Any] = [("high", "<u8"), ("low", "<u8"), ("time", "<i8"), ("group", "<u8"), ("latency", "<f8")]
        if self.labels:
            held += [("label", "<f8"), ("weight", "<f8")]
            held += [("value", "<f8")] if half == RESPONSE else []
        held += [("sampled", "<i8")] if self.sampled else []
        held += [("numeric", "<f8", (numbers.size,)), ("codes", "<i4", (categories.size,))]
        held += [("row", "<i4"), ("topic", "<i2"), ("served", "i1"), ("broken", "u1", (self.broken_bytes,))]
        return np.dtype(held)

    @property
    def broken_bytes(self) -> int:
        """Bytes of flags: the rules that a row breaks, and whether it is counted as that alone."""
        return -(-(len(self.rules) + 1) // 8) if self.rules else 0

    @property
    def fingerprint(self) -> str:
        """What rows are kept under: when it changes they are worthless."""
        always = self.numbers, self.categories, self.predicted, self.labels, self.rules
        return repr((*always, "sampled") if self.sampled else always)


@dataclass(frozen=True, slots=True)
class HalfSpec:
    """What halves of a series are, how long they wait, event time in nanoseconds, and what rows may take, bytes.

    `unanswered`: requests that are given up are handed on, for they count all the same.
    """

    shape: HalfShape
    wait: Nanos
    memory: int
    unanswered: bool = False

    @property
    def step(self) -> Nanos:
        """How event time moves on for those that wait."""
        return max(1, self.wait // GRID)


def longest_to_count(lateness: Nanos) -> Nanos:
    """How long requests may wait that count though nobody answers: a step less than events may be late."""
    return lateness * GRID // (GRID + 1)


# --- rows that wait -----------------------------------------------------------------------------------------------------


def keys_of(rows: Rows) -> Hashes:
    """What rows are found by, uint64[n]."""
    return np.asarray(rows["low"] + rows["row"].astype(np.uint64) * STEP)


class WaitingRows:
    """Rows of one kind: places that are used again, and runs of sorted keys with the places of their rows."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.rows: Rows = np.empty(0, dtype=dtype)
        self._keys: Hashes = np.empty(0, dtype=np.uint64)  # of the rows
        self.there: Bools = np.zeros(0, dtype=np.bool_)
        self.unsaved: Bools = np.zeros(0, dtype=np.bool_)
        self.count = 0
        self._runs: list[tuple[Hashes, Places]] = []
        self._free: Places = np.empty(0, dtype=np.intp)

    @property
    def bytes(self) -> int:
        """What its rows take."""
        return self.count * self.row_bytes

    @property
    def row_bytes(self) -> int:
        """What one takes."""
        return self.rows.itemsize + INDEX_BYTES

    @property
    def places(self) -> Places:
        """Where its rows are."""
        return np.flatnonzero(self.there)

    def add(self, rows: Rows, keys: Hashes, *, saved: bool = False) -> None:
        """Take rows that it does not have."""
        places = self._room(rows.size)
        whole = f"V{self.rows.itemsize}"  # ten times as quick as field by field, and so is `take` below
        self.rows.view(whole)[places] = rows.view(whole)
        self._keys[places] = keys
        self.there[places] = True
        self.unsaved[places] = not saved
        self.count += rows.size
        order = np.argsort(keys, kind="stable")
        self._runs.append((keys[order], places[order]))
        while len(self._runs) > 1 and self._runs[-2][0].size <= 2 * self._runs[-1][0].size:
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(self._sorted(*(np.concatenate(each) for each in zip(before, last, strict=True))))
        if sum(run[0].size for run in self._runs) > 2 * self.count + FEWEST:
            self._runs = [self._sorted(self._keys[self.places], self.places)] if self.count else []

    def _room(self, wanted: int) -> Places:
        if self._free.size < wanted:
            size = max(FEWEST, self.rows.size + wanted - self._free.size, self.rows.size * 5 // 4)
            before = self.rows.size
            for column in (self.rows, self._keys, self.there, self.unsaved):
                column.resize(size, refcheck=False)  # moved by the system, not copied: nobody else holds a view
            self._free = np.append(np.arange(size - 1, before - 1, -1), self._free)
        taken, self._free = self._free[self._free.size - wanted :][::-1], self._free[: self._free.size - wanted]
        return taken

    def _sorted(self, keys: Hashes, places: Places) -> tuple[Hashes, Places]:
        """A run of those that are there."""
        ours = self.there[places] & (self._keys[places] == keys)
        keys, places = keys[ours], places[ours]
        order = np.argsort(keys, kind="stable")
        return keys[order], places[order]

    def find(self, high: Hashes, keys: Hashes) -> Places:
        """Where the same id and row is, int64[n]; NOT_THERE where it is not. Rising keys are found sooner."""
        found = np.full(keys.size, NOT_THERE)
        for run, places in self._runs:
            at = np.minimum(run.searchsorted(keys), run.size - 1)
            those = np.flatnonzero(run[at] == keys)
            if those.size:
                where = places[at[those]]
                same = self.there[where] & (self._keys[where] == keys[those])
                same &= self.rows["high"][where] == high[those]
                found[those[same]] = where[same]
        return found

    def take(self, places: Places) -> Rows:
        """Give rows away."""
        rows = self.rows.take(places)
        self.drop(places)
        return rows

    def drop(self, places: Places) -> None:
        """Forget rows."""
        self.there[places] = self.unsaved[places] = False
        self.count -= places.size
        self._free = np.append(self._free, places)
        if not self.count and self.rows.size > FEWEST:  # what a burst took is given back
            for column in (self.rows, self._keys, self.there, self.unsaved):
                column.resize(0, refcheck=False)
            self._runs, self._free = [], np.empty(0, dtype=np.intp)

    def until(self, time: Nanos) -> Places:
        """Where rows are that are stamped by then."""
        places = self.places
        return places[self.rows["time"][places] <= time]


@dataclass(slots=True)
class Pairs:
    """What became of halves: those that met, a row of each, and counts by topic, half and outcome."""

    requests: Rows
    responses: Rows
    counts: Counter[tuple[str, int, str]] = field(default_factory=Counter)


class HalfJoin:
    """The halves of one series that wait, within their bound."""

    def __init__(self, spec: HalfSpec) -> None:
        self.spec = spec
        self.sides = {half: WaitingRows(spec.shape.dtype(half)) for half in HALVES}
        self.met = WaitingRows(MET)
        self.topics: list[str] = []
        self.unanswered: list[Rows] = []  # requests that were given up and are still to be handed on
        self.clock: Nanos | None = None
        self.evicted_until: Nanos | None = None  # what is stamped by then and found no other half was or is dropped

    @property
    def kinds(self) -> Mapping[str, WaitingRows]:
        """All that is kept, by what it is."""
        return {**{f"{HALVES[half]}s": side for half, side in self.sides.items()}, "met": self.met}

    @property
    def bytes(self) -> int:
        """What its rows take."""
        return sum(each.bytes for each in self.kinds.values())

    def add(self, batch: HalfBatch) -> Pairs:
        """Take halves; those that meet are returned."""
        half, counts = batch.half, Counter[tuple[str, int, str]]()
        keys = keys_of(batch.rows)
        order = np.argsort(keys, kind="stable")
        rows, keys = batch.rows.take(order), keys[order]
        rows["topic"] = self._topic(batch.topic)
        new = self._new(half, rows, keys, counts)
        if not new.all():
            rows, keys, order = rows.compress(new), keys[new], order[new]
        other = self.sides[REQUEST + RESPONSE - half]
        places = other.find(np.ascontiguousarray(rows["high"]), keys)
        where = np.flatnonzero(places != NOT_THERE)
        where = where[np.argsort(order[where])]  # as they came
        apart = np.abs(other.rows["time"][places[where]] - rows["time"][where])
        where = where[apart <= self.spec.wait]
        mine, theirs = rows.take(where), other.take(places[where])
        requests, responses = (mine, theirs) if half == REQUEST else (theirs, mine)
        self._remember(requests, responses, keys[where])
        left = np.ones(rows.size, dtype=np.bool_)
        left[where] = False
        for until, outcome in ((self._given_up, "unmatched"), (self.evicted_until, "evicted")):
            if until is not None:
                gone = left & (rows["time"] <= until)
                self._count(counts, half, rows["topic"][gone], outcome)
                self._leave(half, rows[gone])
                left &= ~gone
        if left.any():
            self.sides[half].add(rows.compress(left), keys[left])
        self._count(counts, REQUEST, requests["topic"], "joined")
        self._count(counts, RESPONSE, responses["topic"], "joined")
        self._bound(counts)
        return Pairs(requests, responses, counts)

    def _topic(self, name: str) -> int:
        if name not in self.topics:
            self.topics.append(name)
        return self.topics.index(name)

    def _new(self, half: int, rows: Rows, keys: Hashes, counts: Counter[tuple[str, int, str]]) -> Bools:
        """The first of those that are alike, unless one waits or has met: bool[n], of rising keys."""
        high = np.ascontiguousarray(rows["high"])
        new = np.ones(rows.size, dtype=np.bool_)
        new[1:] = (keys[1:] != keys[:-1]) | (high[1:] != high[:-1])
        for known in (self.met, self.sides[half]):
            new &= known.find(high, keys) == NOT_THERE
        if not new.all():
            self._count(counts, half, rows["topic"][~new], "repeated")
        return new

    def _remember(self, requests: Rows, responses: Rows, keys: Hashes) -> None:
        if requests.size:
            met = np.empty(requests.size, dtype=MET)
            for name in ("high", "low", "row"):
                met[name] = requests[name]
            met["time"] = np.maximum(requests["time"], responses["time"])
            self.met.add(met, keys)

    def _count(self, counts: Counter[tuple[str, int, str]], half: int, topics: NDArray[Any], outcome: str) -> None:
        if topics.size:
            for topic, count in enumerate(np.bincount(topics).tolist()):
                if count:
                    counts[self.topics[topic], half, outcome] += count

    def _bound(self, counts: Counter[tuple[str, int, str]]) -> None:
        """Where they are too many, drop the oldest."""
        if self.bytes <= self.spec.memory:
            return
        kinds = [(each.rows["time"][each.places], each.row_bytes) for each in self.kinds.values()]
        times = np.concatenate([times for times, _ in kinds])
        sizes = np.concatenate([np.full(times.size, size) for times, size in kinds])
        order = np.argsort(times, kind="stable")
        over = sizes[order].cumsum() >= self.bytes - KEPT * self.spec.memory
        until = int(times[order][np.argmax(over)])
        self.evicted_until = until if self.evicted_until is None else max(until, self.evicted_until)
        for half, side in self.sides.items():
            self._give_up(counts, half, side.until(until), "evicted")
        self.met.drop(self.met.until(until))

    def _give_up(self, counts: Counter[tuple[str, int, str]], half: int, places: Places, outcome: str) -> None:
        side = self.sides[half]
        self._count(counts, half, side.rows["topic"][places], outcome)
        self._leave(half, side.rows[places])
        side.drop(places)

    def _leave(self, half: int, rows: Rows) -> None:
        if self.spec.unanswered and half == REQUEST and rows.size:
            self.unanswered.append(rows)

    def take_unanswered(self) -> Rows:
        """The requests that were given up since the last call, where they are to be handed on."""
        held, self.unanswered = self.unanswered, []
        return np.concatenate(held) if held else self.sides[REQUEST].rows[:0]

    def expire(self, watermark: Nanos) -> Counter[tuple[str, int, str]]:
        """Give up the halves that the watermark has passed by the time that they wait."""
        counts = Counter[tuple[str, int, str]]()
        clock = watermark // self.spec.step * self.spec.step
        if self.clock is not None and clock <= self.clock:
            return counts
        self.clock = clock
        for half, side in self.sides.items():
            if side.count:  # as a rule nothing waits
                self._give_up(counts, half, side.until(clock - self.spec.wait), "unmatched")
        if self.met.count:
            self.met.drop(self.met.until(clock - self.spec.wait))
        return counts

    # --- state --------------------------------------------------------------------------------------------------

    def restore(self, rows: Mapping[str, Sequence[Rows]]) -> None:
        """Take up rows as they were saved: of those that have met since, or were given up, nothing is left."""
        for kind in ("met", *(kind for kind in self.kinds if kind != "met")):
            held = [self._still(each) for each in rows.get(kind, ())]
            if not held:
                continue
            every = np.concatenate(held)
            keys = keys_of(every)
            if kind != "met":
                waits = self.met.find(np.ascontiguousarray(every["high"]), keys) == NOT_THERE
                every, keys = every[waits], keys[waits]
            if every.size:
                self.kinds[kind].add(every, keys, saved=True)

    def _still(self, rows: Rows) -> Rows:
        over = [until for until in (self.evicted_until, self._given_up) if until is not None]
        return rows[rows["time"] > max(over)] if over else rows

    @property
    def _given_up(self) -> Nanos | None:
        return None if self.clock is None else self.clock - self.spec.wait


def stretches(rows: Rows, length: Nanos) -> Iterator[tuple[int, Rows]]:
    """Rows by stretches of time, numbered."""
    numbers = rows["time"] // length
    for number in np.unique(numbers).tolist():
        yield number, rows.compress(numbers == number)
