"""One question to a registry over HTTP: no redirect, no proxy, bounded in time and size. The text of no error holds a secret."""

import base64
import json
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from monitor.clock import SystemClock
from monitor.sources.formats.schema_registry.section import SchemaRegistryError, SchemaRegistrySettings
from monitor.stream.events import SECOND

if TYPE_CHECKING:
    from http.client import HTTPConnection

CLOCK = SystemClock()
MAX_BYTES = 4 << 20  # of an answer
CHUNK = 1 << 16
OK, NOT_FOUND = 200, 404
UNKNOWN_CODES = frozenset({40401, 40402, 40403})  # subject, version, schema: another 404 is that of a wrong address
REFUSALS = frozenset({401, 403})
ACCEPT = "application/vnd.schemaregistry.v1+json, application/json"


class AskError(Exception):
    """No answer that could be used: one line that says why."""


class UnknownError(Exception):
    """The registry says that there is no such thing."""


class Asker:
    """Asks one registry, one connection a question."""

    def __init__(self, settings: SchemaRegistrySettings) -> None:
        parts = urlsplit(settings.url)
        self._host, self._port = parts.hostname or "", parts.port
        self._path = parts.path
        self._timeout = settings.timeout / SECOND
        self._tls = _tls(settings) if parts.scheme == "https" else None
        self._headers = {"accept": ACCEPT, "user-agent": "driftd"} | _way_in(settings)

    def ask(self, *path: str, query: str = "") -> Any:
        """The JSON that stands at a path. Raises UnknownError, AskError."""
        where = f"{self._path}/{'/'.join(quote(part, safe='') for part in path)}{query}"
        try:
            status, body = self._get(where)
        except ssl.SSLCertVerificationError as error:
            raise AskError(f"its certificate is not trusted: {error.verify_message}") from None
        except ssl.SSLError as error:
            raise AskError(f"TLS fails: {(error.reason or type(error).__name__).replace('_', ' ').lower()}") from None
        except TimeoutError:
            raise AskError("it gave no answer in time") from None
        except OSError as error:
            raise AskError(f"it cannot be reached: {error.strerror or type(error).__name__}") from None
        except Exception as error:  # noqa: BLE001 - of http.client, which tells what stands on the line
            raise AskError(f"it speaks no HTTP: {type(error).__name__}") from None
        return _read(status, body)

    def _get(self, where: str) -> tuple[int, bytes]:
        until = CLOCK.elapsed() + self._timeout
        connection = self._connection()
        late = threading.Event()
        clock = threading.Timer(
            self._timeout, _hang_up, (connection, late)
        )  # for who says a byte of a header now and then
        try:
            connection.connect()
            clock.start()
            connection.request("GET", where, headers=self._headers)
            response = connection.getresponse()
            body = b""
            while len(body) <= MAX_BYTES and (chunk := response.read1(CHUNK)):
                body += chunk
                if CLOCK.elapsed() > until:
                    raise TimeoutError
        except Exception:
            if late.is_set():
                raise TimeoutError from None
            raise
        finally:
            clock.cancel()
            connection.close()
        if late.is_set():
            raise TimeoutError
        return response.status, body

    def _connection(self) -> "HTTPConnection":
        from http.client import HTTPConnection, HTTPSConnection

        if self._tls is None:
            return HTTPConnection(self._host, self._port, timeout=self._timeout)
        return HTTPSConnection(self._host, self._port, timeout=self._timeout, context=self._tls)


def _hang_up(connection: "HTTPConnection", late: threading.Event) -> None:
    late.set()
    if (line := connection.sock) is not None:
        with suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


def _read(status: int, body: bytes) -> Any:
    if status == OK and len(body) > MAX_BYTES:
        raise AskError(f"its answer is longer than {MAX_BYTES >> 20} MiB")
    try:
        told = json.loads(body) if len(body) <= MAX_BYTES else None
    except (ValueError, RecursionError):
        told = None
    code = told.get("error_code") if isinstance(told, dict) else None
    if status == NOT_FOUND and isinstance(code, int) and code in UNKNOWN_CODES:
        raise UnknownError
    if status in REFUSALS:
        raise AskError(f"it lets us not in: status {status}")
    if status != OK:
        raise AskError(f"it answers with status {status}")
    if told is None:
        raise AskError("its answer is no JSON")
    return told


def _way_in(settings: SchemaRegistrySettings) -> dict[str, str]:
    if (token := settings.secret("token")) is not None:
        return {"authorization": f"Bearer {token}"}
    if (password := settings.secret("password")) is None:
        return {}
    login = base64.b64encode(f"{settings.username}:{password}".encode()).decode()
    return {"authorization": f"Basic {login}"}


def _tls(settings: SchemaRegistrySettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if settings.ca_file is not None:
            context.load_verify_locations(settings.ca_file)
    except OSError as error:
        why = error.strerror or "holds no certificate"
        raise SchemaRegistryError(f"registry.ca_file: {settings.ca_file} cannot be used: {why}") from None
    if settings.cert_file is not None:
        _show(context, settings.cert_file, settings.key_file)
    return context


def _show(context: ssl.SSLContext, cert_file: Path, key_file: Path | None) -> None:
    """Have a certificate of our own to show. Raises SchemaRegistryError."""
    try:
        context.load_cert_chain(cert_file, key_file, password="")  # which OpenSSL would ask for on a terminal
    except OSError as error:
        where = f"registry.cert_file: {cert_file}{f' with registry.key_file: {key_file}' if key_file else ''}"
        why = "not a certificate and its key without a password" if isinstance(error, ssl.SSLError) else error.strerror
        raise SchemaRegistryError(f"{where} cannot be used: {why}") from None
