"""A score for two classes and what came true: a histogram of scores by label, and exact sums of losses."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import product
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from detectors.columns import Column, as_codes, as_columns
from detectors.features import Bools, Floats, Ints
from detectors.performance import confusion as by_confusion
from detectors.performance.cells import NO_ROW
from detectors.performance.confusion import Confusion, CostMatrix
from detectors.performance.counts import Counts, column
from detectors.performance.curves import ScoreCells, auroc, average_precision
from detectors.performance.exact import as_float, exact_sums
from detectors.performance.means import LossSums, mean_metric
from detectors.performance.measured import Interval, Metric, Unavailable
from detectors.performance.metrics import Metrics, computed
from detectors.performance.reliability import Reliability, ReliabilityBin, calibration_error, reliability_table
from detectors.spellings import TRUTH, CategoryCodes, coded
from detectors.tables import columns_of

LEAST_CHANCE: Final = float(np.finfo(np.float64).eps)  # log loss takes no chance for smaller, as scikit-learn's
MOST_BINS: Final = 65_536
SHORT: Final = 6  # letters of a word that is a label in any small letters and capitals: 64 texts


@dataclass(frozen=True)
class BinaryTask:
    """How scores and labels of two classes are counted.

    A score of `threshold` or more is a positive prediction. Bins of scores are (a, b], narrower towards 0 and 1, as
    sin²; scores of up to so many `decimals` have a bin each, so that equal ones are known to be equal, and threshold and
    the edges of the reliability bins, which are equally wide, are edges too. Raises ValueError for a threshold that is
    not in (0, 1], for too few or too many bins, and for more than 4 decimals.
    """

    threshold: float = 0.5
    bins: int = 512
    decimals: int = 2
    reliability_bins: int = 10
    weighted: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1, not {self.threshold}")
        for name, least, most in (("bins", 2, MOST_BINS), ("decimals", 0, 4), ("reliability_bins", 1, MOST_BINS)):
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least} to {most}, not {getattr(self, name)}")

    @cached_property
    def edges(self) -> Floats:
        """The upper end of each bin, float64[B], from 0 to 1."""
        steps = np.sin(np.linspace(0, np.pi / 2, self.bins + 1)) ** 2
        alone = np.arange(10**self.decimals + 1) / 10**self.decimals
        ends = [self.reliability_edges, alone, np.nextafter([self.threshold, *alone], 0.0)]
        return np.unique(np.concatenate([steps, *ends]).clip(0.0, 1.0))

    @cached_property
    def reliability_edges(self) -> Floats:
        """Where reliability bins end, float64[R + 1]."""
        return np.linspace(0.0, 1.0, self.reliability_bins + 1)

    @cached_property
    def groups(self) -> Ints:
        """The reliability bin of each bin, int64[B]."""
        return np.searchsorted(self.reliability_edges[1:-1], self.edges, side="left").astype(np.int64)

    @cached_property
    def atoms(self) -> Bools:
        """Whether a bin can hold one score alone, bool[B]."""
        before = np.concatenate([[-1.0], self.edges[:-1]])
        return np.asarray((np.nextafter(before, 2.0) == self.edges) | (self.edges == 0))

    @property
    def cells(self) -> int:
        """Two labels by the bins."""
        return 2 * self.edges.size

    @property
    def sums(self) -> int:
        """By reliability bin Σw·score and Σw·b; then Σw²b², Σwl and Σw²l². With weights also Σw²b by bin, and Σw²l.

        Here b is (score − label)² and l the log loss.
        """
        return 2 * self.reliability_bins + 3 + (self.reliability_bins + 1 if self.weighted else 0)


def truths(values: ArrayLike, positive: str = "1", negative: str | None = None) -> Floats:
    """Return labels as `BinaryCounts` takes them, float64[n]: 1 where a label is the positive one, however spelled, else 0.

    NaN is a missing label. Where the negative one is named, 2 is any other, which is refused as unknown.

    >>> truths([True, "1", 1.0, 0, "false", None]).tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0, nan]
    >>> truths(["fraud", "fine", "maybe"], positive="fraud", negative="fine").tolist()
    [1.0, 0.0, 2.0]
    """
    return truths_of(as_columns(columns_of({"labels": values}))["labels"], positive, negative)


def truths_of(column: Column, positive: str, negative: str | None) -> Floats:
    """Return the same of a column."""
    labels = two_labels(positive, negative)
    meaning = [*labels.values(), 0.0 if negative is None else 2.0, np.nan]
    return np.array(meaning)[as_codes(column, CategoryCodes(tuple(labels)))]


def two_labels(positive: str, negative: str | None = None) -> dict[str, float]:
    """Return the texts that are one of two labels, and which, 1 or 0.

    A word is the same in small letters, in capitals, and with one in front or before each of its words; one of up to 6
    letters in any. Two that differ in this alone are each as they are written.

    >>> sorted(two_labels("ok", "No"))
    ['NO', 'No', 'OK', 'Ok', 'nO', 'no', 'oK', 'ok']
    >>> two_labels("A", "a"), two_labels("1")
    ({'A': 1.0, 'a': 0.0}, {'1': 1.0})
    >>> list(two_labels("charged off"))
    ['charged off', 'CHARGED OFF', 'Charged off', 'Charged Off']
    """
    own = {positive: 1.0} if negative is None else {positive: 1.0, negative: 0.0}
    if negative is not None and positive.casefold() == negative.casefold():
        return own
    return {**own, **{other: label for text, label in own.items() for other in _letters(text)}, **own}


def same_label(one: str | None, other: str | None) -> bool:
    """Return whether two labels are one, however spelled; None is none of them.

    >>> same_label("1", "true"), same_label("yes", "YES"), same_label("yes", "1"), same_label("0", None)
    (True, True, False, False)
    """
    if one is None or other is None:
        return False
    return other in coded(tuple(two_labels(one))) or one in coded(tuple(two_labels(other)))


def _letters(text: str) -> list[str]:
    """A word in small letters and capitals."""
    usual = [text.lower(), text.upper(), text.capitalize(), " ".join(word.capitalize() for word in text.split(" "))]
    if (
        len(text) <= SHORT and text.lower() not in TRUTH
    ):  # whose spellings are numbers too, as long as there are no others
        usual += map("".join, product(*((each.lower(), each.upper()) for each in text)))
    return list(dict.fromkeys(usual))


class BinaryCounts(Counts[BinaryTask]):
    """Labelled scores of one window (or pane), counted.

    Counts of labels and predictions, the confusion at every edge, Brier score and log loss are exact; areas under
    curves lie between bounds.

    >>> counts = BinaryCounts.empty(BinaryTask())
    >>> counts.update(labels=[1, 0, 1, 0], scores=[0.9, 0.2, 0.4, 0.6])
    >>> metrics = counts.metrics()
    >>> metrics["accuracy"].value, metrics["brier"].value
    (0.5, 0.1925)
    >>> counts.update(labels=[1, 2], scores=[1.7, 0.5])
    >>> counts.left_out
    {'label_unknown': 1, 'score_outside': 1}
    """

    REASONS = ("label_missing", "label_unknown", "score_missing", "score_outside", "weight_refused")
    __slots__ = ()

    def update(self, labels: ArrayLike, scores: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count a batch: labels [n] of 1 and 0 (or booleans), scores [n] between 0 and 1, weights [n] where the task has them.

        NaN is missing. A row that cannot be counted is left out, and counted under the first of `REASONS` that holds.
        Raises ValueError for columns of different lengths and for what is no column of numbers, and then counts nothing.
        """
        truth = column(labels, None, "labels")
        score = column(scores, truth.size, "scores")
        weight, usable = self._weighed(weights, truth.size)
        missing, unscored = np.isnan(truth), np.isnan(score)
        unknown = ~missing & (truth != 0) & (truth != 1)
        outside = ~unscored & ((score < 0) | (score > 1))
        kept = self._refuse([missing, unknown, unscored, outside, ~usable])
        self._take(truth[kept], score[kept], None if weight is None else weight[kept])

    def _take(self, labels: Floats, scores: Floats, weights: Floats | None) -> None:
        places = np.searchsorted(self.task.edges, scores, side="left")
        self._count(places + labels.astype(np.int64) * self.task.edges.size, weights)
        weight = np.ones_like(scores) if weights is None else weights
        bins, group = self.task.reliability_bins, self.task.groups[places]
        squared = (scores - labels) ** 2
        loss = -np.log(np.clip(np.where(labels == 1, scores, 1 - scores), LEAST_CHANCE, 1 - LEAST_CHANCE))
        columns = [weight * scores, weight * squared, (weight * squared) ** 2, weight * loss, (weight * loss) ** 2]
        groups = [group, group + bins, *(np.full_like(group, 2 * bins + at) for at in range(3))]
        if weights is not None:
            columns += [weight**2 * squared, weight**2 * loss]
            groups += [group + 2 * bins + 3, np.full_like(group, 3 * bins + 3)]
        self._sum(exact_sums(np.concatenate(columns), np.concatenate(groups), self.task.sums))

    @property
    def histogram(self) -> Ints:
        """Rows by label (negative, positive) and bin of scores, int64[2, B]."""
        return self._counted.rows.reshape(2, -1)

    def confusion(self, threshold: float | None = None) -> Confusion:
        """Return rows by label and prediction at the operating threshold, or at another one that bins are cut at.

        Raises ValueError for a threshold inside a bin: what lies on its two sides is not known. Those that are edges are
        the operating threshold and the doubles just above `task.edges`.
        """
        asked = self.task.threshold if threshold is None else threshold
        edges = self.task.edges
        at = int(np.searchsorted(edges, np.nextafter(asked, 0.0), side="left"))
        if not 0 < asked <= 1 or edges[at] != np.nextafter(asked, 0.0):
            raise ValueError(
                f"threshold {asked} lies inside a bin of scores; the operating one is {self.task.threshold}"
            )
        return Confusion(*self._scores().through(lambda part: _split(part, at + 1)))

    def metrics(
        self, confidence: float = 0.95, costs: CostMatrix | None = None, names: Collection[str] | None = None
    ) -> Metrics:
        """Return every metric by its name, or those of `names` alone; one that cannot be computed with the reason.

        `costs` adds `cost_per_1000`: money, by 1 000 predictions.
        """
        cells = self.confusion()
        found: dict[str, Callable[[], Metric]] = {
            **{name: partial(measure, cells, confidence) for name, measure in by_confusion.MEASURES.items()},
            "log_loss": lambda: mean_metric(self._log_loss(), confidence, NO_ROW, 0.0),
            "brier": lambda: mean_metric(self._brier(), confidence, NO_ROW, 0.0),
            "calibration_error": lambda: calibration_error(self._reliability(), confidence),
            "auroc": lambda: auroc(self._scores(), confidence),
            "average_precision": lambda: average_precision(self._scores(), confidence),
        }
        if costs is not None:
            found["cost_per_1000"] = partial(by_confusion.money, cells, costs, confidence)
        return computed(found, names, there=cells.total > 0)

    def bounds_over_missing(
        self, negative: int, positive: int, costs: CostMatrix | None = None
    ) -> dict[str, Interval | Unavailable]:
        """Return between what each metric lies once the labels of so many negative and positive predictions have come.

        Labels that come late seldom come at random: where those of one class come first, metrics of what is there are
        off, and no count of rows says so. These bounds hold whatever the missing labels are, of weight 1. Of log loss, Brier,
        calibration and areas there are none: they depend on the scores whose labels are missing.
        """
        return by_confusion.bounds_over_missing(self.confusion(), negative, positive, costs)

    def reliability(self, confidence: float = 0.95) -> list[ReliabilityBin]:
        """Return the reliability diagram as a table: the bins that hold rows."""
        return reliability_table(self._reliability(), confidence)

    def _scores(self) -> ScoreCells:
        cells = self._counted.through(lambda part: part.reshape(2, -1))
        return ScoreCells(*cells, self.task.atoms, self.task.weighted)

    def _reliability(self) -> Reliability:
        bins = self.task.reliability_bins
        starts = np.searchsorted(self.task.groups, np.arange(bins))
        cells = self._scores().through(lambda part: np.add.reduceat(part, starts, axis=1))
        scores, errors = (
            np.array([as_float(one) for one in part]) for part in (self.sums[:bins], self._squared_errors())
        )
        return Reliability(*cells, self.task.reliability_edges, scores, errors)

    def _squared_errors(self) -> list[int]:
        """Σw²b by reliability bin."""
        bins = self.task.reliability_bins
        return self.sums[2 * bins + 3 : 3 * bins + 3] if self.task.weighted else self.sums[bins : 2 * bins]

    def _brier(self) -> LossSums:
        bins = self.task.reliability_bins
        return LossSums.of(
            self._counted, sum(self.sums[bins : 2 * bins]), sum(self._squared_errors()), self.sums[2 * bins]
        )

    def _log_loss(self) -> LossSums:
        loss, squared = self.sums[2 * self.task.reliability_bins + 1 :][:2]
        return LossSums.of(self._counted, loss, self.sums[-1] if self.task.weighted else loss, squared)


def _split(cells: NDArray[Any], at: int) -> NDArray[Any]:
    """Sums of the bins below `at`, and of the others, [2, 2]."""
    return np.stack([cells[:, :at].sum(axis=1), cells[:, at:].sum(axis=1)], axis=1)
