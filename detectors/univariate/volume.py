"""How far the number of rows in a window is from the usual one."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from detectors.baseline import Baseline
from detectors.protocols import Detector
from detectors.scores import DriftScore, ScoreColumns

FEATURE = "__volume__"
NAMES = (FEATURE,)


@dataclass(frozen=True, slots=True)
class Volume(Detector):
    """|log2(rows / expected rows)|: 1 is twice or half as many as usual. It needs no counts, but a usual number of rows.

    None when that number is unknown or not above zero, or when there is no row. Details hold `expected_rows`.

    >>> Volume().score(500, 2000.0).value
    2.0
    """

    name: ClassVar[str] = "volume"
    help: ClassVar[str] = "abs(log2(rows / expected rows))"
    judges_all_rows: ClassVar[bool] = True
    lawless: ClassVar[str] = "depends on traffic"

    def judged(self, baseline: Baseline) -> tuple[str, ...]:
        """Return the one name under which rows are scored."""
        del baseline
        return NAMES

    def columns(self, rows: int, expected_rows: float | None) -> ScoreColumns:
        """Return the score of a window of so many rows as columns of one place.

        Args:
            rows: Rows of the window.
            expected_rows: Rows that it usually has, if known.

        Returns:
            One score, of the feature `__volume__`.
        """
        usual = expected_rows is not None and 0 < expected_rows < math.inf
        value = _doublings(rows, expected_rows) if expected_rows is not None and usual else None
        return ScoreColumns(
            self.name,
            NAMES,
            known=np.array([value is not None]),
            rows=np.array([rows]),
            values=np.array([value or 0.0]),
            details={"expected_rows": np.array([expected_rows])} if usual else {},
        )

    def score(self, rows: int, expected_rows: float | None) -> DriftScore:
        """Return the score of a window of so many rows."""
        if expected_rows is None or not 0 < expected_rows < math.inf:
            return DriftScore(FEATURE, self.name, None, rows)
        value = _doublings(rows, expected_rows)
        return DriftScore(FEATURE, self.name, value, rows, details={"expected_rows": expected_rows})


score, columns = Volume().score, Volume().columns


def _doublings(rows: int, expected_rows: float) -> float | None:
    return abs(math.log2(rows) - math.log2(expected_rows)) if rows > 0 else None
