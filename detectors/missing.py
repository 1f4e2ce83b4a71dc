"""How much more, or less, of a feature is missing than in the reference."""

import numpy as np

from detectors.reference import Reference
from detectors.score import DriftScore
from detectors.sketches import Sketch

NAME = "missing"


def score(reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
    """Return |share of rows without a value - the same share in the reference|, in [0, 1], of every feature.

    Missing is what is absent, null, not finite or of the wrong type. Judged on all rows, however few (`min_rows` has no
    say); None only for a window of no rows. Details hold `ratio`, the share in the window.
    Raises GridMismatchError for a window of another grid.

    >>> reference = Reference.fit({"age": [20, 30, 40, 50]})
    >>> [score.value for score in reference.compare({"age": [20, None]}) if score.detector == "missing"]
    [0.5]
    """
    del min_rows  # every detector takes it
    reference.grid.same_as(window.grid)
    if not window.rows:
        return [DriftScore(name, NAME, None, 0) for name in reference.names]
    shares = window.missing / window.rows
    values = np.abs(shares - reference.sketch.missing / reference.rows)
    return [
        DriftScore(name, NAME, value, window.rows, details={"ratio": share})
        for name, value, share in zip(reference.names, values.tolist(), shares.tolist(), strict=True)
    ]
