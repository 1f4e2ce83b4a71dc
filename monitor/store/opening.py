"""How a state is opened: made where there was none, taken up where it is whole, else recovered from a backup or refused.

What is damaged is kept beside, never written over. Of two kinds of rows:

- those that are only shown or looked up, and fill again (`dispensable`): all rows of the kind go, and the state begins them anew;
- all others, and tables that cannot be read: the newest backup that is whole takes the place of the state. Reading goes on from its positions,
  so that what came since is judged again, under the same ids.
"""

import os
import sqlite3
from collections.abc import Collection
from pathlib import Path

from monitor.facts import Fact, StateBegun, StateRecovered
from monitor.failpoints import Step, reach
from monitor.store import files, sums
from monitor.store.files import DamageError
from monitor.store.schema import APPLICATION_ID, CHECKED, SCHEMA_VERSION, migrate

SMALLEST = 512  # bytes of a page of SQLite
ANEW = "move it away to begin anew, positions and alerts included"


class StateError(Exception):
    """The state cannot be used: one line that says why. Exit code 3."""


def open_state(directory: Path, dispensable: Collection[str]) -> tuple[sqlite3.Connection, list[Fact]]:
    """The state of a directory that is ours, and what there is to say of how it was found. Raises StateError."""
    path = directory / files.DATABASE
    try:
        if path.exists() or path.is_symlink():
            return _open_or_recover(path, dispensable)
        if files.backups(directory):
            return _recovered(path, "is gone", "gone")
        make(path)
    except OSError as error:
        raise StateError(f"state: {directory} cannot be used: {error.strerror or error}") from None
    return _opened(path), [StateBegun(str(path))]


def make(path: Path) -> None:
    """A new state, whole or not at all: a file without content is never ours. Raises StateError and OSError."""
    unfinished = path.with_name(path.name + ".new")
    files.remove(unfinished)
    try:
        connection = sqlite3.connect(unfinished, isolation_level=None)
        try:
            migrate(connection)
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StateError(f"state: {path} cannot be made: {error}") from None
    unfinished.chmod(0o600)
    files.sync(unfinished)
    reach(Step.CREATED)
    if any(
        path.with_name(path.name + end).exists() for end in files.BESIDE
    ):  # of one that is gone: SQLite would add it to ours
        files.set_aside(path, files.kept_name(path.parent))
    unfinished.replace(path)
    reach(Step.NAMED)
    files.sync(path.parent)


def _open_or_recover(path: Path, dispensable: Collection[str]) -> tuple[sqlite3.Connection, list[Fact]]:
    try:
        connection = _opened(path)
    except DamageError as error:
        return _recovered(path, f"cannot be read: {error}", "damaged")
    try:
        return connection, _without(connection, path, dispensable)
    except DamageError as error:
        connection.close()
        return _recovered(path, f"cannot be read: {error}", "damaged")
    except BaseException:
        connection.close()
        raise


def _opened(path: Path) -> sqlite3.Connection:
    """The database, in today's format. Raises DamageError and StateError."""
    if (size := path.stat().st_size) < SMALLEST:  # which SQLite would take for a new one
        raise DamageError("it is cut off" if size else "it is empty")
    try:
        connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None, timeout=1.0)
    except sqlite3.Error as error:  # no rights, above all; or it is no file
        raise StateError(f"state: {path} cannot be opened: {error}") from None
    try:
        sums.teach(connection)
        connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        _refuse_others(connection, path)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").fetchone()
        _check_before(connection)
        _migrate(connection, path)
    except UnicodeDecodeError as error:  # of what SQLite says of a schema that it cannot read
        connection.close()
        raise DamageError(str(error)) from None
    except sqlite3.Error as error:
        connection.close()
        if _is_damage(error, path):
            raise DamageError(str(error)) from None
        raise StateError(f"state: {path} cannot be read: {error}") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _check_before(connection: sqlite3.Connection) -> None:
    """What a migration must not go over: it would write new checksums to damaged rows. Raises DamageError and sqlite3.Error."""
    version = files.marks(connection)[0]
    if version >= SCHEMA_VERSION:
        return
    if version not in CHECKED:
        files.check_trees(connection)
    elif written := [row for row in files.check(connection) if row.table in {"delivery", "verified"}]:
        raise DamageError(sums.words(written))


