"""The owner of some models: records of those that fold in, facts out. The same facts as one process that reads the same logs.

Each progress that is taken is a turn of one process: the records of one log between two offsets are counted, event time moves on,
what it has passed is judged. Which turns there are depends on who sent what when; what a turn counts is a function of the logs.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from monitor.facts import Fact
from monitor.pipeline import Pipeline
from monitor.replicas.cells import ReplicaPlan, SourceLog, ViewPlace, judge_of
from monitor.replicas.ledger import CellState, KeptPrefix, LogState, OffsetGap
from monitor.replicas.wire import CellPrefix, CellProgress, FaultyRecordError, RecordFault, read
from monitor.series.records import Record
from monitor.series.view import ViewSpec
from monitor.stream.delta import PaneCounts, PaneDelta, RowsHeld
from monitor.stream.events import MicroBatch, Nanos, OffsetRange

LOG, PREFIX, PROGRESS = "replica_log", "replica_prefix", "replica_progress"
KINDS = frozenset({LOG, PREFIX, PROGRESS})


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A record that was put aside."""

    fault: RecordFault
    words: str


@dataclass(frozen=True, slots=True)
class GapClosed:
    """What was missing has come; `passed`: or was given up."""

    gap: OffsetGap
    passed: bool = False


@dataclass(slots=True)
class Heard:
    """What came of a record: facts, and what is to be told of the records themselves. `repeats`: what was known, and dropped.

    `unknown`: a log that it is of and that nobody has told of. Where there is such a log, it is to be heard again after `assign`.
    """

    facts: list[Fact] = field(default_factory=list)
    told: list[Quarantined | OffsetGap | GapClosed] = field(default_factory=list)
    repeats: int = 0
    unknown: SourceLog | None = None


class _SavedLog(msgspec.Struct, array_like=True):
    """A log as saved, with its clock: times of processing are those of who folds it."""

    log: SourceLog
    begin: int
    taken: int
    at: Nanos | None
    gap: tuple[int, int, int, tuple[ViewPlace, ...]] | None
    passed: list[tuple[ViewPlace, bytes]]
    active: Nanos
    confirmed: Nanos | None


