"""Answers to deliveries: whatever a receiver says, over HTTP or instead of it, the attempt ends in one of the ways that there are."""

import json
import ssl
from collections.abc import Callable, Iterable, Iterator
from copy import copy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import httpcore

from monitor.alerting.runs import StartedRun
from monitor.clock import SystemClock
from monitor.targets.alertmanager import Alertmanager
from monitor.targets.base import Access, Checkable, Delivery, Followed
from monitor.targets.deadline import DeadlineStream
from monitor.targets.opsgenie import Opsgenie
from monitor.targets.pagerduty import Pagerduty
from monitor.targets.registry import read_target
from monitor.targets.secrets import Secrets
from monitor.targets.slack import Slack
from monitor.targets.teams import Teams
from monitor.targets.transport import Transport, TransportError
from tests.apis import airflow, argo, dagster, github, kubeflow, mlflow, prefect
from tests.apis.service import decision
from tests.fuzz.words import check_lines
from tests.paging import OPENED, RESOLVED, notice_of

URL = "http://127.0.0.1:9"
SECRETS = {
    "TOKEN": "0123456789abcdef",
    "PASSWORD": "0123456789abcdef",
    "KEY": "0123456789abcdef0123456789abcdef",
    "SECRET": "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3",
    "URL": URL,
}
STARTING = [airflow.ENTRY, argo.ENTRY, dagster.ENTRY, github.ENTRY, kubeflow.ENTRY, mlflow.ENTRY, prefect.ENTRY]
ENTRIES: tuple[dict[str, Any], ...] = (
    {"type": "webhook", "url": URL, "secret_env": "SECRET"},
    *(entry | {"url": URL} for entry in STARTING),
    {"type": "argo_events", "url": URL},
    {"type": "openlineage", "url": URL, "dataset_namespace": "kafka://k:9092"},
    {"type": "alertmanager", "urls": [URL]},
    {"type": "pagerduty", "url": URL, "routing_key_env": "KEY"},
    {"type": "opsgenie", "url": URL, "api_key_env": "KEY"},
    {"type": "slack", "url_env": "URL"},
    {"type": "teams", "url_env": "URL"},
)
PAGERS = (Alertmanager, Opsgenie, Pagerduty, Slack, Teams)
MOST_CONNECTIONS = 64
PIECE = 97  # bytes that come at once
WORDS = (
    *("HTTP/1.1 200 OK\r\n", "HTTP/1.1 409 \r\n", "content-length: ", "transfer-encoding: chunked\r\n", "\r\n\r\n"),
    *("retry-after: ", "null", "{}", "[]", "state", "runs", "results", "detail", "1e999", "id", "name", "status"),
)


