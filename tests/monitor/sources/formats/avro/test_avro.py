"""format: avro, message by message: what real writers' bytes give, and the one reason of each that is refused."""

import datetime as dt
import io
import json
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from random import Random, getrandbits
from typing import Any
from uuid import UUID

import pytest

from monitor.facts import EventsRejected, FieldsRejected
from monitor.sources.base import NotNow, TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.avro import Options, recognises
from monitor.sources.formats.avro.schema import SchemaError, parse
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.registry import UnknownFormatError, decoder_of
from monitor.stream.events import SECOND
from tests.fakes import NOON
from tests.parts.registry import Registry
from tests.properties.test_decode import ONE, REFERENCE
from tests.properties.test_decode import rows as batch_rows

fastavro: Any = pytest.importorskip("fastavro")

TS = NOON // 1_000_000
GUID = UUID("0198d9c6-0000-7000-8000-00000000002a")
NUMBER, TEXT = {"name": "a", "type": "double"}, {"name": "plan", "type": ["null", "string"], "default": None}


def record(*fields: Any, name: str = "P") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": list(fields)}


def written(schema: Any, value: Any) -> bytes:
    stream = io.BytesIO()
    fastavro.schemaless_writer(stream, fastavro.parse_schema(json.loads(json.dumps(schema))), value)
    return stream.getvalue()


def container(schema: Any, values: list[Any], codec: str = "null") -> bytes:
    stream = io.BytesIO()
    fastavro.writer(stream, fastavro.parse_schema(json.loads(json.dumps(schema))), values, codec=codec)
    return stream.getvalue()


def reading(tmp_path: Path, schema: Any = None, **told: Any) -> Any:
    if schema is not None:
        (tmp_path / "writer.avsc").write_text(json.dumps(schema))
        told["schema_file"] = tmp_path / "writer.avsc"
    return decoder_of("avro", TopicFields([], FieldMap(), options=Options.model_validate(told)))


def rows(decoder: Any, *values: bytes | None) -> tuple[list[dict[str, Any]], dict[str, int]]:
    found: Rows = decoder.decode(values)
    return list(found.documents), dict(found.rejected)  # type: ignore[attr-defined]


def one(decoder: Any, raw: bytes) -> dict[str, Any]:
    documents, rejected = rows(decoder, raw)
    assert rejected == {}
    return documents[0]


# --- values -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("type", "value", "read"),
    [
        ("float", 0.1, 0.10000000149011612),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, Decimal("12.34"), 12.34),
        ({"type": "bytes", "logicalType": "decimal", "precision": 9}, Decimal(-7), -7),
        (
            {"type": "fixed", "name": "F", "size": 4, "logicalType": "decimal", "precision": 9, "scale": 3},
            Decimal("-1.5"),
            -1.5,
        ),
        ({"type": "int", "logicalType": "date"}, dt.date(2026, 2, 28), "2026-02-28"),
        ({"type": "int", "logicalType": "time-millis"}, dt.time(1, 2, 3, 4000), "01:02:03.004000"),
        ({"type": "long", "logicalType": "time-micros"}, dt.time(1, 2, 3, 4), "01:02:03.000004"),
        (
            {"type": "long", "logicalType": "timestamp-millis"},
            dt.datetime(2026, 1, 2, tzinfo=dt.UTC),
            "2026-01-02T00:00:00.000000Z",
        ),
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=dt.UTC),
            "2026-01-02T03:04:05.000006Z",
        ),
        ({"type": "long", "logicalType": "timestamp-nanos"}, 1_767_312_000_000_001_999, "2026-01-02T00:00:00.000001Z"),
        (
            {"type": "long", "logicalType": "local-timestamp-millis"},
            dt.datetime(2026, 1, 2),  # noqa: DTZ001 - local
            "2026-01-02T00:00:00.000000Z",
        ),
        ({"type": "long", "logicalType": "timestamp-micros"}, -(2**63), "0001-01-01T00:00:00Z"),
        ({"type": "string", "logicalType": "uuid"}, GUID, str(GUID)),
        ({"type": "fixed", "name": "U", "size": 16, "logicalType": "uuid"}, GUID.bytes, str(GUID)),
        ({"type": "fixed", "name": "B", "size": 2}, b"\xff\x00", "\xff\x00"),
        (
            {"type": "fixed", "name": "D", "size": 12, "logicalType": "duration"},
            b"\x01\0\0\0\x02\0\0\0\xbc\x0b\0\0",
            "P1M2DT3.004S",
        ),
        ({"type": "enum", "name": "E", "symbols": ["low", "high"]}, "high", "high"),
        ({"type": "map", "values": ["null", "long"]}, {"x": 1, "y": None}, {"x": 1, "y": None}),
        ({"type": "array", "items": "string"}, ["x", "y"], ["x", "y"]),
        ({"type": "string", "logicalType": "no-such-type"}, "x", "x"),
    ],
)
def test_a_value_is_what_json_would_say(tmp_path: Path, type: Any, value: Any, read: Any) -> None:  # noqa: A002
    schema = record({"name": "v", "type": type})

    assert one(reading(tmp_path, schema), written(schema, {"v": value})) == {"v": read}


