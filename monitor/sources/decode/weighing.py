"""How many requests each row stands for, where the log holds a sample of them: each share once over (Horvitz and Thompson 1952)."""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from detectors.sketches.weights import PERCENT, are_shares, weights_of
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.values import unusable
from monitor.stream.halves import WHOLE

INVALID = "sampling_invalid"


def weighed(rows: Iterable[SeriesRows], counts: DecodeCounts) -> list[SeriesRows]:
    """Rows with how many requests each stands for."""
    return [weigh(part, counts) for part in rows]


def weigh(part: SeriesRows, counts: DecodeCounts) -> SeriesRows:
    """The rows without their share, and how many requests each stands for; of no share it stands for itself.

    In a half that is 0: the other half may say it. What is no share of requests is rejected: nobody can say how much such a row counts.
    """
    series, whole = part.series, part.series.half == WHOLE
    if series.sampling is None:
        share = series.fields.sampling_is
        if share is None or (whole and share == PERCENT):
            return part
        return replace(part, weights=weights_of(np.full(len(part.times), share)))
    held = np.ascontiguousarray(part.numeric[:, series.sampling])
    absent = np.isnan(held) & ~unusable(held)
    for place in np.flatnonzero(absent).tolist() if counts.labels["non_finite"] else ():
        said = part.look(place, [series.fields.sampling])[0]  # a number beyond all floats may be there
        absent[place] = said is None or said != said  # noqa: PLR0124 - tables write NaN for nothing
    percent = np.where(absent, PERCENT, held * series.fields.sampling_unit)
    fair = are_shares(percent)
    part = replace(part, numeric=part.numeric[:, : series.sampling])
    if not fair.all():
        counts.reject(INVALID, part.messages, ~fair)
        part, percent, absent = part.only(np.flatnonzero(fair)), percent[fair], absent[fair]
    if whole:
        return part if (percent == PERCENT).all() else replace(part, weights=weights_of(percent))
    return part if absent.all() else replace(part, weights=np.where(absent, 0, weights_of(percent)))
