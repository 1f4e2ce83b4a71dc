"""Opsgenie's alert API, which Jira Service Management took over: an incident is one alert by its alias."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field, model_validator

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, Delivered, Delivery, Refused, TryLater
from monitor.targets.message import AS_USUAL, OF_RETRAINING, Saying, State, Wording, read
from monitor.targets.paging import BaseUrl, PagingSettings, answers, encoded, one_of, post, read_token, words_of
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Answer, Request, Transport, trusted
from monitor.targets.webhook import judge
from monitor.targets.wording import Template

ALERTS = "/v2/alerts"
JSM = "/jsm/ops/integration"  # its events create, close and take notes; they change neither priority nor message
LONGEST_MESSAGE, LONGEST_DESCRIPTION, LONGEST_NOTE = 130, 15_000, 25_000  # characters
MOST_TAGS = 20
MOST_READ = 2048  # bytes of an answer to a check
PRIORITIES = {"critical": "P1", "warning": "P3", "info": "P5"}
FOREVER = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
MESSAGE = Template("{summary}")


# --- settings ---------------------------------------------------------------------------------------------------------


class OpsgenieSettings(PagingSettings):
    """The key of an API integration, and where it is."""

    type: Literal["opsgenie"] = "opsgenie"
    url: BaseUrl = "https://api.opsgenie.com"
    api_key_file: Path | None = None
    api_key_env: str | None = None
    tags: list[str] = Field(default_factory=list, max_length=MOST_TAGS)

    @model_validator(mode="after")
    def _one_key(self) -> "OpsgenieSettings":
        one_of(api_key_file=self.api_key_file, api_key_env=self.api_key_env)
        if not (OF_RETRAINING | {"*"}).isdisjoint(self.types):
            raise ValueError("types: a request for retraining is no alert; leave types out, for all that is one")
        return self

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.url,)

    def build(self, secrets: Secrets) -> "Opsgenie":
        """The integration with its key. Raises SecretError."""
        key = read_token(secrets, self.api_key_file, self.api_key_env, "api_key")
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        wording = self.wording(title=MESSAGE)
        return Opsgenie(self.name, self.url, key, wording, tuple(self.tags), self.seconds, ca_file)


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opsgenie:
    """An API integration."""

    name: str
    url: str
    key: str = field(repr=False)
    wording: Wording = AS_USUAL
    tags: tuple[str, ...] = ()
    timeout: float = 15.0
    ca_file: Path | None = None

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether its key is known, by a read of one alert; a key that may only write is told so, and is right."""
        if JSM in self.url:  # which has no alerts to read
            return answers(io, self.url, self.timeout, self.ca_file)
        headers = {"authorization": f"GenieKey {self.key}", "user-agent": "driftd"}
        answer = io.send(
            Request("GET", f"{self.url}{ALERTS}?limit=1", headers, b"", self.timeout, MOST_READ, self.ca_file)
        )
        if answer.status == HTTPStatus.UNAUTHORIZED:
            return Access(problems=(f"its key is not known: {words_of(answer, [self.key])}",))
        may_read = "its alerts can be read" if answer.status == HTTPStatus.OK else "it answers"
        return Access(f"{may_read}; whether it takes alerts is seen at the first alone")

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Create, update or close the alert. Of one that is open a second creation only counts up, so a repeat does no harm."""
        if notice.type in OF_RETRAINING:
            return Refused(detail="a request for retraining is no alert")
        delivery: Delivery = Delivered()
        for request in self.requests(read(notice, self.name)):
            delivery = self._judge(io.send(request), clock)
            if not isinstance(delivery, Delivered):
                break
        return delivery

    def _judge(self, answer: Answer, clock: Clock) -> Delivery:
        if answer.status == HTTPStatus.ACCEPTED:  # it is done later, in the order in which it was asked for
            return Delivered(answer.status)
        if answer.status in FOREVER:
            return Refused(answer.status, words_of(answer, [self.key]))
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:  # a success that is none of theirs, such as a proxy's
            return TryLater(answer.status, words_of(answer, [self.key]))
        return judge(answer, clock)

    def requests(self, said: Saying) -> Iterator[Request]:
        """What is asked for. An alert that got worse is created too: who hears of severities hears of it for the first time."""
        about = f"{ALERTS}/{quote(said.incident, safe='')}"
        by_alias = "?identifierType=alias"
        text = self.wording.text_of(said, LONGEST_DESCRIPTION)
        if said.state.ends:
            yield self._request("POST", f"{about}/close{by_alias}", {"source": "driftd", "note": text[:LONGEST_NOTE]})
            return
        yield self._request("POST", ALERTS, self.alert(said))
        if said.state is State.ESCALATED:
            if JSM not in self.url:
                priority, message = PRIORITIES.get(said.severity, "P3"), self.wording.title_of(said, LONGEST_MESSAGE)
                yield self._request("PUT", f"{about}/priority{by_alias}", {"priority": priority})
                yield self._request("PUT", f"{about}/message{by_alias}", {"message": message})
            yield self._request("POST", f"{about}/notes{by_alias}", {"source": "driftd", "note": text[:LONGEST_NOTE]})

    def _request(self, method: str, path: str, body: dict[str, Any]) -> Request:
        headers = {"authorization": f"GenieKey {self.key}"}
        return replace(post(self.url + path, encoded(body), headers, self.timeout, self.ca_file), method=method)

    def alert(self, said: Saying) -> dict[str, Any]:
        """One alert."""
        fields = said.fields
        details = {
            name: fields[name]
            for name in ("model", "version", "kind", "rule", "severity", "since", "incident", "url")
            if fields[name]
        }
        return {
            "message": self.wording.title_of(said, LONGEST_MESSAGE) or said.state.value,
            "alias": said.incident,
            "description": self.wording.text_of(said, LONGEST_DESCRIPTION),
            "entity": f"{fields['model']}/{fields['version']}",
            "source": "driftd",
            "priority": PRIORITIES.get(said.severity, "P3"),
            "tags": list(self.tags),
            "details": details,
        }
