"""What of the charts fires, as values: which feature, by which chart, since when, how far, the one to look at first in front."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from detectors.charts import duplicates
from detectors.charts.design import CHARTS, ChartDesign
from detectors.charts.detectable import detectable_shift
from detectors.charts.kinds import QUALITY, IncidentKind, kind_of
from detectors.charts.point import ChartPoint
from detectors.features import Bools, Floats
from detectors.layout import Layout
from detectors.univariate import volume

ROWS_CHARTS = ("rows-", "rows+")  # of the rows themselves
DAY_NS = 86_400 * 10**9
SHARE_IN_SIGMA = 2.5  # twenty points of missing values weigh as much as half a sigma
IN_SIGMA = np.where(np.arange(len(CHARTS)) < CHARTS.index("missing"), 1.0, SHARE_IN_SIGMA)
MOST_SIGMA = 5.0  # that a size counts for when features are ranked
RATES = ("missing", "unseen")
OF_QUALITY = np.isin(CHARTS, sorted(QUALITY))


@dataclass(frozen=True, slots=True)
class FiringFeature:
    """One feature of which a chart of one kind fires.

    `chart` is the one that says most; `since` the end of the subgroup in which the change began, nanoseconds. `effect` is
    signed: sigma of the reference, or a share of the rows, also of duplicates; of the rows themselves log2 of the rows over the usual ones.
    `score` is the chart's sum over its threshold. `detectable` is the smallest lasting shift found within a day, sigma.
    `size` is the effect over the last subgroups, not of one alone, and `usual` the reference's rate where it is of missing or
    unseen values. `moving`: it never stays at a level; `creeping`: same, so slowly that it seemed to have settled. `grown`: it has
    just become twice as large as it was; `turned` the end of the subgroup in which it began to move the other way, where
    `chart` has just proven that.
    """

    feature: str
    chart: str
    since: int
    effect: float
    score: float
    pvalue: float | None = None
    detectable: float | None = None
    moving: bool = False
    creeping: bool = False
    grown: bool = False
    turned: int | None = None
    size: float = 0.0
    usual: float = 0.0
    numeric: bool = True

    @property
    def kind(self) -> IncidentKind:
        """What it is about."""
        return kind_of(self.feature, self.chart)


@dataclass(frozen=True, slots=True)
class FiringReader:
    """Reads chart points. `importance` float64[f]; `detectable` float64[k], the shift of each number found in a day."""

    layout: Layout
    importance: Floats
    subgroup_ns: int
    detectable: Floats = field(default_factory=lambda: np.empty(0))
    usual_rates: Floats = field(default_factory=lambda: np.empty((0, 2)))  # float64[f, 2] of missing and unseen values

    @classmethod
    def of(cls, design: ChartDesign) -> "FiringReader":
        """Return the reader of a design's own charts."""
        return cls(
            design.layout, design.weights, design.subgroup_ns, detectable_shift(design, DAY_NS), design.plain_rates
        )

    def read(self, point: ChartPoint) -> list[FiringFeature]:
        """Return what fires, ordered by evidence, effect and importance together; duplicates come first, the number of rows last.

        A feature that both drifts and is broken is there twice: those are two matters.
        """
        if not point.any_firing:
            return []
        ranked, strong = [], strengths(point)
        for charts in (~OF_QUALITY, OF_QUALITY):
            firing = point.firing & charts
            for place in np.flatnonzero(firing.any(axis=1)).tolist():
                weights = np.where(firing[place], strong[place], 0.0)
                sizes = np.minimum(np.abs(point.effects[place]) * IN_SIGMA, MOST_SIGMA)
                weight = float(self.importance[place]) * float((weights * sizes).max())
                turned = point.turned.get(place, -1)
                chart = turned if turned >= 0 and charts[turned] else int(weights.argmax())
                found = self._feature(point, place, chart, firing[place])
                ranked.append((-weight, self.layout.names[place], found))
        features = [found for _, _, found in sorted(ranked, key=lambda entry: entry[:2])]
        return [*self._duplicates(point), *features, *self._rows(point)]

    def _feature(self, point: ChartPoint, place: int, chart: int, firing: Bools) -> FiringFeature:
        name, effect = CHARTS[chart], float(point.effects[place, chart])
        known = name.startswith("location") and place < self.detectable.size
        detectable = float(self.detectable[place]) if known else math.inf
        return FiringFeature(
            feature=self.layout.names[place],
            chart=name,
            since=self._first(int(point.since[place][firing].min())),
            effect=-effect if name.endswith("-") else effect,
            score=float(point.ratios[place, chart]),
            pvalue=math.erfc(float(point.z[place, chart]) / math.sqrt(2)) / 2,
            detectable=detectable if math.isfinite(detectable) else None,
            moving=place in point.moving or place in point.creeping,
            creeping=place in point.creeping,
            grown=place in point.grown,
            turned=self._first(int(point.since[place, chart])) if point.turned.get(place) == chart else None,
            size=float(point.sizes[place][chart]) if place in point.sizes else effect,
            usual=float(self.usual_rates[place, RATES.index(name)]) if name in RATES and len(self.usual_rates) else 0.0,
            numeric=place < len(self.layout.numeric),
        )

    def _duplicates(self, point: ChartPoint) -> Iterator[FiringFeature]:
        found = point.duplicates
        if found is None or not found.firing:
            return
        effect = found.share - (found.usual or 0.0)
        yield FiringFeature(
            feature=duplicates.FEATURE,
            chart=duplicates.CHART,
            since=self._first(found.since),
            effect=effect,
            size=effect,
            score=found.value,
            usual=found.usual or 0.0,
        )

    def _rows(self, point: ChartPoint) -> Iterator[FiringFeature]:
        if point.usual_rows is None:
            return
        for which in np.flatnonzero(point.row_firing).tolist():
            yield FiringFeature(
                feature=volume.FEATURE,
                chart=ROWS_CHARTS[which],
                since=self._first(int(point.row_since[which])),
                effect=(effect := math.log2(max(point.volume, 1) / point.usual_rows)),
                size=effect,
                score=float(point.row_values[which] / point.thresholds[0]),
            )

    def _first(self, onset: int) -> int:
        """Return the end of the subgroup in which a change began."""
        return onset // self.subgroup_ns * self.subgroup_ns + self.subgroup_ns


def strengths(point: ChartPoint) -> Floats:
    """Return how strongly each chart speaks, float64[f, 7]: its sum over the threshold, and at least 2 where one subgroup was enough."""
    return np.asarray(np.where(point.certain, np.maximum(point.ratios, 2.0), point.ratios))
