"""Vertex AI Pipelines: a PipelineJob a decision. Its id is ours, so Google starts it once; let in by google-auth (`pip install 'driftd[google]'`)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, TryLater
from monitor.targets.identity import run_id
from monitor.targets.numbers import EXACT, finite
from monitor.targets.rest import Api, RunSettings, http_address, json_of
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render
from monitor.targets.transport import Request, Transport, TransportError

if TYPE_CHECKING:
    from google.auth.credentials import Credentials

EXTRA = "needs google-auth: pip install 'driftd[google]'"
SCOPE = "https://www.googleapis.com/auth/cloud-platform"
METADATA_HOSTS = frozenset({"metadata.google.internal", "169.254.169.254"})
STATES = {
    **{
        f"PIPELINE_STATE_{name}": RunState.IN_FLIGHT
        for name in ("QUEUED", "PENDING", "RUNNING", "CANCELLING", "PAUSED")
    },
    "PIPELINE_STATE_FAILED": RunState.FAILED,
    "PIPELINE_STATE_CANCELLED": RunState.CANCELLED,
    "PIPELINE_STATE_SUCCEEDED": RunState.SUCCEEDED,
}
_LABEL = re.compile(r"[^a-z0-9_-]")


class VertexSettings(RunSettings):
    """The pipeline that trains, as a template of Artifact Registry or a compiled file, and where it runs."""

    type: Literal["vertex"]
    project: str = Field(pattern=r"^[a-z0-9:.-]+$")
    location: str = Field(pattern=r"^[a-z0-9-]+$")
    template_uri: str | None = None
    pipeline_file: Path | None = None
    bucket: str = Field(pattern=r"^gs://.+")
    service_account: str | None = None
    credentials_file: Path | None = None
    url: str = Field(default="", repr=False)
    parameters: Template = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        return http_address(url) if url else ""

    @model_validator(mode="after")
    def _one_pipeline(self) -> "VertexSettings":
        if (self.template_uri is None) == (self.pipeline_file is None):
            raise ValueError("needs exactly one of template_uri and pipeline_file")
        return self

    def endpoint(self) -> str:
        """Where the location's API is, unless `url` names another place."""
        host = "aiplatform" if self.location == "global" else f"{self.location}-aiplatform"
        return self.url or f"https://{host}.googleapis.com"

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.endpoint(),)

    def build(self, secrets: Secrets) -> "Vertex":
        """The target. Raises ValueError."""
        needs_google_auth()
        credentials = None if self.credentials_file is None else credentials_of(secrets.base / self.credentials_file)
        ca_file = None if self.ca_file is None else secrets.base / self.ca_file
        api = Api(self.endpoint(), timeout=self.timeout / SECOND, ca_file=ca_file)
        job = {"runtimeConfig": {"gcsOutputDirectory": self.bucket}}
        if self.template_uri is not None:
            job["templateUri"] = self.template_uri  # type: ignore[assignment]
        if self.pipeline_file is not None:
            job["pipelineSpec"] = compiled(secrets.base / self.pipeline_file)
        if self.service_account is not None:
            job["serviceAccount"] = self.service_account  # type: ignore[assignment]
        path = f"/v1/projects/{self.project}/locations/{self.location}/pipelineJobs"
        return Vertex(self.name, api, path, job, credentials, self.parameters)


def compiled(path: Path) -> dict[str, Any]:
    """A pipeline as the KFP compiler writes it, JSON or YAML. Raises ValueError."""
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ValueError(f"pipeline_file: {path} cannot be read: {error.strerror or error}") from None
    except (yaml.YAMLError, UnicodeDecodeError):
        raise ValueError(f"pipeline_file: {path} is neither JSON nor YAML") from None
    if not isinstance(found, dict) or "deploymentSpec" not in found.get("pipelineSpec", found):
        raise ValueError(f"pipeline_file: {path} is no compiled pipeline: it has no deploymentSpec")
    spec: dict[str, Any] = found.get("pipelineSpec", found)
    return spec


def credentials_of(file: Path) -> "Credentials":
    """The key of a service account. Raises ValueError, which holds nothing of it."""
    try:
        from google.oauth2.service_account import Credentials as ServiceAccount
    except ImportError:
        raise ValueError(f"type: vertex {EXTRA}") from None
    try:
        found: Credentials = ServiceAccount.from_service_account_file(str(file), scopes=[SCOPE])
    except OSError as error:
        raise ValueError(f"credentials_file: {file} cannot be read: {error.strerror or error}") from None
    except ValueError:  # its text may hold what was read
        raise ValueError(f"credentials_file: {file} is no service account's key") from None
    return found


