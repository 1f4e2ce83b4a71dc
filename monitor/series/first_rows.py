"""The first rows of a new version: what its predictions are to be held against, where nobody has a reference of them."""

from collections.abc import Sequence

import msgspec
import numpy as np

from detectors import Reference, Sketch
from detectors.encoding import PREDICTION
from detectors.features import Ints
from monitor.facts import Fact, FirstRowsCounted
from monitor.series.operators import Operator
from monitor.series.records import Entry
from monitor.stream.events import SeriesKey
from monitor.stream.windows import SealedPane

NAME = "first_rows"


class FirstRows(Operator[Sketch]):
    """Counts the predictions of the first rows, whole panes of them; then it says so, until it is replaced. Without predictions it counts rows alone."""

    name = NAME
    kinds = (NAME,)

    def __init__(self, key: SeriesKey, reference: Reference, wanted: int) -> None:
        self._key = key
        self._wanted = wanted
        self._of = PREDICTION if PREDICTION in reference.names else None
        self._rows = 0
        self._counts: Ints | None = None
        self._changed = False

    def on_pane(self, pane: SealedPane[Sketch]) -> list[Fact]:
        """Take a sealed pane."""
        if self._rows < self._wanted:
            self._add(pane.sketch)
        if self._rows < self._wanted:
            return []
        counts_of = b"" if self._counts is None else self._counts.astype("<i8").tobytes()
        return [FirstRowsCounted(self._key, pane.end, self._rows, counts_of)]

    def _add(self, sketch: Sketch) -> None:
        self._rows += sketch.rows
        if self._of is not None:
            counts = sketch.row(self._of)
            self._counts = counts.copy() if self._counts is None else self._counts + counts
        self._changed = True

    def changes(self) -> list[Entry]:
        """Its row, if it changed."""
        changed, self._changed = self._changed, False
        return [self._entry()] if changed else []

    def snapshot(self) -> list[Entry]:
        """Its row."""
        return [self._entry()]

    def _entry(self) -> Entry:
        counts = b"" if self._counts is None else self._counts.astype("<i8").tobytes()
        return Entry(NAME, msgspec.msgpack.encode([self._rows, counts]))

    def restore(self, entries: Sequence[Entry], *, alike: bool) -> list[Fact]:
        """Take it up: counts of other bins say nothing."""
        for entry in entries if alike else ():
            self._rows, counts = msgspec.msgpack.decode(entry.held, type=tuple[int, bytes])
            self._counts = np.frombuffer(counts, dtype="<i8").astype(np.int64) if counts else None
        return []
