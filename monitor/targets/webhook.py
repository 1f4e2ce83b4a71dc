"""One attempt at one webhook: Standard Webhooks signature, CloudEvents headers, no redirects, bounded time."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

from monitor.clock import Clock
from monitor.store.sqlite import Notification
from monitor.stream.events import SECOND
from monitor.targets import address
from monitor.targets.payloads import rfc3339

if TYPE_CHECKING:
    import httpx  # 0.1 s and 20 MB, which a daemon without webhooks never needs

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret
SECRET_BYTES = range(24, 65)
RETRY_AFTER_BOUNDS = 1.0, 86_400.0  # seconds; less says nothing, or a receiver could make us hammer it
TIMES_TO_SLOW_DOWN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


class SecretError(ValueError):
    """A webhook secret that cannot be used. The text never holds it."""


def decode_secret(text: str) -> bytes:
    """`whsec_…` to its bytes; surrounding white space is cut. Raises SecretError."""
    text = text.strip()
    if not text.startswith(SECRET_PREFIX):
        raise SecretError("must begin with whsec_, as Standard Webhooks has it")
    try:
        secret = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise SecretError("is not base64 after whsec_") from None
    if len(secret) not in SECRET_BYTES:
        raise SecretError(f"is {len(secret)} bytes; Standard Webhooks asks for 24 to 64")
    return secret


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended. `ours`: the fault is of this notification, not of the receiver as a whole."""

    delivered: bool
    status: int | None
    detail: str
    gone: bool = False
    ours: bool = False
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver. The secret is in no repr."""

    name: str
    url: str = field(repr=False)  # its query may hold a token
    secret: bytes = field(repr=False)
    timeout: float = 15.0

    def headers(self, notification: Notification, timestamp: int) -> dict[str, str]:
        """The headers of one attempt; the signature covers id, timestamp and the very bytes sent."""
        signed = f"{notification.id}.{timestamp}.".encode() + notification.body
        signature = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        return {
            "content-type": "application/json",
            "webhook-id": notification.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{signature}",
            "ce-specversion": "1.0",
            "ce-id": notification.id,
            "ce-type": notification.type,
            "ce-source": "/driftd/" + quote(notification.subject),
            "ce-time": rfc3339(notification.event_time),
            "user-agent": "driftd",
        }

    def send(self, client: "httpx.Client", notification: Notification, clock: Clock) -> Attempt:
        """Try once: of the host's addresses the first that can be connected to."""
        import httpx

        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        failed = Attempt(delivered=False, status=None, detail="")
        try:
            for found in address.resolve(host, port):
                try:
                    return self._post(
                        client, notification, clock, f"[{found}]:{port}" if ":" in found else f"{found}:{port}"
                    )
                except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was said yet
                    failed = Attempt(delivered=False, status=None, detail=type(error).__name__)
        except address.AddressRefused as error:
            return Attempt(delivered=False, status=None, detail=str(error))
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            return Attempt(delivered=False, status=None, detail=type(error).__name__)
        return failed

    def _post(self, client: "httpx.Client", notification: Notification, clock: Clock, netloc: str) -> Attempt:
        parts = urlsplit(self.url)
        with client.stream(
            "POST",
            parts._replace(netloc=netloc, fragment="").geturl(),
            content=notification.body,
            headers={**self.headers(notification, clock.now() // SECOND), "host": parts.netloc},
            extensions={"sni_hostname": parts.hostname or ""},
            timeout=self.timeout,
        ) as response:  # the body is not read: it could be endless
            return self._judge(response, clock)

    @staticmethod
    def _judge(response: "httpx.Response", clock: Clock) -> Attempt:
        status = response.status_code
        if response.is_success:
            return Attempt(delivered=True, status=status, detail="")
        return Attempt(
            delivered=False,
            status=status,
            detail=f"answered {status}",
            gone=status == HTTPStatus.GONE,
            ours=response.is_client_error and status not in TIMES_TO_SLOW_DOWN,
            retry_after=retry_after(response.headers.get("retry-after"), clock),
        )


def retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date, at most a day; None where it says nothing."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            date = parsedate_to_datetime(value)
        except (ValueError, TypeError, OverflowError):
            return None
        date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
        seconds = date.timestamp() - clock.now() / SECOND
    least, most = RETRY_AFTER_BOUNDS
    return min(seconds, most) if seconds >= least else None  # NaN is not, either


def new_client() -> "httpx.Client":
    """A client that follows no redirect and trusts no proxy of the environment."""
    import httpx

    return httpx.Client(follow_redirects=False, trust_env=False)
