"""The few cells a feature is decided on: runs of its row of counts, merged."""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from detectors.features import Feature, Floats, Ints, NumericFeature
from detectors.layout import Layout

MOST = 16
FEWEST = 4
EXPECTED = 3  # rows of a usual window in each cell, where there are enough: the law of X² follows from the shares, see feature.py
RARELY = 0.1  # of these: what comes less often has no law that few rows show


@dataclass(frozen=True, eq=False)
class MergedCells:
    """At most 16 cells of each feature, missing values left out.

    `cuts`: for each feature, in the layout's order, where each cell begins in its row of counts; the first is 0. A number's
    first cell holds also what is under the reference, its last what is over; a categorical's last also the rare and unseen.
    """

    layout: Layout
    cuts: tuple[Ints, ...]

    @classmethod
    def of(cls, layout: Layout, counts: Ints, rows: float) -> Self:
        """Merge until a window of so many `rows` may be expected to bring three to each; `counts` int64[size] on the layout."""
        most = int(np.clip(rows // EXPECTED, FEWEST, MOST))
        return cls(
            layout,
            tuple(
                _cuts(feature, counts[first:last], most, rows)
                for feature, first, last in zip(
                    layout.features, layout.offsets[:-1].tolist(), layout.lost.tolist(), strict=True
                )
            ),
        )

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
    def _starts(self) -> tuple[Ints, Ints]:
        """Where runs begin in the flat counts, those of missing values among them, and which runs are cells."""
        runs, kept, position = [], [], 0
        for cuts, first, lost in zip(self.cuts, self.layout.offsets.tolist(), self.layout.lost.tolist(), strict=False):
            runs.append(np.append(cuts + first, lost))
            kept.append(position + np.arange(cuts.size))
            position += cuts.size + 1
        return np.concatenate(runs).astype(np.int64), np.concatenate(kept).astype(np.int64)

    def merge(self, counts: Ints) -> Ints:
        """Return a sketch's counts on these cells, int64[f, width]; zeros beyond a feature's own."""
        runs, kept = self._starts
        merged = np.zeros((len(self.cuts), self.width), dtype=np.int64)
        merged[self.held] = np.add.reduceat(counts, runs)[kept]
        return merged

    def rungs(self, at: int) -> Floats:
        """Return the inner edges of a number's cells, float64[cells - 1]: cell j ends at, and holds, rung j."""
        feature = self.layout.numeric[at]
        return feature.edges[self.cuts[at][1:] - 1]

    def codes(self, at: int) -> Ints:
        """Return the cell of each code of a categorical, other among them, int64[K + 1]; `at` in the layout's order."""
        feature = self.layout.features[at]
        return np.searchsorted(self.cuts[at], np.arange(feature.usable), side="right") - 1


def _cuts(feature: Feature, counts: Ints, most: int, rows: float) -> Ints:
    """Where the cells begin; `counts` are those of usable values."""
    total = max(int(counts.sum()), 1)
    if isinstance(feature, NumericFeature):
        even = _even(counts, total, most)
        return _between(counts, even) if feature.discrete and even.size <= most // 2 else even
    least = EXPECTED * total / max(rows, 1.0)
    alone = min(int(np.count_nonzero(counts[:-1] >= least)), most - 1)  # they stand by falling count
    starts = [*range(alone), *(alone + at for at in _dealt(counts[alone:], most - alone, least))]
    if len(starts) < 2 and np.count_nonzero(counts) > 1:  # noqa: PLR2004 - else their mix would have no chart
        half = min(int(np.searchsorted(np.cumsum(counts), total / 2)) + 1, int(np.flatnonzero(counts)[-1]))
        starts = [0, half] if counts[half:].sum() >= RARELY * least else [0]
    return np.array(starts or [0], dtype=np.int64)


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


def _even(counts: Ints, total: int, most: int) -> Ints:
    """Runs of about 1 / most of the mass each; what is a cell by itself stays one."""
    starts, mass = [0], 0.0
    rest = total
    for at, count in enumerate(counts.tolist()):
        inner = 0 < at < counts.size - 1  # under and over are nobody's own
        full = mass * most >= total * 0.999 or (inner and mass and count * most >= total)
        if inner and full and rest * most >= total * 0.5 and len(starts) < most:
            starts.append(at)
            mass = 0.0
        mass += count
        rest -= count
    return np.array(starts, dtype=np.int64)
