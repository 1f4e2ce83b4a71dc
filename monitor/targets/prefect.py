"""Prefect: a flow run a decision, under an idempotency key that also names the deployment."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from uuid import UUID

from pydantic import Field, field_validator

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, Refused, TryLater
from monitor.targets.identity import PREFIX, digest, run_id
from monitor.targets.rest import Api, LoginSettings, json_of, list_of, part
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Answer, Transport

STATES = {
    **dict.fromkeys(("SCHEDULED", "PENDING", "RUNNING", "PAUSED", "CANCELLING"), RunState.IN_FLIGHT),
    **dict.fromkeys(("FAILED", "CRASHED"), RunState.FAILED),
    "CANCELLED": RunState.CANCELLED,
    "COMPLETED": RunState.SUCCEEDED,
}


class PrefectSettings(LoginSettings):
    """The deployment that trains: its id, or `flow/deployment`."""

    type: Literal["prefect"]
    deployment: str
    parameters: Template = Field(default_factory=dict)

    @field_validator("deployment")
    @classmethod
    def _id_or_names(cls, deployment: str) -> str:
        flow, _, name = deployment.partition("/")
        if as_uuid(deployment) is None and not (flow and name):
            raise ValueError("must be the id of a deployment, or FLOW/DEPLOYMENT")
        return as_uuid(deployment) or deployment

    def build(self, secrets: Secrets) -> "Prefect":
        """The target. Raises ValueError."""
        return Prefect(self.name, self.opened(secrets), self.deployment, self.parameters)


def as_uuid(text: object) -> str | None:
    """An id in its usual form; None where it is none."""
    try:
        return str(UUID(str(text)))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Prefect:
    """One deployment of one server, or of one workspace of Prefect Cloud."""

    name: str
    api: Api
    deployment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "flow run"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Create the flow run of this decision; the server gives an earlier one back under the same key."""
        deployment = self._deployment(io)
        if isinstance(deployment, Answer):
            return self.api.failed(deployment, clock)
        key = key_of(notice, deployment)
        asked = {
            "name": run_id(notice),
            "parameters": render(self.parameters, fields_of(notice)),
            "tags": ["driftd"],
            "idempotency_key": key,
        }
        answer = self.api.post(io, f"/deployments/{deployment}/create_flow_run", asked)
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED}:
            return self.api.failed(answer, clock)  # 409 among them: it is about the parameters, not about a repeat
        run = json_of(answer)
        if "idempotency_key" not in run:  # a page of a proxy that asks for a login
            return TryLater(answer.status, f"answered {answer.status} with no flow run")
        if run.get("idempotency_key") != key or as_uuid(run.get("deployment_id")) != deployment:
            return Refused(answer.status, f"answered {answer.status} with a run that is not ours: it starts nothing")
        return Delivered(answer.status) if answer.status == HTTPStatus.CREATED else AlreadyThere(answer.status)

    def _deployment(self, io: Transport) -> str | Answer:
        """The deployment's id; the answer where it is not to be had."""
        if as_uuid(self.deployment) is not None:
            return self.deployment
        answer = self._read(io)
        found = as_uuid(json_of(answer).get("id"))
        return answer if answer.status != HTTPStatus.OK or found is None else found

    def _read(self, io: Transport) -> Answer:
        if as_uuid(self.deployment) is not None:
            return self.api.get(io, f"/deployments/{self.deployment}")
        flow, _, name = self.deployment.partition("/")
        return self.api.get(io, f"/deployments/name/{part(flow)}/{part(name)}")

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the deployment is there, runs, and takes these parameters' names."""
        answer = self._read(io)
        if (why := self.api.unreadable(answer)) is not None:
            return Access(problems=(f"deployment {self.deployment}: {why}",))
        deployment = json_of(answer)
        paused = (f"deployment {self.deployment} is paused: a run waits until it is not",)
        problems = parameter_problems(deployment, self.parameters)
        return Access(
            f"deployment {self.deployment} is there", tuple(problems), paused if deployment.get("paused") else ()
        )

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the flow run of this decision stands."""
        deployment = self._deployment(io)
        if isinstance(deployment, Answer):
            return StartedRun(RunState.UNKNOWN)
        key = key_of(notice, deployment)
        answer = self.api.post(io, "/flow_runs/filter", {"flow_runs": {"idempotency_key": {"any_": [key]}}})
        runs = list_of(answer)
        if answer.status != HTTPStatus.OK or not isinstance(runs, list):
            return StartedRun(RunState.UNKNOWN)
        ours = [run for run in runs if isinstance(run, dict) and as_uuid(run.get("deployment_id")) == deployment]
        if not ours:
            return StartedRun(RunState.ABSENT)
        run = str(ours[0].get("id") or "")
        return StartedRun(STATES.get(str(ours[0].get("state_type")), RunState.UNKNOWN), run, self._page(run))

    def _page(self, run: str) -> str | None:
        """The page of a flow run, at a server that shows its own; Prefect Cloud's pages stand elsewhere."""
        base = self.api.url.removesuffix("/api")
        return f"{base}/runs/flow-run/{part(run)}" if run and base != self.api.url else None


def key_of(notice: Notice, deployment: str) -> str:
    """The key of a decision at a deployment: Prefect keeps keys a flow, and gives one deployment the run of another."""
    return PREFIX + digest(notice.id, deployment)


def parameter_problems(deployment: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[str]:
    """What the flow's own schema says of parameters by name; the server takes those that the flow then fails on."""
    schema = deployment.get("parameter_openapi_schema") or {}
    if not isinstance(schema, Mapping) or "properties" not in schema:
        return []
    valid, given = schema["properties"], {**(deployment.get("parameters") or {}), **parameters}
    problems = [
        f"parameters: {name} is none of the flow's; there is {', '.join(sorted(valid)) or 'none'}"
        for name in parameters
        if name not in valid
    ]
    return [
        *problems,
        *(f"parameters: {name} is missing" for name in schema.get("required", ()) if name not in given),
    ]
