"""Simulated streams, window by window: counts on merged cells where rows are independent, rows where they are not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import special

from benchmarks.alarms.laws import Law, ends, law, places
from benchmarks.alarms.truth import NOTHING, Categories, Change, Feature, Normal
from detectors import CategoricalFeature, NumericFeature
from detectors.calibration.cells import MergedCells
from detectors.features import Floats, Ints

SECOND = 10**9
DAY_WINDOWS = 288
CHAINS = 4  # pieces of a stream that are simulated side by side; within each nothing is cut
STEPS = 1024  # places of the table between -10 and 10 σ: cells end at multiples of 0.02 σ
REACH = 10.0
LAST = 17  # codes of the table: up to 16 cells, then below and above what was seen
CODES = 19


@dataclass(frozen=True, eq=False)
class Block:
    """Some windows in a row: `cells` int64[w, f, width], `missing` and `unseen` int64[w, f], `rows` int64[w]."""

    cells: Ints
    missing: Ints
    unseen: Ints
    rows: Ints


class Stream(Protocol):
    """One model's traffic on given cells, in the order of time."""

    def draw(self, first: int, windows: int, changes: Mapping[int, Change] | None = None) -> Block:
        """Windows number `first` and on; windows are counted from the beginning of a week."""


@dataclass(frozen=True, slots=True)
class World:
    """How traffic behaves while nothing changes."""

    rows: int  # of a usual window
    phi: float = 0.0  # correlation of a row with the one before
    season: float = 0.0  # σ, amplitude of a daily and of a weekly wave
    weekend: float = 0.0  # σ, how much Saturday and Sunday differ, from midnight to midnight
    day_effect: float = 0.0  # σ, sd of a level that each day draws anew
    minutes: int = 5

    @property
    def window_ns(self) -> int:
        """Length of a window."""
        return self.minutes * 60 * SECOND

    def season_of(self, features: int, rng: np.random.Generator) -> "Season | None":
        """Draw each feature's hours; None where no hour differs from another."""
        return Season(self, rng.random((2, features)), rng) if self.season or self.weekend or self.day_effect else None

    def stream(
        self, truth: Sequence[Feature], cells: MergedCells, season: "Season | None", rng: np.random.Generator
    ) -> Stream:
        """Begin a stream."""
        if self.phi:
            return Dependent(self, truth, cells, rng)
        if season is not None:
            return Seasonal(self, truth, cells, season, rng)
        return Independent(self, truth, cells, rng)


@dataclass(eq=False)
class Season:
    """The level of each feature over time, in σ."""

    world: World
    phases: Floats  # [2, f] of the day and of the week
    rng: np.random.Generator
    _days: dict[int, Floats] = field(default_factory=dict)

    def levels(self, first: int, windows: int) -> Floats:
        """Return float64[w, f]; windows are counted from a Monday's midnight."""
        day = np.arange(first, first + windows)[:, None] * (self.world.minutes / 1440)
        daily, weekly = (
            np.sin(2 * np.pi * (day / days + one)) for days, one in zip((1.0, 7.0), self.phases, strict=True)
        )
        found = self.world.season * (daily + weekly) + self.world.weekend * (day % 7 >= 5)
        return np.asarray(found + np.stack([self._luck(int(one)) for one in day[:, 0]]))

    def _luck(self, day: int) -> Floats:
        """Return what this day adds; drawn once."""
        if day not in self._days:
            self._days[day] = self.rng.normal(0, self.world.day_effect, self.phases.shape[1])
        return self._days[day]


@dataclass(eq=False)
class Independent:
    """Rows at random and Poisson traffic."""

    world: World
    truth: Sequence[Feature]
    cells: MergedCells
    rng: np.random.Generator
    _laws: dict[tuple[tuple[int, Change], ...], Law] = field(default_factory=dict)

    def draw(self, first: int, windows: int, changes: Mapping[int, Change] | None = None) -> Block:
        """Multinomial counts."""
        del first  # every hour is alike
        key = tuple(sorted((changes or {}).items(), key=lambda item: item[0]))
        if key not in self._laws:
            self._laws = {key: law(self.truth, self.cells, changes)}
        found = self._laws[key]
        rows = self.rng.poisson(self.world.rows, windows)
        counts = self.rng.multinomial(rows[:, None], found.shares)
        return counted(counts, rows, found, self.rng)


def counted(counts: Ints, rows: Ints, of: Law, rng: np.random.Generator) -> Block:
    """Take counts apart: cells, missing (they stand last), and how many of the outer cells were never seen."""
    place = np.arange(of.ends[0].size)
    first, last = of.ends
    outer = counts[:, place, last] + np.where(first == last, 0, counts[:, place, first])
    unseen = rng.binomial(outer, of.beyond)
    return Block(np.ascontiguousarray(counts[..., :-1]), counts[..., -1], unseen, rows)


