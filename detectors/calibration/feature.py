"""One feature's calibration: what its scores do in the reference's own windows, where nothing is wrong."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import seasons
from detectors.calibration.components import LEAST, TINY, chi2_deviate, normal_quantile, normal_scores, recentred
from detectors.calibration.groups import Together, within
from detectors.calibration.rates import RateVariation
from detectors.calibration.replay import Reached
from detectors.calibration.season_tests import follows_day, follows_week
from detectors.calibration.slow import DAY_NS, Level, chance_of_a_draw, nested
from detectors.calibration.tails import NO_TAIL, Tail
from detectors.calibration.variation import chi2_bound, groups_of, quick_sd
from detectors.features import Bools, Floats, Ints

DAYS_FOR_DAY, DAYS_FOR_WEEK = 7, 14
UNSURE = 0.05  # chance, over all features, at which the reference's own sampling error is larger than allowed for
SURELY_SKEW = 4.5  # standard errors from what independent rows would have
APART = 2.0  # times the rows, from where on it can be told what many do
PEAK = 3.0  # of what a line misses within an hour, over its root mean square
MEDIAN_OF_SQUARE = 0.455  # of a standard normal
MEDIAN_VARIES = 1.57  # times as much as a mean
FEWEST_TURNS = 5  # of which a median says more than a mean
LEADING = 3  # categories whose share is looked at for a season


Pair = tuple[float, float]
ONES, ZEROS, NO_LEVEL = (1.0, 1.0), (0.0, 0.0), Level()
Levels = tuple[Level, Level, Level]  # of location, scale and shape


@dataclass(frozen=True, slots=True)
class FeatureCalibration:
    """How one feature's scores vary when nothing is wrong.

    `sd`, `skew`: of location and scale times the root of the rows. `overdispersion`: what each row adds to their variance
    where the rows of a window share a level, as 1 + overdispersion x n. `slow`: their allowance for slow variation, in
    sigma. `shape` (a, dof): X² is a times a chi-square of so many degrees; `shape_slow`: allowance of X² a row. `missing`
    (dispersion, allowance): of the missing count, and of its share. `season`: 0, 24 or 168 hours; `profile` float32[season,
    size] its counts. `lack_of_fit` float32[season, 3]: what the interpolation between hours misses, sigma of location and
    scale, and X² a row; None where nothing. `levels`: the slow variation itself, variances of location and scale and X² a
    row, from which what is allowed follows for any budget; None in older files. `scale_mean`: of the score of scale where
    levels differ, for all days together are wider than each; `shape_mean`: of the shape's deviate.
    `reached`: the largest deviates of location, scale and shape in the reference's own windows; `caps`: the most that one
    subgroup may add to their sums, for otherwise these very windows would have paged; 0 where nothing speaks for one.
    `shape_tail`: of the shape's deviate, where it is heavier than a normal one. `rates`: of missing values and of the mass of cells by their place, see mass.py.
    `alike`: how alike the rows of one group are, in location, scale and shape; see groups.py.
    `recent`: rows in each cell on the last days, by their number on the local clock, of what wanders by nature; see recent.py.
    """

    sd: tuple[float, float] = (1.0, 1.0)
    overdispersion: tuple[float, float] = (0.0, 0.0)
    skew: tuple[float, float] = (0.0, 0.0)
    slow: tuple[float, float] = (0.0, 0.0)
    shape: tuple[float, float] = (1.0, 1.0)
    shape_sd: float = 1.0
    shape_slow: float = 0.0
    missing: tuple[float, float] = (1.0, 0.0)
    season: int = 0
    profile: seasons.HourCounts | None = None
    lack_of_fit: seasons.HourCounts | None = None
    on_holidays: tuple[int, ...] = ()  # rows in each cell then, which nothing above has seen
    levels: Levels | None = None
    scale_mean: float = 0.0
    shape_mean: float = 0.0
    reached: Reached = (0.0, 0.0, 0.0)
    caps: Reached = (0.0, 0.0, 0.0)
    shape_tail: Tail = NO_TAIL
    rates: Mapping[int, RateVariation] = field(default_factory=dict)
    recent: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    alike: Reached = (0.0, 0.0, 0.0)

    def allowed(self, chances: Sequence[float]) -> tuple[float, float, float]:
        """Return what slow variation may do at these chances of a draw: sigma of location and scale, X² a row."""
        if self.levels is None:
            return (*self.slow, self.shape_slow)
        location, scale, shape = (level.most(chance) for level, chance in zip(self.levels, chances, strict=True))
        return location**0.5, scale**0.5, shape


@dataclass(frozen=True, slots=True, eq=False)
class FeatureWindows:
    """One feature in the reference's own windows: counts float64[k, size], missing and rows float64[k], middles int64[k].

    Hours and days are those of `timezone`; None is UTC. `groups` say how many rows come together in each.
    """

    cells: Floats
    missing: Floats
    rows: Floats
    middles: Ints
    numeric: bool
    features: int  # that share the chances
    window_ns: int
    timezone: str | None = None
    groups: Together | None = None

    @property
    def usable(self) -> Floats:
        """Rows with a value, float64[k]."""
        return np.asarray(self.cells.sum(axis=1))


@dataclass(frozen=True, slots=True, eq=False)
class OwnDeviates:
    """What a feature's charts are made of in the reference's own windows, `day` int64[k] theirs: `u` [k, 2], `x2`, `rows` [k].

    Rows count for what they are worth to the shape.
    """

    u: NDArray[np.float32]  # of all features they are many
    x2: NDArray[np.float32]
    rows: NDArray[np.float32]
    day: Ints

    def within_days(self) -> Floats:
        """Return the deviates less each day's own level, float64[k, 2]: how far days differ is known from elsewhere."""
        _, which, held = np.unique(self.day, return_inverse=True, return_counts=True)
        levels = np.stack([np.bincount(which, weights=column) / held for column in self.u.T], axis=1)
        return np.asarray(self.u - levels[which])


