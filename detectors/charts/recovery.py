"""When a chart that fires has come to rest."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.charts.plan import CLIP, RATIOS
from detectors.features import Bools, Floats, Ints

SURE_OF_REST = 9.2  # log of the odds, rest against change going on: once in 10 000 panes it is wrong
REMEMBERED = 50.0  # panes that the size of a change is learnt from
REMEMBERED_EVENTS = 10.0  # that a rate is learnt from, however many panes they take
SMALLEST = 0.7  # deviate of a change; one that is smaller is hardly found


class Rest:
    """Whether what fires has come to rest: the odds that it has, against a change as large as it has been.

    One number a chart (Lorden's test the other way round), so that a lasting small change does not flicker.
    """

    def __init__(self, shape: tuple[int, ...], panes: int) -> None:
        self.panes = panes
        self.level = np.zeros(shape)  # mean deviate since it fired, of high and low panes alike
        self.count = np.zeros(shape)
        self.odds = np.zeros(shape)
        self.quiet = np.zeros(shape, dtype=np.int64)

    def follow(self, firing: Bools, z: Floats, judged: Bools) -> Bools:
        """Take one more pane of the charts that fire and are judged; those that have come to rest are returned."""
        looked = firing & judged
        z = np.clip(z, -2.0, CLIP)
        self.count += looked
        self.level += np.where(looked, (z - self.level) / np.clip(self.count, 1.0, REMEMBERED), 0.0)
        level = np.maximum(self.level, SMALLEST)
        return self._rested(firing, looked, level * (level / 2 - z))

    def _rested(self, firing: Bools, looked: Bools, gained: Floats) -> Bools:
        self.odds = np.where(looked, np.maximum(self.odds + gained, 0.0), self.odds)
        self.quiet = np.where(looked, np.where(self.odds > 0, self.quiet + 1, 0), self.quiet)
        rested = looked & (self.odds >= SURE_OF_REST) & (self.quiet >= self.panes)
        self.forget(rested | ~firing)
        return rested

    def forget(self, which: Bools) -> None:
        """Begin anew for these."""
        for array in (self.level, self.count, self.odds, self.quiet):
            array[which] = 0

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return all state, each part under this name."""
        return {f"{name}_{part}": getattr(self, part) for part in ("level", "count", "odds", "quiet")}


class RateRest(Rest):
    """The same of rates, by likelihood: of few rows deviates say next to nothing. `level` is events, `count` their rows."""

    def __init__(self, tolerated: Floats, dispersion: Floats, panes: int) -> None:
        super().__init__(tolerated.shape, panes)
        self._tolerated = tolerated
        self._dispersion = dispersion

    def follow_counts(self, firing: Bools, events: Ints, rows: int) -> Bools:
        """Take one more pane, events int64[f, 2] in so many rows; the charts that have come to rest are returned."""
        fading = np.where(self.level > REMEMBERED_EVENTS, 1 - 1 / REMEMBERED, 1.0)
        self.level = np.where(firing, self.level * fading + events, 0.0)
        self.count = np.where(firing, self.count * fading + rows, 0.0)
        usual = self._tolerated
        rate = np.clip(self.level / np.maximum(self.count, 1.0), RATIOS[0] * usual, None)
        gained = (rows * (rate - usual) - events * np.log(rate / usual)) / self._dispersion
        return self._rested(firing, firing, gained)
