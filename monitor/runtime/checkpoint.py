"""Saves state, positions and outbox together, then tells Kafka: in this order, never another."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from monitor.audit.chain import AuditNote
from monitor.clock import Clock
from monitor.facts import AuditHead, BackupFailed, CheckpointFailed, CheckpointSaved, Fact
from monitor.failpoints import Step, reach
from monitor.runtime.dead_letters import DeadLetters
from monitor.series.records import Record
from monitor.store.outbox import AddressedNotice
from monitor.store.sqlite import StateError, StateGoneError, StateStore
from monitor.stream.events import SECOND, Partition
from monitor.stream.rejected import RejectedRecord

BACKUP_EVERY = (
    900.0  # seconds from one backup of the state to the next: how much is read again where it has to be taken up
)
HEAD_EVERY = 3600.0  # seconds from one time that the head of the audit log is told to the next
RETRY_AFTER = 1.0  # seconds, when the state could not be written


class SavedState(Protocol):
    """Whose state is saved: a pipeline, or who owns one."""

    def snapshot(self) -> list[Record]:
        """All state as records."""
        ...

    def changes(self) -> list[Record]:
        """The records that changed since the last call."""
        ...

    def open_panes(self) -> Fact:
        """How many panes each series holds."""
        ...


class Positions(Protocol):
    """How far was read of what the state comes from."""

    def positions(self) -> dict[Partition, int]:
        """The next offset of each partition."""
        ...

    def topics(self) -> dict[str, str]:
        """The ids of the topics that these are of."""
        ...

    def verified(self) -> dict[Partition, int]:
        """Before which offsets nothing was read of topics that were made after these."""
        ...

    def commit(self, positions: Mapping[Partition, int]) -> None:
        """Publish what was saved."""
        ...


class Checkpointer:
    """Decides when to save, and holds reading while saving fails."""

    def __init__(
        self,
        store: StateStore,
        pipeline: SavedState,
        source: Positions,
        clock: Clock,
        interval: float,
        letters: DeadLetters | None = None,
    ) -> None:
        """`letters`: where rejected records are kept, if they are."""
        self._letters = letters
        self._store = store
        self._pipeline = pipeline
        self._source = source
        self._clock = clock
        self._interval = interval
        self._next = clock.elapsed() + interval
        self._records: dict[tuple[str, str], Record] = {}  # changed, not yet saved
        self._notices: list[AddressedNotice] = []
        self._audited: list[AuditNote] = []
        self._head_told: AuditHead | None = None
        self._head_next = clock.elapsed()
        self._backup_next: float | None = None  # None: as old as the newest backup is
        self.failing: str | None = None
        self.whole = False  # the next checkpoint replaces all records: a restore dropped some

    def renew(self, pipeline: SavedState, *, whole: bool) -> None:
        """Save another pipeline from now on, which goes on from what was saved."""
        self._pipeline, self.whole = pipeline, whole

    def add(self, notices: Iterable[AddressedNotice]) -> None:
        """Save these with the next checkpoint, which is then made without waiting for the interval."""
        self._notices += notices

    def note(self, notes: Iterable[AuditNote]) -> None:
        """Write these down with the next checkpoint, in its transaction."""
        self._audited += notes

    def keep(self, rejected: Sequence[RejectedRecord]) -> list[Fact]:
        """Have rejected records kept; where that is not possible, reading is held."""
        if self._letters is None or not rejected:
            return []
        facts = self._letters.keep(rejected)
        if self._letters.blocked is not None:
            self._hold(self._letters.blocked)
        return facts

    def _hold(self, why: str) -> None:
        self.failing = why
        self._next = self._clock.elapsed() + RETRY_AFTER

    @property
    def due(self) -> bool:
        """Whether to save now: the interval is over, or there are notices to send."""
        waited = self._clock.elapsed() >= self._next
        return waited if self.failing is not None else waited or bool(self._notices)

    def save(self) -> list[Fact]:
        """Save once, when all that was rejected is kept. After a failure the changes are kept for the next try.

        Raises StateError where a file has been taken away.
        """
        began = self._clock.elapsed()
        told = [] if self._letters is None else self._letters.secure()
        if self._letters is not None and self._letters.blocked is not None:
            self._hold(self._letters.blocked)
            return told
        return [*told, *self._save(began)]

    def _save(self, began: float) -> list[Fact]:
        if self.whole:
            self._records.clear()
        for record in self._pipeline.snapshot() if self.whole else self._pipeline.changes():
            self._records[record.kind, record.key] = record
        if self._letters is not None and (cover := self._letters.sink.record) is not None:
            self._records[cover.kind, cover.key] = cover
        positions, topics, verified = self._source.positions(), self._source.topics(), self._source.verified()
        reach(Step.CHANGES_TAKEN)
        try:
            self._store.save(
                self._records.values(),
                positions,
                self._notices,
                self._clock.now(),
                whole=self.whole,
                audited=self._audited,
                topics=topics,
                verified=verified,
            )
        except StateGoneError as error:
            self.failing = f"state: {error}"
            raise StateError(self.failing) from None
        except sqlite3.Error as error:
            self._hold(f"state could not be saved: {error}")
            return [CheckpointFailed(str(error))]
        self.failing = None
        self.whole = False
        self._records.clear()
        self._notices.clear()
        self._audited.clear()
        reach(Step.SAVED)
        if self._letters is not None:
            self._letters.sink.covered()
        self._source.commit(positions)
        reach(Step.TOLD)
        ended = self._clock.elapsed()
        self._next = ended + self._interval
        saved = CheckpointSaved(self._clock.now(), ended - began, self._store.size())
        return [self._pipeline.open_panes(), saved, *self._head(ended), *self._back_up(ended)]

    def _back_up(self, now: float) -> list[Fact]:
        """Make a backup where it is time for one; what became of the one before, where that is no good."""
        facts: list[Fact] = []
        if (error := self._store.take_backup_error()) is not None:
            facts.append(BackupFailed(error))
        if self._backup_next is None:
            age = self._store.backup_age(self._clock.now())
            self._backup_next = now if age is None else now + max(0.0, BACKUP_EVERY - age / SECOND)
        if now >= self._backup_next:
            self._backup_next = now + BACKUP_EVERY
            try:
                self._store.back_up()
            except (sqlite3.Error, OSError) as why:
                facts.append(BackupFailed(str(why)))
        return facts

    def _head(self, now: float) -> list[Fact]:
        """How far the audit log is written, at the start and once an hour where it has grown."""
        link = self._store.audit_head
        head = AuditHead(link.seq, link.hash.hex())
        if not link.seq or now < self._head_next or head == self._head_told:
            return []
        self._head_told, self._head_next = head, now + HEAD_EVERY
        return [head]
