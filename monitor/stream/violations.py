"""What is known of the rows of a batch beside their columns: rules of a data contract that they break, and how many each stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.violations import Rule, Violations
from detectors.sketches.weights import left_out


@dataclass(frozen=True, slots=True, eq=False)
class RowViolations:
    """The rules that some row breaks, and which rows do, bool[k, n]; `excluded` bool[n] are counted nowhere else, None: all are.

    `known` int64[k] is how many rows break each rule, where somebody has counted them. `weights` int64[n] are millionths: how many
    rows each stands for, where the log holds a sample; None: for itself.
    """

    rules: tuple[Rule, ...]
    rows: NDArray[np.bool_]
    excluded: NDArray[np.bool_] | None = None
    known: NDArray[np.int64] | None = None
    weights: NDArray[np.int64] | None = None

    def where(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "RowViolations":
        """Those of some rows."""
        excluded = None if self.excluded is None else self.excluded[which]
        weights = None if self.weights is None else self.weights[which]
        return RowViolations(self.rules, self.rows[:, which], excluded, weights=weights)

    @property
    def counts(self) -> Mapping[Rule, int]:
        """Rows by the rule that they break."""
        if self.known is not None:
            return dict(zip(self.rules, self.known.tolist(), strict=True))
        found = [int(np.count_nonzero(each)) for each in self.rows]  # four times as quick as along an axis
        return {rule: count for rule, count in zip(self.rules, found, strict=True) if count}

    @property
    def exclusions(self) -> int:
        """How many rows are counted nowhere else."""
        return 0 if self.excluded is None else int(np.count_nonzero(self.excluded))

    def counted(self) -> Violations | None:
        """The same as counts; None where none of these rows breaks any, and each stands for itself."""
        counts, excluded = self.counts, self.exclusions
        unlogged, spread = (0, 0) if self.weights is None else left_out(self.weights)
        return Violations(counts, excluded, unlogged, spread) if counts or unlogged else None


def of_weights(found: RowViolations | None, weights: NDArray[np.int64] | None) -> RowViolations | None:
    """The same of rows that stand for others."""
    if weights is None:
        return found
    nothing = RowViolations((), np.empty((0, weights.size), dtype=np.bool_))
    return replace(nothing if found is None else found, weights=weights)
