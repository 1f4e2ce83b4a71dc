"""One attempt at one webhook, against a real receiver."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest
import standardwebhooks

from monitor.store.sqlite import Notification
from monitor.stream.events import SECOND
from monitor.targets.webhook import Attempt, SecretError, Webhook, decode_secret, new_client, retry_after
from tests.fakes import NOON, ManualClock, Receiver

SECRET = "whsec_" + "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
NOTE = Notification("trainer", "id1", "model.retrain.requested", "churn/3/drift", b'{"type": "x"}', NOON)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with new_client() as found:
        yield found


def hook(url: str, timeout: float = 5.0) -> Webhook:
    return Webhook("trainer", url, decode_secret(SECRET), timeout)


def send(client: httpx.Client, url: str, *, now: int = NOON, timeout: float = 5.0) -> Attempt:
    return hook(url, timeout).send(client, NOTE, ManualClock(now))


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_the_public_implementation_verifies_the_signature(receiver: Receiver, client: httpx.Client) -> None:
    assert send(client, receiver.url, now=time.time_ns()).delivered

    (request,) = receiver.requests
    assert standardwebhooks.Webhook(SECRET).verify(request.body, request.headers) == {"type": "x"}
    assert request.body == NOTE.body


def test_a_changed_body_is_not_verified(receiver: Receiver, client: httpx.Client) -> None:
    send(client, receiver.url, now=time.time_ns())

    (request,) = receiver.requests
    with pytest.raises(standardwebhooks.webhooks.WebhookVerificationError):
        standardwebhooks.Webhook(SECRET).verify(request.body + b" ", request.headers)


def test_the_headers_are_those_of_cloudevents_and_standard_webhooks(receiver: Receiver, client: httpx.Client) -> None:
    send(client, receiver.url + "?q=1")

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


def test_another_attempt_has_the_same_id_and_body_and_a_fresh_time(receiver: Receiver, client: httpx.Client) -> None:
    send(client, receiver.url)
    send(client, receiver.url, now=NOON + 60 * SECOND)

    first, second = receiver.requests
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    assert int(second.headers["webhook-timestamp"]) == int(first.headers["webhook-timestamp"]) + 60
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]


def test_names_of_any_letters_make_a_valid_header() -> None:
    note = Notification("w", "i", "t", "modèle/日本/a\r\nb", b"", NOON)

    assert hook("http://x").headers(note, 0)["ce-source"] == "/driftd/mod%C3%A8le/%E6%97%A5%E6%9C%AC/a%0D%0Ab"


# --- what the answer means --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "delivered", "gone", "ours"),
    [
        (200, True, False, False),
        (201, True, False, False),
        (202, True, False, False),
        (204, True, False, False),
        (299, True, False, False),
        (300, False, False, False),
        (301, False, False, False),
        (302, False, False, False),
        (304, False, False, False),
        (307, False, False, False),
        (308, False, False, False),
        (400, False, False, True),
        (401, False, False, True),
        (403, False, False, True),
        (404, False, False, True),
        (408, False, False, False),
        (410, False, True, True),
        (413, False, False, True),
        (422, False, False, True),
        (429, False, False, False),
        (500, False, False, False),
        (502, False, False, False),
        (503, False, False, False),
        (504, False, False, False),
        (599, False, False, False),
    ],
)
def test_each_status_has_its_meaning(
    receiver: Receiver, client: httpx.Client, status: int, delivered: bool, gone: bool, ours: bool
) -> None:
    receiver.answers = [(status, {"location": "/elsewhere"})]

    attempt = send(client, receiver.url)

    assert (attempt.delivered, attempt.gone, attempt.ours, attempt.status) == (delivered, gone, ours, status)
    assert len(receiver.requests) == 1  # no redirect is followed
    assert attempt.detail == ("" if delivered else f"answered {status}")


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


def test_retry_after_is_part_of_the_answer(receiver: Receiver, client: httpx.Client) -> None:
    receiver.answers = [(503, {"retry-after": "120"}), (429, {"retry-after": "soon"}), (400, {"retry-after": "5"})]

    assert [send(client, receiver.url).retry_after for _ in range(3)] == [120.0, None, 5.0]


# --- receivers that misbehave -----------------------------------------------------------------------------------------


def hang(handler: BaseHTTPRequestHandler) -> None:
    time.sleep(0.5)


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n")


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"x-y: " + b"z" * 1000 + b"\r\n")


def bomb(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9999999999\r\n\r\n\x1f\x8b")


@pytest.mark.parametrize(
    ("answer", "delivered", "detail"),
    [
        (hang, False, "ReadTimeout"),
        (hang_up, False, "RemoteProtocolError"),
        (garbage, False, "RemoteProtocolError"),
        (endless_headers, False, "RemoteProtocolError"),
        (endless_body, True, ""),
        (bomb, True, ""),
    ],
)
def test_a_receiver_that_misbehaves_ends_the_attempt(
    receiver: Receiver, client: httpx.Client, answer: object, delivered: bool, detail: str
) -> None:
    receiver.answers = [answer]  # type: ignore[list-item]

    attempt = send(client, receiver.url, timeout=0.1)

    assert (attempt.delivered, attempt.detail) == (delivered, detail)
    assert not attempt.ours
    assert send(client, receiver.url).delivered  # and the next attempt is none the worse


def test_nobody_there_is_a_failed_attempt(client: httpx.Client) -> None:
    with closing(socket.socket()) as listener:  # bound, not listening
        listener.bind(("127.0.0.1", 0))
        attempt = send(client, f"http://127.0.0.1:{listener.getsockname()[1]}/")

    assert attempt == Attempt(delivered=False, status=None, detail="ConnectError")


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://169.254.169.254/latest", "169.254.169.254 is a link-local, metadata or multicast address"),
        ("http://[fd00:ec2::254]/", "fd00:ec2::254 is a link-local, metadata or multicast address"),
        ("http://2852039166/", "2852039166 is a link-local, metadata or multicast address"),
        ("http://" + "a" * 64 + ".example/", "UnicodeError"),
        ("https://127.0.0.1:1/", "ConnectError"),
    ],
)
def test_an_address_that_cannot_be_reached_is_a_failed_attempt(client: httpx.Client, url: str, detail: str) -> None:
    assert send(client, url) == Attempt(delivered=False, status=None, detail=detail)


def test_of_several_addresses_the_first_that_answers_is_taken(
    receiver: Receiver, client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`localhost` is ::1 and 127.0.0.1 on most machines; few receivers listen on both."""
    monkeypatch.setattr("monitor.targets.address.resolve", lambda _host, _port: ["127.0.0.2", "127.0.0.1", "127.0.0.3"])

    assert send(client, receiver.url.replace("127.0.0.1", "trainer.internal")).delivered

    assert len(receiver.requests) == 1
    assert receiver.requests[0].headers["host"].startswith("trainer.internal:")


def test_the_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with new_client() as client:
        assert send(client, receiver.url).delivered


def test_plain_text_on_a_tls_port_is_a_failed_attempt(client: httpx.Client) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                connection.recv(1)

        thread = Thread(target=answer, daemon=True)
        thread.start()
        attempt = send(client, f"https://127.0.0.1:{listener.getsockname()[1]}/")
        thread.join()

    assert (attempt.delivered, attempt.detail) == (False, "ConnectError")


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
