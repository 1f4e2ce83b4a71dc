"""Kolmogorov-Smirnov distance of numeric features, with a certified interval around the exact one."""

from dataclasses import dataclass

import numpy as np

from detectors.features import Bools, Floats
from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Grid, Sketch, Tally, per_grid, sums

NAME = "ks"


@dataclass(frozen=True, slots=True)
class _Plan:
    names: tuple[str, ...]
    reference: sums.Cumulated  # its rows up to each right edge, and which bins hold a single value
    rows: Floats  # [k] usable reference rows
    known: Bools  # [k] whether there are any
    resolution: Floats  # [k] the most that D can be understated


def score(reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
    """Return sup |F_window - F_reference| at the bin edges, under and over included, of every numeric feature.

    The value is in [0, 1] and never above the exact D; details hold `upper`, which is never below it, and `resolution`,
    the largest reference share of a bin that holds more than one value. With d_j the difference at the right edge of
    bin j and p_j, q_j the bin's shares, upper = max(d_j + p_j, -d_j + q_j) over those bins, and at least the value.
    The p-value is Kolmogorov's asymptotic one at n m / (n + m); too large, hence cautious, where values are tied.
    Below `min_rows` usable rows the value is None. Raises GridMismatchError for a window of another grid.

    >>> reference = Reference.fit({"age": list(range(1000))})
    >>> [score] = [s for s in reference.compare({"age": list(range(100, 1100))}) if s.detector == "ks"]
    >>> round(score.value, 3), round(score.details["upper"], 3)
    (0.1, 0.103)
    """
    return columns(reference, window.tally(), min_rows=min_rows).scores()


def columns(reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
    """Return the same as columns."""
    from scipy import special  # 0.3 s to import; who only counts should not wait for it

    reference.grid.same_as(window.grid)
    plan = _plan(reference.grid)
    usable = window.usable[: plan.rows.size]
    rows = np.maximum(usable, 1).astype(np.float64)
    values, upper = sums.distances(reference.grid, window.counts, rows, plan.reference)
    return ScoreColumns(
        NAME,
        plan.names,
        known=(usable >= max(1, min_rows)) & plan.known,
        rows=usable,
        values=values,
        pvalues=special.kolmogorov(np.sqrt(rows * plan.rows / (rows + plan.rows)) * values),
        details={"upper": upper, "resolution": plan.resolution},
    )


@per_grid
def _plan(grid: Grid) -> _Plan:
    counts = grid.numbers(grid.counts)
    rows = counts.sum(axis=1).astype(np.float64)
    single = np.zeros(counts.shape, dtype=np.bool_)
    for bins, feature in zip(single, grid.numeric, strict=True):
        bins[1 : feature.bins + 1] = feature.atoms
        bins[feature.bins + 2 :] = True
    reference = sums.Cumulated.of(counts, single)
    return _Plan(
        names=tuple(feature.name for feature in grid.numeric),
        reference=reference,
        rows=rows,
        known=rows > 0,
        resolution=reference.most,
    )
