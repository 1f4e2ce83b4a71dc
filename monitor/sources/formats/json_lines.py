"""JSON lines: many events a message, one a line."""

from monitor.sources.base import TopicRecords
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.json.documents import read_document
from monitor.sources.formats.json.parts import LyingEvents, PartsDecoder
from monitor.sources.formats.values import Rejected

MAX_BYTES = 16 << 20  # of a message; a line has a MiB
MOST_LINES = 1_000_000  # of a message: of lines of a byte or two each would take a hundred times that
BOM = b"\xef\xbb\xbf"


def decoder(topic: TopicFields) -> Decoder:
    """The decoder of one topic."""
    return PartsDecoder(topic, lines_of, LyingEvents(None, MAX_BYTES, MOST_LINES))


def lines_of(raw: bytes) -> list[bytes]:
    r"""The lines of a message that hold anything. Raises Rejected.

    >>> lines_of(b'{"ts": 1}\r\n\n{"ts": 2}')
    [b'{"ts": 1}\r', b'{"ts": 2}']
    """
    if len(raw) > MAX_BYTES or raw.count(b"\n") > MOST_LINES:
        raise Rejected("too_large")
    lines = raw.removeprefix(BOM).split(b"\n")
    if b"" in lines or b"\r" in lines:
        lines = [line for line in lines if line.strip()]
    if not lines:
        raise Rejected("empty")
    return lines


def recognises(records: TopicRecords) -> bool:
    """Whether all records are lines of objects, and one has several."""
    try:
        held = [lines_of(value) for value in records.values if value and value.strip()]
    except Rejected:
        return False
    return any(len(lines) > 1 for lines in held) and all(_is_object(line) for lines in held for line in lines)


def _is_object(line: bytes) -> bool:
    try:
        return bool(read_document(line))
    except Rejected:
        return False
