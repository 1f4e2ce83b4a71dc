"""Performance without labels of predicted classes: what a prediction of each class came to in the reference.

A row that is predicted as k has label j with chance p(j|k), learnt from labelled rows of the reference; so n(k) predictions give
n(k)·p(j|k) cells of an expected confusion, and every metric is that of those. What realised labels add is their own chance,
n(k)·Var(d), with d what a metric gains by a row of each label, and that of p, n(k)²/N(k)·Var(d), with N(k) labelled predictions of k.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline
from detectors.encoding import PREDICTION
from detectors.features import Floats, Ints
from detectors.performance.confusion import f1_and_slope
from detectors.performance.intervals import logit_or_wilson
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import MOST_OPEN, EstimatedPerformance, Metrics, Shared, lopsided, uncovered
from detectors.performance.multiclass import MulticlassCounts, MulticlassTask
from detectors.sketches import Sketch

PRIOR: Final = 1.0  # rows by which a class leans on the labels of all
NAMES: Final = ("accuracy", "macro_f1", "weighted_f1")


@dataclass(frozen=True, eq=False)
class ClassEstimator:
    """What predicted classes mean, by counts of the reference's labels.

    The classes that its prediction has come first in the task of `labelled`; those behind are of labels alone.

    >>> from detectors import Reference
    >>> said, labels = ["a"] * 100 + ["b"] * 100, ["a"] * 90 + ["b"] * 10 + ["a"] * 40 + ["b"] * 60
    >>> reference = Reference.fit({"class": said}, prediction="class")
    >>> estimator = ClassEstimator.fit(reference, labels, said)
    >>> round(estimator.estimate(["a"] * 30 + ["b"] * 10).metrics["accuracy"].value, 1)
    0.8
    """

    labelled: MulticlassCounts

    def __post_init__(self) -> None:
        if not self.labelled.confusion().total:
            raise ValueError("an estimate needs rows of the reference with a label and a predicted class")

    @classmethod
    def fit(cls, baseline: Baseline, labels: ArrayLike, predictions: ArrayLike) -> "ClassEstimator":
        """Learn from labelled rows: the classes are those of the prediction in the reference.

        Raises ValueError for a reference without a prediction that is a class, and where no row has a known label and class.
        """
        feature = next((each for each in baseline.layout.categorical if each.name == PREDICTION), None)
        if feature is None:
            raise ValueError("the reference has no prediction that is a class: name its column by prediction=…")
        task = MulticlassTask(feature.categories, top=())
        counts = MulticlassCounts.empty(task)
        counts.update(task.codes(labels), task.codes(predictions))
        return cls(counts)

    @cached_property
    def _confusion(self) -> Floats:
        return self.labelled.confusion().mass

    @cached_property
    def _chances(self) -> Floats:
        """The chance of each label (down) by predicted class (across), [K, K]."""
        common = self._confusion.sum(axis=1, keepdims=True) / self._confusion.sum()
        leaning = self._confusion + PRIOR * common
        return np.asarray(leaning / leaning.sum(axis=0))

    def estimate(self, window: Sketch | MulticlassCounts | ArrayLike, confidence: float = 0.95) -> EstimatedPerformance:
        """Return what a window is worth, by its sketch, or by its predicted classes [n]; missing and other ones are left out.

        Or by counts of the same classes: their labels are not looked at.
        """
        said, others = self._said(window)
        rows = int(said.sum())
        if not rows:
            return EstimatedPerformance(Metrics(dict.fromkeys(NAMES, Unavailable("no predicted class"))), 0, 0.0)
        unknown = int(said[self._confusion.sum(axis=0) == 0].sum()) + others
        share = (unknown - others) / rows
        if share > MOST_OPEN:
            nothing = dict.fromkeys(NAMES, Unavailable(uncovered(share), rows))
            return EstimatedPerformance(Metrics(nothing), rows, unknown / (rows + others), share)
        found = {name: self._metric(name, said, confidence) for name in NAMES}
        metrics = Metrics({name: metric for name, (metric, _, _) in found.items()})
        shared = {name: common for name, (_, common, _) in found.items()}
        skews = {name: skew for name, (_, _, skew) in found.items()}
        return EstimatedPerformance(metrics, rows, unknown / (rows + others), share, shared, skews)

    def estimate_each(
        self, windows: Sequence[Sketch | MulticlassCounts | ArrayLike], confidence: float = 0.95
    ) -> list[EstimatedPerformance]:
        """Return what each of several windows is worth."""
        return [self.estimate(window, confidence) for window in windows]

    def _said(self, window: Sketch | MulticlassCounts | ArrayLike) -> tuple[Ints, int]:
        """Predictions by class, and of other classes."""
        if isinstance(window, MulticlassCounts):
            return window.confusion().rows.sum(axis=0), 0
        many = len(self.labelled.task.classes)
        if isinstance(window, Sketch):
            counts = window.row(PREDICTION)[:-1]  # all but those that are missing
            known, others = counts[:-1], int(counts[-1])
            return np.pad(known, (0, many - known.size)), others
        counts = np.bincount(self.labelled.task.codes(window), minlength=many + 1)
        return counts[:many], int(counts[many])

    def _metric(self, name: str, said: Ints, confidence: float) -> tuple[Metric, Shared, float]:
        rows = int(said.sum())
        expected = self._chances * said
        if name == "accuracy":
            value, slope = float(np.trace(expected)) / rows, np.eye(said.size) / rows
        else:
            value, slope = f1_and_slope(expected, by_support=name == "weighted_f1")
        apart = np.abs(slope - (self._chances * slope).sum(axis=0))
        spread, third = ((self._chances * apart**power).sum(axis=0) for power in (2, 3))
        known = self._confusion.sum(axis=0) + PRIOR
        chance, learnt = ((each * spread).sum() for each in (said, said**2 / known))
        error = float(np.sqrt(chance + learnt))
        reach = self._reach(name, said)
        low, high = logit_or_wilson(value, error, rows, confidence)
        metric = Measured(value, rows, error, (max(0.0, low - reach), min(1.0, high + reach)))
        return metric, Shared(float(np.sqrt(learnt)), reach), float(lopsided((said * third).sum(), chance))

    def _reach(self, name: str, said: Ints) -> float:
        """How far off a metric may be, for predicted classes without a labelled row may come to anything."""
        unlike = (said > 0) & (self._confusion.sum(axis=0) == 0)
        of_rows = float(said[unlike].sum() / said.sum())
        return max(of_rows, float(unlike.mean())) if name == "macro_f1" else of_rows
