"""What the charts of one series are held to: shares, scores, allowances and thresholds, as arrays."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from detectors.calibration.calibration import Calibration
from detectors.calibration.components import TINY, chi2_quantile, normal_scores
from detectors.calibration.feature import FeatureCalibration, reference_error
from detectors.calibration.groups import worth
from detectors.calibration.holidays import Holidays
from detectors.calibration.rates import RATIOS
from detectors.calibration.slow import chance_of_a_draw
from detectors.calibration.unsteady import WANDERS
from detectors.charts.budget import (
    DRIFT,
    SHORTEST,
    Budget,
    BudgetError,
    gaussian_arl,
    gaussian_threshold,
    ratio_threshold,
)
from detectors.charts.compared import AUTO, Comparison
from detectors.charts.floors import Floors
from detectors.charts.rates import MOST_OF_RATIO, Rates
from detectors.features import Bools, Floats, Ints
from detectors.reference.reference import Reference

CHARTS = ("location+", "location-", "scale+", "scale-", "shape", "missing", "unseen", "mass+", "mass-")
GAUSSIAN = 5  # of them are sums of normal deviates, the rest of log likelihood ratios
CHARTS_OF_THREE = [0, 0, 1, 1, 2]  # location, scale and shape, of each of these
DRIFTS = np.array([DRIFT, DRIFT, DRIFT, DRIFT, 1.0])  # shape: small changes of place and spread have their own charts
COLUMNS = len(CHARTS)
MOST_OF_THRESHOLD = 0.6  # that one subgroup may add, so that none pages by itself
CLIP = 8.0  # standard errors, same reason
HALF_A_DAY_NS = 12 * 3600 * 10**9
LARGEST = 1.0  # sigma, score of the spread, X² a row: up to here bounds are widened
SETTLE_NS = 7 * 86_400 * 10**9
ROWS_FLOOR = float(np.log(2))  # half or twice the usual rows is nobody's incident either


@dataclass(frozen=True, slots=True)
class BudgetSpec:
    """What is asked of a series' charts: false alarms a month, floors, importance; `pane_ns` 0 is the calibration's window."""

    per_month: float = 1.0
    pane_ns: int = 0
    floors: Floors = field(default_factory=Floors)
    timezone: str | None = None  # of a cold reference; a calibration has its own
    holidays: tuple[int, ...] | None = None  # local days; None: those that the reference knows
    own_floors: Mapping[str, float] = field(default_factory=dict)  # by feature: sigma, or share of a category
    importance: Mapping[str, float] = field(default_factory=dict)
    settle_ns: int = SETTLE_NS  # how long a level has to last to become a baseline
    baseline: Comparison = AUTO
    own_baselines: Mapping[str, Comparison] = field(default_factory=dict)  # by feature

    def subgroup_ns(self, calibration: Calibration) -> int:
        """Return the length of a subgroup: whole panes, no shorter than what was calibrated."""
        pane = self.pane_ns or calibration.window_ns
        return -(-calibration.window_ns // pane) * pane

    def trailing_days(self, names: Sequence[str], calibration: Calibration) -> Ints:
        """Return how many days of its recent past each feature is compared with, int64[f]; 0 for the reference."""
        wandering = {each.feature for each in calibration.unsteady.wandering}
        chosen = (self.own_baselines.get(name, self.baseline).trailing(name, wandering) for name in names)
        return np.fromiter(chosen, dtype=np.int64, count=len(names))

    def calendar(self, calibration: Calibration | None) -> Holidays:
        """Return the days that are not held against ordinary ones."""
        if calibration is None:
            return Holidays(frozenset(self.holidays or ()), self.timezone)
        return (
            calibration.calendar
            if self.holidays is None
            else replace(calibration.calendar, days=frozenset(self.holidays))
        )


class ChartDesign:
    """Thresholds, scores and allowances as arrays, worked out once. `f` features, `w` cells of the widest."""

    def __init__(self, reference: Reference, calibration: Calibration, spec: BudgetSpec) -> None:
        self.reference = reference
        self.layout = reference.layout
        self.calibration = calibration
        self.cells = calibration.cells
        self.numeric = len(self.layout.numeric)
        self.subgroup_ns = spec.subgroup_ns(calibration)
        everything = np.maximum(self.cells.merge(reference.counts) - calibration.on_holidays, 0)
        counts = self.cells.fold(everything).astype(np.float64)
        self.calendar = spec.calendar(calibration)
        self.rows = np.maximum(counts.sum(axis=1), 1.0)  # behind the shares, float64[f]
        self.unfolded = self.cells.merge(reference.counts) / self.rows[:, None]  # not folded
        self.shares = counts / self.rows[:, None]
        self.scores = normal_scores(self.shares, self.cells.sizes, self.numeric)
        self.trailing_days = spec.trailing_days(self.layout.names, calibration)
        self._take_calibration(calibration, spec)
        self._take_floors(spec)
        self._take_rates(reference, spec)
        self._of_reference = self.scores, self.rows, self.mass_moved
        self.plain = self._of_reference  # the same of the recent past where that is compared with, whatever has settled
        self.weights = np.array([spec.importance.get(name, 1.0) for name in self.layout.names])
        rates = int(self.active[:, GAUSSIAN:].sum())
        self.budget = Budget(spec.per_month, int(self.active.sum()) + 2, self.subgroup_ns, rates)
        self.thresholds = thresholds(self.budget)

    def _take_calibration(self, calibration: Calibration, spec: BudgetSpec) -> None:
        features = calibration.features
        # By chart, then by feature in memory: numpy is slow along rows of two or five.
        self.sd = np.array([learnt.sd for learnt in features], order="F")
        usual = max(calibration.rows, 1.0)
        self.skew = np.array([learnt.skew for learnt in features], order="F") * np.sqrt(usual)  # of one row
        self.overdispersion = np.array([learnt.overdispersion for learnt in features], order="F")
        # Windows of the calibration in a subgroup, each with a level of its own.
        self._windows = self.subgroup_ns / calibration.window_ns
        self._known_bounds = _allowances(features, spec)
        self.widen(np.ones((len(features), 3)))
        self.shape = np.array([learnt.shape for learnt in features])
        self.shape_sd = np.array([learnt.shape_sd for learnt in features])
        self.scale_mean = np.array([learnt.scale_mean for learnt in features])
        self.shape_mean = np.array([learnt.shape_mean for learnt in features])
        self.shape_tail = np.array([learnt.shape_tail for learnt in features]).T
        self.reached = np.asfortranarray(np.array([learnt.reached for learnt in features])[:, CHARTS_OF_THREE])
        caps = np.array([learnt.caps for learnt in features])
        self.caps = np.asfortranarray(np.where(caps > 0, caps, np.inf)[:, CHARTS_OF_THREE])
        # Rows that say as much as one.
        self.design_effect = np.maximum(np.square(self.sd).max(axis=1), self.shape[:, 0])
        self.together = calibration.together
        self.alike = np.array([learnt.alike for learnt in features])
        self.hourly = np.array([at for at in range(self.numeric) if features[at].season], dtype=np.int64)
        self._no_lack_of_fit = np.zeros((len(features), 3), order="F")

    def _take_floors(self, spec: BudgetSpec) -> None:
        floors, names, names_of_numbers = spec.floors, self.layout.names, self.layout.names[: self.numeric]
        self.error = reference_error(len(names))
        shift = np.array([spec.own_floors.get(name, floors.shift) for name in names])
        scale = np.array([spec.own_floors.get(name, floors.scale) for name in names])
        # A score of scale moves by root two times the change.
        self.floor = np.stack([shift, scale * np.sqrt(2)]).T
        self.shape_floor = np.array([spec.own_floors.get(name, floors.shift) for name in names_of_numbers])
        self.mass_floor = np.array([spec.own_floors.get(name, floors.mass) for name in names[self.numeric :]])
        self.mass_moved = self.mass_of(np.arange(self.numeric, len(names)), self.shares[self.numeric :])
        said = (np.abs(self.scores).sum(axis=1) > 0).sum(axis=1)
        self.said = np.abs(self.scores).sum(axis=1) > 0  # bool[f, 2]
        self.dof = np.maximum((self.shares > 0).sum(axis=1) - 1.0 - said, 0.0)
        chance = 1 / max(len(names), 2)
        self.shape_error = chi2_quantile(chance, self.dof) / self.rows  # noncentrality a row, of the shares' own error

    def mass_of(self, places: Ints, shares: Floats) -> Floats:
        """Return what its floor may add to X² a row of each category at these shares, between the two rarest."""
        rarest = np.sort(np.where(self.cells.heads[places], np.maximum(shares, TINY), 1.0), axis=1)[:, :2]
        return np.asarray(np.square(self.mass_floor[places - self.numeric]) * (1 / rarest).sum(axis=1))

    def _take_rates(self, reference: Reference, spec: BudgetSpec) -> None:
        alike = np.square(self.deviation(np.full(len(self.layout.names), self.calibration.rows * self._windows)))
        self.rates = Rates(reference, self.calibration, spec.floors, spec.own_floors, alike[:, 0])
        self._reference_held = self._plain_held = self.rates.held
        self._plain_rates = self.rates.known.reshape(2, -1).T.copy()

    def worth(self, together: float) -> tuple[Floats, Floats]:
        """Return what rows are worth where so many come together: to location, scale and shape float64[f, 3], to rates float64[w]."""
        return worth(self.alike, together, self.together), worth(self.rates.alike, together, self.together)

    @property
    def usual_rates(self) -> Floats:
        """The usual shares of missing and unseen values, float64[f, 2]."""
        return self.rates.held.usual[: 2 * len(self.layout.names)].reshape(2, -1).T

    @property
    def plain_rates(self) -> Floats:
        """The same of the reference, or of the recent past, whatever has settled."""
        return self._plain_rates

    @property
    def dispersion(self) -> Floats:
        """The variance of these counts over binomial ones, float64[f, 2]."""
        return self.rates.dispersion[: 2 * len(self.layout.names)].reshape(2, -1).T

    def hold_recent(self, places: Ints, shares: Floats, rows: Floats, rates: tuple[Floats, Floats]) -> None:
        """Hold features to their recent past: [k, w] shares, not folded, of `rows` [k]; `rates` [k, 2] in so many rows [k]."""
        usual, behind = rates
        numbers, all_rows = int((places < self.numeric).sum()), np.ones(len(self.rows))
        self.scores, self.rows, self.mass_moved = (array.copy() for array in self._of_reference)
        all_rows[places], self.rows[places], self.unfolded[places] = behind, rows, shares
        there = self.cells.fold(self.unfolded)[places]
        self.scores[places] = normal_scores(there, self.cells.sizes[places], numbers)
        self.mass_moved[places[numbers:] - self.numeric] = self.mass_of(places[numbers:], there[numbers:])
        self.plain = self.scores, self.rows, self.mass_moved
        self._plain_rates[places] = usual
        self.rates.held, which = self._plain_held, np.zeros(len(self.rows), dtype=np.bool_)
        which[places] = True
        self.rates.settle(which, self._plain_rates, self.unfolded, all_rows)
        self._reference_held = self.rates.held

    def allow(self, places: Ints, bounds: Floats) -> None:
        """Let levels of these go so far, float64[k, 3]: sigma of location and scale, and X² a row."""
        self._known_bounds[places] = bounds
        self.widen(self._widened)

    def widen(self, times: Floats) -> None:
        """Let levels go so many times as far as is known, float64[f, 3]; of the shape X² is the square. Never beyond `LARGEST`."""
        self._widened, known = times, self._known_bounds
        self.bounds = np.maximum(known, np.minimum(known * times ** np.array([1, 1, 2]), LARGEST))
        self.slow = np.asfortranarray(self.bounds[:, :2])
        self.shape_slow = self.bounds[:, 2]
        self.moving = self.slow[: self.numeric, 0] > 0

    def settle_rates(self, which: Bools, usual: Floats, shares: Floats, rows: Floats) -> None:
        """Hold the rates of some features, bool[f], to others than the reference's, as `Rates.settle`; the rest to those."""
        self.rates.held = self._reference_held
        if which.any():
            self.rates.settle(which, usual, shares, rows)

    def reference_error(self, rows: Floats, resting: Floats) -> Floats:
        """Return what the reference's own sampling error is allowed to be, in standard errors of `rows`, of their shape.

        A deviate that is off by e for good brings false alarms e^(2he) times as often. With e normal of deviation s they are
        on average what they should be where hs² is taken off; no more than what s reaches in any feature need be.
        """
        s = np.sqrt(rows / resting)
        return np.minimum(self.error * s, float(self.thresholds[0]) * s * s)

    def deviation(self, rows: Floats) -> Floats:
        """Return what location and scale deviate by, float64[f, 2], at so many usable rows, in units of independent ones.

        `rows` float64[f], or [f, 1], or [f, 2] where they are not worth the same to both.
        """
        rows = rows.reshape(len(rows), -1)
        return np.asarray(self.sd * np.sqrt(1 + self.overdispersion * (rows / self._windows)))

    def allowed(self, error: Floats) -> Floats:
        """Return what location and scale may deviate by at this standard error float64[f, 2] of a subgroup: sigma, float64[f, 2].

        A level at its bound may just reach the threshold in half a day; the floor and it are not added up.
        """
        climb = error * (DRIFT + self.thresholds[0] / max(HALF_A_DAY_NS / self.subgroup_ns, 1.0))
        return np.asarray(np.hypot(self.floor, np.maximum(self.slow - climb, self.slow / 2)))

    @cached_property
    def active(self) -> Bools:
        """Which charts there are, bool[f, 9]: a constant has no location, two cells have no scale, few have rare values."""
        active = np.ones((len(self.dof), len(CHARTS)), dtype=np.bool_, order="F")
        active[:, :4] = np.repeat(self.said, 2, axis=1)
        active[:, 4] = self.dof >= 1
        active[:, CHARTS.index("mass+") :] = False
        active[self.rates.of_watched, CHARTS.index("mass+") :] = True
        trails = self.trailing_days[: self.numeric] > 0
        active[: self.numeric, CHARTS.index("unseen")] = ~trails  # it leaves its range by nature
        of_times = {each.feature for each in self.calibration.unsteady.wandering if each.how != WANDERS}
        single = trails & np.array([name in of_times for name in self.layout.names[: self.numeric]], np.bool_)
        active[: self.numeric, 2:GAUSSIAN] &= ~single[:, None]  # one value has neither spread nor shape
        return active

    def expected(self, start: int, end: int) -> tuple[Floats, Floats, Floats]:
        """Return the shares in [start, end), float64[f, w], not folded, the reference rows that they rest on, float64[f], and what they miss.

        The last float64[f, 3]: sigma of location and scale, and X² a row. Of more than an hour the hours' mean by their rows.
        """
        if not self.calibration.hours:
            return self.unfolded, self.rows, self._no_lack_of_fit
        shares, rows, lack_of_fit = self.unfolded.copy(), self.rows.copy(), self._no_lack_of_fit.copy()
        for each in self.calibration.hours:
            shares[each.which], rows[each.which], lack_of_fit[each.which] = each.expected(start, end)
        return shares, rows, lack_of_fit


