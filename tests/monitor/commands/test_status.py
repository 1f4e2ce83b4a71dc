"""`driftd status` against the HTTP of a daemon: what it prints, in which order, and its exit codes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.cli import main
from monitor.facts import AlertSeen
from monitor.stream.events import SeriesKey
from tests.pages import DRIFTING, HEALTHY, Scene, closed, quiet_day, usual_day

Output = pytest.CaptureFixture[str]


@pytest.fixture
def scene() -> Iterator[Scene]:
    found = usual_day(troubled=True)
    yield found
    found.close()


@pytest.fixture
def quiet() -> Iterator[Scene]:
    found = quiet_day()
    yield found
    found.close()


def test_what_is_wrong_is_said_first_and_ends_with_1(scene: Scene, capsys: Output) -> None:
    assert main(["status", "--url", scene.url]) == 1
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith(
        "2 incidents are open; driftd 0.9.0 is ready; events are complete until 2026-11-23T12:00:00Z"
    )
    assert (
        lines[1]
        == "! 31 % of the events of predictions are late and not counted: partition predictions/2 is 12 minutes behind"
    )
    assert "CRITICAL churn/3: drift since 2026-11-23T04:05:00Z" in lines
    assert "    age  mean 41.2 → 47.9, up 0.8 σ" in lines
    assert f"    driftd ack {DRIFTING.incident}" in lines
    assert "WARNING fraud/2026.11: data quality since 2026-11-23T11:00:00Z, looked after by ana" in lines
    assert any(line.startswith("churn/3        ALERTING") and "age 3.32" in line for line in lines)
    assert any(
        line.startswith("predictions  54") and line.endswith("malformed_json 31, timestamp_missing 6") for line in lines
    )
    assert any(
        line.startswith("trainer  webhook https://trainer.internal/retrain   dead answered 410") for line in lines
    )


def test_a_quiet_day_ends_with_0(quiet: Scene, capsys: Output) -> None:
    assert main(["status", "--url", quiet.url]) == 0
    assert capsys.readouterr().out.startswith("no incident is open; driftd 0.9.0 is ready")


def test_a_daemon_that_is_not_ready_ends_with_1(quiet: Scene, capsys: Output) -> None:
    quiet.trouble = "the loop has not turned for 30 s"

    assert main(["status", "--url", quiet.url]) == 1
    assert "is not ready: the loop has not turned for 30 s" in capsys.readouterr().out


def test_a_model_is_told_feature_by_feature_the_nearest_first(scene: Scene, capsys: Output) -> None:
    assert main(["status", "churn", "--url", scene.url]) == 1
    told = capsys.readouterr().out
    rows = [line.split() for line in told.partition("FEATURE ")[2].splitlines()[1:]]

    assert [row[:3] for row in rows[:2]] == [["age", "drift", "3.32"], ["plan", "drift", "2.00"]]
    assert main(["status", "search", "--url", scene.url]) == 0  # what is open is another's


def test_a_model_that_is_not_there(scene: Scene, capsys: Output) -> None:
    assert main(["status", "chrun", "--url", scene.url]) == 2
    assert capsys.readouterr().err.startswith("driftd: driftd watches no model 'chrun'; there is churn, eta,")


def test_a_daemon_that_is_away_is_one_line(quiet: Scene, capsys: Output) -> None:
    quiet.close()

    assert main(["status", "--url", quiet.url]) == 3
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"driftd: {quiet.url} does not answer: ")
    assert told.err.count("\n") == 1


def test_an_address_that_is_none(capsys: Output) -> None:
    assert main(["status", "--url", "ftp://x"]) == 2
    assert "no address such as" in capsys.readouterr().err


def test_without_an_address_the_configuration_says_it(
    quiet: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "driftd.yaml"
    port = quiet.server.server_address[1]
    model = {"name": "eta", "reference": "eta.json"}
    config.write_text(
        json.dumps(
            {"topics": [{"name": "t", "kind": "predictions"}], "models": [model], "state": "s", "http": {"port": port}}
        )
    )
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)

    assert main(["status", "--config", str(config)]) == 0


def test_all_of_it_as_json(scene: Scene, capsys: Output) -> None:
    assert main(["status", "--json", "--url", scene.url]) == 1
    said = json.loads(capsys.readouterr().out)

    assert said["incidents"][0]["incident"] == DRIFTING.incident
    assert said["models"][0]["model"] == "churn"


def test_a_name_from_outside_steers_no_terminal(capsys: Output) -> None:
    key = SeriesKey("a\x1b[31m", "1")
    alert = AlertSeen(key, "drift", DRIFTING.severity, DRIFTING.state, DRIFTING.since, 1, DRIFTING.evidence)
    scene = Scene([*closed({key: ("x\x1b[2J",)}), *HEALTHY, alert], {key: ("x\x1b[2J",)})
    try:
        main(["status", "--url", scene.url])
        main(["status", key.model, "--url", scene.url])
        main(["status", "nobody", "--url", scene.url])
    finally:
        scene.close()
    told = capsys.readouterr()

    assert "\x1b" not in told.out + told.err
