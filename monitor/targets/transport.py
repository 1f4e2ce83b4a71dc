"""The way out for every target: no redirects, no proxies, checked addresses, bounded time and size."""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from monitor.clock import Clock
from monitor.targets import address

if TYPE_CHECKING:
    import httpx  # 0.1 s and 20 MB, which a daemon without targets never needs

UNKNOWN_AUTHORITY = frozenset({18, 19, 20, 21})  # of OpenSSL: self-signed, alone or in a chain; its issuer is not known
FAILURES = {  # of httpx
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
    """What is asked for. `timeout` is in seconds: to connect, for each wait for the answer, and for the whole of its body.

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


class Transport:
    """An HTTP client that is safe to point anywhere. One a thread; use it as a context."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._clients: dict[Path | None, httpx.Client] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def _client_of(self, ca_file: Path | None) -> "httpx.Client":
        import httpx

        if ca_file not in self._clients:
            context = tls_context(ca_file)
            self._clients[ca_file] = httpx.Client(follow_redirects=False, trust_env=False, verify=context)
        return self._clients[ca_file]

    def send(self, request: Request) -> Answer:
        """Ask once: of the host's addresses the first that can be connected to. Raises TransportError."""
        import httpx

        try:
            return self._ask_first_reached(request)
        except address.AddressRefused as error:
            raise TransportError(str(error)) from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            raise TransportError(tls_failure(error) or in_words(error)) from None

    def _ask_first_reached(self, request: Request) -> Answer:
        import httpx

        host, port = address.place(request.url)
        failed: Exception | None = None
        for resolved in address.resolve(host, port):
            try:
                return self._ask(request, f"[{resolved}]:{port}" if ":" in resolved else f"{resolved}:{port}")
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was said yet
                failed = error
        assert failed is not None
        raise failed

    def _ask(self, request: Request, netloc: str) -> Answer:
        parts = urlsplit(request.url)
        plain = {"accept-encoding": "identity"} if request.keep else {}
        with self._client_of(request.ca_file).stream(
            request.method,
            parts._replace(netloc=netloc, fragment="").geturl(),
            content=request.content,
            headers={**request.headers, **plain, "host": parts.netloc},
            extensions={"sni_hostname": parts.hostname or ""},
            timeout=request.timeout,
        ) as response:
            return Answer(response.status_code, response.headers, self._body(response, request))

    def _body(self, response: "httpx.Response", request: Request) -> bytes:
        body, deadline = b"", self._clock.elapsed() + request.timeout
        for chunk in response.iter_raw() if request.keep else ():
            body += chunk
            if len(body) >= request.keep:
                break
            if self._clock.elapsed() > deadline:
                raise TransportError("the body of the answer took too long")
        return body[: request.keep]


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
