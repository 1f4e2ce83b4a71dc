"""Charts of a data contract: how often each rule is broken, held to what the reference lets expect, by the charts of rates.

A rule of single rows is broken by none of the reference's, as far as the contract says what they keep; what is tolerated is the
bound of a count of nothing in so many rows, of two ends where the rule is a bound of numbers. A share that may be missing is agreed,
so it is what is tolerated. What is heard lies the floor above it; see rates.py. Together they share a hundredth of the budget, besides.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from detectors.calibration.rates import upper_share
from detectors.charts.budget import points_per_month, ratio_threshold
from detectors.charts.rate_charts import RateSide
from detectors.charts.rates import TINY, Held
from detectors.features import Floats, Ints
from detectors.sketches.violations import Rule

BUDGET_SHARE = 0.01
DAY_NS = 86_400 * 10**9
QUIET = 12  # subgroups, or a day where that is fewer
NONE: Ints = np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class FiringRule:
    """A rule that is broken too often: since when, by which share of the rows, over its threshold by `score`."""

    rule: Rule
    since: int
    share: float
    count: int
    score: float


class RuleRates:
    """What the charts of rates ask of the rates of rules: they vary by chance alone, and follow no hours."""

    begins = mass_features = hourly = NONE
    several: Floats = np.empty(0)

    def __init__(self, usual: Floats, most: Floats, floor: float) -> None:
        self.size = self.features = usual.size
        self.dispersion = np.ones(usual.size)
        self.rises = self.falls = self.highest = np.zeros(usual.size)
        self.held = Held(usual, most, np.zeros(usual.size), usual + floor, np.zeros(usual.size))


class RuleCharts:
    """A chart of each rule of a contract. `allowed`: the share of rows that may break it; others are none of `rows` of the reference.

    >>> charts = RuleCharts([("age", "min")], {}, rows=10_000, per_month=1.0, subgroup_ns=300 * 10**9)
    >>> [len(charts.follow({("age", "min"): broken}, 1000, 0)) for broken in (0, 1, 400)]
    [0, 0, 1]
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        allowed: Mapping[Rule, float],
        rows: int,
        per_month: float,
        subgroup_ns: int,
        floor: float = 0.005,
    ) -> None:
        self.rules = list(rules)
        usual = np.array([allowed.get(rule, 0.0) for rule in rules], dtype=np.float64)
        ends = np.array([2.0 if rule in {"min", "max"} else 1.0 for _, rule in rules])
        of_count = upper_share(np.zeros(usual.size), np.full(usual.size, float(rows)), max(usual.size, 1), ends)
        agreed = np.array([rule in allowed for rule in rules], dtype=np.bool_)
        most = np.clip(np.where(agreed, usual, of_count), TINY, 1 - 1e-6)
        arl = max(len(rules), 1) * points_per_month(subgroup_ns) / (per_month * BUDGET_SHARE)
        self.threshold = ratio_threshold(max(arl, math.e))
        quiet = int(np.clip(-(-DAY_NS // subgroup_ns), 3, QUIET))
        self._rates = RuleRates(usual, most, floor)
        self._side = RateSide(self._rates, slice(None), 1, self.threshold, quiet)

    def follow(self, counts: Mapping[Rule, int], rows: int, start: int) -> list[FiringRule]:
        """Take how many of a subgroup's rows break each rule; those that fire are returned, the furthest first."""
        if not self.rules or not rows:
            return self._firing(np.zeros(len(self.rules)), np.zeros(len(self.rules)), 1)
        events = np.array([counts.get(rule, 0) for rule in self.rules], dtype=np.float64)
        found, *_ = self._side.follow(events, np.full(events.size, float(rows)), self._rates.held, start)
        return self._firing(events, found[0], rows)

    def set_back(self, columns: Collection[str]) -> None:
        """Forget what the charts of these columns have heard."""
        which = np.array([column in columns for column, _ in self.rules], dtype=np.bool_)
        if which.any():
            self._side.forget(which)

    def _firing(self, events: Floats, standing: Floats, rows: int) -> list[FiringRule]:
        found = [
            FiringRule(
                self.rules[at],
                int(self._side.since[at]),
                float(events[at]) / rows,
                int(events[at]),
                float(standing[at]) / self.threshold,
            )
            for at in np.flatnonzero(self._side.firing).tolist()
        ]
        return sorted(found, key=lambda each: (-each.share, each.rule))

    # --- state ------------------------------------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """Write all state, by rule: a contract that changes keeps what its other rules have shown."""
        arrays = self._arrays()
        return msgspec.msgpack.encode(
            {
                f"{column}\0{rule}": {name: array[at].tobytes() for name, array in arrays.items()}
                for at, (column, rule) in enumerate(self.rules)
            }
        )

    def restore(self, data: bytes) -> None:
        """Read what `to_bytes` wrote."""
        saved, arrays = msgspec.msgpack.decode(data), self._arrays()
        for at, (column, rule) in enumerate(self.rules):
            for name, held in saved.get(f"{column}\0{rule}", {}).items():
                if name in arrays and len(held) == arrays[name][at].nbytes:
                    array = arrays[name]
                    array[at] = np.frombuffer(held, dtype=array.dtype).reshape(array[at].shape)

    def _arrays(self) -> dict[str, Any]:
        arrays = self._side.arrays("rule")
        return {name: array for name, array in arrays.items() if len(array) == len(self.rules)}
