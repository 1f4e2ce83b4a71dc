"""POST /api/v1/decisions: who may decide, what may be asked for, and the answers."""

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from uuid import uuid4

import msgspec
from msgspec import Meta, Struct

from detectors.charts import IncidentKind
from detectors.durations import nanoseconds
from monitor.alerting.decisions import (
    Accept,
    Ack,
    Announce,
    Approve,
    Asked,
    End,
    Refusal,
    Reject,
    Scope,
    Silence,
    Trigger,
    Wish,
)
from monitor.alerting.ids import digest, notice_id
from monitor.alerting.rules import BUDGET_RULE
from monitor.facts import AlertSeen, DecisionMade
from monitor.runtime.board import Board
from monitor.runtime.decisions import shown
from monitor.runtime.inbox import Inbox, NotSavedError
from monitor.stream.events import ANY_VERSION, SECOND, Nanos
from monitor.targets.model_registry import is_signed
from monitor.targets.payloads import ESCALATED, FIRING

SCHEME = "bearer "
FOR_GOOD = "good"
OFF = "deciding is off: neither http.token_file nor http.token_env names a token"
STATUS = {Refusal.UNKNOWN: HTTPStatus.NOT_FOUND, Refusal.CONFLICT: HTTPStatus.CONFLICT}
UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")  # would disturb a terminal

Text = Annotated[str, Meta(min_length=1, max_length=256)]
Who = Annotated[str, Meta(min_length=1, max_length=128)]
Why = Annotated[str, Meta(max_length=1000)]
Answered = tuple[HTTPStatus, dict[str, Any]]


class NotGrantedError(ValueError):
    """A request that is not granted: its status, and one line that says why."""

    def __init__(self, status: HTTPStatus, why: str) -> None:
        super().__init__(why)
        self.status = status


# --- what may be asked for --------------------------------------------------------------------------------------------


class Body(Struct, forbid_unknown_fields=True, kw_only=True, tag_field="decision", rename={"name": "id"}):
    """What every decision says. Without an id it gets one; with its own it can be asked again safely."""

    by: Who
    reason: Why = ""
    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None


class ScopedBody(Body, kw_only=True, rename={"name": "id", "lasts": "for"}):
    """What is about features of a model."""

    model: Text
    version: Text | None = None
    features: tuple[Text, ...] = ()
    lasts: str

    @property
    def scope(self) -> Scope:
        """Of what."""
        return Scope(self.model, self.version, self.features)


class AcceptBody(ScopedBody, tag="accept"):
    """For a duration, or for good."""

    def wish(self) -> Wish:
        """What is asked for. Raises ValueError."""
        return Accept(self.scope, None if self.lasts == FOR_GOOD else duration(self.lasts))


class SilenceBody(ScopedBody, tag="silence"):
    """For a duration, and with a reason: others will wonder."""

    def wish(self) -> Wish:
        """What is asked for. Raises ValueError."""
        if not self.reason.strip():
            raise ValueError("a silence needs a reason")
        return Silence(self.scope, duration(self.lasts))


class AckBody(Body, tag="ack", kw_only=True):
    """Of an open incident."""

    incident: Text

    def wish(self) -> Wish:
        """What is asked for."""
        return Ack(self.incident)


class EndBody(Body, tag="end", kw_only=True, rename={"name": "id", "ended": "ends"}):
    """Of a silence or an acknowledgement, by its id."""

    ended: Text

    def wish(self) -> Wish:
        """What is asked for."""
        return End(self.ended)


class ApproveBody(Body, tag="approve", kw_only=True):
    """Of a request for retraining that waits for it, by its id."""

    request: Text

    def wish(self) -> Wish:
        """What is asked for."""
        return Approve(self.request)


class RejectBody(Body, tag="reject", kw_only=True):
    """Of the same, with a reason: others will wonder."""

    request: Text

    def wish(self) -> Wish:
        """What is asked for. Raises ValueError."""
        if not self.reason.strip():
            raise ValueError("a rejection needs a reason")
        return Reject(self.request)


class TriggerBody(Body, tag="trigger", kw_only=True):
    """Of a model, whatever its alerts say, with a reason; `force`: whatever its policy says."""

    model: Text
    force: bool = False

    def wish(self) -> Wish:
        """What is asked for. Raises ValueError."""
        if not self.reason.strip():
            raise ValueError("a trigger needs a reason")
        return Trigger(self.model, self.force)


