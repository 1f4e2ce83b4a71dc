"""Reading ahead: what comes next is made in threads while what came before it is used."""

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import TypeVar

S = TypeVar("S")
T = TypeVar("T")


def ahead(pieces: Iterator[T]) -> Generator[T, None, None]:
    """The same, none of which is None, each made in a thread while the one before it is used. Raises what the maker raises, in its place."""
    return worked_ahead(pieces, lambda piece: piece, 1)


def worked_ahead(pieces: Iterator[S], work: Callable[[S], T], threads: int) -> Generator[T, None, None]:
    """What is made of each piece, in their order. Raises what making or the work on it raises, in its place.

    No piece is None. They are made one after the other, and worked on by so many threads side by side; as many are ahead.
    """

    def one(before: Event, made: Event) -> T | None:
        before.wait()  # who is begun before is not behind
        try:
            piece = next(pieces, None)
        finally:
            made.set()
        return None if piece is None else work(piece)

    with ThreadPoolExecutor(threads, thread_name_prefix="reader") as readers:
        last = Event()
        last.set()
        pending: deque[Future[T | None]] = deque()
        while True:
            while len(pending) < threads:
                before, last = last, Event()
                pending.append(readers.submit(one, before, last))
            if (found := pending.popleft().result()) is None:
                return
            yield found
