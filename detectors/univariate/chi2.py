"""Pearson's chi-square distance of categories and of numbers with few distinct values."""

from dataclasses import dataclass

import numpy as np

from detectors.features import Bools, Ints
from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Cells, Grid, Sketch, Tally, per_grid
from detectors.univariate.homogeneity import pearson

NAME = "chi2"
NOTHING = ScoreColumns(NAME, (), np.empty(0, np.bool_), np.empty(0, np.int64), np.empty(0))
FEW = 5  # a cell with fewer expected rows in the window is pooled: its share of X² would be mostly chance


@dataclass(frozen=True, slots=True)
class _Plan:
    names: tuple[str, ...]
    cells: Cells
    pool: Ints  # [F] the cell that takes the pooled ones: other, or under for a number
    reference: Ints  # [cells]
    rows: Ints  # [F] usable reference rows


def score(reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
    """Return X² of the window x reference table, of every categorical feature and every discrete numeric one.

    Categories with an expected window count below 5 by the reference's shares are pooled with the values outside the
    reference; without any, the value is that of `scipy.stats.chi2_contingency(table, correction=False)`. A pool too
    thin to test joins the rarest category (see `detectors.univariate.homogeneity`). Details hold `dof` and `cramers_v`,
    sqrt(X² / (n + m)), in [0, 1] and free of the window's size. Below `min_rows` usable rows the value is None.
    Raises GridMismatchError for a window of another grid.

    >>> reference = Reference.fit({"plan": ["free"] * 80 + ["pro"] * 20})
    >>> [score] = [s for s in reference.compare({"plan": ["free"] * 50 + ["pro"] * 50}) if s.detector == "chi2"]
    >>> round(score.value, 2), score.details["dof"]
    (19.78, 1)
    """
    return columns(reference, window.tally(), min_rows=min_rows).scores()


def columns(reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
    """Return the same as columns."""
    reference.grid.same_as(window.grid)
    plan = _plan(reference.grid)
    if not plan.names:
        return NOTHING
    starts = plan.cells.starts
    counts = window.counts[plan.cells.index]
    n = np.add.reduceat(counts, starts)
    rare = plan.reference * (n / np.maximum(plan.rows, 1))[plan.cells.owner] < FEW
    rare[plan.pool] = True
    tested, known = (_pooled(side, rare, plan) for side in (counts, plan.reference))
    values, dof, pvalues = pearson(tested, known, plan.cells, plan.pool)
    strength = np.sqrt(values / np.maximum(n + plan.rows, 1))
    return ScoreColumns(
        NAME,
        plan.names,
        known=(n >= max(1, min_rows)) & (plan.rows > 0),
        rows=n,
        values=values,
        pvalues=pvalues,
        details={"dof": dof, "cramers_v": strength},
    )


def _pooled(counts: Ints, rare: Bools, plan: _Plan) -> Ints:
    kept = np.where(rare, 0, counts)
    kept[plan.pool] = np.add.reduceat(np.where(rare, counts, 0), plan.cells.starts)
    return np.asarray(kept)


def tested(grid: Grid, ratio: float) -> tuple[tuple[str, ...], Ints, Ints]:
    """Return what a usual window of `ratio` times the reference's rows is tested on.

    The features, the reference's rows in each cell after pooling, int64[c], and whose the cells are. A thin pool is left out.
    """
    plan = _plan(grid)
    if not plan.names:
        return (), np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    rare = plan.reference * ratio < FEW
    rare[plan.pool] = True
    counts = _pooled(plan.reference, rare, plan)
    alone = np.add.reduceat((~rare).astype(np.int64), plan.cells.starts) <= 1
    counts[plan.pool[(counts[plan.pool] * ratio < 1) & ~alone]] = 0
    kept = counts > 0
    return plan.names, counts[kept], plan.cells.owner[kept]


@per_grid
def _plan(grid: Grid) -> _Plan:
    names, runs, pool = [], [], []
    taken = 0
    for i, feature in enumerate(grid.features):
        numeric = i < len(grid.numeric)
        if numeric and not grid.numeric[i].discrete:
            continue
        run = np.arange(grid.offsets[i], grid.lost[i])
        names.append(feature.name)
        runs.append(run)
        pool.append(taken if numeric else taken + run.size - 1)
        taken += run.size
    cells = Cells.of(runs)
    counts = grid.counts[cells.index]
    return _Plan(
        names=tuple(names),
        cells=cells,
        pool=np.array(pool, dtype=np.int64),
        reference=counts,
        rows=np.asarray(np.add.reduceat(counts, cells.starts)),
    )
