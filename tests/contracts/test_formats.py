"""Laws of every format: one data set is the same columns however it is written, and what is broken is counted and touches nothing else.

A format joins by its writer in FORMATS: events to messages, and messages that are broken with the reason of each.
"""

import io
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from google.protobuf.json_format import MessageToJson
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from detectors import Reference
from monitor.commands.records import files_of
from monitor.facts import EventsRejected, FieldsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import DecodeCounts
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.registry import options_of
from monitor.sources.formats.values import LATEST_NANOS, UNUSABLE, unusable
from monitor.sources.tables.base import Dialect
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.parts.protobuf import classes_of, declare, file_of, set_of

ROWS = 600
FIRST = 7  # offset
BATCH = 100  # rows of a message, where it holds many
PLANS = "free", "pro", "team", "größer", ""
KEYS = SeriesKey("churn", "3"), SeriesKey("fraud", "1")
REFERENCE = Reference.fit(
    {
        "age": np.arange(100.0),
        "amount": np.linspace(-1e9, 1e9, 100),
        "plan": ["free", "pro", "team", "größer"] * 25,
        "active": [True, False] * 50,
        "score": np.linspace(0, 1, 100),
    },
    prediction="score",
)
Event = Mapping[str, Any]


Beside = Mapping[str, str]
"""Headers of a message."""


def nothing_beside(event: Event) -> Beside:
    del event
    return {}


def no_options(home: Path) -> Mapping[str, Any]:
    del home
    return {}


PLAIN_FIELDS = FieldMap()


@dataclass(frozen=True)
class WrittenFormat:
    """How a format writes events, and what is broken in it. `options` are those of its topic, given a directory for schemas."""

    write: Callable[[Sequence[Event]], list[bytes]]
    broken: Callable[[bytes], Sequence[tuple[bytes, str]]]  # of a good message: broken ones, with their reasons
    options: Callable[[Path], Mapping[str, Any]] = no_options
    beside: Callable[[Event], Beside] = nothing_beside  # the event of a message, where it holds one
    fields: FieldMap = PLAIN_FIELDS
    says_more: bool = False  # than an event: features that nobody asks for


def drawn(rng: np.random.Generator, rows: int = ROWS) -> list[Event]:
    """Events of two models: numbers of all sizes, categories, truth, what is missing, what the reference does not know."""

    def some(values: Sequence[Any]) -> list[Any]:
        return [None if gone else value for value, gone in zip(values, rng.random(rows) < 0.1, strict=True)]

    ages = some((rng.normal(40, 15, rows) * 10.0 ** rng.integers(-300, 300, rows)).tolist())
    amounts = some(rng.integers(-(2**53), 2**53, rows).tolist())
    plans, active = some(rng.choice(PLANS, rows).tolist()), some((rng.random(rows) < 0.5).tolist())
    times = (NOON // 1_000_000 - rng.permutation(rows) * 7).tolist()
    whose = rng.integers(len(KEYS), size=rows).tolist()
    return [
        {
            "id": f"r-{at}-{'x' * (at % 90)}",
            "ts": times[at],
            "model": KEYS[whose[at]].model,
            "version": KEYS[whose[at]].version,
            "features": {"age": ages[at], "amount": amounts[at], "plan": plans[at], "active": active[at]},
            "prediction": float(rng.random()),
        }
        for at in range(rows)
    ]


# --- the formats ------------------------------------------------------------------------------------------------------


def in_batches(events: Sequence[Event], written: Callable[[Sequence[Event]], bytes]) -> list[bytes]:
    return [written(events[at : at + BATCH]) for at in range(0, len(events), BATCH)]


def as_json(event: Event) -> bytes:
    return json.dumps(event).encode()


def as_lines(events: Sequence[Event]) -> list[bytes]:
    return in_batches(events, lambda some: b"\n".join(map(as_json, some)) + b"\n")


def as_records(events: Sequence[Event]) -> list[bytes]:
    return in_batches(events, lambda some: json.dumps(list(some)).encode())


def as_columns(events: Sequence[Event]) -> list[bytes]:
    """Names beside rows of values, what is mapped beside them as lists."""

    def written(some: Sequence[Event]) -> bytes:
        beside = {name: [event[name] for event in some] for name in ("id", "ts", "model", "version", "prediction")}
        columns = list(some[0]["features"])
        return json.dumps(
            beside | {"columns": columns, "data": [list(each["features"].values()) for each in some]}
        ).encode()

    return in_batches(events, written)


SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("ts", pa.timestamp("ms", "UTC")),
        ("model", pa.dictionary(pa.int8(), pa.string())),
        ("version", pa.string_view()),
        (
            "features",
            pa.struct({"age": pa.float64(), "amount": pa.int64(), "plan": pa.large_string(), "active": pa.bool_()}),
        ),
        ("prediction", pa.float64()),
    ]
)


