"""The last closed windows of a series, without their details: for `GET /api/v1/windows`, and for what is usual."""

from collections import deque
from collections.abc import Iterable

import msgspec

from detectors import ScoreColumns, Tally
from detectors.univariate import volume
from monitor.facts import WindowClosed
from monitor.series.operators import Later
from monitor.series.records import Entry
from monitor.stream.events import SECOND, Nanos

KIND = "window"
KEPT_WINDOWS = 500  # per series
SELF_LEARNT_VOLUME = 8  # windows after which a series' own mean stands in for a rate that the reference lacks


class History:
    """Closed windows, the oldest first."""

    def __init__(self, length: Nanos) -> None:
        self.windows: deque[WindowClosed] = deque(maxlen=KEPT_WINDOWS)
        self._length = length
        self._alike = 0  # of them are as long as today's
        self._rows = 0  # in those
        self._changed: dict[Nanos, WindowClosed | None] = {}  # since the last checkpoint, by their ends

    @property
    def usual_rows(self) -> float | None:
        """Mean rows of the windows that are as long as today's, once there are enough of them."""
        return self._rows / self._alike if self._alike >= SELF_LEARNT_VOLUME else None

    def add(self, window: WindowClosed) -> None:
        """Keep a window, without its details; the oldest goes where there is no room."""
        brief = WindowClosed(
            window.key, window.start, window.end, window.rows, (), excluded=window.excluded, unlogged=window.unlogged
        )
        gone = self._recall(brief)
        if gone is not None:
            self._changed[gone.end] = None
        self._changed[brief.end] = brief

    def _recall(self, window: WindowClosed) -> WindowClosed | None:
        gone = self.windows[0] if len(self.windows) == KEPT_WINDOWS else None
        self.windows.append(window)
        if window.end - window.start == self._length:
            self._alike += 1
            self._rows += window.volume
        if gone is not None and gone.end - gone.start == self._length:
            self._alike -= 1
            self._rows -= gone.volume
        return gone

    def changes(self) -> list[Entry]:
        """The rows that changed since the last call."""
        changed = [_entry(end, window) for end, window in self._changed.items()]
        self._changed.clear()
        return changed

    def snapshot(self) -> list[Entry]:
        """All rows."""
        return [_entry(window.end, window) for window in self.windows]

    def restore(self, entries: Iterable[Entry]) -> None:
        """Take up saved windows, however long they were."""
        saved = [msgspec.json.decode(entry.held, type=WindowClosed) for entry in entries]
        for window in sorted(saved, key=lambda window: window.end):
            self._recall(window)


def _entry(end: Nanos, window: WindowClosed | None) -> Entry:
    return Entry(KIND, None if window is None else msgspec.json.encode(window), end)


class VolumeScorer:
    """Scores the number of rows of a window, by the reference's own rate if it has one, else by the usual rows."""

    reads, gives = frozenset[str](), volume.Volume.name

    def __init__(self, history: History, rows_per_second: float | None, length: Nanos) -> None:
        self._history = history
        self._expected = None if rows_per_second is None else rows_per_second * length / SECOND

    def columns(self, window: Tally, scored: object) -> ScoreColumns:
        """Score a window."""
        del scored  # rows alone count
        return volume.columns(window.volume, self.expected_rows)

    def later(self, window: Tally) -> Later:
        """What rows are usual now is enough."""
        rows, expected = window.volume, self.expected_rows
        return lambda _: volume.columns(rows, expected)

    @property
    def expected_rows(self) -> float | None:
        """Rows that a window should hold."""
        return self._history.usual_rows if self._expected is None else self._expected
