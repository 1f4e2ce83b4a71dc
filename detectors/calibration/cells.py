"""The few cells a feature is decided on: runs of its row of counts, merged.

What is rare keeps cells of its own, for charts of rates follow the rarest of counts. Location, scale and shape do not: they
are judged on runs of these cells, each expecting rows enough::

    a flag, 1 % ones, windows of 30 rows      cells  | 0 | 1 |        runs  | 0   1 |
    categories by falling count               cells  | a | b | c | d…z |    | a | b | c  d…z |
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self, TypeVar

import numpy as np

from detectors.features import Bools, Counts, Feature, Floats, Ints, NumericFeature
from detectors.layout import Layout
from detectors.sketches.placing import NOWHERE
from detectors.sketches.sums import run_sums

Counted = TypeVar("Counted", Ints, Floats)

MOST = 16
FEWEST = 4
EXPECTED = 3  # rows of a usual window in each cell, where there are enough: the law of X² follows from the shares, see feature.py
RARELY = 0.1  # of these: what comes less often has no law that few rows show
NORMAL = 10.0  # same, of a number beside one that holds nearly all: fewer follow no normal law
RARE_PLACES = 6  # of the cells, kept for what is rare
MOST_WATCHED = 8  # cells of a feature that have charts of their mass
SPIKE = 2.0  # times what bins usually hold: a value that is met so often stands for itself


@dataclass(frozen=True, eq=False)
class MergedCells:
    """At most 16 cells of each feature, missing values left out.

    `cuts`: for each feature, in the layout's order, where each cell begins in its row of counts; the first is 0. A number's
    first cell holds also what is under the reference, its last what is over; a categorical's last also the rare and unseen.
    `joined`: for each feature which of its cells are one run with the cell before, int64; () stands for none at all.
    """

    layout: Layout
    cuts: tuple[Ints, ...]
    joined: tuple[Ints, ...] = ()

    def __post_init__(self) -> None:
        if not self.joined:
            object.__setattr__(self, "joined", (np.empty(0, dtype=np.int64),) * len(self.cuts))

    @classmethod
    def of(cls, layout: Layout, counts: Ints, rows: float) -> Self:
        """Merge until a window of so many `rows` may be expected to bring three to each run; `counts` int64[size] on the layout."""
        most = int(np.clip(rows // EXPECTED, FEWEST, MOST))
        found = [
            _cut(feature, counts[first:last], most, rows)
            for feature, first, last in zip(
                layout.features, layout.offsets[:-1].tolist(), layout.lost.tolist(), strict=True
            )
        ]
        joined = tuple(np.flatnonzero(~np.isin(cuts, runs)) for cuts, runs in found)
        return cls(layout, tuple(cuts for cuts, _ in found), joined)

    def select(self, layout: Layout, kept: list[int]) -> Self:
        """Return the cells of some features, which `layout` holds in its order."""
        return type(self)(layout, tuple(self.cuts[at] for at in kept), tuple(self.joined[at] for at in kept))

    @cached_property
    def width(self) -> int:
        """Cells of the feature that has most."""
        return max(cuts.size for cuts in self.cuts)

    @cached_property
    def sizes(self) -> Ints:
        """Cells of each feature, int64[f]."""
        return np.array([cuts.size for cuts in self.cuts], dtype=np.int64)

    @cached_property
    def held(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which places of the [f, width] matrix are cells."""
        return np.asarray(np.arange(self.width) < self.sizes[:, None])

    @cached_property
    def heads(self) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
        """Which places of the matrix begin a run: those that hold counts once they are folded."""
        heads = self.held.copy()
        features, joined, _ = self._runs
        heads[features, joined] = False
        return heads

    @cached_property
    def _runs(self) -> tuple[Ints, Ints, Ints]:
        """Of each cell that is joined to others its feature, its place, and the place where its run begins."""
        found = [np.empty((3, 0), dtype=np.int64)]
        for at, joined in enumerate(self.joined):
            if joined.size:
                begins = np.ones(self.cuts[at].size, dtype=np.bool_)
                begins[joined] = False
                heads = np.flatnonzero(begins)[np.cumsum(begins) - 1]
                found.append(np.stack([np.full(joined.size, at), joined, heads[joined]]))
        features, joined, heads = np.concatenate(found, axis=1)
        return features, joined, heads

    def fold(self, cells: Counted) -> Counted:
        """Return counts or shares [f, width] with each run added up where it begins, and zeros in the rest of it."""
        features, joined, heads = self._runs
        if not features.size:
            return cells
        folded = cells.copy()
        folded[features, joined] = 0
        np.add.at(folded, (features, heads), cells[features, joined])
        return folded

    def fold_one(self, at: int, cells: Floats) -> Floats:
        """Return the same of one feature's counts in many windows, float64[k, size]."""
        features, joined, heads = self._runs
        mine = features == at
        if not mine.any():
            return cells
        folded = cells.copy()
        folded[:, joined[mine]] = 0
        for place, head in zip(joined[mine].tolist(), heads[mine].tolist(), strict=True):
            folded[:, head] += cells[:, place]
        return folded

    def watched(self, counts: Ints) -> "WatchedCells":
        """Return the cells whose mass has charts of its own, at most eight a feature; `counts` int64[size] of the reference.

        Those that hold less than an even cell: first what is no run by itself, single values before runs of them, the largest
        first. And where one cell holds nearly all, all others together.
        """
        merged = self.merge(counts)
        found = [np.empty((4, 0), dtype=np.int64)]
        for at, (feature, first, lost) in enumerate(
            zip(self.layout.features, self.layout.offsets.tolist(), self.layout.lost.tolist(), strict=False)
        ):
            size = self.cuts[at].size
            mine = _watched(feature, counts[first:lost], self.cuts[at], merged[at, :size], self.heads[at, :size])
            found.append(np.stack([np.full(mine[0].size, at), *mine]))
        features, places, single, values = np.concatenate(found, axis=1)
        return WatchedCells(features, places, single.astype(np.bool_), values)

    @cached_property
    def _starts(self) -> tuple[Ints, Ints]:
        """Where runs begin in the flat counts, those of missing values among them, and which runs are cells."""
        runs, kept, position = [], [], 0
        for cuts, first, lost in zip(self.cuts, self.layout.offsets.tolist(), self.layout.lost.tolist(), strict=False):
            runs.append(np.append(cuts + first, lost))
            kept.append(position + np.arange(cuts.size))
            position += cuts.size + 1
        return np.concatenate(runs).astype(np.int64), np.concatenate(kept).astype(np.int64)

    def merge(self, counts: Counts) -> Ints:
        """Return a sketch's counts on these cells, int64[f, width]; zeros beyond a feature's own."""
        starts, kept = self._starts
        merged = np.zeros((len(self.cuts), self.width), dtype=np.int64)
        merged[self.held] = run_sums(counts[None], starts, kept)[0]
        return merged

    def rungs(self, at: int) -> Floats:
        """Return the inner edges of a number's cells, float64[cells - 1]: cell j ends at, and holds, rung j."""
        feature = self.layout.numeric[at]
        return feature.edges[self.cuts[at][1:] - 1]

    def codes(self, at: int) -> Ints:
        """Return the merged cell of each usable cell of a feature, `at` in the layout's order, int64[usable]."""
        feature = self.layout.features[at]
        return np.searchsorted(self.cuts[at], np.arange(feature.usable), side="right") - 1

    def places(self, at: int) -> Ints:
        """Return the same of all cells of its row of counts, NOWHERE for those of missing values, int64[cells]."""
        feature = self.layout.features[at]
        return np.append(self.codes(at), np.full(feature.cells - feature.usable, NOWHERE))


