"""Trailing baselines: what wanders by nature is compared with its own last days, not with a reference that is left behind.

    past    day  day  day … day     at most N days of its own, the reference's last ones first
    today   ├──────────┤            joins them at midnight, local time
    apart   ├──────────────···      since the feature warns or fires

1. A price or the weather has no level to come back to: charts of a moving centre line are held against where it has been
   of late (Montgomery and Mastrangelo 1991). Days are counts on the reference's cells, so that they add up; what is expected at an hour
   is q p' / q', as of a level that has settled: q the reference's share of the hour, p' and q' the shares of the last days and of
   the reference.
2. What the level may do is how far three hours at a time lay from what was expected of them then: mean squares by the day, chance
   taken off, known with as many degrees of freedom as their differences between days leave (Satterthwaite 1946). They are added to
   what the reference knew of its own days (Smyth 2004), which of a random walk is widened to so long a past: a mean of N days
   lies N / 3 daily steps away from the next, that of T days N / 6 from each of them. What is tolerated is Student's predictive bound.
3. What drifts inside an open incident is not taken for usual unasked. Rows since a feature warns are kept apart: they join its past
   when the warning goes by itself, are dropped when what fired has come back, and take the place of its past when the level has
   settled or people have accepted it for good. While people accept it for a time, its past stands still.
4. Values beyond the reference's range are no defect of a number that wanders: they count in its outermost cell. Missing values
   do not wander: their rate is held against the reference.

D. C. Montgomery and C. M. Mastrangelo, Some statistical process control methods for autocorrelated data, Journal of Quality
Technology 23 (1991). J. F. Muth, Optimal properties of exponentially weighted forecasts, JASA 55 (1960).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.calibration.clocks import DAY_NS, local_days
from detectors.calibration.components import LEAST, TINY, normal_scores, recentred
from detectors.calibration.slow import BLOCK_NS, LEAST_DOF, MONTH_DAYS, Level, chance_of_a_draw
from detectors.charts.design import ChartDesign
from detectors.charts.watch import WatchedSubgroup
from detectors.features import Bools, Floats, Ints, some

NEVER = np.iinfo(np.int64).min
ENOUGH = 20.0  # rows of three hours, that say where the level is
FEWEST_DAYS = 4  # that say how far days go
MOST_DOF = 8.0  # a day: its blocks of three hours
HALF = 0.5  # of a day, that makes one
MOST_LEANING = 0.8  # correlation of a day's mean square with that of the day before
UNSEEN, ROWS, BLOCKS, SQUARES = range(
    4
)  # columns after the cells: rows beyond, all rows, blocks, and the first of three sums
MORE = SQUARES + 3


@dataclass(frozen=True, slots=True)
class TrailingState:
    """A feature, by its place, that is compared with its recent past.

    `days` of `wanted` are held; `shift` sigma of location between them and the reference (None of a category); `beyond` share of
    their rows outside the reference's range or categories; `paused`: what comes is kept apart, since it warns or fires.
    """

    place: int
    wanted: int
    days: int
    shift: float | None
    beyond: float
    paused: bool


class Trailing:
    """The features of one series that are compared with their recent past: `places` int64[k], rising."""

    def __init__(self, design: ChartDesign, per_month: float) -> None:
        self._design = design
        self.places: Ints = np.flatnonzero(design.trailing_days)
        self._wanted = design.trailing_days[self.places]
        many, slots = self.places.size, int(self._wanted.max(initial=0))
        self._width = design.cells.width
        self._numbers = int((self.places < design.numeric).sum())
        self._timezone = design.calendar.timezone
        self._block_ns, self._day_ns = max(BLOCK_NS, design.subgroup_ns), max(DAY_NS, design.subgroup_ns)
        self._per_month = per_month
        self._before = _Before.of(design, self.places)
        columns = self._width + MORE
        self.past = np.zeros((many, slots, columns))  # newest first
        self.today = np.zeros((many, columns))
        self.apart = np.zeros((many, columns))
        self.apart_fired: Bools = np.zeros(many, dtype=np.bool_)
        self.is_apart: Bools = np.zeros(many, dtype=np.bool_)
        self.block = np.zeros((2, many, self._width))  # seen and expected
        self.block_apart: Bools = np.zeros(many, dtype=np.bool_)
        self.at = np.array([NEVER, NEVER])  # numbers of the day and of the block
        self._ratio, self._added = np.ones((2, many, self._width))
        self._told = True
        if many:
            self._begin()
            self._hold()

    # --- what is expected ---------------------------------------------------------------------------------------

    def expected(self, shares: Floats, resting: Floats) -> tuple[Floats, Floats]:
        """Return what is expected of an hour and the rows that it rests on, given the same of the reference."""
        if not self.places.size:
            return shares, resting
        shares, resting, at, before = shares.copy(), resting.copy(), self.places, self._before
        shares[at] = self._moved(shares[at])
        own = 1 / (np.maximum(1 / resting[at] - 1 / before.rows, 0.0) + 1 / self._rows)
        resting[at] = np.where(before.hourly, own, self._rows)
        return shares, resting

    def _moved(self, shares: Floats) -> Floats:
        there: Floats = shares * self._ratio + self._added
        return np.asarray(there / np.maximum(there.sum(axis=1, keepdims=True), TINY))

    @property
    def _cells(self) -> Floats:
        """Rows in each cell in the last days, float64[k, w]."""
        return np.asarray(self.past[:, :, : self._width].sum(axis=1))

    @property
    def _rows(self) -> Floats:
        return np.asarray(np.maximum(self._cells.sum(axis=1), 1.0))

    # --- a subgroup ---------------------------------------------------------------------------------------------

    def follow(self, seen: WatchedSubgroup, uneasy: Bools, firing: Bools, held: Bools) -> bool:
        """Take one subgroup, what warns or fires, fires, or is held to a level for a time, bool[f]; whether a new day has begun."""
        if not self.places.size:
            return False
        turned = self._turn(seen.start)
        apart = (uneasy | firing | held)[self.places]
        self._rejoin(self.is_apart & ~apart)
        cells = seen.cells[self.places].astype(np.float64)
        more = np.zeros((apart.size, self._width + MORE))
        more[:, : self._width] = cells
        more[:, self._width + UNSEEN], more[:, self._width + ROWS] = seen.events[self.places, 1], seen.rows
        self.today += np.where(apart[:, None], 0.0, more)
        self.apart += np.where(apart[:, None], more, 0.0)
        self.is_apart = apart
        self.apart_fired |= apart & (firing | held)[self.places]
        self.block[0] += cells
        self.block[1] += cells.sum(axis=1)[:, None] * seen.shares[self.places]
        self.block_apart |= apart
        return turned

    def _turn(self, start: int) -> bool:
        """Close the blocks and days that are over by then."""
        day = start // self._day_ns if self._day_ns > DAY_NS else int(local_days(start, self._timezone))
        block = start // self._block_ns
        if block != self.at[1] or day != self.at[0]:
            self._close_block()
        turned = day != self.at[0] and self._close_day()
        self.at[:] = day, block
        return turned

    def _rejoin(self, calm: Bools) -> None:
        """What was kept apart is usual, unless it has fired."""
        if not some(calm):
            return
        self.today += np.where((calm & ~self.apart_fired)[:, None], self.apart, 0.0)
        self._forget(calm)

    def _forget(self, which: Bools) -> None:
        self.apart[which] = 0.0
        self.apart_fired &= ~which
        self.is_apart = self.is_apart & ~which

    def _close_block(self) -> None:
        """Note how far three hours lay from what was expected of them."""
        squares = self._squares()
        more = np.concatenate([np.isfinite(squares[:, :1]), np.nan_to_num(squares)], axis=1)
        first = self._width + BLOCKS
        self.today[:, first:] += np.where(self.block_apart[:, None], 0.0, more)
        self.apart[:, first:] += np.where((self.block_apart & self.is_apart)[:, None], more, 0.0)
        self.block[:] = 0.0
        self.block_apart[:] = False

    def _squares(self) -> Floats:
        """Squares of location and scale and X² a row of a block, float64[k, 3], less what chance brings; NaN of few rows."""
        design, at, numbers = self._design, self.places, self._numbers
        seen, due = (design.cells.fold(_spread(part, at, len(design.rows)))[at] for part in self.block)
        rows = seen.sum(axis=1)
        usable = np.maximum(rows, 1.0)
        q, apart = due / usable[:, None], (seen - due) / usable[:, None]
        scores = normal_scores(q, design.cells.sizes[at], numbers)
        moved = np.einsum("kw,kws->ks", apart, scores)
        there = q.copy()
        if numbers:
            first = slice(None, numbers)
            there[first], stretched = recentred(q[first], moved[first], scores[first], design.cells.sizes[at[first]])
            moved[first, 1] = np.where(design.said[at[first], 1], stretched - design.scale_mean[at[first]], 0.0)
            apart[first] += q[first] - there[first]
        x2 = (np.square(apart) / np.maximum(there, LEAST / usable[:, None])).sum(axis=1)
        subgroups = max(self._block_ns / design.subgroup_ns, 1.0)
        chance = np.square(design.deviation(_spread(usable / subgroups, at, len(design.rows)))[at]) / usable[:, None]
        shape = design.shape[at].prod(axis=1) / usable
        found = np.column_stack([np.square(moved) - chance, x2 - shape])
        return np.asarray(np.where((rows >= ENOUGH)[:, None], found, np.nan))

    def _close_day(self) -> bool:
        """Let a day join the past, once half of it has been seen. Whether any did."""
        whole = self.today[:, self._width + BLOCKS] * self._block_ns >= HALF * self._day_ns
        if not some(whole):
            return False
        self._push(whole, self.today)
        self.today[whole] = 0.0
        self._hold()
        return True

    def _push(self, which: Bools, day: Floats) -> None:
        self.past[which, 1:] = self.past[which, :-1]
        self.past[which, 0] = day[which]
        beyond = np.arange(self.past.shape[1]) >= self._wanted[:, None]
        self.past[beyond] = 0.0

    # --- levels -------------------------------------------------------------------------------------------------

    def take(self, places: Ints) -> None:
        """What was kept apart of these takes the place of their past: it has lasted, or people say that it is how it should be."""
        which = np.isin(self.places, places) & (self.apart[:, : self._width].sum(axis=1) > 0)
        if not some(which):
            return
        self.past[which, :, : self._width + BLOCKS] = 0.0  # how far days go is still known
        self.apart[:, self._width + BLOCKS :] = 0.0  # and not from what was held against another level
        self._push(which, self.apart)
        self.today[which] = 0.0
        self._forget(which)
        self._hold()

    def drop(self, places: Ints) -> None:
        """Forget what was kept apart of these: they have come back."""
        self._forget(np.isin(self.places, places))

    # --- what charts are held to --------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Begin with the reference's last days; where it kept none with all of it, as so many days alike."""
        design, calibration = self._design, self._design.calibration
        span = max(round(calibration.span_ns / self._day_ns), 1)
        pooled = design.cells.merge(design.reference.counts) - calibration.on_holidays
        lost = np.column_stack([design.reference.sketch.unseen, np.full(len(pooled), design.reference.rows)])
        for row, (place, wanted) in enumerate(zip(self.places.tolist(), self._wanted.tolist(), strict=True)):
            recent = calibration.features[place].recent
            days = min(len(recent) or span, wanted)
            counts = np.array([[*recent[day], *[0] * self._width][: self._width] for day in sorted(recent)][-days:])
            counts = counts[::-1] if counts.size else np.tile(pooled[place] / span, (days, 1))
            self.past[row, :days, : self._width] = counts
            share = counts.sum(axis=1) / max(float(pooled[place].sum()), 1.0)
            self.past[row, :days, self._width : self._width + BLOCKS] = share[:, None] * lost[place]

    def _hold(self) -> None:
        """Let the design follow the last days."""
        design, before, cells, rows = self._design, self._before, self._cells, self._rows
        due = before.shares * rows[:, None]
        none = due <= 0
        self._ratio = np.where(none, 0.0, (cells + 0.5) / (due + 0.5))  # Jeffreys, as of levels
        self._added = np.where(none, cells, 0.0) / rows[:, None]
        unseen, all_rows = (self.past[:, :, self._width + column].sum(axis=1) for column in (UNSEEN, ROWS))
        usual = before.rates.copy()
        categories = np.arange(len(usual)) >= self._numbers
        usual[categories, 1] = (unseen / np.maximum(all_rows, 1.0))[categories]
        design.hold_recent(self.places, self._moved(before.shares), rows, (usual, np.maximum(all_rows, 1.0)))
        design.allow(self.places, self._bounds())
        self._told = False

    def _bounds(self) -> Floats:
        """Return how far levels may go, float64[k, 3]: sigma of location and scale, and X² a row."""
        blocks = self.past[:, :, self._width + BLOCKS]
        sums = self.past[:, :, self._width + SQUARES :]
        found = np.zeros((self.places.size, 3))
        for row in range(self.places.size):
            held = blocks[row] > 0
            days = int(np.count_nonzero(self.past[row, :, : self._width].any(axis=1)))
            for column, level in enumerate(self._before.levels[row]):
                known = _grown(level, days, self._before.days[row] if column < 2 else 0)  # noqa: PLR2004 - the shape has no steps
                now = _added(known, sums[row, held, column] / blocks[row, held])
                chance = chance_of_a_draw(self._per_month, now.draws, 2 * self._before.moving)
                found[row, column] = now.most(chance)
        found[:, :2] = np.sqrt(found[:, :2])
        return np.maximum(found, self._before.least)

    def news(self) -> tuple[TrailingState, ...]:
        """Where each of them stands, if that is another day than was told last; else nothing."""
        if self._told:
            return ()
        self._told = True
        return self.standing()

    def standing(self) -> tuple[TrailingState, ...]:
        """Where each of them stands."""
        cells, columns = self._cells, self.past[:, :, self._width : self._width + BLOCKS].sum(axis=1)
        scores = self._before.scores[:, :, 0]
        shift = ((cells / self._rows[:, None] - self._before.shares) * scores).sum(axis=1)
        days = np.count_nonzero(self.past[:, :, : self._width].any(axis=2), axis=1)
        beyond = columns[:, UNSEEN] / np.maximum(columns[:, ROWS], 1.0)
        return tuple(
            TrailingState(place, wanted, held, float(moved) if row < self._numbers else None, float(out), paused)
            for row, (place, wanted, held, moved, out, paused) in enumerate(
                zip(
                    *(part.tolist() for part in (self.places, self._wanted, days, shift, beyond, self.is_apart)),
                    strict=True,
                )
            )
        )

    # --- state --------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, NDArray[Any]]:
        names = ("past", "today", "apart", "apart_fired", "is_apart", "block_apart")
        return {name: getattr(self, name) for name in names}

    def packed(self) -> dict[str, Any]:
        """All of it; nothing where no feature is compared with its past."""
        if not self.places.size:
            return {}
        arrays = {name: array.tobytes() for name, array in self._arrays().items()}
        places = {"places": self.places.tolist(), "wanted": self._wanted.tolist()}
        return {**places, "at": self.at.tolist(), "block": self.block.tobytes(), **arrays}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Read what `packed` gave, of features that are still compared with so many days. Raises ValueError for another make."""
        if not saved or not self.places.size:
            return
        before = list(zip(saved["places"], saved["wanted"], strict=True))
        now = list(zip(self.places.tolist(), self._wanted.tolist(), strict=True))
        here = [row for row, each in enumerate(now) if each in before]
        there = [before.index(now[row]) for row in here]
        self.at[:] = saved["at"]
        slots = max(saved["wanted"])
        for name, array in self._arrays().items():
            shape = (len(before), slots, array.shape[2]) if name == "past" else (len(before), *array.shape[1:])
            read = np.frombuffer(saved[name], dtype=array.dtype).reshape(shape)
            if name == "past":
                kept = min(slots, array.shape[1])
                array[here, :kept] = read[there, :kept]
            else:
                array[here] = read[there]
        self.block[:, here] = np.frombuffer(saved["block"]).reshape(2, len(before), -1)[:, there]
        self._hold()


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What the reference says of these features, [k, …]: shares, rows, rates, scores, and how far their levels go."""

    shares: Floats
    rows: Floats
    rates: Floats
    scores: Floats
    hourly: Bools
    levels: tuple[tuple[Level, ...], ...]
    days: tuple[int, ...]  # of those whose level is a random walk's for all that is known; 0 of others
    least: Floats
    moving: int

    @classmethod
    def of(cls, design: ChartDesign, places: Ints) -> "_Before":
        calibration = design.calibration
        learnt = [calibration.features[place] for place in places.tolist()]
        levels = tuple(feature.levels or (Level(),) * 3 for feature in learnt)
        older = np.array([feature.levels is None for feature in learnt], dtype=np.bool_).reshape(-1, 1)
        allowed = np.column_stack([design.slow[places], design.shape_slow[places]])
        moving = sum(level.variance > 0 for feature in calibration.features for level in feature.levels or ())
        return cls(
            design.unfolded[places].copy(),
            design.rows[places].copy(),
            design.plain_rates[places].copy(),
            _unfolded_scores(design, places),
            np.array([feature.season > 0 for feature in learnt], dtype=np.bool_),
            levels,
            tuple(len(feature.recent) for feature in learnt),
            np.where(older, allowed, 0.0),
            max(moving, int(places.size)),
        )


