"""What a daemon knows goes on when a new version makes it build its series anew: nothing is told twice, counted anew or forgotten."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from detectors import Reference
from monitor.alerting.decisions import Announce, Asked
from monitor.cli import main
from monitor.runtime import runs
from monitor.stream.events import MINUTE, SECOND
from tests.apis.argo import Argo
from tests.monitor.test_labels import LABELS, MODEL, PREDICTIONS, START, LabelledDaemon, predicted
from tests.renewing import RenewedScene, events, renewing

LEARN = {"reference": "learn", "rows": 500}
SCORED = Reference.fit(
    {"age": [float(n) for n in range(100)], "score": [n / 99 for n in range(100)]}, prediction="score"
)
RETRAINING: dict[str, Any] = {"cooldown": "0s", "max_per_week": 9, "on": ["drift"], "severity": "warning"}


@pytest.fixture
def argo() -> Iterator[Argo]:
    found = Argo()
    yield found
    found.close()


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is due as soon as the clock says so."""
    monkeypatch.setattr(runs, "LOOK_EVERY", 0.01)


def renewed(scene: RenewedScene, version: str = "4") -> None:
    """Announce a version, and wait until it has a series."""
    assert scene.announce(version)[0] == 201
    scene.eventually(lambda: scene.series(version) is not None)


def drifted(scene: RenewedScene) -> str:
    """An open incident of version 3."""
    scene.feed(events("3", 0, 20, seed=2))
    scene.feed(events("3", 200, 20, seed=3, shift=1.0))
    (incident,) = {each["incident"] for each in scene.ask("GET", "/api/v1/alerts")[1] if each["state"] == "firing"}
    return str(incident)


def beside(scene: RenewedScene) -> Any:
    return scene.ask("GET", "/api/v1/models/churn/versions")[1]


@pytest.mark.parametrize("named", [True, False])
def test_the_champion_is_the_version_that_it_was(tmp_path: Path, named: bool) -> None:
    """A new version challenges: it is named by nobody, and most rows went to the other."""
    model = {"champion": True} if named else {}
    with capture_logs(), renewing(tmp_path, LEARN, model=model) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        seen = beside(scene)["versions"][0]["rows_seen"]
        renewed(scene)
        scene.feed(events("4", 200, 5, seed=3))
        found = beside(scene)
    assert seen > 0
    assert (found["champion"], found["configured"]) == ("3", named)
    assert [each["version"] for each in found["versions"]] == ["3", "4"]
    assert found["versions"][0]["rows_seen"] >= seen
    assert [each["challenger"] for each in found["comparisons"]] == ["4"]


def test_what_is_open_in_force_and_counted_goes_on(tmp_path: Path) -> None:
    routes = ("/api/v1/alerts", "/api/v1/incidents", "/api/v1/retraining", "/api/v1/models/churn/report")
    approval = {**RETRAINING, "approval": "required"}
    with capture_logs() as logs, renewing(tmp_path, LEARN, model={"retraining": approval}) as scene:
        incident = drifted(scene)
        for wish in (
            {"decision": "ack", "incident": incident},
            {"decision": "silence", "model": "churn", "features": ["age"], "for": "4h"},
        ):
            status, said = scene.ask("POST", "/api/v1/decisions", {**wish, "by": "ann", "reason": "known"})
            assert status == 201, said
        before = {route: scene.ask("GET", route)[1] for route in routes}
        made, seen = in_force(scene), page(scene)
        counted = counters(scene)
        logs.clear()
        renewed(scene)
        after, shown = {route: scene.ask("GET", route)[1] for route in routes}, page(scene)
        assert in_force(scene) == made
        assert before["/api/v1/retraining"][0]["outcome"] == "pending_approval"
        assert of_model(after) == of_model(before)
        assert {name: value for name, value in counters(scene).items() if name in counted} == counted
    assert shown == seen
    assert not [line for line in logs if line["event"].startswith(("alert.", "state.", "retrain.", "window."))]


def page(scene: RenewedScene) -> dict[str, Any]:
    """What is shown of version 3."""
    found = scene.ask("GET", "/api/v1/models/churn")[1]
    windows = [each for each in scene.ask("GET", "/api/v1/windows?limit=100")[1] if each["version"] == "3"]
    features = scene.ask("GET", "/api/v1/models/churn/features/age")[1]
    model, feature = (next(each for each in items if each["version"] == "3") for items in (found, features))
    of_rows = {"features": [each for each in model["features"] if each["feature"] != "__volume__"]}  # told no more
    return {"model": model | of_rows, "windows": windows, "feature": feature}