@dataclass(frozen=True, slots=True, eq=False)
class WatchedCells:
    """Cells by feature and place, int64[w], features rising; ~place stands for all but that cell.

    `single` bool[w]: whether it is one value that few rows have, or that few have not. `values` int64[w]: how many
    different ones (bins of a number) the reference holds there.
    """

    features: Ints
    places: Ints
    single: Bools
    values: Ints

    def of(self, cells: Counted) -> Counted:
        """Return the mass of each in counts or shares [f, w]."""
        held = cells[self.features, np.where(self.places < 0, ~self.places, self.places)]
        return np.where(self.places < 0, cells.sum(axis=1)[self.features] - held, held)


def mass(cells: Floats, places: Ints) -> Floats:
    """Return the same of one feature in many windows, float64[k, size]."""
    held = cells[:, np.where(places < 0, ~places, places)]
    return np.asarray(np.where(places < 0, cells.sum(axis=1, keepdims=True) - held, held))


def _watched(feature: Feature, counts: Ints, cuts: Ints, merged: Ints, heads: Bools) -> tuple[Ints, Bools, Ints]:
    """The places to be watched of one feature, rising, whether each is one value, and how many it holds."""
    total = int(counts.sum())
    values = np.add.reduceat((counts > 0).astype(np.int64), cuts)
    single = values <= 1
    small = merged * MOST < total
    if isinstance(feature, NumericFeature):
        atoms = np.concatenate([[True], feature.atoms, [True]])
        single &= np.logical_and.reduceat(atoms | (counts == 0), cuts)
        small &= single | (2 * merged * MOST < total)
    places = np.flatnonzero(small) if cuts.size > 1 else np.empty(0, dtype=np.int64)
    order = np.lexsort((-merged[places], ~single[places], heads[places], merged[places] == 0))
    places, top = places[order], int(merged.argmax())
    if np.count_nonzero(merged) > 2 and (total - int(merged[top])) * MOST < total:  # noqa: PLR2004 - of two, one is the rest
        places = np.append(~top, places)
    places = np.sort(places[:MOST_WATCHED])
    held = np.where(places < 0, values.sum() - values[top], values[np.maximum(places, 0)])
    return places, single[np.maximum(places, 0)] | (places < 0), held