def as_arrow(events: Sequence[Event], *, file: bool = False, compression: str | None = None) -> list[bytes]:
    def written(some: Sequence[Event]) -> bytes:
        sink = pa.BufferOutputStream()
        make = pa.ipc.new_file if file else pa.ipc.new_stream
        with make(sink, SCHEMA, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
            writer.write_batch(pa.RecordBatch.from_pylist(list(some), SCHEMA))
        made: bytes = sink.getvalue().to_pybytes()
        return made

    return in_batches(events, written)


def broken_json(good: bytes) -> Sequence[tuple[bytes, str]]:
    return [
        (good[:-2], "malformed_json"),
        (b"", "empty"),
        (b"7", "not_object"),
        (b"\0\0\0\0\7" + good, "schema_registry_framed"),
        (b"\xff\xfe" + good, "invalid_utf8"),
        (b"[" * 40, "too_deep"),
    ]


def broken_lines(good: bytes) -> Sequence[tuple[bytes, str]]:
    return [*broken_json(good.splitlines()[0]), (b"\n \n", "empty")]


def broken_batch(good: bytes) -> Sequence[tuple[bytes, str]]:
    deep = b'{"ts": 1, "features": ' + b"[" * 40 + b"]" * 40 + b"}"
    others = [each for each in broken_json(good) if each[1] != "too_deep"]
    return [*others, (b"[%s]" % deep, "too_deep"), (b"[]", "no_rows"), (b'{"instances": [[1]]}', "unnamed_columns")]


def broken_arrow(good: bytes) -> Sequence[tuple[bytes, str]]:
    return [
        (good[: len(good) // 2], "truncated"),
        (b"", "empty"),
        (b'{"ts": 1}', "malformed_arrow"),
        (b"ARROW2" + good, "malformed_arrow"),
        (b"\xff\xff\xff\xff\xf0\xff\xff\xff" + good, "malformed_arrow"),
    ]


# --- by a schema ------------------------------------------------------------------------------------------------------

FRAME = b"\0\0\0\0\7"
OPTIONAL = {"age": "double", "amount": "long", "plan": "string", "active": "boolean"}


def avro_schema(kinds: Mapping[str, str] = OPTIONAL) -> dict[str, Any]:
    features = [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()]
    fields: list[dict[str, Any]] = [
        {"name": "id", "type": "string"},
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "model", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "features", "type": {"type": "record", "name": "Features", "fields": features}},
        {"name": "prediction", "type": "double"},
    ]
    return {"type": "record", "name": "Event", "fields": fields}


def as_avro(events: Sequence[Event]) -> list[bytes]:
    fastavro = pytest.importorskip("fastavro")
    schema = fastavro.parse_schema(avro_schema())

    def written(event: Event) -> bytes:
        stream = io.BytesIO()
        fastavro.schemaless_writer(stream, schema, event)
        return stream.getvalue()

    return list(map(written, events))


def avro_file(home: Path) -> Mapping[str, Any]:
    path = home / "event.avsc"
    path.write_text(json.dumps(avro_schema()))
    return {"schema_file": path}


def broken_avro(good: bytes) -> Sequence[tuple[bytes, str]]:
    return [
        (good[:-2], "truncated"),
        (b"", "empty"),
        (good + b"\0", "trailing_bytes"),
        (good[:1] + b"\xff" + good[2:], "invalid_utf8"),
        (b"\1" + good[1:], "malformed_avro"),
        (b"Obj\1", "truncated"),
    ]


@cache
def protobuf_event() -> tuple[Any, bytes]:
    """The official class of an event, and the set of its descriptors; what may be missing says so."""
    kinds = {"age": "double", "amount": "int64", "plan": "string", "active": "bool"}
    file = file_of("event.proto", "formats", imports=())
    declare(file.message_type.add(name="Features"), {name: f"optional {kind}" for name, kind in kinds.items()})
    fields = {"id": "string", "ts": "int64", "model": "string", "version": "string"}
    declare(file.message_type.add(name="Event"), fields | {"features": ".formats.Features", "prediction": "double"})
    return classes_of(file)("formats.Event"), set_of(file)


def as_protobuf(events: Sequence[Event]) -> list[bytes]:
    made, _ = protobuf_event()
    return [made(**event).SerializeToString() for event in events]


def protobuf_file(home: Path) -> Mapping[str, Any]:
    path = home / "event.binpb"
    path.write_bytes(protobuf_event()[1])
    return {"message": "formats.Event", "descriptor_set_file": path}


def broken_protobuf(good: bytes) -> Sequence[tuple[bytes, str]]:
    return [
        (good[:-2], "malformed_protobuf"),
        (b"", "empty"),
        (b"\x92\x4b\x01a", "other_message_type"),  # a text under a number that an event has not
        (b"\x0a\x01\xff" + good, "invalid_utf8"),
        (FRAME + b"\0" + good, "other_message_type"),
    ]


def as_framed(events: Sequence[Event]) -> list[bytes]:
    return [FRAME + as_json(event) for event in events]


def broken_framed(good: bytes) -> Sequence[tuple[bytes, str]]:
    framed = [(FRAME + raw if raw else raw, reason) for raw, reason in broken_json(good.removeprefix(FRAME))]
    return [*framed, (FRAME, "empty")]


# --- in envelopes -----------------------------------------------------------------------------------------------------


def in_event(event: Event) -> Beside:
    """The attributes of a CloudEvent; its id and time are the message's own, which go first."""
    return {"ce_specversion": "1.0", "ce_id": event["id"], "ce_type": "scored", "ce_source": "/scorer"}


def around(name: str) -> WrittenFormat:
    """A format in CloudEvents, whose attributes stand in headers."""
    inside = FORMATS[name]
    return WrittenFormat(
        inside.write, inside.broken, lambda home: {"of": name, "options": dict(inside.options(home))}, in_event
    )


def as_changes(events: Sequence[Event]) -> list[bytes]:
    """Rows of a table as Debezium tells of them."""
    beside = {"op": "c", "before": None, "source": {"connector": "postgresql", "db": "d"}}
    return [json.dumps({"schema": None, "payload": beside | {"after": dict(event)}}).encode() for event in events]


def broken_change(good: bytes) -> Sequence[tuple[bytes, str]]:
    change = json.loads(good)["payload"]
    others = [each for each in broken_json(good) if each[1] != "schema_registry_framed"]
    return [
        *others,
        (json.dumps(change | {"op": "x"}).encode(), "op_unknown"),
        (json.dumps(change | {"after": None}).encode(), "change_without_row"),
    ]


SPANS = FieldMap.parse({"id": "features.row", "prediction": "features.score"}, 1_000_000)


def as_request(events: Sequence[Event]) -> Any:
    """Events as spans of one request, what is in them as attributes."""
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    for at, event in enumerate(events):
        started = event["ts"] * 1_000_000
        span = scope.spans.add(trace_id=b"t" * 16, span_id=(at + 1).to_bytes(8, "big"), start_time_unix_nano=started)
        said = {"gen_ai.request.model": event["model"], "version": event["version"], "row": event["id"]}
        for name, value in {**said, "score": event["prediction"], **event["features"]}.items():
            if value is not None:
                kind = {bool: "bool", int: "int", float: "double", str: "string"}[type(value)]
                span.attributes.add(key=name, value=AnyValue(**{f"{kind}_value": value}))
    return request


def as_spans(events: Sequence[Event]) -> list[bytes]:
    return in_batches(events, lambda some: bytes(as_request(some).SerializeToString()))


def as_json_spans(events: Sequence[Event]) -> list[bytes]:
    return in_batches(events, lambda some: MessageToJson(as_request(some)).encode())


def broken_spans(good: bytes) -> Sequence[tuple[bytes, str]]:
    nameless = {"attributes": [{"key": "gen_ai.system", "value": {"stringValue": "x"}}]}
    return [
        (b"", "empty"),
        (b"{", "malformed_json"),
        (b"[]", "malformed_otlp"),
        (b"\0\0\0\0\7" + good, "schema_registry_framed"),
        (b"{}", "not_otlp_traces"),
        (b'{"resourceLogs": []}', "signal_logs"),
        (json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [nameless]}]}]}).encode(), "span_invalid"),
    ]


