"""How rates vary in the reference's own windows: missing values, and the mass of atoms and of what is rare.

A count x of n rows with an expected share q has the Pearson residual (x - n q) / √(n q (1 - q)). Three things make it vary
by more than one. Rows that come together: their squares' mean is the dispersion. Levels of days: relative rates of days are
a random effect, its variance by moments (DerSimonian and Laird 1986), known with as many degrees of freedom as there are
days, so that what a day will not exceed is Student's predictive bound. And what no such law knows: there the windows
themselves are put through the charts, and a sum that comes higher than chance lets it (Ville 1939: past h once in e^h) must
be expected to come again.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np

from detectors import special
from detectors.calibration.groups import Together, within
from detectors.calibration.variation import groups_of, quick_sd
from detectors.features import Floats, Ints

RATIOS = (1.3, 3.0, 10.0)  # of the odds, that the charts of rates look for: each has a sum of its own
MOST_AT_ONCE = 15.0  # that one window adds to a sum, about what the charts let it
ROOM = 1.5  # times the highest sum of the reference, where chance does not explain it
UNSURE = 0.05  # chance, over all rates, at which one is further off than allowed for
FEWEST_DAYS = 4
SURE = 0.002  # chance at which a larger variance than expected is taken for chance
HOUR_NS = 3600 * 10**9
UNITS_NS = (3 * HOUR_NS, 24 * HOUR_NS)  # in which levels may differ
TINY = 1e-12
MISSING = -32  # stands for missing values, where others are places of cells, or ~place


@dataclass(frozen=True, slots=True)
class RateVariation:
    """How a rate varies while nothing is wrong.

    `dispersion`: the variance of its count over a binomial one. `slow`: how far a level may lie from what is expected, as a
    part of it. `rises`, `falls`: how much higher than chance explains the sums came in the reference's own windows. `highest`:
    the largest share of one window. `alike`: how alike the rows of one group are; see groups.py.
    """

    dispersion: float = 1.0
    slow: float = 0.0
    rises: float = 0.0
    falls: float = 0.0
    highest: float = 0.0
    alike: float = 0.0

    def to_list(self) -> list[float]:
        """Return the JSON form, exact."""
        return list(astuple(self))[: None if self.alike else -1]

    @classmethod
    def from_list(cls, content: Sequence[Any]) -> Self:
        """Read the JSON form. Raises ValueError with one line."""
        numbers = [float(number) for number in content]
        most = len(cls.__slots__)
        if len(numbers) not in {most - 1, most} or not np.isfinite(numbers).all():
            raise ValueError(f"calibration: rates should have {most - 1} finite numbers each, or {most}")
        if numbers[0] <= 0 or min(numbers) < 0:
            raise ValueError("calibration: rates must have a dispersion above zero and nothing below it")
        return cls(*numbers)


@dataclass(frozen=True, slots=True, eq=False)
class RateWindows:
    """Several rates in the same windows: events and rows float64[k, r], expected shares [k, r], middles int64[k].

    `features` share the chances; `fitted`: by how much the expectation has followed these very windows. `groups`: how many
    rows come together; events and rows are then counted for what they are worth.
    """

    events: Floats
    rows: Floats
    expected: Floats
    middles: Ints
    features: int
    fitted: float = 1.0
    groups: Together | None = None


def vary(windows: RateWindows) -> list[RateVariation]:
    """Learn how each of several rates varies, in their order."""
    found = []
    for each in range(windows.events.shape[1]):
        events, rows, expected = (part[:, each] for part in (windows.events, windows.rows, windows.expected))
        if not 0 < events.sum() < rows.sum():
            found.append(RateVariation(highest=float(events.sum() > 0)))
            continue
        spread = np.sqrt(np.maximum(rows * expected * (1 - expected), TINY))
        alike = 0.0
        if windows.groups is not None:
            residual = ((events - rows * expected) / spread)[:, None]
            near = groups_of(windows.middles, int(np.median(np.diff(windows.middles))))
            alike = windows.groups.alike(np.square(within(residual, near))[:, 0])
            worth = windows.groups.worth(np.array([alike]))[:, 0]
            events, rows, spread = events * worth, rows * worth, spread * np.sqrt(worth)
        dispersion = quick_sd((events - rows * expected) / spread / windows.fitted) ** 2
        slow = _slow(events, rows * expected, dispersion, windows)
        whole = 2 * rows >= np.median(rows)
        highest = float((events[whole] / rows[whole]).max())
        rises, falls = _beyond_chance(events, rows, expected, dispersion, slow, windows.features)
        found.append(RateVariation(dispersion, slow, rises, falls, highest, alike))
    return found


def _slow(events: Floats, expected: Floats, dispersion: float, windows: RateWindows) -> float:
    """What levels of hours and days may do, as a part of the rate."""
    days = np.unique(windows.middles // UNITS_NS[-1]).size
    if days < FEWEST_DAYS:
        return 0.0
    variance = max(_between(events, expected, dispersion, windows.middles // unit) for unit in UNITS_NS)
    bound = _student(UNSURE / (4 * windows.features), days - 1)
    return float(bound * np.sqrt(variance * (1 + 1 / days)))


def _between(events: Floats, expected: Floats, dispersion: float, units: Ints) -> float:
    """The variance of relative rates between units of time, by moments; 0 where chance explains it."""
    number = np.unique(units, return_inverse=True)[1]
    seen, due = np.bincount(number, weights=events), np.bincount(number, weights=expected)
    seen, due = seen[due > 0], due[due > 0]
    weights, rates = due / dispersion, seen / due
    free = rates.size - 1
    mean = float((weights * rates).sum() / weights.sum())
    spread = float((weights * np.square(rates - mean)).sum())
    if free < FEWEST_DAYS - 1 or spread <= special.chdtri(free, SURE):
        return 0.0
    return (spread - free) / float(weights.sum() - np.square(weights).sum() / weights.sum())


def _student(chance: float, dof: int) -> float:
    return float(special.stdtrit(max(dof, 1), 1 - chance))


def _beyond_chance(
    events: Floats, rows: Floats, expected: Floats, dispersion: float, slow: float, features: int
) -> tuple[float, float]:
    """How much higher the sums of the charts came, up and down, than they do by chance in so many windows."""
    behind = np.array([rows.sum() / dispersion])
    seen = np.array([events.sum() / dispersion])
    usual = events.sum() / rows.sum()
    upper = float(upper_share(seen, behind, features, np.ones(1))[0]) / usual * (1 + slow)
    lower = float(lower_share(seen, behind, features)[0]) / usual * max(1 - slow, 0.0)
    bound = float(np.log(len(RATIOS) * events.size * features / UNSURE))
    found = []
    for times, ratios in ((upper, RATIOS), (lower, tuple(1 / ratio for ratio in RATIOS))):
        share = np.minimum(expected * times, 1 - TINY)
        highest = max(
            _highest(np.minimum(log_ratio(events, rows, share, ratio) / dispersion, MOST_AT_ONCE)) for ratio in ratios
        )
        found.append(max(ROOM * highest - bound, 0.0) if highest > bound else 0.0)
    return found[0], found[1]


def log_ratio(events: Floats, rows: Floats, share: Floats, ratio: float) -> Floats:
    """Return the log likelihood ratio of odds `ratio` times those of `share`."""
    return np.asarray(events * np.log(ratio) - rows * np.log1p(share * (ratio - 1)))


def _highest(increments: Floats) -> float:
    """Return the highest of the sums S = max(0, S + increment)."""
    total = np.cumsum(increments)
    return float((total - np.minimum.accumulate(np.minimum(total, 0.0))).max(initial=0.0))


def upper_share(events: Floats, rows: Floats, features: int, ends: Floats) -> Floats:
    """Return the share that a reference of so many events in so many rows may really have, at the chance shared by all.

    The posterior's upper bound for a Poisson count (`ends`: 1, or 2 where both ends of a range were themselves drawn).
    """
    bound = special.gammaincinv(np.asarray(events, dtype=np.float64) + ends, 1 - UNSURE / (4 * features))
    return np.asarray(np.minimum(bound / np.maximum(rows, 1.0), 1.0))


def lower_share(events: Floats, rows: Floats, features: int) -> Floats:
    """Return the least share that a reference of so many events in so many rows may really have, as `upper_share` the most."""
    events = np.asarray(events, dtype=np.float64)
    bound = special.gammaincinv(np.maximum(events, TINY), UNSURE / (4 * features))
    return np.asarray(np.where(events > 0, bound / np.maximum(rows, 1.0), 0.0))


# --- what was never seen ----------------------------------------------------------------------------------------------


def discount(counts: Ints) -> float:
    """Return by how much each category's count is too high, since it is the ones that came that were counted.

    What it takes from all leaves room for those that did not come (Ney, Essen and Kneser 1994, absolute discounting).
    """
    once, twice = int(np.count_nonzero(counts == 1)), int(np.count_nonzero(counts == 2))  # noqa: PLR2004
    return once / (once + 2 * twice) if once else 0.0


def unseen_events(counts: Sequence[Ints], numeric: int) -> Floats:
    """Return how many rows of the reference were the first of their value, float64[f]: as many more may be expected.

    The mass of what was not seen is the share of what was seen once (Good 1953). `counts` of usable cells by feature; of
    numbers, of which the ends alone are new, none.
    """
    return np.array(
        [0.0 if at < numeric else float(np.count_nonzero(each[:-1] == 1)) for at, each in enumerate(counts)]
    )
