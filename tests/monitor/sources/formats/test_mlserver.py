"""What MLServer writes: its codecs' tensors, its Kafka server's records."""

import json

import pytest

from monitor.sources.formats import mlserver
from tests.inferences import Row, decoded, decoder_of, features, recorded, records, said, why

WROTE = recorded("mlserver")


def of_body(body: str, **options: object) -> list[Row]:
    """The features of a body's rows."""
    return features(decoded(mlserver, records(body.encode()), **options))


def test_null_is_missing_whatever_the_datatype() -> None:
    """The libraries read it as an error, as False, as None and as NaN."""
    for datatype, value in (("FP64", 1.5), ("INT64", 3), ("BOOL", True), ("BYTES", "pro"), ("UINT8", 4)):
        tensor = {"name": "a", "shape": [2, 1], "datatype": datatype, "data": [value, None]}

        assert of_body(json.dumps({"inputs": [tensor]})) == [{"a": value}, {}], datatype


def test_infinity_and_nan_of_a_frame_are_null() -> None:
    assert of_body(WROTE["pandas"]["numbers"]) == [
        {"a": 1.5, "n": 1.0, "t": True},
        {"n": 2.0, "t": False},
        {"n": 3.0, "t": True},
    ]


def test_cells_of_a_mixed_column_are_each_a_document() -> None:
    assert of_body(WROTE["pandas"]["mixed"]) == [{"s": "pro", "a": 0.5}, {"s": 1, "a": 0.25}]


def test_documents_that_are_none_stay_what_they_are() -> None:
    tensor = {
        "name": "s",
        "shape": [4],
        "datatype": "BYTES",
        "parameters": {"content_type": "pd_json"},
        "data": ["NaN", "pro", "null", "[" * 5000],
    }

    assert of_body(json.dumps({"inputs": [tensor]})) == [{}, {"s": "pro"}, {}, {"s": "[" * 5000}]


def test_narrow_floats_are_widened() -> None:
    assert of_body(WROTE["pandas"]["narrow"]) == [
        {"f": 0.10000000149011612, "h": 0.0999755859375},
        {"f": 0.20000000298023224, "h": 0.199951171875},
    ]


def test_a_wide_tensor_has_a_column_each() -> None:
    assert of_body(WROTE["arrays"]["wide"]) == [{"x[0]": 1.0, "x[2]": 3.0}, {"x[0]": 4.0, "x[1]": 5.0, "x[2]": 6.0}]
    assert of_body(WROTE["arrays"]["wide"], columns=["a", "b", "c"])[0] == {"a": 1.0, "c": 3.0}
    assert of_body(WROTE["arrays"]["wide"], columns={"x": ["a", "b", "c"]})[0] == {"a": 1.0, "c": 3.0}
    assert of_body(WROTE["arrays"]["one"]) == [{"input-1[0]": 1.0, "input-1[1]": 2.0}]
    assert why(decoded(mlserver, records(WROTE["arrays"]["wide"].encode()), columns=["a", "b"])) == {
        "tensor_width_differs": 1
    }


@pytest.mark.parametrize("name", ["texts", "base64"])
def test_texts(name: str) -> None:
    assert of_body(WROTE["arrays"][name]) == [{"s": "pro"}, {"s": "free"}]


def test_texts_beyond_ascii_and_times() -> None:
    assert of_body(WROTE["arrays"]["strings"]) == [{"s": "pro"}, {"s": "frée"}]
    assert of_body(WROTE["arrays"]["times"]) == [{"t": "2026-01-01T00:00:00+00:00"}, {"t": "2026-01-02T00:00:00"}]


def test_labels_that_run_together_are_parted_only_where_that_is_sure() -> None:
    """NumPy's type S: as long as the longest, filled up with NUL, of which the last are cut off."""

    def of(data: list[str]) -> str:
        tensor = {"name": "s", "shape": [2, 1], "datatype": "BYTES", "parameters": {"content_type": "np"}, "data": data}
        return json.dumps({"inputs": [tensor]})

    assert WROTE["arrays"]["padded"] == of(["pro\0free"])
    assert of_body(of(["pro\0free"])) == [{"s": "pro"}, {"s": "free"}]
    for data in (["free\0pro"[:-1]], [""], [], ["\N{EURO SIGN}", "a", "b"]):
        assert why(decoded(mlserver, records(of(data).encode()))) == {"tensor_shape_mismatch": 1}, data


