"""JSON as a schema registry's clients write it: the number of a schema, then a JSON object. What is behind is read as `json` reads it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from monitor.sections import Section
from monitor.sources.base import NotNow, Prepared, RecordParts, TopicRecords
from monitor.sources.formats.base import TOMBSTONE, DecodeCounts, Prepares, Read, Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json import JsonDecoder
from monitor.sources.formats.json.documents import read_document
from monitor.sources.formats.registry import UnknownFormatError
from monitor.sources.formats.schema_registry import RegistrySettings, SchemaRegistry
from monitor.sources.formats.schema_registry.frames import ValuesBehind, behind, frames
from monitor.sources.formats.schema_registry.framing import PREFIX
from monitor.sources.formats.schema_registry.keys import keys_of
from monitor.sources.formats.schema_registry.section import RegistryError
from monitor.sources.formats.values import Rejected
from monitor.stream.events import Nanos

UNAVAILABLE = "schema_unavailable"
Values = Sequence[bytes | None]


class JsonSchemaOptions(Section):
    """With a registry each message's schema has to be there, one of JSON, and of the subject where that is named."""

    registry: RegistrySettings | None = None


Options = JsonSchemaOptions


class JsonSchemaDecoder:
    """Framed JSON; where nobody asks for schemas, messages without a frame are read, too."""

    def __init__(self, topic: TopicFields) -> None:
        options: JsonSchemaOptions = topic.options or JsonSchemaOptions()
        self._inner = JsonDecoder(topic)
        try:
            self.registry = None if options.registry is None else SchemaRegistry(options.registry, "JSON")
        except RegistryError as error:
            raise UnknownFormatError(f"json-schema: options.{error}") from None
        self._fetched: JudgedRecords | None = None  # of the records that are decoded next
        self.wants = RecordParts.NOTHING if self.registry is None else RecordParts.HEADERS
        self.readers: Sequence[Reader] = [
            PreparingReader(self, each) if isinstance(each, Prepares) else FramelessReader(self, each)
            for each in self._inner.readers
        ]

    def fetch(self, records: TopicRecords) -> None:
        """Have the schemas of these records. Raises NotNow."""
        self._fetched = self._judge(records)

    def judged(self, records: TopicRecords) -> "JudgedRecords":
        """What schemas say of messages; what is not to be had now is a reason."""
        found, self._fetched = self._fetched, None
        if found is not None and found.values is records.values:
            return found
        try:
            return self._judge(records)
        except NotNow:
            return JudgedRecords(
                records.values, offsets_of(records.values), dict.fromkeys(range(len(records.values)), UNAVAILABLE)
            )

    def _judge(self, records: TopicRecords) -> "JudgedRecords":
        """Raises NotNow."""
        if self.registry is None:
            return JudgedRecords(records.values, offsets_of(records.values), {})
        keys = keys_of(records)
        found = self.registry.schemas(key for key in keys.found if not isinstance(key, str))
        told = [key if isinstance(key, str) else found[key] for key in keys.found]
        refused = [at for at, each in enumerate(told) if isinstance(each, str)]
        places = np.flatnonzero(np.isin(keys.which, refused)) if refused else np.empty(0, dtype=np.intp)
        offsets = np.where(keys.is_framed, PREFIX, 0).astype(np.int64)
        return JudgedRecords(records.values, offsets, {at: str(told[keys.which[at]]) for at in places.tolist()})

    def decode(self, values: Values) -> Rows:
        """Value by value, so that a bad field costs that field only."""
        return self.decode_records(TopicRecords("", (), values))

    def decode_records(self, records: TopicRecords) -> Rows:
        """The same, by what headers say of schemas."""
        judged = self.judged(records)
        values, refused = judged.written, judged.refused
        good = [place for place in range(len(values)) if place not in refused]
        rows = self._inner.decode([values[place] for place in good])
        rejected = Counter(rows.rejected)
        rejected.update(TOMBSTONE if records.values[place] is None else reason for place, reason in refused.items())
        return replace(rows, messages=np.array(good, dtype=np.intp)[rows.messages], rejected=dict(rejected))

    def inspect(self, raw: bytes) -> Iterable[Mapping[Path, object]]:
        """The object by path. Raises Rejected."""
        return self.inspect_record(TopicRecords("", (0,), [raw]))

    def inspect_record(self, record: TopicRecords) -> Iterable[Mapping[Path, object]]:
        """The same, by what headers say of schemas. Raises Rejected."""
        judged = self.judged(record)
        for reason in judged.refused.values():
            raise Rejected(reason)
        return self._inner.inspect(judged.written[0] or b"")


decoder = JsonSchemaDecoder


@dataclass(frozen=True, slots=True)
class JudgedRecords:
    """What schemas say of `values`: where what is written begins in each, and why some are refused, by their places."""

    values: Values
    offsets: NDArray[np.int64]
    refused: Mapping[int, str]

    @property
    def written(self) -> ValuesBehind:
        """What is written, where it lies; None of what is refused."""
        offsets = self.offsets.copy()
        offsets[list(self.refused)] = -1
        return behind(self.values, offsets)


def offsets_of(values: Values) -> NDArray[np.int64]:
    """Where what is written begins in each value. No JSON begins with a zero byte."""
    codes, _ = frames(values)
    return np.where(codes < 0, 0, PREFIX).astype(np.int64)


class FramelessReader:
    """A reader of JSON for messages without their frames. Those that are refused for their schemas are left."""

    def __init__(self, decoder: JsonSchemaDecoder, reader: Reader) -> None:
        self._decoder = decoder
        self._reader = reader

    def read(self, records: TopicRecords, latest: Nanos, counts: DecodeCounts) -> Read:
        """Read messages; those that are odd are left."""
        judged = self._decoder.judged(records)
        found = records.prepared
        if isinstance(found, PreparedBehind) and found.values is records.values and not judged.refused:
            records = replace(records, values=found.written, prepared=found.prepared)
        else:
            records = replace(records, values=judged.written, prepared=None)
        return self._reader.read(records, latest, counts)


class PreparingReader(FramelessReader):
    """The same, of a reader that reads ahead."""

    def prepare(self, values: Values, latest: Nanos) -> Prepared:
        """Read values without their records, in any thread."""
        assert isinstance(self._reader, Prepares)
        written = behind(values, offsets_of(values))
        return PreparedBehind(values, written, self._reader.prepare(written, latest))


@dataclass(frozen=True, slots=True)
class PreparedBehind:
    """What was made ahead of values without their frames."""

    values: Values
    written: ValuesBehind
    prepared: Prepared | None

    @property
    def nbytes(self) -> int:
        """What it keeps in memory."""
        return 0 if self.prepared is None else self.prepared.nbytes


def recognises(records: TopicRecords) -> bool:
    """Whether messages have a frame, and a JSON object behind it."""
    values = [raw for raw in records.values if raw]
    codes, _ = frames(values)
    return bool(values) and bool((codes >= 0).all()) and all(_is_object(raw[PREFIX:]) for raw in values)


def _is_object(raw: bytes) -> bool:
    try:
        read_document(raw)
    except Rejected:
        return False
    return True
