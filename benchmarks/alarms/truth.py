"""What simulated features are, and what a change makes of them: distributions, not rows."""

from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from scipy import special, stats

from detectors.features import Floats

USUAL_MISSING = 0.001


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one feature. Numbers: shift and stretch in σ, then times; categories: mass moved, a new one."""

    shift: float = 0.0
    stretch: float = 1.0
    times: float = 1.0
    stuck: bool = False
    swapped: bool = False  # with another feature's values
    moved: float = 0.0  # share, from the commonest category to the rarest
    unseen: float = 0.0  # share of a category that the reference never saw
    missing: float | None = None


NOTHING = Change()


class Number(Protocol):
    """A numeric feature's distribution."""

    def cdf(self, x: Floats) -> Floats:
        """Share at or below x."""

    def ppf(self, u: Floats) -> Floats:
        """Least value that so large a share is at or below."""


@dataclass(frozen=True, slots=True)
class Normal:
    """Continuous. Cells are quantiles of the reference, so any other continuous shape gives the same counts."""

    mean: float = 0.0
    sd: float = 1.0
    missing: float = 0.0

    def cdf(self, x: Floats) -> Floats:
        """Share at or below x."""
        return np.asarray(special.ndtr((x - self.mean) / self.sd))

    def ppf(self, u: Floats) -> Floats:
        """Least value that so large a share is at or below."""
        return np.asarray(self.mean + self.sd * special.ndtri(u))


@dataclass(frozen=True, slots=True)
class Integer:
    """Small counts: Poisson."""

    rate: float
    missing: float = 0.0

    def cdf(self, x: Floats) -> Floats:
        """Share at or below x."""
        return np.where(x < 0, 0.0, special.pdtr(np.floor(np.maximum(x, 0)), self.rate))

    def ppf(self, u: Floats) -> Floats:
        """Least value that so large a share is at or below."""
        return np.asarray(stats.poisson.ppf(u, self.rate), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Constant:
    """One value only."""

    value: float = 7.0
    missing: float = 0.0

    def cdf(self, x: Floats) -> Floats:
        """Share at or below x."""
        return np.where(x >= self.value, 1.0, 0.0)

    def ppf(self, u: Floats) -> Floats:
        """Least value that so large a share is at or below."""
        return np.full(np.shape(u), self.value)


@dataclass(frozen=True, slots=True)
class ZeroInflated:
    """Seven rows in ten are zero, the others lognormal."""

    zeros: float = 0.7
    missing: float = 0.0

    def cdf(self, x: Floats) -> Floats:
        """Share at or below x."""
        above = special.ndtr(np.log(np.maximum(x, 1e-300)))
        return np.where(x < 0, 0.0, self.zeros + (1 - self.zeros) * np.where(x > 0, above, 0.0))

    def ppf(self, u: Floats) -> Floats:
        """Least value that so large a share is at or below."""
        inside = np.clip((u - self.zeros) / (1 - self.zeros), 0.0, 1.0)
        return np.where(u <= self.zeros, 0.0, np.exp(special.ndtri(inside)))


@dataclass(frozen=True, slots=True)
class Categories:
    """Shares by falling size, as 1/k."""

    shares: tuple[float, ...]
    missing: float = 0.0

    @classmethod
    def of(cls, many: int, missing: float = 0.0) -> "Categories":
        """Return so many."""
        weights = 1 / np.arange(1, many + 1)
        return cls(tuple((weights / weights.sum()).tolist()), missing)


Feature = Normal | Integer | Constant | ZeroInflated | Categories


@dataclass(frozen=True, slots=True)
class Mix:
    """How many features of which kind; numbers stand first, as in a grid."""

    normal: int
    categories: int
    integers: int = 0
    constants: int = 0
    zeros: int = 0

    def __len__(self) -> int:
        return self.normal + self.categories + self.integers + self.constants + self.zeros

    def features(self, rng: np.random.Generator) -> list[Feature]:
        """Draw them; each normal one has units of its own, and one in five is missing now and then."""
        normal: list[Feature] = [
            Normal(
                mean=float(rng.normal(0, 3)) * scale,
                sd=scale,
                missing=USUAL_MISSING if at % 5 == 0 else 0.0,
            )
            for at, scale in enumerate(np.exp(rng.normal(0, 2, self.normal)).tolist())
        ]
        integers: list[Feature] = [Integer(rate) for rate in np.geomspace(0.05, 40, max(self.integers, 1)).tolist()]
        constants: list[Feature] = [Constant(float(at)) for at in range(self.constants)]
        zeros: list[Feature] = [ZeroInflated(zeros) for zeros in np.linspace(0.5, 0.95, max(self.zeros, 1)).tolist()]
        categories: list[Feature] = [Categories.of((10, 10, 3, 10, 10, 30)[at % 6]) for at in range(self.categories)]
        return [*normal, *integers[: self.integers], *constants, *zeros[: self.zeros], *categories]


PLAIN = Mix(normal=170, categories=30)
TIES = Mix(normal=150, categories=30, integers=10, constants=5, zeros=5)


def changed_cdf(feature: Number, change: Change, x: Floats) -> Floats:
    """Share at or below x once it has changed. σ is that of a Normal; other kinds know no shift."""
    if change.stuck:
        return np.where(x >= feature.ppf(np.array(0.5)), 1.0, 0.0)
    if isinstance(feature, Normal):
        mean, sd = feature.mean + change.shift * feature.sd, feature.sd * change.stretch
        return replace(feature, mean=mean * change.times, sd=sd * change.times).cdf(x)
    return feature.cdf(x / change.times)


def changed_shares(feature: Categories, change: Change) -> Floats:
    """Return shares of the categories once they have changed, and last of one never seen before."""
    shares = np.array(feature.shares)
    if change.stuck:
        return np.append((np.arange(shares.size) == 0).astype(np.float64), 0.0)
    shares[0] -= change.moved
    shares[-1] += change.moved
    return np.append(shares * (1 - change.unseen), change.unseen)
