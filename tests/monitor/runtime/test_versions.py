"""New versions that somebody tells the daemon of: taken once, on disk before it is answered, and what is in flight ends."""

import json
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from monitor.cli import main
from tests.deciding import MODEL, TOKEN, TRAINER, Scene, running

IN_FLIGHT = {**MODEL, "retraining": {"cooldown": "0s", "max_per_week": 100, "in_flight_timeout": "30d"}}
NO_TIME = "trained_at: must be a time with its zone (RFC 3339), as in 2026-11-23T12:00:00Z"
HEARD = {"models": [IN_FLIGHT], "targets": [TRAINER]}
NEW = {"model": "churn", "version": "4"}
TRIGGER = {"decision": "trigger", "model": "churn", "by": "ana", "reason": "new labels"}
HELD = {"error": "an earlier request has led to no new version yet: not requested; --force stands above it"}


def announce(scene: Scene, token: str = TOKEN, **changes: Any) -> tuple[int, Any]:
    body = json.dumps({**NEW, **changes}).encode()
    return scene.ask("POST", "/api/v1/versions", body, {"authorization": f"Bearer {token}"})[:2]


def test_what_is_told_of_ends_what_is_in_flight_and_a_repeat_changes_nothing(tmp_path: Path) -> None:
    with capture_logs() as logs, running(tmp_path, more=HEARD) as scene:
        (request,) = scene.get("/api/v1/retraining")
        assert request["outcome"] == "requested"
        assert scene.post(TRIGGER) == (409, HELD)

        status, said = announce(scene)
        assert (status, said["decision"], said["version"], said["by"]) == (201, "version", "4", "api")
        assert announce(scene)[0] == 200
        assert announce(scene, id="again", by="ana")[0] == 201

        (known,) = scene.get("/api/v1/versions")
        assert {name: known[name] for name in ("model", "version", "source", "judged")} == {
            "model": "churn",
            "version": "4",
            "source": "request",
            "judged": "seen",
        }
        counted = scene.daemon.telemetry.look(lambda board: board.counters["driftd_model_versions_total"].copy())
        assert counted["churn", "request"] == 1
        assert scene.post({**TRIGGER, "id": "t2"})[0] == 201
    assert [line["version"] for line in logs if line["event"] == "version.seen"] == ["4"]


def test_a_version_trained_before_the_request_was_made_does_not_end_it(tmp_path: Path) -> None:
    with capture_logs(), running(tmp_path, more=HEARD) as scene:
        assert announce(scene, trained_at="2020-01-01T00:00:00Z")[0] == 201
        assert scene.post(TRIGGER) == (409, HELD)
        (known,) = scene.get("/api/v1/versions")
        assert known["trained_at"] == "2020-01-01T00:00:00Z"


def test_a_version_that_is_known_is_known_after_a_restart(tmp_path: Path) -> None:
    with capture_logs(), running(tmp_path, more=HEARD) as scene:
        announce(scene)
    with capture_logs() as logs, running(tmp_path, more=HEARD) as scene:
        assert [each["version"] for each in scene.get("/api/v1/versions")] == ["4"]
        assert announce(scene, id="again")[0] == 201
    assert not [line for line in logs if line["event"] == "version.seen"]


@pytest.mark.parametrize(
    ("changes", "status", "error"),
    [
        ({"model": "chrun"}, 404, "there is no model chrun; there is churn"),
        ({"version": "*"}, 400, "version: * stands for all that are not configured; name one"),
        ({"version": ""}, 400, "Expected `str` of length >= 1 - at `$.version`"),
        ({"trained_at": "2026-11-23T12:00:00"}, 400, NO_TIME),
        ({"trained_at": "noon"}, 400, NO_TIME),
        ({"weights": "s3://x"}, 400, "Object contains unknown field `weights`"),
        ({"reference": "a\u202eb"}, 400, "a text holds a control character"),
    ],
)
def test_what_cannot_be_taken_says_why(tmp_path: Path, changes: dict[str, str], status: int, error: str) -> None:
    with capture_logs(), running(tmp_path) as scene:
        assert announce(scene, **changes) == (status, {"error": error})
        assert announce(scene, token="wrong")[0] == 401
        assert scene.get("/api/v1/versions") == []


def test_the_command_tells_of_a_version_and_lists_those_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    with capture_logs(), running(tmp_path) as scene:
        way = ["--url", f"http://127.0.0.1:{scene.daemon.server.address[1]}"]
        config = [*way, "--config", str(tmp_path / "driftd.yaml")]
        assert main(["version", "list", *way]) == 0
        assert capsys.readouterr().out == "no new version was told of\n"
        assert main(["version", "new", "churn", "4", *config, "--by", "ana", "--reason", "weekly"]) == 0
        assert capsys.readouterr().out.partition("  ")[2] == "version churn version 4, by ana: weekly\n"
        assert main(["version", "list", *way]) == 0
        assert capsys.readouterr().out.startswith("churn/4  2026-11-23T12:0")
        assert main(["version", "new", "churn", "4", *config, "--trained-at", "noon"]) == 2
        assert capsys.readouterr().err == f"driftd: {NO_TIME}\n"