def in_spans(write: Callable[[Sequence[Event]], list[bytes]]) -> WrittenFormat:
    return WrittenFormat(write, broken_spans, lambda _: {"version": ["version"]}, fields=SPANS, says_more=True)


FORMATS = {
    "json": WrittenFormat(lambda events: list(map(as_json, events)), broken_json),
    "json-lines": WrittenFormat(as_lines, broken_lines),
    "json-batch": WrittenFormat(as_records, broken_batch),
    "json-batch, columns": WrittenFormat(as_columns, broken_batch),
    "arrow": WrittenFormat(as_arrow, broken_arrow),
    "arrow, file": WrittenFormat(lambda events: as_arrow(events, file=True), broken_arrow),
    "arrow, zstd": WrittenFormat(lambda events: as_arrow(events, compression="zstd"), broken_arrow),
    "arrow, lz4": WrittenFormat(lambda events: as_arrow(events, compression="lz4"), broken_arrow),
    "json-schema": WrittenFormat(as_framed, broken_framed),
    "avro": WrittenFormat(as_avro, broken_avro, avro_file),
    "protobuf": WrittenFormat(as_protobuf, broken_protobuf, protobuf_file),
    "debezium": WrittenFormat(as_changes, broken_change),
    "otel": in_spans(as_json_spans),
    "otel, Protobuf": in_spans(as_spans),
}
FORMATS |= {f"cloudevents, {name}": around(name) for name in ("json", "avro", "protobuf", "json-schema")}


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(random.getrandbits(64))


