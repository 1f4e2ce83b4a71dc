"""State, positions and outbox in one SQLite file: one connection, one lock, one transaction a checkpoint."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock, Thread
from types import MappingProxyType

from monitor.audit.chain import AuditLog, AuditNote, Link
from monitor.failpoints import Step, reach
from monitor.series.records import Record
from monitor.store import audit, files, outbox, standing
from monitor.store.opening import StateError, open_state
from monitor.store.outbox import AddressedNotice, Backlog, Forgotten, Notice, OutboxRow, Undelivered
from monitor.store.standing import StandingNotice, Stays
from monitor.store.sums import checksum, checksum_in
from monitor.stream.events import DAY, Nanos, Partition

__all__ = ["StateError", "StateGoneError", "StateStore", "Told", "claim_directory"]

PRUNE_EVERY: Nanos = DAY  # wall time from one look at entries that are old enough to the next
NAMED = "SELECT name, id FROM topic"
BACKUP_PATIENCE = 2.0  # seconds that the end waits for a backup under way: what is not finished is none

Told = Callable[[Iterable[Undelivered]], Iterable[AuditNote]]  # what the audit log is to say of what became of these


def untold(chosen: Iterable[Undelivered]) -> list[AuditNote]:
    """Nothing is said of them."""
    del chosen
    return []


class StateGoneError(sqlite3.OperationalError):
    """The file that is written has no name any more, or another one bears it: what is saved here is lost."""


def claim_directory(directory: Path) -> int:
    """Take a directory for ourselves, until the file that is returned is closed. Raises StateError where another process has it, and OSError."""
    claim = os.open(directory / files.LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(claim)
        raise StateError(f"state: {directory} is in use by another driftd") from None
    return claim


class StateStore:
    """The state directory of one daemon. `audit_keep`: so long entries of the audit log are kept; None: all of them.

    `dispensable`: kinds of records that the state can do without, where one of them is damaged.
    """

    def __init__(self, directory: Path, audit_keep: Nanos | None = None, dispensable: Collection[str] = ()) -> None:
        self.directory = directory
        self._audit_keep = audit_keep
        self._pruned_at: Nanos | None = None
        self._named: dict[str, str] | None = None  # the topics as saved; None: not read yet
        self.path = directory / files.DATABASE
        self._lock = RLock()
        self._backing_up: Thread | None = None
        self._backup_error: str | None = None
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim = claim_directory(directory)
        except OSError as error:
            raise StateError(f"state: {directory} cannot be used: {error.strerror or error}") from None
        try:
            self._db, self.found = open_state(directory, dispensable)
            self._identity = self._identities()
            outbox.keep_count(self._db)
            self._backlog = outbox.count_backlog(self._db)
            self._head = audit.head(self._db)
        except sqlite3.Error as error:
            self._db.close()
            os.close(self._claim)
            raise StateError(f"state: {self.path} cannot be read: {error}") from None
        except BaseException:
            os.close(self._claim)
            raise

    def _identities(self) -> list[tuple[int, int] | None]:
        """Which files bear the names of state and lock."""
        return [_identity(path) for path in (self.path, self.directory / files.LOCK)]

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            head, pruned_at = self._head, self._pruned_at
            if self._identities() != self._identity:
                raise StateGoneError(f"{self.path} was deleted or replaced while driftd ran")
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                self._head, self._pruned_at = head, pruned_at
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise
            with suppress(
                sqlite3.Error
            ):  # all is written: that it cannot be counted undoes nothing, the next change counts again
                self._backlog = outbox.count_backlog(self._db)

    # --- checkpoint ---------------------------------------------------------------------------------------------

    def save(
        self,
        records: Collection[Record],
        positions: Mapping[Partition, int],
        notices: Iterable[AddressedNotice],
        now: Nanos,
        *,
        whole: bool = False,
        audited: Iterable[AuditNote] = (),
        topics: Mapping[str, str] = MappingProxyType({}),
        verified: Mapping[Partition, int] = MappingProxyType({}),
    ) -> None:
        """One checkpoint: all of it or nothing. A target that was told an id before is not told it again.

        `whole`: these records are all there are; what was saved before and is not among them goes. `topics`: the ids of the topics of positions.
        `verified`: before which offsets nothing was read of topics that were made after these. Of a topic that has another id than before,
        what is not among the positions goes: an offset of one log says nothing of another.
        """
        gone = [(record.kind, record.key) for record in records if record.payload is None]
        kept = [(*row, checksum(*row)) for record in records if (row := _row(record))[2] is not None]
        with self._transaction() as db:
            if whole:
                db.execute("DELETE FROM record")
            db.executemany("DELETE FROM record WHERE kind = ? AND key = ?", gone)
            db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?, ?)", kept)
            reach(Step.RECORDS)
            before = self._named if self._named is not None else dict(db.execute(NAMED).fetchall())
            if anew := [(name,) for name, found in topics.items() if before.get(name, found) != found]:
                db.executemany("DELETE FROM position WHERE topic = ?", anew)
                db.executemany("DELETE FROM verified WHERE topic = ?", anew)
            db.executemany("INSERT OR REPLACE INTO position VALUES (?, ?, ?, ?)", _places("position", positions))
            db.executemany("INSERT OR REPLACE INTO verified VALUES (?, ?, ?, ?)", _places("verified", verified))
            db.executemany(
                "INSERT INTO topic VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET id = excluded.id, sum = excluded.sum "
                "WHERE id <> excluded.id",
                [(*topic, checksum(*topic)) for topic in topics.items()],
            )
            reach(Step.POSITIONS)
            outbox.insert(db, notices, now)
            reach(Step.OUTBOX)
            self._append(audited)
            self._prune(now)
            reach(Step.AUDIT)
        self._named = {**before, **topics}

    def records(self) -> list[Record]:
        """All saved records."""
        with self._lock:
            return [Record(*row) for row in self._db.execute("SELECT kind, key, payload FROM record")]

    def records_of(self, kinds: Iterable[str]) -> list[Record]:
        """The saved records of these kinds."""
        with self._lock:
            return [
                Record(*row)
                for kind in sorted(kinds)
                for row in self._db.execute("SELECT kind, key, payload FROM record WHERE kind = ?", (kind,))
            ]

    def positions(self) -> dict[Partition, int]:
        """The saved positions."""
        return self._offsets("position")

    def verified(self) -> dict[Partition, int]:
        """Before which offsets nothing was read of topics that were made after those of the positions."""
        return self._offsets("verified")

    def _offsets(self, table: str) -> dict[Partition, int]:
        with self._lock:
            rows = self._db.execute(f"SELECT topic, partition, next_offset FROM {table}").fetchall()  # noqa: S608 - our names
        return {Partition(topic, index): offset for topic, index, offset in rows}

    def topics(self) -> dict[str, str]:
        """The ids of the topics that the positions are of."""
        with self._lock:
            self._named = dict(self._db.execute(NAMED).fetchall())
            return dict(self._named)

    def size(self) -> int:
        """Bytes of the state on disk."""
        total = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(OSError):
                total += path.stat().st_size
        return total

    def image(self) -> bytes:
        """The state as it was saved last, as the bytes of its file. Raises sqlite3.Error."""
        with self._lock:
            return self._db.serialize()

    # --- backups ------------------------------------------------------------------------------------------------

    def backup_age(self, now: Nanos) -> Nanos | None:
        """How old the newest backup is; None where there is none."""
        times = []
        for path in files.backups(self.directory):
            with suppress(OSError):
                times.append(path.stat().st_mtime_ns)
        return abs(now - max(times)) if times else None

    def back_up(self) -> None:
        """Copy the state as it was saved last; a thread looks whether the copy is whole, and only then lets the oldest backup go.

        Raises sqlite3.Error and OSError.
        """
        if self._backing_up is not None and self._backing_up.is_alive():
            return
        with self._lock:
            if self._identities() != self._identity:
                raise StateGoneError(f"{self.path} was deleted or replaced while driftd ran")
            files.copy(self._db, files.new_backup(self.directory))
        reach(Step.BACKUP_COPIED)
        self._backing_up = Thread(target=self._finish_backup, name="state-backup", daemon=True)
        self._backing_up.start()

    def _finish_backup(self) -> None:
        try:
            made = files.new_backup(self.directory)
            if (flaw := files.flaw(made)) is not None:
                self._backup_error = f"the state {flaw}"
                return
            files.rotate(self.directory)
        except OSError as error:
            self._backup_error = error.strerror or str(error)

    def take_backup_error(self) -> str | None:
        """Why the last backup was not made, once."""
        error, self._backup_error = self._backup_error, None
        return error

    # --- audit log ----------------------------------------------------------------------------------------------

    def _append(self, notes: Iterable[AuditNote]) -> None:
        """Write these down, within a transaction."""
        self._head = audit.append(self._db, self._head, notes)

    def _prune(self, now: Nanos) -> None:
        """Drop, once a day, what is older than it is to be kept; within a transaction."""
        if self._audit_keep is None or (self._pruned_at is not None and abs(now - self._pruned_at) < PRUNE_EVERY):
            return
        self._pruned_at = now
        self._head = audit.prune(self._db, self._head, now - self._audit_keep, now)

    @property
    def audit_head(self) -> Link:
        """The last entry of the audit log that was written down."""
        return self._head

    def last_audited(self, kind: str) -> AuditNote | None:
        """What the last entry of a kind says; None where there is none."""
        with self._lock:
            return audit.last_of(self._db, kind)

    def audit_page(self, after: int, limit: int) -> AuditLog:
        """So many entries of the audit log at most, those after a number, and what stands before the first that is kept."""
        with self._lock:
            return AuditLog(audit.anchor(self._db), audit.page(self._db, after, limit))

    # --- outbox -------------------------------------------------------------------------------------------------

    def next_due(self, target: str, now: Nanos) -> OutboxRow | None:
        """The first notice due, none of whose subject stands before it undelivered."""
        with self._lock:
            return outbox.next_due(self._db, target, now)

    def delivered(self, row: OutboxRow, told: AuditNote | None = None) -> None:
        """Acknowledge a delivery: a small transaction of its own. `told`: what the audit log is to say of it."""
        with self._transaction() as db:
            outbox.deliver(db, row)
            self._append([] if told is None else [told])
            reach(Step.DELIVERED)

    def dead(self, row: OutboxRow, told: AuditNote | None = None) -> list[Forgotten] | None:
        """Give a delivery up. The notice is kept, and of those given up long ago these no longer. None: it was begun anew, moved or dropped meanwhile."""
        with self._transaction() as db:
            forgotten = outbox.give_up(db, row)
            self._append([] if told is None or forgotten is None else [told])
        return forgotten

    def postpone(self, row: OutboxRow, due: Nanos) -> None:
        """Try a delivery again at `due`."""
        with self._transaction() as db:
            outbox.postpone(db, row, due)
            reach(Step.POSTPONED)

    def undelivered(self, most: int = -1) -> list[Undelivered]:
        """What no target has taken yet, the oldest first: so many of them, all where that is negative."""
        with self._lock:
            return outbox.undelivered(self._db, most)

    def first_waiting(self, target: str, most: int) -> list[str]:
        """The ids of the notices that have waited longest for a target."""
        with self._lock:
            return outbox.first_waiting(self._db, target, most)

    def deliveries(self, notice: str) -> dict[str, str]:
        """How the deliveries of a notice stand, by target."""
        with self._lock:
            return outbox.deliveries(self._db, notice)

    def retry(
        self, chosen: Iterable[Undelivered], now: Nanos, told: Told = untold, to: str | None = None
    ) -> list[Undelivered]:
        """Try these now, or let another target have them; those that were, and not what something said later of the same alert has overtaken."""
        with self._transaction() as db:
            chosen = list(chosen)
            again = {(each.target, each.id) for each in chosen}
            fit = [each for each in chosen if not outbox.is_overtaken(db, each.target, each.id, again, to)]
            tried = [each for each in fit if self._try_again(each, now, to)]
            self._append(told(tried))
        return tried

    def _try_again(self, row: Undelivered, now: Nanos, to: str | None) -> bool:
        if to is None or to == row.target:
            return outbox.retry(self._db, row.target, row.id, now)
        return outbox.move(self._db, row.target, row.id, to, now)

    def drop(self, chosen: Iterable[Undelivered], told: Told = untold) -> list[Undelivered]:
        """Deliver these never, nor say again what only they would have opened; those that were not taken meanwhile."""
        with self._transaction() as db:
            dropped = [each for each in chosen if outbox.drop(db, each.target, each.id)]
            for each in dropped:
                standing.forget_dropped(db, each.target, each.id)
            self._append(told(dropped))
        return dropped

    def standing(self, target: str, now: Nanos) -> list[StandingNotice]:
        """What a target was told last of what is open, and of what has just ended."""
        with self._lock:
            return standing.look(self._db, target, now)

    def standing_notice(self, target: str, place: str) -> Notice | None:
        """What a target was told last at a place; None where that has gone."""
        with self._lock:
            return standing.notice_at(self._db, target, place)

    def forget_standing_of_others(self, stays: Stays) -> None:
        """Forget what was told to targets that are gone or hear of it no more, or of series that nobody monitors any more."""
        with self._lock:
            if gone := standing.others(self._db, stays):
                with self._transaction() as db:
                    standing.forget(db, gone)

    def backlog(self) -> dict[str, Backlog]:
        """What each target still waits for, as of the last change: a slow disk does not hold who asks."""
        return self._backlog

    def close(self) -> None:
        """Let go of file and directory."""
        if self._backing_up is not None:
            self._backing_up.join(BACKUP_PATIENCE)
        with self._lock:
            self._db.close()
            os.close(self._claim)


def _row(record: Record) -> tuple[str, str, bytes | None]:
    return record.kind, record.key, record.payload


def _places(table: str, offsets: Mapping[Partition, int]) -> list[tuple[str, int, int, int]]:
    """Rows of offsets for a table, each with its checksum."""
    places = [(partition.topic, partition.index, offset) for partition, offset in offsets.items()]
    return [(*place, checksum_in(table, *place)) for place in places]


def _identity(path: Path) -> tuple[int, int] | None:
    """Which file bears a name: device and inode; None where none does."""
    try:
        found = path.stat(follow_symlinks=False) if path.name == files.LOCK else path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
