"""Population stability index over ten merged bins, beside the value that chance alone would give."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from detectors import special
from detectors.baseline import Baseline, CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.features import Bools, Floats, Ints
from detectors.layout import Cells, Layout
from detectors.protocols import DetailMetric, JudgedWindows, WindowDetector
from detectors.scores import LateColumns, Rest, ScoreColumns, largest
from detectors.sketches import Tally, TallyStack, sums
from detectors.univariate.homogeneity import NO_CELL, pearson
from detectors.univariate.laws import BINARY, LEAST, SURE, gamma_tail, limits_by_place, two_cells, usable_rows

NODES = 32  # places at which a cell's count is weighed


@dataclass(frozen=True, slots=True)
class Psi(WindowDetector):
    """Sum of (p - q) ln(p / q) over at most `bins` merged bins, of every feature.

    Numeric bins are merged at the edges nearest the baseline's quantiles, under and over with their neighbours; of the
    categories the nine commonest stand alone when there are more than ten; values outside them are one more bin when
    there are any. Shares are (count + 1/2) / (rows + bins / 2) on both sides (Jeffreys: an empty bin costs a little).
    Details hold `expected`, the mean of this value when nothing has changed, (B - 1)(1/n + 1/m)(1 + B/2n), and
    `debiased`, the rest but at least 0. The p-value is that of Pearson's X² on the same bins, which stays right for small
    windows where the chi-square law of the index itself does not.

    Args:
        bins: Merged bins of a feature at most. Raises ValueError for fewer than two.

    References:
        Yurdakul and Naranjo 2020, of the expectation; its second term by expansion.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"plan": ["free"] * 80 + ["pro"] * 20})
    >>> [score] = [s for s in reference.compare({"plan": ["free"] * 50 + ["pro"] * 50}) if s.detector == "psi"]
    >>> round(score.value, 3)
    0.406
    """

    bins: int = 10
    name: ClassVar[str] = "psi"
    help: ClassVar[str] = "over at most 10 merged bins, half a count added to each bin on both sides"
    metrics: ClassVar[Mapping[str, DetailMetric]] = {
        "expected": DetailMetric("expected", "Expected score if nothing had changed (psi)"),
        "debiased": DetailMetric("debiased", "Score less its expectation under no change, at least 0 (psi)"),
    }

    def __post_init__(self) -> None:
        if self.bins < BINARY:
            raise ValueError(f"bins is {self.bins}; an index needs at least two")

    def prepare(self, baseline: Baseline) -> "PsiScorer":
        """Merge the baseline's bins."""
        cuts, kept, runs, pool = [], [], [], []
        cells = position = 0
        features = baseline.features.values()
        for feature, offset in zip(features, baseline.layout.offsets.tolist(), strict=False):
            begins = self._begins(feature)
            cuts.append(offset + np.append(begins, feature.usable))
            kept.append(position + np.arange(begins.size))
            runs.append(cells + np.arange(begins.size))
            position += begins.size + 1
            cells += begins.size
            pool.append(cells - 1 if isinstance(feature, CategoricalBaseline) else NO_CELL)
        flat, chosen = np.concatenate(cuts), np.concatenate(kept)
        return PsiScorer(
            layout=baseline.layout,
            cuts=flat,
            kept=chosen,
            cells=Cells.of(runs),
            pool=np.array(pool, dtype=np.int64),
            counts=np.add.reduceat(baseline.counts, flat)[chosen],
            known=np.array([feature.count > 0 for feature in features], dtype=np.bool_),
        )

    def _begins(self, feature: FeatureBaseline) -> Ints:
        """Where the merged bins begin in the feature's row."""
        if isinstance(feature, CategoricalBaseline):  # the commonest, the rest, and other
            known = len(feature.categories)
            return np.array([*range(min(known, self.bins)), known], dtype=np.int64)
        return self._nearest_quantiles(feature)

    def _nearest_quantiles(self, feature: NumericBaseline) -> Ints:
        """At 0, then after the edges nearest the quantiles."""
        if feature.bins <= 1:
            return np.zeros(1, dtype=np.int64)
        total = np.cumsum(feature.counts[1 : feature.bins])  # rows up to each inner edge
        nearest = {int(np.argmin(np.abs(total * self.bins - feature.count * at))) for at in range(1, self.bins)}
        return np.array([0, *(edge + 2 for edge in sorted(nearest))], dtype=np.int64)

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a higher index: a gamma law by its first three moments, exact for two cells."""
        places, above = limits_by_place(baseline, limits)
        rows, known = usable_rows(baseline, places, windows)
        counts, owner, bins = self.prepare(baseline).held(places)
        shrunk = above / (1 + rows / np.maximum(known, 1))  # the baseline's own error widens the law by as much
        chances = np.zeros(places.size)
        rough = special.chdtrc(np.maximum(bins - 1, 1), shrunk * rows / 2)  # its first-order law, at half the limit
        judged = (rows > 0) & (bins >= BINARY) & (rough > SURE)
        several = judged & (bins > BINARY)
        if several.any():
            chosen, at = several[owner], np.cumsum(several) - 1
            moments = _moments(counts[chosen], at[owner][chosen], rows[several], known[several], bins[several])
            chances[several] = gamma_tail(shrunk[several], *moments)
        for each in np.flatnonzero(judged & (bins == BINARY)).tolist():
            share = float(counts[owner == each][0] / known[each])
            chances[each] = two_cells(share, rows[each], _index(share, rows[each], known[each]), shrunk[each])
        return chances


score = Psi().score


@dataclass(frozen=True, slots=True, eq=False)
class PsiScorer:
    """PSI against one baseline."""

    layout: Layout
    cuts: Ints  # where each merged bin begins in the flat counts; cells of missing values are runs of their own
    kept: Ints  # which of these runs are merged bins
    cells: Cells  # the merged bins by feature
    pool: Ints  # [f] the cell of values outside the categories
    counts: Ints  # [cells] of the baseline
    known: Bools  # [f] whether the baseline has usable rows

    def __call__(self, window: Tally, min_rows: int = 1) -> ScoreColumns:
        """Score a window."""
        return self.many(TallyStack([window]), min_rows)[0]

    def many(self, windows: TallyStack, min_rows: int = 1) -> list[ScoreColumns]:
        """Score windows."""
        self.layout.same_as(windows.layout)
        counts = sums.run_sums(windows.kept, self.cuts, self.kept)
        ratios, apart, expected = sums.shares(counts, self.counts, self.cells)
        values = np.add.reduceat(apart * np.log(ratios), self.cells.starts, axis=1)
        known = windows.enough(min_rows) & self.known
        return [  # merged, the counts are few enough to be kept
            LateColumns(Psi.name, self.layout.names, enough, rows, found, partial(self._rest, few, chance), most)
            for enough, rows, found, few, chance, most in zip(
                known, windows.usable, values, counts, expected, largest(values), strict=True
            )
        ]

    def _rest(self, counts: Ints, expected: Floats, found: ScoreColumns) -> Rest:
        values = found.values
        _, _, pvalues = pearson(counts, self.counts, self.cells, self.pool)
        return pvalues, {"expected": expected, "debiased": np.maximum(values - expected, 0.0)}

    def held(self, places: Ints) -> tuple[Floats, Ints, Ints]:
        """Return the baseline's counts above 0 on merged bins, whose they are among `places`, and how many each has."""
        asked = np.full(len(self.layout.names), -1)
        asked[places] = np.arange(places.size)
        owner = asked[self.cells.owner]
        kept = (self.counts > 0) & (owner >= 0)
        return self.counts[kept].astype(np.float64), owner[kept], np.bincount(owner[kept], minlength=places.size)


