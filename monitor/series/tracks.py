"""How near each feature came to its thresholds: the last windows one by one, the days before them hour by hour. It decides nothing.

A point is a row of the state of its own, two bytes a feature: a checkpoint writes what is new and takes away what is old.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from monitor.alerting.table import ScoreTable
from monitor.facts import TrackPoint
from monitor.series.records import Entry
from monitor.stream.events import HOUR, Nanos

WINDOWS, HOURS = "track", "track_hour"  # kinds of rows
KEPT_POINTS = {WINDOWS: 120, HOURS: 192}  # eight days of hours: the same hour a week ago is among them
HIGHEST = 60_000.0  # times a threshold: what float16 holds
DTYPE = np.dtype("<f2")  # as saved and shown
Nearness = NDArray[np.float16]


def of_thresholds(scores: ScoreTable, features: int) -> NDArray[np.float64]:
    """Each feature's largest score ÷ threshold, float64[f]; NaN where no score with a threshold is known."""
    near = np.full(features, np.nan)
    for part in scores.ready:  # whatever has a threshold is decided by
        if part.asked.bounded:
            part.raise_nearness(near)
    return near


def nearness(scores: ScoreTable, features: int) -> Nearness:
    """The same as float16[f], not below 0."""
    near = np.minimum(np.maximum(of_thresholds(scores, features), 0.0), HIGHEST) + 0.0  # one zero instead of two
    return near.astype(np.float16)


def read_points(points: Sequence[TrackPoint]) -> Nearness:
    """All points as float16[p, f]."""
    return np.frombuffer(b"".join(point.nearness for point in points), dtype=DTYPE).reshape(len(points), -1)


@dataclass(slots=True)
class PointRun:
    """The last points of one kind, the oldest first. A point with the start of the last one takes its place."""

    kind: str
    points: deque[TrackPoint]
    changed: dict[Nanos, TrackPoint | None]  # since the last checkpoint, by their starts

    @classmethod
    def of(cls, kind: str) -> "PointRun":
        """None yet."""
        return cls(kind, deque(maxlen=KEPT_POINTS[kind]), {})

    def add(self, point: TrackPoint) -> None:
        """Keep a point; the oldest goes where there is no room."""
        if self.points and self.points[-1].start == point.start:
            self.points.pop()
        elif len(self.points) == self.points.maxlen:
            self.changed[self.points[0].start] = None
        self.points.append(point)
        self.changed[point.start] = point

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        changed = [self._entry(start, point) for start, point in self.changed.items()]
        self.changed.clear()
        return changed

    def snapshot(self) -> list[Entry]:
        """All rows."""
        return [self._entry(point.start, point) for point in self.points]

    def _entry(self, start: Nanos, point: TrackPoint | None) -> Entry:
        held = None if point is None else point.end.to_bytes(8, "little", signed=True) + point.nearness
        return Entry(self.kind, held, start)

    def restore(self, entries: Iterable[Entry], features: int) -> None:
        """Take up the saved points that have a number for each feature."""
        for entry in sorted(entries, key=lambda entry: entry.number or 0):
            end, near = int.from_bytes(entry.held[:8], "little", signed=True), entry.held[8:]
            if entry.number is not None and len(near) == features * DTYPE.itemsize:
                self.points.append(TrackPoint(entry.number, end, near))


class TrackKeeper:
    """The points of one series."""

    kinds = (WINDOWS, HOURS)

    def __init__(self, features: int) -> None:
        self._features = features
        self._windows, self._hours = PointRun.of(WINDOWS), PointRun.of(HOURS)

    @property
    def windows(self) -> tuple[TrackPoint, ...]:
        """The last windows."""
        return tuple(self._windows.points)

    @property
    def hours(self) -> tuple[TrackPoint, ...]:
        """The last hours, each as far as it has come."""
        return tuple(self._hours.points)

    def add(self, start: Nanos, end: Nanos, scores: ScoreTable) -> tuple[TrackPoint, TrackPoint]:
        """Take a window: its own point, and that of the hour in which it ended, with the most that any of its windows had."""
        near = nearness(scores, self._features)
        window = TrackPoint(start, end, near.astype(DTYPE, copy=False).tobytes())
        hour = (end - 1) // HOUR * HOUR
        before = self._hours.points[-1] if self._hours.points else None
        if before is not None and before.start == hour:
            near = np.fmax(near, np.frombuffer(before.nearness, dtype=DTYPE))
        so_far = TrackPoint(hour, hour + HOUR, near.astype(DTYPE, copy=False).tobytes())
        self._windows.add(window)
        self._hours.add(so_far)
        return window, so_far

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        return [*self._windows.changes(), *self._hours.changes()]

    def snapshot(self) -> list[Entry]:
        """All rows."""
        return [*self._windows.snapshot(), *self._hours.snapshot()]

    def restore(self, entries: Sequence[Entry]) -> None:
        """Take up saved points."""
        for run in (self._windows, self._hours):
            run.restore((entry for entry in entries if entry.kind == run.kind), self._features)