def _unfolded_scores(design: ChartDesign, places: Ints) -> Floats:
    """Scores of all cells under the reference's shares: what a shift from the reference is measured by."""
    numbers = int((places < design.numeric).sum())
    return normal_scores(design.unfolded[places], design.cells.sizes[places], numbers)


def _spread(values: Floats, places: Ints, features: int) -> Floats:
    """Values of some features as rows of all, zeros elsewhere."""
    found = np.zeros((features, *values.shape[1:]))
    found[places] = values
    return found


def _grown(level: Level, past: int, own: int) -> Level:
    """Return the level of what the reference held against its own mean of `own` days, held against the mean of so long a past.

    Of a random walk of steps s: the mean of N days past lies (N + 1)(2N + 1) / 6N s² from the next, that of T days
    (T² - 1) / 6T s² from each of them.
    """
    if own < FEWEST_DAYS or not past:
        return level
    after = (past + 1) * (2 * past + 1) / (6 * past)
    among = (own * own - 1) / (6 * own)
    return Level(level.variance * max(after / among, 1.0), level.dof, level.draws, level.shape, level.past, level.tail)


def _added(level: Level, squares: Floats) -> Level:
    """Return a level with what the mean squares of days, newest first, say of it."""
    variance, dof = level.variance * (1 + level.past), level.dof if level.variance else MONTH_DAYS / 2
    if squares.size >= FEWEST_DAYS:
        mean, among = float(squares.mean()), float(squares.var(ddof=1))
        lag = float(np.mean((squares[1:] - mean) * (squares[:-1] - mean))) / max(among, 1e-300)
        leans = float(np.clip(lag, 0.0, MOST_LEANING))
        error = among / squares.size * (1 + leans) / (1 - leans)
        known = float(np.clip(2 * mean * mean / max(error, 1e-300), 1.0, MOST_DOF * squares.size))
        now, known = (mean, known) if mean > 0 else (0.0, float(squares.size))
        variance, dof = (dof * variance + known * now) / (dof + known), dof + known
    return Level(variance, max(dof, LEAST_DOF), level.draws, level.shape, 0.0, level.tail)
