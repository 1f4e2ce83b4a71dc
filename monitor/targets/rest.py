"""Targets that are others' HTTP APIs: where they are, who we are there, and what their answers have in common."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import msgspec
from pydantic import Field, field_validator, model_validator

from monitor.clock import Clock
from monitor.sections import PositiveDuration, at_most_one, one_way_in, parse_duration
from monitor.stream.events import SECOND
from monitor.targets.base import Refused, TargetSettings, TryLater
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Answer, Request, Transport, trusted
from monitor.targets.webhook import retry_after

MOST_ANSWER = 4_000_000  # bytes of an answer that are read
MOST_SAID = 200  # characters of it that are told
RETRAIN = "model.retrain.requested"
MASK = "********"
_TIMES_TO_SLOW_DOWN = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})
_MENDED_BY_PEOPLE = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
S = TypeVar("S", bound=TargetSettings)
_SAYING = ("detail", "message", "error", "error_message", "exception_message", "title", "errors", "Message")


# --- settings ---------------------------------------------------------------------------------------------------------


class RestSettings(TargetSettings):
    """An API over HTTP."""

    url: str = Field(repr=False)
    timeout: PositiveDuration = parse_duration("60s")
    ca_file: Path | None = None

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        return http_address(url)

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.url,)

    def api(self, secrets: Secrets, headers: Mapping[str, str] | None = None, hidden: tuple[str, ...] = ()) -> "Api":
        """The API as these settings name it. Raises ValueError."""
        ca_file = None if self.ca_file is None else secrets.base / self.ca_file
        url = self.url.rstrip("/")
        return Api(url, dict(headers or {}), self.timeout / SECOND, trusted(ca_file), hidden)


class RunSettings(RestSettings):
    """An API that starts something: it is told of decisions to retrain, and of nothing else."""

    @model_validator(mode="after")
    def _decisions_alone(self) -> "RunSettings":
        return decisions_alone(self)


class TokenSettings(RunSettings):
    """One that a bearer token opens, if any does."""

    token_file: Path | None = None
    token_env: str | None = None

    @model_validator(mode="after")
    def _one_token(self) -> "TokenSettings":
        return at_most_one(self, "token")

    def token(self, secrets: Secrets) -> str | None:
        """The token; None where no key names one. Raises SecretError."""
        return read_token(secrets, self.token_file, self.token_env)

    def bearer(self, secrets: Secrets) -> "Api":
        """The API with the token in `Authorization: Bearer`. Raises ValueError."""
        token = self.token(secrets)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return self.api(secrets, headers, () if token is None else (token,))


class LoginSettings(TokenSettings):
    """One that a token opens, or a user name with a password."""

    username: str | None = None
    password_file: Path | None = None
    password_env: str | None = None

    @model_validator(mode="after")
    def _token_or_password(self) -> "LoginSettings":
        return one_way_in(self)

    def login(self, secrets: Secrets) -> "Login | None":
        """The user name with its password; None where there is none. Raises SecretError."""
        if self.username is None:
            return None
        text, place = secrets.read(self.password_file, self.password_env, "password")
        password = text.strip()
        if not password:
            raise SecretError(f"{place} is empty")
        return Login(self.username, password)

    def opened(self, secrets: Secrets) -> "Api":
        """The API with the token, or with the login in `Authorization: Basic`. Raises ValueError."""
        login = self.login(secrets)
        return self.bearer(secrets) if login is None else self.api(secrets, login.header(), login.hidden())


@dataclass(frozen=True, slots=True)
class Login:
    """A user name with a password, which is in no repr."""

    username: str
    password: str = field(repr=False)

    def encoded(self) -> str:
        """As basic authentication has it."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def header(self) -> dict[str, str]:
        """The header of basic authentication."""
        return {"authorization": f"Basic {self.encoded()}"}

    def hidden(self) -> tuple[str, ...]:
        """What is shown nowhere."""
        return self.password, self.encoded()


