"""How a record became rows, step by step and in words: bytes, what stands beside them, what the format makes of them, the mapping."""

from collections.abc import Iterator, Mapping
from itertools import islice

from detectors.figures import printable
from monitor.sources.base import TopicRecords
from monitor.sources.decode.mapping import inspect_record
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import TOMBSTONE, Wordy
from monitor.sources.formats.fields import FieldMap, Path
from monitor.sources.formats.json.documents import framed
from monitor.sources.formats.values import Rejected
from monitor.targets.payloads import rfc3339

SHOWN = 60  # characters of a value
MOST_PATHS, MOST_ROWS, MOST_HEADERS = 40, 5, 40
HEX = 24  # bytes of what is no text


def record_steps(decoder: TopicDecoder, form: str, record: TopicRecords) -> Iterator[str]:
    """From the bytes of a record to the rows that its format gives."""
    value = record.values[0]
    yield f"value: {TOMBSTONE if value is None else f'{len(value):,} bytes, {shown(value)}'}"
    if value is not None and (schema := framed(value)) is not None:
        yield f"framed by a schema registry: schema {schema}, then {len(value) - 5:,} bytes"
    yield from beside_steps(record)
    yield f"format: {form}"
    if isinstance(decoder.bare, Wordy):
        yield from decoder.bare.steps(record)
    yield from format_steps(decoder, record)


def beside_steps(record: TopicRecords) -> Iterator[str]:
    """What stands beside the value."""
    if record.keys:
        yield f"key: {'none' if record.keys[0] is None else shown(record.keys[0])}"
    for name, value in islice(record.headers[0] if record.headers else (), MOST_HEADERS):
        yield f"header {printable(name)}: {'none' if value is None else shown(value)}"
    if record.headers and len(record.headers[0]) > MOST_HEADERS:
        yield f"and {len(record.headers[0]) - MOST_HEADERS} more headers"
    if record.stamps and record.stamps[0]:
        yield f"timestamp of the record: {rfc3339(record.stamps[0])}"


def format_steps(decoder: TopicDecoder, record: TopicRecords) -> Iterator[str]:
    """The rows as the format gives them, before anything is mapped."""
    try:
        rows = list(inspect_record(decoder.bare, record)) if record.values[0] is not None else []
    except Rejected as reason:
        yield f"read: no row: {reason}"
        return
    for number, row in enumerate(rows[:MOST_ROWS], start=1):
        paths = list(islice(row, MOST_PATHS + 1))
        said = [f"{'.'.join(path) or '(message)'} = {short(row.get(path))}" for path in paths[:MOST_PATHS]]
        more = " …" if len(paths) > MOST_PATHS else ""
        yield f"read row {number}: {', '.join(said) or 'nothing'}{more}"
    if len(rows) > MOST_ROWS:
        yield f"and {len(rows) - MOST_ROWS:,} more rows"


def mapping_steps(fields: FieldMap, row: Mapping[Path, object]) -> Iterator[str]:
    """Where the mapping found what, in one row."""
    constants = {"model": fields.model_is, "version": fields.version_is, "sampling": fields.sampling_is}
    places = {"id": fields.id, **fields.envelope, "group": fields.group, "prediction": fields.prediction}
    places["sampling"] = fields.sampling
    for name in ("id", "timestamp", "model", "version", "group", "prediction", "sampling"):
        if constants.get(name) is not None:
            yield f"mapped {name} = {constants[name]} (constant)"
        elif path := places.get(name, ()):
            yield f"mapped {name} = {short(row.get(path))} (at {'.'.join(path)})"


def shown(raw: bytes) -> str:
    """The beginning of some bytes: as text where they are one, else in hexadecimal digits."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable():
        return text[:SHOWN] + ("…" if len(text) > SHOWN else "")
    return f"0x{raw[:HEX].hex()}{'…' if len(raw) > HEX else ''}"


def short(value: object) -> str:
    """A value in a few characters."""
    said = printable(
        repr(value) if not isinstance(value, list | dict) or len(value) < SHOWN else f"{repr(value)[:SHOWN]}"
    )
    return said[:SHOWN] + ("…" if len(said) > SHOWN else "")
