"""Rows of a table by pane of event time, whatever their order."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats, Ints
from detectors.layout import Layout
from detectors.sketches import Sketch
from detectors.sketches.ids import Hashes

NO_TIME = np.iinfo(np.int64).min  # how numpy stores NaT


def by_pane(
    layout: Layout,
    times: Ints,
    numeric: Floats,
    codes: NDArray[np.int32],
    pane_ns: int,
    groups: Hashes | None = None,
    ids: Hashes | None = None,
    *,
    watched: bool = False,
) -> Iterator[tuple[int, Sketch]]:
    """Yield each pane that has rows, rising: its start and what its rows count. Rows without a time are left out.

    `times` int64[n] are nanoseconds; `numeric` float64[n, k] and `codes` int32[n, c] are as `encode` gives them; `groups`
    uint64[n] hashes of what rows belong to, `ids` of which row each is. `watched`: sketches note which columns hold one value alone, as a daemon's.
    """
    order = np.argsort(times, kind="stable")
    order = order[np.searchsorted(times[order], NO_TIME, side="right") :]
    starts = times[order] // pane_ns * pane_ns
    bounds = [0, *(np.flatnonzero(np.diff(starts)) + 1).tolist(), starts.size]
    for first, end in pairwise(bounds):
        if first < end:
            pane = Sketch.empty(layout, watched=watched)
            pane.update(numeric[order[first:end]], codes[order[first:end]])
            if groups is not None:
                pane.assign(groups[order[first:end]])
            if ids is not None:
                pane.identify(ids[order[first:end]])
            yield int(starts[first]), pane
