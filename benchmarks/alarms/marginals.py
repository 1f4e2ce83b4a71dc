"""What a feature is made of: a standard normal deviate, moved by the level, becomes a number or a category.

Each kind is one monotone map, so that a level of .1 σ moves all kinds alike and rows that share a deviate share their values.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from benchmarks.alarms.levels import Process
from detectors.features import Floats, Ints


@dataclass(frozen=True, slots=True)
class Normal:
    """Mean and deviation in units of their own."""

    mean: float = 0.0
    sd: float = 1.0

    def values(self, z: Floats) -> Floats:
        """Numbers of deviates."""
        return np.asarray(self.mean + self.sd * z)


@dataclass(frozen=True, slots=True)
class Lognormal:
    """Amounts: log of standard deviation `sd`."""

    sd: float = 1.0
    scale: float = 50.0

    def values(self, z: Floats) -> Floats:
        """Numbers of deviates."""
        return np.asarray(self.scale * np.exp(self.sd * z))


@dataclass(frozen=True, slots=True)
class Counts:
    """Small whole numbers: Poisson."""

    rate: float

    def values(self, z: Floats) -> Floats:
        """Numbers of deviates."""
        most = int(stats.poisson.ppf(1 - 1e-12, self.rate))
        return np.searchsorted(_cuts(stats.poisson.cdf(np.arange(most), self.rate)), z).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Flag:
    """0 or 1."""

    share: float

    def values(self, z: Floats) -> Floats:
        """Numbers of deviates."""
        return np.asarray(z > special.ndtri(1 - self.share), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class ZeroInflated:
    """Zero but for `share` of the rows, which are lognormal."""

    share: float

    def values(self, z: Floats) -> Floats:
        """Numbers of deviates."""
        above = special.ndtr(-z) / self.share if self.share else np.ones_like(z)
        inside = np.clip(above, 1e-300, 1 - 1e-16)
        return np.where(above < 1, np.exp(-special.ndtri(inside)), 0.0)


@dataclass(frozen=True, slots=True)
class Categories:
    """Codes 0, 1, … of these shares."""

    shares: tuple[float, ...]

    def codes(self, z: Floats, rng: np.random.Generator) -> Ints:
        """Categories of deviates."""
        del rng  # the deviate says it all
        return np.searchsorted(_cuts(np.cumsum(self.shares)[:-1]), z).astype(np.int64)


@dataclass(frozen=True, slots=True)
class LongTail:
    """Zipf's law without an end; codes from `most` on are one. How often it is new follows from the exponent."""

    exponent: float = 2.0
    most: int = 1_000_000

    def codes(self, z: Floats, rng: np.random.Generator) -> Ints:
        """Categories, whatever the deviates."""
        return np.minimum(rng.zipf(self.exponent, z.size), self.most) - 1


Number = Normal | Lognormal | Counts | Flag | ZeroInflated
Text = Categories | LongTail
Marginal = Number | Text


@dataclass(frozen=True, slots=True)
class Feature:
    """One column. `levels` replace those of the world; with `noise` 0 every row of a window has the level itself, as of weather."""

    name: str
    of: Marginal
    missing: float = 0.0
    noise: float = 1.0
    levels: tuple[Process, ...] | None = None


def inverse(many: int) -> Categories:
    """So many categories, by falling share, as 1/k."""
    weights = 1 / np.arange(1, many + 1)
    return Categories(tuple((weights / weights.sum()).tolist()))


def _cuts(below: Floats) -> Floats:
    return np.asarray(special.ndtri(np.clip(below, 0.0, 1.0)))
