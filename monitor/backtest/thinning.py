"""Points of a long series of windows or subgroups, thinned as they come, so that memory and report stay bounded."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

import numpy as np

from detectors.charts.design import CHARTS
from detectors.charts.point import ChartPoint
from detectors.features import Floats, Ints
from monitor.backtest.result import Track
from monitor.stream.events import Nanos

MOST = 2000  # points kept; from 1000 on, once there were more
SHOWN = 12  # features that came nearest


@dataclass(slots=True)
class RowsPoint:
    """Some neighbouring windows: the end of the last, how many, their rows."""

    end: Nanos
    windows: int
    rows: int

    def merged(self, later: "RowsPoint") -> "RowsPoint":
        """Both as one."""
        return RowsPoint(later.end, self.windows + later.windows, self.rows + later.rows)


@dataclass(slots=True)
class PeakPoint:
    """Some neighbouring subgroups: the end of the last, each feature's largest share of a threshold, and of which chart."""

    end: Nanos
    peaks: Floats
    charts: Ints

    def merged(self, later: "PeakPoint") -> "PeakPoint":
        """The higher of each; a feature that was judged in one of them only is there with that."""
        higher = np.isnan(self.peaks) | (later.peaks > self.peaks)
        peaks, charts = np.where(higher, later.peaks, self.peaks), np.where(higher, later.charts, self.charts)
        return PeakPoint(later.end, np.where(np.isnan(later.peaks), self.peaks, peaks), charts)

    @classmethod
    def of(cls, point: ChartPoint) -> "PeakPoint":
        """Where a chart point left each feature."""
        shares = point.ratios
        chart = shares.argmax(axis=1)
        peaks = np.where(point.certain.any(axis=1), np.maximum(shares.max(axis=1), 1.0), shares.max(axis=1))
        return cls(point.end, np.where(np.isnan(point.increments).all(axis=1), np.nan, peaks), chart)


Thinnable = TypeVar("Thinnable", RowsPoint, PeakPoint)


class Thinned(Generic[Thinnable]):
    """At most MOST points: when they are as many, neighbours are merged two by two."""

    def __init__(self) -> None:
        self.points: list[Thinnable] = []
        self.each = 1  # windows or subgroups a point
        self.count = 0
        self._open: Thinnable | None = None

    def add(self, point: Thinnable) -> None:
        """One more window or subgroup."""
        self.count += 1
        self._open = point if self._open is None else self._open.merged(point)
        if self.count % self.each:
            return
        self.points.append(self._open)
        self._open = None
        if len(self.points) == MOST:
            self.points = [
                first.merged(second) for first, second in zip(self.points[::2], self.points[1::2], strict=True)
            ]
            self.each *= 2

    def all(self) -> list[Thinnable]:
        """The points, the last perhaps of fewer windows than the others."""
        return self.points if self._open is None else self.points + [self._open]  # noqa: RUF005 - mypy takes no star here


def tracks(points: Sequence[PeakPoint], names: Sequence[str]) -> tuple[Track, ...]:
    """The features that came nearest to a page, nearest first."""
    if not points:
        return ()
    peaks, charts = np.array([point.peaks for point in points]), np.array([point.charts for point in points])
    highest = np.where(np.isnan(peaks), 0.0, peaks).max(axis=0)
    return tuple(
        Track(
            names[number],
            float(highest[number]),
            tuple(None if np.isnan(peak) else float(peak) for peak in peaks[:, number]),
            tuple(CHARTS[chart] for chart in charts[:, number]),
        )
        for number in np.argsort(-highest, kind="stable")[:SHOWN].tolist()
    )
