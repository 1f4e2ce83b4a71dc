"""The recovery test: when a chart that fires has come back.

The likelihood ratio of no change against a change as large as it has been, summed up while the chart fires; it is Lorden's
test (1971) with the two exchanged. At odds of 10 000 to 1, and after some quiet subgroups, the chart has come back.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.arl import DRIFT
from detectors.calibration.components import TINY
from detectors.calibration.rates import RATIOS
from detectors.charts.design import CLIP
from detectors.features import Bools, Floats, Ints

SURE_OF_RECOVERY = 9.2  # log of the odds, recovered against still changed: once in 10 000 subgroups it is wrong
REMEMBERED = 50.0  # subgroups that the size of a change is learnt from
REMEMBERED_EVENTS = 10.0  # that a rate is learnt from, however many subgroups they take
SMALLEST = 1.4  # times the drift, deviate of a change; one that is smaller is hardly found


class Recovery:
    """The odds that what fires has recovered, against a change as large as it has been.

    One number a chart, so that a lasting small change does not flicker.
    """

    def __init__(self, shape: tuple[int, ...], quiet: int, drifts: Floats | float = DRIFT) -> None:
        self.least_quiet = quiet  # subgroups
        self._smallest = SMALLEST * drifts
        self.level = np.zeros(shape, order="F")  # mean deviate since it fired, of high and low subgroups alike
        self.count = np.zeros(shape, order="F")
        self.odds = np.zeros(shape, order="F")
        self.quiet = np.zeros(shape, dtype=np.int64, order="F")
        self.loud = np.zeros((2, *shape))  # mean effect while it fired and was not quiet, and of how many subgroups
        self.calm = np.zeros((2, *shape))  # the same of the quiet ones
        self.sizes = np.zeros(shape)  # the first of these, of what has recovered last

    def follow(self, firing: Bools, z: Floats, judged: Bools, effects: Floats | None = None) -> Bools:
        """Take one more subgroup of the charts that fire and are judged; those that have recovered are returned.

        With `effects`, in any unit that is 0 without a change: one that lasts may lie within what is tolerated for days,
        since levels differ from day to day. It has gone when it is less than half of what it was; 0 is not asked.
        """
        looked = firing & judged
        z = np.clip(z, -2.0, CLIP)
        self.count += looked
        self.level += np.where(looked, (z - self.level) / np.clip(self.count, 1.0, REMEMBERED), 0.0)
        level = np.maximum(self.level, self._smallest)
        gained = level * (level / 2 - z)
        if effects is None:
            return self._recovered(firing, looked, gained)
        quiet = self.odds + gained > 0
        self.calm[:, looked & ~quiet] = 0.0
        _mean(self.loud, effects, looked & ~quiet)
        _mean(self.calm, effects, looked & quiet)
        self.sizes = self.loud[0].copy()
        lasts = (self.loud[1] > 0) & (self.calm[0] > self.loud[0] / 2)
        return self._recovered(firing, looked & ~(lasts & quiet), gained)

    def _recovered(self, firing: Bools, looked: Bools, gained: Floats) -> Bools:
        self.odds = np.where(looked, np.maximum(self.odds + gained, 0.0), self.odds)
        self.quiet = np.where(looked, np.where(self.odds > 0, self.quiet + 1, 0), self.quiet)
        recovered = looked & (self.odds >= SURE_OF_RECOVERY) & (self.quiet >= self.least_quiet)
        self.forget(recovered | ~firing)
        return recovered

    def forget(self, which: Bools) -> None:
        """Begin anew for these."""
        for array in (self.level, self.count, self.odds, self.quiet):
            array[which] = 0
        self.loud[:, which] = self.calm[:, which] = 0

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return all state, each part under this name."""
        return {f"{name}_{part}": getattr(self, part) for part in ("level", "count", "odds", "quiet")}

    def effects(self, name: str) -> dict[str, NDArray[Any]]:
        """Return the rest of it, of charts that are asked for their effects."""
        return {f"{name}_loud": self.loud, f"{name}_calm": self.calm}


def _mean(means: Floats, values: Floats, which: Bools) -> None:
    """Take values into running means, in place."""
    means[1] += which
    means[0] += np.where(which, (values - means[0]) / np.clip(means[1], 1.0, REMEMBERED), 0.0)


class RateRecovery(Recovery):
    """The same of rates, by likelihood: of few rows deviates say next to nothing. `level` is events, `count` their rows."""

    def __init__(self, tolerated: Floats, dispersion: Floats, quiet: int) -> None:
        super().__init__(tolerated.shape, quiet)
        self._tolerated = tolerated
        self._dispersion = dispersion

    def follow_counts(
        self,
        firing: Bools,
        events: Floats | Ints,
        rows: Floats | int,
        tolerated: Floats | None = None,
        *,
        up: bool = True,
    ) -> Bools:
        """Take one more subgroup, events in so many rows; the charts that have recovered are returned.

        `tolerated`: what they come back to at this hour; `up`: whether what fires is above it, or below.
        """
        fading = np.where(self.level > REMEMBERED_EVENTS, 1 - 1 / REMEMBERED, 1.0)
        self.level = np.where(firing, self.level * fading + events, 0.0)
        self.count = np.where(firing, self.count * fading + rows, 0.0)
        usual = np.maximum(self._tolerated if tolerated is None else tolerated, TINY)
        seen = np.clip(self.level / np.maximum(self.count, 1.0), usual / RATIOS[-1], None)
        rate = np.maximum(seen, RATIOS[0] * usual) if up else np.minimum(seen, usual / RATIOS[0])
        gained = (rows * (rate - usual) - events * np.log(rate / usual)) / self._dispersion
        return self._recovered(firing, firing, gained)
