"""How requests are served, made of live traffic alone: a profile that knows every bin of a latency and no request yet, and one with what came."""

from collections.abc import Iterable
from functools import cache

import numpy as np

from detectors.calibration.calibration import Calibration
from detectors.features import Kind
from detectors.reference.live import learnt_reference, recounted
from detectors.reference.reference import Reference, ReferenceService
from detectors.reference.service import ERROR, LATENCY, MIDDLES
from detectors.sketches import Sketch
from detectors.sketches.served import ServedCounts


def blank_service(names: Iterable[str]) -> ReferenceService:
    """Return a profile of these, `__latency__` and `__error__`, that has heard of no request.

    >>> blank_service(["__error__", "__latency__"]).profile.names
    ('__latency__', '__error__')
    """
    return _blank(frozenset(names))


@cache
def _blank(names: frozenset[str]) -> ReferenceService:
    every = {LATENCY: MIDDLES, ERROR: np.zeros(MIDDLES.size)}
    columns = {name: values for name, values in every.items() if name in names}
    profile = Reference.fit(columns, kinds=dict.fromkeys(columns, Kind.NUMERIC))
    return ReferenceService(ServedCounts(), recounted(profile, Sketch.empty(profile.layout)))


def learnt_service(
    blank: ReferenceService, live: Sketch, calibration: Calibration, period: tuple[int, int]
) -> ReferenceService:
    """Return what live traffic has taught, given its counts on a blank profile; latencies are left out where none came."""
    served = blank.heard(live)
    profile = learnt_reference(blank.profile, live, calibration, period)
    said = [name for name in profile.names if name == ERROR or served.timed]
    return ReferenceService(served, profile.select(said))
