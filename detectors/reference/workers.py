"""Columns worked on side by side, by as many threads as are asked for.

chunk        1    2    3          a lane is one column: its parts are worked on one after the other, in
lane  age    ████ ████ ██         the order begun, by whichever thread is free. No lane waits for the
      plan   ██   ████ ████       others: the next chunk begins while the last of the one before it
      score  ████ ██              is under way.
"""

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition
from types import TracebackType
from typing import Self

Work = Callable[[], object]


@dataclass(slots=True, eq=False)
class ColumnLane:
    """What is to be done of one lane, numbered in the order begun; `busy`: somebody works on it, or is about to."""

    works: deque[tuple[int, Work]] = field(default_factory=deque)
    busy: bool = False


class Workers:
    """Threads that share work; the caller's is one of them. With 1 everything happens there, in order, as it is begun.

    What is shared must not depend on the order of lanes: each has a column of its own.

    >>> from functools import partial
    >>> held = [3, 1, 2]
    >>> with Workers(2) as workers:
    ...     workers.all(partial(held.__setitem__, at, at) for at in range(3))
    >>> held
    [0, 1, 2]
    """

    def __init__(self, threads: int = 1) -> None:
        if threads < 1:
            raise ValueError(f"threads is {threads}; there is at least one")
        self._others = threads - 1
        self._pool = ThreadPoolExecutor(self._others, thread_name_prefix="column") if self._others else None
        self._changed = Condition()  # guards all that follows
        self._lanes: dict[Hashable, ColumnLane] = {}
        self._ready: deque[ColumnLane] = deque()  # whose next work nobody does, in the order in which it came to be
        self._helping = 0  # others that are awake
        self._begun = self._left = 0
        self._failed: dict[int, Exception] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._drop(0)
        if self._pool is not None:
            self._pool.shutdown()

    def all(self, works: Iterable[Work]) -> None:
        """Do all of it, each in a lane of its own. Raises what the first one raises that cannot be done, first in their order."""
        with self.finished():
            for lane, work in enumerate(works):
                self.begin(lane, work)

    def begin(self, lane: Hashable, work: Work) -> None:
        """Have it done after all that was begun in this lane, by `wait` or before."""
        if self._pool is None:
            work()
            return
        with self._changed:
            if self._failed:
                return
            held = self._lanes.setdefault(lane, ColumnLane())
            held.works.append((self._begun, work))
            self._begun += 1
            self._left += 1
            if not held.busy:
                self._offer(held)
            if self._ready and self._helping < self._others:
                self._helping += 1
                self._pool.submit(self._help)

    def wait(self, most: int = 0) -> None:
        """Work along until no more than so many are left. Raises what the first one raises that cannot be done, first in the order begun."""
        try:
            while (taken := self._taken(most)) is not None:
                self._do(*taken)
        except BaseException:  # who is interrupted, as by Ctrl-C, waits for what is under way alone
            self._drop(0)
            raise

    @contextmanager
    def finished(self) -> Iterator[None]:
        """Wait for what is begun meanwhile, whatever ends it: what of it fails was there before."""
        try:
            yield
        except Exception:
            self.wait()
            raise
        self.wait()

    def _taken(self, most: int) -> tuple[ColumnLane, int, Work] | None:
        """Something to do; None once no more than so many are left, and as soon as all before what failed is done it is raised."""
        with self._changed:
            self._changed.wait_for(lambda: self._ready or self._left <= (0 if self._failed else most))
            if self._failed and not self._left:
                failed, self._failed = self._failed, {}
                raise failed[min(failed)]
            if self._left <= most and not self._failed:
                return None
            return self._take()

    def _take(self) -> tuple[ColumnLane, int, Work]:
        lane = self._ready.popleft()
        return lane, *lane.works.popleft()

    def _do(self, lane: ColumnLane, number: int, work: Work) -> None:
        """Do a work that was taken, and let its lane go on."""
        failure: Exception | None = None
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised by who waits
            failure = error
        finally:
            with self._changed:
                self._left -= 1
                lane.busy = False
                if failure is not None:
                    self._failed[number] = failure
                    self._drop(number)
                if lane.works:
                    self._offer(lane)
                self._changed.notify_all()

    def _offer(self, lane: ColumnLane) -> None:
        lane.busy = True
        self._ready.append(lane)
        self._changed.notify()

    def _help(self) -> None:
        """Work in another thread, as long as there is something to do."""
        while True:
            with self._changed:
                if not self._ready:
                    self._helping -= 1
                    return
                taken = self._take()
            self._do(*taken)

    def _drop(self, number: int) -> None:
        """Leave undone what was begun after so many."""
        with self._changed:
            for lane in self._lanes.values():
                kept = deque(each for each in lane.works if each[0] < number)
                self._left -= len(lane.works) - len(kept)
                lane.works = kept
            for lane in [each for each in self._ready if not each.works]:
                self._ready.remove(lane)
                lane.busy = False
            self._changed.notify_all()
