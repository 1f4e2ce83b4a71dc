"""Versions of one model side by side: whether they see the same traffic, which drifts, which performs, and how sure that is."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from detectors.distribution.apart import Apart, apart
from detectors.features import Feature, Ints
from detectors.performance.versions import VersionDifference, WindowWorth, difference
from monitor.alerting.metrics import BOTH_WAYS, LOSSES
from monitor.explain.performance import digits_of, figure, spelled
from monitor.facts import PerformanceJudged
from monitor.runtime.board import Board, SeriesBoard
from monitor.sources.formats.fields import PREDICTION
from monitor.stream.events import Nanos, SeriesKey

LEAST_APART = 0.05  # a distance below says nothing that matters, however sure it is
SURE = 0.01  # the chance of a difference somewhere among all features, of one source
NAMED = 3  # features in a sentence
NOT_COMPARED = frozenset(
    {"calibration_error"}
)  # is larger the fewer rows a window has: of a split its smaller part looks worse


@dataclass(frozen=True, slots=True)
class FeatureApart:
    """A feature of two versions: how far their last windows are apart."""

    feature: str
    apart: Apart
    different: bool  # beyond chance, and by enough to matter


@dataclass(frozen=True, slots=True)
class MetricApart:
    """A metric of two versions. `better`: the version that is, beyond chance; None where none is, or nobody says which way is."""

    metric: str
    apart: VersionDifference
    better: str | None


@dataclass(frozen=True, slots=True)
class VersionsCompared:
    """A challenger beside the champion: by their last windows, and by the windows of both that were judged by labels."""

    champion: SeriesKey
    challenger: SeriesKey
    inputs: tuple[FeatureApart, ...]
    predictions: FeatureApart | None
    metrics: tuple[MetricApart, ...]
    same_time: bool  # whether the last windows are of the same time

    @property
    def different(self) -> tuple[FeatureApart, ...]:
        """The inputs that are not the same, the farthest apart first."""
        return tuple(each for each in self.inputs if each.different)

    @property
    def verdict(self) -> tuple[str, ...]:
        """What is to be said, a sentence each."""
        return tuple(sentences(self))


def versions_of(board: Board, model: str) -> list[SeriesKey]:
    """The versions of a model that are watched, as they are configured."""
    return [key for key in board.series if key.model == model]


def champion_of(board: Board, keys: Sequence[SeriesKey]) -> SeriesKey:
    """The version that others are compared with: the configured one, else the one that most rows went to."""
    named = board.champions.get(keys[0].model)
    return next((key for key in keys if key.version == named), max(keys, key=lambda key: board.rows_seen[key]))


def comparisons(board: Board, model: str) -> list[VersionsCompared]:
    """Each other version beside the champion; none where the model has one version."""
    keys = versions_of(board, model)
    if len(keys) < 2:  # noqa: PLR2004 - nothing to compare
        return []
    champion = champion_of(board, keys)
    return [compared(board, champion, key) for key in keys if key != champion]


def judged_beside(board: Board, model: str) -> Iterator[tuple[SeriesKey, tuple[MetricApart, ...]]]:
    """What each other version is worth beside the champion: quicker than all of the comparison."""
    keys = versions_of(board, model)
    champion = champion_of(board, keys) if keys else None
    for key in keys:
        if champion is not None and key != champion:
            yield key, metrics_apart(board, champion, key)


def compared(board: Board, champion: SeriesKey, challenger: SeriesKey) -> VersionsCompared:
    """Two versions."""
    one, two = board.series[champion], board.series[challenger]
    features = features_apart(one, two)
    times = {None if each.window is None else each.window.end for each in (one, two)}
    return VersionsCompared(
        champion,
        challenger,
        tuple(each for each in features if each.feature != PREDICTION),
        next((each for each in features if each.feature == PREDICTION), None),
        metrics_apart(board, champion, challenger),
        len(times) == 1 and None not in times,
    )


# --- the same traffic? ------------------------------------------------------------------------------------------------


def features_apart(one: SeriesBoard, two: SeriesBoard) -> list[FeatureApart]:
    """How far the last windows of two series are apart, in each feature that both have; the farthest first."""
    found = [
        (name, distance)
        for name in one.features
        if name in two.features and (distance := feature_apart(one, two, name)) is not None
    ]
    level = SURE / max(len(found), 1)
    told = [FeatureApart(name, each, each.value >= LEAST_APART and each.pvalue <= level) for name, each in found]
    return sorted(told, key=lambda each: (not each.different, -each.apart.value))


def feature_apart(one: SeriesBoard, two: SeriesBoard, name: str) -> Apart | None:
    """One feature; None where a window of either is not there."""
    first, second = feature_counts(one, name), feature_counts(two, name)
    return None if first is None or second is None else apart(*first, *second)


def feature_counts(series: SeriesBoard, name: str) -> tuple[Feature, Ints] | None:
    """A feature's cells and their counts in the last window; None without one."""
    if series.counts is None or name not in series.counts.layout.names:
        return None
    layout = series.counts.layout
    at = layout.names.index(name)
    first, last = layout.offsets[at : at + 2].tolist()
    return layout.features[at], series.counts.counts[first:last].astype(np.int64)


