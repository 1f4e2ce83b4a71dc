"""The tables of the state, and the way to them from every format that driftd has written."""

import sqlite3
from functools import cache

import msgspec

from monitor.failpoints import Step, reach
from monitor.store import sums

APPLICATION_ID = 0x64726674  # "drft"
SCHEMA_VERSION = 8

STATE = """
CREATE TABLE record (kind TEXT, key TEXT, payload BLOB NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
CREATE TABLE position (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL,
                       PRIMARY KEY (topic, partition)) WITHOUT ROWID;
"""

# Which topics the positions are of: one that is made anew under a name has another id.
TOPIC = "CREATE TABLE topic (name TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;"

# A notice is kept once, however many targets it is for. `data` goes when all of them have taken it.
# `rendered` is a webhook's body as format 1 kept it.
OUTBOX = """
CREATE TABLE notice (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, type TEXT NOT NULL, subject TEXT NOT NULL,
                     event_time INTEGER NOT NULL, data BLOB, rendered BLOB);
CREATE TABLE delivery (seq INTEGER PRIMARY KEY AUTOINCREMENT, target TEXT NOT NULL, id TEXT NOT NULL,
                       subject TEXT NOT NULL, notice INTEGER NOT NULL REFERENCES notice (seq),
                       created INTEGER NOT NULL, due INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
                       status TEXT NOT NULL DEFAULT 'pending', UNIQUE (id, target));
CREATE INDEX delivery_pending ON delivery (target, seq) WHERE status = 'pending';
CREATE INDEX delivery_subject ON delivery (target, subject, seq) WHERE status = 'pending';
CREATE INDEX delivery_notice ON delivery (notice);
"""

# What targets were told last of each incident that is open, or has just ended.
STANDING = """
CREATE TABLE standing (target TEXT, place TEXT, series TEXT NOT NULL, incident TEXT NOT NULL, is_open INTEGER NOT NULL,
                       first INTEGER NOT NULL, said INTEGER NOT NULL, id TEXT NOT NULL, type TEXT NOT NULL,
                       subject TEXT NOT NULL, event_time INTEGER NOT NULL, data BLOB NOT NULL,
                       PRIMARY KEY (target, place)) WITHOUT ROWID;
"""

# What was decided, and by what: added to, never changed; see monitor/audit/chain.py. The anchor is the last entry that was dropped.
AUDIT = """
CREATE TABLE audit (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL, entry BLOB NOT NULL);
CREATE TABLE audit_anchor (seq INTEGER PRIMARY KEY, hash BLOB NOT NULL);
"""

# Each row has a checksum (monitor/store/sums.py). Who writes many writes it along; where a row changes a column at a time, a trigger does.
SEALED = {"notice": "seq", "delivery": "seq", "standing": "target, place"}
TRIGGER = """
CREATE TRIGGER {table}_{what} AFTER {event} ON {table} BEGIN
    UPDATE {table} SET sum = {sum} WHERE ({key}) = ({row}); END;
"""


def _sums() -> str:
    """From format 4, whose rows have none, to 5."""
    script = TOPIC
    for table in (each for each in sums.SUMMED if each not in sums.SINCE):
        script += f"ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0;\n"
        script += f"UPDATE {table} SET sum = {sums.of(table)};\n"  # noqa: S608 - our names
    for table, key in SEALED.items():
        row = ", ".join(f"NEW.{column}" for column in key.split(", "))
        values = {"table": table, "sum": sums.of(table, "NEW."), "key": key, "row": row}
        script += TRIGGER.format(what="added", event="INSERT", **values)
        script += TRIGGER.format(what="changed", event=f"UPDATE OF {', '.join(sums.SUMMED[table])}", **values)
    return script


SUMS = _sums()

