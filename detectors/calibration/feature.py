"""One feature's calibration: what its scores do in the reference's own windows, where nothing is wrong."""

from dataclasses import dataclass

import numpy as np

from detectors.calibration import seasons
from detectors.calibration.components import LEAST, TINY, chi2_deviate, normal_quantile, normal_scores
from detectors.calibration.variation import Slow, chi2_bound, quick_sd, slow_sd, t_quantile
from detectors.features import Bools, Floats, Ints

WEEKS_FOR_WEEK, DAYS_FOR_DAY = 2, 7
UNSURE = 0.05  # chance, over all features, at which the reference's own sampling error is larger than allowed for
SURELY_SKEW = 4.5  # standard errors from what independent rows would have
APART = 2.0  # times the rows, from where on it can be told what many do
PEAK = 3.0  # of what a line misses within an hour, over its root mean square
MEDIAN_OF_SQUARE = 0.455  # of a standard normal
LEADING = 3  # categories whose share is looked at for a season


@dataclass(frozen=True, slots=True)
class FeatureCalibration:
    """How one feature's scores vary when nothing is wrong.

    `sd`, `skew`: of location and scale times the root of the rows. `overdispersion`: what each row adds to their variance
    where the rows of a window share a level, as 1 + overdispersion x n. `slow`: their allowance for slow variation, in
    sigma. `shape` (a, dof): X² is a times a chi-square of so many degrees; `shape_slow`: allowance of X² a row. `missing`
    (dispersion, allowance): of the missing count, and of its share. `season`: 0, 24 or 168 hours; `profile` float32[season,
    size] its counts. `lack_of_fit` float32[season, 3]: what the interpolation between hours misses, sigma of location and
    scale, and X² a row; None where nothing.
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


@dataclass(frozen=True, slots=True, eq=False)
class FeatureWindows:
    """One feature in the reference's own windows: counts float64[k, size], missing and rows float64[k], starts int64[k]."""

    cells: Floats
    missing: Floats
    rows: Floats
    middles: Ints
    numeric: bool
    features: int  # that share the chances

    @property
    def usable(self) -> Floats:
        """Rows with a value, float64[k]."""
        return np.asarray(self.cells.sum(axis=1))


def calibrate_feature(windows: FeatureWindows) -> FeatureCalibration:
    """Learn one feature. Windows without a usable row are passed over."""
    kept = windows.usable > 0
    missing = _missing(windows)
    if kept.sum() < 2 or windows.cells.shape[1] < 2:  # noqa: PLR2004 - a constant has nothing to vary
        return FeatureCalibration(missing=missing)
    cells, middles, rows = windows.cells[kept], windows.middles[kept], windows.usable[kept]
    pooled = seasons.shares(cells.sum(axis=0))
    scores = normal_scores(pooled[None], np.array([pooled.size]), int(windows.numeric))[0]
    watched = scores if windows.numeric else _one_against_rest(pooled)
    season, counts = _season(cells, middles, rows, pooled, watched)
    q = np.broadcast_to(pooled, cells.shape) if counts is None else seasons.expected(counts, middles, season)[0]
    apart = cells / rows[:, None] - q
    usual = float(np.median(rows))
    fitted = np.sqrt(max(1 - 1 / _windows_an_hour(middles, season), 0.25))  # the profile has seen these very windows
    u = apart @ scores * np.sqrt(rows)[:, None] / fitted
    overdispersion = (_growth(u[:, 0], rows), _growth(u[:, 1], rows)) if windows.numeric else ZEROS
    u /= np.sqrt(1 + np.outer(rows, overdispersion))
    x2 = residual_x2(apart, rows, q, scores)
    lack_of_fit, fits = (
        (None, np.ones(rows.size, dtype=np.bool_)) if not season else _lack_of_fit(u, x2, rows, middles, season)
    )
    turns = _turns(middles, season)
    third = (pooled[:, None] * scores**3).sum(axis=0) / usual**0.5
    sd, skew, slow = _directions(u[fits], third, windows.features, turns) if windows.numeric else (ONES, ZEROS, ZEROS)
    shape, shape_sd, shape_slow = _shape(windows, x2[fits], rows[fits], q[fits], scores)
    return FeatureCalibration(
        sd=sd,
        overdispersion=overdispersion,
        skew=skew,
        slow=(slow[0] * (1 / usual + overdispersion[0]) ** 0.5, slow[1] * (1 / usual + overdispersion[1]) ** 0.5),
        shape=shape,
        shape_sd=shape_sd,
        shape_slow=shape_slow,
        missing=missing,
        season=season,
        profile=None if counts is None else counts.astype(np.float32),
        lack_of_fit=None if lack_of_fit is None or not lack_of_fit.any() else lack_of_fit.astype(np.float32),
    )


