"""State, positions and outbox in one SQLite file: one connection, one lock, one transaction a checkpoint."""

import fcntl
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

from monitor.audit.chain import AuditLog, AuditNote, Link
from monitor.series.records import Record
from monitor.store import audit, outbox, standing
from monitor.store.outbox import AddressedNotice, Backlog, Notice, OutboxRow, Undelivered
from monitor.store.schema import APPLICATION_ID, SCHEMA_VERSION, migrate
from monitor.store.standing import StandingNotice, Stays
from monitor.stream.events import DAY, Nanos, Partition

PRUNE_EVERY: Nanos = DAY  # wall time from one look at entries that are old enough to the next


Told = Callable[[Iterable[Undelivered]], Iterable[AuditNote]]  # what the audit log is to say of what became of these


def untold(chosen: Iterable[Undelivered]) -> list[AuditNote]:
    """Nothing is said of them."""
    del chosen
    return []


class StateError(Exception):
    """The state cannot be used: one line that says why. Exit code 3."""


class StateStore:
    """The state directory of one daemon. `audit_keep`: so long entries of the audit log are kept; None: all of them."""

    def __init__(self, directory: Path, audit_keep: Nanos | None = None) -> None:
        self.directory = directory
        self._audit_keep = audit_keep
        self._pruned_at: Nanos | None = None
        self.path = directory / "driftd.sqlite3"
        self._lock = RLock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim = self._claim_directory()
        except OSError as error:
            raise StateError(f"state: {directory} cannot be used: {error.strerror or error}") from None
        try:
            self._db = self._open()
            self._backlog = outbox.count_backlog(self._db)
            self._head = audit.head(self._db)
        except BaseException:
            os.close(self._claim)
            raise

    def _claim_directory(self) -> int:
        claim = os.open(self.directory / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(claim)
            raise StateError(f"state: {self.directory} is in use by another driftd") from None
        return claim

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=1.0)
        try:
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._refuse_others(connection)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "quick_check(1)"):
                answer = connection.execute(f"PRAGMA {pragma}").fetchone()
            if answer[0] != "ok":
                raise sqlite3.DatabaseError(answer[0])
            self._migrate(connection)
        except sqlite3.Error as error:
            connection.close()
            raise StateError(
                f"state: {self.path} cannot be read: {error}; move it away to begin anew, positions and alerts included"
            ) from None
        except StateError:
            connection.close()
            raise
        return connection

    def _refuse_others(self, connection: sqlite3.Connection) -> None:
        version, owner, tables = (
            connection.execute(question).fetchone()[0]
            for question in ("PRAGMA user_version", "PRAGMA application_id", "SELECT COUNT(*) FROM sqlite_master")
        )
        if owner != APPLICATION_ID and (tables or version or owner):
            raise StateError(f"state: {self.path} is not a state of driftd; move it away to begin anew")
        if version > SCHEMA_VERSION:
            raise StateError(
                f"state: {self.path} was written by a newer driftd (format {version}; this one reads {SCHEMA_VERSION})"
            )

    def _migrate(self, connection: sqlite3.Connection) -> None:
        try:
            migrate(connection)
        except sqlite3.Error as error:  # a full disk, above all
            raise StateError(
                f"state: {self.path} cannot be brought to format {SCHEMA_VERSION}: {error}; it is as it was"
            ) from None

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            head, pruned_at = self._head, self._pruned_at
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
                self._backlog = outbox.count_backlog(self._db)
            except BaseException:
                self._head, self._pruned_at = head, pruned_at
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

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
    ) -> None:
        """One checkpoint: all of it or nothing. A target that was told an id before is not told it again.

        `whole`: these records are all there are; what was saved before and is not among them goes.
        """
        gone = [(record.kind, record.key) for record in records if record.payload is None]
        kept = [(record.kind, record.key, record.payload) for record in records if record.payload is not None]
        with self._transaction() as db:
            if whole:
                db.execute("DELETE FROM record")
            db.executemany("DELETE FROM record WHERE kind = ? AND key = ?", gone)
            db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", kept)
            db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                [(partition.topic, partition.index, offset) for partition, offset in positions.items()],
            )
            outbox.insert(db, notices, now)
            self._append(audited)
            self._prune(now)

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
        with self._lock:
            rows = self._db.execute("SELECT topic, partition, next_offset FROM position").fetchall()
        return {Partition(topic, index): offset for topic, index, offset in rows}

    def size(self) -> int:
        """Bytes of the state on disk."""
        total = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(OSError):
                total += path.stat().st_size
        return total

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
            outbox.end(db, row, "delivered")
            self._append([] if told is None else [told])

    def dead(self, row: OutboxRow, told: AuditNote | None = None) -> None:
        """Give a delivery up. The notice is kept."""
        with self._transaction() as db:
            outbox.end(db, row, "dead")
            self._append([] if told is None else [told])

    def postpone(self, row: OutboxRow, due: Nanos) -> None:
        """Try a delivery again at `due`."""
        with self._transaction() as db:
            outbox.postpone(db, row, due)

    def undelivered(self) -> list[Undelivered]:
        """All that no target has taken yet, the oldest first."""
        with self._lock:
            return outbox.undelivered(self._db)

    def deliveries(self, notice: str) -> dict[str, str]:
        """How the deliveries of a notice stand, by target."""
        with self._lock:
            return outbox.deliveries(self._db, notice)

    def retry(self, chosen: Iterable[Undelivered], now: Nanos, told: Told = untold) -> list[Undelivered]:
        """Try these now; those that were, and not what something said later of the same alert has overtaken."""
        with self._transaction() as db:
            chosen = list(chosen)
            again = {(each.target, each.id) for each in chosen}
            fit = [each for each in chosen if not outbox.is_overtaken(db, each.target, each.id, again)]
            tried = [each for each in fit if outbox.retry(db, each.target, each.id, now)]
            self._append(told(tried))
        return tried

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
        with self._lock:
            self._db.close()
            os.close(self._claim)
