"""Two passes over a reference: find edges and categories, then count on them exactly."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from detectors.calibration.calibration import Calibration, TooFewWindows, calibrate
from detectors.calibration.cells import MergedCells
from detectors.calibration.collect import Codes, Placed, WindowTally
from detectors.columns import Column, as_codes, as_columns, as_floats, infer_kind, refuse_time
from detectors.features import LARGEST, CategoricalFeature, Floats, Ints, Kind, NumericFeature
from detectors.reference.arrivals import Tempo, nanoseconds
from detectors.reference.profiles import Blocks, CategoryProfile, NumericProfile
from detectors.sketches import Grid

Chunk = Mapping[str, ArrayLike]
PREDICTION = "__prediction__"
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Fitted:
    """What two passes found: the grid with the reference's counts, when its rows happened, how its windows differ.

    `cold` says why there is no calibration, where there were timestamps and a window.
    """

    grid: Grid
    rows: int
    period: tuple[int, int] | None
    rows_per_second: float | None
    calibration: Calibration | None
    cold: str


@dataclass(slots=True)
class Profiles:
    """First pass: one profile a column, made when the column first shows a value."""

    kinds: Mapping[str, Kind]
    timestamp: str | None
    tempo: Tempo
    columns: dict[str, NumericProfile | CategoryProfile | None] = field(default_factory=dict)
    rows: int = 0

    def add(self, chunk: Mapping[str, Column]) -> None:
        """Take one chunk; a column it lacks is missing in its rows."""
        for name, column in chunk.items():
            if name == self.timestamp:
                self.tempo.add(name, column)
                continue
            profile = self.columns.setdefault(name, None)
            if profile is None:
                refuse_time(name, column)
                kind = self.kinds.get(name) or infer_kind(column)
                if kind is None:
                    continue
                profile = NumericProfile(name) if kind is Kind.NUMERIC else CategoryProfile()
                self.columns[name] = profile
            if isinstance(profile, NumericProfile):
                profile.add(as_floats(column))
            else:
                profile.add(column)
        self.rows += rows_of(chunk)

    def grid(self) -> Grid:
        """Return the frozen grid, its counts still zero; a column without any value is numeric."""
        numeric, categorical = [], []
        for name, held in self.columns.items():
            profile = held or NumericProfile(name)
            if isinstance(profile, NumericProfile):
                profile.finish()
                numeric.append(_uncounted(name, profile))
            else:
                found = profile.categories()
                categorical.append(CategoricalFeature(name, found, np.zeros(len(found) + 2, dtype=np.int64)))
        return Grid(tuple(numeric), tuple(categorical))

    def sampled(self, grid: Grid) -> Ints:
        """Return counts int64[size] of what was kept in the first pass: nearly the shares that the second will find."""
        counts = np.zeros(grid.size, dtype=np.int64)
        for feature, first, lost in zip(grid.features, grid.offsets.tolist(), grid.lost.tolist(), strict=False):
            match self.columns[feature.name], feature:
                case NumericProfile() as numbers, NumericFeature():
                    counts[first:lost] = numbers.sampled(feature)
                case CategoryProfile() as texts, CategoricalFeature():
                    counts[first:lost] = texts.sampled(feature)
        return counts


def _uncounted(name: str, profile: NumericProfile) -> NumericFeature:
    edges = profile.edges()
    bins = max(0, edges.size - 1)
    return NumericFeature(
        name=name,
        edges=edges,
        counts=np.zeros(bins + 5, dtype=np.int64),
        bin_means=_right_edges(edges),
        discrete=profile.discrete,
        mean=profile.mean,
        std=profile.std,
    )


def _right_edges(edges: Floats) -> Floats:
    """Return a value in each bin, until their means are known."""
    if not edges.size:
        return np.zeros(2)
    return np.concatenate([[np.nextafter(edges[0], np.inf)], edges[1:], edges[-1:]])


class BinCounts:
    """Second pass: how many values of one feature are in each bin, and their sum.

    The counts are those that a sketch would hold. Values are sorted a block at a time, which is five times as fast as to
    look each one up, and gives their sums as well.
    """

    def __init__(self, feature: NumericFeature) -> None:
        self._feature = feature
        bound = max(abs(feature.min), abs(feature.max))
        self._scale = 2.0**-64 if bound > 2.0**900 else 1.0  # so that a sum of huge values stays finite
        self._rungs = feature.edges if feature.edges.size else np.array([-LARGEST])
        self._sums = np.zeros(self._rungs.size + 1)
        self._inside = np.zeros(self._rungs.size + 1, dtype=np.int64)
        self._lost = np.zeros(3, dtype=np.int64)  # missing, -inf, +inf
        self._blocks = Blocks(self._digest)

    def add(self, column: Column) -> Floats:
        """Take a column of any kind. Returns its values as they were counted."""
        values = as_floats(column)
        lost = values.size - self._blocks.add(values)
        if lost:
            below, above = np.count_nonzero(values <= -LARGEST), np.count_nonzero(values >= LARGEST)
            self._lost += np.array([lost - below - above, below, above])
        return values

    def absent(self, rows: int) -> None:
        """Take rows of a chunk that has no such column."""
        self._lost[0] += rows

    def _digest(self, block: Floats) -> None:
        values = np.sort(block)
        firsts = np.concatenate([[0], np.searchsorted(values, self._rungs, side="right")])
        counts = np.diff(firsts, append=values.size)
        self._inside += counts
        held = counts > 0
        self._sums[held] += np.add.reduceat(values * self._scale, firsts[held])

    def counted(self) -> NumericFeature:
        """Return the feature with its counts, and with the mean of each bin kept inside the bin."""
        self._blocks.flush()
        feature, edges = self._feature, self._feature.edges
        counts = np.concatenate([self._inside, self._lost])
        if not feature.bins:
            return replace(feature, counts=counts)
        inside = self._inside[1:-1]
        low, high = np.nextafter(edges[:-1], np.inf), edges[1:]
        means = low / 2 + high / 2  # where a bin is empty
        np.divide(self._sums[1:-1], inside * self._scale, out=means, where=inside > 0)
        means = np.clip(means, low, high)
        return replace(feature, counts=counts, bin_means=np.concatenate([[feature.min], means, [feature.max]]))


class CodeCounts:
    """Second pass: how many rows have each category of one feature."""

    def __init__(self, feature: CategoricalFeature) -> None:
        self._feature = feature
        self._codes = {text: code for code, text in enumerate(feature.categories)}
        self._counts = np.zeros(feature.counts.size, dtype=np.int64)

    def add(self, column: Column) -> Codes:
        """Take a column of any kind. Returns the codes that were counted."""
        codes = as_codes(column, self._codes)
        self._counts += np.bincount(codes, minlength=self._counts.size)
        return codes

    def absent(self, rows: int) -> None:
        """Take rows of a chunk that has no such column."""
        self._counts[-1] += rows

    def counted(self) -> CategoricalFeature:
        """Return the feature with its counts."""
        return replace(self._feature, counts=self._counts)


class Counts:
    """Second pass: every feature counted on its own, and by window where a tally is given."""

    def __init__(self, grid: Grid, timestamp: str | None = None, tally: WindowTally | None = None) -> None:
        self.rows = 0
        self._timestamp = timestamp
        self._tally = tally
        self._numeric = {feature.name: BinCounts(feature) for feature in grid.numeric}
        self._categorical = {feature.name: CodeCounts(feature) for feature in grid.categorical}

    def add(self, chunk: Mapping[str, Column]) -> None:
        """Take one chunk; a column it lacks is missing in its rows."""
        rows = rows_of(chunk)
        placed = self._place(chunk)
        features: dict[str, BinCounts | CodeCounts] = {**self._numeric, **self._categorical}
        for at, (name, counts) in enumerate(features.items()):
            if name not in chunk:
                counts.absent(rows)
                continue
            column = counts.add(chunk[name])
            if placed is not None:
                placed.add(at, column)
        self.rows += rows

    def _place(self, chunk: Mapping[str, Column]) -> Placed | None:
        if self._tally is None or self._timestamp is None or self._timestamp not in chunk:
            return None
        return self._tally.place(nanoseconds(self._timestamp, chunk[self._timestamp]))

    def grid(self) -> Grid:
        """Return the grid with the reference's counts on it."""
        return Grid(
            tuple(counts.counted() for counts in self._numeric.values()),
            tuple(counts.counted() for counts in self._categorical.values()),
        )


