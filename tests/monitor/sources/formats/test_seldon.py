"""What Seldon Core sends: version 1's request logger, version 2's data plane."""

import json
import struct

import pytest

from monitor.sources.formats import mlserver, seldon
from tests.inferences import Row, decoded, decoder_of, recorded, records, said, unpacked, why

STAMP = 1_767_225_600_000_000_000
SDK = recorded("kserve")
MODEL = "seldon.prod.model.churn"


def scores(*values: float) -> bytes:
    """ModelInferResponse{outputs: [{name: "p", datatype: "FP32", shape: [n, 1], contents.fp32_contents}]}, as its REST gateway makes it: no id, no model."""

    def part(number: int, held: bytes) -> bytes:
        return bytes([number << 3 | 2, len(held)]) + held

    numbers = b"".join(struct.pack("<f", value) for value in values)
    tensor = part(1, b"p") + part(2, b"FP32") + part(3, bytes([len(values), 1])) + part(5, part(6, numbers))
    return part(5, tensor)


def outputs(*values: bytes | None, topic: str = f"{MODEL}.outputs", **header: str) -> list[Row]:
    """The rows of records of the data plane."""
    headers = [{"pipeline": "churn", "x-request-id": "r-1"} | header for _ in values]
    return said(decoded(seldon, records(*values, topic=topic, headers=headers, stamps=[STAMP] * len(values))))


NARROW = [struct.unpack("<f", struct.pack("<f", value))[0] for value in (0.1, 0.2)]
ROWS = [
    {
        "ts": STAMP,
        "id": f"r-1#{at}",
        "model": "churn",
        "prediction": value,
        "seldon.namespace": "prod",
        "seldon.resource": "model",
        "half": "response",
    }
    for at, value in enumerate(NARROW)
]


def test_protobuf_of_the_data_plane() -> None:
    assert outputs(scores(0.1, 0.2)) == ROWS


@pytest.mark.parametrize(
    "frame",
    [b"\0\0\0\0\x07\0", b"\0\xff\xff\xff\xff\x02\x02", b"\0\x80\x80\0\x07\x04\0\0", b"\0\0\0\0\x07\x02\xac\x02"],
    ids=["first message", "second", "nested", "far"],
)
def test_framing_by_a_registry_may_differ_from_record_to_record(frame: bytes) -> None:
    assert outputs(frame + scores(0.1, 0.2), scores(0.1, 0.2)) == ROWS * 2


def test_json_of_a_producer_of_ones_own_framed_or_not() -> None:
    body = json.dumps({"outputs": [{"name": "p", "datatype": "FP32", "shape": [2, 1], "data": NARROW}]}).encode()

    assert outputs(body, b"\0\0\0\0\x07" + body) == ROWS * 2


def test_the_request_id_is_the_last_part_of_the_key_where_no_header_says_it() -> None:
    found = records(scores(0.1), topic=f"{MODEL}.outputs", keys=[b"3.churn.r-1.a"], stamps=[STAMP])

    assert [row["id"] for row in said(decoded(seldon, found))] == ["r-1.a#0"]


def test_topics_say_which_half_and_whose() -> None:
    (request,) = outputs(
        json.dumps({"inputs": [{"name": "x", "datatype": "FP64", "shape": [1], "data": [1.5]}]}).encode(),
        topic="ns.prod.pipeline.fraud.inputs",
    )

    assert (request["half"], request["model"], request["features.x"]) == ("request", "fraud", 1.5)
    assert request["seldon.resource"] == "pipeline"


def test_requests_by_protobuf() -> None:
    rows = outputs(unpacked(SDK["messages"]["request"]), topic=f"{MODEL}.inputs")

    assert [row.get("features.x") for row in rows] == [1.5, None]
    assert [row["features.plan"] for row in rows] == ["pro", "frée"]


def test_errors_of_pipelines_are_counted_apart() -> None:
    beside = [{"x-request-id": "r-1", "seldon-pipeline-errors": "churn"}]

    assert why(decoded(seldon, records(b"no", topic="seldon.prod.errors.errors", headers=beside))) == {
        "pipeline_error": 1
    }
    assert why(decoded(seldon, records(b"no", topic="seldon.prod.errors.errors"))) == {"pipeline_error": 1}
    assert why(decoded(seldon, records(b"no", topic=f"{MODEL}.outputs", headers=beside))) == {"pipeline_error": 1}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (scores(0.1, 0.2)[:-1], "malformed_protobuf"),
        (unpacked(SDK["messages"]["raw"]), "other_message_type"),  # a request
        (b"\x0a\x03abc", "other_message_type"),  # a model's name alone
        (b"\x08\x01", "other_message_type"),
        (b"\xff" * 30, "malformed_protobuf"),
        (b"\x2a\xff\xff\xff\xff\x7f", "malformed_protobuf"),  # claims 32 GB
        (b"\x03\x04", "malformed_protobuf"),  # a group
        (scores(0.1).replace(b"FP32", b"FP99"), "tensor_datatype_unknown"),
        (scores(0.1).replace(b"FP32", b"BOOL"), None),
        (scores(0.1).replace(b"\x1a\x02\x01\x01", b"\x1a\x02\x02\x01"), "tensor_shape_mismatch"),
        (b"\0\0\0\0\x07", "malformed_protobuf"),
        (None, "tombstone"),
    ],
)
def test_what_cannot_be_read_is_counted_and_the_rest_is_exact(body: bytes | None, reason: str | None) -> None:
    rows = decoded(
        seldon,
        records(scores(0.1), body, scores(0.2), topic=f"{MODEL}.outputs", headers=[{"x-request-id": "r"}] * 3),
    )

    assert why(rows) == ({reason: 1} if reason else {})
    assert [row["prediction"] for row in said(rows) if row["prediction"] in NARROW][
        :: 2 if reason is None else 1
    ] == NARROW


