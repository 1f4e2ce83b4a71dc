"""A daemon beside a model registry: versions that it lists, references that lie there, webhooks that hint at both."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from monitor.cli import main
from monitor.commands.connections import look_at_registry
from monitor.configuration import ReferenceAwayError, load
from monitor.settings import ConfigError, load_settings
from monitor.store.references import KeptReferences
from monitor.stream.events import SECOND
from tests.apis.mlflow_registry import RegistryServer, signed
from tests.fakes import NOON
from tests.renewing import RenewedScene, events, fitted, renewing, with_prediction_of

REGISTRY = {"reference": "registry", "wait": "1h", "rows": 100_000}
SECRET = b"s3cret-\xc3\xbc"
LONG_AGO = NOON / SECOND - 86_400


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    found = RegistryServer()
    found.register("3", LONG_AGO)
    yield found
    found.close()


def at(server: RegistryServer, **changes: Any) -> dict[str, Any]:
    return {"type": "mlflow", "url": server.url, "poll": "200ms", "webhook_secret_file": "secret", **changes}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(SECRET + b"\n")
    return tmp_path


def hint(scene: RenewedScene, body: bytes, headers: dict[str, str]) -> int:
    port = int(scene.daemon.server.address[1])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as connection:
        connection.request("POST", "/api/v1/registry/webhook", body, headers)
        return connection.getresponse().status


def test_a_version_of_the_registry_is_followed_and_its_reference_read_there(
    home: Path, server: RegistryServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with capture_logs() as logs, renewing(home, REGISTRY, registry=at(server)) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        scene.eventually(lambda: any(call.path.endswith("/search") for call in server.calls))
        assert scene.ask("GET", "/api/v1/versions")[1] == []  # what is there already is not new
        server.register("4")
        scene.eventually(lambda: scene.judged("4") == "waiting")
        scene.eventually(lambda: "has no artifact" in str(scene.ask("GET", "/api/v1/versions")[1][0]["why"]))

        own = with_prediction_of(fitted(1), 0.7, seed=9)
        own.save(home / "own.json")
        assert (
            main(
                [
                    "reference",
                    "push",
                    str(home / "own.json"),
                    "models:/churn/4",
                    "--config",
                    str(scene.home / "driftd.yaml"),
                ]
            )
            == 0
        )
        assert capsys.readouterr().out.startswith(
            f"{own.hash} is at mlflow-artifacts:/1/run4/artifacts/driftd/reference.json"
        )
        scene.eventually(lambda: scene.judged("4") == "given")
        scene.feed(events("4", 200, 20, seed=3, score=0.7))
        assert scene.alerts("4") == set()
        (known,) = scene.ask("GET", "/api/v1/versions")[1]
        assert (known["source"], known["reference"]) == ("registry", own.hash)
    assert [line["version"] for line in logs if line["event"] == "version.given"] == ["4"]


def test_a_registry_that_is_down_is_said_and_asked_again(home: Path, server: RegistryServer) -> None:
    server.down = True
    with capture_logs() as logs, renewing(home, REGISTRY, registry=at(server)) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.eventually(lambda: any(line["event"] == "registry.absent" for line in logs))
        counted = scene.daemon.telemetry.look(lambda board: board.counters["driftd_registry_polls_total"].copy())
        assert counted["churn", "failed"] > 0
        server.down = False
        scene.eventually(
            lambda: scene.daemon.telemetry.look(
                lambda board: board.counters["driftd_registry_polls_total"]["churn", "answered"] > 0
            )
        )
        server.register("4")
        scene.eventually(lambda: scene.judged("4") == "waiting")
    (line,) = [line for line in logs if line["event"] == "registry.absent"]
    assert line["why"] == "answered 503: no database"


def test_what_was_registered_while_nobody_watched_is_new_at_the_next_start(home: Path, server: RegistryServer) -> None:
    with capture_logs(), renewing(home, REGISTRY, registry=at(server)) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.eventually(lambda: scene.daemon.pipeline.versions._listed)
        scene.stop()
        server.register("4")
        scene.start()
        scene.eventually(lambda: scene.judged("4") == "waiting")


def test_with_an_alias_only_what_it_points_at_counts(home: Path, server: RegistryServer) -> None:
    server.aliases["champion"] = "3"
    alias = {**REGISTRY, "alias": "champion"}
    with capture_logs(), renewing(home, alias, registry=at(server)) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.eventually(lambda: scene.daemon.pipeline.versions._listed == {"churn": ["3"]})
        server.register("4")
        server.register("5")
        server.aliases["champion"] = "5"
        scene.eventually(lambda: scene.judged("5") == "waiting")
        assert scene.judged("4") is None


def test_a_signed_webhook_has_the_registry_asked_at_once_and_no_other_does(home: Path, server: RegistryServer) -> None:
    with capture_logs(), renewing(home, REGISTRY, registry=at(server, poll="1h")) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        scene.eventually(lambda: scene.daemon.pipeline.versions._listed)
        server.register("4")
        body = json.dumps({"entity": "model_version", "action": "created", "data": {"name": "churn"}}).encode()
        now = scene.clock.now() / SECOND
        assert hint(scene, body, {}) == 401
        assert hint(scene, body, signed(b"other", body, now)) == 401
        assert hint(scene, body + b" ", signed(SECRET, body, now)) == 401
        assert hint(scene, body, signed(SECRET, body, now - 3600)) == 401
        assert scene.judged("4") is None
        assert hint(scene, body, signed(SECRET, body, now)) == 200
        scene.eventually(lambda: scene.judged("4") == "waiting")


def test_without_a_secret_webhooks_are_off(home: Path, server: RegistryServer) -> None:
    with capture_logs(), renewing(home, REGISTRY, registry=at(server, webhook_secret_file=None)) as scene:
        assert hint(scene, b"{}", signed(SECRET, b"{}", scene.clock.now() / SECOND)) == 403


def test_a_reference_may_be_named_by_its_uri(home: Path, server: RegistryServer) -> None:
    with capture_logs(), renewing(home, {"reference": "learn"}, registry=at(server)) as scene:
        scene.feed(events("3", 0, 5, seed=2))
        server.register("4", run=False)
        config = str(scene.home / "driftd.yaml")
        own = with_prediction_of(fitted(1), 0.7, seed=9)
        own.save(home / "own.json")
        assert main(["reference", "push", str(home / "own.json"), "models:/churn/4", "--config", config]) == 0
        server.aliases["champion"] = "4"
        scene.announce("4", reference="models:/churn@champion")
        scene.eventually(lambda: scene.judged("4") == "given")


def test_the_configuration_takes_a_reference_of_the_registry(home: Path, server: RegistryServer) -> None:
    server.artifacts["1/run3/artifacts/driftd/reference.json"] = json.dumps(fitted(1).to_dict()).encode()
    model = {"reference": "models:/churn/3"}
    with capture_logs(), renewing(home, REGISTRY, registry=at(server), model=model) as scene:
        assert scene.daemon.pipeline.series.keys()
        scene.feed(events("3", 0, 5, seed=2))


def test_a_start_goes_on_with_the_reference_it_had_while_the_registry_is_away(
    home: Path, server: RegistryServer, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    own, model = fitted(1), {"name": "churn", "reference": "models:/churn/3"}
    server.artifacts["1/run3/artifacts/driftd/reference.json"] = json.dumps(own.to_dict()).encode()
    settings = {"topics": [{"name": "t"}], "models": [model], "registry": at(server), "state": str(home / "state")}
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    read = load_settings(home / "driftd.yaml")
    server.down = True
    monkeypatch.setattr("monitor.commands.run.configure_logging", lambda *_: None)  # which holds for the process
    assert main(["run", "--config", str(home / "driftd.yaml")]) == 3  # never had: nothing to begin with
    assert "models[0].reference: models:/churn/3: answered 503: no database" in capsys.readouterr().err

    server.down = False
    assert load(read, home, {}, kept=KeptReferences(read.state)).stood_in == {}
    server.down = True
    found = load(read, home, {}, kept=KeptReferences(read.state))

    assert found.references[0].hash == own.hash
    assert found.stood_in == {"models:/churn/3": "answered 503: no database"}
    assert (home / "state").stat().st_mode & 0o777 == 0o700
    server.down = False
    server.artifacts["1/run3/artifacts/driftd/reference.json"] = b"<html>no reference</html>"
    with pytest.raises(ConfigError):
        load(read, home, {}, kept=KeptReferences(read.state))
    server.down = True
    assert (
        load(read, home, {}, kept=KeptReferences(read.state)).references[0].hash == own.hash
    )  # no reference is not kept
    (kept,) = (home / "state" / "references").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    with pytest.raises(ReferenceAwayError, match="answered 503"):
        load(read, home, {}, kept=KeptReferences(read.state))
    others = KeptReferences(read.state)
    others.keep("models:/fraud/1", b"{}")
    others.forget_others()
    assert kept.exists() is False
    assert len([*(home / "state" / "references").iterdir()]) == 1
    server.down = False
    del server.artifacts["1/run3/artifacts/driftd/reference.json"]  # it answers, and has none: that is no outage
    with pytest.raises(ConfigError, match="has no artifact"):
        load(read, home, {}, kept=KeptReferences(read.state))


@pytest.mark.parametrize(
    ("changes", "words", "said"),
    [
        ({}, ["models:/churn/9"], "driftd: registry: answered 404: Model Version not found\n"),
        ({}, ["churn/9"], "driftd: churn/9 is neither models:/NAME/VERSION nor models:/NAME@ALIAS\n"),
        ({"registry": None}, ["models:/churn/3"], "there is no section registry that says where to push to\n"),
    ],
)
def test_what_cannot_be_pushed_says_why(
    home: Path,
    server: RegistryServer,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, Any],
    words: list[str],
    said: str,
) -> None:
    fitted(1).save(home / "r.json")
    settings = {"topics": [{"name": "t"}], "models": [{"name": "churn", "reference": "r.json"}], "registry": at(server)}
    (home / "driftd.yaml").write_text(yaml.safe_dump({**settings, **changes}))

    assert main(["reference", "push", str(home / "r.json"), *words, "--config", str(home / "driftd.yaml")]) in {2, 3}
    assert capsys.readouterr().err.endswith(said)


def test_check_says_what_the_registry_does_not(home: Path, server: RegistryServer) -> None:
    fitted(1).save(home / "r.json")
    models = [{"name": "churn", "reference": "r.json"}, {"name": "it's", "reference": "r.json"}]
    settings = {"topics": [{"name": "t"}], "models": models, "registry": at(server)}
    (home / "driftd.yaml").write_text(yaml.safe_dump(settings))
    configuration = load(load_settings(home / "driftd.yaml"), home)

    assert list(look_at_registry(configuration)) == ["registry: it's: \"it's\" can be no name there"]
    server.down = True
    assert next(iter(look_at_registry(configuration))) == "registry: churn: answered 503: no database"
    server.close()
    assert next(look_at_registry(configuration)) == "registry: churn: does not answer: cannot be reached (ConnectError)"
