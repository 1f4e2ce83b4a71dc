"""One model's traffic, row by row: a reference fitted on it as a user fits one, and the panes that follow."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.alarms.levels import Process, Timeline, together
from benchmarks.alarms.marginals import Feature, Marginal, Text
from benchmarks.alarms.rows import Drawn, Rows
from detectors import Reference, Sketch
from detectors.columns import Coded, Column
from detectors.features import Floats, Ints
from detectors.sketches.identity import mixed

SECOND = 10**9
HOUR = 3600 * SECOND
MONDAY = 1_704_067_200 * SECOND  # 2024-01-01T00:00Z: where simulated time begins
NEVER = 10**7  # code of a category that no reference holds
SESSION = "session"  # the column that says it
AT_ONCE = 24  # windows drawn together


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to a feature. `shift` in σ of its deviate; `becomes` another marginal; `unseen` share of a new category."""

    shift: float = 0.0
    becomes: Marginal | None = None
    times: float = 1.0
    unseen: float = 0.0
    missing: float | None = None
    copies: int = 1  # of every row, whatever the feature
    same_ids: bool = True  # of copies: a row has an id


@dataclass(frozen=True, slots=True)
class Planted:
    """A change of these features, by place, in windows [since, until), counted from the beginning of the reference."""

    change: Change
    features: tuple[int, ...]
    since: int
    until: int = 10**9

    def at(self, window: int) -> bool:
        """Whether it holds in this window."""
        return self.since <= window < self.until


@dataclass(frozen=True, eq=False)
class Habits:
    """How a model's traffic behaves: what its features are, how rows come, which levels wander."""

    features: tuple[Feature, ...]
    rows: Rows
    levels: tuple[Process, ...] = ()
    hours: float = 1.0  # length of a window
    clocks: float | None = None  # hour from which people's clocks are an hour ahead
    grouped: bool = False  # whether the configuration says which session a row is of


class Pane(NamedTuple):
    """A window's counts, when it begins, and the mean of each feature, by the order of the habits."""

    start: int
    sketch: Sketch
    means: Floats


@dataclass(eq=False)
class Traffic:
    """Draws windows, in any order; levels are drawn once, for all of `windows`."""

    habits: Habits
    windows: int
    rng: np.random.Generator
    levels: Floats = field(init=False)  # [w, f]

    def __post_init__(self) -> None:
        time = Timeline.of(self.windows, self.habits.hours, self.habits.clocks)
        self.hours = time.hours
        self.levels = together(self.habits.levels, time, len(self.habits.features), self.rng)
        for at, feature in enumerate(self.habits.features):
            if feature.levels is not None:
                self.levels[:, at] = together(feature.levels, time, 1, self.rng)[:, 0]

    @property
    def window_ns(self) -> int:
        """Length of a window."""
        return round(self.habits.hours * HOUR)

    def start(self, window: int) -> int:
        """When a window begins, nanoseconds."""
        return MONDAY + window * self.window_ns

    def fit(self, windows: int, planted: Sequence[Planted] = ()) -> tuple[Reference, Floats]:
        """A reference of the first so many windows, by the rows' own times, and the windows' means, float64[w, f]."""
        parts, sessions = [], []
        for *part, drawn in self._parts(0, windows, planted):
            parts.append(part)
            sessions.append(self._sessions(part[0], drawn))
        times = np.concatenate([self._times(first, many) for first, _, many in parts])
        columns: dict[str, Column | NDArray[np.uint64]] = {
            feature.name: _column(feature, np.concatenate([drawn[at] for _, drawn, _ in parts]))
            for at, feature in enumerate(self.habits.features)
        }
        means = np.concatenate([_means(self.habits.features, drawn, many) for _, drawn, many in parts])
        group = SESSION if self.habits.grouped else None
        if group is not None:
            columns[group] = np.concatenate(sessions)
        return Reference.fit(columns, timestamps=times, window_ns=self.window_ns, group=group), means

    def rows(self, first: int, windows: int, planted: Sequence[Planted] = ()) -> tuple[list[Floats], Ints]:
        """Raw columns of some windows, texts as codes, and the window of each row."""
        parts = [(begins, drawn, many) for begins, drawn, many, _ in self._parts(first, windows, planted)]
        columns = [np.concatenate([drawn[at] for _, drawn, _ in parts]) for at in range(len(self.habits.features))]
        window = np.concatenate([np.repeat(np.arange(begins, begins + many.size), many) for begins, _, many in parts])
        return columns, window

    def _times(self, first: int, many: Ints) -> Ints:
        """Event times of rows, evenly over each window."""
        inside = np.concatenate([(np.arange(n) * (self.window_ns / max(n, 1))).astype(np.int64) for n in many])
        return np.asarray(np.repeat(self.start(first) + np.arange(many.size) * self.window_ns, many) + inside)

    def panes(self, reference: Reference, first: int, windows: int, planted: Sequence[Planted] = ()) -> Iterator[Pane]:
        """The windows as the daemon counts them."""
        lookup = Lookup(reference, self.habits.features)
        for begins, drawn, many, of_rows in self._parts(first, windows, planted):
            sessions = self._sessions(begins, of_rows)
            numeric, codes = lookup.encode(drawn)
            means, ends = _means(self.habits.features, drawn, many), np.cumsum(many)
            ids = _ids(begins, int(ends[-1]), [one.change for one in planted if one.at(begins)])
            for at, (end, rows) in enumerate(zip(ends.tolist(), many.tolist(), strict=True)):
                sketch = Sketch.empty(reference.layout)
                sketch.update(numeric[end - rows : end], codes[end - rows : end])
                sketch.identify(ids[end - rows : end])
                if self.habits.grouped:
                    sketch.assign(sessions[end - rows : end])
                yield Pane(self.start(begins + at), sketch, means[at])

    def _parts(
        self, first: int, windows: int, planted: Sequence[Planted]
    ) -> Iterator[tuple[int, list[Floats], Ints, Drawn]]:
        """Runs of windows in which no change begins or ends: columns, rows of each window, and what they were made of."""
        edges = {one.since for one in planted} | {one.until for one in planted}
        cuts = [first, *(at for at in range(first + 1, first + windows) if at in edges or not (at - first) % AT_ONCE)]
        for begins, ends in zip(cuts, [*cuts[1:], first + windows], strict=True):
            drawn = self.habits.rows.draw(self.hours[begins:ends], len(self.habits.features), self.rng)
            columns, many = self._columns(begins, drawn, [one for one in planted if one.at(begins)])
            yield begins, columns, many, drawn

    @staticmethod
    def _sessions(first: int, drawn: Drawn) -> NDArray[np.uint64]:
        """Sessions as hashes; those of copies are not told."""
        assert drawn.session is None or drawn.shown is None
        return (
            mixed(drawn.session.astype(np.uint64) + (np.uint64(first + 1) << np.uint64(32)))
            if drawn.session is not None
            else np.empty(0, dtype=np.uint64)
        )

    def _columns(self, first: int, drawn: Drawn, planted: Sequence[Planted]) -> tuple[list[Floats], Ints]:
        window = np.repeat(np.arange(first, first + drawn.many.size), drawn.many)
        shown, many = drawn.shown, drawn.many
        for one in planted:
            if one.change.copies > 1:
                shown = np.repeat(np.arange(window.size) if shown is None else shown, one.change.copies)
                many = many * one.change.copies
        columns = []
        for at, feature in enumerate(self.habits.features):
            mine = [one.change for one in planted if at in one.features]
            level = self.levels[:, at][window] + sum(one.shift for one in mine)
            column = self._values(feature, feature.noise * drawn.z[:, at] + level, mine)
            columns.append(column if shown is None else column[shown])
        return columns, many

    def _values(self, feature: Feature, z: Floats, changes: Sequence[Change]) -> Floats:
        """Values of one column: numbers, or codes as numbers; NaN where missing."""
        of, missing = feature.of, feature.missing
        for change in changes:
            of = change.becomes or of
            missing = missing if change.missing is None else change.missing
        values = of.codes(z, self.rng).astype(np.float64) if isinstance(of, Text) else of.values(z)
        for change in changes:
            if change.times != 1:
                values = values * change.times
            if change.unseen:
                values[self.rng.random(z.size) < change.unseen] = NEVER
        if missing:
            values[self.rng.random(z.size) < missing] = np.nan
        return values


