"""SageMaker's data capture: calls of CSV, JSON and base64, and ground truth as labels."""

import base64
import json
from typing import Any

import numpy as np
import pytest

from detectors.sketches.identity import wide_hashes_of
from monitor.facts import EventsRejected
from monitor.series.truth import BINARY, Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.formats.fields import FieldMap
from monitor.stream.events import MINUTE, SECOND, SeriesKey
from tests.fakes import NOON
from tests.logged import decoded, documents, looks_like, reasons

TIME = "2026-11-01T12:00:00Z"


def part(data: Any, encoding: str = "CSV", kind: str | None = "text/csv") -> dict[str, Any]:
    about = {} if kind is None else {"observedContentType": kind}
    return {**about, "mode": "INPUT", "data": data, "encoding": encoding}


def call(asked: Any = None, told: Any = None, **about: Any) -> dict[str, Any]:
    captured = {"endpointInput": asked, "endpointOutput": told}
    return {
        "captureData": {name: value for name, value in captured.items() if value is not None},
        "eventMetadata": {"eventId": "e-1", "inferenceTime": TIME} | about,
        "eventVersion": "0",
    }


@pytest.mark.parametrize("told", ["0.02,0.9", "0.02\n0.9", "0.02\n0.9\n"])
def test_several_lines_of_csv_in_one_call_are_several_rows(told: str) -> None:
    """A line end behind the last one is no row, and answers come as lines or as the cells of one."""
    rows = documents("sagemaker-capture", call(part("69,0,153.7\n70,1,1.5\n"), part(told)), columns=["a", "b", "c"])

    assert rows == [
        {"ts": TIME, "id": "e-1#0", "features": {"a": 69, "b": 0, "c": 153.7}, "prediction": 0.02},
        {"ts": TIME, "id": "e-1#1", "features": {"a": 70, "b": 1, "c": 1.5}, "prediction": 0.9},
    ]


def test_columns_without_names_are_numbered_and_a_single_row_keeps_its_id() -> None:
    assert documents("sagemaker-capture", call(part("69,,pro"), part("0.5\n"))) == [
        {"ts": TIME, "id": "e-1", "features": {"x0": 69, "x1": None, "x2": "pro"}, "prediction": 0.5}
    ]


def test_the_id_that_the_caller_gave_is_the_one_that_ground_truth_names() -> None:
    (row,) = documents("sagemaker-capture", call(part("1"), part("1"), inferenceId="mine"))

    assert row["id"] == "mine"


@pytest.mark.parametrize(
    ("asked", "options"),
    [
        (part("age,plan\n3,pro\n"), {"header": True}),
        (part("age,plan\n3,pro\n"), {"columns": ["age", "plan"]}),
        (part("3,pro"), {"columns": ["age", "plan"]}),
        (part("age,plan\r\n3,pro\r\n", kind="text/csv; header=present"), {}),
        (part('{"instances": [{"age": 3, "plan": "pro"}]}', "JSON", "application/json"), {}),
        (part('{"instances": [[3, "pro"]]}', "JSON", "application/json"), {"columns": ["age", "plan"]}),
        (part('{"instances": [{"features": [3, "pro"]}]}', "JSON", "application/json"), {"columns": ["age", "plan"]}),
        (part('{"features": [3, "pro"]}', "JSON", "application/jsonlines"), {"columns": ["age", "plan"]}),
        (part('[3, "pro"]', "JSON", "application/json"), {"columns": ["age", "plan"]}),
        (part({"age": 3, "plan": "pro"}, "JSON", "application/json"), {}),
        (part(base64.b64encode(b"3,pro\n").decode(), "BASE64"), {"columns": ["age", "plan"]}),
        (part(base64.b64encode(b'{"age": 3, "plan": "pro"}').decode(), "BASE64", "application/json"), {}),
        (part(base64.b64encode(b'{"age": 3, "plan": "pro"}').decode(), "BASE64", None), {}),
        (part(base64.b64encode(b"3,pro").decode(), "BASE64", None), {"columns": ["age", "plan"]}),
    ],
)
def test_a_request_is_read_in_all_ways_that_it_is_captured_in(asked: dict[str, Any], options: dict[str, Any]) -> None:
    (row,) = documents("sagemaker-capture", call(asked, part("0.5")), **options)

    assert row["features"] == {"age": 3, "plan": "pro"}
    assert row["prediction"] == 0.5


def test_json_lines_in_one_call_are_rows() -> None:
    asked = part('{"features": [1, 2]}\n{"features": [3, 4]}\n', "JSON", "application/jsonlines")
    rows = documents("sagemaker-capture", call(asked, part('{"score": 0.1}\n{"score": 0.9}\n', "JSON")))

    assert [(row["features"], row["prediction"]) for row in rows] == [
        ({"x0": 1, "x1": 2}, 0.1),
        ({"x0": 3, "x1": 4}, 0.9),
    ]


