"""Kubeflow Pipelines v2: a run a decision. The server knows no key, so runs are looked for by our id as their name first."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal
from urllib.parse import urlencode

from pydantic import Field

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, TryLater
from monitor.targets.identity import run_id
from monitor.targets.numbers import EXACT, finite
from monitor.targets.rest import Api, TokenSettings, json_of, objects_in, part
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Answer, Transport

API = "/apis/v2beta1"
STATES = {
    **dict.fromkeys(("PENDING", "RUNNING", "PAUSED", "CANCELING"), RunState.IN_FLIGHT),
    **dict.fromkeys(("FAILED", "SKIPPED"), RunState.FAILED),
    "CANCELED": RunState.CANCELLED,
    "SUCCEEDED": RunState.SUCCEEDED,
}


class KubeflowSettings(TokenSettings):
    """The pipeline version that trains, and the experiment that its runs stand in."""

    type: Literal["kubeflow"]
    pipeline_id: str
    pipeline_version_id: str
    experiment_id: str
    namespace: str | None = None
    service_account: str | None = None
    parameters: Template = Field(default_factory=dict)

    def build(self, secrets: Secrets) -> "Kubeflow":
        """The target. Raises ValueError."""
        pipeline = {"pipeline_id": self.pipeline_id, "pipeline_version_id": self.pipeline_version_id}
        return Kubeflow(
            self.name,
            self.bearer(secrets),
            pipeline,
            self.experiment_id,
            self.namespace,
            self.service_account,
            self.parameters,
        )


@dataclass(frozen=True, slots=True)
class Kubeflow:
    """One pipeline version of one installation."""

    name: str
    api: Api
    pipeline: Mapping[str, str]
    experiment: str
    namespace: str | None = None
    service_account: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "run"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Look for the run of this decision, then start it: there is one sender."""
        answer = self._runs(notice, io)
        if answer.status != HTTPStatus.OK:
            return self.api.failed(answer, clock)
        if not is_list(answer):
            return TryLater(answer.status, "answered no list of runs")
        if found := self._ours(answer, notice):
            return AlreadyThere(answer.status, f"run {found[0].get('run_id')}")
        answer = self.api.post(io, f"{API}/runs", self._run(notice))
        started = json_of(answer).get("run_id")
        if answer.status == HTTPStatus.OK and started:
            return Delivered(answer.status, f"run {started}")
        return self.api.failed(answer, clock)

    def _run(self, notice: Notice) -> dict[str, Any]:
        said = fields_of(notice)
        account = {} if self.service_account is None else {"service_account": self.service_account}
        return {
            "display_name": run_id(notice),
            "description": str(said.get("summary", "")),
            "experiment_id": self.experiment,
            "pipeline_version_reference": dict(self.pipeline),
            "runtime_config": {"parameters": finite(render(self.parameters, said), most=EXACT)},
            **account,
        }

    def _runs(self, notice: Notice, io: Transport) -> Answer:
        ours = {"key": "display_name", "operation": "EQUALS", "string_value": run_id(notice)}
        query = {"filter": json.dumps({"predicates": [ours]}), "page_size": "10", "experiment_id": self.experiment}
        if self.namespace is not None:
            query["namespace"] = self.namespace
        return self.api.get(io, f"{API}/runs?{urlencode(query)}")

    @staticmethod
    def _ours(answer: Answer, notice: Notice) -> list[dict[str, Any]]:
        return [run for run in objects_in(json_of(answer), "runs") if run.get("display_name") == run_id(notice)]

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the pipeline version and the experiment are there."""
        pipeline, version = self.pipeline["pipeline_id"], self.pipeline["pipeline_version_id"]
        places = {
            f"pipeline version {version}": f"{API}/pipelines/{part(pipeline)}/versions/{part(version)}",
            f"experiment {self.experiment}": f"{API}/experiments/{part(self.experiment)}",
        }
        answers = {name: self.api.get(io, path) for name, path in places.items()}
        whys = ((name, self.api.unreadable(answer)) for name, answer in answers.items())
        return Access(f"{' and '.join(places)} are there", tuple(f"{name}: {why}" for name, why in whys if why))

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the run of this decision stands."""
        answer = self._runs(notice, io)
        if answer.status != HTTPStatus.OK or not is_list(answer):
            return StartedRun(RunState.UNKNOWN)
        ours = self._ours(answer, notice)
        if not ours:
            return StartedRun(RunState.ABSENT)
        run = str(ours[0].get("run_id") or "")
        state = STATES.get(str(ours[0].get("state")), RunState.UNKNOWN)
        return StartedRun(state, run, f"{self.api.url}/#/runs/details/{part(run)}")


def is_list(answer: Answer) -> bool:
    """Whether it is an answer of the API, and no page of a proxy that asks for a login. `{}` is a list without runs."""
    return answer.body.lstrip().startswith(b"{")
