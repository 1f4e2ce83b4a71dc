"""SageMaker and Vertex AI: what is on the wire, whose signature and whose token, and what becomes of their errors."""

import hashlib
import hmac
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.clock import SystemClock
from monitor.targets import vertex
from monitor.targets.base import Delivered, Refused, TryLater
from monitor.targets.transport import TransportError
from tests.apis.sagemaker import SageMaker, error
from tests.apis.service import CANARY, RUN_ID, Call, Reply, built, decision, deliver, way_out
from tests.apis.vertex import ENTRY, PATH, Vertex
from tests.contracts.test_targets import let_in, private_key


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[SageMaker]:
    let_in("sagemaker", monkeypatch)
    found = SageMaker()
    yield found
    found.close()


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Vertex]:
    let_in("vertex", monkeypatch)
    found = Vertex()
    (tmp_path / "account.json").write_text(found.account(private_key()))
    yield found
    found.close()


# --- SageMaker --------------------------------------------------------------------------------------------------------


def signature(call: Call, secret: str) -> str:
    """Signature Version 4 of a request as it came in, after AWS's description of it."""
    scope, names = re.findall(r"Credential=[^/]+/(\S+), SignedHeaders=(\S+),", call.headers["authorization"])[0]
    date, region, service, end = scope.split("/")
    headers = "".join(f"{name}:{call.headers[name].strip()}\n" for name in names.split(";"))
    body = hashlib.sha256(call.body).hexdigest()
    canonical = f"{call.method}\n{call.path}\n\n{headers}\n{names}\n{body}"
    to_sign = "\n".join(
        ["AWS4-HMAC-SHA256", call.headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, end):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def test_a_request_is_signed_as_aws_wants_it(aws: SageMaker) -> None:
    deliver(built(aws.entry()))

    call = aws.calls[-1]
    assert call.headers["authorization"].endswith(f"Signature={signature(call, CANARY)}")
    assert "/eu-central-1/sagemaker/aws4_request" in call.headers["authorization"]
    assert call.headers["x-amz-target"] == "SageMaker.StartPipelineExecution"
    assert call.headers["content-type"] == "application/x-amz-json-1.1"
    assert call.headers["x-amz-security-token"] == f"session-{CANARY}"


def test_the_token_on_the_wire_is_that_of_the_decision(aws: SageMaker) -> None:
    """The same at every attempt, also of another daemon; another of another decision. 32 to 128 characters."""
    aws.instead = [Reply(200, {"PipelineExecutionSummaries": []}), Reply(500)] * 2
    for _ in range(2):
        deliver(built(aws.entry()))
    deliver(built(aws.entry()), decision("ab" * 16))

    sent = [call.json for call in aws.calls if call.headers["x-amz-target"].endswith("StartPipelineExecution")]
    first, second, other = [each["ClientRequestToken"] for each in sent]
    assert first == second != other
    assert re.fullmatch(r"[0-9a-f]{32}", first)
    assert sent[0] == sent[1]


def test_what_is_sent_is_within_the_limits_of_the_service(aws: SageMaker) -> None:
    deliver(built(aws.entry()))

    (run,) = aws.executions
    assert re.fullmatch(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,81}", run["PipelineExecutionDisplayName"])
    assert run["PipelineExecutionDisplayName"] == RUN_ID
    assert run["PipelineParameters"] == [
        {"Name": "Since", "Value": "2026-11-23T03:55:00Z"},
        {"Name": "Rows", "Value": "10000"},
    ]


def test_the_client_library_takes_what_is_sent(aws: SageMaker) -> None:
    """botocore's own model of the operation checks names, types and the least lengths."""
    import botocore.loaders
    import botocore.model
    import botocore.validate

    deliver(built(aws.entry()))
    model = botocore.loaders.Loader().load_service_model("sagemaker", "service-2")
    shape = botocore.model.ServiceModel(model).operation_model("StartPipelineExecution").input_shape

    report = botocore.validate.ParamValidator().validate(aws.calls[-1].json, shape)

    assert not report.has_errors(), report.generate_report()


def test_a_value_that_is_too_long_is_refused_here(aws: SageMaker) -> None:
    end = deliver(built(aws.entry(parameters={"Why": "{summary}"})), decision(summary="x" * 1025))

    assert end == Refused(None, "parameters: Why is longer than SageMaker's 1024 characters")


@pytest.mark.parametrize(
    "name", ["ThrottlingException", "ResourceLimitExceeded", "ResourceNotFound", "ExpiredTokenException"]
)
def test_what_passes_or_is_mended_is_tried_again(aws: SageMaker, name: str) -> None:
    """Though all of it comes under 400."""
    aws.instead = [error(name, "not now")]

    assert deliver(built(aws.entry())) == TryLater(400, f"{name}: answered 400: not now")


def test_what_was_asked_wrongly_is_refused(aws: SageMaker) -> None:
    aws.instead = [Reply(200, {}), error("ValidationException", "no such parameter")]

    assert deliver(built(aws.entry())) == Refused(400, "ValidationException: answered 400: no such parameter")


def test_a_refused_signature_is_said_without_what_was_signed(aws: SageMaker) -> None:
    """AWS repeats all of it, a session token among it."""
    aws.instead = [error("InvalidSignatureException", f"x-amz-security-token:session-{CANARY}")]

    end = deliver(built(aws.entry()))

    assert end == TryLater(400, "answered 400 InvalidSignatureException")


def test_without_credentials_it_waits(aws: SageMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    told = built(aws.entry())

    assert deliver(told) == TryLater(detail="there are no AWS credentials")
    assert told.check(way_out(), SystemClock()).problems == ("there are no AWS credentials",)
    assert aws.calls == []


def test_a_profile_that_there_is_not_is_said(aws: SageMaker) -> None:
    with pytest.raises(ValueError, match=r"profile: The config profile \(nobody\) could not be found"):
        built(aws.entry(profile="nobody"))


@pytest.mark.parametrize(
    ("region", "url"),
    [
        ("eu-central-1", "https://api.sagemaker.eu-central-1.amazonaws.com"),
        ("cn-north-1", "https://api.sagemaker.cn-north-1.amazonaws.com.cn"),
    ],
)
def test_a_region_has_its_endpoint(region: str, url: str) -> None:
    from monitor.targets.registry import read_target

    settings = read_target({"name": "x", "type": "sagemaker", "pipeline": "p", "region": region})

    assert settings.urls() == (url,)


@pytest.mark.parametrize(
    ("module", "entry", "extra"),
    [
        ("botocore.session", {"type": "sagemaker", "pipeline": "p", "region": "r"}, "aws"),
        ("google.auth", {**ENTRY, "credentials_file": None}, "google"),
    ],
)
def test_an_extra_that_is_not_installed_is_said(
    monkeypatch: pytest.MonkeyPatch, module: str, entry: dict[str, Any], extra: str
) -> None:
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(ValueError, match=rf"needs .*: pip install 'driftd\[{extra}\]'"):
        built(entry)


# --- Vertex AI --------------------------------------------------------------------------------------------------------


def test_a_job_is_as_the_api_has_it(google: Vertex, tmp_path: Path) -> None:
    deliver(built(google.entry(service_account="trainer@p"), tmp_path), decision(model="Churn (EU)"))

    call = google.calls[-1]
    assert (call.path, call.query) == (PATH, {"pipelineJobId": RUN_ID})
    assert re.fullmatch(r"[a-z][-a-z0-9]{0,127}", RUN_ID)
    assert call.headers["authorization"] == "Bearer ya29.canary7f3a"
    assert call.json == {
        "displayName": RUN_ID,
        "templateUri": "https://europe-west1-kfp.pkg.dev/p/r/train/v1",
        "serviceAccount": "trainer@p",
        "labels": {"driftd": "retraining", "driftd-model": "churn__eu_", "driftd-reason": "drift"},
        "runtimeConfig": {
            "gcsOutputDirectory": "gs://b/runs",
            "parameterValues": {"since": "2026-11-23T03:55:00Z", "rows": 10000},
        },
    }


def test_a_409_of_what_was_interrupted_is_tried_again(google: Vertex, tmp_path: Path) -> None:
    google.instead = [Reply(409, {"error": {"status": "ABORTED", "message": "concurrent"}})]
    told = built(google.entry(), tmp_path)

    assert deliver(told) == TryLater(409, "answered 409: concurrent")
    assert isinstance(deliver(told), Delivered)


def test_a_compiled_pipeline_is_sent_with_the_job(google: Vertex, tmp_path: Path) -> None:
    spec = {"pipelineInfo": {"name": "train"}, "deploymentSpec": {}, "schemaVersion": "2.1.0"}
    (tmp_path / "train.json").write_text(json.dumps(spec))

    deliver(built(google.entry(template_uri=None, pipeline_file="train.json"), tmp_path))

    assert google.calls[-1].json["pipelineSpec"] == spec
    assert "templateUri" not in google.calls[-1].json


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "pipeline_file: train.json cannot be read: No such file or directory"),
        ("{", "pipeline_file: train.json is neither JSON nor YAML"),
        ("[]", "pipeline_file: train.json is no compiled pipeline: it has no deploymentSpec"),
    ],
)
def test_a_pipeline_that_is_none_is_said(google: Vertex, tmp_path: Path, text: str | None, said: str) -> None:
    if text is not None:
        (tmp_path / "train.json").write_text(text)

    with pytest.raises(ValueError, match="pipeline_file") as refused:
        built(google.entry(template_uri=None, pipeline_file="train.json"), tmp_path)

    assert str(refused.value).replace(f"{tmp_path}/", "") == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "credentials_file: account.json cannot be read: No such file or directory"),
        (f'{{"private_key": "{CANARY}"}}', "credentials_file: account.json is no service account's key"),
        (CANARY, "credentials_file: account.json is no service account's key"),
    ],
)
def test_a_key_that_is_none_is_said_without_it(google: Vertex, tmp_path: Path, text: str | None, said: str) -> None:
    (tmp_path / "account.json").unlink()
    if text is not None:
        (tmp_path / "account.json").write_text(text)

    with pytest.raises(ValueError, match="credentials_file") as refused:
        built(google.entry(), tmp_path)

    assert str(refused.value).replace(f"{tmp_path}/", "") == said


def test_no_token_is_no_connection(google: Vertex, tmp_path: Path) -> None:
    """And what the token's server says is not told: it may hold what it was sent."""
    google.untouched = frozenset()
    google.instead = [Reply(400, {"error": "invalid_grant", "error_description": CANARY})]

    with pytest.raises(TransportError, match="no access token can be had: RefreshError") as failed:
        built(google.entry(), tmp_path).deliver(decision(), way_out(), SystemClock())
    assert "canary" not in str(failed.value)


def test_a_machine_of_google_is_asked_for_its_token_where_no_target_may_be(
    google: Vertex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address of a metadata server is refused to all that an operator writes; google-auth's own may be asked."""
    monkeypatch.setattr(vertex, "METADATA_HOSTS", frozenset({"127.0.0.1"}))
    told = vertex._Asker(way_out(), vertex.Api("http://169.254.169.254"))

    answer = told(f"{google.url}/token", headers={"metadata-flavor": "Google"}, timeout=5)

    assert answer.status == 200
    assert json.loads(answer.data)["token_type"] == "Bearer"
    assert google.calls[0].headers["metadata-flavor"] == "Google"
