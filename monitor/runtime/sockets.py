"""Connections of the HTTP server: requests are read whole before anybody works on them, and answers are written as they are read.

One thread waits for all sockets, so that a client that is silent, drips or does not read costs a socket and no thread. Few threads
work on whole requests, few of one address at a time, and addresses take turns: who asks much waits, others do not. What stands
ready is answered by the thread that waits, while nobody works: to hand it over would ask a busy interpreter for two more turns.

With TLS the same thread shakes hands, piece by piece as they come, within the time that a head has: a millisecond or two of work a client.
"""

import socket as sockets
import ssl
import sys
import traceback
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from socket import AF_INET, AF_INET6, SHUT_RDWR, SO_REUSEADDR, SOL_SOCKET, socket
from threading import Condition, Thread
from typing import Any, Protocol

from monitor.clock import SystemClock

MOST_OPEN = 256  # connections; beyond, the oldest that is silent is hung up on
MOST_AT_ONCE = 32  # connections that are taken before the others are looked after again: a handshake takes time
MOST_WORKING = 8  # requests that are worked on at once
MOST_OF_ADDRESS = 4  # of them of one address
HEAD_SECONDS = 2.0  # for the request line and the headers
REQUEST_SECONDS = 10.0  # for a whole connection, request and answer
LOOK_EVERY = 0.2  # seconds from one look at connections that take too long to the next
MOST_HEAD = 65_536  # bytes
MOST_BODY = 65_536  # bytes that are kept
MOST_UNREAD = 1024 * 1024  # bytes of a body too long that are read all the same, so that its sender reads the answer
MOST_UNSENT = 32 * 1024 * 1024  # bytes of answers that nobody reads; beyond, the oldest is hung up on
LONGEST_LENGTH = 9  # digits
BACKLOG = 128
PIECE = 65_536  # bytes read at once
TOO_LONG = b"HTTP/1.0 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
CLOCK = SystemClock()
LATER = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError  # what a socket says that has to wait
ASKED_FOR: Mapping[type[Exception], int] = {ssl.SSLWantReadError: EVENT_READ, ssl.SSLWantWriteError: EVENT_WRITE}

Work = Callable[[bytes, str], Sequence[bytes]]
"""Of a whole request and the address it is from, what is answered: pieces to be sent one after the other."""
StandsReady = Callable[[bytes], bool]
"""Whether a whole request can be answered with what is there, in a moment."""


class Guard(Protocol):
    """Who may connect, as it stands now."""

    @property
    def context(self) -> ssl.SSLContext | None:
        """What connections are made under; None: without TLS."""

    def look(self) -> None:
        """See whether that has changed."""

    def knows(self, certificate: Mapping[str, Any] | None) -> bool:
        """Whether a client with this certificate, verified before, may ask."""


class OpenDoor:
    """Everybody, without TLS."""

    context = None

    def look(self) -> None:
        """Nothing changes."""

    def knows(self, certificate: Mapping[str, Any] | None) -> bool:
        """Nobody is asked."""
        return certificate is None


