"""GitHub: a repository_dispatch event a decision. GitHub knows no key; a workflow that puts our id into its runs' names is asked first."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal

import msgspec
from pydantic import Field

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import (
    Access,
    AlreadyThere,
    Delivered,
    Delivery,
    Fault,
    Refused,
    TryLater,
    bounded_delay,
)
from monitor.targets.identity import run_id
from monitor.targets.rest import Api, TokenSettings, json_of, object_in, objects_in, part
from monitor.targets.secrets import SecretError, Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Answer, Transport

MOST_KEYS, MOST_CHARACTERS = 10, 65_535  # of the payload
CONCLUSIONS = {"success": RunState.SUCCEEDED, "cancelled": RunState.CANCELLED}  # every other is a failure
HEADERS = {"accept": "application/vnd.github+json", "x-github-api-version": "2022-11-28"}


class GithubSettings(TokenSettings):
    """The repository whose workflow trains."""

    type: Literal["github"]
    url: str = Field(default="https://api.github.com", repr=False)
    repository: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$")
    event: str = Field(default="driftd-retrain", min_length=1, max_length=100)
    payload: Template = Field(default_factory=lambda: {"id": "{id}", "driftd": "{data}"}, max_length=MOST_KEYS)
    runs_named_by_id: bool = False

    def build(self, secrets: Secrets) -> "Github":
        """The target. Raises ValueError."""
        token = self.token(secrets)
        if token is None:
            raise SecretError("token_file or token_env is needed")
        api = self.api(secrets, {**HEADERS, "authorization": f"Bearer {token}"}, (token,))
        owner, _, name = self.repository.partition("/")
        path = f"/repos/{part(owner)}/{part(name)}"
        return Github(self.name, api, path, self.event, self.payload, self.runs_named_by_id)


@dataclass(frozen=True, slots=True)
class Github:
    """One repository."""

    name: str
    api: Api
    path: str
    event: str
    payload: Mapping[str, Any] = field(default_factory=dict)
    runs_named_by_id: bool = False

    starts: ClassVar[str] = "workflow run"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Send the event of this decision, unless a run bears its id."""
        payload = render(self.payload, fields_of(notice))
        if len(msgspec.json.encode(payload).decode()) > MOST_CHARACTERS:
            return Refused(None, f"payload: longer than the {MOST_CHARACTERS} characters that GitHub takes")
        if self.runs_named_by_id:
            answer = self._runs(io)
            if answer.status != HTTPStatus.OK:
                return self._failed(answer, clock)
            if found := self._ours(answer, notice):
                return AlreadyThere(answer.status, str(found[0].get("html_url", "")))
        answer = self.api.post(io, f"{self.path}/dispatches", {"event_type": self.event, "client_payload": payload})
        return Delivered(answer.status) if answer.status == HTTPStatus.NO_CONTENT else self._failed(answer, clock)

    def _failed(self, answer: Answer, clock: Clock) -> Delivery:
        """GitHub says 403 of its limits too, and when they end."""
        if answer.headers.get("x-ratelimit-remaining") == "0":
            reset = answer.headers.get("x-ratelimit-reset", "")
            wait = bounded_delay(float(reset) - clock.now() / SECOND) if re.fullmatch(r"\d{1,12}", reset) else None
            return TryLater(answer.status, self.api.words(answer), wait, Fault.RECEIVER)
        return self.api.failed(answer, clock)

    def _runs(self, io: Transport) -> Answer:
        return self.api.get(io, f"{self.path}/actions/runs?event=repository_dispatch&per_page=100")

    @staticmethod
    def _ours(answer: Answer, notice: Notice) -> list[dict[str, Any]]:
        runs = objects_in(json_of(answer), "workflow_runs")
        return [run for run in runs if run_id(notice) in str(run.get("display_title", "")).split()]

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the repository is there, may be written to, and says of its runs what is asked of them."""
        answer = self.api.get(io, self.path)
        if (why := self.api.unreadable(answer)) is not None:
            return Access(problems=(f"repository {self.path.removeprefix('/repos/')}: {why}",))
        repository, problems = json_of(answer), []
        if repository.get("archived"):
            problems.append("the repository is archived: it runs no workflow")
        if object_in(repository, "permissions").get("push") is False:
            problems.append("the token may not write to the repository (contents: write)")
        if self.runs_named_by_id and (why := self.api.unreadable(self._runs(io))) is not None:
            problems.append(f"its workflow runs cannot be read (actions: read): {why}")
        return Access(f"repository {self.path.removeprefix('/repos/')} is there", tuple(problems))

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the run of this decision stands, where runs bear our id."""
        answer = self._runs(io) if self.runs_named_by_id else None
        if answer is None or answer.status != HTTPStatus.OK:
            return StartedRun(RunState.UNKNOWN)
        ours = self._ours(answer, notice)
        if not ours:
            return StartedRun(RunState.ABSENT)
        if ours[0].get("status") != "completed":
            state = RunState.IN_FLIGHT
        else:
            state = CONCLUSIONS.get(str(ours[0].get("conclusion")), RunState.FAILED)
        return StartedRun(state, str(ours[0].get("id") or ""), ours[0].get("html_url"))

    @property
    def follows(self) -> bool:
        """Whether a run can be told by our id."""
        return self.runs_named_by_id
