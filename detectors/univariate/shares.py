"""The change of a share of all rows: what detectors of missing and of unseen values score."""

import numpy as np

from detectors.features import Floats, Ints
from detectors.layout import Layout
from detectors.scores import ScoreColumns
from detectors.sketches import Tally


def change_of_shares(detector: str, layout: Layout, window: Tally, events: Ints, usual: Floats) -> ScoreColumns:
    """Return |share of the window's rows that are `events` int64[f] - usual share float64[f]|, of every feature.

    Judged on all rows, however few. Raises LayoutMismatchError for a window of another layout.
    """
    layout.same_as(window.layout)
    shares = events / max(window.rows, 1)
    values = np.abs(shares - usual)
    return ScoreColumns(detector, layout.names, window.some, window.all, values, details={"ratio": shares})
