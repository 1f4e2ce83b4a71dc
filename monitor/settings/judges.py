"""Who judges a model's metrics: thresholds of the configuration, and what the reference's labels give to hold them against."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from detectors import Reference
from detectors.charts.budget import points_per_month
from detectors.charts.metric_bounds import MetricBound
from detectors.charts.metric_difference import DifferenceReference, difference_references
from detectors.charts.metric_reference import MetricReference, measured_windows, metric_references, usual_loss
from detectors.performance import RegressionCounts, Unavailable
from detectors.reference.labelled import ReferencePerformance
from monitor.alerting.metrics import BOTH_WAYS, LOSSES, JudgedBy
from monitor.alerting.rules import Severity
from monitor.series.deciding import DecisionSpec
from monitor.series.estimating import EstimateSpec, other_labels
from monitor.series.judged import measured
from monitor.series.metric_judge import MetricJudge
from monitor.series.truth import BINARY, MONEY, MULTICLASS, QUANTILE_LOSS, R2_REFERENCE, REGRESSION, TOP, TOPS, Truth
from monitor.settings.loading import ConfigError
from monitor.settings.schema import ModelSettings, PerformanceSettings
from monitor.settings.thresholds import MetricThresholdSettings

WITHIN = {
    "mcc": (-1.0, 1.0),
    "r2": (float("-inf"), 1.0),
    R2_REFERENCE: (float("-inf"), 1.0),
}  # what a metric that should be large may be; others lie between 0 and 1
LOSSES_WITHIN = {
    MONEY: (float("-inf"), float("inf")),
    "brier": (0.0, 1.0),
    "calibration_error": (0.0, 1.0),
    "smape": (0.0, 2.0),
}  # others are above 0
USUAL_BUDGET = 1.0  # false alarms a month where there is no budget
PERFORMANCE_SHARE = 0.2  # of the budget, where performance is watched
WATCHED = {
    BINARY: ("accuracy", "auroc", "brier"),
    MULTICLASS: ("accuracy", "macro_f1"),
    REGRESSION: ("mae", "rmse", "bias"),
}  # against the reference's, where nobody names others
UNWATCHED = {
    "calibration_error": "is larger the fewer rows a window has",  # so that no other window says what is usual
    R2_REFERENCE: "is not known of the reference's own windows",
}  # metrics that are not held against the reference's, and why
NOTABLE_POINTS, NOTABLE_RISE, NOTABLE_ERROR = (
    0.02,
    0.1,
    0.02,
)  # worse by that: critical; of the size, of one row's error
QUIET = 3  # windows like the reference's that end an alert
TO_SHOW = 1.0  # windows between false alarms, until all judges are known


def decision_spec(
    model: ModelSettings,
    truth: Truth,
    reference: Reference,
    per_month: float | None,
    expected: EstimateSpec | None = None,
) -> DecisionSpec | None:
    """Who judges a model's metrics, of so many false alarms a month; None where nobody does. Raises ConfigError.

    `expected`: what tells by predictions alone what labelled rows are worth. They share a fifth of the budget. Without one thresholds alone judge, as with one false alarm a month.
    """
    chosen, key = model.performance or PerformanceSettings(), f"models.{model.name}.performance"
    bounds = _thresholds(f"{key}.thresholds", chosen, truth)
    _refuse_unknown(f"{key}.watch", chosen, truth)
    said = _labels_of(f"{key}.watch", chosen, truth, reference)
    _refuse_unscored(f"{key}.watch", chosen, said)
    if chosen.watch and per_month is None:
        raise ConfigError(
            f"{key}.watch: needs alerting.false_alarms_per_month, from which it follows how much evidence is asked for"
        )
    known, apart = (
        ({}, {}) if said is None or per_month is None else _known(said, chosen, truth, model.window, expected)
    )
    by_threshold = [_by_threshold(name, bound, chosen.thresholds[name], known.get(name)) for name, bound in bounds]
    watched = watching(chosen, truth)
    charts = [_by_chart(name, known[name], at_least) for name in watched if name in known for at_least in _sides(name)]
    bets = [name for name in watched if name in known and said is not None and usual_loss(said, name) is not None]
    bets = [] if truth.weighted else bets
    differences = [_by_difference(name, apart[name]) for name in watched if name in apart]
    judges = len(by_threshold) + len(charts) + len(bets) + len(differences)
    if not judges:
        return None
    arl = points_per_month(model.window) * judges / ((per_month or USUAL_BUDGET) * PERFORMANCE_SHARE)
    found = [*by_threshold, *charts]
    if said is not None:
        found += [_by_bets(name, known[name], usual_loss(said, name) or 0.0, arl) for name in bets]
    found += differences
    span = said.window_ns if said is not None and (known or apart) else 0
    judging = tuple(replace(each, arl=arl) for each in found)
    return DecisionSpec(judging, reference.hash, span, model.settle_after, expected)


def _refuse_unknown(key: str, chosen: PerformanceSettings, truth: Truth) -> None:
    """Raise ConfigError for a metric to be watched that the task does not have."""
    for name in chosen.watch or ():
        if name not in truth.known:
            there_is = ", ".join(truth.known)
            raise ConfigError(f"{key}: {name!r} is none of task {truth.task}; there is {there_is}")
        if name in UNWATCHED:
            raise ConfigError(f"{key}: {name} {UNWATCHED[name]}; give it one of thresholds")


def _refuse_unscored(key: str, chosen: PerformanceSettings, said: ReferencePerformance | None) -> None:
    """Raise ConfigError where a metric of scores of classes is to be held against a reference that was fitted without any."""
    for name in chosen.watch or ():
        if said is not None and (why := unscored(name, said)) is not None:
            raise ConfigError(
                f"{key}: {name} is not known of the reference, which {why} (--scores, or --config and topics.fields.scores), "
                "or give it one of thresholds"
            )


def unscored(name: str, said: ReferencePerformance) -> str | None:
    """Why a metric of scores of classes is not known of a reference, with what to do; None where it is, and of other metrics."""
    if said.task != MULTICLASS or name not in map(TOP, TOPS):
        return None
    found = said.total.metrics(names=[name]).get(name)
    if found is None:
        return f"has {len(said.classes)} classes, too few for it: fit it with rows of more, and their scores"
    return "has no scores of classes: fit it with them" if isinstance(found, Unavailable) else None


def _labels_of(
    key: str, chosen: PerformanceSettings, truth: Truth, reference: Reference
) -> ReferencePerformance | None:
    """The labels of a reference, counted as the model's are; None where it has none of this kind. Raises ConfigError where they are asked for."""
    try:
        return labels_as(truth, reference)
    except ValueError as error:
        if chosen.watch:
            raise ConfigError(f"{key}: {error}") from None
        return None