# --- the laws ---------------------------------------------------------------------------------------------------------


Read = Callable[..., Decoded]


@pytest.fixture(scope="module")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """All messages in one poll; `ahead`: as threads that read ahead prepare it."""
    home = tmp_path_factory.mktemp("schemas")

    def found(name: str, messages: Sequence[bytes], events: Sequence[Event] = (), *, ahead: bool = False) -> Decoded:
        decoder, told = decoder_of(name, home), FORMATS[name].beside
        decoder.keeps_rejected = True
        headers = [[(key, value.encode()) for key, value in told(each).items()] for each in events]
        held = list(messages)
        records = TopicRecords("t", [0] * len(held), held, headers=headers, numbers=range(FIRST, FIRST + len(held)))
        if ahead:
            prepared = decoder.prepare(held, NOON)
            assert prepared is None or prepared.nbytes > 0
            records = replace(records, prepared=prepared)
        return decoder.decode(records, NOON)

    return found


def decoder_of(name: str, home: Path, max_future: int = 600 * SECOND) -> TopicDecoder:
    fields, form = FORMATS[name].fields, name.partition(",")[0]
    series = [SeriesFields(key, REFERENCE.layout, fields) for key in KEYS]
    section = options_of(form)
    options = None if section is None else section.model_validate(FORMATS[name].options(home))
    return TopicDecoder("t", series, fields, max_future, form, options=options)


def columns_of(decoded: Decoded) -> dict[SeriesKey, list[Any]]:
    """The rows of each series in order of event time, which no two share: whoever read them."""
    found = {}
    for key in KEYS:
        batches = [batch for batch in decoded.batches if batch.key == key]
        times = np.concatenate([batch.event_times for batch in batches])
        order = np.argsort(times)
        assert all(batch.ids is not None for batch in batches)
        named: list[Any] = [batch.ids for batch in batches]
        parts: tuple[list[Any], ...] = [batch.numeric for batch in batches], [batch.codes for batch in batches], named
        numeric, codes, ids = (np.concatenate(each)[order] for each in parts)
        found[key] = [
            times[order].tobytes(),
            numeric.astype("f8", order="C"),
            codes.astype("i4", order="C"),
            ids.tobytes(),
        ]
    return found