def label(code: int) -> str:
    """What a code is called."""
    return f"c{code:02}"


def _ids(first: int, rows: int, changes: Sequence[Change]) -> NDArray[np.uint64]:
    """Ids of rows as hashes: copies stand side by side."""
    copies = math.prod(change.copies for change in changes if change.same_ids)
    numbers = np.arange(rows, dtype=np.uint64) // np.uint64(copies) + (np.uint64(first + 1) << np.uint64(32))
    return mixed(numbers)


def _column(feature: Feature, values: Floats) -> Column:
    if not isinstance(feature.of, Text):
        return values
    known, rows = np.unique(values, return_inverse=True)  # NaN stands last, once
    return Coded(tuple(None if np.isnan(code) else label(int(code)) for code in known.tolist()), rows)


def _means(features: Sequence[Feature], columns: Sequence[Floats], many: Ints) -> Floats:
    """The mean of each number and the share of each text's first category, float64[w, f]; NaN in a window without a value."""
    firsts = np.cumsum(many) - many
    found = np.full((many.size, len(columns)), np.nan)
    full = many > 0
    for at, (feature, column) in enumerate(zip(features, columns, strict=True)):
        held = ~np.isnan(column)
        number = (column == 0).astype(np.float64) if isinstance(feature.of, Text) else column
        sums = np.add.reduceat(np.where(held, number, 0.0), firsts[full])
        counts = np.add.reduceat(held.astype(np.float64), firsts[full])
        found[full, at] = np.divide(sums, counts, out=np.full(counts.size, np.nan), where=counts > 0)
    return found


class Lookup:
    """From columns to what a sketch counts, in the layout's order."""

    def __init__(self, reference: Reference, features: Sequence[Feature]) -> None:
        places = {feature.name: at for at, feature in enumerate(features)}
        self._numbers = [places[one.name] for one in reference.layout.numeric]
        self._texts = []
        for one in reference.layout.categorical:
            codes = np.array([int(text[1:]) for text in one.categories], dtype=np.int64)
            table = np.full(codes.max() + 2, codes.size, dtype=np.int32)
            table[codes] = np.arange(codes.size)
            self._texts.append((places[one.name], table, codes.size + 1))

    def encode(self, columns: Sequence[Floats]) -> tuple[Floats, np.ndarray[tuple[int, ...], np.dtype[np.int32]]]:
        """Numbers float64[n, k] and codes int32[n, c]."""
        rows = columns[0].size
        numeric = np.empty((rows, len(self._numbers)), order="F")
        for at, place in enumerate(self._numbers):
            numeric[:, at] = columns[place]
        codes = np.empty((rows, len(self._texts)), dtype=np.int32, order="F")
        for at, (place, table, lost) in enumerate(self._texts):
            column = columns[place]
            held = ~np.isnan(column)
            known = np.minimum(np.where(held, column, 0), table.size - 1).astype(np.int64)
            codes[:, at] = np.where(held, table[known], lost)
        return numeric, codes