# --- the null law -----------------------------------------------------------------------------------------------------


def _index(share: float, n: float, m: float) -> Callable[[float], float]:
    """The index of two cells, as a function of the first one's count."""
    q = (share * m + 0.5) / (m + 1)

    def index(count: float) -> float:
        p = (count + 0.5) / (n + 1)
        return (p - q) * (math.log(p / q) - math.log((1 - p) / (1 - q)))

    return index


def _moments(counts: Floats, owner: Ints, n: Floats, m: Floats, bins: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean, variance and third moment of the index over windows of n rows, float64[F] each.

    Cells as independent Poisson counts; that they add up to n takes out what follows the total in a line, and of what
    follows its square one component of χ² with one degree of freedom.
    """
    mean = n[owner] * counts / m[owner]
    count, weight = _weighed(mean)
    p = (count + 0.5) / (n + bins / 2)[owner][:, None]
    q = ((counts + 0.5) / (m + bins / 2)[owner])[:, None]
    parts = (p - q) * np.log(p / q)
    apart = count - mean[:, None]

    def total(terms: Floats) -> Floats:
        return np.asarray(np.bincount(owner, (weight * terms).sum(axis=1), n.size), dtype=np.float64)

    middle = (weight * parts).sum(axis=1)
    slope = total(parts * apart) / n
    square = total(parts * (apart * apart - mean[:, None])) / n
    rest = parts - middle[:, None] - slope[owner][:, None] * apart
    spread = total(rest**2)
    variance = np.maximum(spread - square**2 / 2, LEAST * spread)
    return np.bincount(owner, middle, n.size) - square / 2, variance, total(rest**3) - square**3


def _weighed(mean: Floats) -> tuple[Floats, Floats]:
    """Places and weights, float64[c, NODES], of a Poisson count: every one where they are few, else evenly apart."""
    spread = 6 * np.sqrt(mean)
    last, first = mean + spread + 8, np.maximum(0.0, mean - spread)
    few = last < NODES
    step = np.where(few, 1.0, (last - first) / (NODES - 1))
    count: Floats = np.where(few, 0.0, first)[:, None] + step[:, None] * np.arange(NODES, dtype=np.float64)
    weight = np.exp(special.xlogy(count, mean[:, None]) - mean[:, None] - special.gammaln(count + 1))
    return count, weight / weight.sum(axis=1, keepdims=True)
