"""A webhook receiver that trusts nothing: it verifies with the public Standard Webhooks package, not with our code."""

from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class ReceivedNotice:
    """One notice as received."""

    id: str
    type: str
    verified: bool
    data: dict[str, Any]


class Receiver(ThreadingHTTPServer):
    """Listens on loopback and keeps what arrives."""

    daemon_threads = True

    def __init__(self, secret: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.verifier = Webhook(secret)
        self._lock = Lock()
        self._deliveries: list[ReceivedNotice] = []
        Thread(target=self.serve_forever, name="receiver", daemon=True).start()

    @property
    def url(self) -> str:
        """Where to post."""
        return f"http://127.0.0.1:{self.server_address[1]}/retrain"

    def keep(self, delivery: ReceivedNotice) -> None:
        """Remember a delivery."""
        with self._lock:
            self._deliveries.append(delivery)

    def deliveries(self) -> list[ReceivedNotice]:
        """What has arrived so far."""
        with self._lock:
            return list(self._deliveries)


class Handler(BaseHTTPRequestHandler):
    """One delivery."""

    server: Receiver
    timeout = 10.0

    def do_POST(self) -> None:
        """Verify, keep, answer."""
        length = min(int(self.headers.get("content-length", 0)), LARGEST)
        body = self.rfile.read(length)
        try:
            self.server.verifier.verify(body, dict(self.headers.items()))
            verified = True
        except WebhookVerificationError:
            verified = False
        found = msgspec.json.decode(body)
        name = self.headers.get("webhook-id", "")
        self.server.keep(ReceivedNotice(name, found["type"], verified, found["data"]))
        self.send_response(HTTPStatus.NO_CONTENT if verified else HTTPStatus.BAD_REQUEST)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """The view shows deliveries."""
