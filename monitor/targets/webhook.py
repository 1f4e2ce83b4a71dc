"""The webhook: Standard Webhooks signature, CloudEvents headers; an attempt is judged by its status alone."""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec
from pydantic import Field, field_validator, model_validator

from monitor.clock import Clock
from monitor.sections import PositiveDuration, parse_duration
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import Delivered, Delivery, Fault, Refused, TargetSettings, TryLater, bounded_delay
from monitor.targets.payloads import rfc3339, source_of
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Answer, Request, Transport, trusted

SECRET_PREFIX = "whsec_"  # noqa: S105 - the prefix, not a secret
SECRET_BYTES = range(24, 65)
TIMES_TO_SLOW_DOWN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


# --- settings ---------------------------------------------------------------------------------------------------------


class WebhookSettings(TargetSettings):
    """Who is told, and of what."""

    type: Literal["webhook"] = "webhook"
    url: str = Field(repr=False)
    secret_file: Path | None = None
    secret_env: str | None = None
    timeout: PositiveDuration = parse_duration("15s")
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must be an http:// or https:// address")
        if parts.username or parts.password:
            raise ValueError("must hold no user name or password")
        if not url.isascii() or not url.isprintable() or " " in url:
            raise ValueError("must be plain ASCII without spaces; write a host of other letters as xn--…")
        if parts.port == 0:
            raise ValueError("must have a port from 1 to 65535, or none")
        return url

    @model_validator(mode="after")
    def _one_secret(self) -> "WebhookSettings":
        if (self.secret_file is None) == (self.secret_env is None):
            raise ValueError("needs exactly one of secret_file and secret_env")
        return self

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.url,)

    def build(self, secrets: Secrets) -> "Webhook":
        """The webhook with its secret. Raises SecretError."""
        text, place = secrets.read(self.secret_file, self.secret_env)
        try:
            secret = decode_secret(text)
        except SecretError as error:
            raise SecretError(f"{place} {error}") from None
        ca_file = None if self.ca_file is None else secrets.base / self.ca_file
        return Webhook(self.name, self.url, secret, self.timeout / SECOND, trusted(ca_file))


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


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver. The secret is in no repr."""

    name: str
    url: str = field(repr=False)  # its query may hold a token
    secret: bytes = field(repr=False)
    timeout: float = 15.0
    ca_file: Path | None = None  # of those whom the receiver's certificate may be from, beside the usual ones

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Try once. The body of the answer is not read."""
        body = render(notice)
        headers = self.headers(notice, body, clock.now() // SECOND)
        return judge(io.send(Request("POST", self.url, headers, body, self.timeout, ca_file=self.ca_file)), clock)

    def headers(self, notice: Notice, body: bytes, timestamp: int) -> dict[str, str]:
        """The headers of one attempt; the signature covers id, timestamp and the very bytes sent."""
        signed = f"{notice.id}.{timestamp}.".encode() + body
        signature = base64.b64encode(hmac.new(self.secret, signed, hashlib.sha256).digest()).decode()
        return {
            "content-type": "application/json",
            "webhook-id": notice.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": f"v1,{signature}",
            "ce-specversion": "1.0",
            "ce-id": notice.id,
            "ce-type": notice.type,
            "ce-source": source_of(notice),
            "ce-time": rfc3339(notice.event_time),
            "user-agent": "driftd",
        }


def render(notice: Notice) -> bytes:
    """The body: the same bytes at every attempt, and as rendered where an earlier driftd has done it."""
    if notice.rendered is not None:
        return notice.rendered
    return msgspec.json.encode(
        {"type": notice.type, "timestamp": rfc3339(notice.event_time), "data": msgspec.Raw(notice.data)}
    )


def judge(answer: Answer, clock: Clock) -> Delivery:
    """What an answer means: 2xx alone is success, 410 is the end, another 4xx is about this notice."""
    status = answer.status
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered(status)
    if status == HTTPStatus.GONE:
        return Refused(status, f"answered {status}")
    client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
    fault = Fault.NOTICE if client_error and status not in TIMES_TO_SLOW_DOWN else Fault.RECEIVER
    return TryLater(status, f"answered {status}", retry_after(answer.headers.get("retry-after"), clock), fault)


def retry_after(value: str | None, clock: Clock) -> float | None:
    """Seconds that a Retry-After header asks for, as a number or a date, at most a day; None where it says nothing."""
    if value is None:
        return None
    try:
        return bounded_delay(float(value))
    except ValueError:
        pass
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    date = date.replace(tzinfo=UTC) if date.tzinfo is None else date
    return bounded_delay(date.timestamp() - clock.now() / SECOND)
