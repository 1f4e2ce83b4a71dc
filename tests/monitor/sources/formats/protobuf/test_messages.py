"""`format: protobuf`: what fields are worth, whose a message is, which messages are refused and why."""

import base64
import json
import random
import re
import subprocess
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from detectors import Reference
from monitor.facts import EventsCounted, EventsRejected
from monitor.sources.base import Headers, RecordParts, TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats import protobuf
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.protobuf import Options, reading
from monitor.sources.formats.protobuf.descriptors import DescriptorError, Schema
from monitor.sources.formats.registry import UnknownFormatError
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.parts import protobuf as official
from tests.parts.protobuf_all import all_kinds

FUZZ = Path(__file__).parents[4] / "native" / "fuzz_protobuf.cpp"
SANITIZED = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-Wall",
    "-Wextra",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "tenure": [1.0, 2.0, 3.0], "plan": ["FREE", "PRO", "PRO"]})
MS = NOON // 1_000_000


def events_file() -> Any:
    """What a serving stack would log, and a message of something else beside it."""
    file = official.file_of("events.proto", "shop")
    plan = file.enum_type.add(name="Plan")
    for number, name in enumerate(("FREE", "PRO")):
        plan.value.add(name=name, number=number)
    features = {"age": "double", "tenure": "optional double", "plan": "enum .shop.Plan", "rooms": "int32"}
    official.declare(file.message_type.add(name="Features"), features)
    event = {"id": "string", "at": ".google.protobuf.Timestamp", "model": "string", "version": "string"}
    official.declare(
        file.message_type.add(name="Event"), event | {"features": ".shop.Features", "prediction": "double"}
    )
    refund = file.message_type.add(name="Refund")
    official.declare(refund, {"amount": "double", "customer": "int64", "reason": "string @ 30"})
    official.declare(refund.nested_type.add(name="Line"), {"item": "string @ 40"})
    return file


FILE = events_file()
FIND = official.classes_of(FILE)
FIELDS = FieldMap(timestamp=("at",))


@pytest.fixture(params=["compiled", "plain"], autouse=True)
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "compiled":
        request.getfixturevalue("compiled_parts")
    monkeypatch.setattr(reading, "COMPILED", request.param == "compiled")
    return str(request.param)


@pytest.fixture
def described(tmp_path: Path) -> Path:
    path = tmp_path / "events.binpb"
    path.write_bytes(official.set_of(FILE))
    return path


def decoder_of(options: Options, *, version: str = "3", fields: FieldMap = FIELDS) -> TopicDecoder:
    series = [SeriesFields(SeriesKey("churn", version), REFERENCE.layout, fields)]
    return TopicDecoder("t", series, fields, SECOND, "protobuf", options=options)


def event(**changes: Any) -> bytes:
    features = changes.pop("features", {"age": 41.5, "tenure": 2.0, "plan": 1})
    made = FIND("shop.Event")(id="r-1", model="churn", version="3", prediction=0.5, features=features, **changes)
    made.at.seconds, made.at.nanos = NOON // SECOND, 123
    held: bytes = made.SerializeToString()
    return held


def decoded(decoder: TopicDecoder, *messages: bytes | None, headers: list[Headers] | None = None) -> Decoded:
    return decoder.decode(TopicRecords("t", [0] * len(messages), list(messages), headers=headers or ()), NOON)


def rejected(found: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in found.facts if isinstance(fact, EventsRejected)}


# --- rows -------------------------------------------------------------------------------------------------------------


def test_an_event_is_a_row_with_its_time_to_the_nanosecond(described: Path) -> None:
    decoder = decoder_of(Options(message="shop.Event", descriptor_set_file=described))

    found = decoded(decoder, event(), event(features={"age": 0, "plan": 0}), None)

    (batch,) = found.batches
    assert batch.event_times.tolist() == [NOON + 123, NOON + 123]
    np.testing.assert_array_equal(batch.numeric, [[41.5, 2.0], [0.0, np.nan]])  # 0 is a value, unset `optional` is none
    assert batch.codes[:, 0].tolist() == [0, 1]  # PRO is the more frequent
    assert batch.ids is not None
    assert batch.ids[0] == batch.ids[1] != 0
    assert EventsCounted("t", "tombstone", 1) in found.facts


