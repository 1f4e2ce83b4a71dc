"""Panes of one view and the windows they make.

pane    0    1    2    3
window [0---------)             an event lands in one pane;
            [1---------)        a window is a run of panes, merged
"""

from bisect import bisect_left, insort
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

from detectors.sketches.violations import Violations
from monitor.stream.delta import PanePart
from monitor.stream.events import Nanos
from monitor.stream.schema import RowSchema
from monitor.stream.sketches import S, SketchSpec, slid

LOOSE = 2  # panes of one series that are counted into, not packed


@dataclass(slots=True)  # not frozen, nor is a pane: they are made for each slide, and it takes a third of the time
class ClosedWindow(Generic[S]):
    """A window whose panes are sealed: [start, end), and what was counted in it."""

    start: Nanos
    end: Nanos
    sketch: S


@dataclass(slots=True)
class SealedPane(Generic[S]):
    """A pane that no event can enter any more and that lies wholly after the first event: [start, end)."""

    start: Nanos
    end: Nanos
    sketch: S


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


class Windows(Generic[S]):
    """Takes what belongs to panes, seals panes and closes windows as the watermark passes.

    A window closes, and the pane that ends with it is sealed, when the watermark reaches end + lateness. A sealed
    pane takes no event: what comes for it is late. `origin` is the smallest event time accepted; the first window
    judged is the first that lies wholly after it.
    """

    def __init__(self, spec: WindowSpec, sketches: SketchSpec[S]) -> None:
        self.spec = spec
        self.sketches = sketches
        self.panes: dict[Nanos, Any] = {}  # by their starts, packed but for the loose ones
        self.origin: Nanos | None = None
        self.sealed_until: Nanos | None = None
        self.touched: set[Nanos] = set()  # panes changed or dropped since the last checkpoint
        self._starts: list[Nanos] = []  # of the panes, rising
        self._held: dict[Nanos, dict[Hashable, PanePart]] = {}  # by pane and slot, not added yet
        self._loose: dict[Nanos, S] = {}  # the panes not packed, the one touched last at the end
        self._sum: ClosedWindow[S] | None = None  # the last window's total, so that a slide costs two panes, not all
        self._opened: tuple[Nanos, S] | None = None  # the last sealed pane that was asked for

    # --- counting -----------------------------------------------------------------------------------------------

    def add(self, panes: Mapping[Nanos, PanePart]) -> int:
        """Add to panes, by their starts; the number of late events is returned."""
        late, sealed_until, origin = 0, self.sealed_until, self.origin
        for start, part in panes.items():
            if sealed_until is not None and start < sealed_until:
                late += part.rows
                continue
            if origin is None or part.earliest < origin:
                self.origin = origin = part.earliest
            part.add_to(self._pane(start))
            self.touched.add(start)
        return late

    def note_schema(self, start: Nanos, rows: RowSchema) -> None:
        """Let the pane that starts here have what its rows tell of the columns they have, unless it is sealed."""
        if not self.is_sealed(start):
            self._pane(start).note_schema(rows.counted())
            self.touched.add(start)

    def violate(self, start: Nanos, found: Violations) -> None:
        """Let the pane that starts here have what its rows break, unless it is sealed."""
        if not self.is_sealed(start):
            self._pane(start).violate(found)
            self.touched.add(start)

    def hold(self, slot: Hashable, panes: Mapping[Nanos, PanePart]) -> None:
        """Let these be what a slot adds to panes that are not sealed, in the place of what it added before.

        A pane that is sealed takes what is held for it, and `settle` adds the rest; so nothing has to be subtracted.
        """
        for start, part in panes.items():
            if self.is_sealed(start):
                continue
            if self.origin is None or part.earliest < self.origin:
                self.origin = part.earliest
            if start not in self.panes:
                insort(self._starts, start)
                self.panes[start] = self.sketches.empty().packed()
                self.touched.add(start)
            self._held.setdefault(start, {})[slot] = part

    def settle(self, slot: Hashable) -> None:
        """Add what is held of a slot to its panes: nothing takes its place any more."""
        for start in [start for start, parts in self._held.items() if slot in parts]:
            self._add(start, [self._held[start].pop(slot)])
            if not self._held[start]:
                del self._held[start]

    def _absorb(self, until: Nanos) -> None:
        """Add what is held of the panes before a time, which are sealed now."""
        for start in sorted(start for start in self._held if start < until):
            self._add(start, self._held.pop(start).values())

    def _add(self, start: Nanos, parts: Iterable[PanePart]) -> None:
        pane = self._pane(start)
        for part in parts:
            part.add_to(pane)
        self.touched.add(start)

    def is_sealed(self, start: Nanos) -> bool:
        """Whether what comes for the pane that starts here is late."""
        return self.sealed_until is not None and start < self.sealed_until

    def _pane(self, start: Nanos) -> S:
        """The pane to count into. Only the two touched last are loose, however many are open."""
        pane = self._loose.pop(start, None)
        if pane is None:
            if len(self._loose) == LOOSE:
                self._pack(next(iter(self._loose)))
            pane = self.panes[start] = self._unpack(start)
        self._loose[start] = pane
        return pane

    def _unpack(self, start: Nanos) -> S:
        packed = self.panes.get(start)
        if packed is not None:
            return self.sketches.unpacked(packed)
        insort(self._starts, start)
        return self.sketches.empty()

    def _pack(self, start: Nanos) -> None:
        self.panes[start] = self._loose.pop(start).packed()

    def restore(self, start: Nanos, pane: S) -> None:
        """Take up a saved pane."""
        self.panes[start] = pane.packed()
        insort(self._starts, start)

    # --- closing ------------------------------------------------------------------------------------------------

    def due(self, watermark: Nanos) -> list[Nanos]:
        """Ends of the windows to close, rising: those that hold a pane, past what was sealed before. What is held for their panes is added."""
        horizon = self._horizon(watermark)
        if self._held:
            self._absorb(horizon)
        return ends_between(self._starts, self.sealed_until, horizon, self.spec)

    def close(self, end: Nanos) -> list[SealedPane[S] | ClosedWindow[S]]:
        """Seal the pane that ends here and close the window that does, those before them being closed; empty ones are left out."""
        closed: list[SealedPane[S] | ClosedWindow[S]] = []
        newest, start = end - self.spec.slide, end - self.spec.length
        assert self.origin is not None
        if newest >= self.origin and newest in self.panes:
            closed.append(SealedPane(newest, end, self._whole(newest)))
        if start >= self.origin:
            window = ClosedWindow(start, end, self._total(start, end))
            self._sum = window if self.spec.slide < self.spec.length else None
            closed.append(window)
        self._seal(end)
        return closed

    def seal_until(self, watermark: Nanos) -> None:
        """What the watermark has passed is late from now on; called once all that is due is closed."""
        horizon = self._horizon(watermark)
        if self.sealed_until is None or horizon > self.sealed_until:
            self._seal(horizon)

    @property
    def awake_at(self) -> Nanos | None:
        """The watermark at which more will be sealed; None: at any."""
        return None if self.sealed_until is None else self.sealed_until + self.spec.slide + self.spec.lateness

    @property
    def newest(self) -> Nanos | None:
        """The end of the newest pane that is held."""
        return self._starts[-1] + self.spec.slide if self._starts else None

    def _horizon(self, watermark: Nanos) -> Nanos:
        """The last end of a pane that the watermark has passed by the lateness."""
        horizon = watermark - self.spec.lateness
        return horizon - horizon % self.spec.slide

    def _whole(self, start: Nanos) -> S:
        """A sealed pane: it is kept packed from now on, and a window that is this pane alone is the same one."""
        if start in self._loose:
            self._pack(start)
        if self._opened is None or self._opened[0] != start:
            self._opened = start, self.sketches.unpacked(self.panes[start])
        return self._opened[1]

    def _total(self, start: Nanos, end: Nanos) -> S:
        """The sum of the window's panes; from the last window's total where that is one slide behind."""
        last = self._sum
        if last is not None and last.end == end - self.spec.slide:
            return slid(last.sketch, self.panes.get(last.start), self.panes.get(last.end))
        inside = self._starts[bisect_left(self._starts, start) : bisect_left(self._starts, end)]
        if len(inside) == 1:
            return self._whole(inside[0])  # sealed, so nothing changes it any more
        total = self.sketches.empty()
        for pane_start in inside:
            total.add(self.panes[pane_start])
        return total

    def _seal(self, until: Nanos) -> None:
        """Pack what is sealed and forget the panes that no open window needs; one slide more stays, to be subtracted."""
        self.sealed_until = until
        needed_from = until if self.spec.slide == self.spec.length else until - self.spec.length
        starts, loose = self._starts, self._loose
        while starts and starts[0] < needed_from:
            start = starts.pop(0)
            del self.panes[start]
            loose.pop(start, None)
            self.touched.add(start)
        while loose and (start := min(loose)) < until:
            self._pack(start)


def ends_between(starts: Sequence[Nanos], after: Nanos | None, until: Nanos, spec: WindowSpec) -> list[Nanos]:
    """Ends of windows, rising, after one time until another: those of windows that hold a pane, given the starts of panes, rising."""
    ends: list[Nanos] = []
    end = None if after is None else after + spec.slide
    while True:
        at = 0 if end is None else bisect_left(starts, end - spec.length)
        if at == len(starts):
            return ends
        first = starts[at] + spec.slide
        end = first if end is None else max(end, first)
        if end > until:
            return ends
        ends.append(end)
        end += spec.slide
