"""Avro object container files: their own schema, then blocks of data, packed or not; nothing is believed before it is bounded."""

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Any

from monitor.sources.formats.avro.datum import MALFORMED, TRUNCATED, DatumReader, Input
from monitor.sources.formats.avro.resolving import resolved
from monitor.sources.formats.avro.schema import AvroType, SchemaError, parse
from monitor.sources.formats.values import Rejected

MAGIC = b"Obj\x01"
SYNC = 16  # bytes
MAX_HEADER = 4 << 20
MAX_BLOCK = 64 << 20  # bytes, unpacked as well
UNKNOWN_CODEC, INVALID_SCHEMA, TOO_LARGE = "unknown_codec", "invalid_schema", "too_large"
LONGEST_LONG = 10  # bytes


@dataclass(frozen=True, slots=True)
class Header:
    """What a container says of itself."""

    schema: AvroType
    codec: str
    sync: bytes


class Container:
    """The data of a container, block by block, from anything that can be read."""

    def __init__(self, stream: IO[bytes], reader: AvroType | None = None, most: int = MAX_BLOCK) -> None:
        self._stream = stream
        self._most = most
        self.header = _header(stream)
        self._datum = DatumReader(resolved(self.header.schema, reader))
        if self.header.codec not in CODECS:
            raise Rejected(UNKNOWN_CODEC)

    def blocks(self) -> Iterator[list[dict[str, Any]]]:
        """The data of each block. Raises Rejected."""
        unpack = CODECS[self.header.codec]
        while (count := _long(self._stream, ending=True)) is not None:
            size = _long(self._stream) or 0
            if count < 0 or size < 0:
                raise Rejected(MALFORMED)
            if size > self._most:
                raise Rejected(TOO_LARGE)
            told = Input(unpack(_exactly(self._stream, size), self._most))
            if count > len(told.raw) + told.items:
                raise Rejected(MALFORMED)
            block = [self._datum.next(told) for _ in range(count)]
            if told.at != len(told.raw) or _exactly(self._stream, SYNC) != self.header.sync:
                raise Rejected(MALFORMED)
            yield block


def _header(stream: IO[bytes]) -> Header:
    if stream.read(len(MAGIC)) != MAGIC:
        raise Rejected(MALFORMED)
    held: dict[str, bytes] = {}
    left = MAX_HEADER
    while count := _long(stream):
        if count < 0:
            count, _ = -count, _long(stream)
        for _ in range(count):
            name = _exactly(stream, _bounded(_long(stream), left))
            value = _exactly(stream, _bounded(_long(stream), left))
            left -= len(name) + len(value) + 2
            held[name.decode("latin-1")] = value
    try:
        schema = parse(held.get("avro.schema", b"").decode())
    except (SchemaError, UnicodeDecodeError):
        raise Rejected(INVALID_SCHEMA) from None
    return Header(schema, held.get("avro.codec", b"null").decode("latin-1"), _exactly(stream, SYNC))


def _bounded(size: int | None, most: int) -> int:
    if size is None or size < 0:
        raise Rejected(MALFORMED)
    if size > most:
        raise Rejected(TOO_LARGE)
    return size


def _long(stream: IO[bytes], *, ending: bool = False) -> int | None:
    raw = b""
    while len(raw) < LONGEST_LONG and (byte := stream.read(1)):
        raw += byte
        if byte[0] < 0x80:  # noqa: PLR2004 - the last one
            return Input(raw).long()
    if ending and not raw:
        return None
    raise Rejected(TRUNCATED if len(raw) < LONGEST_LONG else MALFORMED)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    found = stream.read(size)
    if len(found) != size:
        raise Rejected(TRUNCATED)
    return found


# --- codecs -----------------------------------------------------------------------------------------------------------


def _stored(raw: bytes, most: int) -> bytes:
    del most  # a block is no longer than that
    return raw


def _deflated(raw: bytes, most: int) -> bytes:
    return _decompressed(zlib.decompressobj(-15), raw, most)


def _bzip2(raw: bytes, most: int) -> bytes:
    return _decompressed(bz2.BZ2Decompressor(), raw, most)


def _xz(raw: bytes, most: int) -> bytes:
    return _decompressed(lzma.LZMADecompressor(memlimit=256 << 20), raw, most)


def _decompressed(decompressor: Any, raw: bytes, most: int) -> bytes:
    try:
        found: bytes = decompressor.decompress(raw, most + 1)
    except (zlib.error, OSError, lzma.LZMAError, EOFError):
        raise Rejected(MALFORMED) from None
    if len(found) > most:
        raise Rejected(TOO_LARGE)
    if not decompressor.eof:
        raise Rejected(TRUNCATED)
    return found


def _snappy(raw: bytes, most: int) -> bytes:
    """Snappy, which says first how long it is, and a checksum behind."""
    told = _unsigned(raw)
    if told > most:
        raise Rejected(TOO_LARGE)
    found = _by_arrow("snappy", raw[:-4], told)
    if zlib.crc32(found) != int.from_bytes(raw[-4:], "big"):
        raise Rejected(MALFORMED)
    return found


def _unsigned(raw: bytes) -> int:
    found = 0
    for at, byte in enumerate(raw[:5]):
        found |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:  # noqa: PLR2004 - the last one
            return found
    raise Rejected(MALFORMED)


def _by_arrow(codec: str, raw: bytes, size: int) -> bytes:
    import pyarrow as pa

    try:
        return bytes(pa.decompress(raw, decompressed_size=size, codec=codec, asbytes=True))
    except (pa.ArrowException, OSError, ValueError):
        raise Rejected(MALFORMED) from None


def _zstandard(raw: bytes, most: int) -> bytes:
    """By the stream, for the length that a frame tells may be missing, or a lie."""
    import pyarrow as pa

    try:
        with pa.CompressedInputStream(pa.BufferReader(raw), "zstd") as stream:
            found: bytes = stream.read(most + 1)
    except (pa.ArrowException, OSError, ValueError):
        raise Rejected(MALFORMED) from None
    if len(found) > most:
        raise Rejected(TOO_LARGE)
    return found


CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": _stored,
    "deflate": _deflated,
    "bzip2": _bzip2,
    "xz": _xz,
    "snappy": _snappy,
    "zstandard": _zstandard,
}
