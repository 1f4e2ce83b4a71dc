"""Population stability index over ten merged bins, beside the value that chance alone would give."""

from dataclasses import dataclass

import numpy as np

from detectors.features import Bools, CategoricalFeature, Ints, NumericFeature
from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Cells, Grid, Sketch, Tally, per_grid, sums
from detectors.univariate.homogeneity import NO_CELL, pearson

NAME = "psi"
BINS = 10


@dataclass(frozen=True, slots=True)
class _Plan:
    cuts: Ints  # where each merged bin begins in the flat counts; cells of missing values are runs of their own
    kept: Ints  # which of these runs are merged bins
    cells: Cells  # the merged bins by feature
    pool: Ints  # [f] the cell of values outside the categories
    reference: Ints  # [cells] the reference's own counts
    known: Bools  # [f] whether the reference has usable rows


def score(reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
    """Return the sum of (p - q) ln(p / q) over at most ten merged bins, of every feature.

    Numeric bins are merged at the edges nearest the reference deciles, under and over with their neighbours; of the
    categories the nine commonest stand alone when there are more than ten; values outside them are one more bin when
    there are any. Shares are (count + 1/2) / (rows + bins / 2) on both sides (Jeffreys: an empty bin costs a little). Details hold `expected`, the mean of this
    value when nothing has changed, (B - 1)(1/n + 1/m)(1 + B/2n) (Yurdakul and Naranjo 2020, second term by expansion),
    and `debiased`, the rest but at least 0. The p-value is that of Pearson's X² on the same bins, which stays right for
    small windows where the chi-square law of the index itself does not. Below `min_rows` usable rows the value is None.
    Raises GridMismatchError for a window of another grid.

    >>> reference = Reference.fit({"plan": ["free"] * 80 + ["pro"] * 20})
    >>> [score] = [s for s in reference.compare({"plan": ["free"] * 50 + ["pro"] * 50}) if s.detector == "psi"]
    >>> round(score.value, 3)
    0.406
    """
    return columns(reference, window.tally(), min_rows=min_rows).scores()


def columns(reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
    """Return the same as columns."""
    reference.grid.same_as(window.grid)
    plan = _plan(reference.grid)
    counts = np.add.reduceat(window.counts, plan.cuts)[plan.kept]
    ratios, apart, expected = sums.shares(counts, plan.reference, plan.cells)
    values = np.add.reduceat(apart * np.log(ratios), plan.cells.starts)
    _, _, pvalues = pearson(counts, plan.reference, plan.cells, plan.pool)
    return ScoreColumns(
        NAME,
        reference.names,
        known=(window.usable >= max(1, min_rows)) & plan.known,
        rows=window.usable,
        values=values,
        pvalues=pvalues,
        details={"expected": expected, "debiased": np.maximum(values - expected, 0.0)},
    )


def merged(grid: Grid) -> tuple[Ints, Cells]:
    """Return the reference's own counts on the merged bins, int64[c], and whose they are."""
    plan = _plan(grid)
    return plan.reference, plan.cells


@per_grid
def _plan(grid: Grid) -> _Plan:
    cuts, kept, runs, pool = [], [], [], []
    cells = position = 0
    for feature, offset in zip(grid.features, grid.offsets.tolist(), strict=False):
        begins = _merged(feature) if isinstance(feature, NumericFeature) else _ranked(feature)
        lost = feature.counts.size - (3 if isinstance(feature, NumericFeature) else 1)
        cuts.append(offset + np.append(begins, lost))
        kept.append(position + np.arange(begins.size))
        runs.append(cells + np.arange(begins.size))
        position += begins.size + 1
        cells += begins.size
        pool.append(cells - 1 if isinstance(feature, CategoricalFeature) else NO_CELL)
    flat, chosen = np.concatenate(cuts), np.concatenate(kept)
    return _Plan(
        cuts=flat,
        kept=chosen,
        cells=Cells.of(runs),
        pool=np.array(pool, dtype=np.int64),
        reference=np.add.reduceat(grid.counts, flat)[chosen],
        known=np.array([feature.count > 0 for feature in grid.features], dtype=np.bool_),
    )


def _merged(feature: NumericFeature) -> Ints:
    """Return where the merged bins begin in the feature's row: at 0, then after the edges nearest the deciles."""
    if feature.bins <= 1:
        return np.zeros(1, dtype=np.int64)
    total = np.cumsum(feature.counts[1 : feature.bins])  # reference rows up to each inner edge
    nearest = [int(np.argmin(np.abs(total * BINS - feature.count * decile))) for decile in range(1, BINS)]
    return np.array([0, *(edge + 2 for edge in sorted(set(nearest)))], dtype=np.int64)


def _ranked(feature: CategoricalFeature) -> Ints:
    """Return where the merged bins begin in the feature's row: the commonest, the rest, and other."""
    return np.array([*range(min(len(feature.categories), BINS)), len(feature.categories)], dtype=np.int64)