def test_ids_have_the_hash_that_json_gives_them(described: Path) -> None:
    series = [SeriesFields(SeriesKey("churn", "3"), REFERENCE.layout, FieldMap())]
    text = json.dumps({"id": "r-1", "ts": MS, "model": "churn", "version": "3", "features": {}}).encode()
    plain = TopicDecoder("t", series, FieldMap(), SECOND).decode(TopicRecords("t", [0], [text]), NOON)
    found = decoded(decoder_of(Options(message="shop.Event", descriptor_set_file=described)), event())

    assert found.batches[0].ids == plain.batches[0].ids


def test_numbers_may_be_ids(tmp_path: Path) -> None:
    path = tmp_path / "kinds.binpb"
    path.write_bytes(official.set_of(all_kinds()))
    made = official.classes_of(all_kinds())("pkg.All")
    numbers = [0, 7, (1 << 63) - 1, -5]
    raw = [made(a_int64=number, a_string="x").SerializeToString() for number in numbers]
    for name in ("a_int64", "a_sint64", "o_string"):
        fields = FieldMap(timestamp=("at",), id=(name,))
        decoder = decoder_of(Options(message="pkg.All", descriptor_set_file=path), fields=fields)
        rows = decoder.format.decode(raw)
        first, second = rows.wide_hashes((name,))
        expected = protobuf.Rows.wide_hashes(rows, (name,))
        np.testing.assert_array_equal(first, expected[0])
        np.testing.assert_array_equal(second, expected[1])
        assert rows.values(2, [(name,)]) == [{"a_int64": (1 << 63) - 1, "a_sint64": 0, "o_string": None}[name]]


def test_features_that_are_not_there_are_said_to_be_missing(described: Path) -> None:
    made = FIND("shop.Event")(id="r-1", model="churn", version="3")
    made.at.seconds = NOON // SECOND

    found = decoded(
        decoder_of(Options(message="shop.Event", descriptor_set_file=described)), made.SerializeToString(), event()
    )

    assert rejected(found) == {"features_missing": 1}
    assert len(found.batches[0]) == 1


def test_a_map_is_a_feature_a_key(tmp_path: Path) -> None:
    file = official.file_of("m.proto", "m", imports=())
    fields = {
        "ts": "int64",
        "model": "string",
        "version": "string",
        "features": "map string double",
        "more": "map string string",
    }
    official.declare(file.message_type.add(name="Event"), fields)
    path = tmp_path / "m.binpb"
    path.write_bytes(official.set_of(file))
    made = official.classes_of(file)("m.Event")
    shared = {"ts": MS, "model": "churn", "version": "3"}
    rows = [{"age": 1.0, "tenure": 2.0}, {"tenure": 4.0, "new": 1.0}, {}]
    raw = [made(**shared, features=features, more={"a": "x"}).SerializeToString() for features in rows]

    decoder = decoder_of(Options(message="m.Event", descriptor_set_file=path), fields=FieldMap())
    found = decoded(decoder, *raw)

    np.testing.assert_array_equal(found.batches[0].numeric, [[1.0, 2.0], [np.nan, 4.0], [np.nan, np.nan]])
    held = decoder.format.decode(raw)
    assert held.names(("features",)) == {"age", "tenure", "new"}
    assert held.names(("more",)) == {"a"}


def test_a_map_of_more_keys_than_we_take_is_refused(tmp_path: Path) -> None:
    file = official.file_of("m.proto", "m", imports=())
    official.declare(file.message_type.add(name="Event"), {"features": "map int32 bool"})
    path = tmp_path / "m.binpb"
    path.write_bytes(official.set_of(file))
    made = official.classes_of(file)("m.Event")
    decoder = decoder_of(Options(message="m.Event", descriptor_set_file=path))
    most, more = (made(features=dict.fromkeys(range(size), True)).SerializeToString() for size in (10_000, 10_001))

    rows = decoder.format.decode([most, more, most + most])

    assert (rows.messages.tolist(), rows.rejected) == ([0, 2], {"too_many_keys": 1})


