"""The frozen bins and categories of all features of a model, laid out as one flat count vector."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TypeVar
from weakref import WeakKeyDictionary

import numpy as np

from detectors.features import LARGEST, CategoricalFeature, Feature, Floats, Ints, NumericFeature

Plan = TypeVar("Plan")


class GridMismatchError(ValueError):
    """Counts of two different grids were to be added or compared."""


@dataclass(frozen=True, slots=True, eq=False)
class Cells:
    """A ragged choice of cells from the flat count vector: at least one for each of F features.

    `index` int64[c] says where each cell lies, `owner` int64[c] whose it is (0..F-1, rising), `starts` int64[F] where
    each feature's run of cells begins.
    """

    index: Ints
    owner: Ints
    starts: Ints

    @classmethod
    def of(cls, runs: list[Ints]) -> "Cells":
        """Chain one run of positions a feature; no run may be empty."""
        lengths = np.array([run.size for run in runs], dtype=np.int64)
        index = np.concatenate(runs) if runs else np.empty(0, dtype=np.int64)
        return cls(
            index=index.astype(np.int64),
            owner=np.repeat(np.arange(lengths.size), lengths),
            starts=np.cumsum(lengths) - lengths,
        )

    def running(self, counts: Ints) -> Ints:
        """Cumulate each feature's cells from its first, int64[c] to int64[c]."""
        total = np.cumsum(counts)
        before = total[self.starts] - counts[self.starts]
        return np.asarray(total - before[self.owner])


@dataclass(frozen=True, eq=False)
class Grid:
    """Features in their fixed order, all numeric ones first, and where each has its row of counts.

    ::

        counts  [under b1 … bB over missing -inf +inf][ … ][cat0 … catK-1 other missing][ … ]
        offsets  0                                    numeric then categorical          size
    """

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("a grid needs at least one feature")
        if len(set(self.names)) != len(self.names):
            twice = sorted({name for name in self.names if self.names.count(name) > 1})
            raise ValueError(f"feature names must be distinct, these are not: {', '.join(twice)}")

    @cached_property
    def features(self) -> tuple[Feature, ...]:
        """All features in the order of their rows."""
        return (*self.numeric, *self.categorical)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names, in the same order."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def offsets(self) -> Ints:
        """Where each row begins, int64[f + 1]; the last is the size."""
        return np.concatenate([[0], np.cumsum([feature.counts.size for feature in self.features])]).astype(np.int64)

    @property
    def size(self) -> int:
        """Cells in the flat count vector."""
        return int(self.offsets[-1])

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name the edges and categories; the reference's counts play no part."""
        digest = hashlib.sha256()
        for number in self.numeric:
            digest.update(f"numeric {number.name!a} {number.edges.size}\n".encode())
            digest.update(number.edges.astype("<f8").tobytes())
        for category in self.categorical:
            digest.update(f"categorical {category.name!a} {category.categories!a}\n".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def counts(self) -> Ints:
        """The reference's own counts, int64[size]."""
        counts = np.concatenate([feature.counts for feature in self.features])
        counts.setflags(write=False)
        return counts

    @cached_property
    def lost(self) -> Ints:
        """Where the cells of missing values begin in each row, int64[f]; the usable ones lie before."""
        tails = [3] * len(self.numeric) + [1] * len(self.categorical)
        return np.asarray(self.offsets[1:] - np.array(tails, dtype=np.int64))

    @cached_property
    def halves(self) -> Ints:
        """Begin of the usable and of the missing cells of each row, in turn, int64[2 f]."""
        return np.stack([self.offsets[:-1], self.lost], axis=1).ravel()

    @cached_property
    def bins(self) -> Cells:
        """Under, bins and over of every numeric feature."""
        rows = zip(self.offsets, self.lost[: len(self.numeric)], strict=False)
        return Cells.of([np.arange(first, last) for first, last in rows])

    @cached_property
    def ladders(self) -> tuple[Floats, ...]:
        """Per numeric feature the edges with outer rungs, so that one search sorts out infinities and NaN as well."""
        # position  0      1      2 … B+1   B+2    B+3    B+4
        #           -inf   under  bins      over   +inf   NaN     (searchsorted, side="left", puts NaN last)
        outer = np.array([-LARGEST]), np.array([np.nextafter(LARGEST, 0), np.inf])
        return tuple(
            np.concatenate([outer[0], feature.edges if feature.edges.size else [-LARGEST], outer[1]])
            for feature in self.numeric
        )

    @cached_property
    def orders(self) -> tuple[Ints, ...]:
        """Per numeric feature the positions on the ladder in the order of its row of counts."""
        return tuple(
            np.array([*range(1, feature.bins + 3), feature.bins + 4, 0, feature.bins + 3]) for feature in self.numeric
        )

    def same_as(self, other: "Grid") -> None:
        """Raise GridMismatchError unless the other grid has the same edges and categories."""
        if self is not other and self.id != other.id:
            raise GridMismatchError(f"counts of grid {other.id} do not fit grid {self.id}")


def per_grid(build: Callable[[Grid], Plan]) -> Callable[[Grid], Plan]:
    """Build a detector's tables once a grid, and drop them with it."""
    built: WeakKeyDictionary[Grid, Plan] = WeakKeyDictionary()

    @wraps(build)
    def plan(grid: Grid) -> Plan:
        found = built.get(grid)
        if found is None:
            found = built[grid] = build(grid)
        return found

    return plan
