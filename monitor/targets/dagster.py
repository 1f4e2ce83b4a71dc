"""Dagster: a run of a job a decision. An answer is judged by its type, never by its status; runs are looked for by tag."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import Field

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, Refused, TryLater
from monitor.targets.identity import run_id
from monitor.targets.rest import Api, TokenSettings, json_of, object_in, objects_in, part
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Answer, Transport

TAG = "driftd/decision"
PASSING = frozenset({"PythonError", "PipelineNotFoundError"})  # the second also while a code location is loading
STATES = {"SUCCESS": RunState.SUCCEEDED, "FAILURE": RunState.FAILED, "CANCELED": RunState.CANCELLED}
IN_FLIGHT = frozenset({"QUEUED", "NOT_STARTED", "MANAGED", "STARTING", "STARTED", "CANCELING"})

RUNS = """query DriftdRuns($tags: [ExecutionTag!]!) {
  runsOrError(filter: {tags: $tags}, limit: 1) {
    __typename
    ... on Runs { results { runId status } }
    ... on PythonError { message }
    ... on InvalidPipelineRunsFilterError { message }
  }
}"""
LAUNCH = """mutation DriftdLaunch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on InvalidStepError { invalidStepKey }
    ... on UnauthorizedError { message }
    ... on RunConfigValidationInvalid { errors { message } }
  }
}"""
JOB = """query DriftdJob($job: PipelineSelector!) {
  pipelineOrError(params: $job) {
    __typename
    ... on Pipeline { name }
    ... on PipelineNotFoundError { message }
    ... on PythonError { message }
  }
}"""


class DagsterSettings(TokenSettings):
    """The job that trains, by code location, repository and name."""

    type: Literal["dagster"]
    location: str
    repository: str = "__repository__"
    job: str
    run_config: Template = Field(default_factory=dict)

    def build(self, secrets: Secrets) -> "Dagster":
        """The target. Raises ValueError."""
        token = self.token(secrets)
        headers = {} if token is None else {"dagster-cloud-api-token": token}
        api = self.api(secrets, headers, () if token is None else (token,))
        return Dagster(self.name, api, self.location, self.repository, self.job, self.run_config)


@dataclass(frozen=True, slots=True)
class Dagster:
    """One job of one server."""

    name: str
    api: Api
    location: str
    repository: str
    job: str
    run_config: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "run"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Look for the run of this decision, then launch it: the server knows no key, and there is one sender."""
        answer = self._runs(notice, io)
        runs = found_in(answer, "runsOrError")
        if runs.get("__typename") != "Runs":
            return self._failed(answer, runs, clock)
        if not isinstance(runs.get("results"), list):  # without them nobody knows whether it is there
            return TryLater(answer.status, "answered Runs without results")
        if known := objects_in(runs, "results"):
            return AlreadyThere(answer.status, f"run {known[0].get('runId')}")
        answer = self._ask(io, LAUNCH, {"params": self._params(notice)})
        launched = found_in(answer, "launchRun")
        if launched.get("__typename") == "LaunchRunSuccess":
            return Delivered(answer.status, f"run {object_in(launched, 'run').get('runId')}")
        return self._failed(answer, launched, clock)

    def _params(self, notice: Notice) -> dict[str, Any]:
        said = fields_of(notice)
        tags = {
            TAG: run_id(notice),
            "driftd/model": said.get("model"),
            "driftd/model_version": said.get("model_version"),
            "driftd/reason": said.get("reason"),
        }
        return {
            "selector": {
                "repositoryLocationName": self.location,
                "repositoryName": self.repository,
                "jobName": self.job,
            },
            "runConfigData": render(self.run_config, said),
            "executionMetadata": {"tags": [{"key": key, "value": str(value)} for key, value in tags.items() if value]},
        }

    def _failed(self, answer: Answer, found: Mapping[str, Any], clock: Clock) -> Delivery:
        """What an answer means that is not the type hoped for."""
        kind = found.get("__typename")
        if str(kind) in PASSING:
            return TryLater(answer.status, said(found))
        if kind is not None:
            return Refused(answer.status, said(found))
        if answer.status == HTTPStatus.INTERNAL_SERVER_ERROR and is_about_the_query(answer):
            return Refused(answer.status, self.api.words(answer))  # a variable that can never be: no fault that passes
        return self.api.failed(answer, clock)

    def _runs(self, notice: Notice, io: Transport) -> Answer:
        return self._ask(io, RUNS, {"tags": [{"key": TAG, "value": run_id(notice)}]})

    def _ask(self, io: Transport, query: str, variables: Mapping[str, Any]) -> Answer:
        return self.api.post(io, "/graphql", {"query": query, "variables": variables})

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the job is there."""
        job = {
            "repositoryLocationName": self.location,
            "repositoryName": self.repository,
            "pipelineName": self.job,
        }
        answer = self._ask(io, JOB, {"job": job})
        found = found_in(answer, "pipelineOrError")
        if found.get("__typename") == "Pipeline":
            return Access(f"job {self.job} is there")
        return Access(problems=(f"job {self.job}: {said(found) if found else self.api.words(answer)}",))

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the run of this decision stands."""
        runs = found_in(self._runs(notice, io), "runsOrError")
        if runs.get("__typename") != "Runs":
            return StartedRun(RunState.UNKNOWN)
        if not isinstance(runs.get("results"), list):
            return StartedRun(RunState.UNKNOWN)
        known = objects_in(runs, "results")
        if not known:
            return StartedRun(RunState.ABSENT)
        state = str(known[0].get("status"))
        found = RunState.IN_FLIGHT if state in IN_FLIGHT else STATES.get(state, RunState.UNKNOWN)
        run = str(known[0].get("runId") or "")
        return StartedRun(found, run, f"{self.api.url}/runs/{part(run)}")


def found_in(answer: Answer, name: str) -> dict[str, Any]:
    """The answer to one question of a query; an empty one where there is none."""
    return object_in(object_in(json_of(answer), "data"), name)


def is_about_the_query(answer: Answer) -> bool:
    """Whether nothing was looked up: there are errors and no data."""
    said_by = json_of(answer)
    return bool(said_by.get("errors")) and said_by.get("data") is None


def said(found: Mapping[str, Any]) -> str:
    """The type of an answer and what it says, in a line."""
    texts = [found.get("message"), *(each.get("message") for each in objects_in(found, "errors"))]
    line = " ".join(" ".join(str(text) for text in texts if text).split())
    return f"answered {found.get('__typename')}" + (f": {line[:200]}" if line else "")
