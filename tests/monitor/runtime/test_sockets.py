"""Connections of the HTTP server: whoever is silent, drips, does not read or asks much keeps nobody else waiting."""

import socket
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Semaphore, Thread, current_thread
from typing import Any

import pytest

from monitor.runtime import sockets
from monitor.runtime.sockets import MOST_AT_ONCE, MOST_OF_ADDRESS, MOST_OPEN, MOST_WORKING, TOO_LONG, HttpListener
from tests.parts import certificates

ASKED = b"GET /quick HTTP/1.0\r\n\r\n"
LARGE = b"GET /large HTTP/1.0\r\n\r\n"
READY = b"GET /ready HTTP/1.0\r\n\r\n"
ANSWER = bytes(range(256)) * 25_000  # larger than the buffers of any socket
PATIENCE = 30.0  # seconds


@dataclass
class Guarded:
    """TLS, and who is known."""

    context: ssl.SSLContext
    trusting: ssl.SSLContext  # a client's
    known: bool = True

    def look(self) -> None:
        """Nothing changes."""

    def knows(self, _certificate: Mapping[str, Any] | None) -> bool:
        return self.known


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Guarded:
    home: Path = tmp_path_factory.mktemp("certificates")
    context, ca_file = certificates.valid(home)
    return Guarded(context, ssl.create_default_context(cafile=ca_file))


class Scene:
    """A server that says back what it was asked; what is large is answered with more than a socket takes at once."""

    def __init__(self, guard: Guarded | None) -> None:
        self.open, self.guard = ExitStack(), guard
        self.begun, self.free = Semaphore(0), Event()
        self.listener = HttpListener("127.0.0.1", 0)
        self.listener.begin(self.work, lambda received: received.startswith(READY), guard)
        self.open.callback(self.listener.close)
        self.open.callback(self.free.set)

    def work(self, received: bytes, _address: str) -> Sequence[bytes]:
        if b"/slow" in received:
            self.begun.release()
            self.free.wait(PATIENCE)
        self.answered_by = current_thread().name
        return (b"", ANSWER) if b"/large" in received else (b"said ", received)

    def client(
        self, said: bytes = b"", address: str = "127.0.0.1", buffer: int | None = None, *, raw: bool = False
    ) -> socket.socket:
        """`raw`: without TLS, though there is TLS."""
        found = socket.socket()
        self.open.callback(found.close)
        if buffer is not None:
            found.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        found.settimeout(PATIENCE)
        found.bind((address, 0))
        found.connect(self.listener.address)
        if self.guard is not None and not raw:
            found = self.open.enter_context(self.guard.trusting.wrap_socket(found, server_hostname="127.0.0.1"))
        found.sendall(said)
        return found

    def answered(self, said: bytes = ASKED, address: str = "127.0.0.1") -> bytes:
        return read(self.client(said, address))

    def rest(self) -> None:
        """Wait until nobody works: who is answered may know it before the server does."""
        ends = time.monotonic() + PATIENCE
        while self.listener._handed_over and time.monotonic() < ends:
            time.sleep(0.01)


def read(client: socket.socket) -> bytes:
    received = b""
    while piece := client.recv(65_536):
        received += piece
    return received


@pytest.fixture(params=["plain", "TLS"])
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    found = Scene(request.getfixturevalue("guarded") if request.param == "TLS" else None)
    with found.open:
        yield found


@pytest.fixture
def plain() -> Iterator[Scene]:
    found = Scene(None)
    with found.open:
        yield found


