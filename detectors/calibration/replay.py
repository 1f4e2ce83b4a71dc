"""The reference's own windows put through the charts: what a normal tail does not explain, their extremes rule.

A chart's sum over a reference without a change has a known law. Where the largest sum is beyond it, windows are wilder than
their deviation says: single wild ones (a retry storm, an hour of one customer) are capped, and where caps do not help the
deviation is widened.
"""

from dataclasses import dataclass

import numpy as np

from detectors.calibration.arl import DRIFT, gaussian_threshold
from detectors.features import Floats

UNSURE = 0.02  # chance, over all charts, at which a reference without a change is called wild
CAPS = (3.0, 2.0, 1.5, 1.0)  # that one window may add
WIDER = 1.2  # times, again and again
MOST_WIDER = 8.0
Reached = tuple[float, float, float]  # location, scale, shape


@dataclass(frozen=True, slots=True)
class Replayed:
    """`caps`: the most one window may add, 0 without; `wider`: times the deviation; of location, scale and shape."""

    caps: Reached
    wider: Reached


def replayed(u: Floats, shape: Floats, charts: int) -> Replayed:
    """Replay deviates of location and scale float64[k, 2], days' levels taken out, and of shape float64[k].

    `charts` share the chance.
    """
    found = []
    for values, drift in (
        (np.stack([u[:, 0], -u[:, 0]]), DRIFT),
        (np.stack([u[:, 1], -u[:, 1]]), DRIFT),
        (shape[None], 1.0),
    ):
        limit = gaussian_threshold(charts * values.shape[1] / UNSURE, drift)
        found.append(_fitting(values, drift, limit))
    caps, wider = zip(*found, strict=True)
    return Replayed(caps, wider)


def reached(u: Floats, allowed: Floats, shape: Floats) -> Reached:
    """Return the largest deviates beyond what is allowed, of location, scale and shape."""
    location, scale = np.abs(u).max(axis=0) - allowed
    return max(float(location), 0.0), max(float(scale), 0.0), max(float(shape.max()), 0.0)


def _fitting(values: Floats, drift: float, limit: float) -> tuple[float, float]:
    if _highest(values - drift, np.inf) <= limit:
        return 0.0, 1.0
    for cap in CAPS:
        if _highest(values - drift, cap) <= limit:
            return cap, 1.0
    wider = WIDER
    while wider < MOST_WIDER and _highest(values / wider - drift, CAPS[-1]) > limit:
        wider *= WIDER
    return CAPS[-1], wider


def _highest(increments: Floats, cap: float) -> float:
    """Return the highest of the sums S = max(0, S + increment), of rows float64[charts, k]."""
    total = np.cumsum(np.minimum(increments, cap), axis=1)
    return float((total - np.minimum.accumulate(np.minimum(total, 0.0), axis=1)).max(initial=0.0))