def _one_against_rest(shares: Floats) -> Floats:
    """Scores of the commonest categories, each against all others, float64[size, 3]."""
    first = shares[:LEADING]
    spread = np.sqrt(np.maximum(first * (1 - first), TINY))
    return np.asarray((np.eye(shares.size)[:, : first.size] - first) / spread)


# --- seasons ----------------------------------------------------------------------------------------------------------


def _season(cells: Floats, middles: Ints, rows: Floats, pooled: Floats, watched: Floats) -> tuple[int, Floats | None]:
    """Return the season that the shares follow, and its counts; the week only for what the day leaves."""
    span = int(middles[-1] - middles[0]) if middles.size else 0
    step = int(np.median(np.diff(middles))) if middles.size > 1 else 0
    if step > seasons.HOUR_NS or span < DAYS_FOR_DAY * seasons.DAY * seasons.HOUR_NS * 0.99:
        return 0, None
    day = seasons.profile(cells, middles, seasons.DAY, pooled)
    season: tuple[int, Floats | None] = (0, None)
    q: Floats = np.broadcast_to(pooled, cells.shape)
    if _follows(cells, rows, q, watched, middles, seasons.DAY):
        season, q = (seasons.DAY, day), seasons.expected(day, middles, seasons.DAY)[0]
    weeks = span / (seasons.WEEK * seasons.HOUR_NS)
    if weeks >= WEEKS_FOR_WEEK * 0.99 and _follows(cells, rows, q, watched, middles, seasons.WEEK):
        return seasons.WEEK, seasons.profile(cells, middles, seasons.WEEK, seasons.shares(day))
    return season


def _follows(cells: Floats, rows: Floats, q: Floats, watched: Floats, middles: Ints, season: int) -> bool:
    series = (cells / rows[:, None] - q) @ watched * np.sqrt(rows)[:, None]
    return any(seasons.seasonal(each, middles, season) for each in series.T)


# --- location and scale ------------------------------------------------------------------------------------------------

Pair = tuple[float, float]
ONES, ZEROS = (1.0, 1.0), (0.0, 0.0)


def _directions(u: Floats, third: Floats, features: int, turns: float) -> tuple[Pair, Pair, Pair]:
    sds, skews, slows = [], [], []
    for direction in (0, 1):
        sd = quick_sd(u[:, direction])
        sds.append(sd)
        skews.append(_skew(u[:, direction], float(third[direction])))
        slows.append(_allowance(slow_sd(u[:, direction], sd), features, turns))
    return (sds[0], sds[1]), (skews[0], skews[1]), (slows[0], slows[1])


