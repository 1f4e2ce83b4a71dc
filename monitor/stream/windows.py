"""Panes of one series and the windows they make.

pane    0    1    2    3
window [0---------)             an event lands in one pane;
            [1---------)        a window is a run of panes, merged
"""

from dataclasses import dataclass

import numpy as np

from detectors import Grid, Sketch
from monitor.stream.events import EventBatch, Nanos


@dataclass(frozen=True, slots=True)
class ClosedWindow:
    """A window whose panes are sealed: [start, end), and what was counted in it."""

    start: Nanos
    end: Nanos
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class SealedPane:
    """A pane that no event can enter any more and that lies wholly after the first event: [start, end)."""

    start: Nanos
    end: Nanos
    sketch: Sketch


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Length, slide and lateness in event time, nanoseconds. Windows and panes are aligned to the Unix epoch."""

    length: Nanos
    slide: Nanos
    lateness: Nanos

    def __post_init__(self) -> None:
        if self.slide <= 0 or self.length % self.slide:
            raise ValueError(f"slide {self.slide} ns must divide the window of {self.length} ns")
        if self.lateness < 0:
            raise ValueError(f"lateness {self.lateness} ns must not be negative")


class Windows:
    """Folds batches into panes, seals panes and closes windows as the watermark passes.

    A window closes, and the pane that ends with it is sealed, when the watermark reaches end + lateness. A sealed
    pane takes no event: what comes for it is late. `origin` is the smallest event time accepted; the first window
    judged is the first that lies wholly after it.
    """

    def __init__(self, spec: WindowSpec, grid: Grid) -> None:
        self.spec = spec
        self.grid = grid
        self.panes: dict[Nanos, Sketch] = {}
        self.origin: Nanos | None = None
        self.sealed_until: Nanos | None = None
        self.touched: set[Nanos] = set()  # panes changed or dropped since the last checkpoint
        self._sum: ClosedWindow | None = None  # the last window's total, so that a slide costs two panes, not all

    def add(self, batch: EventBatch) -> int:
        """Count a batch into its panes; the number of late events is returned."""
        late = 0
        if self.sealed_until is not None:
            timely = batch.event_times >= self.sealed_until
            late = len(batch) - int(np.count_nonzero(timely))
            if late:
                batch = batch.where(timely)
        if not len(batch):
            return late
        first = int(batch.event_times.min())
        self.origin = first if self.origin is None else min(self.origin, first)
        starts = batch.event_times - batch.event_times % self.spec.slide
        if starts[0] == starts[-1] and (starts == starts[0]).all():
            self._count(int(starts[0]), batch)
            return late
        for start in np.unique(starts):
            self._count(int(start), batch.where(starts == start))
        return late

    def _count(self, start: Nanos, batch: EventBatch) -> None:
        pane = self.panes.get(start)
        if pane is None:
            pane = self.panes[start] = Sketch.empty(self.grid)
        pane.update(batch.numeric, batch.codes)
        self.touched.add(start)

    def close_until(self, watermark: Nanos) -> list[SealedPane | ClosedWindow]:
        """Seal what the watermark has passed: panes and windows in order of their end, empty ones left out."""
        horizon = self._horizon(watermark)
        if self.sealed_until is not None and horizon <= self.sealed_until:
            return []
        closed: list[SealedPane | ClosedWindow] = []
        for end in self._ends_until(horizon):
            closed += self._close(end)
        self.sealed_until = horizon
        self._drop_used()
        return closed

    def seal_until(self, watermark: Nanos) -> None:
        """Begin at a watermark that others have brought so far: what it has passed is late."""
        self.sealed_until = self._horizon(watermark)

    def _horizon(self, watermark: Nanos) -> Nanos:
        """The last end of a pane that the watermark has passed by the lateness."""
        horizon = watermark - self.spec.lateness
        return horizon - horizon % self.spec.slide

    def _ends_until(self, horizon: Nanos) -> list[Nanos]:
        """Ends of the windows to look at: those that hold a pane, past what was sealed before."""
        slide, length = self.spec.slide, self.spec.length
        before = self.sealed_until
        ends: list[Nanos] = []
        for start in sorted(self.panes):
            first = start + slide
            if ends:
                first = max(first, ends[-1] + slide)
            if before is not None:
                first = max(first, before + slide)
            ends += range(first, min(start + length, horizon) + 1, slide)
        return ends

    def _close(self, end: Nanos) -> list[SealedPane | ClosedWindow]:
        closed: list[SealedPane | ClosedWindow] = []
        origin = self.origin
        newest = end - self.spec.slide
        if origin is None:
            return closed
        if newest in self.panes and newest >= origin:
            closed.append(SealedPane(newest, end, self.panes[newest]))
        start = end - self.spec.length
        if start >= origin:
            window = ClosedWindow(start, end, self._total(start, end))
            self._sum = window if self.spec.slide < self.spec.length else None
            closed.append(window)
        return closed

    def _total(self, start: Nanos, end: Nanos) -> Sketch:
        """The sum of the window's panes; from the last window's total where that is one slide behind."""
        last = self._sum
        if last is not None and last.end == end - self.spec.slide:
            total = last.sketch.copy()
            gone, come = self.panes.get(last.start), self.panes.get(last.end)
            if gone is not None:
                total.counts -= gone.counts
                total.rows -= gone.rows
            if come is not None:
                total.add(come)
            return total
        total = Sketch.empty(self.grid)
        for pane_start, pane in self.panes.items():
            if start <= pane_start < end:
                total.add(pane)
        return total

    def _drop_used(self) -> None:
        """Forget panes that no open window needs; one slide more stays, for the next subtraction."""
        if self.sealed_until is None:
            return
        needed_from = self.sealed_until - self.spec.length
        if self.spec.slide == self.spec.length:
            needed_from = self.sealed_until
        for start in [start for start in self.panes if start < needed_from]:
            del self.panes[start]
            self.touched.add(start)
