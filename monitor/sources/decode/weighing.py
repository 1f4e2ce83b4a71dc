"""How many requests each row stands for, where the log holds a sample of them: each share once over (Horvitz and Thompson 1952)."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from detectors.features import Floats
from detectors.sketches.violations import PART
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.values import unusable

INVALID = "sampling_invalid"
PERCENT = 100.0
LEAST_PERCENT = 1e-4  # what is logged less often stands for more than a million, which one row cannot


def weighed(rows: Iterable[SeriesRows], counts: DecodeCounts) -> list[SeriesRows]:
    """Rows with how many requests each stands for."""
    return [weigh(part, counts) for part in rows]


def weigh(part: SeriesRows, counts: DecodeCounts) -> SeriesRows:
    """The rows without their share, and how many requests each stands for; of no share it stands for itself.

    What is no share of requests is rejected: nobody can say how much such a row counts.
    """
    series = part.series
    if series.sampling is None:
        if series.fields.sampling_is in {None, PERCENT}:
            return part
        return replace(part, weights=weights_of(np.full(len(part.times), series.fields.sampling_is)))
    held = np.ascontiguousarray(part.numeric[:, series.sampling])
    absent = np.isnan(held) & ~unusable(held)
    for place in np.flatnonzero(absent).tolist() if counts.labels["non_finite"] else ():
        absent[place] = part.look(place, [series.fields.sampling])[0] is None  # it may be a NaN that is there
    percent = np.where(absent, PERCENT, held * series.fields.sampling_unit)
    fair = (percent >= LEAST_PERCENT) & (percent <= PERCENT)
    part = replace(part, numeric=part.numeric[:, : series.sampling])
    if not fair.all():
        counts.rejected[INVALID] += int(np.count_nonzero(~fair))
        part, percent = part.only(np.flatnonzero(fair)), percent[fair]
    return part if (percent == PERCENT).all() else replace(part, weights=weights_of(percent))


def weights_of(percent: Floats) -> NDArray[np.int64]:
    """Weights of rows of a log that holds this share, float64[n], in millionths, int64[n]."""
    return np.rint(PERCENT * PART / percent).astype(np.int64)
