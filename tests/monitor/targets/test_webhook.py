"""One attempt at one webhook, against a real receiver."""

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import standardwebhooks

from monitor.clock import SystemClock
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND
from monitor.targets.base import Delivered, Delivery, Fault, Refused, TryLater
from monitor.targets.secrets import SecretError
from monitor.targets.transport import Transport
from monitor.targets.webhook import Webhook, decode_secret, render, retry_after
from tests.fakes import NOON, ManualClock, Receiver

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NOTE = Notice("id1", "model.retrain.requested", "churn/3/drift", NOON, b'{"model":"churn","score":1.0}')
BODY = b'{"type":"model.retrain.requested","timestamp":"2026-11-23T12:00:00Z","data":{"model":"churn","score":1.0}}'


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def io() -> Iterator[Transport]:
    with Transport(SystemClock()) as found:
        yield found


def hook(url: str, timeout: float = 5.0) -> Webhook:
    return Webhook("trainer", url, decode_secret(SECRET), timeout)


def send(io: Transport, url: str, *, now: int = NOON, timeout: float = 5.0) -> Delivery:
    return hook(url, timeout).deliver(NOTE, io, ManualClock(now))


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_public_implementation_verifies_the_signature(receiver: Receiver, io: Transport) -> None:
    assert send(io, receiver.url, now=time.time_ns()) == Delivered(204)

    (request,) = receiver.requests
    assert standardwebhooks.Webhook(SECRET).verify(request.body, request.headers) == json.loads(BODY)
    assert request.body == BODY


def test_a_changed_body_is_not_verified(receiver: Receiver, io: Transport) -> None:
    send(io, receiver.url, now=time.time_ns())

    (request,) = receiver.requests
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(request.body + b" ", request.headers)


def test_the_headers_are_those_of_cloudevents_and_standard_webhooks(receiver: Receiver, io: Transport) -> None:
    send(io, receiver.url + "?q=1")

    (request,) = receiver.requests
    assert request.path == "/hook?q=1"
    assert request.headers["host"] == urlsplit(receiver.url).netloc
    expected = {
        "content-type": "application/json",
        "webhook-id": "id1",
        "webhook-timestamp": str(NOON // SECOND),
        "ce-specversion": "1.0",
        "ce-id": "id1",
        "ce-type": "model.retrain.requested",
        "ce-source": "/driftd/churn/3/drift",
        "ce-time": "2026-11-23T12:00:00Z",
    }
    assert expected.items() <= request.headers.items()


def test_another_attempt_has_the_same_id_and_body_and_a_fresh_time(receiver: Receiver, io: Transport) -> None:
    send(io, receiver.url)
    send(io, receiver.url, now=NOON + 60 * SECOND)

    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_names_of_any_letters_make_a_valid_header() -> None:
    note = replace(NOTE, subject="modèle/日本/a\r\nb")

    assert hook("http://x").headers(note, b"", 0)["ce-source"] == "/driftd/mod%C3%A8le/%E6%97%A5%E6%9C%AC/a%0D%0Ab"


# --- what the answer means --------------------------------------------------------------------------------------------


def later(status: int, fault: Fault) -> Delivery:
    return TryLater(status, f"answered {status}", fault=fault)


@pytest.mark.parametrize(
    ("status", "delivery"),
    [
        *((status, Delivered(status)) for status in (200, 201, 202, 204, 299)),
        *((status, later(status, Fault.RECEIVER)) for status in (300, 301, 302, 304, 307, 308)),
        *((status, later(status, Fault.NOTICE)) for status in (400, 401, 403, 404, 413, 422)),
        (410, Refused(410, "answered 410")),
        *((status, later(status, Fault.RECEIVER)) for status in (408, 429, 500, 502, 503, 504, 599)),
    ],
)
def test_each_status_has_its_meaning(receiver: Receiver, io: Transport, status: int, delivery: Delivery) -> None:
    receiver.answers = [(status, {"location": "/elsewhere"})]

    assert send(io, receiver.url) == delivery
    assert len(receiver.requests) == 1  # no redirect is followed


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        ("1.5", 1.5),
        (" 30 ", 30.0),
        ("Mon, 23 Nov 2026 12:02:00 GMT", 120.0),
        ("Mon, 23 Nov 2026 13:02:00 +0100", 120.0),
        ("Mon, 23 Nov 2026 11:00:00 GMT", None),  # past
        ("0", None),  # or a receiver could make us hammer it
        ("-5", None),
        ("0.01", None),
        ("nan", None),
        ("inf", 86_400.0),
        ("1e999", 86_400.0),
        ("9" * 5000, 86_400.0),
        ("-inf", None),
        ("soon", None),
        ("", None),
        ("Mon, 32 Nov 2026 12:02:00 GMT", None),
        ("Mon, 01 Jan 99999999999999999999 00:00:00 GMT", None),
        ("Mon, 01 Jan 2026 00:00:00 +99999999999999999999", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400.0),
    ],
)
def test_retry_after_is_taken_if_it_makes_sense(value: str | None, seconds: float | None) -> None:
    assert retry_after(value, ManualClock(NOON)) == seconds


def test_retry_after_is_part_of_the_answer(receiver: Receiver, io: Transport) -> None:
    receiver.answers = [(503, {"retry-after": "120"}), (429, {"retry-after": "soon"}), (400, {"retry-after": "5"})]

    answers = [send(io, receiver.url) for _ in range(3)]

    assert [answer.delay for answer in answers if isinstance(answer, TryLater)] == [120.0, None, 5.0]


def test_what_an_earlier_driftd_has_rendered_is_sent_as_it_is() -> None:
    assert render(replace(NOTE, rendered=b'{"type": "as it was"}')) == b'{"type": "as it was"}'


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", [SECRET, f"  {SECRET}\n", "whsec_" + "QUFB" * 21])
def test_a_secret_is_read(text: str) -> None:
    assert len(decode_secret(text)) >= 24


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "must begin with whsec_, as Standard Webhooks has it"),
        ("canary", "must begin with whsec_, as Standard Webhooks has it"),
        ("whsec_canary", "is not base64 after whsec_"),
        ("whsec_canary!!", "is not base64 after whsec_"),
        ("whsec_çanary", "is not base64 after whsec_"),
        ("whsec_canary7f", "is 6 bytes; Standard Webhooks asks for 24 to 64"),
        ("whsec_" + "QUFB" * 22, "is 66 bytes; Standard Webhooks asks for 24 to 64"),
        (SECRET + "\n" + SECRET, "is not base64 after whsec_"),
    ],
)
def test_a_secret_that_cannot_be_used_is_not_shown(text: str, why: str) -> None:
    with pytest.raises(SecretError) as refused:
        decode_secret(text)

    assert str(refused.value) == why
