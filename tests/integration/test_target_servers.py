"""Against the real servers: a decision that is delivered five times, its first answer lost on the way, is one run."""

import json
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.runs import RunState
from monitor.clock import SystemClock
from monitor.store.outbox import Notice
from monitor.targets.base import AlreadyThere, Delivered, Delivery, Refused, TryLater
from tests.apis.kubeflow import Kubeflow
from tests.apis.service import ENVIRONMENT, Call, Relay, built, decision, deliver, way_out
from tests.contracts.test_targets import let_in
from tests.parts import servers

pytestmark = pytest.mark.timeout(1800)
Start = Callable[[str], servers.Server]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with ExitStack() as stack:

        def started(name: str) -> servers.Server:
            programs = servers.installed(name)
            if programs is None:
                pytest.skip(f"{name} is run by `make targets`")
            server = servers.Server(tmp_path, programs)
            stack.callback(server.stop)
            return server

        yield started


@pytest.fixture
def notice() -> Notice:
    return decision(secrets.token_hex(16))


def five(told: Any, relay: Relay, notice: Notice, changing: Callable[[Call], bool]) -> list[Delivery | None]:
    relay.changing, relay.lose = changing, 1  # type: ignore[method-assign]
    ends = [deliver(told, notice) for _ in range(5)]
    assert ends[0] is None
    assert {type(end) for end in ends[1:]} == {AlreadyThere}
    return ends


def status(told: Any, notice: Notice) -> RunState:
    state: RunState = told.status(notice, way_out(), SystemClock()).state
    return state


def relayed(server: servers.Server, stack: ExitStack) -> Relay:
    relay = Relay(server.address)
    stack.callback(relay.close)
    return relay