def rows_of(chunk: Mapping[str, Column]) -> int:
    """Return the rows of a chunk; all its columns have as many."""
    return next(iter(chunk.values())).size if chunk else 0


def encode(grid: Grid, columns: Mapping[str, Column]) -> tuple[Floats, np.ndarray[tuple[int, ...], np.dtype[np.int32]]]:
    """Return numeric float64[n, k] and codes int32[n, c] in the grid's order; an absent column is all missing."""
    rows = rows_of(columns)
    numeric = np.full((rows, len(grid.numeric)), np.nan, order="F")
    for i, feature in enumerate(grid.numeric):
        if feature.name in columns:
            numeric[:, i] = as_floats(columns[feature.name])
    codes = np.empty((rows, len(grid.categorical)), dtype=np.int32, order="F")
    for j, category in enumerate(grid.categorical):
        known = {text: code for code, text in enumerate(category.categories)}
        codes[:, j] = as_codes(columns[category.name], known) if category.name in columns else len(known) + 1
    return numeric, codes


def fit(
    chunks: Callable[[], Iterable[Chunk]],
    *,
    kinds: Mapping[str, Kind | str] | None,
    prediction: str | None,
    timestamp: str | None,
    window_ns: int | None,
    progress: Progress | None,
) -> Fitted:
    """Read the chunks twice. Raises ValueError naming the column or number that makes a reference impossible."""
    _check_window(timestamp, window_ns)
    tempo = Tempo(window_ns)
    profiles = Profiles(_as_kinds(kinds, prediction), timestamp, tempo)
    for chunk in _read(chunks, prediction, progress, before=0):
        profiles.add(chunk)
    _check(profiles, prediction)
    grid = profiles.grid()
    tally = None if window_ns is None else tempo.tally(grid, profiles.sampled(grid))
    counts = Counts(grid, timestamp, tally)
    for chunk in _read(chunks, prediction, progress, before=profiles.rows):
        counts.add(chunk)
    if counts.rows != profiles.rows:
        raise ValueError(
            f"the first pass read {profiles.rows} rows, the second {counts.rows}: the data changed between"
        )
    counted = counts.grid()
    calibration, cold = _learn(counted, tally)
    return Fitted(counted, counts.rows, tempo.period, tempo.rows_per_second, calibration, cold)


