"""What labels say less what was to be expected of the same predictions: a chart of concept drift.

Two errors make the difference another number than 0. By chance labels fall otherwise in each window: those average out as windows add up. And the chances
are learnt from so many labelled rows of the reference: that error all windows share, so it never averages out, and widens the bound, three times over, for
who is unlucky once is so in every window. So does the uncertain middle of reference windows that vary more than their rows explain. A window whose mix of scores has a larger shared
error than the reference's, or where its labelled rows say less, is moved towards the bound by as much.

Where few losses are expected their number is skewed: one more than was likely is no deviate of a normal law. So deviates are straightened (Wilson and
Hilferty 1931), and a window in which fewer than seven rare events decide (`skew`) says nothing of the difference.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.calibration.components import straightened
from detectors.charts.metric_bounds import REACH, Compared, MetricBound
from detectors.charts.metric_variation import FEWEST, MetricVariation
from detectors.performance.measured import Measured, Metric
from detectors.performance.metrics import EstimatedPerformance

SURE_OF_ALL: Final = 3.0  # standard errors that all windows may be off together
FEWEST_EVENTS: Final = 7  # that decide in a window
FARTHEST: Final = 4.0  # standard errors: beyond them nothing is chance, and nothing is straightened


@dataclass(frozen=True, slots=True)
class MetricDifference:
    """What labels said of a window, and what was expected: apart by `value`, with the standard error by chance `error`, and what other windows share, `shared`, as far as `reach` more.

    `skew`: of the chance, at most.
    """

    realised: Measured
    expected: float
    error: float
    shared: float
    reach: float = 0.0
    skew: float = 0.0

    @property
    def value(self) -> float:
        """The difference."""
        return self.realised.value - self.expected

    @property
    def straight(self) -> float:
        """It as a normal law would have it."""
        worse = -self.value / self.error
        near = min(worse, FARTHEST)
        bent = float(straightened(np.array(near), np.array(self.skew)))
        return -self.error * (bent + worse - near)


@dataclass(frozen=True, slots=True)
class DifferenceReference:
    """The difference in a reference's own windows: how much it varies, by chance in a usual one (`error`), and what all windows share (`shared`)."""

    error: float
    shared: float
    variation: MetricVariation

    @classmethod
    def of(cls, windows: Sequence[MetricDifference]) -> "DifferenceReference":
        """Return that of windows in time order. Raises ValueError for fewer than 60."""
        variation = MetricVariation.of([one.value / one.error for one in windows])
        error, shared = (float(np.median([getattr(one, name) for one in windows])) for name in ("error", "shared"))
        return cls(error, max(shared, variation.centre * error), variation)

    def bound(self) -> MetricBound:
        """Return what a chart holds windows against: metrics are better the larger they are."""
        return MetricBound(
            -SURE_OF_ALL * self.shared, at_least=True, spread=self.variation.lasting, usual_error=self.error
        )


def difference(realised: Metric, expected: EstimatedPerformance, name: str) -> MetricDifference | None:
    """Return the difference of a metric of a window; None where either is absent, or chance is not known, or where so few events decide that it says nothing."""
    estimate = expected.metrics.get(name)
    if not isinstance(realised, Measured) or not isinstance(estimate, Measured) or name not in expected.shared:
        return None
    shared = expected.shared[name]
    chance = (estimate.standard_error or 0.0) ** 2 - shared.error**2
    skew = expected.skews[name]
    if chance <= 0 or skew**2 * FEWEST_EVENTS > 1:
        return None
    return MetricDifference(realised, estimate.value, math.sqrt(chance), shared.error, shared.reach, skew)


def as_measured(window: MetricDifference, usual_shared: float) -> Compared:
    """Return a difference as a chart takes it, whose bound lies `usual_shared` standard errors of all windows away."""
    more = SURE_OF_ALL * max(0.0, window.shared - usual_shared) + window.reach
    value, reach, realised = window.straight + more, REACH * window.error, window.realised
    return Compared(
        value,
        realised.rows,
        window.error,
        (value - reach, value + reach),
        realised=realised,
        expected=window.expected,
    )


def difference_references(
    windows: Sequence[tuple[Mapping[str, Metric], EstimatedPerformance]], names: Sequence[str]
) -> dict[str, DifferenceReference]:
    """Return the difference of each metric in a reference's windows; without those of which too few say what is usual."""
    found: dict[str, DifferenceReference] = {}
    for name in names:
        told = [(one[name], expected) for one, expected in windows if name in one]
        known = [each for each in (difference(one, expected, name) for one, expected in told) if each is not None]
        if len(known) >= FEWEST and (reference := DifferenceReference.of(known)).variation.enough:
            found[name] = reference
    return found