def labels_as(truth: Truth, reference: Reference) -> ReferencePerformance:
    """The labels of a reference, counted as the model's are. Raises ValueError, with what there is instead."""
    said = reference.performance
    if said is None:
        raise ValueError("the reference has no labels; fit it with --label")
    if said.task != truth.task:
        raise ValueError(f"the reference has labels of task {said.task}, not {truth.task}; fit it with --label")
    if said.weighted and not truth.weighted:
        raise ValueError(
            "the reference's labels have weights, and no topics.fields.weight says where live ones have theirs"
        )
    if because := other_labels(said, truth):
        raise ValueError(because)
    return said.at(truth.threshold) if truth.task == BINARY else said


def watching(chosen: PerformanceSettings, truth: Truth) -> Sequence[str]:
    """The metrics that are held against the reference's."""
    if chosen.watch is not None:
        return chosen.watch
    return [name for name in chosen.metrics or WATCHED[truth.task] if name not in UNWATCHED]


def _known(
    said: ReferencePerformance, chosen: PerformanceSettings, truth: Truth, window: int, expected: EstimateSpec | None
) -> tuple[dict[str, MetricReference], dict[str, DifferenceReference]]:
    """What the reference says of each metric that is asked for, and of its difference from what is expected where it is watched."""
    watched = watching(chosen, truth)
    asked = dict.fromkeys((*watched, *chosen.thresholds))
    if isinstance(said.total, RegressionCounts) and said.total.task.quantile != truth.quantile:
        asked.pop(QUANTILE_LOSS, None)  # the reference's is of another quantile
    if not asked:
        return {}, {}
    estimator = None if expected is None else expected.estimator
    windows = measured_windows(said, window, partial(measured, truth, names=asked), estimator)
    both = [(found, estimated) for found, estimated in windows if estimated is not None]
    better_large = [name for name in watched if name not in LOSSES]
    known = metric_references([found for found, _ in windows], list(asked), weighted=said.total.task.weighted)
    return known, difference_references(both, better_large)


