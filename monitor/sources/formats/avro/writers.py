"""By which schema each message of a batch was written, and the readers of those that are known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Protocol

from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.formats.avro.datum import DatumReader
from monitor.sources.formats.avro.schema import SchemaError, Type, fingerprint, parse, resolved
from monitor.sources.formats.schema_registry import Key, RegisteredSchema, SchemaRegistry, framed
from monitor.sources.formats.schema_registry.framing import PREFIX
from monitor.sources.formats.values import Rejected

SINGLE_OBJECT = b"\xc3\x01"
NAMED = 10  # bytes: the two, and a fingerprint
NO_SCHEMA_ID, UNKNOWN_SCHEMA, UNAVAILABLE = "no_schema_id", "unknown_schema", "schema_unavailable"
INVALID_SCHEMA = "invalid_schema"
KEPT = 1_000  # writers


@dataclass(eq=False)
class Writer:
    """What one schema wrote: its type as a reader has it, and where data begin in a message."""

    type: Type
    begin: int = 0

    @cached_property
    def datum(self) -> DatumReader:
        """What reads it value by value."""
        return DatumReader(self.type)


Found = Writer | str
"""Who wrote a message, or the reason why nobody is known."""


class Writers(Protocol):
    """Who wrote the messages of a topic."""

    def of(self, records: TopicRecords) -> Sequence[Found]:
        """Of each message; a message without a value has none, and may be given any. Raises NotNow."""
        ...


class FileWriters:
    """A single schema, of a file. `named`: each message begins with its fingerprint."""

    def __init__(self, text: str, reader: Type | None, *, named: bool) -> None:
        self._writer = Writer(resolved(parse(text), reader), NAMED if named else 0)
        self._head = SINGLE_OBJECT + fingerprint(text) if named else None

    def of(self, records: TopicRecords) -> Sequence[Found]:
        """The one writer, but of messages that say something else."""
        if self._head is None:
            return [self._writer] * len(records.values)
        return [self._named(raw or b"") for raw in records.values]

    def _named(self, raw: bytes) -> Found:
        if raw.startswith(self._head or b""):
            return self._writer
        return UNKNOWN_SCHEMA if raw.startswith(SINGLE_OBJECT) and len(raw) >= NAMED else NO_SCHEMA_ID


class RegistryWriters:
    """Schemas of a registry, each read once."""

    def __init__(self, registry: SchemaRegistry, reader: Type | None) -> None:
        self._registry = registry
        self._reader = reader
        self._made: dict[tuple[str, bool], Found] = {}
        self._of_batch: tuple[object, Sequence[Found]] = (None, ())

    def of(self, records: TopicRecords) -> Sequence[Found]:
        """Who wrote each message. Those of one batch are asked for once. Raises NotNow."""
        if self._of_batch[0] is records.values:
            return self._of_batch[1]
        keys = keys_of(records)
        schemas = self._registry.schemas({key for key in keys if not isinstance(key, str)})
        known: dict[Key | str, Found] = {key: self._made_of(key, found) for key, found in schemas.items()}
        found = [known.get(key, key if isinstance(key, str) else UNKNOWN_SCHEMA) for key in keys]
        self._of_batch = records.values, found
        return found

    def _made_of(self, key: Key, found: RegisteredSchema | str) -> Found:
        if isinstance(found, str):
            return found
        made = self._made.get((found.text, isinstance(key, int)))
        if made is None:
            if len(self._made) >= KEPT:
                self._made.clear()
            made = self._made[found.text, isinstance(key, int)] = self._writer(key, found)
        return made

    def _writer(self, key: Key, found: RegisteredSchema) -> Found:
        try:
            return Writer(
                resolved(parse(found.text, found.references), self._reader), PREFIX if isinstance(key, int) else 0
            )
        except SchemaError:
            return INVALID_SCHEMA


class NoWriters:
    """Nobody is known: only containers say themselves what they hold."""

    def of(self, records: TopicRecords) -> Sequence[Found]:
        """Nobody."""
        return [NO_SCHEMA_ID] * len(records.values)


def keys_of(records: TopicRecords) -> Sequence[Key | str]:
    """The key of each message's schema, or why it has none."""
    headers = records.headers or [()] * len(records.values)
    found: list[Key | str] = []
    for raw, beside in zip(records.values, headers, strict=True):
        try:
            found.append(NO_SCHEMA_ID if raw is None else framed(raw, beside).key)
        except Rejected as reason:
            found.append(str(reason))
    return found


def patiently(writers: Writers, records: TopicRecords) -> Sequence[Found]:
    """The same for those who cannot wait: what is not to be had now is a reason."""
    try:
        return writers.of(records)
    except NotNow:
        return [UNAVAILABLE] * len(records.values)


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