@pytest.mark.parametrize(
    ("shape", "data", "reason"),
    [
        ([3], [1, 2], "tensor_shape_mismatch"),
        ([-2], [1, 2], "tensor_shape_mismatch"),
        ([-1, -2], [1, 2], "tensor_shape_mismatch"),
        ([2.0], [1, 2], "tensor_shape_mismatch"),
        ([True, 2], [1, 2], "tensor_shape_mismatch"),
        ("2", [1, 2], "tensor_shape_mismatch"),
        ([2], None, "tensor_shape_mismatch"),
        ([2], {"a": 1}, "tensor_shape_mismatch"),
        ([2, 2], [[1, 2], [3]], "tensor_shape_mismatch"),
        ([2, 2], [[1, 2], 3], "tensor_shape_mismatch"),
        ([1 << 21, 1 << 21], [1], "tensor_too_large"),
        ([1 << 62], [1], "tensor_shape_mismatch"),
        ([1, 20_000], [1], "tensor_too_large"),
        ([0], [], "no_rows"),
        ([1 << 20, 0], [], "no_rows"),
    ],
)
def test_a_shape_is_checked_before_anything_is_made_of_it(shape: object, data: object, reason: str) -> None:
    body = {"inputs": [{"name": "a", "shape": shape, "datatype": "FP64", "data": data}]}

    assert why(decoded(mlserver, records(json.dumps(body).encode()))) == {reason: 1}


def test_nested_data_and_a_single_value() -> None:
    nested = {"name": "a", "shape": [2, 2], "datatype": "FP64", "data": [[1, 2], [3, None]]}
    alone = {"name": "a", "shape": [], "datatype": "FP64", "data": [7]}

    assert of_body(json.dumps({"inputs": [nested]})) == [{"a[0]": 1.0, "a[1]": 2.0}, {"a[0]": 3.0}]
    assert of_body(json.dumps({"inputs": [alone]})) == [{"a": 7.0}]


@pytest.mark.parametrize(
    ("tensors", "reason"),
    [
        (
            [
                {"name": "a", "shape": [1], "datatype": "FP64", "data": [1]},
                {"name": "b", "shape": [2], "datatype": "FP64", "data": [1, 2]},
            ],
            "tensor_rows_differ",
        ),
        ([{"name": "a", "shape": [1], "datatype": "COMPLEX", "data": [1]}], "tensor_datatype_unknown"),
        ([{"shape": [1], "datatype": "FP64", "data": [1]}], "tensor_name_missing"),
    ],
)
def test_tensors_that_do_not_go_together(tensors: list[object], reason: str) -> None:
    assert why(decoded(mlserver, records(json.dumps({"inputs": tensors}).encode()))) == {reason: 1}


def test_records_of_its_kafka_server() -> None:
    """The key overrides the id of the body, as it does in the server; answers name their model in the body."""
    request, response = WROTE["kafka"]["request"], WROTE["kafka"]["response"]
    stamps = [1_767_225_600_000_000_000, 1_767_225_601_000_000_000]

    rows = decoded(
        mlserver,
        records(
            *(each["value"].encode() for each in (request, response)),
            keys=[each["key"].encode() for each in (request, response)],
            headers=[each["headers"] for each in (request, response)],
            stamps=stamps,
        ),
    )

    names = {"model": "churn", "version": "3"}
    assert said(rows) == [
        {"ts": stamps[0], "id": "r-1#0", **names, "features.x": 1.0, "half": "request"},
        {"ts": stamps[0], "id": "r-1#1", **names, "features.x": 2.0, "half": "request"},
        {"ts": stamps[1], "id": "r-1#0", **names, "prediction": 0.25, "half": "response"},
        {"ts": stamps[1], "id": "r-1#1", **names, "prediction": 0.25, "half": "response"},
    ]


def test_which_of_several_outputs_is_the_prediction_is_said() -> None:
    outputs = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]} for name, value in (("p", 0.5), ("q", 0.25))
    ]
    body = json.dumps({"id": "r", "outputs": outputs}).encode()

    assert said(decoded(mlserver, records(body))) == [
        {"id": "r#0", "outputs.p": 0.5, "outputs.q": 0.25, "half": "response"}
    ]
    (row,) = said(decoded(mlserver, records(body), prediction="q"))
    assert (row["prediction"], row["outputs.p"]) == (0.25, 0.5)


def test_a_body_of_both_is_whole_and_names_of_wanted_outputs_are_none() -> None:
    tensor = {"name": "a", "shape": [1], "datatype": "FP64", "data": [1]}
    both = {"inputs": [tensor], "outputs": [tensor | {"name": "p"}]}
    asks = {"inputs": [tensor], "outputs": [{"name": "p", "parameters": {"binary_data": True}}]}

    rows = decoded(mlserver, records(*(json.dumps(each).encode() for each in (both, asks))))

    assert [row["half"] for row in said(rows)] == ["whole", "request"]


def test_inspection_says_what_decoding_does() -> None:
    body = WROTE["pandas"]["mixed"].encode()

    rows = [
        {path[-1]: value for path, value in row.items() if path[0] == "features"}
        for row in decoder_of(mlserver).inspect(body)
    ]

    assert rows == of_body(body.decode())


def test_it_is_recognised_and_json_events_are_not() -> None:
    assert mlserver.recognises(records(WROTE["kafka"]["request"]["value"].encode()))
    assert not mlserver.recognises(records(b'{"id":"r-1","ts":1,"features":{"datatype":1}}'))
    assert not mlserver.recognises(records())