def _cut(feature: Feature, counts: Ints, most: int, rows: float) -> tuple[Ints, Ints]:
    """Where the cells begin, and where the runs of them do; `counts` are those of usable values."""
    total = max(int(counts.sum()), 1)
    if isinstance(feature, NumericFeature):
        spikes = _spikes(feature, counts, total, most)
        even = _even(counts, total, most if most < MOST else MOST - min(2 * spikes.size, RARE_PLACES))
        runs = _between(counts, even) if feature.discrete and even.size <= most // 2 else even
        return _with_spikes(counts, runs, spikes), runs[_heads(counts, runs, total, most, rows)]
    least = EXPECTED * total / max(rows, 1.0)
    runs, alone = _categories(counts, most, least)
    return np.union1d(runs, _rare(counts[:-1], runs[alone:], alone, MOST - runs.size)), runs


def _rare(counts: Ints, runs: Ints, alone: int, places: int) -> Ints:
    """Where cells of categories begin that are not alone: each its own where there are places, else even parts of each run."""
    many = int(np.count_nonzero(counts))
    if many - alone <= places + runs.size:
        return np.arange(alone, many, dtype=np.int64)
    starts = runs.tolist() or [alone]
    ends = [*starts[1:], many]
    parts = 1 + places // len(starts)
    found = [start + at for start, end in zip(starts, ends, strict=True) for at in _dealt(counts[start:end], parts, 1)]
    return np.array(found, dtype=np.int64)


def _categories(counts: Ints, most: int, least: float) -> tuple[Ints, int]:
    """Where runs of categories begin that a window brings `least` of, and how many of these are one category."""
    many = int(np.count_nonzero(counts[:-1]))
    places = most if many <= most or most < MOST else most - RARE_PLACES
    alone = min(int(np.count_nonzero(counts[:-1] >= least)), places - 1)
    starts = [*range(alone), *(alone + at for at in _dealt(counts[alone:], places - alone, least))]
    if len(starts) < 2 and np.count_nonzero(counts) > 1:  # noqa: PLR2004 - else their mix would have no chart
        half = min(int(np.searchsorted(np.cumsum(counts), counts.sum() / 2)) + 1, int(np.flatnonzero(counts)[-1]))
        starts = [0, half] if counts[half:].sum() >= RARELY * least else [0]
    return np.array(starts or [0], dtype=np.int64), alone


