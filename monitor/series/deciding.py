"""Whether a model has become worse: windows judged for the last time in, an incident of kind `performance` out.

Each metric has judges: an absolute threshold, a chart against the reference's labelled windows, an e-detector, and a chart of what labels say less what
was to be expected of the same predictions. Windows that overlap
one that was counted are passed over; windows of few labels are counted together until they hold enough.
"""

import math
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import msgspec

from detectors.charts import IncidentKind, LevelStep
from detectors.charts.metric_bounds import Pooled
from detectors.charts.metric_difference import as_measured, difference
from detectors.performance import Measured, Metric
from detectors.performance.bounded import loss_of
from monitor.alerting.alerts import AlertState, Span
from monitor.alerting.budget import BY_PERFORMANCE
from monitor.alerting.episodes import OPEN, Evidence, worst
from monitor.alerting.metrics import JudgedBy, MetricEvidence, metric_feature
from monitor.alerting.severity import worst_severity
from monitor.facts import AlertSeen, Fact, LevelChanged, PerformanceJudged, StateReset, WindowSpan
from monitor.series.alerts import Teller
from monitor.series.estimating import EstimateSpec
from monitor.series.incident import IncidentAlert, SavedIncident
from monitor.series.judged import measured
from monitor.series.metric_judge import Judge, MetricJudge, SavedJudge, by_size, since_of
from monitor.series.records import Entry
from monitor.series.traces import JudgeStep
from monitor.series.truth import MEDIAN, MONEY, QUANTILE_LOSS, R2_REFERENCE, Truth, used
from monitor.stream.events import DAY, Nanos, SeriesKey

DECISION = "decision"  # kind of the row
FEWEST = 50  # labelled rows of a window that is judged by itself
LONGEST = DAY * 90  # that few labels are counted together
SILENT = 3  # windows without a word at least, before an alert ends that nobody can judge any more
LASTING = 3  # windows at least that a metric stays worse, before this is how it is; the fewer they are, the wider its level (`MetricLevel.slack`)


@dataclass(frozen=True, slots=True)
class DecisionSpec:
    """Who judges the metrics of a series. `span`: of the reference's windows: whoever holds against them takes none that are shorter."""

    judges: tuple[MetricJudge, ...]
    reference: str  # its hash
    span: Nanos = 0
    settle_ns: Nanos = DAY * 7  # after which a metric that stays worse than the reference's is how it is
    expected: EstimateSpec | None = None  # what tells by predictions alone what labelled rows are worth


@dataclass(frozen=True, slots=True)
class Judged:
    """A window, or a few of them, as the judges see it."""

    span: Span
    counts: Any
    predictions: int
    labelled: int

    def plus(self, later: "Judged") -> "Judged":
        """Both together."""
        self.counts.add(later.counts)
        span = Span(self.span.start, later.span.end)
        return Judged(span, self.counts, self.predictions + later.predictions, self.labelled + later.labelled)

    def saved(self) -> tuple[Span, bytes, int, int]:
        """It as saved."""
        return self.span, self.counts.to_bytes(), self.predictions, self.labelled

    @classmethod
    def restored(cls, saved: tuple[Span, bytes, int, int], truth: Truth) -> "Judged":
        """It as it was."""
        span, counts, predictions, labelled = saved
        empty = truth.empty()
        return cls(span, type(empty).from_bytes(empty.task, counts), predictions, labelled)

    @property
    def coverage(self) -> float:
        """Share of the predictions with a label."""
        return self.labelled / self.predictions


class SavedDecision(msgspec.Struct):
    """All of it as saved."""

    counted_until: Nanos | None
    judges: dict[str, SavedJudge]
    incident: SavedIncident
    reference: str
    window: WindowSpan | None = None
    held: list[
        tuple[Span, bytes, int, int] | None
    ] = []  # by bench: windows too short or of too few labels, counted together


