"""One feature: the frozen bins or categories that it is counted on."""

import math
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.precision import as_written, precision_of, rounded

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.int32]  # of categories
Counts = NDArray[np.integer[Any]]  # int64, or in the smallest unsigned integers that hold them

LARGEST = float(np.finfo(np.float64).max)  # counts as infinite: there is no room for an edge beside it
MAX_CATEGORIES = 1000


def every(mask: Bools) -> bool:
    """Whether all are true. For the few features of a window ten times as quick as `mask.all()`."""
    return b"\0" not in mask.tobytes()


def some(mask: Bools) -> bool:
    """Whether any is true, likewise."""
    return b"\1" in mask.tobytes()


class Kind(StrEnum):
    """How a feature is counted: on bins or on categories."""

    NUMERIC = "numeric"
    CATEGORICAL = "categorical"


def canonical(value: object) -> str | None:
    """Return the one text under which a categorical value is counted, None for a missing one.

    Missing is None, a number that is not finite or above 1.8e308, and whatever is neither text, a boolean nor a number.

    >>> [canonical(v) for v in ("pro", True, 3, 3.0, 2.5, float("nan"), None)]
    ['pro', 'true', '3', '3', '2.5', None, None]
    """
    match value:
        case str():
            return str(value)
        case bool() | np.bool_():
            return "true" if value else "false"
        case int() | np.integer():
            return str(int(value)) if abs(int(value)) <= LARGEST else None  # Python refuses to write the hugest
        case float() | np.floating() | Decimal():
            number = float(str(value)) if isinstance(value, np.float32 | np.float16) else float(value)
            if not math.isfinite(number):
                return None
            return str(int(number)) if number.is_integer() else repr(number)
        case _:
            return None


@dataclass(frozen=True, slots=True, eq=False)
class NumericFeature:
    """A number, counted on quantile bins.

    `edges` float64[B + 1], strictly increasing: bin j is (edges[j-1], edges[j]]; the first edge lies one float below the
    minimum, the last is the maximum. Empty when no finite value was seen: then all is `over`. `discrete`: at most 50
    distinct values, each with a bin of its own. Where the reference is of less than double precision, a value in an edge's
    place is the last double that is the same value there: 0.1 as a single, widened or not, is one value. Raises ValueError
    for edges that do not rise.
    """

    name: str
    edges: Floats
    discrete: bool

    def __post_init__(self) -> None:
        rising = every(self.edges[1:] > self.edges[:-1]) and every(
            np.isfinite(self.edges[[0, -1]] if self.bins else self.edges)
        )
        if self.edges.size == 1 or not rising:
            raise ValueError(f"{self.name}: edges must be finite, strictly increasing, and none or at least two")
        self.edges.setflags(write=False)

    @property
    def kind(self) -> Kind:
        """Always numeric."""
        return Kind.NUMERIC

    @property
    def bins(self) -> int:
        """How many bins lie between the minimum and the maximum."""
        return max(0, self.edges.size - 1)

    @property
    def usable(self) -> int:
        """Cells of values: under, the bins, over. Cells of what is missing follow them."""
        return self.bins + 2

    @property
    def cells(self) -> int:
        """Cells of a row of counts: under, the B bins, over, missing, -inf, +inf."""
        return self.usable + 3

    @property
    def atoms(self) -> Bools:
        """Whether a bin can hold a single value only, so that nothing hides inside it, bool[B]."""
        first, less = np.nextafter(self.edges[:-1], np.inf), precision_of(self.edges)
        if less is not None:
            return np.asarray(rounded(first, less) == rounded(self.edges[1:], less))
        return np.asarray(first == self.edges[1:])

    @property
    def tops(self) -> Floats:
        """The value at the upper end of each bin, float64[B]."""
        return self._values(self.edges[1:])

    @property
    def min(self) -> float:
        """Smallest finite value of the reference."""
        return float(self._values(np.nextafter(self.edges[:1], np.inf))[0]) + 0.0 if self.edges.size else 0.0

    @property
    def max(self) -> float:
        """Largest finite value of the reference."""
        return float(self._values(self.edges[-1:])[0]) if self.edges.size else 0.0

    def _values(self, places: Floats) -> Floats:
        less = precision_of(self.edges)
        return places if less is None else as_written(rounded(places, less))


@dataclass(frozen=True, slots=True, eq=False)
class CategoricalFeature:
    """A text, a boolean or a code, counted on known categories.

    `categories` by falling count in the reference, at most 1000, in canonical text. Raises ValueError for a category that
    is there twice, and for too many.
    """

    name: str
    categories: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(set(self.categories)) != len(self.categories) or len(self.categories) > MAX_CATEGORIES:
            raise ValueError(f"{self.name}: categories must be distinct and at most {MAX_CATEGORIES}")

    @property
    def kind(self) -> Kind:
        """Always categorical."""
        return Kind.CATEGORICAL

    @property
    def usable(self) -> int:
        """Cells of values: one a category, then other. The cell of what is missing follows them."""
        return len(self.categories) + 1

    @property
    def cells(self) -> int:
        """Cells of a row of counts: one a category, then other, then missing."""
        return self.usable + 1


Feature = NumericFeature | CategoricalFeature