def http_address(url: str) -> str:
    """The same address, which can be asked. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be an http:// or https:// address")
    if parts.username or parts.password:
        raise ValueError("must hold no user name or password")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be plain ASCII without spaces; write a host of other letters as xn--…")
    if parts.query or parts.fragment:
        raise ValueError("must end with its path: no ? and no #")
    if parts.port == 0:
        raise ValueError("must have a port from 1 to 65535, or none")
    return url


def decisions_alone(settings: S) -> S:
    """The same settings, which take decisions to retrain alone: any other notice would start a run too. Raises ValueError."""
    if settings.types != [RETRAIN]:
        raise ValueError(f"types: type {settings.type} starts a run for each notice, so it takes {RETRAIN} alone")
    return settings


def read_token(secrets: Secrets, token_file: Path | None, token_env: str | None) -> str | None:
    """A token of somebody else's making; None where no key names one. Raises SecretError."""
    if token_file is None and token_env is None:
        return None
    text, place = secrets.read(token_file, token_env, "token")
    token = text.strip()
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise SecretError(f"{place} must be letters, digits and signs without a space")
    return token


# --- asking -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Api:
    """Where an API is and who we are there. Neither is in its repr."""

    url: str = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = 60.0
    ca_file: Path | None = None
    hidden: tuple[str, ...] = field(default=(), repr=False)  # secrets that a text of the server's could repeat

    def ask(self, io: Transport, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Ask once, in JSON. Raises TransportError."""
        content = b"" if body is None else msgspec.json.encode(body)
        own = {"accept": "application/json", "user-agent": "driftd", **self.headers, **headers}
        if body is not None:
            own.setdefault("content-type", "application/json")
        url = self.url + path
        return io.send(Request(method, url, own, content, self.timeout, MOST_ANSWER, self.ca_file))

    def get(self, io: Transport, path: str) -> Answer:
        """Read. Raises TransportError."""
        return self.ask(io, "GET", path)

    def post(self, io: Transport, path: str, body: Any) -> Answer:
        """Send JSON. Raises TransportError."""
        return self.ask(io, "POST", path, body)

    def words(self, answer: Answer) -> str:
        """What an answer says, in one line: its status and the beginning of its text, without secrets."""
        text = said_in(answer)
        for secret in self.hidden:
            text = text.replace(secret, MASK)
        text = text if len(text) <= MOST_SAID else text[:MOST_SAID] + "…"
        return f"answered {answer.status}" + (f": {text}" if text else "")

    def failed(self, answer: Answer, clock: Clock) -> Refused | TryLater:
        """What an answer means that is no success.

        Access and names are mended by people, so 401, 403 and 404 are tried again; any other 4xx is about what was
        asked, and final; the rest, a success that is none of ours among it, passes.
        """
        status, words = answer.status, self.words(answer)
        client_error = HTTPStatus.BAD_REQUEST <= status < HTTPStatus.INTERNAL_SERVER_ERROR
        if client_error and status not in _TIMES_TO_SLOW_DOWN | _MENDED_BY_PEOPLE:
            return Refused(status, words)
        return TryLater(status, words, retry_after(answer.headers.get("retry-after"), clock))

    def unreadable(self, answer: Answer) -> str | None:
        """Why an authenticated read brought nothing; None where it did."""
        return None if answer.status == HTTPStatus.OK else self.words(answer)


def said_in(answer: Answer) -> str:
    """The message of an answer in one line, whatever it is written in."""
    try:
        found = msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        found = answer.body.decode("utf-8", errors="replace")
    while isinstance(found, dict) and (name := next((each for each in _SAYING if found.get(each)), None)):
        found = found[name]  # the message is inside the error, or beside it
    text = found if isinstance(found, str) else msgspec.json.encode(found).decode() if found else ""
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())


def json_of(answer: Answer) -> dict[str, Any]:
    """The object that an answer holds; an empty one where it holds none."""
    found = list_of(answer)
    return found if isinstance(found, dict) else {}


def list_of(answer: Answer) -> Any:
    """The JSON that an answer holds; None where it holds none."""
    try:
        return msgspec.json.decode(answer.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


def object_in(found: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The object under a name; an empty one where there is none, or something else: a receiver may say anything."""
    inside = found.get(name)
    return inside if isinstance(inside, dict) else {}


def objects_in(found: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of the list under a name; what is none is left out."""
    inside = found.get(name)
    return [each for each in inside if isinstance(each, dict)] if isinstance(inside, list) else []


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(name, safe="")
