"""Deciding over HTTP, on real sockets, against a whole daemon over lists: who may, what may be asked, what survives."""

import http.client
import json
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from detectors.charts import IncidentKind
from monitor.alerting.alerts import AlertState
from monitor.alerting.decisions import Ack, Asked, Decision, PastDecision
from monitor.alerting.ids import notice_id
from monitor.alerting.incidents import Escalation, Standing
from monitor.alerting.rules import Severity
from monitor.facts import AlertChanged, AlertSeen, WindowSpan
from monitor.runtime.board import Board
from monitor.runtime.decisions import decided
from monitor.runtime.sockets import MOST_BODY, MOST_UNREAD
from monitor.runtime.writing import OFF, named
from monitor.stream.events import SeriesKey
from monitor.targets.payloads import ESCALATED, FIRING
from tests.deciding import ALERT, MODEL, SILENCE, TOKEN, TRAINER, Scene, running
from tests.fakes import NOON


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def scene(home: Path) -> Iterator[Scene]:
    with running(home) as found:
        yield found


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A daemon of which nothing comes to be decided."""
    with running(tmp_path_factory.mktemp("still")) as found:
        yield found


# --- who may ----------------------------------------------------------------------------------------------------------


def test_without_a_token_of_ours_nobody_decides(home: Path) -> None:
    with running(home, token=None) as scene:
        assert scene.post(SILENCE) == (403, {"error": OFF})
        assert scene.get("/api/v1/decisions") == []


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer ", "Bearer wrong", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN}x", "Bearer \xff"],
)
def test_without_the_token_nothing_is_taken(still: Scene, authorization: str) -> None:
    headers = {"authorization": authorization} if authorization else {}
    status, said, answered = still.ask("POST", "/api/v1/decisions", json.dumps(SILENCE).encode(), headers)

    assert (status, said) == (401, {"error": "the token is missing or wrong: Authorization: Bearer …"})
    assert answered["www-authenticate"] == "Bearer"
    assert still.get("/api/v1/decisions") == []


def test_the_scheme_is_known_in_any_case(scene: Scene) -> None:
    headers = {"authorization": f"bearer  {TOKEN}"}

    assert scene.ask("POST", "/api/v1/decisions", json.dumps(SILENCE).encode(), headers)[0] == 201


def test_the_token_is_in_no_representation(still: Scene) -> None:
    assert TOKEN not in repr(still.daemon._configuration)
    assert TOKEN not in repr(still.daemon.surface._deciding)


# --- what may be asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"\xff", "JSON is malformed: invalid character (byte 0)"),
        (b"{", "Input data was truncated"),
        (b"[" * 5000, "Expected `object`, got `array`"),
        ({**SILENCE, "decision": "shout"}, "Invalid value 'shout' - at `$.decision`"),
        ({"model": "churn"}, "Object missing required field `decision`"),
        ({**SILENCE, "mode": 1}, "Object contains unknown field `mode`"),
        ({**SILENCE, "by": ""}, "Expected `str` of length >= 1 - at `$.by`"),
        ({**SILENCE, "by": None}, "Expected `str`, got `null` - at `$.by`"),
        ({**SILENCE, "reason": " "}, "a silence needs a reason"),
        ({**SILENCE, "reason": "\x1b[2J"}, "a text holds a control character"),
        ({**SILENCE, "features": ["a\u202e"]}, "a text holds a control character"),
        ({**SILENCE, "reason": "x" * 1001}, "Expected `str` of length <= 1000 - at `$.reason`"),
        ({**SILENCE, "for": "2"}, "for: must be a duration such as 500ms, 30s, 5m, 1h or 7d (is '2')"),
        ({**SILENCE, "for": "0s"}, "for: must be longer than zero"),
        ({**SILENCE, "for": "good"}, "for: must be a duration such as 500ms, 30s, 5m, 1h or 7d (is 'good')"),
        ({**SILENCE, "for": "9999d"}, "for: must be at most 3650d (is '9999d')"),
        ({**SILENCE, "id": "a b"}, "Expected `str` matching regex '^[A-Za-z0-9._-]{1,64}$' - at `$.id`"),
        ({"decision": "ack", "by": "ana"}, "Object missing required field `incident`"),
        ({"decision": "end", "by": "ana"}, "Object missing required field `ends`"),
        ({"decision": "accept", "by": "ana", "model": "churn"}, "Object missing required field `for`"),
    ],
)
def test_what_is_no_decision_is_refused_in_a_line(still: Scene, body: Any, said: str) -> None:
    assert still.post(body) == (400, {"error": said})


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"model": "chrun"}, 404, "there is no model chrun; there is churn"),
        (
            {"features": ["agee"]},
            404,
            "churn has no feature 'agee'; it has 'age', 'plan', '__volume__', '__duplicates__'",
        ),
        ({"version": "4"}, 404, "there is no version 4 of churn; there is 3"),
    ],
)
def test_what_is_not_there_is_not_found(still: Scene, changes: dict[str, Any], status: int, said: str) -> None:
    assert still.decide(**changes) == (status, {"error": said})


@pytest.mark.parametrize("size", [MOST_BODY + 1, MOST_UNREAD + 1])
def test_a_body_has_an_end(still: Scene, size: int) -> None:
    assert still.post(b" " * size) == (413, {"error": f"a body has at most {MOST_BODY} bytes"})


@pytest.mark.parametrize(
    ("length", "status"), [("-1", 411), ("x", 411), ("9" * 30, 413), ("000000000999999999", 413), ("\u0663", 411)]
)
def test_a_length_that_cannot_be_is_refused(still: Scene, length: str, status: int) -> None:
    port = int(still.daemon.server.address[1])
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as connection:
        connection.putrequest("POST", "/api/v1/decisions")
        connection.putheader("content-length", length.encode())
        connection.endheaders()
        with suppress(OSError):  # answered and closed already
            connection.sock.shutdown(socket.SHUT_WR)

        assert connection.getresponse().status == status


# --- what becomes of it -----------------------------------------------------------------------------------------------


def test_a_silence_is_answered_listed_counted_and_shown(scene: Scene) -> None:
    status, said = scene.decide(features=["age", "plan"])

    assert status == 201
    assert said == {
        "id": said["id"],
        "decision": "silence",
        "model": "churn",
        "version": None,
        "features": ["age", "plan"],
        "until": "2026-11-23T15:00:00Z",
        "by": "ana",
        "reason": "release",
        "made_at": "2026-11-23T13:00:00Z",
        "event_time": "2026-11-23T12:02:09Z",
        "ended_at": None,
        "ended": None,
    }
    assert scene.get("/api/v1/decisions") == [said]
    assert [each["silenced"] for each in scene.get("/api/v1/alerts")] == [True]
    assert scene.counted("silence") == 1


def test_asking_again_under_the_same_id_changes_nothing(scene: Scene) -> None:
    first = scene.decide(id="s-1")
    scene.clock.advance(60)

    assert scene.decide(id="s-1") == (200, first[1])
    assert scene.decide(id="s-1", reason="other") == (409, {"error": "s-1 is the id of another decision"})
    assert scene.counted("silence") == 1


def test_a_silence_ends_by_the_clock_or_by_hand(scene: Scene) -> None:
    scene.decide(id="a")
    scene.decide(id="b")
    status, said = scene.post({"decision": "end", "ends": "a", "by": "ben"})
    assert (status, said["decision"], said["model"], said["ends"]) == (201, "end", "churn", "a")
    scene.clock.advance(7200)
    scene.eventually(lambda: scene.get("/api/v1/alerts")[0]["silenced"] is False)

    over = scene.get("/api/v1/decisions")
    assert [(each["decision"], each["ended"]) for each in over] == [
        ("silence", "over"),
        ("silence", "ended by ben"),
        ("end", "done"),
    ]
    assert scene.post({"decision": "end", "ends": "a", "by": "ben"}) == (409, {"error": "a has ended already"})


@pytest.mark.parametrize("told", ["incident", "name", "notice"])
def test_an_incident_is_told_by_its_id_by_its_name_or_by_its_notice(scene: Scene, told: str) -> None:
    seen = scene.daemon.telemetry.look(lambda board: next(iter(board.alerts.values())))
    assert seen.since is not None
    notice = notice_id(seen.key, seen.rule, seen.kind, seen.since, FIRING)
    ack = {"decision": "ack", "by": "ana", "reason": "on it"}
    status, said = scene.post({**ack, "incident": {"incident": seen.incident, "name": ALERT, "notice": notice}[told]})

    assert (status, said["incident"], said["until"]) == (201, seen.incident, None)
    assert scene.get("/api/v1/alerts")[0]["acknowledged"] == {
        "by": "ana",
        "at": "2026-11-23T13:00:00Z",
        "reason": "on it",
    }
    assert scene.post({**ack, "incident": ALERT})[0] == 409
    assert scene.post({**ack, "incident": "churn/3/none"})[0] == 404


def test_incidents_of_one_rule_are_told_apart_by_their_kind_and_one_by_each_of_its_notices() -> None:
    about = Standing(escalations=(Escalation(NOON, ("age",)),))
    drift = AlertSeen(SeriesKey("churn", "3"), "drift", Severity.CRITICAL, AlertState.FIRING, NOON, 1, (), about=about)
    broken = replace(drift, kind=IncidentKind.DATA_QUALITY)
    board = Board({})
    board.alerts = {(each.key, each.rule, each.kind): each for each in (broken, drift)}
    again = notice_id(drift.key, drift.rule, drift.kind, NOON, ESCALATED, NOON)

    assert named(board, "churn/3/drift/data_quality") == broken.incident
    told = "churn/3/drift", "churn/3/drift/drift", again, drift.incident
    assert {named(board, each) for each in told} == {drift.incident}
    board.alerts = {}
    assert named(board, "churn/3/drift") == "churn/3/drift"


def test_an_incident_that_is_over_shows_who_looked_after_it() -> None:
    opened = AlertSeen(SeriesKey("churn", "3"), "drift", Severity.CRITICAL, AlertState.FIRING, NOON, 1, ())
    ack = Decision(Asked("1", Ack(opened.incident), "ana"), "churn", made_at=NOON, event_time=NOON)
    window = WindowSpan(NOON, NOON, 1)
    over = AlertChanged(
        opened.key, "drift", Severity.CRITICAL, AlertState.FIRING, AlertState.INACTIVE, NOON, 1, window, (), "hash"
    )
    board = Board({}, past_decisions=(PastDecision(ack, NOON, "resolved"),))

    assert decided(board, over)["acknowledged"]["by"] == "ana"
    assert decided(board, opened)["acknowledged"] is None  # it was taken back


def test_an_accept_is_in_event_time_or_for_good(scene: Scene) -> None:
    accept = {"decision": "accept", "model": "churn", "by": "ana", "for": "30d"}

    assert scene.post(accept)[1]["until"] == "2026-12-23T12:02:09Z"
    assert scene.post({**accept, "for": "good"})[1]["until"] is None


# --- what survives ----------------------------------------------------------------------------------------------------


def test_what_was_answered_is_on_disk_however_the_daemon_ends(home: Path) -> None:
    """A copy of the state as it lies there when the answer comes: what a kill would leave."""
    with running(home) as scene:
        assert scene.decide(id="s-1")[0] == 201
        shutil.copytree(home / "state", home / "killed")

    (home / "state").rename(home / "stopped")
    (home / "killed").rename(home / "state")
    with running(home) as scene:
        assert [each["id"] for each in scene.get("/api/v1/decisions")] == ["s-1"]
        assert [each["silenced"] for each in scene.get("/api/v1/alerts")] == [True]
        assert scene.decide(id="s-1")[0] == 200
        assert scene.counted("silence") == 0  # not made again


def test_what_could_not_be_saved_is_not_answered_and_can_be_asked_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(scene.daemon.inbox, "_patience", 0.3)
    with monkeypatch.context() as disk:
        disk.setattr(scene.daemon.store, "save", full)
        status, said = scene.decide(id="s-1")
        assert status == 503
        assert said["error"].startswith("not saved within 0.3 s: ")
        assert said["error"].endswith("; ask again with id s-1")
    monkeypatch.setattr(scene.daemon.inbox, "_patience", 10.0)
    scene.clock.advance(10)

    assert scene.decide(id="s-1")[0] in {200, 201}
    assert scene.counted("silence") == 1
    assert [each["id"] for each in scene.get("/api/v1/decisions")] == ["s-1"]


# --- retraining -------------------------------------------------------------------------------------------------------

APPROVAL = {**MODEL, "retraining": {"approval": "required"}}
TRIGGER = {"decision": "trigger", "model": "churn", "by": "ana", "reason": "new labels"}


def test_a_request_waits_is_approved_once_and_listed(tmp_path: Path) -> None:
    with capture_logs(), running(tmp_path, more={"models": [APPROVAL]}) as scene:
        (waiting,) = scene.get("/api/v1/retraining")
        approval = {"decision": "approve", "request": waiting["id"], "by": "ana", "id": "a1"}
        assert (waiting["model"], waiting["reason"], waiting["outcome"]) == ("churn", "drift", "pending_approval")
        assert scene.post(approval)[0] == 201
        assert scene.post(approval)[0] == 200
        assert scene.post({**approval, "id": "a2"}) == (
            409,
            {"error": f"{waiting['id']} does not wait for approval: requested by ana"},
        )
        (requested,) = scene.get("/api/v1/retraining")
        assert (requested["id"], requested["outcome"], requested["by"]) == (waiting["id"], "requested", "ana")
        (shown, *_) = scene.get("/api/v1/decisions")
        assert (shown["decision"], shown["request"], shown["by"]) == ("approve", waiting["id"], "ana")


def test_what_is_rejected_says_who_and_why(tmp_path: Path) -> None:
    with capture_logs(), running(tmp_path, more={"models": [APPROVAL]}) as scene:
        (waiting,) = scene.get("/api/v1/retraining")
        rejection = {"decision": "reject", "request": waiting["id"], "by": "ana"}
        assert scene.post(rejection) == (400, {"error": "a rejection needs a reason"})
        assert scene.post({**rejection, "reason": "holidays"})[0] == 201
        (rejected,) = scene.get("/api/v1/retraining")
        assert [rejected[key] for key in ("outcome", "by", "why")] == ["suppressed_rejected", "ana", "holidays"]
        assert scene.post({**rejection, "request": "x", "reason": "holidays"})[0] == 404


def test_a_trigger_that_nobody_would_be_told_of_is_refused_and_is_no_request(tmp_path: Path) -> None:
    of_another = {**TRAINER, "models": ["other"]}
    with capture_logs(), running(tmp_path, more={"models": [APPROVAL], "targets": [of_another]}) as scene:
        why = "no webhook and no target takes model.retrain.requested of churn: nobody would be told"
        for force in (False, True):
            assert scene.post({**TRIGGER, "force": force}) == (409, {"error": why})
        assert [each["outcome"] for each in scene.get("/api/v1/retraining")] == ["pending_approval"]


def test_a_trigger_needs_a_reason_a_model_and_the_token(tmp_path: Path) -> None:
    with capture_logs(), running(tmp_path, more={"models": [APPROVAL], "targets": [TRAINER]}) as scene:
        assert scene.post({**TRIGGER, "reason": " "}) == (400, {"error": "a trigger needs a reason"})
        assert scene.post({**TRIGGER, "model": "chrun"}) == (404, {"error": "there is no model chrun; there is churn"})
        assert scene.post(TRIGGER, token="wrong")[0] == 401
        status, said = scene.post(TRIGGER)
        assert status == 409
        assert said == {"error": "an earlier request waits for approval: not requested; --force stands above it"}
        assert scene.post({**TRIGGER, "force": True})[0] == 201
        outcomes = [each["outcome"] for each in scene.get("/api/v1/retraining")]
        assert outcomes == ["pending_approval", "requested", "suppressed_pending_approval"]