def test_the_prediction_is_one_of_several_outputs_by_name_or_by_place() -> None:
    linear = part('{"predictions": [{"score": 0.9, "predicted_label": 1}]}', "JSON", "application/json")
    (named,) = documents("sagemaker-capture", call(part("1"), linear), prediction="predicted_label")
    (placed,) = documents("sagemaker-capture", call(part("1"), part("0.1,0.9")), prediction="1")
    (unnamed,) = documents("sagemaker-capture", call(part("1"), part("0.1,0.9")))

    assert (named["prediction"], named["outputs"]) == (1, {"score": 0.9, "predicted_label": 1})
    assert placed["prediction"] == 0.9
    assert unnamed["prediction"] == unnamed["outputs"] == [0.1, 0.9]


def test_what_was_not_captured_is_absent() -> None:
    (asked,) = documents("sagemaker-capture", call(part("1")))
    (told,) = documents("sagemaker-capture", call(told=part("0.5")))

    assert "prediction" not in asked
    assert "features" not in told  # rejected as features_missing by the mapping, and not missing one by one


def test_ground_truth_is_a_label_by_the_id_of_the_call() -> None:
    truth = {
        "groundTruthData": {"data": "1", "encoding": "CSV"},
        "eventMetadata": {"eventId": "e-1"},
        "eventVersion": "0",
    }
    several = {"groundTruthData": {"data": "1\n0\n", "encoding": "CSV"}, "eventMetadata": {"eventId": "e-2"}}

    assert documents("sagemaker-capture", truth, several) == [
        {"ts": None, "id": "e-1", "label": 1},
        {"ts": None, "id": "e-2#0", "label": 1},
        {"ts": None, "id": "e-2#1", "label": 0},
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"captureData": {}}, "event_metadata_missing"),
        ({"eventMetadata": {"eventId": "e"}}, "capture_data_missing"),
        (call(), "no_rows"),
        (call(part("")), "no_rows"),
        (call(part("1\n2"), part("1\n2\n3")), "rows_mismatch"),
        (call(part("1,2\n3")), "columns_mismatch"),
        (call(part("{", "JSON")), "payload_malformed"),
        (call(part("%%%", "BASE64")), "payload_malformed"),
        (call(part(base64.b64encode(b"\x93NUMPY\xff").decode(), "BASE64", "application/x-npy")), "payload_malformed"),
        (call(part(base64.b64encode(b"abc").decode(), "BASE64", "application/x-npy")), "encoding_unsupported"),
        (call(part("1", "PARQUET")), "encoding_unsupported"),
        (call(part(7)), "payload_shape_unknown"),
        (call(part(json.dumps([[[[1]]]] * 2)[:-1] + "[" * 40, "JSON")), "too_deep"),
        (call(part("1\n" * 10_001)), "too_many_rows"),
        (call(part("1," * 10_001)), "too_many_columns"),
        ([{"prefix": "s3://bucket/"}, "part-0.csv"], "not_object"),  # the manifest of a batch transform
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("sagemaker-capture", message) == {reason: 1}


def test_a_row_of_other_columns_than_are_named_is_refused_and_not_shifted() -> None:
    assert decoded("sagemaker-capture", call(part("1,2")), columns=["a", "b", "c"]).rejected == {"columns_mismatch": 1}


def test_it_is_recognised() -> None:
    truth = {"groundTruthData": {"data": "1", "encoding": "CSV"}, "eventMetadata": {"eventId": "e-1"}}

    assert looks_like(call(part("1"), part("1"))) == ["sagemaker-capture"]
    assert looks_like(truth, truth) == ["sagemaker-capture"]
    assert looks_like(call(part("1")), {"ts": 1, "model": "churn", "features": {}}) == []


def truth(of: str, data: str, **about: Any) -> bytes:
    held = {"data": data, "encoding": "CSV"}
    return json.dumps(
        {"groundTruthData": held, "eventMetadata": {"eventId": of, **about}, "eventVersion": "0"}
    ).encode()


def test_ground_truth_on_a_topic_of_labels_has_the_time_of_its_record() -> None:
    """Each line of it is a label of its own, which joins the row of the call in that place."""
    fields = FieldMap(features=(), label=("label",), model_is="churn")
    versions = {"churn": [SeriesKey("churn", "1")]}
    decoder = LabelDecoder("t", {"churn": Truth(BINARY)}, versions, fields, MINUTE, "sagemaker-capture")
    values = [truth("e-1", "1"), truth("e-2", "1\n0\n"), b"{}"]
    stamps = [NOON, NOON + SECOND, NOON]
    found = decoder.decode(TopicRecords("t", [0, 0, 0], values, numbers=range(3), stamps=stamps), NOON)

    labels = np.concatenate([join.labels for join in found.joins])
    assert labels["value"].tolist() == [1, 1, 0]
    assert labels["time"].tolist() == [NOON, NOON + SECOND, NOON + SECOND]
    assert EventsRejected("t", "event_metadata_missing", 1) in found.facts
    assert labels["high"].tolist() == wide_hashes_of(np.array(["e-1", "e-2#0", "e-2#1"], dtype=object), 3)[0].tolist()
