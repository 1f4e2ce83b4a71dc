"""Slow variation: a level that stays for hours or a day, as a random effect with degrees of freedom of its own.

A reference of two weeks has thousands of windows, and fourteen days. How far days differ is known from the fourteen alone.
So the means of three hours are nested in days (a balanced random effects model): mean squares between days and within them
give the variance of a level, and Satterthwaite (1946) the degrees of freedom that the sum is known with. What a level will
not exceed is Student's predictive bound for one more draw from the same law.

Features of one model share what they are: their variances are moderated by an inverse chi-square prior that is fitted to
all of them (Smyth 2004), as far as they vary independently; one that varies more than this law allows keeps its own
(Phipson and others 2016). Days that resemble the day before are fewer than they seem (Bartlett 1946).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from detectors import special
from detectors.calibration.student import tail_of_days
from detectors.features import Floats, Ints

HOUR_NS = 3600 * 10**9
DAY_NS = 24 * HOUR_NS
BLOCK_NS = 3 * HOUR_NS
MONTH_DAYS = 30.0
LEAST_DOF = 5.0  # of a level: with fewer, Student's t would allow anything
SHARE = 1.0  # of the budget, that slow variation may cost
SURE = 0.002  # chance at which more variance than expected is taken for chance
FEWEST = 4  # degrees of freedom, below which nothing is said of a variance
MOST_PRIOR = 200.0  # degrees of freedom that features lend each other
FEWEST_FEATURES = 4  # that lend
NORMAL = 1e9  # degrees of freedom of a normal tail
OUTSIDE = 0.01  # chance under the common law, below which a feature keeps its own variance


@dataclass(frozen=True, slots=True)
class Level:
    """How far the level of a feature's deviates lies from what is expected, while nothing is wrong.

    `variance` of one draw; `dof` it is known with; `draws` a month; `shape` degrees of freedom of the level itself: 1 of a
    level that has a sign, more where it is a sum of squares of which `variance` is the mean; `past`: times the variance, how
    far what is expected may itself be off, as the mean of few draws; `tail`: degrees of freedom of Student's t that levels
    follow where they are wilder than a normal law.
    """

    variance: float = 0.0
    dof: float = 1.0
    draws: float = MONTH_DAYS
    shape: float = 1.0
    past: float = 0.0
    tail: float = NORMAL
    free: float = field(default=0.0, compare=False, repr=False)  # days that say something of each other, while learning
    days: Floats = field(
        default_factory=lambda: np.empty(0), compare=False, repr=False
    )  # each day's mean, while learning
    weekdays: Ints = field(
        default_factory=lambda: np.empty(0, dtype=np.int64), compare=False, repr=False
    )  # which of these were held against the same expectation

    def most(self, chance: float) -> float:
        """Return the square that a draw exceeds with this chance: F, which of one degree is the square of Student's t."""
        if not self.variance:
            return 0.0
        free = max(self.shape, 1.0)
        known = free * max(min(self.dof, self.tail), 1.0)
        wild = (self.tail - 2) / self.tail if self.tail < self.dof else 1.0  # a t of variance one
        return float(self.variance * (1 + self.past) * wild * special.fdtri(free, known, 1 - chance))

    def times(self, unit: float) -> "Level":
        """Return the same in another unit."""
        return replace(self, variance=self.variance * unit)


def chance_of_a_draw(per_month: float, draws: float, levels: float) -> float:
    """Return the chance at which one draw of one of so many levels may exceed what is allowed, for so many a month in all."""
    return min(SHARE * per_month / (draws * max(levels, 1.0)), 0.05)


