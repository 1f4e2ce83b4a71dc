"""Events as the binding says and as its SDK writes them, around messages of other formats."""

import base64
import json
import struct
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from monitor.settings.schema import TopicSettings
from monitor.sources.base import Headers, TopicRecords
from monitor.sources.formats import cloudevents
from monitor.sources.formats.base import Rows
from tests.inferences import decoded, decoder_of, records, said, why
from tests.parts import protobuf as official

TIME = "2026-01-01T00:00:00Z"
ROW = {"features": {"age": 41.5}, "prediction": 0.5}
BODY = json.dumps(ROW).encode()
HEADERS = {"ce_specversion": "1.0", "ce_id": "r-1", "ce_type": "scored", "ce_source": "/scorer", "ce_time": TIME}
EVENT = {name.removeprefix("ce_"): value for name, value in HEADERS.items()}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}
BATCHED = {"content-type": "application/cloudevents-batch+json"}


def values(rows: Rows, *paths: str) -> list[list[Any]]:
    """What rows hold at dotted paths."""
    split = [tuple(path.split(".")) for path in paths]
    return [rows.values(at, split) for at in range(len(rows))]


def read(*each: tuple[bytes | None, dict[str, str]], **options: Any) -> Rows:
    """The rows of records."""
    return decoded(cloudevents, records(*(body for body, _ in each), headers=[beside for _, beside in each]), **options)


SHOWN = "id", "ts", "features.age", "prediction", "ce.type", "ce.source"
WANTED = ["r-1", TIME, 41.5, 0.5, "scored", "/scorer"]


def test_binary_mode() -> None:
    assert values(read((BODY, HEADERS)), *SHOWN) == [WANTED]


def test_structured_mode() -> None:
    assert values(read((json.dumps(EVENT | {"data": ROW}).encode(), STRUCTURED)), *SHOWN) == [WANTED]


def test_data_in_base64() -> None:
    held = EVENT | {"data_base64": base64.b64encode(BODY).decode()}

    assert values(read((json.dumps(held).encode(), STRUCTURED)), *SHOWN) == [WANTED]


def test_batched_mode_is_an_event_each() -> None:
    batch = [EVENT | {"data": ROW}, {"data": ROW}, EVENT | {"id": "r-2", "data": ROW}]

    rows = read((BODY, HEADERS), (json.dumps(batch).encode(), BATCHED))

    assert values(rows, "id") == [["r-1"], ["r-1"], ["r-2"]]
    assert rows.messages.tolist() == [0, 1, 1]
    assert why(rows) == {"not_cloudevent": 1}


def test_a_value_that_looks_like_an_envelope_is_one_whatever_its_headers_say() -> None:
    """The SDK's from_kafka decides by headers, and takes the envelope for data."""
    value = json.dumps(EVENT | {"id": "inner", "data": ROW}).encode()

    assert values(read((value, HEADERS)), "id", "features.age") == [["inner", 41.5]]


def test_structured_is_decided_by_the_content_type_and_not_by_headers() -> None:
    value = json.dumps(EVENT | {"id": "inner", "data": ROW}).encode()

    assert values(read((value, HEADERS | STRUCTURED)), "id") == [["inner"]]


