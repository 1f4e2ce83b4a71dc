"""What the charts of rates are held to: missing and unseen values, and the mass of atoms and of what is rare.

A rate is a count x of n rows. Each has a row in the arrays here::

    row   0 … f-1    f … 2f-1    2f …
    what  missing    unseen      watched cells, at most eight a feature, features rising

1. Usual. The reference's share; of categories never seen the share of those that it saw once (Good 1953). By the hour, where
   the feature follows hours.
2. Tolerated. No rate is known better than the reference counted it, nor do its levels stay (see calibration/rates.py): what is
   tolerated lies above what is usual by the bound of the reference's own count and by what slow variation may do, and below it.
3. Heard. A change is nobody's incident while it is less than the floor, half a point, and less than a doubling (a halving) or
   five points: Σ (x - n g), with g the usual rate and that change, summed up as charts are, has to show events enough.
   So what is proven soon is heard soon, and what is proven but little is not heard at all.

I. J. Good, The population frequencies of species and the estimation of population parameters, Biometrika 40 (1953).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.calibration.calibration import Calibration
from detectors.calibration.cells import WatchedCells
from detectors.calibration.components import normal_quantile
from detectors.calibration.feature import FeatureCalibration
from detectors.calibration.rates import (
    MISSING,
    RATIOS,
    UNSURE,
    RateVariation,
    discount,
    lower_share,
    unseen_events,
    upper_share,
)
from detectors.charts.floors import Floors
from detectors.features import Bools, Floats, Ints
from detectors.reference.reference import Reference

LIKE_MANY = 0.05  # points of change that are heard of, however often the value comes
TINY = 1e-9
MOST_OF_RATIO = 0.75  # of the threshold, that one subgroup may add: no far tail of a normal law can mislead likelihoods
UP, DOWN = np.log(RATIOS), -np.log(RATIOS)  # odds that the sums look for
MORE, LESS = np.array(RATIOS) - 1, 1 / np.array(RATIOS) - 1


@dataclass(slots=True, eq=False)
class Held:
    """What rates are held to, float64[w] each: the usual share, the most and the least that is tolerated, and what is heard."""

    usual: Floats
    most: Floats
    least: Floats
    above: Floats
    below: Floats


class Rates:
    """All rates of a series' charts with what each is held to; see the head of this file. `size` rows, of `features`."""

    def __init__(
        self,
        reference: Reference,
        calibration: Calibration,
        floors: Floors,
        own_floors: Mapping[str, float],
        alike: Floats,
    ) -> None:
        """`alike` float64[f]: the variance of location over that of independent rows."""
        layout, cells, counts = reference.layout, calibration.cells, reference.counts
        self.features = len(layout.names)
        watched = cells.watched(counts)
        self._watched = watched
        self.mass_features: Ints = watched.features
        self.owner: Ints = np.concatenate([np.tile(np.arange(self.features), 2), watched.features])
        self.size = self.owner.size
        last = (watched.places == cells.sizes[watched.features] - 1) | (watched.places < 0)
        self._with_unseen = last & (watched.features >= len(layout.numeric))  # their last cell counts what is new, too
        self.begins: Ints = np.flatnonzero(np.diff(watched.features, prepend=-1))  # of a feature's watched cells
        self.of_watched: Ints = watched.features[self.begins]
        self.several: Floats = np.log(np.diff(np.append(self.begins, watched.features.size)))  # columns in place of one
        self._vary(reference, calibration, watched, alike)
        self._floors(reference, floors, own_floors, watched)
        events, rows = self._counted(reference)
        merged = watched.of(cells.merge(counts))  # with what is new, as hours count it
        self._pooled: Floats = merged / np.maximum(rows[2 * self.features :], 1.0)
        ends = np.ones(self.size)
        ends[self.features : self.features + len(layout.numeric)] = 2.0  # both ends of a range were themselves drawn
        self._ends = ends
        self.known = (events / np.maximum(rows, 1.0))[: 2 * self.features]
        events[self.features : 2 * self.features] += unseen_events(
            [counts[first:lost] for first, lost in zip(layout.offsets.tolist(), layout.lost.tolist(), strict=False)],
            len(layout.numeric),
        )
        self.behind = rows
        self._kept = self._discounted(reference, events)
        self.held = self._hold(events, rows)
        follows = np.array([learnt.season > 0 for learnt in calibration.features])
        rarest: Ints = np.flatnonzero(follows & (np.arange(self.features) >= len(layout.numeric)))
        self._last: Ints = cells.sizes[rarest] - 1  # of categories: what is new follows the hours of what is rare
        mass: Ints = np.flatnonzero(follows[watched.features])
        self.hourly: Ints = np.concatenate([self.features + rarest, 2 * self.features + mass])  # rows that follow hours
        self._hourly_mass = mass
        self._pooled_last: Floats = cells.merge(counts)[rarest, self._last] / np.maximum(
            rows[self.features + rarest], 1.0
        )

    # --- what is learnt -------------------------------------------------------------------------------------------

    def _vary(self, reference: Reference, calibration: Calibration, watched: WatchedCells, alike: Floats) -> None:
        lost = [
            _missing(learnt, share)
            for learnt, share in zip(calibration.features, reference.missing_shares, strict=True)
        ]
        unseen = [
            RateVariation(dispersion=max(variance, 1.0), alike=learnt.alike[0])
            if at < len(reference.numeric)
            else _as_the_rarest(learnt, variance)
            for at, (learnt, variance) in enumerate(zip(calibration.features, alike.tolist(), strict=True))
        ]
        mass = [
            learnt.rates.get(place) or _older(learnt, variance=float(alike[at]))
            for at, place in zip(watched.features.tolist(), watched.places.tolist(), strict=True)
            for learnt in (calibration.features[at],)
        ]
        varying = [*lost, *unseen, *mass]
        self.dispersion = np.array([each.dispersion for each in varying])
        self.slow = np.array([each.slow for each in varying])
        self.rises = np.array([each.rises for each in varying])
        self.falls = np.array([each.falls for each in varying])
        self.highest = np.array([each.highest for each in varying])
        self.alike = np.array([each.alike for each in varying])

    def _floors(
        self, reference: Reference, floors: Floors, own_floors: Mapping[str, float], watched: WatchedCells
    ) -> None:
        numeric = np.arange(self.features) < len(reference.numeric)
        named = list(zip(reference.names, numeric.tolist(), strict=True))
        one = np.array([_rare_floor(name, floors, own_floors, numeric=number) for name, number in named])
        several = np.array([floors.mass if number else own_floors.get(name, floors.mass) for name, number in named])
        mass = np.where(watched.single, one[watched.features], np.maximum(several, one)[watched.features])
        self._floor = np.concatenate(
            [np.full(self.features, floors.missing), np.full(self.features, floors.unseen), mass]
        )
        self._proportion = np.concatenate(
            [np.ones(2 * self.features), watched.single]
        )  # one of several may have doubled

    def _counted(self, reference: Reference) -> tuple[Floats, Floats]:
        """Events and rows of the reference, float64[w] each."""
        assert reference.calibration is not None
        sketch = reference.sketch
        all_rows = np.full(self.features, float(reference.rows))
        events, rows = self.events(
            reference.calibration.cells.merge(reference.counts), sketch.missing, sketch.unseen, reference.rows
        )
        rows[: 2 * self.features] = np.concatenate([all_rows, np.maximum(sketch.usable, 1)])
        return events, rows

    def _discounted(self, reference: Reference, events: Floats) -> Floats:
        """The part of each rate that is left where it falls: categories that were counted by chance do not come again."""
        layout, which, counts = reference.layout, self._watched, reference.counts
        bounds = list(zip(layout.offsets.tolist(), layout.beyond.tolist(), strict=False))
        less = [
            0.0 if at < len(layout.numeric) else discount(counts[slice(*bounds[at])]) for at in range(self.features)
        ]
        kept = np.ones(self.size)
        mass = np.maximum(events[2 * self.features :], TINY)
        kept[2 * self.features :] = np.maximum(1 - np.array(less)[which.features] * which.values / mass, 0.0)
        return kept

    def _hold(self, events: Floats, rows: Floats) -> Held:
        """Return what follows from so many events in so many rows of a reference, float64[w] each."""
        usual, behind = events / np.maximum(rows, 1.0), rows / self.dispersion
        most = upper_share(events / self.dispersion, behind, self.features, self._ends) * (1 + self.slow)
        least = lower_share(events * self._kept / self.dispersion, behind, self.features) * np.maximum(
            1 - self.slow, 0.0
        )
        return self._heard(usual, np.clip(most, TINY, 1 - 1e-6), np.clip(least, 0.0, 1 - 1e-6))

    def _heard(self, usual: Floats, most: Floats, least: Floats, which: slice | Ints = slice(None)) -> Held:
        floor, proportion = self._floor[which], self._proportion[which] * (self._floor[which] > 0)
        doubled = np.minimum(usual * proportion, LIKE_MANY)
        halved, kept = np.minimum(usual * proportion / 2, LIKE_MANY), usual * self._kept[which]
        return Held(usual, most, least, usual + np.maximum(floor, doubled), kept - np.maximum(floor, halved))

    def settle(self, which: Bools, usual: Floats, shares: Floats, rows: Floats) -> None:
        """Hold the rates of some features, `which` bool[f], against other counts than the reference's from now on.

        `usual` float64[f, 2] shares of missing and unseen values, `shares` float64[f, w] of the cells (not folded) among
        the usable ones, `rows` float64[f] that all these were counted in.
        """
        chosen = which[self.owner]
        new = (usual[:, 1] / np.maximum(1 - usual[:, 0], TINY))[self.mass_features]  # is no mass, as in `events`
        mass = np.maximum(self._watched.of(shares) - np.where(self._with_unseen, new, 0.0), 0.0)
        level = np.concatenate([usual.T.ravel(), mass])
        behind = rows[self.owner]
        events = np.where(chosen, level * behind, self.held.usual * self.behind)
        settled, before = self._hold(events, np.where(chosen, behind, self.behind)), self.held
        self.held = Held(
            *(
                np.where(chosen, getattr(settled, part), getattr(before, part))
                for part in ("usual", "most", "least", "above", "below")
            )
        )

    # --- a subgroup ----------------------------------------------------------------------------------------------------

    def events(self, cells: Ints, missing: Ints, unseen: Ints, rows: int) -> tuple[Floats, Floats]:
        """Return events and rows of each rate, float64[w] each; `cells` int64[f, w] not folded."""
        mass = self._watched.of(cells) - np.where(self._with_unseen, unseen[self.mass_features], 0)
        usable = rows - missing[self.mass_features]
        events = np.concatenate([missing, unseen, mass]).astype(np.float64)
        return events, np.concatenate([np.full(2 * self.features, rows), usable]).astype(np.float64)

    def at(self, shares: Floats, resting: Floats) -> Held:
        """Return what all rates are held to at an hour of these `shares` float64[f, w], not folded, that rest on so many rows.

        The bound of an hour's own count is that of Wilson and Hilferty (1931).
        """
        if not self.hourly.size:
            return self.held
        rows, features = self.hourly, self.owner[self.hourly]
        mass = self._watched.of(shares)[self._hourly_mass] / np.maximum(self._pooled[self._hourly_mass], TINY)
        new = shares[features[: self._last.size], self._last] / np.maximum(self._pooled_last, TINY)
        times = np.concatenate([new, mass])
        usual = np.minimum(self.held.usual[rows] * times, 1.0)
        behind = resting[features] / self.dispersion[rows]
        seen, z = usual * behind, normal_quantile(UNSURE / (4 * self.features))
        more, fewer = seen + 1, np.maximum(seen * self._kept[rows], TINY)
        upper = more * (1 - 1 / (9 * more) + z / (3 * np.sqrt(more))) ** 3 / behind * (1 + self.slow[rows])
        lower = fewer * np.maximum(1 - 1 / (9 * fewer) - z / (3 * np.sqrt(fewer)), 0.0) ** 3 / behind
        mine = self._heard(
            usual,
            np.clip(upper, TINY, 1 - 1e-6),
            np.clip(lower * np.maximum(1 - self.slow[rows], 0.0), 0.0, 1 - 1e-6),
            rows,
        )
        now = Held(*(getattr(self.held, part).copy() for part in ("usual", "most", "least", "above", "below")))
        for part in ("usual", "most", "least", "above", "below"):
            getattr(now, part)[rows] = getattr(mine, part)
        return now


