"""By which descriptors each message of a batch is read: those of a file, or those its schema in a registry has."""

import base64
import binascii
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.formats.fields import Path
from monitor.sources.formats.protobuf.descriptors import DescriptorError, Schema
from monitor.sources.formats.protobuf.messages import OTHER
from monitor.sources.formats.protobuf.reading import PlannedReader
from monitor.sources.formats.schema_registry import Key, RegisteredSchema, SchemaRegistry, framed
from monitor.sources.formats.schema_registry.frames import frames, indexes
from monitor.sources.formats.schema_registry.framing import PREFIX, VALUE_HEADER
from monitor.sources.formats.values import Rejected

NO_SCHEMA_ID, UNAVAILABLE, INVALID_SCHEMA = "no_schema_id", "schema_unavailable", "invalid_schema"
NO_INDEX = "message_index_invalid"
KEPT = 1_000  # readers
MAX_FILE = 64 << 20  # bytes

Found = PlannedReader | str
"""What reads a message, or the reason why nothing does."""


@dataclass(frozen=True, slots=True)
class Written:
    """By whom each message of a batch is read: `readers[codes[i]]`, from its `offsets[i]`th byte on."""

    readers: Sequence[Found]
    codes: NDArray[np.int64]
    offsets: NDArray[np.int64]


class MessageWriters(Protocol):
    """By whom messages of a topic are read."""

    def of(self, records: TopicRecords) -> Written:
        """Of each message; one without a value may be given any. Raises NotNow."""
        ...

    def of_one(self, record: TopicRecords) -> tuple[Found, int]:
        """Of a single message, and where it begins. Raises NotNow."""
        ...

    def known(self, values: Sequence[bytes | None]) -> Written:
        """Of each message by what it says itself, as far as it is known without asking; from any thread."""
        ...


class DescriptorFile:
    """A set of descriptors. Messages may have the frame of a registry's client all the same: then it says which message it is."""

    def __init__(self, path: FilePath, message: str, hashed: frozenset[Path] = frozenset()) -> None:
        """Raises DescriptorError, which names the key."""
        schema = read_set(path)
        try:
            held = schema.message(message)
        except DescriptorError as error:
            raise DescriptorError(f"message: {path} {error}") from None
        self._places = schema.places(held)
        self._raw = PlannedReader(held, strict=True, hashed=hashed)
        self._framed = PlannedReader(held, strict=False, hashed=hashed)

    def of(self, records: TopicRecords) -> Written:
        """As `known` tells."""
        return self.known(records.values)

    def known(self, values: Sequence[bytes | None]) -> Written:
        """A message that begins with a zero byte is framed: no Protobuf does."""
        codes, found = frames(values, indexed=True)
        own = [self._of_frame(frame) for frame in found]
        readers: list[Found] = [NO_INDEX, self._raw, *own]
        sizes = np.array([0, 0, *map(len, found)], dtype=np.int64)
        at = codes.astype(np.int64) + 2
        return Written(readers, at, sizes[at])

    def of_one(self, record: TopicRecords) -> tuple[Found, int]:
        """The same, quickly where it has no frame."""
        raw = record.values[0]
        return (self._raw, 0) if raw and raw[0] else _first(self.of(record))

    def _of_frame(self, frame: bytes) -> Found:
        read = indexes(frame[PREFIX:])
        return self._framed if read is not None and read[0] == self._places else OTHER


