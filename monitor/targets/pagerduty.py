"""PagerDuty, Events API v2: an incident is one alert by its dedup_key, triggered, updated and resolved; a retraining is a change event."""

from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal

from pydantic import model_validator

from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, Delivered, Delivery, Refused, TryLater
from monitor.targets.message import AS_USUAL, Saying, Wording, read
from monitor.targets.paging import (
    BaseUrl,
    PagingSettings,
    answers,
    decided_at,
    encoded,
    one_of,
    post,
    read_token,
    words_of,
)
from monitor.targets.payloads import rfc3339
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.transport import Answer, Transport, trusted
from monitor.targets.webhook import judge
from monitor.targets.wording import Template

ALERTS, CHANGES = "/v2/enqueue", "/v2/change/enqueue"
KEY_LENGTH = 32  # characters of a routing key
LONGEST_SUMMARY = 1024  # characters
LONGEST_TEXT = 8000
MOST_BYTES = 512_000  # of an event; ours stay far below, for evidence is bounded
SEVERITIES = {"critical": "critical", "warning": "warning", "info": "info"}
SUMMARY = Template("{summary}")


# --- settings ---------------------------------------------------------------------------------------------------------


class PagerdutySettings(PagingSettings):
    """The integration's key, and which region."""

    type: Literal["pagerduty"] = "pagerduty"
    url: BaseUrl = "https://events.pagerduty.com"
    routing_key_file: Path | None = None
    routing_key_env: str | None = None

    @model_validator(mode="after")
    def _one_key(self) -> "PagerdutySettings":
        one_of(routing_key_file=self.routing_key_file, routing_key_env=self.routing_key_env)
        return self

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.url,)

    def build(self, secrets: Secrets) -> "Pagerduty":
        """The service with its key. Raises SecretError."""
        key = read_token(secrets, self.routing_key_file, self.routing_key_env, "routing_key")
        if len(key) != KEY_LENGTH or not key.isalnum():
            named = "routing_key_file" if self.routing_key_file is not None else "routing_key_env"
            raise SecretError(f"{named}: must hold the {KEY_LENGTH} letters and digits of an Events API v2 integration")
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        return Pagerduty(self.name, self.url, key, self.wording(title=SUMMARY), self.seconds, ca_file)


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pagerduty:
    """A service at PagerDuty."""

    name: str
    url: str
    key: str = field(repr=False)
    wording: Wording = AS_USUAL
    timeout: float = 15.0
    ca_file: Path | None = None

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether its host answers: the Events API has nothing to read, and takes any key until it is used."""
        return answers(io, self.url, self.timeout, self.ca_file)

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send one event. A repeat has the same dedup_key: what is open is updated, what is resolved stays so."""
        said = read(notice, self.name)
        change = said.state.is_of_retraining
        decided = rfc3339(decided_at(notice, clock.now()))
        path, event = (CHANGES, self.change(said, decided)) if change else (ALERTS, self.alert(said, decided))
        answer = io.send(post(self.url + path, encoded(event), {}, self.timeout, self.ca_file))
        return self._judge(answer, clock)

    def _judge(self, answer: Answer, clock: Clock) -> Delivery:
        if answer.status == HTTPStatus.ACCEPTED:
            return Delivered(answer.status)
        if answer.status == HTTPStatus.BAD_REQUEST:  # the event as it is, or the key: a repeat changes neither
            return Refused(answer.status, words_of(answer, [self.key]))
        if answer.status < HTTPStatus.MULTIPLE_CHOICES:  # a success that is none of theirs, such as a proxy's
            return TryLater(answer.status, words_of(answer, [self.key]))
        return judge(answer, clock)

    def alert(self, said: Saying, decided: str) -> dict[str, Any]:
        """A trigger or a resolve. Worse news of what is open is a trigger with the same key: PagerDuty updates the alert."""
        action = "resolve" if said.state.ends else "trigger"
        event = {"routing_key": self.key, "event_action": action, "dedup_key": said.incident}
        fields = said.fields
        return event | {
            "client": "driftd",
            **({"client_url": said.url} if said.url else {}),
            "links": links(said),
            "payload": self._payload(said, decided)
            | {
                "severity": SEVERITIES.get(said.severity, "warning"),
                "component": fields["model"],
                "group": f"{fields['model']}/{fields['version']}",
                "class": fields["kind"],
            },
        }

    def change(self, said: Saying, decided: str) -> dict[str, Any]:
        """A change event: that retraining was asked for stands on the service's timeline, and pages nobody."""
        return {"routing_key": self.key, "payload": self._payload(said, decided), "links": links(said)}

    def _payload(self, said: Saying, decided: str) -> dict[str, Any]:
        return {
            "summary": self.wording.title_of(said, LONGEST_SUMMARY) or said.state.value,
            "source": f"driftd {said.fields['model']}/{said.fields['version']}",
            "timestamp": decided,
            "custom_details": {"text": self.wording.text_of(said, LONGEST_TEXT), **said.details},
        }


def links(said: Saying) -> list[dict[str, str]]:
    """The page of the incident, where somebody says where our pages are."""
    opens = [{"href": said.url, "text": "Incident at driftd"}] if said.url else []
    return [*opens, *({"href": url, "text": words} for words, url in said.decisions)]
