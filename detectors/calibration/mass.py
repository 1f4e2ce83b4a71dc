"""The rates of all features: missing values and the cells that are watched, each with its variation and its hours."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.calibration import seasons
from detectors.calibration.cells import MergedCells, mass
from detectors.calibration.feature import DAYS_FOR_DAY, DAYS_FOR_WEEK, FeatureCalibration
from detectors.calibration.groups import Together
from detectors.calibration.rates import HOUR_NS, MISSING, TINY, RateWindows, vary
from detectors.features import Floats, Ints


def rates_of_features(
    learnt: Sequence[FeatureCalibration],
    held: NDArray[np.uint32],
    rows: Floats,
    middles: Ints,
    cells: MergedCells,
    everything: Ints,
    groups: Together | None = None,
) -> tuple[FeatureCalibration, ...]:
    """Return calibrations with the variation of their rates, and hours in which what is rare has shares of its own.

    `held` uint32[k, f, width] counts of cells not folded, `everything` int64[size] those of the whole reference. `middles` are
    what the clock on the wall shows, for that is what hours are looked up by. `groups`: how many rows come together in them.
    """
    watched = cells.watched(everything)
    found = []
    for at, (feature, size) in enumerate(zip(learnt, cells.sizes.tolist(), strict=True)):
        mine = held[:, at, :size].astype(np.float64)
        places = watched.places[watched.features == at]
        found.append(_one(feature, mine, rows, middles, places, cells, at, groups))
    return tuple(found)


def _one(
    learnt: FeatureCalibration,
    mine: Floats,
    rows: Floats,
    middles: Ints,
    places: Ints,
    cells: MergedCells,
    at: int,
    groups: Together | None,
) -> FeatureCalibration:
    usable, features = mine.sum(axis=1), len(cells.layout.features)
    variation = vary(replace(_constant((rows - usable)[:, None], rows, middles, features), groups=groups))
    rates = {MISSING: variation[0]} if (rows > usable).any() else {}
    kept = usable > 0
    if places.size and kept.any():
        lone = cells.heads[at].sum() < 2  # noqa: PLR2004 - location, scale and shape have nothing to say of hours
        season = _season(mass(mine[kept], places), usable[kept], middles[kept]) if lone else learnt.season
        if season:
            learnt = replace(learnt, season=season, profile=_profile(mine[kept], middles[kept], season))
            if lone:
                learnt = replace(learnt, lack_of_fit=None)
        windows = _windows(learnt, mine[kept], usable[kept], middles[kept], places, features)
        windows = replace(windows, groups=None if groups is None else groups.where(kept))
        rates |= dict(zip(places.tolist(), vary(windows), strict=True))
    return replace(learnt, rates=rates)


def _constant(events: Floats, rows: Floats, middles: Ints, features: int) -> RateWindows:
    shares = events.sum(axis=0) / max(float(rows.sum()), 1.0)
    return RateWindows(events, _beside(rows, events), np.broadcast_to(shares, events.shape), middles, features)


def _beside(rows: Floats, events: Floats) -> Floats:
    return np.broadcast_to(rows[:, None], events.shape)


def _windows(
    learnt: FeatureCalibration, mine: Floats, usable: Floats, middles: Ints, places: Ints, features: int
) -> RateWindows:
    events = mass(mine, places)
    if learnt.profile is None:
        return _constant(events, usable, middles, features)
    expected = seasons.expected(learnt.profile.astype(np.float64), middles, learnt.season)[0]
    expected = mass(expected, places)
    fitted = max(1 - 1 / max(middles.size / learnt.season, 1.4), 0.25) ** 0.5  # as in feature.py
    return RateWindows(events, _beside(usable, events), expected, middles, features, fitted)


def _season(events: Floats, usable: Floats, middles: Ints) -> int:
    """The season that what is rare follows by itself: all of it together, for each alone says little."""
    span = float(middles[-1] - middles[0]) / HOUR_NS
    step = int(np.median(np.diff(middles))) if middles.size > 1 else 0
    if step > HOUR_NS or span < DAYS_FOR_DAY * seasons.DAY * 0.99:
        return 0
    total = events.sum(axis=1)
    share = total.sum() / usable.sum()
    residual = (total - share * usable) / np.sqrt(np.maximum(usable * share * (1 - share), TINY))
    week = span >= DAYS_FOR_WEEK * seasons.DAY * 0.99 and seasons.seasonal(residual, middles, seasons.WEEK)
    if week:
        return seasons.WEEK
    return seasons.DAY if seasons.seasonal(residual, middles, seasons.DAY) else 0


def _profile(mine: Floats, middles: Ints, season: int) -> seasons.HourCounts:
    """Counts an hour on all cells, as those of folded ones are."""
    counts = seasons.profile(mine, middles, seasons.DAY, seasons.shares(mine.sum(axis=0)))
    if season == seasons.WEEK:
        counts = seasons.profile(mine, middles, season, seasons.shares(counts))
    return counts.astype(np.float32)
