"""The frames of whole batches: which stands before each message, and the messages behind them where they lie."""

import os
from collections.abc import Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import Messages, lent
from monitor.sources.formats.schema_registry.framing import BY_NUMBER, PREFIX

try:
    from monitor.sources.formats.schema_registry import _frames
except ImportError:  # installed without a compiler
    _frames = None  # type: ignore[assignment]

COMPILED = _frames is not None and os.environ.get("DRIFTD_PURE") != "1"
NO_FRAME, BROKEN_FRAME = -1, -2
MOST_INDEXES = 32
LONGEST_VARINT = 10  # bytes

Values = Sequence[bytes | None]


def frames(values: Values, *, indexed: bool = False) -> tuple[NDArray[np.int32], list[bytes]]:
    """The number of each value's frame int32[n], NO_FRAME or BROKEN_FRAME where it has none, and the frames, each once.

    A frame is a zero byte and the number of a schema; where it is `indexed`, as Protobuf's are, those of a message behind them.
    """
    if COMPILED:
        codes, found = _frames.frames(lent(values), indexed)
        return np.frombuffer(codes, dtype=np.int32), found
    known: dict[bytes, int] = {}
    each = [_frame(value, known, indexed=indexed) for value in values]
    return np.array(each, dtype=np.int32), list(known)


def _frame(value: bytes | None, known: dict[bytes, int], *, indexed: bool) -> int:
    if value is None or len(value) < PREFIX or value[0] != BY_NUMBER:
        return NO_FRAME
    size = PREFIX
    if indexed:
        read = indexes(value[PREFIX:])
        if read is None:
            return BROKEN_FRAME
        size += read[1]
    return known.setdefault(bytes(value[:size]), len(known))


def indexes(data: bytes) -> tuple[tuple[int, ...], int] | None:
    """Where in its file a Protobuf message stands, as bytes begin with, and how many these are; None where they do not end.

    A count, then an index each, all of them zigzag numbers of seven bits a byte; a single 0 stands for the first message.

    >>> indexes(bytes([0])), indexes(bytes([2, 2])), indexes(bytes([4, 0, 0])), indexes(bytes([4, 0]))
    (((0,), 1), ((1,), 2), ((0, 0), 3), None)
    """
    found: list[int] = []
    at = 0
    left = 1
    while left:
        read = _varint(data, at)
        if read is None:
            return None
        number, at = read
        found.append((number >> 1) ^ -(number & 1))
        if len(found) == 1 and not 0 <= found[0] <= MOST_INDEXES:
            return None
        left += found[0] - 1 if len(found) == 1 else -1
    return tuple(found[1:]) or (0,), at


def _varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = 0
    for place, byte in enumerate(data[at : at + LONGEST_VARINT]):
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
            return value & ((1 << 64) - 1), at + place + 1
    return None


class ValuesBehind(Sequence[bytes | None]):
    """Values from their own bytes on, int64[n], negative where there is none; nothing is copied until a value is asked for."""

    def __init__(self, values: Values, offsets: NDArray[np.int64]) -> None:
        self._values = values
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, at: int) -> bytes | None: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[bytes | None]: ...
    def __getitem__(self, at: int | slice) -> bytes | Sequence[bytes | None] | None:
        if isinstance(at, slice):
            return [self[place] for place in range(*at.indices(len(self)))]
        value, offset = self._values[at], int(self._offsets[at])
        return None if value is None or offset < 0 else value[offset:]


class LyingValues(ValuesBehind):
    """The same for the compiled parts: where the values lie, behind their frames."""

    @property
    def messages(self) -> Messages:
        """Where they lie; they are there as long as this is."""
        return self._messages

    def __init__(self, values: Values, offsets: NDArray[np.int64]) -> None:
        super().__init__(values, offsets)
        self._held = lent(values)  # the list of them, too, if that was made here
        self._messages = _frames.cut(self._held, offsets)


def lying(values: Values) -> Values:
    """Values that several compiled parts are to read, each lent once."""
    if not COMPILED or not isinstance(values, list):
        return values
    return LyingValues(values, np.zeros(len(values), dtype=np.int64))


def behind(values: Values, offsets: NDArray[np.int64]) -> ValuesBehind:
    """Values from their own bytes on."""
    return LyingValues(values, offsets) if COMPILED else ValuesBehind(values, offsets)
