"""The chain: each entry's hash is of the hash before it, its number and its own bytes. Who changes one changes all that follow.

    hash = SHA-256(hash before ‖ number, 8 bytes, big-endian ‖ canonical JSON of the entry)

Canonical JSON: keys in order, no white space, the shortest decimal of each float. Before the first entry stands a hash of zeros.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from monitor.stream.events import Nanos

NOTHING_BEFORE = bytes(32)
MOST_BYTES = 64 * 1024  # of an entry
PRUNED = "audit.pruned"  # kind of the entry that says which were dropped


class AuditNote(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened, as it is written down. `at`: wall time, nanoseconds; `event_time` where it has one.

    `decision`: of a person, a request for retraining, or a notice. Fields that are empty are left out of the canonical JSON.
    """

    at: Nanos
    kind: str
    body: dict[str, Any] = {}
    event_time: Nanos | None = None
    model: str = ""
    version: str = ""
    incident: str = ""
    decision: str = ""
    target: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """The number and hash of an entry, which vouch for it and all before."""

    seq: int = 0
    hash: bytes = NOTHING_BEFORE

    def next(self, entry: bytes) -> "Link":
        """The link of the entry that follows, given its canonical bytes.

        >>> Link().next(b"{}").hash.hex()[:16]
        '1bad765d926feaca'
        """
        seq = self.seq + 1
        return Link(seq, hashlib.sha256(self.hash + seq.to_bytes(8, "big") + entry).digest())


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One row of the log: its link, and the canonical bytes that the link is of."""

    link: Link
    entry: bytes

    def note(self) -> AuditNote:
        """What it says. Raises msgspec.MsgspecError and UnicodeDecodeError for bytes that are no entry."""
        return msgspec.json.decode(self.entry, type=AuditNote)


@dataclass(frozen=True, slots=True)
class AuditLog:
    """A log as it was read: what stood before its first entry, and the entries."""

    anchor: Link
    entries: list[AuditEntry]

    @property
    def head(self) -> Link:
        """The last link; that of the anchor where there is no entry."""
        return self.entries[-1].link if self.entries else self.anchor


@dataclass(frozen=True, slots=True)
class Break:
    """Where a log is not whole: the first number that is wrong, and why."""

    seq: int
    why: str


def canonical(value: Any) -> bytes:
    """Canonical JSON of plain values and structs."""
    return msgspec.json.encode(value, order="sorted")


def chained(log: AuditLog, known: Iterable[Link] = ()) -> Break | None:
    """Look whether each entry follows from the one before; the first that does not. `known`: links that were kept elsewhere."""
    kept = {link.seq: link.hash for link in known}
    last, found = log.anchor, set[int]()
    for each in log.entries:
        if each.link.seq != last.seq + 1:
            return Break(last.seq + 1, f"is missing: {each.link.seq} follows {last.seq}")
        due = last.next(each.entry)
        if due.hash != each.link.hash:
            return Break(due.seq, "its hash is not that of the hash before it and of what it says")
        if kept.get(due.seq, due.hash) != due.hash:
            return Break(due.seq, "its hash is another than the one that was kept elsewhere")
        if (why := _unlike(each, log.anchor)) is not None:
            return Break(due.seq, why)
        found.add(due.seq)
        last = due
    absent = min((seq for seq in kept if seq > last.seq), default=None)
    return None if absent is None else Break(absent, f"is missing: the log ends with {last.seq}")


def _unlike(entry: AuditEntry, anchor: Link) -> str | None:
    """Why an entry cannot be one of ours, though its hash is right; None where it can."""
    try:
        note = entry.note()
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "it is no entry of a log"
    if note.kind == PRUNED and note.body.get("through") == anchor.seq and note.body.get("hash") != anchor.hash.hex():
        return "it says that another hash stood before the first entry"
    return None
