"""A predicted number and what came true: exact sums of errors and of labels."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.features import Bools, Floats
from detectors.performance.cells import NO_ROW, WeighedCells
from detectors.performance.counts import Counts, column
from detectors.performance.exact import as_fraction, exact_columns
from detectors.performance.intervals import normal_quantile
from detectors.performance.means import LossSums, mean_metric
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import Metrics, computed

MOST: Final = 1e70  # of labels and predictions: sums of fourth powers of what is larger are no doubles
ZERO: Final = 1e-70  # labels up to this are zero to a percentage
LEAST_SPREAD: Final = (
    1e-9  # of labels about their mean, beside that about the centre: with weights less is lost in rounding
)
CLEAR_SPREAD: Final = 1e-7  # likewise, for the standard error of R², which asks for fourth powers
SPLIT: Final = 2.0**27 + 1  # halves a double (Dekker, Numerische Mathematik 18, 1971)
LOSSES: Final = ("bias", "square", "absolute", "percentage", "symmetric", "quantile")
NAMES: Final = ("bias", "mae", "rmse", "mape", "smape", "quantile_loss", "r2", "r2_reference")
LABELS: Final = 4 + 6  # sums that R² asks for


@dataclass(frozen=True)
class RegressionTask:
    """How numbers and labels are counted.

    `quantile` is that of the quantile loss; a model of the mean or median has 0.5. `reference_mean` is the mean label of
    the reference, which R² against the reference is measured from; None where it is not known. Raises ValueError for a
    quantile that is not between 0 and 1, and for a mean that is no finite number.
    """

    quantile: float = 0.5
    reference_mean: float | None = None
    weighted: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.quantile < 1:
            raise ValueError(f"quantile must be between 0 and 1, not {self.quantile}")
        if not abs(self.centre) <= MOST:
            raise ValueError(f"reference_mean must be a finite number, not {self.reference_mean}")

    @property
    def centre(self) -> float:
        """What labels are counted from."""
        return 0.0 if self.reference_mean is None else self.reference_mean

    @property
    def cells(self) -> int:
        """Rows with a label of zero, and others."""
        return 2

    @property
    def sums(self) -> int:
        """Σwl and Σw²l² of each loss; of labels, and of their products with squared errors; with weights Σw²l of each loss."""
        return 2 * len(LOSSES) + LABELS + (len(LOSSES) if self.weighted else 0)


class RegressionCounts(Counts[RegressionTask]):
    """Predicted numbers and labels of one window (or pane), counted. All is exact.

    >>> counts = RegressionCounts.empty(RegressionTask())
    >>> counts.update(labels=[3.0, 0.0, 2.0], predictions=[2.5, 0.5, 2.0])
    >>> metrics = counts.metrics()
    >>> metrics["mae"].value, metrics["mape"].rows, counts.zero_labels
    (0.3333333333333333, 2, 1)
    """

    REASONS = ("label_missing", "label_beyond", "prediction_missing", "prediction_beyond", "weight_refused")
    __slots__ = ()

    def update(self, labels: ArrayLike, predictions: ArrayLike, weights: ArrayLike | None = None) -> None:
        """Count a batch: labels [n], predictions [n], weights [n] where the task has them; NaN is missing.

        A row that cannot be counted is left out, and counted under the first of `REASONS` that holds; what is beyond
        ±1e70 is refused. Raises ValueError for columns of different lengths and for what is no column of numbers, and
        then counts nothing.
        """
        truth = column(labels, None, "labels")
        said = column(predictions, truth.size, "predictions")
        weight, usable = self._weighed(weights, truth.size)
        causes: list[Bools] = []
        for values in (truth, said):
            causes += [np.isnan(values), np.abs(values) > MOST]
        kept = self._refuse([*causes, ~usable])
        self._take(truth[kept], said[kept], None if weight is None else weight[kept])

    def _take(self, labels: Floats, predictions: Floats, weights: Floats | None) -> None:
        self._count((np.abs(labels) > ZERO).astype(np.int64), weights)
        weight = np.ones_like(labels) if weights is None else weights
        losses = self._losses(labels, predictions)
        columns = [weight * loss for loss in losses] + [(weight * loss) ** 2 for loss in losses]
        columns += _label_moments(labels - self.task.centre, losses[1], weight)
        columns += [] if weights is None else [weight**2 * loss for loss in losses]
        self._sum(exact_columns(columns))

    def _losses(self, labels: Floats, predictions: Floats) -> list[Floats]:
        errors = predictions - labels
        sizes, both = np.abs(errors), np.abs(labels) + np.abs(predictions)
        share = np.divide(sizes, np.abs(labels), out=np.zeros_like(sizes), where=np.abs(labels) > ZERO)
        symmetric = np.divide(2 * sizes, both, out=np.zeros_like(sizes), where=both > 0)
        quantile = np.where(errors < 0, self.task.quantile, 1 - self.task.quantile) * sizes
        return [errors, errors**2, sizes, share, symmetric, quantile]

    @property
    def zero_labels(self) -> int:
        """Rows with a label of zero, which no error is a percentage of: MAPE leaves them out."""
        return int(self._counted.rows[0])

    def metrics(self, confidence: float = 0.95, names: Collection[str] | None = None) -> Metrics:
        """Return every metric by its name, or those of `names` alone; one that cannot be computed with the reason.

        `mape` and `smape` are shares, not percent. `smape` is the mean of 2|e| / (|label| + |prediction|), 0 where both are 0.
        `r2` is against the mean of the very labels, `r2_reference` against that of the reference's: what of the labels'
        spread about it the model explains (Campbell and Thompson, Review of Financial Studies 21, 2008). Means have
        Student's interval; RMSE and R² the delta method's error and an interval that is normal on the scale of log
        RMSE and log (1 − R²). Give a `reference_mean` where labels lie far from zero, beside their spread: without it R² has
        no error.
        """
        means = {
            "bias": "bias",
            "mae": "absolute",
            "mape": "percentage",
            "smape": "symmetric",
            "quantile_loss": "quantile",
        }
        least = {name: -math.inf if name == "bias" else 0.0 for name in means}
        found: dict[str, Callable[[], Metric]] = {
            **{name: partial(self._mean, loss, confidence, least[name]) for name, loss in means.items()},
            "rmse": partial(self._root, confidence),
            "r2": partial(self._explained, confidence, own=True),
            "r2_reference": partial(self._explained, confidence, own=False),
        }
        return computed({name: found[name] for name in NAMES}, names, there=self._counted.total > 0)

    @property
    def label_mean(self) -> float | None:
        """The mean label, by weight; None without rows."""
        mass = self._loss("square").mass
        return float(as_fraction(self.sums[2 * len(LOSSES)]) / mass) + self.task.centre if mass else None

    def _loss(self, name: str) -> LossSums:
        at, many = LOSSES.index(name), len(LOSSES)
        cells = WeighedCells(*self._counted.through(lambda part: part[1:])) if name == "percentage" else self._counted
        return LossSums.of(
            cells, self.sums[at], self.sums[at - many if self.task.weighted else at], self.sums[at + many]
        )

    def _mean(self, name: str, confidence: float, least: float = -math.inf) -> Metric:
        nothing = "every label is 0" if name == "percentage" and self._counted.total else NO_ROW
        return mean_metric(self._loss(name), confidence, nothing, least)

    def _root(self, confidence: float) -> Metric:
        square = self._mean("square", confidence)
        if isinstance(square, Unavailable):
            return square
        value = math.sqrt(square.value)
        if not value or not square.standard_error:
            return Measured(value, square.rows, square.standard_error)
        error = square.standard_error / (2 * value)
        factor = math.exp(normal_quantile(confidence) * error / value)
        return Measured(value, square.rows, error, (value / factor, value * factor))

    def _explained(self, confidence: float, *, own: bool) -> Metric:
        """R², by S / T: the squared errors over the spread of labels about their own mean, or the reference's."""
        rows = self._counted.total
        if not own and self.task.reference_mean is None:
            return Unavailable("the reference has no labels", rows)
        squares = self._loss("square")
        mass = squares.mass
        if not mass:
            return Unavailable(NO_ROW, rows)
        labels = [as_fraction(one) for one in self.sums[2 * len(LOSSES) :][:LABELS]]
        about_centre = sum(labels[1:4])
        mean = labels[0] / mass if own else Fraction(0)
        spread = about_centre - (2 * labels[0] - mean * mass) * mean
        if spread <= about_centre * (LEAST_SPREAD if self.task.weighted else 0):
            return Unavailable("all labels are equal" if own else "all labels are the mean of the reference's", rows)
        left = as_fraction(squares.loss) / spread
        if left > MOST:
            return Unavailable("labels hardly differ, beside the errors", rows)
        clear = spread > about_centre * CLEAR_SPREAD
        error = _error_of_left(squares, labels[4:], mean, left, spread) if clear else None
        if rows < 2 or not left or not error:  # noqa: PLR2004 - one row has no spread
            return Measured(float(1 - left), rows, error)
        factor = math.exp(min(500.0, normal_quantile(confidence) * error / float(left)))
        return Measured(float(1 - left), rows, error, (1 - float(left) * factor, 1 - float(left) / factor))


