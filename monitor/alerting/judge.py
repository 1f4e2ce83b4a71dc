"""Judges one series: sealed panes feed the sequential detectors, closed windows are scored and put to the rules."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from detectors import DriftScore, Reference, Sketch, adwin, volume, window_detectors
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.episodes import Episode, RuleState, worst
from monitor.alerting.rules import AlertRule, Thresholds, lowest_threshold
from monitor.stream.events import SECOND, Nanos
from monitor.stream.windows import ClosedWindow, SealedPane

SELF_LEARNT_VOLUME = 8  # windows after which a series' own mean stands in for a rate that the reference lacks

VOLUME = "volume"
OK, WARNING, DRIFT, INSUFFICIENT = 0, 1, 2, -1
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

    def wants(self, feature: str, detector: str) -> bool:
        """Whether a detector is asked for on a feature."""
        choice = self.choices.get(feature)
        return choice is None or choice.detectors is None or detector in choice.detectors

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
class Verdict:
    """What a closed window was found to be: scores with their thresholds, the state of each feature, the alerts."""

    scores: tuple[DriftScore, ...]
    states: dict[str, int]
    steps: tuple[RuleStep, ...]


class Judge:
    """The detectors and rules of one series, with what they remember."""

    def __init__(self, judging: Judging) -> None:
        self.judging = judging
        self.adwin = adwin.AdwinBank(judging.reference)
        self.rules = {rule.name: rule for rule in judging.rules}
        self.rule_states = {rule.name: RuleState(judging.rules_for(rule)) for rule in judging.rules}
        self._thresholds = self._lowest_thresholds()

    def _lowest_thresholds(self) -> dict[tuple[str, str], float | None]:
        applying: dict[tuple[str, str], list[AlertRule]] = defaultdict(list)
        for state in self.rule_states.values():
            for feature, rule in state.rules.items():
                applying[feature, rule.detector].append(rule)
        return {place: lowest_threshold(rules) for place, rules in applying.items()}

    def see_pane(self, pane: SealedPane) -> None:
        """Feed a sealed pane to the sequential detectors; panes are disjoint whatever the windows overlap."""
        self.adwin.update(pane.sketch)

    def judge(self, window: ClosedWindow, usual_rows: float | None) -> Verdict:
        """Score a closed window and put the scores to the rules. `usual_rows`: the series' own mean, if known."""
        scores = self._scores(window.sketch, usual_rows)
        at = Span(window.start, window.end)
        by_detector: dict[str, dict[str, DriftScore]] = defaultdict(dict)
        for score in scores:
            by_detector[score.detector][score.feature] = score
        steps = []
        for name, state in self.rule_states.items():
            before, after = state.step(by_detector[self.rules[name].detector], at)
            steps.append(RuleStep(self.rules[name], before, after))
        return Verdict(scores, self.states(scores), tuple(steps))

    def _scores(self, sketch: Sketch, usual_rows: float | None) -> tuple[DriftScore, ...]:
        reference, min_rows = self.judging.reference, self.judging.min_rows
        found: list[DriftScore] = []
        for detector in window_detectors().values():
            found += detector.score(reference, sketch, min_rows=min_rows)
        found += self._adwin_scores(sketch)
        found.append(volume.score(sketch.rows, self.expected_rows(usual_rows)))
        return self.as_ruled(found)

    def _adwin_scores(self, sketch: Sketch) -> list[DriftScore]:
        """ADWIN's scores; none of a feature with too few values in the window, as for the other detectors."""
        scores = self.adwin.scores(min_rows=self.judging.min_rows)
        brought = sketch.usable.tolist()  # the numeric features stand first, as in ADWIN's scores
        return [
            score if rows >= max(self.judging.min_rows, 1) else DriftScore(score.feature, score.detector, None, rows)
            for score, rows in zip(scores, brought, strict=False)
        ]

    def as_ruled(self, scores: Iterable[DriftScore]) -> tuple[DriftScore, ...]:
        """The scores that are asked for, each with the threshold that applies."""
        return tuple(
            replace(score, threshold=self._thresholds.get((score.feature, score.detector)))
            for score in scores
            if self.judging.wants(score.feature, score.detector)
        )

    def expected_rows(self, usual_rows: float | None) -> float | None:
        """Rows a window should hold: the reference's own rate if it has one, else the series' usual count."""
        rate = self.judging.reference.rows_per_second
        return usual_rows if rate is None else rate * self.judging.window_length / SECOND

    def states(self, scores: Iterable[DriftScore]) -> dict[str, int]:
        """The state of each feature scored: that of its worst alert, else whether there was enough to judge it by."""
        by_feature: dict[str, list[DriftScore]] = defaultdict(list)
        for score in scores:
            by_feature[score.feature].append(score)
        return {
            feature: self._alert_state(feature) or (OK if sufficient(found) else INSUFFICIENT)
            for feature, found in by_feature.items()
        }

    def _alert_state(self, feature: str) -> int:
        states = [rule.alerts[feature].state for rule in self.rule_states.values() if feature in rule.alerts]
        return STATE_OF_ALERT[worst(states)]


def sufficient(scores: list[DriftScore]) -> bool:
    """Whether one feature could be judged: by its values, or by all rows where nothing else is asked for."""
    of_values = [score for score in scores if score.detector not in ROW_DETECTORS]
    return any(score.value is not None for score in of_values or scores)


ROW_DETECTORS = frozenset({"missing", "unseen", VOLUME})  # judged on all rows, so they never lack data