def _lack_of_fit(u: Floats, x2: Floats, rows: Floats, middles: Ints, season: int) -> tuple[Floats, Bools]:
    """Return what each hour's interpolation misses, float64[season, 3], and which windows it does not miss.

    A sudden change from one hour to the next, every day or week, is no line between them. Hours whose windows lie far from
    the expectation in most turns are allowed three times their root mean square.
    """
    hour = seasons.hours(middles, season).astype(np.int64) % season
    turn = np.unique(middles // (season * seasons.HOUR_NS), return_inverse=True)[1]
    weeks = max(round(_turns(middles, season)), 1)
    usual = float(np.median(rows))
    missed = np.zeros((season, 3))
    for column, values in enumerate((np.square(u[:, 0]), np.square(u[:, 1]), x2)):
        base = max(float(np.median(values)) / MEDIAN_OF_SQUARE, 1.0) if column < 2 else float(np.median(values))  # noqa: PLR2004
        usually, mean = _by_turns(values, hour, turn, season)
        beyond = np.where(usually > base * chi2_bound(weeks) / weeks, np.maximum(mean - base, 0.0), 0.0)
        missed[:, column] = PEAK * (np.sqrt(beyond / usual) if column < 2 else beyond / usual)  # noqa: PLR2004 - directions
    fits = ~np.asarray((missed > 0).any(axis=1))[hour]
    return missed, np.asarray(fits if 2 * fits.sum() >= fits.size else np.ones_like(fits))


def _by_turns(values: Floats, hour: Ints, turn: Ints, season: int) -> tuple[Floats, Floats]:
    """Return each hour's median over its turns (days, weeks), and its mean without the worst of them; 0 where it has none.

    So one odd day touches no hour.
    """
    turns = int(turn.max()) + 1
    each = seasons.means(values, hour * turns + turn, season * turns).reshape(season, turns)
    each.sort(axis=1)  # what is NaN comes last
    held, at = np.isfinite(each).sum(axis=1), np.arange(season)
    kept = np.maximum(held - 1, 1)
    best = np.where(np.arange(turns) < kept[:, None], np.nan_to_num(each), 0.0)
    return np.nan_to_num(each[at, np.maximum(held - 1, 0) // 2]), best.sum(axis=1) / kept


def _turns(middles: Ints, season: int) -> float:
    """How many seasons the expectation rests on; without one, days."""
    span = float(middles[-1] - middles[0]) / seasons.HOUR_NS if middles.size else 0.0
    return max(span / (season or seasons.DAY), 1.0)


def _windows_an_hour(middles: Ints, season: int) -> float:
    return max(middles.size / season, 1.4) if season else float(middles.size)


def _allowance(slow: Slow, features: int, turns: float) -> float:
    """What slow variation may do, at the chance shared by the features; the past's own share of it on top."""
    if slow.sd == 0:
        return 0.0
    inside = max(1 - 1 / turns, 0.5)  # the expectation has followed its own past
    bound = t_quantile(UNSURE / (4 * features), slow.dof)
    return float(bound * slow.sd / np.sqrt(inside) * np.sqrt(1 + 1 / turns))


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


def residual_x2(apart: Floats, rows: Floats, q: Floats, scores: Floats) -> Floats:
    """Return X² without what location and scale have said; `apart`, `q` float64[k, size], `rows` float64[k]."""
    x2 = rows * (apart * apart / np.maximum(q, LEAST / rows[:, None])).sum(axis=-1)
    said = rows * np.square(apart @ scores).sum(axis=-1)
    return np.asarray(np.maximum(x2 - said, 0.0))


def _shape(windows: FeatureWindows, x2: Floats, rows: Floats, q: Floats, scores: Floats) -> tuple[Pair, float, float]:
    filled = q.mean(axis=0)[(q > 0).any(axis=0)]
    size = filled.size
    said = int((np.abs(scores).sum(axis=0) > 0).sum())
    dof = float(size - 1 - said)
    if dof < 1:
        return ONES, 1.0, 0.0
    spread = 2 * dof + (float((1 / np.maximum(filled, TINY)).sum()) - size * size - 2 * size + 2) / float(
        np.median(rows)
    )
    scale, free = _law(x2, dof, max(spread, 2 * dof))
    deviates = chi2_deviate(x2 / scale, np.full(x2.size, free), np.zeros(x2.size))
    excess = slow_sd(x2 / rows, float((x2 / rows).std()))
    bound = t_quantile(UNSURE / (4 * windows.features), excess.dof)
    return (scale, free), quick_sd(deviates), float(bound * excess.sd)


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
    quick = quick_sd(pearson)
    slow = _allowance(slow_sd(pearson, quick), windows.features, _turns(windows.middles, 0))
    return quick**2, slow * _binomial_sd(windows)


def _binomial_sd(windows: FeatureWindows) -> float:
    """Of the missing share in a usual window."""
    share = float(windows.missing.sum()) / max(float(windows.rows.sum()), 1.0)
    return float(np.sqrt(share * (1 - share) / max(float(np.median(windows.rows)), 1.0)))


def upper_share(events: Floats, rows: Floats, features: int, ends: Floats) -> Floats:
    """Return the share that a reference of so many events in so many rows may really have, at the chance shared by all.

    The posterior's upper bound for a Poisson count (`ends`: 1, or 2 where both ends of a range were themselves drawn).
    """
    from scipy import special

    bound = special.gammaincinv(np.asarray(events, dtype=np.float64) + ends, 1 - UNSURE / (4 * features))
    return np.asarray(np.minimum(bound / np.maximum(rows, 1.0), 1.0))


def reference_error(features: int) -> float:
    """Return how many standard errors the reference's own mean is allowed to be off."""
    return normal_quantile(UNSURE / (4 * max(features, 1)))
