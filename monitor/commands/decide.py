"""`driftd accept`, `ack`, `silence` and `retrain`: tells the running daemon what somebody has decided, or lists what was."""

import getpass
import http.client
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit
from uuid import uuid4

import msgspec

from monitor.commands.answers import DecisionItem, RequestItem
from monitor.commands.exits import Exit
from monitor.settings import ConfigError, find_config, load_settings
from monitor.settings.schema import HttpSettings
from monitor.settings.web import read_access
from monitor.targets.secrets import SecretError, Secrets

ROUTE, RETRAINING = "/api/v1/decisions", "/api/v1/retraining"
PATIENCE = 15.0  # seconds; the daemon answers within ten
MOST_BYTES = 64 * 1024 * 1024  # of an answer
WHO = "is another driftd, or something else, running there?"
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a daemon that listens everywhere is reached from here

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Way:
    """How the daemon is reached, as the command line says: what is not said there is in the configuration."""

    config: Path | None
    url: str | None
    token_file: Path | None


@dataclass(frozen=True, slots=True)
class Listener:
    """A daemon that listens, and the token it knows us by."""

    url: str
    token: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Said:
    """What the daemon said."""

    status: int
    body: Any

    @property
    def error(self) -> str:
        """One line of what is wrong."""
        said = self.body.get("error") if isinstance(self.body, dict) else None
        return said if isinstance(said, str) else f"the daemon answered {self.status}"


class AwayError(Exception):
    """The daemon cannot be reached; one line says why."""


# --- commands ---------------------------------------------------------------------------------------------------------


def decide(way: Way, body: dict[str, Any], *, by: str | None, as_json: bool) -> Exit:
    """Ask for a decision and say what became of it. Raises ConfigError."""
    daemon = reach(way, writes=True)
    asked = {"id": uuid4().hex, "by": by or user(), **body}
    try:
        answer = insist(daemon, msgspec.json.encode(asked))
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return refused(answer)
        made = shaped(daemon, ROUTE, answer.body, DecisionItem)
    except AwayError as error:
        return cannot(str(error))
    print(pretty(made) if as_json else line(made))
    for note in made.get("notes", ()):
        print(f"driftd: {note}", file=sys.stderr)
    return Exit.OK


def show_decisions(way: Way, kind: str, *, as_json: bool) -> Exit:
    """Print the decisions of a kind that are in force. Raises ConfigError."""

    def in_force(each: DecisionItem) -> bool:
        return each["decision"] == kind and each["ended_at"] is None

    return show(way, ROUTE, DecisionItem, in_force, line, f"no {kind} is in force", as_json=as_json)


def show_requests(way: Way, model: str | None, *, as_json: bool) -> Exit:
    """Print the last requests for retraining, those that wait for approval first. Raises ConfigError."""
    nothing = "nothing has asked for retraining"
    return show(
        way,
        RETRAINING,
        RequestItem,
        lambda each: model in {None, each["model"]},
        request_line,
        nothing,
        as_json=as_json,
    )


def show(
    way: Way,
    route: str,
    item: type[T],
    wanted: Callable[[T], bool],
    words: Callable[[T], str],
    nothing: str,
    *,
    as_json: bool,
) -> Exit:
    """Print what a route lists and is wanted, a line each, or as JSON. Raises ConfigError."""
    try:
        every: list[T] = obtained(reach(way, writes=False), route, list[item])  # type: ignore[valid-type] # known when it runs
    except AwayError as error:
        return cannot(str(error))
    found = [each for each in every if wanted(each)]
    if as_json:
        print(pretty(found))
    elif not found:
        print(nothing)
    for each in () if as_json else found:
        print(words(each))
    return Exit.OK


def request_line(request: RequestItem) -> str:
    """A request for retraining in a line."""
    until = f" until {request['expires_at']}" if request["expires_at"] else ""
    by = f", by {request['by']}" if request["by"] else ""
    why = f": {request['why']}" if request["why"] else ""
    about = f"{request['model']}/{request['version']} {request['reason']}"
    return f"{request['id']}  {request['at']}  {about}: {request['outcome']}{until}{by}{why}{since(request)}"


def since(request: RequestItem) -> str:
    """What became of a request since it was made: whether it is in flight, how it ended, and its runs."""
    runs = ", ".join(
        f"{each['target']} {each['state']}" + (f" ({each['url'] or each['run']})" if each["url"] or each["run"] else "")
        for each in request.get("runs", [])
    )
    ended = request.get("ended")
    new = f", new version {ended['new_version']}" if ended and ended["new_version"] else ""
    how = f"{ended['outcome']}{new}" if ended else "in flight" if request.get("in_flight") else ""
    told = ": ".join(filter(None, (how, runs)))
    return f"; {told}" if told else ""


def refused(answer: Said) -> Exit:
    """Say why it was not granted, and whose fault that is."""
    match answer.status:
        case HTTPStatus.NOT_FOUND | HTTPStatus.CONFLICT:
            code = Exit.NO
        case HTTPStatus.BAD_REQUEST | HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            code = Exit.USAGE
        case _:
            code = Exit.CANNOT_GO_ON
    print(f"driftd: {answer.error}", file=sys.stderr)
    return code


