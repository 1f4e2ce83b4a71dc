"""What KServe's inference logger sends: requests and answers as CloudEvents, and the rows that it stores as JSON."""

import base64
import binascii
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.base import REQUEST, RESPONSE
from monitor.sources.formats.envelopes import envelopes
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.json.documents import UNREADABLE, refusal
from monitor.sources.formats.tensors.decoding import InferenceDecoder, InferenceOptions, time_of
from monitor.sources.formats.tensors.rows import Call
from monitor.sources.formats.values import Rejected

REQUEST_TYPE, RESPONSE_TYPE = "org.kubeflow.serving.inference.request", "org.kubeflow.serving.inference.response"
HALF_OF = {REQUEST_TYPE: REQUEST, RESPONSE_TYPE: RESPONSE}
TOLD = "component", "endpoint", "namespace", "inferenceservicename", "source", "recordedtime"
STORED = {"inferenceService": "inferenceservicename", "sourceUri": "source"}  # how stored rows call the same


Options = InferenceOptions


def decoder(topic: TopicFields) -> InferenceDecoder:
    """The decoder of one topic."""
    return InferenceDecoder(topic, RecordParts.HEADERS, calls)


def calls(records: TopicRecords, place: int) -> Iterable[Call | Rejected]:
    """The events of a record. Raises Rejected."""
    value = records.values[place] or b""
    headers = records.headers[place] if records.headers else ()
    if not headers and b'"reqType"' in value and (stored := _stored(value)) is not None:
        return [stored]
    return [
        found if isinstance(found, Rejected) else _call(found.attributes, found.data)
        for found in envelopes(value, headers)
    ]


def _call(attributes: Mapping[str, str], body: bytes) -> Call | Rejected:
    half = HALF_OF.get(attributes.get("type", ""))
    if half is None:
        return Rejected("other_event_type")
    if not attributes.get("id"):
        return Rejected("id_missing")
    try:
        time = time_of(attributes.get("time"))
    except Rejected as reason:
        return reason
    return Call(
        body,
        half,
        id=attributes["id"],
        time=time,
        model=attributes.get("inferenceservicename"),
        more={("kserve", name): attributes[name] for name in TOLD if name in attributes},
    )


def _stored(value: bytes) -> Call | Rejected | None:
    """A row as the logger stores it as JSON: the body in base64, with what the event said beside it; None where it is none."""
    if refusal(value) is not None:
        return None
    try:
        row: Any = msgspec.json.decode(value)
    except UNREADABLE:
        return None
    if not isinstance(row, dict) or not isinstance(row.get("bytes"), str):
        return None
    try:
        body = base64.b64decode(row["bytes"], validate=True)
    except (binascii.Error, ValueError):
        return Rejected("malformed_base64")
    texts: dict[str, str] = {
        STORED.get(str(name), str(name)): text for name, text in row.items() if isinstance(text, str)
    }
    return _call(texts | {"type": texts.get("reqType", ""), "time": texts.get("occurrenceTime", "")}, body)


def comes_apart(options: object) -> bool:
    """Whether rows may be requests or responses: always."""
    del options
    return True


def recognises(records: TopicRecords) -> bool:
    """Whether all records are events of the logger."""
    found = [each for place in range(len(records.values)) for each in _looked(records, place)]
    return bool(found) and all(isinstance(each, Call) for each in found)


def _looked(records: TopicRecords, place: int) -> Iterable[Call | Rejected]:
    try:
        return calls(records, place)
    except Rejected as reason:
        return [reason]
