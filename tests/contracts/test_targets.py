"""What holds of every target that starts something: one decision is one run, and no secret is shown."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.runs import RunState
from monitor.clock import SystemClock
from monitor.store.notice import Notice
from monitor.targets.base import (
    AlreadyThere,
    Checkable,
    Delivered,
    Fault,
    Followed,
    Refused,
    Starting,
    TryLater,
)
from monitor.targets.registry import built_in, read_target
from tests.apis.airflow import Airflow
from tests.apis.argo import Argo
from tests.apis.dagster import Dagster
from tests.apis.github import Github
from tests.apis.kubeflow import Kubeflow
from tests.apis.mlflow import Mlflow
from tests.apis.pagers import ById
from tests.apis.prefect import Prefect
from tests.apis.sagemaker import SageMaker
from tests.apis.service import CANARY, ENVIRONMENT, RUN_ID, Reply, built, decision, deliver, way_out
from tests.apis.vertex import Vertex
from tests.parts.missing import MissingPart

APIS: dict[str, Callable[[], Any]] = {
    "airflow": Airflow,
    "argo_workflows": Argo,
    "dagster": Dagster,
    "github": Github,
    "kubeflow": Kubeflow,
    "mlflow": Mlflow,
    "prefect": Prefect,
    "sagemaker": SageMaker,
    "sagemaker_without_tokens": lambda: SageMaker(forgetful=True),
    "vertex": Vertex,
}
KNOWN_STATE = [name for name in APIS if name != "mlflow"]  # which marks a version, and does not know who trains


@pytest.fixture(params=APIS)
def api(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    let_in(request.param, monkeypatch)
    found = APIS[request.param]()
    if request.param == "vertex":
        (tmp_path / "account.json").write_text(found.account(private_key()))
    yield found
    found.close()


def let_in(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if name.startswith("sagemaker"):
        needs("botocore")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARY)
        monkeypatch.setenv("AWS_SESSION_TOKEN", f"session-{CANARY}")
        monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    if name == "vertex":
        needs("google.auth")


def needs(module: str) -> None:
    try:
        __import__(module)
    except ImportError:
        raise MissingPart(f"{module} is not here", "make setup") from None


@cache
def private_key() -> str:
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def test_a_decision_that_is_delivered_five_times_is_one_run(api: Any, tmp_path: Path) -> None:
    """The first answer is lost on the way, after the request was taken."""
    told = built(api.entry(), tmp_path)
    api.lose = 1

    ends = [deliver(told) for _ in range(5)]

    assert ends[0] is None
    assert isinstance(ends[1], AlreadyThere | Delivered)  # MLflow's goes on where it was
    assert {type(end) for end in ends[2:]} == {AlreadyThere}
    assert len(api.runs) == 1


def test_another_decision_is_another_run(api: Any, tmp_path: Path) -> None:
    told = built(api.entry(), tmp_path)

    ends = [deliver(told, decision(name * 32)) for name in "ab"]

    assert [type(end) for end in ends] == [Delivered, Delivered]
    assert len(api.runs) == 2


def test_the_id_is_ours_and_such_as_all_of_them_take(api: Any, tmp_path: Path) -> None:
    deliver(built(api.entry(), tmp_path))

    assert RUN_ID == "d-8d5c0a1b2c3d4e5f8d5c0a1b2c3d4e5f"
    assert RUN_ID in json.dumps(api.runs if isinstance(api.runs, list) else [*api.runs.items()])


def test_no_number_that_is_not_finite_is_sent(api: Any, tmp_path: Path) -> None:
    """Of the notice's data only what names all of it holds its nulls: as JSON has them."""
    entry = api.entry()
    if "parameters" in entry:
        entry["parameters"] = {"since": "{data_range.from}", "rows": "{window.rows}"}

    assert isinstance(deliver(built(entry, tmp_path), decision(window={"rows": None})), Delivered | Refused)

    for call in api.calls:
        assert b"NaN" not in call.body
        assert b'"rows":null' not in call.body.partition(b'"driftd":')[0]


@pytest.mark.parametrize("status", [500, 502, 503, 429, 408, 301, 401, 403, 404])
def test_what_may_pass_or_be_mended_is_tried_again(api: Any, tmp_path: Path, status: int) -> None:
    """And holds back what else the target would be told."""
    told = built(api.entry(), tmp_path)
    api.instead = [Reply(status, {}, {"retry-after": "7"})] * 2

    end = deliver(told)

    assert isinstance(end, TryLater), end
    assert end.fault is Fault.RECEIVER
    assert api.runs in ([], {})
    api.instead = []
    assert isinstance(deliver(told), Delivered)


