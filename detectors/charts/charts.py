"""The charts of one series: evidence of one subgroup after another, summed up until it can no longer be chance.

Symbols. A subgroup is a run of whole panes, at least as long as the windows that were calibrated; n are its rows. Each
feature has a few merged cells; p are their shares in the subgroup, q those that are expected at this hour. A chart is one
direction of change of one feature; F false alarms a month are asked for, m charts share them, each has T points a month.

1. Evidence. u = √n Σ (p - q) s, with scores s of mean 0 and variance 1 under q, is standard normal when nothing has
   changed and rows are independent: normal scores for location (van der Waerden), their squares for scale (Klotz 1962). X²
   less these two tells of the shape. The calibration says by how much u varies more than that, and how skew it is. What is
   tolerated is taken off before u is called evidence: the floor below which nobody cares, slow variation, what an
   hourly profile misses, and the reference's own sampling error. What is left is a normal deviate z.
2. Sum (Page 1954). S = max(0, S + z - k). While nothing changes z - k falls on average, and S returns to 0; after a lasting
   shift of d standard errors it climbs by d - k a point. k = 1/2 finds a shift of one standard error soonest.
3. Threshold. S is a random walk with a reflecting barrier at 0. Siegmund (1985) corrects the diffusion that it resembles for
   the overshoot at both barriers, 1.166 in all: ARL = (e^(2kb) - 2kb - 1) / 2k² with b = h + 1.166. One chart in m may err
   F / m times a month, once in ARL = m T / F points; solved for h. See budget.py.
4. Rates. Missing and unseen values, and what few rows have, are rare counts that follow no normal law. Their increment is the
   log likelihood ratio of odds r times as high as tolerated, x log r - n log(1 + p (r - 1)), for r = 1.3, 3 and 10, and of the
   mass of a cell also for their inverses. Under no change e^S has mean 1 at most, so that h = log ARL errs at most once in
   ARL points (Lorden 1971). See rates.py and rate_charts.py.
5. No subgroup alone fires a chart by its sum: an increment is cut at six tenths of h. One may where the chance is below
   1e-12 and the change is large; see evidence.py.
6. Holidays. What comes on one is neither held against ordinary days nor learnt from: charts stand still but for missing values.
7. Recovery. A chart that fires has come back when the same test the other way round says so; see recovery.py.
8. Levels. What has changed and stays so becomes a second baseline, from which the charts go on; see levels.py.
9. Recent past. What wanders by nature is compared with its last days in place of the reference; see trailing.py.

References: E. S. Page, Continuous inspection schemes, Biometrika 41 (1954). D. Siegmund, Sequential Analysis (1985), ch. 10.
G. Lorden, Procedures for reacting to a change in distribution, Ann. Math. Statist. 42 (1971).
"""

import struct
import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors.calibration.cells import MergedCells
from detectors.calibration.components import TINY
from detectors.charts import step
from detectors.charts.days import NO_DAYS, DayCheck
from detectors.charts.design import CHARTS, DRIFTS, GAUSSIAN, BudgetSpec, ChartDesign, most
from detectors.charts.duplicates import DuplicateChart, DuplicatePoint
from detectors.charts.evidence import SubgroupCounts, SubgroupEvidence, rows_of, weigh
from detectors.charts.improvement import Improvements
from detectors.charts.levels import Fires, LevelChange, Levels, LevelStep
from detectors.charts.older import of_seven_charts
from detectors.charts.passing import Passing
from detectors.charts.point import ChartPoint
from detectors.charts.rate_charts import RateCharts, RatePoint
from detectors.charts.recovery import Recovery
from detectors.charts.rows import RowCharts
from detectors.charts.selfcheck import SelfCheck
from detectors.charts.trailing import Trailing
from detectors.charts.watch import WatchedSubgroup
from detectors.features import Bools, Counts, Floats, Ints, some
from detectors.layout import Layout
from detectors.reference.reference import Reference
from detectors.sketches import IdSample, Tally, sums
from detectors.sketches.groups import GroupSizes
from detectors.sketches.ids import merged
from detectors.sketches.sketch import unseen
from detectors.sketches.violations import Violations

