"""What KServe's inference logger sends, and what its SDK writes."""

import base64
import gzip
import json
import struct

import pytest

from monitor.sources.formats import kserve
from monitor.sources.formats.values import parse_time
from tests.inferences import decoded, decoder_of, features, recorded, records, said, unpacked, why

TIME, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:01Z"
TS, TS_LATER = parse_time(TIME), parse_time(LATER)
SDK = recorded("kserve")
REQUEST = b'{"instances":[[1.5,null]]}'
BINARY = (
    b'{"inputs":[{"name":"x","shape":[2],"datatype":"FP64","parameters":{"binary_data_size":16}}]}'
    + bytes.fromhex("000000000000f83f000000000000f87f")
)


def event(
    half: str = "request", own: str = "r-1", time: str | None = TIME, prefix: str = "ce_", **more: str
) -> dict[str, str]:
    """The headers of an event of the logger."""
    attributes = {
        "specversion": "1.0",
        "id": own,
        "type": f"org.kubeflow.serving.inference.{half}",
        "source": "http://localhost:9081/",
    }
    if time is not None:
        attributes["time"] = time
    attributes |= {
        "inferenceservicename": "churn",
        "component": "predictor",
        "endpoint": "default",
        "namespace": "prod",
    } | more
    return {f"{prefix}{name}": value for name, value in attributes.items()}


def test_request_and_answer_are_two_halves_of_one_id() -> None:
    rows = decoded(
        kserve, records(REQUEST, b'{"predictions":[0.83]}', headers=[event(), event("response", time=LATER)])
    )

    beside = {
        "id": "r-1#0",
        "model": "churn",
        "kserve.component": "predictor",
        "kserve.endpoint": "default",
        "kserve.inferenceservicename": "churn",
        "kserve.namespace": "prod",
        "kserve.source": "http://localhost:9081/",
    }
    assert said(rows) == [
        {**beside, "ts": TS, "features.x0": 1.5, "half": "request"},
        {**beside, "ts": TS_LATER, "prediction": 0.83, "half": "response"},
    ]


def test_names_of_columns_are_the_users() -> None:
    rows = decoded(kserve, records(REQUEST, headers=[event()]), columns=["age", "income"])

    assert features(rows) == [{"age": 1.5}]


@pytest.mark.parametrize("prefix", ["ce_", "ce-", "Ce-"])
def test_headers_as_kafka_and_as_http_call_them(prefix: str) -> None:
    assert features(decoded(kserve, records(REQUEST, headers=[event(prefix=prefix)]))) == [{"x0": 1.5}]


def test_binary_tensors_without_the_length_of_their_header() -> None:
    """The length stands in a header of HTTP that the logger does not pass on."""
    rows = decoded(kserve, records(BINARY, headers=[event()]))

    assert features(rows) == [{"x": 1.5}, {}]
    assert [row["id"] for row in said(rows)] == ["r-1#0", "r-1#1"]


def test_a_json_answer_to_a_binary_request_bears_the_requests_label() -> None:
    headers = [event("response") | {"content-type": "application/octet-stream"}]

    assert said(decoded(kserve, records(b'{"predictions":[0.5]}', headers=headers)))[0]["prediction"] == 0.5


def test_a_zipped_answer_has_no_label_at_all() -> None:
    body = gzip.compress(b'{"predictions":[0.5]}', mtime=0)

    assert said(decoded(kserve, records(body, headers=[event("response")])))[0]["prediction"] == 0.5


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b" " * (1 << 25), mtime=0), "too_large"),
        (gzip.compress(REQUEST, mtime=0)[:-9], "malformed_gzip"),
        (b"\x1f\x8bno", "malformed_gzip"),
        (gzip.compress(REQUEST, mtime=0) * 2, "malformed_gzip"),
        (BINARY[:-1], "tensor_bytes_missing"),
        (BINARY + b"1", "trailing_bytes"),
        (b'{"predictions":[0.5]}', "not_inference"),  # of a request
        (b'{"instances":[]}', "no_rows"),
        (b'{"instances":[[1,2],[3]]}', "tensor_shape_mismatch"),
        (b'{"instances":', "malformed_json"),
        (b'{"a":"' + b'\\"' * 400_000, "malformed_json"),
        (b'{"a":' * 40 + b"1" + b"}" * 40, "too_deep"),
        (b"", "empty"),
        (None, "tombstone"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_is_exact(body: bytes | None, reason: str) -> None:
    rows = decoded(kserve, records(REQUEST, body, REQUEST, headers=[event(own="a"), event(own="b"), event(own="c")]))

    assert [row["id"] for row in said(rows)] == ["a#0", "c#0"]
    assert rows.messages.tolist() == [0, 2]
    assert why(rows) == {reason: 1}


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (event("feedback"), "other_event_type"),
        (event(own=""), "id_missing"),
        (event(time="yesterday"), "timestamp_invalid"),
        ({"content-type": "application/json"}, "not_cloudevent"),
    ],
)
def test_other_events(headers: dict[str, str], reason: str) -> None:
    assert why(decoded(kserve, records(REQUEST, headers=[headers]))) == {reason: 1}