@dataclass(slots=True)
class Bench:
    """Judges who see the same windows: none shorter than `span`, nor of fewer labels than are enough."""

    judges: list[Judge]
    truth: Truth
    span: Nanos = 0
    expected: EstimateSpec | None = None
    held: Judged | None = None  # what is counted together so far

    def take(self, window: Judged) -> Judged | None:
        """Take one more window; what is judged now is returned, if anything."""
        if self.held is None and not window.labelled:
            return None
        labelled = window.labelled
        if self.held is not None and window.span.end - self.held.span.start <= max(LONGEST, self.span):
            window = self.held.plus(window)
        short = window.span.end - window.span.start < self.span
        self.held = window if short or window.labelled < FEWEST else None
        if self.held is not None:
            self._gather(window.span.end if labelled else None)
            return None
        metrics = measured(self.truth, window.counts)
        for judge in self.judges:
            metric = metrics[judge.spec.metric]
            if judge.spec.source is JudgedBy.DIFFERENCE:
                continue
            if isinstance(metric, Measured):
                judge.take(metric, loss_of(window.counts, judge.spec.metric), window.span)
        self._compare(metrics, window)
        return window

    def _compare(self, metrics: Mapping[str, Metric], window: Judged) -> None:
        """Let charts of the difference take what labels say of a window less what is expected of its predictions."""
        judges = [each for each in self.judges if each.spec.source is JudgedBy.DIFFERENCE]
        if not judges or self.expected is None:
            return
        expected = self.expected.estimator.estimate(window.counts)
        for judge in judges:
            apart = difference(metrics[judge.spec.metric], expected, judge.spec.metric)
            if apart is not None:
                judge.take(as_measured(apart, judge.spec.shared), None, window.span)

    def _gather(self, at: Nanos | None) -> None:
        """Labels came, too few yet to say anything."""
        for judge in self.judges:
            judge.heard = judge.heard if at is None else at