def _dealt(counts: Ints, places: int, least: float) -> list[int]:
    """Where runs of `least` and more begin, as even as `places` runs of them can be; none where all hold less."""
    upto = np.append(0, np.cumsum(counts))
    each, starts, at = max(least, float(upto[-1]) / places), list[int](), 0
    while len(starts) < places and at < counts.size and upto[-1] - upto[at] >= least:
        starts.append(at)
        at = int(np.searchsorted(upto, upto[at] + each))
    return starts


def _between(counts: Ints, starts: Ints) -> Ints:
    """Give what lies between two cells of a discrete number, where the reference has nothing, a cell of its own."""
    filled = np.flatnonzero(counts)
    after = np.searchsorted(filled, starts[1:])
    return np.unique(np.concatenate([[0], filled[after - 1] + 1, filled[after]]))


def _spikes(feature: NumericFeature, counts: Ints, total: int, most: int) -> Ints:
    """Which cells hold a single value that is met more often than its neighbours, and yet is no run by itself; the commonest first."""
    filled = np.flatnonzero(counts[1:-1])
    held = counts[1:-1][filled]
    around = np.stack([np.roll(held, by) for by in (-2, -1, 1, 2)])
    usual = 0.0 if feature.discrete or held.size < 5 else SPIKE * np.median(around, axis=0)  # noqa: PLR2004 - itself and four
    found = np.flatnonzero(feature.atoms[filled] & (held > usual) & (held * most < total))
    return filled[found[np.argsort(-held[found], kind="stable")]] + 1


def _with_spikes(counts: Ints, runs: Ints, spikes: Ints) -> Ints:
    """Give as many spikes as there are places for a cell of their own; what is under joins the first value, what is over the last."""
    ends = spikes[:, None] + [0, 1]
    cut = (ends <= 1) | (ends >= counts.size - 1) | np.isin(ends, runs)
    kept = np.flatnonzero(~cut.all(axis=1))[: (MOST - runs.size) // 2]
    return np.union1d(runs, ends[kept][~cut[kept]])


def _heads(counts: Ints, runs: Ints, total: int, most: int, rows: float) -> Bools:
    """Which runs stand by themselves: those that a window brings rows enough of, and what is empty between two of these.

    The others join the one before, the first ones the one that follows.
    """
    held = np.add.reduceat(counts, runs)
    large = held >= min(NORMAL / max(rows, 1.0), 0.5 / most) * total
    large[held.argmax()] = True
    heads, small = np.zeros(runs.size, dtype=np.bool_), False
    gap: list[int] = []  # empty runs since the last filled one
    for at, mass in enumerate(held.tolist()):
        if not mass:
            gap.append(at)
            continue
        heads[at] = large[at] and not (small and not heads.any())
        heads[gap] = large[at] and not small
        small, gap = not large[at], []
    heads[gap] = not small
    heads[0] = True
    return heads


def _even(counts: Ints, total: int, most: int) -> Ints:
    """Runs of about 1 / most of the mass each; what is a cell by itself stays one, and what follows it does."""
    starts, mass, heavy = [0], 0.0, False
    rest = total
    for at, count in enumerate(counts.tolist()):
        inner = 0 < at < counts.size - 1  # under and over are nobody's own
        full = mass * most >= total * 0.999 or (inner and mass and count * most >= total)
        if inner and full and (rest * most >= total * 0.5 or (heavy and rest)) and len(starts) < most:
            starts.append(at)
            mass = 0.0
        mass += count
        heavy = heavy and not count if count * most < total else True
        rest -= count
    return np.array(starts, dtype=np.int64)
