"""The level that a metric is held to once it was accepted, or has settled: as bad as it was then, and never worse than it has become since.

A level is of so many windows, so the bound lies a little beyond it (`slack`): by their rows, and by what windows vary more than those explain. As
windows at the level add up the bound comes nearer, never further: what is worse does not take it along. Windows that are better than the level are added up as those beyond
a bound are. Once that is proven, the level follows to the near end of their interval; and where their mean is no further from the reference than a
quarter of the way, the metric is back: a later fall to the same level is told anew.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Final

from detectors.charts.levels import NEARER
from detectors.charts.metric_bounds import REACH, BoundDesign, BoundEvidence, MetricBound, Pooled
from detectors.charts.metric_variation import SURE
from detectors.performance.measured import Measured

SURE_EACH_TIME: Final = 3.0  # standard errors, of a bound that is looked at after each window


@dataclass(frozen=True, slots=True)
class MetricLevel:
    """How far a level lies from where the metric usually is; 0: there is none. `better`: what speaks for it that the metric is better.

    `held`: the windows that it is of, and those since.

    >>> bound = MetricBound(0.9, at_least=True)
    >>> level = MetricLevel.of(Pooled().plus(Measured(0.8, 1000, None, (0.77, 0.83))), 0.9, bound)
    >>> round(level.shift, 3), round(level.bound(bound).value, 3)
    (-0.1, 0.775)
    """

    shift: float = 0.0
    slack: float = 0.0
    better: BoundEvidence = field(default_factory=BoundEvidence)
    held: Pooled = field(default_factory=Pooled)

    @classmethod
    def of(cls, seen: Pooled, usual: float, bound: MetricBound) -> "MetricLevel":
        """Return the level of these windows; none where they are no worse than usual."""
        if bound.beyond(seen.value) <= bound.beyond(usual):
            return cls()
        return cls(seen.value - usual, SURE * _error(seen, bound, worse=True), held=seen)

    def bound(self, usual: MetricBound) -> MetricBound:
        """Return what the metric is held against: the usual bound, moved. What rows vary there their own intervals say."""
        if not self.shift:
            return usual
        slack = -self.slack if usual.at_least else self.slack
        return replace(usual, value=usual.value + self.shift + slack, own_error=True)

    def plus(self, usual: MetricBound, where: float, metric: Measured, design: BoundDesign) -> "MetricLevel":
        """Return the level after one more window, given the usual bound and where the metric usually is."""
        if not self.shift:
            return self
        beyond = replace(usual, value=where + self.shift, at_least=not usual.at_least, own_error=True)
        better = self.better.plus(beyond, metric)
        if better.score(design) <= 1:
            return replace(self, better=better).learnt(usual, where, metric)
        value, reach = better.run.value, REACH * _error(better.run, usual, worse=False)
        if usual.beyond(value) - usual.beyond(where) <= NEARER * abs(self.shift):
            return MetricLevel()
        near = value - reach if usual.at_least else value + reach
        return MetricLevel(near - where) if beyond.beyond(near) > 0 else replace(self, better=BoundEvidence())

    def learnt(self, usual: MetricBound, where: float, metric: Measured) -> "MetricLevel":
        """Return the same with one more window at the level: where all surely are is as far as the bound lies beyond it."""
        if not self.slack:
            return self
        held = self.held.plus(metric)
        further = usual.beyond(held.value) - usual.beyond(where + self.shift)
        surely = further + SURE_EACH_TIME * _error(held, usual, worse=True)
        return replace(self, held=held, slack=max(0.0, min(self.slack, surely)))


def _error(seen: Pooled, bound: MetricBound, *, worse: bool) -> float:
    """The standard error of the mean of windows, towards the worse or the better, with what windows vary beyond their rows."""
    low, high = seen.interval
    reach = seen.value - low if bound.at_least is worse else high - seen.value
    of_one = reach / REACH * math.sqrt(seen.windows)
    more = (bound.spread**2 - 1) * max(of_one, bound.usual_error) ** 2
    return math.sqrt((of_one**2 + more) / seen.windows)