def _sides(name: str) -> Sequence[bool]:
    """Whether a metric is wrong where it is small, or large, or either."""
    return (True, False) if name in BOTH_WAYS else (name not in LOSSES,)


def _by_threshold(
    name: str, bound: MetricBound, threshold: MetricThresholdSettings, known: MetricReference | None
) -> MetricJudge:
    """What windows vary beyond their rows counts here too, where the reference knows it."""
    if known is not None:
        bound = replace(bound, spread=known.variation.lasting, usual_error=known.error)
    return MetricJudge(
        metric=name,
        source=JudgedBy.THRESHOLD,
        bound=bound,
        arl=TO_SHOW,
        hold=threshold.hold,
        keep_firing_for=threshold.keep_firing_for,
        severity=Severity(threshold.severity),
    )


def _by_chart(name: str, known: MetricReference, at_least: bool) -> MetricJudge:  # noqa: FBT001 - a side
    return MetricJudge(
        metric=name,
        source=JudgedBy.CHART,
        bound=known.bound(at_least=at_least),
        arl=TO_SHOW,
        keep_firing_for=QUIET,
        severity=None,
        usual=known.value,
        notable=notable(name, known),
    )


def notable(name: str, known: MetricReference) -> float:
    """By how much a metric must be worse than in the reference to be critical, in its own unit.

    A share or an area by two points. A loss by a tenth of what it is; bias, which may be none, by a tenth of a row's error; money, which may be none
    too, by a fiftieth of that at least. R² by a tenth of what it leaves unexplained.
    """
    if name == "bias":
        return NOTABLE_RISE * known.unit
    if name in {"r2", R2_REFERENCE}:
        return NOTABLE_RISE * (1 - known.value)
    if name in LOSSES:
        return max(NOTABLE_RISE * abs(known.value), NOTABLE_ERROR * known.unit)
    return NOTABLE_POINTS


def _by_bets(name: str, known: MetricReference, loss: float, arl: float) -> MetricJudge:
    limit = known.bets(loss, arl).limit
    at_least = name not in LOSSES
    bound = replace(known.bound(at_least=at_least), value=1 - limit if at_least else limit)
    return MetricJudge(
        metric=name,
        source=JudgedBy.BETS,
        bound=bound,
        arl=arl,
        keep_firing_for=QUIET,
        severity=None,
        usual=known.value,
        notable=notable(name, known),
    )


def _by_difference(name: str, known: DifferenceReference) -> MetricJudge:
    return MetricJudge(
        metric=name,
        source=JudgedBy.DIFFERENCE,
        bound=known.bound(),
        arl=TO_SHOW,
        keep_firing_for=QUIET,
        severity=None,
        usual=0.0,
        notable=NOTABLE_POINTS,
        shared=known.shared,
    )


def _thresholds(key: str, chosen: PerformanceSettings, truth: Truth) -> list[tuple[str, MetricBound]]:
    """The bounds of all thresholds, by metric: two of one that is wrong both ways. Raises ConfigError."""
    found = []
    for name, threshold in chosen.thresholds.items():
        bound = _bound(f"{key}.{name}", name, threshold, truth)
        found += [(name, bound)]
        if name in BOTH_WAYS:
            found += [(name, MetricBound(-bound.value, at_least=True))]
    return found


def _bound(key: str, name: str, threshold: MetricThresholdSettings, truth: Truth) -> MetricBound:
    """The bound of a threshold. Raises ConfigError for one that this metric cannot have."""
    if name not in truth.known:
        raise ConfigError(f"{key}: is no metric of task {truth.task}; there is {', '.join(truth.known)}")
    wanted, other = ("at_most", "at_least") if name in LOSSES else ("at_least", "at_most")
    limit = getattr(threshold, wanted)
    if limit is None:
        better = "smaller" if name in LOSSES else "larger"
        raise ConfigError(f"{key}.{other}: {better} is better; give {wanted}")
    low, high = LOSSES_WITHIN.get(name, (0.0, float("inf"))) if name in LOSSES else WITHIN.get(name, (0.0, 1.0))
    if not low < limit < high:
        raise ConfigError(f"{key}.{wanted}: {limit:g} must be {_between(low, high)}")
    return MetricBound(limit, at_least=name not in LOSSES)


def _between(low: float, high: float) -> str:
    if high == float("inf"):
        return f"above {low:g}"
    return f"below {high:g}" if low == float("-inf") else f"between {low:g} and {high:g}"
