"""What is to be said and to whom: one notice, a row of delivery for each target. Rows and SQL; the store holds lock and transaction."""

import sqlite3
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from monitor.store import standing
from monitor.store.notice import Notice
from monitor.store.schema import FOLLOWS
from monitor.store.standing import Course
from monitor.stream.events import DAY, Nanos

__all__ = ["AddressedNotice", "Backlog", "Forgotten", "Notice", "OutboxRow", "Undelivered"]

KEPT_ENDED = 1000  # dead rows; and as many numbers of delivered ones, without data: what was said, and a guard against saying it twice
ENDS = frozenset({"model.alert.resolved", "model.alert.settled"})  # types of notices that say that an incident is over
LONGEST_WAIT: Nanos = 2 * DAY  # no retry is put off so far: the clock was set back since


# Those of a subject that wait for a target: whoever is first, by number, is the only one that may be due.
OF_SUBJECT = (
    "SELECT {} FROM delivery AS other WHERE other.target = {} AND other.subject = {} AND other.status = 'pending'"
)
DUE = (
    "SELECT this.seq, notice.id, type, notice.subject, event_time, COALESCE(data, CAST('{}' AS BLOB)), rendered, created, attempts "  # noqa: S608 - ours
    "FROM delivery AS this INDEXED BY delivery_due CROSS JOIN notice ON notice.seq = this.notice "
    f"WHERE target = ?1 AND status = 'pending' AND due < {FOLLOWS} AND (due <= ?2 OR due > ?2 + ?3) ORDER BY this.seq LIMIT 1"
)

# What ended long ago. Of what was given up so many are kept, however much is delivered between them.
OLD = (
    "SELECT notice, seq, target FROM delivery INDEXED BY delivery_ended WHERE status = ?1 AND status <> 'pending' "
    "AND seq <= (SELECT MAX(seq) FROM delivery WHERE status = ?1 AND status <> 'pending') - ?2"
)
OLD_DEAD = (
    "SELECT notice, seq, target FROM delivery INDEXED BY delivery_ended WHERE status = ?1 AND status <> 'pending' "
    "ORDER BY seq DESC LIMIT -1 OFFSET ?2"
)


@dataclass(frozen=True, slots=True)
class AddressedNotice:
    """A notice and the names of the targets that it is for; those of `if_told` only where they know of its incident already."""

    notice: Notice
    targets: tuple[str, ...]
    if_told: tuple[str, ...] = ()
    course: Course | None = None


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """A notice not yet delivered to one target."""

    seq: int
    target: str
    notice: Notice
    created: Nanos
    attempts: int


