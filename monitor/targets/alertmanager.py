"""Alertmanager, API v2: an alert is said to every peer, and again while it stands, for an Alertmanager forgets what it does not hear.

An alert is its labels. So nothing that changes while an incident is open is a label: not the severity, no value, no time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from monitor.clock import Clock
from monitor.sections import PositiveDuration, parse_duration
from monitor.store.outbox import Notice
from monitor.stream.events import Nanos
from monitor.targets.base import Delivered, Delivery, Fault, Refused, TryLater
from monitor.targets.message import OF_RETRAINING, Saying, Wording, read
from monitor.targets.paging import (
    BaseUrl,
    PagingSettings,
    decided_at,
    encoded,
    one_of,
    post,
    read_token,
    unlike,
    words_of,
)
from monitor.targets.payloads import RESOLVED, rfc3339
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Answer, Transport, TransportError, trusted
from monitor.targets.wording import Template

ALERTS_PATH = "/api/v2/alerts"
INTERVALS_KEPT = 4  # as Prometheus does: two that fail do not end an alert
RETRY = 15.0  # seconds: what comes back is to hear soon, it has forgotten everything
AWAY = 60.0  # seconds that a peer without an answer is left alone while another answers
LONGEST_SUMMARY, LONGEST_DESCRIPTION = 1000, 8000  # characters
OUR_LABELS = frozenset({"alertname", "model", "version", "kind", "rule"})
FOREVER = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
SUMMARY, DESCRIPTION = Template("{summary}"), Template("{features}\nwindow {window_start} to {window_end}, {rows} rows")


def labels_of_yours(labels: Mapping[str, str]) -> Mapping[str, str]:
    """Labels that may stand beside ours. Raises ValueError."""
    for name, value in labels.items():
        if name in OUR_LABELS:
            raise ValueError(f"{name} is a label of driftd's own; call yours something else")
        if not (name.isascii() and name.isidentifier()):
            raise ValueError(f"{name!r} is no name of a label: letters, digits and _")
        if not value.strip():
            raise ValueError(f"{name} is empty; Alertmanager drops such labels")
    return labels


# --- settings ---------------------------------------------------------------------------------------------------------


class AlertmanagerSettings(PagingSettings):
    """Where the peers are, how often they are told again, and which labels stand beside ours."""

    type: Literal["alertmanager"] = "alertmanager"
    peers: Annotated[list[BaseUrl], Field(alias="urls", min_length=1)]
    interval: PositiveDuration = parse_duration("1m")
    labels: Annotated[dict[str, str], AfterValidator(labels_of_yours)] = Field(default_factory=dict)
    token_file: Path | None = None
    token_env: str | None = None
    timeout: PositiveDuration = parse_duration("5s")

    @model_validator(mode="after")
    def _consistent(self) -> "AlertmanagerSettings":
        if self.token_file is not None or self.token_env is not None:
            one_of(token_file=self.token_file, token_env=self.token_env)
        if len(set(self.peers)) < len(self.peers):
            raise ValueError("urls: names a peer twice")
        if not (OF_RETRAINING | {"*"}).isdisjoint(self.types):
            raise ValueError("types: a request for retraining is no alert; leave types out, for all that is one")
        if RESOLVED not in self.types:
            raise ValueError("types: needs model.alert.resolved too: without it alerts would stand for ever")
        return self

    def urls(self) -> tuple[str, ...]:
        """The peers."""
        return tuple(self.peers)

    def say_again_every(self) -> Nanos | None:
        """The interval."""
        return self.interval

    def build(self, secrets: Secrets) -> "Alertmanager":
        """The peers, with the token for a proxy before them. Raises ValueError."""
        asked = self.token_file is not None or self.token_env is not None
        token = read_token(secrets, self.token_file, self.token_env, "token") if asked else None
        ca_file = trusted(None if self.ca_file is None else secrets.base / self.ca_file)
        return Alertmanager(
            self.name,
            tuple(self.peers),
            self.wording(SUMMARY, DESCRIPTION),
            dict(self.labels),
            self.interval,
            token,
            self.seconds,
            ca_file,
        )


# --- delivery ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Alertmanager:
    """Peers that share what they have sent, and not what they were told: each has to be told.

    A notice is delivered once a peer has taken it. What the others missed they are told within an interval, as all that stands.
    """

    name: str
    peers: tuple[str, ...]
    wording: Wording
    labels: Mapping[str, str]
    interval: Nanos
    token: str | None = field(default=None, repr=False)
    timeout: float = 5.0
    ca_file: Path | None = None
    away: dict[str, float] = field(default_factory=dict, compare=False)  # peers without an answer, and until when

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Say one alert to every peer that is there."""
        if notice.type in OF_RETRAINING:
            return Refused(detail="a request for retraining is no alert")
        body = encoded([self.alert(read(notice, self.name), notice, clock.now())])
        here = [peer for peer in self.peers if self.away.get(peer, 0.0) <= clock.elapsed()]
        answers = {peer: self._ask(peer, body, io, clock) for peer in here or self.peers}
        return judge(answers, () if self.token is None else (self.token,))

    def _ask(self, peer: str, body: bytes, io: Transport, clock: Clock) -> Answer | TransportError:
        headers = {} if self.token is None else {"authorization": f"Bearer {self.token}"}
        try:
            answer = io.send(post(peer + ALERTS_PATH, body, headers, self.timeout, self.ca_file))
        except TransportError as error:
            self.away[peer] = clock.elapsed() + AWAY
            return error
        self.away.pop(peer, None)
        return answer

    def alert(self, said: Saying, notice: Notice, now: Nanos) -> dict[str, object]:
        """One alert. Times are of the wall: an alert that began long ago would not wait for its group."""
        decided = decided_at(notice, now)
        fields = said.fields
        labels = {
            **self.labels,
            "alertname": "DriftdIncident",
            "model": fields["model"],
            "version": fields["version"],
            "kind": fields["kind"],
            "rule": fields["rule"],
            **({"instance": fields["instance"]} if fields["instance"] else {}),  # another one has alerts of its own
        }
        annotations = {
            "summary": self.wording.title_of(said, LONGEST_SUMMARY),
            "description": self.wording.text_of(said, LONGEST_DESCRIPTION),
            "severity": said.severity,
            "state": said.state.value,
            "incident": said.incident,
            "event_time": fields["event_time"],
            "since": fields["since"],
        }
        ends = decided if said.state.ends else now + INTERVALS_KEPT * self.interval
        told: dict[str, object] = {
            "labels": {name: value for name, value in labels.items() if value},
            "annotations": {name: value for name, value in annotations.items() if value},
            "startsAt": rfc3339(decided),
            "endsAt": rfc3339(ends),
        }
        return told | ({"generatorURL": said.url} if said.url else {})


def judge(answers: Mapping[str, Answer | TransportError], secrets: Sequence[str] = ()) -> Delivery:
    """What the peers' answers come to: taken by one is delivered; refused for good by all that answer is refused."""
    taken = [answer for answer in answers.values() if isinstance(answer, Answer) and is_taken(answer)]
    missed = "; ".join(
        f"{place(peer)} {'did not take it: ' + str(answer) if isinstance(answer, TransportError) else words_of(answer, secrets)}"
        for peer, answer in answers.items()
        if isinstance(answer, TransportError) or not is_taken(answer)
    )
    if taken:
        return Delivered(taken[0].status, missed)
    said = [answer for answer in answers.values() if isinstance(answer, Answer)]
    status = said[0].status if said else None
    if said and len(said) == len(answers) and all(answer.status in FOREVER for answer in said):
        return Refused(status, missed)
    return TryLater(status, missed, RETRY, Fault.RECEIVER)


def is_taken(answer: Answer) -> bool:
    """2xx alone, and no page of a proxy."""
    return HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES and unlike(answer) is None


def place(peer: str) -> str:
    """Host and port of a peer, for the log."""
    return peer.partition("://")[2].partition("/")[0]
