"""Levels: what has changed and stays so becomes a second baseline, beside the reference; from there the charts go on.

1. A level has lasted when its feature has fired for `settle_ns`, and for 28 subgroups at least, and does not move. The counts of
   that time are kept in stretches, of a seventh each: of a week, days. How far each lies from the reference, along the direction
   of the whole change, is a number a stretch; its slope over the stretches, by least squares, is held against Student's t with
   the stretches' own variation, so that days that differ by nature are no trend. One that is proven and would, at this pace, be
   further off than the effect floor within a month is moving. So what settles pages no more than once a month for one trend.
2. What is expected from then on is q r in each cell, over its sum: q the reference's share of the hour, and r the one factor of
   each cell that makes what was seen over the level likeliest (`Watch.ratios`); so the hours of the reference stay. Rates are those seen. Scores, and what the level's own sampling
   error is tolerated to be, follow from its rows.
3. A feature that leaves its level for the reference is back: where what has come since it warned lies nearer to the reference
   than to the level, and no further from it than a quarter of the way but for chance, nothing fires, and the level is dropped. Of rates, which have no chart that looks for fewer, a
   sum of log likelihood ratios of the reference against the level says so (Lorden 1971).
4. What leaves its level away from the reference, and so slowly that it took a day to be seen, creeps: a trend that was too slow to
   be told from a level. Whoever tells people of it may do so once a month.
5. A level that people accept is one at once, of what was seen since the feature warned. For as long as a level would have had to
   last it is learnt on, stretch by stretch.

6. A level of a few hours says little of the others: what it is expected to be there rests on as many rows as its cells that count there had.

L. Kish, Survey Sampling (1965). G. Lorden, Procedures for reacting to a change in distribution, Ann. Math. Statist. 42 (1971).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors import special
from detectors.calibration.components import TINY, normal_scores
from detectors.charts import growth
from detectors.charts.budget import MONTH_NS
from detectors.charts.design import CHARTS, ChartDesign
from detectors.charts.watch import BLOCKS, NEVER, Watch, WatchedSubgroup
from detectors.features import Bools, Floats, Ints, some

LEAST_SUBGROUPS = 28  # four a stretch
STRETCHES = 7  # that a level has to last
FEWEST_STRETCHES = 4  # that say whether something moves
SURE = 0.995  # on either side, that it moves
SURE_OF_STEP = 0.999  # same, of one of five that it may have made
STEADY = 3  # looks, a stretch apart, after which what was found to move no longer does
MISSING, UNSEEN = CHARTS.index("missing"), CHARTS.index("unseen")
RATE_PACE = 0.005  # points a month that are a trend of a rate
STEEPEST = 10.0  # relative change of a cell along the direction of a change
NEARER = 0.25  # of a level's distance from the reference: what is no further off is back
SLOW_NS = 86_400 * 10**9
CHANCE = 3.0  # standard deviations of X², and of a rate, that are not held against it
FOREVER = np.iinfo(np.int64).max


class LevelStep(StrEnum):
    """What becomes of a level."""

    SETTLED = "settled"  # it has lasted
    ACCEPTED = "accepted"  # people say that it is how it should be
    RETURNED = "returned"  # the feature is back at the reference
    EXPIRED = "expired"  # it was accepted until now
    TAKEN = "taken"  # it has lasted, and the recent past that the feature is compared with begins there


STEPS = {False: LevelStep.SETTLED, True: LevelStep.ACCEPTED}  # by whether people said so


@dataclass(frozen=True, slots=True)
class LevelChange:
    """A feature, by its place, is held to another level than before, since the subgroup that ended `at`."""

    place: int
    step: LevelStep
    at: int
    until: int | None = None  # event time to which people have accepted it; None: for good


@dataclass(frozen=True, slots=True, eq=False)
class Fires:
    """What fires after a subgroup, bool[f, c], when each of that began, int64[f, c], and which features newly do, bool[f].

    `z`, `effects` float64[f, c] are those of the subgroup, `judged` bool[f, c] where there was enough to say so.
    """

    firing: Bools
    since: Ints
    newly: Bools
    z: Floats
    effects: Floats
    judged: Bools

    def onset(self, place: int) -> int:
        """Return when what fires of a feature began."""
        return int(self.since[place][self.firing[place]].min())


class Levels:
    """The levels of one series, and which of its features are on the way to one."""

    def __init__(self, design: ChartDesign, settle_ns: int) -> None:
        self._design = design
        self._plain = design.plain
        self.lasting = max(settle_ns, LEAST_SUBGROUPS * design.subgroup_ns)
        self.grown: frozenset[int] = frozenset()
        self.turned: dict[int, int] = {}  # by place, the chart that newly proves the opposite of what was known
        self._limits = np.full(len(CHARTS), float(design.thresholds[0]))
        self._limits[CHARTS.index("shape")] = design.thresholds[CHARTS.index("shape")]
        self.watch = Watch(max(self.lasting // STRETCHES, 1), design.cells.width, len(CHARTS))
        width = design.cells.width
        self.places: Ints = np.empty(0, dtype=np.int64)  # settled, rising
        self.ratio: Floats = np.empty((0, width))  # of the reference's shares
        self.added: Floats = np.empty((0, width))  # where the reference has none
        self.rates: Floats = np.empty((0, 2))
        self.rows: Floats = np.empty((0, 2))  # usable ones, and all
        self.seen: Floats = np.empty((0, width))  # of the usable ones, in each cell
        self.until: Ints = np.empty(0, dtype=np.int64)
        self.since: Ints = np.empty(0, dtype=np.int64)
        self.by_people: Bools = np.empty(0, dtype=np.bool_)
        self.creeps: Bools = np.empty(0, dtype=np.bool_)
        self.back: Floats = np.empty((0, 2))  # sums of the rates that go back
        self._ended = self._resumed = NEVER  # the last subgroup, and when the first one after the last gap began

    # --- what is expected ---------------------------------------------------------------------------------------

    def expected(self, shares: Floats, resting: Floats) -> tuple[Floats, Floats]:
        """Return what is expected of an hour and the rows that it rests on, given the same of the reference."""
        if not self.places.size:
            return shares, resting
        shares, resting, at = shares.copy(), resting.copy(), self.places
        shares[at] = self._levelled(shares[at])
        behind, own = self._plain[1][at], self._own_rows(shares[at])
        resting[at] = np.where(resting[at] == self._design.rows[at], behind, resting[at])  # without hours of their own
        resting[at] = 1 / (np.maximum(1 / resting[at] - 1 / behind, 0.0) + 1 / own)
        return shares, resting

    def _own_rows(self, shares: Floats) -> Floats:
        """Return the rows of the levels that these shares rest on, float64[k]: of a level of one hour few say anything of another hour.

        A cell that was seen n times is known to 1 / √n of itself, so a sum of scores to Σ p² / n of its variance, which is one over
        the rows where p are the shares in which the level itself came (Kish 1965, of weights).
        """
        of_cells = np.square(shares) / np.maximum(self.seen, 0.5)  # as it counts in `ratios` where none was seen
        return np.asarray(np.clip(1 / np.maximum(of_cells.sum(axis=1), TINY), 1.0, np.maximum(self.rows[:, 0], 1.0)))

    def _levelled(self, shares: Floats) -> Floats:
        there = shares * self.ratio + self.added
        return np.asarray(there / np.maximum(there.sum(axis=1, keepdims=True), TINY))

    def rebase(self) -> None:
        """Go on from what the design is held to now, in place of the reference."""
        self._plain = self._design.plain
        self._hold()

    def _hold(self) -> None:
        """Let the design follow the levels."""
        design, at = self._design, self.places
        design.scores, design.rows, design.mass_moved = (array.copy() for array in self._plain)
        which = np.zeros(len(design.rows), dtype=np.bool_)
        which[at] = True
        usual, behind, shares = np.zeros((len(which), 2)), np.ones(len(which)), design.unfolded.copy()
        usual[at], behind[at], shares[at] = self.rates, self.rows[:, 1], self._levelled(shares[at])
        design.settle_rates(which, usual, shares, behind)
        if not at.size:
            return
        there = design.cells.fold(shares)[at]
        numbers = int((at < design.numeric).sum())
        design.scores[at] = normal_scores(there, design.cells.sizes[at], numbers)
        design.rows[at] = np.maximum(self.rows[:, 0], 1.0)
        design.mass_moved[at[numbers:] - design.numeric] = design.mass_of(at[numbers:], there[numbers:])

    @property
    def held(self) -> Bools:
        """Which features are held to a level, bool[f]."""
        held = np.zeros(len(self._design.rows), dtype=np.bool_)
        held[self.places] = True
        return held

    # --- a subgroup ---------------------------------------------------------------------------------------------

    def follow(self, seen: WatchedSubgroup, uneasy: Bools, fires: Fires) -> list[LevelChange]:
        """Take one subgroup, which features warn or fire, bool[f], and what fires."""
        firing = fires.firing
        self._resumed = self._resumed if seen.start <= self._ended else seen.start
        self._ended = seen.end
        self.watch.follow(seen, uneasy, np.asarray(firing.any(axis=1)))
        self.grown = self._grow(seen, fires)
        changes: list[LevelChange] = []
        if self.places.size:
            changes += self._return(seen, fires) + self._expire(seen.end)
        if self.watch.places.size:
            changes += self._settle(seen.end, firing)
        if changes:
            self._hold()
        return changes

    def _grow(self, seen: WatchedSubgroup, fires: Fires) -> frozenset[int]:
        """Which features have just become twice as large as they were; what keeps moving says so once a month."""
        watch, self.turned = self.watch, {}
        if not watch.places.size:
            return frozenset()
        evidence, state = (fires.z, fires.effects), (fires.firing, fires.judged)
        turned = growth.turn(watch, evidence, state, seen.start, seen.end)
        self.turned = {
            place: chart for place, chart in zip(watch.places.tolist(), turned.tolist(), strict=True) if chart >= 0
        }
        grown = growth.follow(watch, evidence, state, seen.rows, self._limits)
        growth.resize(watch, turned, fires.effects)
        watch.told_at = np.where(watch.fired == seen.end, seen.end, watch.told_at)
        grown &= ~watch.moving | (seen.end - watch.told_at >= MONTH_NS)
        watch.told_at = np.where(grown, seen.end, watch.told_at)
        watch.restart(grown & ~watch.moving, seen.end)
        return frozenset(watch.places[grown].tolist()) if some(grown) else frozenset()

    @property
    def sizes(self) -> dict[int, Floats]:
        """How large the changes of what fires are, by place, float64[c]."""
        watch = self.watch
        return {
            place: watch.sizes[row].copy()
            for row, place in enumerate(watch.places.tolist())
            if watch.fired[row] != NEVER
        }

    def _settle(self, end: int, firing: Bools) -> list[LevelChange]:
        watch = self.watch
        fires = watch.fired != NEVER
        lasted = fires & (end - watch.fired >= self.lasting) & (watch.subgroups >= LEAST_SUBGROUPS)
        first = lasted & (end - watch.fired < self.lasting + self._design.subgroup_ns)
        due = (fires | watch.held) & ((watch.checked != watch.block) | first)
        if not some(due):
            return []
        watch.checked = np.where(due, watch.block, watch.checked)
        moves = self._moving(firing[watch.places]) & (self._design.trailing_days[watch.places] == 0)
        watch.moving = np.where(due, moves, watch.moving)
        watch.steady = np.where(due & lasted, np.where(watch.moving, 0, watch.steady + 1), watch.steady)
        young = due & watch.held & ~fires
        settled = due & lasted & (watch.steady >= STEADY)
        self._put(settled, FOREVER, end)
        self._learn_on(young)
        changes = [LevelChange(place, LevelStep.SETTLED, end) for place in watch.places[settled].tolist()]
        grown_up = young & (np.count_nonzero(watch.rows, axis=1) > STRETCHES)
        watch.forget(settled | grown_up)
        return changes

    def _learn_on(self, young: Bools) -> None:
        """Make levels that people have accepted of all that was seen since."""
        here = np.searchsorted(self.places, self.watch.places[young])
        for place, level in zip(np.flatnonzero(young).tolist(), here.tolist(), strict=True):
            alone = np.arange(young.size) == place
            self._put(alone, int(self.until[level]), int(self.since[level]), by_people=True)
        if some(young):
            self._hold()

    def _moving(self, firing: Bools) -> Bools:
        """Which of the watched features move, bool[k], in what fires, bool[k, c]."""
        watch = self.watch
        rows, ages = watch.counts.sum(axis=2), watch.ages
        each, due = (part / np.maximum(rows, 1.0)[:, :, None] for part in (watch.counts, watch.expected))
        direction = self._direction()
        along = np.einsum("kbw,kw->kb", each - due, direction)
        months = MONTH_NS / watch.stretch_ns
        floor = self._design.floor[watch.places, 0]
        mass = firing.sum(axis=1) > firing[:, [MISSING, UNSEEN]].sum(axis=1)
        moving = mass & ((_trend(along, rows, ages) * months > floor) | (_step(along, rows, ages) > floor))
        for which, chart in enumerate((MISSING, UNSEEN)):
            share = watch.events[:, :, which] / np.maximum(watch.rows, 1.0)
            spread = np.sqrt(np.maximum(share.mean(axis=1) * (1 - share.mean(axis=1)), TINY))
            of_rate = share / spread[:, None], watch.rows, ages
            pace = np.maximum(_trend(*of_rate) * months, _step(*of_rate)) * spread
            moving |= firing[:, chart] & (pace > RATE_PACE)
        return np.asarray(moving)

    def _direction(self) -> Floats:
        """Relative changes of the cells over all that was watched, of size one: where the change points to, float64[k, w]."""
        seen, due = self.watch.counts.sum(axis=1), self.watch.expected.sum(axis=1)
        total = np.maximum(due.sum(axis=1, keepdims=True), 1.0)
        usual = np.maximum(due / total, TINY)
        relative = np.where(due > 0, np.clip(seen / total / usual - 1, -1.0, STEEPEST), 0.0)
        size = np.sqrt((usual * np.square(relative)).sum(axis=1, keepdims=True))
        return np.asarray(relative / np.maximum(size, TINY))

    def _put(self, which: Bools, until: int, since: int, *, by_people: bool = False) -> None:
        """Make levels of what was watched of these, for so long."""
        if not some(which):
            return
        watch, places = self.watch, self.watch.places[which]
        self._drop(np.isin(self.places, places))
        seen, due = watch.counts[which].sum(axis=1), watch.expected[which].sum(axis=1)
        usable, rows = seen.sum(axis=1), watch.rows[which].sum(axis=1)
        none = due <= 0
        new = np.where(none, seen, 0.0)
        added = new / np.maximum(usable, 1.0)[:, None]
        left = (usable - new.sum(axis=1)) / np.maximum(
            due.sum(axis=1), TINY
        )  # shares are of more than one where holidays are left out
        ratio = np.where(none, 0.0, watch.ratios(which) * left[:, None])
        ratio[usable == 0] = 1.0
        rates = watch.events[which].sum(axis=1) / np.maximum(rows, 1.0)[:, None]
        order = np.argsort(np.concatenate([self.places, places]), kind="stable")
        sums, times = np.zeros((places.size, 2)), np.tile(np.array([until, since]), (places.size, 1)).T
        more = (
            places,
            ratio,
            added,
            rates,
            np.stack([usable, rows], axis=1),
            seen,
            *times,
            np.full(places.size, by_people),
            np.zeros(places.size, dtype=np.bool_),
            sums,
        )
        for (name, mine), new in zip(self._arrays().items(), more, strict=True):
            setattr(self, name, np.concatenate([mine, new])[order])

    def _drop(self, which: Bools) -> None:
        for name, array in self._arrays().items():
            setattr(self, name, array[~which])

    def _return(self, seen: WatchedSubgroup, fires: Fires) -> list[LevelChange]:
        """Drop the levels of features that are back at the reference; of what leaves them note which creeps."""
        firing = fires.firing[self.places].any(axis=1)
        self.creeps &= firing
        back = np.zeros(self.places.size, dtype=np.bool_)
        for at in np.flatnonzero(firing).tolist():  # at first chance may hide it
            back[at] = self._is_back(at)
            if not fires.newly[self.places[at]]:
                continue
            onset = max(fires.onset(int(self.places[at])), self._resumed)  # a gap tells of nothing slow
            slow = seen.end - onset >= SLOW_NS
            self.creeps[at] = slow and not back[at] and self._is_further(at)
        back |= self._rates_back(seen)
        places = self.places[back].tolist()
        self._drop(back)
        self._let_go()
        return [LevelChange(place, LevelStep.RETURNED, seen.end) for place in places]

    def _let_go(self) -> None:
        """Hold on to no feature whose level is gone: there is none to learn on."""
        self.watch.held = self.watch.held & np.isin(self.watch.places, self.places)

    def _is_back(self, at: int) -> bool:
        """Whether what was watched of a level's feature lies far nearer to the reference than the level does."""
        seen, due, level = self._beside(at)
        if not self._rates_near(at) or _chi2(seen, due) >= _chi2(seen, level):
            return False
        chance = float(self._design.design_effect[self.places[at]]) * CHANCE * np.sqrt(2 * np.count_nonzero(due > 0))
        return bool(_apart(seen, due) ** 2 <= (NEARER * _apart(level, due)) ** 2 + chance / max(float(seen.sum()), 1.0))

    def _rates_near(self, at: int) -> bool:
        """Whether its rates lie as near to the reference, but for chance: of 100 rows one that is new says nothing."""
        place, rows = self.places[at], max(float(self.watch.rows[self._watched(at)].sum()), 1.0)
        usual = self._design.plain_rates[place]
        likely = (usual * rows + 0.5) / (rows + 1)  # Jeffreys
        chance = CHANCE * np.sqrt(self._design.dispersion[place] * likely * (1 - likely) / rows)
        near = np.maximum(NEARER * np.abs(self.rates[at] - usual), RATE_PACE)
        return bool((np.abs(self._rates_of(at) - usual) <= near + chance).all())

    def _is_further(self, at: int) -> bool:
        """Whether it lies further from the reference than the level does."""
        seen, due, level = self._beside(at)
        usual, rates = self._design.plain_rates[self.places[at]], self.rates[at]
        return _apart(seen, due) > _apart(level, due) or bool(
            (self._rates_of(at) - usual > rates - usual + RATE_PACE).any()
        )

    def _beside(self, at: int) -> tuple[Floats, Floats, Floats]:
        """Counts that were watched of a level's feature, what the reference expects of so many rows, and what the level does."""
        row = self._watched(at)
        seen, due = self.watch.counts[row].sum(axis=0), self.watch.expected[row].sum(axis=0)
        rows = float(seen.sum())
        level = due * self.ratio[at] + self.added[at] * rows
        return seen, due, level * rows / max(float(level.sum()), TINY)

    def _rates_of(self, at: int) -> Floats:
        row = self._watched(at)
        return np.asarray(self.watch.events[row].sum(axis=0) / max(float(self.watch.rows[row].sum()), 1.0))

    def _watched(self, at: int) -> int:
        return int(np.searchsorted(self.watch.places, self.places[at]))

    def _rates_back(self, seen: WatchedSubgroup) -> Bools:
        """Whether a rate that had risen for good is the reference's again."""
        usual = np.clip(self._design.plain_rates[self.places], 1e-6, 1 - 1e-6)
        risen = self.rates > 2 * usual + RATE_PACE
        level = np.clip(self.rates, 1e-6, 1 - 1e-6)
        events = seen.events[self.places]
        gained = events * np.log(usual / level) + (seen.rows - events) * np.log((1 - usual) / (1 - level))
        limit = float(self._design.thresholds[-1])
        gained = np.clip(gained / self._design.dispersion[self.places], -limit, limit / 3)
        self.back = np.where(risen, np.maximum(self.back + gained, 0.0), 0.0)
        return np.asarray((self.back >= limit).any(axis=1))

    def _expire(self, end: int) -> list[LevelChange]:
        over = self.until <= end
        places = self.places[over].tolist()
        self.watch.forget(np.isin(self.watch.places, places))
        self._drop(over)
        return [LevelChange(place, LevelStep.EXPIRED, end) for place in places]

    @property
    def moving(self) -> frozenset[int]:
        """The places of features that fire and move."""
        watch = self.watch
        return (
            frozenset(watch.places[watch.moving & (watch.fired != NEVER)].tolist())
            if some(watch.moving)
            else frozenset()
        )

    @property
    def creeping(self) -> frozenset[int]:
        """The places of features that leave their level slowly, away from the reference."""
        return frozenset(self.places[self.creeps].tolist()) if some(self.creeps) else frozenset()

    # --- what people say ----------------------------------------------------------------------------------------

    def accept(self, places: Sequence[int], until: int | None, at: int) -> list[LevelChange]:
        """Take what was seen of these since they warned for how they should be; those of which nothing was seen are left out."""
        watch = self.watch
        which = np.isin(watch.places, np.asarray(places, dtype=np.int64))
        self._put(which, FOREVER if until is None else until, at, by_people=True)
        watch.held = watch.held | which
        watch.fired = np.where(which, NEVER, watch.fired)
        watch.checked = np.where(which, watch.block, watch.checked)
        self._hold()
        return [LevelChange(place, LevelStep.ACCEPTED, at, until) for place in watch.places[which].tolist()]

    def release(self, places: Sequence[int]) -> None:
        """Hold these to no level: what they are compared with has come to it."""
        which = np.isin(self.watch.places, places)
        self._drop(np.isin(self.places, places))
        self.watch.forget(which)
        self._hold()

    def standing(self) -> list[LevelChange]:
        """The levels that features are held to, each as it began."""
        columns = (self.places, self.by_people, self.since, self.until)
        return [
            LevelChange(place, STEPS[people], since, None if until == FOREVER else until)
            for place, people, since, until in zip(*(column.tolist() for column in columns), strict=True)
        ]

    # --- state --------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("places", "ratio", "added", "rates", "rows", "seen", "until", "since", "by_people", "creeps", "back")
        return {name: getattr(self, name) for name in names}

    def packed(self) -> dict[str, Any]:
        """All of it."""
        times = {"times": [self._ended, self._resumed]}
        return {
            "watch": self.watch.packed(),
            **times,
            **{name: array.tobytes() for name, array in self._arrays().items()},
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Read what `packed` gave. Raises ValueError where it is of another make."""
        self.watch.restore(saved["watch"])
        self._ended, self._resumed = saved.get("times", (NEVER, NEVER))
        for name, array in self._arrays().items():
            if name in saved:
                read = np.frombuffer(saved[name], dtype=array.dtype).reshape(-1, *array.shape[1:]).copy()
                setattr(self, name, read)
        if "seen" not in saved:  # earlier versions did not keep it: as if all hours had been seen
            self.seen = self.rows[:, :1] * self._levelled(self._design.unfolded[self.places])
        self._let_go()  # earlier versions held on
        self._hold()


def _apart(seen: Floats, due: Floats) -> float:
    """How far shares are from those due: the root of X² a row beyond what chance brings."""
    rows = max(float(seen.sum()), 1.0)
    return float(np.sqrt(max(_chi2(seen, due) - np.count_nonzero(due > 0) + 1, 0.0) / rows))


def _chi2(seen: Floats, due: Floats) -> float:
    return float((np.square(seen - due) / np.maximum(due, 0.5)).sum())


def _trend(values: Floats, rows: Floats, ages: Floats) -> Floats:
    """Return how fast values float64[k, blocks] surely move a stretch, float64[k]: 0 where chance explains it.

    Weighted least squares; a stretch of n rows varies by 1 / n at least.
    """
    weights = rows.copy()
    total = np.maximum(weights.sum(axis=1, keepdims=True), 1.0)
    mean, time = (
        (weights * values).sum(axis=1, keepdims=True) / total,
        (weights * -ages).sum(axis=1, keepdims=True) / total,
    )
    since = -ages - time
    spread = np.maximum((weights * np.square(since)).sum(axis=1), TINY)
    slope = (weights * since * (values - mean)).sum(axis=1) / spread
    left = values - mean - slope[:, None] * since
    free = np.count_nonzero(rows, axis=1) - 2.0
    variance = np.maximum((weights * np.square(left)).sum(axis=1) / np.maximum(free, 1.0), 1.0)
    sure = special.stdtrit(np.maximum(free, 1.0), SURE) * np.sqrt(variance / spread)
    return np.where((free + 2 >= FEWEST_STRETCHES) & (np.abs(slope) > sure), np.abs(slope), 0.0)


def _step(values: Floats, rows: Floats, ages: Floats) -> Floats:
    """Return how far apart values float64[k, blocks] surely are before and after one of the stretches, float64[k]; 0 by chance."""
    order = np.argsort(-ages)
    weights, ordered = rows[:, order], values[:, order]
    free = np.maximum(np.count_nonzero(rows, axis=1) - 2.0, 1.0)
    sure = special.stdtrit(free, SURE_OF_STEP)
    largest = np.zeros(len(values))
    for split in range(2, BLOCKS - 1):
        sides = weights[:, :split], weights[:, split:]
        totals = [np.maximum(side.sum(axis=1), TINY) for side in sides]
        means = [
            (side * part).sum(axis=1) / total
            for side, part, total in zip(sides, (ordered[:, :split], ordered[:, split:]), totals, strict=True)
        ]
        left = np.where(np.arange(BLOCKS) < split, ordered - means[0][:, None], ordered - means[1][:, None])
        variance = np.maximum((weights * np.square(left)).sum(axis=1) / free, 1.0)
        apart = np.abs(means[1] - means[0])
        proven = apart > sure * np.sqrt(variance * (1 / totals[0] + 1 / totals[1]))
        largest = np.where(proven & (totals[0] >= 1) & (totals[1] >= 1), np.maximum(largest, apart), largest)
    return largest
