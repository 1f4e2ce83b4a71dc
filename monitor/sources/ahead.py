"""Reading ahead: what comes next is made in a thread while the one before it is used."""

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def ahead(pieces: Iterator[T]) -> Generator[T, None, None]:
    """The same, none of which is None, each made in a thread while the one before it is used. Raises what the maker raises, in its place."""
    with ThreadPoolExecutor(1, thread_name_prefix="reader") as reader:
        pending = reader.submit(next, pieces, None)
        while (piece := pending.result()) is not None:
            pending = reader.submit(next, pieces, None)
            yield piece
