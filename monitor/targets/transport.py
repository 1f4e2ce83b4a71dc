"""The way out for every target: no redirects, no proxies, checked addresses, bounded time and size."""

import os
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self
from urllib.parse import urlsplit

from monitor.clock import Clock
from monitor.targets import address

if TYPE_CHECKING:
    import httpcore  # which a daemon without targets never needs

KEPT_ALIVE = 5.0  # seconds that a connection waits for the next request
UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})  # of OpenSSL: self-signed, alone or in a chain; its issuer is not known
FAILURES = {  # of httpcore
    "ConnectError": "cannot be reached",
    "ConnectTimeout": "took no connection in time",
    "ReadTimeout": "gave no answer in time",
    "WriteTimeout": "did not read the request in time",
    "ReadError": "broke off",
    "WriteError": "broke off",
    "RemoteProtocolError": "broke off, or speaks no HTTP",
}


class TransportError(Exception):
    """There is no answer: the address is refused, cannot be reached, or does not speak HTTP. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for. `timeout` is in seconds, for the whole attempt once the host's name is known.

    Of the answer's body `keep` bytes are read at most: it could be endless.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    content: bytes = b""
    timeout: float = 15.0
    keep: int = 0
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What the receiver answered. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def is_page(self) -> bool:
        """Whether it is a page for people: a proxy that asks for a login answers so, under 200."""
        return self.body.lstrip()[:1] == b"<"


class TimedNetwork(Protocol):
    """The network for one attempt at a time, of which every wait ends when the attempt does."""

    def begin(self, seconds: float) -> None:
        """Begin an attempt that has so long."""

    def connect_within(self, seconds: float) -> None:
        """Give the next connection so much of it."""

    def left(self) -> float:
        """Seconds until the attempt has to end."""

    def pool(self, context: ssl.SSLContext, kept_alive: float) -> "httpcore.ConnectionPool":
        """Connections over it, kept for the next request for so many seconds."""


class Transport:
    """An HTTP client that is safe to point anywhere. One a thread; use it as a context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._pools: dict[Path | None, httpcore.ConnectionPool] = {}
        self._network: TimedNetwork | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pool in self._pools.values():
            pool.close()

    def _timed(self) -> TimedNetwork:
        from monitor.targets.deadline import DeadlineBackend

        if self._network is None:
            self._network = DeadlineBackend(self._clock)
        return self._network

    def _pool_of(self, ca_file: Path | None) -> "httpcore.ConnectionPool":
        if ca_file not in self._pools:
            self._pools[ca_file] = self._timed().pool(tls_context(ca_file), KEPT_ALIVE)
        return self._pools[ca_file]

    def send(self, request: Request) -> Answer:
        """Ask once: of the host's addresses the first that can be connected to. Raises TransportError."""
        import httpcore

        try:
            return self._ask_first_reached(request)
        except address.AddressRefused as error:
            raise TransportError(str(error)) from None
        except (
            httpcore.NetworkError,
            httpcore.TimeoutException,
            httpcore.ProtocolError,
            httpcore.UnsupportedProtocol,
            OSError,
            UnicodeError,
        ) as error:
            raise TransportError(tls_failure(error) or in_words(error)) from None

    def _ask_first_reached(self, request: Request) -> Answer:
        import httpcore

        host, port = address.place(request.url)
        failed: Exception | None = None
        addresses = address.resolve(host, port)
        pool, network = self._pool_of(request.ca_file), self._timed()
        network.begin(request.timeout)
        for left, resolved in zip(range(len(addresses), 0, -1), addresses, strict=True):
            network.connect_within(network.left() / left)  # the next ones need time, too
            try:
                return self._ask(request, f"[{resolved}]:{port}" if ":" in resolved else f"{resolved}:{port}", pool)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:  # nothing was said yet
                failed = error
        assert failed is not None
        raise failed

    def _ask(self, request: Request, netloc: str, pool: "httpcore.ConnectionPool") -> Answer:
        parts = urlsplit(request.url)
        plain = {"accept-encoding": "identity"} if request.keep else {}
        headers: dict[bytes | str, bytes | str] = {"accept": "*/*"}
        headers.update((name.lower(), value) for name, value in request.headers.items())
        headers.update(plain, host=parts.netloc)
        with pool.stream(
            request.method,
            parts._replace(netloc=netloc, path=parts.path or "/", fragment="").geturl(),
            content=request.content or (None if request.method == "GET" else b""),
            headers=headers,
            extensions={"sni_hostname": parts.hostname or ""},
        ) as response:
            return Answer(response.status, joined(response.headers), body(response, request.keep))


def joined(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by their names in lower case; those that come more than once in one line, as HTTP has it."""
    found: dict[str, str] = {}
    for name, value in headers:
        key, text = name.decode("ascii", "replace").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def body(response: "httpcore.Response", keep: int) -> bytes:
    """The first bytes of an answer's body."""
    found = b""
    for chunk in response.iter_stream() if keep else ():
        found += chunk
        if len(found) >= keep:
            break
    return found[:keep]


def in_words(error: Exception) -> str:
    """What failed, without what the error says: its text could hold a secret."""
    name = type(error).__name__
    return f"{FAILURES[name]} ({name})" if name in FAILURES else name


# --- TLS --------------------------------------------------------------------------------------------------------------


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Trust in the usual authorities, or those of SSL_CERT_FILE, and in those of a file. Raises OSError."""
    import certifi

    context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def trusted(ca_file: Path | None) -> Path | None:
    """The same file, which holds certificates. Raises ValueError."""
    try:
        if ca_file is not None:
            tls_context(ca_file)
    except OSError as error:
        raise ValueError(f"ca_file: {ca_file} cannot be used: {error.strerror or 'holds no certificate'}") from None
    return ca_file


def tls_failure(error: BaseException) -> str | None:
    """What TLS failed on; None where it did not."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    if isinstance(cause, ssl.SSLCertVerificationError):
        advice = "; ca_file names its authority" if cause.verify_code in UNKNOWN_AUTHORITY else ""
        return f"TLS: the certificate is not trusted: {cause.verify_message}{advice}"
    return f"TLS: {(cause.reason or 'failed').replace('_', ' ').lower()}"
