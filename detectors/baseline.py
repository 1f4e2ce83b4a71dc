"""What windows are held against: counts on a layout, and the moments that put a mean into words."""

import hashlib
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from detectors.features import CategoricalFeature, Counts, Floats, Ints, NumericFeature, some
from detectors.layout import Layout
from detectors.sketches import Sketch, Tally, TallyStack, sums


@dataclass(frozen=True, slots=True, eq=False)
class NumericBaseline(NumericFeature):
    """A number with its counts.

    `counts` int64[B + 5]: under, the B bins, over, missing, -inf, +inf. `bin_means` float64[B + 2]: under, bins, over;
    under stands at the minimum and over at the maximum, so that a mean follows from counts alone. `mean` and `std` are
    those of the finite values, in their own unit; all four moments are 0 when there is none. Raises ValueError where the
    parts do not fit together.
    """

    counts: Ints
    bin_means: Floats
    mean: float
    std: float

    def __post_init__(self) -> None:
        NumericFeature.__post_init__(self)  # the short form of super does not know a class with slots
        if self.counts.shape != (self.cells,) or some(self.counts < 0):
            raise ValueError(f"{self.name}: counts must be {self.cells} numbers, none below zero, for {self.bins} bins")
        if self.bin_means.shape != (self.usable,) or not np.isfinite(self.bin_means).all():
            raise ValueError(f"{self.name}: bin_means must be {self.usable} finite numbers for {self.bins} bins")
        if not (math.isfinite(self.std) and self.std >= 0):
            raise ValueError(f"{self.name}: std {self.std} must be finite and not below zero")
        if not (math.isfinite(self.mean) and (not self.bins or self.edges[0] < self.mean <= self.edges[-1])):
            raise ValueError(f"{self.name}: mean {self.mean} must lie between {self.min} and {self.max}")
        if self.bins and not self._means_in_bins():
            raise ValueError(f"{self.name}: each of bin_means must lie in its bin")
        for array in (self.counts, self.bin_means):
            array.setflags(write=False)

    def _means_in_bins(self) -> bool:
        inner, ends = self.bin_means[1:-1], self.bin_means[[0, -1]].tolist()
        inside = (self.edges[:-1] < inner) & (inner <= self.edges[1:])
        return bool(inside.all()) and ends == [self.min, self.max]

    @property
    def count(self) -> int:
        """Finite values."""
        return int(self.counts[: self.usable].sum())

    @property
    def missing(self) -> int:
        """Rows without a finite value."""
        return int(self.counts[self.usable :].sum())


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalBaseline(CategoricalFeature):
    """A categorical feature with its counts, int64[K + 2]: one a category, then other, then missing.

    Raises ValueError where the parts do not fit together.
    """

    counts: Ints

    def __post_init__(self) -> None:
        CategoricalFeature.__post_init__(self)
        if self.counts.shape != (self.cells,) or some(self.counts < 0):
            raise ValueError(
                f"{self.name}: counts must be {self.cells} numbers, none below zero, "
                f"for {len(self.categories)} categories"
            )
        self.counts.setflags(write=False)

    @property
    def count(self) -> int:
        """Rows with a value."""
        return int(self.counts[:-1].sum())

    @property
    def missing(self) -> int:
        """Rows without a value."""
        return int(self.counts[-1])


FeatureBaseline = NumericBaseline | CategoricalBaseline


