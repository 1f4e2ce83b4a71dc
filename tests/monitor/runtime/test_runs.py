"""Runs are followed by a daemon: at their targets, by our own id, through restarts, and never in the loop's way."""

import json
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from monitor.commands.decide import request_line
from monitor.runtime import runs
from tests.apis.argo import Argo
from tests.apis.service import Reply
from tests.deciding import TOKEN, Scene
from tests.fakes import Receiver
from tests.monitor.targets.test_openlineage import Collector

SECRET = "whsec_" + b64encode(bytes(range(32))).decode()
MORE: dict[str, Any] = {"retraining": {"in_flight_timeout": "12h"}}


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look is due as soon as the clock says so."""
    monkeypatch.setattr(runs, "LOOK_EVERY", 0.01)


@pytest.fixture
def argo() -> Iterator[Argo]:
    found = Argo()
    yield found
    found.close()


@contextmanager
def watched(home: Path, *targets: dict[str, Any], **more: Any) -> Iterator[Scene]:
    patient = {"timeout": "1d"}  # the clock jumps by minutes while a target answers
    told = [{"name": f"t{number}", **each, **patient} for number, each in enumerate(targets)]
    (home / "secret").write_text(SECRET)
    scene = Scene(home, more={**MORE, "targets": told, **more})
    try:
        yield scene
    finally:
        scene.close()


def hook_entry(hook: Receiver) -> dict[str, Any]:
    return {"type": "webhook", "url": hook.url, "secret_file": "secret"}


def request(scene: Scene) -> Any:
    """The last request, after enough time for the next look."""
    scene.clock.advance(runs.LATEST)
    found = scene.get("/api/v1/retraining")
    return found[0] if found else {"runs": [], "ended": None}


def states(scene: Scene) -> list[str]:
    return [each["state"] for each in request(scene)["runs"]]


def goes_on(scene: Scene, count: int = 1) -> bool:
    """Whether all runs are delivered, and seen to go on."""
    found = request(scene)["runs"]
    return len(found) == count and all(each["state"] == "in_flight" and each["run"] for each in found)


def metric(scene: Scene, line: str) -> bool:
    page = scene.daemon.surface.answer("/metrics", "")[2].decode()
    return line in page.splitlines()


def followers() -> int:
    return sum(thread.name == "runs" for thread in threading.enumerate())


def end(argo: Argo, phase: str) -> None:
    (workflow,) = argo.workflows.values()
    workflow["status"] = {"phase": phase}


def test_in_flight_ends_with_the_run(tmp_path: Path, argo: Argo) -> None:
    with watched(tmp_path, argo.entry()) as scene:
        scene.eventually(lambda: goes_on(scene))
        assert request(scene)["in_flight"]
        assert metric(scene, 'driftd_retrain_in_flight{model="churn"} 1.0')
        assert metric(scene, 'driftd_retrain_runs_total{model="churn",target="t0",outcome="succeeded"} 0.0')
        end(argo, "Succeeded")
        scene.eventually(lambda: states(scene) == ["succeeded"])
        (name,) = argo.workflows

        (run,) = request(scene)["runs"]
        assert run == {
            "target": "t0",
            "type": "argo_workflows",
            "state": "succeeded",
            "run": name,
            "url": f"{argo.url}/workflows/ml/{name}",
        }
        assert request(scene)["ended"]["outcome"] == "succeeded"
        assert metric(scene, 'driftd_retrain_in_flight{model="churn"} 0.0')
        assert metric(scene, 'driftd_retrain_runs_total{model="churn",target="t0",outcome="succeeded"} 1.0')
        assert request_line(request(scene)).endswith(f"requested; succeeded: t0 succeeded ({run['url']})")
        page = scene.daemon.surface.answer("/model?name=churn&version=3", "text/html")[2].decode()
        assert f'<a href="{run["url"]}">t0: succeeded</a>' in page


def test_after_a_restart_the_run_is_found_again(tmp_path: Path, argo: Argo) -> None:
    """By our own id: nothing else of the request is known by then."""
    with watched(tmp_path, argo.entry()) as scene:
        scene.eventually(lambda: goes_on(scene))
    asked = len(argo.calls)
    with watched(tmp_path, argo.entry()) as scene:
        end(argo, "Failed")
        scene.eventually(lambda: states(scene) == ["failed"])
        assert request(scene)["ended"]["outcome"] == "failed"
    assert len(argo.workflows) == 1
    assert {call.method for call in argo.calls[asked:]} == {"GET"}
    with watched(tmp_path, argo.entry()) as scene:  # what was taken is saved, and nobody asks any more
        seen = len(argo.calls)
        assert states(scene) == ["failed"]
        scene.clock.advance(3600)
        time.sleep(0.1)
        assert len(argo.calls) == seen
        assert followers() == 0


def test_a_run_that_is_not_found_is_no_end_and_said_once(
    tmp_path: Path, argo: Argo, capsys: pytest.CaptureFixture[str]
) -> None:
    with watched(tmp_path, argo.entry()) as scene:
        scene.eventually(lambda: goes_on(scene))
        known = dict(argo.workflows)
        argo.workflows.clear()
        scene.eventually(lambda: states(scene) == ["absent"])
        for _ in range(20):
            request(scene)
        assert request(scene)["in_flight"]
        argo.workflows |= known
        argo.instead = [Reply(500, {"message": "oops"})]
        scene.eventually(lambda: (request(scene), not argo.instead)[1])
        scene.eventually(lambda: goes_on(scene))
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "run_unseen" in line]
    assert [line.partition("why=")[2] for line in lines] == [
        "'it has no run of this request'",
        "'it does not say how the run stands'",
    ]


def test_it_waits_for_all_that_can_be_followed_and_for_them_alone(tmp_path: Path, argo: Argo) -> None:
    other, hook = Argo(), Receiver()
    try:
        with watched(tmp_path, argo.entry(), other.entry(), hook_entry(hook)) as scene:
            scene.eventually(lambda: goes_on(scene, 2))
            end(argo, "Succeeded")
            scene.eventually(lambda: states(scene) == ["succeeded", "in_flight"])
            assert request(scene)["in_flight"]
            end(other, "Failed")
            scene.eventually(lambda: states(scene) == ["succeeded", "failed"])
            assert request(scene)["ended"]["outcome"] == "failed"
    finally:
        other.close()
        hook.close()


def test_a_target_that_hangs_holds_nobody_but_those_who_are_followed(tmp_path: Path, argo: Argo) -> None:
    with watched(tmp_path, argo.entry()) as scene:
        scene.eventually(lambda: goes_on(scene))
        held, free = threading.Event(), threading.Event()

        def hang(_: Any) -> Reply:
            held.set()
            free.wait(30)
            return Reply(500, {})

        argo.instead = [hang]
        scene.eventually(lambda: (request(scene), held.is_set())[1])
        try:
            assert scene.decide()[0] == 201  # the loop turns, and saves
        finally:
            free.set()


def test_openlineage_hears_of_one_run_from_start_to_end(tmp_path: Path, argo: Argo) -> None:
    """Through the outbox, with a restart between."""
    collector = Collector()
    collector.token = TOKEN
    entries = argo.entry(), collector.entry()
    try:
        with watched(tmp_path, *entries) as scene:
            scene.eventually(lambda: goes_on(scene))
            scene.eventually(lambda: len(collector.events()) == 1)
        with watched(tmp_path, *entries) as scene:
            end(argo, "Succeeded")
            scene.eventually(lambda: (request(scene), len(collector.events()) == 2)[1])
    finally:
        collector.close()
    start, complete = collector.events()
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert complete["run"]["facets"]["driftd_outcome"]["runs"][0]["state"] == "succeeded"


def test_where_no_target_can_tell_nothing_is_started(tmp_path: Path) -> None:
    hook = Receiver()
    try:
        with watched(tmp_path, hook_entry(hook)) as scene:
            scene.eventually(lambda: bool(hook.requests))
            assert scene.daemon.runs is None
            assert followers() == 0
            assert request(scene)["in_flight"]
    finally:
        hook.close()


def test_those_who_want_it_are_told_how_a_request_ended(tmp_path: Path, argo: Argo) -> None:
    hook = Receiver()
    types = ["model.retrain.requested", "model.retrain.completed", "model.retrain.failed"]
    try:
        with watched(tmp_path, argo.entry(), {**hook_entry(hook), "types": types}) as scene:
            scene.eventually(lambda: goes_on(scene))
            end(argo, "Failed")
            scene.eventually(lambda: (request(scene), len(hook.requests) == 2)[1])
    finally:
        hook.close()
    asked, failed = (json.loads(each.body) for each in hook.requests)
    assert (asked["type"], failed["type"]) == ("model.retrain.requested", "model.retrain.failed")
    assert failed["data"]["decision_id"] == asked["data"]["decision_id"] == failed["data"]["request"]["id"]
    assert failed["data"]["summary"] == "churn/3: retraining failed: t0 failed"
    assert failed["data"]["ended"]["runs"][0]["state"] == "failed"
