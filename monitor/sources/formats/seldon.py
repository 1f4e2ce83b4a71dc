"""What Seldon Core sends to Kafka: version 1 by its request logger, version 2 as its data plane; no time but the broker's."""

import re
from collections.abc import Iterable, Mapping

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.base import REQUEST, RESPONSE
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.json.documents import framed
from monitor.sources.formats.tensors.bodies import Protocol
from monitor.sources.formats.tensors.decoding import (
    InferenceDecoder,
    InferenceOptions,
    headers_of,
    reads_all,
    stamp_of,
)
from monitor.sources.formats.tensors.rows import Call
from monitor.sources.formats.values import Rejected

FIRST = "io.seldon.serving.inference."
HALF_OF = {f"{FIRST}request": REQUEST, f"{FIRST}response": RESPONSE}
SELDONS = "", "seldon"  # how a body of its own protocol is told
TOLD = "modelid", "inferenceservicename", "namespace", "endpoint", "protocol"
TOPIC = re.compile(r"(?:(.*)\.)?(model|pipeline)\.([^.]+)\.(inputs|outputs)")
ERRORS, FAILED_HEADER = ".errors.errors", "seldon-pipeline-errors"
SIDES = {"inputs": REQUEST, "outputs": RESPONSE}
REQUEST_ID = "x-request-id"
FRAME = 5  # bytes: a zero, and the id of a schema
MOST_INDEXES = 32  # of nested messages


Options = InferenceOptions


def decoder(topic: TopicFields) -> InferenceDecoder:
    """The decoder of one topic."""

    def calls(records: TopicRecords, place: int) -> Iterable[Call]:
        return [_call(records, place, topic.name or records.topic)]

    return InferenceDecoder(topic, RecordParts.KEYS | RecordParts.STAMPS | RecordParts.HEADERS, calls)


def _call(records: TopicRecords, place: int, topic: str) -> Call:
    """The call of a record, of either version. Raises Rejected."""
    headers = headers_of(records, place)
    value, time = records.values[place] or b"", stamp_of(records, place)
    kind = headers.get("type", "")
    if kind.startswith(FIRST):
        return _first(value, headers, kind, time)
    if FAILED_HEADER in headers or topic.endswith(ERRORS):
        raise Rejected("pipeline_error")
    named = TOPIC.fullmatch(topic)
    half = None if named is None else SIDES[named[4]]
    return Call(
        unframed(value),
        half,
        id=headers.get(REQUEST_ID) or _of_key(records, place),
        time=time,
        model=None if named is None else named[3],
        more={} if named is None else {("seldon", "resource"): named[2], ("seldon", "namespace"): _namespace(named[1])},
    )


def _first(value: bytes, headers: Mapping[str, str], kind: str, time: int) -> Call:
    half = HALF_OF.get(kind)
    if half is None:
        raise Rejected("other_event_type")
    protocol = Protocol.SELDON if headers.get("protocol", "").lower() in SELDONS else Protocol.ANY
    return Call(
        value,
        half,
        protocol,
        id=headers.get("requestid") or None,
        time=time,
        model=headers.get("inferenceservicename") or headers.get("modelid") or None,
        more={("seldon", name): headers[name] for name in TOLD if name in headers},
    )


def _namespace(before: str | None) -> str:
    """The last word before what a topic is of: `<prefix>.<namespace>.model.…`."""
    return (before or "").rpartition(".")[2]


def _of_key(records: TopicRecords, place: int) -> str | None:
    """The request's id in `<partition>.<resource>.<id>`."""
    key = records.keys[place] if records.keys else None
    parts = (key or b"").decode(errors="replace").split(".", 2)
    return parts[2] if len(parts) > 2 else None  # noqa: PLR2004 - as above


def unframed(value: bytes) -> bytes:
    """A body without what a schema registry's client put before it; records of one topic differ in whether it did.

    A zero byte, four of a schema's id, then the message's place in the schema: zigzag numbers, as many as the first says, one
    zero for the first message (Confluent's wire format). No protobuf message begins with a zero byte, and no JSON.
    """
    if framed(value) is None:
        return value
    count, at = _index(value, FRAME)
    for _ in range(min(count, MOST_INDEXES)):
        _, at = _index(value, at)
    return value[FRAME:] if value[FRAME : FRAME + 1] in {b"{", b" "} else value[at:]  # JSON has no such place


def _index(value: bytes, at: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, 35, 7):
        if at >= len(value):
            return 0, at
        byte = value[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:  # noqa: PLR2004 - the last of a number
            break
    return (found >> 1) ^ -(found & 1), at


def comes_apart(options: object) -> bool:
    """Whether rows may be requests or responses: always."""
    del options
    return True


def recognises(records: TopicRecords) -> bool:
    """Whether all records are of its request logger, or of a topic of its data plane."""
    if not records.values:
        return False
    marked = [_is_marked(records, place) for place in range(len(records.values))]
    return all(marked) and reads_all(_of_any(), records)


def _of_any() -> InferenceDecoder:
    return InferenceDecoder(None, RecordParts.NOTHING, lambda records, place: [_call(records, place, records.topic)])


def _is_marked(records: TopicRecords, place: int) -> bool:
    headers = headers_of(records, place)
    first = headers.get("type", "").startswith(FIRST) and "ce_id" not in headers
    return first or TOPIC.fullmatch(records.topic) is not None
