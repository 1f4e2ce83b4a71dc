"""A checksum in each row: what is read is what was written, or it is known that it is not.

CRC-32, of the standard library: every error of one to three bits, and every burst of up to 32, in a row of less than 11 kB is found for certain;
what else may happen to a row goes unseen once in 4 · 10⁹ (P. Koopman, 32-bit cyclic redundancy codes, DSN 2002). It guards against disks,
not against people, as the chain of the audit log does.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from zlib import crc32

HASH_BYTES = 32
NAMED = 3  # rows that a line names

# What of each table its checksum is of; the first columns say which row it is.
SUMMED = {
    "record": ("kind", "key", "payload"),
    "position": ("topic", "partition", "next_offset"),
    "topic": ("name", "id"),
    "verified": ("topic", "partition", "next_offset"),
    "notice": ("seq", "id", "type", "subject", "event_time", "data", "rendered"),
    "delivery": ("seq", "target", "id", "subject", "notice", "created", "due", "attempts", "status"),
    "standing": (
        "target",
        "place",
        "series",
        "incident",
        "is_open",
        "first",
        "said",
        "id",
        "type",
        "subject",
        "event_time",
        "data",
    ),
}
NUMBERED = ("delivery", "notice")  # tables whose numbers are never given twice
MOST_NUMBERS = 2**53  # rows that no table ever has had: of a larger number SQLite would write no further row
KEYS = {"record": 2, "position": 2, "topic": 1, "verified": 2, "notice": 1, "delivery": 1, "standing": 2}
NAMING = {
    "verified": 8
}  # by the format from which on: tables with the columns of another one have their name in the checksum, so that a page of the other is none of theirs
SINCE = {"verified": 7}  # the format in which a table came, where checksums were there before


@dataclass(frozen=True, slots=True)
class DamagedRow:
    """A row that is not as it was written, by what of it now stands for its key."""

    table: str
    key: tuple[object, ...]

    def __str__(self) -> str:
        return f"{self.table} {' '.join(map(ascii, self.key))}"


def checksum(*values: object) -> int:
    r"""The checksum of a row's columns: of types, lengths and contents.

    >>> checksum("pane", "k", b"\x01") == checksum("pane", "k", b"\x01")
    True
    >>> checksum("pane", "k", b"\x01") == checksum("pane", "k", b"\x03"), checksum("a", "bc") == checksum("ab", "c")
    (False, False)
    """
    last = values[
        -1
    ]  # most often the one that is long; ascii, not repr: that depends on which characters the interpreter knows
    if isinstance(last, bytes):
        return crc32(last, crc32(f"{values[:-1]!a}{len(last)}".encode()))
    return crc32(ascii(values).encode())


def checksum_in(table: str, *row: object) -> int:
    """The checksum that a row of a table should have in today's format, by the columns that it is of."""
    return checksum(table, *row) if table in NAMING else checksum(*row)


def of(table: str, row: str = "") -> str:
    """SQL: the checksum that a row of a table should have."""
    name = [f"'{table}'"] if table in NAMING else []
    return f"checksum({', '.join([*name, *(row + column for column in SUMMED[table])])})"


def teach(connection: sqlite3.Connection) -> None:
    """Let a connection compute checksums, and read what is no text any more without an error."""
    connection.create_function("checksum", -1, checksum, deterministic=True)
    connection.text_factory = lambda text: text.decode("utf-8", "surrogateescape")


def damaged(connection: sqlite3.Connection) -> Iterator[DamagedRow]:
    """The rows of a state that are not as they were written. Raises sqlite3.Error where they cannot be read at all."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    for table, columns in SUMMED.items():
        if SINCE.get(table, version) > version:
            continue
        for *row, held in connection.execute(f"SELECT {', '.join(columns)}, sum FROM {table}"):  # noqa: S608 - our names
            named = NAMING.get(table, version + 1) <= version
            if held != (checksum(table, *row) if named else checksum(*row)):
                yield DamagedRow(table, tuple(row[: KEYS[table]]))
    yield from _damaged_numbers(connection)
    for table in ("audit", "audit_anchor"):  # the log has a chain of its own; here only that it can be gone on from
        for seq, held in connection.execute(f"SELECT seq, hash FROM {table} ORDER BY seq DESC LIMIT 1"):  # noqa: S608
            if not isinstance(held, bytes) or len(held) != HASH_BYTES:
                yield DamagedRow(table, (seq,))


def _damaged_numbers(connection: sqlite3.Connection) -> Iterator[DamagedRow]:
    """What SQLite keeps of the numbers that it has given: no checksum stands beside it, and its tree is whole with any content."""
    given = connection.execute("SELECT name, seq FROM sqlite_sequence").fetchall()
    last = {
        table: connection.execute(f"SELECT MAX(seq) FROM {table}").fetchone()[0] or 0  # noqa: S608 - our names
        for table in NUMBERED
    }
    for name, seq in given:
        least = last.pop(name, None)
        if least is None or type(seq) is not int or not least <= seq < MOST_NUMBERS:
            yield DamagedRow("sqlite_sequence", (name,))
    for table, least in last.items():
        if least:
            yield DamagedRow("sqlite_sequence", (table,))


def words(rows: list[DamagedRow]) -> str:
    """What is damaged, in a line."""
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    return ", ".join(map(str, rows[:NAMED])) + more
