"""What MLServer's Kafka server reads and writes: V2 bodies, the id in the key, the model in headers; no time but the broker's."""

from collections.abc import Iterable

import numpy as np

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.formats.fields import TopicFields
from monitor.sources.formats.tensors.bodies import Protocol
from monitor.sources.formats.tensors.decoding import (
    InferenceDecoder,
    InferenceOptions,
    headers_of,
    reads_all,
    stamp_of,
)
from monitor.sources.formats.tensors.rows import AlikeCalls, Call
from monitor.sources.formats.times import NOT_A_TIME

MODEL, VERSION = "mlserver-model", "mlserver-version"
OTHERS = {"x-request-id", "requestid", "ce_type", "ce-type"}  # headers of Seldon's and KServe's records


Options = InferenceOptions


def decoder(topic: TopicFields) -> InferenceDecoder:
    """The decoder of one topic."""
    return InferenceDecoder(topic, RecordParts.KEYS | RecordParts.STAMPS | RecordParts.HEADERS, calls, alike)


def calls(records: TopicRecords, place: int) -> Iterable[Call]:
    """The call in a record: the key overrides the body's id, as it does in the server."""
    headers = headers_of(records, place)
    key = records.keys[place] if records.keys else None
    own = None if not key else key.decode(errors="replace")
    beside = own, stamp_of(records, place), headers.get(MODEL), headers.get(VERSION)
    return [Call(records.values[place] or b"", None, Protocol.ANY, *beside)]  # names take as long as all the rest


def alike(records: TopicRecords) -> AlikeCalls | None:
    """The calls of records whose headers are the same, as those of one server are."""
    bodies = [value for value in records.values if value]
    if len(bodies) < len(records.values) or not bodies or not records.stamps:
        return None
    if records.headers and records.headers.count(records.headers[0]) < len(bodies):
        return None
    headers, keys = headers_of(records, 0), records.keys if any(records.keys) else [None] * len(bodies)
    owns = [key.decode(errors="replace") if key else None for key in keys]
    times = np.array(records.stamps, dtype=np.int64)
    times[times <= 0] = NOT_A_TIME
    return AlikeCalls(bodies, owns, times, Call(b"", model=headers.get(MODEL), version=headers.get(VERSION)))


def comes_apart(options: object) -> bool:
    """Whether rows may be requests or responses: always."""
    del options
    return True


def recognises(records: TopicRecords) -> bool:
    """Whether all records are bodies of tensors, and none is of a logger or gateway that says more of them in headers."""
    if not records.values or not all(b'"datatype"' in (value or b"") for value in records.values):
        return False
    return not any(OTHERS & headers_of(records, place).keys() for place in range(len(records.values))) and reads_all(
        InferenceDecoder(None, RecordParts.NOTHING, calls), records
    )