class PerformanceDecision:
    """The judges of one series and its incident."""

    def __init__(self, key: SeriesKey, spec: DecisionSpec, truth: Truth, interval: Nanos) -> None:
        self.spec = spec
        self._truth = truth
        self.judges = [Judge(each) for each in spec.judges]
        self.alert = IncidentAlert(teller_of(key, spec.reference, interval), ())
        self._key, self._interval = key, interval
        self._counted_until: Nanos | None = None
        absolute = [each for each in self.judges if each.spec.source is JudgedBy.THRESHOLD]
        relative = [each for each in self.judges if each.spec.source is not JudgedBy.THRESHOLD]
        benches = Bench(absolute, truth), Bench(relative, truth, spec.span, spec.expected)
        self._benches = [each for each in benches if each.judges]
        self._window: WindowSpan | None = None
        self.changed = True  # since it was last written

    def take(self, judged: PerformanceJudged, counts: Any) -> list[Fact]:
        """Take a window that was judged, and its counts, which are ours from now on."""
        overlaps = self._counted_until is not None and judged.start < self._counted_until
        if not judged.final or overlaps:
            return []
        self.changed, span = True, Span(judged.start, judged.end)
        if judged.frozen:
            return self._fall_silent(span)
        self._counted_until = judged.end
        copies = [counts, *(_copied(counts) for _ in self._benches[1:])]
        taken = [
            bench.take(Judged(span, each, judged.predictions, judged.labelled))
            for bench, each in zip(self._benches, copies, strict=True)
        ]
        windows = [each for each in taken if each is not None]
        facts = self._follow(max(windows, key=lambda each: each.labelled)) if windows else []
        return [*facts, *self._fall_silent(span)]

    def _fall_silent(self, at: Span) -> list[Fact]:
        """End what labels have said nothing of for as long as it would take to settle."""
        after = max(self.spec.settle_ns, SILENT * max(self.spec.span, self._interval))
        silent = {judge.spec.metric for judge in self.judges if judge.falls_silent(at.end, after)}
        names = sorted(map(metric_feature, silent - self._active().keys()))
        names = [name for name in names if name in self.alert.state.alerts]
        if not names:
            return []
        self.alert.incident.fall_silent(names)
        return self.alert.told(self.alert.incident.without(names, at), WindowSpan(at.start, at.end, 0))

    def _follow(self, window: Judged) -> list[Fact]:
        self._window = WindowSpan(window.span.start, window.span.end, window.labelled)
        moved = self._moved(window.span) + self._settle(window.span)
        evidence = self._evidence(window)
        since, states = self._standing()
        episodes = self.alert.incident.follow(since, evidence, window.span, states)
        return [*moved, *self.alert.told(episodes, self._window, lambda: self._steps(window.span))]

    def _steps(self, at: Span) -> tuple[JudgeStep, ...]:
        """How the judges that have just taken a window came to their scores."""
        taken = [judge.taken for judge in self.judges if judge.taken is not None and judge.taken.at == at]
        return tuple(
            JudgeStep(each.spec.metric, each.spec.source.value, each.metric.value, each.score, each.packed())
            for each in taken
        )

    def _moved(self, at: Span) -> list[LevelChanged]:
        """What has left its level; how it was told there says nothing of what comes."""
        steps = {judge.spec.metric: judge.step for judge in self.judges if judge.step is not None}
        for judge in self.judges:
            judge.step = None
        held = {judge.spec.metric for judge in self.judges if judge.level.shift}
        names = {metric_feature(metric): step for metric, step in steps.items() if metric not in held}
        self.alert.incident.forget(names)
        return [LevelChanged(self._key, at.end, name, step) for name, step in names.items()]

    def _settle(self, at: Span) -> list[LevelChanged]:
        """Hold what has stayed worse than the reference for long to what it has become, unless a threshold is broken."""
        names, after = [], max(self.spec.settle_ns, LASTING * max(self.spec.span, self._interval))
        for metric, judges in self._active().items():
            absolute = any(each.spec.source is JudgedBy.THRESHOLD for each in judges)
            if not absolute and any(each.settles(at, after) for each in judges):
                names += [metric_feature(metric)] if self._hold(metric, None) else []
        self.alert.incident.settle(names)
        self.alert.incident.forget(names)
        return [LevelChanged(self._key, at.end, name, LevelStep.SETTLED) for name in names]

    def _hold(self, metric: str, until: Nanos | None) -> bool:
        """Hold a metric to what it has become, for all who compare it with the reference; whether it was off is returned."""
        relative = [
            each for each in self.judges if each.spec.metric == metric and each.spec.source is not JudgedBy.THRESHOLD
        ]
        held, wrong = False, {each.spec.bound.at_least for each in relative if each.is_off}
        for at_least, of_difference in product((True, False), repeat=2):  # bias may be wrong either way
            side = [each for each in relative if _held_against(each) == (at_least, of_difference)]
            off = [each for each in side if each.is_off or (each.leans and at_least in wrong)]  # of the same fall
            if off:
                seen = max(
                    off, key=lambda each: (each.alert.state in OPEN, each.growth.run.windows > 0, each.score)
                ).now
                for each in side:
                    each.hold(seen, until)
            held = held or bool(off)
        return held

    def accept(self, features: Collection[str], until: Nanos | None, at: Nanos) -> list[Fact]:
        """Take these metrics, all where none is named, as they are for how they should be; thresholds stand."""
        names = [
            metric_feature(metric)
            for metric in dict.fromkeys(each.spec.metric for each in self.judges)
            if (not features or metric_feature(metric) in features) and self._hold(metric, until)
        ]
        if not names:
            return []
        self.changed = True
        over = set(names) - {metric_feature(metric) for metric in self._active()}
        self.alert.incident.settle([name for name in names if name in over])
        self.alert.incident.forget(over)
        episodes = self.alert.incident.without(over, Span(at, at))
        changes = [LevelChanged(self._key, at, name, LevelStep.ACCEPTED, until) for name in names]
        return [*changes, *self.alert.told(episodes, WindowSpan(at, at, 0))]

    def thresholds(self, features: Collection[str]) -> list[str]:
        """The thresholds of these metrics, all where none is named, in words: nobody accepts them away."""
        return [
            f"{each.spec.metric} at {'least' if each.spec.bound.at_least else 'most'} {each.spec.bound.value:g}"
            for each in self.judges
            if each.spec.source is JudgedBy.THRESHOLD and (not features or metric_feature(each.spec.metric) in features)
        ]

    def _active(self) -> dict[str, list[Judge]]:
        """The judges that are not inactive, by metric."""
        found: dict[str, list[Judge]] = {}
        for judge in self.judges:
            if judge.alert.state is not AlertState.INACTIVE:
                found.setdefault(judge.spec.metric, []).append(judge)
        return found

    def _standing(self) -> tuple[dict[str, Nanos], dict[str, AlertState]]:
        """Since when each metric is wrong that is, and how its alert stands."""
        since, states = {}, {}
        for metric, judges in self._active().items():
            name = metric_feature(metric)
            states[name] = worst(each.alert.state for each in judges)
            since[name] = min(since_of(each) for each in judges if each.alert.state is states[name])
        return since, states

    def _evidence(self, window: Judged) -> list[Evidence]:
        """The metrics that are wrong, the worst in front."""
        firing = [
            [each for each in judges if each.alert.state in OPEN]
            for judges in self._active().values()
            if any(each.alert.state in OPEN for each in judges)
        ]
        without_labels = self._estimated(window) if firing else {}
        found = [_evidence_of(judges, window, without_labels.get(judges[0].spec.metric)) for judges in firing]
        return sorted(found, key=lambda each: (-each.excess, each.feature))

    def _estimated(self, window: Judged) -> Mapping[str, float]:
        """What the reference's labels let expect of a window's predictions, each metric where they cover them."""
        if self.spec.expected is None:
            return {}
        metrics = self.spec.expected.estimator.estimate(window.counts).metrics
        return {name: metric.value for name, metric in metrics.items() if isinstance(metric, Measured)}

    def current(self) -> list[AlertSeen]:
        """The incident, unless it is inactive."""
        return self.alert.current()

    # --- state --------------------------------------------------------------------------------------------------

    def _made_under(self, judge: MetricJudge) -> str:
        """What a judge is made under: when it changes, what speaks for it says nothing any more.

        That is what is configured and what it is held against; not what follows from it, the budget and who else judges, such as
        how much evidence is asked for.
        """
        absolute = judge.source is JudgedBy.THRESHOLD
        against = judge.bound.value if absolute else self.spec.reference
        return msgspec.json.encode([judge.name, against, _counted(self._truth, judge.metric).as_known()]).decode()

    def changes(self) -> list[Entry]:
        """A row of it, if it changed."""
        changed, self.changed = self.changed, False
        return [self._row()] if changed else []

    def _row(self) -> Entry:
        saved = SavedDecision(
            self._counted_until,
            {each.spec.name: each.saved(self._made_under(each.spec)) for each in self.judges},
            SavedIncident.of(self.alert, {}),
            self.spec.reference,
            self._window,
            [None if each.held is None else each.held.saved() for each in self._benches],
        )
        return Entry(DECISION, zlib.compress(msgspec.msgpack.encode(saved), 1))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take it up again; what was made under another threshold is dropped, and its end told. `alike`: counts mean the same."""
        saved = saved_decision(entries)
        if saved is None:
            return []
        self._counted_until, self._window = saved.counted_until, saved.window
        self.alert.features = tuple(saved.incident.alert.alerts)
        saved.incident.restore(self.alert)
        if alike and len(saved.held) == len(self._benches):
            for bench, held in zip(self._benches, saved.held, strict=True):
                bench.held = None if held is None else Judged.restored(held, self._truth)
        dropped = {name.partition("/")[0] for name, each in saved.judges.items() if not self._restore_judge(name, each)}
        return self._without({metric_feature(metric) for metric in dropped - self._active().keys()})

    def _restore_judge(self, name: str, saved: SavedJudge) -> bool:
        for judge in self.judges:
            if judge.spec.name == name and _known(saved.made_under) == _known(self._made_under(judge.spec)):
                judge.restore(saved)
                return True
        return saved.alert.state not in OPEN

    def _without(self, features: set[str]) -> list[Fact]:
        """Forget what was told of these metrics, whose judges are gone."""
        named = sorted(features & self.alert.incident.state.alerts.keys())
        if not named:
            return []
        self.changed = True
        window = self._window or WindowSpan(0, 0, 0)
        episodes = self.alert.incident.without(named, Span(window.start, window.end))
        self.alert.incident.forget(named)
        said = ", ".join(name.strip("_") for name in named)
        reset = StateReset(self._key, f"{said} is judged otherwise: its alert starts anew")
        return [reset, *self.alert.told(episodes, window)]


def teller_of(key: SeriesKey, reference: str, interval: Nanos) -> Teller:
    """Who tells of the incident of performance of a series."""
    return Teller(key, BY_PERFORMANCE, reference, interval, kind=IncidentKind.PERFORMANCE)


def saved_decision(entries: Sequence[Entry]) -> SavedDecision | None:
    """What is saved of it."""
    for entry in entries:
        if entry.kind == DECISION:
            return msgspec.msgpack.decode(zlib.decompress(entry.held), type=SavedDecision)
    return None


def forgotten(key: SeriesKey, entries: Sequence[Entry]) -> list[Fact]:
    """The end of an incident that was open when nobody judged the series' performance any more."""
    saved = saved_decision(entries)
    if saved is None or saved.incident.alert.episode.state not in OPEN:
        return []
    alert = IncidentAlert(teller_of(key, saved.reference, 0), tuple(saved.incident.alert.alerts))
    saved.incident.restore(alert)
    window = saved.window or WindowSpan(0, 0, 0)
    names = list(alert.incident.state.alerts)
    return alert.told(alert.incident.without(names, Span(window.start, window.end)), window)


