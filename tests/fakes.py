"""One fake per port: a clock set by hand, a source that reads lists, a target that keeps them, a receiver. Never a fake of our own logic."""

import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

from monitor.alerting.versions import KnownVersion, OfferedReference
from monitor.clock import Clock
from monitor.runtime.outbox import OutboxDesk
from monitor.sources.base import NO_TOPICS, NONE_VERIFIED, Poll, Prepare, SourceError, TopicRecords
from monitor.store.outbox import Notice
from monitor.stream.events import SECOND, Nanos, Partition
from monitor.targets.base import Delivered, Delivery, Subscriber
from monitor.targets.transport import Transport

NOON: Nanos = 1_795_435_200 * SECOND  # 2026-11-23T12:00:00Z


def nothing_waits() -> OutboxDesk:
    """An outbox in which every notice is delivered."""
    return OutboxDesk(lambda _: [], lambda *_: [], lambda *_: [], dict, lambda _: None, lambda _: None, {})


class NobodyOutside:
    """Where references are looked for there is nothing, and no registry."""

    def want(self, wanted: Sequence[KnownVersion]) -> None:
        """Look for none."""

    def take(self) -> Sequence[OfferedReference]:
        return ()


class ManualClock:
    """Stands still until it is moved."""

    def __init__(self, now: Nanos = NOON) -> None:
        self._now = now
        self._elapsed = 0.0

    def now(self) -> Nanos:
        return self._now

    def elapsed(self) -> float:
        return self._elapsed

    def set_wall(self, by: float) -> None:
        """The wall clock is set, forth or back, while no time passes."""
        self._now += round(by * SECOND)

    def advance(self, seconds: float) -> None:
        self._now += round(seconds * SECOND)
        self._elapsed += seconds


class ManualEvent(Event):
    """A stop signal whose waiting takes no time but the clock's. It is set after so many waits, so that a test ends."""

    def __init__(self, clock: ManualClock, patience: int = 100) -> None:
        super().__init__()
        self.waits = 0
        self._clock = clock
        self._patience = patience

    def wait(self, timeout: float | None = None) -> bool:
        self.waits += 1
        self._clock.advance(timeout or 0.0)
        if self.waits >= self._patience:
            self.set()
        return self.is_set()