def test_the_example_of_the_documentation_gives_its_row(described: Path) -> None:
    page = (Path(__file__).parents[5] / "docs" / "formats" / "protobuf.md").read_text(encoding="utf-8")
    (raw,) = re.findall(r"^```\n([0-9a-f ]+)\n```$", page, flags=re.MULTILINE)
    told = dict(
        re.findall(r"^\| `([a-z.]+)` \| `?([^|`]+?)`? \|$", page.partition("## What fields")[0], flags=re.MULTILINE)
    )
    (row,) = decoder_of(Options(message="shop.Event", descriptor_set_file=described)).format.inspect(bytes.fromhex(raw))

    held = {name: row[tuple(name.split("."))] for name in told}
    assert held.pop("at") == "2026-11-23T12:00:00.000000000Z"
    assert told.pop("at") == "2026-11-23T12:00:00Z"
    assert {name: "missing" if value is None else str(value) for name, value in held.items()} == told
    assert len(told) == 5


# --- whose a message is -----------------------------------------------------------------------------------------------


def test_a_message_of_another_type_is_refused_and_never_zeros(described: Path) -> None:
    refund = FIND("shop.Refund")
    others = [
        refund(amount=1.5).SerializeToString(),  # number 1 is a text in events
        refund(reason="broken").SerializeToString(),  # nothing that events know
        FIND("shop.Refund.Line")(item="x").SerializeToString(),
    ]
    found = decoded(
        decoder_of(Options(message="shop.Event", descriptor_set_file=described)), event(), *others, b"", event()
    )

    assert len(found.batches[0]) == 2
    assert rejected(found) == {"other_message_type": 3, "empty": 1}


def test_what_a_newer_producer_added_is_passed_over(described: Path) -> None:
    newer = event() + b"\xd2\x09\x03abc" + b"\xdb\x09\x08\x01\xdc\x09"  # number 154 a text, number 155 a group
    found = decoded(decoder_of(Options(message="shop.Event", descriptor_set_file=described)), newer)

    assert len(found.batches[0]) == 1


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (event()[:-3], "malformed_protobuf"),
        (event() + b"\xf7\x07", "malformed_protobuf"),
        (b"\x0a\x02\xff\xfe", "invalid_utf8"),
        (b"\x9b\x06" * 40, "too_deep"),
        (event() + b"\xd2\x09\x80\x80\x50" + bytes(5 << 18), "too_large"),
        (b"\x00\x00\x00\x00\x07\xff", "message_index_invalid"),
        (b"\x00\x00\x00\x00\x07\x02\x04" + event(), "other_message_type"),
    ],
)
def test_what_cannot_be_read_has_one_reason_and_costs_nothing_else(described: Path, raw: bytes, reason: str) -> None:
    decoder = decoder_of(Options(message="shop.Event", descriptor_set_file=described))
    found = decoded(decoder, event(), raw, event())

    assert rejected(found) == {reason: 1}
    assert len(found.batches[0]) == 2
    with pytest.raises(Rejected, match=reason):
        list(decoder.format.inspect(raw))


def test_a_frame_says_which_message_it_is(described: Path) -> None:
    framed = b"\x00\x00\x00\x00\x07\x02\x02" + event()  # the second message of its file
    decoder = decoder_of(Options(message="shop.Event", descriptor_set_file=described))

    assert len(decoded(decoder, framed, event()).batches[0]) == 2
    assert rejected(decoded(decoder, b"\x00\x00\x00\x00\x07\x00" + event())) == {"other_message_type": 1}
    (row,) = decoder.format.inspect(framed)
    assert row[("features", "age")] == 41.5
    assert row[("at",)] == "2026-11-23T12:00:00.000000123Z"


# --- a registry -------------------------------------------------------------------------------------------------------

GUID = UUID("0d0b4b7a-5ec1-4c3e-9d63-3f0e5f2f4a11")


def schema_of(file: Any, *references: tuple[str, str]) -> dict[str, Any]:
    text = base64.b64encode(file.SerializeToString()).decode()
    listed = [{"name": name, "subject": subject, "version": 1} for name, subject in references]
    return {"schema": text, "schemaType": "PROTOBUF", "references": listed}


