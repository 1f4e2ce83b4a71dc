"""A simulated disk: a real one in memory, of which SQLite hears that it is full or fails, as the seed wants; and what a kill leaves on it."""

import shutil
import sqlite3
import weakref
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.simulation.world import world

LOOKS = ("SELECT", "PRAGMA integrity_check", "PRAGMA temp_store")
GROWS = ("INSERT", "UPDATE", "CREATE", "COMMIT")
CHANGES = ("INSERT", "UPDATE", "DELETE", "COMMIT", "CREATE", "BEGIN", "PRAGMA user_version")


@dataclass
class SimulatedDisk:
    """The directory of the state. `fails`: how often a change does, from 0 to 1."""

    state: Path
    full: bool = False
    fails: float = 0.0
    opened: "weakref.WeakSet[sqlite3.Connection]" = field(default_factory=weakref.WeakSet)

    def let_go(self) -> None:
        """Close what a process that has ended left open."""
        for connection in [*self.opened]:
            with suppress(sqlite3.Error):
                connection.close()
        self.opened.clear()

    def change(self, statement: str) -> None:
        """Say that a statement is about to be carried out. Raises sqlite3.OperationalError."""
        begun = statement.lstrip()
        if not begun.startswith((*CHANGES, *LOOKS)) or not world().current.inside or not world().alive:
            return
        if begun.startswith(CHANGES):
            world().step(f"before {begun[:30]}")
        if self.full and begun.startswith(GROWS):
            raise failure("database or disk is full", sqlite3.SQLITE_FULL)
        if self.fails and world().random.random() < self.fails:
            world().tell(f"the disk fails at {begun[:40]}")
            raise failure("disk I/O error", sqlite3.SQLITE_IOERR)

    def changed(self, statement: str) -> None:
        """Say that it was."""
        if statement.lstrip().startswith(CHANGES) and world().current.inside and world().alive:
            world().step(f"after {statement.lstrip()[:30]}")


def failure(text: str, code: int) -> sqlite3.OperationalError:
    """As SQLite says it."""
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode = code
    return error


def connections(disk: SimulatedDisk) -> type[sqlite3.Connection]:
    """The class of connections to it."""

    class SimulatedConnection(sqlite3.Connection):
        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            disk.opened.add(self)

        def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
            disk.change(sql)
            found = super().execute(sql, parameters)
            disk.changed(sql)
            return found

        def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
            disk.change(sql)
            return super().executemany(sql, parameters)

        def executescript(self, sql_script: str, /) -> sqlite3.Cursor:
            disk.change(sql_script)
            return super().executescript(sql_script)

    return SimulatedConnection


def keep(state: Path, kept: Path) -> None:
    """What a kill leaves, as it is at this moment."""
    if state.exists():
        shutil.copytree(state, kept)


def put_back(kept: Path, state: Path) -> None:
    """What was kept is what the next process finds: what the killed one did on its way out never happened."""
    shutil.rmtree(state, ignore_errors=True)
    if kept.exists():
        shutil.copytree(kept, state)
