"""Performance without labels: what a window of scores is worth, if a score means what it meant in the reference.

Confidence-based performance estimation (Kivimäki et al., Confidence-based estimators for predictive performance in model
monitoring, JAIR 82, 2025; NannyML's CBPE). A row of the window in cell s is positive with chance p(s), learnt from labelled rows of the
reference. With m(s) rows of the window, m·p positives and m·(1 − p) negatives are expected, and every metric is that of those.

Two things make the realised metric another one. Labels fall by chance: Σ m·p·(1 − p)·d², with d what a metric gains when a row of s turns
from negative to positive. And p is of few rows: Σ p·(1 − p)/n·(Σ m·d)² over the blocks of n rows that share a p. Nothing here knows
whether labels now follow another law (concept drift), nor scores that the reference did not have: their share is told.

Of a cell without a labelled row p lies between that of the labelled cells on its two sides, as chances never fall; beyond the last one up to 1, and
before the first one down to 0. What that leaves open of a metric, Σ m·(upper − lower)·|d|, its interval reaches further by; where it is much there is no
estimate. Nor is there one by the threshold where too many rows are in a cell that it cuts, and on which side they are is not known.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline
from detectors.encoding import PREDICTION
from detectors.features import Bools, Floats, Ints, NumericFeature
from detectors.performance.binary import BinaryCounts
from detectors.performance.confusion import NO_PREDICTED, PER, CostMatrix
from detectors.performance.counts import column
from detectors.performance.curves import area_and_slope, precision_and_slope
from detectors.performance.intervals import fisher, logit_or_wilson, normal_quantile
from detectors.performance.measured import Interval, Measured, Metric, Unavailable
from detectors.performance.metrics import MOST_OPEN, EstimatedPerformance, Metrics, Shared, lopsided, uncovered
from detectors.sketches import Sketch

PRIOR: Final = 1.0  # rows by which a chance leans on the score itself
MOST_UNSIDED: Final = (
    0.1  # of a window's rows, that may be on either side of the threshold: half of them are counted wrongly at most
)
FEW: Final = 3  # rows that come to be in a cell by chance


Sloped = tuple[
    float, float, float
]  # a metric, and what it gains when a row below, and one above the threshold turns positive
CURVES: Final = ("auroc", "average_precision")
LIMITS: Final = {"mcc": (-1.0, 1.0), "cost_per_1000": (-math.inf, math.inf)}
Estimate = tuple[
    float, float, float, float, float
]  # its standard error, how far off it may be for want of labelled rows, what of the error is that of the chances, and how skewed the rest is
Found = tuple[Metrics, Mapping[str, Shared], Mapping[str, float]]
RATIOS: Final = ("accuracy", "balanced_accuracy", "precision", "recall", "f1", "specificity", "mcc")


def ratios(tn: float, fp: float, fn: float, tp: float) -> dict[str, Sloped]:
    """Return the metrics of a confusion, each with its slopes; both labels have rows, a metric without a value is left out.

    Below the threshold a true negative turns into a false negative, above it a false positive into a true one: what is
    predicted stays as it is.
    """
    positives, negatives, said, rows = tp + fn, tn + fp, tp + fp, tn + fp + fn + tp
    recall = tp / positives, -tp / positives**2, fn / positives**2
    specificity = tn / negatives, -fp / negatives**2, tn / negatives**2
    both = positives + said
    low, mid, high = ((one + two) / 2 for one, two in zip(recall, specificity, strict=True))
    found = {
        "accuracy": ((tp + tn) / rows, -1 / rows, 1 / rows),
        "balanced_accuracy": (low, mid, high),
        "recall": recall,
        "f1": (2 * tp / both, -2 * tp / both**2, 2 * (both - tp) / both**2),
        "specificity": specificity,
    }
    if said:
        found["precision"] = tp / said, 0.0, 1 / said
    if said and said < rows:
        spread = math.sqrt(said) * math.sqrt(positives) * math.sqrt(negatives) * math.sqrt(rows - said)
        matthews = (tp * tn - fp * fn) / spread
        lost = matthews * (1 / positives - 1 / negatives) / 2  # by the spread, which grows
        found["mcc"] = matthews, -said / spread - lost, (rows - said) / spread - lost
    return found


@dataclass(frozen=True, eq=False)
class ScoreEstimator:
    """What scores mean, by the cells that the prediction is counted on.

    `labelled` int64[2, cells, 2] are rows of the reference by label, cell (under, the bins, over) and side of the
    threshold: below it, or not. They add up.

    >>> from detectors import Reference
    >>> scores = np.arange(1, 100) / 100
    >>> reference = Reference.fit({"score": scores}, prediction="score")
    >>> estimator = ScoreEstimator.fit(reference, labels=scores > 0.3, scores=scores, threshold=0.5)
    >>> round(estimator.estimate([0.9, 0.4]).metrics["accuracy"].value, 1)
    0.5
    """

    feature: NumericFeature
    labelled: Ints
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.labelled.shape != (2, self.feature.usable, 2):
            raise ValueError(f"labelled rows must be of shape {(2, self.feature.usable, 2)}, not {self.labelled.shape}")
        if not self.feature.bins or not self.labelled.sum(axis=(1, 2)).all():
            raise ValueError(
                "an estimate needs rows of the reference with positive labels, and some with negative ones"
            )

    @classmethod
    def fit(cls, baseline: Baseline, labels: ArrayLike, scores: ArrayLike, threshold: float = 0.5) -> "ScoreEstimator":
        """Learn from labelled rows, those of the reference say: labels [n] of 1 and 0, scores [n]; rows without either are left out.

        Raises ValueError for a reference without a numeric prediction, and where only one label occurs.
        """
        feature = next((each for each in baseline.layout.numeric if each.name == PREDICTION), None)
        if feature is None:
            raise ValueError("the reference has no prediction that is a number: name its column by prediction=…")
        truth = column(labels, None, "labels")
        score = column(scores, truth.size, "scores")
        kept = np.isfinite(score) & ((truth == 0) | (truth == 1))
        positive, cells = truth[kept].astype(np.int64), np.searchsorted(feature.edges, score[kept], side="left")
        places = (positive * feature.usable + cells) * 2 + (score[kept] >= threshold)
        counts = np.bincount(places, minlength=4 * feature.usable)
        return cls(feature, counts.reshape(2, feature.usable, 2), threshold)

    @classmethod
    def of_counts(cls, counts: BinaryCounts) -> "ScoreEstimator":
        """Learn from counts of labelled scores, to tell what scores of the same task are worth.

        Raises ValueError where only one label occurs.
        """
        edges, threshold = counts.task.edges, counts.task.threshold
        above = np.append(edges, np.inf) >= threshold  # it is an edge, so a bin is wholly above or below
        rows = np.pad(counts.histogram.astype(np.int64), ((0, 0), (0, 1)))
        labelled = np.stack([np.where(above, 0, rows), np.where(above, rows, 0)], axis=2)
        return cls(NumericFeature(PREDICTION, edges.copy(), discrete=False), labelled, threshold)

    @cached_property
    def blocks(self) -> Ints:
        """Which block of equal chance each of the cells, cut at the threshold, is in, int64[2·cells]; empty ones go with those before."""
        from scipy import optimize

        rows = self.labelled.sum(axis=0).ravel()
        some = rows > 0
        shares = self.labelled[1].ravel()[some] / rows[some]
        fitted = optimize.isotonic_regression(shares, weights=rows[some]).x
        blocks = np.concatenate([[0], np.cumsum(np.diff(fitted) > 0)])
        return np.asarray(blocks[np.maximum(np.cumsum(some) - 1, 0)])

    @cached_property
    def learnt(self) -> tuple[Floats, Floats]:
        """The chance of a positive in each block, and its variance, float64[blocks].

        Chances never fall as scores rise (isotonic regression; Zadrozny and Elkan, KDD 2002). A block of few rows leans on the
        score itself, which counts as one row, so that no chance is 0 or 1 for want of rows.
        """
        positives, rows = (
            np.bincount(self.blocks, weights=part.ravel()) for part in (self.labelled[1], self.labelled.sum(axis=0))
        )
        scores = np.bincount(self.blocks, weights=self.labelled.sum(axis=0).ravel() * self._scores) / rows
        chances = (positives + PRIOR * scores) / (rows + PRIOR)
        return chances, chances * (1 - chances) / (rows + PRIOR)

    @cached_property
    def chances(self) -> Floats:
        """The chance of a positive in each cell, float64[2·cells]."""
        return np.asarray(self.learnt[0][self.blocks])

    @cached_property
    def parts(self) -> Ints:
        """The cells, cut at the threshold, that rows can be in, int64[k]: about half, for it cuts one."""
        return np.flatnonzero(self._shares)

    @cached_property
    def chances_of_parts(self) -> Floats:
        """The chance of a positive in each of these, float64[k]."""
        return np.asarray(self.chances[self.parts])

    @cached_property
    def sides(self) -> Floats:
        """Which side of the threshold each of these is on, as 0 and 1, float64[k, 2]."""
        return np.eye(2)[self.parts % 2]

    @cached_property
    def starts(self) -> Ints:
        """The first of these in each block, int64[blocks]."""
        return np.flatnonzero(np.diff(self.blocks[self.parts], prepend=-1))

    @cached_property
    def unseen(self) -> Bools:
        """Which cells the reference has no labelled row of, bool[cells]."""
        return np.asarray(self.labelled.sum(axis=(0, 2)) == 0)

    @cached_property
    def unlike(self) -> Ints:
        """Which parts are of these, places in `parts`."""
        return np.flatnonzero(self.unseen[self.parts // 2])

    @property
    def _scores(self) -> Floats:
        """About the score of each cell, cut, between 0 and 1."""
        edges = self.feature.edges
        middles = np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])
        return np.repeat(middles, 2).clip(0.001, 0.999)

    @cached_property
    def _shares(self) -> Floats:
        """Which share of a cell's rows lies on each side of the threshold, float64[cells, 2]; half where it cuts a cell without a labelled row."""
        rows = self.labelled.sum(axis=0)
        whole = rows.sum(axis=1, keepdims=True)
        above = np.append(-np.inf, self.feature.edges) >= np.nextafter(self.threshold, -np.inf)
        sides = np.where(self._cut[:, None], 0.5, np.stack([~above, above], axis=1))
        return np.where(whole > 0, rows / np.maximum(whole, 1), sides)

    @cached_property
    def _cut(self) -> Bools:
        """Which cell holds scores of both sides of the threshold, bool[cells]: one, or none."""
        lower, upper = np.append(-np.inf, self.feature.edges), np.append(self.feature.edges, np.inf)
        return np.asarray((lower < np.nextafter(self.threshold, -np.inf)) & (upper >= self.threshold))

    @cached_property
    def open(self) -> Floats:
        """By how much the chance of a positive may be another one for want of labelled rows, float64[k] of `parts`."""
        some = self.labelled.sum(axis=0).ravel() > 0
        chances, before = self.chances[some], np.cumsum(some)
        below, above = np.append(0.0, chances)[before], np.append(chances, 1.0)[before]
        return np.where(some, 0.0, np.maximum(above - below, 0.0))[self.parts]

    def unsided(self, cells: Ints) -> Floats:
        """How many rows of windows, int64[W, cells], may be on either side of the threshold, float64[W].

        In a cell that it cuts as many as in the reference are where those were, and twice as many; not all that come between scores that
        the reference has. A cell of one score alone has that one.
        """
        cut, share, few = self._sided
        there = cells[:, cut].sum(axis=1) - few
        return np.asarray(np.maximum(there - share * cells.sum(axis=1), 0.0))

    @cached_property
    def _sided(self) -> tuple[slice, float, float]:
        """The cell that the threshold cuts, if any, as a slice, and of how many rows of it the side is known: a share of all, and so many."""
        [places] = np.nonzero(self._cut)
        cut = slice(places[0], places[0] + 1) if places.size else slice(0, 0)
        labelled = self.labelled.sum(axis=(0, 2))
        if not labelled[cut].any():
            return cut, 0.0, 0.0
        return cut, 1.0 if self.feature.discrete else 2 * float(labelled[cut].sum() / labelled.sum()), float(FEW)

    def estimate(
        self, window: Sketch | BinaryCounts | ArrayLike, confidence: float = 0.95, costs: CostMatrix | None = None
    ) -> EstimatedPerformance:
        """Return what a window is worth, by its sketch, or by its scores [n]; missing ones are left out.

        Of an estimator `of_counts` also by counts of the same task: their labels are not looked at.
        """
        return self.estimate_each([window], confidence, costs)[0]

    def estimate_each(
        self,
        windows: Sequence[Sketch | BinaryCounts | ArrayLike],
        confidence: float = 0.95,
        costs: CostMatrix | None = None,
    ) -> list[EstimatedPerformance]:
        """Return what each of several windows is worth: so many at once take less time than one after the other."""
        names = [*RATIOS, *CURVES, *([] if costs is None else ["cost_per_1000"])]
        cells = np.array([self._cells(window) for window in windows]).reshape(-1, self.feature.usable)
        rows, outside = cells.sum(axis=1), cells[:, self.unseen].sum(axis=1)
        mass = cells[rows > 0][:, self.parts // 2] * self._shares.ravel()[self.parts]
        positive = mass * self.chances_of_parts
        expected = _Expectation(self, mass, np.stack([mass - positive, positive], axis=1), rows[rows > 0].tolist())
        unsided = self.unsided(cells[rows > 0]).tolist()
        found = zip(expected.metrics(unsided, confidence, costs), expected.open, strict=True)
        nothing: tuple[Found, float] = (Metrics(dict.fromkeys(names, Unavailable("no score"))), {}, {}), 0.0
        each = ((*(next(found) if many else nothing), many) for many in rows.tolist())
        return [
            EstimatedPerformance(metrics, many, unlike / max(many, 1), share, shared, skews)
            for ((metrics, shared, skews), share, many), unlike in zip(each, outside.tolist(), strict=True)
        ]

    def _cells(self, window: Sketch | BinaryCounts | ArrayLike) -> Ints:
        """Rows by cell: under, the bins, over."""
        if isinstance(window, BinaryCounts):
            return np.append(window.histogram.sum(axis=0), 0)
        if isinstance(window, Sketch):
            return window.row(self.feature.name)[: self.feature.usable]
        scores = column(window, None, "scores")
        cells = np.searchsorted(self.feature.edges, scores[np.isfinite(scores)], side="left")
        return np.bincount(cells, minlength=self.feature.usable)


@dataclass(frozen=True, eq=False)
class _Expectation:
    """The rows of W windows by cell, cut at the threshold (`parts`), [W, k], and what is expected of them, [W, negative or positive, k]."""

    by: "ScoreEstimator"
    mass: Floats
    expected: Floats
    rows: list[int]

    def metrics(self, unsided: list[float], confidence: float, costs: CostMatrix | None) -> list[Found]:
        """The metrics of each window, of which so many rows may be on either side of the threshold, and what is off in all windows."""
        confusions = (self.expected @ self.by.sides).reshape(-1, 4).tolist()
        spreads, opens = self._by_side.tolist(), (self._open_rows @ self.by.sides[self.by.unlike]).tolist()
        curves = {
            "auroc": self._of_curve(*area_and_slope(self.expected)),
            "average_precision": self._of_curve(*precision_and_slope(self.expected)),
        }
        found: list[Found] = []
        for at, rows in enumerate(self.rows):
            told = _of_sides(confusions[at], spreads[at], opens[at], costs)
            if unsided[at]:
                rarer = self._rarer[at]
                told = {name: _unsided(name, each, unsided[at], rows, rarer, costs) for name, each in told.items()}
            told |= {name: values[at] for name, values in curves.items()}
            open_share = self.open[at]
            metrics = {name: _measured(name, each, rows, open_share, confidence) for name, each in told.items()}
            shared = {name: Shared(each[3], each[2]) for name, each in told.items() if not isinstance(each, str)}
            skews = {name: each[4] for name, each in told.items() if not isinstance(each, str)}
            found.append((Metrics(metrics), shared, skews))
        return found

    @cached_property
    def open(self) -> list[float]:
        """Which share of the rows of each window may have either label."""
        shares: list[float] = (self._open_rows.sum(axis=1) / self.rows).tolist()
        return shares

    @cached_property
    def _rarer(self) -> list[float]:
        """How many rows of the rarer label are expected of each window."""
        rows: list[float] = self.expected.sum(axis=2).min(axis=1).tolist()
        return rows

    @cached_property
    def _open_rows(self) -> Floats:
        """How many rows of each cell without a labelled one may have either label, [W, unlike]."""
        return self.mass[:, self.by.unlike] * self.by.open[self.by.unlike]

    def _of_curve(self, values: Floats, slope: Floats) -> list[Estimate]:
        """The value of each window, its standard error, and what is left open: also how rows of a cell without a labelled one are ordered."""
        turned = slope[:, 1] - slope[:, 0]  # what is gained by a row that turns from negative to positive
        learnt = self._in_blocks(self.mass * turned) ** 2 @ self.by.learnt[1]
        chance, third = (
            (each * np.abs(turned) ** power).sum(axis=1) for each, power in ((self._chance, 2), (self._third, 3))
        )
        reach = (self._open_rows * np.abs(turned[:, self.by.unlike])).sum(axis=1) + self._unordered
        each = values, np.sqrt(chance + learnt), reach, np.sqrt(learnt), lopsided(third, chance)
        return list(zip(*(numbers.tolist() for numbers in each), strict=True))

    @cached_property
    def _unordered(self) -> Floats:
        """Half the share of pairs of a positive and a negative that are both in one cell without a labelled row, [W]."""
        pairs = self.expected[:, :, self.by.unlike].prod(axis=1).sum(axis=1)
        totals = self.expected.sum(axis=2)
        return np.asarray(pairs / (2 * totals[:, 0] * totals[:, 1]))

    @cached_property
    def _chance(self) -> Floats:
        """The variance of the number of positives in each cell, were chances known, [W, k]."""
        return np.asarray(self.expected[:, 1] * (1 - self.by.chances_of_parts))

    @cached_property
    def _third(self) -> Floats:
        """The third absolute moment of each row's label about its chance, added up, [W, k]."""
        return np.asarray(self._chance * (1 - 2 * self.by.chances_of_parts * (1 - self.by.chances_of_parts)))

    def _in_blocks(self, cells: Floats) -> Floats:
        """Sums over the cells of each block, [W, blocks]."""
        return np.asarray(np.add.reduceat(cells, self.by.starts, axis=1))

    @property
    def _by_side(self) -> Floats:
        """The variance of the number of positives below the threshold, its covariance with that above, and the variance above; what the chances have of each; and its third absolute moments on both sides, [W, 8]."""
        chance, variances = self._chance @ self.by.sides, self.by.learnt[1]
        third = self._third @ self.by.sides
        below, above = (self._in_blocks(self.mass * side) for side in self.by.sides.T)
        spreads = below**2 @ variances, (below * above) @ variances, above**2 @ variances
        both = spreads[0] + chance[:, 0], spreads[1], spreads[2] + chance[:, 1]
        return np.stack([*both, *spreads, *third.T], axis=1)


def _of_sides(
    confusion: list[float], spread: list[float], may_turn: list[float], costs: CostMatrix | None
) -> dict[str, Estimate | str]:
    """The metrics of an expected confusion, or why there is none: only the side of the threshold decides what is gained."""
    sloped = ratios(*confusion)
    why = NO_PREDICTED if "precision" not in sloped else "all predictions are of one class"
    if costs is not None:
        by_cell = (PER * costs.by_cell / sum(confusion)).ravel().tolist()
        money = sum(cost * rows for cost, rows in zip(by_cell, confusion, strict=True))
        sloped["cost_per_1000"] = money, by_cell[2] - by_cell[0], by_cell[3] - by_cell[1]
    return {
        name: _estimate(spread, may_turn, *sloped[name]) if name in sloped else why
        for name in (*RATIOS, *(["cost_per_1000"] if costs is not None else []))
    }


def _estimate(spread: list[float], may_turn: list[float], value: float, below: float, above: float) -> Estimate:
    error, learnt = (
        math.sqrt(max(0.0, low * below**2 + 2 * between * below * above + high * above**2))
        for low, between, high in (spread[:3], spread[3:6])
    )
    third = spread[6] * abs(below) ** 3 + spread[7] * abs(above) ** 3
    skew = float(lopsided(np.array(third), np.array(error**2 - learnt**2)))
    return value, error, may_turn[0] * abs(below) + may_turn[1] * abs(above), learnt, skew


def _unsided(
    name: str, found: Estimate | str, unsided: float, rows: int, rarer: float, costs: CostMatrix | None
) -> Estimate | str:
    """A metric by the threshold, of which so many rows may be on either side: half of them are counted on each."""
    if unsided > MOST_UNSIDED * rows:
        share = 100 * unsided / rows
        return f"{share:.3g} % of the scores may be on either side of the threshold: the reference has too few near it"
    if isinstance(found, str):
        return found
    value, error, reach, learnt, skew = found
    if name == "cost_per_1000" and costs is not None:
        return value, error, reach + unsided / 2 * PER * float(np.ptp(costs.by_cell)) / rows, learnt, skew
    return value, error, reach + unsided / 2 / (rows if name == "accuracy" else rarer), learnt, skew


def _measured(name: str, found: Estimate | str, rows: int, open_share: float, confidence: float) -> Metric:
    if isinstance(found, str):
        return Unavailable(found, rows)
    value, error, reach, *_ = found
    if open_share > MOST_OPEN:
        return Unavailable(uncovered(open_share), rows)
    low, high = _interval(name, value, error, rows, confidence)
    if not reach:
        return Measured(value, rows, error, (low, high))
    least, most = LIMITS.get(name, (0.0, 1.0))
    return Measured(value, rows, error, (max(least, low - reach), min(most, high + reach)))


def _interval(name: str, value: float, error: float, rows: int, confidence: float) -> Interval:
    if name == "cost_per_1000":
        reach = normal_quantile(confidence) * error
        return value - reach, value + reach
    if name == "mcc":
        return fisher(value, error, confidence)
    return logit_or_wilson(value, error, rows, confidence)
