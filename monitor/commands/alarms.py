"""What the alarm budget comes to, and what the explicit rules raise beside it when nothing has changed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from detectors import DETECTORS
from detectors.calibration.calibration import FEWEST_WINDOWS
from detectors.charts.budget import MONTH_NS
from detectors.charts.design import ChartDesign
from detectors.charts.detectable import detectable_shift
from detectors.false_alarms import Expected, expected_false_alarms
from detectors.protocols import JudgedWindows
from monitor.alerting.rules import AlertRule
from monitor.commands.calibration import learnt, remedy
from monitor.sections import show_duration
from monitor.series.judging import Judging
from monitor.series.learning import NEEDED
from monitor.series.series import SeriesSpec
from monitor.stream.events import DAY, Nanos

FEW_SUBGROUPS = 4  # in a day: with fewer, shifts are said for a week
FEWEST = 0.001  # a month: what is less is not told apart


@dataclass(frozen=True, slots=True)
class Usual:
    """Rows of a usual window, and how that is known."""

    rows: float
    source: str


@dataclass(frozen=True, slots=True)
class RuleAlarms:
    """What one rule raises on one series when nothing has changed."""

    spec: SeriesSpec
    rule: AlertRule
    usual: Usual
    expected: Expected


@dataclass(frozen=True, slots=True)
class DetectableShift:
    """The smallest lasting shift that is found within some time, in sigma: of the median feature, and of the worst."""

    within: Nanos
    features: int
    median: float
    worst: float
    worst_feature: str


@dataclass(frozen=True, slots=True)
class BudgetFigures:
    """What a budget comes to on a calibrated reference."""

    charts: int
    subgroup: Nanos
    threshold: float
    detectable: DetectableShift | None


def budget_figures(spec: SeriesSpec) -> BudgetFigures | None:
    """What the budget of a series comes to; None where there is none, or where the reference is cold."""
    asked, reference = spec.judging.plan, spec.reference
    if asked is None or reference.calibration is None:
        return None
    design = ChartDesign(reference, reference.calibration, asked)
    return BudgetFigures(
        design.budget.charts, design.subgroup_ns, float(design.thresholds[0]), soonest_shift(spec, design)
    )


def soonest_shift(spec: SeriesSpec, design: ChartDesign) -> DetectableShift | None:
    """The smallest lasting shift found within a day, or where a day has few subgroups within a week; None: no feature has one."""
    within = DAY if FEW_SUBGROUPS * design.subgroup_ns <= DAY else 7 * DAY
    shifts = detectable_shift(design, within)
    able = np.flatnonzero(np.isfinite(shifts))
    if not able.size:
        return None
    worst = int(able[shifts[able].argmax()])
    median, name = float(np.median(shifts[able])), spec.reference.names[worst]
    return DetectableShift(within, able.size, median, float(shifts[worst]), name)


def usual(spec: SeriesSpec) -> Usual:
    """Rows of a window: by the calibration, else the reference's rate, else the fewest that are judged."""
    rows = spec.judging.usual_rows
    if rows is None:
        return Usual(float(spec.judging.min_rows), "that is min_rows, for the reference knows no arrival rate")
    calibrated = spec.reference.calibration is not None
    return Usual(rows, "by the calibration" if calibrated else "by the arrival rate of the reference")


def rule_alarms(specs: Iterable[SeriesSpec]) -> list[RuleAlarms]:
    """What each explicit rule raises on each series. Models that share a reference share the work."""
    known: dict[object, Expected] = {}
    raised = []
    for spec in specs:
        rows = usual(spec)
        chosen = id(spec) if spec.judging.choices else None  # thresholds of its own, or detectors
        for rule in spec.judging.rules:
            windows = _windows(spec, rule, rows.rows)
            same = (id(spec.reference), chosen, rule, windows)
            if same not in known:
                known[same] = _expected(spec.judging, rule, windows)
            raised.append(RuleAlarms(spec, rule, rows, known[same]))
    return raised


