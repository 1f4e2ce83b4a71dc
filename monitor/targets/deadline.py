"""The network as httpcore sees it, each wait of which ends when the whole attempt has to.

A receiver that drips a byte a second, or says for ever that it will answer soon, never lets a single wait last too long.
"""

import ssl
from collections.abc import Iterable
from typing import Any

import httpcore

from monitor.clock import Clock

PIECE = 16_384  # bytes written at once


class DeadlineBackend(httpcore.NetworkBackend):
    """Connections of which every wait ends when the attempt does. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._inner = httpcore.SyncBackend()
        self._until = self._connect_until = 0.0  # monotonic seconds

    def begin(self, seconds: float) -> None:
        """Begin an attempt that has so long."""
        self._until = self._clock.elapsed() + seconds

    def connect_within(self, seconds: float) -> None:
        """Give the next connection so much of it."""
        self._connect_until = self._clock.elapsed() + seconds

    def left(self) -> float:
        """Seconds until the attempt has to end."""
        return self._until - self._clock.elapsed()

    def pool(self, context: ssl.SSLContext, kept_alive: float) -> httpcore.ConnectionPool:
        """Connections over it, kept for the next request for so many seconds."""
        return httpcore.ConnectionPool(context, keepalive_expiry=kept_alive, network_backend=self)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the deadline is what counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect. Raises httpcore.ConnectTimeout, httpcore.ConnectError."""
        if (left := self._connect_until - self._clock.elapsed()) <= 0:
            raise httpcore.ConnectTimeout
        return DeadlineStream(self._inner.connect_tcp(host, port, left, local_address, socket_options), self)


class DeadlineStream(httpcore.NetworkStream):
    """One such connection."""

    def __init__(self, inner: httpcore.NetworkStream, backend: DeadlineBackend) -> None:
        self._inner, self._backend = inner, backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Read what is there, at most so many bytes. Raises httpcore.ReadTimeout, httpcore.ReadError."""
        if (left := self._backend.left()) <= 0:
            raise httpcore.ReadTimeout
        return self._inner.read(max_bytes, left)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """Write all of it, in pieces. Raises httpcore.WriteTimeout, httpcore.WriteError."""
        for start in range(0, len(buffer), PIECE):
            if (left := self._backend.left()) <= 0:
                raise httpcore.WriteTimeout
            self._inner.write(buffer[start : start + PIECE], left)

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        """Speak TLS from now on. Raises httpcore.ConnectTimeout, httpcore.ConnectError."""
        if (left := self._backend.left()) <= 0:
            raise httpcore.ConnectTimeout
        return DeadlineStream(self._inner.start_tls(ssl_context, server_hostname, left), self._backend)

    def get_extra_info(self, info: str) -> Any:
        """What is known of the connection."""
        return self._inner.get_extra_info(info)
