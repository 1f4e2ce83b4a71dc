"""The budget's own rule, `drift`: charts in, one incident a model out."""

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from detectors import DriftScore, Grid, Reference, ScoreColumns, Tally
from detectors.charts import CHARTS, Charts, Step
from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.episodes import OPEN, Episode, Evidence, RuleState
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE, AlertRule, Severity
from monitor.explain.samples import Exemplars
from monitor.explain.words import explain, explain_rows
from monitor.stream.events import SECOND, Nanos

NAME = BUDGET_RULE
VOLUME = "__volume__"
ROWS = ("rows-", "rows+")  # the charts of the rows themselves
DAY: Nanos = 86_400 * SECOND
BY_CHARTS = AlertRule(name=NAME, detector=NAME, fire_above=1.0, clear_below=1.0, severity=Severity.CRITICAL)
BY_EFFECT = AlertRule(
    name=NAME, detector=NAME, fire_above=1.0, clear_below=0.5, hold=3, keep_firing_for=3, severity=Severity.CRITICAL
)
SELF_CHECK = SELF_CHECK_RULE
BY_SELF_CHECK = AlertRule(
    name=SELF_CHECK, detector=SELF_CHECK, fire_above=1.0, clear_below=0.5, severity=Severity.WARNING
)
EVERY_FEATURE = "__calibration__"  # the feature of the self-check's alert
DEBIASED, UNLIKELY, JUMP = (
    0.25,
    1e-6,
    0.2,
)  # of a cold reference: PSI beyond chance, its p-value, points of missing or unseen
WORDED_ANEW = 8  # firing features, up to which their words follow every pane
MOST_WORDED = 50
FEWEST_ROWS, CERTAIN_JUMP = 30, 5.0  # of a window whose shares are looked at, and its standard errors beyond chance
SHARE_IN_SIGMA = 2.5  # twenty points of missing values weigh as much as half a sigma
IN_SIGMA = np.where(np.arange(len(CHARTS)) < CHARTS.index("missing"), 1.0, SHARE_IN_SIGMA)


@dataclass(slots=True)
class DriftState(RuleState):
    """The incident of one series. What fires, and since when, is the charts' to say; whether people are told is decided here.

    The same features that fire again within a day of the last page wait until that day is over: flapping is one page a day.
    """

    opened_at: Nanos | None = None  # when people were last told
    told: frozenset[str] = frozenset()  # of these features
    found: tuple[Evidence, ...] = ()
    suspects: dict[str, NDArray[np.int64]] = field(
        default_factory=dict
    )  # counts since a feature began to warn: for words

    def follow(self, firing: Mapping[str, Nanos], found: Sequence[Evidence], at: Span) -> tuple[Episode, Episode]:
        """Take one pane: features that fire with the ends of their first panes. The episode before and after is returned."""
        self.alerts = {name: Alert(AlertState.FIRING, since=since) for name, since in firing.items()}
        self.found = tuple(found)
        before, self.episode = self.episode, self.episode.follow(self._shown(at), at)
        self._remember(before, at)
        return before, self.episode

    def step(self, scores: Mapping[str, DriftScore], at: Span) -> tuple[Episode, Episode]:
        """Take one window of a cold reference, whose effect sizes go through the states of a rule."""
        before, after = super(DriftState, self).step(scores, at)  # the short form does not know the class with slots
        self._remember(before, at)
        return before, after

    def _shown(self, at: Span) -> list[Alert]:
        if not self._waits(self._firing, at):
            return list(self.alerts.values())
        held = {AlertState.FIRING: AlertState.PENDING, AlertState.RECOVERING: AlertState.PENDING}
        return [replace(alert, state=held.get(alert.state, alert.state)) for alert in self.alerts.values()]

    @property
    def _firing(self) -> AbstractSet[str]:
        return {name for name, alert in self.alerts.items() if alert.state in OPEN}

    def _remember(self, before: Episode, at: Span) -> None:
        if before.state not in OPEN and self.episode.state in OPEN:
            if self.opened_at is not None and at.end - self.opened_at >= DAY:
                self.told = frozenset()
            self.opened_at = at.end
        if self.episode.state in OPEN:
            self.told |= self._firing

    def doubted_since(self, at: Span) -> Nanos:
        """When what goes on now began: the end of its first pane."""
        return min((alert.since for alert in self.alerts.values() if alert.since is not None), default=at.end)

    def _waits(self, firing: AbstractSet[str], at: Span) -> bool:
        if self.opened_at is None or self.episode.state in OPEN:
            return False
        return at.end - self.opened_at < DAY and self.told >= firing

    def evidence(self) -> tuple[Evidence, ...]:
        """What fires, by evidence, effect and importance together."""
        return self.found