class ListSource:
    """Partitions as lists, read `batch` records of each a poll, from the positions given at `open` on.

    `polls` counts the polls, `committed` keeps what was published, `failure` is raised by the next poll.
    """

    def __init__(
        self,
        log: Mapping[Partition, Sequence[bytes | None]],
        *,
        batch: int = 1000,
        now: Callable[[], Nanos] = lambda: NOON,
        keys: Mapping[Partition, Sequence[bytes | None]] | None = None,
    ) -> None:
        self.keys = {partition: list(each) for partition, each in (keys or {}).items()}  # of topics of labels
        self.log = {partition: list(values) for partition, values in log.items()}
        self.committed: list[dict[Partition, int]] = []
        self.polls = 0
        self.closed = False
        self.failure: SourceError | None = None
        self._batch = batch
        self._now = now  # when partitions read to their ends are confirmed to be so
        self._positions: dict[Partition, int] = {}
        self._assigned: frozenset[Partition] = frozenset()
        self._ended: set[Partition] = set()
        self.held: frozenset[Partition] = frozenset()

    @property
    def other_committer(self) -> bool:
        return False

    def append(self, partition: Partition, values: Iterable[bytes | None]) -> None:
        """More records arrive."""
        self.log.setdefault(partition, []).extend(values)
        self._ended.discard(partition)

    def open(
        self,
        positions: Mapping[Partition, int],
        topics: Mapping[str, str] = NO_TOPICS,
        verified: Mapping[Partition, int] = NONE_VERIFIED,
    ) -> None:
        self._positions = {partition: positions.get(partition, 0) for partition in self.log}
        self._assigned = frozenset(self.log)

    def found(self) -> list[Any]:
        return []

    def poll(self, timeout: float) -> Poll:
        self.polls += 1
        if self.failure is not None:
            raise self.failure
        found: dict[str, tuple[list[int], list[bytes | None]]] = {}
        told: dict[str, tuple[list[bytes | None], list[int], list[Nanos]]] = {}
        ends = set()
        for partition, values in self.log.items():
            if partition in self.held:
                continue
            at = self._positions.setdefault(partition, 0)
            taken = values[at : at + self._batch]
            self._positions[partition] = at + len(taken)
            indices, records = found.setdefault(partition.topic, ([], []))
            indices += [partition.index] * len(taken)
            records += taken
            if partition in self.keys:
                keys, numbers, stamps = told.setdefault(partition.topic, ([], [], []))
                keys += self.keys[partition][at : at + len(taken)]
                numbers += range(at, at + len(taken))
                stamps += [self._now()] * len(taken)
            if self._positions[partition] == len(values) and partition not in self._ended:
                self._ended.add(partition)
                ends.add(partition)
        assigned, self._assigned = self._assigned, frozenset()
        records_by_topic = tuple(
            TopicRecords(topic, *columns, (), {}, *told.get(topic, ()))
            for topic, columns in found.items()
            if columns[0]
        )
        at_end = {place for place, values in self.log.items() if self._positions.get(place) == len(values)}
        confirmed = dict.fromkeys(at_end - self.held, self._now())
        return Poll(records_by_topic, frozenset(ends), assigned, confirmed, unconfirmed=self.held)

    def prepare_with(self, prepare: Prepare) -> None:
        """Nothing is read ahead."""

    def hold(self, partitions: frozenset[Partition]) -> None:
        self._ended -= self.held - partitions  # their ends are reported anew
        self.held = partitions

    def positions(self) -> dict[Partition, int]:
        return dict(self._positions)

    def topics(self) -> dict[str, str]:
        return {}

    def verified(self) -> dict[Partition, int]:
        return {}

    def commit(self, positions: Mapping[Partition, int]) -> None:
        self.committed.append(dict(positions))

    def trouble(self) -> str | None:
        return None

    def close(self) -> None:
        self.closed = True


class ListTarget:
    """Keeps what it is told and answers as told, Delivered when told nothing."""

    def __init__(self, name: str = "pager") -> None:
        self.name = name
        self.notices: list[Notice] = []
        self.answers: list[Delivery | Exception] = []

    def deliver(self, notice: Notice, io: Transport, clock: Clock) -> Delivery:
        self.notices.append(notice)
        answer = self.answers.pop(0) if self.answers else Delivered()
        if isinstance(answer, Exception):
            raise answer
        return answer


def subscriber(name: str = "pager", *types: str) -> Subscriber:
    """A target that wants some types, all when none is given."""
    return Subscriber(ListTarget(name), "list", frozenset(types or {"*"}))


class Receiver:
    """A real HTTP server on loopback that keeps what it is sent and answers as told, 204 when told nothing.

    An answer is a status, a status with headers, or a function that takes the handler and does as it likes.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: list[Received] = []
        self.answers: list[Answer] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_ReceiverHandler, self))
        self._server.daemon_threads = True
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http{'' if tls is None else 's'}://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class _ReceiverHandler(BaseHTTPRequestHandler):
    def __init__(self, receiver: Receiver, *args: Any) -> None:
        self._receiver = receiver
        with suppress(ssl.SSLError):  # who does not trust our certificate says so and goes
            super().__init__(*args)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._receiver.requests.append(Received(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        answer = self._receiver.answers.pop(0) if self._receiver.answers else 204
        if callable(answer):
            with suppress(OSError):
                answer(self)
            return
        status, headers = (answer, {}) if isinstance(answer, int) else answer
        self.send_response(status)
        for name, value in {"content-length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def do_PUT(self) -> None:
        self.do_POST()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


Answer = int | tuple[int, dict[str, str]] | Callable[[BaseHTTPRequestHandler], None]


def hang(handler: BaseHTTPRequestHandler) -> None:
    """An answer of a receiver: say nothing until the other has gone."""
    handler.connection.settimeout(30)
    handler.rfile.read(1)