def in_force(scene: RenewedScene) -> list[Any]:
    return [each for each in scene.ask("GET", "/api/v1/decisions")[1] if each["decision"] != "version"]


def of_model(routes: dict[str, Any]) -> dict[str, Any]:
    """The answers, but for what a decision more makes of a report."""
    report = {name: value for name, value in routes["/api/v1/models/churn/report"].items() if name != "decisions"}
    return {**routes, "/api/v1/models/churn/report": report}


def counters(scene: RenewedScene) -> dict[str, float]:
    """What the process has counted of things that a renewal is none of."""
    lines = scene.daemon.surface.answer("/metrics", "")[2].decode().splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines if "_total" in line and not line.startswith("#"))
    own = ("driftd_decisions_total", "driftd_model_versions_total", "process_", "driftd_audit")
    return {name: float(value) for name, value in found.items() if not name.startswith(own)}


def test_a_run_is_followed_on_and_ends_the_request_once(tmp_path: Path, argo: Argo) -> None:
    model = {"retraining": {**RETRAINING, "in_flight_timeout": "12h"}}
    targets = [{**argo.entry(), "name": "t0", "timeout": "1d"}]
    with capture_logs() as logs, renewing(tmp_path, LEARN, model=model, targets=targets) as scene:
        drifted(scene)
        scene.eventually(lambda: states(scene) == ["in_flight"] and bool(argo.workflows))
        renewed_by_older(scene)
        assert asked(scene)["in_flight"], "the version was trained before the request was made"
        (workflow,) = argo.workflows.values()
        workflow["status"] = {"phase": "Succeeded"}
        scene.eventually(lambda: (scene.clock.advance(runs.LATEST), states(scene) == ["succeeded"])[1])
        assert asked(scene)["ended"]["outcome"] == "succeeded"
        renewed(scene, "5")
        assert asked(scene)["ended"]["outcome"] == "succeeded"
        scene.stop()
        scene.start()
        assert asked(scene)["ended"]["outcome"] == "succeeded"
    assert len(argo.workflows) == 1
    assert len([line for line in logs if line["event"] == "retrain.run_ended"]) == 1
    ended = [line for line in logs if line["event"] == "retrain.ended"]
    assert [(each["outcome"], each.get("new_version")) for each in ended] == [("succeeded", None), ("succeeded", "5")]


def renewed_by_older(scene: RenewedScene) -> None:
    """A version comes that was trained before anything was asked for."""
    assert scene.announce("4", trained_at="2024-01-01T00:00:00Z")[0] == 201
    scene.eventually(lambda: scene.series("4") is not None)


def asked(scene: RenewedScene) -> Any:
    """The request, as the API has it."""
    return next(each for each in scene.ask("GET", "/api/v1/retraining")[1] if each["outcome"] == "requested")


def states(scene: RenewedScene) -> list[str]:
    scene.clock.advance(runs.SOONEST)
    found = [each for each in scene.ask("GET", "/api/v1/retraining")[1] if each["outcome"] == "requested"]
    return [each["state"] for each in found[0]["runs"]] if found else []


