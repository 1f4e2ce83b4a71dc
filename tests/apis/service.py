"""Others' HTTP APIs on loopback, as small servers that keep state: an answer can be lost after the request was taken."""

import http.client
import json
import socket
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from monitor.clock import Clock, SystemClock
from monitor.store.outbox import Notice
from monitor.targets.base import Delivery, Target
from monitor.targets.registry import read_target
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport, TransportError
from tests.fakes import NOON

CANARY = "canary7f3a-token"
ENVIRONMENT = {"TOKEN": CANARY, "PASSWORD": CANARY}
SAID = {
    "decision_id": "8d5c0a1b2c3d4e5f8d5c0a1b2c3d4e5f",
    "model": "churn",
    "model_version": "3",
    "reason": "drift",
    "kind": "drift",
    "incident": "5f0c",
    "severity": "critical",
    "alert": {"rule": "drift", "since": "2026-11-23T04:00:00Z", "episode": 1},
    "window": {"start": "2026-11-23T04:00:00Z", "end": "2026-11-23T04:05:00Z", "rows": 10000},
    "evidence": [
        {"feature": "age", "detector": "drift", "score": 1.41, "threshold": 1.0, "pvalue": None, "effect": 0.8},
        {"feature": "net income, €", "detector": "drift", "score": None, "threshold": 1.0, "pvalue": 1e-9},
    ],
    "evidence_total": 2,
    "data_range": {"from": "2026-11-23T03:55:00Z", "to": "2026-11-23T04:05:00Z"},
    "reference": {"hash": "cd28712ca296fa00"},
    "config_hash": "0d3f5a1b2c4e",
    "driftd_version": "0.1.0",
    "summary": "churn/3 drifts since 2026-11-23 03:55: age mean +0.8 σ",
}
RUN_ID = f"d-{SAID['decision_id']}"


def decision(name: str = str(SAID["decision_id"]), **changes: Any) -> Notice:
    """A decision to retrain."""
    return Notice(name, "model.retrain.requested", "churn/3/drift", NOON, msgspec.json.encode({**SAID, **changes}))


def built(entry: Mapping[str, Any], base: Path = Path()) -> Any:
    """A target as the configuration names it."""
    return read_target({"name": "trainer", **entry}).build(Secrets(base, ENVIRONMENT))


def deliver(told: Target, notice: Notice | None = None, clock: Clock | None = None) -> Delivery | None:
    """One attempt; None where no answer came."""
    with suppress(TransportError):
        return told.deliver(decision() if notice is None else notice, way_out(), clock or SystemClock())
    return None


@cache
def way_out() -> Transport:
    """One for all: to read the world's certificates takes longer than all that a test asks."""
    return Transport(SystemClock())


# --- a server ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Call:
    """A request that came in. Names of headers are in lower case."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body or b"null")


@dataclass(frozen=True)
class Reply:
    """What is answered: JSON, or bytes as they are."""

    status: int = 200
    json: Any = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Service:
    """A server whose `answer` is a method of its subclass. Of the next `lose` changing requests the answers are lost."""

    changing: Callable[[Call], bool] = staticmethod(lambda call: call.method == "POST")
    untouched: frozenset[str] = frozenset()  # paths that are never answered otherwise

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.lose = 0
        self.away = False  # as a server that is being restarted: 503 and cut connections in turn; nothing is done
        self.instead: list[
            Reply | Callable[[Call], Reply]
        ] = []  # answered in place of what it would say; nothing is done
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self))
        self._server.daemon_threads = True
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, call: Call) -> Reply:
        raise NotImplementedError

    def reply(self, call: Call) -> Reply:
        if not self.instead or call.path in self.untouched:
            return self.answer(call)
        found = self.instead.pop(0)
        return found if isinstance(found, Reply) else found(call)

    def posts(self, ending: str = "") -> list[Call]:
        return [call for call in self.calls if call.method == "POST" and call.path.endswith(ending)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Relay(Service):
    """Hands everything on to a real server; so an answer of that can be lost."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def answer(self, call: Call) -> Reply:
        query = "&".join(f"{name}={value}" for name, value in call.query.items())
        raw = call.headers.get("x-raw-query", query)
        with closing(http.client.HTTPConnection(self.address, timeout=120)) as connection:
            headers = {name: value for name, value in call.headers.items() if name not in {"host", "x-raw-query"}}
            connection.request(
                call.method, call.path + (f"?{raw}" if raw else ""), call.body, {**headers, "host": self.address}
            )
            response = connection.getresponse()
            return Reply(response.status, response.read(), {"content-type": response.getheader("content-type") or ""})


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, service: Service, *args: Any) -> None:
        self._service = service
        super().__init__(*args)

    def _serve(self) -> None:
        service, parts = self._service, urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        if isinstance(service, Relay):
            headers["x-raw-query"] = parts.query
        call = Call(self.command, parts.path, dict(parse_qsl(parts.query)), headers, body)
        service.calls.append(call)
        if service.away and len(service.calls) % 2:
            self._hang_up()
            return
        reply = Reply(503) if service.away else service.reply(call)
        if service.lose and service.changing(call) and not service.away:
            service.lose -= 1
            self._hang_up()
            return
        content = reply.json if isinstance(reply.json, bytes) else json.dumps(reply.json).encode()
        self.send_response(reply.status)
        for name, value in {"content-type": "application/json", **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _hang_up(self) -> None:
        with suppress(OSError):  # the connection ends without a word
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    do_GET = do_POST = do_PUT = _serve  # noqa: N815 - as the base class calls them

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass
