"""One datum after the other out of bytes, by the schema that wrote them: what the compiled reader is held to.

Nothing is allocated for what is only claimed, and what is wrong has one reason each.
"""

import struct
from collections.abc import Callable
from typing import Any

from monitor.sources.formats.avro.logical import converter
from monitor.sources.formats.avro.schema import AvroType
from monitor.sources.formats.values import Rejected

MAX_DEPTH = 32  # records, arrays and maps inside of each other
FREE_ITEMS = 10_000  # items of arrays and records that may take no bytes at all, a message
TRUNCATED, TRAILING, MALFORMED, TOO_DEEP = "truncated", "trailing_bytes", "malformed_avro", "too_deep"
INVALID_UTF8, NOT_OBJECT = "invalid_utf8", "not_object"
LEAST_LONG = -(1 << 63)
FLOAT, DOUBLE = struct.Struct("<f"), struct.Struct("<d")


class Input:
    """Bytes and how far they are read. `items` are how many items and records there may still be that take no bytes."""

    __slots__ = ("at", "depth", "items", "raw")

    def __init__(self, raw: bytes, at: int = 0) -> None:
        self.raw = raw
        self.at = at
        self.items = FREE_ITEMS
        self.depth = 0

    def take(self, size: int) -> bytes:
        """So many bytes. Raises Rejected."""
        if size < 0:
            raise Rejected(MALFORMED)
        begin, self.at = self.at, self.at + size
        if self.at > len(self.raw):
            raise Rejected(TRUNCATED)
        return self.raw[begin : self.at]

    def long(self) -> int:
        """A whole number of 64 bits, zigzag. Raises Rejected."""
        if self.at < len(self.raw) and (byte := self.raw[self.at]) < 0x80:  # noqa: PLR2004 - as most are
            self.at += 1
            return (byte >> 1) ^ -(byte & 1)
        return self._longer()

    def _longer(self) -> int:
        found = shift = 0
        while True:
            if self.at >= len(self.raw):
                raise Rejected(TRUNCATED)
            byte = self.raw[self.at]
            self.at += 1
            found |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the last one
                break
            shift += 7
            if shift > 63:  # noqa: PLR2004 - bits
                raise Rejected(MALFORMED)
        if found >> 64:
            raise Rejected(MALFORMED)
        return (found >> 1) ^ -(found & 1)

    def text(self) -> str:
        """A text. Raises Rejected."""
        at, raw = self.at, self.raw
        if at < len(raw) and (byte := raw[at]) < 0x80 and not byte & 1:  # noqa: PLR2004 - of 63 bytes at most, as most are
            self.at = end = at + 1 + (byte >> 1)
            if end > len(raw):
                raise Rejected(TRUNCATED)
            found = raw[at + 1 : end]
        else:
            found = self.take(self.long())
        try:
            return found.decode()
        except UnicodeDecodeError:
            raise Rejected(INVALID_UTF8) from None

    def block(self) -> int:
        """How many items of an array or a map come next; 0 at its end. Raises Rejected."""
        count = self.long()
        if count < 0:
            if count == LEAST_LONG or self.long() < 0:  # the size of the block, which nobody needs
                raise Rejected(MALFORMED)
            count = -count
        if count > len(self.raw) - self.at + self.items:  # each takes a byte, or is one of the few that need not
            raise Rejected(MALFORMED)
        return count

    def deeper(self) -> None:
        """Go into a record, an array or a map. Raises Rejected."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Rejected(TOO_DEEP)

    def took(self, begin: int) -> None:
        """Count an item or a record that began here, if it took no bytes: there could be any number of these. Raises Rejected."""
        if self.at == begin:
            self.items -= 1
            if self.items < 0:
                raise Rejected(MALFORMED)


Read = Callable[[Input], Any]


class DatumReader:
    """Reads what one schema wrote, as JSON would have it."""

    def __init__(self, told: AvroType) -> None:
        self._made: dict[int, Read] = {}
        self._read = self._of(told)

    def read(self, raw: bytes, at: int = 0) -> dict[str, Any]:
        """A message that is one datum, a record, and nothing else. Raises Rejected."""
        told = Input(raw, at)
        found = self.next(told)
        if told.at != len(raw):
            raise Rejected(TRAILING)
        return found

    def next(self, told: Input) -> dict[str, Any]:
        """The next datum, a record. Raises Rejected."""
        told.depth = 0
        found = self._read(told)
        if not isinstance(found, dict):
            raise Rejected(NOT_OBJECT)
        return found

    # --- types --------------------------------------------------------------------------------------------------------

    def _of(self, told: AvroType) -> Read:
        made = self._made.get(id(told))
        if made is None:
            made = self._made[id(told)] = self._meant(told)
        return made

    def _meant(self, told: AvroType) -> Read:
        read, meaning = self._plain(told), converter(told)
        return read if meaning is None else (lambda told: meaning(read(told)))

    def _plain(self, told: AvroType) -> Read:
        make: dict[str, Callable[[AvroType], Read]] = {
            "constant": lambda told: lambda _: told.value,
            "union": self._union,
            "record": self._record,
            "array": self._array,
            "map": self._map,
            "enum": self._enum,
            "fixed": lambda told: lambda found: found.take(told.size),
        }
        return make[told.kind](told) if told.kind in make else PLAIN[told.kind]

    def _union(self, told: AvroType) -> Read:
        branches = [self._of(child) for child in told.children]

        def read(told: Input) -> Any:
            branch = told.long()
            if not 0 <= branch < len(branches):
                raise Rejected(MALFORMED)
            return branches[branch](told)

        return read

    def _record(self, told: AvroType) -> Read:
        fields: list[tuple[str, Read]] = []
        doubles = _run_of_doubles(told)
        names, run = told.names[doubles], struct.Struct(f"<{len(told.names[doubles])}d")
        before: list[tuple[str, Read]] = []
        after: list[tuple[str, Read]] = []

        def read(told: Input) -> Any:
            begin = told.at
            told.deeper()
            found = {name: each(told) for name, each in before}
            if told.at + run.size > len(told.raw):
                raise Rejected(TRUNCATED)
            found.update(zip(names, run.unpack_from(told.raw, told.at), strict=True))
            told.at += run.size
            for name, each in after:
                found[name] = each(told)
            told.took(begin)
            told.depth -= 1
            return found

        self._made[id(told)] = read  # it may hold itself
        fields += [(name, self._of(child)) for name, child in zip(told.names, told.children, strict=True)]
        before += fields[: doubles.start]
        after += fields[doubles.stop :]
        return read

    def _array(self, told: AvroType) -> Read:
        item = self._of(told.children[0])

        def read(told: Input) -> Any:
            told.deeper()
            found: list[Any] = []
            while count := told.block():
                for _ in range(count):
                    begin = told.at
                    found.append(item(told))
                    told.took(begin)
            told.depth -= 1
            return found

        return read

    def _map(self, told: AvroType) -> Read:
        value = self._of(told.children[0])

        def read(told: Input) -> Any:
            told.deeper()
            found: dict[str, Any] = {}
            while count := told.block():
                for _ in range(count):
                    name = told.text()
                    found[name] = value(told)
            told.depth -= 1
            return found

        return read

    def _enum(self, told: AvroType) -> Read:
        symbols = told.names

        def read(told: Input) -> Any:
            symbol = told.long()
            if not 0 <= symbol < len(symbols):
                raise Rejected(MALFORMED)
            return symbols[symbol]

        return read


def _run_of_doubles(told: AvroType) -> slice:
    """The longest run of fields that are plain doubles: features often are, and are read at once."""
    longest = slice(0, 0)
    begin = 0
    for at, child in enumerate([*told.children, AvroType("null")]):
        if child.kind == "double":
            continue
        if at - begin > longest.stop - longest.start:
            longest = slice(begin, at)
        begin = at + 1
    return longest


def _nothing(told: Input) -> None:
    del told


def _boolean(told: Input) -> bool:
    found = told.take(1)[0]
    if found > 1:
        raise Rejected(MALFORMED)
    return found == 1


def _float(told: Input) -> float:
    found: float = FLOAT.unpack(told.take(4))[0]
    return found


def _double(told: Input) -> float:
    found: float = DOUBLE.unpack(told.take(8))[0]
    return found


PLAIN: dict[str, Read] = {
    "null": _nothing,
    "boolean": _boolean,
    "int": Input.long,
    "long": Input.long,
    "float": _float,
    "double": _double,
    "bytes": lambda told: told.take(told.long()),
    "string": Input.text,
}
