"""Rows of a window as traffic makes them: on their own, in sessions, repeated by a storm of retries."""

from dataclasses import dataclass

import numpy as np

from benchmarks.alarms.levels import HOURS_A_DAY, HOURS_A_WEEK
from detectors.features import Floats, Ints

FEWER = 0.2  # times as many sessions, once they are fewer


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Deviates of some windows' rows: `z` float64[n, f], `many` int64[w] rows of each window, `shown` int64[m] which rows are sent.

    `session` int64[n] is what a row belongs to, None where rows are on their own.
    """

    z: Floats
    many: Ints
    shown: Ints | None = None
    session: Ints | None = None


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
    standard deviation of the logarithm of a session's size. `varies`: that of how many sessions there are from hour to hour, of
    as many rows together. `until`, in hours: from then on they are a fifth of what they were, five times as long.
    """

    rows: float
    sessions: float
    rho: float
    night: float = 0.0
    spread: float = 1.0
    varies: float = 0.0
    until: float = np.inf

    def draw(self, hours: Floats, features: int, rng: np.random.Generator) -> Drawn:
        """Rows of windows that begin at these hours."""
        busy = 1 + self.night * np.sin(2 * np.pi * hours / HOURS_A_DAY)
        fewer = np.where(hours < self.until, 1.0, FEWER)
        fewer = fewer * np.exp(self.varies * rng.standard_normal(hours.size)) if self.varies else fewer
        each = np.maximum(rng.poisson(self.sessions * busy * fewer), 1)
        size = np.repeat(self.rows / self.sessions / fewer, each)
        middle = np.log(size) - self.spread**2 / 2
        sizes = np.ceil(rng.lognormal(middle, self.spread)).astype(np.int64)
        session = np.repeat(np.arange(sizes.size), sizes)
        shared = rng.standard_normal((features, sizes.size))[:, session]
        own = rng.standard_normal((features, session.size))
        ends = np.cumsum(each)
        many = np.add.reduceat(sizes, ends - each)
        return Drawn((np.sqrt(self.rho) * shared + np.sqrt(1 - self.rho) * own).T, many, session=session)


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
