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


class Chain:
    """Looks, entry by entry, whether each follows from the one before. `known`: links that were kept elsewhere."""

    def __init__(self, anchor: Link, known: Iterable[Link] = ()) -> None:
        self.anchor = self.last = anchor
        self.count = 0
        self.broken: Break | None = None
        self._kept = {link.seq: link.hash for link in known}
        self._said = not anchor.seq  # what stands before the first entry

    def take(self, entry: AuditEntry) -> None:
        """Look at the next one. What comes after the first that is wrong is counted, no more."""
        self.count += 1
        if self.broken is None:
            self.broken = self._wrong(entry)
        self.last = entry.link

    def end(self) -> Break | None:
        """The first number that is wrong, once all entries were looked at; None where the log is whole."""
        return self.broken or self._dropped() or self._absent()

    def _wrong(self, entry: AuditEntry) -> Break | None:
        last = self.last
        if entry.link.seq != last.seq + 1:
            return Break(last.seq + 1, f"is missing: {entry.link.seq} follows {last.seq}")
        due = last.next(entry.entry)
        if due.hash != entry.link.hash:
            return Break(due.seq, "its hash is not that of the hash before it and of what it says")
        if self._kept.get(due.seq, due.hash) != due.hash:
            return Break(due.seq, "its hash is another than the one that was kept elsewhere")
        try:
            note = entry.note()
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return Break(due.seq, "it is no entry of a log")
        return self._forgets(due.seq, note)

    def _forgets(self, seq: int, note: AuditNote) -> Break | None:
        """Whether an entry says of what was dropped something else than the anchor does."""
        if note.kind != PRUNED or note.body.get("through") != self.anchor.seq:
            return None
        self._said = note.body.get("hash") == self.anchor.hash.hex()
        return None if self._said else Break(seq, "it says that another hash stood before the first entry")

    def _dropped(self) -> Break | None:
        """Whether what was dropped, was dropped by us, and nothing of it was kept elsewhere."""
        seq, gone = self.anchor.seq, min((seq for seq in self._kept if seq <= self.anchor.seq), default=None)
        if not self._said:
            return Break(seq, f"no entry says that 1 to {seq} were dropped")
        if gone is None or (gone == seq and self._kept[gone] == self.anchor.hash):
            return None
        if gone == seq:
            return Break(seq, "its hash is another than the one that was kept elsewhere")
        return Break(gone, f"was dropped with all to {seq}: nothing is left to compare it with; keep a later one")

    def _absent(self) -> Break | None:
        absent = min((seq for seq in self._kept if seq > self.last.seq), default=None)
        return None if absent is None else Break(absent, f"is missing: the log ends with {self.last.seq}")


def chained(log: AuditLog, known: Iterable[Link] = ()) -> Break | None:
    """Look whether each entry follows from the one before; the first that does not. `known`: links that were kept elsewhere."""
    chain = Chain(log.anchor, known)
    for each in log.entries:
        chain.take(each)
    return chain.end()
