"""Protobuf's wire format, a field at a time: https://protobuf.dev/programming-guides/encoding. `_wire.hpp` reads the same."""

from enum import IntEnum

from monitor.sources.formats.values import Rejected

MAX_DEPTH = 32  # of messages and groups in each other
LONGEST_VARINT, LONGEST_TAG = 10, 5  # bytes
MASK = (1 << 64) - 1


class Wire(IntEnum):
    """How a field's value is written."""

    VARINT = 0
    FIXED64 = 1
    BYTES = 2
    GROUP = 3
    GROUP_END = 4
    FIXED32 = 5


MALFORMED, TOO_DEEP = "malformed_protobuf", "too_deep"
SIZES = {Wire.FIXED64: 8, Wire.FIXED32: 4}


class Cursor:
    """Bytes from `at` to `end`. Whatever does not fit raises Rejected."""

    def __init__(self, data: bytes, at: int = 0, end: int | None = None) -> None:
        self.data, self.at, self.end = data, at, len(data) if end is None else end

    def __bool__(self) -> bool:
        return self.at < self.end

    def varint(self, longest: int = LONGEST_VARINT) -> int:
        """An unsigned number of 64 bits, seven bits a byte, the lowest first."""
        value = 0
        for place in range(longest):
            if self.at >= self.end:
                raise Rejected(MALFORMED)
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follow
                return value & MASK  # what the tenth byte says beyond is dropped, as the official runtime does
        raise Rejected(MALFORMED)

    def tag(self) -> tuple[int, int]:
        """The number of a field, and how it is written."""
        tag = self.varint(LONGEST_TAG)
        if tag >> 32 or not tag >> 3:
            raise Rejected(MALFORMED)
        return tag >> 3, tag & 7

    def take(self, size: int) -> bytes:
        """The next bytes."""
        if size > self.end - self.at:
            raise Rejected(MALFORMED)
        self.at += size
        return self.data[self.at - size : self.at]

    def part(self) -> "Cursor":
        """A value that tells its size, to be read by itself."""
        size = self.varint()
        if size > self.end - self.at:
            raise Rejected(MALFORMED)
        self.at += size
        return Cursor(self.data, self.at - size, self.at)

    def skip(self, number: int, wire: int, depth: int) -> None:
        """Pass over the value of a field; `depth` of the message that holds it."""
        if wire == Wire.VARINT:
            self.varint()
        elif wire == Wire.BYTES:
            self.part()
        elif wire in SIZES:
            self.take(SIZES[Wire(wire)])
        elif wire == Wire.GROUP:
            self._skip_group(number, depth + 1)
        else:
            raise Rejected(MALFORMED)

    def _skip_group(self, number: int, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise Rejected(TOO_DEEP)
        while True:
            held, wire = self.tag()
            if wire == Wire.GROUP_END:
                if held != number:
                    raise Rejected(MALFORMED)
                return
            self.skip(held, wire, depth)


def signed(value: int, bits: int) -> int:
    """The lowest bits of a number, two's complement."""
    value &= (1 << bits) - 1
    return value - (1 << bits) if value >> (bits - 1) else value


def zigzag(value: int) -> int:
    """Signed numbers as sint32 and sint64 write them: 0, -1, 1, -2.

    >>> [zigzag(value) for value in range(4)]
    [0, -1, 1, -2]
    """
    return (value >> 1) ^ -(value & 1)
