"""The status page, GET /metrics, health and the JSON routes; POST of what people decide. Bounded in threads, bytes and time."""

import re
import sqlite3
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qs, unquote

from monitor.explain.documents import as_json
from monitor.runtime import routes
from monitor.runtime.approval import PATH as APPROVAL
from monitor.runtime.approval import Approvals
from monitor.runtime.audit import NOTHING_WRITTEN, AuditDesk
from monitor.runtime.board import Board
from monitor.runtime.compared import side_by_side
from monitor.runtime.decisions import asked_lately, listed
from monitor.runtime.gate import CHALLENGE, OPEN, Gate
from monitor.runtime.metrics import Exposition
from monitor.runtime.outbox import OutboxDesk
from monitor.runtime.page.approval import FORM_POLICY
from monitor.runtime.page.frame import POLICY
from monitor.runtime.page.pages import PATHS, Pages
from monitor.runtime.reported import WEEK, reported
from monitor.runtime.sockets import MOST_BODY, HttpListener
from monitor.runtime.standing import standing
from monitor.runtime.telemetry import Telemetry
from monitor.runtime.versions import listed_versions
from monitor.runtime.writing import Answered, Deciding, NotGrantedError, RegistryHook

LONGEST_LIMIT = 9  # digits
DECISIONS, RETRAINING, OUTBOX = "/api/v1/decisions", "/api/v1/retraining", "/api/v1/outbox"
STATUS, AUDIT = "/api/v1/status", "/api/v1/audit"
VERSIONS, HOOK = "/api/v1/versions", "/api/v1/registry/webhook"
PROBES = ("/metrics", "/healthz", "/readyz")
JSON = "application/json"
MODEL = "/api/v1/models/{model}"
FEATURE = "/api/v1/models/{model}/features/{feature}"
REPORT = "/api/v1/models/{model}/report"
COMPARED = "/api/v1/models/{model}/versions"
MODEL_PATH = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", MODEL))
REPORT_PATH = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", REPORT))
COMPARED_PATH = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", COMPARED))
FEATURE_PATH = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", FEATURE))
TEXT = "text/plain; charset=utf-8"
HTML = "text/html; charset=utf-8"
FORM = "text/html;charset=utf-8"  # of a page with a form, which has another policy
NO_HOOK = RegistryHook()
GUARDS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}  # of a page
FORM_GUARDS = GUARDS | {"content-security-policy": FORM_POLICY}


class BadRequest(ValueError):  # noqa: N818 - a status, not an error of ours
    """A query that cannot be answered; the text says why."""


