"""`driftd notify test`: a test is marked as one, and starts no run that was not asked for."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import standardwebhooks
import yaml

from detectors import Reference
from monitor.cli import main
from tests.apis.airflow import Airflow
from tests.apis.service import CANARY
from tests.fakes import Receiver

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    found = Airflow()
    yield found
    found.close()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, receiver: Receiver, airflow: Airflow) -> Path:
    Reference.fit({"age": [float(n) for n in range(100)]}).save(tmp_path / "r.json")
    monkeypatch.setenv("PASSWORD", CANARY)
    monkeypatch.setenv("HOOK", SECRET)
    settings: dict[str, Any] = {
        "topics": [{"name": "predictions"}],
        "models": [{"name": "churn", "version": "3", "reference": "r.json"}],
        "webhooks": [{"name": "hook", "url": receiver.url, "secret_env": "HOOK"}],
        "targets": [{"name": "trainer", **airflow.entry()}],
    }
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(settings))
    return tmp_path / "driftd.yaml"


def notify(config: Path, output: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["notify", "test", *words, "--config", str(config)])
    said = output.readouterr()
    return code, said.out + said.err


def test_a_webhook_is_told_something_that_is_marked(
    config: Path, capsys: pytest.CaptureFixture[str], receiver: Receiver
) -> None:
    """Its type is that of no notice, so who acts on types does nothing."""
    code, said = notify(config, capsys, "hook")

    (request,) = receiver.requests
    body = json.loads(request.body)
    assert (code, body["type"], body["data"]["test"]) == (0, "driftd.test", True)
    assert body["data"]["summary"].startswith("a test of driftd at ")
    assert standardwebhooks.Webhook(SECRET).verify(request.body, request.headers) == body
    name = request.headers["webhook-id"]
    assert said == f"hook (webhook): delivered\ntest notice {name} of type driftd.test\n"


def test_a_webhook_that_does_not_take_it_is_no_success(
    config: Path, capsys: pytest.CaptureFixture[str], receiver: Receiver
) -> None:
    receiver.answers = [500]

    code, said = notify(config, capsys, "hook")

    assert code == 1
    assert said.startswith("hook (webhook): not taken now; the daemon would try again: answered 500\n")


def test_what_starts_runs_is_only_looked_at(config: Path, capsys: pytest.CaptureFixture[str], airflow: Airflow) -> None:
    code, said = notify(config, capsys, "trainer")

    assert (code, said) == (
        0,
        "trainer (airflow): DAG train is there\nno DAG run was started; --start starts one\n",
    )
    assert airflow.runs == {}


def test_a_run_is_started_where_that_is_asked_for(
    config: Path, capsys: pytest.CaptureFixture[str], airflow: Airflow
) -> None:
    code, said = notify(config, capsys, "trainer", "--start")

    ((name, run),) = airflow.runs.items()
    assert (code, run["conf"]["driftd"]["test"]) == (0, True)
    assert name == f"d-{run['conf']['driftd']['decision_id']}"
    assert said.startswith("trainer (airflow): delivered\n")


def test_no_access_is_said_in_a_line(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSWORD", "wrong-canary")

    code, said = notify(config, capsys, "trainer")

    assert (code, said) == (1, "trainer (airflow): /auth/token answered 401: Invalid credentials\n")


def test_a_target_that_there_is_not_is_said_with_those_there_are(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert notify(config, capsys, "hok") == (2, "driftd: there is no target hok; there is hook, trainer\n")
