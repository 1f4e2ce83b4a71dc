"""What the charts say of each feature, as evidence: what fires, since when, how far, and what to look at first."""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from detectors import Layout
from detectors.charts import CHARTS, ChartPoint
from detectors.univariate import volume
from monitor.alerting.budget import EVERY_FEATURE
from monitor.alerting.episodes import Evidence
from monitor.alerting.rules import BUDGET_RULE, SELF_CHECK_RULE
from monitor.stream.events import Nanos

ROWS = ("rows-", "rows+")  # the charts of the rows themselves
SHARE_IN_SIGMA = 2.5  # twenty points of missing values weigh as much as half a sigma
IN_SIGMA = np.where(np.arange(len(CHARTS)) < CHARTS.index("missing"), 1.0, SHARE_IN_SIGMA)


@dataclass(frozen=True, slots=True)
class ChartReader:
    """Reads chart points. `importance` float64[f]; `detectable` float64[k], the shift of each number found in a day."""

    layout: Layout
    importance: NDArray[np.float64]
    subgroup: Nanos
    detectable: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def _first(self, onset: Nanos) -> Nanos:
        """The end of the subgroup in which a change began."""
        return onset // self.subgroup * self.subgroup + self.subgroup

    def self_check(self, point: ChartPoint) -> Evidence:
        """What speaks against the calibration: more warnings than chance allows."""
        seen, due = point.of_late
        return Evidence(
            feature=EVERY_FEATURE,
            detector=SELF_CHECK_RULE,
            score=seen / max(due, 1e-9),
            threshold=1.0,
            pvalue=None,
            rows=point.rows,
            chart=SELF_CHECK_RULE,
            effect=seen - due,
            counts=integers(seen, due),
        )

    def firing(self, point: ChartPoint) -> dict[str, Nanos]:
        """The features of which a chart fires, each with the end of the first subgroup of its change."""
        firing = {}
        for place in np.flatnonzero(point.firing.any(axis=1)).tolist():
            firing[self.layout.names[place]] = self._first(int(point.since[place][point.firing[place]].min()))
        if point.row_firing.any():
            firing[volume.FEATURE] = self._first(int(point.row_since[point.row_firing].min()))
        return firing

    def evidence(self, point: ChartPoint) -> list[Evidence]:
        """One a firing feature, the one to look at first in front; the rows' own charts come last: they say little."""
        ranked = []
        for place in np.flatnonzero(point.firing.any(axis=1)).tolist():
            weights = np.where(point.firing[place], strengths(point)[place], 0.0)
            feature = self._feature(point, place, int(weights.argmax()))
            sizes = np.minimum(np.abs(point.effects[place]) * IN_SIGMA, 5.0)
            ranked.append((-float(self.importance[place]) * float((weights * sizes).max()), feature.feature, feature))
        return [feature for _, _, feature in sorted(ranked, key=lambda entry: entry[:2])] + self._rows(point)

    def _feature(self, point: ChartPoint, place: int, chart: int) -> Evidence:
        down = CHARTS[chart].endswith("-")
        return Evidence(
            feature=self.layout.names[place],
            detector=BUDGET_RULE,
            score=float(point.ratios[place, chart]),
            threshold=1.0,
            pvalue=tail(float(point.z[place, chart])),
            rows=point.rows,
            chart=CHARTS[chart],
            since=self._first(int(point.since[place][point.firing[place]].min())),
            effect=float(-point.effects[place, chart] if down else point.effects[place, chart]),
            resolution=self._resolution(place, CHARTS[chart]),
        )

    def _resolution(self, place: int, chart: str) -> float | None:
        """What the chart can tell apart at all, of a mean."""
        known = chart.startswith("location") and place < self.detectable.size
        shift = float(self.detectable[place]) if known else math.inf
        return shift if math.isfinite(shift) else None

    def _rows(self, point: ChartPoint) -> list[Evidence]:
        usual = point.usual_rows
        if usual is None:
            return []
        return [
            Evidence(
                feature=volume.FEATURE,
                detector=BUDGET_RULE,
                score=float(point.row_values[which] / point.thresholds[0]),
                threshold=1.0,
                pvalue=None,
                rows=point.rows,
                chart=ROWS[which],
                since=self._first(int(point.row_since[which])),
                effect=math.log2(max(point.rows, 1) / usual),
                counts=integers(usual, point.rows),
            )
            for which in np.flatnonzero(point.row_firing).tolist()
        ]


def integers(*numbers: float) -> bytes:
    """Numbers rounded, as the counts of an `Evidence`."""
    return np.rint(numbers).astype("<i8").tobytes()


def strengths(point: ChartPoint) -> NDArray[np.float64]:
    """How strongly each chart speaks, float64[f, 7]: its sum over the threshold, and twice that where one subgroup was enough."""
    return np.asarray(np.where(point.certain, np.maximum(point.ratios, 2.0), point.ratios))


def tail(z: float) -> float:
    """Chance of a standard normal above z."""
    return math.erfc(z / math.sqrt(2)) / 2
