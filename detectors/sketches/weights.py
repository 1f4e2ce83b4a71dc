"""How many rows each row of a sample stands for: whole millionths, so that sums are exact in any order."""

import numpy as np

from detectors.features import Bools, Floats, Ints
from detectors.sketches.violations import PART

PERCENT = 100.0
LEAST_PERCENT = 1e-4  # what is kept less often stands for more than a million, which one row cannot


def are_shares(percent: Floats) -> Bools:
    """Which are shares of all rows that a sample may have, bool[n]."""
    return np.asarray((percent >= LEAST_PERCENT) & (percent <= PERCENT))


def weights_of(percent: Floats) -> Ints:
    """Weights of rows of a sample of this share, float64[n], in millionths, int64[n] (Horvitz and Thompson 1952).

    >>> (weights_of(np.array([100.0, 10.0, 30.0])) / PART).tolist()
    [1.0, 10.0, 3.333333]
    """
    return np.rint(PERCENT * PART / percent).astype(np.int64)


def left_out(weights: Ints) -> tuple[int, int]:
    """The sums of w - 1 and of w (w - 1) over rows of these weights, in millionths and their squares, exact."""
    values, counts = (
        (weights[:1], [weights.size])
        if weights.size and (weights == weights[0]).all()  # as a rule
        else np.unique(weights, return_counts=True)
    )
    each = [(int(count), int(weight)) for weight, count in zip(values.tolist(), counts, strict=True)]
    more = sum(count * (weight - PART) for count, weight in each)
    return more, sum(count * weight * (weight - PART) for count, weight in each)