def test_a_union_of_two_records_is_that_of_its_branch(tmp_path: Path) -> None:
    schema = record({"name": "v", "type": [record(NUMBER, name="A"), record(TEXT, name="B")]})

    found = [
        one(reading(tmp_path, schema), written(schema, {"v": value}))
        for value in (("A", {"a": 1.5}), ("B", {"plan": "x"}))
    ]

    assert found == [{"v": {"a": 1.5}}, {"v": {"plan": "x"}}]


def test_blocks_may_tell_their_size(tmp_path: Path) -> None:
    schema = record({"name": "v", "type": {"type": "array", "items": "int"}})
    assert one(reading(tmp_path, schema), b"\x03\x04\x02\x04\x00") == {"v": [1, 2]}


def test_ten_thousand_keys_are_read_and_more_than_a_message_can_hold_are_not_believed(tmp_path: Path) -> None:
    schema = record({"name": "v", "type": {"type": "map", "values": "int"}})
    many = {f"k{at}": at for at in range(10_000)}
    assert one(reading(tmp_path, schema), written(schema, {"v": many}))["v"] == many

    endless = record({"name": "v", "type": {"type": "array", "items": "null"}})
    assert rows(reading(tmp_path, endless), b"\xfe\xff\xff\xff\xff\xff\xff\xff\x7f\x00") == ([], {"malformed_avro": 1})


# --- refused ----------------------------------------------------------------------------------------------------------

WHOLE = record(NUMBER, TEXT)
RAW = written(WHOLE, {"a": 1.5, "plan": "pro"})


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (RAW[:-1], "truncated"),
        (RAW[:4], "truncated"),
        (RAW + b"\x00", "trailing_bytes"),
        (RAW[:8] + b"\x04", "malformed_avro"),  # no such branch
        (RAW[:8] + b"\x02\x01", "malformed_avro"),  # a length of -1
        (RAW[:8] + b"\xff" * 11, "malformed_avro"),
        (RAW[:8] + b"\x02\x04\xff\xff", "invalid_utf8"),
        (RAW[:8] + b"\x02\xfe\xff\xff\xff\x0f", "truncated"),  # claims 2 GB
        (b"\x00" * ((1 << 20) + 1), "too_large"),
        (b"Obj\x01 and nothing of the kind", "malformed_avro"),
    ],
)
def test_what_cannot_be_read_has_one_reason(tmp_path: Path, raw: bytes | None, reason: str) -> None:
    documents, rejected = rows(reading(tmp_path, WHOLE), RAW, raw, RAW)

    assert documents == [{"a": 1.5, "plan": "pro"}] * 2
    assert rejected == {reason: 1} or (reason == "malformed_avro" and set(rejected) <= {"malformed_avro", "truncated"})


