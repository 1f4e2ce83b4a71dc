"""The budget by control charts: sealed panes in, an incident of each kind out, and a check of the calibration."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.charts import (
    CHARTS,
    KINDS,
    BudgetSpec,
    ChartPoint,
    Charts,
    ChartStanding,
    FiringFeature,
    FiringReader,
    IncidentKind,
    LevelChange,
    LevelStep,
    TrailingState,
    duplicates,
)
from detectors.charts.design import GAUSSIAN
from detectors.charts.matters import Matters, begun, matters
from detectors.charts.takeover import take_over
from detectors.encoding import PREDICTION
from detectors.features import Bools, Counts, Floats, some
from detectors.scores import LateColumns
from detectors.univariate import volume
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.budget import BY_CHARTS, BY_SELF_CHECK, EVERY_FEATURE
from monitor.alerting.episodes import Episode, Evidence, worst_of_each
from monitor.alerting.rules import BUDGET_RULE
from monitor.facts import (
    BaselineTrails,
    CalibrationStands,
    ChartsTakenOver,
    Fact,
    LevelChanged,
    RateImproved,
    StateReset,
    SubgroupCharted,
    WindowSpan,
)
from monitor.series.alerts import Teller
from monitor.series.evidence import evidence_of_charts, evidence_of_self_check, onsets
from monitor.series.incident import INCIDENT, IncidentAlert, incident_entry, restore_incidents
from monitor.series.operators import NOWHERE, Elsewhere, Operator
from monitor.series.records import Entry
from monitor.series.traces import SumStep
from monitor.stream.events import Nanos, SeriesKey
from monitor.stream.windows import SealedPane

NAME = "charts"
RATES = CHARTS.index("missing")  # the first of the charts of rates
MOST_WORDED = 50  # features of an incident, those in front, whose counts are kept for words
STAYING = frozenset({LevelStep.SETTLED, LevelStep.ACCEPTED, LevelStep.TAKEN})
Episodes = tuple[Episode, Episode]  # before and after


class ChartBudget(Operator[Sketch]):
    """The charts of one series with its incidents, one of each kind, and its self-check."""

    name = NAME
    kinds = (NAME, INCIDENT)
    reads, gives = frozenset[str](), BUDGET_RULE

    def __init__(
        self,
        key: SeriesKey,
        reference: Reference,
        plan: BudgetSpec,
        calibration: str,
        elsewhere: Elsewhere = NOWHERE,
    ) -> None:
        self.charts = Charts(reference, plan)
        self._key = key
        self._plan = plan
        self._reference = reference
        design = self.charts.design
        self._reader = FiringReader.of(design)
        told = reference.hash, design.subgroup_ns, calibration
        features = {*reference.names, volume.FEATURE, duplicates.FEATURE}
        self.incidents = {kind: IncidentAlert(Teller(key, BY_CHARTS, *told, kind), features) for kind in KINDS}
        self.check = IncidentAlert(Teller(key, BY_SELF_CHECK, *told, IncidentKind.SERVICE), {EVERY_FEATURE})
        self._alerts = (*self.incidents.values(), self.check)
        self._matters: Matters = {}
        self._elsewhere = elsewhere
        self._suspects: dict[str, NDArray[np.int64]] = {}  # counts since a feature began to warn: for words
        self._warns: tuple[ChartStanding, dict[str, AlertState]] | None = None  # see `standing`
        self._changed = True
        self.told_already: Callable[[], Collection[str]] = tuple  # features whose data another incident calls bad
        self._begun = False  # whether it has been told what features are compared with
        self._written: Entry | None = None  # the row of the incidents that the store holds

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane, which may end a subgroup, or two after a gap."""
        self._changed = True
        before = [(self.charts.values, self.charts.firing)] if self.charts.completes(pane.start, pane.end) else []
        points = self.charts.update(pane.sketch.tally(), pane.start, pane.end)
        if not points and not self._suspects:
            return []
        befores = [*before, *((point.values, point.firing) for point in points)]
        charted = list(zip(points, self.charts.completed, strict=True))
        cut_short = [each for each in charted if each[0].end <= pane.start]  # by a gap
        followed = [(point, self._follow(point, counts)) for point, counts in cut_short]
        for name, counts in self._suspects.items():
            np.add(counts, pane.sketch.row(name), out=counts)
        followed += [(point, self._follow(point, counts)) for point, counts in charted[len(cut_short) :]]
        return [fact for each, was in zip(followed, befores, strict=False) for fact in self._told(*each, was)]

    def settle(self) -> None:
        """Hold on to no pane."""
        self.charts.settle()

    def _follow(self, point: ChartPoint, counts: Counts | None) -> list[Episodes]:
        """Let each incident take one subgroup of these counts; the episodes before and after, in the order of the alerts."""
        self._suspect(point, counts)
        span = Span(point.start, point.end)
        found: dict[IncidentKind, list[FiringFeature]] = {kind: [] for kind in self.incidents}
        kept = matters(self._not_elsewhere(point), self._matters, point.end)
        self._matters = begun(kept, self._matters, point.end)
        quality, others = self.incidents[IncidentKind.DATA_QUALITY].state.alerts, self.told_already()
        for each in kept:
            if each.kind is not IncidentKind.DATA_QUALITY or each.feature in quality or each.feature not in others:
                found[each.kind].append(each)
        self._settled(point.changes)
        episodes = [
            self.incidents[kind].incident.follow(onsets(firing), self._counted(evidence_of_charts(firing, point)), span)
            for kind, firing in found.items()
        ]
        doubts = [evidence_of_self_check(point)] if point.suspect else []
        doubted = {EVERY_FEATURE: self.check.incident.since(span)} if point.suspect else {}
        return [*episodes, self.check.incident.follow(doubted, doubts, span)]

    def _not_elsewhere(self, point: ChartPoint) -> list[FiringFeature]:
        """What fires and is not told elsewhere, nor may yet be; the charts of what is told there are set back.

        What was told here before stays; but the subgroup before what is told there may be half of it.
        """
        alerts = [alert.state.alerts for alert in self.incidents.values()]
        told = {
            name
            for name, since in {**self._elsewhere.usual(point.start), **self._elsewhere.told(point.start)}.items()
            if all(name not in each or (each[name].since or since) >= since for each in alerts)
        }
        awaited = {name for name in self._elsewhere.awaited() if not any(name in each for each in alerts)}
        if told:
            self.charts.set_back([at for at, name in enumerate(self._reference.names) if name in told])
            self._suspects = {name: counts for name, counts in self._suspects.items() if name not in told}
        return [each for each in self._reader.read(point) if each.feature not in told | awaited]

    def quality_told(self) -> Collection[str]:
        """The features whose data its incident calls bad."""
        return self.incidents[IncidentKind.DATA_QUALITY].state.alerts

    def _settled(self, changes: Sequence[LevelChange]) -> None:
        """Let the incidents know which of their features stay at a new level."""
        names = [self._reference.names[each.place] for each in changes if each.step in STAYING]
        for alert in self.incidents.values() if names else ():
            alert.incident.settle(names)

    def _suspect(self, point: ChartPoint, charted: Counts | None) -> None:
        """Keep the counts of features that warn or fire, from the subgroup on in which they began."""
        uneasy = np.flatnonzero(point.warning | point.firing.any(axis=1)).tolist()
        names = {self._reference.names[place] for place in uneasy}
        grown = {
            self._reference.names[place] for place in {*point.grown, *point.turned}
        }  # which words are of from here on
        for name in self._suspects.keys() - (names - grown):
            del self._suspects[name]
        if charted is not None:
            layout = self._reference.layout
            new = names - self._suspects.keys()
            self._suspects |= {name: layout.row(charted, name).astype(np.int64) for name in new}

    def _counted(self, evidence: Sequence[Evidence]) -> list[Evidence]:
        """The evidence with the counts of the features in front."""
        kept = self._suspects
        return [
            replace(each, counts=kept[each.feature].tobytes())
            if number < MOST_WORDED and each.feature in kept
            else each
            for number, each in enumerate(evidence)
        ]

    def _told(self, point: ChartPoint, episodes: Sequence[Episodes], before: tuple[Floats, Bools]) -> list[Fact]:
        span = WindowSpan(point.start, point.end, point.rows)
        return [
            SubgroupCharted(self._key, point.start, point.end, point.rows, point),
            *self._improved(point),
            *map(self._changed_level, point.changes),
            *self._trails(point.trailing, point.end, begins=not self._begun),
            *(
                fact
                for alert, each in zip(self._alerts, episodes, strict=True)
                for fact in alert.told(each, span, partial(self._sums, alert, point, before))
            ),
        ]

    def _sums(self, alert: IncidentAlert, point: ChartPoint, before: tuple[Floats, Bools]) -> tuple[SumStep, ...]:
        """How the scores of the features in front came about."""
        places = {name: place for place, name in enumerate(self._reference.names)}
        shown = [
            each for each in alert.incident.evidence[:MOST_WORDED] if each.feature in places and each.chart in CHARTS
        ]
        return tuple(sum_step(each, places[each.feature], point, *before) for each in shown)

    def _trails(self, states: Sequence[TrailingState], at: Nanos, *, begins: bool = False) -> list[BaselineTrails]:
        """Where the features stand that are compared with their recent past."""
        self._begun = True
        names = self._reference.names
        return [
            BaselineTrails(
                self._key, at, names[each.place], each.wanted, each.days, each.shift, each.beyond, each.paused, begins
            )
            for each in states
        ]

    def _changed_level(self, change: LevelChange) -> LevelChanged:
        return LevelChanged(self._key, change.at, self._reference.names[change.place], change.step, change.until)

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Take these features as they are at event time `at` for how they should be, until then, or for good.

        Those that nothing warns or fires of are left out. What they were an incident of ends at once.
        """
        changes = self.charts.accept(features, until, at)
        if not changes:
            return []
        self._changed = True
        self._settled(changes)
        accepted = {self._reference.names[each.place] for each in changes}
        self._matters = {place: began for place, began in self._matters.items() if place[0] not in accepted}
        facts: list[Fact] = [*map(self._changed_level, changes)]
        for alert in self.incidents.values():
            facts += alert.told(alert.incident.without(accepted, Span(at, at)), WindowSpan(at, at, 0))
        return facts

    def _improved(self, point: ChartPoint) -> list[RateImproved]:
        """Rates that have become better than the reference's, said once."""
        if not some(point.improved):
            return []
        improved, usual = [], self.charts.design.usual_rates
        for place, which in zip(*np.nonzero(point.improved), strict=True):
            before = float(usual[place, which])
            now = float(point.effects[place, RATES + which] + usual[place, which])
            name = self._reference.names[place]
            improved.append(RateImproved(self._key, point.end, name, CHARTS[RATES + which], before, now))
        return improved

    def columns(self, window: Tally, scored: Sequence[ScoreColumns]) -> ScoreColumns:
        """Where the charts stand."""
        del scored
        return chart_scores(self.charts, window.usable)

    def standing(self) -> Mapping[str, AlertState]:
        """The features of the incident, and those of which a chart is past half its threshold."""
        states = [alert.state.shown for alert in self._alerts if alert.state.alerts]
        pending = self._pending()
        return worst_of_each((*states, pending)) if states else pending

    def _pending(self) -> dict[str, AlertState]:
        """Those past half their threshold, looked for once after each change of the charts."""
        standing = self.charts.standing
        if self._warns is None or self._warns[0] is not standing:
            names = self._reference.names
            found = {names[place]: AlertState.PENDING for place in np.flatnonzero(standing.warning).tolist()}
            self._warns = standing, found
        return self._warns[1]

    def current(self) -> list[Fact]:
        """Whether the calibration is suspect, and the alerts that are not inactive."""
        stands = CalibrationStands(self._key, self.charts.suspect)
        levels = map(self._changed_level, self.charts.levels.standing())
        trails = self._trails(self.charts.trailing.standing(), 0) if self._begun else []
        return [stands, *levels, *trails, *(fact for alert in self._alerts for fact in alert.current())]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The charts, if any pane came, and the incidents, if they changed."""
        charts = [Entry(NAME, self.charts.to_bytes())] if self._changed else []
        incidents, before = incident_entry(self._alerts, self._matters), self._written
        self._changed, self._written = False, incidents
        return charts if incidents == before else [*charts, incidents]

    def snapshot(self) -> list[Entry]:
        """A row of the charts, a row of all incidents."""
        return [Entry(NAME, self.charts.to_bytes()), incident_entry(self._alerts, self._matters)]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the charts, unless their reference has changed, and the incidents in any case."""
        self._matters = restore_incidents(entries, self._alerts, alike=alike)
        facts: list[Fact] = []
        for entry in entries if alike else ():
            if entry.kind == NAME:
                facts += self._restore(entry.held)
        return facts

    def take_over(self, charts: bytes, before: Reference, at: Nanos, *, of: SeriesKey) -> list[Fact]:
        """Go on where the charts of an earlier reference stood, of inputs that both know alike.

        What fires for another version is accepted first; of the same one, whose own reference has come, it goes on firing.
        """
        earlier = Charts(before, self._plan)
        try:
            earlier.restore(charts)
        except ValueError as error:
            return [StateReset(self._key, f"the charts of {of} are not taken over: {error}")]
        inputs = [name for name in self._reference.names if name != PREDICTION]
        kept = take_over(self.charts, earlier, inputs, at, accept=of != self._key)
        self._changed = True
        return [ChartsTakenOver(self._key, at, str(of), tuple(kept))]

    def _restore(self, charts: bytes) -> list[Fact]:
        try:
            self.charts.restore(charts)
        except ValueError as error:
            return [StateReset(self._key, f"charts start anew: {error}")]
        self._begun = True
        self._suspects = {
            each.feature: np.frombuffer(each.counts, "<i8").astype(np.int64)
            for alert in self.incidents.values()
            for each in alert.incident.evidence
            if each.counts and each.feature in self._reference.names
        }
        return []


def sum_step(evidence: Evidence, place: int, point: ChartPoint, before: Floats, fired: Bools) -> SumStep:
    """How the score of a chart came about, given all sums and what fired before."""
    chart = CHARTS.index(evidence.chart)
    after, increment = float(point.values[place, chart]), float(point.increments[place, chart])
    stands = chart >= GAUSSIAN or np.isnan(increment)
    newly = bool(point.certain[place, chart] and not fired[place, chart])
    return SumStep(
        feature=evidence.feature,
        chart=evidence.chart,
        before=after if chart >= GAUSSIAN else float(before[place, chart]),
        increment=None if stands else increment,
        threshold=float(point.thresholds[chart]),
        certain=newly and not stands,
        after=after,
        score=evidence.score,
    )


def chart_scores(charts: Charts, usable: NDArray[np.int64]) -> ScoreColumns:
    """Where the charts stand, as scores: the highest sum of each feature over its threshold, so that 1 fires."""
    standing = charts.standing
    return LateColumns(BUDGET_RULE, charts.reference.names, standing.known, usable, standing.ratios)
