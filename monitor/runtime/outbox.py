"""GET and POST /api/v1/outbox: what targets have not taken, tried again or dropped by people."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

import msgspec
from msgspec import Struct

from monitor.audit.entries import delivery_note
from monitor.facts import DeliveryTried, OutboxDecided
from monitor.runtime.writing import Answered, NotGrantedError, Text, Who, Why, refuse_unseen
from monitor.store.outbox import Undelivered
from monitor.store.sqlite import Told
from monitor.stream.events import Nanos
from monitor.targets.base import Subscriber
from monitor.targets.payloads import rfc3339

DONE = {"retry": "retried", "drop": "dropped"}  # what the audit log calls it
MOST_LISTED = 1000  # the oldest first
OVERTAKEN = "the target knows by now what was said later, or the end of the alert was dropped, or given up and not asked for too"


class OutboxBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which notices, by id, target or both, and what is to become of them; `to`: a target that is to have them from now on."""

    action: Literal["retry", "drop"]
    by: Who
    notice: Text | None = None
    target: Text | None = None
    to: Text | None = None
    reason: Why = ""


@dataclass(frozen=True, slots=True)
class OutboxDesk:
    """Answers who asks for what targets have not taken. A change is one transaction, and no delivery waits for it."""

    undelivered: Callable[[int], list[Undelivered]]  # so many at most; all where that is negative
    retry: Callable[[list[Undelivered], Told, str | None], list[Undelivered]]
    drop: Callable[[list[Undelivered], Told], list[Undelivered]]
    last: Callable[[], Mapping[str, DeliveryTried]]
    tell: Callable[[Iterable[OutboxDecided]], None]
    try_now: Callable[[Collection[str]], None]
    targets: Mapping[str, Subscriber]  # that are configured
    now: Callable[[], Nanos] = int  # wall time

    def listed(self) -> Iterator[dict[str, Any]]:
        """`GET /api/v1/outbox`."""
        last = self.last()
        for row in self.undelivered(MOST_LISTED):
            yield self._item(row, last)

    def answer(self, body: bytes) -> Answered:
        """Do what is asked for. Raises NotGrantedError."""
        asked = asked_for(body)
        chosen = [
            row for row in self.undelivered(-1) if asked.notice in {None, row.id} and asked.target in {None, row.target}
        ]
        if not chosen:
            raise NotGrantedError(HTTPStatus.NOT_FOUND, f"{words(asked)}: nothing of it waits or was given up")
        done = self._retried(asked, chosen) if asked.action == "retry" else self.drop(chosen, self._told_of(asked))
        if not done:
            raise NotGrantedError(HTTPStatus.CONFLICT, f"{words(asked)}: was taken meanwhile")
        self.tell(OutboxDecided(asked.action, row.target, row.id, asked.by, asked.reason, asked.to) for row in done)
        if asked.action == "retry":
            self.try_now({asked.to or row.target for row in done})
        last, done_ids = self.last(), {(row.target, row.id) for row in done}
        return HTTPStatus.OK, {
            "action": asked.action,
            "to": asked.to,
            "notices": [self._item(row, last) for row in done],
            "overtaken": [self._item(row, last) for row in chosen if (row.target, row.id) not in done_ids],
        }

    def _item(self, row: Undelivered, last: Mapping[str, DeliveryTried]) -> dict[str, Any]:
        return item(row, last.get(row.target), configured=row.target in self.targets)

    def _retried(self, asked: OutboxBody, chosen: list[Undelivered]) -> list[Undelivered]:
        """Try these again, as far as that makes sense. Raises NotGrantedError where it does of none."""
        told = (
            [row for row in chosen if row.target in self.targets] if asked.to is None else self._fit(asked.to, chosen)
        )
        if not told:
            gone = ", ".join(dict.fromkeys(row.target for row in chosen))
            raise NotGrantedError(
                HTTPStatus.CONFLICT,
                f"{gone}: no longer a target; another can have what waits for it (to), or it is dropped",
            )
        if done := self.retry(told, self._told_of(asked), asked.to):
            return done
        raise NotGrantedError(HTTPStatus.CONFLICT, f"{words(asked)}: overtaken, {OVERTAKEN}")

    def _fit(self, to: str, chosen: list[Undelivered]) -> list[Undelivered]:
        """The same, where another target may have them all. Raises NotGrantedError: nothing is moved by half."""
        target = self.targets.get(to)
        if target is None:
            there = ", ".join(sorted(self.targets)) or "none"
            raise NotGrantedError(HTTPStatus.CONFLICT, f"to: there is no target {to}; there is {there}")
        if foreign := dict.fromkeys(row.type for row in chosen if not target.may_have(row.type)):
            raise NotGrantedError(HTTPStatus.CONFLICT, f"to: {to} does not take {', '.join(foreign)} (its types)")
        return chosen

    def _told_of(self, asked: OutboxBody) -> Told:
        """What the audit log is to say of what is tried again or dropped."""
        outcome, more = DONE[asked.action], {"by": asked.by, "reason": asked.reason}
        more |= {} if asked.to is None else {"to": asked.to}
        return lambda rows: [
            delivery_note(outcome, row.target, row.id, row.type, row.subject, self.now(), more) for row in rows
        ]


def asked_for(body: bytes) -> OutboxBody:
    """What a body asks for. Raises NotGrantedError."""
    try:
        asked = msgspec.json.decode(body, type=OutboxBody)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, str(error)) from None
    refuse_unseen(msgspec.to_builtins(asked))
    if asked.notice is None and asked.target is None:
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, "needs a notice, a target, or both")
    if asked.action == "drop" and asked.to is not None:
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, "to: is of retry; what is dropped goes to nobody")
    if asked.action == "drop" and not asked.reason.strip():
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, "a drop needs a reason")
    return asked


def words(asked: OutboxBody) -> str:
    """What was asked for."""
    return " of ".join(each for each in (asked.notice, asked.target) if each is not None)


def item(row: Undelivered, last: DeliveryTried | None, *, configured: bool) -> dict[str, Any]:
    """One notice that a target has not taken. `status` and `detail` are of the last attempt, where that was lately."""
    tried = last if last is not None and last.notice == row.id else None
    return {
        "notice": row.id,
        "target": row.target,
        "type": row.type,
        "subject": row.subject,
        "state": row.status,
        "created_at": rfc3339(row.created),
        "due_at": rfc3339(row.due) if row.status == "pending" and row.due is not None else None,
        "attempts": row.attempts,
        "status": None if tried is None else tried.status,
        "detail": None if tried is None else tried.detail,
        "configured": configured,
    }
