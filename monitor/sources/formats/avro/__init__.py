"""Avro: a datum a message by a schema of a registry or of a file, or a container with its own; a row a record."""

import io
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import numpy as np
from pydantic import model_validator

from monitor.sections import Section
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.avro.container import MAGIC, TOO_LARGE, Container
from monitor.sources.formats.avro.scanning import avro_scanner
from monitor.sources.formats.avro.schema import AvroType, SchemaError, parse
from monitor.sources.formats.avro.writers import (
    SINGLE_OBJECT,
    AvroFileWriters,
    AvroRegistryWriters,
    AvroWriters,
    Found,
    NoAvroWriters,
    patiently,
    patiently_one,
    read_schema,
)
from monitor.sources.formats.base import TOMBSTONE, Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import Document, DocumentRows
from monitor.sources.formats.registry import UnknownFormatError
from monitor.sources.formats.schema_registry import RegistrySettings, SchemaRegistry
from monitor.sources.formats.schema_registry.section import SchemaRegistryError
from monitor.sources.formats.values import Rejected

MAX_BYTES = 1 << 20  # of a datum
MAX_CONTAINER = 16 << 20  # of a container, and of each of its blocks unpacked
EMPTY = "empty"


class AvroOptions(Section):
    """Where the schema of messages is known. With none of them each message has to be a container."""

    registry: RegistrySettings | None = None
    schema_file: FilePath | None = None
    single_object: bool = False
    reader_schema_file: FilePath | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "AvroOptions":
        if self.registry is not None and self.schema_file is not None:
            raise ValueError("registry and schema_file are two places of the schema: give one")
        if self.single_object and self.schema_file is None:
            raise ValueError("single_object needs schema_file, whose fingerprint messages begin with")
        return self


Options = AvroOptions


class AvroDecoder:
    """Avro messages: by the compiled reader, where it is there; value by value what it leaves."""

    def __init__(self, topic: TopicFields) -> None:
        options = topic.options or Options()
        try:
            self._reader = _reader_schema(options.reader_schema_file)
            self.registry = None if options.registry is None else SchemaRegistry(options.registry, "AVRO")
            self._writers = _writers(options, self._reader, self.registry)
        except (SchemaError, SchemaRegistryError) as error:
            raise UnknownFormatError(f"avro: options.{error}") from None
        self.wants = RecordParts.NOTHING if options.registry is None else RecordParts.HEADERS
        scanner = avro_scanner(topic, self._writers)
        self.readers: Sequence[Reader] = () if scanner is None else (scanner,)

    def fetch(self, records: TopicRecords) -> None:
        """Have the schemas of these records. Raises NotNow."""
        self._writers.fetch(records)

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Value by value, so that a bad field costs that field only."""
        return self.decode_records(TopicRecords("", (), values))

    def decode_records(self, records: TopicRecords) -> Rows:
        """The same, by what headers say of schemas."""
        documents: list[dict[str, Any]] = []
        messages: list[int] = []
        rejected: Counter[str] = Counter()
        authors = patiently(self._writers, records)
        for message, raw in enumerate(records.values):
            try:
                read = self.read(raw, authors.of(message))
            except Rejected as reason:
                rejected[str(reason)] += 1
                continue
            documents += read
            messages += [message] * len(read)
        return DocumentRows({}, np.array(messages, dtype=np.intp), rejected, documents=documents)

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """The records by path. Raises Rejected."""
        return self.inspect_record(TopicRecords("", (0,), (raw,)))

    def inspect_record(self, record: TopicRecords) -> Iterator[Mapping[Path, object]]:
        """The same, by what headers say of schemas. Raises Rejected."""
        return iter([Document(each) for each in self.documents(record)])

    def documents(self, record: TopicRecords) -> Sequence[dict[str, Any]]:
        """The records that a single message holds, as JSON would have them. Raises Rejected."""
        return self.read(record.values[0], patiently_one(self._writers, record))

    def read(self, raw: bytes | None, writer: Found) -> Sequence[dict[str, Any]]:
        """The same, by who wrote it. Raises Rejected."""
        if raw is None:
            raise Rejected(TOMBSTONE)
        if not raw:
            raise Rejected(EMPTY)
        if raw.startswith(MAGIC):
            return self._container(raw)
        if len(raw) > MAX_BYTES:
            raise Rejected(TOO_LARGE)
        if isinstance(writer, str):
            raise Rejected(writer)
        return [writer.datum.read(raw, writer.begin)]

    def _container(self, raw: bytes) -> Sequence[dict[str, Any]]:
        if len(raw) > MAX_CONTAINER:
            raise Rejected(TOO_LARGE)
        return [row for block in Container(io.BytesIO(raw), self._reader, MAX_CONTAINER).blocks() for row in block]


decoder = AvroDecoder


def _reader_schema(path: FilePath | None) -> AvroType | None:
    return None if path is None else parse(read_schema("reader_schema_file", path, parse))


def _writers(options: Options, reader: AvroType | None, registry: SchemaRegistry | None) -> AvroWriters:
    if registry is not None:
        return AvroRegistryWriters(registry, reader)
    if options.schema_file is None:
        return NoAvroWriters()
    text = read_schema("schema_file", options.schema_file, parse)
    return AvroFileWriters(text, reader, named=options.single_object)


def recognises(records: TopicRecords) -> bool:
    """Whether messages are Avro by their first bytes: containers, or single objects. A prefix may be that of any format of a registry."""
    values = [raw for raw in records.values if raw]
    return bool(values) and all(raw.startswith((MAGIC, SINGLE_OBJECT)) for raw in values)
