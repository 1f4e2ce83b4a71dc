"""One judge of a metric: an absolute threshold, a chart against the reference's labelled windows, or an e-detector against their loss."""

import math
import zlib
from dataclasses import dataclass, field, replace

import msgspec

from detectors.charts import LevelStep
from detectors.charts.bets import LEAST_LIMIT, MOST_LIMIT, BettingDesign, BettingEvidence
from detectors.charts.metric_bounds import BoundDesign, BoundEvidence, Lately, MetricBound, Pooled
from detectors.charts.metric_level import MetricLevel
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
    shared: float = 0.0  # of a difference: the standard error that all windows have together

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


@dataclass(frozen=True, slots=True)
class Wrong:
    """What a metric has been while it was wrong. `run`: until the last window that does not speak for its end; `whole`: with those since, which may be right again."""

    run: Pooled = field(default_factory=Pooled)
    whole: Pooled = field(default_factory=Pooled)

    def plus(self, metric: Measured, *, is_wrong: bool) -> "Wrong":
        """The same after one more window; of what has not begun nothing."""
        if not self.run.windows:
            return self
        whole = self.whole.plus(metric)
        return Wrong(whole if is_wrong else self.run, whole)


@dataclass(frozen=True, slots=True)
class Growth:
    """Whether a metric has become much worse than was told. `run`: the windows since it last did, as of `Wrong`; `at`: the end of the first of them."""

    evidence: BoundEvidence = field(default_factory=BoundEvidence)
    run: Pooled = field(default_factory=Pooled)
    at: Nanos | None = None
    whole: Pooled = field(default_factory=Pooled)

    def plus(self, line: MetricBound, metric: Measured, design: BoundDesign, at: Nanos, *, is_wrong: bool) -> "Growth":
        """The same after one more window; beyond the line it is much worse."""
        evidence = self.evidence.plus(line, metric)
        if evidence.score(design) > 1:
            return Growth(run=evidence.run, at=at, whole=evidence.run)
        wrong = Wrong(self.run, self.whole if self.whole.windows else self.run).plus(metric, is_wrong=is_wrong)
        return Growth(evidence, wrong.run, self.at, wrong.whole)


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
    level: MetricLevel = MetricLevel()  # before there were any `shift` alone said it
    growth: Growth = Growth()
    lately: Lately = Lately()
    wrong: Wrong = Wrong()


class JudgeTaken(msgspec.Struct, frozen=True, array_like=True):
    """A window that a judge has taken: what it was before, what it was given, and what it was after."""

    spec: MetricJudge
    before: SavedJudge
    metric: Measured
    loss: LossSum | None
    at: Span
    after: SavedJudge

    def packed(self) -> bytes:
        """It in MessagePack, which has numbers that are not finite, compressed."""
        return zlib.compress(msgspec.msgpack.encode(self))

    @classmethod
    def unpacked(cls, packed: bytes) -> "JudgeTaken":
        """It as it was. Raises ValueError for what is none."""
        try:
            return msgspec.msgpack.decode(zlib.decompress(packed), type=cls)
        except zlib.error as error:
            raise ValueError(str(error)) from None

    def again(self) -> SavedJudge:
        """What the judge is after it, taken anew."""
        judge = Judge(self.spec)
        judge.restore(self.before)
        judge.take(self.metric, self.loss, self.at)
        return judge.saved("")

    @property
    def score(self) -> float | None:
        """The evidence over what is asked for, after it; None where there is none at all."""
        judge = Judge(self.spec)
        judge.restore(self.after)
        return judge.score if math.isfinite(judge.score) else None