def assert_same(some: Decoded, other: Decoded) -> None:
    for key, ours in columns_of(some).items():
        theirs = columns_of(other)[key]
        assert ours[0] == theirs[0]
        assert np.array_equal(ours[1], theirs[1], equal_nan=True)
        assert np.array_equal(ours[2], theirs[2])
        assert ours[3] == theirs[3]
    assert some.seen == other.seen


def rejected(decoded: Decoded) -> list[tuple[str, int]]:
    """By reason, in the order of the facts."""
    return [(fact.reason, fact.count) for fact in decoded.facts if isinstance(fact, EventsRejected)]


def fields_rejected(decoded: Decoded, *, says_more: bool = False) -> list[tuple[str, int]]:
    facts = [fact for fact in decoded.facts if isinstance(fact, FieldsRejected)]
    return [(fact.reason, fact.count) for fact in facts if not (says_more and fact.reason == "unknown")]


@pytest.mark.parametrize("name", FORMATS)
def test_one_data_set_is_the_same_columns_in_every_format(name: str, rng: np.random.Generator, read: Read) -> None:
    """Nor does it matter whether it was read ahead."""
    events = drawn(rng)
    expected = read("json", FORMATS["json"].write(events))
    messages = FORMATS[name].write(events)

    for ahead in (False, True):
        found = read(name, messages, events, ahead=ahead)

        assert not rejected(found)
        assert_same(found, expected)
        assert fields_rejected(found, says_more=FORMATS[name].says_more) == fields_rejected(expected)


def as_container(events: Sequence[Event], path: Path) -> None:
    fastavro = pytest.importorskip("fastavro")
    with path.open("wb") as file:
        fastavro.writer(file, fastavro.parse_schema(avro_schema()), events, codec="deflate")


def as_parquet(events: Sequence[Event], path: Path) -> None:
    kinds = SCHEMA.set(3, pa.field("version", pa.string()))
    pq.write_table(pa.Table.from_pylist(list(events), kinds), path, row_group_size=500)


def as_ipc(events: Sequence[Event], path: Path) -> None:
    path.write_bytes(as_arrow(events, file=True)[0])


TABLES: dict[str, Callable[[Sequence[Event], Path], None]] = {
    "event.avro": as_container,
    "event.parquet": as_parquet,
    "event.arrow": as_ipc,
}


def from_files(paths: Sequence[Path], decoder: TopicDecoder) -> Decoded:
    """All that files hold, as one poll would bring it."""
    found = Decoded()
    for piece in files_of(paths, decoder, Dialect()).pieces():
        found.batches += piece.arrived.batches
        found.facts += piece.facts
        found.seen.update({each: max(seen, found.seen.get(each, seen)) for each, seen in piece.arrived.seen.items()})
    return found


@pytest.mark.parametrize("name", [name for name, form in FORMATS.items() if form.beside is nothing_beside])
def test_messages_in_files_are_the_columns_that_they_are_on_a_topic(
    name: str, rng: np.random.Generator, read: Read, tmp_path: Path
) -> None:
    """A message a file; and a line each, where none holds a line end."""
    events = drawn(rng, 120)
    messages = FORMATS[name].write(events)[:40]
    expected = read(name, messages)
    for at, message in enumerate(messages):
        (tmp_path / f"{at:03}.bin").write_bytes(message)
    (tmp_path / "all.jsonl").write_bytes(b"\n".join(messages))
    ways = [sorted(tmp_path.glob("*.bin"))]
    ways += (
        [] if any(b"\n" in message or message[:1] not in b"{[" for message in messages) else [[tmp_path / "all.jsonl"]]
    )

    for paths in ways:
        found = from_files(paths, decoder_of(name, tmp_path, LATEST_NANOS))
        assert not rejected(found)
        assert_same(found, expected)


