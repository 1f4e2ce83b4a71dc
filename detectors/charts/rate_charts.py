"""The charts of rates: sums of likelihood ratios, up and down, and which of them fire.

Each rate has sums for odds of 1.3, 3 and 10 times, and of the mass of a cell also for a 1.3rd, a third and a tenth of what is
tolerated; see rates.py and, for the law of their thresholds, charts.py. A feature's watched cells share one chart up and
one down. The chart stands where the highest of their sums does, less the logarithm of how many cells they are: the mean of
e^S over them is then below 1 as that of one is.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from detectors import special
from detectors.calibration.components import normal_quantile
from detectors.calibration.rates import MOST_AT_ONCE
from detectors.charts import step
from detectors.charts.budget import CERTAIN
from detectors.charts.rates import DOWN, LESS, MORE, MOST_OF_RATIO, UP, Held, Rates
from detectors.charts.recovery import RateRecovery
from detectors.features import Bools, Floats, Ints, some

KINDS = 4  # missing, unseen, mass+, mass-: the charts of a feature
FILLED = 1.001  # times the threshold: past it
TOO_SMALL = 0.49  # of the threshold, that the sum of a change too small to matter stays below: no warning comes of it
EVENTS = 5.0  # beyond what is heard of, that show a change to be so large
REMEMBERED = 10.0  # times as many, after which it is forgotten as late
SHARE_AT_ONCE = 0.2  # change from which one subgroup may page by itself, if chance is out of the question
BEYOND_HIGHEST = 1.1  # times the highest window of the reference
NEVER = np.iinfo(np.int64).min


@dataclass(frozen=True, slots=True, eq=False)
class RatePoint:
    """What a subgroup does to the charts of rates, [f, 4] each: see `ChartPoint`, whose last columns these are."""

    increments: Floats
    values: Floats
    z: Floats
    effects: Floats
    firing: Bools
    certain: Bools
    since: Ints


class RateCharts:
    """Sums of all rates of a series, up of every row, down of the mass of cells alone. `threshold` is that of every chart."""

    def __init__(self, rates: Rates, threshold: float, quiet: int) -> None:
        self.rates = rates
        self.threshold = threshold
        self._up = RateSide(rates, slice(None), 1, threshold, quiet)
        self._down = RateSide(rates, slice(2 * rates.features, None), -1, threshold, quiet)
        self.values = np.zeros((rates.features, KINDS), order="F")  # where the charts stand
        self._fires: tuple[Bools, Bools, Bools] | None = None  # of both sides, and what follows for the charts

    def follow(self, events: Floats, rows: Floats, held: Held, start: int) -> RatePoint:
        """Take one subgroup's events and rows, float64[w] each."""
        before = self.values
        up = self._up.follow(events, rows, held, start)
        down = self._down.follow(events, rows, held, start)
        led = [self._of_charts(*sides) for sides in zip(up, down, strict=True)]
        (values, gained, z, effects), firing, certain, since = led[0].swapaxes(1, 2), *(each.T for each in led[1:])
        self.values = values
        increments = np.where(values > 0, values - before, np.minimum(gained, 0.0 - before))
        return RatePoint(increments, values, z, effects, firing, certain, since)

    def _of_charts(self, up: NDArray[Any], down: NDArray[Any]) -> NDArray[Any]:
        """Return what leads each chart, [..., 4, f]."""
        rates, f = self.rates, self.rates.features
        found = np.full((*up.shape[:-1], KINDS, f), NEVER if up.dtype == np.int64 else 0, dtype=up.dtype)
        found[..., :2, :] = up[..., : 2 * f].reshape(*up.shape[:-1], 2, f)
        if rates.of_watched.size:
            found[..., 2, rates.of_watched] = up[..., 2 * f :][..., self._up.leading]
            found[..., 3, rates.of_watched] = down[..., self._down.leading]
        return found

    @property
    def firing(self) -> Bools:
        """Which of the charts fire, bool[f, 4]; not to be changed."""
        sides = self._up.firing, self._down.firing
        if self._fires is None or self._fires[0] is not sides[0] or self._fires[1] is not sides[1]:
            self._fires = (*sides, self._of_charts(*sides).T)
        return self._fires[2]

    def forget(self, which: Bools) -> None:
        """Begin anew for some features, bool[f]: they are held to something else."""
        self._up.forget(which[self.rates.owner])
        self._down.forget(which[self.rates.mass_features])
        self.values[which] = 0.0

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return all state by name."""
        self._fires = None  # whoever asks may write into them
        return {"rates": self.values} | self._up.arrays("up") | self._down.arrays("down")


class SideRates(Protocol):
    """What one direction asks of its rates."""

    features: int
    size: int
    dispersion: Floats
    begins: Ints
    mass_features: Ints
    several: Floats
    rises: Floats
    falls: Floats
    highest: Floats
    held: Held
    hourly: Ints


class RateSide:
    """One direction of some of the rates."""

    def __init__(self, rates: "SideRates", which: slice, way: int, threshold: float, quiet: int) -> None:
        self._rates, self._which, self._way = rates, which, way
        self._threshold = threshold
        self._odds: Floats = (UP if way > 0 else DOWN)[:, None]
        self._times: Floats = (MORE if way > 0 else LESS)[:, None]
        self._dispersion = rates.dispersion[which]
        self._watched: Ints = np.diff(
            np.append(rates.begins, rates.mass_features.size)
        )  # cells of each watched feature
        several = np.zeros(rates.size)
        several[2 * rates.features :] = np.repeat(rates.several, self._watched)
        self._less = (several + (rates.rises if way > 0 else rates.falls))[which]
        self._most = min(MOST_OF_RATIO * threshold, MOST_AT_ONCE)
        self._limits = np.array(
            [way, self._most, TOO_SMALL * threshold, SHARE_AT_ONCE, normal_quantile(CERTAIN)], dtype=np.float64
        )
        self._highest = rates.highest[which] * BEYOND_HIGHEST
        self._enough = EVENTS * self._dispersion
        self._remembered = REMEMBERED * self._enough
        self._costs: tuple[Held | None, Floats] = None, np.empty(0)
        count = rates.size if way > 0 else rates.mass_features.size
        self._first_watched = 2 * rates.features if way > 0 else 0
        self.leading: Ints = rates.begins.copy()  # of each watched feature the row in front, among its mass
        self.sums = np.zeros(
            (self._odds.size, count)
        )  # by odds, which are few, then by rate: numpy is slow along short rows
        self.risen = np.full(self.sums.shape, NEVER)
        self.excess = np.zeros(count)
        self.firing: Bools = np.zeros(count, dtype=np.bool_)
        self.since = np.full(count, NEVER)
        self._warm: Bools = np.ones(count, dtype=np.bool_)  # which may stand above 0
        self.recovery = RateRecovery(np.zeros(count), self._dispersion, quiet)

    def follow(self, events: Floats, rows: Floats, held: Held, start: int) -> tuple[NDArray[Any], ...]:
        """Return where each rate stands, gained, z and effect float64[4, w], firing, certain and since, [w] each."""
        events, rows, which = events[self._which], rows[self._which], self._which
        tolerated = held.most[which] if self._way > 0 else held.least[which]
        found, certain = self._weigh(events, rows, held, start)
        if some(certain):
            certain &= self._beyond_chance(events, rows, tolerated)
        self._fire(found[0] >= self._threshold, certain, start)
        if some(certain):
            found[0] = np.where(certain, np.maximum(found[0], FILLED * self._threshold), found[0])
        if some(self.firing):
            found[0][self._recover(events, rows, held, tolerated)] = 0.0
        self.leading = self._lead(found[0])
        return found, self.firing, certain, self.since

    def _weigh(self, events: Floats, rows: Floats, held: Held, start: int) -> tuple[Floats, Bools]:
        """Add a subgroup: the first four of these, and which changes are large, by a deviate that is far out."""
        found, certain = np.empty((4, events.size)), np.empty(events.size, dtype=np.bool_)
        if not step.USED or not self._compiled(events, rows, held, found, certain, start):
            self._by_numpy(events, rows, held, found, certain, start)
        return found, certain

    def _compiled(self, events: Floats, rows: Floats, held: Held, found: Floats, certain: Bools, start: int) -> bool:
        tolerated, loud = (held.most, held.above) if self._way > 0 else (held.least, held.below)
        which = self._which
        return step.side(
            events,
            rows,
            tolerated[which],
            held.usual[which],
            loud[which],
            self._costs_of(held),
            self._odds,
            self._dispersion,
            self._less,
            self._remembered,
            self._enough,
            self._limits,
            self.firing,
            self.sums,
            self.risen,
            self.excess,
            self._warm,
            found,
            certain,
            start,
        )

    def _by_numpy(self, events: Floats, rows: Floats, held: Held, found: Floats, certain: Bools, start: int) -> None:
        which = self._which
        tolerated = held.most[which] if self._way > 0 else held.least[which]
        found[0], found[1] = self._add(events, rows, held, start)
        due = rows * tolerated
        usual = np.maximum(due * (1 - tolerated), 1.0) * self._dispersion
        found[2] = self._way * (events - due) / np.sqrt(usual)
        found[3] = self._way * (events / np.maximum(rows, 1.0) - held.usual[which])
        certain[:] = (found[3] >= SHARE_AT_ONCE) & (found[2] >= normal_quantile(CERTAIN))

    def _add(self, events: Floats, rows: Floats, held: Held, start: int) -> tuple[Floats, Floats]:
        """Add the likelihood ratios; where each rate stands then, and the largest of them.

        A rate without events whose sums are at 0 leaves them there: of most features nothing is ever missing or unseen.
        """
        costs = self._costs_of(held)
        gained, standing = (0.0 - rows * costs[0]) / self._dispersion, np.zeros(rows.size)  # 0.0, never -0.0
        busy = self._busy(events)
        if busy.start == busy.stop:
            return standing, gained
        ratios = (events[busy] * self._odds - rows[busy] * costs[:, busy]) / self._dispersion[busy]
        gained[busy] = ratios.max(axis=0)
        self.sums[:, busy] = sums = np.maximum(self.sums[:, busy] + np.minimum(ratios, self._most), 0.0)
        risen = self.risen[:, busy]
        self.risen[:, busy] = np.where(sums > 0, np.where(risen == NEVER, start, risen), NEVER)
        highest = sums.max(axis=0)
        standing[busy] = self._stand(busy, highest, events[busy], rows[busy], held)
        self._warm[busy] = self.firing[busy] | (self.excess[busy] > 0) | (highest > 0)
        return standing, gained

    def _busy(self, events: Floats) -> slice:
        """The rates from the first to the last of which anything moves; where fewer are looked for, no event moves as well."""
        if self._way < 0:
            return slice(0, events.size)
        moves = ((events > 0) | self._warm).tobytes()
        return slice(max(moves.find(1), 0), moves.rfind(1) + 1)

    def _costs_of(self, held: Held) -> Floats:
        """What a row costs, float64[3, w], worked out anew for rates that follow hours alone."""
        tolerated = (held.most if self._way > 0 else held.least)[self._which]
        if self._costs[0] is not self._rates.held:
            usual = (self._rates.held.most if self._way > 0 else self._rates.held.least)[self._which]
            self._costs = self._rates.held, np.log1p(usual * self._times)
        if held is self._rates.held:
            return self._costs[1]
        costs, hourly = self._costs[1].copy(), self._rates.hourly
        hourly = hourly if self._way > 0 else hourly[hourly >= self._which.start] - self._which.start
        costs[:, hourly] = np.log1p(tolerated[hourly] * self._times)
        return costs

    def _stand(self, busy: slice, highest: Floats, events: Floats, rows: Floats, held: Held) -> Floats:
        """Where busy rates stand: their highest sums, which stay low while the change is less than what is heard of."""
        loud = (held.above if self._way > 0 else held.below)[self._which][busy]
        excess = np.maximum(self.excess[busy] + self._way * (events - rows * loud), 0.0)
        self.excess[busy] = excess = np.minimum(excess, self._remembered[busy])
        standing = np.maximum(highest - self._less[busy], 0.0)
        heard = (excess >= self._enough[busy]) | self.firing[busy]
        return np.asarray(np.where(heard, standing, np.minimum(standing, TOO_SMALL * self._threshold)))

    def _beyond_chance(self, events: Floats, rows: Floats, tolerated: Floats) -> Bools:
        """Which rates chance does not explain: Chernoff's bound, since the rare ones follow no normal law.

        Rows that go missing together count as one: an hour's outage a month is no proof of anything, whatever its rows.
        """
        q = events / np.maximum(rows, 1.0)
        apart = rows * (special.rel_entr(q, tolerated) + special.rel_entr(1 - q, 1 - tolerated)) / self._dispersion
        return np.asarray((apart >= -np.log(CERTAIN)) & ((q > self._highest) | (self._way < 0)))

    def _fire(self, over: Bools, certain: Bools, start: int) -> None:
        newly = (over | certain) & ~self.firing
        if not some(newly):
            return
        onset = self.risen[self.sums.argmax(axis=0), np.arange(newly.size)]
        onset = np.where((certain & ~over) | (onset == NEVER), start, onset)
        self.since = np.where(newly, onset, self.since)
        enough = (newly & certain) & (self.sums > 0)  # one subgroup was enough: so it is for the sums
        limit = FILLED * self._threshold + self._less
        self.sums = np.where(enough, np.maximum(self.sums, limit), self.sums)
        self.firing = self.firing | newly
        self.recovery.forget(newly)

    def _recover(self, events: Floats, rows: Floats, held: Held, tolerated: Floats) -> Bools:
        usual = held.usual[self._which]
        loud = (held.above if self._way > 0 else held.below)[self._which]
        good = (usual + loud) / 2
        good = np.maximum(good, tolerated) if self._way > 0 else np.clip(good, 0.0, tolerated)
        returned = self.recovery.follow_counts(self.firing, events, rows, good, up=self._way > 0)
        if some(returned):
            self.firing = self.firing & ~returned
            self.forget(returned)
        return returned

    def _lead(self, standing: Floats) -> Ints:
        """The row in front of each watched feature, firing ones before others."""
        begins = self._rates.begins
        first = self._first_watched
        if not begins.size or not (standing[first:].any() or self.firing[first:].any()):
            return begins
        key = standing[first:] + np.where(self.firing[first:], 1e9, 0.0)
        top = np.maximum.reduceat(key, begins)
        among = np.flatnonzero(key == np.repeat(top, self._watched))
        return among[np.searchsorted(among, begins)]

    def forget(self, which: Bools) -> None:
        """Begin anew for these."""
        self.sums[:, which], self.excess[which] = 0.0, 0.0
        self.firing = self.firing & ~which
        self.risen[:, which] = NEVER
        self.since[which] = NEVER
        self.recovery.forget(which)

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """Return all state, each part under this name."""
        self._warm[:] = True  # whoever asks may write into it
        own = {f"{name}_{part}": getattr(self, part) for part in ("excess", "firing", "since", "leading")}
        by_rate = {f"{name}_sums": self.sums.T, f"{name}_risen": self.risen.T}  # as they have always been saved
        return own | by_rate | self.recovery.arrays(f"{name}_rest")
