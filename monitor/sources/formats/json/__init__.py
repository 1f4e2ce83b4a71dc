"""JSON: one object a message, one row an object."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from monitor.sources.formats.base import Reader, Rows
from monitor.sources.formats.fields import Path, TopicFields
from monitor.sources.formats.json.documents import FRAME, Document, dig, framed, read_document, read_documents
from monitor.sources.formats.json.scanning import topic_scanner
from monitor.sources.formats.json.typed import typed_reader

LONGEST = 1 << 16  # bytes of a message worth reading twice


class JsonDecoder:
    """JSON messages: by the compiled scan, else by typed structs; leniently what these leave."""

    def __init__(self, topic: TopicFields) -> None:
        quicker = topic_scanner(topic, look) or typed_reader(
            topic, look
        )  # what the scan leaves no struct can hold, as a rule
        self.readers: Sequence[Reader] = [] if quicker is None else [quicker]

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        """Value by value, so that a bad field costs that field only."""
        return read_documents(values)

    def inspect(self, raw: bytes) -> Iterator[Mapping[Path, object]]:
        """The object by path."""
        yield Document(read_document(raw))


decoder = JsonDecoder


def hint(raw: bytes) -> str | None:
    """What helps with a message that is no plain JSON; None where nothing is known."""
    schema = framed(raw)
    if schema is None:
        return None
    inside, formats = (
        ("JSON Schema", "json-schema") if raw[FRAME:].lstrip()[:1] == b"{" else ("Avro or Protobuf", "avro or protobuf")
    )
    return f"framed by a schema registry (schema {schema}, {inside} by its look): the topic's format is {formats}, not json"


def look(raw: bytes | None, paths: Iterable[Path]) -> Sequence[object]:
    """What a message holds at some paths, read again for words: nothing of one that is too long for that."""
    if raw is None or len(raw) > LONGEST:
        return [None for _ in paths]
    document = read_document(raw)  # which was read a moment ago
    return [dig(document, path) for path in paths]