def _is_damage(error: sqlite3.Error, path: Path) -> bool:
    """Whether the file itself is to blame: also one that SQLite would not write, though we may."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return files.is_damage(error) or (code == sqlite3.SQLITE_READONLY and os.access(path, os.W_OK))


def _refuse_others(connection: sqlite3.Connection, path: Path) -> None:
    version, owner = files.marks(connection)
    tables = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if owner != APPLICATION_ID and (tables or version or owner):
        if files.backups(path.parent):
            raise DamageError("it is not a state of driftd")
        raise StateError(f"state: {path} is not a state of driftd; move it away to begin anew")
    if version > SCHEMA_VERSION:
        raise StateError(
            f"state: {path} was written by a newer driftd (format {version}; this one reads {SCHEMA_VERSION})"
        )


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    try:
        migrate(connection)
    except sqlite3.Error as error:  # a full disk, above all
        if _is_damage(error, path) and files.backups(path.parent):
            raise
        raise StateError(
            f"state: {path} cannot be brought to format {SCHEMA_VERSION}: {error}; it is as it was"
        ) from None


def _without(connection: sqlite3.Connection, path: Path, dispensable: Collection[str]) -> list[Fact]:
    """Do without what is damaged, where that can be. Raises DamageError where it cannot, StateError and OSError."""
    try:
        rows = files.check(connection)
        if not rows:
            return []
        if not all(row.table == "record" and row.key[0] in dispensable for row in rows):
            raise DamageError(sums.words(rows))
        kinds = sorted({str(row.key[0]) for row in rows})
        kept = files.kept_name(path.parent)
        files.copy(connection, kept)
        files.sync(kept)
        reach(Step.REPAIR_KEPT)
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany("DELETE FROM record WHERE kind = ?", [(kind,) for kind in kinds])
        if left := files.check(connection):
            raise DamageError(sums.words(left))
        reach(Step.REPAIRED)
        connection.execute("COMMIT")
    except UnicodeDecodeError as error:
        raise DamageError(str(error)) from None
    except sqlite3.Error as error:
        if _is_damage(error, path):
            raise DamageError(str(error)) from None
        raise StateError(f"state: {path} cannot be read: {error}") from None
    return [StateRecovered("damaged", sums.words(rows), f"{', '.join(kinds)} begin anew", str(kept))]


def _recovered(path: Path, why: str, cause: str) -> tuple[sqlite3.Connection, list[Fact]]:
    """The newest backup that is whole, in the place of the state. Raises StateError where there is none, and OSError."""
    why, backups = " ".join(why.split()), files.backups(path.parent)  # SQLite says some things in two lines
    whole = next((backup for backup in backups if files.flaw(backup) is None), None)
    if whole is None:
        beside = (
            f", nor is a backup beside it whole; move {path.parent} away to begin anew, positions and alerts included"
        )
        raise StateError(f"state: {path} {why}{beside if backups else f'; {ANEW}'}") from None
    kept = files.kept_name(path.parent)
    there = path.exists()
    unfinished = path.with_name(path.name + ".recovered")
    files.put(whole, unfinished)
    reach(Step.RECOVERY_COPIED)
    files.set_aside(path, kept)
    reach(Step.SET_ASIDE)
    unfinished.replace(path)
    reach(Step.RECOVERED)
    files.sync(path.parent)
    try:
        connection = _opened(path)
    except DamageError as error:
        raise StateError(f"state: {path} cannot be read: {error}; {ANEW}") from None
    return connection, [StateRecovered(cause, f"{path} {why}", f"from {whole}", str(kept) if there else None)]
