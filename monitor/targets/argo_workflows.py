"""Argo Workflows: a workflow a decision, submitted from a template under a name that is ours, which Kubernetes gives once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import Field

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, TryLater
from monitor.targets.identity import run_id
from monitor.targets.rest import Api, TokenSettings, json_of, object_in, part
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, texts
from monitor.targets.transport import Transport

STATES = {
    **dict.fromkeys(("", "Pending", "Running"), RunState.IN_FLIGHT),  # none yet: the controller has not seen it
    **dict.fromkeys(("Failed", "Error"), RunState.FAILED),
    "Succeeded": RunState.SUCCEEDED,
}


class ArgoWorkflowsSettings(TokenSettings):
    """The workflow template that trains."""

    type: Literal["argo_workflows"]
    namespace: str = Field(min_length=1)
    template: str = Field(min_length=1)
    cluster_template: bool = False
    parameters: Template = Field(default_factory=dict)

    def build(self, secrets: Secrets) -> "ArgoWorkflows":
        """The target. Raises ValueError."""
        kind = "ClusterWorkflowTemplate" if self.cluster_template else "WorkflowTemplate"
        return ArgoWorkflows(self.name, self.bearer(secrets), self.namespace, kind, self.template, self.parameters)


@dataclass(frozen=True, slots=True)
class ArgoWorkflows:
    """One template of one server."""

    name: str
    api: Api
    namespace: str
    kind: str
    template: str
    parameters: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "workflow"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Submit the workflow of this decision, if it is not there."""
        path = f"/api/v1/workflows/{part(self.namespace)}"
        answer = self.api.post(io, f"{path}/submit", self._submitted(notice))
        if answer.status == HTTPStatus.OK and name_of(json_of(answer)) == run_id(notice):
            return Delivered(answer.status)
        if answer.status != HTTPStatus.CONFLICT:
            return self.api.failed(answer, clock)
        found = self.api.get(io, f"{path}/{run_id(notice)}")
        if found.status == HTTPStatus.OK and name_of(json_of(found)) == run_id(notice):
            return AlreadyThere(answer.status, f"workflow {run_id(notice)}")
        return TryLater(answer.status, self.api.words(answer))

    def _submitted(self, notice: Notice) -> dict[str, Any]:
        parameters = texts(self.parameters, fields_of(notice))
        return {
            "namespace": self.namespace,
            "resourceKind": self.kind,
            "resourceName": self.template,
            "submitOptions": {
                "name": run_id(notice),
                "labels": f"driftd.decision={run_id(notice)}",
                "parameters": [f"{name}={value}" for name, value in parameters.items()],
            },
        }

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the template is there."""
        folder = (
            "cluster-workflow-templates"
            if self.kind == "ClusterWorkflowTemplate"
            else f"workflow-templates/{part(self.namespace)}"
        )
        answer = self.api.get(io, f"/api/v1/{folder}/{part(self.template)}")
        if (why := self.api.unreadable(answer)) is not None:
            return Access(problems=(f"template {self.template}: {why}",))
        return Access(f"template {self.template} is there")

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the workflow of this decision stands."""
        answer = self.api.get(io, f"/api/v1/workflows/{part(self.namespace)}/{run_id(notice)}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return StartedRun(RunState.ABSENT)
        if answer.status != HTTPStatus.OK or name_of(json_of(answer)) is None:
            return StartedRun(RunState.UNKNOWN)
        phase = object_in(json_of(answer), "status").get("phase") or ""
        page = f"{self.api.url}/workflows/{part(self.namespace)}/{run_id(notice)}"
        return StartedRun(STATES.get(str(phase), RunState.UNKNOWN), run_id(notice), page)


def name_of(workflow: Mapping[str, Any]) -> str | None:
    """The name of a workflow; None where it is none."""
    name = object_in(workflow, "metadata").get("name")
    return None if name is None else str(name)
