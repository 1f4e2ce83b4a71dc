"""What was accepted of a cold reference: features that are compared with a live window instead of the training set."""

import zlib
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import msgspec

from detectors import Reference, ScoreColumns, Sketch, Tally
from detectors.reference.live import recounted
from monitor.series.records import Entry
from monitor.stream.events import Nanos

ACCEPTED = "accepted"
Scorer = Callable[[Reference, Tally], ScoreColumns]


@dataclass(slots=True)
class SavedLevel:
    """One level as saved."""

    features: tuple[str, ...]
    until: Nanos | None
    live: bytes | None
    over: bool
    settled: bool = False


@dataclass(slots=True)
class AcceptedLevel:
    """Features as they are in a live window, the first that comes once they were accepted. `until` None: for good.

    `over`: the last window ended past that time. It was still judged by the level, the next one is not.
    """

    features: tuple[str, ...]
    until: Nanos | None
    live: Sketch | None = None
    baseline: Reference | None = None
    over: bool = False
    settled: bool = False  # it lasted, and nobody was asked


@dataclass(slots=True)
class AcceptedLevels:
    """All levels of one series; of a feature the newest stands."""

    reference: Reference
    levels: list[AcceptedLevel] = field(default_factory=list)

    def accept(self, features: Collection[str], until: Nanos | None, live: Sketch | None = None) -> None:
        """Compare these features with `live` from now on, or with the next window from then on."""
        names = tuple(name for name in self.reference.names if name in set(features))
        for level in self.levels:
            level.features = tuple(name for name in level.features if name not in names)
        level = AcceptedLevel(names, until, settled=live is not None)
        if live is not None:
            self._hold(level, live)
        self.levels = [each for each in (*self.levels, level) if each.features]

    def see(self, window: Sketch, end: Nanos, fewest: int) -> bool:
        """Take a closed window: levels that wait for one take it if it has rows enough, those whose time is over go. Whether any did."""
        before = [(level.live, level.over) for level in self.levels]
        self.levels = [level for level in self.levels if not level.over]
        for level in self.levels:
            level.over = level.until is not None and level.until <= end
            if level.live is None and window.rows >= fewest:
                self._hold(level, window.copy())
        return before != [(level.live, level.over) for level in self.levels]

    def _hold(self, level: AcceptedLevel, live: Sketch) -> None:
        level.live, level.baseline = live, recounted(self.reference, live)

    def scored(self, found: ScoreColumns, window: Tally, score: Scorer) -> ScoreColumns:
        """These scores, those of accepted features against their own level; none as long as it waits for a window."""
        if all(level.over for level in self.levels):
            return found
        known, values = found.known.copy(), found.values.copy()
        for level in (each for each in self.levels if not each.over):
            at = [self.reference.names.index(name) for name in level.features]
            against = None if level.baseline is None else score(level.baseline, window)
            known[at] = False if against is None else against.known[at]
            values[at] = 0.0 if against is None else against.values[at]
        return ScoreColumns(found.detector, found.names, known=known, rows=found.rows, values=values)

    # --- state --------------------------------------------------------------------------------------------------

    def entry(self) -> Entry:
        """All levels in one row, which is gone where there are none."""
        saved = [
            SavedLevel(
                level.features,
                level.until,
                None if level.live is None else level.live.to_bytes(),
                level.over,
                level.settled,
            )
            for level in self.levels
        ]
        return Entry(ACCEPTED, zlib.compress(msgspec.msgpack.encode(saved), 1) if saved else None)

    def restore(self, entries: Sequence[Entry]) -> None:
        """Take up saved levels. Raises ValueError for damaged bytes."""
        for entry in entries:
            if entry.kind == ACCEPTED:
                for saved in msgspec.msgpack.decode(zlib.decompress(entry.held), type=list[SavedLevel]):
                    level = AcceptedLevel(saved.features, saved.until, over=saved.over, settled=saved.settled)
                    if saved.live is not None:
                        self._hold(level, Sketch.from_bytes(self.reference.layout, saved.live))
                    self.levels.append(level)
