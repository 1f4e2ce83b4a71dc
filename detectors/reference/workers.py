"""Columns worked on side by side, by as many threads as are asked for."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

Work = Callable[[], object]


class Workers:
    """Threads that share the work on one chunk; the caller's is one of them. With 1 everything happens there, in order.

    What is shared must not depend on the order: each work has a column of its own.

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def all(self, works: Iterable[Work]) -> None:
        """Do all of it. Raises what the first one raises that cannot be done, first in their order."""
        left = deque(enumerate(works))
        failed: dict[int, Exception] = {}
        helping: list[Future[None]] = []
        if self._pool is not None:
            helping = [self._pool.submit(_work, left, failed) for _ in range(min(self._others, len(left) - 1))]
        try:
            _work(left, failed)
            for each in helping:
                each.result()
        finally:
            left.clear()  # who is interrupted, as by Ctrl-C, waits for what is under way alone
        if failed:
            raise failed[min(failed)]


def _work(left: deque[tuple[int, Work]], failed: dict[int, Exception]) -> None:
    """Take one after the other until nothing is left, or one failed: what comes before that in their order is under way then."""
    while left:
        try:
            place, work = left.popleft()
        except IndexError:  # somebody else took the last one
            return
        try:
            work()
        except Exception as error:  # noqa: BLE001 - raised by who gave the work
            failed[place] = error
            left.clear()
