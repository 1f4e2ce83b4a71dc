"""What a cold reference learns from: its live windows on a few cells, kept small, and all of their counts added up."""

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields

import msgspec
import numpy as np
from numpy.typing import NDArray

from detectors import Reference, Sketch
from detectors.calibration import MergedCells, WindowCounts
from detectors.calibration.collect import most_windows
from detectors.features import Ints
from monitor.series.records import Entry
from monitor.stream.events import DAY, Nanos

WINDOW, TOTAL = "learning_window", "learning_total"
SOUNDED = 24  # windows kept whole before cells are chosen: by what is live, beside what was trained on
LONGEST_SILENCE = 3 * DAY  # a long weekend without rows is usual; of what is longer no more is taken for learnt
LEVEL = 1  # zlib


@dataclass(slots=True)
class SavedWindow:
    """One window: its rows, and its counts compressed. `width` 0: a sketch, else bytes a count of its cells.

    `together`: how many rows the group of a row has, None where rows have none. `excluded` rows came besides, those that a
    sampled log left out among them.
    """

    of: int  # which material
    rows: int
    width: int
    counts: bytes
    together: float | None = None
    excluded: int = 0


@dataclass(slots=True)
class SavedTotal:
    """The rest of a material: all counts as a sketch, the cells once they are chosen, and how long it took."""

    counts: bytes
    cells: dict[str, list[bytes]] | None  # by field of MergedCells
    elapsed: Nanos
    end: Nanos | None
    taken: int
    refused: int
    why: str
    calm: Nanos = 0
    stood: tuple[str, ...] = ()


