"""Receive driftd's webhooks and verify them with the public package: python receiver.py webhook.secret [port]."""

import json
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from standardwebhooks import Webhook, WebhookVerificationError


class Handler(BaseHTTPRequestHandler):
    """One delivery. Drop repeats by webhook-id: driftd may send one twice, never under two ids."""

    verifier: Webhook
    seen: set[str]

    def do_POST(self) -> None:
        """Verify, print, answer."""
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            self.verifier.verify(body, dict(self.headers.items()))
        except WebhookVerificationError:
            print("refused: the signature does not fit", flush=True)
            self.send_response(401)
            self.end_headers()
            return
        name = self.headers["webhook-id"]
        if name not in self.seen:
            self.seen.add(name)
            said = json.loads(body)
            print(f"verified {said['type']} {name}: {said['data']['summary']}", flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Only deliveries are printed."""


def main() -> None:
    """Listen on loopback until stopped."""
    Handler.verifier = Webhook(Path(sys.argv[1]).read_text(encoding="utf-8").strip())
    Handler.seen = set()
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 9500
    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main()
