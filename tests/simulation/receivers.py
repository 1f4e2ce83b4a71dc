"""Simulated receivers of webhooks, below HTTP: bytes come in and go out, or do not."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpcore

from monitor.stream.events import SECOND
from tests.simulation.world import world
from tests.verifier.evidence import Heard

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()
AGAIN: tuple[Callable[[], str | None], ...] = (  # what Retry-After says
    lambda: None,
    lambda: "2",
    lambda: "0",
    lambda: "soon",
    lambda: "-5",
    lambda: "nan",
    lambda: format_datetime(datetime.fromtimestamp(world().truth // SECOND + 5, UTC), usegmt=True),
)
BAD = (500, 502, 503, 503, 429, 429, 400, 404, 301, 408)


@dataclass
class SimulatedReceiver:
    """One of them. `fails`: how often it does, from 0 to 1."""

    name: str
    port: int
    fails: float = 0.0
    away: bool = False
    gone: float = 0.0  # how often it says 410
    heard: list[Heard] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)  # ids that it wants never again

    def answer(self, head: dict[str, str], body: bytes) -> bytes | None:
        """Take a request down; what is answered, None where the answer gets lost."""
        said = json.loads(body)
        signed = f"{head['webhook-id']}.{head['webhook-timestamp']}.".encode() + body
        good = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        chance, fails = world().random, self.away or world().random.random() < self.fails
        lost = fails and chance.random() < 0.4
        status = chance.choice(BAD) if fails and not lost else 204
        if status == 204 and not lost and chance.random() < self.gone:
            status = 410
            self.refused.add(head["webhook-id"])
        verified = head["webhook-signature"] == f"v1,{good}"
        self.heard.append(Heard(head["webhook-id"], said["type"], verified, status == 204 and not lost, said))
        world().tell(f"{self.name} hears {said['type']} {head['webhook-id'][:8]}: {'lost' if lost else status}")
        if lost:
            return None
        again = chance.choice(AGAIN)() if status in {429, 503} else None
        more = "" if again is None else f"retry-after: {again}\r\n"
        return f"HTTP/1.1 {status} x\r\ncontent-length: 0\r\nconnection: close\r\n{more}\r\n".encode()


class SimulatedNetwork(httpcore.NetworkBackend):
    """Connections to them."""

    def __init__(self, receivers: Iterable[SimulatedReceiver]) -> None:
        self._receivers = {each.port: each for each in receivers}

    def connect_tcp(self, host: str, port: int, timeout: float | None = None, *more: Any, **named: Any) -> "Connection":
        world().step("connect")
        receiver = self._receivers[port]
        world().wait(0.001)
        if receiver.away and world().random.random() < 0.7:
            if world().random.random() < 0.5:
                raise httpcore.ConnectError("refused")
            world().wait(timeout)
            raise httpcore.ConnectTimeout("nobody")
        return Connection(receiver)


class Connection(httpcore.NetworkStream):
    """One of these."""

    def __init__(self, receiver: SimulatedReceiver) -> None:
        self._receiver = receiver
        self._request = b""
        self._answer: bytes | None = b""
        self._answered = False

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        world().step("write")
        self._request += buffer
        head, blank, body = self._request.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode("ascii").split("\r\n")[1:]) if blank else {}
        fields = {name.lower(): value for name, value in fields.items()}
        if blank and len(body) == int(fields["content-length"]) and not self._answered:
            self._answered = True
            world().wait(world().random.choice((0.0, 0.01, 0.5)))
            self._answer = self._receiver.answer(fields, body)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        world().step("read")
        if self._answer is None:
            if world().random.random() < 0.5:
                world().wait(timeout)
                raise httpcore.ReadTimeout("nothing came")
            world().wait(0.01)
            raise httpcore.ReadError("broke off")
        world().wait(world().random.choice((0.0, 0.02, 1.0)))
        answer, self._answer = self._answer, b""
        return answer

    def close(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None
