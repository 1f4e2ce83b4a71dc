"""`driftd accept`, `ack` and `silence` against a whole daemon: what is said, exit codes, and where the token comes from."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from detectors import Reference
from monitor.cli import main
from monitor.commands import decide
from monitor.commands.decide import checked, user
from monitor.settings import ConfigError
from tests.deciding import ALERT, MODEL, TOKEN, TRAINER, Scene, running

Output = pytest.CaptureFixture[str]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A daemon, and a configuration in the current directory that says where it is."""
    with capture_logs(), running(tmp_path, more={"targets": [TRAINER]}) as found:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DRIFTD_CONFIG", raising=False)
        monkeypatch.setenv("TOKEN", TOKEN)
        configured(http={"port": int(found.daemon.server.address[1]), "token_env": "TOKEN"})
        yield found


def configured(**changes: Any) -> None:
    document = yaml.safe_load(Path("driftd.yaml").read_text())
    Path("driftd.yaml").write_text(yaml.safe_dump({**document, **changes}))


def run(*words: str) -> int:
    return main([*words])


def test_a_silence_is_said_in_a_line_and_listed(scene: Scene, capsys: Output) -> None:
    words = ["--feature", "age,plan", "--for", "2h", "--reason", "release 7", "--by", "ana"]
    assert run("silence", "churn", *words) == 0
    told = capsys.readouterr().out
    name, _, rest = told.partition("  ")
    assert rest == "silence churn (age, plan) until 2026-11-23T15:00:00Z, by ana: release 7\n"

    assert run("silence", "--list") == 0
    assert capsys.readouterr().out == told
    assert run("silence", "--end", name, "--by", "ben") == 0
    assert capsys.readouterr().out.partition("  ")[2] == f"end {name}, by ben\n"
    assert run("silence", "--list") == 0
    assert capsys.readouterr().out == "no silence is in force\n"


def test_an_accept_says_which_thresholds_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> None:
    columns = {
        "age": [float(n) for n in range(100)],
        "plan": ["pro", "free"] * 50,
        "score": [n / 100 for n in range(100)],
    }
    Reference.fit(columns, prediction="score").save(tmp_path / "scored.json")
    thresholds = {"accuracy": {"at_least": 0.9}, "brier": {"at_most": 0.2}}
    judged = {"reference": "scored.json", "labels": {"wait": "1h"}, "performance": {"thresholds": thresholds}}
    more = {"models": [MODEL | judged], "topics": [{"name": "predictions"}, {"name": "answers", "kind": "labels"}]}
    with capture_logs(), running(tmp_path, more=more) as scene:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DRIFTD_CONFIG", raising=False)
        monkeypatch.setenv("TOKEN", TOKEN)
        configured(http={"port": int(scene.daemon.server.address[1]), "token_env": "TOKEN"})
        for names, said in (
            ([], "accuracy at least 0.9, brier at most 0.2"),
            (["__brier__"], "brier at most 0.2"),
        ):
            assert run("accept", "churn", *names, "--for", "2h") == 0
            assert capsys.readouterr().err == f"driftd: thresholds are never accepted and stand: {said}\n"
        assert run("accept", "churn", "age", "--for", "2h") == 0
        assert capsys.readouterr().err == ""


def test_who_decides_is_the_user_of_this_machine(scene: Scene, capsys: Output) -> None:
    assert run("accept", "churn", "age", "plan", "--version", "3", "--for-good", "--json") == 0

    said = json.loads(capsys.readouterr().out)
    assert (said["by"], said["version"], said["features"], said["until"]) == (user(), "3", ["age", "plan"], None)
    assert run("accept", "--list", "--json") == 0
    assert json.loads(capsys.readouterr().out) == [said]


def test_an_incident_is_acknowledged(scene: Scene, capsys: Output) -> None:
    incident = scene.get("/api/v1/alerts")[0]["incident"]
    for named in (ALERT, incident):
        assert run("ack", named, "--by", "ana") == (named == incident)
    told = capsys.readouterr()

    assert told.out.partition("  ")[2] == f"ack {incident}, by ana\n"
    assert told.err == f"driftd: {incident} is acknowledged by ana already\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["silence", "churn", "--for", "2h"], 2, "a silence needs a reason"),
        (["silence", "churn", "--for", "2", "--reason", "x"], 2, "for: must be a duration such as"),
        (["silence", "churn", "--reason", "x"], 2, "silence needs --for (see driftd silence --help)"),
        (["silence"], 2, "silence needs MODEL and --for (see driftd silence --help)"),
        (["accept", "churn"], 2, "accept needs --for (see driftd accept --help)"),
        (["ack"], 2, "ack needs ID (see driftd ack --help)"),
        (["ack", "x"], 1, "there is no open incident x"),
        (["silence", "--end", "x"], 1, "there is no decision x"),
        (["silence", "x", "--for", "2h", "--reason", "x"], 1, "there is no model x; there is churn"),
        (
            ["silence", "churn", "--feature", "x", "--for", "2h", "--reason", "x"],
            1,
            "churn has no feature 'x'; it has 'age', 'plan', ",
        ),
        (
            ["accept", "churn", "x", "--for", "2h"],
            1,
            "churn has no feature 'x'; it has 'age', 'plan', '__volume__', '__duplicates__'",
        ),
        (["ack", "x", "--url", "ftp://x"], 2, "--url: 'ftp://x' is no address such as http://127.0.0.1:9464"),
        (["ack", "x", "--token-file", "no"], 2, "--token-file: token_file: no cannot be read: No such file"),
        (["ack", "x", "--config", "no.yaml"], 2, "no.yaml: cannot be read: No such file or directory"),
    ],
)
def test_what_is_not_granted_is_one_line(scene: Scene, words: list[str], code: int, said: str, capsys: Output) -> None:
    assert run(*words) == code
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"driftd: {said}")
    assert told.err.count("\n") == 1


