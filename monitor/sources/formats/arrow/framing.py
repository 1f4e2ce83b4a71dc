"""Arrow's IPC messages as they lie in bytes: where each stream ends, and what reading it would take (Arrow columnar format 1.5, Message.fbs).

Only what bounds the work is read here, before anything is allocated: sizes of messages, lengths of columns, and what compressed
buffers say that they hold. All else is Arrow's own to judge.
"""

import struct
from dataclasses import dataclass
from typing import Final

from monitor.sources.formats.values import Rejected

MAGIC: Final = b"ARROW1"
FIRST: Final = 8  # where the stream of a file begins
FOOTER: Final = 4 + len(MAGIC)  # its length, and the magic again
CONTINUED: Final = b"\xff\xff\xff\xff"  # before the size of each message since format 0.15
END, SCHEMA, DICTIONARY, RECORDS = 0, 1, 2, 3
WIDTH: Final = 8  # bytes of a value when it is read, whatever it is
MOST_NODES: Final = 100_000  # columns of one batch, with those inside others

TRUNCATED, MALFORMED, TRAILING, EXPANDS = "truncated", "malformed_arrow", "trailing_bytes", "expands_too_much"


@dataclass(frozen=True, slots=True)
class Frame:
    """One IPC message: what it is, where the bytes behind it begin, and what it takes once it is read."""

    kind: int
    end: int
    takes: int


@dataclass(frozen=True, slots=True)
class Span:
    """One stream within a message's value: where it begins, where its schema ends, where it ends; bytes that it takes once it is read."""

    begin: int
    schema: int
    end: int
    takes: int


def begins_like_arrow(raw: bytes) -> bool:
    """Whether bytes begin as a file does, or as a stream that begins with a schema."""
    if raw.startswith(MAGIC):
        return True
    if not raw.startswith(CONTINUED):
        return False
    try:
        frame = _frame(raw, 0, len(raw))
    except Rejected:
        return False
    return frame.kind == SCHEMA


def spans(raw: bytes) -> tuple[list[Span], bool]:
    """The streams of a value, and whether something stands behind them that is none. Raises Rejected where there is none at all."""
    if raw.startswith(MAGIC):
        return _file(raw)
    found: list[Span] = []
    at = 0
    while at < len(raw):
        try:
            span = _stream(raw, at, len(raw))
        except Rejected:
            if not found:
                raise
            return found, True
        found.append(span)
        at = span.end
    return found, False


def _file(raw: bytes) -> tuple[list[Span], bool]:
    """A file is a stream between a magic and a footer, which nobody needs who reads all of it."""
    if len(raw) < FIRST + FOOTER or not raw.endswith(MAGIC):
        if MAGIC not in raw[FIRST:]:
            raise Rejected(TRUNCATED)
        return [_stream(raw, FIRST, len(raw))], True
    size = int.from_bytes(raw[-FOOTER : -len(MAGIC)], "little", signed=True)
    end = len(raw) - FOOTER - size
    if size <= 0 or end < FIRST:
        raise Rejected(MALFORMED)
    span = _stream(raw, FIRST, end)
    return [span], bool(raw[span.end : end].strip(b"\0"))


def _stream(raw: bytes, begin: int, limit: int) -> Span:
    """One stream: a schema, then its batches, up to the mark of its end, the next schema or the last byte. Raises Rejected."""
    at, takes, schema = begin, 0, begin
    while at < limit:
        frame = _frame(raw, at, limit)
        if (frame.kind == SCHEMA) is not (at == begin):
            if frame.kind == SCHEMA:
                return Span(begin, schema, at, takes)
            if at == begin:
                raise Rejected(MALFORMED)
        if frame.kind == END:
            return Span(begin, schema, frame.end, takes)
        if frame.kind not in (SCHEMA, DICTIONARY, RECORDS):
            raise Rejected(MALFORMED)
        at = frame.end
        takes += frame.takes
        schema = at if frame.kind == SCHEMA else schema
    if at == begin:
        raise Rejected(MALFORMED)
    return Span(begin, schema, at, takes)


