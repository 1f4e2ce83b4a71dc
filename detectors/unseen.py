"""How much more of a feature than in the reference lies outside the reference's range or categories."""

import numpy as np

from detectors.reference import Reference
from detectors.score import DriftScore
from detectors.sketches import Sketch

NAME = "unseen"


def score(reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
    """Return |share of rows outside the reference - the same share of the reference itself|, in [0, 1], of every feature.

    Outside is below the minimum, above the maximum or none of the categories; only a reference of more than 1000
    categories has such rows itself. Judged on all rows, however few (`min_rows` has no say); None only for a window of
    no rows. Details hold `ratio`, the share in the window.
    Raises GridMismatchError for a window of another grid.

    >>> reference = Reference.fit({"plan": ["free", "pro"]})
    >>> [score.value for score in reference.compare({"plan": ["free", "team"]}) if score.detector == "unseen"]
    [0.5]
    """
    del min_rows  # every detector takes it
    reference.grid.same_as(window.grid)
    if not window.rows:
        return [DriftScore(name, NAME, None, 0) for name in reference.names]
    shares = window.unseen / window.rows
    values = np.abs(shares - reference.sketch.unseen / reference.rows)
    return [
        DriftScore(name, NAME, value, window.rows, details={"ratio": share})
        for name, value, share in zip(reference.names, values.tolist(), shares.tolist(), strict=True)
    ]
