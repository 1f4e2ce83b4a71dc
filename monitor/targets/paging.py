"""What targets for people have in common: their keys, their secrets, and how an answer that is none of theirs is taken."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from pydantic import AfterValidator, Field, model_validator

from monitor.sections import PositiveDuration, parse_duration
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import Access, NoticeType, TargetSettings, TryLater
from monitor.targets.message import TEXT, TITLE, Wording
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Answer, Request, Transport
from monitor.targets.wording import Template, TemplateSettings

ALERTS: list[NoticeType] = [
    "model.alert.firing",
    "model.alert.escalated",
    "model.alert.settled",
    "model.alert.resolved",
]
ANSWER_BYTES = 2048  # of an answer, for its words
MOST_WORDS = 200  # of those, in a log line
SHORTEST_PIECE = 8  # characters of a piece of a secret address that is looked for by itself


def http_url(url: str) -> str:
    """An address that can be posted to. Raises ValueError."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("must be an http:// or https:// address") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be plain ASCII without spaces; write a host of other letters as xn--…")
    return url


def base_url(url: str) -> str:
    """An address that paths are put behind. Raises ValueError."""
    if "?" in url or "#" in url:
        raise ValueError("must be an address without ? and #")
    return http_url(url).rstrip("/")


HttpUrl = Annotated[str, AfterValidator(http_url)]
BaseUrl = Annotated[str, AfterValidator(base_url)]


class PagingSettings(TargetSettings):
    """What targets for people are configured by."""

    types: Annotated[list[NoticeType], Field(min_length=1)] = ALERTS
    template: TemplateSettings = TemplateSettings()
    timeout: PositiveDuration = parse_duration("15s")
    ca_file: Path | None = None

    @property
    def seconds(self) -> float:
        """The timeout."""
        return self.timeout / SECOND

    def wording(self, title: Template = TITLE, text: Template = TEXT) -> Wording:
        """Its templates, or those of its type."""
        own = self.template
        return Wording(
            title if own.title is None else Template(own.title), text if own.text is None else Template(own.text)
        )


class SecretUrlSettings(PagingSettings):
    """A target whose address is its secret, and is read from where a secret stands."""

    url_file: Path | None = None
    url_env: str | None = None

    @model_validator(mode="after")
    def _one_url(self) -> "SecretUrlSettings":
        one_of(url_file=self.url_file, url_env=self.url_env)
        return self

    def secret_url(self, secrets: Secrets) -> str:
        """The address. Raises SecretError, which does not hold it."""
        url = read_token(secrets, self.url_file, self.url_env, "url")
        try:
            return http_url(url)
        except ValueError as error:
            raise SecretError(f"{'url_file' if self.url_file is not None else 'url_env'}: the url {error}") from None


def one_of(**keys: Any) -> None:
    """Refuse all but exactly one of these keys. Raises ValueError."""
    if sum(value is not None for value in keys.values()) != 1:
        raise ValueError(f"needs exactly one of {' and '.join(keys)}")


def read_token(secrets: Secrets, file: Path | None, variable: str | None, kind: str) -> str:
    """A secret that stands in a header or a body, without white space around it. Raises SecretError."""
    text, place = secrets.read(file, variable, kind)
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SecretError(f"{place} must be one word of plain ASCII")
    return token


def post(url: str, body: bytes, headers: dict[str, str], timeout: float, ca_file: Path | None) -> Request:
    """A JSON body to be posted, whose answer is read as far as its words go."""
    told = {"content-type": "application/json", "user-agent": "driftd", **headers}
    return Request("POST", url, told, body, timeout, ANSWER_BYTES, ca_file)


def unlike(answer: Answer, secrets: Sequence[str] = ()) -> TryLater | None:
    """A success that is none of the receiver's: a page under 200, as of a proxy that asks for a login; None where it is no page."""
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and answer.is_page:
        return TryLater(answer.status, words_of(answer, secrets))
    return None


def answers(io: Transport, url: str, timeout: float, ca_file: Path | None) -> Access:
    """Whether the host of an address speaks HTTP to us, by a certificate that is trusted; its root is asked, and no message sent.

    More cannot be known before the first message: these APIs have nothing that may be read. Raises TransportError.
    """
    parts = urlsplit(url)
    root = parts._replace(path="/", query="", fragment="").geturl()
    io.send(Request("HEAD", root, {"user-agent": "driftd"}, timeout=timeout, ca_file=ca_file))
    return Access(f"{parts.hostname} answers; whether it takes messages is seen at the first alone")


def words_of(answer: Answer, secrets: Sequence[str] = ()) -> str:
    """What an answer says, for the log: its status, and a bit of its text without secrets."""
    text = " ".join(answer.body.decode("utf-8", "replace").split())
    text = "".join(each for each in text if each.isprintable())
    for secret in secrets:
        text = text.replace(secret, "***")
    text = text[:MOST_WORDS]
    return f"answered {answer.status}" + (f": {text}" if text else "")


def secrets_in(url: str) -> list[str]:
    """What of an address that is itself a secret an answer could repeat: the whole, its path, and each long piece of these.

    >>> secrets_in("https://hooks.slack.com/services/T0/abcdefgh")
    ['https://hooks.slack.com/services/T0/abcdefgh', '/services/T0/abcdefgh', 'services', 'abcdefgh']
    """
    parts = urlsplit(url)
    asked = [parts._replace(scheme="", netloc="").geturl(), parts.path]
    pieces = [piece for piece in re.split(r"[/?&=]", asked[0]) if len(piece) >= SHORTEST_PIECE]
    return list(
        dict.fromkeys([url, *(each for each in asked if len(each) > 1), *sorted(pieces, key=len, reverse=True)])
    )


def encoded(value: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value)


def decided_at(notice: Notice, now: int) -> int:
    """When a notice was decided, wall time; never in the future, should the clock have been set back since."""
    return now if notice.decided is None else min(notice.decided, now)