def _rare_floor(name: str, floors: Floors, own_floors: Mapping[str, float], *, numeric: bool) -> float:
    """The floor of a feature's rare values; one of its own in sigma raises it as many times as it raises that of the mean."""
    if name not in own_floors:
        return floors.rare
    return floors.rare * own_floors[name] / floors.shift if numeric and floors.shift else own_floors[name]


def _missing(learnt: FeatureCalibration, share: float) -> RateVariation:
    """How missing values vary; older files say it as an allowance of the share."""
    dispersion, allowance = learnt.missing
    return learnt.rates.get(MISSING) or RateVariation(dispersion, allowance / share if share else 0.0)


def _as_the_rarest(learnt: FeatureCalibration, variance: float) -> RateVariation:
    """How categories never seen vary: as those do that are hardly ever seen, for all that the reference can tell."""
    rarest = max(learnt.rates, default=MISSING)
    if rarest < 0:
        return RateVariation(dispersion=max(variance, 1.0), alike=learnt.alike[2])
    known = learnt.rates[rarest]
    return RateVariation(known.dispersion, known.slow, alike=known.alike)


def _older(learnt: FeatureCalibration, variance: float) -> RateVariation:
    """How a cell varies for all that an older file tells: as location does, or all categories together."""
    return RateVariation(
        dispersion=max(variance, learnt.shape[0], 1.0), slow=min(learnt.slow[0] + learnt.shape_slow**0.5, 1.0) * 3
    )