def _frame(raw: bytes, begin: int, limit: int) -> Frame:
    """The message that begins there, or the mark of the end. Raises Rejected."""
    continued = raw[begin : begin + 4] == CONTINUED
    at = begin + 4 * continued
    if limit - at < 4:
        raise Rejected(TRUNCATED if continued else MALFORMED)
    size = int.from_bytes(raw[at : at + 4], "little", signed=True)
    if size == 0:
        return Frame(END, at + 4, 0)
    at += 4
    if size < 0 or (size > limit - at and not continued):
        raise Rejected(MALFORMED)
    if size > limit - at:
        raise Rejected(TRUNCATED)
    try:
        kind, body, takes = _Message(raw, at, at + size).read(limit)
    except struct.error:
        raise Rejected(MALFORMED) from None
    return Frame(kind, at + size + body, takes)


class _Message:
    """A flatbuffer of the schema Message.fbs: tables by the offsets that they hold, none of which may lead outside."""

    def __init__(self, raw: bytes, begin: int, end: int) -> None:
        self._raw = raw
        self._view = memoryview(raw)[begin:end]
        self._end = end

    def read(self, limit: int) -> tuple[int, int, int]:
        """The kind of the message, bytes of its body, and what it takes. Raises Rejected and struct.error."""
        table = self._follow(0)
        kind = self._value("<B", table, 1, 0)
        header = self._reference(table, 2)
        body = self._value("<q", table, 3, 0)
        if header is None or body < 0:
            raise Rejected(MALFORMED)
        if body > limit - self._end:
            raise Rejected(TRUNCATED)
        if kind == DICTIONARY:
            header = self._reference(header, 1)
        if kind in (DICTIONARY, RECORDS):
            if header is None:
                raise Rejected(MALFORMED)
            return kind, body, self._taken(header, body)
        return kind, body, 0

    def _taken(self, batch: int, body: int) -> int:
        """Bytes that a batch takes: of each column as many values as it says, and what compressed buffers say that they hold."""
        count, at = self._vector(batch, 1, 16)
        nodes = struct.unpack_from(f"<{2 * count}q", self._view, at)[::2] if count else ()
        rows = self._value("<q", batch, 0, 0)
        if rows < 0 or any(length < 0 for length in nodes):
            raise Rejected(MALFORMED)
        return WIDTH * (rows + sum(nodes)) + (0 if self._reference(batch, 3) is None else self._unpacked(batch, body))

    def _unpacked(self, batch: int, body: int) -> int:
        count, at = self._vector(batch, 2, 16)
        places = struct.unpack_from(f"<{2 * count}q", self._view, at) if count else ()
        total = 0
        for offset, length in zip(places[::2], places[1::2], strict=True):
            if offset < 0 or length < 0 or offset + length > body:
                raise Rejected(MALFORMED)
            if length:
                if length < 8:
                    raise Rejected(MALFORMED)
                said: int = struct.unpack_from("<q", self._raw, self._end + offset)[0]
                if said < -1:
                    raise Rejected(MALFORMED)
                total += length if said == -1 else said
        return total

    # --- flatbuffers ------------------------------------------------------------------------------------------------

    def _follow(self, at: int) -> int:
        (step,) = struct.unpack_from("<I", self._view, at)
        return at + int(step)

    def _field(self, table: int, number: int) -> int | None:
        """Where a field of a table stands; None where it has its default."""
        (back,) = struct.unpack_from("<i", self._view, table)
        entries = table - back
        if entries < 0:
            raise Rejected(MALFORMED)
        (size,) = struct.unpack_from("<H", self._view, entries)
        if 4 + 2 * number + 2 > size:
            return None
        (offset,) = struct.unpack_from("<H", self._view, entries + 4 + 2 * number)
        return table + offset if offset else None

    def _value(self, form: str, table: int, number: int, default: int) -> int:
        at = self._field(table, number)
        if at is None:
            return default
        found: int = struct.unpack_from(form, self._view, at)[0]
        return found

    def _reference(self, table: int, number: int) -> int | None:
        at = self._field(table, number)
        return None if at is None else self._follow(at)

    def _vector(self, table: int, number: int, width: int) -> tuple[int, int]:
        """How many structs a vector has, and where the first stands."""
        at = self._reference(table, number)
        if at is None:
            return 0, 0
        (count,) = struct.unpack_from("<I", self._view, at)
        if count > MOST_NODES or at + 4 + count * width > len(self._view):
            raise Rejected(MALFORMED)
        return int(count), at + 4
