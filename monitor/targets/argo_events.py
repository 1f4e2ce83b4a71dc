"""Argo Events: a notice as a CloudEvent to a webhook event source. What happens once is for its sensor to see to, by the event's id."""

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
from pydantic import model_validator

from monitor.clock import Clock
from monitor.sections import at_most_one
from monitor.store.outbox import Notice
from monitor.targets.base import Delivered, Delivery
from monitor.targets.identity import run_id
from monitor.targets.payloads import rfc3339, source_of
from monitor.targets.rest import Api, RestSettings, read_token
from monitor.targets.secrets import Secrets
from monitor.targets.transport import Transport


class ArgoEventsSettings(RestSettings):
    """The address of an event source, its path included, and the token of its `authSecret`."""

    type: Literal["argo_events"]
    token_file: Path | None = None
    token_env: str | None = None

    @model_validator(mode="after")
    def _one_token(self) -> "ArgoEventsSettings":
        return at_most_one(self, "token")

    def build(self, secrets: Secrets) -> "ArgoEvents":
        """The target. Raises ValueError."""
        token = read_token(secrets, self.token_file, self.token_env)
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return ArgoEvents(self.name, self.api(secrets, headers, () if token is None else (token,)))


@dataclass(frozen=True, slots=True)
class ArgoEvents:
    """One event source."""

    name: str
    api: Api

    starts: ClassVar[str] = "event, on which a sensor may act"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send it once more under the same id."""
        headers = {
            "ce-specversion": "1.0",
            "ce-id": run_id(notice),
            "ce-type": notice.type,
            "ce-source": source_of(notice),
            "ce-time": rfc3339(notice.event_time),
        }
        answer = self.api.ask(io, "POST", "", {"id": run_id(notice), "driftd": msgspec.Raw(notice.data)}, **headers)
        taken = answer.status == HTTPStatus.OK and not answer.is_page
        return Delivered(answer.status) if taken else self.api.failed(answer, clock)
