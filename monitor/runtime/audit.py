"""GET /api/v1/audit: entries of the audit log, as they are hashed."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from monitor.audit.chain import AuditEntry, AuditLog, Link

MOST_ENTRIES = 500  # of an answer


@dataclass(frozen=True, slots=True)
class AuditDesk:
    """Answers who asks for the audit log."""

    head: Callable[[], Link]
    page: Callable[[int, int], AuditLog]

    def listed(self, after: int, limit: int) -> dict[str, Any]:
        """`GET /api/v1/audit`: entries after a number, what stands before the first that is kept, and the last."""
        log = self.page(after, min(limit, MOST_ENTRIES))
        entries = [entry_item(each) for each in log.entries]
        return {"anchor": link_item(log.anchor), "head": link_item(self.head()), "entries": entries}


def link_item(link: Link) -> dict[str, Any]:
    """A link as JSON."""
    return {"seq": link.seq, "hash": link.hash.hex()}


def entry_item(entry: AuditEntry) -> dict[str, Any]:
    """An entry as JSON: its canonical text is a string, so that its very bytes arrive. Bytes that are no text are no entry."""
    return {**link_item(entry.link), "entry": entry.entry.decode("utf-8", "replace")}


NOTHING_WRITTEN = AuditDesk(Link, lambda _after, _limit: AuditLog(Link(), []))