def credentials_here() -> "Credentials":
    """Those that the environment gives, which a look at the metadata server may be needed for. Raises TransportError."""
    import google.auth
    from google.auth.exceptions import GoogleAuthError

    try:
        found, _ = google.auth.default(scopes=[SCOPE])
    except GoogleAuthError:
        raise TransportError("there are no Google credentials") from None
    credentials: Credentials = found
    return credentials


def needs_google_auth() -> None:
    """Raises ValueError where it is not installed."""
    try:
        import google.auth  # noqa: F401
    except ImportError:
        raise ValueError(f"type: vertex {EXTRA}") from None


@dataclass(frozen=True, slots=True)
class Vertex:
    """One pipeline in one project and location."""

    name: str
    api: Api
    path: str
    job: Mapping[str, Any]
    credentials: "Credentials | None" = field(default=None, repr=False)  # None: those of the environment
    parameters: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "pipeline job"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Create the job of this decision, if it is not there."""
        api = self._let_in(io)
        answer = api.post(io, f"{self.path}?pipelineJobId={run_id(notice)}", self._job(notice))
        if answer.status == HTTPStatus.OK and json_of(answer).get("name"):
            return Delivered(answer.status, str(json_of(answer)["name"]))
        if answer.status != HTTPStatus.CONFLICT:
            return api.failed(answer, clock)
        found = api.get(io, f"{self.path}/{run_id(notice)}")  # 409 is also said of what was interrupted
        if found.status == HTTPStatus.OK and str(json_of(found).get("name", "")).endswith(f"/{run_id(notice)}"):
            return AlreadyThere(answer.status, str(json_of(found)["name"]))
        return TryLater(answer.status, api.words(answer))

    def _job(self, notice: Notice) -> dict[str, Any]:
        said = fields_of(notice)
        parameters = finite(render(self.parameters, said), most=EXACT)
        names = {"driftd-model": said.get("model"), "driftd-reason": said.get("reason"), "driftd": "retraining"}
        return {
            **self.job,
            "displayName": run_id(notice),
            "labels": {name: label(value) for name, value in names.items() if value},
            "runtimeConfig": {**self.job["runtimeConfig"], "parameterValues": parameters},
        }

    def _let_in(self, io: Transport) -> Api:
        """The API with a token. Raises TransportError."""
        from google.auth.exceptions import GoogleAuthError

        headers: dict[str, str] = {}
        credentials = self.credentials or credentials_here()
        try:
            credentials.before_request(_Asker(io, self.api), "POST", self.api.url, headers)
        except GoogleAuthError as error:  # its text may hold what was sent
            raise TransportError(f"no access token can be had: {type(error).__name__}") from None
        token = headers["authorization"].removeprefix("Bearer ")
        return replace(self.api, headers=headers, hidden=(token,))

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether we may read the project's jobs. Whether we may start one is seen at the first alone."""
        answer = (api := self._let_in(io)).get(io, f"{self.path}?pageSize=1")
        if (why := api.unreadable(answer)) is not None:
            return Access(problems=(f"{self.path}: {why}",))
        return Access(f"{self.path} can be read")

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:  # noqa: ARG002 - as every target's
        """How the job of this decision stands."""
        answer = self._let_in(io).get(io, f"{self.path}/{run_id(notice)}")
        if answer.status == HTTPStatus.NOT_FOUND:
            return StartedRun(RunState.ABSENT)
        job = json_of(answer)
        return StartedRun(STATES.get(str(job.get("state")), RunState.UNKNOWN), str(job.get("name") or run_id(notice)))


def label(value: object) -> str:
    """A text as Google has labels: lower case, digits, - and _, at most 63.

    >>> label("Churn v2 (EU)")
    'churn_v2__eu_'
    """
    return _LABEL.sub("_", str(value).lower())[:63]


@dataclass(frozen=True, slots=True)
class _Answered:
    """As google-auth wants an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class _Asker:
    """Asks for google-auth: by our way out, and on a Google machine its own metadata server, whose address no target may have."""

    def __init__(self, io: Transport, api: Api) -> None:
        self._io, self._api = io, api

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _Answered:
        content = body.encode() if isinstance(body, str) else body or b""
        within = timeout or self._api.timeout
        if urlsplit(url).hostname in METADATA_HOSTS:
            return _metadata(url, method, headers or {}, within)
        answer = self._io.send(Request(method, url, headers or {}, content, within, 1_000_000))
        return _Answered(answer.status, answer.headers, answer.body)


def _metadata(url: str, method: str, headers: Mapping[str, str], timeout: float) -> _Answered:
    parts = urlsplit(url)
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request(method, parts._replace(scheme="", netloc="").geturl(), headers=dict(headers))
        response = connection.getresponse()
        return _Answered(response.status, dict(response.getheaders()), response.read(1_000_000))
    except OSError as error:
        raise TransportError(f"the metadata server: {type(error).__name__}") from None
    finally:
        connection.close()
