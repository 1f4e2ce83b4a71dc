"""How far the number of rows in a window is from the usual one."""

import math

import numpy as np

from detectors.score import DriftScore, ScoreColumns

FEATURE = "__volume__"


def score(rows: int, expected_rows: float | None) -> DriftScore:
    """Return |log2(rows / expected rows)|: 1 is twice or half as many as usual.

    None when the usual number is unknown or not above zero, or when there is no row. Details hold `expected_rows`.

    >>> score(500, 2000.0).value
    2.0
    """
    if expected_rows is None or not 0 < expected_rows < math.inf:
        return DriftScore(FEATURE, "volume", None, rows)
    value = abs(math.log2(rows) - math.log2(expected_rows)) if rows > 0 else None
    return DriftScore(FEATURE, "volume", value, rows, details={"expected_rows": expected_rows})


def columns(rows: int, expected_rows: float | None) -> ScoreColumns:
    """Return the same as columns of one place."""
    found = score(rows, expected_rows)
    return ScoreColumns(
        found.detector,
        (found.feature,),
        known=np.array([not found.insufficient]),
        rows=np.array([rows]),
        values=np.array([found.value or 0.0]),
        details={name: np.array([number]) for name, number in found.details.items()},
    )
