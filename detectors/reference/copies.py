"""Features that say what the prediction says: copies of it, labels, and what it is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from detectors.encoding import PREDICTION
from detectors.features import LARGEST, Codes, Feature, Floats, Ints, NumericFeature
from detectors.layout import Layout

ROWS = 4096  # compared, evenly from all of them
FEWEST_ROWS = 200  # with a value of both
CELLS = 8
LEAST = 0.05  # nats that both must have to tell: of a flag of 1 %
NEARLY_ALL = (
    0.7  # of what the poorer of the two tells: two normals correlated by 0.985, a label that is right in 19 of 20 cases
)
LABELS = ("label", "target", "y_true", "ground_truth", "outcome", "actual")  # what is named so need not tell as much
OF_A_LABEL = 0.25


@dataclass(frozen=True, slots=True)
class Copy:
    """A feature that shares `agreement` of its information, or of the prediction's if that has less, with the prediction."""

    feature: str
    agreement: float

    @property
    def words(self) -> str:
        """What it is, and what it may be."""
        named = " (and is named as a label)" if is_label(self.feature) else ""
        return (
            f"{self.feature} says {self.agreement:.0%} of what the prediction says{named}: a copy of it, a label, or all "
            "that it is made from? Leave out what is no input of the model"
        )


def is_label(name: str) -> bool:
    """Whether a column is named as labels are."""
    low = name.lower()
    return low in LABELS or low.endswith(tuple(f"_{label}" for label in LABELS))


class RowSample:
    """Every so many-th of all rows, so that it is the same however the data is cut into chunks; nothing without a prediction."""

    def __init__(self, layout: Layout, rows: int) -> None:
        self._every = max(1, -(-rows // ROWS))
        self._taken: dict[str, list[Floats | Codes]] = (
            {name: [] for name in layout.names} if PREDICTION in layout.names and len(layout.names) > 1 else {}
        )
        self._numeric = {feature.name for feature in layout.numeric}
        self._missing = {feature.name: feature.cells - 1 for feature in layout.categorical}

    def take(self, name: str, column: Floats | Codes, before: int) -> None:
        """Take a column's part of a chunk whose first row is number `before` of all."""
        if name in self._taken:
            self._taken[name].append(column[self._of(before)].copy())

    def absent(self, name: str, before: int, rows: int) -> None:
        """Take rows of a chunk that has no such column."""
        if name in self._taken:
            count = len(range(rows)[self._of(before)])
            nothing = self._missing.get(name)
            self._taken[name].append(
                np.full(count, np.nan) if nothing is None else np.full(count, nothing, dtype=np.int32)
            )

    def _of(self, before: int) -> slice:
        return slice(-before % self._every, None, self._every)

    def copies(self) -> tuple[Copy, ...]:
        """Return the features that say nearly all that the prediction says, or that it says of them; most of it first."""
        if not self._taken:
            return ()
        cells = {name: self._cells(name) for name in self._taken}
        said = {name: agreement(cells[name], cells[PREDICTION]) for name in cells if name != PREDICTION}
        return copies_among(said)

    def _cells(self, name: str) -> Ints:
        column = np.concatenate(self._taken[name])
        if name in self._numeric:
            return number_cells(column.astype(np.float64))
        return code_cells(column.astype(np.int64), self._missing[name])


def copies_among(said: Mapping[str, float]) -> tuple[Copy, ...]:
    """Return the features that agree enough with the prediction; most of it first."""
    found = [
        Copy(name, share) for name, share in said.items() if share >= (OF_A_LABEL if is_label(name) else NEARLY_ALL)
    ]
    return tuple(sorted(found, key=lambda copy: -copy.agreement))


def groups_of_cells(feature: Feature, counts: Ints) -> Ints:
    """Return which of eight groups of about equal mass each cell of a feature's row is in, int64[cells], -1 for those of missing values.

    `counts` int64[usable] say how many values each cell has, about; of categories the commonest stand alone, as in `code_cells`.
    """
    if isinstance(feature, NumericFeature):
        upto = np.cumsum(counts)
        ranks = np.arange(1, CELLS) * max(int(upto[-1]), 1) / CELLS
        groups = np.searchsorted(np.unique(np.searchsorted(upto, ranks, side="left")), np.arange(counts.size))
    else:
        groups = np.minimum(np.arange(counts.size), CELLS - 1)
    return np.append(groups, np.full(feature.cells - feature.usable, -1)).astype(np.int64)


def number_cells(values: Floats) -> Ints:
    """Return cells of about equal mass, int64[n], -1 where there is no value; a value that is common is not cut."""
    held = np.abs(values) < LARGEST
    if not held.any():
        return np.full(values.size, -1, dtype=np.int64)
    edges = np.unique(np.quantile(values[held], np.arange(1, CELLS) / CELLS, method="lower"))
    return np.where(held, np.searchsorted(edges, values, side="left"), -1)


def code_cells(codes: Ints, missing: int) -> Ints:
    """Return the commonest categories and one cell for all others, int64[n], -1 where there is none."""
    return np.where(codes == missing, -1, np.minimum(codes, CELLS - 1))


def agreement(one: Ints, other: Ints) -> float:
    """Return the mutual information of two columns of cells as a share of what the poorer of them tells, 0 … 1.

    Less what chance makes of so few rows (Miller 1955; Strehl and Ghosh 2002 normalise by other means).

    >>> cells = np.arange(800) % 8
    >>> agreement(cells, 7 - cells) > 0.99
    True
    >>> agreement(cells, np.arange(800) // 100) < 0.05
    True
    """
    held = (one >= 0) & (other >= 0)
    return agreement_of(np.bincount(one[held] * CELLS + other[held], minlength=CELLS * CELLS).reshape(CELLS, CELLS))


def agreement_of(joint: Ints) -> float:
    """Return the same of the rows that have each pair of cells, int64[8, 8]."""
    count = int(joint.sum())
    if count < FEWEST_ROWS:
        return 0.0
    first, second, both = (_nats(counts) for counts in (joint.sum(axis=1), joint.sum(axis=0), joint.ravel()))
    poorer = min(first, second)
    if poorer < LEAST:
        return 0.0
    filled = np.count_nonzero(joint), np.count_nonzero(joint.sum(axis=1)), np.count_nonzero(joint.sum(axis=0))
    chance = (filled[1] - 1) * (filled[2] - 1) / (2 * count)
    certain = filled[0] <= max(filled[1:])  # one follows from the other
    return float(np.clip((first + second - both - (0 if certain else chance)) / poorer, 0.0, 1.0))


def _nats(counts: Ints) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(-(shares * np.log(shares)).sum())
