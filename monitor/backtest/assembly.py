"""From findings to the result: what was seen, beside what was to be expected."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detectors.charts.budget import MONTH_NS
from detectors.expected import Windows, expected_false_alarms
from monitor.alerting.rules import AlertRule
from monitor.backtest.findings import Findings, SeriesFindings
from monitor.backtest.result import BacktestResult, ExpectedRule, Model
from monitor.backtest.thinning import tracks
from monitor.series.series import SeriesSpec
from monitor.stream.events import DAY, HOUR, MINUTE, SECOND, Nanos

WARN_AT = 0.5  # of a threshold
MANY_LATE = 0.01  # of the events


class NothingFound(Exception):  # noqa: N818 - it is what there is
    """A replay that judged no window: one line that says why."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the result repeats of the command: who ran what on what."""

    version: str
    config: str
    config_hash: str
    command: str
    inputs: tuple[str, ...]


def assemble(told: Told, found: Findings, notes: Sequence[str]) -> BacktestResult:
    """The result. Raises NothingFound where no window was judged."""
    refuse_nothing(found)
    series = list(found.series.values())
    models = tuple(model_of(one, found.budget) for one in series)
    return BacktestResult(
        version=told.version,
        config=told.config,
        config_hash=told.config_hash,
        command=told.command,
        inputs=told.inputs,
        first=min(one.first for one in series if one.first is not None),
        last=max(one.last for one in series if one.last is not None),
        events=found.counts,
        rejected=dict(sorted(found.rejected.items())),
        fields_rejected=dict(sorted(found.fields.items())),
        windows=found.windows,
        models=models,
        alerts=tuple(sorted(found.alerts, key=lambda one: (one.fired_at, one.key, one.rule))),
        retrains=found.requested(granted=True),
        suppressed=found.requested(granted=False),
        injected=tuple(hunt.injected for one in series for hunt in one.hunts),
        explicit=tuple(rule for one in series for rule in expected_rules(one)),
        hints=tuple(hints(found, notes)),
    )


def model_of(one: SeriesFindings, budget: float | None) -> Model:
    """One series over the whole time."""
    spec, calibration = one.spec, one.spec.reference.calibration
    points, peaks = one.rows.all(), one.peaks.all()
    months = months_of(one)
    charted = one.peaks.count > 0
    return Model(
        key=spec.key,
        window_ns=spec.windows.length,
        slide_ns=spec.windows.slide,
        features=len(spec.reference.names),
        reference=spec.reference.hash,
        reference_rows=spec.reference.rows,
        calibration=spec.judging.calibration,
        calibrated=calibrated_words(spec),
        drifting=() if calibration is None else tuple(step.words for step in calibration.drifting),
        budget=budget,
        months=months,
        expected_false_alarms=expected_of(spec, months),
        warnings_seen=one.warned if charted else None,
        warnings_expected=one.warnings_due if charted else None,
        events=one.outcomes["ok"],
        late=one.outcomes["late"],
        windows=one.rows.count,
        ends=tuple(point.end for point in points),
        rows=tuple(point.rows / point.windows for point in points),
        thinned=one.rows.each,
        pane_ns=one.pane_ns,
        panes=one.peaks.count,
        charted=tuple(point.end for point in peaks),
        tracks=tracks(peaks, spec.reference.names),
        thresholds=one.thresholds,
        warn_at=WARN_AT,
        sweep=one.sweep.rows(budget),
    )


def months_of(one: SeriesFindings) -> float:
    """The time from the first event to the last, in months of 30 days."""
    return 0.0 if one.first is None or one.last is None else (one.last - one.first) / MONTH_NS


def expected_of(spec: SeriesSpec, months: float) -> float:
    """False alarms that the budget allows a series over this time: versions of a model share its budget."""
    plan = spec.judging.plan
    return 0.0 if plan is None or spec.reference.calibration is None else plan.per_month * months


