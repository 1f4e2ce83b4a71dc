"""How requests were served: what they took, in exponential bins, and whether they failed. Counts alone, which add and subtract.

The bins are those of a native histogram of Prometheus of schema 3: eight an octave, so that each is 9 % wide, an upper bound
belongs to its bin, and every power of two is a bound. A quantile is known to 4.4 % between the bounds of one bin.
"""

import struct
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints

PER_OCTAVE, LOWEST, HIGHEST = 8, -20, 12  # powers of two, seconds: from a microsecond to an hour
BOUNDS: Floats = np.exp2(np.arange(PER_OCTAVE * LOWEST, PER_OCTAVE * HIGHEST + 1) / PER_OCTAVE)  # upper ones, inclusive
BINS = BOUNDS.size + 1  # the last holds what took longer
UNKNOWN = -1
HEAD = struct.Struct(
    "<QQB"
)  # rows of which it is told whether they failed, those that did, bytes a count; then the counts
Served = NDArray[np.int16]
"""int16[n, 2]: the bin of what each request took, then 1 where it failed and 0 where not; UNKNOWN where it is not told."""


def bins_of(seconds: Floats) -> NDArray[np.int16]:
    """Return the bin of each duration; UNKNOWN of one that is below 0 or no number.

    >>> bins_of(np.array([0.0, 0.5, 0.51, np.nan, -1.0, 1e9])).tolist()
    [0, 152, 153, -1, -1, 257]
    """
    known = (seconds >= 0) & (seconds < np.inf)
    return np.where(known, np.searchsorted(BOUNDS, seconds, side="left"), UNKNOWN).astype(np.int16)


class ServedCounts:
    """Requests by what they took, int64[BINS] (float64[BINS] where that many are expected), and how many failed of those of which it is told.

    >>> counts = ServedCounts()
    >>> counts.update(np.array([[152, 0], [153, 1], [152, 0], [-1, 0]], dtype=np.int16))
    >>> counts.timed, counts.failed, counts.told, round(counts.quantile(0.5), 2)
    (3, 1, 4, 0.49)
    """

    __slots__ = ("failed", "latencies", "told")

    def __init__(self, latencies: Ints | Floats | None = None, told: int = 0, failed: int = 0) -> None:
        self.latencies: NDArray[Any] = np.zeros(BINS, dtype=np.int64) if latencies is None else latencies
        self.told = told
        self.failed = failed

    def update(self, served: Served) -> None:
        """Count some requests."""
        bins, failed = served[:, 0], served[:, 1]
        self.latencies = self.latencies + np.bincount(bins[bins != UNKNOWN], minlength=BINS)
        self.told += int(np.count_nonzero(failed != UNKNOWN))
        self.failed += int(np.count_nonzero(failed == 1))

    @property
    def timed(self) -> int:
        """Requests of which it is told what they took."""
        return int(self.latencies.sum())

    @property
    def error_rate(self) -> float | None:
        """Share that failed; None where nothing is told."""
        return self.failed / self.told if self.told else None

    def quantile(self, share: float) -> float | None:
        """The seconds under which this share of the requests took, between the bounds of its bin by its rank; None without any."""
        below = np.cumsum(self.latencies)
        if not below[-1]:
            return None
        rank = max(share * float(below[-1]), 1e-9)
        place = int(np.searchsorted(below, rank, side="left"))
        if place in {0, BINS - 1}:
            return float(BOUNDS[min(place, BINS - 2)])
        inside = (rank - float(below[place - 1])) / float(self.latencies[place])
        return float(BOUNDS[place - 1] * (BOUNDS[place] / BOUNDS[place - 1]) ** inside)

    def plus(self, other: "ServedCounts") -> "ServedCounts":
        """Return these and others."""
        latencies = np.add(self.latencies, other.latencies, dtype=np.int64)
        return ServedCounts(latencies, self.told + other.told, self.failed + other.failed)

    def less(self, other: "ServedCounts") -> "ServedCounts":
        """Return these without others that were added."""
        latencies = np.subtract(self.latencies, other.latencies, dtype=np.int64)
        return ServedCounts(latencies, self.told - other.told, self.failed - other.failed)

    def copy(self) -> "ServedCounts":
        """Return counts that no longer change with these."""
        return ServedCounts(self.latencies.astype(np.int64), self.told, self.failed)

    def packed(self) -> "ServedCounts":
        """Return the same in the smallest integers that hold it, to be kept."""
        return ServedCounts(self.latencies.astype(f"<u{self._width}"), self.told, self.failed)

    @property
    def _width(self) -> int:
        return np.min_scalar_type(int(self.latencies.max())).itemsize

    def to_bytes(self) -> bytes:
        """Write them; `from_bytes` reads them."""
        head = HEAD.pack(self.told, self.failed, self._width)
        return head + self.latencies.astype(f"<u{self._width}").tobytes()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes."""
        told, failed, width = HEAD.unpack_from(data) if len(data) > HEAD.size else (0, 0, 0)
        if width not in {1, 2, 4, 8} or len(data) != HEAD.size + width * BINS or failed > told:
            raise ValueError(f"the requests should be {BINS} counts, and no more failed than are told of")
        return cls(np.frombuffer(data, f"<u{width}", BINS, HEAD.size).astype(np.int64), told, failed)


def within(latencies: Ints, bounds: Floats) -> list[int]:
    """Return how many took more than the bound before and at most each of these, then more than the last; all are among BOUNDS.

    >>> within(np.bincount([0, 152, 153], minlength=BINS), np.array([0.25, 0.5]))
    [1, 1, 1]
    """
    ends = [0, *(np.searchsorted(BOUNDS, bounds) + 1).tolist(), BINS]
    return [int(latencies[first:end].sum()) for first, end in pairwise(ends)]
