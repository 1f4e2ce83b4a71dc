"""How far the number of rows in a window is from the usual one."""

import math

import numpy as np

from detectors.scores import DriftScore, ScoreColumns

FEATURE = "__volume__"
NAMES = (FEATURE,)


def score(rows: int, expected_rows: float | None) -> DriftScore:
    """Return |log2(rows / expected rows)|: 1 is twice or half as many as usual.

    None when the usual number is unknown or not above zero, or when there is no row. Details hold `expected_rows`.

    >>> score(500, 2000.0).value
    2.0
    """
    if expected_rows is None or not 0 < expected_rows < math.inf:
        return DriftScore(FEATURE, "volume", None, rows)
    return DriftScore(FEATURE, "volume", _apart(rows, expected_rows), rows, details={"expected_rows": expected_rows})


def _apart(rows: int, expected_rows: float) -> float | None:
    return abs(math.log2(rows) - math.log2(expected_rows)) if rows > 0 else None


def columns(rows: int, expected_rows: float | None) -> ScoreColumns:
    """Return the same as columns of one place."""
    usual = expected_rows is not None and 0 < expected_rows < math.inf
    value = _apart(rows, expected_rows) if expected_rows is not None and usual else None
    return ScoreColumns(
        "volume",
        NAMES,
        known=np.array([value is not None]),
        rows=np.array([rows]),
        values=np.array([value or 0.0]),
        details={"expected_rows": np.array([expected_rows])} if usual else {},
    )