@dataclass(frozen=True, slots=True)
class ChartReader:
    """Turns steps of the charts into evidence with words."""

    grid: Grid
    importance: NDArray[np.float64]
    block: Nanos
    reach: NDArray[np.float64] = field(
        default_factory=lambda: np.empty(0)
    )  # see `decision.reach`, of each number, a day

    def _first(self, onset: Nanos) -> Nanos:
        """The end of the block in which a change began."""
        return onset // self.block * self.block + self.block

    def self_check(self, step: Step) -> Evidence:
        """What speaks against the calibration: more warnings than chance allows."""
        seen, due = step.of_late
        return Evidence(
            feature=EVERY_FEATURE,
            detector=SELF_CHECK,
            score=seen / max(due, 1e-9),
            threshold=1.0,
            pvalue=None,
            rows=step.rows,
            chart=SELF_CHECK,
            effect=seen - due,
            words=f"{seen:.0f} warnings of late where chance brings {due:.0f} at most: the reference does not fit this traffic, "
            "fit it anew",
        )

    def firing(self, step: Step) -> dict[str, Nanos]:
        """The features of which a chart fires, each with the end of the first pane of its change."""
        found = {}
        for at in np.flatnonzero(step.firing.any(axis=1)).tolist():
            found[self.grid.names[at]] = self._first(int(step.since[at][step.firing[at]].min()))
        if step.volume_firing.any():
            found[VOLUME] = self._first(int(step.volume_since[step.volume_firing].min()))
        return found

    def evidence(self, step: Step) -> list[Evidence]:
        """One a firing feature, the one to look at first in front; without words."""
        ranked = []
        for at in np.flatnonzero(step.firing.any(axis=1)).tolist():
            weights = np.where(step.firing[at], strengths(step)[at], 0.0)
            one = self._one(step, at, int(weights.argmax()))
            sizes = np.minimum(np.abs(step.effects[at]) * IN_SIGMA, 5.0)
            ranked.append((-float(self.importance[at]) * float((weights * sizes).max()), one.feature, one))
        return [one for _, _, one in sorted(ranked, key=lambda entry: entry[:2])] + self._rows(step)

    def worded(
        self,
        found: Sequence[Evidence],
        before: Sequence[Evidence],
        suspects: Mapping[str, NDArray[np.int64]],
        exemplars: Exemplars,
    ) -> list[Evidence]:
        """The evidence with words, which take a millisecond a feature: of those in front, and not anew where many fire."""
        known = {one.feature: one.words for one in before} if len(found) > WORDED_ANEW else {}
        places = {name: at for at, name in enumerate(self.grid.names)}
        told = []
        for number, one in enumerate(found):
            now, words = suspects.get(one.feature), one.words or known.get(one.feature, "")
            if not words and now is not None and number < MOST_WORDED:
                feature = self.grid.features[places[one.feature]]
                words = explain(feature, feature.counts, now, one.chart, exemplars)
            told.append(replace(one, words=words))
        return told

    def _one(self, step: Step, at: int, chart: int) -> Evidence:
        down = CHARTS[chart].endswith("-")
        return Evidence(
            feature=self.grid.names[at],
            detector=NAME,
            score=float(step.ratios[at, chart]),
            threshold=1.0,
            pvalue=tail(float(step.z[at, chart])),
            rows=step.rows,
            chart=CHARTS[chart],
            since=self._first(int(step.since[at][step.firing[at]].min())),
            effect=float(-step.effects[at, chart] if down else step.effects[at, chart]),
            resolution=self._resolution(at, CHARTS[chart]),
        )

    def _resolution(self, at: int, chart: str) -> float | None:
        """What the chart can tell apart at all, of a mean."""
        found = float(self.reach[at]) if chart.startswith("location") and at < self.reach.size else math.inf
        return found if math.isfinite(found) else None

    def _rows(self, step: Step) -> list[Evidence]:
        """The rows' own charts come last: they say little of the model."""
        usual = step.usual_rows
        if usual is None:
            return []
        return [
            Evidence(
                feature=VOLUME,
                detector=NAME,
                score=float(step.volume[at] / step.thresholds[0]),
                threshold=1.0,
                pvalue=None,
                rows=step.rows,
                chart=ROWS[at],
                since=self._first(int(step.volume_since[at])),
                effect=math.log2(max(step.rows, 1) / usual),
                words=explain_rows(usual, step.rows),
            )
            for at in np.flatnonzero(step.volume_firing).tolist()
        ]


