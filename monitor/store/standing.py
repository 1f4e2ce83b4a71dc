"""What targets have been told is open, a row a target and place: for those who have to be told again, and for who is told of the end."""

import sqlite3
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from monitor.store.notice import Notice
from monitor.stream.events import MINUTE, Nanos

Stays = Callable[[str, str, str], bool]  # whether a target still hears of a series and a kind of incidents
KEPT_ENDED: Nanos = 15 * MINUTE  # wall time for which an end is said again: as long as Prometheus does


@dataclass(frozen=True, slots=True)
class Course:
    """How an incident stands by a notice. At one `place` – an alert of a series, and what it is about – one incident is open at a time.

    `keep` names the targets for which this is written down, whether they are told of this notice or not.
    """

    incident: str
    place: str
    series: str
    is_open: bool
    keep: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StandingNotice:
    """What a target was told last at a place."""

    place: str
    id: str


def place_of(series: str, rule: str, kind: str) -> str:
    """Where one incident is open at a time."""
    return f"{series}/{rule}/{kind}"


def kind_at(place: str) -> str:
    """The kind of incidents at a place."""
    return place.rpartition("/")[2]


def note(db: sqlite3.Connection, notice: Notice, course: Course, told: Collection[str], now: Nanos) -> None:
    """Write down how an incident stands. It is open for those who are `told` so, and has ended for all who knew of it."""
    for target in course.keep:
        if course.is_open and target in told:
            first = _first(db, target, course, now)
            db.execute(
                "INSERT OR REPLACE INTO standing (target, place, series, incident, is_open, first, said, "
                "id, type, subject, event_time, data) VALUES (?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)",
                (target, course.place, course.series, course.incident, first, now, *_columns(notice)),
            )
        elif not course.is_open:
            db.execute(
                "UPDATE standing SET is_open = 0, said = ?, id = ?, type = ?, subject = ?, event_time = ?, data = ? "
                "WHERE target = ? AND place = ? AND incident = ? AND is_open",
                (now, *_columns(notice), target, course.place, course.incident),
            )
    db.execute("DELETE FROM standing WHERE NOT is_open AND said <= ?", (now - KEPT_ENDED,))


def _first(db: sqlite3.Connection, target: str, course: Course, now: Nanos) -> Nanos:
    """When a target was first told of this incident."""
    row = db.execute(
        "SELECT first FROM standing WHERE target = ? AND place = ? AND incident = ? AND is_open",
        (target, course.place, course.incident),
    ).fetchone()
    return now if row is None else int(row[0])


def _columns(notice: Notice) -> tuple[str, str, str, Nanos, bytes]:
    return notice.id, notice.type, notice.subject, notice.event_time, notice.data


def knows(db: sqlite3.Connection, target: str, course: Course) -> bool:
    """Whether a target was told that this incident is open."""
    row = db.execute(
        "SELECT 1 FROM standing WHERE target = ? AND place = ? AND incident = ? AND is_open",
        (target, course.place, course.incident),
    ).fetchone()
    return row is not None


def look(db: sqlite3.Connection, target: str, now: Nanos) -> list[StandingNotice]:
    """What a target was told last: all that is open, and what has ended within the last quarter of an hour."""
    rows = db.execute(
        "SELECT place, id FROM standing WHERE target = ? AND (is_open OR said > ?) ORDER BY place",
        (target, now - KEPT_ENDED),
    )
    return [StandingNotice(*row) for row in rows]


def notice_at(db: sqlite3.Connection, target: str, place: str) -> Notice | None:
    """What a target was told last at a place. It was decided when the incident was first told of, or when it ended."""
    row = db.execute(
        "SELECT id, type, subject, event_time, data, NULL, CASE WHEN is_open THEN first ELSE said END "
        "FROM standing WHERE target = ? AND place = ?",
        (target, place),
    ).fetchone()
    return None if row is None else Notice(*row)


def others(db: sqlite3.Connection, stays: Stays) -> list[tuple[str, str]]:
    """Targets and places of which something stands that does not stay so."""
    rows = db.execute("SELECT target, series, place FROM standing").fetchall()
    return [(target, place) for target, series, place in rows if not stays(target, series, kind_at(place))]


def forget(db: sqlite3.Connection, gone: Iterable[tuple[str, str]]) -> None:
    """Forget what targets were told at places."""
    db.executemany("DELETE FROM standing WHERE target = ? AND place = ?", gone)


def share(db: sqlite3.Connection, target: str, subject: str, to: str) -> None:
    """Let another target too be one that was told what stands of a subject, where it was told nothing of it itself."""
    db.execute(
        "INSERT OR IGNORE INTO standing (target, place, series, incident, is_open, first, said, id, type, subject, event_time, data) "
        "SELECT ?1, place, series, incident, is_open, first, said, id, type, subject, event_time, data "
        "FROM standing WHERE target = ?2 AND subject = ?3",
        (to, target, subject),
    )


def forget_dropped(db: sqlite3.Connection, target: str, notice: str) -> None:
    """Forget what a target was never told, for a person dropped it: what opened an incident of which it has nothing else, or an end."""
    db.execute("DELETE FROM standing WHERE target = ? AND id = ? AND NOT is_open", (target, notice))
    row = db.execute("SELECT subject FROM delivery WHERE target = ? AND id = ?", (target, notice)).fetchone()
    if row is not None:
        forget_untold(db, target, row[0])


def forget_untold(db: sqlite3.Connection, target: str, subject: str) -> None:
    """Forget what stands open of a subject for a target that has, and is owed, nothing of it."""
    db.execute(
        "DELETE FROM standing WHERE target = ?1 AND is_open AND subject = ?2 AND NOT EXISTS "
        "(SELECT 1 FROM delivery AS other JOIN notice ON notice.seq = other.notice WHERE other.target = ?1 "
        "AND other.subject = standing.subject AND other.status <> 'dropped' AND type GLOB 'model.alert.*' "
        "AND other.created >= standing.first)",
        (target, subject),
    )
