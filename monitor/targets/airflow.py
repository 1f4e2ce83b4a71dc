"""Apache Airflow 3 and 2: a DAG run a decision. The run's id is ours, so the server starts it once."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, TryLater
from monitor.targets.identity import run_id
from monitor.targets.rest import Api, Login, LoginSettings, json_of, part
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Answer, Transport

STATES = {"success": RunState.SUCCEEDED, "failed": RunState.FAILED}
IN_FLIGHT = frozenset({"queued", "running"})


class AirflowSettings(LoginSettings):
    """The DAG that trains, and who we are at its server."""

    type: Literal["airflow"]
    dag: str = Field(min_length=1, max_length=250)
    version: Literal["3", "2"] = "3"
    conf: Template = Field(default_factory=lambda: {"driftd": "{data}"})

    @model_validator(mode="after")
    def _known_to_its_server(self) -> "AirflowSettings":
        if self.username is None and self.token_file is None and self.token_env is None:
            raise ValueError("needs username with password_file or password_env, or token_file or token_env")
        return self

    def build(self, secrets: Secrets) -> "Airflow":
        """The target. Raises ValueError."""
        if self.version == "2":
            return Airflow(self.name, self.opened(secrets), f"/api/v1/dags/{part(self.dag)}", self.dag, self.conf)
        login = self.login(secrets)
        api = self.bearer(secrets) if login is None else self.api(secrets, hidden=login.hidden())
        return Airflow(self.name, api, f"/api/v2/dags/{part(self.dag)}", self.dag, self.conf, login)


@dataclass(frozen=True, slots=True)
class Airflow:
    """One DAG of one server. With a login, a token is asked for at each attempt: it keeps nothing between attempts."""

    name: str
    api: Api
    path: str
    dag: str
    conf: Mapping[str, Any] = field(default_factory=dict)
    login: Login | None = None

    starts: ClassVar[str] = "DAG run"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Start the run of this decision, if it is not there."""
        token = self._token(io)
        if isinstance(token, Answer):
            return self.api.failed(token, clock)
        answer = self.api.ask(io, "POST", f"{self.path}/dagRuns", self._run(notice), **token)
        if answer.status == HTTPStatus.OK and json_of(answer).get("dag_run_id") == run_id(notice):
            return Delivered(answer.status)
        if answer.status != HTTPStatus.CONFLICT:
            return self.api.failed(answer, clock)
        return self._repeated(notice, token, io, clock)

    def _run(self, notice: Notice) -> dict[str, Any]:
        conf = render(self.conf, fields_of(notice))
        dated = {"logical_date": None} if "/v2/" in self.path else {}  # without a date no other run can be in our way
        return {"dag_run_id": run_id(notice), **dated, "conf": conf}

    def _repeated(self, notice: Notice, token: Mapping[str, str], io: Transport, clock: Clock) -> Delivery:
        """409 says that our id is there, or that another run has the date: the body is the same."""
        found = self.api.ask(io, "GET", f"{self.path}/dagRuns/{run_id(notice)}", **token)
        if found.status == HTTPStatus.OK and json_of(found).get("dag_run_id") == run_id(notice):
            return AlreadyThere(HTTPStatus.CONFLICT.value, f"run {run_id(notice)}")
        if found.status == HTTPStatus.NOT_FOUND:
            return TryLater(
                HTTPStatus.CONFLICT.value, f"answered 409, and has no run {run_id(notice)}: another is in its way"
            )
        return self.api.failed(found, clock)

    def _token(self, io: Transport) -> dict[str, str] | Answer:
        """The header that lets us in, where it is asked for; the answer where it is refused."""
        if self.login is None:
            return {}
        said = {"username": self.login.username, "password": self.login.password}
        answer = self.api.post(io, "/auth/token", said)
        token = json_of(answer).get("access_token")
        if answer.status not in {HTTPStatus.OK, HTTPStatus.CREATED} or not isinstance(token, str):
            return answer
        return {"authorization": f"Bearer {token}"}

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the DAG is there and takes runs. Whether we may start one is seen at the first alone."""
        token = self._token(io)
        if isinstance(token, Answer):
            return Access(problems=(f"/auth/token {self.api.words(token)}",))
        answer = self.api.ask(io, "GET", self.path, **token)
        if (why := self.api.unreadable(answer)) is not None:
            return Access(problems=(f"DAG {self.dag}: {why}",))
        dag, warnings = json_of(answer), []
        if dag.get("is_paused"):
            warnings.append(f"DAG {self.dag} is paused: a run waits until it is not")
        if dag.get("has_import_errors"):
            warnings.append(f"DAG {self.dag} has import errors")
        return Access(f"DAG {self.dag} is there", warnings=tuple(warnings))

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the run of this decision stands."""
        token = self._token(io)
        if isinstance(token, Answer):
            return StartedRun(RunState.UNKNOWN)
        answer = self.api.ask(io, "GET", f"{self.path}/dagRuns/{run_id(notice)}", **token)
        if answer.status == HTTPStatus.NOT_FOUND:
            return StartedRun(RunState.ABSENT)
        state = str(json_of(answer).get("state"))
        found = RunState.IN_FLIGHT if state in IN_FLIGHT else STATES.get(state, RunState.UNKNOWN)
        return StartedRun(found, run_id(notice), self._page(run_id(notice)))

    def _page(self, run: str) -> str:
        """The page of a run."""
        dag = f"{self.api.url}/dags/{part(self.dag)}"
        return f"{dag}/runs/{run}" if "/v2/" in self.path else f"{dag}/grid?dag_run_id={run}"
