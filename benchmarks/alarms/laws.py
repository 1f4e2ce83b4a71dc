"""From distributions to the shares of merged cells."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.alarms.truth import NOTHING, Categories, Change, Feature, changed_cdf, changed_shares
from detectors import CategoricalFeature
from detectors.calibration.cells import MergedCells
from detectors.features import Floats, Ints


@dataclass(frozen=True, eq=False)
class Law:
    """What a row may be: `shares` float64[f, width + 1] of merged cells and, last, missing.

    `beyond` float64[f] or [w, f]: of the rows in the cells `ends` counts in, the share outside what the reference has seen.
    """

    shares: Floats
    beyond: Floats
    ends: tuple[Ints, Ints]  # first and last of the cells in which an unseen value lands


def law(truth: Sequence[Feature], cells: MergedCells, changes: Mapping[int, Change] | None = None) -> Law:
    """Shares of merged cells, with some features changed."""
    shares = np.zeros((len(truth), cells.width + 1))
    beyond = np.zeros(len(truth))
    for at, feature in enumerate(truth):
        change = (changes or {}).get(at, NOTHING)
        missing = feature.missing if change.missing is None else change.missing
        found, beyond[at] = _one(truth, cells, at, change)
        shares[at, : found.size] = found * (1 - missing)
        shares[at, -1] = missing
    return Law(shares, beyond, ends(cells))


def ends(cells: MergedCells) -> tuple[Ints, Ints]:
    """Where values never seen land: a number's first and last cell, a category's last."""
    last = cells.sizes - 1
    first = np.where(np.arange(last.size) < len(cells.layout.numeric), 0, last)
    return first, last


def _one(truth: Sequence[Feature], cells: MergedCells, at: int, change: Change) -> tuple[Floats, float]:
    """Shares of one feature's cells, and which part of those at the ends was never seen."""
    bins, feature = cells.layout.features[at], truth[at]
    if isinstance(bins, CategoricalFeature):
        assert isinstance(feature, Categories), at
        shares = changed_shares(feature, change)
        known = np.append(shares[places(bins)], shares[-1])
        found = np.bincount(cells.codes(at), weights=known, minlength=cells.cuts[at].size)
        return np.asarray(found, dtype=np.float64), float(shares[-1] / max(found[-1], 1e-300))
    source = truth[other(at, cells)] if change.swapped else feature
    assert not isinstance(source, Categories), at
    below = changed_cdf(source, change, np.concatenate([cells.rungs(at), bins.edges[[0, -1]]]))
    found = np.maximum(np.diff(below[:-2], prepend=0.0, append=1.0), 0.0)
    inside = found[0] + (found[-1] if found.size > 1 else 0.0)
    outside = (below[-2] + 1 - below[-1]) / max(inside, 1e-300)
    return found / found.sum(), float(np.clip(outside, 0.0, 1.0))


def other(at: int, cells: MergedCells) -> int:
    """The feature with which one is swapped: its neighbour."""
    return at + 1 if at % 2 == 0 and at + 1 < len(cells.layout.numeric) else at - 1


def labels(feature: Categories) -> np.ndarray:
    """Names of the categories, in the order of their shares."""
    return np.array([f"c{at:02}" for at in range(len(feature.shares))])


def places(bins: CategoricalFeature) -> Ints:
    """Which of the shares each of the reference's categories has."""
    return np.array([int(label[1:]) for label in bins.categories], dtype=np.int64)