@dataclass(slots=True, eq=False)
class HttpConnection:
    """One connection."""

    socket: socket
    address: str
    begun: float  # monotonic seconds
    received: bytearray = field(default_factory=bytearray)
    wanted: int | None = None  # bytes of the whole request; None: the head has not ended
    unread: int = 0  # bytes of a body too long that have still to come and are thrown away
    rest: memoryview = field(default_factory=lambda: memoryview(b""))  # of the answer, not yet sent
    waited_for: bool = False  # nobody works on what it asked

    def take(self, piece: bytes) -> bool:
        """Whether the request is whole after a piece of it; an empty one is the client's end."""
        if not piece:
            return True
        if self.unread:
            self.unread -= min(self.unread, len(piece))
            return not self.unread
        self.received += piece
        if self.wanted is None:
            self._look_for_end(max(0, len(self.received) - len(piece) - 3))
        return self.wanted is not None and len(self.received) >= self.wanted and not self.unread

    def _look_for_end(self, start: int) -> None:
        ends = [place + len(end) for end in (b"\r\n\r\n", b"\n\n") if (place := self.received.find(end, start)) >= 0]
        if not ends:
            return
        head = min(ends)
        length = announced(bytes(self.received[:head]))
        self.wanted = head + (length if length <= MOST_BODY else 0)
        if length > MOST_BODY:  # whoever works on it sees the length, and refuses
            self.unread = max(0, min(length, MOST_UNREAD) - (len(self.received) - head))
            del self.received[head:]

    @property
    def piece(self) -> memoryview:
        """What is sent next. TLS wants the very bytes again that it could not send, so they are always as many."""
        return self.rest[:PIECE] if isinstance(self.socket, ssl.SSLSocket) else self.rest

    @property
    def certificate(self) -> Mapping[str, Any] | None:
        """The client's, verified; None where it has shown none."""
        return self.socket.getpeercert() if isinstance(self.socket, ssl.SSLSocket) else None

    def end(self) -> None:
        """Say by TLS that this is the end, where there is TLS; nobody waits for an answer."""
        if isinstance(self.socket, ssl.SSLSocket):
            with suppress(OSError, ValueError):
                self.socket.unwrap()

    def deadline(self) -> float:
        """When it is hung up on, in monotonic seconds."""
        return self.begun + (HEAD_SECONDS if self.wanted is None else REQUEST_SECONDS)


def announced(head: bytes) -> int:
    """The length of the body that a head announces; 0 where it announces none that can be read."""
    for line in head.lower().split(b"\n"):
        name, _, value = line.partition(b":")
        if name.strip() == b"content-length" and (digits := value.strip()).isdigit():
            return int(digits[:LONGEST_LENGTH])
    return 0


