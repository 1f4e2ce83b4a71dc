"""A whole daemon that reports: into a folder, on demand, once; and settings that cannot be meant."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor.cli import main
from monitor.configuration import load
from monitor.settings import ConfigError, load_settings
from tests.deciding import Scene

REPORTS = {"every": "0 8 * * *", "folder": "reports"}
PAGER = {"name": "pager", "type": "pagerduty", "routing_key_env": "KEY"}
HOOK = {"name": "hook", "url": "http://127.0.0.1:1/", "secret_env": "S"}


def url(scene: Scene) -> str:
    return scene.daemon.server.url


def moved(scene: Scene, seconds: float) -> None:
    """The wall clock goes on, and the loop has turned."""
    scene.clock.advance(seconds)
    turned = scene.source.polls
    scene.eventually(lambda: scene.source.polls > turned + 3)


def test_a_daemon_writes_one_file_a_day_and_none_again_after_a_restart(tmp_path: Path) -> None:
    scene = Scene(tmp_path, more={"reports": REPORTS})
    try:
        folder = tmp_path / "reports"
        moved(scene, 21 * 3600)  # events were read until noon: it waits half a day for more
        assert not folder.exists()
        moved(scene, 12 * 3600)
        scene.eventually(lambda: [each.suffix for each in folder.glob("*")] == [".html"])
        (file,) = folder.iterdir()
        counters = scene.daemon.telemetry.look(lambda board: board.counters["driftd_reports_total"].copy())
        assert counters["churn",] == 1
        scene.eventually(lambda: scene.daemon.store.backlog() == {})
    finally:
        scene.close()
    file.unlink()
    again = Scene(tmp_path, more={"reports": REPORTS})
    try:
        moved(again, 33 * 3600)
        assert list(folder.iterdir()) == []
    finally:
        again.close()


def test_a_report_is_made_when_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(tmp_path)
    try:
        assert main(["report", "churn", "--url", url(scene)]) == 0
        text = capsys.readouterr().out
        assert "1 incident opened" in text
        assert main(["report", "churn", "--last", "1d", "--output", str(tmp_path / "r.html"), "--url", url(scene)]) == 0
        assert "is written" in capsys.readouterr().out
        assert "What fired" in (tmp_path / "r.html").read_text(encoding="utf-8")
        assert main(["report", "churn", "--json", "--url", url(scene)]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["model"], told["windows"], told["incidents_total"]) == ("churn", 2, 1)
        status, _, _ = scene.ask("GET", "/api/v1/models/churn/report?last=90d")
        assert status == 400
        assert main(["report", "nobody", "--url", url(scene)]) != 0
        assert "there is no model 'nobody'" in capsys.readouterr().err
        assert main(["report", "churn", "--output", str(tmp_path / "no" / "r.html"), "--url", url(scene)]) == 2
        assert "cannot be written" in capsys.readouterr().err
    finally:
        scene.close()


def settled(home: Path, reports: Any, **more: Any) -> Any:
    (home / "driftd.yaml").write_text(
        yaml.safe_dump(
            {
                "topics": [{"name": "t"}],
                "models": [{"name": "churn", "reference": "r.json", "window": "1m"}],
                "reports": reports,
                **more,
            }
        )
    )
    return load_settings(home / "driftd.yaml")


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ({}, "reports go nowhere: give folder, targets or both"),
        ({"folder": "x", "every": "mondays"}, "has 1 fields, not 5"),
        ({"folder": "x", "every": "0 8 * * 9"}, "is no cron expression"),
        ({"folder": "x", "every": "0 * * * *"}, "more often than daily"),
        ({"folder": "x", "timezone": "Mars/Olympus"}, "Mars/Olympus"),
        ({"folder": "x", "keep": 0}, "reports.keep"),
        ({"folder": "x", "evry": "0 8 * * 1"}, "did you mean every"),
    ],
)
def test_settings_that_cannot_be_meant_are_one_line(reports: Any, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="reports") as refused:
        settled(tmp_path, reports)

    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("reports", "said"),
    [
        ({"folder": "x", "models": ["chrn"]}, "reports.models: 'chrn' is no configured model; there is churn"),
        ({"targets": ["mial"]}, "reports.targets: 'mial' is no target or webhook; there is hook, pager"),
        ({"targets": ["pager"]}, "pager is of type pagerduty, which takes no reports; email, slack, teams, webhook do"),
    ],
)
def test_who_is_not_there_is_named_with_who_is(reports: Any, said: str, tmp_path: Path) -> None:
    settings = settled(tmp_path, reports, webhooks=[HOOK], targets=[PAGER])

    with pytest.raises(ConfigError) as refused:
        load(settings, tmp_path, {}, needs_secrets=False)

    assert said in str(refused.value)


def test_the_hash_of_a_configuration_without_reports_is_what_it_was(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.close()
    settings = load_settings(tmp_path / "driftd.yaml")
    plain = load(settings, tmp_path, {"TOKEN": "x"}, needs_secrets=False)
    with_reports = settings.model_copy(update={"reports": settled(tmp_path, REPORTS).reports})

    assert plain.config_hash != load(with_reports, tmp_path, {}, needs_secrets=False).config_hash
    assert "reports" not in json.dumps(plain.settings.model_dump(mode="json")).replace('"reports": null', "")


def test_a_folder_that_cannot_be_written_is_told_by_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = Scene(tmp_path)
    scene.close()
    (tmp_path / "file").write_text("")
    told = yaml.safe_load((tmp_path / "driftd.yaml").read_text())
    told["reports"], told["http"] = {"folder": "file/reports"}, {"port": 0}
    told["kafka"] = {"bootstrap_servers": "127.0.0.1:1", "startup_timeout": "1s"}
    (tmp_path / "driftd.yaml").write_text(yaml.safe_dump(told))

    assert main(["check", "--config", str(tmp_path / "driftd.yaml")]) == 2

    assert "reports.folder" in capsys.readouterr().err
