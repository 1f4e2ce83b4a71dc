"""One judge of a metric: an absolute threshold, a chart against the reference's labelled windows, or an e-detector against their loss."""

import math
from dataclasses import dataclass, replace

import msgspec

from detectors.charts.bets import LEAST_LIMIT, MOST_LIMIT, BettingDesign, BettingEvidence
from detectors.charts.metric_bounds import BoundDesign, BoundEvidence, MetricBound
from detectors.charts.metric_recovery import MetricRecovery
from detectors.performance import Measured
from detectors.performance.bounded import LossSum
from monitor.alerting.alerts import Alert, AlertState, Span
from monitor.alerting.budget import BY_PERFORMANCE
from monitor.alerting.episodes import OPEN
from monitor.alerting.metrics import JudgedBy
from monitor.alerting.rules import AlertRule, Severity, Signal
from monitor.stream.events import Nanos

GROWN = 2.0  # times what was told
BIAS = "bias"  # wrong both ways: as bad as it is large
WARNING = 0.5  # of the evidence that is asked for


@dataclass(frozen=True, slots=True)
class MetricJudge:
    """A metric and what it is held against. `arl`: windows between false alarms; `severity` None: by how much worse it is.

    `usual`: the metric in the reference, `notable`: by how much it must be worse to be critical. Of an e-detector the bound is the metric at the loss that it bets against.
    """

    metric: str
    source: JudgedBy
    bound: MetricBound
    arl: float
    hold: int = 1
    keep_firing_for: int = 2
    severity: Severity | None = Severity.CRITICAL
    usual: float | None = None
    notable: float = 0.02

    @property
    def name(self) -> str:
        """What it is called among the saved ones."""
        return f"{self.metric}/{self.source.value}/{'at_least' if self.bound.at_least else 'at_most'}"

    @property
    def rule(self) -> AlertRule:
        """Its hysteresis."""
        return replace(BY_PERFORMANCE, hold=self.hold, keep_firing_for=self.keep_firing_for)

    @property
    def where(self) -> float:
        """Where the metric is when nothing has changed: in the reference, or on the threshold."""
        return self.bound.value if self.usual is None else self.usual


class SavedJudge(msgspec.Struct):
    """A judge as saved."""

    made_under: str
    alert: Alert
    since: Nanos | None
    told: float
    bound: BoundEvidence | None = None
    bets: BettingEvidence | None = None
    shift: float = 0.0
    until: Nanos | None = None
    recovery: MetricRecovery = MetricRecovery()
    heard: Nanos | None = None


