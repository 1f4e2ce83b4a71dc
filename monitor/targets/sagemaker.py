"""Amazon SageMaker Pipelines: an execution a decision. Signed by botocore (`pip install 'driftd[aws]'`), sent by us.

The request token is made of the decision, so AWS starts it once; how long it remembers a token is not known, so the
executions are looked through for our id first.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec
from pydantic import Field, field_validator

from monitor.alerting.runs import RunState, StartedRun
from monitor.clock import Clock
from monitor.store.outbox import Notice
from monitor.stream.events import DAY, SECOND
from monitor.targets.base import Access, AlreadyThere, Delivered, Delivery, Refused, TryLater
from monitor.targets.identity import digest, run_id
from monitor.targets.rest import Api, RunSettings, http_address, json_of, objects_in
from monitor.targets.secrets import Secrets
from monitor.targets.templates import Template, fields_of, render, texts
from monitor.targets.transport import Answer, Request, Transport

if TYPE_CHECKING:
    from botocore.session import Session

EXTRA = "needs botocore: pip install 'driftd[aws]'"
SERVICE = "sagemaker"
LOOKED_BACK = 7 * DAY  # further than a delivery is tried
MOST_PARAMETERS, LONGEST_VALUE = 200, 1024
PASSING = frozenset(
    {
        "ThrottlingException",
        "Throttling",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "ResourceLimitExceeded",  # a quota: executions end, and quotas are raised
        "ServiceUnavailable",
        "InternalFailure",
        "ConflictException",  # the pipeline is being changed
    }
)
MENDED_BY_PEOPLE = frozenset(  # access and names
    {
        "AccessDeniedException",
        "ExpiredTokenException",
        "UnrecognizedClientException",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "ResourceNotFound",
        "OptInRequired",
    }
)
STATES = {
    **dict.fromkeys(("Executing", "Stopping"), RunState.IN_FLIGHT),
    "Failed": RunState.FAILED,
    "Stopped": RunState.CANCELLED,
    "Succeeded": RunState.SUCCEEDED,
}


class SageMakerSettings(RunSettings):
    """The pipeline that trains. Credentials are found as every AWS program finds them: environment, profile, role."""

    type: Literal["sagemaker"]
    pipeline: str = Field(min_length=1, max_length=256)
    region: str = Field(pattern=r"^[a-z0-9-]+$")
    profile: str | None = None
    url: str = Field(default="", repr=False)
    parameters: Template = Field(default_factory=dict)

    @field_validator("url")
    @classmethod
    def _http(cls, url: str) -> str:
        return http_address(url) if url else ""

    @field_validator("parameters")
    @classmethod
    def _few(cls, parameters: dict[str, Any]) -> dict[str, Any]:
        if len(parameters) > MOST_PARAMETERS:
            raise ValueError(f"has {len(parameters)} entries; SageMaker takes {MOST_PARAMETERS}")
        return parameters

    def endpoint(self) -> str:
        """Where the region's API is, unless `url` names another place."""
        domain = "amazonaws.com.cn" if self.region.startswith("cn-") else "amazonaws.com"
        return self.url or f"https://api.sagemaker.{self.region}.{domain}"

    def urls(self) -> tuple[str, ...]:
        """Its address."""
        return (self.endpoint(),)

    def build(self, secrets: Secrets) -> "SageMaker":
        """The target. Raises ValueError."""
        session = session_of(self.profile)
        ca_file = None if self.ca_file is None else secrets.base / self.ca_file
        api = Api(self.endpoint(), timeout=self.timeout / SECOND, ca_file=ca_file)
        return SageMaker(self.name, api, self.pipeline, self.region, session, self.parameters)


def session_of(profile: str | None) -> "Session":
    """Where credentials come from. Raises ValueError."""
    try:
        import botocore.exceptions
        import botocore.session
    except ImportError:
        raise ValueError(f"type: sagemaker {EXTRA}") from None
    session = botocore.session.Session(profile=profile)
    try:
        session.get_scoped_config()
    except botocore.exceptions.BotoCoreError as error:
        raise ValueError(f"profile: {error}") from None
    return session