class VersionBody(Body, tag="version", kw_only=True):
    """Of a new version of a model: when it was trained, and where its reference is."""

    model: Text
    version: Text
    reference: Annotated[str, Meta(max_length=1024)] | None = None
    trained_at: datetime | None = None

    def wish(self) -> Wish:
        """What is asked for. Raises ValueError."""
        if self.version == ANY_VERSION:
            raise ValueError("version: * stands for all that are not configured; name one")
        if self.trained_at is not None and self.trained_at.tzinfo is None:
            raise ValueError(f"trained_at: {A_TIME}")
        trained = None if self.trained_at is None else round(self.trained_at.timestamp() * 1000) * (SECOND // 1000)
        return Announce(self.model, self.version, trained, self.reference or "")


def duration(text: str) -> Nanos:
    """A length of time. Raises ValueError, which begins with the key."""
    try:
        nanos = nanoseconds(text)
    except ValueError as error:
        raise ValueError(f"for: {error} (is {text[:40]!r})") from None
    if nanos <= 0:
        raise ValueError("for: must be longer than zero")
    return nanos


class AnnouncedBody(Struct, forbid_unknown_fields=True, kw_only=True):
    """A new version, as `POST /api/v1/versions` is told of it by whoever has trained it: nobody need say who."""

    model: Text
    version: Text
    reference: Annotated[str, Meta(max_length=1024)] | None = None
    trained_at: datetime | None = None
    by: Who = "api"
    reason: Why = ""
    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None

    def body(self) -> VersionBody:
        """The same as a decision; without an id it has one of what it says, so that a repeat is one."""
        name = self.id or digest([self.model, self.version, self.reference, str(self.trained_at), self.by, self.reason])
        told = {"model": self.model, "version": self.version, "reference": self.reference}
        return VersionBody(**told, trained_at=self.trained_at, by=self.by, reason=self.reason, name=name)  # type: ignore[arg-type]


DECODER = msgspec.json.Decoder(
    AcceptBody | SilenceBody | AckBody | EndBody | ApproveBody | RejectBody | TriggerBody | VersionBody
)
A_TIME = "must be a time with its zone (RFC 3339), as in 2026-11-23T12:00:00Z"
ANNOUNCED = msgspec.json.Decoder(AnnouncedBody)


def asked_for(body: bytes, *, version: bool = False) -> Asked:
    """What a body asks for; `version`: it tells of a version. Raises NotGrantedError."""
    try:
        decoded = ANNOUNCED.decode(body).body() if version else DECODER.decode(body)
        asked = Asked(decoded.name or uuid4().hex, decoded.wish(), decoded.by, decoded.reason)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError) as error:
        words = f"trained_at: {A_TIME}" if "`$.trained_at`" in str(error) else str(error)
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, words) from None
    refuse_unseen(msgspec.to_builtins(asked))
    return asked


def refuse_unseen(value: Any) -> None:
    """Raise NotGrantedError where a text in a plain value would disturb a terminal."""
    if any(UNSEEN.search(text) for text in texts(value)):
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, "a text holds a control character")


def texts(value: Any) -> Iterator[str]:
    """Every text in a plain value."""
    match value:
        case str():
            yield value
        case dict() | list() | tuple():
            for inner in value.values() if isinstance(value, dict) else value:
                yield from texts(inner)


# --- the answers ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Deciding:
    """Answers those who bring the token. Without a token of ours it is off."""

    token: bytes | None = field(repr=False)
    inbox: Inbox
    look: Callable[[Callable[[Board], Board]], Board]

    def answer(self, authorization: str, body: bytes, *, version: bool = False) -> Answered:
        """Take what is asked for, and answer once it is saved. Raises NotGrantedError."""
        self.admit(authorization)
        asked = asked_for(body, version=version)
        match asked.wish:
            case Ack(incident=told):
                asked = replace(asked, wish=Ack(named(self.look(Board.copy), told)))
        try:
            answer = self.inbox.ask(asked)
        except NotSavedError as error:
            raise NotGrantedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; ask again with id {asked.id}") from None
        if isinstance(answer, DecisionMade):
            notes = {"notes": list(answer.notes)} if answer.notes else {}
            return HTTPStatus.OK if answer.repeated else HTTPStatus.CREATED, shown(answer.decision) | notes
        raise NotGrantedError(STATUS[answer.refusal], answer.why)

    def admit(self, authorization: str) -> None:
        """Raise NotGrantedError unless the token is brought; the time that takes says nothing of it."""
        if self.token is None:
            raise NotGrantedError(HTTPStatus.FORBIDDEN, OFF)
        brought = authorization[len(SCHEME) :].strip() if authorization.lower().startswith(SCHEME) else ""
        if not hmac.compare_digest(brought.encode("utf-8", "surrogateescape"), self.token):
            raise NotGrantedError(HTTPStatus.UNAUTHORIZED, "the token is missing or wrong: Authorization: Bearer …")


HINTED = {"answer": "the registry is asked"}


@dataclass(frozen=True, slots=True)
class RegistryHook:
    """Takes a registry's webhooks: each is a hint that there is news, whatever it says, and the registry is asked at once."""

    secret: bytes | None = field(default=None, repr=False)
    now: Callable[[], Nanos] = lambda: 0
    look_now: Callable[[], None] = lambda: None

    def answer(self, headers: Mapping[str, str], body: bytes) -> Answered:
        """Take a webhook that is signed by the secret. Raises NotGrantedError. Names of headers are in lower case."""
        if self.secret is None:
            raise NotGrantedError(HTTPStatus.FORBIDDEN, "webhooks are off: registry names no webhook_secret")
        if not is_signed(self.secret, headers, body, self.now()):
            raise NotGrantedError(HTTPStatus.UNAUTHORIZED, "the signature is missing, wrong or old")
        self.look_now()
        return HTTPStatus.OK, HINTED


def named(board: Board, told: str) -> str:
    """The id of an open incident; it may be told by its model, version, rule and kind, or by the id of a notice of it."""
    return next((seen.incident for seen in board.alerts.values() if seen.incident and told in names(seen)), told)


def names(seen: AlertSeen) -> Iterator[str]:
    """All that an open incident may be told by, beside its id. Of the kinds under one rule drift need not be said."""
    yield f"{seen.key}/{seen.rule}/{seen.kind.value}"
    if seen.rule != BUDGET_RULE or seen.kind is IncidentKind.DRIFT:
        yield f"{seen.key}/{seen.rule}"
    of = seen.key, seen.rule, seen.kind, seen.since
    yield notice_id(*of, FIRING, instance=seen.instance)
    for again in seen.about.escalations:
        yield notice_id(*of, ESCALATED, again.at, seen.instance)