@pytest.mark.parametrize("structured", [False, True])
@pytest.mark.usefixtures("compiled_parts")
def test_data_that_was_read_ahead_is_not_read_again(tmp_path: Path, structured: bool) -> None:
    """Threads that read ahead know no headers: what a value holds by its look is compared with what it turns out to hold."""
    file = official.file_of("events.proto", "shop")
    official.declare(file.message_type.add(name="Event"), {"age": "double"})
    path = tmp_path / "events.binpb"
    path.write_bytes(FileDescriptorSet(file=[file]).SerializeToString())
    options = {"message": "shop.Event", "descriptor_set_file": path}
    decoder = decoder_of(cloudevents, of="protobuf", options=options)
    bodies = [b"\x09" + struct.pack("<d", age) for age in (41.5, 18.0)]
    written = [json.dumps(EVENT | {"data_base64": base64.b64encode(body).decode()}).encode() for body in bodies]
    held = written if structured else bodies

    ahead = decoder.prepare(held, 0)
    found = replace(records(*held, headers=[STRUCTURED if structured else HEADERS] * 2), values=held, prepared=ahead)
    rows = decoder.decode_records(found)
    others = decoder.decode_records(replace(found, headers=[[], []]))

    assert values(rows, "age", "ce.id") == [[41.5, "r-1"], [18.0, "r-1"]]
    (part,) = ahead.prepared.groups.values()
    assert rows.inner.columns is part.rows.columns
    assert ahead.nbytes >= (2 * len(bodies[0]) if structured else 1)
    assert len(others) == (2 if structured else 0)  # without headers those in binary mode are no events


@pytest.mark.parametrize("of", ["json", "json-batch", "json-lines"])
def test_data_of_many_events_is_not_read_ahead(of: str) -> None:
    """Formats that cut messages read ahead what they cut, with a reader of it, which there is none of within an envelope."""
    decoder = decoder_of(cloudevents, of=of)
    held = [BODY, json.dumps(EVENT | {"data": ROW}).encode(), None]

    ahead = decoder.prepare(held, 0)
    rows = decoder.decode_records(
        replace(records(*held, headers=[HEADERS, STRUCTURED, {}]), values=held, prepared=ahead)
    )

    assert values(rows, "ce.id", "features.age") == [["r-1", 41.5]] * 2


def test_what_merely_speaks_of_it_is_data() -> None:
    value = json.dumps(ROW | {"specversion": "2"}).encode()

    assert values(read((value, HEADERS)), "id", "features.age") == [["r-1", 41.5]]


def test_files_have_structured_events() -> None:
    rows = decoder_of(cloudevents).decode([json.dumps(EVENT | {"data": ROW}).encode(), BODY])

    assert values(rows, *SHOWN) == [WANTED]
    assert why(rows) == {"not_cloudevent": 1}


def test_the_messages_own_id_and_time_win() -> None:
    own = json.dumps(ROW | {"id": "mine", "ts": 1_767_225_600_123}).encode()

    assert values(read((own, HEADERS), (BODY, HEADERS)), "id", "ts") == [["mine", 1_767_225_600_123], ["r-1", TIME]]


def test_extensions_are_attributes_and_http_names_are_unescaped() -> None:
    headers = {"ce-id": "a%20b", "CE-Type": "t", "ce_tenant": "a%20b"}

    assert values(read((BODY, headers)), "id", "ce.tenant", "ce.type") == [["a b", "a%20b", "t"]]


