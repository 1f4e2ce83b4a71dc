"""A log as lines of JSON, for those who keep it elsewhere: a line for what stands before, a line an entry, each in canonical JSON."""

from collections.abc import Iterable, Iterator

import msgspec

from monitor.audit.chain import AuditEntry, AuditLog, Break, Link, canonical

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


def exported(log: AuditLog) -> Iterator[bytes]:
    """The lines of a log."""
    anchor = {"seq": log.anchor.seq, "hash": log.anchor.hash.hex()}
    yield canonical({"format": FORMAT, "anchor": anchor})
    for each in log.entries:
        link = each.link
        yield canonical({"entry": msgspec.Raw(each.entry), "hash": link.hash.hex(), "seq": link.seq})


def imported(lines: Iterable[bytes]) -> tuple[AuditLog, Break | None]:
    """A log from its lines, and the first that is none of it. Raises ValueError where the first line is not that of a log."""
    rows = iter(lines)
    try:
        first = msgspec.json.decode(next(rows, b""), type=ExportedHead)
        anchor = first.anchor.link()
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        raise ValueError(f"is no exported audit log: its first line has no format {FORMAT}") from None
    if first.format != FORMAT:
        raise ValueError(f"has the format {first.format!r}, and this driftd reads {FORMAT}")
    log = AuditLog(anchor, [])
    for row in rows:
        line = row.rstrip(b"\n")
        try:
            told = msgspec.json.decode(line, type=ExportedEntry)
            found = AuditEntry(told.link(), bytes(told.entry))
            exact = canonical({"entry": msgspec.Raw(found.entry), "hash": told.hash, "seq": told.seq}) == line
        except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
            exact = False
        if not exact:
            return log, Break(log.head.seq + 1, "its line is not as it was written")
        log.entries.append(found)
    return log, None