ENOUGH = 20.0  # independent rows that a feature is judged on; fewer are carried over to the next subgroup
FILLED = 1.001  # times the threshold: past it
MANY_SAMPLES = 16  # of ids, which are then made one
MANY_PANES = 64  # that wait to be added up
QUIET = 12  # subgroups that a chart has to be quiet for, or a day where that is fewer
DAY_NS = 86_400 * 10**9
NEVER = np.iinfo(np.int64).min
NOTHING = Violations({})
LASTS = frozenset({LevelStep.SETTLED, LevelStep.ACCEPTED})
MAGIC = b"dCHT"
VERSION = 2
READABLE = frozenset({1, 2})  # 1 knew no levels
# States of earlier versions lack what begins so: it begins anew.
CAME_LATER = ("days_", "duplicates_", "rest_loud", "rest_calm", "passing_", "worth_")


class Sums:
    """Sums against thresholds: S = max(0, S + increment), no increment above six tenths of the threshold.

    Also by themselves, to see what other thresholds would have done with the same increments.
    """

    def __init__(self, limits: Floats, features: int) -> None:
        self.limits = limits
        self.most = most(limits)
        self.values = np.zeros((features, limits.size), order="F")

    def advance(self, increments: Floats) -> Bools:
        """Add one subgroup, float64[f, columns], NaN where a chart stands still; which are over their threshold."""
        moved = np.maximum(self.values + np.minimum(increments, self.most), 0.0)
        self.values = np.where(np.isnan(increments), self.values, moved)
        return np.asarray(self.values >= self.limits)


@dataclass(frozen=True, slots=True, eq=False)
class ChartStanding:
    """Which features have a sum past half its threshold, bool[f], and the highest sum of each over its threshold, float64[f].

    `known` bool[f]: whether that says anything.
    """

    warning: Bools
    known: Bools
    ratios: Floats