@dataclass(frozen=True, slots=True, eq=False)
class _Place:
    """Where windows stand in time, and what their expectation follows."""

    middles: Ints
    window_ns: int
    turns: float
    weekly: bool

    @property
    def groups(self) -> Ints:
        return groups_of(self.middles, self.window_ns)

    def level(self, series: Floats, sd: float) -> Level:
        return nested(series, sd**2, self.middles, self.window_ns, turns=self.turns, weekly=self.weekly)


def calibrate_feature(windows: FeatureWindows) -> tuple[FeatureCalibration, OwnDeviates | None]:
    """Learn one feature, levels of other features left aside. Windows without a usable row are passed over."""
    kept = windows.usable > 0
    missing = _missing(windows)
    if kept.sum() < 2 or windows.cells.shape[1] < 2:  # noqa: PLR2004 - a constant has nothing to vary
        return FeatureCalibration(missing=missing, levels=(NO_LEVEL,) * 3), None
    seen = _Seen.of(windows, kept)
    lack_of_fit, fits = seen.lack_of_fit()
    turns = _turns(seen.middles, seen.season) if seen.season else 0.0
    place = _Place(seen.middles[fits], windows.window_ns, turns, seen.season == seasons.WEEK)
    ways = _Ways.of(seen, fits, place, recentre=lack_of_fit is not None)
    shape, shape_sd, level = _shape(
        ways.x2[fits], ways.rest[fits], seen.effective[fits, 2], seen.q[fits], seen.pooled_scores, place
    )
    learnt = FeatureCalibration(
        sd=ways.sd,
        overdispersion=seen.overdispersion,
        skew=ways.skew,
        shape=shape,
        shape_sd=shape_sd,
        missing=missing,
        season=seen.season,
        profile=None if seen.profile is None else seen.profile.astype(np.float32),
        lack_of_fit=None if lack_of_fit is None else lack_of_fit.astype(np.float32),
        levels=(ways.location, ways.scale, level),
        scale_mean=ways.scale_mean,
        alike=seen.alike,
    )
    single = [np.asarray(values[fits], dtype=np.float32) for values in (ways.u, ways.x2, seen.effective[:, 2])]
    return learnt, OwnDeviates(single[0], single[1], single[2], place.middles // DAY_NS)


@dataclass(frozen=True, slots=True, eq=False)
class _Seen:
    """Windows that hold a value, against what is expected of each.

    `cells`, `q` float64[k, size]; `rows` float64[k]; `middles` int64[k] by the local clock. `scores` [size, 2], or [k, size, 2]
    where hours differ; `moved` float64[k, 2] location and scale; `u` the same as deviates, overdispersion taken off.
    `effective` float64[k, 3]: what the rows are worth to location, scale and shape, for those of a group are `alike`.
    """

    cells: Floats
    rows: Floats
    middles: Ints
    numeric: bool
    pooled_scores: Floats
    season: int
    profile: Floats | None
    q: Floats
    scores: Floats
    fitted: float  # by how much the windows lie nearer to a profile that has seen these very windows
    moved: Floats
    u: Floats
    overdispersion: Pair
    alike: Reached
    effective: Floats

    @classmethod
    def of(cls, windows: FeatureWindows, kept: Bools) -> Self:
        cells, rows = windows.cells[kept], windows.usable[kept]
        middles = seasons.local(windows.middles[kept], windows.timezone)
        pooled = seasons.shares(cells.sum(axis=0))
        scores = pooled_scores = normal_scores(pooled[None], np.array([pooled.size]), int(windows.numeric))[0]
        watched = scores if windows.numeric else _one_against_rest(pooled)
        season, profile = _season(cells, middles, rows, pooled, watched)
        q: Floats = np.broadcast_to(pooled, cells.shape)
        if profile is not None:
            q = seasons.expected(profile, middles, season)[0]
            scores = _hourly_scores(q, middles, season) if windows.numeric else scores
        fitted = float(np.sqrt(max(1 - 1 / _windows_an_hour(middles, season), 0.25)))
        moved = _moved(cells / rows[:, None] - q, scores)
        alike, effective = (0.0, 0.0, 0.0), np.repeat(rows[:, None], 3, axis=1)
        if windows.groups is not None:
            groups, deviates = windows.groups.where(kept), moved * np.sqrt(rows)[:, None]
            rest = _standardised(cells / rows[:, None] - q, q, rows) * np.sqrt(rows)[:, None]
            alike = _alike(groups, deviates, rest, pooled_scores, groups_of(middles, windows.window_ns))
            effective *= groups.worth(np.array(alike))
        u = moved * np.sqrt(effective[:, :2]) / fitted
        overdispersion = (_growth(u[:, 0], effective[:, 0]), _growth(u[:, 1], effective[:, 1]))
        overdispersion = overdispersion if windows.numeric else ZEROS
        u /= np.sqrt(1 + effective[:, :2] * overdispersion)
        return cls(
            cells,
            rows,
            middles,
            windows.numeric,
            pooled_scores,
            season,
            profile,
            q,
            scores,
            fitted,
            moved,
            u,
            overdispersion,
            alike,
            effective,
        )

    @property
    def usual(self) -> Floats:
        """What the rows of a usual window are worth to location, scale and shape."""
        return np.asarray(np.median(self.effective, axis=0))

    @property
    def apart(self) -> Floats:
        """Shares less what is expected, float64[k, size]."""
        return self.cells / self.rows[:, None] - self.q

    def lack_of_fit(self) -> tuple[Floats | None, Bools]:
        """What the hours' interpolation misses, None where nothing, and which windows it does not miss."""
        if not self.season:
            return None, np.ones(self.rows.size, dtype=np.bool_)
        missed, fits = _lack_of_fit(self.u, self.apart, self.q, self.rows, self.middles, self.season)
        return (missed if missed.any() else None), fits


@dataclass(frozen=True, slots=True, eq=False)
class _Ways:
    """The ways in which windows vary: deviations and levels of location and scale, and what is left for the shape.

    `u` float64[k, 2], `x2` float64[k]; `rest` float64[k, size]: what location and scale do not explain, over the root of its expectation.
    """

    u: Floats
    x2: Floats
    rest: Floats
    sd: Pair = ONES
    skew: Pair = ZEROS
    location: Level = NO_LEVEL
    scale: Level = NO_LEVEL
    scale_mean: float = 0.0

    @classmethod
    def of(cls, seen: _Seen, fits: Bools, place: _Place, *, recentre: bool) -> Self:
        """Where levels move or hours are missed, the expectation is moved along with each window."""
        apart, rows = seen.apart, seen.effective[:, 2]
        found = cls(seen.u, residual_x2(apart, rows, seen.q, seen.moved), _standardised(apart, seen.q, rows))
        if not seen.numeric:
            return found
        scores = seen.pooled_scores
        third = (seasons.shares(seen.cells.sum(axis=0))[:, None] * scores**3).sum(axis=0) / seen.usual[:2] ** 0.5
        found = replace(found, **_deviations(found.u[fits], third, place))
        found = replace(found, location=found.level(0, seen, fits, place))
        if found.location.variance or recentre:
            found = replace(found, **_moved_along(seen, fits))
            found = replace(found, **_deviations(found.u[fits], third, place))
        return replace(found, scale=found.level(1, seen, fits, place))

    def level(self, way: int, seen: _Seen, fits: Bools, place: _Place) -> Level:
        """The level of location (0) or scale (1), in sigma squared."""
        unit = 1 / float(seen.usual[way]) + seen.overdispersion[way]
        return place.level(self.u[fits, way] * seen.fitted, self.sd[way] * seen.fitted).times(unit)


def _deviations(u: Floats, third: Floats, place: _Place) -> dict[str, Any]:
    sd, skew = _directions(u, third, place.groups)
    return {"sd": sd, "skew": skew}


def _moved_along(seen: _Seen, fits: Bools) -> dict[str, Any]:
    """What is left once the expectation has moved along with location and scale; scale is what the stretch alone tells."""
    there, stretched = recentred(seen.q, seen.moved, seen.scores)
    rest, rows = seen.cells / seen.rows[:, None] - there, seen.effective[:, 2]
    mean, u = float(stretched[fits].mean()), seen.u.copy()
    worth = seen.effective[:, 1]
    u[:, 1] = (stretched - mean) * np.sqrt(worth / (1 + worth * seen.overdispersion[1])) / seen.fitted
    x2 = residual_x2(rest, rows, there, np.zeros((rows.size, 2)))
    return {"u": u, "x2": x2, "rest": _standardised(rest, there, rows), "scale_mean": mean}


def _alike(groups: Together, deviates: Floats, rest: Floats, scores: Floats, near: Ints) -> Reached:
    """How alike the rows of a group are in location, scale and shape; `near` int64[k] windows share their level."""
    squares, total = np.square(within(deviates, near)), np.square(within(rest, near)).sum(axis=1)
    filled, said = int((np.abs(rest).sum(axis=0) > 0).sum()), np.abs(scores).sum(axis=0) > 0
    free = filled - 1 - int(said.sum())
    location, scale = (groups.alike(squares[:, way]) if said[way] else 0.0 for way in (0, 1))
    shape = groups.alike((total - squares.sum(axis=1)) / free) if free > 0 else 0.0
    return location, scale, shape


def _standardised(apart: Floats, q: Floats, rows: Floats) -> Floats:
    """Return shares less what is expected over the root of that, so that their squares add up to X² a row."""
    return np.asarray(apart / np.sqrt(np.maximum(q, LEAST / rows[:, None])))


def _hourly_scores(q: Floats, middles: Ints, season: int) -> Floats:
    """Return the scores under each window's own shares, float64[k, size, 2]."""
    at = seasons.between(middles, season)
    _, first, which = np.unique(np.round(at.low + at.share, 6), return_index=True, return_inverse=True)
    scores = normal_scores(q[first], np.full(first.size, q.shape[1]), first.size)
    return np.asarray(scores[which])


def _moved(apart: Floats, scores: Floats) -> Floats:
    """Return location and scale of each window, float64[k, 2]; scores [size, 2] of all or [k, size, 2] of each."""
    return np.asarray(apart @ scores if scores.ndim == 2 else np.einsum("kw,kws->ks", apart, scores))  # noqa: PLR2004


def _one_against_rest(shares: Floats) -> Floats:
    """Scores of the commonest categories, each against all others, float64[size, 3]."""
    first = shares[:LEADING]
    spread = np.sqrt(np.maximum(first * (1 - first), TINY))
    return np.asarray((np.eye(shares.size)[:, : first.size] - first) / spread)


# --- seasons ----------------------------------------------------------------------------------------------------------


def _season(cells: Floats, middles: Ints, rows: Floats, pooled: Floats, watched: Floats) -> tuple[int, Floats | None]:
    """Return the season that the shares follow, and its counts; the week only for what the day leaves."""
    step = int(np.median(np.diff(middles))) if middles.size > 1 else 0
    span = int(middles[-1] - middles[0]) if middles.size else 0
    if step > seasons.HOUR_NS or not seasons.enough(span, DAYS_FOR_DAY):
        return 0, None
    day = seasons.profile(cells, middles, seasons.DAY, pooled)
    season: tuple[int, Floats | None] = (0, None)
    q: Floats = np.broadcast_to(pooled, cells.shape)
    if any(follows_day(each, middles) for each in _watched(cells, rows, q, watched)):
        season, q = (seasons.DAY, day), seasons.expected(day, middles, seasons.DAY)[0]
    weekly = seasons.enough(span, DAYS_FOR_WEEK)
    unit = float(np.median(rows)) ** -0.5
    if weekly and any(follows_week(each, middles, unit) for each in _watched(cells, rows, q, watched)):
        return seasons.WEEK, seasons.profile(cells, middles, seasons.WEEK, seasons.shares(day))
    return season


def _watched(cells: Floats, rows: Floats, q: Floats, watched: Floats) -> Floats:
    """Return the series that seasons are looked for in, float64[series, k]."""
    return np.asarray(((cells / rows[:, None] - q) @ watched * np.sqrt(rows)[:, None]).T)


# --- location and scale ------------------------------------------------------------------------------------------------


def _directions(u: Floats, third: Floats, groups: Ints) -> tuple[Pair, Pair]:
    sds, skews = [], []
    for direction in (0, 1):
        sds.append(quick_sd(u[:, direction], groups))
        skews.append(_skew(u[:, direction], float(third[direction])))
    return (sds[0], sds[1]), (skews[0], skews[1])


def _lack_of_fit(u: Floats, apart: Floats, q: Floats, rows: Floats, middles: Ints, season: int) -> tuple[Floats, Bools]:
    """Return what each hour's interpolation misses, float64[season, 3], and which windows it does not miss.

    A sudden change from one hour to the next, every day or week, is no line between them: windows of the same time lie on
    the same side turn after turn. Such hours are allowed three times their root mean square.
    """
    hour = seasons.hours(middles, season).astype(np.int64) % season
    phase = np.unique(middles % (season * seasons.HOUR_NS), return_inverse=True)[1]
    turns, usual = max(round(_turns(middles, season)), 1), float(np.median(rows))
    of_phase = np.zeros(int(phase.max()) + 1, dtype=np.int64)
    of_phase[phase] = hour
    rest = _standardised(apart, q, rows) * np.sqrt(rows)[:, None]
    missed = np.zeros((season, 3))
    for column, values in enumerate((u[:, :1], u[:, 1:], rest)):
        squares = np.square(values).sum(axis=1)
        chance = float(squares.mean()) if column == 2 else max(float(np.median(squares)) / MEDIAN_OF_SQUARE, 1.0)  # noqa: PLR2004 - X²
        chance *= MEDIAN_VARIES if turns >= FEWEST_TURNS else 1.0
        lasting = np.square(_usual_side(values - np.median(values, axis=0), phase, turns)).sum(axis=1)
        mean = np.nan_to_num(seasons.means(lasting, of_phase, season))
        many = np.maximum(np.bincount(of_phase, minlength=season), 1)
        base = chance / turns
        beyond = np.where(mean > base * np.array([chi2_bound(free) / free for free in many]), mean - base, 0.0)
        missed[:, column] = PEAK * (np.sqrt(beyond / usual) if column < 2 else beyond / usual)  # noqa: PLR2004 - directions
    # Between two hours the expectation is a mixture: of normal laws m apart its variance is 1 + m²/4, which neither hour has.
    missed[:, 1] = np.maximum(missed[:, 1], np.square(missed[:, 0]) / (4 * np.sqrt(2)))
    fits = ~np.asarray((missed > 0).any(axis=1))[hour]
    return missed, np.asarray(fits if 2 * fits.sum() >= fits.size else np.ones_like(fits))


def _usual_side(values: Floats, phase: Ints, turns: int) -> Floats:
    """Return the mean of each phase, float64[phases, columns]; of several turns the median, so that one odd day touches none."""
    phases = int(phase.max()) + 1
    if turns < FEWEST_TURNS:
        return np.stack([np.nan_to_num(seasons.means(column, phase, phases)) for column in values.T], axis=1)
    order = np.lexsort((np.arange(phase.size), phase))
    starts = np.searchsorted(phase[order], np.arange(phases + 1))
    return np.stack([np.median(values[order[first:last]], axis=0) for first, last in pairwise(starts.tolist())])


def _turns(middles: Ints, season: int) -> float:
    """How many seasons the expectation rests on; without one, days."""
    span = float(middles[-1] - middles[0]) / seasons.HOUR_NS if middles.size else 0.0
    return max(span / (season or seasons.DAY), 1.0)


def _windows_an_hour(middles: Ints, season: int) -> float:
    return max(middles.size / season, 1.4) if season else float(middles.size)


def _growth(u: Floats, rows: Floats) -> float:
    """Return c / a of var(u) = a + c rows, where windows of many rows vary more than those of few; else 0.

    Between the third of the windows that have fewest rows and the third that have most, if there is a factor of two.
    """
    low, high = rows <= np.quantile(rows, 1 / 3), rows >= np.quantile(rows, 2 / 3)
    few, many = float(rows[low].mean()), float(rows[high].mean())
    if many < APART * few:
        return 0.0
    calm, wild = float(np.square(u[low]).mean()), float(np.square(u[high]).mean())
    if wild <= max(calm, 1.0) * (1 + SURELY_SKEW * np.sqrt(2 / low.sum() + 2 / high.sum())):
        return 0.0
    alone = max((calm * many - wild * few) / (many - few), 1.0)  # of hardly any rows: independent ones at least
    return (wild / alone - 1) / many


def _skew(u: Floats, known: float) -> float:
    """The skew of independent rows, unless the windows show that it is another."""
    spread = float(u.std())
    if spread == 0:
        return known
    seen = float(np.mean((u - u.mean()) ** 3)) / spread**3
    return float(np.clip(seen, -1.5, 1.5)) if abs(seen - known) > SURELY_SKEW * np.sqrt(6 / u.size) else known


# --- everything else -----------------------------------------------------------------------------------------------------


def residual_x2(apart: Floats, rows: Floats, q: Floats, moved: Floats) -> Floats:
    """Return X² without what location and scale have said; `apart`, `q` float64[k, size], `rows` float64[k], `moved` [k, 2]."""
    x2 = rows * (apart * apart / np.maximum(q, LEAST / rows[:, None])).sum(axis=-1)
    return np.asarray(np.maximum(x2 - rows * np.square(moved).sum(axis=-1), 0.0))


def _shape(
    x2: Floats, rest: Floats, rows: Floats, q: Floats, scores: Floats, place: _Place
) -> tuple[Pair, float, Level]:
    filled = q.mean(axis=0)[(q > 0).any(axis=0)]
    size = filled.size
    said = int((np.abs(scores).sum(axis=0) > 0).sum())
    dof = float(size - 1 - said)
    if dof < 1:
        return ONES, 1.0, Level()
    usual = float(np.median(rows))
    spread = 2 * dof + (float((1 / np.maximum(filled, TINY)).sum()) - size * size - 2 * size + 2) / usual
    scale, free = _law(x2, dof, max(spread, 2 * dof))
    deviates = chi2_deviate(x2 / scale, np.full(x2.size, free), np.zeros(x2.size))
    return (
        (scale, free),
        quick_sd(deviates, place.groups),
        place.level(rest, float(np.square(rest).sum(axis=1).mean()) ** 0.5),
    )


def _law(x2: Floats, dof: float, spread: float) -> Pair:
    """Scale and degrees of freedom of the chi-square with the statistic's mean and variance (Satterthwaite 1946).

    What theory says for independent rows, unless the windows show more.
    """
    mean, variance, count = float(x2.mean()), float(x2.var(ddof=1)), x2.size
    if mean > dof * (1 + 3 * np.sqrt(2 / (dof * count))) or variance > spread * (
        1 + 3 * np.sqrt((2 + 12 / dof) / count)
    ):
        dof, spread = max(mean, dof), max(variance, spread) * (1 + np.sqrt(2 / count))
    scale = max(1.0, spread / (2 * dof))
    return scale, dof / scale


# --- missing values --------------------------------------------------------------------------------------------------------


def _missing(windows: FeatureWindows) -> Pair:
    """Dispersion and allowance of the missing count."""
    total, rows = float(windows.missing.sum()), float(windows.rows.sum())
    if total in {0.0, rows}:
        return 1.0, 0.0
    share = total / rows
    pearson = (windows.missing - share * windows.rows) / np.sqrt(windows.rows * share * (1 - share))
    place = _Place(seasons.local(windows.middles, windows.timezone), windows.window_ns, 0.0, weekly=False)
    quick = quick_sd(pearson, place.groups)
    level = place.level(pearson, quick)
    slow = level.most(chance_of_a_draw(1.0, level.draws, 4 * windows.features)) ** 0.5
    return (quick**2, slow * _binomial_sd(windows))


def _binomial_sd(windows: FeatureWindows) -> float:
    """Of the missing share in a usual window."""
    share = float(windows.missing.sum()) / max(float(windows.rows.sum()), 1.0)
    return float(np.sqrt(share * (1 - share) / max(float(np.median(windows.rows)), 1.0)))


def reference_error(features: int) -> float:
    """Return how many standard errors the reference's own mean is allowed to be off."""
    return normal_quantile(UNSURE / (4 * max(features, 1)))