@pytest.fixture
def secured(guarded: Guarded) -> Iterator[Scene]:
    found = Scene(guarded)
    with found.open:
        yield found


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    for name in ("HEAD_SECONDS", "REQUEST_SECONDS"):
        monkeypatch.setattr(sockets, name, 0.3)
    return 0.3


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is hung up on for being slow."""
    for name in ("HEAD_SECONDS", "REQUEST_SECONDS"):
        monkeypatch.setattr(sockets, name, 600.0)


@pytest.mark.parametrize(
    "said",
    [b"", b"GET /metrics HTTP/1.1\r\nhost: a", b"POST / HTTP/1.0\r\ncontent-length: 9\r\n\r\n"],
    ids=["silent", "half a head", "no body"],
)
@pytest.mark.usefixtures("patient")
def test_hundreds_of_clients_that_never_ask_keep_nobody_waiting(
    scene: Scene, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = MOST_OPEN if scene.guard is None else 32  # hands are shaken here, too
    monkeypatch.setattr(sockets, "MOST_OPEN", most)
    first = scene.client(said, raw=not said)  # before it shakes hands, where there is TLS
    for _ in range(2 * most):
        scene.client(said, raw=not said)

    assert [scene.answered() for _ in range(3)] == [b"said " + ASKED] * 3
    assert first.recv(1) == b""  # the oldest was hung up on


@pytest.mark.usefixtures("patient")
def test_clients_that_do_not_read_keep_nobody_waiting_and_not_all_is_kept_for_them(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "MOST_UNSENT", 100_000)
    deaf = [scene.client(LARGE, buffer=4096) for _ in range(4 * MOST_WORKING)]

    assert scene.answered() == b"said " + ASKED
    assert len(read(deaf[0])) < len(ANSWER)  # hung up on: others came later
    assert scene.answered(LARGE) == ANSWER


def test_what_stands_ready_is_answered_by_the_thread_that_waits_while_nobody_works(scene: Scene) -> None:
    answered = []
    for said in (READY, ASKED, READY + LARGE):
        scene.answered(said)
        answered.append(scene.answered_by)
        scene.rest()

    assert answered == ["http", "http-0", "http"]


def test_what_stands_ready_waits_for_its_turn_while_somebody_works(scene: Scene) -> None:
    slow = scene.client(b"GET /slow HTTP/1.0\r\n\r\n")
    assert scene.begun.acquire(timeout=PATIENCE)
    assert scene.answered(READY) == b"said " + READY
    assert scene.answered_by == "http-1"
    scene.free.set()
    read(slow)
    scene.rest()
    scene.answered(READY)
    assert scene.answered_by == "http"


def drip(client: socket.socket) -> None:
    while True:
        client.sendall(b"G")
        time.sleep(0.02)


def test_a_client_that_drips_is_hung_up_on_though_each_byte_comes_in_time(impatient: float, scene: Scene) -> None:
    began, client = time.monotonic(), scene.client()
    with pytest.raises((ConnectionResetError, BrokenPipeError, ssl.SSLEOFError)):
        drip(client)

    assert time.monotonic() - began >= impatient


@pytest.mark.usefixtures("impatient")
def test_a_client_that_does_not_read_is_hung_up_on(scene: Scene) -> None:
    client = scene.client(LARGE, buffer=4096)
    time.sleep(1)
    assert len(read(client)) < len(ANSWER)


@pytest.mark.usefixtures("patient")
def test_a_large_answer_comes_whole_to_who_reads_slowly(scene: Scene) -> None:
    client = scene.client(LARGE, buffer=4096)
    time.sleep(0.2)
    assert read(client) == ANSWER


def test_a_request_may_come_in_any_pieces(scene: Scene) -> None:
    request = b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nabcde"
    client = scene.client()
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in request:
        client.sendall(bytes([byte]))
        time.sleep(0.001)

    assert read(client) == b"said " + request


def test_what_ends_early_is_worked_on_as_it_is(plain: Scene) -> None:
    client = plain.client(b"GET /a")
    client.shutdown(socket.SHUT_WR)
    assert read(client) == b"said GET /a"


def test_headers_without_an_end_are_refused(scene: Scene) -> None:
    client = scene.client(b"GET / HTTP/1.0\r\na: " + b"b" * (sockets.MOST_HEAD - 17))
    assert read(client) == TOO_LONG


def test_of_a_body_too_long_the_head_alone_is_kept(scene: Scene) -> None:
    head = b"POST / HTTP/1.0\r\ncontent-length: 100000\r\n\r\n"
    assert scene.answered(head + bytes(100_000)) == b"said " + head


def test_who_asks_much_waits_and_others_do_not(scene: Scene) -> None:
    for _ in range(3 * MOST_WORKING):
        scene.client(b"GET /slow HTTP/1.0\r\n\r\n", address="127.0.0.2")
    for _ in range(MOST_OF_ADDRESS):
        assert scene.begun.acquire(timeout=PATIENCE)

    assert scene.answered(address="127.0.0.3") == b"said " + ASKED
    assert not scene.begun.acquire(blocking=False)
    scene.free.set()
    for _ in range(3 * MOST_WORKING - MOST_OF_ADDRESS):
        assert scene.begun.acquire(timeout=PATIENCE)


@pytest.mark.usefixtures("patient")
def test_where_all_are_worked_on_the_next_wait_and_are_answered(plain: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_OPEN", 3)
    slow = [plain.client(b"GET /slow HTTP/1.0\r\n\r\n") for _ in range(3)]
    for _ in slow:
        assert plain.begun.acquire(timeout=PATIENCE)
    late = plain.client(ASKED)
    plain.free.set()

    assert read(late) == b"said " + ASKED


@pytest.mark.usefixtures("patient")
def test_a_stop_waits_for_no_client(scene: Scene) -> None:
    silent, slow = scene.client(), scene.client(b"GET /slow HTTP/1.0\r\n\r\n")
    assert scene.begun.acquire(timeout=PATIENCE)
    closer = Thread(target=scene.listener.close, daemon=True)
    closer.start()
    closer.join(PATIENCE)

    assert not closer.is_alive()
    assert silent.recv(1) == slow.recv(1) == b""


def test_a_thread_that_cannot_be_begun_takes_no_place(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_thread: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr("threading.Thread.start", refuse)
        assert [scene.answered() for _ in range(2 * MOST_WORKING)] == [b""] * 2 * MOST_WORKING

    assert scene.answered() == b"said " + ASKED


def test_a_mistake_of_ours_is_printed_and_the_next_is_answered(
    scene: Scene, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene.listener, "_work", None)
    assert scene.answered() == b""
    assert "TypeError" in capsys.readouterr().err
    monkeypatch.undo()
    assert scene.answered() == b"said " + ASKED


def test_who_speaks_no_tls_where_there_is_tls_is_hung_up_on(secured: Scene) -> None:
    client = secured.client(ASKED, raw=True)
    with suppress(ConnectionResetError):
        assert not client.recv(100).startswith(b"said")
    assert secured.answered() == b"said " + ASKED


def test_who_is_not_known_by_a_certificate_is_not_answered(secured: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secured.guard, "known", False)
    assert secured.answered() == b""


@pytest.mark.usefixtures("impatient")
def test_a_handshake_that_never_ends_is_hung_up_on(secured: Scene) -> None:
    client = secured.client(b"\x16\x03\x01\x02\x00", raw=True)  # the first bytes of one
    assert client.recv(1) == b""


def test_an_answer_over_tls_has_an_end_that_cannot_be_forged(secured: Scene) -> None:
    """The client hears that it is the end by TLS; a connection that was cut would raise."""
    client = secured.client(LARGE)
    assert isinstance(client, ssl.SSLSocket)
    client.suppress_ragged_eofs = False
    assert read(client) == ANSWER


class FloodingGuard:
    """For each client that is taken, another one waits; the first says the rest of what it asks when some were taken."""

    def __init__(self, address: tuple[str, int], first: socket.socket) -> None:
        self.address, self.first = address, first
        self.open, self.taken = ExitStack(), 0

    @property
    def context(self) -> None:
        self.taken += 1
        if self.taken == MOST_AT_ONCE // 2:
            self.first.sendall(ASKED[1:])
        if self.taken <= 4 * MOST_OPEN:
            self.open.enter_context(socket.socket()).connect(self.address)

    def look(self) -> None:
        """Nothing changes."""

    def knows(self, _certificate: Mapping[str, Any] | None) -> bool:
        return True


def test_who_connects_without_end_keeps_nobody_waiting() -> None:
    listener = HttpListener("127.0.0.1", 0)
    first = socket.create_connection(listener.address, PATIENCE)
    guard = FloodingGuard(listener.address, first)
    taken = []

    def work(received: bytes, _address: str) -> Sequence[bytes]:
        taken.append(guard.taken)
        return (b"said ", received)

    with first, guard.open:
        first.sendall(ASKED[:1])
        listener.begin(work, lambda _received: True, guard)
        assert read(first) == b"said " + ASKED
        listener.close()
    assert taken[0] <= 2 * MOST_AT_ONCE  # it may have said the rest just after the sockets were asked