@dataclass(eq=False)
class Seasonal:
    """Rows at random around a level that follows the hour, the week, and the day's own luck."""

    world: World
    truth: Sequence[Feature]
    cells: MergedCells
    season: Season
    rng: np.random.Generator

    def draw(self, first: int, windows: int, changes: Mapping[int, Change] | None = None) -> Block:
        """Multinomial counts, each window with shares of its own; `changes` may shift and stretch."""
        levels = self.season.levels(first, windows)
        still = law(self.truth, self.cells, changes)
        shares = np.repeat(still.shares[None], windows, axis=0)
        beyond = np.repeat(still.beyond[None], windows, axis=0)
        for at, feature in enumerate(self.truth):
            if isinstance(feature, Normal):
                change = (changes or {}).get(at, NOTHING)
                found, beyond[:, at] = self._shifted(at, feature, levels[:, at] + change.shift, change.stretch)
                shares[:, at, : found.shape[1]] = found * (1 - shares[:, at, -1:])
            elif isinstance(feature, Categories):
                self._tilt(shares, at, levels[:, at])
        rows = self.rng.poisson(self.world.rows, windows)
        counts = self.rng.multinomial(rows[:, None], shares)
        return counted(counts, rows, Law(shares, beyond, still.ends), self.rng)

    def _shifted(self, at: int, feature: Normal, levels: Floats, stretch: float) -> tuple[Floats, Floats]:
        """Return a shifted normal's shares, and which part of the outer cells was never seen."""
        bins = self.cells.layout.numeric[at]
        sides = (np.concatenate([self.cells.rungs(at), bins.edges[[0, -1]]]) - feature.mean) / feature.sd
        below = special.ndtr((sides - levels[:, None]) / stretch)
        found = np.diff(below[:, :-2], prepend=0.0, append=1.0, axis=1)
        outside = below[:, -2] + special.ndtr((levels - sides[-1]) / stretch)
        return found, np.clip(outside / (found[:, 0] + found[:, -1]), 0.0, 1.0)

    def _tilt(self, shares: Floats, at: int, levels: Floats) -> None:
        """Make every second category commoner and the others rarer, by about the level."""
        size = int(self.cells.sizes[at])
        weights = shares[:, at, :size] * np.exp(levels[:, None] * np.where(np.arange(size) % 2, 0.5, -0.5))
        shares[:, at, :size] = weights / weights.sum(axis=1, keepdims=True) * (1 - shares[:, at, -1:])


@dataclass(eq=False)
class Dependent:
    """Rows one after the other, each feature a first-order autoregression of variance 1 before it is put into units.

    Every kind of feature is cut from such a chain, so categories depend on the row before as numbers do. Nothing is missing.
    A block is drawn as a few chains side by side, each begun in its own past.
    """

    world: World
    truth: Sequence[Feature]
    cells: MergedCells
    rng: np.random.Generator

    def __post_init__(self) -> None:
        features = len(self.truth)
        tables = [table(self.truth, self.cells, at) for at in range(features)]
        self._spread = np.float32(np.sqrt(1 - self.world.phi**2) * STEPS / (2 * REACH))
        columns = np.arange(CHAINS * features)
        codes = np.stack([tables[at % features] for at in columns]) + columns[:, None] * CODES
        self._codes = codes.astype(np.uint16).ravel()
        self._middle = (columns * STEPS + STEPS // 2).astype(np.float32)

    def draw(self, first: int, windows: int, changes: Mapping[int, Change] | None = None) -> Block:
        """Count rows; `changes` may shift."""
        del first
        each = -(-windows // CHAINS)
        shift = np.zeros(len(self.truth), dtype=np.float32)
        for at, change in (changes or {}).items():
            shift[at] = change.shift * STEPS / (2 * REACH)
        middle = self._middle + np.tile(shift, CHAINS)
        last = self._begin()
        counts = np.empty((each, CHAINS, len(self.truth), CODES), dtype=np.int64)
        for at in range(each):
            rows, last = self._rows(last)
            counts[at] = self._count(rows, middle).reshape(CHAINS, len(self.truth), CODES)
        return self._block(counts.swapaxes(0, 1).reshape(-1, len(self.truth), CODES)[:windows])

    def _begin(self) -> NDArray[np.float32]:
        """Return a row in the chains' own long run, scaled to table steps."""
        scale = np.float32(STEPS / (2 * REACH))
        return self.rng.standard_normal(CHAINS * len(self.truth), dtype=np.float32) * scale

    def _rows(self, last: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return a window of rows of every chain, in table steps, and the last of them."""
        rows = self.rng.standard_normal((self.world.rows, last.size), dtype=np.float32)
        rows *= self._spread
        phi, carried = np.float32(self.world.phi), np.empty_like(last)
        for row in rows:
            np.multiply(last, phi, out=carried)
            last = np.add(row, carried, out=row)
        return rows, last.copy()

    def _count(self, rows: NDArray[np.float32], middle: NDArray[np.float32]) -> Ints:
        rows += middle
        codes = self._codes.take(rows.astype(np.int32))
        return np.bincount(codes.ravel(), minlength=middle.size * CODES)

    def _block(self, counts: Ints) -> Block:
        """Put the values beyond what was seen into the cells that hold them."""
        cells, unseen = counts[..., : self.cells.width].copy(), counts[..., LAST:]
        first, last = ends(self.cells)
        place = np.arange(first.size)
        cells[:, place, first] += unseen[..., 0]
        cells[:, place, last] += unseen[..., 1]
        rows = np.full(len(counts), self.world.rows)
        return Block(cells, np.zeros(unseen.shape[:2], dtype=np.int64), unseen.sum(axis=2), rows)


def table(truth: Sequence[Feature], cells: MergedCells, at: int) -> Ints:
    """Return which cell a standard normal value from -10 to 10 falls into, int64[STEPS]."""
    middles = (np.arange(STEPS) + 0.5) * (2 * REACH / STEPS) - REACH
    feature, bins = truth[at], cells.layout.features[at]
    if isinstance(feature, Categories):
        below = np.cumsum(feature.shares)[:-1]
        picked = np.searchsorted(special.ndtri(below), middles)
        assert isinstance(bins, CategoricalFeature)
        return cells.codes(at)[np.argsort(places(bins))][picked]
    assert isinstance(bins, NumericFeature)
    half = REACH / STEPS
    lowest, highest = (feature.ppf(special.ndtr(middles + side)) for side in (-half, half))
    found = np.searchsorted(cells.rungs(at), feature.ppf(special.ndtr(middles)))
    found[highest < bins.min] = LAST
    found[lowest > bins.max] = LAST + 1
    return found
