"""When a reference's rows happened: period, rows a window, and which windows there are."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from detectors.calibration.cells import MergedCells
from detectors.calibration.collect import NO_TIME, WindowTally, occurring
from detectors.columns import Column
from detectors.features import Ints
from detectors.layout import Layout
from detectors.sketches.violations import PART

MINUTE_NS = 60 * 10**9
SHORTEST = 5  # minutes: of windows that are worth trying
APART = 60  # minutes between two batches
DAY = 1440
FEWEST_BATCHES = 5
MOST_HELD = 1_000_000  # windows whose rows are counted: beyond twice as many the earlier are forgotten


def nanoseconds(name: str, column: Column) -> Ints:
    """Return event times as int64[n] nanoseconds, NO_TIME where there is none. Raises ValueError for anything else."""
    times = np.asarray(column)
    if times.dtype.kind == "M":
        times = times.astype("datetime64[ns]").astype(np.int64)
    if times.dtype.kind not in "iu":
        raise ValueError(f"{name}: timestamps must be whole nanoseconds, not {times.dtype}")
    return times.astype(np.int64, copy=False)


@dataclass(slots=True)
class Arrivals:
    """Event times in nanoseconds to first, last and the usual number of rows a window."""

    window_ns: int | None
    first: int | None = None
    last: int | None = None
    rows: Counter[int] = field(default_factory=Counter)
    unlogged: Counter[int] = field(default_factory=Counter)  # of a sample: how many rows more there were, in millionths
    minutes: set[int] = field(default_factory=set)  # in which rows came; what more there are is forgotten

    def add(self, name: str, column: Column, weights: Ints | None = None) -> None:
        """Take event times, int64[n] nanoseconds or datetime64[n], and weights in millionths. Raises ValueError for anything else."""
        times = nanoseconds(name, column)
        known = times != NO_TIME
        times, weights = times[known], None if weights is None else weights[known]
        if not times.size:
            return
        first, last = int(times.min()), int(times.max())
        self.first = first if self.first is None else min(self.first, first)
        self.last = last if self.last is None else max(self.last, last)
        if self.window_ns is not None:
            self._note(times // MINUTE_NS)
            windows, which = occurring(times // self.window_ns)
            for window, count in zip(windows.tolist(), np.bincount(which).tolist(), strict=True):
                self.rows[window] += count
            if weights is not None:
                more = np.bincount(which, weights=weights - PART).astype(np.int64)
                for window, count in zip(windows.tolist(), more.tolist(), strict=True):
                    self.unlogged[window] += count
            if len(self.rows) > 2 * MOST_HELD:
                self.rows = Counter({window: self.rows[window] for window in sorted(self.rows)[-MOST_HELD:]})

    def _note(self, minutes: Ints) -> None:
        if len(self.minutes) < MOST_HELD:
            changes = np.flatnonzero(np.diff(minutes, prepend=minutes[0] - 1))
            self.minutes.update(minutes[changes].tolist())

    def take(self, other: "Arrivals") -> None:
        """Take what others saw."""
        for at in (each for each in (other.first, other.last) if each is not None):
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)
        self.rows.update(other.rows)
        self.minutes |= other.minutes

    def batches(self, needed: int) -> str:
        """Return how many batches are needed where rows come so seldom that no window will do; nothing where one may.

        A batch is a run of minutes with rows, an hour or more from the next; `needed` windows are asked for.
        """
        minutes = np.array(sorted(self.minutes), dtype=np.int64)
        if np.unique(minutes // SHORTEST).size >= needed:
            return ""
        starts = minutes[np.flatnonzero(np.diff(minutes, prepend=minutes[0] - APART) >= APART)]
        if starts.size < FEWEST_BATCHES:
            return ""
        apart = float(np.median(np.diff(starts)))
        unit, length = ("day", DAY) if apart >= DAY else ("hour", APART)
        between = (
            f"{apart / length:.2g} {unit}".replace("1 day", "day") if apart == DAY else f"{apart / length:.2g} {unit}s"
        )
        return (
            f"its rows come in {starts.size} batches, one every {between}: about {needed} of them are "
            f"needed, which take {needed * apart / length:.0f} {unit}s"
        )

    @property
    def period(self) -> tuple[int, int] | None:
        """First and last event time."""
        return None if self.first is None or self.last is None else (self.first, self.last)

    @property
    def rows_per_second(self) -> float | None:
        """Median rows of the windows between the first and the last one, which are likely cut off."""
        whole = [self.rows[window] + self.unlogged[window] / PART for window in sorted(self.rows)[1:-1]]
        if self.window_ns is None or len(whole) < 2:  # noqa: PLR2004 - one window is no rate
            return None
        return float(np.median(whole)) / (self.window_ns / 1e9)

    def tally(self, layout: Layout, counts: Ints) -> WindowTally | None:
        """Return an empty tally of the windows that occur; None where there are none. `counts` int64[size] of a sample."""
        if self.window_ns is None or not self.rows:
            return None
        windows = np.array(sorted(self.rows), dtype=np.int64)
        cells = MergedCells.of(layout, counts, float(np.median(list(self.rows.values()))))
        return WindowTally(cells, self.window_ns, windows)