def test_structured_events_stand_alone() -> None:
    held = {name.removeprefix("ce_"): value for name, value in event().items()}
    values = [
        json.dumps(held | {"data": json.loads(REQUEST)}),
        json.dumps(held | {"data_base64": base64.b64encode(BINARY).decode()}),
    ]

    rows = decoder_of(kserve).decode([each.encode() for each in values])

    assert features(rows) == [{"x0": 1.5}, {"x": 1.5}, {}]
    assert {row["ts"] for row in said(rows)} == {TS}


def test_stored_rows_as_json() -> None:
    row = {
        "url": "http://logger",
        "bytes": base64.b64encode(REQUEST).decode(),
        "contentType": "application/json",
        "reqType": "org.kubeflow.serving.inference.request",
        "id": "r-1",
        "sourceUri": "http://localhost:9081/",
        "inferenceService": "churn",
        "namespace": "prod",
        "component": "predictor",
        "endpoint": "default",
        "metadata": "{}",
        "occurrenceTime": TIME,
    }

    (found,) = said(decoder_of(kserve).decode([json.dumps(row).encode()]))

    assert (found["ts"], found["id"], found["model"], found["features.x0"]) == (TS, "r-1#0", "churn", 1.5)
    assert found["kserve.component"] == "predictor"
    assert why(decoder_of(kserve).decode([json.dumps(row | {"bytes": "?"}).encode()])) == {"malformed_base64": 1}


def test_the_body_names_its_model_apart() -> None:
    (row,) = said(
        decoded(
            kserve,
            records(
                unpacked(SDK["bodies"]["answer"])[:0]
                + b'{"model_name":"v7","outputs":[{"name":"p","datatype":"FP32","shape":[1],"data":[1]}]}',
                headers=[event("response")],
            ),
        )
    )

    assert (row["model"], row["kserve.model_name"]) == ("churn", "v7")


# --- what the SDK writes ----------------------------------------------------------------------------------------------


def of_sdk(name: str, half: str = "request", **options: object) -> list[dict[str, object]]:
    """The rows of a body that the SDK wrote."""
    return said(decoded(kserve, records(unpacked(SDK["bodies"][name]), headers=[event(half)]), **options))


def test_the_sdk_sends_binary_tensors_as_a_rule() -> None:
    first, second = features(decoded(kserve, records(unpacked(SDK["bodies"]["binary"]), headers=[event()])))

    assert first == {"x": 1.5, "half": 0.0999755859375, "n": 1, "flag": True, "plan": "pro"}
    assert second == {"half": 2.0, "n": 2**53 + 1, "flag": False, "plan": "frée"}


def test_a_missing_text_of_the_sdk_is_a_word() -> None:
    """Nothing on the wire tells it from the word; who knows better says so."""
    assert [row.get("features.plan") for row in of_sdk("missing_texts")] == ["pro", "None", "nan", "frée"]
    assert [row.get("features.plan") for row in of_sdk("missing_texts", missing=["None", "nan"])] == [
        "pro",
        None,
        None,
        "frée",
    ]


def test_wide_tensors_of_the_sdk() -> None:
    assert features(decoded(kserve, records(unpacked(SDK["bodies"]["plain"]), headers=[event()]))) == [
        {"wide[0]": 0.10000000149011612, "wide[1]": 0.20000000298023224},
        {"wide[0]": 0.30000001192092896, "wide[1]": 0.4000000059604645},
    ]


@pytest.mark.parametrize("name", ["answer", "binary_answer"])
def test_answers_of_the_sdk(name: str) -> None:
    assert [row["prediction"] for row in of_sdk(name, "response")] == [0.10000000149011612, 0.30000001192092896]


@pytest.mark.parametrize("name", ["answer", "raw_answer"])
def test_answers_by_grpc(name: str) -> None:
    rows = decoded(kserve, records(unpacked(SDK["messages"][name]), headers=[event("response")]))

    assert [row["prediction"] for row in said(rows)] == [
        struct.unpack("<f", struct.pack("<f", x))[0] for x in (0.1, 0.3)
    ]


def test_requests_by_grpc() -> None:
    first, second = features(decoded(kserve, records(unpacked(SDK["messages"]["request"]), headers=[event()])))

    assert first == {"x": 1.5, "n": 1, "big": -(2**53) - 1, "u": 2**64 - 1, "flag": True, "plan": "pro"}
    assert second == {"n": -2, "big": 7, "u": 7, "flag": False, "plan": "frée"}


def test_requests_by_grpc_with_raw_contents() -> None:
    rows = decoded(kserve, records(unpacked(SDK["messages"]["raw"]), headers=[event()]))

    assert [list(row.values()) for row in features(rows)] == [
        [0.10000000149011612, 0.20000000298023224],
        [0.30000001192092896, 0.4000000059604645],
    ]


def test_it_is_recognised_and_json_events_are_not() -> None:
    assert kserve.recognises(records(REQUEST, headers=[event()]))
    assert not kserve.recognises(records(b'{"id":"r-1","ts":1,"features":{"a":1}}'))
    assert not kserve.recognises(records())