def test_a_token_in_a_file_serves_where_there_is_no_configuration(scene: Scene, tmp_path: Path, capsys: Output) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "wrong").write_text("a-token-of-another")
    Path("driftd.yaml").unlink()
    url = scene.daemon.server.url

    assert run("ack", ALERT, "--url", url, "--token-file", "token") == 0
    assert run("ack", "--list", "--url", f"{url}/") == 0
    assert run("ack", ALERT, "--url", url, "--token-file", "wrong") == 2
    assert capsys.readouterr().err == "driftd: the token is missing or wrong: Authorization: Bearer …\n"
    assert run("ack", ALERT, "--token-file", "token") == 2


def test_without_a_token_nothing_is_asked(scene: Scene, capsys: Output) -> None:
    configured(http={"port": 1})

    assert run("ack", ALERT) == 2
    assert "neither token_file nor token_env is set, so nobody may decide" in capsys.readouterr().err


def test_a_daemon_that_is_away_is_said(scene: Scene, capsys: Output) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # nobody listens
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        assert run("ack", ALERT, "--url", url) == 3
        assert run("ack", "--list", "--url", url) == 3

    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith(f"driftd: {url} does not answer: ")
    assert told[0].endswith("refused; is driftd running there?")


def test_where_no_answer_came_it_is_asked_again_under_the_same_id(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, capsys: Output
) -> None:
    """The first answer is lost on the way: the second says what became of it, and nothing is done twice."""
    once, bodies = decide.ask, []

    def lossy(daemon: decide.Listener, method: str, body: bytes | None) -> decide.Said:
        answer = once(daemon, method, body)
        bodies.append(body)
        if len(bodies) == 1:
            raise decide.AwayError("lost")
        return answer

    monkeypatch.setattr(decide, "ask", lossy)
    assert run("ack", ALERT, "--by", "ana") == 0

    assert bodies[0] == bodies[1]
    assert len(scene.get("/api/v1/decisions")) == 1


@pytest.mark.parametrize("url", ["", "x", "http://", "http://a b", "http://u:p@h", "http://h?t=1", "http://h:99999"])
def test_an_address_that_cannot_be_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"^--url: "):
        checked(url)


@pytest.mark.parametrize(("host", "url"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("::1", "[::1]"), ("h", "h")])
def test_the_address_is_that_of_the_configuration(
    scene: Scene, host: str, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def note(daemon: decide.Listener, method: str, body: bytes | None, route: str) -> decide.Said:
        asked.append(daemon.url)
        return decide.Said(200, [])

    monkeypatch.setattr(decide, "ask", note)
    configured(http={"host": host, "port": 7})
    run("silence", "--list")

    assert asked == [f"http://{url}:7"]


# --- retraining -------------------------------------------------------------------------------------------------------


def test_a_request_is_listed_triggered_and_refused_in_a_line(scene: Scene, capsys: Output) -> None:
    assert run("retrain", "list") == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert line.endswith("  2026-11-23T12:01:00Z  churn/3 drift: requested; in flight")

    assert run("retrain", "trigger", "churn", "--reason", "new labels", "--by", "ana") == 1
    refused = "driftd: the cooldown since the last request is not over: not requested; --force stands above it\n"
    assert capsys.readouterr().err == refused
    assert run("retrain", "trigger", "churn", "--force", "--reason", "new labels", "--by", "ana") == 0
    said = capsys.readouterr().out
    assert said.partition("  ")[2] == "trigger churn whatever stands against it, by ana: new labels\n"
    assert run("retrain", "approve", "nothing", "--by", "ana") == 1
    assert capsys.readouterr().err == "driftd: there is no request nothing; see driftd retrain list\n"
    assert run("retrain", "list", "--json") == 0
    listed = json.loads(capsys.readouterr().out)
    assert [each["outcome"] for each in listed] == ["requested", "suppressed_cooldown", "requested"]
    assert run("retrain", "list", "another") == 0
    assert capsys.readouterr().out == "nothing has asked for retraining\n"