@dataclass(frozen=True, eq=False)
class Baseline:
    """Counts of `rows` rows on a layout; one layout serves several baselines.

    `numeric` and `categorical` hold each feature's part of the counts, in the layout's order.

    >>> baseline = Baseline.of([CategoricalBaseline("plan", ("free", "pro"), np.array([6, 3, 0, 1]))], rows=10)
    >>> baseline.features["plan"].missing, baseline.missing_shares.tolist()
    (1, [0.1])
    """

    layout: Layout = field(repr=False)
    rows: int
    numeric: tuple[NumericBaseline, ...]
    categorical: tuple[CategoricalBaseline, ...]

    @classmethod
    def of(cls, features: Sequence[FeatureBaseline], rows: int) -> "Baseline":
        """Lay features out and hold their counts. Raises ValueError for no feature and for a name that is there twice."""
        numeric = tuple(feature for feature in features if isinstance(feature, NumericBaseline))
        categorical = tuple(feature for feature in features if isinstance(feature, CategoricalBaseline))
        layout = Layout(
            tuple(NumericFeature(feature.name, feature.edges, feature.discrete) for feature in numeric),
            tuple(CategoricalFeature(feature.name, feature.categories) for feature in categorical),
        )
        return Baseline(layout, rows, numeric, categorical)

    def parts(self) -> dict[str, Any]:
        """Return the four fields by name, for a class that is a baseline and more."""
        return {"layout": self.layout, "rows": self.rows, "numeric": self.numeric, "categorical": self.categorical}

    @cached_property
    def features(self) -> dict[str, FeatureBaseline]:
        """Features by name, numeric ones first."""
        features: tuple[FeatureBaseline, ...] = (*self.numeric, *self.categorical)
        return {feature.name: feature for feature in features}

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, numeric ones first."""
        return self.layout.names

    @property
    def counts(self) -> Ints:
        """All counts, int64[size]; put together anew each time, for the features hold them already."""
        counts = np.concatenate([feature.counts for feature in self.features.values()])
        counts.setflags(write=False)
        return counts

    @property
    def sketch(self) -> Sketch:
        """These counts as a sketch, put together anew each time."""
        return Sketch(self.layout, self.rows, self.counts)

    @cached_property
    def missing_shares(self) -> Floats:
        """Share of the rows without a value, float64[f]."""
        return np.asarray(self.sketch.missing / self.rows)

    @cached_property
    def unseen_shares(self) -> Floats:
        """Share of the rows outside the layout's own categories, float64[f]."""
        return np.asarray(self.sketch.unseen / self.rows)

    @cached_property
    def hash(self) -> str:
        """Sixteen hexadecimal digits that name the layout and the counts on it."""
        return hashlib.sha256(f"{self.layout.id} {self.rows}\n".encode() + self.counts.tobytes()).hexdigest()[:16]

    @cached_property
    def scorers(self) -> dict[Hashable, Any]:
        """What detectors have prepared from these counts, by detector; see `detectors.protocols.prepared`."""
        return {}

    def mean_shift(self, window: Tally) -> Floats:
        """Return (mean - own mean) / own sd of each numeric feature of a window, float64[k]; NaN without a usable row.

        Computed from counts and bin means, hence the same in any order of events. A feature that is constant here has no
        sigma: there it is the share of rows above minus the share below the constant. Not to be changed: whoever asks of the same
        window gets the same.
        """
        return window.shifts(self, self._mean_shift)

    def _mean_shift(self, window: Tally) -> Floats:
        return np.asarray(self._mean_shifts(window.kept[None], window.usable[None])[0])

    def mean_shifts(self, windows: TallyStack) -> Floats:
        """Return the same of several windows, float64[w, k]."""
        return self._mean_shifts(windows.kept, windows.usable)

    def _mean_shifts(self, counts: Counts, usable: Ints) -> Floats:
        places, zero = self._places
        return sums.shifts(self.layout, counts, places, np.ascontiguousarray(usable[:, : zero.size]), zero)

    @cached_property
    def _places(self) -> tuple[Floats, Floats]:
        """Where each numeric cell lies in sigma, float64[k, cells], and the own mean there, float64[k]."""
        flat = self.counts
        counts = self.layout.numbers(flat)
        places = np.zeros(counts.shape)
        for row, feature in zip(places, self.numeric, strict=True):
            cells = row[: feature.usable]
            half = feature.std / 2  # halves, because the distance of two finite numbers may overflow
            if half > 0:
                with np.errstate(over="ignore"):  # an absurd sd out of a file: clipped in the next breath
                    cells[:] = np.clip((feature.bin_means / 2 - feature.mean / 2) / half, -1e9, 1e9)
            elif feature.edges.size:
                cells[0], cells[-1] = -1.0, 1.0
        return places, sums.moments(self.layout, flat, places) / np.maximum(counts.sum(axis=1), 1)
