"""What Alertmanager is sent: an alert a request, the same labels from opening to end, to every peer; real ones are in tests/integration."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.alerting.rules import Severity
from monitor.stream.events import DAY, SECOND
from monitor.targets.base import Delivered, Refused, TryLater
from monitor.targets.paging import ALERTS
from tests.fakes import NOON, ManualClock, Receiver
from tests.paging import ESCALATED, OF_QUALITY, OPENED, RESOLVED, RETRAINED, Desk, answering, bodies, configured, told
from tests.parts.ports import free_ports


@pytest.fixture
def peers() -> Iterator[list[Receiver]]:
    with ExitStack() as open_:
        found = [Receiver(), Receiver()]
        for each in found:
            open_.callback(each.close)
        yield found


def entry(peers: list[Receiver], **more: Any) -> dict[str, Any]:
    return {"name": "am", "type": "alertmanager", "urls": [peer.url.removesuffix("/hook") for peer in peers], **more}


def sent(peer: Receiver) -> list[dict[str, Any]]:
    """The alerts, of which each stands alone in its request."""
    found = bodies(peer.requests)
    assert all(len(each) == 1 for each in found)
    return [each[0] for each in found]


def test_every_peer_is_sent_an_alert_as_documented(peers: list[Receiver]) -> None:
    assert told(configured(entry(peers, labels={"team": "risk"})).target, OPENED) == [Delivered(204)]

    for peer in peers:
        (request,) = peer.requests
        assert (request.path, request.headers["content-type"]) == ("/api/v2/alerts", "application/json")
        assert sent(peer) == [
            {
                "labels": {
                    "team": "risk",
                    "alertname": "DriftdIncident",
                    "model": "churn",
                    "version": "3",
                    "kind": "drift",
                    "rule": "drift",
                },
                "annotations": {
                    "summary": "churn/3 drifts since 2026-11-23 11:55: age mean +0.8 σ",
                    "description": "- age: mean +0.8 σ\nwindow 2026-11-23T11:55:00Z to 2026-11-23T12:00:00Z, 10000 rows",
                    "severity": "warning",
                    "state": "firing",
                    "incident": OPENED.incident,
                    "event_time": "2026-11-23T12:00:00Z",
                    "since": "2026-11-23T11:55:00Z",
                },
                "startsAt": "2026-11-23T12:00:00Z",
                "endsAt": "2026-11-23T12:04:00Z",
                "generatorURL": f"https://drift.internal/incident?id={OPENED.incident}",
            }
        ]


def test_labels_are_the_same_from_opening_to_end_whatever_changes(peers: list[Receiver]) -> None:
    told(configured(entry(peers)).target, OPENED, ESCALATED, RESOLVED, replace(OPENED, severity=Severity.INFO))

    assert len({str(each["labels"]) for each in sent(peers[0])}) == 1
    assert [each["annotations"]["severity"] for each in sent(peers[0])] == ["warning", "critical", "warning", "info"]


def test_rules_and_kinds_that_open_apart_are_alerts_apart(peers: list[Receiver]) -> None:
    told(configured(entry(peers)).target, OPENED, OF_QUALITY, replace(OPENED, rule="psi-high"))

    assert len({str(each["labels"]) for each in sent(peers[0])}) == 3


def test_times_are_those_of_the_wall_when_it_was_decided(peers: list[Receiver], tmp_path: Path) -> None:
    """Event time is old in a replay, and an alert that began long ago does not wait for its group."""
    clock = ManualClock(NOON + 3 * DAY)
    desk = Desk(tmp_path, configured(entry(peers)), clock)
    desk.save(OPENED)
    desk.run(65)
    desk.save(RESOLVED)
    desk.run(60)
    desk.kill()

    times = [(each["startsAt"], each["endsAt"]) for each in sent(peers[1])]
    assert times[0] == ("2026-11-26T12:00:00Z", "2026-11-26T12:04:05Z")
    assert times[1] == ("2026-11-26T12:00:00Z", "2026-11-26T12:05:05Z")
    assert set(times[2:]) == {("2026-11-26T12:01:05Z", "2026-11-26T12:01:05Z")}


def test_a_clock_that_was_set_back_dates_nothing_into_the_future(peers: list[Receiver]) -> None:
    told(configured(entry(peers)).target, RESOLVED, clock=ManualClock(NOON - 60 * SECOND))

    assert sent(peers[0])[0]["endsAt"] == "2026-11-23T11:59:00Z"


def test_a_dead_peer_holds_nobody_up_and_hears_within_an_interval_of_its_return(
    peers: list[Receiver], tmp_path: Path
) -> None:
    clock = ManualClock()
    (port,) = free_ports(1)
    urls = [f"http://127.0.0.1:{port}", peers[1].url.removesuffix("/hook")]
    desk = Desk(tmp_path, configured({"name": "am", "type": "alertmanager", "urls": urls}), clock)
    desk.save(OPENED)
    desk.run(600)

    assert desk.store.backlog() == {}
    assert len(sent(peers[1])) == 10
    assert desk.facts[0].outcome == "delivered"
    assert desk.facts[0].detail == f"127.0.0.1:{port} did not take it: cannot be reached (ConnectError)"
    assert {fact.outcome for fact in desk.facts[1:]} == {"retried"}
    desk.kill()


def test_a_peer_that_does_not_answer_is_left_alone_for_a_minute_while_another_answers(peers: list[Receiver]) -> None:
    clock = ManualClock()
    (port,) = free_ports(1)
    target = configured(
        {**entry(peers), "urls": [f"http://127.0.0.1:{port}", peers[1].url.removesuffix("/hook")]}
    ).target

    first, second = told(target, OPENED, OPENED, clock=clock)
    clock.advance(61)
    (third,) = told(target, OPENED, clock=clock)

    assert [bool(each.detail) for each in (first, second, third)] == [True, False, True]
    assert len(peers[1].requests) == 3


def test_where_no_peer_answers_it_is_tried_again_soon(peers: list[Receiver]) -> None:
    (port,) = free_ports(1)
    target = configured({"name": "am", "type": "alertmanager", "urls": [f"http://127.0.0.1:{port}"]}).target

    assert told(target, OPENED) == [
        TryLater(None, f"127.0.0.1:{port} did not take it: cannot be reached (ConnectError)", 15.0)
    ]


@pytest.mark.parametrize(
    ("statuses", "outcome"),
    [
        ((400, 422), Refused),
        ((400, 500), TryLater),
        ((503, 503), TryLater),
        ((401, 401), TryLater),
        ((302, 302), TryLater),
        ((500, 200), Delivered),
        ((400, 200), Delivered),
    ],
)
def test_it_is_delivered_once_a_peer_has_taken_it(
    peers: list[Receiver], statuses: tuple[int, int], outcome: type[Any]
) -> None:
    for peer, status in zip(peers, statuses, strict=True):
        peer.answers = [status]

    (delivery,) = told(configured(entry(peers)).target, OPENED)

    assert isinstance(delivery, outcome)
    assert f"answered {statuses[0]}" in delivery.detail


def test_a_login_page_of_a_proxy_is_no_peer_that_took_it(peers: list[Receiver]) -> None:
    for peer in peers:
        peer.answers = [answering(200, b"<html>Sign in</html>")]

    (delivery,) = told(configured(entry(peers)).target, OPENED)

    assert isinstance(delivery, TryLater)
    assert "answered 200: <html>Sign in</html>" in delivery.detail


def test_a_token_is_for_the_proxy_and_is_shown_nowhere(peers: list[Receiver]) -> None:
    target = configured(entry(peers, token_env="T"), {"T": "s3cret-token\n"}).target

    told(target, OPENED)

    assert peers[0].requests[0].headers["authorization"] == "Bearer s3cret-token"
    assert "s3cret" not in repr(target)


@pytest.mark.parametrize(
    ("more", "line"),
    [
        ({"types": ["model.alert.firing"]}, "needs model.alert.resolved too"),
        ({"types": ["*"]}, "a request for retraining is no alert"),
        ({"types": [*ALERTS, "model.retrain.pending"]}, "a request for retraining is no alert"),
        ({"types": [*ALERTS, "model.retrain.suppressed"]}, "a request for retraining is no alert"),
        ({"urls": []}, "at least 1 item"),
        ({"urls": ["ftp://x"]}, "must be an http:// or https:// address"),
        ({"urls": ["http://x?a=b"]}, r"without \? and #"),
        ({"urls": ["http://x", "http://x/"]}, "names a peer twice"),
        ({"labels": {"model": "x"}}, "model is a label of driftd's own"),
        ({"labels": {"a-b": "x"}}, "no name of a label"),
        ({"labels": {"team": " "}}, "team is empty"),
        ({"token_file": "a", "token_env": "b"}, "exactly one of token_file and token_env"),
        ({"interval": "0s"}, "longer than zero"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_key(peers: list[Receiver], more: dict[str, Any], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        configured(entry(peers, **more))


def test_a_request_for_retraining_is_refused_and_sent_nowhere(peers: list[Receiver]) -> None:
    assert told(configured(entry(peers)).target, RETRAINED) == [Refused(detail="a request for retraining is no alert")]
    assert peers[0].requests == []