def test_protobuf_of_an_unknown_topic_is_not_guessed() -> None:
    assert why(decoded(seldon, records(scores(0.1), topic="mirror"))) == {"half_unknown": 1}


# --- version 1 --------------------------------------------------------------------------------------------------------


def logged(half: str, protocol: str = "seldon", **more: str) -> dict[str, str]:
    """The bare headers of version 1's logger."""
    return {
        "type": f"io.seldon.serving.inference.{half}",
        "content-type": "application/json",
        "modelid": "classifier",
        "requestid": "r-1",
        "inferenceservicename": "churn",
        "namespace": "prod",
        "endpoint": "default",
        "protocol": protocol,
    } | more


def first(half: str, body: object, protocol: str = "seldon", **options: object) -> list[Row]:
    """The rows of one record, what stands beside them left out."""
    found = records(json.dumps(body).encode(), headers=[logged(half, protocol)], stamps=[STAMP])
    return [
        {name: value for name, value in row.items() if not name.startswith("seldon.")}
        for row in said(decoded(seldon, found, **options))
    ]


BESIDE = {"ts": STAMP, "id": "r-1#0", "model": "churn"}


@pytest.mark.parametrize(
    "data",
    [
        {"names": ["age", "income"], "ndarray": [[41.5, None]]},
        {"names": ["age", "income"], "tensor": {"shape": [1, 2], "values": [41.5, None]}},
    ],
)
def test_its_own_protocol(data: object) -> None:
    assert first("request", {"data": data}) == [{**BESIDE, "features.age": 41.5, "half": "request"}]


def test_its_own_protocol_without_names_and_with_texts() -> None:
    assert first("request", {"data": {"ndarray": [[1, "pro"]]}}) == [
        {**BESIDE, "features.x0": 1.0, "features.x1": "pro", "half": "request"}
    ]


def test_its_answers() -> None:
    assert first("response", {"data": {"names": ["p"], "ndarray": [[0.5]]}, "meta": {}}) == [
        {**BESIDE, "prediction": 0.5, "half": "response"}
    ]
    two = {"data": {"names": ["t:0", "t:1"], "tensor": {"shape": [1, 2], "values": [0.25, 0.75]}}}
    (row,) = first("response", two, prediction="t:1")
    assert (row["prediction"], row["outputs.t:0"]) == (0.75, 0.25)


def test_other_protocols_by_their_header() -> None:
    assert first("request", {"instances": [[1.5]]}, "tensorflow")[0]["features.x0"] == 1.5
    v2 = {"inputs": [{"name": "a", "shape": [1], "datatype": "FP64", "data": [1.5]}]}
    assert first("request", v2, "v2")[0]["features.a"] == 1.5


@pytest.mark.parametrize(
    ("half", "body", "reason"),
    [
        ("request", {"strData": "x"}, "not_inference"),
        ("request", {"data": {"tensor": {"shape": [2, 2], "values": [1]}}}, "tensor_shape_mismatch"),
        ("request", {"data": {"ndarray": []}}, "no_rows"),
        ("feedback", {}, "other_event_type"),
    ],
)
def test_what_is_no_call(half: str, body: object, reason: str) -> None:
    found = records(json.dumps(body).encode(), headers=[logged(half)])

    assert why(decoded(seldon, found)) == {reason: 1}


def test_what_stands_beside_can_be_mapped() -> None:
    found = records(b'{"data":{"ndarray":[[1]]}}', headers=[logged("request")])

    (row,) = said(decoded(seldon, found))

    assert (row["seldon.modelid"], row["seldon.namespace"]) == ("classifier", "prod")


def test_the_topic_of_the_configuration_is_known_without_records() -> None:
    assert len(decoder_of(seldon, topic=f"{MODEL}.outputs").decode([scores(0.1)])) == 1


def test_it_is_recognised_and_nothing_else_is() -> None:
    assert seldon.recognises(records(b'{"data":{"ndarray":[[1]]}}', headers=[logged("request")]))
    plane = records(scores(0.1), topic=f"{MODEL}.outputs", headers=[{"x-request-id": "r"}])
    assert seldon.recognises(plane)
    assert not mlserver.recognises(plane)
    assert not seldon.recognises(records(b'{"id":"r-1","features":{"a":1}}'))
    assert not seldon.recognises(records())
