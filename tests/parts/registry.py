"""A Schema Registry over real HTTP or HTTPS, on loopback: the part of its documented API that is read; it can be down, slow or refuse."""

import json
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any, Self
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID

NOT_FOUND = {"error_code": 40403, "message": "Schema not found"}


class Registry:
    """Schemas by number, GUID, and subject with version. `asked` are the paths, `authorizations` what callers said of themselves."""

    def __init__(self, port: int = 0, tls: SSLContext | None = None) -> None:
        self.by_number: dict[int, dict[str, Any]] = {}
        self.by_guid: dict[str, int] = {}
        self.subjects: dict[int, list[str]] = {}
        self.versions: dict[tuple[str, str], int] = {}
        self.asked: list[str] = []
        self.authorizations: list[str | None] = []
        self.status = 200
        self.wanted: str | None = None  # the authorization that lets in
        self.delay = 0.0
        self.body: bytes | None = None  # said in place of all answers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append(self.path)
                outer.authorizations.append(self.headers.get("authorization"))
                time.sleep(outer.delay)
                status, body = outer.answer(self.path, self.headers.get("authorization"))
                self.send_response(status)
                self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                with suppress(OSError):  # who asked has gone
                    self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self._scheme = "http" if tls is None else "https"
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """Its address."""
        return f"{self._scheme}://127.0.0.1:{self.port}"

    def add(
        self,
        number: int,
        schema: str,
        *,
        kind: str = "AVRO",
        subject: str = "predictions-value",
        version: int = 1,
        guid: UUID | None = None,
        references: tuple[Mapping[str, Any], ...] = (),
    ) -> None:
        """A schema under a number; of a subject, in a version."""
        told: dict[str, Any] = {"schema": schema}
        told |= {"schemaType": kind} if kind != "AVRO" else {}
        told |= {"references": list(references)} if references else {}
        self.by_number[number] = told
        self.subjects.setdefault(number, []).append(subject)
        self.versions[subject, str(version)] = number
        if guid is not None:
            self.by_guid[str(guid)] = number

    def answer(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        """Status and body."""
        if self.body is not None:
            return self.status, self.body
        if self.wanted is not None and authorization != self.wanted:
            return 401, b'{"error_code": 401, "message": "Unauthorized"}'
        if self.status != 200:
            return self.status, json.dumps({"error_code": self.status, "message": "no"}).encode()
        found = self._find(path)
        return (404, json.dumps(NOT_FOUND).encode()) if found is None else (200, json.dumps(found).encode())

    def _find(self, path: str) -> Any:
        split = urlsplit(path)
        parse_qs(split.query)
        match [unquote(part) for part in split.path.strip("/").split("/")]:
            case ["schemas", "ids", number]:
                return self.by_number.get(int(number))
            case ["schemas", "ids", number, "subjects"]:
                return self.subjects.get(int(number))
            case ["schemas", "guids", guid]:
                return self.by_number.get(self.by_guid.get(guid, -1))
            case ["schemas", "guids", guid, "ids"]:
                return [{"context": ".", "id": self.by_guid[guid]}] if guid in self.by_guid else []
            case ["subjects", subject, "versions", version]:
                number = self.versions.get((subject, version), -1)
                held = self.by_number.get(number)
                return None if held is None else {"subject": subject, "version": int(version), "id": number, **held}
        return None
