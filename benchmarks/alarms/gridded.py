"""The harness's own traffic, counted on merged cells, as panes: for models of which no one could draw all rows."""

from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.alarms.model import fitted
from benchmarks.alarms.streams import DAY_WINDOWS, Block, World
from benchmarks.alarms.traffic import Pane, Planted
from benchmarks.alarms.truth import PLAIN
from detectors import Reference, Sketch
from detectors.features import Floats, Ints

NO_MEANS: Floats = np.empty(0)


class Grid:
    """A model of the harness. A cell's rows are put into the first of the cell's bins."""

    def __init__(self, world: World, rng: np.random.Generator, reference_days: float) -> None:
        self._model = fitted(world, PLAIN, rng, weeks=reference_days / 7)
        self.reference, self.begins = self._model.reference, self._model.begins
        cells = self._model.cells
        layout = self.reference.layout
        firsts = [np.append(cuts, np.zeros(cells.width - cuts.size, dtype=np.int64)) for cuts in cells.cuts]
        self._slots = layout.offsets[:-1, None] + np.array(firsts)
        self._numeric = len(layout.numeric)
        self._slots[: self._numeric, 0] += 1  # what is under the reference stands before the first bin
        self._held = cells.held
        self._last = cells.sizes - 1

    @property
    def window_ns(self) -> int:
        """Length of a window."""
        return self._model.world.window_ns

    def start(self, window: int) -> int:
        """When a window begins."""
        return self._model.start(window)

    def panes(self, reference: Reference, first: int, windows: int, planted: Sequence[Planted] = ()) -> Iterator[Pane]:
        """The windows as the daemon counts them; nothing is planted here."""
        assert not planted, "the grid has no changes of its own"
        for begins in range(first, first + windows, DAY_WINDOWS):
            block = self._model.stream.draw(begins, min(DAY_WINDOWS, first + windows - begins))
            for at in range(block.rows.size):
                sketch = Sketch(reference.layout, int(block.rows[at]), self._counts(block, at))
                yield Pane(self.start(begins + at), sketch, NO_MEANS)

    def _counts(self, block: Block, at: int) -> Ints:
        layout = self.reference.layout
        counts = np.zeros(layout.size, dtype=np.int64)
        counts[self._slots[self._held]] = block.cells[at][self._held]
        counts[layout.lost] = block.missing[at]
        self._put_apart(counts, block.unseen[at])
        return counts

    def _put_apart(self, counts: Ints, unseen: Ints) -> None:
        """Move what was never seen to the cells of what was never seen: over, or other; from the last cell, then the first."""
        layout, places = self.reference.layout, np.flatnonzero(unseen)
        for place in places.tolist():
            left = int(unseen[place])
            for slot, to in (
                (self._slots[place, self._last[place]], layout.beyond[place]),
                (self._slots[place, 0], layout.offsets[place]),
            ):
                moved = min(left, int(counts[slot]))
                counts[slot] -= moved
                counts[to] += moved
                left -= moved
