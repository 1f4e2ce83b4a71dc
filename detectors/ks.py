"""Kolmogorov-Smirnov distance of numeric features, with a certified interval around the exact one."""

from dataclasses import dataclass

import numpy as np
from scipy import special

from detectors.features import Bools, Floats
from detectors.reference import Reference
from detectors.score import DriftScore
from detectors.sketches import Cells, Grid, Sketch, per_grid

NAME = "ks"


@dataclass(frozen=True, slots=True)
class _Plan:
    bins: Cells
    below: Floats  # [cells] share of the reference at or below each right edge
    share: Floats  # [cells] share of the reference in the bin
    hollow: Bools  # [cells] the distributions may differ inside the bin; not so where it holds a single value
    rows: Floats  # [k] usable reference rows
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
    reference.grid.same_as(window.grid)
    if not reference.grid.numeric:
        return []
    plan = _plan(reference.grid)
    usable = window.usable[: len(reference.grid.numeric)]
    counts = window.counts[plan.bins.index]
    rows = np.maximum(usable, 1).astype(np.float64)
    apart = plan.bins.running(counts) / rows[plan.bins.owner] - plan.below
    inside = np.maximum(apart + plan.share, counts / rows[plan.bins.owner] - apart)
    values = np.maximum.reduceat(np.abs(apart), plan.bins.starts)
    upper = np.maximum(values, np.maximum.reduceat(np.where(plan.hollow, inside, 0.0), plan.bins.starts))
    pvalues = special.kolmogorov(np.sqrt(rows * plan.rows / (rows + plan.rows)) * values)
    enough = (usable >= max(1, min_rows)) & (plan.rows > 0)
    columns = (usable, enough, values, pvalues, np.minimum(upper, 1.0), plan.resolution)
    return [
        DriftScore(name, NAME, value, n, pvalue, details={"upper": most, "resolution": resolution})
        if known
        else DriftScore(name, NAME, None, n)
        for name, n, known, value, pvalue, most, resolution in zip(
            reference.names, *(column.tolist() for column in columns), strict=False
        )
    ]


@per_grid
def _plan(grid: Grid) -> _Plan:
    bins = grid.bins
    counts = grid.counts[bins.index]
    rows = np.add.reduceat(counts, bins.starts).astype(np.float64)
    share = counts / np.maximum(rows, 1)[bins.owner]
    hollow = ~np.concatenate([np.concatenate([[False], feature.atoms, [False]]) for feature in grid.numeric])
    return _Plan(
        bins=bins,
        below=bins.running(counts) / np.maximum(rows, 1)[bins.owner],
        share=share,
        hollow=hollow,
        rows=rows,
        resolution=np.maximum.reduceat(np.where(hollow, share, 0.0), bins.starts),
    )
