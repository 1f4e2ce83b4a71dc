"""How much more, or less, of a feature is missing than in the reference."""

import numpy as np

from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Sketch, Tally

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
    return columns(reference, window.tally(), min_rows=min_rows).scores()


def columns(reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
    """Return the same as columns."""
    del min_rows  # every detector takes it
    reference.grid.same_as(window.grid)
    shares = window.missing / max(window.rows, 1)
    return ScoreColumns(
        NAME,
        reference.names,
        known=window.some,
        rows=window.all,
        values=np.abs(shares - reference.missing_shares),
        details={"ratio": shares},
    )