class Charts:
    """All charts of one series, advancing by disjoint subgroups.

    Raises BudgetError for a budget that cannot be held, ValueError for a reference without calibration.
    """

    def __init__(self, reference: Reference, spec: BudgetSpec) -> None:
        if reference.calibration is None:
            raise ValueError("the reference is not calibrated: fit it with timestamps")
        self.reference = reference
        self.design = ChartDesign(reference, reference.calibration, spec)
        features, width = self.design.cells.held.shape
        # By chart, then by feature in memory: numpy is slow along rows of five.
        self.sums = Sums(self.design.thresholds[:GAUSSIAN], features)
        self._firing: Bools = np.zeros((features, GAUSSIAN), dtype=np.bool_, order="F")
        self._fires: tuple[Bools, Bools, Bools, Bools] | None = None  # both kinds of charts, all, and features
        self._since = np.full((features, GAUSSIAN), NEVER, order="F")
        self.judged: Bools = np.zeros(features, dtype=np.bool_)  # which features the last subgroup had rows enough of
        self._risen = np.full((features, GAUSSIAN), NEVER, order="F")
        self._armed: Bools = np.ones((features, GAUSSIAN), dtype=np.bool_, order="F")
        self._open = np.zeros_like(self._firing)  # warnings that neither fired nor went
        quiet = int(np.clip(-(-DAY_NS // self.design.subgroup_ns), 3, QUIET))
        self._recovery = Recovery((features, GAUSSIAN), quiet, DRIFTS)
        self.rates = RateCharts(self.design.rates, float(self.design.thresholds[-1]), quiet)
        self._carried = np.zeros((2, features, width))  # counts and expectation of values not judged yet
        self._carried_since = np.full(features, NEVER)
        self._carried_error = np.zeros((features, 3))  # of the carried values' sums, squared, where rows come in groups
        self._subgroup: _Subgroup | None = None
        self.completed: list[Counts | None] = []  # counts of the subgroups that the last pane has completed
        self._standing: ChartStanding | None = None  # until the next change
        self.row_charts = RowCharts(self.design, quiet)
        self.duplicates = DuplicateChart(spec.per_month, self.design.subgroup_ns, quiet, spec.floors.duplicates)
        self.check = SelfCheck(self.design.thresholds, self.design.subgroup_ns)
        active, timezone = self.design.active[:, :GAUSSIAN], self.design.calendar.timezone
        self.days = DayCheck(
            active, self.design.thresholds[:GAUSSIAN], spec.per_month, self.design.subgroup_ns, timezone
        )
        self.improvements = Improvements(self.design)
        self.trailing = Trailing(self.design, spec.per_month)
        numbers = self.trailing.places[self.trailing.places < self.design.numeric]
        self._no_rates = features + numbers  # a number that wanders leaves its range by nature
        self.levels = Levels(self.design, spec.settle_ns)
        self.passing = Passing(self.design, spec.per_month, self.levels.lasting)

    # --- panes in, points out ----------------------------------------------------------------------------------

    def update(self, pane: Tally, start: int, end: int) -> list[ChartPoint]:
        """Take a sealed pane; the points of the subgroups that it completes are returned: none, one, or two after a gap."""
        points, number, self.completed = [], start // self.design.subgroup_ns, []
        if self._subgroup is not None and self._subgroup.number != number:
            points.append(self._complete())
        if self._subgroup is None:
            self._subgroup = self._begin(number, start)
        self._subgroup.add(pane, end, pane.groups if self.design.together else None)
        if end % self.design.subgroup_ns == 0:
            points.append(self._complete())
        return points

    def settle(self) -> None:
        """No more panes come for now: hold on to none of them."""
        if self._subgroup is not None:
            self._subgroup.add_up()

    def completes(self, start: int, end: int) -> bool:
        """Whether a pane [start, end) will complete a subgroup, its own or the one before."""
        subgroup, length = self._subgroup, self.design.subgroup_ns
        return end % length == 0 or (subgroup is not None and subgroup.number != start // length)

    def _begin(self, number: int, start: int) -> "_Subgroup":
        """Begin a subgroup. All of it counts as seen, panes without rows too, but what was before the very first pane."""
        length = self.design.subgroup_ns
        covered = length if self.row_charts.begun else (number + 1) * length - start
        return _Subgroup(self.reference.layout, number, start, covered)

    def _complete(self) -> ChartPoint:
        subgroup, self._subgroup = self._subgroup, None
        assert subgroup is not None
        self.completed.append(subgroup.counts)
        return self.judge(
            *subgroup.counted(self.design.cells),
            subgroup.rows,
            subgroup.start,
            subgroup.end,
            covered=subgroup.covered,
            ids=subgroup.ids,
            groups=subgroup.groups,
            beside=subgroup.beside,
        )

    def judge(
        self,
        cells: Ints,
        missing: Ints,
        unseen: Ints,
        rows: int,
        start: int,
        end: int,
        *,
        covered: int | None = None,
        ids: IdSample | None = None,
        groups: GroupSizes | None = None,
        beside: Violations = NOTHING,
    ) -> ChartPoint:
        """Judge what a subgroup counted: cells int64[f, w], missing and unseen int64[f]; `covered` of its time, if not all.

        `beside`: rows that came besides, and those that a sampled log left out.
        """
        design, self._standing = self.design, None
        duplicates, worth = self.duplicates.follow(ids, start)
        of_groups = None if not design.together else design.worth(np.nan if groups is None else groups.together(rows))
        holiday = design.calendar.cover(start, end)
        of_reference, behind, lack_of_fit = design.expected(start, end)
        hourly, behind = self.trailing.expected(of_reference, behind)
        level, resting = self.levels.expected(hourly, behind)
        judged = self.judged = (
            np.zeros_like(self.judged) if holiday else self._carry(cells, level, start, worth, of_groups)
        )
        evidence, began = self._weigh_carried(judged, resting, lack_of_fit, start)
        fired = self.features_firing
        self._advance(evidence, began)
        events, of_rows = design.rates.events(cells, missing, unseen, rows)
        if worth < 1:
            events, of_rows = events * worth, of_rows * worth
        if of_groups is not None:
            events, of_rows = events * of_groups[1], of_rows * of_groups[1]
        if holiday:  # other people come, or fewer; what they leave is filled in as ever
            events[judged.size :] = of_rows[judged.size :] = 0.0
        events[self._no_rates] = of_rows[self._no_rates] = 0.0
        rates = self.rates.follow(events, of_rows, design.rates.at(of_reference, resting), start)
        found, changes = _Found.of(design, evidence, rates), tuple[LevelChange, ...]()
        if not holiday:
            self._recover(evidence, end)
            lost = np.stack([missing, unseen]).T
            changes = self._settle(WatchedSubgroup(cells, hourly, lost, rows, start, end), found, fired)
            self.row_charts.follow(beside.volume(rows), start, end, covered, each=beside.each(rows))
            self._follow_day(evidence, start, [change.place for change in changes])
        improved = self.improvements.none if holiday else self.improvements.follow(missing, unseen, rows)
        seen = _Judged(start, end, rows, beside.volume(rows), improved, changes, duplicates, holiday=holiday)
        return self._point(seen, found, self._warnings(evidence, rates.firing))

    def expected(self, start: int, end: int) -> Floats:
        """Return the shares of cells that are usual in [start, end), float64[f, w]: of these hours, at the level that is settled or accepted."""
        of_reference, behind, _ = self.design.expected(start, end)
        return self.levels.expected(*self.trailing.expected(of_reference, behind))[0]

    def _point(self, seen: "_Judged", found: "_Found", warnings: tuple[int, float]) -> ChartPoint:
        """What is said after a subgroup."""
        values = self.values
        return ChartPoint(
            start=seen.start,
            end=seen.end,
            rows=seen.rows,
            volume=seen.volume,
            increments=found.increments,
            values=values,
            thresholds=self.design.thresholds,
            judged=self.judged,
            z=found.z,
            effects=found.effects,
            firing=self.firing,
            certain=found.certain,
            warning=self._warns(values),
            since=np.hstack([self._since, found.rates.since]),
            row_values=self.row_charts.values.copy(),
            row_firing=self.row_charts.firing.copy(),
            row_since=self.row_charts.since.copy(),
            usual_rows=self.row_charts.usual(seen.start, seen.end),
            warned=warnings[0],
            expected_warnings=warnings[1],
            suspect=self.suspect,
            improved=seen.improved,
            of_late=(float(self.check.counts[0]), float(self.check.counts[1])),
            days=self.days.seen if self.days.suspect else NO_DAYS,
            holiday=seen.holiday,
            changes=seen.changes,
            moving=self.levels.moving,
            creeping=self.levels.creeping,
            duplicates=seen.duplicates,
            grown=self.levels.grown,
            turned=self.levels.turned,
            sizes=self.levels.sizes,
            trailing=self.trailing.news(),
            widened=float(np.exp(self.passing.common[0])),
        )

    def _follow_day(self, evidence: SubgroupEvidence, start: int, levelled: Sequence[int]) -> None:
        """Put the day on trial; the evidence of what has another level since this subgroup was weighed against the one before."""
        firing, judged = np.append(self.features_firing, self.row_charts.firing.any()), self.judged.copy()
        judged[levelled] = False
        self.days.follow(evidence.z, judged, firing, start)

    def _carry(
        self, cells: Ints, hourly: Floats, start: int, worth: float, of_groups: tuple[Floats, Floats] | None
    ) -> Bools:
        """Add what was counted to what could not be judged alone; which features now have values enough, bool[f].

        Rows that came more than once are worth less than as many others, and rows of one group less than those of many.
        """
        shares, folded = self.design.cells.fold(hourly), self.design.cells.fold(cells.astype(np.float64))
        folded = folded * worth if worth < 1 else folded
        self._carried[0] += folded
        rows = rows_of(folded)
        self._carried[1] += rows[:, None] * shares
        self._carried_since = np.where(self._carried_since == NEVER, start, self._carried_since)
        if of_groups is None:
            return np.asarray(rows_of(self._carried[0]) >= ENOUGH * self.design.design_effect)
        self._carried_error += rows[:, None] / of_groups[0]
        return np.asarray(self._effective.min(axis=1) >= ENOUGH * self.design.design_effect)

    def _weigh_carried(
        self, judged: Bools, resting: Floats, lack_of_fit: Floats, start: int
    ) -> tuple[SubgroupEvidence, Ints]:
        """Weigh what is carried of the judged features, which begin anew; and since when it was carried, int64[f]."""
        effective = self._effective if self.design.together else None
        counted = SubgroupCounts(self._carried[0], self._carried[1], resting, lack_of_fit, effective)
        evidence, began = weigh(self.design, counted, judged), np.where(judged, self._carried_since, start)
        self._carried[:, judged] = self._carried_error[judged] = 0.0
        self._carried_since[judged] = NEVER
        return evidence, began

    @property
    def _effective(self) -> Floats:
        """How many rows what is carried is worth, float64[f, 3]: one of few groups spoils what it is pooled with."""
        return np.asarray(np.square(rows_of(self._carried[0]))[:, None] / np.maximum(self._carried_error, TINY))

    def _settle(self, seen: WatchedSubgroup, found: "_Found", fired: Bools) -> tuple[LevelChange, ...]:
        """Follow the levels of what warns or fires, given what fired before; what has another level begins anew."""
        firing = self.features_firing
        judged = np.empty_like(found.certain)
        judged[:, :GAUSSIAN], judged[:, GAUSSIAN:] = self.judged[:, None], seen.rows > 0
        since = np.hstack([self._since, found.rates.since])
        fires = Fires(self.firing, since, firing & ~fired, found.z, found.effects, judged)
        uneasy = self.warning | firing
        changes = self._taken(self.levels.follow(seen, uneasy, fires))
        self._begin_anew([change.place for change in changes])
        if self.trailing.follow(seen, uneasy, firing, self.levels.held):
            self.levels.rebase()
        return tuple(changes)

    def _taken(self, changes: Sequence[LevelChange]) -> list[LevelChange]:
        """The same changes; what has lasted of a feature that is compared with its recent past is its recent past from now on."""
        trails = self.design.trailing_days > 0
        back = [each.place for each in changes if trails[each.place] and each.step not in LASTS]
        lasts = [each.place for each in changes if trails[each.place] and each.step in LASTS and each.until is None]
        if back:
            self.trailing.drop(np.array(back))
        if not lasts:
            return [*changes]
        self.trailing.take(np.array(lasts))
        self.levels.release(lasts)
        self.levels.rebase()
        return [replace(each, step=LevelStep.TAKEN) if each.place in lasts else each for each in changes]

    def set_back(self, places: Sequence[int]) -> None:
        """Forget what the charts of these features have heard: what was counted says nothing of drift."""
        which = np.isin(self.levels.watch.places, places)
        self.levels.watch.forget(which)
        self._begin_anew(places)

    def _begin_anew(self, places: Sequence[int]) -> None:
        if not places:
            return
        self._standing = None
        which = np.zeros(self.judged.size, dtype=np.bool_)
        which[places] = True
        self._firing[places] = self._open[places] = False
        self._fires = None
        self.sums.values[places] = 0.0
        self._since[places] = self._risen[places] = NEVER
        self._carried[:, places] = self._carried_error[places] = 0.0
        self._carried_since[places] = NEVER
        self._recovery.forget(which)
        self.rates.forget(which)
        self.days.forget(places)

    def accept(self, features: Collection[str], until: int | None, at: int) -> list[LevelChange]:
        """Take what was seen of these features since they warned, of all where none is named, for how they should be.

        Until that event time, or for good. Those of which nothing warns or fires are left out.
        """
        names = self.reference.names
        places = [place for place, name in enumerate(names) if not features or name in features]
        changes = self._taken(self.levels.accept(places, until, at))
        self._begin_anew([change.place for change in changes])
        return changes

    def _advance(self, evidence: SubgroupEvidence, began: Ints) -> None:
        if not self._add(evidence, began):
            return
        over, up = np.asarray(self.sums.values >= self.sums.limits), np.asarray(self.sums.values > 0)
        newly = np.asarray((over | evidence.certain) & ~self._firing)
        enough = newly & evidence.certain & up  # one subgroup was enough: so it is for the sums
        self.sums.values = np.where(enough, np.maximum(self.sums.values, FILLED * self.sums.limits), self.sums.values)
        at_once = (evidence.certain & ~over) | ~up
        np.copyto(self._since, self._risen, where=newly)
        np.copyto(self._since, began[:, None], where=newly & at_once)
        self._firing = np.asarray(self._firing | newly)
        self._recovery.forget(newly)

    def _add(self, evidence: SubgroupEvidence, began: Ints) -> bool:
        """Add a subgroup to the sums, and note since when they are above 0; whether any chart newly fires."""
        sums = self.sums
        if step.USED:
            gained = evidence.increments.T, sums.values.T, sums.most, sums.limits
            newly = step.advance(*gained, evidence.certain.T, self._firing.T, began, self._risen.T)
            if newly is not None:
                return newly
        over = sums.advance(evidence.increments)
        up = np.asarray(sums.values > 0)
        np.copyto(self._risen, began[:, None], where=up & (self._risen == NEVER))
        np.copyto(self._risen, NEVER, where=~up)
        return some(np.asarray((over | evidence.certain) & ~self._firing))

    def _recover(self, evidence: SubgroupEvidence, end: int) -> None:
        recovered, sizes = self._recovered(evidence), self._recovery.sizes
        if self.passing.follow(recovered, self._since, sizes, end):
            self.design.widen(self.passing.widened)
        if some(recovered):
            self._firing = np.asarray(self._firing & ~recovered)
            self._since[recovered] = NEVER
            self.sums.values = np.where(recovered, 0.0, self.sums.values)
            self._risen[recovered] = NEVER

    def _recovered(self, evidence: SubgroupEvidence) -> Bools:
        """Which charts have come back, bool[f, 5]."""
        if not some(self._firing):
            return self._firing
        looked = np.repeat(self.judged[:, None], GAUSSIAN, axis=1)
        effects = evidence.effects.copy()
        effects[:, CHARTS.index("shape")] = 0.0  # without a change it is not 0
        return self._recovery.follow(self._firing, evidence.z, looked, effects)

    @property
    def firing(self) -> Bools:
        """Which charts fire, bool[f, 9]; not to be changed."""
        return self._all_firing[0]

    @property
    def features_firing(self) -> Bools:
        """Of which features a chart fires, bool[f]; not to be changed."""
        return self._all_firing[1]

    @property
    def _all_firing(self) -> tuple[Bools, Bools]:
        """Both of these, put together anew where something else fires than before."""
        if self._fires is None or self._fires[0] is not self._firing or self._fires[1] is not self.rates.firing:
            together = np.hstack([self._firing, self.rates.firing])
            self._fires = self._firing, self.rates.firing, together, np.asarray(together.any(axis=1))
        return self._fires[2:]

    @property
    def values(self) -> Floats:
        """Where the charts stand, float64[f, 9]."""
        return np.hstack([self.sums.values, self.rates.values])

    @property
    def warning(self) -> Bools:
        """Which features have a sum past half its threshold, bool[f]."""
        return self._warns(self.values)

    @property
    def standing(self) -> "ChartStanding":
        """How the features stand, worked out once after each change of the charts; not to be changed."""
        if self._standing is None:
            values = self.values
            ratios = self._ratios(values)
            known = self.judged | (ratios >= 1)  # rates speak also where hardly a value is left
            self._standing = ChartStanding(self._warns(values), known, ratios)
        return self._standing

    def _warns(self, values: Floats) -> Bools:
        return np.asarray((values >= self.design.thresholds / 2).any(axis=1))

    @property
    def suspect(self) -> bool:
        """Whether the charts warn, or days differ, by far more than the calibration allows."""
        return self.check.suspect or self.days.suspect

    @property
    def ratios(self) -> Floats:
        """Return the highest sum of each feature over its threshold, float64[f]."""
        return self._ratios(self.values)

    def _ratios(self, values: Floats) -> Floats:
        return np.asarray((values / self.design.thresholds).max(axis=1))

    def _warnings(self, evidence: SubgroupEvidence, rates: Bools) -> tuple[int, float]:
        """Count charts that have just passed half their threshold, of features where nothing fires, nor any of the `rates`.

        For the check of the calibration one counts when it is back at zero: what fires instead was no false one.
        """
        quiet = np.asarray(~(self._firing.any(axis=1) | rates.any(axis=1)))
        if step.USED:
            warned, charts = np.empty(GAUSSIAN + 2, dtype=np.int64), (self.sums.values.T, self.sums.limits, quiet)
            if step.warn(evidence.increments.T, *charts, self._armed.T, self._open.T, warned):
                return int(warned[-1]), self.check.follow(int(warned[-2]), warned[:-2])
        values, half = self.sums.values, self.sums.limits / 2
        above = np.greater_equal(values, half)
        passed = above & self._armed & quiet[:, None]
        self._open = (self._open | passed) & quiet[:, None]
        false = self._open & (values == 0)
        self._open &= ~false
        self._armed = np.asarray((self._armed & ~above) | (values == 0))
        judged = (~np.isnan(evidence.increments) & quiet[:, None]).sum(axis=0)
        due = self.check.follow(int(false.sum()), judged)
        return int(passed.sum()), due

    # --- state --------------------------------------------------------------------------------------------------

    def _arrays(self) -> dict[str, NDArray[Any]]:
        self._fires = self._standing = None  # whoever asks may write into them
        own = {
            "values": self.sums.values,
            "firing": self._firing,
            "judged": self.judged,
            "since": self._since,
            "risen": self._risen,
            "armed": self._armed,
            "open": self._open,
            "carried": self._carried,
            "carried_since": self._carried_since,
        }
        return (
            own
            | self._recovery.arrays("rest")
            | self._recovery.effects("rest")
            | self.rates.arrays()
            | self.row_charts.arrays()
            | self.improvements.arrays()
            | {"check": self.check.counts, "suspected": self.check.suspected}
            | self.days.arrays()
            | self.duplicates.arrays()
            | self.passing.arrays()
            | ({"worth_carried": self._carried_error} if self.design.together else {})
        )

    @property
    def fingerprint(self) -> str:
        """What the sums are made under; another budget only moves thresholds."""
        return f"{self.reference.hash}:{self.design.subgroup_ns}"

    def to_bytes(self) -> bytes:
        """Write all state, so that charts read from it go on bit for bit."""
        arrays = {name: array.tobytes() for name, array in self._arrays().items()}
        subgroup = None if self._subgroup is None else self._subgroup.packed(self.design.cells)
        packed = zlib.compress(
            msgspec.msgpack.encode([arrays, subgroup, self.levels.packed(), self.trailing.packed()]), 1
        )
        body = MAGIC + msgspec.msgpack.encode([VERSION, self.fingerprint, packed])
        return body + struct.pack("<I", zlib.crc32(body))

    def restore(self, data: bytes) -> None:
        """Read what `to_bytes` wrote. Raises ValueError for damaged bytes and for another reference or subgroup."""
        if data[:4] != MAGIC or zlib.crc32(data[:-4]) != struct.unpack("<I", data[-4:])[0]:
            raise ValueError("these bytes are no charts, or damaged ones")
        version, fingerprint, packed = msgspec.msgpack.decode(data[4:-4])
        if version not in READABLE:
            raise ValueError(f"the charts have format {version}, this version reads {VERSION}")
        if fingerprint != self.fingerprint:
            raise ValueError("the charts belong to another reference or subgroup length")
        arrays, subgroup, *levels = msgspec.msgpack.decode(zlib.decompress(packed))
        mine = self._arrays()
        arrays = of_seven_charts(arrays, mine)
        lacking = mine.keys() - arrays.keys()
        if arrays.keys() - mine.keys() or not all(name.startswith(CAME_LATER) for name in lacking):
            raise ValueError("the charts are of another make")
        if any(len(held) != mine[name].nbytes for name, held in arrays.items()):
            raise ValueError("the charts are of another make")
        layout, width = self.reference.layout, self.design.cells.width
        self._subgroup = None if subgroup is None else _Subgroup.unpacked(layout, subgroup, width)
        for name, held in arrays.items():
            mine[name][...] = np.frombuffer(held, dtype=mine[name].dtype).reshape(mine[name].shape)
        self.design.widen(self.passing.widened)
        second: tuple[Levels | Trailing, ...] = self.levels, self.trailing
        for saved, own in zip(levels, second, strict=False):  # older ones lack the last, or both
            own.restore(saved)
        self.levels.rebase()


@dataclass(frozen=True, slots=True, eq=False)
class _Found:
    """What a subgroup says of all charts, [f, 9] each, and of those of rates alone."""

    increments: Floats
    z: Floats
    effects: Floats
    certain: Bools
    rates: RatePoint

    @classmethod
    def of(cls, design: ChartDesign, evidence: SubgroupEvidence, rates: RatePoint) -> "_Found":
        """Put the first charts and those of rates together."""
        return cls(
            np.hstack([evidence.increments, np.where(design.active[:, GAUSSIAN:], rates.increments, np.nan)]),
            np.hstack([evidence.z, rates.z]),
            np.hstack([evidence.effects, rates.effects]),
            np.hstack([evidence.certain, rates.certain]),
            rates,
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Judged:
    """What a subgroup is, and what it has changed besides the charts."""

    start: int
    end: int
    rows: int
    volume: int
    improved: Bools
    changes: tuple[LevelChange, ...]
    duplicates: DuplicatePoint | None
    holiday: bool


class _Subgroup:
    """Panes of a subgroup that is not yet complete. What they count is added up; what follows from it is worked out at its end."""

    __slots__ = (
        "_alone",
        "_before",
        "_groups",
        "_ids",
        "_layout",
        "_sum",
        "_waiting",
        "beside",
        "covered",
        "end",
        "number",
        "rows",
        "start",
    )

    def __init__(self, layout: Layout, number: int, start: int, covered: int) -> None:
        self.number = number
        self.start = self.end = start
        self.rows = 0
        self.covered = covered  # nanoseconds
        self.beside = NOTHING  # rows that came besides
        self._layout = layout
        self._before: tuple[Ints, Ints, Ints] | None = None  # cells, missing and unseen values of a saved one
        self._alone: Tally | None = None  # the pane since, while there is one alone
        self._sum: Ints | None = None  # counts of the panes since, where there are several,
        self._waiting: list[Counts] = []  # but for those that are not added up yet
        self._ids: list[IdSample] = []
        self._groups: GroupSizes | None = None

    def add(self, pane: Tally, end: int, groups: GroupSizes | None) -> None:
        """Take a pane."""
        self.end = end
        self.rows += pane.rows
        if pane.beside is not None:
            self.beside = self.beside.plus(pane.beside.uncounted)
        if self._sum is None and self._alone is None:
            self._alone = pane
        else:
            if self._alone is not None:
                self._sum, self._alone = self._alone.kept.astype(np.int64), None
            self._waiting.append(pane.kept)
            if len(self._waiting) == MANY_PANES:
                self.add_up()
        if pane.ids is not None:
            self._ids.append(pane.ids.sample)
            if len(self._ids) == MANY_SAMPLES:
                self._ids = [merged(self._ids)]
        if groups is not None:
            self._groups = groups if self._groups is None else self._groups.plus(groups)

    def add_up(self) -> None:
        """Add the panes that wait for it: many at once take a fraction of the time of one after the other."""
        if self._waiting:
            assert self._sum is not None
            sums.add(self._sum, np.concatenate(self._waiting).reshape(len(self._waiting), -1))
            self._waiting.clear()

    @property
    def counts(self) -> Counts | None:
        """All counts of its panes, those before a restart left out; None where there are no others. Not to be changed."""
        self.add_up()
        return self._sum if self._alone is None else self._alone.kept

    @property
    def ids(self) -> IdSample | None:
        """Their ids, if any row has one."""
        self._ids = [merged(self._ids)] if self._ids else []
        return self._ids[0] if self._ids else None

    @property
    def groups(self) -> GroupSizes | None:
        """What their rows belong to, if that is told."""
        return self._groups

    def counted(self, cells: MergedCells) -> tuple[Ints, Ints, Ints]:
        """Return merged cells int64[f, w], missing and unseen values int64[f]."""
        counts = self.counts
        if counts is None:
            assert self._before is not None
            return self._before
        if self._alone is not None:
            lost, beyond = self._alone.missing, self._alone.unseen
        else:
            lost, beyond = sums.missing(self._layout, counts[None])[0], unseen(self._layout, counts)
        merged_cells = cells.merge(counts)
        if self._before is None:
            return merged_cells, lost, beyond
        return merged_cells + self._before[0], lost + self._before[1], beyond + self._before[2]

    def packed(self, cells: MergedCells) -> list[object]:
        arrays = (each.tobytes() for each in self.counted(cells))
        ids, groups = (b"" if part is None else part.to_bytes() for part in (self.ids, self.groups))
        excluded, unlogged, spread = self.beside.excluded, self.beside.unlogged, self.beside.spread
        more = [excluded, str(unlogged), str(spread)] if unlogged else [excluded] if excluded else []
        behind = [groups, *more] if more or groups else []
        return [self.number, self.start, self.end, self.rows, self.covered, *arrays, ids, *behind]

    @classmethod
    def unpacked(cls, layout: Layout, saved: list[Any], width: int) -> "_Subgroup":
        cells, missing, unseen = (np.frombuffer(part, dtype=np.int64) for part in saved[5:8])
        number, start, end, rows, covered = saved[:5]
        found = cls(layout, number, start, covered)
        found.end, found.rows, found._before = end, rows, (cells.reshape(-1, width), missing, unseen)
        ids = IdSample.from_bytes(saved[8]) if saved[8:] and saved[8] else None  # earlier versions had none
        found._ids = [] if ids is None else [ids]
        found._groups = GroupSizes.from_bytes(saved[9]) if saved[9:] and saved[9] else None
        found.beside = Violations({}, *map(int, saved[10:]))
        return found
