"""Batches fetched and prepared ahead by threads of their own, handed over in the order in which they were fetched.

    worker 1   fetch 1 | prepare 1 |         fetch 3 | prepare 3
    worker 2             fetch 2 | prepare 2 |         fetch 4 …
    the loop   ……………………………………| fold 1 | fold 2      | fold 3

One worker fetches at a time, so that there is one order. What is ahead is nobody's yet: positions count what was handed over, and
what is dropped is fetched again. It begins with a full batch, which says that more lies there, and ends with one that is not: with
little traffic the loop fetches by itself, and no batch waits for another.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property, partial
from threading import Condition, Thread, get_ident
from typing import Any, Protocol

from monitor.sources.base import Prepare, nothing_prepared
from monitor.sources.kafka.records import Batch, Mark, Taken

WAIT = 0.1  # seconds for one fetch; who lets go of partitions waits for no longer
MOST_BYTES = 32 << 20  # of messages and columns that wait: another batch is fetched only below that

Name = tuple[str | None, int]  # of a partition, as its messages have it


class Fetches(Protocol):
    """What reading needs of a client."""

    def batch(self, most: int, timeout: float) -> Batch:
        """Wait for so many messages, at most so many seconds."""
        ...

    def incremental_assign(self, places: Sequence[Any], /) -> object:
        """Read these, too."""
        ...

    def incremental_unassign(self, places: Sequence[Any], /) -> object:
        """Read these no more."""
        ...


class Postponed:
    """Calls that a worker must not make, made by the loop: callbacks of the client change what the loop alone may change."""

    def __init__(self) -> None:
        self._workers: set[int] = set()
        self._calls: deque[Callable[[], object]] = deque()

    def register(self) -> None:
        """Postpone what this thread calls."""
        self._workers.add(get_ident())

    def wrap(self, function: Callable[..., object]) -> Callable[..., None]:
        """The same function, called later where a worker calls it."""

        def call(*arguments: object) -> None:
            if get_ident() in self._workers:
                self._calls.append(partial(function, *arguments))
            else:
                function(*arguments)

        return call

    def make(self) -> None:
        """Call what was called."""
        while self._calls:
            self._calls.popleft()()


@dataclass(slots=True, eq=False)
class Fetched:
    """A batch on its way. `stale`: partitions that were let go of since, of whom nothing may be handed over."""

    batch: "Batch"
    failure: Exception | None = None
    bytes: int = 0
    stale: set[Name] = field(default_factory=set)
    ready: bool = False

    def prepare(self, topics: Sequence[str], prepare: Prepare) -> None:
        """Do what can be done of the work before its turn."""
        found = self.batch.taken(topics)
        for each in found:
            each.prepared = prepare(each.topic, each.values)
            self.bytes += 0 if each.prepared is None else each.prepared.nbytes
        self.batch = ReadyBatch(self.batch, found)


class ReadAhead:
    """A client that is some batches ahead of who asks it. All but the workers' part is called by the loop alone."""

    def __init__(self, client: Fetches, topics: Sequence[str], threads: int, postponed: Postponed) -> None:
        """`threads`: the loop's, which is there, and at least one worker's. Workers are begun as they are needed."""
        self._client = client
        self._topics = topics
        self._threads = threads
        self._postponed = postponed
        self._prepare: Prepare = nothing_prepared
        self._changed = Condition()  # guards all that follows
        self._ahead: deque[Fetched] = deque()  # in the order fetched
        self._most = 0
        self._more = False  # as far as is known, more lies there
        self._fetching = False
        self._interrupted = False  # somebody waits for the fetch under way to end
        self._stopped = False
        self._workers: list[Thread] = []

    def prepare_with(self, prepare: Prepare) -> None:
        """How batches are prepared from now on, in any thread."""
        self._prepare = prepare

    # --- by the loop ------------------------------------------------------------------------------------------------

    def batch(self, most: int, timeout: float) -> Batch:
        """The next messages, of one batch that was fetched ahead or fetched now. Raises what the client raises."""
        with self._changed:
            self._most = most
            if not (self._more or self._fetching or self._ahead):
                return self._fetch_now(most, timeout)
            if not self._is_next_ready() and self._are_all_preparing():
                self._begin_another()
            self._changed.wait_for(self._is_next_ready, timeout)
            fetched = self._ahead.popleft() if self._is_next_ready() else Fetched(NoMessages())
            self._changed.notify_all()  # there is room
        self._postponed.make()
        if fetched.failure is not None:
            raise fetched.failure
        return BatchWithout(fetched.batch, fetched.stale) if fetched.stale else fetched.batch

    def _is_next_ready(self) -> bool:
        return bool(self._ahead) and self._ahead[0].ready

    def _fetch_now(self, most: int, timeout: float) -> Batch:
        """No worker fetches meanwhile: none has been told that there is more."""
        batch = self._client.batch(most, timeout)
        self._postponed.make()
        if len(batch) >= most > 1:
            if not self._workers:
                self._begin_another()
            self._more = bool(self._workers)
            self._changed.notify_all()
        return batch

    def _are_all_preparing(self) -> bool:
        """Whether another worker would have something to do: each that there is has a batch, and the loop waits for one."""
        return sum(not each.ready for each in self._ahead) >= len(self._workers)

    def _begin_another(self) -> None:
        """As many as can be of use, and no more than are wanted: each costs a look at every turn."""
        if len(self._workers) < self._threads - 1:
            worker = Thread(target=self._work, name=f"ahead-{len(self._workers) + 1}", daemon=True)
            with suppress(RuntimeError):  # the system has no thread left: those that there are do the work
                worker.start()
                self._workers.append(worker)

    def incremental_assign(self, places: Sequence[Any]) -> None:
        """Read these, too."""
        self._client.incremental_assign(places)

    def incremental_unassign(self, places: Sequence[Any]) -> None:
        """Read these no more: what of them is ahead is dropped, and so would be fetched again from where they are assigned anew."""
        names = {(place.topic, place.partition) for place in places}
        with self._changed:
            self._interrupted = True
            self._changed.wait_for(lambda: not self._fetching)
            for each in self._ahead:
                each.stale |= names
            try:
                self._client.incremental_unassign(places)
            finally:
                self._interrupted = False
                self._changed.notify_all()

    def stop(self, timeout: float) -> None:
        """End the workers, and drop what is ahead."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for each in self._workers:
            each.join(timeout)
        self._ahead.clear()

    # --- by the workers ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        self._postponed.register()
        while (most := self._wait_for_room()) is not None:
            self._take(self._fetch(most))

    def _wait_for_room(self) -> int | None:
        """How many messages to fetch, once there is room for them; None: no more."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._may_fetch())
            if self._stopped:
                return None
            self._fetching = True
            return self._most

    def _may_fetch(self) -> bool:
        room = len(self._ahead) < self._threads and sum(each.bytes for each in self._ahead) < MOST_BYTES
        return self._more and room and not self._fetching and not self._interrupted

    def _fetch(self, most: int) -> Fetched:
        fetched = Fetched(NoMessages())
        try:
            fetched.batch = self._client.batch(most, WAIT)
            fetched.bytes = fetched.batch.bytes
        except Exception as error:  # noqa: BLE001 - it is raised in the loop, in its turn
            fetched.failure = error
        with self._changed:
            self._ahead.append(fetched)
            self._fetching = False
            self._more = len(fetched.batch) >= most
            self._changed.notify_all()
        return fetched

    def _take(self, fetched: Fetched) -> None:
        try:
            fetched.prepare(self._topics, self._prepare)
        except Exception as error:  # noqa: BLE001 - same
            fetched.failure = fetched.failure or error
        with self._changed:
            fetched.ready = True
            self._changed.notify_all()