def test_a_message_is_read_by_the_schema_it_was_written_by() -> None:
    """Number, then GUID in a header; an older schema without `rooms`; a reference; other messages, schemas, kinds."""
    older = events_file()
    older.message_type[0].field.pop()
    other = official.file_of("x.proto", "x", imports=(FILE,))
    official.declare(other.message_type.add(name="Event"), {"inner": ".shop.Event"})
    answers = {
        "/schemas/ids/1?format=serialized": schema_of(FILE),
        "/schemas/ids/2?format=serialized": schema_of(older),
        "/schemas/ids/3?format=serialized": {"schema": "{}", "schemaType": "JSON"},
        "/schemas/ids/4?format=serialized": {"schema": "syntax = 'proto3';", "schemaType": "PROTOBUF"},
        "/schemas/ids/5?format=serialized": schema_of(other, ("events.proto", "events")),
        "/subjects/events/versions/1?format=serialized&deleted=true": schema_of(FILE),
        f"/schemas/guids/{GUID}?format=serialized": schema_of(FILE),
    }
    with official.registry_of(answers) as url:
        decoder = decoder_of(Options.model_validate({"message": "shop.Event", "registry": {"url": url}}))
        named: Headers = [
            ("__value_schema_id", b"\x01" + bytes(16) + b"\x00"),
            ("__value_schema_id", b"\x01" + GUID.bytes + b"\x02\x02"),
        ]
        of_other: Headers = [("__value_schema_id", b"\x01" + GUID.bytes + b"\x00")]
        messages = [
            b"\0\0\0\0\x01\x02\x02" + event(),
            b"\0\0\0\0\x02\x02\x02" + event(features={"age": 7.0, "rooms": 3}),
            event(features={"age": 8.0}),
            event(),
            b"\0\0\0\0\x01\x00" + event(),
            b"\0\0\0\0\x03\x02\x02" + event(),
            b"\0\0\0\0\x04\x02\x02" + event(),
            b"\0\0\0\0\x05\x00",
            b"\0\0\0\0\x09\x02\x02" + event(),
            event(),
            None,
        ]
        headers: list[Headers] = [(), (), named, of_other, (), (), (), (), (), (), ()]
        found = decoded(decoder, *messages, headers=headers)

    assert decoder.wants is RecordParts.HEADERS
    assert found.batches[0].numeric[:, 0].tolist() == [41.5, 7.0, 8.0]
    assert found.batches[0].event_times.tolist() == [NOON + 123] * 3
    assert rejected(found) == {
        "other_message_type": 3,
        "other_schema_type": 1,
        "invalid_schema": 1,
        "unknown_schema": 1,
        "no_schema_id": 1,
    }


def test_rows_of_several_schemas_are_in_the_order_of_their_messages() -> None:
    older = events_file()
    older.message_type[0].field.pop()
    answers = {f"/schemas/ids/{number}?format=serialized": schema_of(file) for number, file in ((1, FILE), (2, older))}
    with official.registry_of(answers) as url:
        decoder = decoder_of(Options.model_validate({"message": "shop.Event", "registry": {"url": url}}))
        raw = [
            b"\0\0\0\0" + bytes([1 + at % 2]) + b"\x02\x02" + event(features={"age": float(at), "rooms": at + 1})
            for at in range(5)
        ]
        rows = decoder.format.decode(raw)

    assert rows.messages.tolist() == list(range(5))
    column = rows.column(("features", "age"))
    assert column is not None
    assert column.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]
    rooms = rows.column(("features", "rooms"))
    assert rooms is not None
    assert rooms.tolist() == [1, None, 3, None, 5]
    assert rows.values(1, [("id",), ("model",)]) == ["r-1", "churn"]
    assert len(set(rows.hashes(("id",)).tolist())) == 1


# --- descriptors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "message", "said"),
    [
        (b"nonsense", "shop.Event", "descriptor_set_file: .* is no set of Protobuf descriptors"),
        (b"", "shop.Event", "descriptor_set_file: .* holds no Protobuf descriptors"),
        (None, "shop.Event", "descriptor_set_file: .* cannot be read: No such file or directory"),
        (
            official.set_of(FILE),
            "shop.Evnt",
            "message: .* has no message shop.Evnt; it has shop.Event, shop.Features, shop.Refund",
        ),
        (official.set_of(all_kinds())[:-9], "pkg.All", "descriptor_set_file: .* is no set of Protobuf descriptors"),
    ],
)
def test_descriptors_that_cannot_be_used_are_said_in_a_line(
    tmp_path: Path, content: bytes | None, message: str, said: str
) -> None:
    path = tmp_path / "set.binpb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnknownFormatError, match=f"^protobuf: options.{said}") as caught:
        decoder_of(Options(message=message, descriptor_set_file=path))
    assert "\n" not in str(caught.value)


