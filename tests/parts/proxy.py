"""A TCP proxy on loopback that spoils what passes through it, as networks do: late, slow, not at all, cut off, byte by byte."""

import asyncio
import contextlib
import random
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import Enum
from threading import Event, Thread
from typing import Any, Self

CHUNK = 65_536  # bytes that are on their way in one direction of a connection, at most
NARROW = 125_000  # bytes a second: 1 Mbit/s
SEGMENT = 1_250  # bytes that a narrow line carries at once
MOST_BEFORE_RESET = 2_000  # bytes that a new connection may carry before it is reset
RST_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER of no seconds: what is not sent is dropped, and RST says so
HANDLED_WITHIN = 10.0  # seconds


class Fault(Enum):
    """What the network does. None of it changes the bytes that arrive, nor their order: TCP does not either."""

    LATENCY = "latency"  # each chunk comes later
    NARROW = "narrow"  # 1 Mbit/s in each direction, for all connections together
    BLACKHOLE = "blackhole"  # nothing passes and nobody is told; what was held passes in the end
    HALF_OPEN = "half-open"  # the server's end is gone, and the client is never told, not even in the end
    RESET = "reset"  # connections are reset, new ones in the middle of what they say
    SLICES = "slices"  # a byte a segment


@dataclass(eq=False)
class Link:
    """A connection of a client, and the one to the server that was made for it."""

    client: socket.socket
    server: socket.socket
    steps: list["asyncio.Task[None]"] = field(default_factory=list)  # what goes on
    left: int | None = None  # bytes until it is reset
    abandoned: bool = False  # half-open from now on
    reset: bool = False  # it ends with a RST on both sides

    def stop(self) -> None:
        """Carry nothing more."""
        for step in self.steps:
            step.cancel()


class Proxy:
    """Listens until it is closed. `touched`: how much each fault has met, in bytes that it spoilt or connections that it broke."""

    def __init__(self, *, port: int = 0, seed: int = 0, latency: float = 0.3) -> None:
        """`target` is where the next connection goes. `latency` in seconds."""
        self.target: tuple[str, int] = ("127.0.0.1", 0)
        self.touched: Counter[Fault] = Counter()
        self._latency = latency
        self._random = random.Random(seed)
        self._fault: Fault | None = None
        self._links: set[Link] = set()
        self._free_at = {True: 0.0, False: 0.0}  # when the narrow line can be used again, up and down
        self._listener = socket.create_server(("127.0.0.1", port), backlog=128)
        self._listener.setblocking(False)
        self.port: int = self._listener.getsockname()[1]
        self._loop = asyncio.new_event_loop()
        self._ended, self._passing = asyncio.Event(), asyncio.Event()
        self._passing.set()
        self._thread = Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def suffer(self, fault: Fault | None) -> None:
        """Begin a fault instead of the one before; None: pass all. Returns when it holds."""
        self._call(lambda: self._begin(fault))

    def close(self) -> None:
        """Listen no more, and drop every connection."""
        if self._thread.is_alive():
            self._call(self._ended.set)
            self._thread.join()

    def _call(self, change: Callable[[], object]) -> None:
        done = Event()
        self._loop.call_soon_threadsafe(lambda: (change(), done.set()))
        assert done.wait(HANDLED_WITHIN)

    # --- on the thread of its own -----------------------------------------------------------------------------------

    def _begin(self, fault: Fault | None) -> None:
        self._fault = fault
        if fault is Fault.BLACKHOLE:
            self._passing.clear()
        else:
            self._passing.set()
        for link in self._links:
            self._break(link)

    def _break(self, link: Link) -> None:
        """End a connection that is there, where the fault does so."""
        if self._fault in {Fault.RESET, Fault.HALF_OPEN} and not link.abandoned:
            self.touched[self._fault] += 1
            link.reset, link.abandoned = self._fault is Fault.RESET, self._fault is Fault.HALF_OPEN
            link.stop()

    def _run(self) -> None:
        with contextlib.closing(self._loop), self._listener:
            self._loop.run_until_complete(self._listen())

    async def _listen(self) -> None:
        async with asyncio.TaskGroup() as group:
            accepting = group.create_task(self._accept(group))
            await self._ended.wait()
            accepting.cancel()
            for link in self._links:
                link.reset, link.abandoned = True, False
                link.stop()

    async def _accept(self, group: asyncio.TaskGroup) -> None:
        while True:
            client, _ = await self._loop.sock_accept(self._listener)
            group.create_task(self._serve(client))

    async def _serve(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            link = Link(client, server)
            self._links.add(link)
            try:
                for each in (client, server):
                    each.setblocking(False)
                    each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                await self._carry(link)
            except OSError:
                link.reset = True
            self._links.discard(link)
            for each in (client, server) if link.reset else ():
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST_ON_CLOSE)

    async def _carry(self, link: Link) -> None:
        """Connect, then both ways until both have ended or the connection is broken."""
        await self._do(link, self._loop.sock_connect(link.server, self.target))
        if self._fault is Fault.RESET:
            link.left = self._random.randrange(MOST_BEFORE_RESET)
        if self._fault is Fault.HALF_OPEN:
            self._break(link)
        if not (link.reset or link.abandoned):
            await self._do(link, self._pump(link, upwards=True), self._pump(link, upwards=False))
        if link.abandoned:
            link.server.close()
            await self._do(link, self._swallow(link.client))

    async def _do(self, link: Link, *steps: Coroutine[Any, Any, None]) -> None:
        """Go on until all have ended, or the link is stopped. Raises OSError."""
        link.steps = [self._loop.create_task(step) for step in steps]
        await asyncio.wait(link.steps)
        for step in link.steps:
            if not step.cancelled():
                step.result()

    async def _swallow(self, client: socket.socket) -> None:
        """Take what the client says, and say nothing."""
        while said := await self._loop.sock_recv(client, CHUNK):
            self.touched[Fault.HALF_OPEN] += len(said)

    async def _pump(self, link: Link, *, upwards: bool) -> None:
        source, target = (link.client, link.server) if upwards else (link.server, link.client)
        try:
            while data := await self._loop.sock_recv(source, CHUNK):
                await self._pass(link, data, target, upwards=upwards)
            await self._passing.wait()
            target.shutdown(socket.SHUT_WR)
        except OSError:
            link.reset = True
            link.stop()

    async def _pass(self, link: Link, data: bytes, target: socket.socket, *, upwards: bool) -> None:
        """Pass it on as the fault lets it. Raises OSError."""
        if self._fault is not None:
            self.touched[self._fault] += len(data)
        await self._passing.wait()
        if self._fault is Fault.LATENCY:
            await asyncio.sleep(self._latency)
        for start in range(0, len(data), size := self._segment):
            piece = data[start : start + size]
            if self._fault is Fault.NARROW:
                await self._take_turn(len(piece), upwards=upwards)
            await self._loop.sock_sendall(target, piece[: link.left])
            if link.left is not None:
                link.left = max(0, link.left - len(piece))
            if link.left == 0:
                raise ConnectionResetError
            if start % SEGMENT == 0:
                await asyncio.sleep(0)  # let others pass, too

    @property
    def _segment(self) -> int:
        """Bytes that are passed on at once."""
        return {Fault.SLICES: 1, Fault.NARROW: SEGMENT}.get(self._fault, CHUNK) if self._fault else CHUNK

    async def _take_turn(self, size: int, *, upwards: bool) -> None:
        """Wait until a narrow line has carried so much."""
        now = self._loop.time()
        self._free_at[upwards] = max(now, self._free_at[upwards]) + size / NARROW
        await asyncio.sleep(self._free_at[upwards] - now)