def test_around_requests_and_answers() -> None:
    body = b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP64","data":[1.5,2.5]}]}'
    rows = read((body, HEADERS | {"ce_time": TIME}), of="mlserver")

    assert values(rows, "id", "features.x", "ce.type") == [["r-1#0", 1.5, "scored"], ["r-1#1", 2.5, "scored"]]
    assert rows.halves is not None
    assert [row["half"] for row in said(rows)] == ["request", "request"]
    assert values(rows.take(rows.messages[1:] + 1), "id") == [["r-1#1"]]
    assert rows.column(("ts",)).tolist() == [TIME, TIME]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (BODY, {}, "not_cloudevent"),
        (BODY, STRUCTURED, "not_cloudevent"),
        (b"{", STRUCTURED, "malformed_json"),
        (b"[1]", BATCHED, "malformed_json"),
        (b"{}", BATCHED, "malformed_json"),
        (json.dumps(EVENT).encode(), STRUCTURED, "data_missing"),
        (json.dumps(EVENT | {"data": None}).encode(), STRUCTURED, "data_missing"),
        (json.dumps(EVENT | {"data_base64": "?"}).encode(), STRUCTURED, "malformed_base64"),
        (json.dumps(EVENT | {"data_base64": 7}).encode(), STRUCTURED, "malformed_base64"),
        (
            json.dumps(EVENT | {f"e{at}": 1 for at in range(200)} | {"data": ROW}).encode(),
            STRUCTURED,
            "too_many_attributes",
        ),
        (BODY, {"content-type": "application/cloudevents+avro"}, "cloudevents_encoding"),
        (b"{", HEADERS, "malformed_json"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, STRUCTURED, "too_deep"),
        (b" " * (1 << 21), STRUCTURED, "too_large"),
        (b"", HEADERS, "empty"),
        (None, HEADERS, "tombstone"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_is_exact(
    body: bytes | None, headers: dict[str, str], reason: str
) -> None:
    rows = read((BODY, HEADERS), (body, headers), (BODY, HEADERS))

    assert values(rows, *SHOWN) == [WANTED, WANTED]
    assert rows.messages.tolist() == [0, 2]
    assert why(rows) == {reason: 1}


def test_inspection_says_what_decoding_does() -> None:
    found = records(json.dumps(EVENT | {"data": ROW}).encode(), headers=[STRUCTURED])

    (row,) = decoder_of(cloudevents).inspect_record(found)

    paths = [tuple(path.split(".")) for path in SHOWN]
    assert [row.get(path) for path in paths] == WANTED
    assert ("ce", "type") in set(row)


# --- what the SDK writes ----------------------------------------------------------------------------------------------


def by_sdk(mode: str, data: Any, **attributes: Any) -> TopicRecords:
    """A record as the SDK makes it."""
    from cloudevents.core.bindings import kafka
    from cloudevents.core.formats.json import JSONFormat
    from cloudevents.core.v1.event import CloudEvent

    event = CloudEvent(
        {"id": "r-1", "type": "scored", "source": "/scorer", "time": datetime(2026, 1, 1, tzinfo=UTC), **attributes},
        data,
    )
    message = getattr(kafka, f"to_{mode}")(event, JSONFormat())
    headers: Headers = list(message.headers.items())
    value = message.value if isinstance(message.value, bytes) else str(message.value).encode()
    return TopicRecords("t", [0], [value], headers=[headers])


@pytest.mark.parametrize("mode", ["binary", "structured"])
@pytest.mark.parametrize("data", [ROW, BODY], ids=["object", "bytes"])
def test_events_of_the_sdk(mode: str, data: Any) -> None:
    """Bytes become data_base64, even of JSON."""
    pytest.importorskip("cloudevents")

    rows = decoded(cloudevents, by_sdk(mode, data, datacontenttype="application/json", flag=True))

    assert values(rows, "id", "features.age", "ce.type") == [["r-1", 41.5, "scored"]]
    assert str(values(rows, "ce.flag")[0][0]).lower() == "true"  # `True` in binary mode
    assert values(rows, "ts")[0][0].replace("+00:00", "Z") == TIME


# --- its options ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"of": "kserv"}, "must be one of"),
        ({"of": "cloudevents"}, "must be another format"),
        ({"of": "json", "options": {"a": 1}}, "format json takes no options"),
        ({"of": "mlserver", "options": {"column": []}}, "column"),
    ],
)
def test_wrong_options_are_said(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TopicSettings.model_validate({"name": "t", "format": "cloudevents", "options": options})


def test_options_reach_the_format_inside() -> None:
    settings = TopicSettings.model_validate(
        {"name": "t", "format": "cloudevents", "options": {"of": "kserve", "options": {"columns": ["age"]}}}
    )

    assert settings.options.options.columns == ["age"]


def test_it_is_recognised_and_json_events_are_not() -> None:
    assert cloudevents.recognises(records(BODY, headers=[HEADERS]))
    assert cloudevents.recognises(records(json.dumps(EVENT | {"data": ROW}).encode()))
    assert not cloudevents.recognises(records(BODY))
    assert not cloudevents.recognises(records())