def test_a_set_without_its_imports_is_said_to_lack_them() -> None:
    file = official.file_of("m.proto", "m", imports=())
    official.declare(file.message_type.add(name="Event"), {"inner": ".elsewhere.Thing"})

    with pytest.raises(DescriptorError, match=r"lacks elsewhere.Thing, which m.Event uses: .*--include_imports"):
        Schema.of_set(official.set_of(file))


@pytest.mark.parametrize("number", [1, 2])
def test_a_map_whose_entries_have_no_key_or_no_value_is_none(number: int) -> None:
    file = official.file_of("m.proto", "m")
    official.declare(file.message_type.add(name="Event"), {"features": "map string double"})
    entry = file.message_type[0].nested_type[0]
    entry.field[number - 1].number = 7

    with pytest.raises(DescriptorError, match=f"has a map m.Event.{entry.name} without a key and a value"):
        Schema.of_set(official.set_of(file))


def test_a_set_may_bring_googles_own_messages_or_not() -> None:
    for imports in (True, False):
        schema = Schema.of_set(official.set_of(all_kinds(), imports=imports))
        assert schema.names == ["pkg.All", "pkg.Inner"]
        assert schema.message("google.protobuf.Timestamp").fields[1].name == "seconds"


def test_names_without_a_dot_are_those_of_the_innermost_scope() -> None:
    file = official.file_of("m.proto", "m", imports=())
    outer = file.message_type.add(name="Outer")
    official.declare(outer.nested_type.add(name="Inner"), {"a": "double"})
    official.declare(file.message_type.add(name="Inner"), {"b": "double"})
    official.declare(outer, {"held": ".Inner"})
    outer.field[0].type_name = "Inner"
    outer.field[0].ClearField("type")

    held = Schema.of_set(official.set_of(file)).message("m.Outer").fields[1].message

    assert held is not None
    assert held.name == "m.Outer.Inner"


def test_presence_is_what_an_edition_says() -> None:
    """FeatureSet.field_presence, by field over file: 1 is explicit, 2 implicit; message_encoding 2 writes messages as groups."""
    file = official.file_of("e.proto", "e", syntax="editions", imports=())
    file.edition = 1000
    official.declare(
        file.message_type.add(name="Event"), {"a": "double", "b": "double", "c": "double = 2.5", "d": ".e.Event"}
    )
    file.message_type[0].field[1].options.features.field_presence = 2
    file.message_type[0].field[3].options.features.message_encoding = 2
    message = Schema.of_set(official.set_of(file)).message("e.Event")

    reader = reading.PlannedReader(message, strict=False)
    assert reader.document(b"") == {"b": 0.0, "c": 2.5}
    assert reader.document(b"\x23\x09" + bytes(8) + b"\x24" + b"\x09" + bytes(8)) == {"a": 0.0, "b": 0.0, "c": 2.5}


def test_options_need_one_place_of_descriptors() -> None:
    for said in ({}, {"descriptor_set_file": "a", "registry": {"url": "http://r"}}):
        with pytest.raises(ValueError, match="exactly one of descriptor_set_file and registry"):
            Options.model_validate({"message": "a.B", **said})
    with pytest.raises(ValueError, match="message"):
        Options.model_validate({"descriptor_set_file": "a"})


# --- recognised, fuzzed -----------------------------------------------------------------------------------------------


def test_frames_with_fields_behind_them_are_recognised() -> None:
    def looks(*values: bytes) -> bool:
        return protobuf.recognises(TopicRecords("t", [0] * len(values), values))

    assert looks(b"\0\0\0\0\x07\x02\x02" + event(), b"\0\0\0\0\x07\x02\x02" + event())
    assert not looks(event())  # bare messages look like nothing
    assert not looks(b'{"a": 1}')
    assert not looks(b'\0\0\0\0\x07{"a": 1}')
    assert not looks(b"\0\0\0\0\x07\x00\x06abc")  # Avro
    assert not looks()


@pytest.mark.timeout(600)
@pytest.mark.usefixtures("compiled_parts")
def test_damaged_messages_do_no_harm_under_the_sanitizers(tmp_path: Path, way: str) -> None:
    if way == "plain":
        pytest.skip("of the compiled reader alone")
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=240)
    done = subprocess.run([program, str(seed), "60000"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
