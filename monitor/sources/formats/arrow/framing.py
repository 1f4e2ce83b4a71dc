"""Arrow's IPC messages as they lie in bytes: where each stream ends, and what reading it would take (Arrow columnar format 1.5, Message.fbs).

Only what bounds the work is read here, before anything is allocated: sizes of messages, lengths of columns, and what compressed
buffers say that they hold. All else is Arrow's own to judge.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from monitor.sources.formats.values import Rejected

MAGIC: Final = b"ARROW1"
FIRST: Final = 8  # where the stream of a file begins
FOOTER: Final = 4  # at least: its length, before the last magic
CONTINUED: Final = b"\xff\xff\xff\xff"  # before the size of each message since format 0.15
END, SCHEMA, DICTIONARY, RECORDS = 0, 1, 2, 3
WORD: Final = 8  # bytes of a value when it is read, whatever it is; and of what a compressed buffer says of its size
PAIR: Final = 16  # bytes of what is said of a column, or of a buffer
MOST_NODES: Final = 100_000  # columns of one batch, with those inside others
KIND, HEADER, BODY = 1, 2, 3  # fields of a message
ROWS, NODES, BUFFERS, COMPRESSION = 0, 1, 2, 3  # fields of a batch
BATCH: Final = 1  # field of a dictionary
BLOCK: Final = 24  # bytes of where a message of a file is

TRUNCATED, MALFORMED, TRAILING, EXPANDS = "truncated", "malformed_arrow", "trailing_bytes", "expands_too_much"

_BYTE, _SHORT, _UNSIGNED, _SIGNED, _LONG = map(struct.Struct, ("<B", "<H", "<I", "<i", "<q"))


@dataclass(frozen=True, slots=True)
class IpcMessage:
    """One IPC message: what it is, where the bytes behind it begin, and what it takes once it is read. `plain`: in the bytes of most machines, not compressed."""

    kind: int
    end: int
    takes: int = 0
    plain: bool = True


@dataclass(slots=True)
class IpcStream:
    """One stream within a message's value: where it begins, where its schema ends, where it ends; bytes that it takes once it is read.

    `batches` are where its batches begin and end; where it is `plain` they are all there is behind the schema.
    """

    begin: int
    schema: int
    end: int
    takes: int = 0
    plain: bool = True
    batches: list[tuple[int, int]] = field(default_factory=list)
    file: bool = False


@dataclass(frozen=True, slots=True)
class BatchPlaces:
    """The metadata of a batch, and where in them what differs from batch to batch: bytes of the body, rows, nodes, buffers; how many nodes there are.

    `pattern` are the same bytes without that.
    """

    metadata: bytes
    places: tuple[int, int, int, int]
    nodes: int
    pattern: bytes


def places_of(raw: bytes, begin: int) -> BatchPlaces | None:
    """The places in the metadata of the batch that begins there; None where they are none that others may follow."""
    if not raw.startswith(CONTINUED, begin):
        return None
    at = begin + len(CONTINUED)
    (size,) = _SIGNED.unpack_from(raw, at)
    at += _SIGNED.size
    try:
        return _Metadata(raw, at, at + size).places()
    except (Rejected, struct.error):
        return None


def begins_like_arrow(raw: bytes) -> bool:
    """Whether bytes begin as a file does, or as a stream that begins with a schema."""
    if raw.startswith(MAGIC):
        return True
    if not raw.startswith(CONTINUED):
        return False
    try:
        return _frame(raw, 0, len(raw)).kind == SCHEMA
    except Rejected:
        return False


def spans(raw: bytes, known: bytes = b"") -> tuple[list[IpcStream], bool]:
    """The streams of a value, and whether something stands behind them that is none. Raises Rejected where there is none at all.

    A value that begins with a `known` schema, as one of a plain stream was found to be, is not looked through for it again.
    """
    if raw.startswith(MAGIC):
        return _file(raw)
    found: list[IpcStream] = []
    at = 0
    while at < len(raw):
        try:
            span = _stream(raw, at, len(raw), known)
        except Rejected:
            if not found:
                raise
            return found, True
        found.append(span)
        at = span.end
    return found, False


def _file(raw: bytes) -> tuple[list[IpcStream], bool]:
    """A file: its footer says where batches are. What comes before them differs by who wrote it: Polars has no stream there."""
    ends = dict.fromkeys(end for end in (raw.rfind(MAGIC), raw.find(MAGIC, FIRST)) if end >= FIRST + FOOTER)
    if not ends:
        raise Rejected(TRUNCATED)
    for end in ends:
        try:
            return [_whole_file(raw, end)], end + len(MAGIC) < len(raw)
        except (Rejected, struct.error):  # another file may follow
            continue
    raise Rejected(MALFORMED)


def _whole_file(raw: bytes, end: int) -> IpcStream:
    """A file whose last magic begins there. Raises Rejected and struct.error."""
    size = _SIGNED.unpack_from(raw, end - _SIGNED.size)[0]
    begin = end - _SIGNED.size - size
    if size <= 0 or begin < FIRST:
        raise Rejected(MALFORMED)
    takes = 0
    for kind, at in _Metadata(raw, begin, begin + size).blocks():
        if not FIRST <= at < begin:
            raise Rejected(MALFORMED)
        frame = _frame(raw, at, begin)
        if frame.kind != kind:
            raise Rejected(MALFORMED)
        takes += frame.takes
    return IpcStream(0, 0, end + len(MAGIC), takes, plain=False, file=True)


def _stream(raw: bytes, begin: int, limit: int, known: bytes = b"") -> IpcStream:
    """One stream: a schema, then its batches, up to the mark of its end, the next schema or the last byte. Raises Rejected."""
    if known and raw.startswith(known, begin):
        span = IpcStream(begin, begin + len(known), begin + len(known))
    else:
        frame = _frame(raw, begin, limit)
        if frame.kind != SCHEMA:
            raise Rejected(MALFORMED)
        span = IpcStream(begin, frame.end, frame.end, 0, frame.plain)
    while span.end < limit:
        frame = _frame(raw, span.end, limit)
        if frame.kind == SCHEMA:  # of the next stream: nothing marks the end of this one
            return span
        if frame.kind == END:
            span.end = frame.end
            return span
        if frame.kind == RECORDS:
            span.batches.append((span.end, frame.end))
        span.plain = span.plain and frame.plain and frame.kind == RECORDS
        span.takes += frame.takes
        span.end = frame.end
    return span


def _frame(raw: bytes, begin: int, limit: int) -> IpcMessage:
    """The message that begins there, or the mark of the end. Raises Rejected."""
    continued = raw.startswith(CONTINUED, begin)
    at = begin + len(CONTINUED) if continued else begin
    if limit - at < _SIGNED.size:
        raise Rejected(TRUNCATED if continued else MALFORMED)
    (size,) = _SIGNED.unpack_from(raw, at)
    at += _SIGNED.size
    if size == 0:
        return IpcMessage(END, at)
    if size < 0 or (size > limit - at and not continued):
        raise Rejected(MALFORMED)
    if size > limit - at:
        raise Rejected(TRUNCATED)
    try:
        return _Metadata(raw, at, at + size).frame(limit)
    except struct.error:
        raise Rejected(MALFORMED) from None


class _Metadata:
    """A flatbuffer of the schema Message.fbs: tables by the offsets that they hold, none of which may lead outside."""

    def __init__(self, raw: bytes, begin: int, end: int) -> None:
        self._raw = raw
        self._view = memoryview(raw)[begin:end]
        self._end = end

    def frame(self, limit: int) -> IpcMessage:
        """What the message is. Raises Rejected and struct.error."""
        table = self._fields(_UNSIGNED.unpack_from(self._view, 0)[0])
        kind = _BYTE.unpack_from(self._view, table[KIND])[0] if KIND in table else END
        body = _LONG.unpack_from(self._view, table[BODY])[0] if BODY in table else 0
        if HEADER not in table or body < 0 or kind not in (SCHEMA, DICTIONARY, RECORDS):
            raise Rejected(MALFORMED)
        if body > limit - self._end:
            raise Rejected(TRUNCATED)
        held = self._fields(self._follow(table[HEADER]))
        if kind == SCHEMA:
            swapped = 0 in held and _SHORT.unpack_from(self._view, held[0])[0] != 0  # the highest byte first
            return IpcMessage(SCHEMA, self._end + body, plain=not swapped)
        if kind == DICTIONARY:
            if BATCH not in held:
                raise Rejected(MALFORMED)
            held = self._fields(self._follow(held[BATCH]))
        return IpcMessage(kind, self._end + body, self._taken(held, body), COMPRESSION not in held)

    def places(self) -> BatchPlaces | None:
        """Where a batch says how much it holds. Raises Rejected and struct.error."""
        table = self._fields(_UNSIGNED.unpack_from(self._view, 0)[0])
        held = self._fields(self._follow(table[HEADER])) if HEADER in table else {}
        if BODY not in table or not {ROWS, NODES, BUFFERS} <= held.keys():
            return None
        nodes, buffers = (self._follow(held[number]) for number in (NODES, BUFFERS))
        counts = [_UNSIGNED.unpack_from(self._view, at)[0] for at in (nodes, buffers)]
        places = table[BODY], held[ROWS], nodes + _UNSIGNED.size, buffers + _UNSIGNED.size
        metadata = bytes(self._view)
        pattern = bytearray(metadata)
        for at, size in zip(places, (WORD, WORD, *(PAIR * count for count in counts)), strict=True):
            if at + size > len(metadata):
                return None
            pattern[at : at + size] = bytes(size)
        return BatchPlaces(metadata, places, counts[0], bytes(pattern))

    def _taken(self, batch: dict[int, int], body: int) -> int:
        """Bytes that a batch takes: of each column as many values as it says, and what compressed buffers say that they hold."""
        lengths = self._pairs(batch, NODES)[::2]
        rows = _LONG.unpack_from(self._view, batch[ROWS])[0] if ROWS in batch else 0
        if min(rows, *lengths, 0) < 0:
            raise Rejected(MALFORMED)
        return WORD * (rows + sum(lengths)) + (self._unpacked(batch, body) if COMPRESSION in batch else 0)

    def _unpacked(self, batch: dict[int, int], body: int) -> int:
        places = self._pairs(batch, BUFFERS)
        total = 0
        for offset, length in zip(places[::2], places[1::2], strict=True):
            if offset < 0 or length < 0 or offset + length > body or 0 < length < WORD:
                raise Rejected(MALFORMED)
            if length:
                said: int = _LONG.unpack_from(self._raw, self._end + offset)[0]
                if said < -1:
                    raise Rejected(MALFORMED)
                total += length if said == -1 else said
        return total

    def blocks(self) -> Iterator[tuple[int, int]]:
        """Of the footer of a file: the kind of each message, and where it begins. Raises Rejected and struct.error."""
        table = self._fields(_UNSIGNED.unpack_from(self._view, 0)[0])
        for kind, number in ((DICTIONARY, 2), (RECORDS, 3)):
            if number in table:
                at = self._follow(table[number])
                (count,) = _UNSIGNED.unpack_from(self._view, at)
                for block in range(count):
                    yield kind, _LONG.unpack_from(self._view, at + _UNSIGNED.size + BLOCK * block)[0]

    # --- flatbuffers ------------------------------------------------------------------------------------------------

    def _follow(self, at: int) -> int:
        return at + int(_UNSIGNED.unpack_from(self._view, at)[0])

    def _fields(self, table: int) -> dict[int, int]:
        """Where the first fields of a table stand, by number; one that has its default stands nowhere."""
        entries = table - int(_SIGNED.unpack_from(self._view, table)[0])
        if entries < 0:
            raise Rejected(MALFORMED)
        count = min((_SHORT.unpack_from(self._view, entries)[0] - 4) // 2, 4)
        offsets = struct.unpack_from(f"<{max(count, 0)}H", self._view, entries + 4)
        return {number: table + offset for number, offset in enumerate(offsets) if offset}

    def _pairs(self, table: dict[int, int], number: int) -> tuple[int, ...]:
        """A vector of structs of two long numbers each."""
        if number not in table:
            return ()
        at = self._follow(table[number])
        (count,) = _UNSIGNED.unpack_from(self._view, at)
        if count > MOST_NODES:
            raise Rejected(MALFORMED)
        return struct.unpack_from(f"<{2 * count}q", self._view, at + _UNSIGNED.size)
