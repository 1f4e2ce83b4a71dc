"""The chart of duplicates: rows that repeat an id, of the same subgroup or the one before.

1. What is counted. Of the ids of the smallest hashes (see sketches/ids.py) the rows that repeat one, x of n. One id that comes a
   thousand times is one matter, not a thousand: x and n count for as many independent rows as they are worth (Kish 1965).
2. Usual. References seldom have ids. So the first subgroups teach what is usual, by their median; quiet ones go on teaching, for
   as long as a day. What has gone on for a day is learnt anew, as the rows charts do.
3. Tolerated, g: the usual share and as much again, at most five points, at least the floor of half a point, and four times what quiet
   subgroups differ by. Below it nobody is told.
4. The sum. x log r - n log(1 + g (r - 1)) for odds r of 1.3, 3 and 10, as in rate_charts.py; its threshold is log ARL (Lorden 1971).
   It has a hundredth of the budget, beside the other charts: where nothing comes twice it never errs.
5. What it does to the others. Rows that came twice say as much as one of them. While the share is beyond what is tolerated,
   the counts of all features are taken for as many rows as they are worth, so that no feature is blamed for the noise.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import special
from detectors.calibration.rates import RATIOS
from detectors.charts.budget import CERTAIN, points_per_month, ratio_threshold
from detectors.charts.rates import LIKE_MANY, MORE, MOST_OF_RATIO, UP
from detectors.charts.recovery import RateRecovery
from detectors.features import Bools, Floats
from detectors.sketches import IdSample

FEATURE = "__duplicates__"
CHART = "duplicates"
PART = 0.01  # of the budget
LEAST = 1e-6  # no share is known to be nothing
AT_ONCE = 0.2  # change from which one subgroup may page by itself, if chance is out of the question
LEARNING = 12  # subgroups
REMEMBERED = 288  # of them, that teach what is usual
SPREADS = 4.0  # times what they differ by
TO_SD = 1.4826  # median absolute deviation to the standard deviation of a normal law
FILLED = 1.001  # times the threshold: past it
DAY_NS = 86_400 * 10**9
NEVER = np.iinfo(np.int64).min
NO_IDS = IdSample(0, np.empty(0, dtype=np.uint64), np.empty(0, dtype=np.int64))


@dataclass(frozen=True, slots=True)
class DuplicatePoint:
    """What a subgroup says of duplicates: `rows` with an id, `distinct` ids, the `share` of rows that repeat one, with its error.

    `usual` is what that share is held to, None while it is learnt; `value` the sum over its threshold; `since` when what fires began.
    """

    rows: int
    distinct: float
    share: float
    error: float
    usual: float | None
    value: float
    firing: bool
    since: int


class DuplicateChart:
    """One sum, of rows that repeat an id beyond what is usual."""

    def __init__(self, per_month: float, subgroup_ns: int, quiet: int, floor: float) -> None:
        self._floor = floor
        self.threshold = ratio_threshold(max(points_per_month(subgroup_ns) * len(RATIOS) / (per_month * PART), np.e))
        self._day = -(-DAY_NS // subgroup_ns)  # in subgroups
        self.sums = np.zeros(len(RATIOS))
        self.firing: Bools = np.zeros(1, dtype=np.bool_)
        self._since = np.full(1, NEVER)
        self._risen = np.full(1, NEVER)
        self._lasted = np.zeros(1, dtype=np.int64)
        self._taught = np.zeros(1, dtype=np.int64)  # subgroups ever, since it was last learnt anew
        self._shares = np.zeros(REMEMBERED)
        self._weights = np.zeros(REMEMBERED)
        self._first = np.array(
            [np.nan, np.nan]
        )  # share and weight that were learnt first: what stands for the reference's
        self._usual: float | None = None  # the median of what was taught, until more is
        self._before = np.zeros((2, IdSample.most()), dtype=np.uint64)  # hashes and counts of the subgroup before
        self._before_rows = np.zeros(1, dtype=np.int64)
        self.recovery = RateRecovery(np.zeros(1), np.ones(1), quiet)

    def follow(self, ids: IdSample | None, start: int) -> tuple[DuplicatePoint | None, float]:
        """Take the ids of a subgroup; the point, None where no row has one, and what its rows are worth, at most 1."""
        if (
            self.firing[0] and self._lasted[0] >= self._day
        ):  # also where no id comes any more: nothing else would end it
            self._forget()
        if ids is None or not ids.rows:
            self._remember(NO_IDS)
            self._lasted += self.firing
            return (self._point(NO_IDS, 0.0, 0.0), 1.0) if self.firing[0] else (None, 1.0)
        found = ids.duplicates(self._known_before)
        self._remember(ids)
        if self._taught[0] >= LEARNING:
            self._judge(found.share, found.events * found.weight, found.sampled * found.weight, start)
        if not (self.firing[0] or self.sums.any()):
            self._learn(found.share, found.weight)
        self._lasted += self.firing
        return self._point(ids, found.share, found.error), self._worth(found.share, found.weight)

    def _judge(self, share: float, events: float, rows: float, start: int) -> None:
        usual, tolerated = self.usual, self.tolerated
        gained = events * UP - rows * np.log1p(tolerated * MORE)
        self.sums = np.maximum(self.sums + np.minimum(gained, MOST_OF_RATIO * self.threshold), 0.0)
        if not self.sums.any():
            self._risen[:] = NEVER
        elif self._risen[0] == NEVER:
            self._risen[:] = start
        certain = share - usual >= AT_ONCE and _beyond_chance(events, rows, tolerated)
        if not self.firing[0] and (certain or self.sums.max() >= self.threshold):
            self.firing[:], self._since[:] = True, self._risen
            self.sums = np.maximum(self.sums, FILLED * self.threshold)
            self.recovery.forget(self.firing)
        back = self.recovery.follow_counts(self.firing, np.array([events]), np.array([rows]), np.array([tolerated]))
        if back[0]:
            self._rest()

    def _learn(self, share: float, weight: float) -> None:
        place = int(self._taught[0]) % REMEMBERED
        self._shares[place], self._weights[place] = share, weight
        self._taught += 1
        self._usual = None
        if self._taught[0] == LEARNING and np.isnan(self._first[0]):
            self._first[:] = self.usual, float(np.median(self._weights[:LEARNING]))

    @property
    def _quiet(self) -> Floats:
        """The shares of quiet subgroups, as far back as a day."""
        return self._shares[: min(int(self._taught[0]), REMEMBERED)]

    @property
    def usual(self) -> float:
        """The share that is usual."""
        if self._usual is None:
            self._usual = float(np.median(self._quiet))
        return self._usual

    @property
    def tolerated(self) -> float:
        """The share above which people are told."""
        shares, usual = self._quiet, self.usual
        spread = TO_SD * float(np.median(np.abs(shares - usual)))
        return min(usual + max(self._floor, min(usual, LIKE_MANY), SPREADS * spread, LEAST), 1 - LEAST)

    def _worth(self, share: float, weight: float) -> float:
        """What a row is worth beside one of the first ones learnt, which stand for those that were calibrated."""
        usual, worth = (0.0, 1.0) if np.isnan(self._first[0]) else self._first.tolist()
        return min(weight / worth, 1.0) if share > usual + max(self._floor, min(usual, LIKE_MANY)) else 1.0

    def _point(self, ids: IdSample, share: float, error: float) -> DuplicatePoint:
        usual = self.usual if self._taught[0] >= LEARNING else None
        value = float(self.sums.max() / self.threshold)
        firing, since = bool(self.firing[0]), int(self._since[0])
        return DuplicatePoint(ids.rows, ids.rows * (1 - share), share, error, usual, value, firing, since)

    # --- state --------------------------------------------------------------------------------------------------

    def _rest(self) -> None:
        self.sums[:], self._lasted[:] = 0.0, 0
        self.firing[:] = False
        self._since[:] = self._risen[:] = NEVER
        self.recovery.forget(np.ones(1, dtype=np.bool_))

    def _forget(self) -> None:
        self._rest()
        self._taught[:] = 0
        self._usual = None

    @property
    def _known_before(self) -> IdSample | None:
        hashes, counts = self._before
        size = int(np.count_nonzero(hashes))
        return IdSample(int(self._before_rows[0]), hashes[:size], counts[:size].astype(np.int64)) if size else None

    def _remember(self, ids: IdSample) -> None:
        self._before[:] = 0
        self._before[0, : ids.hashes.size], self._before[1, : ids.hashes.size] = ids.hashes, ids.counts
        self._before_rows[:] = ids.rows

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        self._usual = None  # whoever asks may write into it
        own = {
            "sums": self.sums,
            "firing": self.firing,
            "since": self._since,
            "risen": self._risen,
            "lasted": self._lasted,
            "taught": self._taught,
            "shares": self._shares,
            "weights": self._weights,
            "first": self._first,
            "before": self._before,
            "before_rows": self._before_rows,
        }
        return {f"duplicates_{part}": array for part, array in own.items()} | self.recovery.arrays("duplicates_rest")


def _beyond_chance(events: float, rows: float, tolerated: float) -> bool:
    """Whether chance does not explain so many: Chernoff's bound."""
    q = events / max(rows, 1.0)
    apart = rows * (special.rel_entr(q, tolerated) + special.rel_entr(1 - q, 1 - tolerated))
    return bool(q > tolerated and apart >= -np.log(CERTAIN))