def calibrated_words(spec: SeriesSpec) -> str:
    """What the decisions rest on."""
    reference, found = spec.reference, spec.reference.calibration
    if found is None:
        return f"not calibrated: {reference.cold}" if reference.cold else "not calibrated"
    hours = {"week": ", hour of the week known", "day": ", hour of the day known"}.get(found.profile, "")
    minutes = found.window_ns / MINUTE
    return f"{found.windows:,} windows of {minutes:g} minutes with {found.rows:,.0f} rows each{hours}"


def expected_rules(one: SeriesFindings) -> Iterator[ExpectedRule]:
    """How often each explicit rule fires for no reason over this time, if rows are independent."""
    if not one.rows.count:
        return
    length, slide = one.spec.windows.length, one.spec.windows.slide
    rows = one.rows_judged / one.rows.count
    windows = Windows(rows, MONTH_NS / length, length // slide, one.spec.judging.min_rows)
    for rule in one.spec.judging.rules:
        yield expected_rule(one, rule, windows)


def expected_rule(one: SeriesFindings, rule: AlertRule, windows: Windows) -> ExpectedRule:
    """The same of one rule."""
    limits = {name: own.fire_above for name, own in one.spec.judging.rules_for(rule).items()}
    found = expected_false_alarms(one.spec.reference, rule.detector, limits, windows, hold=rule.hold)
    count = None if found.per_month is None else found.per_month * months_of(one)
    return ExpectedRule(one.spec.key, rule.name, count, found.why)


# --- what a reader should know first ----------------------------------------------------------------------------------


def refuse_nothing(found: Findings) -> None:
    """Raise NothingFound where no window was judged, with the reason."""
    if found.windows:
        return
    counts, known = found.counts, ", ".join(map(str, found.series))
    if counts.ok:
        raise NothingFound(f"no window closed: {unclosed(found)}")
    if counts.outside:
        raise NothingFound(f"no event lies between --from and --until; {counts.outside:,} lie outside")
    if counts.unmonitored:
        raise NothingFound(f"no event is of a configured model: there is {known}; {counts.unmonitored:,} are of others")
    if counts.rejected:
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in found.rejected.most_common(3))
        raise NothingFound(f"every event was rejected: {reasons}; `driftd explain` shows why")
    raise NothingFound("there are no events")


def unclosed(found: Findings) -> str:
    """Why events made no window."""
    lengths = []
    for one in found.series.values():
        if one.first is not None and one.last is not None:
            span, length = span_words(one.last - one.first), span_words(one.spec.windows.length)
            lengths.append(f"the events of {one.spec.key} span {span}, its window is {length}")
    return f"{'; '.join(lengths)}; the first window judged is the first that begins after the first event"


def span_words(nanos: Nanos) -> str:
    """A length of time in the unit that suits it."""
    for unit, length in (("days", DAY), ("hours", HOUR), ("minutes", MINUTE)):
        if nanos >= 2 * length:
            return f"{nanos / length:.3g} {unit}"
    return f"{nanos / SECOND:.3g} s"


def hints(found: Findings, notes: Sequence[str]) -> Iterator[str]:
    """What a reader should know before the figures."""
    counts = found.counts
    if counts.late > MANY_LATE * (counts.ok + counts.late):
        share = counts.late / (counts.ok + counts.late)
        yield f"{counts.late:,} events ({share:.1%}) came too late for their window: sort the file by time, or raise lateness"
    if counts.unmonitored:
        yield f"{counts.unmonitored:,} events are of models that are not configured"
    for one in found.series.values():
        yield from own_hints(one, found.budget)
    yield from notes


def own_hints(one: SeriesFindings, budget: float | None) -> Iterator[str]:
    """The same of one series."""
    reference, key = one.spec.reference, one.spec.key
    if one.first is None or one.last is None:
        yield f"{key}: no event is of this model"
        return
    if reference.calibration is None and budget is not None:
        yield f"{key}: {calibrated_words(one.spec)}; only large changes are found, and no budget is promised"
    if reference.period is not None and one.first <= reference.period[1] and one.last >= reference.period[0]:
        yield f"{key}: events overlap the time its reference was made from, where nothing can be found"
    for reason in one.sweep.unreachable:
        yield f"{key}: sweep: {reason}"