def test_a_followed_version_is_in_the_audit_log_which_is_whole_and_replays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its decisions are made of what the log holds, though its series stands in no configuration."""
    with capture_logs(), renewing(tmp_path, LEARN, model={"retraining": RETRAINING}) as scene:
        drifted(scene)
        head = scene.daemon.store.audit_head.seq
        renewed(scene)
        scene.feed(events("4", 400, 30, seed=4, score=0.7, shift=1.0))
        scene.eventually(lambda: scene.judged("4") == "learnt")
        scene.feed(events("4", 700, 30, seed=5, score=0.78, shift=2.5))
        assert ("drift", "drift", "age") in scene.alerts("4")
    state = str(tmp_path / "state")
    assert main(["audit", "verify", "--state", state]) == 0
    assert main(["audit", "replay", "--all", "--state", state]) == 0
    capsys.readouterr()
    assert main(["audit", "list", "--state", state, "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    of_four = [each["kind"] for each in entries if each["seq"] > head and each.get("version") == "4"]
    assert "alert.opened" in of_four
    assert "retrain.requested" in of_four


def test_counters_of_versions_begin_at_zero(tmp_path: Path) -> None:
    with capture_logs(), renewing(tmp_path, LEARN) as scene:
        lines = scene.daemon.surface.answer("/metrics", "")[2].decode().splitlines()
        assert 'driftd_version_reference_failures_total{model="churn"} 0.0' in lines
        assert 'driftd_model_versions_total{model="churn",source="registry"} 0.0' in lines


def test_a_kill_just_before_series_change_leaves_what_the_change_does(tmp_path: Path) -> None:
    """What is saved before it is enough: a start from there and a change while running are one thing. The oldest version gives way."""
    three, found = {"version": "3"}, []
    models = [{**MODEL, **three, "new_versions": {"reference": "learn", "keep": 1}}]
    for kill in (True, False):
        place = tmp_path / str(kill)
        place.mkdir()
        SCORED.save(place / "r.json")
        log: list[bytes] = []
        here = LabelledDaemon(place, {PREDICTIONS: log, LABELS: []}, models=models)
        for number, version in enumerate("45"):
            at = START + number * MINUTE
            more = [predicted(100 * number + n, 0.5, at + n * SECOND, **three) for n in range(60)]
            log += more
            here.source.append(PREDICTIONS, more)
            here.turn()
            asked = Asked(version, Announce("churn", version), "ana")
            here.daemon.loop._tell(here.daemon.pipeline.decide(asked, here.clock.now()))
            here.daemon.loop.save()
            if kill:
                here.kill()
                now, here = here.clock.now(), LabelledDaemon(place, {PREDICTIONS: log, LABELS: []}, models=models)
                here.clock.set_wall((now - here.clock.now()) / SECOND)
            else:
                here.daemon.loop._go_on_with(here.daemon._renewed())
            here.daemon.checkpointer.whole = True
            here.daemon.loop.save()
            assert [each["version"] for each in here.get("/api/v1/models")] == ["3", version]
        found.append({(each.kind, each.key): each.payload for each in here.daemon.store.records()})
        here.kill()
    assert found[0] == found[1]


def test_what_is_open_of_a_version_that_gives_way_ends_once_and_its_request_for_approval_stays(tmp_path: Path) -> None:
    retraining = {**RETRAINING, "approval": "required"}
    with capture_logs() as logs, renewing(tmp_path, {**LEARN, "keep": 1}, model={"retraining": retraining}) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        renewed(scene)
        scene.feed(events("4", 200, 30, seed=4))
        scene.feed(events("4", 500, 20, seed=5, shift=2.5))
        assert ("drift", "drift", "age") in scene.alerts("4")
        (waiting,) = scene.ask("GET", "/api/v1/retraining")[1]
        renewed(scene, "5")
        assert scene.alerts("4") == set()
        assert scene.ask("GET", "/api/v1/retraining")[1] == [waiting]
        scene.feed(events("3", 700, 5, seed=6))
        wish = {"decision": "approve", "request": waiting["id"], "by": "ann", "reason": "yes"}
        status, said = scene.ask("POST", "/api/v1/decisions", wish)
        assert status == 201, said
        scene.stop()
        scene.start()
        assert asked(scene)["id"] == waiting["id"]
    ended = [line for line in logs if line["event"].startswith("alert.") and line["version"] == "4"]
    assert [each["event"] for each in ended].count("alert.resolved") == 1, ended


def test_who_goes_back_has_the_version_judged_again(tmp_path: Path) -> None:
    with capture_logs(), renewing(tmp_path, {**LEARN, "keep": 1}) as scene:
        scene.feed(events("3", 0, 20, seed=2))
        renewed(scene)
        scene.feed(events("4", 200, 30, seed=4, score=0.7))
        renewed(scene, "5")
        scene.eventually(lambda: scene.series("4") is None)
        assert scene.announce("4", reason="5 was rolled back")[0] == 201
        scene.eventually(lambda: scene.series("4") is not None and scene.series("5") is None)
        scene.feed(events("4", 600, 30, seed=5, score=0.7))
        scene.eventually(lambda: scene.judged("4") == "learnt")
        scene.stop()
        scene.start()
        assert (scene.judged("4"), scene.judged("5")) == ("learnt", "retired")
        assert [each["version"] for each in beside(scene)["versions"]] == ["3", "4"]