@pytest.mark.parametrize(("headers", "delay"), [({"retry-after": "7"}, 7.0), ({}, None)])
def test_a_quota_is_waited_for_as_long_as_the_server_asks(
    api: Any, tmp_path: Path, headers: dict[str, str], delay: float | None
) -> None:
    """Where it does not say how long, the notifier's own delays count."""
    told = built(api.entry(), tmp_path)
    api.instead = [Reply(429, {"message": "quota exceeded"}, headers)] * 2

    end = deliver(told)

    assert isinstance(end, TryLater)
    assert (end.status, end.delay) == (429, delay)
    assert "quota exceeded" in end.detail


@pytest.mark.parametrize("body", [{"error": "no such thing"}, {"errors": [{"message": "no"}]}, [], None, {}])
def test_an_error_under_200_is_no_success(api: Any, tmp_path: Path, body: Any) -> None:
    """Nothing was started, so nothing may be taken for started."""
    told = built(api.entry(), tmp_path)
    api.instead = [Reply(200, body)] * 12

    end = deliver(told)

    assert isinstance(end, TryLater | Refused), end
    assert end.detail
    assert api.runs in ([], {})


def test_a_login_page_under_200_is_no_success(api: Any, tmp_path: Path) -> None:
    """A proxy that asks for a password answers so."""
    told = built(api.entry(), tmp_path)
    api.instead = [Reply(200, b"<html>Sign in</html>", {"content-type": "text/html"})] * 3

    assert isinstance(deliver(told), TryLater)


def test_check_reads_and_starts_nothing(api: Any, tmp_path: Path) -> None:
    told = built(api.entry(), tmp_path)
    assert isinstance(told, Checkable)
    found = told.check(way_out(), SystemClock())
    api.instead = [Reply(403, {"message": "Forbidden"})] * 4
    refused = told.check(way_out(), SystemClock())

    assert (found.problems, bool(found.found)) == ((), True)
    assert "answered 403: Forbidden" in refused.problems[0]
    assert api.runs in ([], {})


def test_no_secret_is_shown(api: Any, tmp_path: Path) -> None:
    """Not in a repr, and not in what a server says that repeats it."""
    told = built(api.entry(), tmp_path)
    api.instead = [lambda call: Reply(422, {"message": " ".join(call.headers.values()) + call.body.decode()})] * 2

    end = deliver(told)

    assert isinstance(end, Refused)
    assert isinstance(told, Starting)
    assert "canary" not in repr(told)
    assert "canary" not in repr(end)


@pytest.mark.parametrize("api", KNOWN_STATE, indirect=True)
def test_it_says_how_its_run_stands(api: Any, tmp_path: Path) -> None:
    told = built(api.entry(), tmp_path)
    clock = SystemClock()
    assert isinstance(told, Followed)
    before = told.status(decision(), way_out(), clock)
    deliver(told)
    after = told.status(decision(), way_out(), clock)

    assert (before.state, after.state) == (RunState.ABSENT, RunState.IN_FLIGHT)


