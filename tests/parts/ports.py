"""Loopback ports that stay free while a server is down."""

import contextlib
import random
import socket
from pathlib import Path

FIRST = 10_000
EPHEMERAL_RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")
ENTROPY = random.SystemRandom()  # not the seeded one: two runs with one seed must not meet on a port


def free_ports(count: int) -> list[int]:
    """Distinct ports below the ephemeral range.

    A client that keeps connecting to an ephemeral port where nobody listens can be given that very port as its own
    and connect to itself; the restarted server then finds its port taken.
    """
    with contextlib.ExitStack() as held:
        return [_bind_a_free_one(held) for _ in range(count)]


def _bind_a_free_one(held: contextlib.ExitStack) -> int:
    for _ in range(1000):
        listener = held.enter_context(socket.socket())
        with contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", ENTROPY.randrange(FIRST, _first_ephemeral())))
            return int(listener.getsockname()[1])
    raise RuntimeError(f"no free loopback port between {FIRST} and {_first_ephemeral()}")


def _first_ephemeral() -> int:
    if not EPHEMERAL_RANGE.exists():
        return 32_768
    return max(int(EPHEMERAL_RANGE.read_text(encoding="ascii").split()[0]), FIRST + 10_000)