class Said(httpcore.NetworkStream):
    """A connection on which these bytes come, and then the end."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        del timeout
        size = min(max_bytes, PIECE)
        found, self._left = self._left[:size], self._left[size:]
        return found

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        del buffer, timeout

    def close(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        del info


class SaidNetwork(httpcore.NetworkBackend):
    """The network of a receiver that says the same on every connection, and is asked on a few alone."""

    def __init__(self) -> None:
        self.data, self.connections = b"", 0
        self._pool: httpcore.ConnectionPool | None = None

    def begin(self, seconds: float) -> None:
        pass

    def connect_within(self, seconds: float) -> None:
        pass

    def left(self) -> float:
        return 10.0

    def pool(self, context: ssl.SSLContext, kept_alive: float) -> httpcore.ConnectionPool:
        return httpcore.ConnectionPool(context, keepalive_expiry=kept_alive, network_backend=self)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        del host, port, timeout, local_address, socket_options
        self.connections += 1
        assert self.connections <= MOST_CONNECTIONS, "it asks again and again"
        return DeadlineStream(Said(self.data), self)  # type: ignore[arg-type]


def response(status: int, body: object, *headers: str) -> bytes:
    """An answer as it comes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} Said", "content-type: application/json", f"content-length: {len(content)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + content


BODIES: tuple[object, ...] = (
    {},
    [],
    None,
    b"<html>log in</html>",
    {"access_token": "jwt", "detail": "no", "state": "success", "dag_id": "train", "is_paused": False},
    {"metadata": {"name": "d", "uid": "u"}, "status": {"phase": "Running"}, "message": "x", "code": 5},
    {"data": {"runsOrError": {"__typename": "Runs", "results": [{"runId": "r", "status": "STARTED"}]}}},
    {"data": {"launchRun": {"__typename": "LaunchRunSuccess", "run": {"runId": "r"}}}, "errors": []},
    {"workflow_runs": [{"id": 7, "display_title": "driftd x", "status": "queued", "conclusion": None}]},
    {"runs": [{"run_id": "r", "display_name": "d", "state": "RUNNING"}], "total_size": 1},
    {
        "model_version": {"name": "churn", "tags": [], "aliases": []},
        "error_code": "X",
        "experiment": {"experiment_id": "1"},
    },
    [{"id": "r", "state_type": "RUNNING", "name": "d"}],
    {"status": "success", "dedup_key": "k", "result": "taken", "requestId": "r", "ok": True},
)
INSTEAD: tuple[object, ...] = (None, [7], "x")  # of what is hoped for


def disfigured(body: object) -> Iterator[object]:
    """The body with one thing in it left out, or something else in its place."""
    places = body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ()
    for at, inside in [*places]:
        for other in (*INSTEAD, *disfigured(inside)):
            changed: Any = copy(body)
            changed[at] = other
            yield changed
        if isinstance(body, dict):
            yield {name: value for name, value in body.items() if name != at}


LATER = ("retry-after: 7", "retry-after: Wed, 21 Oct 2099 07:28:00 GMT", "retry-after: 1e999", "Retry-After: \u0661")


def seeds() -> list[bytes]:
    """For each target an answer of each kind; and answers that are none."""
    answers = [response(200, body) for body in BODIES]
    answers += [response(429, {}, later) for later in LATER[:3]]
    answers += [response(status, {"detail": "x"}) for status in (201, 204, 301, 400, 401, 404, 409, 410, 500, 503)]
    answers += [
        b"HTTP/1.1 100 Continue\r\n\r\n" * 3,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    ]
    answers += [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{}"]
    return [bytes([at]) + answer for at in range(len(ENTRIES)) for answer in answers]


def odd_answers() -> Iterator[bytes]:
    """For each target a success of each kind, with one thing in it that is not as it should be."""
    for body in chain.from_iterable(map(disfigured, BODIES)):
        answer = response(200, body)
        yield from (bytes([at]) + answer for at in range(len(ENTRIES)))


def prepared(home: Path) -> Callable[[bytes], None]:
    """What takes one input: a byte that says which target, then what its receiver says on every connection."""
    told = [read_target({"name": "trainer", **entry}).build(Secrets(home, SECRETS)) for entry in ENTRIES]
    alerts = [notice_of(OPENED), notice_of(RESOLVED)]
    clock, network = SystemClock(), SaidNetwork()
    io = Transport(clock)
    io._network = network
    pool = io._pool_of(None)

    def attempts(target: Any) -> Iterator[Callable[[], object]]:
        for notice in alerts if isinstance(target, PAGERS) else [decision()]:
            yield partial(target.deliver, notice, io, clock)
        if isinstance(target, Followed):
            yield partial(target.status, decision(), io, clock)
        if isinstance(target, Checkable):
            yield partial(target.check, io, clock)

    def check(data: bytes) -> None:
        if not data:
            return
        network.data = data[1:]
        for attempt in attempts(told[data[0] % len(told)]):
            network.connections = 0
            try:
                ended = attempt()
            except TransportError as error:
                check_lines(error, most=1)
            else:
                assert isinstance(ended, Delivery | StartedRun | Access), ended
            pool.close()

    return check
