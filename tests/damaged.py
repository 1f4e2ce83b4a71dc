"""Damaged states: files changed as disks, tools and people change them, and what a state says after it."""

import random
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from monitor.audit.chain import AuditNote
from monitor.facts import Fact, StateRecovered
from monitor.series.records import Record
from monitor.store import files
from monitor.store.outbox import AddressedNotice, Notice
from monitor.store.sqlite import StateError, StateStore
from monitor.store.standing import Course
from monitor.stream.events import Partition
from tests.fakes import NOON

PAGE = 4096
DISPENSABLE = frozenset({"tally"})
Content = dict[str, list[tuple[object, ...]]]


def said(name: str, *targets: str, is_open: bool = True) -> AddressedNotice:
    """A notice of an incident, for these."""
    notice = Notice(name, "model.alert.firing", f"churn/3/{name}", NOON, f'{{"said":"{name}"}}'.encode() * 20)
    return AddressedNotice(notice, targets, (), Course(name, f"churn/3/drift/{name}", "churn/3", is_open, targets))


def fill(store: StateStore, chance: random.Random, start: int = 0, rows: int = 40) -> None:
    """Rows of all tables, some larger than a page."""
    records = [
        Record(
            chance.choice(["pane", "series", "charts", "tally"]),
            f'["churn","3",{NOON + number}]',
            chance.randbytes(chance.choice([10, 100, 300, 300, 2000, 9000])),
        )
        for number in range(start, start + rows)
    ]
    places = {Partition(f"topic-{each % 3}", each): start + each * 7 for each in range(12)}
    notes = [said(f"n{number}", "trainer", "pager") for number in range(start, start + 6)]
    topics = {f"topic-{each}": f"id of {each}" for each in range(3)}
    reset = [AuditNote(NOON, "state.reset", {"n": start})] * 5
    verified = {place: offset - 3 for place, offset in places.items()}
    store.save(records, places, notes, NOON, audited=reset, topics=topics, verified=verified)
    while (row := store.next_due("trainer", NOON)) is not None:
        store.delivered(row)
    if (row := store.next_due("pager", NOON)) is not None:
        store.postpone(row, NOON + 10)


def state_with_backup(directory: Path, seed: int) -> None:
    """A state, and a backup of it as it was somewhat earlier."""
    chance = random.Random(seed)
    store = StateStore(directory, dispensable=DISPENSABLE)
    fill(store, chance)
    store.back_up()
    store.close()
    store = StateStore(directory, dispensable=DISPENSABLE)
    fill(store, chance, start=20)
    store.close()


def killed_states(directory: Path, seed: int) -> list[Content]:
    """What a daemon leaves that was killed: a backup, and changes that stand in the log of SQLite alone; all that was ever saved."""
    living, chance = directory.with_name("living"), random.Random(seed)
    state_with_backup(living, seed)
    store = StateStore(living, dispensable=DISPENSABLE)
    saved = [content_of(files.backups(living)[0]), content(store._db)]
    for start in (40, 50, 60):
        store.save([Record("pane", f"{start}", chance.randbytes(3000))], {Partition("topic-0", 0): start}, [], NOON)
        saved.append(content(store._db))
    shutil.copytree(living, directory)
    store.close()
    return saved


def content(database: sqlite3.Connection) -> Content:
    """All rows of all tables."""
    tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    return {name: database.execute(f"SELECT * FROM {name}").fetchall() for name in sorted(tables)}


def content_of(path: Path) -> Content:
    """All rows of a file that nobody writes."""
    with closing(files.looked_at(path)) as database:
        return content(database)


def _bit(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] ^= 1 << chance.randrange(8)


def _bits(data: bytearray, at: int, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 20)):
        _bit(data, at, chance)
        at = chance.randrange(len(data))


def _byte(data: bytearray, at: int, chance: random.Random) -> None:
    data[at] = chance.randrange(256)


def _head(data: bytearray, at: int, chance: random.Random) -> None:
    """Of a page, where the tree is."""
    _bit(data, min(len(data) - 1, at // PAGE * PAGE + chance.randrange(110)), chance)


def _run(data: bytearray, at: int, chance: random.Random) -> None:
    run = chance.randbytes(chance.randrange(1, 600))[: len(data) - at]
    data[at : at + len(run)] = run


def _page(data: bytearray, at: int, chance: random.Random) -> None:
    """Zeroed, or never written."""
    at = at // PAGE * PAGE
    data[at : at + PAGE] = chance.choice([b"\0", b"\xff"]) * min(PAGE, len(data) - at)


def _cut(data: bytearray, at: int, chance: random.Random) -> None:
    del data[at // chance.choice([1, PAGE]) * chance.choice([1, PAGE]) :]


def _other(data: bytearray, at: int, chance: random.Random) -> None:
    """A page written where another one stood, or two in each other's place."""
    one, other = (place // PAGE * PAGE for place in (at, chance.randrange(len(data))))
    was = data[one : one + PAGE]
    if max(one, other) + PAGE <= len(data):
        data[one : one + PAGE] = data[other : other + PAGE]
        if chance.random() < 0.5:
            data[other : other + PAGE] = was


WAYS = (_bit, _bit, _bit, _bits, _byte, _head, _run, _page, _cut, _other)


def damage(file: Path, chance: random.Random) -> str:
    """Change a file in one of the ways in which they change; which one."""
    data = bytearray(file.read_bytes())
    way = chance.choice(WAYS)
    way(data, chance.randrange(len(data)), chance)
    file.write_bytes(data)
    return way.__name__


@dataclass(frozen=True, slots=True)
class Opened:
    """How a state was opened: its rows, and what was said; `refused`: in one line, why it was not."""

    content: Content | None
    found: list[Fact]
    refused: str | None = None

    @property
    def recovered(self) -> list[StateRecovered]:
        """What was recovered."""
        return [fact for fact in self.found if isinstance(fact, StateRecovered)]


def opened(directory: Path) -> Opened:
    """Open a state as a daemon does, save once, and let go of it."""
    try:
        store = StateStore(directory, dispensable=DISPENSABLE)
    except StateError as error:
        return Opened(None, [], str(error))
    try:
        found = content(store._db)
        store.records(), store.positions(), store.undelivered(), store.standing("pager", NOON)
        store.save([], {}, [], NOON)
    finally:
        store.close()
    return Opened(found, store.found)


def fresh_copy(source: Path, target: Path) -> None:
    """The directory anew."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
