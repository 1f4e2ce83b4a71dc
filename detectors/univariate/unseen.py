"""How much more of a feature than in the reference lies outside the reference's range or categories."""

import numpy as np

from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Sketch, Tally

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
    return columns(reference, window.tally(), min_rows=min_rows).scores()


def columns(reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
    """Return the same as columns."""
    del min_rows  # every detector takes it
    reference.grid.same_as(window.grid)
    shares = window.unseen / max(window.rows, 1)
    return ScoreColumns(
        NAME,
        reference.names,
        known=window.some,
        rows=window.all,
        values=np.abs(shares - reference.unseen_shares),
        details={"ratio": shares},
    )
