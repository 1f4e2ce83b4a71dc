"""The files of a state directory: the database, its backups, and copies of what was damaged. A file is there whole or not at all."""

import os
import shutil
import sqlite3
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path

from monitor.failpoints import Step, reach
from monitor.store import sums
from monitor.store.schema import APPLICATION_ID, CHECKED, layout, layout_of

DATABASE, LOCK = "driftd.sqlite3", "lock"
BESIDE = ("-wal", "-shm", "-journal")  # of SQLite's, beside a database
BACKUPS = 3
MOST_KEPT = 3  # copies of what was damaged; the oldest goes
MOST_DAMAGED = 1000  # rows that are looked for


# What SQLite says of files that are not as it wrote them; else disk, rights or another process are in the way.
DAMAGED = frozenset(
    {sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH}
    | {sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_NOTADB}
)
# And what it says of what it was asked wrongly, once a state is open and whole.
MISTAKES = frozenset({sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE})


class DamageError(Exception):
    """What is wrong with a database, in a line."""


def backups(directory: Path) -> list[Path]:
    """The backups that there are, the newest first."""
    return [path for path in (_backup(directory, age) for age in range(1, BACKUPS + 1)) if path.exists()]


def _backup(directory: Path, age: int) -> Path:
    return directory / f"{DATABASE}.backup-{age}"


def new_backup(directory: Path) -> Path:
    """Where a backup is made, before it is one."""
    return directory / f"{DATABASE}.backup-new"


def rotate(directory: Path) -> None:
    """The backup that was made becomes the newest, the oldest goes. Raises OSError."""
    sync(new_backup(directory))
    reach(Step.BACKUP_WHOLE)
    for age in range(BACKUPS, 1, -1):
        with suppress(FileNotFoundError):
            _backup(directory, age - 1).replace(_backup(directory, age))
    reach(Step.BACKUP_SHIFTED)
    new_backup(directory).replace(_backup(directory, 1))
    reach(Step.BACKUP_NAMED)
    sync(directory)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a directory, are on the disk. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove(path: Path) -> None:
    """Remove a database and what SQLite has left beside it."""
    for name in (path.name, *(path.name + end for end in BESIDE)):
        path.with_name(name).unlink(missing_ok=True)


def copy(connection: sqlite3.Connection, target: Path) -> None:
    """A copy of a database as of one moment, not yet on the disk. Raises sqlite3.Error and OSError."""
    remove(target)
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    with closing(sqlite3.connect(target, isolation_level=None)) as copied:
        copied.execute("PRAGMA synchronous=OFF")
        copied.execute("PRAGMA journal_mode=OFF")
        connection.backup(copied)


def put(source: Path, target: Path) -> None:
    """Put a copy of a file in a place, on the disk. Raises OSError."""
    unfinished = target.with_name(target.name + ".new")
    remove(unfinished)
    shutil.copyfile(source, unfinished)
    unfinished.chmod(0o600)
    sync(unfinished)
    unfinished.replace(target)
    sync(target.parent)


def kept_name(directory: Path) -> Path:
    """Where the next damaged state is kept; of those before it some remain."""
    numbers = sorted(number for path in directory.glob(f"{DATABASE}.damaged-*") if (number := _number(path)))
    for number in numbers[: max(0, len(numbers) - MOST_KEPT + 1)]:
        remove(directory / f"{DATABASE}.damaged-{number}")
    return directory / f"{DATABASE}.damaged-{numbers[-1] + 1 if numbers else 1}"


def _number(path: Path) -> int:
    end = path.name.rpartition("-")[2]
    return int(end) if end.isascii() and end.isdigit() else 0


def set_aside(path: Path, kept: Path) -> None:
    """Keep a database, and what SQLite would add to it, under another name. Raises OSError."""
    for end in ("-wal", "-journal", ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).replace(kept.with_name(kept.name + end))
    path.with_name(path.name + "-shm").unlink(missing_ok=True)
    sync(path.parent)


def looked_at(path: Path, *, alone: bool = True) -> sqlite3.Connection:
    """A database, to be read and no more. `alone`: nothing stands beside it that belongs to it. Raises sqlite3.Error."""
    how = "mode=ro&immutable=1" if alone else "mode=ro"
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, check_same_thread=False)
    sums.teach(connection)
    return connection


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a file is to blame, as far as SQLite can tell."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF in DAMAGED


def is_mistake(error: sqlite3.Error) -> bool:
    """Whether driftd is to blame, no disk nor file: what SQLite never said, or that it was asked wrongly."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_MISUSE) & 0xFF in MISTAKES


def check_trees(connection: sqlite3.Connection) -> None:
    """Raise DamageError where a tree of SQLite's is not whole: indexes too, for what waits is found by them; and sqlite3.Error."""
    if (answer := connection.execute("PRAGMA integrity_check(1)").fetchone()[0]) != "ok":
        raise DamageError(str(answer))


def check(connection: sqlite3.Connection) -> list[sums.DamagedRow]:
    """The rows that are not as they were written, of a format that has checksums.

    Raises DamageError where the database as a whole is not, and sqlite3.Error.
    """
    check_trees(connection)
    if layout(connection) != layout_of(marks(connection)[0]):
        raise DamageError("its tables are not as driftd makes them")
    return list(islice(sums.damaged(connection), MOST_DAMAGED))


def flaw(path: Path, *, alone: bool = True) -> str | None:
    """Why a database is not to be gone on from; None where it is whole."""
    try:
        with closing(looked_at(path, alone=alone)) as connection:
            version, owner = marks(connection)
            if owner != APPLICATION_ID:
                return "is no state of driftd"
            if version not in CHECKED:
                return f"has format {version}; this driftd looks at {' and '.join(map(str, CHECKED))}"
            rows = check(connection)
    except (DamageError, UnicodeError) as error:
        return f"is damaged: {' '.join(str(error).split())}"
    except (sqlite3.Error, OSError) as error:
        said = "is damaged" if isinstance(error, sqlite3.Error) and is_damage(error) else "cannot be read"
        return f"{said}: {' '.join(str(error).split())}"
    return f"is damaged: {sums.words(rows)}" if rows else None


def marks(connection: sqlite3.Connection) -> tuple[int, int]:
    """Format and owner of a database. Raises sqlite3.Error."""
    version, owner = (connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("user_version", "application_id"))
    return version, owner