@dataclass(frozen=True, slots=True)
class SageMaker:
    """One pipeline of one account."""

    name: str
    api: Api
    pipeline: str
    region: str
    session: "Session" = field(repr=False)
    parameters: Mapping[str, Any] = field(default_factory=dict)

    starts: ClassVar[str] = "pipeline execution"

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        """Look for the execution of this decision, then start it under a token that is always the same."""
        answer = self._executions(io, clock)
        if answer is None:
            return TryLater(detail="there are no AWS credentials")
        if answer.status != HTTPStatus.OK:
            return self._failed(answer, clock)
        if found := self._ours(answer, notice):
            return AlreadyThere(answer.status, str(found[0].get("PipelineExecutionArn")))
        asked = self._execution(notice)
        too_long = [each["Name"] for each in asked["PipelineParameters"] if len(each["Value"]) > LONGEST_VALUE]
        if too_long:
            return Refused(None, f"parameters: {too_long[0]} is longer than SageMaker's {LONGEST_VALUE} characters")
        answer = self._ask(io, "StartPipelineExecution", asked)
        assert answer is not None  # there were credentials
        arn = json_of(answer).get("PipelineExecutionArn")
        if answer.status == HTTPStatus.OK and arn:
            return Delivered(answer.status, str(arn))
        return self._failed(answer, clock)

    def _execution(self, notice: Notice) -> dict[str, Any]:
        said = fields_of(notice)
        parameters = texts(self.parameters, said)
        return {
            "PipelineName": self.pipeline,
            "PipelineExecutionDisplayName": run_id(notice),
            "PipelineExecutionDescription": str(render("{summary}", said) or "driftd")[:3072],
            "PipelineParameters": [{"Name": name, "Value": value} for name, value in parameters.items()],
            "ClientRequestToken": digest(run_id(notice), self.pipeline),
        }

    def _executions(self, io: Transport, clock: Clock) -> Answer | None:
        since = (clock.now() - LOOKED_BACK) // SECOND
        asked = {
            "PipelineName": self.pipeline,
            "CreatedAfter": since,
            "SortBy": "CreationTime",
            "SortOrder": "Descending",
            "MaxResults": 100,
        }
        return self._ask(io, "ListPipelineExecutions", asked)

    @staticmethod
    def _ours(answer: Answer, notice: Notice) -> list[dict[str, Any]]:
        listed = objects_in(json_of(answer), "PipelineExecutionSummaries")
        return [each for each in listed if each.get("PipelineExecutionDisplayName") == run_id(notice)]

    def _failed(self, answer: Answer, clock: Clock) -> Delivery:
        """What an error means: AWS says it by name, nearly always under status 400."""
        name = error_name(answer)
        words = error_words(self._hiding(), answer)
        if name in PASSING | MENDED_BY_PEOPLE:
            return TryLater(answer.status, words)
        if name.startswith("Validation"):
            return Refused(answer.status, words)
        return self._hiding().failed(answer, clock)

    def _ask(self, io: Transport, operation: str, body: Mapping[str, Any]) -> Answer | None:
        """One signed request; None without credentials. Raises TransportError."""
        headers = signed(self.session, self.region, self.api.url, operation, content := msgspec.json.encode(body))
        if headers is None:
            return None
        return io.send(
            Request("POST", self.api.url + "/", headers, content, self.api.timeout, 4_000_000, self.api.ca_file)
        )

    def _hiding(self) -> Api:
        """The API whose words hold no session token, which a request carries."""
        credentials = credentials_of(self.session)
        return (
            replace(self.api, hidden=(credentials.token,))
            if credentials is not None and credentials.token
            else self.api
        )

    def check(self, io: Transport, clock: Clock) -> Access:  # noqa: ARG002 - as every target's
        """Whether the pipeline is there. Whether we may start it is seen at the first alone."""
        answer = self._ask(io, "DescribePipeline", {"PipelineName": self.pipeline})
        if answer is None:
            return Access(problems=("there are no AWS credentials",))
        if answer.status != HTTPStatus.OK:
            return Access(problems=(f"pipeline {self.pipeline}: {error_words(self._hiding(), answer)}",))
        return Access(f"pipeline {self.pipeline} is there")

    def status(self, notice: Notice, io: Transport, clock: Clock) -> StartedRun:
        """How the execution of this decision stands."""
        answer = self._executions(io, clock)
        if answer is None or answer.status != HTTPStatus.OK:
            return StartedRun(RunState.UNKNOWN)
        ours = self._ours(answer, notice)
        state = str(ours[0].get("PipelineExecutionStatus")) if ours else ""
        if not ours:
            return StartedRun(RunState.ABSENT)
        return StartedRun(STATES.get(state, RunState.UNKNOWN), str(ours[0].get("PipelineExecutionArn") or ""))


def error_name(answer: Answer) -> str:
    """What AWS calls an error: `com.amazon…#ThrottlingException` is the last part."""
    kind = json_of(answer).get("__type") or answer.headers.get("x-amzn-errortype") or ""
    return str(kind).rpartition("#")[2].partition(":")[0]


def error_words(api: Api, answer: Answer) -> str:
    """An error in a line. Of a signature that is refused AWS repeats all that was signed, a session token among it."""
    name = error_name(answer)
    if "Signature" in name:
        return f"answered {answer.status} {name}"
    return f"{name}: {api.words(answer)}" if name else api.words(answer)


def signed(session: "Session", region: str, url: str, operation: str, body: bytes) -> dict[str, str] | None:
    """The headers of a request with Signature Version 4; None without credentials."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    frozen = credentials_of(session)
    if frozen is None:
        return None
    headers = {"x-amz-target": f"SageMaker.{operation}", "content-type": "application/x-amz-json-1.1"}
    request = AWSRequest("POST", url + "/", headers=headers, data=body)
    SigV4Auth(frozen, SERVICE, region).add_auth(request)
    return {name.lower(): str(value) for name, value in request.headers.items()}


def credentials_of(session: "Session") -> Any:
    """The credentials as they are now, a role's renewed where they end; None where there are none."""
    from botocore.exceptions import BotoCoreError

    try:
        credentials = session.get_credentials()
        return None if credentials is None else credentials.get_frozen_credentials()
    except BotoCoreError:  # of a role that cannot be had now
        return None