class Turns:
    """Whole requests that wait to be worked on: addresses take turns, each with few at a time. For threads."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._waiting: OrderedDict[str, deque[HttpConnection]] = OrderedDict()
        self._working: dict[str, int] = {}
        self._idle = 0  # threads that wait for work

    def put(self, client: HttpConnection) -> bool:
        """Wait for a turn. Returns whether there are idle threads for all that wait."""
        with self._changed:
            self._waiting.setdefault(client.address, deque()).append(client)
            self._changed.notify()
            return self._idle >= sum(map(len, self._waiting.values()))

    def withdraw(self, client: HttpConnection) -> None:
        """Wait no more."""
        with self._changed:
            clients = self._waiting[client.address]
            clients.remove(client)
            if not clients:
                del self._waiting[client.address]

    def take(self) -> HttpConnection:
        """The next one, once there is one."""
        with self._changed:
            self._idle += 1
            while (client := self._next()) is None:
                self._changed.wait()
            self._idle -= 1
            return client

    def _next(self) -> HttpConnection | None:
        for address, clients in self._waiting.items():
            if self._working.get(address, 0) < MOST_OF_ADDRESS:
                client = clients.popleft()
                self._waiting.move_to_end(address)
                if not clients:
                    del self._waiting[address]
                self._working[address] = self._working.get(address, 0) + 1
                return client
        return None

    def done(self, client: HttpConnection) -> None:
        """It is worked on no longer."""
        with self._changed:
            left = self._working.pop(client.address) - 1
            if left:
                self._working[client.address] = left
            self._changed.notify()


class HttpListener:
    """Binds its address when it is made, and answers once it serves. Raises OSError where the port is taken."""

    def __init__(self, host: str, port: int) -> None:
        self._listening = socket(AF_INET6 if ":" in host else AF_INET, sockets.SOCK_STREAM)
        try:
            self._listening.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
            self._listening.bind((host, port))
            self._listening.listen(BACKLOG)
            self._listening.settimeout(0)
        except OSError:
            self._listening.close()
            raise
        self.address: tuple[str, int] = self._listening.getsockname()[:2]
        self._asleep, self._alarm = sockets.socketpair()
        self._asleep.settimeout(0)
        self._alarm.settimeout(0)
        self._open: OrderedDict[HttpConnection, None] = OrderedDict()  # the oldest first
        self._answered: deque[HttpConnection] = deque()  # by those who work, for the thread that waits
        self._turns = Turns()
        self._workers = 0
        self._handed_over = 0  # requests that were, and have not come back answered
        self._stopping = self._full = False  # full: those that would connect wait in the backlog
        self._thread: Thread | None = None
        self._guard: Guard = OpenDoor()

    @property
    def place(self) -> str:
        """Host and port, as a URL writes them."""
        host, port = self.address
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def begin(
        self, work: Work, stands_ready: StandsReady = lambda _received: False, guard: Guard | None = None
    ) -> None:
        """Answer, in threads of its own. Connections made before have waited in the backlog."""
        self._guard = guard or OpenDoor()
        self._work = work
        self._stands_ready = stands_ready
        self._thread = Thread(target=self._wait, name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop, and release the address. Nobody is waited for but the thread that waits itself."""
        self._stopping = True
        self._wake()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        for each in (self._listening, self._asleep, self._alarm):
            each.close()

    # --- the thread that waits ----------------------------------------------------------------------------------------

    def _wait(self) -> None:
        with DefaultSelector() as selector:
            self._selector = selector
            selector.register(self._listening, EVENT_READ)
            selector.register(self._asleep, EVENT_READ)
            looked = CLOCK.elapsed()
            while not self._stopping:
                for key, _ in selector.select(LOOK_EVERY if self._open or self._full else None):
                    self._serve(key.fileobj, key.data)
                if (now := CLOCK.elapsed()) - looked >= LOOK_EVERY:
                    looked = now
                    self._hang_up_late(now)
                    self._accept_again()
            for client in list(self._open):
                self._drop(client)

    def _serve(self, ready: object, client: HttpConnection | None) -> None:
        if client is not None and client not in self._open:
            return  # dropped meanwhile
        if ready is self._listening:
            self._accept()
        elif client is None:
            self._take_answered()
        elif client.rest:
            self._write(client)
        else:
            self._read(client)

    def _accept(self) -> None:
        self._guard.look()
        for _ in range(MOST_AT_ONCE):
            if not self._accept_one():
                return

    def _accept_one(self) -> bool:
        """Whether there may be more."""
        if len(self._open) > MOST_OPEN:
            return self._accept_no_more()
        try:
            accepted, address = self._listening.accept()
        except BlockingIOError:
            return False
        except OSError:  # it went away again, or there are no more descriptors
            self._drop_oldest()
            return self._accept_no_more()
        accepted.settimeout(0)
        if (guarded := self._guarded(accepted)) is not None:
            client = HttpConnection(guarded, str(address[0]), CLOCK.elapsed())
            if len(self._open) == MOST_OPEN:
                self._drop_oldest()
            self._open[client] = None
            self._read(client)
        return True

    def _accept_no_more(self) -> bool:
        """For a while."""
        self._full = True
        self._selector.unregister(self._listening)
        return False

    def _guarded(self, accepted: socket) -> socket | None:
        """The same connection under TLS, if there is TLS, before hands are shaken; None where it went away."""
        context = self._guard.context
        if context is None:
            return accepted
        try:
            return context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
        except (OSError, ValueError):
            accepted.close()
            return None

    def _accept_again(self) -> None:
        if self._full:
            self._full = False
            self._selector.register(self._listening, EVENT_READ)

    def _wait_for(self, client: HttpConnection, event: int) -> None:
        self._wait_no_more(client)
        self._selector.register(client.socket, event, client)
        client.waited_for = True

    def _wait_again(self, client: HttpConnection, why: Exception, event: int) -> None:
        """Wait for what a socket asks for: TLS may want to read where we write, and the other way round."""
        wanted = ASKED_FOR.get(type(why), event)
        if not client.waited_for or self._selector.get_key(client.socket).events != wanted:
            self._wait_for(client, wanted)

    def _wait_no_more(self, client: HttpConnection) -> None:
        if client.waited_for:
            self._selector.unregister(client.socket)
            client.waited_for = False

    def _read(self, client: HttpConnection) -> None:
        try:
            whole = client.take(client.socket.recv(PIECE))  # a record of TLS is no longer: none is left inside
        except LATER as why:
            self._wait_again(client, why, EVENT_READ)
            return
        except (OSError, ValueError):
            self._drop(client)
            return
        if whole and client.received and self._guard.knows(client.certificate):
            self._wait_no_more(client)
            self._have_answered(client)
        elif whole:
            self._drop(client)
        elif client.wanted is None and len(client.received) > MOST_HEAD:
            client.rest = unsent(client.socket, (TOO_LONG,))
            self._go_on_writing(client)
        else:
            self._wait_again(client, BlockingIOError(), EVENT_READ)

    def _have_answered(self, client: HttpConnection) -> None:
        if self._handed_over or not self._stands_ready(bytes(client.received)):
            self._hand_over(client)
            return
        self._answer(client)
        self._go_on_writing(client)

    def _hand_over(self, client: HttpConnection) -> None:
        self._handed_over += 1
        if self._turns.put(client) or self._workers >= MOST_WORKING:
            return
        try:
            Thread(target=self._work_on, name=f"http-{self._workers}", daemon=True).start()
        except RuntimeError:  # no thread is left to begin: those that there are take it, if there are any
            if not self._workers:
                self._turns.withdraw(client)
                self._handed_over -= 1
                self._drop(client)
        else:
            self._workers += 1

    def _take_answered(self) -> None:
        with suppress(BlockingIOError):
            while self._asleep.recv(PIECE):
                pass
        while self._answered:
            self._handed_over -= 1
            self._go_on_writing(self._answered.popleft())

    def _go_on_writing(self, client: HttpConnection) -> None:
        if client.rest:
            self._wait_for(client, EVENT_WRITE)
            self._bound_unsent()
        else:
            client.end()
            self._drop(client)

    def _bound_unsent(self) -> None:
        writing = [each for each in self._open if each.waited_for and each.rest]
        unsent = sum(len(each.rest) for each in writing)
        for client in writing[:-1]:
            if unsent <= MOST_UNSENT:
                return
            unsent -= len(client.rest)
            self._drop(client)

    def _write(self, client: HttpConnection) -> None:
        try:
            client.rest = client.rest[client.socket.send(client.piece) :]
        except LATER as why:
            self._wait_again(client, why, EVENT_WRITE)
            return
        except OSError:
            self._drop(client)
            return
        if not client.rest:
            client.end()
            self._drop(client)

    def _hang_up_late(self, now: float) -> None:
        for client in [each for each in self._open if each.waited_for and now >= each.deadline()]:
            self._drop(client)

    def _drop_oldest(self) -> None:
        """Hang up on the oldest of those that are waited for, the silent first, if there is one."""
        waiting = [each for each in self._open if each.waited_for]
        for client in [each for each in waiting if each.wanted is None][:1] or waiting[:1]:
            self._drop(client)

    def _drop(self, client: HttpConnection) -> None:
        self._wait_no_more(client)
        self._open.pop(client, None)
        with suppress(OSError):
            socket.shutdown(client.socket, SHUT_RDWR)  # not that of TLS, which would let others write in the clear
        client.socket.close()

    # --- those that work ----------------------------------------------------------------------------------------------

    def _work_on(self) -> None:
        while True:
            client = self._turns.take()
            self._answer(client)
            self._turns.done(client)
            self._answered.append(client)
            self._wake()

    def _answer(self, client: HttpConnection) -> None:
        try:
            client.rest = unsent(client.socket, self._work(bytes(client.received), client.address))
        except Exception:  # noqa: BLE001 - a mistake of ours, whatever it is, is printed
            traceback.print_exc(file=sys.stderr)

    def _wake(self) -> None:
        with suppress(OSError):
            self._alarm.send(b"!")


def unsent(to: socket, answer: Sequence[bytes]) -> memoryview:
    """What is left of an answer when as much was sent as the client reads at once; nothing where it went away."""
    secured, sent = isinstance(to, ssl.SSLSocket), 0
    try:
        sent = to.send(b"".join(answer)[:PIECE]) if secured else to.sendmsg(answer)
    except LATER:
        pass
    except OSError:
        return memoryview(b"")
    return memoryview(b"".join(answer))[sent:] if sent < sum(map(len, answer)) else memoryview(b"")
