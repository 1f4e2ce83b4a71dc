"""Protobuf: a message a row, by descriptors of a file or of a registry. No Protobuf package is needed."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from monitor.sections import Section
from monitor.sources.base import NotNow, RecordParts, TopicRecords
from monitor.sources.formats.base import TOMBSTONE, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import Document
from monitor.sources.formats.protobuf.descriptors import DescriptorError
from monitor.sources.formats.protobuf.joining import joined
from monitor.sources.formats.protobuf.reading import PlannedReader
from monitor.sources.formats.protobuf.wire import MAX_DEPTH, Cursor
from monitor.sources.formats.protobuf.writers import (
    UNAVAILABLE,
    DescriptorFile,
    DescriptorRegistry,
    MessageWriters,
    Written,
    patiently,
)
from monitor.sources.formats.registry import UnknownFormatError
from monitor.sources.formats.schema_registry import RegistrySettings, SchemaRegistry
from monitor.sources.formats.schema_registry.frames import frames, lying
from monitor.sources.formats.schema_registry.section import RegistryError
from monitor.sources.formats.values import Rejected
from monitor.stream.events import Nanos

FULL_NAME = r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$"


class ProtobufOptions(Section):
    """Which message a topic has, and where its descriptors are."""

    message: Annotated[str, Field(pattern=FULL_NAME)]
    descriptor_set_file: FilePath | None = None
    registry: RegistrySettings | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "ProtobufOptions":
        if (self.descriptor_set_file is None) == (self.registry is None):
            raise ValueError(
                "needs exactly one of descriptor_set_file and registry, which know what the message looks like"
            )
        return self


Options = ProtobufOptions


class ProtobufDecoder:
    """Protobuf messages of one type."""

    def __init__(self, topic: TopicFields) -> None:
        options: ProtobufOptions = topic.options
        try:
            self.registry = (
                None if options.registry is None else SchemaRegistry(options.registry, "PROTOBUF", "serialized")
            )
            self._writers = _writers(options, _hashed(topic), self.registry)
        except (DescriptorError, RegistryError) as error:
            raise UnknownFormatError(f"protobuf: options.{error}") from None
        self.wants = RecordParts.NOTHING if options.registry is None else RecordParts.HEADERS

    def fetch(self, records: TopicRecords) -> None:
        """Have the schemas of these records. Raises NotNow."""
        self._writers.of(records)

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Messages to rows; what cannot be read is counted by reason."""
        return self.decode_records(TopicRecords("", (), values))

    def decode_records(self, records: TopicRecords) -> Rows:
        """The same, by what headers say of schemas."""
        found = records.prepared if isinstance(records.prepared, PreparedParts) else None
        ahead = found if found is not None and found.values is records.values else None
        records = replace(records, values=lying(records.values) if ahead is None else ahead.lying)
        written = patiently(self._writers, records)
        rejected: Counter[str] = Counter()
        parts: list[Rows] = []
        for reader, places, offsets in _groups(written):
            if isinstance(reader, str):
                absent = sum(records.values[place] is None for place in places.tolist())
                rejected.update({reason: n for reason, n in ((TOMBSTONE, absent), (reader, len(places) - absent)) if n})
                continue
            made = None if ahead is None else ahead.of(reader, places, offsets)
            parts.append(reader.read(records.values, places, offsets) if made is None else made)
        return joined(parts, rejected)

    def prepare(self, values: Sequence[bytes | None], latest: Nanos) -> "PreparedParts":
        """Read values of the schemas that are known by now, in any thread."""
        del latest  # times are looked at later
        held = lying(values)
        written = self._writers.known(held)
        groups = {
            reader: PreparedPart(places, offsets, reader.read(held, places, offsets))
            for reader, places, offsets in (_groups(written) if written is not None else ())
            if not isinstance(reader, str)
        }
        return PreparedParts(values, held, groups)

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """The message by path. Raises Rejected."""
        return self.inspect_record(TopicRecords("", (0,), [raw]))

    def inspect_record(self, record: TopicRecords) -> Iterator[Mapping[Path, object]]:
        """The same, by what headers say of schemas. Raises Rejected."""
        try:
            reader, offset = self._writers.of_one(record)
        except NotNow:
            raise Rejected(UNAVAILABLE) from None
        raw = record.values[0]
        if raw is None:
            raise Rejected(TOMBSTONE)
        if isinstance(reader, str):
            raise Rejected(reader)
        return iter([Document(reader.document(raw, offset))])


decoder = ProtobufDecoder


def _groups(written: Written) -> Iterator[tuple[PlannedReader | str, NDArray[np.int64], NDArray[np.int64]]]:
    """Each reader that has messages, or why they have none; their places, and where in them what is written begins."""
    for number in np.flatnonzero(np.bincount(written.codes)).tolist():
        places = np.flatnonzero(written.codes == number)
        yield written.readers[number], places, written.offsets[places]


@dataclass(frozen=True, slots=True)
class PreparedPart:
    """What was read ahead at some places, from some byte on each."""

    places: NDArray[np.int64]
    offsets: NDArray[np.int64]
    rows: Rows


@dataclass(frozen=True, slots=True)
class PreparedParts:
    """What was read ahead of values, by who read it; and the values as the compiled parts have them."""

    values: Sequence[bytes | None]
    lying: Sequence[bytes | None]
    groups: Mapping[PlannedReader, PreparedPart]

    @property
    def nbytes(self) -> int:
        """What it keeps in memory: eight bytes a field, more or less."""
        return sum(8 * len(part.rows) * len(reader.plan.slots) for reader, part in self.groups.items())

    def of(self, reader: PlannedReader, places: NDArray[np.int64], offsets: NDArray[np.int64]) -> Rows | None:
        """What this reader made of just these; None where it was of others."""
        part = self.groups.get(reader)
        same = part is not None and np.array_equal(part.places, places) and np.array_equal(part.offsets, offsets)
        return part.rows if part is not None and same else None


def _hashed(topic: TopicFields) -> frozenset[Path]:
    """The paths of which only is asked which rows have the same: ids and groups that are nothing else."""
    series = topic.series.values()
    other = {path for each in series for _, path in (*each.numeric, *each.categorical)}
    own = {path for each in series for path in (each.id, each.group) if path}
    return frozenset(own - other - set(topic.fields.envelope.values()))


def _writers(options: ProtobufOptions, hashed: frozenset[Path], registry: SchemaRegistry | None) -> MessageWriters:
    if registry is not None:
        return DescriptorRegistry(registry, options.message, hashed)
    assert options.descriptor_set_file is not None
    return DescriptorFile(options.descriptor_set_file, options.message, hashed)


def recognises(records: TopicRecords) -> bool:
    """Whether messages have the frame of a registry's Protobuf client, and behind it fields to their very end. Bare ones look like nothing."""
    values = [raw for raw in records.values if raw]
    codes, found = frames(values, indexed=True)
    if not values or (codes < 0).any():
        return False
    behind = [raw[len(found[code]) :] for raw, code in zip(values, codes.tolist(), strict=True)]
    return any(behind) and all(map(_has_fields, behind))


def _has_fields(raw: bytes) -> bool:
    cursor = Cursor(raw)
    try:
        while cursor:
            cursor.skip(*cursor.tag(), MAX_DEPTH - 1)
    except Rejected:
        return False
    return True
