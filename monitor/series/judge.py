"""Judges one series: sealed panes feed the sequential detectors, closed windows are scored and put to the rules."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from detectors import DriftScore, Reference, ScoreColumns, Sketch, Tally, window_detectors
from detectors.charts import ChartPlan, Charts, Step, adwin_delta
from detectors.charts.reach import smallest_shift
from detectors.features import Ints, some
from detectors.univariate import adwin, volume
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Episode, RuleState, worst
from monitor.alerting.rules import AlertRule, Thresholds, lowest_threshold
from monitor.alerting.table import Asked, Part, ScoreTable
from monitor.explain.samples import Exemplars
from monitor.explain.words import explain
from monitor.series import drift
from monitor.stream.events import SECOND, Nanos
from monitor.stream.windows import ClosedWindow, SealedPane

SELF_LEARNT_VOLUME = 8  # windows after which a series' own mean stands in for a rate that the reference lacks

VOLUME = "volume"
OK, WARNING, DRIFT, INSUFFICIENT = 0, 1, 2, -1
NOT_ASKED = -2  # of a feature that no detector scored
STATE_OF_ALERT = {
    AlertState.INACTIVE: OK,
    AlertState.PENDING: WARNING,
    AlertState.RECOVERING: WARNING,
    AlertState.FIRING: DRIFT,
}


@dataclass(frozen=True, slots=True)
class FeatureChoice:
    """What the configuration says of one feature: which detectors (None: all), and thresholds of its own."""

    detectors: frozenset[str] | None = None
    thresholds: Mapping[str, Thresholds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judging:
    """What a series is judged by. `min_rows` counts usable values of a feature."""

    reference: Reference
    window_length: Nanos
    rules: tuple[AlertRule, ...] = ()
    min_rows: int = 1
    choices: Mapping[str, FeatureChoice] = field(default_factory=dict)
    plan: ChartPlan | None = None  # None: no budget, explicit rules alone
    model_budget: float | None = None  # false alarms a month of all versions; None: the plan is of the only one

    @property
    def calibration(self) -> str:
        """How the reference is calibrated: week, day, pooled, or cold."""
        found = self.reference.calibration
        return "cold" if found is None else found.kind

    @property
    def adwin_delta(self) -> float:
        """How sure ADWIN has to be of a change: with a budget, so that unchanged data is cut as often as it has pages."""
        if self.plan is None:
            return adwin.DELTA
        numbers, step = len(self.reference.grid.numeric), self.plan.step_ns or self.window_length
        return adwin_delta(self.model_budget or self.plan.per_month, numbers, step)  # another version changes nothing

    @property
    def all_rules(self) -> tuple[AlertRule, ...]:
        """The explicit rules, and the budget's own where there is a budget."""
        if self.plan is None:
            return self.rules
        if self.reference.calibration is None:
            return (*self.rules, drift.BY_EFFECT)
        return (*self.rules, drift.BY_CHARTS, drift.BY_SELF_CHECK)

    def wants(self, feature: str, detector: str) -> bool:
        """Whether a detector is asked for on a feature; the budget's own charts watch every feature that is not ignored."""
        choice = self.choices.get(feature)
        return detector == drift.NAME or choice is None or choice.detectors is None or detector in choice.detectors

    def rules_for(self, rule: AlertRule) -> dict[str, AlertRule]:
        """The rule as it applies to each feature it matches."""
        names = (volume.FEATURE,) if rule.detector == VOLUME else tuple(self.reference.grid.names)
        return {
            name: rule.adjusted(self.choices.get(name, FeatureChoice()).thresholds.get(rule.detector))
            for name in names
            if rule.applies_to(name) and self.wants(name, rule.detector)
        }


@dataclass(frozen=True, slots=True)
class RuleStep:
    """One rule's alert before and after a window."""

    rule: AlertRule
    before: Episode
    after: Episode