# --- which performs? --------------------------------------------------------------------------------------------------


def metrics_apart(board: Board, champion: SeriesKey, challenger: SeriesKey) -> tuple[MetricApart, ...]:
    """Each metric over the windows that were judged by labels for both; disjoint ones alone."""
    one, two = (by_end(board.worth.get(key, ())) for key in (champion, challenger))
    ends = disjoint(sorted(one.keys() & two.keys()), one)
    names = [each.name for each in one[ends[-1]].metrics if each.name not in NOT_COMPARED] if ends else []
    pairs = {name: paired(name, [one[end] for end in ends], [two[end] for end in ends]) for name in names}
    known = {name: windows for name, windows in pairs.items() if windows}
    found = []
    for name, windows in known.items():
        told = difference([each for each, _ in windows], [each for _, each in windows], tests=len(known))
        found.append(MetricApart(name, told, better_of(name, told, champion.version, challenger.version)))
    return tuple(found)


def by_end(windows: Sequence[PerformanceJudged]) -> Mapping[Nanos, PerformanceJudged]:
    """The windows that say something of the model, by their end."""
    return {each.end: each for each in windows if not each.frozen}


def disjoint(ends: Sequence[Nanos], windows: Mapping[Nanos, PerformanceJudged]) -> list[Nanos]:
    """The ends of windows that share no rows, the last ones."""
    found: list[Nanos] = []
    for end in reversed(ends):
        if not found or end <= windows[found[-1]].start:
            found.append(end)
    return found[::-1]


def paired(
    name: str, one: Sequence[PerformanceJudged], two: Sequence[PerformanceJudged]
) -> list[tuple[WindowWorth, WindowWorth]]:
    """A metric of those windows in which both have it."""
    both = [(metric_of(name, first), metric_of(name, second)) for first, second in zip(one, two, strict=True)]
    return [(first, second) for first, second in both if first is not None and second is not None]


def metric_of(name: str, judged: PerformanceJudged) -> WindowWorth | None:
    """A metric of a window; None without a value and its interval."""
    metric = judged.metric(name)
    if metric is None or metric.value is None or metric.lower is None or metric.upper is None:
        return None
    return WindowWorth(metric.value, metric.lower, metric.upper, metric.rows)


def better_of(name: str, told: VersionDifference, champion: str, challenger: str) -> str | None:
    """The version that is better, beyond chance."""
    if not told.beyond_chance or name in BOTH_WAYS:
        return None
    return challenger if (told.value > 0) != (name in LOSSES) else champion


# --- in words ---------------------------------------------------------------------------------------------------------


def sentences(compared: VersionsCompared) -> Iterator[str]:
    """What a comparison comes to: first whether it is fair."""
    one, two = compared.champion.version, compared.challenger.version
    if not compared.inputs:
        yield f"whether {one} and {two} see the same traffic cannot be told: no window of both has closed"
    elif compared.different:
        named = ", ".join(
            f"{each.feature} ({each.apart.measure} {each.apart.value:.2f})" for each in compared.different[:NAMED]
        )
        more = len(compared.different) - NAMED
        rest = f" and {more} more" if more > 0 else ""
        yield f"{one} and {two} see different traffic: {named}{rest}; what they are worth is not of the same rows"
    else:
        yield f"{one} and {two} see the same traffic, as far as {len(compared.inputs)} features tell"
    if compared.predictions is not None and compared.predictions.different:
        yield f"their predictions differ ({compared.predictions.apart.measure} {compared.predictions.apart.value:.2f})"
    if not compared.metrics:
        yield "which performs cannot be told: no window of both was judged by labels"
    yield from metric_sentences(compared)


def digits_told(each: MetricApart) -> int:
    """How many decimals a metric of two versions is written with, in the words and in the table: those of the narrower interval."""
    told = each.apart
    widths = [upper - lower for lower, upper in (told.first_interval, told.second_interval, told.interval)]
    digits = digits_of(told.first, min((width for width in widths if width > 0), default=0.0))
    nearest = min(abs(limit) for limit in told.interval)
    return max(digits, math.ceil(-math.log10(2 * nearest))) if told.beyond_chance else digits  # none reads as 0


def metric_sentences(compared: VersionsCompared) -> Iterator[str]:
    """Which version is better in what."""
    one, two = compared.champion.version, compared.challenger.version
    for each in compared.metrics:
        lower, upper = sorted(abs(limit) for limit in each.apart.interval)
        digits = digits_told(each)
        if each.better is not None:
            yield f"{each.better} is better in {spelled(each.metric)} by {figure(lower, digits)} to {figure(upper, digits)}"
    same = [spelled(each.metric) for each in compared.metrics if not each.apart.beyond_chance]
    if same:
        yield f"no difference of {one} and {two} can be told in {', '.join(same)}"
