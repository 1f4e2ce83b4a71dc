"""What targets have not taken, over HTTP and by `driftd outbox`: listed, tried again, dropped; and who may."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from structlog.testing import capture_logs

from monitor.cli import main
from monitor.runtime.outbox import OutboxDesk
from monitor.runtime.writing import NotGrantedError
from monitor.targets.base import Subscriber
from tests import deciding
from tests.deciding import TOKEN, Scene, running
from tests.fakes import ListTarget, Receiver

Output = pytest.CaptureFixture[str]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """It wants nothing at first."""
    found = Receiver()
    found.answers = [410, 410]  # the alert, and its request for retraining
    yield found
    found.close()


@pytest.fixture
def scene(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A daemon whose one webhook has refused what it was told, and a configuration that says where it is."""
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    more = {"webhooks": [{"name": "trainer", "url": receiver.url, "types": ["*"], "secret_file": "secret"}]}
    with capture_logs(), running(tmp_path, more=more) as found:
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("DRIFTD_CONFIG", raising=False)
        monkeypatch.setenv("TOKEN", TOKEN)
        document = yaml.safe_load(Path("driftd.yaml").read_text())
        port = int(found.daemon.server.address[1])
        Path("driftd.yaml").write_text(yaml.safe_dump({**document, "http": {"port": port, "token_env": "TOKEN"}}))
        found.eventually(lambda: [each["detail"] for each in waiting(found)] == [None, "answered 410"])
        yield found


def waiting(scene: Scene) -> Any:
    return scene.get("/api/v1/outbox")


def post(scene: Scene, body: Any, token: str = TOKEN) -> tuple[int, Any]:
    raw = json.dumps({"by": "ana", **body}).encode()
    return scene.ask("POST", "/api/v1/outbox", raw, {"authorization": f"Bearer {token}"})[:2]


def test_what_was_given_up_is_shown_with_why(scene: Scene) -> None:
    first, second = waiting(scene)

    assert (first["target"], first["type"], first["attempts"], first["due_at"]) == (
        "trainer",
        "model.alert.firing",
        1,
        None,
    )
    assert (second["type"], second["status"], second["detail"]) == ("model.retrain.requested", 410, "answered 410")


def test_it_is_tried_again_and_delivered_under_its_id(scene: Scene, receiver: Receiver) -> None:
    notice = waiting(scene)[0]["notice"]

    status, answer = post(scene, {"action": "retry", "notice": notice})

    assert status == 200
    assert [each["notice"] for each in answer["notices"]] == [notice]
    scene.eventually(lambda: len(waiting(scene)) == 1)
    assert receiver.requests[-1].headers["webhook-id"] == notice


def test_what_waits_for_a_target_that_is_gone_goes_to_another_or_to_nobody(scene: Scene, receiver: Receiver) -> None:
    store, (first, second) = scene.daemon.store, waiting(scene)
    store._db.execute("UPDATE delivery SET target = 'renamed'")

    said = "renamed: no longer a target; another can have what waits for it (to), or it is dropped"
    assert post(scene, {"action": "retry", "notice": first["notice"]}) == (409, {"error": said})
    assert post(scene, {"action": "retry", "target": "renamed", "to": "trainor"}) == (
        409,
        {"error": "to: there is no target trainor; there is trainer"},
    )
    assert post(scene, {"action": "drop", "target": "renamed", "to": "trainer", "reason": "r"})[0] == 400
    assert post(scene, {"action": "retry", "notice": second["notice"], "to": "trainer"})[0] == 200
    scene.eventually(lambda: receiver.requests[-1].headers["webhook-id"] == second["notice"])
    assert post(scene, {"action": "drop", "target": "renamed", "reason": "renamed"})[0] == 200
    scene.eventually(lambda: waiting(scene) == [])


def test_nothing_goes_to_a_target_that_would_not_understand_it(scene: Scene) -> None:
    alerts = Subscriber(ListTarget("alerts"), "webhook", frozenset({"model.alert.firing"}))
    desk = OutboxDesk(
        scene.daemon.store.undelivered, lambda *_: [], lambda *_: [], dict, list, lambda _: None, {"alerts": alerts}
    )

    with pytest.raises(NotGrantedError, match=r"^to: alerts does not take model\.retrain\.requested \(its types\)$"):
        desk.answer(b'{"action": "retry", "target": "trainer", "to": "alerts", "by": "ana"}')