@pytest.mark.parametrize(
    ("entry", "header", "name"),
    [
        ({"type": "argo_events"}, "ce-id", RUN_ID),
        ({"type": "webhook", "secret_env": "WEBHOOK"}, "webhook-id", RUN_ID.removeprefix("d-")),
    ],
    ids=["argo_events", "webhook"],
)
def test_who_knows_no_key_is_told_the_same_id_each_time(
    entry: dict[str, Any], header: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five deliveries, the first answer lost: who acts once on each id starts one run."""
    monkeypatch.setitem(ENVIRONMENT, "WEBHOOK", "whsec_" + "A" * 44)
    receiver = ById(header)
    told = built({**entry, "url": receiver.url})

    ends = [deliver(told) for _ in range(5)]
    receiver.close()

    assert ends[0] is None
    assert {type(end) for end in ends[1:]} == {Delivered}
    assert dict(receiver.by_key) == {name: ["started"]}
    assert receiver.deliveries == 5


ENDS: dict[str, tuple[str, dict[str, RunState]]] = {  # where each keeps how a run stands, and its words for the ends
    "airflow": ("state", {"success": RunState.SUCCEEDED, "failed": RunState.FAILED}),
    "argo_workflows": ("phase", {"Succeeded": RunState.SUCCEEDED, "Failed": RunState.FAILED, "Error": RunState.FAILED}),
    "dagster": (
        "status",
        {"SUCCESS": RunState.SUCCEEDED, "FAILURE": RunState.FAILED, "CANCELED": RunState.CANCELLED},
    ),
    "github": (
        "conclusion",
        {"success": RunState.SUCCEEDED, "timed_out": RunState.FAILED, "cancelled": RunState.CANCELLED},
    ),
    "kubeflow": (
        "state",
        {"SUCCEEDED": RunState.SUCCEEDED, "FAILED": RunState.FAILED, "CANCELED": RunState.CANCELLED},
    ),
    "prefect": (
        "state_type",
        {"COMPLETED": RunState.SUCCEEDED, "CRASHED": RunState.FAILED, "CANCELLED": RunState.CANCELLED},
    ),
    "sagemaker": (
        "PipelineExecutionStatus",
        {"Succeeded": RunState.SUCCEEDED, "Failed": RunState.FAILED, "Stopped": RunState.CANCELLED},
    ),
    "vertex": (
        "state",
        {
            "PIPELINE_STATE_SUCCEEDED": RunState.SUCCEEDED,
            "PIPELINE_STATE_FAILED": RunState.FAILED,
            "PIPELINE_STATE_CANCELLED": RunState.CANCELLED,
        },
    ),
}


@pytest.mark.parametrize("api", ENDS, indirect=True)
def test_it_says_how_its_run_ended_by_our_id_alone(api: Any, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """What else the decision said is gone by then: the outbox keeps no body of what was delivered."""
    told = built(api.entry(), tmp_path)
    deliver(told)
    known = Notice(decision().id, decision().type, decision().subject, 0, b"{}")
    run = next(iter(api.runs.values() if isinstance(api.runs, dict) else api.runs))
    key, words = ENDS[request.node.callspec.params["api"]]
    for word, state in words.items():
        (run["status"] if key == "phase" else run)[key] = word
        if key == "conclusion":
            run["status"] = "completed"
        found = told.status(known, way_out(), SystemClock())

        assert found.state is state
        assert found.run
        assert found.url is None or found.url.startswith(api.url)


@pytest.mark.parametrize("api", ENDS, indirect=True)
def test_what_it_does_not_say_is_no_end(api: Any, tmp_path: Path) -> None:
    told = built(api.entry(), tmp_path)
    deliver(told)
    api.instead = [Reply(500, {"message": "oops"})] * 2
    found = told.status(decision(), way_out(), SystemClock())

    assert found.state is RunState.UNKNOWN


STARTS_NONE = {
    "webhook",
    "argo_events",
    "alertmanager",
    "email",
    "openlineage",
    "opsgenie",
    "pagerduty",
    "slack",
    "teams",
}


def test_every_type_that_starts_runs_is_tried_here() -> None:
    tried = {api.partition("_without")[0] for api in APIS}

    assert {*built_in()} - tried == STARTS_NONE


@pytest.mark.parametrize("name", sorted({*built_in()} - STARTS_NONE - {"mlflow"}))
def test_what_starts_runs_is_told_of_decisions_alone(name: str) -> None:
    entry = ENTRIES[name] | {"name": "x", "type": name, "types": ["model.alert.resolved"]}

    with pytest.raises(ValueError, match=r"starts a run for each notice, so it takes model\.retrain\.requested alone"):
        read_target(entry)


ENTRIES: dict[str, dict[str, Any]] = {
    "airflow": {"url": "http://x", "dag": "d", "token_env": "TOKEN"},
    "argo_workflows": {"url": "http://x", "namespace": "n", "template": "t"},
    "dagster": {"url": "http://x", "location": "l", "job": "j"},
    "github": {"repository": "a/b", "token_env": "TOKEN"},
    "kubeflow": {"url": "http://x", "pipeline_id": "p", "pipeline_version_id": "v", "experiment_id": "e"},
    "prefect": {"url": "http://x", "deployment": "flow/name"},
    "sagemaker": {"pipeline": "p", "region": "eu-central-1"},
    "vertex": {"project": "p", "location": "l", "bucket": "gs://b", "template_uri": "https://x/y"},
}
