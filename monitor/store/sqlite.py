"""State, positions and outbox in one SQLite file: one connection, one lock, one transaction a checkpoint."""

import fcntl
import os
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import RLock

from monitor.series.series import Record
from monitor.stream.events import SECOND, Nanos, Partition

APPLICATION_ID = 0x64726674  # "drft"
SCHEMA_VERSION = 1
KEPT_ENDED = 1000  # delivered rows, without bodies, and dead ones: what was said, and a guard against saying it twice

SCHEMA = """
CREATE TABLE record (kind TEXT, key TEXT, payload BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE position (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
                       PRIMARY KEY (topic, partition)) WITHOUT ROWID;
CREATE TABLE outbox (seq INTEGER PRIMARY KEY AUTOINCREMENT, webhook TEXT NOT NULL, id TEXT NOT NULL,
                     type TEXT NOT NULL, subject TEXT NOT NULL, body BLOB, event_time INTEGER NOT NULL,
                     created INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
                     status TEXT NOT NULL DEFAULT 'pending', UNIQUE (webhook, id));
CREATE INDEX outbox_pending ON outbox (webhook, seq) WHERE status = 'pending';
CREATE INDEX outbox_subject ON outbox (webhook, subject, seq) WHERE status = 'pending';
"""

LONGEST_WAIT: Nanos = 2 * 24 * 3600 * SECOND  # no retry is put off so far: the clock was set back since


class StateError(Exception):
    """The state cannot be used: one line that says why. Exit code 3."""


@dataclass(frozen=True, slots=True)
class Notification:
    """What is said to one webhook. `subject` orders: of one alert the first goes first."""

    webhook: str
    id: str
    type: str
    subject: str
    body: bytes
    event_time: Nanos


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A notification not yet delivered."""

    seq: int
    notification: Notification
    created: Nanos
    attempts: int


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one webhook still waits for."""

    pending: int
    oldest: Nanos | None


class StateStore:
    """The state directory of one daemon."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "driftd.sqlite3"
        self._lock = RLock()
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._claim = self._claim_directory()
        except OSError as error:
            raise StateError(f"state: {directory} cannot be used: {error.strerror or error}") from None
        try:
            self._db = self._open()
            self._backlog = self._count_backlog()
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
            self._prepare(connection)
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "quick_check(1)"):
                answer = connection.execute(f"PRAGMA {pragma}").fetchone()
            if answer[0] != "ok":
                raise sqlite3.DatabaseError(answer[0])
        except sqlite3.Error as error:
            connection.close()
            raise StateError(
                f"state: {self.path} cannot be read: {error}; move it away to begin anew, positions and alerts included"
            ) from None
        except StateError:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
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
        if version == 0:
            connection.executescript(
                f"BEGIN;{SCHEMA}PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};COMMIT;"
            )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
                self._backlog = self._count_backlog()
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    # --- checkpoint ---------------------------------------------------------------------------------------------

    def save(
        self,
        records: Collection[Record],
        positions: Mapping[Partition, int],
        notifications: Iterable[Notification],
        now: Nanos,
        *,
        whole: bool = False,
    ) -> None:
        """One checkpoint: all of it or nothing. A notification whose id is known already is not said again.

        `whole`: these records are all there are; what was saved before and is not among them goes.
        """
        gone = [(record.kind, record.key) for record in records if record.payload is None]
        kept = [(record.kind, record.key, record.payload) for record in records if record.payload is not None]
        rows = [
            (one.webhook, one.id, one.type, one.subject, one.body, one.event_time, now, now) for one in notifications
        ]
        with self._transaction() as db:
            if whole:
                db.execute("DELETE FROM record")
            db.executemany("DELETE FROM record WHERE kind = ? AND key = ?", gone)
            db.executemany("INSERT OR REPLACE INTO record VALUES (?, ?, ?)", kept)
            db.executemany(
                "INSERT OR REPLACE INTO position VALUES (?, ?, ?)",
                [(partition.topic, partition.index, at) for partition, at in positions.items()],
            )
            db.executemany(
                "INSERT OR IGNORE INTO outbox (webhook, id, type, subject, body, event_time, created, due) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )

    def records(self) -> list[Record]:
        """All saved records."""
        with self._lock:
            return [Record(*row) for row in self._db.execute("SELECT kind, key, payload FROM record")]

    def positions(self) -> dict[Partition, int]:
        """The saved positions."""
        with self._lock:
            rows = self._db.execute("SELECT topic, partition, next_offset FROM position").fetchall()
        return {Partition(topic, index): at for topic, index, at in rows}

    def size(self) -> int:
        """Bytes of the state on disk."""
        found = 0
        for path in (self.path, self.path.with_name(self.path.name + "-wal")):
            with suppress(OSError):
                found += path.stat().st_size
        return found

    # --- outbox -------------------------------------------------------------------------------------------------

    def next_due(self, webhook: str, now: Nanos) -> OutboxRow | None:
        """The first notification due, none of whose subject stands before it undelivered."""
        with self._lock:
            row = self._db.execute(
                "SELECT seq, webhook, id, type, subject, body, event_time, created, attempts "
                "FROM outbox AS this INDEXED BY outbox_pending "  # in order: a long queue is not sorted for its first row
                "WHERE webhook = ?1 AND status = 'pending' AND (due <= ?2 OR due > ?2 + ?3) AND NOT EXISTS (SELECT 1 FROM outbox AS before "
                "WHERE before.webhook = this.webhook AND before.subject = this.subject "
                "AND before.status = 'pending' AND before.seq < this.seq) ORDER BY seq LIMIT 1",
                (webhook, now, LONGEST_WAIT),
            ).fetchone()
        return None if row is None else OutboxRow(row[0], Notification(*row[1:7]), row[7], row[8])

    def delivered(self, row: OutboxRow) -> None:
        """Acknowledge a delivery: a small transaction of its own."""
        self._end(row, "delivered")

    def dead(self, row: OutboxRow) -> None:
        """Give a notification up. Its body is kept."""
        self._end(row, "dead")

    def _end(self, row: OutboxRow, status: str) -> None:
        with self._transaction() as db:
            db.execute(
                "UPDATE outbox SET status = ?, attempts = attempts + 1, "
                "body = CASE WHEN ? = 'delivered' THEN NULL ELSE body END WHERE seq = ?",
                (status, status, row.seq),
            )
            db.execute(
                "DELETE FROM outbox WHERE status = ?1 AND seq <= (SELECT MAX(seq) FROM outbox WHERE status = ?1) - ?2",
                (status, KEPT_ENDED),
            )

    def postpone(self, row: OutboxRow, due: Nanos) -> None:
        """Try a notification again at `due`."""
        with self._transaction() as db:
            db.execute("UPDATE outbox SET due = ?, attempts = attempts + 1 WHERE seq = ?", (due, row.seq))

    def backlog(self) -> dict[str, Backlog]:
        """What each webhook still waits for, as of the last change: a slow disk does not hold who asks."""
        return self._backlog

    def _count_backlog(self) -> dict[str, Backlog]:
        rows = self._db.execute(
            "SELECT webhook, COUNT(*), MIN(created) FROM outbox WHERE status = 'pending' GROUP BY webhook"
        ).fetchall()
        return {webhook: Backlog(pending, oldest) for webhook, pending, oldest in rows}

    def close(self) -> None:
        """Let go of file and directory."""
        with self._lock:
            self._db.close()
            os.close(self._claim)
