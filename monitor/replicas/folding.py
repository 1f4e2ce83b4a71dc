"""One partition folded cell by cell: what is sent of it is a function of the log and the configuration alone.

::

    offsets   0         N         2N            a cell ends at a multiple of N, whoever reads it
    sent      [0--)                             prefixes: all of the cell that was read so far,
              [0-----)                          again and again as it fills
              [0-------)[N--)                   the last one at its end
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from monitor.replicas.cells import ReplicaPlan, SourceLog, ViewPlace, cell_end, judge_of
from monitor.replicas.wire import CellPrefix, CellProgress, PanePrefix, digest_of, write
from monitor.series.view import ViewSpec
from monitor.stream.delta import Folder, PanePart
from monitor.stream.events import EventBatch, Nanos
from monitor.stream.sketches import AdditiveSketch, SketchSpec


class SentRecord(NamedTuple):
    """A record for the internal topic: its judge partition, its key, its value."""

    judge: int
    key: bytes
    value: bytes


@dataclass(frozen=True, slots=True)
class SourceRead:
    """What was read of one partition: the records of [first, end), and the events that were in them.

    `seen` is the largest valid event time, of any model; None where no event was valid.
    """

    first: int
    end: int
    batches: tuple[EventBatch, ...] = ()
    seen: Nanos | None = None


@dataclass(frozen=True, slots=True)
class LogEnd:
    """What is known of the end of a partition: when its leader `confirmed` that nothing lay beyond what was read; `silent`: it does not answer."""

    confirmed: Nanos | None = None
    silent: bool = False


UNKNOWN = LogEnd()


@dataclass(slots=True)
class _FoldedPane:
    """One pane of one place in the cell. `written`: its counts as they were sent, as long as nothing came since."""

    earliest: Nanos
    sketch: AdditiveSketch
    written: bytes = b""

    def take(self, part: PanePart) -> None:
        self.earliest, self.written = min(self.earliest, part.earliest), b""
        part.add_to(self.sketch)

    def sent(self) -> PanePrefix:
        self.written = self.written or self.sketch.to_bytes()
        return PanePrefix(self.earliest, self.written)


class CellFolder:
    """Folds one partition from the beginning of a cell on. It knows nothing of what was sent before it began.

    `begin` is the beginning of a cell, or, in the first one, the offset at which the group began to read.
    """

    def __init__(
        self, log: SourceLog, begin: int, plan: ReplicaPlan, places: Mapping[ViewPlace, ViewSpec[Any]]
    ) -> None:
        self.log = log
        self._plan = plan
        self._sketches: dict[ViewPlace, SketchSpec[Any]] = {place: view.sketches for place, view in places.items()}
        self._folder = Folder({(place.key, place.view): view.windows.slide for place, view in places.items()})
        self._judges = {place: judge_of(place.model, plan.judges) for place in places}
        self._start(begin)

    def _start(self, begin: int) -> None:
        self.begin = self.position = begin
        self._panes: dict[ViewPlace, dict[Nanos, _FoldedPane]] = {}
        self._digests: list[dict[ViewPlace, bytes]] = [{} for _ in range(self._plan.judges)]
        self._new: dict[ViewPlace, None] = {}  # places with records that were not sent
        self._seen: Nanos | None = None
        self._seen_until = begin

    @property
    def end(self) -> int:
        """The end of the cell: no more may be read at once."""
        return cell_end(self.begin, self._plan.length)

    def read(self, read: SourceRead, now: Nanos) -> list[SentRecord]:
        """Fold what was read. A cell that is full is sent, for the last time, and the next one begins.

        Raises ValueError for what does not follow, or is of two cells.
        """
        if read.first != self.position or not read.first < read.end <= self.end:
            raise ValueError(f"{self.log}: [{read.first}, {read.end}) is not in [{self.position}, {self.end})")
        for batch in read.batches:
            for delta in self._folder.fold(batch):
                place = ViewPlace.of(delta.key, delta.view)
                self._take(place, delta.panes)
        self.position = read.end
        if read.seen is not None:
            self._seen = read.seen if self._seen is None else max(self._seen, read.seen)
            self._seen_until = read.end
        if self.position < self.end:
            return []
        sent = self.flush(now)
        self._start(self.position)
        return sent

    def _take(self, place: ViewPlace, panes: Mapping[Nanos, PanePart]) -> None:
        held = self._panes.setdefault(place, {})
        self._new[place] = None
        for start, part in panes.items():
            if start not in held:
                held[start] = _FoldedPane(part.earliest, self._sketches[place].empty())
            held[start].take(part)

    def flush(self, now: Nanos, end: LogEnd = UNKNOWN) -> list[SentRecord]:
        """What there is to send: a prefix of each place with new records, then how far the partition was read, to every judge partition."""
        sent = []
        for place in self._new:
            panes = {start: pane.sent() for start, pane in self._panes[place].items()}
            judge = self._judges[place]
            self._digests[judge][place] = digest_of(panes)
            prefix = CellPrefix(self.log, self.begin, self.position, place, panes)
            sent.append(SentRecord(judge, record_key(place), write(prefix, self._plan.config)))
        self._new.clear()
        for judge, digests in enumerate(self._digests):
            progress = CellProgress(
                self.log,
                judge,
                self.begin,
                self.position,
                dict(digests),
                self._seen,
                self._seen_until,
                now,
                end.confirmed,
                end.silent,
            )
            sent.append(SentRecord(judge, record_key(self.log), write(progress, self._plan.config)))
        return sent


def record_key(of: ViewPlace | SourceLog) -> bytes:
    """The key of a record: a place's series, or a log."""
    if isinstance(of, SourceLog):
        return msgspec.json.encode([of.topic, of.index])
    return msgspec.json.encode([of.model, of.version, of.segment])
