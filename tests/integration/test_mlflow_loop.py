"""The whole loop against a real MLflow server: drift, tags on the version, a new version, its reference, nothing in flight any more."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.cli import main
from tests.parts import servers
from tests.renewing import RenewedScene, events, fitted, renewing, with_prediction_of

pytestmark = pytest.mark.timeout(1800)
API = "/api/2.0/mlflow"
SECRET = "s3cret-ü"
HOOK = """
import sys
from mlflow import MlflowClient
url, secret = sys.argv[1:]
MlflowClient().create_webhook("driftd", url, events=["model_version.created"], secret=secret)
"""
LOG = """
import sys
import mlflow
run, path = sys.argv[1:]
mlflow.MlflowClient().log_artifact(run, path, "driftd")
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[servers.Server]:
    programs = servers.installed("mlflow")
    if programs is None:
        pytest.skip("mlflow is run by `make targets`")
    folder = tmp_path / "mlflow"
    folder.mkdir()
    found = servers.Server(folder, programs)
    servers.mlflow(found)
    yield found
    found.stop()


def ask(server: servers.Server, path: str, body: Any) -> Any:
    status, said = server.ask("POST", API + path, body)
    assert status == 200, said
    return said


def python(server: servers.Server, script: str, *arguments: str) -> None:
    server.run("python", "-c", script, *arguments, MLFLOW_TRACKING_URI=f"http://{server.address}")


def a_run(server: servers.Server) -> str:
    created = ask(server, "/runs/create", {"experiment_id": "0", "start_time": round(time.time() * 1000)})
    return str(created["run"]["info"]["run_id"])


def register(server: servers.Server, run: str) -> str:
    made = ask(server, "/model-versions/create", {"name": "churn", "source": f"runs:/{run}/model", "run_id": run})
    return str(made["model_version"]["version"])


def tags(server: servers.Server, version: str) -> dict[str, str]:
    found = server.ask("GET", f"{API}/model-versions/get?name=churn&version={version}")[1]["model_version"]
    return {tag["key"]: tag["value"] for tag in found.get("tags", [])}


def outcomes(scene: RenewedScene) -> list[str]:
    return [each["outcome"] for each in scene.ask("GET", "/api/v1/retraining")[1]]


def test_what_drifts_is_marked_retrained_registered_and_judged_anew(tmp_path: Path, server: servers.Server) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret").write_text(SECRET, encoding="utf-8")
    url = f"http://{server.address}"
    registry = {"type": "mlflow", "url": url, "poll": "1h", "webhook_secret_file": "secret"}
    (home / "push.yaml").write_text(
        f"topics: [{{name: t}}]\nmodels: [{{name: churn, reference: first.json}}]\nregistry: {{type: mlflow, url: '{url}'}}\n"
    )
    ask(server, "/registered-models/create", {"name": "churn"})
    first = fitted(1)
    first.save(home / "first.json")
    assert register(server, a_run(server)) == "1"
    push = ["reference", "push", str(home / "first.json"), "models:/churn/1", "--config", str(home / "push.yaml")]
    assert main(push) == 0
    assert tags(server, "1")["driftd.reference"] == first.hash

    model = {
        "version": "1",
        "reference": "models:/churn/1",
        "retraining": {"cooldown": "0s", "max_per_week": 100, "in_flight_timeout": "30d"},
    }
    target = {"name": "registry", "type": "mlflow", "url": url, "alias": "needs-retraining"}
    with (
        capture_logs(),
        renewing(
            home, {"reference": "registry", "rows": 10**6}, registry=registry, model=model, targets=[target]
        ) as scene,
    ):
        hook = f"http://127.0.0.1:{scene.daemon.server.address[1]}/api/v1/registry/webhook"
        python(server, HOOK, hook, SECRET)
        scene.pace = 0.02  # its clock is as fast as ours, by which webhooks are signed
        scene.clock.set_wall(time.time() - scene.clock.now() / 10**9)  # signatures are of today
        scene.feed(events("1", 0, 20, seed=2))
        scene.eventually(lambda: scene.daemon.pipeline.versions._listed == {"churn": ["1"]})
        scene.feed(events("1", 200, 20, seed=3, shift=1.0))
        scene.eventually(lambda: "driftd.decision" in tags(server, "1"))
        assert outcomes(scene) == ["requested"]
        trigger = {"decision": "trigger", "model": "churn", "by": "ana", "reason": "try"}
        assert scene.ask("POST", "/api/v1/decisions", trigger)[0] == 409  # one is in flight

        own = with_prediction_of(fitted(5, shift=1.0), 0.7, seed=9)
        (home / "out").mkdir()
        own.save(home / "out" / "reference.json")
        run = a_run(server)
        python(server, LOG, run, str(home / "out" / "reference.json"))  # as a training job would
        assert register(server, run) == "2"
        scene.eventually(
            lambda: scene.judged("2") == "given", seconds=120
        )  # the webhook came, the poll is an hour away
        assert scene.ask("GET", "/api/v1/versions")[1][0]["reference"] == own.hash
        scene.feed(events("2", 400, 20, seed=4, shift=1.0, score=0.7))
        assert scene.alerts("2") == set()
        assert scene.ask("POST", "/api/v1/decisions", trigger)[0] == 201  # nothing is in flight any more
