"""What predictions are worth before labels come: expected from each closed window of features by the reference's labels.

It sees what other inputs do to a model, and not that they mean something else by now. So it is shown, and beside it what labels say.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from detectors import Reference, Sketch
from detectors.performance.binary import same_label
from detectors.reference.labelled import ReferencePerformance
from monitor.alerting.table import ScoreTable
from monitor.facts import Fact, MetricTold, PerformanceEstimated
from monitor.series.judged import costs_of
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.series.truth import BINARY, Truth, told
from monitor.stream.events import SeriesKey
from monitor.stream.windows import ClosedWindow

ESTIMATE: Final = "estimate"
FEWEST: Final = 30  # predictions of a window: below it normal intervals do not hold
NOT_ESTIMATED: Final = "not estimated without labels"


@dataclass(frozen=True, slots=True)
class EstimateSpec:
    """By what a series' performance is estimated: an estimator of the library, or why there is none; `truth` says which metrics are told."""

    truth: Truth
    estimator: Any = field(default=None, compare=False)
    because: str | None = None

    @property
    def fingerprint(self) -> str:
        """What an estimate that was saved must have been made under."""
        return msgspec.json.encode([self.truth.threshold, self.truth.metrics, self.truth.costs]).decode()

    def told(self, window: Any) -> tuple[tuple[MetricTold, ...], int, float]:
        """The metrics of a window, its predictions, and the share of them that are unlike any labelled one of the reference."""
        if self.because is not None:
            return self._nothing(self.because, 0), 0, 0.0
        costs = costs_of(self.truth)
        found = self.estimator.estimate(window) if costs is None else self.estimator.estimate(window, costs=costs)
        if found.rows < FEWEST:
            because = f"{found.rows} predictions, fewer than {FEWEST}"
            return self._nothing(because, found.rows), found.rows, found.outside
        return tuple(_metric(name, found) for name in self.truth.names), found.rows, found.outside

    def _nothing(self, because: str, rows: int) -> tuple[MetricTold, ...]:
        """Each metric absent, for one reason."""
        return tuple(MetricTold(name, None, None, None, rows, because) for name in self.truth.names)


def _metric(name: str, found: Any) -> MetricTold:
    if name not in found.metrics:
        return MetricTold(name, None, None, None, found.rows, NOT_ESTIMATED)
    return told(name, found.metrics[name])


@dataclass(frozen=True, slots=True)
class SavedEstimate:
    """The last estimate as saved."""

    fingerprint: str
    last: PerformanceEstimated


class Estimating(Operator[Sketch]):
    """The estimate of one series, as of its last closed window."""

    name = ESTIMATE
    kinds = (ESTIMATE,)

    def __init__(self, key: SeriesKey, spec: EstimateSpec) -> None:
        self.last: PerformanceEstimated | None = None
        self._key = key
        self._spec = spec
        self._changed = False

    def on_window(self, window: ClosedWindow[Sketch], scores: ScoreTable) -> list[Fact]:
        """Estimate a closed window by its predictions."""
        del scores
        metrics, rows, outside = self._spec.told(window.sketch)
        self.last = PerformanceEstimated(
            self._key, window.start, window.end, self._spec.truth.task, rows, outside, metrics
        )
        self._changed = True
        return [self.last]

    def current(self) -> list[Fact]:
        """The last estimate."""
        return [] if self.last is None else [self.last]

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The last estimate, if it changed."""
        changed, self._changed = self._changed, False
        return self.snapshot() if changed else []

    def snapshot(self) -> list[Entry]:
        """A row of the last estimate."""
        if self.last is None:
            return [Entry(ESTIMATE, None)]
        return [Entry(ESTIMATE, msgspec.msgpack.encode(SavedEstimate(self._spec.fingerprint, self.last)))]

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take up the last estimate, if it would be made in the same way today."""
        for entry in entries if alike else ():
            saved = msgspec.msgpack.decode(entry.held, type=SavedEstimate)
            if saved.fingerprint == self._spec.fingerprint:
                self.last = saved.last
        return []


def estimate_spec(reference: Reference, truth: Truth) -> EstimateSpec | None:
    """By what a model is estimated; None where its reference has no labels."""
    performance = reference.performance
    if performance is None:
        return None
    if truth.task != performance.task:
        because = f"labels of the reference are of task {performance.task}, the model is of {truth.task}"
        return EstimateSpec(truth, because=because)
    if (other := other_labels(performance, truth)) is not None:
        return EstimateSpec(truth, because=other)
    try:
        return EstimateSpec(truth, performance.estimator(truth.threshold))
    except ValueError as error:
        return EstimateSpec(truth, because=str(error))


def expectation(reference: Reference, truth: Truth) -> EstimateSpec | None:
    """By what rows whose labels are in are estimated from their predictions alone; None where that would not be of the same rows, or is not known."""
    performance = reference.performance
    if performance is None or truth.weighted or not _same_labels(performance, truth):
        return None
    try:
        estimator = performance.expectation(truth.threshold)
    except ValueError:
        return None
    return None if estimator is None else EstimateSpec(truth, estimator)


def other_labels(performance: ReferencePerformance, truth: Truth) -> str | None:
    """Why labels of a reference are not those of a model of two classes: another one is the positive, or the negative; None where they may be the same.

    Where either names no negative label, every other one is, which those that the other names may well be.
    """
    if truth.task != BINARY or performance.task != BINARY:
        return None
    negatives = performance.negative, truth.negative
    if same_label(performance.positive, truth.positive) and (None in negatives or same_label(*negatives)):
        return None
    theirs, ours = (_two_words(each.positive, each.negative) for each in (performance, truth))
    return f"labels of the reference are {theirs}, those of the model {ours} (labels.positive, labels.negative); fit the reference with these"


def _two_words(positive: str, negative: str | None) -> str:
    return f"positive {positive!r} and {'any other' if negative is None else f'negative {negative!r}'}"


def _same_labels(performance: ReferencePerformance, truth: Truth) -> bool:
    if truth.task != performance.task or other_labels(performance, truth) is not None:
        return False
    return bool(truth.task != "multiclass" or truth.classes == performance.classes)