def nested(series: Floats, alone: float, times: Ints, window_ns: int, *, turns: float, weekly: bool) -> Level:
    """Return the level of windows around their expectation; nothing where chance explains it.

    `series` float64[k] of deviates at `times` int64[k], or [k, c] of c together, whose squares are summed and whose degrees
    of freedom are those of their covariance between days. `alone`: what windows of their own vary by, all columns together.
    The expectation follows the hours of `turns` seasons, a `weekly` one also the days of the week, and what follows its own
    past lies nearer to it.
    """
    columns = series[:, None] if series.ndim == 1 else series
    blocks = _blocks(columns, times, window_ns)
    if blocks is None:
        return Level()
    means, day, each, numbers = blocks
    of_day = np.bincount(day)
    days = _sums(means, day) / of_day[:, None]
    a_day, many = float(1 / np.mean(1 / of_day)), max(columns.shape[1] - 1, 1)
    free = float(len(days) - (7 if weekly else 1))
    inside = float((of_day - 1).sum()) * (1 - 1 / max(turns, 1.5) if turns else 1.0)
    chance = alone / each
    within = float(np.square(means - days[day]).sum()) / inside if inside >= FEWEST else 0.0
    wild = inside >= FEWEST and within > chance * _f_bound(inside * many, np.inf)
    base = max(within, chance) if wild else chance
    between = float(np.square(days - days.mean(axis=0)).sum()) * a_day / free if free >= FEWEST else 0.0
    apart = free >= FEWEST and between > base * _f_bound(free * many, inside * many if wild else np.inf)
    of_blocks, of_days = (within - chance if wild else 0.0), ((between - base) / a_day if apart else 0.0)
    variance = of_blocks + of_days
    if variance <= 0:
        return Level()
    parts = (between / a_day) ** 2 / free if apart else 0.0
    if wild:
        share = (a_day - 1) / a_day if apart else 1.0
        parts += (within * share) ** 2 / inside
    draws = MONTH_DAYS * (1 + (a_day - 1) * of_blocks / variance)
    dof = min(variance**2 / parts, inside + free)
    if dof < LEAST_DOF:  # hardly more than chance: a standard error above it, as if it were known a little better
        variance, dof = variance + float(np.sqrt(2 * parts)), LEAST_DOF
    kept = days[:, 0] - days[:, 0].mean() if apart and series.ndim == 1 else np.empty(0)
    shape = _sphericity(days if apart else means, base / (a_day if apart else 1.0)) if series.ndim > 1 else 1.0
    alike = numbers[: kept.size] % 7 if weekly else np.zeros(kept.size, dtype=np.int64)
    return Level(variance, dof, draws, shape, past=1 / max(turns or free, 1.0), free=free, days=kept, weekdays=alike)


def _sphericity(rows: Floats, noise: float) -> float:
    """Return how many degrees of freedom a sum of squares has, of rows of this covariance (Box 1954), noise taken off."""
    values = np.linalg.eigvalsh(np.cov(rows.T)) - noise / rows.shape[1]
    values = np.maximum(values, 0.0)
    return float(values.sum() ** 2 / max(np.square(values).sum(), 1e-300)) if values.any() else 1.0


def _sums(rows: Floats, which: Ints) -> Floats:
    found = np.zeros((int(which.max()) + 1, rows.shape[1]))
    np.add.at(found, which, rows)
    return found