def _check_window(timestamp: str | None, window_ns: int | None) -> None:
    if window_ns is None:
        return
    if window_ns <= 0:
        raise ValueError(f"window_ns is {window_ns}; a window is longer than zero")
    if timestamp is None:
        raise ValueError(f"window_ns is {window_ns}, but there are no timestamps to cut windows by")


def _learn(grid: Grid, tally: WindowTally | None) -> tuple[Calibration | None, str]:
    """Return what the windows teach, or why they teach nothing."""
    if tally is None:
        return None, ""
    try:
        return calibrate(tally.counted(), MergedCells(grid, tally.cells.cuts)), ""
    except TooFewWindows as error:
        return None, str(error)


def _as_kinds(kinds: Mapping[str, Kind | str] | None, prediction: str | None) -> dict[str, Kind]:
    found = {}
    for name, kind in (kinds or {}).items():
        if kind not in set(Kind):
            raise ValueError(f"{name}: kind is {kind!r}; valid are {', '.join(Kind)}")
        found[PREDICTION if name == prediction else name] = Kind(kind)
    return found


def _read(
    chunks: Callable[[], Iterable[Chunk]], prediction: str | None, progress: Progress | None, *, before: int
) -> Iterator[dict[str, Column]]:
    rows = before
    for raw in chunks():
        if prediction is not None and prediction != PREDICTION and prediction in raw and PREDICTION in raw:
            raise ValueError(f"there is a column {PREDICTION} beside the prediction {prediction}")
        chunk = as_columns({PREDICTION if name == prediction else name: values for name, values in raw.items()})
        yield chunk
        rows += rows_of(chunk)
        if progress is not None:
            progress(rows)


def _check(profiles: Profiles, prediction: str | None) -> None:
    """Refuse what is no reference, in one line."""
    found = [*profiles.columns, *([profiles.timestamp] if profiles.timestamp and profiles.tempo.period else [])]
    columns = ", ".join(found)
    if not profiles.columns:
        raise ValueError("a reference needs at least one column")
    if not profiles.rows:
        raise ValueError("a reference needs at least one row")
    if prediction is not None and PREDICTION not in profiles.columns:
        raise ValueError(f"there is no prediction column {prediction}; there are {columns}")
    if profiles.timestamp is not None and profiles.tempo.period is None:
        raise ValueError(f"there is no time in a column {profiles.timestamp}; there are {columns}")
    unknown = [name for name in profiles.kinds if name not in profiles.columns]
    if unknown:
        raise ValueError(f"a kind is given for {unknown[0]}, but there is no such column; there are {columns}")