def _windows(spec: SeriesSpec, rule: AlertRule, rows: float) -> JudgedWindows:
    on_rows = DETECTORS[rule.detector].judges_all_rows  # so the model's min_rows has no say
    least = rule.min_rows if on_rows else max(rule.min_rows, spec.judging.min_rows)
    length = spec.windows.length
    return JudgedWindows(rows, MONTH_NS / length, length // spec.windows.slide, least)


def _expected(judging: Judging, rule: AlertRule, windows: JudgedWindows) -> Expected:
    limits = {name: adjusted.fire_above for name, adjusted in judging.rules_for(rule).items()}
    expected = expected_false_alarms(judging.reference, rule.detector, limits, windows, hold=rule.hold)
    if expected.per_month is not None and windows.rows < windows.min_rows:
        return Expected(0.0, f"a usual window holds {windows.rows:,.0f} rows, {windows.min_rows:,} are needed")
    return expected


# --- in words -----------------------------------------------------------------------------------------------------------


def section(spec: SeriesSpec, raised: Sequence[RuleAlarms]) -> Iterator[str]:
    """What a person on call should expect of one series: the budget first, then each rule."""
    yield f"  drift: {budget(spec)}"
    if spec.judging.plan is not None:
        yield f"  {learnt(spec.reference, spec.windows.length)}"
    if spec.judging.learns:
        yield f"  learning: {learning(spec)}"
    if spec.judging.learns_service:
        yield f"  requests: {learning_requests(spec)}"
    for alarms in raised:
        yield f"  {alarms.rule.name}: {words(alarms)}"
    if raised:
        yield f"  (rules: at {raised[0].usual.rows:,.0f} rows a window, {raised[0].usual.source})"


def budget(spec: SeriesSpec) -> str:
    """The budget's own rule in a line."""
    asked, reference = spec.judging.plan, spec.reference
    if asked is None:
        return "off, for alerting.false_alarms_per_month is null: explicit rules alone"
    figures = budget_figures(spec)
    if figures is None:
        return (
            "no budget can be kept, for the reference is cold: only large changes page, how many of them falsely is not known, "
            f"by their size alone; {remedy(reference, spec.windows.length)}"
        )
    return (
        f"{number(asked.per_month)} {'page' if asked.per_month == 1 else 'pages'} a month; {len(reference.names):,} features, "
        f"{figures.charts:,} charts on subgroups of {show_duration(figures.subgroup)}, threshold {figures.threshold:.1f}"
        f"{'' if figures.detectable is None else _shift(figures.detectable)}"
    )


def learning_requests(spec: SeriesSpec) -> str:
    """When how requests are served will have been learnt from live traffic, and of what."""
    told = " and ".join(name.strip("_") for name in spec.judging.served)
    return _after(
        spec,
        f"how requests are served ({told}) is learnt from {show_duration(spec.judging.learn_for)} of live traffic, then judged by it",
    )


def learning(spec: SeriesSpec) -> str:
    """When a cold reference will have learnt enough from live traffic."""
    asked = show_duration(spec.judging.learn_for)
    return _after(spec, f"after {asked} of live traffic without an alert charts decide, calibrated by it")


def _after(spec: SeriesSpec, after: str) -> str:
    asked, needed = spec.judging.learn_for, NEEDED * spec.windows.length
    if needed <= asked:
        return after
    return f"{after}; not before {FEWEST_WINDOWS} whole windows of {show_duration(spec.windows.length)}, {needed / DAY:.3g} days"


def _shift(detectable: DetectableShift) -> str:
    within = "a day" if detectable.within == DAY else "a week"
    worst = f" in the median feature, {detectable.worst:.2f} σ in {detectable.worst_feature}"
    more = worst if detectable.features > 1 else ""
    return f"; smallest lasting shift found within {within}: {detectable.median:.2f} σ{more}"


def words(alarms: RuleAlarms) -> str:
    """What a rule raises, as one would say it."""
    expected, windows = alarms.expected.per_month, MONTH_NS / alarms.spec.windows.length
    if expected is None:
        return f"no figure for false alarms, it {alarms.expected.why}"
    if (
        not expected
        and alarms.usual.rows < alarms.spec.judging.min_rows
        and not DETECTORS[alarms.rule.detector].judges_all_rows
    ):
        return f"never has data: {alarms.expected.why}"
    always = ", at least one in nearly every window" if expected >= windows else ""
    return (
        f"{times(expected)} a month{always}, if rows are independent; dependence and seasons add to it"
        if expected >= FEWEST
        else f"{times(expected)} a month, if rows are independent"
    )


def times(expected: float) -> str:
    """A number of false alarms."""
    if expected < FEWEST:
        return f"fewer than {FEWEST} false alarms"
    return f"about {number(expected)} false alarms"


def number(value: float) -> str:
    """Two digits that count, thousands apart.

    >>> number(340.4), number(0.0123), number(84_321.0), number(1.0)
    ('340', '0.012', '84,000', '1')
    """
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"  # noqa: PLR2004 - two digits before the point


def over_budget(raised: Iterable[RuleAlarms]) -> Iterator[str]:
    """Rules that alone raise more than the budget."""
    for alarms in raised:
        plan, expected = alarms.spec.judging.plan, alarms.expected.per_month
        if plan is not None and expected is not None and expected > plan.per_month:
            yield (
                f"alerting.rules.{alarms.rule.name}: {times(expected)} a month on {alarms.spec.key.model} by itself, "
                f"where alerting.false_alarms_per_month is {number(plan.per_month)}"
            )