@pytest.mark.parametrize("name", TABLES)
def test_a_table_of_events_is_the_columns_that_messages_are(
    name: str, rng: np.random.Generator, read: Read, tmp_path: Path
) -> None:
    events = drawn(rng, BATCH)
    TABLES[name](events, tmp_path / name)

    found = from_files([tmp_path / name], decoder_of("json", tmp_path, LATEST_NANOS))
    assert not rejected(found)
    assert_same(found, read("json", FORMATS["json"].write(events)))


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_broken_is_counted_by_its_reason_and_the_rest_is_exact(
    name: str, rng: np.random.Generator, read: Read
) -> None:
    form, events = FORMATS[name], drawn(rng)
    messages = form.write(events)
    clean = read(name, messages, events)
    spoilt, beside = list(messages), list(events)
    why = [""] * len(messages)
    for message, reason in form.broken(messages[0]):
        place = int(rng.integers(len(spoilt) + 1))
        spoilt.insert(place, message)
        beside.insert(place, events[0])
        why.insert(place, reason)
    expected = Counter(filter(None, why))

    for ahead in (False, True):
        found = read(name, spoilt, beside, ahead=ahead)

        assert rejected(found) == sorted(expected.items())
        assert_same(found, clean)
        kept = [(each.offset - FIRST, each.reason, each.value) for each in found.rejected]
        assert kept == [(place, why[place], raw) for place, raw in enumerate(spoilt) if why[place]]


def as_tensors(events: Sequence[Event]) -> list[bytes]:
    """A request of the open inference protocol, its numbers behind the JSON."""
    body = {"name": "age", "shape": [len(events), 1], "datatype": "FP64"}
    ages = np.array([event["features"]["age"] for event in events]).tobytes()
    asked = {
        "model_name": "churn",
        "model_version": "3",
        "inputs": [body | {"parameters": {"binary_data_size": len(ages)}}],
    }
    return [json.dumps(asked).encode() + ages]


DOUBLES: Mapping[str, Callable[[Sequence[Event]], list[bytes]]] = {
    name: FORMATS[name].write for name in ("arrow", "arrow, file", "avro", "protobuf", "otel, Protobuf")
} | {"mlserver": as_tensors}


@pytest.mark.parametrize("name", DOUBLES)
def test_no_nan_of_a_message_is_taken_for_what_is_there_and_no_number(
    name: str, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Whatever its bits are: those of ours as well."""
    events = [event | {"features": event["features"] | {"age": UNUSABLE}} for event in drawn(rng, 10)]
    messages = DOUBLES[name](events)
    if name == "mlserver":
        decoder = TopicDecoder("t", [SeriesFields(KEYS[0], REFERENCE.layout, FieldMap())], FieldMap(), SECOND, name)
    else:
        decoder = decoder_of(name, tmp_path)
    assert np.float64(UNUSABLE).tobytes() in b"".join(messages)
    records = TopicRecords("t", [0] * len(messages), messages, stamps=[NOON] * len(messages))

    for reader in decoder.readers:
        rows = reader.read(records, NOON, DecodeCounts()).rows
        found = np.concatenate([part.numeric[:, 0] for part in rows]) if rows else np.empty(0)
        assert reader is not decoder.readers[-1] or len(found) == 10
        assert np.isnan(found).all()
        assert not unusable(found).any()


@pytest.mark.parametrize("name", FORMATS)
def test_no_byte_that_is_changed_and_no_cut_raises(name: str, rng: np.random.Generator, read: Read) -> None:
    """Half of them are broken at any place: each gives rows or a reason, and what is not touched stays exact."""
    events = drawn(rng, 300)
    good = FORMATS[name].write(events)
    spoilt = []
    for message in good[:3] * 10:
        held = bytearray(message)
        for place in rng.integers(len(held), size=int(rng.integers(1, 4))).tolist():
            held[place] = int(rng.integers(256))
        spoilt.append(bytes(held[: int(rng.integers(1, len(held) + 1))]) if rng.random() < 0.5 else bytes(held))

    for message in spoilt:
        decoded = read(name, [message], events[:1])
        assert decoded.batches or decoded.facts
    decoded = read(name, [*good, *spoilt], [*events, *events][: len(good) + len(spoilt)])
    kept = sum((each.reasons for each in decoded.rejected), Counter())
    assert sorted(kept.items()) == rejected(decoded)
    assert {(*good, *spoilt)[each.offset - FIRST] for each in decoded.rejected} == {
        each.value for each in decoded.rejected
    }