def test_a_receiver_that_was_mended_need_not_be_waited_for(tmp_path: Path, receiver: Receiver) -> None:
    receiver.answers = [(503, {"retry-after": "3600"})]
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    more = {"webhooks": [{"name": "trainer", "url": receiver.url, "types": ["*"], "secret_file": "secret"}]}
    with capture_logs(), running(tmp_path, more=more) as scene:
        scene.eventually(lambda: len(waiting(scene)) == 2 and waiting(scene)[0]["attempts"] == 1)

        assert post(scene, {"action": "retry", "target": "trainer"})[0] == 200
        scene.eventually(lambda: waiting(scene) == [])


@pytest.mark.parametrize("severities", [["*"], ["critical"]])
def test_the_end_with_its_model_is_told_to_who_was_told_of_the_alert(
    tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch, severities: list[str]
) -> None:
    receiver.answers = []
    (tmp_path / "secret").write_text("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    types = ["model.alert.firing", "model.alert.resolved"]
    webhook = {"name": "pager", "url": receiver.url, "secret_file": "secret", "types": types, "severities": severities}
    with capture_logs():
        with running(tmp_path, more={"webhooks": [webhook]}) as scene:
            scene.eventually(lambda: len(receiver.requests) == 1)
        monkeypatch.setattr(deciding, "MODEL", {**deciding.MODEL, "name": "fraud"})
        with running(tmp_path, more={"webhooks": [webhook]}) as scene:
            scene.eventually(lambda: len(receiver.requests) == 2)

    assert [each.headers["ce-type"] for each in receiver.requests] == types


def test_what_is_dropped_is_gone_and_says_who_and_why(scene: Scene, receiver: Receiver) -> None:
    with capture_logs() as logs:
        status, answer = post(scene, {"action": "drop", "target": "trainer", "reason": "trained by hand"})

    assert (status, len(answer["notices"])) == (200, 2)
    assert waiting(scene) == []
    assert [(each["event"], each["by"], each["reason"]) for each in logs if each["event"] == "outbox.dropped"] == [
        ("outbox.dropped", "ana", "trained by hand")
    ] * 2
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"action": "retry"}, 400, "needs a notice, a target, or both"),
        ({"action": "drop", "target": "trainer"}, 400, "a drop needs a reason"),
        ({"action": "burn", "target": "trainer"}, 400, "Invalid enum value 'burn' - at `$.action`"),
        ({"action": "retry", "notice": "nothing"}, 404, "nothing: nothing of it waits or was given up"),
        ({"action": "retry", "target": "trainer", "by": "\x1b[2J"}, 400, "a text holds a control character"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(scene: Scene, body: Any, status: int, said: str) -> None:
    assert post(scene, body) == (status, {"error": said})
    assert len(waiting(scene)) == 2


def test_nobody_changes_it_without_the_token(scene: Scene) -> None:
    assert post(scene, {"action": "drop", "target": "trainer", "reason": "x"}, token="guessed")[0] == 401
    assert len(waiting(scene)) == 2


def test_the_command_lists_tries_again_and_drops(scene: Scene, capsys: Output) -> None:
    assert main(["outbox", "list"]) == 0
    first, second = capsys.readouterr().out.splitlines()
    notice, _, rest = first.partition("  ")
    assert rest.startswith("trainer  model.alert.firing churn/3/high, since 2026-11-23T13:00:00Z, 1 attempt, given up")
    assert second.endswith("given up: answered 410")

    assert main(["outbox", "retry", notice, "--by", "ana"]) == 0
    assert capsys.readouterr().out == f"{notice}  trainer  model.alert.firing churn/3/high is tried again\n"
    scene.eventually(lambda: len(waiting(scene)) == 1)

    assert main(["outbox", "drop", "--target", "trainer", "--reason", "by hand"]) == 0
    assert capsys.readouterr().out.endswith("model.retrain.requested churn/3/high is dropped\n")
    assert main(["outbox", "list"]) == 0
    assert capsys.readouterr().out == "every notice is delivered\n"
    assert main(["outbox", "retry", notice]) == 1
    assert capsys.readouterr().err == f"driftd: {notice}: nothing of it waits or was given up\n"
    assert main(["outbox", "retry"]) == 2
