"""Which rows of a batch break which rules of a data contract: only where any does."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.violations import Rule, Violations


@dataclass(frozen=True, slots=True, eq=False)
class RowViolations:
    """The rules that some row breaks, and which rows do, bool[k, n]; `excluded` bool[n] are counted nowhere else, None: all are.

    `known` int64[k] is how many rows break each rule, where somebody has counted them.
    """

    rules: tuple[Rule, ...]
    rows: NDArray[np.bool_]
    excluded: NDArray[np.bool_] | None = None
    known: NDArray[np.int64] | None = None

    def where(self, which: NDArray[np.bool_] | NDArray[np.intp] | slice) -> "RowViolations":
        """Those of some rows."""
        return RowViolations(self.rules, self.rows[:, which], None if self.excluded is None else self.excluded[which])

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
        """The same as counts; None where none of these rows breaks any."""
        counts, excluded = self.counts, self.exclusions
        return Violations(counts, excluded) if counts else None
