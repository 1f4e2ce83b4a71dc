"""The level that a metric is held to once it was accepted, or has settled: as bad as it was then, and never worse than it has become since.

A level is of so many windows, so the bound lies a little beyond it (`slack`). Windows that are better than the level are added up as those beyond
a bound are. Once that is proven, the level follows to the near end of their interval; and where their mean is no further from the reference than a
quarter of the way, the metric is back: a later fall to the same level is told anew.
"""

from dataclasses import dataclass, field, replace

from detectors.charts.levels import NEARER
from detectors.charts.metric_bounds import REACH, BoundDesign, BoundEvidence, MetricBound, Pooled
from detectors.charts.metric_variation import SURE
from detectors.performance.measured import Measured


@dataclass(frozen=True, slots=True)
class MetricLevel:
    """How far a level lies from where the metric usually is; 0: there is none. `better`: what speaks for it that the metric is better.

    >>> bound = MetricBound(0.9, at_least=True)
    >>> level = MetricLevel.of(Pooled().plus(Measured(0.8, 1000, None, (0.77, 0.83))), 0.9, at_least=True)
    >>> round(level.shift, 3), round(level.bound(bound).value, 3)
    (-0.1, 0.775)
    """

    shift: float = 0.0
    slack: float = 0.0
    better: BoundEvidence = field(default_factory=BoundEvidence)

    @classmethod
    def of(cls, seen: Pooled, usual: float, *, at_least: bool) -> "MetricLevel":
        """Return the level of these windows; none where they are no worse than usual."""
        shift, (low, high) = seen.value - usual, seen.interval
        if (shift >= 0) if at_least else (shift <= 0):
            return cls()
        return cls(shift, SURE / REACH * ((seen.value - low) if at_least else (high - seen.value)))

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
            return replace(self, better=better)
        value, (low, high) = better.run.value, better.run.interval
        if usual.beyond(value) - usual.beyond(where) <= NEARER * abs(self.shift):
            return MetricLevel()
        near = low if usual.at_least else high
        return MetricLevel(near - where) if beyond.beyond(near) > 0 else replace(self, better=BoundEvidence())
