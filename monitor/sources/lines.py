"""A file of messages, one a line, block by block, and messages of many events: by the compiled part where they lie, else as bytes.

Both give the same messages of the same blocks.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import IO, overload

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages, lent
from monitor.sources.formats.json.scanning import COMPILED

try:
    from monitor.sources import _lines
except ImportError:  # installed without a compiler
    _lines = None  # type: ignore[assignment]

USED = COMPILED and _lines is not None
BOM = b"\xef\xbb\xbf"
BLOCK = 4 << 20  # bytes of a file at once: some thousand events
LONGEST = 64 << 20  # bytes of a line; a message has one MiB

Values = Sequence[bytes | None]


class LongLineError(ValueError):
    """A line that no message is as long as."""


class LineValues(Sequence[bytes | None]):
    """The lines of a block, or the events of messages: where they lie, for the scan; as bytes, for who asks for them."""

    def __init__(self, messages: Messages, held: object = None) -> None:
        """`held` is what they lie in, where they do not hold it themselves."""
        self.messages = messages
        self._held = held
        self._count = _lines.count(messages)

    @cached_property
    def _all(self) -> list[bytes | None]:
        return [_lines.value(self.messages, at) for at in range(self._count)]

    @property
    def nbytes(self) -> int:
        """What all of them take, wherever they lie."""
        return _lines.size(self.messages)

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[bytes | None]:
        return iter(self._all)

    @overload
    def __getitem__(self, place: int) -> bytes | None: ...
    @overload
    def __getitem__(self, place: slice) -> Values: ...
    def __getitem__(self, place: int | slice) -> bytes | Values | None:
        if isinstance(place, slice):
            return self._all[place]
        at = int(place)  # numpy's integers, too
        return _lines.value(self.messages, at + self._count if at < 0 else at)


def cut_lying(
    values: Values, key: str | None, most: int, lines: int, rest: Callable[[int], list[bytes | None] | Messages]
) -> tuple[LineValues, NDArray[np.int64]]:
    """The events of messages where they lie, and the place of each one's message; of one that has no bytes, itself.

    They are lines, or the objects of an array, each with an object under `key`, which is written with its quotes; empty: under none in
    particular. Messages of more than `most` bytes or `lines`, and what is no such array, are cut by `rest`, given their places.
    """
    held = lent(values)
    found, places = _lines.cut(held, key, most, lines, rest)
    return LineValues(found, values), np.frombuffer(places, dtype=np.int64)


def blocks(file: IO[bytes]) -> Iterator[tuple[int, Values]]:
    """The lines of a file, a block of bytes at once with how long it was; empty ones are left out. Raises LongLineError and OSError.

    What stands after the last end of a line is a message, too; its block has no length of its own.
    """
    rest = b""
    for read, lines, rest in lying_blocks(file) if USED else split_blocks(file):  # noqa: B007 - what is left at the end counts
        yield read, lines
    if rest.strip():
        yield 0, [rest]


def lying_blocks(file: IO[bytes]) -> Iterator[tuple[int, Values, bytes]]:
    """Each block's length, lines and what is left of it, which the next one begins with: lines where they lie."""
    rest, first = b"", True
    while True:
        block = bytearray(len(rest) + BLOCK)
        block[: len(rest)] = rest
        with memoryview(block) as room, room[len(rest) :] as free:
            read = file.readinto(free)  # type: ignore[attr-defined]
        if not read:
            return
        end = len(rest) + read
        begin = len(BOM) if first and block.startswith(BOM) else 0
        lines, after = _lines.split(block, begin, end)
        rest = whole_line(bytes(memoryview(block)[after:end]))
        yield read - begin, LineValues(lines), rest
        first = False


def split_blocks(file: IO[bytes]) -> Iterator[tuple[int, Values, bytes]]:
    """Do the same, with bytes of each line."""
    rest, first = b"", True
    while block := file.read(BLOCK):
        if first:
            block, first = block.removeprefix(BOM), False
        *lines, rest = (rest + block).split(b"\n")
        whole_line(rest)
        yield len(block), there(lines), rest


def whole_line(rest: bytes) -> bytes:
    """What is left of a block, if it can be a message's beginning. Raises LongLineError."""
    if len(rest) > LONGEST:
        raise LongLineError(f"a line is longer than {LONGEST >> 20} MiB: is this one message a line?")
    return rest


def there(lines: list[bytes]) -> list[bytes | None]:
    """The lines that hold something."""
    if b"" in lines or b"\r" in lines:
        return [line for line in lines if line.strip()]
    return list(lines)