class DescriptorRegistry:
    """Schemas of a registry. A message is read by the schema that it was written by."""

    def __init__(self, registry: SchemaRegistry, message: str, hashed: frozenset[Path] = frozenset()) -> None:
        self._registry = registry
        self._message = message
        self._hashed = hashed
        self._made: OrderedDict[tuple[Key, bytes], Found] = OrderedDict()
        self._schemas: OrderedDict[Key, Schema | str] = OrderedDict()

    def of(self, records: TopicRecords) -> Written:
        """By header, by frame. Raises NotNow."""
        at, named, sizes = self._by_frames(records.values)
        if any(records.headers):
            self._by_headers(records, at, named, sizes)
        known = self._readers(named)
        return Written([NO_INDEX, NO_SCHEMA_ID, *known], at, np.array(sizes, dtype=np.int64)[at])

    def of_one(self, record: TopicRecords) -> tuple[Found, int]:
        """The same of one. Raises NotNow."""
        return _first(self.of(record))

    def known(self, values: Sequence[bytes | None]) -> Written:
        """By frames, as far as messages of these schemas were read before. A header may say another."""
        at, named, sizes = self._by_frames(values)
        known = [self._made.get(key, UNAVAILABLE) for key in named]
        return Written([NO_INDEX, NO_SCHEMA_ID, *known], at, np.array(sizes, dtype=np.int64)[at])

    @staticmethod
    def _by_frames(values: Sequence[bytes | None]) -> tuple[NDArray[np.int64], list[tuple[Key, bytes]], list[int]]:
        """Which frame each message has, of NO_INDEX, NO_SCHEMA_ID and those that are named, and how long each is."""
        codes, found = frames(values, indexed=True)
        named: list[tuple[Key, bytes]] = [(int.from_bytes(each[1:PREFIX], "big"), each[PREFIX:]) for each in found]
        return codes.astype(np.int64) + 2, named, [0, 0, *map(len, found)]

    @staticmethod
    def _by_headers(
        records: TopicRecords, at: NDArray[np.int64], named: list[tuple[Key, bytes]], sizes: list[int]
    ) -> None:
        """Let headers that name a schema go before frames."""
        known: dict[tuple[Key, bytes], int] = {}
        for place, headers in enumerate(records.headers):
            if not any(name == VALUE_HEADER for name, _ in headers):
                continue
            try:
                found = framed(records.values[place] or b"", headers)
            except Rejected:
                continue
            if found.beside is None:  # the header says nothing that we read: the prefix does
                continue
            key = found.key, found.beside
            if key not in known:
                known[key] = len(sizes)
                named.append(key)
                sizes.append(0)
            at[place] = known[key]

    def _readers(self, named: Sequence[tuple[Key, bytes]]) -> list[Found]:
        new = {key for key, _ in named if key not in self._schemas}
        told = self._registry.schemas(new) if new else {}
        fresh = {key: _schema(found) for key, found in told.items()}
        kept = {key: found for key, found in fresh.items() if isinstance(found, Schema) or found == INVALID_SCHEMA}
        _keep(self._schemas, kept)
        known = {**fresh, **{key: self._schemas[key] for key, _ in named if key in self._schemas}}
        return [self._reader(key, beside, known[key]) for key, beside in named]

    def _reader(self, key: Key, beside: bytes, schema: Schema | str) -> Found:
        if isinstance(schema, str):
            return schema
        found = self._made.get((key, beside))
        if found is None:
            found = self._make(beside, schema)
            _keep(self._made, {(key, beside): found})
        return found

    def _make(self, beside: bytes, schema: Schema) -> Found:
        read = indexes(beside)
        if read is None:
            return NO_INDEX
        message = schema.indexed(read[0])
        if message is None or message.name != self._message:
            return OTHER
        return PlannedReader(message, strict=False, hashed=self._hashed)


def _first(written: Written) -> tuple[Found, int]:
    return written.readers[int(written.codes[0])], int(written.offsets[0])


def _keep(kept: OrderedDict[Any, Any], more: Mapping[Any, Any]) -> None:
    kept.update(more)
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _schema(found: RegisteredSchema | str) -> Schema | str:
    if isinstance(found, str):
        return found
    try:
        return Schema([base64.b64decode(text, validate=True) for text in (found.text, *found.references.values())])
    except (DescriptorError, binascii.Error, ValueError):
        return INVALID_SCHEMA


def patiently(writers: MessageWriters, records: TopicRecords) -> Written:
    """The same for those who cannot wait: what is not to be had now is a reason."""
    try:
        return writers.of(records)
    except NotNow:
        count = len(records.values)
        return Written([UNAVAILABLE], np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64))


def read_set(path: FilePath) -> Schema:
    """A set of descriptors from a file. Raises DescriptorError, which names the key."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise DescriptorError(f"descriptor_set_file: {path} cannot be read: {error.strerror or error}") from None
    if len(data) > MAX_FILE:
        raise DescriptorError(f"descriptor_set_file: {path} is longer than {MAX_FILE >> 20} MiB")
    try:
        return Schema.of_set(data)
    except DescriptorError as error:
        raise DescriptorError(f"descriptor_set_file: {path} {error}") from None
