"""The proxy that spoils a network does what it says, and no byte arrives damaged, twice or out of order."""

import contextlib
import random
import socket
import time
from collections.abc import Iterator
from threading import Thread

import pytest

from tests.parts.proxy import NARROW, Fault, Proxy

SAID = random.Random(1).randbytes(40_000)


class Echo:
    """Says back what it hears, on loopback."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                Thread(target=self._answer, args=[self.listener.accept()[0]], daemon=True).start()

    def _answer(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while said := client.recv(65_536):
                client.sendall(said)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    echo = Echo()
    with Proxy(latency=0.2) as made, echo.listener:
        made.target = echo.listener.getsockname()
        yield made


def connected(proxy: Proxy) -> socket.socket:
    return socket.create_connection(("127.0.0.1", proxy.port), timeout=10)


def heard(client: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (more := client.recv(65_536)):
        found += more
    return found


def is_reset(client: socket.socket) -> bool:
    """Whether it ends so, while it speaks or while it hears what it said."""
    try:
        client.sendall(SAID)
        heard(client, len(SAID))
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


@pytest.mark.parametrize("fault", [None, Fault.LATENCY, Fault.NARROW, Fault.SLICES])
def test_all_arrives_however_late(proxy: Proxy, fault: Fault | None) -> None:
    with connected(proxy) as client:
        proxy.suffer(fault)
        began = time.monotonic()
        Thread(target=client.sendall, args=[SAID]).start()

        assert heard(client, len(SAID)) == SAID
        least = {Fault.LATENCY: 0.4, Fault.NARROW: len(SAID) / NARROW}
        assert time.monotonic() - began >= least.get(fault, 0.0) if fault else True
        assert proxy.touched[fault] == 2 * len(SAID) if fault else not proxy.touched
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""


def test_what_fell_into_a_black_hole_arrives_when_it_ends(proxy: Proxy) -> None:
    with connected(proxy) as before:
        proxy.suffer(Fault.BLACKHOLE)
        with connected(proxy) as meanwhile:
            for client in (before, meanwhile):
                client.sendall(b"held")
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
                client.settimeout(10)
            proxy.suffer(None)

            assert [heard(client, 4) for client in (before, meanwhile)] == [b"held", b"held"]


def test_a_half_open_connection_never_says_anything_again(proxy: Proxy) -> None:
    with connected(proxy) as before, connected(proxy) as asked:
        before.sendall(b"heard")
        assert heard(before, 5) == b"heard"
        proxy.suffer(Fault.HALF_OPEN)
        with connected(proxy) as meanwhile:
            for client in (before, meanwhile):
                client.sendall(b"lost")
            met = 3 + 2 * len(b"lost")  # three connections, and what two of them say
            ends = time.monotonic() + 10
            while proxy.touched[Fault.HALF_OPEN] < met and time.monotonic() < ends:
                time.sleep(0.01)
            assert proxy.touched == {Fault.HALF_OPEN: met}
            proxy.suffer(None)
            for client in (before, meanwhile, asked):
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
    with connected(proxy) as after:
        after.sendall(b"heard")
        assert heard(after, 5) == b"heard"


def test_connections_are_reset_new_ones_in_the_middle(proxy: Proxy) -> None:
    with connected(proxy) as before:
        before.sendall(b"heard")
        assert heard(before, 5) == b"heard"
        proxy.suffer(Fault.RESET)
        with pytest.raises(ConnectionResetError):
            before.recv(1)
    with connected(proxy) as meanwhile:
        assert is_reset(meanwhile)
    proxy.suffer(None)
    with connected(proxy) as after:
        after.sendall(SAID[:100])
        assert heard(after, 100) == SAID[:100]
