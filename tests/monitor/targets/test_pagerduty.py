"""What PagerDuty is sent, and what is made of its answers; its service cannot be run here, so its documented limits are held."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from monitor.alerting.rules import Severity
from monitor.facts import WindowSpan
from monitor.stream.events import SECOND
from monitor.targets.base import Delivered, Fault, Refused, TryLater
from tests.fakes import Receiver
from tests.paging import ESCALATED, HOSTILE, OPENED, RESOLVED, RETRAINED, answering, bodies, configured, told

KEY = "0123456789abcdef0123456789ABCDEF"
ACCEPTED = b'{"status":"success","message":"Event processed","dedup_key":"x"}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.answers = [answering(202, ACCEPTED)] * 10
    yield found
    found.close()


def entry(receiver: Receiver, **more: Any) -> dict[str, Any]:
    url = receiver.url.removesuffix("/hook")
    return {"name": "oncall", "type": "pagerduty", "url": url, "routing_key_env": "K", **more}


def service(receiver: Receiver, **more: Any) -> Any:
    return configured(entry(receiver, **more), {"K": KEY + "\n"}).target


def test_an_incident_is_one_alert_triggered_updated_and_resolved(receiver: Receiver) -> None:
    assert told(service(receiver), OPENED, ESCALATED, RESOLVED) == [Delivered(202)] * 3

    sent = bodies(receiver.requests)
    assert {request.path for request in receiver.requests} == {"/v2/enqueue"}
    assert [(each["event_action"], each["payload"]["severity"]) for each in sent] == [
        ("trigger", "warning"),
        ("trigger", "critical"),
        ("resolve", "warning"),
    ]
    assert {each["dedup_key"] for each in sent} == {OPENED.incident}
    assert len(OPENED.incident) <= 255
    assert "EU-2" in sent[1]["payload"]["summary"]


def test_a_trigger_reads_as_documented(receiver: Receiver) -> None:
    told(service(receiver), OPENED)

    (sent,) = bodies(receiver.requests)
    details = sent["payload"].pop("custom_details")
    page = f"https://drift.internal/incident?id={OPENED.incident}"
    assert sent == {
        "routing_key": KEY,
        "event_action": "trigger",
        "dedup_key": OPENED.incident,
        "client": "driftd",
        "client_url": page,
        "links": [{"href": page, "text": "Incident at driftd"}],
        "payload": {
            "summary": "churn/3 drifts since 2026-11-23 11:55: age mean +0.8 σ",
            "source": "driftd churn/3",
            "timestamp": "2026-11-23T12:00:00Z",
            "severity": "warning",
            "component": "churn",
            "group": "churn/3",
            "class": "drift",
        },
    }
    assert (details["model"], details["evidence"][0]["feature"]) == ("churn", "age")
    assert "- age: mean +0.8 σ" in details["text"]


def test_an_event_is_of_when_it_was_decided(receiver: Receiver) -> None:
    """In a replay event time is long ago."""
    told(service(receiver), replace(OPENED, window=WindowSpan(0, SECOND, 10)))

    assert bodies(receiver.requests)[0]["payload"]["timestamp"] == "2026-11-23T12:00:00Z"


@pytest.mark.parametrize("severity", Severity)
def test_every_severity_is_one_of_theirs(receiver: Receiver, severity: Severity) -> None:
    told(service(receiver), replace(OPENED, severity=severity))

    assert bodies(receiver.requests)[0]["payload"]["severity"] == severity.value


def test_a_request_for_retraining_is_a_change_event_that_pages_nobody(receiver: Receiver) -> None:
    assert told(service(receiver, types=["*"]), RETRAINED) == [Delivered(202)]

    (request,) = receiver.requests
    sent = json.loads(request.body)
    assert request.path == "/v2/change/enqueue"
    assert set(sent) == {"routing_key", "payload", "links"}
    assert set(sent["payload"]) == {"summary", "source", "timestamp", "custom_details"}
    assert sent["payload"]["custom_details"]["data_range"]["from"] == "2026-11-23T11:50:00Z"


def test_limits_hold_whatever_comes_out_of_events(receiver: Receiver) -> None:
    told(service(receiver, template={"title": "{features} {features} {features}"}), HOSTILE)

    assert len(receiver.requests[0].body) < 512_000
    assert len(bodies(receiver.requests)[0]["payload"]["summary"]) <= 1024


@pytest.mark.parametrize(
    ("answer", "delivery"),
    [
        (
            answering(400, b'{"status":"invalid event","errors":["routing_key ' + KEY.encode() + b' is bad"]}'),
            Refused(400, 'answered 400: {"status":"invalid event","errors":["routing_key *** is bad"]}'),
        ),
        (answering(429, retry_after="30"), TryLater(429, "answered 429", 30.0)),
        (answering(429), TryLater(429, "answered 429")),
        (answering(500), TryLater(500, "answered 500")),
        (answering(200, b"<html>Sign in</html>"), TryLater(200, "answered 200: <html>Sign in</html>")),
        (answering(200, b'{"status":"error"}'), TryLater(200, 'answered 200: {"status":"error"}')),
        (answering(403), TryLater(403, "answered 403", fault=Fault.NOTICE)),
        (answering(302, location="https://elsewhere"), TryLater(302, "answered 302")),
    ],
)
def test_an_answer_is_taken_as_documented(receiver: Receiver, answer: Any, delivery: Any) -> None:
    receiver.answers = [answer]

    assert told(service(receiver), OPENED) == [delivery]


@pytest.mark.parametrize("key", ["short", KEY + "0", KEY[:-1] + "-", ""])
def test_a_key_that_is_none_is_refused_and_not_shown(receiver: Receiver, key: str) -> None:
    with pytest.raises(ValueError, match="routing_key_env") as refused:
        configured(entry(receiver), {"K": key})

    assert not key or key not in str(refused.value)
    assert KEY not in repr(service(receiver))


def test_exactly_one_key_is_named(receiver: Receiver) -> None:
    with pytest.raises(ValueError, match="exactly one of routing_key_file and routing_key_env"):
        configured(entry(receiver, routing_key_file="k"))