def cannot(why: str) -> Exit:
    """Say why nothing could be asked."""
    print(f"driftd: {why}", file=sys.stderr)
    return Exit.CANNOT_GO_ON


def user() -> str:
    """Who decides, where nobody says: the user of this machine."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for its user
        return f"uid {os.getuid()}"


def line(decision: DecisionItem) -> str:
    """A decision in a line."""
    what = decision.get("incident") or decision.get("ends") or decision.get("request") or decision["model"]
    what += " whatever stands against it" if decision.get("force") else ""
    version = f" version {decision['version']}" if decision.get("version") else ""
    features = f" ({', '.join(decision['features'])})" if decision.get("features") else ""
    until = (
        f" until {decision['until']}" if decision["until"] else " for good" if decision["decision"] == "accept" else ""
    )
    reason = f": {decision['reason']}" if decision["reason"] else ""
    return f"{decision['id']}  {decision['decision']} {what}{version}{features}{until}, by {decision['by']}{reason}"


def pretty(value: Any) -> str:
    """JSON for programs that people can read."""
    return msgspec.json.format(msgspec.json.encode(value), indent=1).decode()


# --- the way there ----------------------------------------------------------------------------------------------------


def reach(way: Way, *, writes: bool) -> Listener:
    """Where the daemon is and what it knows us by. Raises ConfigError."""
    url, http = way.url, None
    secrets = Secrets(Path(), os.environ)
    if url is None or (writes and way.token_file is None):
        config = find_config(way.config)
        http = load_settings(config).http
        secrets = Secrets(config.resolve().parent, os.environ)
        url = url or own_url(http, secrets.base)
    guarded = http is not None and http.web_config_file is not None and (http.token_file or http.token_env)
    if not writes and not guarded:
        return Listener(checked(url))
    try:
        if way.token_file is not None:
            token = Secrets(Path(), os.environ).token(way.token_file, None)
        else:
            token = None if http is None else secrets.token(http.token_file, http.token_env)
    except SecretError as error:
        raise ConfigError(f"{'--token-file' if way.token_file else 'http'}: {error}") from None
    if token is None:
        raise ConfigError("http: neither token_file nor token_env is set, so nobody may decide; or give --token-file")
    return Listener(checked(url), token)


def own_url(http: HttpSettings, base: Path) -> str:
    """Where the daemon of a configuration is reached from here. Raises ConfigError."""
    host = ANYWHERE.get(http.host, http.host)
    secured = http.web_config_file is not None and read_access(base / http.web_config_file).context is not None
    return f"http{'s' * secured}://" + (f"[{host}]:{http.port}" if ":" in host else f"{host}:{http.port}")


def checked(url: str) -> str:
    """An address of a daemon. Raises ConfigError."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0 and not parts.query
    except ValueError:
        good = False
    if not good or not url.isascii() or not url.isprintable() or " " in url or "@" in url:
        raise ConfigError(f"--url: {url!r} is no address such as http://127.0.0.1:9464")
    return url.rstrip("/")


def insist(daemon: Listener, body: bytes) -> Said:
    """Ask, and once more where it is not known what became of it: under its id nothing is done twice. Raises AwayError."""
    try:
        answer = ask(daemon, "POST", body)
    except AwayError:
        return ask(daemon, "POST", body)
    return ask(daemon, "POST", body) if answer.status == HTTPStatus.SERVICE_UNAVAILABLE else answer


def ask(daemon: Listener, method: str, body: bytes | None, route: str = ROUTE) -> Said:
    """One request: no proxy, no redirect, since the token is for this daemon alone. Raises AwayError."""
    parts = urlsplit(daemon.url)
    assert parts.hostname is not None
    make = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = make(parts.hostname, parts.port, timeout=PATIENCE)
    headers = {"content-type": "application/json", "user-agent": "driftd"}
    if daemon.token is not None:
        headers["authorization"] = f"Bearer {daemon.token.decode()}"
    try:
        connection.request(method, parts.path + route, body, headers)
        answer = connection.getresponse()
        said = answer.read(MOST_BYTES)
    except (OSError, http.client.HTTPException) as error:
        why = str(error) or type(error).__name__
        raise AwayError(f"{daemon.url} does not answer: {why}; is driftd running there?") from None
    finally:
        connection.close()
    return Said(answer.status, decoded(said))


def obtained(daemon: Listener, route: str, shape: type[T]) -> T:
    """What a route says, which is of this shape. Raises AwayError for whatever is not a driftd of today."""
    answer = ask(daemon, "GET", None, route)
    if answer.status != HTTPStatus.OK:
        raise AwayError(f"{daemon.url}{route} answered {answer.status}: {WHO}")
    return shaped(daemon, route, answer.body, shape)


def shaped(daemon: Listener, route: str, body: Any, shape: type[T]) -> T:
    """An answer, which is of this shape. Raises AwayError where it is not."""
    try:
        msgspec.convert(body, shape)  # looked at, not taken: it leaves out what it does not know
    except msgspec.ValidationError:
        raise AwayError(f"{daemon.url}{route} answered something else than a driftd of today: {WHO}") from None
    return cast("T", body)


def decoded(said: bytes) -> Any:
    """JSON; nothing where it is none."""
    try:
        return msgspec.json.decode(said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
