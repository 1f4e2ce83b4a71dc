"""What Opsgenie, or Jira Service Management in its place, is sent: one alert an incident, by its alias."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from monitor.targets.base import Delivered, Refused, TryLater
from tests.fakes import Receiver
from tests.paging import ESCALATED, HOSTILE, OPENED, RESOLVED, RETRAINED, answering, bodies, configured, told

ABOUT = f"/v2/alerts/{OPENED.incident}"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.answers = [answering(202, b'{"result":"Request will be processed"}')] * 20
    yield found
    found.close()


def integration(receiver: Receiver, path: str = "", **more: Any) -> Any:
    url = receiver.url.removesuffix("/hook") + path
    return configured({"name": "ops", "type": "opsgenie", "url": url, "api_key_env": "K", **more}, {"K": "k-1"}).target


def test_an_incident_is_created_updated_and_closed(receiver: Receiver) -> None:
    assert told(integration(receiver, tags=["ml"]), OPENED, ESCALATED, RESOLVED) == [Delivered(202)] * 3

    paths = [request.path for request in receiver.requests]
    assert paths == [
        "/v2/alerts",
        "/v2/alerts",
        f"{ABOUT}/priority?identifierType=alias",
        f"{ABOUT}/message?identifierType=alias",
        f"{ABOUT}/notes?identifierType=alias",
        f"{ABOUT}/close?identifierType=alias",
    ]
    created, again, priority, *_ = bodies(receiver.requests)
    assert created["alias"] == again["alias"] == OPENED.incident
    assert (created["priority"], created["tags"], created["entity"]) == ("P3", ["ml"], "churn/3")
    assert priority == {"priority": "P1"}
    assert {request.headers["authorization"] for request in receiver.requests} == {"GenieKey k-1"}


def test_jira_service_management_is_asked_for_what_it_can(receiver: Receiver) -> None:
    told(integration(receiver, "/jsm/ops/integration"), ESCALATED)

    assert [request.path.removeprefix("/jsm/ops/integration") for request in receiver.requests] == [
        "/v2/alerts",
        f"{ABOUT}/notes?identifierType=alias",
    ]


def test_limits_hold_whatever_comes_out_of_events(receiver: Receiver) -> None:
    told(integration(receiver, template={"text": "{features}\n" * 50}), HOSTILE)

    sent = json.loads(receiver.requests[0].body)
    assert len(sent["message"]) <= 130
    assert len(sent["description"]) <= 15_000


def test_what_fails_midway_is_begun_anew(receiver: Receiver) -> None:
    receiver.answers = [answering(202), answering(500)]

    assert told(integration(receiver), ESCALATED) == [TryLater(500, "answered 500")]
    assert len(receiver.requests) == 2


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [
        (answering(422, b"bad k-1"), Refused(422, "answered 422: bad ***")),
        (answering(429, retry_after="9"), TryLater(429, "answered 429", 9.0)),
        (answering(503), TryLater(503, "answered 503")),
        (answering(200, b"<html>Sign in</html>"), TryLater(200, "answered 200: <html>Sign in</html>")),
    ],
)
def test_an_answer_is_taken_as_documented(receiver: Receiver, answer: Any, delivery: Any) -> None:
    receiver.answers = [answer]

    assert told(integration(receiver), OPENED) == [delivery]


def test_a_request_for_retraining_is_no_alert(receiver: Receiver) -> None:
    assert told(integration(receiver), RETRAINED) == [Refused(detail="a request for retraining is no alert")]
    with pytest.raises(ValueError, match="leave types out"):
        integration(receiver, types=["*"])


def test_the_key_is_shown_nowhere(receiver: Receiver) -> None:
    assert "k-1" not in repr(integration(receiver))