# Of a subject only the first that waits is ever due; those behind it are at `FOLLOWS`, so that a long queue is not gone through for its
# first row. What has ended is found by its status, and how old the oldest that waits is, without counting the others.
FOLLOWS = 2**63 - 1
LINED_UP = """
DROP INDEX delivery_pending;
CREATE INDEX delivery_due ON delivery (target, seq, due) WHERE status = 'pending' AND due < 9223372036854775807;
CREATE INDEX delivery_age ON delivery (target, created) WHERE status = 'pending';
CREATE INDEX delivery_ended ON delivery (status, seq) WHERE status <> 'pending';
CREATE INDEX delivery_said ON delivery (target, subject, seq) WHERE status <> 'pending';
UPDATE delivery SET due = 9223372036854775807 WHERE status = 'pending' AND EXISTS
    (SELECT 1 FROM delivery AS before WHERE before.target = delivery.target AND before.subject = delivery.subject
     AND before.status = 'pending' AND before.seq < delivery.seq);
"""

# Before which offset of a partition nothing was read of a topic that was made after the one in `topic`. Where there is no row: of all of it.
VERIFIED = """
CREATE TABLE verified (topic TEXT, partition INTEGER, next_offset INTEGER NOT NULL, sum INTEGER NOT NULL,
                       PRIMARY KEY (topic, partition)) WITHOUT ROWID;
"""

# Its checksums have its name in them: until format 7 a page of `position` in its place went unseen.
NAMED = f"UPDATE verified SET sum = {sums.of('verified')};"  # noqa: S608 - our names

# Format 1 had one table, a row a webhook, with the body rendered. Each row becomes a notice of its own, for two
# webhooks could be told the same with different bodies. What was said before stays said: UNIQUE (id, target).
FROM_1 = """
INSERT INTO notice (seq, id, type, subject, event_time, data, rendered)
    SELECT seq, id, type, subject, event_time, data_of(body), body FROM outbox;
INSERT INTO delivery (seq, target, id, subject, notice, created, due, attempts, status)
    SELECT seq, webhook, id, subject, seq, created, due, attempts, status FROM outbox;
DROP TABLE outbox;
"""

# How formats whose rows have checksums came to be: a backup may be of one before today's.
CHECKED = {
    5: STATE + OUTBOX + STANDING + AUDIT + SUMS,
    6: STATE + OUTBOX + STANDING + AUDIT + SUMS + LINED_UP,
    7: STATE + OUTBOX + STANDING + AUDIT + SUMS + LINED_UP + VERIFIED,
    SCHEMA_VERSION: STATE + OUTBOX + STANDING + AUDIT + SUMS + LINED_UP + VERIFIED,
}

STEPS = {  # from which format
    0: CHECKED[SCHEMA_VERSION],
    1: OUTBOX + FROM_1 + STANDING + AUDIT + SUMS + LINED_UP + VERIFIED,
    2: STANDING + AUDIT + SUMS + LINED_UP + VERIFIED,
    3: AUDIT + SUMS + LINED_UP + VERIFIED,
    4: SUMS + LINED_UP + VERIFIED,
    5: LINED_UP + VERIFIED,
    6: VERIFIED,
    7: NAMED,
}


class RenderedBody(msgspec.Struct):
    """A webhook's body, as far as it is data."""

    data: msgspec.Raw


def data_of(body: bytes | None) -> bytes | None:
    """The data inside a body of format 1, byte for byte; None where there is none."""
    try:
        return None if body is None else bytes(msgspec.json.decode(body, type=RenderedBody).data)
    except msgspec.DecodeError:
        return None


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a database of ours, or an empty one, to today's format: all of it or nothing."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version < SCHEMA_VERSION:
        connection.create_function("data_of", 1, data_of)
        sums.teach(connection)
        marks = f"PRAGMA application_id={APPLICATION_ID};PRAGMA user_version={SCHEMA_VERSION};"
        if version:
            reach(Step.MIGRATION_BEGUN)
        connection.executescript(f"BEGIN IMMEDIATE;{STEPS[version]}{marks}")
        if version:
            reach(Step.MIGRATED)
        connection.execute("COMMIT")
        if version:
            reach(Step.MIGRATION_DONE)


def layout(connection: sqlite3.Connection) -> list[tuple[str, str | None]]:
    """What there is in a database, in SQL."""
    return connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE name NOT GLOB 'sqlite_stat*' ORDER BY name"
    ).fetchall()


@cache
def layout_of(version: int) -> list[tuple[str, str | None]]:
    """What there is in a state of a format, one of `CHECKED`."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        sums.teach(connection)
        connection.executescript(CHECKED[version])
        return layout(connection)
    finally:
        connection.close()