def _allowances(features: Sequence[FeatureCalibration], spec: BudgetSpec) -> Floats:
    """Return what slow variation may do at this budget, float64[f, 3]: sigma of location and scale, X² a row."""
    moving = sum(level.variance > 0 for learnt in features for level in learnt.levels or ())
    return np.array(
        [
            learnt.allowed([chance_of_a_draw(spec.per_month, level.draws, 2 * moving) for level in learnt.levels or ()])
            for learnt in features
        ]
    ).reshape(-1, 3)


def thresholds(budget: Budget) -> Floats:
    """Return the threshold of each column, float64[columns]."""
    gaussian = [gaussian_threshold(budget.arl, drift) for drift in DRIFTS.tolist()]
    return np.array(gaussian + [ratio_threshold(budget.rates_arl * len(RATIOS))] * (COLUMNS - GAUSSIAN))


def rescaled(limits: Floats, times: float) -> Floats:
    """Return the thresholds of so many times the budget. Raises BudgetError where none can hold it."""
    arl = gaussian_arl(float(limits[0])) / times
    if arl < SHORTEST:
        raise BudgetError(f"{times:g} times the budget cannot be held; {arl * times / SHORTEST:.2g} times can")
    gaussian = [gaussian_threshold(arl, drift) for drift in DRIFTS.tolist()]
    return np.array(gaussian + [max(float(limits[-1]) - np.log(times), 1.0)] * (COLUMNS - GAUSSIAN))


def most(limits: Floats) -> Floats:
    """Return what one subgroup may add to each column: never enough to page."""
    gaussian = np.minimum(MOST_OF_THRESHOLD * limits[:GAUSSIAN], CLIP - DRIFTS)
    return np.concatenate([gaussian, MOST_OF_RATIO * limits[GAUSSIAN:]])
