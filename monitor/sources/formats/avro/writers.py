"""By which schema each message of a batch was written, and the readers of those that are known."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.formats.avro.compiled import CompiledDatumReader, datum_reader
from monitor.sources.formats.avro.datum import DatumReader
from monitor.sources.formats.avro.resolving import resolved
from monitor.sources.formats.avro.schema import AvroType, SchemaError, fingerprint, parse
from monitor.sources.formats.schema_registry import Key, RegisteredSchema, SchemaRegistry
from monitor.sources.formats.schema_registry.framing import PREFIX
from monitor.sources.formats.schema_registry.keys import NO_SCHEMA_ID, Keys, key_of, keys_of

SINGLE_OBJECT = b"\xc3\x01"
NAMED = 10  # bytes: the two, and a fingerprint
UNKNOWN_SCHEMA, UNAVAILABLE = "unknown_schema", "schema_unavailable"
INVALID_SCHEMA = "invalid_schema"
KEPT = 1_000  # writers


@dataclass(eq=False)
class Writer:
    """What one schema wrote: its type as a reader has it, and where data begin in a message."""

    type: AvroType
    begin: int = 0

    @cached_property
    def datum(self) -> CompiledDatumReader | DatumReader:
        """What reads it value by value."""
        return datum_reader(self.type)


Found = Writer | str
"""Who wrote a message, or the reason why nobody is known."""


@dataclass(frozen=True, slots=True)
class Authors:
    """Who wrote the messages of a batch, each once, and intp[n] saying who wrote which."""

    found: Sequence[Found]
    which: NDArray[np.intp]

    def of(self, message: int) -> Found:
        """Who wrote one message."""
        found: Found = self.found[int(self.which[message])]
        return found


class AvroWriters(Protocol):
    """Who wrote the messages of a topic."""

    def fetch(self, records: TopicRecords) -> None:
        """Have what tells who wrote them. Raises NotNow."""
        ...

    def of(self, records: TopicRecords) -> Authors:
        """Who wrote each message; one without a value may have any author. Raises NotNow where it was not fetched, and is away."""
        ...

    def of_one(self, record: TopicRecords) -> Found:
        """The same of a single record."""
        ...

    def known(self, values: Sequence[bytes | None]) -> Authors | None:
        """Who wrote messages by what they say themselves, as far as it is known without asking; from any thread. None: nobody can tell."""
        ...


class AvroFileWriters:
    """A single schema, of a file. `named`: each message begins with its fingerprint."""

    def __init__(self, text: str, reader: AvroType | None, *, named: bool) -> None:
        writer = Writer(resolved(parse(text), reader), NAMED if named else 0)
        self._found = writer, UNKNOWN_SCHEMA, NO_SCHEMA_ID
        self._head = SINGLE_OBJECT + fingerprint(text) if named else b""

    def fetch(self, records: TopicRecords) -> None:
        """Nothing is away."""

    def of(self, records: TopicRecords) -> Authors:
        """The one writer, but of messages that say something else."""
        which = np.zeros(len(records.values), dtype=np.intp)
        if not self._head:
            return Authors(self._found[:1], which)
        which[:] = [self._named(raw or b"") for raw in records.values]
        return Authors(self._found if which.any() else self._found[:1], which)

    def of_one(self, record: TopicRecords) -> Found:
        """The one writer, or why it is another."""
        return self._found[self._named(record.values[0] or b"") if self._head else 0]

    def known(self, values: Sequence[bytes | None]) -> Authors:
        """As `of` tells."""
        return self.of(TopicRecords("", (), values))

    def _named(self, raw: bytes) -> int:
        if raw.startswith(self._head):
            return 0
        return 1 if raw.startswith(SINGLE_OBJECT) and len(raw) >= NAMED else 2


class AvroRegistryWriters:
    """Schemas of a registry, each read once."""

    def __init__(self, registry: SchemaRegistry, reader: AvroType | None) -> None:
        self._registry = registry
        self._reader = reader
        self._made: dict[tuple[object, ...], Found] = {}
        self._fetched: dict[Key, Found] = {}  # of the last batch: none of them is asked for again before it is decoded
        self._told: Keys | None = None  # what its messages say

    def fetch(self, records: TopicRecords) -> None:
        """Ask for all schemas of these records. Raises NotNow."""
        self._told = keys_of(records)
        self._fetched = self._ask(key for key in self._told.found if not isinstance(key, str))

    def of(self, records: TopicRecords) -> Authors:
        """Who wrote each message. Raises NotNow for those that were not fetched."""
        told, self._told = self._told, None
        keys = told if told is not None and told.values is records.values else keys_of(records)
        missing = [key for key in keys.found if not isinstance(key, str) and key not in self._fetched]
        known = self._fetched | self._ask(missing) if missing else self._fetched
        return Authors([key if isinstance(key, str) else known[key] for key in keys.found], keys.which)

    def of_one(self, record: TopicRecords) -> Found:
        """Who wrote one message. Raises NotNow."""
        key = key_of(record)
        if isinstance(key, str):
            return key
        found = self._fetched.get(key)
        return self._ask([key])[key] if found is None else found

    def known(self, values: Sequence[bytes | None]) -> Authors:
        """By the numbers before them, as far as the last batch had these schemas. A header may say another."""
        fetched, keys = self._fetched, keys_of(TopicRecords("", (), values))
        return Authors(
            [UNAVAILABLE if isinstance(key, str) else fetched.get(key, UNAVAILABLE) for key in keys.found], keys.which
        )

    def _ask(self, keys: Iterable[Key]) -> dict[Key, Found]:
        return {key: self._made_of(key, found) for key, found in self._registry.schemas(keys).items()}

    def _made_of(self, key: Key, found: RegisteredSchema | str) -> Found:
        if isinstance(found, str):
            return found
        place = (
            found.text,
            *found.references.items(),
            isinstance(key, int),
        )  # a text may refer to other versions under other numbers
        if place not in self._made:
            if len(self._made) >= KEPT:
                self._made.clear()
            self._made[place] = self._writer(key, found)
        return self._made[place]

    def _writer(self, key: Key, found: RegisteredSchema) -> Found:
        try:
            told = resolved(parse(found.text, found.references), self._reader)
        except SchemaError:
            return INVALID_SCHEMA
        return Writer(told, PREFIX if isinstance(key, int) else 0)


class NoAvroWriters:
    """Nobody is known: only containers say themselves what they hold."""

    def fetch(self, records: TopicRecords) -> None:
        """Nothing is away."""

    def of(self, records: TopicRecords) -> Authors:
        """Nobody."""
        return Authors([NO_SCHEMA_ID], np.zeros(len(records.values), dtype=np.intp))

    def of_one(self, record: TopicRecords) -> Found:
        """Nobody."""
        del record
        return NO_SCHEMA_ID

    def known(self, values: Sequence[bytes | None]) -> None:
        """Nobody."""


def patiently(writers: AvroWriters, records: TopicRecords) -> Authors:
    """The same for those who cannot wait: what is not to be had now is a reason."""
    try:
        return writers.of(records)
    except NotNow:
        return Authors([UNAVAILABLE], np.zeros(len(records.values), dtype=np.intp))


def patiently_one(writers: AvroWriters, record: TopicRecords) -> Found:
    """The same of a single record."""
    try:
        return writers.of_one(record)
    except NotNow:
        return UNAVAILABLE


def read_schema(key: str, path: FilePath, make: Callable[[str], object]) -> str:
    """The text of a file that holds a schema. Raises SchemaError, which names the key and the file."""
    try:
        text = path.read_text(encoding="utf-8")
        make(text)
    except OSError as error:
        raise SchemaError(f"{key}: {path} cannot be read: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SchemaError(f"{key}: {path} is no text") from None
    except SchemaError as error:
        raise SchemaError(f"{key}: {path}: {error}") from None
    return text