class Judge:
    """One judge at work."""

    def __init__(self, spec: MetricJudge) -> None:
        self.spec = spec
        self.alert = Alert()
        self.since: Nanos | None = None  # end of the first window of the run
        self.told = 0.0  # how far beyond the bound it surely was, when that was told last
        self.grown = False
        self.shift = 0.0  # from the reference to the level that it is held to, where that was accepted or has settled
        self.until: Nanos | None = None  # so long
        self.recovery = MetricRecovery()
        self.heard: Nanos | None = None  # end of the last window whose labels said something of it, or may come to
        self._chart = BoundDesign.of(spec.arl)
        bets = spec.source is JudgedBy.BETS
        self.evidence: BoundEvidence | BettingEvidence = BettingEvidence() if bets else BoundEvidence()

    @property
    def bound(self) -> MetricBound:
        """What the metric is held against now."""
        return replace(self.spec.bound, value=self.spec.bound.value + self.shift)

    @property
    def _bets(self) -> BettingDesign:
        bound = self.bound
        limit = 1 - bound.value if bound.at_least else bound.value
        limit = min(max(limit, LEAST_LIMIT), MOST_LIMIT)
        return BettingDesign(limit, self.spec.arl, bound.spread, bound.usual_rows)

    @property
    def score(self) -> float:
        """The evidence over what is asked for."""
        if isinstance(self.evidence, BettingEvidence):
            return self.evidence.score(self._bets)
        return self.evidence.score(self._chart)

    def accept(self, until: Nanos | None) -> bool:
        """Take the metric as it has been since it began to be wrong for how it should be; a threshold never does."""
        run = self.evidence.run
        quiet = self.alert.state not in OPEN and self.score <= WARNING
        if self.spec.source is JudgedBy.THRESHOLD or quiet or not run.windows:
            return False
        self.shift, self.until = run.value - self.spec.where, until
        self._begin_anew()
        return True

    def _begin_anew(self) -> None:
        self.evidence = type(self.evidence)()
        self.alert, self.since, self.told, self.recovery = Alert(), None, 0.0, MetricRecovery()

    def falls_silent(self, at: Nanos, after: Nanos) -> bool:
        """End an alert of which labels have said nothing for so long: whether it is still wrong nobody knows. Whether it did is returned."""
        if self.heard is None:
            self.heard = at
        silent = self.alert.state is not AlertState.INACTIVE and at - self.heard >= after
        if silent:
            self._begin_anew()
        return silent

    def settles(self, at: Span, after: Nanos) -> bool:
        """Whether it has been wrong for so long that this is how it is."""
        absolute = self.spec.source is JudgedBy.THRESHOLD
        return not absolute and self.alert.state is AlertState.FIRING and at.end - since_of(self) >= after

    def take(self, metric: Measured, loss: LossSum | None, at: Span) -> None:
        """Take one more window."""
        if self.until is not None and at.end >= self.until:
            self.shift, self.until = 0.0, None
            self._begin_anew()
        self.heard = at.end
        open_before = self.alert.state in OPEN
        self._add(metric, loss)
        if self.evidence.run.windows == 1:
            self.since = at.end
        self.alert = self.alert.step(self.spec.rule, self._signal(metric), at)
        surely = self.bound.surely_beyond(metric.value, metric.interval)
        self.grown = open_before and surely >= GROWN * self.told > 0
        if self.alert.state in OPEN and (self.grown or not open_before):
            self.told = max(surely, abs(self.bound.beyond(self.evidence.run.value)))
        if open_before and self.alert.state is AlertState.INACTIVE:
            self.evidence, self.told, self.recovery = self.evidence.forgotten(), 0.0, MetricRecovery()

    def _add(self, metric: Measured, loss: LossSum | None) -> None:
        if isinstance(self.evidence, BoundEvidence):
            self.evidence = self.evidence.plus(self.bound, metric)
        elif loss is not None:
            self.evidence = self.evidence.plus(self._bets, metric, loss)

    def _signal(self, metric: Measured) -> Signal:
        """Evidence opens an alert, and evidence ends it; between the two nothing is said."""
        breaches = self.score > 1
        if self.alert.state in OPEN or breaches:
            self.recovery = self.recovery.plus(self._deviate(metric))
        if self.alert.state not in OPEN:
            return Signal.BREACH if breaches else Signal.CLEAR
        if self.recovery.is_wrong:
            return Signal.BREACH
        return Signal.CLEAR if self.recovery.is_over else Signal.DEADBAND

    def _deviate(self, metric: Measured) -> float:
        """How far a window lies beyond the bound; of one that has no error its side counts."""
        deviate = self.bound.deviate(metric)
        return math.copysign(1.0, self.bound.beyond(metric.value) or -1.0) if deviate is None else deviate

    # --- state --------------------------------------------------------------------------------------------------

    def saved(self, made_under: str) -> SavedJudge:
        """It as saved."""
        found = self.evidence
        bound = found if isinstance(found, BoundEvidence) else None
        bets = found if isinstance(found, BettingEvidence) else None
        standing = self.alert, self.since, self.told
        return SavedJudge(made_under, *standing, bound, bets, self.shift, self.until, self.recovery, self.heard)

    def restore(self, saved: SavedJudge) -> None:
        """Take it up again."""
        self.alert, self.since, self.told = saved.alert, saved.since, saved.told
        self.evidence = saved.bound or saved.bets or self.evidence
        self.shift, self.until, self.recovery = saved.shift, saved.until, saved.recovery
        self.heard = saved.heard


def since_of(judge: Judge) -> Nanos:
    """When it began: the end of the first window that speaks for it."""
    since = judge.since if judge.since is not None else judge.alert.since
    assert since is not None
    return since


def by_size(judge: Judge) -> Severity:
    """How bad it is that a metric is worse than in the reference, or than the level that it is held to; of bias its size says so."""
    spec, now = judge.spec, judge.evidence.run.value
    usual = spec.where + judge.shift
    now, usual = (abs(now), abs(usual)) if spec.metric == BIAS else (now, usual)
    worse = usual - now if spec.bound.at_least and spec.metric != BIAS else now - usual
    return Severity.CRITICAL if worse >= spec.notable else Severity.WARNING
