"""The way out, against real receivers, most of which misbehave."""

import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Thread

import pytest

from monitor.clock import SystemClock
from monitor.targets.transport import Request, Transport, TransportError, trusted
from tests.fakes import Receiver, hang
from tests.parts.certificates import expired


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def io() -> Iterator[Transport]:
    with Transport(SystemClock()) as found:
        yield found


def attempt(io: Transport, url: str, *, timeout: float = 5.0, keep: int = 0, ca_file: Path | None = None) -> int | str:
    """The status that was answered, or why there is no answer."""
    try:
        return io.send(Request("POST", url, {}, timeout=timeout, keep=keep, ca_file=ca_file)).status
    except TransportError as error:
        return str(error)


# --- receivers that misbehave -----------------------------------------------------------------------------------------


def hang_up(handler: BaseHTTPRequestHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def garbage(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\xff this is no HTTP\r\n\r\n")


def endless_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        handler.wfile.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


def short_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 409 Conflict\r\nX-Known: yes\r\ncontent-length: 5\r\n\r\nthere")


def slow_body(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        time.sleep(0.05)
        handler.wfile.write(b"1\r\nx\r\n")
        handler.wfile.flush()


def endless_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"x-y: " + b"z" * 1000 + b"\r\n")


def bomb(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 9999999999\r\n\r\n\x1f\x8b")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (hang, "gave no answer in time (ReadTimeout)"),
        (hang_up, "broke off, or speaks no HTTP (RemoteProtocolError)"),
        (garbage, "broke off, or speaks no HTTP (RemoteProtocolError)"),
        (endless_headers, "broke off, or speaks no HTTP (RemoteProtocolError)"),
        (endless_body, 200),
        (bomb, 200),
    ],
)
def test_a_receiver_that_misbehaves_ends_the_attempt(
    receiver: Receiver, io: Transport, answer: Callable[[BaseHTTPRequestHandler], None], outcome: int | str
) -> None:
    receiver.answers = [answer]

    assert attempt(io, receiver.url, timeout=0.5) == outcome
    assert attempt(io, receiver.url) == 204  # and the next attempt is none the worse


def test_of_a_body_as_much_is_read_as_is_asked_for(receiver: Receiver, io: Transport) -> None:
    receiver.answers = [endless_body, bomb]

    assert io.send(Request("POST", receiver.url, {}, timeout=5.0, keep=100)).body == b"x" * 100
    assert receiver.requests[0].headers["accept-encoding"] == "identity"


def dripped_headers(handler: BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nx-a: ")
    while True:
        time.sleep(0.05)
        handler.wfile.write(b"b")
        handler.wfile.flush()


def soon(handler: BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.001)


@pytest.mark.parametrize("answer", [slow_body, dripped_headers, soon])
def test_an_answer_that_comes_bit_by_bit_has_as_long_as_one_that_does_not_come(
    receiver: Receiver, io: Transport, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    receiver.answers = [answer]

    began = time.monotonic()
    assert attempt(io, receiver.url, timeout=1.0, keep=10**6) == "gave no answer in time (ReadTimeout)"
    assert time.monotonic() - began < 30
    assert attempt(io, receiver.url) == 204


def test_a_receiver_that_does_not_read_is_not_waited_for(io: Transport) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        listener.settimeout(30)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with pytest.raises(TransportError, match="did not read the request in time"):
            io.send(Request("POST", url, {}, bytes(50_000_000), timeout=0.5))


def test_a_short_body_is_read_whole(receiver: Receiver, io: Transport) -> None:
    receiver.answers = [short_body]

    answer = io.send(Request("POST", receiver.url, {"x-name": "a"}, b"content", keep=100))

    assert (answer.status, answer.headers["x-known"], answer.body) == (409, "yes", b"there")
    (request,) = receiver.requests
    assert (request.body, request.headers["x-name"]) == (b"content", "a")


def test_nobody_there_has_no_answer(io: Transport) -> None:
    with closing(socket.socket()) as listener:  # bound, not listening
        listener.bind(("127.0.0.1", 0))
        assert attempt(io, f"http://127.0.0.1:{listener.getsockname()[1]}/") == "cannot be reached (ConnectError)"


@pytest.mark.parametrize(
    ("url", "detail"),
    [
        ("http://169.254.169.254/latest", "169.254.169.254 is a link-local, metadata or multicast address"),
        ("http://[fd00:ec2::254]/", "fd00:ec2::254 is a link-local, metadata or multicast address"),
        ("http://2852039166/", "2852039166 is a link-local, metadata or multicast address"),
        ("http://" + "a" * 64 + ".example/", "UnicodeError"),
        ("https://127.0.0.1:1/", "cannot be reached (ConnectError)"),
    ],
)
def test_an_address_that_cannot_be_reached_has_no_answer(io: Transport, url: str, detail: str) -> None:
    assert attempt(io, url) == detail


def test_of_several_addresses_the_first_that_answers_is_taken(
    receiver: Receiver, io: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`localhost` is ::1 and 127.0.0.1 on most machines; few receivers listen on both."""
    monkeypatch.setattr("monitor.targets.address.resolve", lambda _host, _port: ["127.0.0.2", "127.0.0.1", "127.0.0.3"])

    assert attempt(io, receiver.url.replace("127.0.0.1", "trainer.internal")) == 204

    assert len(receiver.requests) == 1
    assert receiver.requests[0].headers["host"].startswith("trainer.internal:")


def test_the_proxy_of_the_environment_is_not_asked(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with Transport(SystemClock()) as io:
        assert attempt(io, receiver.url) == 204


def test_plain_text_on_a_tls_port_has_no_answer(io: Transport) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with closing(connection):
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                connection.recv(1)

        thread = Thread(target=answer, daemon=True)
        thread.start()
        assert attempt(io, f"https://127.0.0.1:{listener.getsockname()[1]}/") == "TLS: wrong version number"
        thread.join()


# --- authorities of one's own -----------------------------------------------------------------------------------------


@pytest.fixture
def private(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A receiver behind TLS, and the authority that only its owner knows."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl")
    key, ca_file = tmp_path / "key.pem", tmp_path / "ca.pem"
    made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(ca_file), "-days", "2"]
    named = ["-subj", "/CN=driftd test", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([openssl, *made, *named], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca_file, key)
    receiver = Receiver(context)
    yield receiver.url, ca_file
    receiver.close()


def test_a_certificate_of_nobody_known_is_said(io: Transport, private: tuple[str, Path]) -> None:
    said = str(attempt(io, private[0]))

    assert said.startswith("TLS: the certificate is not trusted: self-signed certificate")
    assert said.endswith("ca_file names its authority")


def test_a_certificate_whose_time_is_over_is_said_without_advice_that_would_not_help(
    io: Transport, tmp_path: Path
) -> None:
    context, ca_file = expired(tmp_path)
    receiver = Receiver(context)

    said = str(attempt(io, receiver.url, ca_file=trusted(ca_file)))
    receiver.close()

    assert said == "TLS: the certificate is not trusted: certificate has expired"


def test_an_authority_of_ones_own_is_trusted(io: Transport, private: tuple[str, Path]) -> None:
    url, ca_file = private

    assert attempt(io, url, ca_file=trusted(ca_file)) == 204


def test_the_usual_variable_names_authorities(
    io: Transport, private: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, ca_file = private
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))

    assert attempt(io, url) == 204


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")

    for name in ("ca.pem", "absent.pem"):
        with pytest.raises(ValueError, match=f"ca_file: .*{name} cannot be used: "):
            trusted(tmp_path / name)
