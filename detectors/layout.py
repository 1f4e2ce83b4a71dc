"""Where the counts of all features lie in one flat vector: edges, categories and offsets, no counts."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TypeVar

import numpy as np

from detectors.features import Bools, CategoricalFeature, Counts, Feature, Ints, NumericFeature

Built = TypeVar("Built")
Counted = TypeVar("Counted", Ints, Counts)


class LayoutMismatchError(ValueError):
    """Counts on two different layouts were to be added or compared."""


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


@dataclass(frozen=True, eq=False)
class Layout:
    """Features in their fixed order, all numeric ones first, and where each has its row of counts.

    ::

        counts  [under b1 … bB over missing -inf +inf][ … ][cat0 … catK-1 other missing][ … ]
        offsets  0                                    numeric then categorical          size

    Raises ValueError for no feature, and for a name that is there twice.

    >>> layout = Layout((), (CategoricalFeature("plan", ("free", "pro")),))
    >>> layout.names, layout.offsets.tolist()
    (('plan',), [0, 4])
    """

    numeric: tuple[NumericFeature, ...]
    categorical: tuple[CategoricalFeature, ...]

    def __post_init__(self) -> None:
        if not self.features:
            raise ValueError("a layout needs at least one feature")
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
        return np.concatenate([[0], np.cumsum([feature.cells for feature in self.features])]).astype(np.int64)

    @property
    def size(self) -> int:
        """Cells in the flat count vector."""
        return int(self.offsets[-1])

    @cached_property
    def id(self) -> str:
        """Sixteen hexadecimal digits that name the edges and categories."""
        digest = hashlib.sha256()
        for number in self.numeric:
            digest.update(f"numeric {number.name!a} {number.edges.size}\n".encode())
            digest.update(number.edges.astype("<f8").tobytes())
        for category in self.categorical:
            digest.update(f"categorical {category.name!a} {category.categories!a}\n".encode())
        return digest.hexdigest()[:16]

    @cached_property
    def lost(self) -> Ints:
        """Where the cells of missing values begin in each row, int64[f]; the usable ones lie before."""
        return np.asarray(self.offsets[:-1] + np.array([feature.usable for feature in self.features], dtype=np.int64))

    @cached_property
    def halves(self) -> Ints:
        """Where each row begins, and where its cells of missing values do, one after the other, int64[2 f]."""
        return np.stack([self.offsets[:-1], self.lost], axis=1).ravel()

    @cached_property
    def starts(self) -> Ints:
        """Where each numeric row begins, int64[k]."""
        return self.offsets[: len(self.numeric)]

    @cached_property
    def widths(self) -> Ints:
        """Usable cells of each numeric row, int64[k]: under, bins and over."""
        return self.lost[: len(self.numeric)] - self.starts

    @cached_property
    def beyond(self) -> Ints:
        """The last usable cell of each row, int64[f]: over, or other."""
        return self.lost - 1

    def row(self, counts: Counted, name: str) -> Counted:
        """Return the named feature's part of these counts, a view. Raises KeyError."""
        if name not in self.names:
            raise KeyError(name)
        place = self.names.index(name)
        return counts[self.offsets[place] : self.offsets[place + 1]]

    def numbers(self, counts: Ints) -> Ints:
        """Return under, bins and over of every numeric feature, int64[k, cells]; zeros follow where there are fewer.

        A view where all have as many, else a copy. At least one cell wide.
        """
        features = len(self.numeric)
        flat = counts[: self.offsets[features]]
        if self._usable_numbers is None:
            return flat.reshape(features, -1)[:, :-3]
        inner, held = self._usable_numbers
        found = np.zeros(held.shape, dtype=counts.dtype)
        found[held] = flat[inner]
        return found

    @cached_property
    def _usable_numbers(self) -> tuple[Bools, Bools] | None:
        """Which cells of the numeric rows are usable, and where they stand in the matrix; None where a view will do."""
        widths = np.diff(self.offsets)[: len(self.numeric)]
        if widths.size and (widths == widths[0]).all():
            return None
        place = np.arange(self.offsets[widths.size]) - np.repeat(self.offsets[: widths.size], widths)
        held = np.arange(max(1, widths.max(initial=0) - 3)) < (widths - 3)[:, None]
        return place < np.repeat(widths - 3, widths), held

    def same_as(self, other: "Layout") -> None:
        """Raise LayoutMismatchError unless the other layout has the same edges and categories."""
        if self is not other and self.id != other.id:
            raise LayoutMismatchError(f"counts of layout {other.id} do not fit layout {self.id}")


def per_layout(build: Callable[[Layout], Built]) -> Callable[[Layout], Built]:
    """Build what counting needs once a layout, and keep it with the layout, of which it must hold no reference."""
    name = f"{build.__module__}.{build.__qualname__}"  # beside what the layout has cached itself

    @wraps(build)
    def tables(layout: Layout) -> Built:
        kept = layout.__dict__
        found: Built | None = kept.get(name)
        if found is None:
            found = kept[name] = build(layout)
        return found

    return tables