class Surface:
    """What can be asked, apart from sockets: path and headers in, status, type and body out."""

    def __init__(
        self,
        telemetry: Telemetry,
        metrics: Exposition,
        ready: Callable[[], str | None],
        deciding: Deciding,
        outbox: OutboxDesk,
        approvals: Approvals | None = None,
        audit: AuditDesk = NOTHING_WRITTEN,
        hook: RegistryHook = NO_HOOK,
        gate: Gate = OPEN,
    ) -> None:
        self.gate = gate
        self._hook = hook
        self._telemetry = telemetry
        self._metrics = metrics
        self._ready = ready
        self._deciding = deciding
        self._outbox = outbox
        self._approvals = approvals  # None: there are no approval links
        self._audit = audit
        self.pages = Pages(telemetry, metrics.status)
        self._json: dict[str, Callable[[dict[str, list[str]]], Iterable[dict[str, Any]]]] = {
            "/api/v1/models": lambda _: routes.models(telemetry.look(Board.copy)),
            "/api/v1/alerts": lambda _: routes.alerts(telemetry.look(Board.copy)),
            "/api/v1/incidents": lambda _: routes.incidents(telemetry.look(Board.copy)),
            "/api/v1/windows": self._windows,
            DECISIONS: lambda _: self._decisions(),
            RETRAINING: lambda _: asked_lately(telemetry.look(Board.copy)),
            OUTBOX: lambda _: outbox.listed(),
            VERSIONS: lambda _: listed_versions(telemetry.look(lambda board: board.versions)),
        }

    def answer(self, target: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """The answer to GET `target`."""
        path, _, query = target.partition("?")
        if path == APPROVAL and self._approvals is not None:
            return self._approval(lambda approvals: approvals.show(query))
        return self._answer(path, query, accept)

    def _answer(self, path: str, query: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        asked = parse_qs(query, keep_blank_values=True)
        if path in self._json or path in {STATUS, AUDIT}:
            return self._answer_json(path, asked)
        if path in PATHS:
            status, page = self.pages.answer(path, asked)
            return status, HTML, page
        if path in PROBES:
            return self._probe(path, accept)
        if (found := self._named(path, asked)) is not None:
            return self._answer_one(found)
        if "text/html" in accept:
            return HTTPStatus.NOT_FOUND, HTML, self.pages.absent()
        return HTTPStatus.NOT_FOUND, TEXT, f"nothing here; there is {', '.join(self.routes)}\n".encode()

    def _probe(self, path: str, accept: str) -> tuple[HTTPStatus, str, bytes]:
        """What machines ask often."""
        match path:
            case "/metrics":
                return HTTPStatus.OK, *self._metrics.answer(accept)
            case "/healthz":
                return HTTPStatus.OK, TEXT, b"ok\n"
            case _:
                return self._readiness()

    def stands_ready(self, line: bytes) -> bool:
        """Whether what the first line of a request asks for is there: what machines ask often, unless it has to be written first.

        Where a password has to be compared, it is not.
        """
        if self.gate.asks:
            return False
        if line.startswith(b"GET /metrics "):
            return self._metrics.stands_ready()
        return line.startswith((b"GET /healthz ", b"GET /readyz "))

    def _readiness(self) -> tuple[HTTPStatus, str, bytes]:
        reason = self._ready()
        if reason is None:
            return HTTPStatus.OK, TEXT, b"ready\n"
        return HTTPStatus.SERVICE_UNAVAILABLE, TEXT, f"{reason}\n".encode()

    def take(
        self, target: str, authorization: str, body: bytes, headers: Mapping[str, str] = MappingProxyType({})
    ) -> tuple[HTTPStatus, str, bytes]:
        """The answer to POST `target`. Names of headers are in lower case."""
        path = target.partition("?")[0]
        if path == APPROVAL and self._approvals is not None:
            return self._approval(lambda approvals: approvals.decide(body))
        try:
            if path not in self.taken:
                status = HTTPStatus.METHOD_NOT_ALLOWED if path in self.routes else HTTPStatus.NOT_FOUND
                raise NotGrantedError(status, f"nothing is taken here but at {', '.join(self.taken)}")
            hooked = path == HOOK
            status, answer = self._hook.answer(headers, body) if hooked else self._taken(path, authorization, body)
        except NotGrantedError as error:
            return refusal(error)
        return status, JSON, as_json(answer)

    def _approval(self, ask: Callable[[Approvals], tuple[HTTPStatus, bytes]]) -> tuple[HTTPStatus, str, bytes]:
        """What who comes by an approval link is answered: a page, or one line."""
        assert self._approvals is not None
        try:
            status, page = ask(self._approvals)
        except NotGrantedError as error:
            return error.status, TEXT, f"{error}\n".encode()
        return status, FORM, page

    def _taken(self, path: str, authorization: str, body: bytes) -> Answered:
        if path in {DECISIONS, VERSIONS}:
            return self._deciding.answer(authorization, body, version=path == VERSIONS)
        self._deciding.admit(authorization)
        try:
            return self._outbox.answer(body)
        except sqlite3.Error as error:
            raise NotGrantedError(
                HTTPStatus.SERVICE_UNAVAILABLE, f"cannot be saved: {error}; nothing was done"
            ) from None

    @property
    def taken(self) -> tuple[str, ...]:
        """Every path that takes a POST."""
        return (DECISIONS, OUTBOX, VERSIONS, HOOK)

    @property
    def routes(self) -> tuple[str, ...]:
        """Every path that is answered; what stands in braces is a name, as a URL writes it."""
        return ("/", *PROBES, STATUS, *self._json, AUDIT, MODEL, FEATURE, REPORT, COMPARED)

    def _answer_json(self, path: str, query: dict[str, list[str]]) -> tuple[HTTPStatus, str, bytes]:
        if path == STATUS:
            return HTTPStatus.OK, JSON, as_json(standing(*self.pages.models(), self._metrics.status))
        try:
            if path == AUDIT:
                return HTTPStatus.OK, JSON, as_json(self._audit.listed(*_page(query)))
            items = self._json[path](query)
        except BadRequest as error:
            return HTTPStatus.BAD_REQUEST, JSON, as_json({"error": str(error)})
        # item by item: one call for all would keep every other thread out until it is done
        return HTTPStatus.OK, JSON, b"[%b]" % b",".join([as_json(item) for item in items])

    def _named(self, path: str, query: dict[str, list[str]]) -> Callable[[Board], Any] | None:
        """What a path asks of a model, or of a feature, that it names; None where it names none."""
        if one := FEATURE_PATH.fullmatch(path):
            model, name, version = unquote(one["model"]), unquote(one["feature"]), query.get("version", [None])[-1]
            return lambda board: routes.feature(board, model, name, version)
        if one := REPORT_PATH.fullmatch(path):
            of, last = unquote(one["model"]), query.get("last", [WEEK])[-1]
            return lambda board: reported(board, of, last)
        if one := COMPARED_PATH.fullmatch(path):
            named = unquote(one["model"])
            return lambda board: side_by_side(board, named)
        if one := MODEL_PATH.fullmatch(path):
            asked = unquote(one["model"])
            return lambda board: routes.one_model(board, asked)
        return None

    def _answer_one(self, ask: Callable[[Board], Any]) -> tuple[HTTPStatus, str, bytes]:
        try:
            return HTTPStatus.OK, JSON, as_json(ask(self._telemetry.look(Board.copy)))
        except KeyError as error:
            return HTTPStatus.NOT_FOUND, JSON, as_json({"error": error.args[0]})
        except ValueError as error:
            return HTTPStatus.BAD_REQUEST, JSON, as_json({"error": str(error)})

    def _windows(self, query: dict[str, list[str]]) -> Iterator[dict[str, Any]]:
        model, limit = query.get("model", [None])[-1], _number(query, "limit", "100", least=1)
        return routes.windows(self._telemetry.look(lambda board: board.recent(model, limit)), limit)

    def _decisions(self) -> Iterator[dict[str, Any]]:
        return listed(*self._telemetry.look(lambda board: (board.decisions, board.past_decisions)))


def _number(query: dict[str, list[str]], name: str, usual: str, *, least: int) -> int:
    """A whole number of a query. Raises BadRequest."""
    text = query.get(name, [usual])[-1]
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_LIMIT and int(text) >= least):
        raise BadRequest(f"{name} must be a whole number from {least} to 999999999")
    return int(text)


def _page(query: dict[str, list[str]]) -> tuple[int, int]:
    """Which entries of the audit log are asked for: those after a number, so many at most. Raises BadRequest."""
    return _number(query, "after", "0", least=0), _number(query, "limit", "100", least=1)


class Server(HttpListener):
    """Binds its address when it is made, and answers once it serves a surface. Raises OSError where the port is taken."""

    def __init__(self, host: str, port: int, *, secured: bool = False) -> None:
        super().__init__(host, port)
        self._scheme = "https" if secured else "http"

    @property
    def url(self) -> str:
        """Where it is served."""
        return f"{self._scheme}://{self.place}"

    def serve(self, surface: Surface) -> None:
        """Serve in threads of its own. Connections made before have waited in the backlog."""
        self.begin(
            lambda received, address: Exchange(received, address, surface).said,
            lambda received: surface.stands_ready(received[: received.find(b"\n")]),
            surface.gate,
        )


def refusal(error: NotGrantedError) -> tuple[HTTPStatus, str, bytes]:
    """The answer to what is not granted."""
    return error.status, JSON, as_json({"error": str(error)})


class Exchange(BaseHTTPRequestHandler):
    """One request, as it was received, and what is said to it. It knows no socket."""

    server_version = "driftd"
    sys_version = ""

    def __init__(self, received: bytes, address: str, surface: Surface) -> None:
        self._received, self._surface, self._answer = received, surface, b""
        super().__init__(received, (address, 0), None)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Read and write memory."""
        self.rfile, self.wfile = BytesIO(self._received), BytesIO()

    def finish(self) -> None:
        """Nothing is left to be done."""

    @property
    def said(self) -> tuple[bytes, bytes]:
        """Head and body of the answer."""
        written = self.wfile.getvalue()  # type: ignore[attr-defined]
        return written, self._answer

    def do_GET(self) -> None:
        """Answer."""
        self._reply(with_body=True)

    def do_HEAD(self) -> None:
        """Answer without the body."""
        self._reply(with_body=False)

    def do_POST(self) -> None:
        """Take what is sent, and answer."""
        authorization = self.headers.get("authorization", "")
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(lambda: self._surface.take(self.path, authorization, self._body(), headers), with_body=True)

    def _body(self) -> bytes:
        """What is sent. Raises NotGrantedError where it is too much or of no given length."""
        length = self.headers.get("content-length", "")
        if not (length.isascii() and length.isdigit()):
            raise NotGrantedError(HTTPStatus.LENGTH_REQUIRED, "content-length is missing")
        if len(length) > LONGEST_LIMIT or int(length) > MOST_BODY:
            raise NotGrantedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {MOST_BODY} bytes")
        return self.rfile.read(int(length))

    def _reply(self, *, with_body: bool) -> None:
        accept = self.headers.get("accept", "")
        self._send(lambda: self._surface.answer(self.path, accept), with_body=with_body)

    def _send(self, answer: Callable[[], tuple[HTTPStatus, str, bytes]], *, with_body: bool) -> None:
        gate, challenge = self._surface.gate, "Bearer"
        try:
            if not self._proves_itself():
                challenge = CHALLENGE
                gate.admit(self.headers.get("authorization", ""), self.client_address[0])
                challenge = "Bearer"
            status, kind, body = answer()
        except NotGrantedError as error:
            status, kind, body = refusal(error)
        except Exception:  # noqa: BLE001 - whatever it is, it is printed
            self.send_error(HTTPStatus.INTERNAL_SERVER_ERROR)  # a bug of ours must not look like a daemon that is away
            traceback.print_exc()
            return
        self.send_response(status)
        if status is HTTPStatus.UNAUTHORIZED:
            self.send_header("www-authenticate", challenge)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("cache-control", "no-store")
        ours = {HTML: GUARDS, FORM: FORM_GUARDS}.get(kind, {})
        for header, value in (*ours.items(), *(each for each in gate.headers if each[0].lower() not in ours)):
            self.send_header(header, value)
        self.end_headers()
        if with_body:
            self._answer = body

    def _proves_itself(self) -> bool:
        """Whether it is a message of the registry, which is signed: it has no password."""
        return self.command == "POST" and self.path.partition("?")[0] == HOOK

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Requests are not logged."""