class Judge:
    """One judge at work."""

    def __init__(self, spec: MetricJudge) -> None:
        self.spec = spec
        self.level = MetricLevel()
        self.until: Nanos | None = None  # so long it is held to its level
        self.heard: Nanos | None = None  # end of the last window whose labels said something of it, or may come to
        self.step: LevelStep | None = None  # what became of its level with the last window
        self._chart = BoundDesign.of(spec.arl)
        self.taken: JudgeTaken | None = None  # the last window
        self._begin_anew()

    def _begin_anew(self) -> None:
        self.evidence: BoundEvidence | BettingEvidence = (
            BettingEvidence() if self.spec.source is JudgedBy.BETS else BoundEvidence()
        )
        self._lately = Lately()
        self._end()

    def _end(self) -> None:
        """Nothing is open any more."""
        self.alert, self.recovery = Alert(), MetricRecovery()
        self.since: Nanos | None = None  # end of the first window of the run
        self.told = 0.0  # how far beyond the bound it was, when that was told last
        self.growth, self.grown = Growth(), False
        self._wrong = Wrong()  # since it was told

    @property
    def bound(self) -> MetricBound:
        """What the metric is held against now."""
        return self.level.bound(self.spec.bound)

    @property
    def where(self) -> float:
        """Where the metric is when nothing has changed: at its level, if it has one."""
        return self.spec.where + self.level.shift

    @property
    def seen(self) -> Pooled:
        """What the metric has been since it began to be wrong, or since it became much worse; without what may be right again."""
        if self.growth.run.windows:
            return self.growth.run
        return self._wrong.run if self._wrong.run.windows else self.evidence.run

    @property
    def now(self) -> Pooled:
        """What the metric is by now: since it began to be wrong, or has last changed."""
        return self._lately.run if self._lately.run.windows else self.seen

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

    @property
    def is_off(self) -> bool:
        """Whether it is wrong, or may well be, by more than a threshold."""
        speaks = self.alert.state in OPEN or self.score > WARNING
        return self.spec.source is not JudgedBy.THRESHOLD and speaks and self.seen.windows > 0

    @property
    def leans(self) -> bool:
        """Whether anything speaks for it that it is wrong, by more than a threshold."""
        return self.spec.source is not JudgedBy.THRESHOLD and self.score > 0 and self.seen.windows > 0

    def hold(self, level: Pooled, until: Nanos | None) -> None:
        """Hold the metric to what it has been in these windows, for so long in event time."""
        self.level, self.until = MetricLevel.of(level, self.spec.where, self.spec.bound), until
        self._begin_anew()

    def falls_silent(self, at: Nanos, after: Nanos) -> bool:
        """End an alert of which labels have said nothing for so long: whether it is still wrong nobody knows. Whether it did is returned."""
        if self.heard is None:
            self.heard = at
        silent = self.alert.state is not AlertState.INACTIVE and at - self.heard >= after
        if silent:
            self._begin_anew()
        return silent

    def settles(self, at: Span, after: Nanos) -> bool:
        """Whether it has been wrong for so long, and not become much worse, that this is how it is."""
        absolute = self.spec.source is JudgedBy.THRESHOLD
        since = self.since if self.growth.at is None else self.growth.at
        return not absolute and self.alert.state is AlertState.FIRING and at.end - (since or at.end) >= after

    def take(self, metric: Measured, loss: LossSum | None, at: Span) -> None:
        """Take one more window."""
        before = self.saved("")
        self._take(metric, loss, at)
        self.taken = JudgeTaken(self.spec, before, metric, loss, at, self.saved(""))

    def _take(self, metric: Measured, loss: LossSum | None, at: Span) -> None:
        self._move(metric, at)
        self.heard = at.end
        open_before = self.alert.state in OPEN
        self._add(metric, loss, at.end)
        self._lately = self._lately.plus(self.spec.bound, metric, self._chart)
        if not open_before:
            self._begin(at)
        self.alert = self.alert.step(self.spec.rule, self._signal(metric), at)
        if self.alert.state not in OPEN:
            if open_before:
                self.evidence = self.evidence.forgotten()
                self._end()
        elif open_before:
            self._wrong = self._wrong.plus(metric, is_wrong=self.recovery.is_wrong)
            self._grow(metric, at)
        else:
            self._wrong = Wrong(self.evidence.run, self.evidence.run)
            self._tell(metric)

    def _begin(self, at: Span) -> None:
        """Since when it is wrong, as far as one can say by now. Once that was told it stands."""
        run = self.evidence.run
        if run.windows:
            begun = at.end if run.windows == 1 else self.since
            self.since = begun if run.since is None else run.since
        if self._lately.run.windows > run.windows:  # what was before says nothing of it
            self._lately = Lately(run)

    def _move(self, metric: Measured, at: Span) -> None:
        """Leave the level when its time is over, or for what is better, as long as nothing is wrong."""
        self.step, level = None, self.level
        if self.until is not None and at.end >= self.until:
            self.level, self.step = MetricLevel(), LevelStep.EXPIRED
        elif self.alert.state not in OPEN:
            self.level = level.plus(self.spec.bound, self.spec.where, metric, self._chart)
            self.step = LevelStep.RETURNED if level.shift and not self.level.shift else None
        if self.level.shift != level.shift:
            self._begin_anew()
        self.until = self.until if self.level.shift else None

    def _tell(self, metric: Measured) -> None:
        """Remember how far beyond the bound people hear that it is."""
        surely = self.bound.surely_beyond(metric.value, metric.interval)
        self.told = max(surely, abs(self.bound.beyond(self.seen.value)))

    def _grow(self, metric: Measured, at: Span) -> None:
        """Look whether it is much worse than what was told: twice as far from the bound, or by twice what is critical, or as bad as can be where that was slight."""
        is_wrong = self.recovery.is_wrong
        self.growth = self.growth.plus(self._line(), metric, self._chart, at.end, is_wrong=is_wrong)
        self.grown = self.growth.at == at.end
        if self.grown:
            self._tell(metric)

    def _line(self) -> MetricBound:
        """The bound beyond which it is much worse."""
        bound, further = self.bound, GROWN * self.told
        if self.spec.severity is None:  # of a threshold nobody knows what is notable
            further = min(further, self.told + GROWN * self.spec.notable)
        if self.spec.severity is None and by_size(self) is not Severity.CRITICAL:
            notable = self.spec.notable + bound.beyond(self.where)
            further = min(further, notable) if notable > 0 else further
        value = bound.value - further if bound.at_least else bound.value + further
        return replace(bound, value=value, own_error=True)

    def _add(self, metric: Measured, loss: LossSum | None, at: Nanos) -> None:
        if isinstance(self.evidence, BoundEvidence):
            self.evidence = self.evidence.plus(self.bound, metric, at)
        elif loss is not None:
            self.evidence = self.evidence.plus(self._bets, metric, loss, at)

    def _signal(self, metric: Measured) -> Signal:
        """Evidence opens an alert, and evidence ends it; between the two nothing is said."""
        if self.alert.state not in OPEN:
            if self.score <= 1:
                return Signal.CLEAR
            run = self.evidence.run
            self.recovery = MetricRecovery.of(self._deviate(run.usual_window), run.windows)
            return Signal.BREACH
        self.recovery = self.recovery.plus(self._deviate(metric))
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
        return SavedJudge(
            made_under,
            self.alert,
            self.since,
            self.told,
            bound,
            bets,
            self.level.shift,
            self.until,
            self.recovery,
            self.heard,
            self.level,
            self.growth,
            self._lately,
            self._wrong,
        )

    def restore(self, saved: SavedJudge) -> None:
        """Take it up again."""
        self.alert, self.since, self.told = saved.alert, saved.since, saved.told
        self.evidence = saved.bound or saved.bets or self.evidence
        self.level = replace(saved.level, shift=saved.shift)
        self.until, self.recovery, self.heard, self.growth = saved.until, saved.recovery, saved.heard, saved.growth
        self._lately, self._wrong = saved.lately, saved.wrong
        if self.alert.state in OPEN and not self._wrong.run.windows:  # as earlier versions saved it
            self._wrong = Wrong(self.evidence.run, self.evidence.run)


def since_of(judge: Judge) -> Nanos:
    """When it began: the end of the first window that speaks for it."""
    since = judge.since if judge.since is not None else judge.alert.since
    assert since is not None
    return since


def by_size(judge: Judge) -> Severity:
    """How bad it is that a metric is worse than in the reference, or than the level that it is held to; of bias its size says so."""
    spec, now, usual = judge.spec, judge.seen.value, judge.where
    now, usual = (abs(now), abs(usual)) if spec.metric == BIAS else (now, usual)
    worse = usual - now if spec.bound.at_least and spec.metric != BIAS else now - usual
    return Severity.CRITICAL if worse >= spec.notable else Severity.WARNING
