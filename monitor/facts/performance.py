"""What a model was worth, of the predictions whose labels are in, and what became of labels."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.stream.events import Nanos, SeriesKey

DELAY_BOUNDS = (60, 600, 3600, 6 * 3600, 12 * 3600, *(86_400 * days for days in (1, 2, 3, 7, 14, 30, 90)))
"""Upper bounds of label delays, seconds; one more counts what is beyond."""


@dataclass(frozen=True, slots=True)
class MetricTold:
    """A metric of a window: a value with its interval, or the reason why there is none. `bounds` hold what binned scores leave open.

    `over_missing` is between what the value lies once the missing labels are in, whatever they are; None where that is not known.
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    rows: int
    because: str | None = None
    bounds: tuple[float, float] | None = None
    over_missing: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class PerformanceDifference:
    """What a metric was worth by labels, less what it was expected to be by predictions alone, with its 95 % interval."""

    name: str
    value: float
    lower: float
    upper: float

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval is all on one side of 0."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """How many predictions of a class, or within a range of numbers, there were, and how many of them have a label."""

    name: str
    predictions: int
    labelled: int


@dataclass(frozen=True, slots=True)
class CoverageTest:
    """Whether labels come at random: how likely it is by chance that coverage differs so between classes, and whose differs most."""

    pvalue: float
    level: float
    name: str

    @property
    def beyond_chance(self) -> bool:
        """Whether coverage differs beyond chance: selection bias."""
        return self.pvalue <= self.level


@dataclass(frozen=True, slots=True)
class ClassTold:
    """The metrics of one class against the rest, and how many labels say it."""

    name: str
    labels: int
    metrics: tuple[MetricTold, ...]


@dataclass(frozen=True, slots=True)
class ReliabilityTold:
    """The labelled predictions with a score in (above, upto]: their mean score, and the share of positives with its interval."""

    above: float
    upto: float
    rows: int
    predicted: float
    observed: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class PerformanceJudged:
    """What predictions of [start, end) were worth by the labels that had come by an age: of each pane, so long after its end.

    `final`: no later age is judged. `sampling` is the share of ids that are kept; `predictions` and `labelled` are of those.
    `left_out` are labelled predictions that could not be counted, by reason. Delays are seconds from prediction to label.
    `estimated` are metrics of the same labelled rows by their predictions and the reference's labels alone: where a realised one lies
    outside their interval, labels follow predictions no longer as in the reference, beyond chance.
    `frozen`: predictions stood still in it, or in part of it, so it says nothing of the model: it is shown, and judged by nobody.
    """

    key: SeriesKey
    start: Nanos
    end: Nanos
    age: Nanos
    final: bool
    task: str
    predictions: int
    labelled: int
    sampling: float
    metrics: tuple[MetricTold, ...]
    classes: tuple[ClassCoverage, ...] = ()
    delay_median: float | None = None
    delay_most: float | None = None  # nine of ten came sooner
    left_out: Mapping[str, int] = field(default_factory=dict)
    estimated: tuple[MetricTold, ...] = ()
    coverage_test: CoverageTest | None = None  # None: nothing to compare
    by_class: tuple[ClassTold, ...] = ()
    reliability: tuple[ReliabilityTold, ...] = ()
    no_positive: bool = False  # there are labels, and none so far was the positive one
    frozen: bool = False

    @property
    def differences(self) -> Iterator[PerformanceDifference]:
        """What was realised less what was estimated, of each metric that has both."""
        for estimated in self.estimated:
            realised = self.metric(estimated.name)
            if realised is None or realised.value is None or estimated.value is None:
                continue
            if estimated.lower is not None and estimated.upper is not None:
                apart = realised.value - estimated.value
                yield PerformanceDifference(
                    estimated.name, apart, realised.value - estimated.upper, realised.value - estimated.lower
                )

    @property
    def coverage(self) -> float:
        """Share of the predictions whose label is in."""
        return self.labelled / self.predictions

    def metric(self, name: str) -> MetricTold | None:
        """One of the metrics."""
        return next((each for each in self.metrics if each.name == name), None)


@dataclass(frozen=True, slots=True)
class PerformanceEstimated:
    """What predictions of [start, end) are worth if labels follow them as in the reference: nobody has looked at labels of them.

    `rows` are predictions with a value; `outside` is the share of them unlike any labelled row of the reference.
    """

    key: SeriesKey
    start: Nanos
    end: Nanos
    task: str
    rows: int
    outside: float
    metrics: tuple[MetricTold, ...]

    def metric(self, name: str) -> MetricTold | None:
        """One of the metrics."""
        return next((each for each in self.metrics if each.name == name), None)


@dataclass(frozen=True, slots=True)
class JoinCounted:
    """Predictions and labels that came to be joined, by what became of them. `received` and `ok` are all that came, also where ids are sampled."""

    key: SeriesKey
    side: str  # prediction or label
    outcomes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class LabelDelays:
    """How long labels took from prediction to label: counts by `DELAY_BOUNDS` and one more, and their sum in seconds."""

    key: SeriesKey
    counts: tuple[int, ...]
    seconds: float

    def plus(self, other: "LabelDelays") -> "LabelDelays":
        """Those of both."""
        counts = tuple(one + two for one, two in zip(self.counts, other.counts, strict=True))
        return LabelDelays(self.key, counts, self.seconds + other.seconds)
