"""Whether a metric lies on the wrong side of a bound: evidence that adds up from window to window.

Of a window with the value v and an interval of 95 % the deviate is how many standard errors v lies beyond the bound, the standard
error being the reach of the interval towards the bound: at 1.96 the whole interval is on the wrong side. Where a reference says what the
error is on the bound, it is that. Deviates add up in
a CUSUM (Page 1954) less a drift of half a standard error; one window that says so by itself is heard at once (Lucas 1982, combined
Shewhart-CUSUM). Each of the two has half of the false alarms.

Where the windows of a reference are known, what they vary more than their rows explain is added (`metric_variation.py`).
"""

import math
from dataclasses import dataclass, field, replace
from statistics import NormalDist

from detectors.calibration.arl import DRIFT, gaussian_threshold
from detectors.performance.measured import Interval, Measured

USUAL = 0.95  # confidence of the intervals
REACH = NormalDist().inv_cdf((1 + USUAL) / 2)
SHORTEST = 20.0  # windows between false alarms that the formula still holds for


@dataclass(frozen=True, slots=True)
class MetricBound:
    """A bound of a metric. `at_least`: lower values are wrong.

    `spread`: how many times more than by their rows windows vary; `usual_error` is the standard error of those that this was
    learnt from. `unit`: the standard error of one row where the bound holds, if it is known: it takes the place of the interval,
    or, of a metric whose error depends on more than rows (`own_error`), of a shorter one.
    """

    value: float
    at_least: bool
    spread: float = 1.0
    usual_error: float = 0.0
    unit: float | None = None
    own_error: bool = False

    @property
    def usual_rows(self) -> float:
        """Rows of a usual window, where they are known."""
        return math.inf if self.unit is None or self.usual_error <= 0 else (self.unit / self.usual_error) ** 2

    def deviate(self, metric: Measured) -> float | None:
        """Return how many standard errors a window lies beyond the bound, negative on the right side of it; None where nobody knows.

        >>> round(MetricBound(0.9, at_least=True).deviate(Measured(0.85, 1000, None, (0.8265, 0.8708))), 1)
        4.7
        """
        error = self._error(metric)
        return None if error is None or error <= 0 else self.beyond(metric.value) / error

    def beyond(self, value: float) -> float:
        """Return how far a value lies beyond the bound, negative on the right side of it."""
        return self.value - value if self.at_least else value - self.value

    def surely_beyond(self, value: float, interval: Interval | None) -> float:
        """Return how far the nearest end of the interval lies beyond the bound."""
        return self.beyond(value) - (0.0 if interval is None else self._reach(value, interval))

    def _reach(self, value: float, interval: Interval) -> float:
        """How far the interval reaches towards the bound; where it does not, how far it reaches away from it."""
        low, high = value - interval[0], interval[1] - value
        near, far = (high, low) if self.at_least else (low, high)
        return near if near > 0 else far

    def _error(self, metric: Measured) -> float | None:
        own = None if metric.interval is None else self._reach(metric.value, metric.interval) / REACH
        known = None if self.unit is None else self.unit / math.sqrt(max(metric.rows, 1))
        if known is None or (self.own_error and own is not None):
            error = own if known is None or own is None else max(known, own)
        else:
            error = known
        if error is None:
            return None
        return math.sqrt(error**2 + (self.spread**2 - 1) * max(error, self.usual_error) ** 2)


@dataclass(frozen=True, slots=True)
class BoundDesign:
    """When a bound is broken: once in `arl` windows by chance, of a metric that lies on the bound.

    >>> design = BoundDesign.of(3000)
    >>> round(design.threshold, 1), round(design.at_once, 1)
    (6.8, 3.6)
    """

    threshold: float  # of the sum
    at_once: float  # deviate of one window

    @classmethod
    def of(cls, arl: float) -> "BoundDesign":
        """Return the design of a mean number of windows between false alarms."""
        each = 2 * max(arl, SHORTEST)
        return cls(gaussian_threshold(each), NormalDist().inv_cdf(1 - 1 / each))


@dataclass(frozen=True, slots=True)
class Compared(Measured):
    """A difference as a chart takes it, safety and all; and what it is of: the metric itself, and what was expected of it."""

    realised: Measured | None = None
    expected: float = 0.0


