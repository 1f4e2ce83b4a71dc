"""How near each feature came to its thresholds: the last windows one by one, the days before them hour by hour. It decides nothing.

A point is a row of the state of its own, two bytes a feature: a checkpoint writes what is new and takes away what is old.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from monitor.alerting.table import AskedScores, DetectorScores, ScoreTable, raise_nearness
from monitor.facts import TrackPoint
from monitor.series.records import Entry
from monitor.stream.events import HOUR, Nanos

WINDOWS, HOURS = "track", "track_hour"  # kinds of rows
KEPT_POINTS = {WINDOWS: 120, HOURS: 192}  # eight days of hours: the same hour a week ago is among them
HIGHEST = 60_000.0  # times a threshold: what float16 holds
DTYPE = np.dtype("<f2")  # as saved and shown
Nearness = NDArray[np.float16]
Bounded = Sequence[DetectorScores]
MANY = 64  # windows that wait to be worked out together


def bounded(scores: ScoreTable) -> Bounded:
    """What was said of a window by detectors with a threshold: whatever has one is decided by, so that it is ready."""
    return [part for part in scores.ready if part.asked.bounded]


def of_thresholds(windows: Sequence[Bounded], features: int) -> NDArray[np.float64]:
    """Each feature's largest score ÷ threshold, float64[w, f], in windows of which the same is asked; NaN where no score with a threshold is known."""
    near = np.full((len(windows), features), np.nan)
    for parts in zip(*windows, strict=True):
        raise_nearness(parts, near)
    return near


def nearness(windows: Sequence[Bounded], features: int) -> Nearness:
    """The same as float16[w, f], not below 0."""
    near = np.minimum(np.maximum(of_thresholds(windows, features), 0.0), HIGHEST) + 0.0  # one zero instead of two
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
        points, start = self.points, point.start
        if points and points[-1].start == start:
            points.pop()
        elif len(points) == points.maxlen:
            self.changed[points[0].start] = None
        points.append(point)
        self.changed[start] = point

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
        self._waiting: list[
            tuple[Bounded, TrackPoint, TrackPoint]
        ] = []  # the points of windows that are not worked out yet
        self._asked: list[AskedScores] = []  # the same in all of them
        self._before: TrackPoint | None = None  # the hour before these

    @property
    def windows(self) -> tuple[TrackPoint, ...]:
        """The last windows."""
        self.settle()
        return tuple(self._windows.points)

    @property
    def hours(self) -> tuple[TrackPoint, ...]:
        """The last hours, each as far as it has come."""
        self.settle()
        return tuple(self._hours.points)

    def add(self, start: Nanos, end: Nanos, scores: ScoreTable) -> tuple[TrackPoint, TrackPoint]:
        """Take a window: its own point, and that of the hour in which it ended, with the most that any of its windows had.

        Both are filled at `settle`, for many windows at once.
        """
        parts, hour = bounded(scores), (end - 1) // HOUR * HOUR
        asked = [part.asked for part in parts]
        if len(self._waiting) == MANY or asked != self._asked:
            self.settle()
            self._asked = asked
        if not self._waiting:
            self._before = self._hours.points[-1] if self._hours.points else None
        window, so_far = TrackPoint(start, end, b""), TrackPoint(hour, hour + HOUR, b"")
        self._waiting.append((parts, window, so_far))
        self._windows.add(window)
        self._hours.add(so_far)
        return window, so_far

    def settle(self) -> None:
        """Fill the points that are not filled yet."""
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        near = nearness([parts for parts, _, _ in waiting], self._features).astype(DTYPE, copy=False)
        size, held = DTYPE.itemsize * self._features, near.tobytes()  # cut apart as bytes, in a third of the time
        for place, (_, window, _) in enumerate(waiting):
            window.nearness = held[place * size : (place + 1) * size]
        before = self._before
        for hour, places in groupby(range(len(waiting)), lambda place: waiting[place][2].start):
            hours = [*places]
            most = near[hours[0] : hours[-1] + 1]
            if before is not None and before.start == hour:
                most[0] = np.fmax(most[0], np.frombuffer(before.nearness, dtype=DTYPE))
            held = np.fmax.accumulate(most).tobytes()
            for at, place in enumerate(hours):
                before = waiting[place][2]
                before.nearness = held[at * size : (at + 1) * size]

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        self.settle()
        return [*self._windows.changes(), *self._hours.changes()]

    def snapshot(self) -> list[Entry]:
        """All rows."""
        self.settle()
        return [*self._windows.snapshot(), *self._hours.snapshot()]

    def restore(self, entries: Sequence[Entry]) -> None:
        """Take up saved points."""
        for run in (self._windows, self._hours):
            run.restore((entry for entry in entries if entry.kind == run.kind), self._features)
