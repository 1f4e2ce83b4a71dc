"""Rows of a window as traffic makes them: on their own, in sessions, repeated by a storm of retries."""

from dataclasses import dataclass

import numpy as np

from benchmarks.alarms.levels import HOURS_A_DAY, HOURS_A_WEEK
from detectors.features import Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Deviates of some windows' rows: `z` float64[n, f], `many` int64[w] rows of each window, `shown` int64[m] which rows are sent."""

    z: Floats
    many: Ints
    shown: Ints | None = None


@dataclass(frozen=True, slots=True)
class Independent:
    """Poisson traffic of `rows` a window, each row on its own."""

    rows: float

    def draw(self, hours: Floats, features: int, rng: np.random.Generator) -> Drawn:
        """Rows of windows that begin at these hours."""
        many = rng.poisson(self.rows, hours.size)
        return Drawn(rng.standard_normal((features, int(many.sum()))).T, many)


@dataclass(frozen=True, slots=True)
class Sessions:
    """`sessions` a window, Poisson, of lognormal sizes, `rows` together on average; rows of one are correlated by `rho` in every feature.

    `night`: how much fewer sessions the quietest hour has than the middle, and the busiest more, as a share. `spread` is the
    standard deviation of the logarithm of a session's size.
    """

    rows: float
    sessions: float
    rho: float
    night: float = 0.0
    spread: float = 1.0

    def draw(self, hours: Floats, features: int, rng: np.random.Generator) -> Drawn:
        """Rows of windows that begin at these hours."""
        busy = 1 + self.night * np.sin(2 * np.pi * hours / HOURS_A_DAY)
        each = np.maximum(rng.poisson(self.sessions * busy), 1)
        size = self.rows / self.sessions
        middle = np.log(size) - self.spread**2 / 2
        sizes = np.ceil(rng.lognormal(middle, self.spread, int(each.sum()))).astype(np.int64)
        session = np.repeat(np.arange(sizes.size), sizes)
        shared = rng.standard_normal((features, sizes.size))[:, session]
        own = rng.standard_normal((features, session.size))
        ends = np.cumsum(each)
        many = np.add.reduceat(sizes, ends - each)
        return Drawn((np.sqrt(self.rho) * shared + np.sqrt(1 - self.rho) * own).T, many)


@dataclass(frozen=True, slots=True)
class Storm:
    """Independent rows, but in one hour of the week only `distinct` of them, which clients send again and again."""

    rows: float
    distinct: int
    hour: float

    def draw(self, hours: Floats, features: int, rng: np.random.Generator) -> Drawn:
        """Rows of windows that begin at these hours."""
        found = Independent(self.rows).draw(hours, features, rng)
        shown = np.arange(found.z.shape[0])
        firsts = np.cumsum(found.many) - found.many
        for window in np.flatnonzero(hours % HOURS_A_WEEK == self.hour).tolist():
            first, many = int(firsts[window]), int(found.many[window])
            weights = rng.exponential(size=min(self.distinct, many))  # some clients are more eager than others
            shown[first : first + many] = first + rng.choice(weights.size, many, p=weights / weights.sum())
        return Drawn(found.z, found.many, shown)


Rows = Independent | Sessions | Storm