def test_a_record_in_itself_is_read_to_a_depth(tmp_path: Path) -> None:
    schema = record({"name": "next", "type": ["null", "P"]})
    decoder = reading(tmp_path, schema)

    assert rows(decoder, b"\x02" * 31 + b"\x00")[1] == {}
    assert rows(decoder, b"\x02" * 32 + b"\x00")[1] == {"too_deep": 1}
    assert rows(decoder, b"\x02" * 100_000)[1] == {"too_deep": 1}


@pytest.mark.timeout(60)
def test_records_of_no_bytes_that_hold_each_other_end(tmp_path: Path) -> None:
    """Two of the next one in each: thirty of these are a thousand million."""
    inner: Any = record(name="R0")
    for at in range(1, 30):
        inner = record({"name": "x", "type": inner}, {"name": "y", "type": f"R{at - 1}"}, name=f"R{at}")

    assert rows(reading(tmp_path, record({"name": "a", "type": "int"}, {"name": "r", "type": inner})), b"\x02")[1] == {
        "malformed_avro": 1
    }


def test_what_is_no_record_is_no_row(tmp_path: Path) -> None:
    assert rows(reading(tmp_path, "string"), b"\x02x") == ([], {"not_object": 1})


# --- a reader's schema ------------------------------------------------------------------------------------------------


def test_missing_fields_have_the_reader_s_defaults_with_logical_types_applied(tmp_path: Path) -> None:
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    stamp = {"type": "long", "logicalType": "timestamp-millis"}
    reader = record(
        {"name": "amount", "type": "double", "aliases": ["a"]},
        TEXT,
        {"name": "fee", "type": decimal, "default": "\u0004\u00d2"},
        {"name": "at", "type": stamp, "default": 1_767_312_000_000},
        {"name": "score", "type": ["null", "double"], "default": None},
        {"name": "inner", "type": record({"name": "x", "type": "int", "default": 7}, name="I"), "default": {}},
    )
    (tmp_path / "reader.avsc").write_text(json.dumps(reader))

    found = one(reading(tmp_path, WHOLE, reader_schema_file=tmp_path / "reader.avsc"), RAW)

    assert found == {
        "amount": 1.5,
        "plan": "pro",
        "fee": 12.34,
        "at": "2026-01-02T00:00:00.000000Z",
        "score": None,
        "inner": {"x": 7},
    }


def test_what_fastavro_makes_of_such_defaults_has_no_logical_type() -> None:
    """That is why they are filled in here."""
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}
    reader = fastavro.parse_schema(record(NUMBER, {"name": "fee", "type": decimal, "default": "\u0004\u00d2"}))
    writer = fastavro.parse_schema(record(NUMBER))

    found = fastavro.schemaless_reader(io.BytesIO(written(record(NUMBER), {"a": 1.0})), writer, reader)

    assert found["fee"] != Decimal("12.34")


# --- single objects and containers ------------------------------------------------------------------------------------


def test_single_objects_are_told_by_their_fingerprint(tmp_path: Path) -> None:
    decoder = reading(tmp_path, WHOLE, single_object=True)
    named = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(WHOLE), "CRC-64-AVRO")
    head = b"\xc3\x01" + bytes.fromhex(named)

    documents, rejected = rows(decoder, head + RAW, b"\xc3\x01" + b"\x00" * 8 + RAW, RAW)

    assert documents == [{"a": 1.5, "plan": "pro"}]
    assert rejected == {"unknown_schema": 1, "no_schema_id": 1}


@pytest.mark.parametrize("codec", ["null", "deflate", "bzip2", "xz"])
def test_a_container_brings_its_own_schema_and_many_rows(tmp_path: Path, codec: str) -> None:
    values = [{"a": float(at), "plan": None} for at in range(1000)]

    found = reading(tmp_path).decode([RAW, container(WHOLE, values, codec)])

    assert list(found.documents) == values
    assert found.messages.tolist() == [1] * 1000
    assert found.rejected == {"no_schema_id": 1}


