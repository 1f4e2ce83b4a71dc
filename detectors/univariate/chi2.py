"""Pearson's chi-square distance of categories and of numbers with few distinct values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.baseline import Baseline
from detectors.features import Bools, Floats, Ints
from detectors.layout import Cells, Layout
from detectors.protocols import JudgedWindows, WindowDetector
from detectors.scores import ScoreColumns
from detectors.sketches import Tally, sums
from detectors.univariate.homogeneity import pearson
from detectors.univariate.laws import BINARY, LEAST, gamma_tail, limits_by_place, two_cells, usable_rows

FEW = 5  # a cell with fewer expected rows in the window is pooled: its share of X² would be mostly chance


@dataclass(frozen=True, slots=True)
class ChiSquared(WindowDetector):
    """X² of the window x baseline table, of every categorical feature and every discrete numeric one.

    Categories with an expected window count below 5 by the baseline's shares are pooled with the values outside the
    layout; without any, the value is that of `scipy.stats.chi2_contingency(table, correction=False)`. A pool too
    thin to test joins the rarest category (see `detectors.univariate.homogeneity`). Details hold `dof` and `cramers_v`,
    sqrt(X² / (n + m)), in [0, 1] and free of the window's size.

    References:
        Pearson 1900; Cochran 1954, of cells with few expected rows.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"plan": ["free"] * 80 + ["pro"] * 20})
    >>> [score] = [s for s in reference.compare({"plan": ["free"] * 50 + ["pro"] * 50}) if s.detector == "chi2"]
    >>> round(score.value, 2), score.details["dof"]
    (19.78, 1)
    """

    name: ClassVar[str] = "chi2"
    help: ClassVar[str] = "the homogeneity statistic"

    def prepare(self, baseline: Baseline) -> "ChiSquaredScorer":
        """Choose the cells that are tested."""
        layout = baseline.layout
        names, runs, pool = [], [], []
        taken = 0
        for i, feature in enumerate(layout.features):
            numeric = i < len(layout.numeric)
            if numeric and not layout.numeric[i].discrete:
                continue
            run = np.arange(layout.offsets[i], layout.lost[i])
            names.append(feature.name)
            runs.append(run)
            pool.append(taken if numeric else taken + run.size - 1)
            taken += run.size
        cells = Cells.of(runs)
        counts = baseline.counts[cells.index]
        rows = np.asarray(np.add.reduceat(counts, cells.starts)) if names else np.empty(0, dtype=np.int64)
        return ChiSquaredScorer(layout, tuple(names), cells, np.array(pool, dtype=np.int64), counts, rows)

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a higher X²: exact for two cells, else the gamma law of its first three moments."""
        places, above = limits_by_place(baseline, limits)
        rows, known = usable_rows(baseline, places, windows)
        judged, counts, owner = self.prepare(baseline).tested(windows.rows / baseline.rows)
        number = {name: at for at, name in enumerate(judged)}
        chances = np.zeros(places.size)
        for at, name in enumerate(limits):
            cells = counts[owner == number.get(name, -1)]
            if cells.size >= BINARY and rows[at]:
                chances[at] = _tail(cells / known[at], float(rows[at]), float(known[at]), float(above[at]))
        return chances


score = ChiSquared().score


@dataclass(frozen=True, slots=True, eq=False)
class ChiSquaredScorer:
    """χ² against one baseline: the cells of the features it tests, and the baseline's counts in them."""

    layout: Layout
    names: tuple[str, ...]
    cells: Cells
    pool: Ints  # [F] the cell that takes the pooled ones: other, or under for a number
    counts: Ints  # [cells]
    rows: Ints  # [F] usable rows of the baseline

    def __call__(self, window: Tally, min_rows: int = 1) -> ScoreColumns:
        """Score a window."""
        self.layout.same_as(window.layout)
        if not self.names:
            return ScoreColumns(ChiSquared.name, (), np.empty(0, np.bool_), np.empty(0, np.int64), np.empty(0))
        counts = sums.wide(window.kept[self.cells.index])
        n = np.add.reduceat(counts, self.cells.starts)
        rare = self._rare((n / np.maximum(self.rows, 1))[self.cells.owner])
        tested, known = (self._pooled(side, rare) for side in (counts, self.counts))
        values, dof, pvalues = pearson(tested, known, self.cells, self.pool)
        strength = np.sqrt(values / np.maximum(n + self.rows, 1))
        return ScoreColumns(
            ChiSquared.name,
            self.names,
            known=(n >= max(1, min_rows)) & (self.rows > 0),
            rows=n,
            values=values,
            pvalues=pvalues,
            details={"dof": dof, "cramers_v": strength},
        )

    def _rare(self, ratio: Floats | float) -> Bools:
        """Which cells are pooled in a window of `ratio` times the baseline's rows."""
        rare = np.asarray(self.counts * ratio < FEW)
        rare[self.pool] = True
        return rare

    def _pooled(self, counts: Ints, rare: Bools) -> Ints:
        kept = np.where(rare, 0, counts)
        kept[self.pool] = np.add.reduceat(np.where(rare, counts, 0), self.cells.starts)
        return np.asarray(kept)

    def tested(self, ratio: float) -> tuple[tuple[str, ...], Ints, Ints]:
        """Return what a usual window of `ratio` times the baseline's rows is tested on.

        The features, the baseline's rows in each cell after pooling, int64[c], and whose the cells are. A thin pool is left out.
        """
        if not self.names:
            return (), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        rare = self._rare(ratio)
        counts = self._pooled(self.counts, rare)
        alone = np.add.reduceat((~rare).astype(np.int64), self.cells.starts) <= 1
        counts[self.pool[(counts[self.pool] * ratio < 1) & ~alone]] = 0
        kept = counts > 0
        return self.names, counts[kept], self.cells.owner[kept]


# --- the null law -----------------------------------------------------------------------------------------------------


def _tail(share: Floats, n: float, m: float, limit: float) -> float:
    """The chance that X² of n rows in cells of these shares is above a limit."""
    if share.size > BINARY:
        return float(gamma_tail(limit, *_moments(share, n)))
    first = float(share[0])
    return two_cells(first, n, _distance(first, n, m), limit)


def _moments(share: Floats, n: float) -> tuple[float, float, float]:
    """Mean, variance and third moment of X² for n rows: the first two exact, the third in closed form.

    The third is that of independent Poisson cells, less what follows from their adding up to n.
    """
    cells, few = share.size, 1 / (n * share)
    slope = cells / n
    third = 8 * cells + float((22 * few + few**2).sum()) - 3 * slope * (8 * cells + float(few.sum()))
    third += 3 * slope**2 * (2 * n + cells) - slope**3 * n - (2 + slope) ** 3
    variance = 2 * (cells - 1) + float(few.sum()) - (cells * cells + 2 * cells - 2) / n
    return cells - 1.0, max(variance, LEAST * cells), third


def _distance(share: float, n: float, m: float) -> Callable[[float], float]:
    weight = n * m / ((n + m) * share * (1 - share))
    return lambda count: weight * (count / n - share) ** 2