@dataclass(frozen=True, slots=True)
class Charted:
    """One step of the charts, and what became of the incident and of the self-check."""

    step: Step
    changes: tuple[RuleStep, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a closed window was found to be: scores with their thresholds, the state of each feature, the alerts."""

    tally: Tally
    scores: ScoreTable
    states: Mapping[str, int]
    steps: tuple[RuleStep, ...]


class Judge:
    """The detectors and rules of one series, with what they remember."""

    def __init__(self, judging: Judging) -> None:
        self.judging = judging
        self.adwin = adwin.AdwinBank(judging.reference, delta=judging.adwin_delta)
        self.rules = {rule.name: rule for rule in judging.all_rules}
        self.rule_states: dict[str, RuleState] = {
            rule.name: RuleState(judging.rules_for(rule)) for rule in judging.rules
        }
        self.exemplars = Exemplars(judging.reference.grid)
        self.charts: Charts | None = None
        self._uncharted: Sketch | None = None  # what came since the last step of the charts
        self.incident: drift.DriftState | None = None
        if judging.plan is not None:
            self._plan_drift(judging.plan)
        self._features = (*judging.reference.names, volume.FEATURE)
        self._asked: dict[str, tuple[tuple[str, ...], Asked]] = {}  # by detector, with the features it scores
        self._quiet: tuple[tuple[tuple[str, bytes], ...], Mapping[str, int]] = (), {}  # see `_without_alerts`

    def _plan_drift(self, plan: ChartPlan) -> None:
        reference, rule = self.judging.reference, self.rules[drift.NAME]
        self.incident = self.rule_states[drift.NAME] = drift.DriftState(self.judging.rules_for(rule))
        if reference.calibration is not None:
            self.rule_states[drift.SELF_CHECK] = self.self_check = drift.DriftState({})
            self.charts = Charts(reference, plan)
            weights = self.charts.plan.weights
            reach = smallest_shift(self.charts.plan, drift.DAY)
            self.reader = drift.ChartReader(reference.grid, weights, self.charts.plan.block_ns, reach)

    def see_pane(self, pane: SealedPane) -> list[Charted]:
        """Feed a sealed pane to the sequential detectors and the charts; panes are disjoint whatever the windows overlap."""
        self.adwin.update(pane.sketch)
        if self.charts is None or self.incident is None:
            return []
        steps = self.charts.update(pane.sketch.tally(), pane.start, pane.end)
        before = [step for step in steps if step.end <= pane.start]  # cut short by a gap
        found = [self._charted(self.incident, step) for step in before]
        for name, counts in self.incident.suspects.items():
            np.add(counts, pane.sketch.row(name), out=counts)
        self._uncharted = pane.sketch if self._uncharted is None else _sum(self._uncharted, pane.sketch)
        return found + [self._charted(self.incident, step) for step in steps[len(before) :]]

    def step_of(self, rule: str) -> Nanos:
        """How long the steps are by which a rule's alert advances."""
        by_panes = self.charts is not None and isinstance(self.rule_states[rule], drift.DriftState)
        return self.charts.plan.block_ns if self.charts is not None and by_panes else self.judging.window_length

    def _charted(self, incident: drift.DriftState, step: Step) -> Charted:
        self._suspect(incident.suspects, step)
        return Charted(step, self._follow(incident, step))

    def _suspect(self, kept: dict[str, Ints], step: Step) -> None:
        """Keep the counts of features that warn or fire, from the step on in which they began: words are made of them."""
        uneasy = np.flatnonzero(step.warning | step.firing.any(axis=1)).tolist()
        names = {self.judging.reference.names[at] for at in uneasy}
        for name in kept.keys() - names:
            del kept[name]
        if self._uncharted is not None:
            kept |= {name: self._uncharted.row(name).copy() for name in names - kept.keys()}
        self._uncharted = None

    def _follow(self, incident: drift.DriftState, step: Step) -> tuple[RuleStep, ...]:
        firing = self.reader.firing(step) if step.any_firing else {}
        found = self.reader.evidence(step) if firing else []
        found = self.reader.worded(found, incident.found, incident.suspects, self.exemplars)
        at = Span(step.start, step.end)
        doubts = [self.reader.self_check(step)] if step.suspect else []
        doubted = {drift.EVERY_FEATURE: self.self_check.doubted_since(at)} if step.suspect else {}
        return (
            RuleStep(self.rules[drift.NAME], *incident.follow(firing, found, at)),
            RuleStep(self.rules[drift.SELF_CHECK], *self.self_check.follow(doubted, doubts, at)),
        )

    def judge(self, window: ClosedWindow, usual_rows: float | None) -> Verdict:
        """Score a closed window and put the scores to the rules. `usual_rows`: the series' own mean, if known."""
        tally = window.sketch.tally()
        scores = self.as_ruled(self._score(tally, usual_rows))
        at = Span(window.start, window.end)
        parts = {part.columns.detector: part for part in scores.parts}
        steps = []
        for name, state in self.rule_states.items():
            if self.charts is not None and isinstance(state, drift.DriftState):
                continue  # its panes have spoken
            rule = self.rules[name]
            before, after = state.step(self._calling(rule, state, parts[rule.detector]), at)
            if state is self.incident:
                self._tell_effects(tally)
            steps.append(RuleStep(rule, before, after))
        return Verdict(tally, scores, self.states(scores), tuple(steps))

    def _score(self, window: Tally, usual_rows: float | None) -> list[ScoreColumns]:
        reference, min_rows = self.judging.reference, self.judging.min_rows
        found = [one.columns(reference, window, min_rows=min_rows) for one in window_detectors().values()]
        brought = window.usable[: len(reference.grid.numeric)]  # few values say little, as for the other detectors
        found.append(self.adwin.columns(min_rows=min_rows, brought=brought))
        found.append(volume.columns(window.rows, self.expected_rows(usual_rows)))
        if self.charts is not None:
            found.append(drift.chart_scores(self.charts, window.usable))
        elif self.incident is not None:
            psi = next(one for one in found if one.detector == "psi")
            found.append(drift.effect_scores(reference, window, psi, min_rows))
        return found

    def _tell_effects(self, window: Tally) -> None:
        """Put into words what a cold reference's effect sizes say."""
        assert self.incident is not None
        reference = self.judging.reference
        places = {name: at for at, name in enumerate(reference.names)}
        told = []
        for one in RuleState.evidence(self.incident):
            at = places[one.feature]
            row = window.counts[reference.grid.offsets[at] : reference.grid.offsets[at + 1]]
            feature, chart = reference.grid.features[at], drift.worst_chart(reference, window, at)
            words = explain(feature, feature.counts, row, chart, self.exemplars)
            told.append(replace(one, chart=chart, since=self.incident.alerts[one.feature].since, words=words))
        self.incident.found = tuple(told)

    @staticmethod
    def _calling(rule: AlertRule, state: RuleState, part: Part) -> dict[str, DriftScore]:
        """The scores that can change an alert: those that breach, and those of features not inactive."""
        names, places = part.columns.names, part.asked.places
        found = {names[at]: at for at in part.above(rule.name, rule.min_rows)}
        found |= {name: places[name] for name in state.alerts if name in places}
        return {name: part.one(at) for name, at in found.items()}

    def as_ruled(self, scores: Iterable[ScoreColumns]) -> ScoreTable:
        """The scores that are asked for, each with the threshold that applies."""
        return ScoreTable(tuple(Part(found, self._ask(found.detector, found.names)) for found in scores))

    def _ask(self, detector: str, names: tuple[str, ...]) -> Asked:
        """What is asked of a detector that scores these features; worked out when it first speaks."""
        known, asked = self._asked.get(detector, ((), None))
        if asked is None or (known is not names and known != names):
            asked = self._work_out(detector, names)
            self._asked[detector] = names, asked
        return asked

    def _work_out(self, detector: str, names: tuple[str, ...]) -> Asked:
        kept = [at for at, name in enumerate(names) if self.judging.wants(name, detector)]
        numbers = {name: at for at, name in enumerate(self._features)}
        states = {name: state for name, state in self.rule_states.items() if self.rules[name].detector == detector}
        applying = ([state.rules[name] for state in states.values() if name in state.rules] for name in names)
        return Asked(
            places={name: at for at, name in enumerate(names)},
            kept=None if len(kept) == len(names) else np.array(kept, dtype=np.int64),
            features=np.array([numbers[names[at]] for at in kept], dtype=np.int64),
            thresholds=tuple(lowest_threshold(rules) for rules in applying),
            limits={name: state.limits(names) for name, state in states.items()},
        )

    def expected_rows(self, usual_rows: float | None) -> float | None:
        """Rows a window should hold: the reference's own rate if it has one, else the series' usual count."""
        rate = self.judging.reference.rows_per_second
        return usual_rows if rate is None else rate * self.judging.window_length / SECOND

    def states(self, scores: ScoreTable) -> Mapping[str, int]:
        """The state of each feature scored: that of its worst alert, else whether there was enough to judge it by.

        A feature is judged by its values, or by all rows where nothing else is asked for.
        """
        said = self._without_alerts(scores)
        alerting = {name for rule in self.rule_states.values() for name in rule.alerts}
        warned = self._warned()
        if not alerting and not warned:
            return said
        worse = dict.fromkeys(warned, WARNING) | {name: self._alert_state(name) for name in alerting}
        return {**said, **{name: state or said[name] for name, state in worse.items() if name in said}}

    def _warned(self) -> list[str]:
        """Features of which a chart is past half its threshold."""
        if self.charts is None or not some(warning := self.charts.warning):
            return []
        return [self.judging.reference.names[at] for at in np.flatnonzero(warning).tolist()]

    def _without_alerts(self, scores: ScoreTable) -> Mapping[str, int]:
        """The states where nothing alerts. They follow from which scores are known, which is seldom another than last time."""
        known = tuple((part.columns.detector, part.known.tobytes()) for part in scores.parts)
        if self._quiet[0] != known:
            self._quiet = known, self._find_states(scores)
        return self._quiet[1]

    def _find_states(self, scores: ScoreTable) -> dict[str, int]:
        found = np.full((2, len(self._features)), NOT_ASKED)  # by rows, by values
        for part in scores.parts:
            side = found[0 if part.columns.detector in ROW_DETECTORS else 1]
            features = part.asked.features
            side[features] = np.maximum(side[features], np.where(part.known, OK, INSUFFICIENT))
        states = np.where(found[1] == NOT_ASKED, found[0], found[1]).tolist()
        return {name: state for name, state in zip(self._features, states, strict=True) if state != NOT_ASKED}

    def _alert_state(self, feature: str) -> int:
        states = [rule.state_of(feature) for rule in self.rule_states.values() if feature in rule.alerts]
        return STATE_OF_ALERT[worst(states)]


def _sum(one: Sketch, other: Sketch) -> Sketch:
    total = one.copy()
    total.add(other)
    return total


ROW_DETECTORS = frozenset({"missing", "unseen", VOLUME})  # judged on all rows, so they never lack data