@pytest.mark.parametrize("codec", ["snappy", "zstandard"])
def test_blocks_packed_by_what_arrow_unpacks_are_read(tmp_path: Path, codec: str) -> None:
    import zlib

    import pyarrow as pa

    data = RAW * 100
    packed = pa.compress(data, codec="snappy" if codec == "snappy" else "zstd", asbytes=True)
    packed += zlib.crc32(data).to_bytes(4, "big") if codec == "snappy" else b""
    meta = {"type": "map", "values": "bytes"}
    header = written(meta, {"avro.schema": json.dumps(WHOLE).encode(), "avro.codec": codec.encode()})
    raw = b"Obj\x01" + header + b"s" * 16 + written("long", 100) + written("long", len(packed)) + packed + b"s" * 16

    assert rows(reading(tmp_path), raw) == ([{"a": 1.5, "plan": "pro"}] * 100, {})
    assert rows(reading(tmp_path), raw.replace(packed, packed[:-6] + b"damage"))[1] == {"malformed_avro": 1}


def test_a_container_that_is_cut_off_or_claims_too_much_gives_no_row(tmp_path: Path) -> None:
    import zlib

    whole = container(WHOLE, [{"a": 1.0, "plan": None}] * 100)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(b"\0" * (64 << 20)) + packer.flush()
    head = container(WHOLE, [], "deflate")
    block = b"\x02" + written("long", len(bomb)) + bomb + head[-16:]

    assert rows(reading(tmp_path), whole[:-1])[1] == {"truncated": 1}
    assert rows(reading(tmp_path), head + block)[1] == {"too_large": 1}


def test_containers_and_single_objects_are_recognised_and_json_is_not() -> None:
    def records(*values: bytes) -> TopicRecords:
        return TopicRecords("t", [0] * len(values), values)

    assert recognises(records(container(WHOLE, []), container(WHOLE, [])))
    assert recognises(records(b"\xc3\x01" + RAW))
    assert not recognises(records(b'{"ts": 1}'))
    assert not recognises(records(container(WHOLE, []), b'{"ts": 1}'))
    assert not recognises(records())


# --- the registry -----------------------------------------------------------------------------------------------------