class Material:
    """Windows of one level of live traffic. `number` tells its rows of state from those of another.

    The first 24 windows are kept whole. Then cells are chosen, and a window takes a few bytes a feature; of more windows
    than a reference would be calibrated by, the oldest go.
    """

    def __init__(
        self, reference: Reference, window_ns: Nanos, number: int, kinds: tuple[str, str] = (WINDOW, TOTAL)
    ) -> None:
        self.number = number
        self._window, self._total = kinds  # of its rows of state
        self.cells: MergedCells | None = None
        self.total = Sketch.empty(reference.layout)
        self.elapsed: Nanos = 0
        self.taken = 0  # windows ever
        self.refused = 0  # the same, when a calibration was last refused, and why
        self.why = ""
        self.stood: set[str] = set()  # features of that alert
        self.calm: Nanos = 0  # how long no alert has stood, where it was begun for one
        self._reference = reference
        self._window_ns = window_ns
        self._end: Nanos | None = None
        self._windows: dict[Nanos, SavedWindow] = {}
        self._changed: dict[Nanos, None] = {}
        self._totals_changed = False

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def period(self) -> tuple[Nanos, Nanos]:
        """From the first window's start to the last one's end."""
        return next(iter(self._windows)), next(reversed(self._windows)) + self._window_ns

    def add(self, start: Nanos, window: Sketch) -> None:
        """Take one more window."""
        end = start + self._window_ns
        silence = 0 if self._end is None else min(start - self._end, LONGEST_SILENCE)
        self.elapsed += self._window_ns + silence
        self._end = end
        self.taken += 1
        self._totals_changed = True
        self.total.add(window)
        self.total.settle()
        self._keep(start, self._whole(window) if self.cells is None else self._merged(window))
        if self.cells is None and len(self._windows) == SOUNDED:
            self._choose_cells()
        if self.cells is not None and len(self._windows) > most_windows(self.cells, self._window_ns):
            self._forget(next(iter(self._windows)))

    def interrupt(self) -> None:
        """What comes between is somebody else's: it is no silence."""
        self._end, self._totals_changed = None, True

    def refuse(self, why: str) -> None:
        """Note that these windows teach nothing yet; it is tried again once there are a twentieth more."""
        self.refused, self.why, self._totals_changed = self.taken, why, True

    def follow(self, window: Nanos, standing: Collection[str]) -> None:
        """Note what stands of the alert that it was begun for, over one more window."""
        self.stood |= set(standing)
        self.calm = 0 if standing else self.calm + window
        self._totals_changed = True

    @property
    def ready(self) -> bool:
        """Whether another calibration is worth trying."""
        return not self.refused or self.taken >= self.refused + max(1, self.refused // 20)

    def counted(self) -> tuple[WindowCounts, MergedCells]:
        """Return what a calibration is learnt from, once cells are chosen."""
        assert self.cells is not None
        cells, windows = self.cells, list(self._windows.values())
        counts = np.zeros((len(windows), *cells.held.shape), dtype=np.uint32)
        for at, window in enumerate(windows):
            counts[at][cells.held] = np.frombuffer(zlib.decompress(window.counts), dtype=f"<u{window.width}")
        starts = np.array(list(self._windows), dtype=np.int64)
        rows = np.array([window.rows for window in windows], dtype=np.int64)
        together = np.array([window.together for window in windows], dtype=np.float64)  # NaN of those without groups
        known = None if np.isnan(together).all() else together
        excluded = np.array([window.excluded for window in windows], dtype=np.int64)
        arrived = rows + excluded if excluded.any() else None
        return WindowCounts(self._window_ns, starts, rows, counts, known, arrived=arrived), cells

    # --- windows ------------------------------------------------------------------------------------------------

    def _keep(self, start: Nanos, window: SavedWindow) -> None:
        self._windows[start] = window
        self._changed[start] = None

    def _forget(self, start: Nanos) -> None:
        del self._windows[start]
        self._changed[start] = None

    def _whole(self, window: Sketch) -> SavedWindow:
        packed = zlib.compress(window.to_bytes(), LEVEL)
        return SavedWindow(self.number, window.rows, 0, packed, _together(window), window.volume - window.rows)

    def _merged(self, window: Sketch) -> SavedWindow:
        assert self.cells is not None
        counts = self.cells.merge(window.counts)[self.cells.held]
        width = _narrowest(counts)
        packed = zlib.compress(counts.astype(f"<u{width}").tobytes(), LEVEL)
        return SavedWindow(self.number, window.rows, width, packed, _together(window), window.volume - window.rows)

    def _choose_cells(self) -> None:
        """Choose cells by live and training counts alike, and put the windows kept whole on them."""
        rows = float(np.median([window.rows for window in self._windows.values() if window.rows] or [1]))
        self.cells = MergedCells.of(self._reference.layout, _alike(self._reference.counts, self.total.counts), rows)
        for start, window in list(self._windows.items()):
            whole = Sketch.from_bytes(self._reference.layout, zlib.decompress(window.counts))
            self._keep(start, self._merged(whole))

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call: the windows that came or went, and the totals with them."""
        changed = [*map(self._row, self._changed), *([self._totals()] if self._totals_changed else [])]
        self._changed.clear()
        self._totals_changed = False
        return changed

    def snapshot(self) -> list[Entry]:
        """All rows; none of a material that has none."""
        return [*map(self._row, self._windows), self._totals()] if self.taken else []

    def gone(self) -> list[Entry]:
        """The rows of all that the store may hold, taken away."""
        starts = dict.fromkeys((*self._windows, *self._changed))
        return [*(Entry(self._window, None, start) for start in starts), Entry(self._total, None, self.number)]

    def _row(self, start: Nanos) -> Entry:
        window = self._windows.get(start)
        return Entry(self._window, None if window is None else msgspec.msgpack.encode(window), start)

    def _totals(self) -> Entry:
        cells = None if self.cells is None else _cells_to_bytes(self.cells)
        timed = self.elapsed, self._end, self.taken, self.refused
        saved = SavedTotal(self.total.to_bytes(), cells, *timed, self.why, self.calm, tuple(sorted(self.stood)))
        return Entry(self._total, zlib.compress(msgspec.msgpack.encode(saved), LEVEL), self.number)

    def restore(self, entries: Sequence[Entry]) -> None:
        """Take up the rows that are its own. Raises ValueError for damaged ones."""
        for entry in entries:
            if entry.kind == self._total and entry.number == self.number:
                self._restore(msgspec.msgpack.decode(zlib.decompress(entry.held), type=SavedTotal))
        self._windows = dict(sorted(self._own_windows(entries)))

    def _restore(self, saved: SavedTotal) -> None:
        layout = self._reference.layout
        self.total = Sketch.from_bytes(layout, saved.counts)
        if saved.cells is not None:
            parts = {name: [np.frombuffer(each, dtype="<i8") for each in part] for name, part in saved.cells.items()}
            self.cells = MergedCells(layout, **{name: tuple(part) for name, part in parts.items()})
        self.elapsed, self._end, self.taken = saved.elapsed, saved.end, saved.taken
        self.refused, self.why, self.calm, self.stood = saved.refused, saved.why, saved.calm, set(saved.stood)

    def _own_windows(self, entries: Sequence[Entry]) -> Iterator[tuple[Nanos, SavedWindow]]:
        for entry in entries:
            if entry.kind == self._window and entry.number is not None:
                window = msgspec.msgpack.decode(entry.held, type=SavedWindow)
                if window.of == self.number:
                    yield entry.number, window


def _cells_to_bytes(cells: MergedCells) -> dict[str, list[bytes]]:
    """Every field but the layout: each is an array a feature."""
    names = [each.name for each in fields(cells) if each.name != "layout"]
    return {name: [part.astype("<i8").tobytes() for part in getattr(cells, name)] for name in names}


def _together(window: Sketch) -> float | None:
    """How many rows the group of a row has; None where rows have none."""
    return None if window.groups is None else window.groups.together(window.rows)


def _narrowest(counts: NDArray[np.int64]) -> int:
    return int(np.min_scalar_type(int(counts.max(initial=0))).itemsize)


def _alike(training: Ints, live: Ints) -> Ints:
    """Counts of both, the smaller brought up to the larger: cells are fine where either has its rows."""
    rows = np.array([max(int(training.sum()), 1), max(int(live.sum()), 1)], dtype=np.float64)
    grown = rows.max() / rows
    return np.asarray(np.rint(training * grown[0] + live * grown[1]), dtype=np.int64)
