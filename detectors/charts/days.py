"""Whether days differ by more than the budget allows for: counted day by day, as they come back.

A calibration that understates how days differ brings pages that end by themselves, and days on which a chart climbs and falls
again. A true change does neither: it stays. So a feature is *out* on a day on which one of its charts fires, or on which its
mean deviate comes near to what pages by itself; it *comes back* on the first judged day after that has neither. Whether days on
which something comes back are as rare as promised is a Bernoulli trial a day. Trials are summed up as log likelihood ratios of
four times the due rate against it: S = max(0, S + log p₁/p₀ or log (1 - p₁)/(1 - p₀)), a Bernoulli CUSUM (Reynolds and
Stoumbos 1999). One trial a day, however many features come back together: those that move together prove no more than one.

What a day must bring. Of m subgroups with deviates z = u - t, of which t was tolerated, the sum of a chart climbs by Σz - km; it
pages by itself where that is h. Near is so much less that Σu is 0.85 of it. With u independent and normal that is more than
3.5 standard errors in any case, once in 50 days for all charts.

A day is one of the local clock; where a subgroup is longer, it stands for one. Holidays are none.

References: M. R. Reynolds and Z. G. Stoumbos, A CUSUM chart for monitoring a proportion when inspecting continuously, Journal of
Quality Technology 31 (1999).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.clocks import DAY_NS, local_days
from detectors.calibration.components import normal_quantile
from detectors.charts.design import CLIP, DRIFTS, GAUSSIAN
from detectors.features import Bools, Floats, some

MONTH = 30.0  # days
NEAR = 0.85  # of a day's deviates that page by themselves
CHANCE = 0.02  # a day, that chance alone puts any feature out by its mean deviate
NEARLY = 2.0  # days on which something comes back, that are due for each page of the budget
TIMES = 4.0  # the due rate, that the sum looks for
MOST_OFTEN = 0.6  # a day, of those
SURE = 3.0  # sum from which on days differ by too much
BACK = 1.0  # standard errors of a day's mean that are none
KEPT = 14  # days that are told of
PARTS = (
    "sums",
    "tolerated",
    "counts",
    "firing",
    "began",
    "out",
    "today",
    "kept",
    "odds",
    "suspected",
)  # of what is saved
_DIRECTION = np.array([0, 0, 1, 1, -1])  # which of location and scale a chart is of; shape is of neither
NO_DAY = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True)
class DaysSeen:
    """What the last judged days brought: `firings` began where nothing fired before, `out` are days on which something came back.

    `due` firings and `out_due` such days are what the budget and chance allow. `alarmed` is the share of time under alarm,
    `suspect` whether it is too much.
    """

    days: int = 0
    firings: int = 0
    due: float = 0.0
    out: int = 0
    out_due: float = 0.0
    alarmed: float = 0.0
    suspect: bool = False


NO_DAYS = DaysSeen()


class DayCheck:
    """Days of one series on trial. `active` bool[f, 5]: which charts of deviates there are."""

    def __init__(self, active: Bools, limits: Floats, per_month: float, subgroup_ns: int, timezone: str | None) -> None:
        """`limits` float64[5]: the thresholds of these charts."""
        self._active, self._limits = active, limits
        self._timezone = timezone
        self._day_ns = max(subgroup_ns, DAY_NS)
        self._length = subgroup_ns
        self._due = per_month / MONTH * self._day_ns / DAY_NS
        usual = min(NEARLY * self._due + CHANCE, MOST_OFTEN / 2)
        often = min(TIMES * usual, MOST_OFTEN)
        self._gains = float(np.log((1 - often) / (1 - usual))), float(np.log(often / usual))
        self._usual = usual
        self._beyond = normal_quantile(CHANCE / max(int(active.sum()), 1))
        features = len(active)
        self.sums = np.zeros(
            (features, GAUSSIAN), dtype=np.float32, order="F"
        )  # of deviates, this day, while the feature does not fire
        self.tolerated = np.zeros(
            (features, 2), dtype=np.float32, order="F"
        )  # the same of what was taken off those of location and scale
        self.counts = np.zeros(features, dtype=np.int32)  # subgroups of these
        self.firing: Bools = np.zeros(features + 1, dtype=np.bool_)  # the last are the rows
        self.began: Bools = np.zeros(features + 1, dtype=np.bool_)  # to fire, this day
        self.out: Bools = np.zeros(features + 1, dtype=np.bool_)
        self.today = np.array([NO_DAY, 0, 0, 0])  # number, firings begun, nanoseconds under alarm and judged
        self.kept = np.zeros(
            (KEPT, 4), dtype=np.int64
        )  # firings, whether something came back, nanoseconds as above; newest last
        self.odds = np.zeros(1)
        self.suspected: Bools = np.zeros(1, dtype=np.bool_)

    def follow(self, z: Floats, judged: Bools, firing: Bools, start: int) -> None:
        """Take a subgroup: z float64[f, 5], of features that are judged, bool[f]; firing bool[f + 1], the rows last."""
        looked = judged & ~firing[:-1]
        day = start // self._day_ns if self._day_ns > DAY_NS else int(local_days(start, self._timezone))
        if day != self.today[0]:
            self._close()
            self.today[0] = day
        which = looked[:, None]  # a factor: np.where would take twice the time, for it leaves the order of the columns
        self.sums += np.minimum(np.maximum(z, -CLIP), CLIP) * which
        self.tolerated += np.minimum(z[:, 0:4:2] + z[:, 1:4:2], 0.0) * (which * -0.5)
        self.counts += looked
        alarmed, before = some(firing), some(self.firing)
        self.today[1:] += (alarmed and not before, alarmed * self._length, self._length)
        self.began |= firing & ~self.firing
        self.firing[:] = firing

    def forget(self, places: Sequence[int]) -> None:
        """Forget what was out of these features: they are held to another level, and no longer come back to where they were."""
        for array in (self.sums, self.tolerated, self.counts, self.firing, self.began, self.out):
            array[places] = 0

    def _close(self) -> None:
        """Judge the day that is over."""
        if not self.today[3]:
            return
        root, seen = np.sqrt(np.maximum(self.counts, 1.0))[:, None], self.counts > 0
        mean, tolerated = self.sums / root, self.tolerated[:, _DIRECTION] * (_DIRECTION >= 0) / root
        pages = tolerated + DRIFTS * root + self._limits / root
        near = (mean + tolerated >= np.maximum(NEAR * pages, self._beyond)) & self._active & seen[:, None]
        out, calm = self.began.copy(), ~self.firing
        out[:-1] |= near.any(axis=1)
        calm[:-1] &= (mean < BACK).all(axis=1) & seen
        back = self.out & calm & ~out
        self.out = (self.out | out) & ~back
        came = bool(back.any())
        self.odds[0] = min(max(self.odds[0] + self._gains[came], 0.0), 2 * SURE)
        self.suspected[0] = self.odds[0] > (0 if self.suspected[0] else SURE)
        self.kept = np.vstack([self.kept[1:], [self.today[1], came, self.today[2], self.today[3]]])
        for array in (self.sums, self.tolerated, self.counts, self.began, self.today):
            array[:] = 0

    @property
    def suspect(self) -> bool:
        """Whether days differ by more than the budget allows for."""
        return bool(self.suspected[0])

    @property
    def seen(self) -> DaysSeen:
        """What the last judged days brought."""
        judged = self.kept[self.kept[:, 3] > 0]
        days = len(judged)
        firings, out, alarmed, time = (int(total) for total in judged.sum(axis=0))
        return DaysSeen(days, firings, self._due * days, out, self._usual * days, alarmed / max(time, 1), self.suspect)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        return {f"days_{part}": getattr(self, part) for part in PARTS}