EVENT = record(
    {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
    {"name": "model", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "features", "type": record(NUMBER, TEXT, name="F")},
    name="Event",
)


def event(at: int = 0) -> bytes:
    time = dt.datetime.fromtimestamp((TS + at) / 1000, dt.UTC)
    features = {"a": 1.5, "plan": "pro"}
    return written(EVENT, {"ts": time, "model": "churn", "version": "3", "features": features})


def prefixed(number: int, raw: bytes) -> bytes:
    return b"\x00" + number.to_bytes(4, "big") + raw


@pytest.fixture
def registry() -> Iterator[Registry]:
    with Registry() as registry:
        registry.add(7, json.dumps(EVENT), guid=GUID)
        yield registry


def topic_decoder(registry: Registry, **told: Any) -> TopicDecoder:
    options = Options.model_validate({"registry": {"url": registry.url, **told}})
    series = [SeriesFields(key, REFERENCE.layout, FieldMap()) for key in ONE]
    return TopicDecoder("t", series, FieldMap(), 600 * SECOND, "avro", options=options)


def decoded(decoder: TopicDecoder, *values: bytes | None, headers: Any = ()) -> tuple[int, dict[str, int]]:
    """Rows, and what is rejected by reason."""
    found = decoder.decode(TopicRecords("t", [0] * len(values), values, headers=headers), NOON)
    told = {fact.reason: fact.count for fact in found.facts if isinstance(fact, EventsRejected)}
    return sum(len(batch) for batch in found.batches), told


def test_prefixes_and_headers_lead_to_the_schema_whatever_their_order_in_a_batch(registry: Registry) -> None:
    registry.add(8, json.dumps(record(*reversed(EVENT["fields"]), name="Event")))
    other = fastavro.parse_schema(record(*reversed(EVENT["fields"]), name="Event"))
    stream = io.BytesIO()
    time = dt.datetime.fromtimestamp(TS / 1000, dt.UTC)
    fastavro.schemaless_writer(
        stream, other, {"ts": time, "model": "churn", "version": "3", "features": {"a": 1.0, "plan": None}}
    )
    values = [prefixed(7, event()), prefixed(8, stream.getvalue()), event(), prefixed(9, event()), b"{}", None]
    headers = [(), (), (("__value_schema_id", b"\x01" + GUID.bytes),), (), (), ()]

    assert decoded(topic_decoder(registry), *values, headers=headers) == (3, {"unknown_schema": 1, "no_schema_id": 1})
    assert decoded(topic_decoder(registry), *values) == (2, {"unknown_schema": 1, "no_schema_id": 2})


def test_what_begins_like_a_frame_behind_a_header_is_asked_for_nowhere(registry: Registry) -> None:
    raw, headers = b"\0\0\0\0\x63" + event(), [("__value_schema_id", b"\x01" + GUID.bytes)]

    assert decoded(topic_decoder(registry), raw, headers=[headers]) == (0, {"malformed_avro": 1})
    assert registry.asked == [f"/schemas/guids/{GUID}"]


def by_time(decoder: TopicDecoder, values: list[bytes | None], *, ahead: bool) -> tuple[list[Any], dict[str, int]]:
    """Rows by event time, and what is rejected by reason."""
    prepared = decoder.prepare(values, NOON) if ahead else None
    found = decoder.decode(TopicRecords("t", [0] * len(values), values, prepared=prepared), NOON)
    told = {fact.reason: fact.count for fact in found.facts if isinstance(fact, EventsRejected)}
    each = [zip(b.event_times.tolist(), b.numeric.tolist(), b.codes.tolist(), strict=True) for b in found.batches]
    return sorted(str(row) for rows in each for row in rows), told


@pytest.mark.parametrize("share", [0.02, 0.3, 0.5, 0.7, 0.98])
def test_messages_of_several_schemas_in_one_batch_are_what_each_is_alone(registry: Registry, share: float) -> None:
    """Whatever schema wrote most of them, and whether they were read ahead."""
    rng, other = Random(getrandbits(64)), record(*reversed(EVENT["fields"]), name="Event")
    registry.add(8, json.dumps(other))
    values: list[bytes | None] = [prefixed(99, event()), b"{}", None, b""]
    for at in range(60):
        time = dt.datetime.fromtimestamp((TS - at) / 1000, dt.UTC)
        value = {"ts": time, "model": "churn", "version": "3", "features": {"a": float(at), "plan": rng.choice("xy")}}
        number = 7 if rng.random() < share else 8
        raw = prefixed(number, written(EVENT if number == 7 else other, value))
        values.append(raw[: rng.choice((len(raw), len(raw), len(raw), 8))])
    rng.shuffle(values)
    decoder = topic_decoder(registry)
    alone = [by_time(decoder, [value], ahead=False) for value in values]

    for ahead in (False, True):
        found = by_time(decoder, values, ahead=ahead)
        assert found[0] == sorted(row for rows, _ in alone for row in rows)
        assert found[1] == sum((Counter(told) for _, told in alone), Counter())


@pytest.mark.parametrize(
    ("features", "unknown"),
    [
        (record(NUMBER, TEXT, name="F"), 0),
        (record(NUMBER, {"name": "new", "type": "double"}, name="F"), 1),
        (["null", record({"name": "new", "type": "double"}, name="F")], 1),
        ({"type": "map", "values": "double"}, 1),
    ],
)
def test_features_that_nobody_asked_for_are_counted_where_a_schema_may_have_them(
    registry: Registry, features: Any, unknown: int
) -> None:
    schema = record(*EVENT["fields"][:3], {"name": "features", "type": features}, name="Event")
    registry.add(8, json.dumps(schema))
    time = dt.datetime.fromtimestamp(TS / 1000, dt.UTC)
    held = {"a": 1.5, "plan": None} if not unknown else {"a": 1.5, "new": 1.0}
    raw = prefixed(8, written(schema, {"ts": time, "model": "churn", "version": "3", "features": held}))

    found = topic_decoder(registry).decode(TopicRecords("t", [0], [raw]), NOON)

    told = {fact.reason: fact.count for fact in found.facts if isinstance(fact, FieldsRejected)}
    assert told.get("unknown", 0) == unknown


@pytest.mark.parametrize(
    ("number", "schema", "reason"),
    [
        (11, '{"type": "record", "name": "P", "fields": [{"name": "x", "type": "NoSuch"}]}', "invalid_schema"),
        (12, "no JSON at all", "invalid_schema"),
        (13, '{"type": "object"}', "other_schema_type"),
        (14, json.dumps(EVENT), "other_subject"),
    ],
)
def test_schemas_that_cannot_be_used_have_one_reason(registry: Registry, number: int, schema: str, reason: str) -> None:
    kind = "JSON" if number == 13 else "AVRO"
    registry.add(number, schema, kind=kind, subject="payments-value" if number == 14 else "predictions-value")
    decoder = topic_decoder(registry, subject="predictions-value")

    assert decoded(decoder, prefixed(7, event()), prefixed(number, event())) == (1, {reason: 1})


def test_containers_without_a_schema_of_their_topic_count_nothing_else(tmp_path: Path) -> None:
    """What is not rejected is no fact."""
    series = [SeriesFields(key, REFERENCE.layout, FieldMap()) for key in ONE]
    decoder = TopicDecoder("t", series, FieldMap(), 600 * SECOND, "avro")

    assert decoded(decoder, container(WHOLE, [{"a": 1.0, "plan": None}])) == (0, {"timestamp_missing": 1})


def test_the_same_text_that_refers_to_another_version_is_another_schema(registry: Registry) -> None:
    """A registry gives the two numbers of their own; so does what they mean."""
    outer = json.dumps(record({"name": "inner", "type": "x.I"}))
    for number, version, field in ((21, 1, {"name": "n", "type": "long"}), (22, 2, {"name": "x", "type": "double"})):
        registry.add(number, json.dumps(record(field, name="x.I")), subject="inner", version=version)
        refers = {"name": "x.I", "subject": "inner", "version": version}
        registry.add(number + 10, outer, subject="outer", version=version, references=(refers,))
    told = Options.model_validate({"registry": {"url": registry.url}})
    decoder = decoder_of("avro", TopicFields([], FieldMap(), options=told))

    found = rows(decoder, prefixed(31, b"\x02"), prefixed(32, b"\0\0\0\0\0\0\x04\x40"))

    assert found == ([{"inner": {"n": 1}}, {"inner": {"x": 2.5}}], {})


def test_while_the_registry_is_away_nothing_is_counted_and_then_all_is(registry: Registry) -> None:
    registry.status = 500
    decoder = topic_decoder(registry)
    values = [prefixed(7, event()), prefixed(9, event())]
    with pytest.raises(NotNow, match="it answers with status 500"):
        decoded(decoder, *values)

    registry.status = 200
    decoder = topic_decoder(registry)

    assert decoded(decoder, *values) == (1, {"unknown_schema": 1})


def test_who_cannot_wait_is_told_that_the_schema_is_not_to_be_had(registry: Registry) -> None:
    registry.status = 500
    verdicts = list(topic_decoder(registry).verdicts(TopicRecords("t", (0,), (prefixed(7, event()),)), NOON))

    assert [verdict.reason for verdict in verdicts] == ["schema_unavailable"]


def test_confluent_s_serializer_is_read_by_number_and_by_guid() -> None:
    """Its own registry in memory gives the schema and the bytes; a server of ours tells the schema."""
    schema_registry = pytest.importorskip("confluent_kafka.schema_registry")
    avro = pytest.importorskip("confluent_kafka.schema_registry.avro")
    from confluent_kafka.serialization import MessageField, SerializationContext

    client = schema_registry.SchemaRegistryClient.new_client({"url": "mock://"})
    value = {"ts": dt.datetime.fromtimestamp(TS / 1000, dt.UTC), "model": "churn", "version": "3"}
    value |= {"features": {"a": 1.5, "plan": "pro"}}
    serializer = avro.AvroSerializer(client, json.dumps(EVENT), conf={"subject.name.strategy": _by_topic})
    raw = serializer(value, SerializationContext("predictions", MessageField.VALUE))
    number = int.from_bytes(raw[1:5], "big")

    with Registry() as registry:
        registry.add(number, client.get_schema(number).schema_str)
        assert decoded(topic_decoder(registry), raw) == (1, {})


def _by_topic(context: Any, name: str, *_: Any) -> str:
    del name
    return f"{context.topic}-value"


# --- wrong options ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "schema_file: .*writer.avsc: is no JSON"),
        ('{"type": "record", "name": "P"}', "schema_file: .*: P: a record needs fields"),
        ('{"type": "NoSuch"}', "NoSuch is no type"),
        ('{"type": "enum", "name": "E"}', "schema_file: .*: E: an enum needs symbols"),
    ],
)
def test_a_schema_file_that_is_none_is_said_in_a_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "writer.avsc"
    path.write_text(text)
    with pytest.raises(UnknownFormatError, match=words):
        decoder_of("avro", TopicFields([], FieldMap(), options=Options(schema_file=path)))
    with pytest.raises(UnknownFormatError, match=r"options\.schema_file: .*absent cannot be read"):
        decoder_of("avro", TopicFields([], FieldMap(), options=Options(schema_file=tmp_path / "absent")))


