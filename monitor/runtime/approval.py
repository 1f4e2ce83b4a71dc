"""Links by which who is told of a request that waits for approval can decide on it: signed, for one action, for some time.

A link is a secret as long as it holds: whoever has it may decide. Looking at it changes nothing, for mail is looked through by machines.
"""

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

from monitor.alerting.decisions import Approve, Asked, Reject
from monitor.alerting.retraining import RetrainOutcome
from monitor.facts import AlertSeen, ApprovalLinkUsed, DecisionMade, RetrainDecided
from monitor.runtime.board import Board
from monitor.runtime.inbox import Inbox, NotSavedError
from monitor.runtime.metrics import DaemonStatus
from monitor.runtime.page.approval import approval_page, decided_page
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.writing import UNSEEN, NotGrantedError
from monitor.stream.events import SECOND, Nanos

PATH = "/approval"
ACTIONS = ("approve", "reject")
NOT_VALID, EXPIRED = "this link is not valid", "this link has expired; `driftd retrain list` shows what waits"
LONGEST_NAME, LONGEST_REASON = 100, 1000  # characters of what a person says
LONGEST_TIME = 12  # digits of seconds
MOST_FIELDS = 20  # of a form
BY_LINK = " by link"
Answered = tuple[HTTPStatus, bytes]


@dataclass(frozen=True, slots=True)
class Signed:
    """What a link says that was signed by us."""

    request: str
    action: str
    expires: int  # seconds since the Unix epoch


@dataclass(frozen=True, slots=True)
class ApprovalLinks:
    """Makes links and reads them. `page` is where others reach us; a link holds for `lasts`, by the wall clock."""

    key: bytes = field(repr=False)
    page: str
    lasts: Nanos
    now: Callable[[], Nanos]

    def of(self, request: str) -> dict[str, str]:
        """A link for each thing that can be decided of a request."""
        expires = (self.now() + self.lasts) // SECOND
        return {action: self._link(Signed(request, action, expires)) for action in ACTIONS}

    def _link(self, said: Signed) -> str:
        fields = {"request": said.request, "action": said.action, "expires": str(said.expires)}
        return f"{self.page}{PATH}?{urlencode(fields | {'signature': self.signature(said)})}"

    def signature(self, said: Signed) -> str:
        """HMAC-SHA256 of what a link says, each part with its length before it, in hex."""
        parts = ("driftd approval 1", said.request, said.action, str(said.expires))
        written = "".join(f"{len(part.encode())}:{part}" for part in parts)
        return hmac.new(self.key, written.encode(), sha256).hexdigest()

    def read(self, fields: Mapping[str, str]) -> Signed:
        """What a link says. Raises LookupError where it is not ours, TimeoutError where it was."""
        action, expires = fields.get("action", ""), fields.get("expires", "")
        well_formed = action in ACTIONS and expires.isascii() and expires.isdigit() and len(expires) <= LONGEST_TIME
        said = Signed(
            fields.get("request", ""), action if well_formed else "approve", int(expires) if well_formed else 0
        )
        brought = fields.get("signature", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(brought, self.signature(said).encode()) or not well_formed:
            raise LookupError
        if self.now() >= said.expires * SECOND:
            raise TimeoutError
        return said


@dataclass(frozen=True, slots=True)
class Approvals:
    """Answers those who come by a link."""

    links: ApprovalLinks
    inbox: Inbox
    telemetry: Telemetry
    status: DaemonStatus

    def show(self, query: str) -> Answered:
        """The page of a link, which says what would happen and asks who decides. Nothing is changed. Raises NotGrantedError."""
        fields = read_form(query)
        said = self._read(fields)
        request, alert = self._known(said.request)
        self._count("shown", said)
        if request is None or request.outcome is not RetrainOutcome.PENDING:
            return HTTPStatus.OK, decided_page(self.status, said.request, request)
        return HTTPStatus.OK, approval_page(self.status, said.action, request, alert, fields)

    def decide(self, body: bytes) -> Answered:
        """Decide, once. Raises NotGrantedError."""
        fields = read_form(body.decode("utf-8", "replace"))
        said = self._read(fields)
        asked = Asked(uuid4().hex, wish_of(said, fields.get("reason", "")), who(fields), why(fields))
        try:
            answer = self.inbox.ask(asked)
        except NotSavedError as error:
            raise NotGrantedError(HTTPStatus.SERVICE_UNAVAILABLE, f"{error}; use the link again") from None
        request, _ = self._known(said.request)
        if isinstance(answer, DecisionMade):
            self._count("decided", said)
            return HTTPStatus.OK, decided_page(self.status, said.request, request)
        self._count("refused", said)
        return HTTPStatus.CONFLICT, decided_page(self.status, said.request, request, answer.why)

    def _read(self, fields: Mapping[str, str]) -> Signed:
        """What a link says that holds. Raises NotGrantedError, which repeats nothing of it."""
        try:
            return self.links.read(fields)
        except LookupError:
            self._count("forged", None)
            raise NotGrantedError(HTTPStatus.FORBIDDEN, NOT_VALID) from None
        except TimeoutError:
            self._count("expired", None)
            raise NotGrantedError(HTTPStatus.FORBIDDEN, EXPIRED) from None

    def _known(self, request: str) -> tuple[RetrainDecided | None, AlertSeen | None]:
        """What was decided last of a request: an approval that was refused leaves it waiting. And its incident, if that is open."""
        board = self.telemetry.look(Board.copy)
        decided = [each for each in board.retrains if each.wish is not None and each.wish.id == request]
        ended = [each for each in decided if each.outcome in ENDED]
        last = ended[-1] if ended else next((each for each in decided if each.outcome is RetrainOutcome.PENDING), None)
        incident = last.wish.incident if last is not None and last.wish is not None else ""
        alert = next((each for each in board.alerts.values() if incident and each.incident == incident), None)
        return last, alert

    def _count(self, outcome: str, said: Signed | None) -> None:
        self.telemetry.record([ApprovalLinkUsed(outcome, "" if said is None else said.request)])


ENDED = frozenset({RetrainOutcome.REQUESTED, RetrainOutcome.REJECTED, RetrainOutcome.EXPIRED})


def read_form(text: str) -> dict[str, str]:
    """The fields of a query or a form; of one that comes twice the last."""
    try:
        found = parse_qs(text, keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # no link of ours has so many
        return {}
    return {name: values[-1] for name, values in found.items()}


def wish_of(said: Signed, reason: str) -> Approve | Reject:
    """What is asked for. Raises NotGrantedError."""
    if said.action == "approve":
        return Approve(said.request)
    if not reason.strip():
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, "a rejection needs a reason; go back and give one")
    return Reject(said.request)


def who(fields: Mapping[str, str]) -> str:
    """Who decides, as they say themselves. Raises NotGrantedError."""
    name = fields.get("by", "").strip()
    if not name or len(name) > LONGEST_NAME or UNSEEN.search(name):
        raise NotGrantedError(HTTPStatus.BAD_REQUEST, f"a name of 1 to {LONGEST_NAME} characters is needed; go back")
    return name + BY_LINK


def why(fields: Mapping[str, str]) -> str:
    """The reason. Raises NotGrantedError."""
    reason = fields.get("reason", "").strip()
    if len(reason) > LONGEST_REASON or UNSEEN.search(reason):
        raise NotGrantedError(
            HTTPStatus.BAD_REQUEST, f"a reason is one line of at most {LONGEST_REASON} characters; go back"
        )
    return reason
