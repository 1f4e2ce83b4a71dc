"""A log as lines of JSON, for those who keep it elsewhere: a line for what stands before, a line an entry, each in canonical JSON."""

from collections.abc import Iterable, Iterator

import msgspec

from monitor.audit.chain import AuditEntry, Break, Link, canonical

FORMAT = "driftd.audit/1"


class ExportedLink(msgspec.Struct):
    """A link as a line has it."""

    seq: int
    hash: str

    def link(self) -> Link:
        """The link. Raises ValueError for a hash that is none."""
        return Link(self.seq, bytes.fromhex(self.hash))


class ExportedHead(msgspec.Struct):
    """The first line."""

    format: str
    anchor: ExportedLink


class ExportedEntry(ExportedLink):
    """A line of an entry, whose bytes stand in it as they are hashed."""

    entry: msgspec.Raw


def exported(anchor: Link, entries: Iterable[AuditEntry]) -> Iterator[bytes]:
    """The lines of a log."""
    yield canonical({"format": FORMAT, "anchor": {"seq": anchor.seq, "hash": anchor.hash.hex()}})
    for each in entries:
        link = each.link
        yield canonical({"entry": msgspec.Raw(each.entry), "hash": link.hash.hex(), "seq": link.seq})


class Imported:
    """A log from its lines, which are read once. Raises ValueError where the first line is not that of a log.

    `broken`: the first line that is none of it, once it was come to; nothing after it is read.
    """

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._rows = iter(lines)
        self.broken: Break | None = None
        try:
            first = msgspec.json.decode(next(self._rows, b""), type=ExportedHead)
            self.anchor = first.anchor.link()
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            raise ValueError(f"is no exported audit log: its first line has no format {FORMAT}") from None
        if first.format != FORMAT:
            raise ValueError(f"has the format {first.format!r}, and this driftd reads {FORMAT}")

    def entries(self) -> Iterator[AuditEntry]:
        """Its entries, up to the first line that is none."""
        seq = self.anchor.seq
        for row in self._rows:
            found = entry_of(row.rstrip(b"\n"))
            if found is None:
                self.broken = Break(seq + 1, "its line is not as it was written")
                return
            seq = found.link.seq
            yield found


def entry_of(line: bytes) -> AuditEntry | None:
    """The entry of a line; None where the line is not as it was written."""
    try:
        told = msgspec.json.decode(line, type=ExportedEntry)
        found = AuditEntry(told.link(), bytes(told.entry))
        exact = canonical({"entry": msgspec.Raw(found.entry), "hash": told.hash, "seq": told.seq}) == line
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return found if exact else None
