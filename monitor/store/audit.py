"""The audit log in the state: rows are added, never changed; the oldest go once they are old enough. The store holds lock and transaction."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from monitor.audit.chain import PRUNED, AuditEntry, AuditNote, Link, canonical
from monitor.stream.events import Nanos

MOST_READ = 4 * 1024 * 1024  # bytes of the entries of a page


def link_of(seq: int, held: object) -> Link:
    """A link as it lies in the state."""
    return Link(seq, _bytes_of(held))


def row_of(seq: int, held: object, entry: object) -> AuditEntry:
    """An entry as it lies in the state."""
    return AuditEntry(link_of(seq, held), _bytes_of(entry))


def _bytes_of(cell: object) -> bytes:
    """A cell's bytes. Damage may make anything of it, a number too: other bytes than were written, for the chain to find."""
    return cell if isinstance(cell, bytes) else str(cell).encode(errors="surrogatepass")


def head(db: sqlite3.Connection) -> Link:
    """The last link; where nothing is written, what stands before the first."""
    row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    return anchor(db) if row is None else link_of(*row)


def anchor(db: sqlite3.Connection) -> Link:
    """What stands before the first entry: the last of those that were dropped."""
    row = db.execute("SELECT seq, hash FROM audit_anchor ORDER BY seq DESC LIMIT 1").fetchone()
    return Link() if row is None else link_of(*row)


def append(db: sqlite3.Connection, last: Link, notes: Iterable[AuditNote]) -> Link:
    """Add entries behind the last one; the new last link."""
    rows = []
    for note in notes:
        entry = canonical(note)
        last = last.next(entry)
        rows.append((last.seq, last.hash, entry))
    db.executemany("INSERT INTO audit VALUES (?, ?, ?)", rows)
    return last


def prune(db: sqlite3.Connection, last: Link, before: Nanos, now: Nanos) -> Link:
    """Drop the entries in front that were written before a time, and say so in one more; never the last one.

    One that cannot be read any more goes with the next one that is old enough.
    """
    gone: Link | None = None
    for each in entries(db):
        at = written_at(each)
        if each.link.seq == last.seq or (at is not None and at >= before):
            break
        gone = gone if at is None else each.link
    if gone is None:
        return last
    count = db.execute("DELETE FROM audit WHERE seq <= ?", (gone.seq,)).rowcount
    db.execute("DELETE FROM audit_anchor")
    db.execute("INSERT INTO audit_anchor VALUES (?, ?)", (gone.seq, gone.hash))
    body = {"through": gone.seq, "hash": gone.hash.hex(), "entries": count, "before": before}
    return append(db, last, [AuditNote(now, PRUNED, body)])


def written_at(entry: AuditEntry) -> Nanos | None:
    """When an entry was written; None where it cannot be read."""
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return entry.note().at
    return None


def last_of(db: sqlite3.Connection, kind: str) -> AuditNote | None:
    """What the last entry of a kind says; None where there is none that can be read."""
    named = canonical(kind).decode()
    rows = db.execute(
        "SELECT seq, hash, entry FROM audit WHERE INSTR(entry, CAST(? AS BLOB)) ORDER BY seq DESC", (named,)
    )
    for seq, held, entry in rows:
        with suppress(msgspec.MsgspecError, UnicodeDecodeError):
            note = row_of(seq, held, entry).note()
            if note.kind == kind:
                return note
    return None


def page(db: sqlite3.Connection, after: int, limit: int) -> list[AuditEntry]:
    """So many entries at most, those after a number, and no more than `MOST_READ` bytes of them; one at least."""
    rows = db.execute("SELECT seq, hash, entry FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", (after, limit))
    found, size = list[AuditEntry](), 0
    for each in (row_of(*row) for row in rows):
        size += len(each.entry)
        if found and size > MOST_READ:
            break
        found.append(each)
    return found


def entries(db: sqlite3.Connection) -> Iterator[AuditEntry]:
    """All of it, the oldest first."""
    for row in db.execute("SELECT seq, hash, entry FROM audit ORDER BY seq"):
        yield row_of(*row)
