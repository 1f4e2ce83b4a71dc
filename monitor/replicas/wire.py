"""The records between those that fold and the owner: versioned, checksummed, under the hash of a configuration.

::

    magic 4 | version 1 | kind 1 | config 8 | length of the body 4 | body, msgpack | CRC-32 of all before 4

A *prefix* holds the counts of all records of one place in [begin, end) of a log, by pane. *Progress* says how far a log was read, and
which prefixes belong to that, by the digests of their counts: where no record of a place follows, a prefix of a smaller end says the same.
Batches of records are compressed by the client.
"""

import hashlib
import struct
import zlib
from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

import msgspec

from monitor.replicas.cells import CONFIG_BYTES, SourceLog, ViewPlace
from monitor.stream.events import Nanos

MAGIC = b"dRPl"
FORMAT = 1
HEAD = struct.Struct(f"<4sBB{CONFIG_BYTES}sI")
CHECK = struct.Struct("<I")
PREFIX, PROGRESS = 1, 2
DIGEST_BYTES = 8


class RecordFault(Enum):
    """Why a record is put aside, never merged."""

    FOREIGN = "no record of driftd's replicas"
    TRUNCATED = "cut off"
    DAMAGED = "damaged: its checksum does not fit"
    NEWER = "of a newer format than this version reads"
    CONFIG = "written under another configuration"
    MALFORMED = "not what its format says"
    OTHER_LOG = "of a log that is not read: another topic, partition, or a topic made anew"
    OTHER_PLACE = "of a series that is not counted here"
    ELSEWHERE = "of a cell that begins elsewhere"
    CONTRADICTS = "says otherwise than one that was taken of the same records"


class FaultyRecordError(ValueError):
    """A record that is put aside, with why."""

    def __init__(self, fault: RecordFault, words: str = "") -> None:
        super().__init__(f"{fault.value}{f': {words}' if words else ''}")
        self.fault = fault


class PanePrefix(NamedTuple):
    """What one pane has of a prefix: the smallest event time, and the counts as its sketch writes them."""

    earliest: Nanos
    counts: bytes


class CellPrefix(msgspec.Struct, frozen=True, array_like=True):
    """The counts of all records of one place in [begin, end) of a log, by the starts of panes, rising."""

    log: SourceLog
    begin: int
    end: int
    place: ViewPlace
    panes: dict[Nanos, PanePrefix]

    @property
    def digest(self) -> bytes:
        """What these counts are called."""
        return digest_of(self.panes)


class CellProgress(msgspec.Struct, frozen=True, array_like=True):
    """How far a log was read, of one judge partition: [begin, end) of the cell that begins there, and what is counted in it.

    `digests` are those of the places with records in it. `seen` is the largest valid event time in it, of any model, and `seen_until` an
    offset that the last valid event lies before. `at` is when it was read, processing time; `confirmed` when its leader last said that
    nothing lay beyond `end`, None where it did not; `silent`: it did not answer lately.
    """

    log: SourceLog
    judge: int
    begin: int
    end: int
    digests: dict[ViewPlace, bytes]
    seen: Nanos | None
    seen_until: int
    at: Nanos
    confirmed: Nanos | None = None
    silent: bool = False


class _PrefixBody(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    log: SourceLog
    begin: int
    end: int
    place: ViewPlace
    panes: list[tuple[Nanos, Nanos, bytes]]


class _ProgressBody(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    log: SourceLog
    judge: int
    begin: int
    end: int
    digests: list[tuple[ViewPlace, bytes]]
    seen: Nanos | None
    seen_until: int
    at: Nanos
    confirmed: Nanos | None
    silent: bool


_prefixes = msgspec.msgpack.Decoder(_PrefixBody)
_progresses = msgspec.msgpack.Decoder(_ProgressBody)
_encode = msgspec.msgpack.Encoder().encode


def digest_of(panes: Mapping[Nanos, PanePrefix]) -> bytes:
    """The digest of counts by pane, whoever wrote them."""
    found = hashlib.blake2b(digest_size=DIGEST_BYTES)
    for start, pane in sorted(panes.items()):
        found.update(struct.pack("<qqI", start, pane.earliest, len(pane.counts)))
        found.update(pane.counts)
    return found.digest()


def write(record: CellPrefix | CellProgress, config: bytes) -> bytes:
    """A record as bytes."""
    if isinstance(record, CellPrefix):
        panes = [(start, *pane) for start, pane in sorted(record.panes.items())]
        kind, body = PREFIX, _encode(_PrefixBody(record.log, record.begin, record.end, record.place, panes))
    else:
        held = _ProgressBody(
            record.log,
            record.judge,
            record.begin,
            record.end,
            sorted(record.digests.items()),
            record.seen,
            record.seen_until,
            record.at,
            record.confirmed,
            record.silent,
        )
        kind, body = PROGRESS, _encode(held)
    whole = HEAD.pack(MAGIC, FORMAT, kind, config, len(body)) + body
    return whole + CHECK.pack(zlib.crc32(whole))


def read(data: bytes, config: bytes) -> CellPrefix | CellProgress:
    """Read what `write` wrote. Raises FaultyRecordError, which names the one reason."""
    if data[:4] != MAGIC[: len(data)] or not data:
        raise FaultyRecordError(RecordFault.FOREIGN)
    if len(data) < HEAD.size:
        raise FaultyRecordError(RecordFault.TRUNCATED, f"{len(data)} bytes")
    _, version, kind, under, length = HEAD.unpack_from(data)
    if version > FORMAT:  # what follows may be laid out in another way: before anything else
        raise FaultyRecordError(RecordFault.NEWER, f"format {version}, and {FORMAT} is the newest known")
    if len(data) < HEAD.size + length + CHECK.size:
        raise FaultyRecordError(RecordFault.TRUNCATED, f"{len(data)} of {HEAD.size + length + CHECK.size} bytes")
    if (
        len(data) > HEAD.size + length + CHECK.size
        or zlib.crc32(data[: -CHECK.size]) != CHECK.unpack_from(data, -4 % len(data))[0]
    ):
        raise FaultyRecordError(RecordFault.DAMAGED)
    if under != config:
        raise FaultyRecordError(RecordFault.CONFIG, f"{under.hex()}, and ours is {config.hex()}")
    return _body(kind, data[HEAD.size : -CHECK.size])


def _body(kind: int, body: bytes) -> CellPrefix | CellProgress:
    try:
        if kind == PREFIX:
            return _prefix(_prefixes.decode(body))
        if kind == PROGRESS:
            return _progress(_progresses.decode(body))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FaultyRecordError(RecordFault.MALFORMED, str(error)) from None
    raise FaultyRecordError(RecordFault.MALFORMED, f"kind {kind}")


def _prefix(body: _PrefixBody) -> CellPrefix:
    panes = {start: PanePrefix(earliest, counts) for start, earliest, counts in body.panes}
    if not 0 <= body.begin < body.end or not panes or len(panes) != len(body.panes):
        raise FaultyRecordError(RecordFault.MALFORMED, f"{len(panes)} panes of [{body.begin}, {body.end})")
    return CellPrefix(body.log, body.begin, body.end, body.place, panes)


def _progress(body: _ProgressBody) -> CellProgress:
    digests = dict(body.digests)
    if not 0 <= body.begin <= body.end or len(digests) != len(body.digests):
        raise FaultyRecordError(RecordFault.MALFORMED, f"{len(digests)} places of [{body.begin}, {body.end})")
    return CellProgress(
        body.log,
        body.judge,
        body.begin,
        body.end,
        digests,
        body.seen,
        body.seen_until,
        body.at,
        body.confirmed,
        body.silent,
    )