@pytest.mark.parametrize(
    ("field", "words"),
    [
        ({"name": "z", "type": "double", "default": 10**400}, "a default is larger than any double"),
        ({"name": "z", "type": "P", "default": {}}, "the default {} holds itself without an end"),
    ],
)
def test_a_default_that_is_none_is_said_in_a_line(tmp_path: Path, field: Any, words: str) -> None:
    (tmp_path / "reader.avsc").write_text(json.dumps(record(field)))
    with pytest.raises(UnknownFormatError, match=words):
        reading(tmp_path, record(NUMBER), reader_schema_file=tmp_path / "reader.avsc")


@pytest.mark.parametrize(
    "text", ["[" * 5000, '{"type": ' * 5000, '{"type":"array","items":' * 100 + '"int"' + "}" * 100]
)
def test_schemas_nested_too_deep_are_refused(text: str) -> None:
    with pytest.raises(SchemaError):
        parse(text)


# --- beside JSON ------------------------------------------------------------------------------------------------------


def test_events_in_avro_count_as_the_same_events_in_json(tmp_path: Path) -> None:
    """To the last bit: numbers, codes, times and hashes of ids."""
    random = Random(7)
    fields = record(*({"name": name, "type": ["null", "double"]} for name in "abcde"), TEXT, name="F")
    schema = record(
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        *({"name": name, "type": "string"} for name in ("model", "version", "id")),
        {"name": "features", "type": fields},
        {"name": "prediction", "type": "double"},
    )
    path = tmp_path / "event.avsc"
    path.write_text(json.dumps(schema))
    events = [
        {
            "ts": TS + at,
            "model": "churn",
            "version": "3",
            "id": f"r-{at}",
            "features": {name: random.choice([None, random.gauss(0, 1), 2.0]) for name in "abcde"}
            | {"plan": random.choice(["free", "pro", "Zürich", "new", None])},
            "prediction": random.random(),
        }
        for at in range(200)
    ]
    series = [SeriesFields(key, REFERENCE.layout, FieldMap()) for key in ONE]

    def decode(form: str, values: list[bytes], options: Any = None) -> Any:
        decoder = TopicDecoder("t", series, FieldMap(), 600 * SECOND, form, options=options)
        return decoder.decode(TopicRecords("t", [0] * len(values), values), NOON)

    plain = decode("json", [json.dumps(each).encode() for each in events])
    avro = decode("avro", [written(schema, each) for each in events], Options(schema_file=path))

    assert batch_rows(avro) == batch_rows(plain)
    assert sum(batch_rows(avro).values()) == 200
    assert set(avro.facts) == set(plain.facts)
