"""Makes the result of the findings: what was seen, beside what was to be expected."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from detectors.calibration import Calibration
from detectors.charts.budget import MONTH_NS
from detectors.false_alarms import expected_false_alarms
from detectors.protocols import JudgedWindows
from monitor.alerting.budget import BY_LATENESS
from monitor.alerting.rules import LATENESS_RULE, AlertRule
from monitor.backtest.findings import Findings, SeriesFindings
from monitor.backtest.labelled import MANY_REJECTED
from monitor.backtest.policies import Rehearsal, compared
from monitor.backtest.result import BacktestResult, ExpectedRule, Model, PolicyOutcome, TopicEvents
from monitor.backtest.thinning import tracks
from monitor.explain.fewrows import few_rows
from monitor.facts import CalibrationLearnt
from monitor.html.figures import count, spell
from monitor.series.series import SeriesSpec
from monitor.sources.decode.joining import INVALID, UNKNOWN
from monitor.stream.events import DAY, HOUR, MINUTE, SECOND, Nanos
from monitor.stream.halves import HALVES, REQUEST
from monitor.targets.payloads import rfc3339

WARN_AT = 0.5  # of a threshold
MANY_LATE = 0.01  # of the events
MOST_NAMED = 5  # features in a line


class NothingFound(Exception):  # noqa: N818 - it is what there is
    """A replay that judged no window: one line that says why."""


@dataclass(frozen=True, slots=True)
class CommandRun:
    """What the result repeats of the command: who ran what on what."""

    version: str
    config: str
    config_hash: str
    command: str
    inputs: tuple[str, ...]


def assemble(
    run: CommandRun, findings: Findings, notes: Sequence[str], rehearsed: Sequence[Rehearsal] = ()
) -> BacktestResult:
    """The result. Raises NothingFound where no window was judged."""
    refuse_nothing(findings)
    series = list(findings.series.values())
    models = tuple(model_of(one, findings.budget, findings.open_share(one.spec.key)) for one in series)
    return BacktestResult(
        version=run.version,
        config=run.config,
        config_hash=run.config_hash,
        command=run.command,
        inputs=run.inputs,
        first=min(one.first for one in series if one.first is not None),
        last=max(one.last for one in series if one.last is not None),
        events=findings.counts,
        rejected=dict(sorted(findings.rejected.items())),
        fields_rejected=dict(sorted(findings.fields.items())),
        labels_rejected=dict(sorted(findings.labels_rejected.items())),
        windows=findings.windows,
        models=models,
        alerts=tuple(sorted(findings.alerts, key=lambda one: (one.fired_at, one.key, one.rule))),
        retrains=findings.requested(granted=True),
        suppressed=findings.requested(granted=False),
        injected=tuple(hunt.injected for one in series for hunt in one.hunts),
        explicit=tuple(rule for one in series for rule in expected_rules(one)),
        hints=tuple(hints(findings, notes)),
        topics=topics_of(findings),
        policies=policies_of(findings, rehearsed),
    )


def policies_of(findings: Findings, rehearsed: Sequence[Rehearsal]) -> tuple[PolicyOutcome, ...]:
    """Policies of retraining compared, over the time in which each model was judged."""
    judged: dict[str, tuple[Nanos, Nanos]] = {}
    for key, series in findings.series.items():
        if series.first is not None and series.last is not None:
            first, last = judged.get(key.model, (series.first, series.last))
            judged[key.model] = min(first, series.first), max(last, series.last)
    configured = {key.model: series.spec.retraining for key, series in findings.series.items()}
    return compared(rehearsed, configured, findings.alerts, judged) if rehearsed else ()


def model_of(findings: SeriesFindings, budget: float | None, open_share: float) -> Model:
    """One series over the whole time."""
    spec, calibration = findings.spec, findings.spec.reference.calibration
    points, peaks = findings.rows.all(), findings.peaks.all()
    months = months_of(findings)
    charted = findings.peaks.count > 0
    near = tracks(peaks, spec.reference.names)
    shown = {track.feature for track in near}
    return Model(
        key=spec.key,
        window_ns=spec.windows.length,
        slide_ns=spec.windows.slide,
        features=len(spec.reference.names),
        reference=spec.reference.hash,
        reference_rows=spec.reference.rows,
        calibration=spec.judging.calibration if findings.learnt is None else findings.learnt.calibration,
        calibrated=calibrated_words(spec) if findings.learnt is None else learnt_words(findings.learnt),
        drifting=changes_of(findings, calibration),
        budget=budget,
        months=months,
        expected_false_alarms=expected_of(spec, months),
        warnings_seen=findings.warned if charted else None,
        warnings_expected=findings.warnings_due if charted else None,
        events=findings.outcomes["ok"],
        late=findings.outcomes["late"],
        windows=findings.rows.count,
        ends=tuple(point.end for point in points),
        rows=tuple(point.rows / point.windows for point in points),
        subgroup_ns=findings.subgroup_ns,
        subgroups=findings.peaks.count,
        charted=tuple(point.end for point in peaks),
        tracks=near,
        not_shown=tuple(name for name in spec.reference.names if name not in shown) if near else (),
        thresholds=findings.thresholds,
        warn_at=WARN_AT,
        sweep=findings.sweep.rows(budget),
        learning=findings.learning,
        learnt=findings.learnt,
        expected_since_learnt=since_learnt(findings),
        open_share=open_share,
        pictures=findings.pictures.all(),
        performance=None if spec.performance is None else findings.judgements.by_age(),
        labels=dict(sorted(findings.judgements.labels.items())),
        estimates=findings.judgements.estimated(),
        contract=findings.contract.found(spec.contract),
        served=findings.served,
    )


def changes_of(findings: SeriesFindings, calibration: Calibration | None) -> tuple[str, ...]:
    """What changed inside that which it is held against."""
    if findings.learnt is not None:
        return findings.learnt.changes
    return () if calibration is None else tuple(change.words for change in calibration.drifting)


def months_of(findings: SeriesFindings) -> float:
    """The time from the first event to the last, in months of 30 days."""
    return 0.0 if findings.first is None or findings.last is None else (findings.last - findings.first) / MONTH_NS


def expected_of(spec: SeriesSpec, months: float) -> float | None:
    """False alarms that the budget allows a series over this time: versions of a model share its budget.

    None where nobody knows: effect sizes of a cold reference hold no budget.
    """
    plan = spec.judging.plan
    if plan is None:
        return 0.0
    return None if spec.reference.calibration is None else plan.per_month * months


def since_learnt(findings: SeriesFindings) -> float | None:
    """The same of the time in which charts decide by what live traffic has taught; None where it has taught nothing."""
    plan, learnt, last = findings.spec.judging.plan, findings.learnt, findings.last
    if plan is None or learnt is None or last is None:
        return None
    return plan.per_month * max(last - learnt.at, 0) / MONTH_NS


def learnt_words(learnt: CalibrationLearnt) -> str:
    """What the decisions rest on, once live traffic has taught it."""
    return f"{count(learnt.windows)} windows of live traffic over {spell(learnt.span)}, until {rfc3339(learnt.at)}"


def calibrated_words(spec: SeriesSpec) -> str:
    """What the decisions rest on."""
    reference, calibration = spec.reference, spec.reference.calibration
    if calibration is None:
        return f"not calibrated: {reference.cold}" if reference.cold else "not calibrated"
    hours = {"week": ", hour of the week known", "day": ", hour of the day known"}.get(calibration.profile, "")
    return f"{count(calibration.windows)} windows of {spell(calibration.window_ns)} with {count(calibration.rows)} rows each{hours}"


def expected_rules(findings: SeriesFindings) -> Iterator[ExpectedRule]:
    """How often each explicit rule fires for no reason over this time, if rows are independent."""
    if not findings.rows.count:
        return
    length, slide = findings.spec.windows.length, findings.spec.windows.slide
    rows = findings.rows_judged / findings.rows.count
    windows = JudgedWindows(rows, MONTH_NS / length, length // slide, findings.spec.judging.min_rows)
    for rule in findings.spec.judging.rules:
        yield expected_rule(findings, rule, windows)


def expected_rule(findings: SeriesFindings, rule: AlertRule, windows: JudgedWindows) -> ExpectedRule:
    """How often one rule fires for no reason."""
    limits = {name: adjusted.fire_above for name, adjusted in findings.spec.judging.rules_for(rule).items()}
    expected = expected_false_alarms(findings.spec.reference, rule.detector, limits, windows, hold=rule.hold)
    count = None if expected.per_month is None else expected.per_month * months_of(findings)
    return ExpectedRule(findings.spec.key, rule.name, count, expected.why)


# --- what a reader should know first ----------------------------------------------------------------------------------


def refuse_nothing(findings: Findings) -> None:
    """Raise NothingFound where no window was judged, with the reason."""
    if findings.windows:
        return
    counts, known = findings.counts, ", ".join(map(str, findings.series))
    if counts.ok:
        raise NothingFound(f"no window closed: {unclosed(findings)}")
    if counts.outside:
        raise NothingFound(f"no event lies between --from and --until; {counts.outside:,} lie outside")
    if counts.unmonitored:
        raise NothingFound(f"no event is of a configured model: there is {known}; {counts.unmonitored:,} are of others")
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in findings.rejected.most_common(3))
        raise NothingFound(f"every event was rejected: {reasons}; `driftd explain` shows why")
    raise NothingFound("there are no events")


def unclosed(findings: Findings) -> str:
    """Why events made no window."""
    lengths = []
    for series in findings.series.values():
        if series.first is not None and series.last is not None:
            span, length = span_words(series.last - series.first), span_words(series.spec.windows.length)
            lengths.append(f"the events of {series.spec.key} span {span}, its window is {length}")
    return f"{'; '.join(lengths)}; the first window judged is the first that begins after the first event"


def span_words(nanos: Nanos) -> str:
    """A length of time in the unit that suits it."""
    for unit, length in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
        if nanos >= 2 * length:
            return f"{nanos / length:.3g} {unit}"
    return f"{nanos / SECOND:.3g} s"


def hints(findings: Findings, notes: Sequence[str]) -> Iterator[str]:
    """What a reader should know before the figures."""
    counts = findings.counts
    for topic in topics_of(findings):
        yield from stream_hints(topic)
    for (topic_name, half), outcomes in sorted(findings.halves.items()):
        yield from half_hints(topic_name, half, outcomes, counted=half == HALVES[REQUEST] and _counts_all(findings))
    for name, labels in sorted(findings.label_topics.items()):
        yield from labels.hints(name)
    unusable = {reason: findings.fields[reason] for reason in (UNKNOWN, INVALID) if findings.fields[reason]}
    if sum(unusable.values()) > MANY_REJECTED * counts.read:
        reasons = ", ".join(f"{reason} {many:,}" for reason, many in unusable.items())
        yield f"labels inside {sum(unusable.values()):,} of {counts.read:,} predictions could not be used: {reasons}"
    if counts.unmonitored:
        yield f"{counts.unmonitored:,} events are of models that are not configured"
    for series in findings.series.values():
        yield from own_hints(series, findings.budget)
    yield from notes


def topics_of(findings: Findings) -> tuple[TopicEvents, ...]:
    """The events of each topic."""
    return tuple(found.events(topic) for topic, found in sorted(findings.topics.items()))


def stream_hints(topic: TopicEvents) -> Iterator[str]:
    """What is wrong with the stream itself: events that are late, clocks that run fast."""
    if topic.late_share > MANY_LATE:
        page = f", an incident of the rule {LATENESS_RULE}" if topic.late_share > BY_LATENESS.fire_above else ""
        yield (
            f"{topic.topic}: {topic.late_share:.1%} of the events ({max(topic.late, topic.late_live):,}, here {topic.late:,}) come too late "
            f"for their window live{page}: {topic.cause}; raise lateness, or sort a file that is not in the order in which its events came"
        )
    if topic.ahead:
        share = topic.ahead / max(1, topic.ok + topic.late)
        yield (
            f"{topic.topic}: {topic.ahead:,} events ({share:.2%}) are stamped up to {span_words(topic.lead)} ahead of those around "
            "them: a clock runs fast; they count in the windows that they name, and make no other late"
        )


def _counts_all(findings: Findings) -> bool:
    """Whether requests that nobody answers count."""
    return any(each.spec.halves_spec.unanswered for each in findings.series.values())


def half_hints(topic: str, half: str, outcomes: Mapping[str, int], *, counted: bool = False) -> Iterator[str]:
    """How many halves met no other half."""
    lonely, all_of_them = outcomes.get("unmatched", 0) + outcomes.get("evicted", 0), sum(outcomes.values())
    if lonely:
        other = "response" if half == "request" else "request"
        full = ", some because halves.memory was full" if outcomes.get("evicted") else ""
        what = "they are counted without a prediction" if counted else "they are in no window"
        yield f"{topic}: {lonely:,} of {all_of_them:,} {half}s met no {other} within halves.wait{full}: {what}"


def own_hints(findings: SeriesFindings, budget: float | None) -> Iterator[str]:
    """Hints about one series."""
    reference, key = findings.spec.reference, findings.spec.key
    if findings.first is None or findings.last is None:
        yield f"{key}: no event is of this model"
        return
    rows = findings.rows_judged / max(findings.rows.count, 1)
    if few := few_rows(rows, findings.spec.windows.length, findings.spec.judging.min_rows):
        yield f"{key}: {few}"
    if reference.calibration is None and budget is not None:
        yield f"{key}: {calibrated_words(findings.spec)}; {until_when(findings)}"
    if reference.period is not None and findings.first <= reference.period[1] and findings.last >= reference.period[0]:
        yield f"{key}: events overlap the time its reference was made from, where nothing can be found"
    for reason in findings.sweep.unreachable:
        yield f"{key}: sweep: {reason}"
    for hunt in findings.hunts:
        if findings.spec.performance is not None and hunt.plant.unjoined:
            yield f"{key}: --inject {hunt.plant.text}: performance is told of the predictions without that change"
    for hint in findings.judgements.hints(findings.spec.performance):
        yield f"{key}: {hint}"


def until_when(findings: SeriesFindings) -> str:
    """How long large changes alone are found of a cold reference."""
    cold = "only large changes are found, and no budget is promised"
    if findings.learnt is None:
        return cold if findings.learning is None else f"{cold}: {findings.learning.words}"
    differs = [each.words for each in findings.learnt.differs[:MOST_NAMED]]
    apart = f"; live traffic is not like the training set: {', '.join(differs)}" if differs else ""
    return f"{cold} until {rfc3339(findings.learnt.at)}, when live traffic had taught a calibration{apart}"