@dataclass(frozen=True, slots=True)
class Undelivered:
    """What a target has not taken: `pending`, to be tried again at `due`, or `dead`, given up.

    `due` None: it waits behind another of its subject.
    """

    target: str
    id: str
    type: str
    subject: str
    status: str
    created: Nanos
    due: Nanos | None
    attempts: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A notice that was given up so long ago that it is known no more."""

    target: str
    id: str
    type: str
    subject: str


@dataclass(frozen=True, slots=True)
class Backlog:
    """What one target still waits for."""

    pending: int
    oldest: Nanos | None


def insert(db: sqlite3.Connection, addressed: Iterable[AddressedNotice], now: Nanos) -> None:
    """Keep what is to be said. A target to which an id was said before is not told it again."""
    for message in addressed:
        told = {row[0] for row in db.execute("SELECT target FROM delivery WHERE id = ?", (message.notice.id,))}
        targets = [*message.targets, *(name for name in message.if_told if _knows(db, name, message.course))]
        untold = [target for target in targets if target not in told]
        if untold:
            _insert_notice(db, message.notice, untold, now)
        if message.course is not None:
            standing.note(db, message.notice, message.course, untold, now)


def _knows(db: sqlite3.Connection, target: str, course: Course | None) -> bool:
    return course is not None and standing.knows(db, target, course)


def _insert_notice(db: sqlite3.Connection, notice: Notice, targets: Iterable[str], now: Nanos) -> None:
    cursor = db.execute(
        "INSERT INTO notice (id, type, subject, event_time, data) VALUES (?, ?, ?, ?, ?)",
        (notice.id, notice.type, notice.subject, notice.event_time, notice.data),
    )
    db.executemany(
        "INSERT INTO delivery (target, id, subject, notice, created, due) VALUES (?1, ?2, ?3, ?4, ?5, "  # noqa: S608 - ours
        f"CASE WHEN EXISTS ({OF_SUBJECT.format('1', '?1', '?3')}) THEN {FOLLOWS} ELSE ?5 END)",
        [(target, notice.id, notice.subject, cursor.lastrowid, now) for target in targets],
    )


def next_due(db: sqlite3.Connection, target: str, now: Nanos) -> OutboxRow | None:
    """The first notice that is due. Those of one subject are due one after the other."""
    row = db.execute(DUE, (target, now, LONGEST_WAIT)).fetchone()
    return None if row is None else OutboxRow(row[0], target, Notice(*row[1:8]), row[7], row[8])


def _line_up(db: sqlite3.Connection, target: str, subject: str) -> None:
    """Let the first of a subject that waits be due, and no other."""
    first = f"({OF_SUBJECT.format('MIN(seq)', '?1', '?2')})"
    db.execute(
        f"UPDATE delivery SET due = {FOLLOWS} WHERE target = ?1 AND subject = ?2 AND status = 'pending' "  # noqa: S608 - ours
        f"AND due < {FOLLOWS} AND seq > {first}",
        (target, subject),
    )
    _lead(db, target, subject)


def _lead(db: sqlite3.Connection, target: str, subject: str) -> None:
    """Let the first of a subject that waits be due, if it waited behind another."""
    db.execute(
        f"UPDATE delivery SET due = created WHERE due = {FOLLOWS} AND status = 'pending' "  # noqa: S608 - ours
        f"AND seq = ({OF_SUBJECT.format('MIN(seq)', '?1', '?2')})",
        (target, subject),
    )


def deliver(db: sqlite3.Connection, row: OutboxRow) -> None:
    """End a delivery that was taken, and forget those that ended long ago. What was dropped meanwhile, or moved, stays so."""
    if _count_attempt(db, row, even_anew=True):
        _end(db, row.seq, "delivered")


def give_up(db: sqlite3.Connection, row: OutboxRow) -> list[Forgotten] | None:
    """Give a delivery up; those that were long ago and are forgotten now. None where it stays: it was dropped, moved or begun anew meanwhile."""
    return _end(db, row.seq, "dead") if _count_attempt(db, row, even_anew=False) else None


def _count_attempt(db: sqlite3.Connection, row: OutboxRow, *, even_anew: bool) -> bool:
    """Count an attempt of a delivery that waits for that target yet; whether it does. `even_anew`: also where it was begun anew meanwhile."""
    counted = db.execute(
        "UPDATE delivery SET attempts = attempts + 1 WHERE seq = ? AND target = ? AND status = 'pending' AND (? OR created = ?)",
        (row.seq, row.target, even_anew, row.created),
    )
    return counted.rowcount > 0


def _end(db: sqlite3.Connection, seq: int, status: str) -> list[Forgotten]:
    target, subject = db.execute("SELECT target, subject FROM delivery WHERE seq = ?", (seq,)).fetchone()
    db.execute("UPDATE delivery SET status = ? WHERE seq = ?", (status, seq))
    _lead(db, target, subject)
    db.execute(
        "UPDATE notice SET data = NULL, rendered = NULL WHERE seq = (SELECT notice FROM delivery WHERE seq = ?1) "
        "AND NOT EXISTS (SELECT 1 FROM delivery WHERE notice = notice.seq AND status NOT IN ('delivered', 'dropped'))",
        (seq,),
    )
    return _forget(db, status)


def _forget(db: sqlite3.Connection, status: str) -> list[Forgotten]:
    """Forget what ended so long ago; of what was given up, which."""
    ended = db.execute(OLD_DEAD if status == "dead" else OLD, (status, KEPT_ENDED)).fetchall()
    told = [_forgotten(db, notice, target) for notice, _, target in ended] if status == "dead" else []
    db.executemany("DELETE FROM delivery WHERE seq = ?", [(seq,) for _, seq, _ in ended])
    db.executemany(
        "DELETE FROM notice WHERE seq = ?1 AND NOT EXISTS (SELECT 1 FROM delivery WHERE notice = ?1)",
        [(notice,) for notice, _, _ in ended],
    )
    return told


def _forgotten(db: sqlite3.Connection, notice: int, target: str) -> Forgotten:
    return Forgotten(target, *db.execute("SELECT id, type, subject FROM notice WHERE seq = ?", (notice,)).fetchone())


def postpone(db: sqlite3.Connection, row: OutboxRow, due: Nanos) -> None:
    """Try a delivery again at `due`, or when its turn comes, where another of its subject came before it meanwhile."""
    db.execute(
        f"UPDATE delivery SET due = CASE due WHEN {FOLLOWS} THEN due ELSE ?3 END, attempts = attempts + 1 "  # noqa: S608 - ours
        "WHERE seq = ?1 AND target = ?2 AND status = 'pending'",
        (row.seq, row.target, due),
    )


def undelivered(db: sqlite3.Connection, most: int = -1) -> list[Undelivered]:
    """What no target has taken yet, the oldest first: so many of them, all where that is negative."""
    rows = db.execute(
        f"SELECT target, notice.id, type, notice.subject, status, created, NULLIF(due, {FOLLOWS}), attempts FROM delivery "  # noqa: S608
        "JOIN notice ON notice.seq = delivery.notice WHERE status IN ('pending', 'dead') ORDER BY delivery.seq LIMIT ?",
        (most,),
    )
    return [Undelivered(*row) for row in rows]


def deliveries(db: sqlite3.Connection, notice: str) -> dict[str, str]:
    """How the deliveries of a notice stand, by target: pending, delivered, dead or dropped."""
    return dict(db.execute("SELECT target, status FROM delivery WHERE id = ?", (notice,)).fetchall())


def is_overtaken(
    db: sqlite3.Connection, target: str, notice: str, again: Collection[tuple[str, str]] = (), to: str | None = None
) -> bool:
    """Whether an alert has moved on, and this, said now, would open it again: for good, where its end is not to be said.

    A target, or the one that it is to be said `to`, has taken what was said later of it; or its end was dropped, or given up and
    is not among those said `again`.
    """
    later = db.execute(
        "SELECT later.id, later.status, notice.type FROM delivery AS this "
        "JOIN notice AS own ON own.seq = this.notice "
        "JOIN delivery AS later INDEXED BY delivery_said ON later.target IN (?1, ?3) AND later.subject = this.subject "
        "AND later.seq > this.seq AND later.status <> 'pending' AND later.id <> this.id "
        "JOIN notice ON notice.seq = later.notice "
        "WHERE this.target = ?1 AND this.id = ?2 AND own.type GLOB 'model.alert.*' AND notice.type GLOB 'model.alert.*'",
        (target, notice, to or target),
    )
    return any(
        status == "delivered"
        or (kind in ENDS and (status == "dropped" or (status == "dead" and (target, name) not in again)))
        for name, status, kind in later
    )


def retry(db: sqlite3.Connection, target: str, notice: str, now: Nanos) -> bool:
    """Try a delivery now, and as long again as a new one; false where it was taken meanwhile."""
    tried = db.execute(
        "UPDATE delivery SET status = 'pending', attempts = 0, created = ?3, due = ?3 "
        "WHERE target = ?1 AND id = ?2 AND status IN ('pending', 'dead') RETURNING subject",
        (target, notice, now),
    ).fetchone()
    if tried is not None:
        _line_up(db, target, tried[0])
    return tried is not None


def move(db: sqlite3.Connection, target: str, notice: str, to: str, now: Nanos) -> bool:
    """Let another target have a delivery, under its id and in its place among those of its subject; false where it was taken meanwhile.

    Where that target has the notice already, it is that delivery which is tried again, if it was not taken.
    """
    row = db.execute(
        "SELECT seq, subject FROM delivery WHERE target = ? AND id = ? AND status IN ('pending', 'dead')",
        (target, notice),
    ).fetchone()
    if row is None:
        return False
    seq, subject = row
    if db.execute("SELECT 1 FROM delivery WHERE target = ? AND id = ?", (to, notice)).fetchone() is not None:
        _end(db, seq, "dropped")
        standing.forget_untold(db, target, subject)
        retry(db, to, notice, now)
        return True
    standing.share(db, target, subject, to)
    db.execute(
        "UPDATE delivery SET target = ?2, status = 'pending', attempts = 0, created = ?3, due = ?3 WHERE seq = ?1",
        (seq, to, now),
    )
    standing.forget_untold(db, target, subject)
    _lead(db, target, subject)
    _line_up(db, to, subject)
    return True


def drop(db: sqlite3.Connection, target: str, notice: str) -> bool:
    """Deliver it never; false where it was taken meanwhile. It counts as said: nothing says it anew."""
    row = db.execute(
        "SELECT seq FROM delivery WHERE target = ? AND id = ? AND status IN ('pending', 'dead')", (target, notice)
    ).fetchone()
    if row is not None:
        _end(db, row[0], "dropped")
    return row is not None


# How many wait for each target, kept up by the changes themselves: a queue of thousands is not counted with each of its deliveries.
COUNTS = """
PRAGMA temp_store = MEMORY;
CREATE TEMP TABLE owed (target TEXT PRIMARY KEY, pending INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO owed SELECT target, COUNT(*) FROM delivery WHERE status = 'pending' GROUP BY target;
CREATE TEMP TRIGGER owed_more AFTER INSERT ON main.delivery WHEN NEW.status = 'pending' BEGIN
    INSERT INTO owed VALUES (NEW.target, 1) ON CONFLICT (target) DO UPDATE SET pending = pending + 1; END;
CREATE TEMP TRIGGER owed_else AFTER UPDATE OF target, status ON main.delivery BEGIN
    UPDATE owed SET pending = pending - 1 WHERE target = OLD.target AND OLD.status = 'pending';
    INSERT INTO owed SELECT NEW.target, 1 WHERE NEW.status = 'pending'
        ON CONFLICT (target) DO UPDATE SET pending = pending + 1; END;
"""


def keep_count(db: sqlite3.Connection) -> None:
    """Count what waits, once: from now on a connection counts along."""
    db.executescript(COUNTS)


def count_backlog(db: sqlite3.Connection) -> dict[str, Backlog]:
    """What each target still waits for."""
    rows = db.execute(
        "SELECT target, pending, (SELECT MIN(created) FROM delivery AS waiting INDEXED BY delivery_age "
        "WHERE waiting.target = owed.target AND status = 'pending') FROM owed WHERE pending > 0"
    )
    return {target: Backlog(pending, oldest) for target, pending, oldest in rows}


def first_waiting(db: sqlite3.Connection, target: str, most: int) -> list[str]:
    """The ids of the first notices that wait for a target."""
    rows = db.execute(
        "SELECT id FROM delivery INDEXED BY delivery_age WHERE target = ? AND status = 'pending' "
        "ORDER BY created, seq LIMIT ?",
        (target, most),
    )
    return [name for (name,) in rows]