@dataclass(frozen=True, slots=True)
class Pooled:
    """What a metric was over some windows, each as long as it has rows. Of a difference also what the metric itself was, and what was expected of it.

    `since`: the end of the first of them, in event time, where it was said.
    """

    windows: int = 0
    rows: float = 0.0
    values: float = 0.0
    below: float = 0.0  # squared reaches of the intervals
    above: float = 0.0
    realised: "Pooled | None" = None
    expectations: float = 0.0
    since: int | None = None

    def plus(self, metric: Measured, at: int | None = None) -> "Pooled":
        """Return the same with one more window, which ends at `at`."""
        low, high = metric.interval or (metric.value, metric.value)
        rows = max(metric.rows, 1)
        realised, expectations = self.realised, self.expectations
        if isinstance(metric, Compared) and metric.realised is not None:
            realised = (realised or Pooled()).plus(metric.realised)
            expectations += rows * metric.expected
        return Pooled(
            self.windows + 1,
            self.rows + rows,
            self.values + rows * metric.value,
            self.below + (rows * (metric.value - low)) ** 2,
            self.above + (rows * (high - metric.value)) ** 2,
            realised,
            expectations,
            self.since if self.windows else at,
        )

    @property
    def usual_window(self) -> Measured:
        """One of these windows as it is on average, with the interval that it has by itself.

        >>> both = Pooled().plus(Measured(0.8, 100, None, (0.7, 0.9))).plus(Measured(0.6, 100, None, (0.5, 0.7)))
        >>> round(both.usual_window.value, 3), [round(end, 3) for end in both.usual_window.interval]
        (0.7, [0.6, 0.8])
        """
        value, (low, high), wider = self.value, self.interval, math.sqrt(self.windows)
        reaches = value - (value - low) * wider, value + (high - value) * wider
        return Measured(value, round(self.rows / self.windows), None, reaches if high > low else None)

    @property
    def expected(self) -> float | None:
        """What was expected of the metric itself in the windows that `realised` is of; None of what is no difference."""
        return None if self.realised is None else self.expectations / self.realised.rows

    @property
    def value(self) -> float:
        """The mean."""
        return self.values / self.rows

    @property
    def interval(self) -> Interval:
        """Its interval: the reaches of independent windows, squared and added (MOVER; Zou and Donner, Statistics in Medicine 27, 2008).

        >>> both = Pooled().plus(Measured(0.8, 100, None, (0.7, 0.9))).plus(Measured(0.8, 100, None, (0.7, 0.9)))
        >>> tuple(round(end, 3) for end in both.interval)
        (0.729, 0.871)
        """
        return self.value - math.sqrt(self.below) / self.rows, self.value + math.sqrt(self.above) / self.rows


@dataclass(frozen=True, slots=True)
class BoundEvidence:
    """What speaks for a broken bound. `run`: the windows since the sum was last 0; `last`: the deviate of the last one."""

    total: float = 0.0
    last: float = 0.0
    run: Pooled = field(default_factory=Pooled)

    def plus(self, bound: MetricBound, metric: Measured, at: int | None = None) -> "BoundEvidence":
        """Return the evidence after one more window, which ends at `at`; what has no interval says nothing."""
        deviate = bound.deviate(metric)
        if deviate is None:
            return self
        total = max(0.0, self.total + deviate - DRIFT)
        return BoundEvidence(total, deviate, (self.run if self.total > 0 else Pooled()).plus(metric, at))

    def score(self, design: BoundDesign) -> float:
        """Return the evidence over what is asked for: above 1 the bound is broken."""
        return max(self.total / design.threshold, self.last / design.at_once)

    def forgotten(self) -> "BoundEvidence":
        """Return the evidence after the end of an alert: nothing speaks any more."""
        return replace(self, total=0.0)


@dataclass(frozen=True, slots=True)
class Lately:
    """What a metric is by now: the windows since it last changed, either way, by evidence.

    >>> design, bound, seen = BoundDesign.of(3000), MetricBound(0.9, at_least=True), Lately()
    >>> for value in [0.8] * 20 + [0.7] * 5:
    ...     seen = seen.plus(bound, Measured(value, 1000, None, (value - 0.03, value + 0.03)), design)
    >>> seen.run.windows, round(seen.run.value, 3)
    (5, 0.7)
    """

    run: Pooled = field(default_factory=Pooled)
    lower: BoundEvidence = field(default_factory=BoundEvidence)
    higher: BoundEvidence = field(default_factory=BoundEvidence)

    def plus(self, usual: MetricBound, metric: Measured, design: BoundDesign) -> "Lately":
        """Return the same after one more window. What windows vary the usual bound says."""
        if not self.run.windows:
            return Lately(self.run.plus(metric))
        line = replace(usual, value=self.run.value, own_error=True)
        lower = self.lower.plus(replace(line, at_least=True), metric)
        higher = self.higher.plus(replace(line, at_least=False), metric)
        for each in (lower, higher):
            if each.score(design) > 1:
                return Lately(each.run)
        return Lately(self.run.plus(metric), lower, higher)