# --- batches --------------------------------------------------------------------------------------------------------


class NoMessages:
    """Nothing has come."""

    marks: Sequence[Mark] = ()
    bytes = 0

    def __len__(self) -> int:
        return 0

    def all(self) -> Iterable[Mark]:
        """None."""
        return ()

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence[Taken]:
        """None."""
        del topics, places
        return ()


class ReadyBatch:
    """A batch whose records are prepared."""

    def __init__(self, batch: Batch, taken: Sequence[Taken]) -> None:
        self._batch = batch
        self._taken = taken
        self.marks = batch.marks
        self.bytes = batch.bytes

    def __len__(self) -> int:
        return len(self._batch)

    def all(self) -> Iterable[Mark]:
        """Each message."""
        return self._batch.all()

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence[Taken]:
        """The records as they were prepared; of some places as the batch has them."""
        return self._taken if places is None else self._batch.taken(topics, places)


class BatchWithout:
    """A batch but for the messages of some partitions."""

    def __init__(self, batch: Batch, without: set[Name]) -> None:
        self._batch = batch
        self._without = without
        self.marks = list(filter(self._stays, batch.marks))
        self.bytes = batch.bytes

    def _stays(self, message: Mark) -> bool:
        return (message.topic(), message.partition()) not in self._without

    @cached_property
    def _places(self) -> list[int]:
        return [place for place, message in enumerate(self._batch.all()) if self._stays(message)]

    def __len__(self) -> int:
        return len(self._places)

    def all(self) -> Iterable[Mark]:
        """Each message that stays."""
        return filter(self._stays, self._batch.all())

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence[Taken]:
        """The records of each topic that stay."""
        stay = self._places
        if places is None and len(stay) == len(self._batch):
            return self._batch.taken(topics)
        return self._batch.taken(topics, stay if places is None else [stay[place] for place in places])