def _error_of_left(
    errors: LossSums, moments: list[Fraction], mean: Fraction, left: Fraction, spread: Fraction
) -> float:
    """√Σw²(e² − left·d²)² / T, with d the distance of a label from the mean."""
    first, second, third, fourth, crossed, crossed_twice = moments
    both = crossed_twice - 2 * mean * crossed + mean**2 * as_fraction(errors.squared_weight_loss)
    fourths = fourth - 4 * mean * third + 6 * mean**2 * second - 4 * mean**3 * first + mean**4 * errors.squares
    variance = as_fraction(errors.squared_loss) - 2 * left * both + left**2 * fourths
    return math.sqrt(max(0.0, float(variance / spread**2)))


def _label_moments(labels: Floats, squares: Floats, weight: Floats) -> list[Floats]:
    """Columns of Σwz and, in three parts, Σwz², which is exact without weights; then Σw²z^k, k = 1..4, Σw²e²z and Σw²e²z²."""
    upper = labels * SPLIT - (labels * SPLIT - labels)
    lower = labels - upper
    parts = [labels, upper**2, 2 * upper * lower, lower**2]
    twice = weight**2
    powers = [twice * labels**k for k in range(1, 5)]
    return [*(weight * part for part in parts), *powers, twice * squares * labels, twice * squares * labels**2]