class ReplicaOwner:
    """Owns the models of one judge partition. What it holds is its pipeline's state and rows of its own, saved together."""

    def __init__(
        self, pipeline: Pipeline, plan: ReplicaPlan, places: Mapping[ViewPlace, ViewSpec[Any]], judge: int = 0
    ) -> None:
        self.pipeline = pipeline
        self.logs: dict[SourceLog, LogState] = {}
        self._plan = plan
        self._judge = judge
        self._places = {place: view for place, view in places.items() if judge_of(place.model, plan.judges) == judge}
        self._saved: dict[tuple[str, str], bytes] = {}

    # --- records in, facts out ----------------------------------------------------------------------------------

    def assign(self, logs: Mapping[SourceLog, int], now: Nanos) -> list[Fact]:
        """Wait for these logs, each from the offset on at which the group begins to read it; one that is known goes on.

        All that there are at once: event time waits for no others.
        """
        new = [log for log in logs if log not in self.logs]
        for log in new:
            self.logs[log] = LogState(log, self._plan.length, logs[log], logs[log])
        return self.pipeline.ingest(MicroBatch(assigned=frozenset(log.partition for log in new)), now)

    def hear(self, data: bytes) -> Heard:
        """Take a record of the internal topic. One that cannot be taken is put aside, with the one reason why."""
        heard = Heard()
        try:
            record = read(data, self._plan.config)
            state = self.logs.get(record.log)
            if state is None:
                heard.unknown = record.log
                raise FaultyRecordError(RecordFault.OTHER_LOG, f"{record.log}, topic id {record.log.topic_id}")
            if isinstance(record, CellPrefix):
                known = self._stage(state, record, data)
            else:
                known = self._note(state, record, data)
            heard.repeats += known
            self._go_on(state, heard)
        except FaultyRecordError as error:
            heard.told.append(Quarantined(error.fault, str(error)))
        return heard

    def _stage(self, state: LogState, prefix: CellPrefix, data: bytes) -> bool:
        """Keep a prefix until progress names it; true where it is known."""
        if prefix.place not in self._places:
            raise FaultyRecordError(RecordFault.OTHER_PLACE, str(prefix.place))
        cell = state.cell(prefix.begin, prefix.end)
        digest = prefix.digest
        if cell is None or not cell.is_new(prefix, digest):
            return True
        cell.stage(prefix.place, self._kept(prefix, digest, data))
        return False

    def _kept(self, prefix: CellPrefix, digest: bytes, data: bytes) -> KeptPrefix:
        view = self._places[prefix.place]
        slide = view.windows.slide
        panes = dict[Nanos, PaneCounts]()
        for start, (earliest, counts) in prefix.panes.items():
            if start % slide or not start <= earliest < start + slide:
                raise FaultyRecordError(RecordFault.MALFORMED, f"{prefix.place} has no pane that begins at {start}")
            try:
                panes[start] = PaneCounts(earliest, view.sketches.from_bytes(counts).packed())
            except (ValueError, LookupError, TypeError, ArithmeticError) as error:
                raise FaultyRecordError(RecordFault.MALFORMED, f"{prefix.place}: {error}") from None
        rows = {start: RowsHeld(part.rows, part.excluded) for start, part in panes.items()}
        return KeptPrefix(prefix.end, digest, data, rows, panes)

    def _note(self, state: LogState, progress: CellProgress, data: bytes) -> bool:
        """Keep progress until it can be taken; true where it is known."""
        foreign = [place for place in progress.digests if place not in self._places]
        if progress.judge != self._judge or foreign:
            of = ", ".join(map(str, foreign)) or f"judge partition {progress.judge}"
            raise FaultyRecordError(RecordFault.OTHER_PLACE, of)
        cell = state.cell(progress.begin, progress.end)
        if cell is None or (progress.begin == state.begin and self._is_old(state, progress)):
            return True
        before = cell.waiting
        if before is not None and (before.end, before.at) >= (progress.end, progress.at):
            return True
        cell.waiting, cell.raw = progress, data
        return False

    @staticmethod
    def _is_old(state: LogState, progress: CellProgress) -> bool:
        """Whether it tells nothing that was not taken: of records that were, it is news how the log stands."""
        if progress.end != state.taken:
            return progress.end < state.taken
        return state.at is not None and progress.at <= state.at

    def _go_on(self, state: LogState, heard: Heard) -> None:
        """Take all progress that can be taken, and say what is missing."""
        while True:
            cell = state.cells.get(state.begin)
            if cell is None or cell.waiting is None:
                self._tell(state, state.stalled([]), heard)
                return
            try:
                absent, ahead = cell.missing(cell.waiting)
            except FaultyRecordError:
                cell.waiting, cell.raw = None, b""  # what contradicts is not kept
                raise
            if absent or ahead:
                self._tell(state, state.stalled(absent), heard)
                return
            heard.facts += self._take(state, cell, cell.waiting)

    @staticmethod
    def _tell(state: LogState, gap: OffsetGap | None, heard: Heard) -> None:
        """Say a gap that is new or has grown, and one that has closed."""
        before = state.gap
        if before is not None and state.taken >= before.end:
            heard.told.append(GapClosed(before))
            before = None
        if gap is None or gap == before:
            state.gap = before
            return
        state.gap = gap
        heard.told.append(gap)

    def _take(self, state: LogState, cell: CellState, progress: CellProgress) -> list[Fact]:
        """One turn: count what is new of a log, let event time move on, judge what it has passed."""
        cell.waiting, cell.raw = None, b""
        facts, partition = list[Fact](), state.log.partition
        spans = (OffsetRange(partition, state.taken, progress.end - 1),)
        for place, digest in progress.digests.items():
            staged = cell.staged.get(place)
            if staged is not None and staged.digest == digest:
                facts += self._hold(cell, place, spans, state.log, progress.at)
        shown = MicroBatch(
            seen={partition: progress.seen} if progress.seen is not None and progress.seen_until > state.taken else {},
            read=frozenset({partition} if progress.end > state.taken else ()),
            confirmed={} if progress.confirmed is None else {partition: progress.confirmed},
            unconfirmed=frozenset({partition} if progress.silent else ()),
        )
        facts += [*self.pipeline.ingest(shown, progress.at), *self.pipeline.advance()]
        state.taken, state.at = progress.end, progress.at
        if state.taken == state.end:
            self._settle(state.log, cell)
            state.open_next()
        return facts

    def _hold(
        self, cell: CellState, place: ViewPlace, spans: tuple[OffsetRange, ...], log: SourceLog, now: Nanos
    ) -> list[Fact]:
        """Let the staged prefix of a place be what is counted of it."""
        before, kept = cell.held.get(place), cell.staged.pop(place)
        known = {} if before is None else before.rows
        rows = sum(each.rows for each in kept.rows.values())
        delta = PaneDelta(place.key, place.view, log.topic, spans, kept.panes, rows)
        facts = self.pipeline.hold((log, cell.begin), delta, known, now)
        cell.held[place], kept.panes = kept, {}
        return facts

    def _settle(self, log: SourceLog, over: CellState) -> None:
        """Count what is held of a cell that is over for good."""
        for place in over.held:
            self.pipeline.settle_slot((log, over.begin), place.key, place.view)

    def pass_over(self, log: SourceLog) -> Heard:
        """Go on without what is missing, for nobody can fold it again: it is not counted. Nothing happens where nothing is missing."""
        state, heard = self.logs[log], Heard()
        gap, cell = state.gap, state.cells.get(state.begin)
        if gap is None:
            return heard
        state.gap = None
        if gap.places:
            assert cell is not None
            assert cell.waiting is not None
            cell.passed |= {place: cell.waiting.digests[place] for place in gap.places if place in cell.waiting.digests}
        else:
            if cell is not None:
                self._settle(log, cell)
            state.open_later()
        heard.told.append(GapClosed(gap, passed=True))
        self._go_on(state, heard)
        return heard

    # --- state --------------------------------------------------------------------------------------------------

    def snapshot(self) -> list[Record]:
        """All state as records."""
        return [*self.pipeline.snapshot(), *(Record(*name, held) for name, held in self._rows().items())]

    def changes(self) -> list[Record]:
        """The records that changed since the last call."""
        rows, before = self._rows(), self._saved
        self._saved = rows
        changed = [Record(*name, held) for name, held in rows.items() if before.get(name) != held]
        return [*self.pipeline.changes(), *changed, *(Record(*name, None) for name in before if name not in rows)]

    def _rows(self) -> dict[tuple[str, str], bytes]:
        """What it holds besides its pipeline: logs, and records as they came."""
        rows = dict[tuple[str, str], bytes]()
        for log, state in self.logs.items():
            rows[LOG, _name(log)] = msgspec.json.encode(self._saved_log(state))
            for begin, cell in state.cells.items():
                if cell.waiting is not None:
                    rows[PROGRESS, _name(log, begin)] = cell.raw
                for kept, of in ((True, cell.held), (False, cell.staged)):
                    rows |= {(PREFIX, _name(log, begin, place, kept)): each.raw for place, each in of.items()}
        return rows

    def _saved_log(self, state: LogState) -> _SavedLog:
        clock, gap, cell = (
            self.pipeline.watermark.partitions[state.log.partition],
            state.gap,
            state.cells.get(state.begin),
        )
        missing = None if gap is None else (gap.cell, gap.first, gap.end, gap.places)
        passed = [] if cell is None else sorted(cell.passed.items())
        return _SavedLog(state.log, state.begin, state.taken, state.at, missing, passed, clock.active, clock.confirmed)

    def restore(self, records: Iterable[Record], now: Nanos) -> list[Fact]:
        """Take up saved state: what was heard after it was saved is heard again."""
        ours, others = list[Record](), list[Record]()
        for record in records:
            (ours if record.kind in KINDS else others).append(record)
        facts = self.pipeline.restore(others, now)
        logs = [msgspec.json.decode(each.payload, type=_SavedLog) for each in ours if each.kind == LOG and each.payload]
        facts += self.assign({saved.log: saved.begin for saved in logs}, now)
        for saved in logs:
            self._restore_log(saved)
        for record in ours:
            if record.kind != LOG and record.payload is not None:
                self._restore_heard(record)
        for state in self.logs.values():
            state.later = min((begin for begin in state.cells if begin > state.begin), default=None)
        self._saved = self._rows()
        return facts

    def _restore_log(self, saved: _SavedLog) -> None:
        """Take up a log, with its clock as it stood."""
        state = self.logs[saved.log]
        state.taken, state.at = saved.taken, saved.at
        if saved.gap is not None:
            state.gap = OffsetGap(saved.log, *saved.gap)
        if saved.passed:
            state.cells[state.begin] = CellState(state.begin, passed=dict(saved.passed))
        clock = self.pipeline.watermark.partitions[saved.log.partition]
        clock.active, clock.confirmed = saved.active, saved.confirmed

    def _restore_heard(self, record: Record) -> None:
        """Take up a record as it came. One under another configuration is forgotten: it is folded anew."""
        assert record.payload is not None
        try:
            heard = read(record.payload, self._plan.config)
            state = self.logs[heard.log]
            cell = state.cells.setdefault(heard.begin, CellState(heard.begin))
            if isinstance(heard, CellProgress):
                cell.waiting, cell.raw = heard, record.payload
                return
            kept = self._kept(heard, heard.digest, record.payload)
        except (FaultyRecordError, KeyError):
            return
        if msgspec.json.decode(record.key, type=list[Any])[-1]:
            windows = self.pipeline.views[heard.place.key, heard.place.view].windows
            windows.hold((heard.log, heard.begin), kept.panes)
            kept.panes = {}
            cell.held[heard.place] = kept
        else:
            cell.staged[heard.place] = kept


def _name(log: SourceLog, begin: int = 0, place: ViewPlace | None = None, held: object = None) -> str:
    """The key of a row."""
    of = [] if place is None else [place.model, place.version, place.segment, place.view, held]
    return msgspec.json.encode([log.topic, log.topic_id, log.index, begin, *of]).decode()
