"""Looks for the references of new versions in a thread of its own: the loop never waits for a disk or a registry."""

from collections.abc import Callable, Iterable
from queue import Empty, SimpleQueue
from threading import Event, Lock, Thread

from monitor.alerting.versions import KnownVersion, ListedVersions, OfferedReference
from monitor.runtime.registry import RegistryPoller

FIRST, LAST = 1.0, 60.0  # seconds from one look to the next: doubled each time
Told = OfferedReference | ListedVersions
Find = Callable[[KnownVersion], OfferedReference]


class Outdoors:
    """Both threads as one: who looks for references, and who asks a registry, where there is one."""

    def __init__(self, reader: "ReferenceReader", poller: RegistryPoller | None = None) -> None:
        self._reader = reader
        self._poller = poller

    def want(self, wanted: Iterable[KnownVersion]) -> None:
        """Look for these references from now on, and for no others."""
        self._reader.want(wanted)

    def take(self) -> list[Told]:
        """What was found and said since the last call."""
        return [*([] if self._poller is None else self._poller.take()), *self._reader.take()]

    def look_now(self) -> None:
        """Look and ask at once: somebody says that there is news."""
        if self._poller is not None:
            self._poller.poll_now()
        self._reader.look_now()

    def start(self) -> None:
        """Begin."""
        self._reader.start()
        if self._poller is not None:
            self._poller.start()

    @property
    def ended(self) -> str | None:
        """Which of the threads has ended, though nobody stopped it; None: neither."""
        threads: tuple[Thread | None, ...] = (self._reader, self._poller)
        return next((each.name for each in threads if each is not None and each.ident and not each.is_alive()), None)

    def stop(self) -> None:
        """End soon; nobody waits for either."""
        self._reader.stop()
        if self._poller is not None:
            self._poller.stop()


class ReferenceReader(Thread):
    """Takes which references are wanted, and gives what became of each: found, or why not, and then it looks again."""

    def __init__(self, find: Find, elapsed: Callable[[], float]) -> None:
        super().__init__(name="references", daemon=True)
        self._find = find
        self._elapsed = elapsed
        self._wanted: dict[tuple[str, str, str], KnownVersion] = {}
        self._due: dict[tuple[str, str, str], tuple[float, float]] = {}  # when, and how long to wait after that
        self._found: SimpleQueue[OfferedReference] = SimpleQueue()
        self._lock = Lock()
        self._wake = Event()
        self._over = False

    def want(self, wanted: Iterable[KnownVersion]) -> None:
        """Look for these from now on, and for no others."""
        named = {(each.model, each.version, each.place): each for each in wanted}
        with self._lock:
            new = named.keys() - self._wanted.keys()
            self._wanted = named
            self._due = {place: due for place, due in self._due.items() if place in named}
        if new:
            self._wake.set()

    def look_now(self) -> None:
        """Look for all at once: there may be news."""
        with self._lock:
            self._due.clear()
        self._wake.set()

    def take(self) -> list[OfferedReference]:
        """What became of those that were looked for since the last call."""
        found = []
        while True:
            try:
                found.append(self._found.get_nowait())
            except Empty:
                return found

    def run(self) -> None:
        """Look until stopped."""
        while not self._over:
            self._wake.clear()
            for known in self._now_due():
                self._found.put(self._find(known))
            self._wake.wait(self._rest())

    def _now_due(self) -> list[KnownVersion]:
        now, due = self._elapsed(), []
        with self._lock:
            for place, known in self._wanted.items():
                at, pause = self._due.get(place, (now, FIRST))
                if at <= now:
                    self._due[place] = now + pause, min(2 * pause, LAST)
                    due.append(known)
        return due

    def _rest(self) -> float:
        with self._lock:
            soonest = min((at for at, _ in self._due.values()), default=self._elapsed() + LAST)
        return max(0.05, soonest - self._elapsed())

    def stop(self) -> None:
        """End after what is being looked for."""
        self._over = True
        self._wake.set()