def test_airflow_starts_it_once(start: Start, notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start("airflow")
    monkeypatch.setitem(ENVIRONMENT, "PASSWORD", servers.airflow(server))
    with ExitStack() as stack:
        relay = relayed(server, stack)
        entry = {"type": "airflow", "url": relay.url, "username": "admin", "password_env": "PASSWORD"}
        told = built({**entry, "dag": "train"})

        five(told, relay, notice, lambda call: call.path.endswith("/dagRuns"))

        assert status(told, notice) is RunState.IN_FLIGHT
        assert status(told, decision("ab" * 16)) is RunState.ABSENT
        assert told.check(way_out(), SystemClock()).found == "DAG train is there"
        assert isinstance(deliver(built({**entry, "dag": "nope"}), notice), TryLater)
    said = {"username": "admin", "password": ENVIRONMENT["PASSWORD"]}
    token = server.ask("POST", "/auth/token", said)[1]["access_token"]
    runs = server.ask("GET", "/api/v2/dags/train/dagRuns", headers={"authorization": f"Bearer {token}"})[1]["dag_runs"]
    assert [(run["dag_run_id"], run["logical_date"]) for run in runs] == [(f"d-{notice.id}", None)]
    assert runs[0]["conf"]["driftd"]["data_range"]["from"] == "2026-11-23T03:55:00Z"


def test_dagster_launches_it_once(start: Start, notice: Notice) -> None:
    server = start("dagster")
    servers.dagster(server)
    with ExitStack() as stack:
        relay = relayed(server, stack)
        config = {"since": "{data_range.from}", "rows": "{window.rows}"}
        entry = {"type": "dagster", "url": relay.url, "location": "jobs.py", "job": "retrain"}
        told = built({**entry, "run_config": {"ops": {"train": {"config": config}}}})

        five(told, relay, notice, lambda call: b"launchRun" in call.body)

        assert status(told, notice) is not RunState.ABSENT
        assert status(told, decision("ab" * 16)) is RunState.ABSENT
        assert told.check(way_out(), SystemClock()).problems == ()
        assert isinstance(deliver(built(entry), decision("cd" * 16)), Refused)  # 200, and no configuration
        assert isinstance(deliver(built({**entry, "job": "nope"}), decision("ef" * 16)), TryLater)
    query = "query { runsOrError { ... on Runs { results { tags { key value } } } } }"
    (run,) = server.ask("POST", "/graphql", {"query": query})[1]["data"]["runsOrError"]["results"]
    assert {"key": "driftd/decision", "value": f"d-{notice.id}"} in run["tags"]


def test_mlflow_is_marked_once(start: Start, notice: Notice) -> None:
    """Whichever of the writing requests loses its answer."""
    server = start("mlflow")
    servers.mlflow(server)
    api = "/api/2.0/mlflow"
    server.ask("POST", f"{api}/registered-models/create", {"name": "churn"})
    server.ask("POST", f"{api}/model-versions/create", {"name": "churn", "source": "s3://bucket/churn"})
    server.ask("POST", f"{api}/experiments/create", {"name": "drift"})
    with ExitStack() as stack:
        relay = relayed(server, stack)
        told = built({"type": "mlflow", "url": relay.url, "version": "1", "alias": "retrain", "experiment": "drift"})
        ends = []
        for number in range(1, 14):
            seen = [0]

            def nth(call: Call, number: int = number, seen: list[int] = seen) -> bool:
                seen[0] += call.method == "POST"
                return call.method == "POST" and seen[0] == number

            relay.changing, relay.lose = nth, 1  # type: ignore[method-assign]
            ends.append(deliver(told, notice))

        assert isinstance(ends[-1], AlreadyThere)
        assert None in ends
        keys = [call.json["key"] for call in relay.posts("/set-tag")]
        assert sorted(keys) == sorted({*keys})
        assert isinstance(deliver(built({"type": "mlflow", "url": relay.url, "version": "9"}), notice), TryLater)
    version = server.ask("GET", f"{api}/model-versions/get?name=churn&version=1")[1]["model_version"]
    assert {tag["key"]: tag["value"] for tag in version["tags"]}["driftd.decision"] == f"d-{notice.id}"
    assert version["aliases"] == ["retrain"]
    (run,) = server.ask("POST", f"{api}/runs/search", {"experiment_ids": ["1"]})[1]["runs"]
    assert run["info"]["status"] == "FINISHED"
    assert {each["key"]: each["value"] for each in run["data"]["metrics"]}["drift/age/score"] == 1.41


def test_moto_starts_an_execution_once(start: Start, notice: Notice, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its SageMaker knows no token: the executions that are there are looked through."""
    let_in("sagemaker", monkeypatch)
    from monitor.targets.sagemaker import session_of, signed

    server = start("moto")
    servers.moto(server)

    def ask(operation: str, **asked: str) -> Any:
        headers = signed(
            session_of(None), "eu-central-1", f"http://{server.address}", operation, json.dumps(asked).encode()
        )
        return server.ask("POST", "/", asked, headers)[1]

    role = "arn:aws:iam::123456789012:role/train"
    ask("CreatePipeline", PipelineName="train", PipelineDefinition="{}", RoleArn=role, ClientRequestToken="a" * 32)
    with ExitStack() as stack:
        relay = relayed(server, stack)
        entry = {"type": "sagemaker", "url": relay.url, "region": "eu-central-1", "pipeline": "train"}
        told = built({**entry, "parameters": {"Since": "{data_range.from}"}})

        five(told, relay, notice, lambda call: call.headers["x-amz-target"].endswith("StartPipelineExecution"))

        assert status(told, notice) is not RunState.ABSENT
        assert told.check(way_out(), SystemClock()).found == "pipeline train is there"
    (execution,) = ask("ListPipelineExecutions", PipelineName="train")["PipelineExecutionSummaries"]
    assert execution["PipelineExecutionDisplayName"] == f"d-{notice.id}"


READ_RUN = """
import json, sys, types
import kfp_server_api

body = types.SimpleNamespace(data=sys.stdin.read())
run = kfp_server_api.ApiClient().deserialize(body, "V2beta1Run")
print(json.dumps(kfp_server_api.ApiClient().sanitize_for_serialization(run)))
"""


def test_the_models_of_kubeflow_take_what_is_sent(start: Start, notice: Notice) -> None:
    """Read into the client library's classes and written again, nothing is lost or named otherwise."""
    server, kubeflow = start("moto"), Kubeflow()
    deliver(built(kubeflow.entry(service_account="trainer")), notice)
    kubeflow.close()
    (post,) = kubeflow.posts()

    read = subprocess.run(
        [server.programs / "python", "-c", READ_RUN],
        input=post.body.decode(),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )

    assert json.loads(read.stdout) == post.json


def create(server: servers.Server, path: str, body: Any) -> Any:
    """What a server made; one that has just begun may be busy with its database, and answers 503."""
    deadline = time.monotonic() + 120
    while (answer := server.ask("POST", path, body))[0] not in {200, 201}:
        assert time.monotonic() < deadline, answer
        time.sleep(1)
    return answer[1]


def ended(server: servers.Server, told: Any, notice: Notice, word: str) -> RunState:
    """How a flow run stands that Prefect was told has ended."""
    found = told.status(notice, way_out(), SystemClock())
    assert found.url.endswith(f"/runs/flow-run/{found.run}")
    state = {"state": {"type": word}, "force": True}
    assert server.ask("POST", f"/api/flow_runs/{found.run}/set_state", state)[0] in {200, 201}
    return status(told, notice)


def test_prefect_creates_it_once_a_deployment(start: Start, notice: Notice) -> None:
    server = start("prefect")
    servers.prefect(server)
    flow = create(server, "/api/flows/", {"name": "train"})["id"]
    schema = {"type": "object", "properties": {"since": {"type": "string"}}, "required": ["since"]}
    made = {"flow_id": flow, "parameter_openapi_schema": schema, "enforce_parameter_schema": True}
    for name in ("nightly", "other"):
        create(server, "/api/deployments/", {**made, "name": name})
    with ExitStack() as stack:
        relay = relayed(server, stack)
        entry = {"type": "prefect", "url": f"{relay.url}/api", "parameters": {"since": "{data_range.from}"}}
        told = built({**entry, "deployment": "train/nightly"})

        five(told, relay, notice, lambda call: call.path.endswith("/create_flow_run"))

        assert isinstance(deliver(built({**entry, "deployment": "train/other"}), notice), Delivered)
        assert isinstance(deliver(built({**entry, "deployment": "train/nightly", "parameters": {"since": 5}})), Refused)
        assert status(told, notice) is RunState.IN_FLIGHT
        assert status(told, decision("ab" * 16)) is RunState.ABSENT
        assert told.check(way_out(), SystemClock()).problems == ()
        runs = server.ask("POST", "/api/flow_runs/filter", {})[1]
        assert [ended(server, told, notice, word) for word in ("COMPLETED", "FAILED", "CANCELLED", "CRASHED")] == [
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.CANCELLED,
            RunState.FAILED,
        ]
    assert [run["name"] for run in runs] == [f"d-{notice.id}"] * 2
    assert len({run["deployment_id"] for run in runs}) == 2
