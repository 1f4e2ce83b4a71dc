"""Features that change inside a reference: the best step or trend of their days, if chance does not explain it.

Days are compared, not windows (see days.py). For each place where a level may step, and for a straight line, a t test of that
one regressor beside a level, or beside one of each day of the week; the greatest of them against a bound for all places and all
series (Worsley 1979: t with Bonferroni, nearly exact far out). It must be as sure without the day that speaks loudest for
it: one odd day, however far, is no change (see odd_days.py), nor is a heavy tail.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from detectors.calibration import odd_days, seasons
from detectors.calibration.components import normal_scores
from detectors.calibration.days import DAY_NS, DayLevels, OwnWindows, levels
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.odd_days import SeriesChange
from detectors.calibration.regression import Best, best, mean_chance
from detectors.calibration.unsteady import WANDERS, Drifting, Unsteady, Wandering
from detectors.calibration.wandering import shared, wandering
from detectors.features import Bools, Floats, Ints

CHANGED = 0.01  # chance, over all features, of calling an unchanged reference changed
SMALLEST_CHANGE = {
    "mean": 0.05,
    "spread": 0.07,
    "mix": 0.01,
    "missing": 0.005,
}  # sigma, sigma of the scale's score, shares
FEWEST_DAYS = 6
SHORTEST = 2  # days before and after a step: a single one is an odd day
USUAL_SD = 0.1  # of days, as a share of a row's standard deviation, where there are too few to tell
SURELY = 4.0  # standard errors
MOST_OF_IT = 0.9  # of the rows: windows with fewer are compared with all


def unsteady(windows: OwnWindows, learnt: Sequence[FeatureCalibration], everything: Ints) -> Unsteady:
    """Return what is not steady inside the reference; `everything` int64[f, width] are all its rows on merged cells."""
    series, names = levels(windows, learnt), windows.merged.layout.names
    changes: list[SeriesChange] = []
    wander: list[Wandering] = []
    for held, which in series.alike():
        if held.sum() >= FEWEST_DAYS:
            fit = best(series.values[held][:, which], series.known(held, which), forms(int(held.sum())))
            wander += wandering(series, held, which, fit, names)
            changes += _changes(series, held, which, fit)
    of_times = {each.feature: each for each in shared(windows, learnt, names)}
    of_days = {each.feature: each for each in wander}
    surely = {name: each for name, each in of_days.items() if each.how != WANDERS}
    wander = [*(of_days | of_times | surely).values()]
    wanders = {names.index(each.feature) for each in wander}
    odd = [
        each
        for each in odd_days.odd(series, _surest(series, changes), SMALLEST_CHANGE)
        if int(series.feature[each.series]) not in wanders
    ]
    changes += _beside(series, odd, {each.series for each in changes})
    surest = {at: change for at, change in _surest(series, changes).items() if at not in wanders}
    drifting = {at: _told(series, change, names) for at, change in surest.items()}
    drifting |= _apart(windows, series, everything, wanders | drifting.keys())
    return Unsteady(
        tuple(drifting[at] for at in sorted(drifting)),
        odd_days.told(series, odd, names),
        tuple(sorted(wander, key=lambda each: names.index(each.feature))),
    )


def forms(days: int) -> Floats:
    """Return what a change may look like, float64[days, k]: a step at each place, and last a line from 0 to 1."""
    at = np.arange(days)
    return np.column_stack([at[:, None] >= np.arange(SHORTEST, days - SHORTEST + 1), at / max(days - 1, 1)]).astype(
        np.float64
    )


def _changes(series: DayLevels, held: Bools, which: Ints, fit: Best) -> Iterator[SeriesChange]:
    """Those of some series that change, on the days they have."""
    days, form = np.flatnonzero(held), forms(int(held.sum()))
    bound = CHANGED / (series.feature.size * form.shape[1])
    smallest = np.array([SMALLEST_CHANGE[what] for what in series.what[which].tolist()])
    least = np.maximum(smallest, _of_few_days(series, held, which, form[:, fit.at], fit.rest))
    known = series.known(held, which)
    for at in np.flatnonzero((fit.chance < bound) & (np.abs(fit.size) >= least)).tolist():
        kept, chosen = np.arange(days.size) != fit.loudest[at], form[:, [fit.at[at]]]
        again = best(series.values[held, which[at]][kept, None], known[kept], chosen[kept], fit.leans)
        if again.chance[0] < bound:
            regressor = np.full(held.size, np.nan)
            regressor[held] = chosen[:, 0]
            trend = fit.at[at] == form.shape[1] - 1
            first = int(days[0 if trend else fit.at[at] + SHORTEST])
            how = "trend" if trend else "step"
            yield SeriesChange(int(which[at]), first, float(fit.size[at]), how, float(fit.chance[at]), regressor)


def _of_few_days(series: DayLevels, held: Bools, which: Ints, regressors: Floats, rest: Floats) -> Floats:
    """Return how large a change of blocks, shorter than days, must be not to be what days do, float64[s].

    A day's blocks go up and down together, so the error of a coefficient follows from its sums over days (Moulton 1986). What
    days do, two or three of them hardly show: they are taken to vary by what they show, and a tenth of a row's deviation at least.
    """
    if series.days.length >= DAY_NS:
        return np.zeros(which.size)
    days, of = np.unique(series.days.starts[held] // DAY_NS, return_inverse=True)
    belongs = (of[:, None] == np.arange(days.size)).astype(np.float64)
    level = belongs.T @ rest / belongs.sum(axis=0)[:, None]
    sd = np.sqrt(np.square(level).sum(axis=0) / max(days.size - 2, 1))
    z = regressors - regressors.mean(axis=0)
    clustered = np.sqrt(np.square(belongs.T @ z).sum(axis=0)) / np.square(z).sum(axis=0)
    return np.asarray(SURELY * np.maximum(sd, USUAL_SD * series.unit[which]) * clustered)


def _beside(series: DayLevels, odd: Sequence[odd_days.Odd], changing: set[int]) -> Iterator[SeriesChange]:
    """Those that change once their odd days, which may hide it, are left out."""
    for at in sorted({each.series for each in odd} - changing):
        held = np.isfinite(series.values[:, at])
        held[[each.day for each in odd if each.series == at]] = False
        if held.sum() >= FEWEST_DAYS:
            which = np.array([at])
            fit = best(series.values[held][:, which], series.known(held, which), forms(int(held.sum())))
            yield from _changes(series, held, which, fit)


def _surest(series: DayLevels, changes: Sequence[SeriesChange]) -> dict[int, SeriesChange]:
    """The surest change of each feature."""
    surest: dict[int, SeriesChange] = {}
    for change in sorted(changes, key=lambda change: change.chance):
        surest.setdefault(int(series.feature[change.series]), change)
    return surest


def _told(series: DayLevels, change: SeriesChange, names: Sequence[str]) -> Drifting:
    what = str(series.what[change.series])
    since = int(series.days.since[change.at])
    shift = series.shown(change.series, change.shift)
    return Drifting(names[series.feature[change.series]], since, shift, what, change.how)


# --- a reference longer than its windows -------------------------------------------------------------------------------


def _apart(windows: OwnWindows, series: DayLevels, everything: Ints, without: set[int]) -> dict[int, Drifting]:
    """What differs between the windows learnt from and a longer reference, whose shares are what is expected."""
    found, names = {}, windows.merged.layout.names
    late, chance = windows.cells.sum(axis=0, dtype=np.int64), CHANGED / len(names)
    for at, size in enumerate(windows.merged.sizes.tolist()):
        if at in without or not 0 < late[at].sum() < MOST_OF_IT * everything[at].sum():
            continue
        mine = series.feature == at
        mine &= series.what == ("mean" if windows.numeric(at) else "mix")
        shift = later_shift(
            everything[at, :size], late[at, :size], series.values[:, mine], numeric=windows.numeric(at), chance=chance
        )
        if shift is not None:
            found[at] = Drifting(names[at], int(windows.starts[0]), *shift)
    return found


def later_shift(
    everything: Ints, late: Ints, days: Floats, *, numeric: bool, chance: float
) -> tuple[float, str] | None:
    """Return by how much the windows learnt from differ from what was before, and what; None where hardly or by chance.

    `everything`, `late` int64[size]: counts of the whole reference and of those windows; `days` float64[n, s] levels of the
    latter. How much days differ says how far a mean of so many may be off: a t test, where as many rows are as many days.
    """
    pooled, count = seasons.shares(everything.astype(np.float64)), float(late.sum())
    before = 1 - count / float(everything.sum())
    scores = normal_scores(pooled[None], np.array([pooled.size]), 1)[0][:, :1] if numeric else np.eye(pooled.size)
    moved = (late / count - pooled) @ scores / before
    held = days[np.isfinite(days).all(axis=1)] if days.shape[1] else np.zeros((len(days), moved.size))
    if len(held) < FEWEST_DAYS:
        return None
    rows = pooled @ np.square(scores) - np.square(pooled @ scores)
    what = "mean" if numeric else "mix"
    least = np.where(np.abs(moved) >= SMALLEST_CHANGE[what], 0.0, 1.0)
    sure = mean_chance(moved, held, at_least=rows / count, more=1 / before) + least < chance / moved.size
    if not sure.any():
        return None
    return float(moved[np.argmax(np.where(sure, np.abs(moved), 0.0))]), what