def _blocks(series: Floats, times: Ints, window_ns: int) -> tuple[Floats, Ints, float, Ints] | None:
    """Return the means [b, c] of blocks of three hours or a window, the place of the day of each, windows a block, and the days' numbers."""
    if len(series) < 2:  # noqa: PLR2004 - nothing varies
        return None
    length = max(BLOCK_NS, window_ns)
    day, block = times // DAY_NS, times % DAY_NS // min(length, DAY_NS)
    keys, which, held = np.unique(day * 64 + block, return_inverse=True, return_counts=True)
    means = _sums(series, which) / held[:, None]
    whole = 2 * held >= np.median(held)
    keys, means, held = keys[whole], means[whole], held[whole]
    dates, of_day = np.unique(keys // 64, return_inverse=True)
    many = np.bincount(of_day)
    full = 2 * many >= np.median(many)
    kept = full[of_day]
    number = np.cumsum(full) - 1
    return means[kept], number[of_day[kept]], float(1 / np.mean(1 / held[kept])), dates[full]


def _f_bound(free: float, known: float) -> float:
    """Return the ratio of variances that chance hardly exceeds; `known` infinite: of a variance to its theory."""
    return float(special.chdtri(free, SURE)) / free if np.isinf(known) else float(special.fdtri(free, known, 1 - SURE))


# --- all features together ----------------------------------------------------------------------------------------------


def moderated(levels: Sequence[Level]) -> list[Level]:
    """Return the levels of one direction of all features, each with what the others tell of it."""
    days = _days(levels)
    again = _wild([_fewer_days(each, days) for each in levels])
    which = [at for at, each in enumerate(again) if each.variance > 0]
    if len(which) < FEWEST_FEATURES:
        return again
    logs, dof = np.log([again[at].variance for at in which]), np.array([again[at].dof for at in which])
    prior, common = _prior(logs, dof, _alike(days, max(each.free for each in again)))
    for at in which:
        again[at] = _lent(again[at], prior, common)
    return again


def _wild(levels: list[Level]) -> list[Level]:
    """Return levels with the tail that the days of all features show, and variances that a single wild day does not make.

    Fourteen days show no tail; those of many features, each in its own deviation, do.
    """
    which = [at for at, level in enumerate(levels) if level.days.size]
    law = tail_of_days([levels[at].days for at in which], [levels[at].weekdays for at in which])
    if law is None:
        return levels
    found = [replace(level, tail=law.tail) if level.variance else level for level in levels]
    for at, times in zip(which, law.variances.tolist(), strict=True):
        found[at] = replace(found[at], variance=found[at].variance * times)
    return found


def _days(levels: Sequence[Level]) -> Floats:
    """Return the day means of features whose days differ, float64[d, features]; those of most days' number."""
    sizes = [each.days.size for each in levels if each.days.size]
    most = max(set(sizes), key=sizes.count) if sizes else 0
    return np.array([each.days for each in levels if each.days.size == most]).T if most else np.empty((0, 0))


def _fewer_days(level: Level, days: Floats) -> Level:
    """Return the level as known from as many days as stand for themselves (Bartlett 1946)."""
    if not level.days.size:
        return level
    own, number = _correlation(level.days[:, None])[0], level.days.size
    pooled = float(np.mean(_correlation(days))) if days.size else float(own)
    spread = 1 / np.sqrt(number)
    rho = pooled if own < pooled + 2 * spread else float(own)
    rho = float(np.clip(rho, 0.0, 0.8))
    if rho < spread / np.sqrt(max(days.shape[1], 1)) * 2:
        return level
    fewer = (1 - rho) / (1 + rho)
    short = min((1 / fewer - 1) / (number - 1), 0.5)  # by how much the days lie nearer to their own mean
    return replace(level, variance=level.variance / (1 - short), dof=max(level.dof * fewer, 2.0))


def _correlation(days: Floats) -> Floats:
    """Return each column's correlation of a day with the day before, its bias taken off, float64[features]."""
    apart = days - days.mean(axis=0)
    whole = np.maximum(np.square(apart).sum(axis=0), 1e-300)
    return np.asarray((apart[1:] * apart[:-1]).sum(axis=0) / whole + 1 / len(days))


def _alike(days: Floats, free: float) -> float:
    """Return the mean square of the correlations between features' days, that of chance taken off: 1 where all move together."""
    if days.shape[1] < 2 or len(days) < FEWEST:  # noqa: PLR2004 - two to compare
        return 1.0
    r = np.corrcoef(days.T)
    many = days.shape[1]
    square = (float(np.square(r).sum()) - many) / (many * (many - 1))
    by_chance = min(1 / max(free, 1.0), 0.9)
    return float(np.clip((square - by_chance) / (1 - by_chance), 0.0, 1.0))


def _prior(logs: Floats, dof: Floats, alike: float) -> tuple[float, float]:
    """Return the degrees of freedom and the variance of the law that the variances are drawn from (Smyth 2004)."""
    from scipy import special  # all of it: polygamma is written in Python

    known = logs - special.digamma(dof / 2) + np.log(dof / 2)
    by_chance = float(special.polygamma(1, dof / 2).mean()) * (1 - alike)
    spread = float(known.var(ddof=1)) - by_chance * (
        1 + np.sqrt(2 / (logs.size - 1))
    )  # a standard error above is still chance
    limit = min(float(np.median(dof)) * (1 / max(alike, 1 / logs.size) - 1), MOST_PRIOR)
    prior = min(2 * _trigamma_inverse(spread), limit) if spread > 0 else limit
    centre = float(known.mean())
    common = np.exp(centre + (special.digamma(prior / 2) - np.log(prior / 2) if prior > 0 else 0.0))
    return max(prior, 0.0), float(common)


def _trigamma_inverse(value: float) -> float:
    from scipy import special  # all of it: polygamma is written in Python

    x = 0.5 + 1 / value
    for _ in range(20):
        x += (special.polygamma(1, x) * (1 - special.polygamma(1, x) / value)) / special.polygamma(2, x)
        x = max(x, 1e-3)
    return float(x)


def _lent(level: Level, prior: float, common: float) -> Level:
    """Return a level with what the prior knows, unless it varies more than that would let it."""
    if min(prior, common) <= 0 or special.fdtrc(level.dof, prior, level.variance / common) < OUTSIDE:
        return level
    dof = prior + level.dof
    return replace(level, variance=(prior * common + level.dof * level.variance) / dof, dof=dof)