def chart_scores(charts: Charts, usable: NDArray[np.int64]) -> ScoreColumns:
    """Where the charts stand, as scores: the highest sum of each feature over its threshold, so that 1 fires."""
    ratios = charts.ratios
    known = charts.judged | (ratios >= 1)  # rates speak also where hardly a value is left
    return ScoreColumns(NAME, charts.reference.names, known=known, rows=usable, values=ratios)


def strengths(step: Step) -> NDArray[np.float64]:
    """How strongly each chart speaks, float64[f, 7]: its sum over the threshold, and twice that where one pane was enough."""
    return np.asarray(np.where(step.certain, np.maximum(step.ratios, 2.0), step.ratios))


def tail(z: float) -> float:
    """Chance of a standard normal above z."""
    return math.erfc(z / math.sqrt(2)) / 2


def effect_scores(reference: Reference, window: Tally, psi: ScoreColumns, min_rows: int) -> ScoreColumns:
    """What stands in for charts where the reference is cold: the largest effect of a window over what is never usual.

    Debiased PSI over 0.25 where its p-value is below 1e-6, missing or unseen shares over 20 points more than in the
    reference. Above 1 breaches. A window of fewer rows than `min_rows` may show a jump, but no end of one.
    """
    assert psi.pvalues is not None
    apart = np.where(psi.known & (psi.pvalues < UNLIKELY), psi.details["debiased"] / DEBIASED, 0.0)
    rows = max(window.rows, 1)
    missing = window.missing / rows - reference.missing_shares
    unseen = window.unseen / rows - reference.unseen_shares
    usual = np.stack([reference.missing_shares, reference.unseen_shares])
    jumps = np.stack([missing, unseen])
    chance = CERTAIN_JUMP * np.sqrt((usual * (1 - usual) + 1 / rows) / rows)
    jumps = np.where((jumps > chance) & (window.rows >= FEWEST_ROWS), jumps, 0.0).max(axis=0) / JUMP
    known = psi.known | (jumps > 1) | (window.rows >= max(FEWEST_ROWS, min_rows))
    return ScoreColumns(NAME, psi.names, known=known, rows=window.all, values=np.maximum(apart, jumps))


def worst_chart(reference: Reference, window: Tally, at: int) -> str:
    """Which chart's words say best why a cold feature breaches."""
    rows = max(window.rows, 1)
    jumps = {
        "missing": float(window.missing[at] / rows - reference.missing_shares[at]),
        "unseen": float(window.unseen[at] / rows - reference.unseen_shares[at]),
    }
    name = max(jumps, key=jumps.__getitem__)
    return name if jumps[name] > JUMP else "shape"
