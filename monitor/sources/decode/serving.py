"""How the requests of decoded rows were served: what they took and whether they failed, in bins; what is no such thing is counted."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detectors.sketches.served import BINS, UNKNOWN, bins_of
from monitor.facts import RequestsServed
from monitor.sources.formats.base import DecodeCounts, SeriesRows
from monitor.sources.formats.categories import FAILED
from monitor.sources.formats.fields import SeriesFields

LATENCY_MISSING, LATENCY_INVALID, ERROR_INVALID = "latency_missing", "latency_invalid", "error_invalid"
MISSING = "missing"
LONGEST = 86_400.0  # seconds: what takes longer is added as a day, or one broken number would be all of the sum


@dataclass(frozen=True, slots=True)
class ServedPart:
    """The same rows without their columns of requests, and what is told of these."""

    rows: SeriesRows
    fact: RequestsServed


def serve(part: SeriesRows, counts: DecodeCounts) -> ServedPart:
    """Set apart how requests were served. What is below 0 is counted as no latency."""
    series = part.series
    served = np.full((len(part.times), 2), UNKNOWN, dtype=np.int16)
    seconds = 0.0
    if series.latency is not None:
        durations = part.numeric[:, series.latency] * series.fields.latency_unit
        served[:, 0] = bins_of(durations)
        seconds = float(np.minimum(durations[served[:, 0] != UNKNOWN], LONGEST).sum())
        counts.latencies[LATENCY_INVALID] += int(
            np.count_nonzero(durations < 0) - np.count_nonzero(durations == -np.inf)
        )
    if series.error is not None:
        served[:, 1] = part.codes[:, series.error] == FAILED  # what is absent is no failure
    return ServedPart(_without(part, series, served), _fact(part, served, seconds))


def _without(part: SeriesRows, series: SeriesFields, served: NDArray[np.int16]) -> SeriesRows:
    numbers, codes = (
        held.shape[1] - (at is not None) for held, at in ((part.numeric, series.latency), (part.codes, series.error))
    )
    return replace(part, numeric=part.numeric[:, :numbers], codes=part.codes[:, :codes], served=served)


def _fact(part: SeriesRows, served: NDArray[Any], seconds: float) -> RequestsServed:
    bins, failed = served[:, 0], served[:, 1]
    latencies = None if part.series.latency is None else np.bincount(bins[bins != UNKNOWN], minlength=BINS)
    told = 0 if part.series.error is None else len(failed)
    return RequestsServed(part.series.key, latencies, seconds, told, int(np.count_nonzero(failed == 1)))


def reasons(counts: DecodeCounts) -> dict[str, int]:
    """What was wrong with what requests say, by the reasons that it is told under."""
    if not (counts.latencies or counts.errors):
        return {}
    latencies, errors = dict(counts.latencies), dict(counts.errors)
    missing, _ = latencies.pop(MISSING, 0), errors.pop(MISSING, 0)
    told = {LATENCY_MISSING: missing, LATENCY_INVALID: sum(latencies.values()), ERROR_INVALID: sum(errors.values())}
    return {reason: count for reason, count in told.items() if count}