def _held_against(judge: Judge) -> tuple[bool, bool]:
    """Which side is wrong, and whether it is of a difference: of those that are alike the levels are."""
    return judge.spec.bound.at_least, judge.spec.source is JudgedBy.DIFFERENCE


def _counted(truth: Truth, metric: str) -> Truth:
    """How rows are counted, as far as a metric depends on it."""
    costs = truth.costs if metric == MONEY else None
    quantile = truth.quantile if metric == QUANTILE_LOSS else MEDIAN
    mean = truth.reference_mean if metric == R2_REFERENCE else None
    return replace(truth, metrics=(), ranges=(), costs=costs, quantile=quantile, reference_mean=mean)


def _known(made_under: str) -> list[Any]:
    """What a judge was made under; an older state names keys that were not used too."""
    *judged, truth = msgspec.json.decode(made_under)
    return [*judged, used(truth)]


def _copied(counts: Any) -> Any:
    copy = type(counts).empty(counts.task)
    copy.add(counts)
    return copy


def _evidence_of(firing: Sequence[Judge], window: Judged, estimated: float | None) -> Evidence:
    """What speaks for it that a metric is wrong: by the first of its judges that fires; which others do is said too."""
    first = firing[0]
    alike = [each for each in firing if _held_against(each)[1] is _held_against(first)[1]]
    seen = min(alike, key=lambda each: each.growth.run.windows or math.inf).seen
    return Evidence(
        feature=metric_feature(first.spec.metric),
        detector=BY_PERFORMANCE.detector,
        score=first.score,
        threshold=1.0,
        pvalue=None,
        rows=int(seen.rows),
        chart=first.spec.source.value,
        since=min(since_of(each) for each in firing),
        effect=(seen.value if seen.expected is None else _apart(seen)) - first.where,
        severity=worst_severity(*(each.spec.severity or by_size(each) for each in firing)),
        grown=any(each.grown for each in firing),
        measured=replace(_measured_of(firing, seen, window.coverage), estimated=estimated),
    )


def _apart(seen: Pooled) -> float:
    """By how much a metric was another one than expected, without what is added for safety."""
    return 0.0 if seen.realised is None or seen.expected is None else seen.realised.value - seen.expected


def _measured_of(firing: Sequence[Judge], seen: Pooled, coverage: float) -> MetricEvidence:
    """The metric itself, what it is held against, and what was expected of it where the difference fires."""
    first, spec, bound = firing[0], firing[0].spec, firing[0].bound.value
    apart = next((each for each in firing if each.spec.source is JudgedBy.DIFFERENCE), None)
    expected = None if apart is None else apart.seen.expected
    usual = None if spec.usual is None else spec.usual + first.level.shift
    if first is apart and seen.realised is not None:
        usual, bound = None, bound + seen.realised.value - seen.value  # with what may be off in these very windows
        seen = seen.realised
    return MetricEvidence(
        metric=spec.metric,
        value=seen.value,
        lower=seen.interval[0],
        upper=seen.interval[1],
        bound=bound,
        at_least=spec.bound.at_least,
        by=tuple(each.spec.source for each in firing),
        windows=seen.windows,
        coverage=coverage,
        usual=usual,
        expected=expected,
    )
