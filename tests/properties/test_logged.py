"""Laws of the formats of logs: no payload can raise, and a broken line costs itself alone, by one reason."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.formats.fields import FieldMap
from monitor.sources.formats.values import Rejected
from tests.logged import FORMATS, log_decoder, recorded

TIME = "2026-11-01T12:00:00Z"
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "azureml-mdc": [{}, {"columns": ["a", "b"], "id": "a"}, {"outputs": None}],
    "bentoml": [{}, {"roles": {"a": "feature", "b": "prediction"}, "timezone": "Europe/Berlin"}],
    "databricks-inference": [{}, {"columns": ["a", "b"], "prediction": "1"}],
    "feast": [{}, {"request_data": ["a"]}],
    "mlflow": [{}, {"halves": True, "prediction": "p"}],
    "sagemaker-capture": [{}, {"columns": ["a", "b"], "header": True, "prediction": "0"}],
    "vertex-logging": [{}, {"columns": ["a"], "prediction": "p"}],
}
KEYS = [
    "a",
    "b",
    "p",
    "columns",
    "data",
    "index",
    "instances",
    "inputs",
    "outputs",
    "predictions",
    "dataframe_split",
    "dataframe_records",
    "features",
    "request",
    "response",
    "request_payload",
    "response_payload",
    "captureData",
    "endpointInput",
    "endpointOutput",
    "eventMetadata",
    "eventId",
    "inferenceTime",
    "encoding",
    "observedContentType",
    "groundTruthData",
    "type",
    "time",
    "correlationid",
    "datainblob",
    "meta_data",
    "name",
    "role",
    "timestamp",
    "request_id",
    "trace_id",
    "timestamp_ms",
    "status_code",
    "request_metadata",
    "sampling_fraction",
    "logging_time",
    "__log_timestamp",
    "__request_id",
    "a__b",
    "a__b__status",
    "id",
]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([200, 500, 10**30, 1_793_534_400_000, -1]),
    st.floats(),
    st.sampled_from(["CSV", "JSON", "BASE64", "text/csv", "application/json", "azureml.inference.model_inputs", TIME]),
    st.sampled_from(
        ["1,2\n3,4\n", "a,b", '{"instances": [[1, 2]]}', "[1, 2]", "{", "NaN", '"', "True", "None", "\ud800"]
    ),
    st.text(max_size=6),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)
payloads = st.one_of(
    values.map(json.dumps),
    st.sampled_from(["1,2\n3,4\n", "1,2", "", "\n\n", 'a"b,"c', "x", "[" * 40, "1e999", "9" * 5000]),
    values,
)


def call(asked: Any, told: Any, encoding: Any, kind: Any, moment: Any) -> dict[str, dict[str, Any]]:
    """A message of each format around two payloads."""
    parts = {"observedContentType": kind, "encoding": encoding}
    captured = {"endpointInput": {"data": asked, **parts}, "endpointOutput": {"data": told, **parts}}
    return {
        "azureml-mdc": {"type": "azureml.inference.model_inputs", "time": moment, "data": asked, "correlationid": "c"},
        "bentoml": {"a": asked, "b": told, "timestamp": moment, "request_id": "None"},
        "databricks-inference": {"request": asked, "response": told, "status_code": 200, "timestamp_ms": moment},
        "feast": {"a": asked, "a__b": told, "a__b__status": kind, "__log_timestamp": moment},
        "mlflow": {"request": asked, "predictions": told, "id": moment},
        "sagemaker-capture": {"captureData": captured, "eventMetadata": {"eventId": "e", "inferenceTime": moment}},
        "vertex-logging": {"request_payload": asked, "response_payload": told, "logging_time": moment},
    }


def as_bytes(message: Any) -> bytes:
    return json.dumps(message).encode()


@pytest.mark.parametrize("form", FORMATS)
@given(st.data())
def test_no_message_raises_and_each_is_rows_or_one_rejection(form: str, data: st.DataObject) -> None:
    shaped = st.builds(call, payloads, payloads, scalars, scalars, scalars).map(lambda made: made[form])
    drawn = data.draw(
        st.lists(st.one_of(shaped.map(as_bytes), objects.map(as_bytes), st.binary(max_size=20)), max_size=5)
    )
    decoder = log_decoder(
        form,
        data.draw(st.sampled_from(OPTIONS[form])),
        data.draw(st.sampled_from([FieldMap(), FieldMap(error=("e",))])),
    )

    rows = decoder.decode([*drawn, None])
    for name in (("ts",), ("id",), ("features",), ("features", "a"), ("prediction",)):
        assert len(rows.column(name)) == len(rows)
    schemas = sum(form == "bentoml" and raw.startswith(b"{") and b"meta_data" in raw for raw in drawn)
    assert len(drawn) + 1 - schemas <= len(set(rows.messages.tolist())) + sum(rows.rejected.values()) <= len(drawn) + 1
    assert all(reason.replace("_", "").isalnum() and reason.islower() for reason in rows.rejected)


@pytest.mark.parametrize("form", FORMATS)
@given(st.data())
def test_looking_at_a_message_gives_the_rows_that_decoding_gives(form: str, data: st.DataObject) -> None:
    message = data.draw(st.builds(call, payloads, payloads, scalars, scalars, scalars))[form]
    options = data.draw(st.sampled_from(OPTIONS[form]))
    rows = log_decoder(form, options).decode([as_bytes(message)])
    decoder, raw = log_decoder(form, options), as_bytes(message)
    if rows.rejected:
        with pytest.raises(Rejected, match=f"^{next(iter(rows.rejected))}$"):
            list(decoder.inspect(raw))
        return
    looked = list(decoder.inspect(raw))
    assert repr([row["features",] for row in looked]) == repr([each.get("features") for each in rows.documents])
    assert repr([row["prediction",] for row in looked]) == repr([each.get("prediction") for each in rows.documents])


def good(form: str) -> tuple[list[bytes], dict[str, Any]]:
    """Messages of a format that all give rows, or say how others do."""
    csv = {"observedContentType": "text/csv", "data": "1,2\n3,4\n", "encoding": "CSV"}
    packed = {"data": base64.b64encode(b"1,2").decode(), "encoding": "BASE64", "observedContentType": "text/csv"}
    about = {"eventId": "e", "inferenceTime": TIME}
    texts = {"request": '{"instances": [[1, 2]]}', "response": '{"predictions": [0.5]}'}
    held: dict[str, list[Any]] = {
        "databricks-inference": [texts | {"status_code": 200, "timestamp_ms": 1_793_534_400_000}],
        "feast": [{"a__b": 1.5, "a__b__status": 1, "__log_timestamp": TIME, "__request_id": "r"}],
        "sagemaker-capture": [
            {"captureData": {"endpointInput": csv, "endpointOutput": csv | {"data": "1\n0"}}, "eventMetadata": about},
            {"captureData": {"endpointInput": packed}, "eventMetadata": about},
        ],
        "vertex-logging": [{"request_payload": ["[1]", "[2]"], "response_payload": ["1", "2"], "logging_time": TIME}],
    }
    made = {"azureml-mdc": ("azureml", "lines"), "bentoml": ("bentoml", "values")}
    if form in made:
        name, part = made[form]
        return [line.encode() for line in recorded(name)[part]], {}
    if form == "mlflow":
        return [line.encode() for line in recorded("mlflow")["answers"].values()], {}
    return [as_bytes(each) for each in held[form]], {}


BROKEN = [b"{", b'{"a": 1', b"\xff\xfe", b"[]", b"null", b"{}", b'{"ts": 1, "features": {}}', b"\x00\x00\x00\x00\x01x"]


@pytest.mark.parametrize("form", FORMATS)
@given(st.data())
def test_broken_lines_are_counted_one_by_one_and_the_rest_is_exact(form: str, data: st.DataObject) -> None:
    messages, options = good(form)
    whole = log_decoder(form, options).decode(messages)
    wrong = data.draw(st.lists(st.tuples(st.integers(0, len(messages)), st.sampled_from(BROKEN)), max_size=6))
    mixed = list(messages)
    for place, raw in sorted(wrong, key=lambda each: -each[0]):
        mixed.insert(place, raw)

    rows = log_decoder(form, options).decode(mixed)
    assert whole.rejected == {}
    assert sum(rows.rejected.values()) == len(wrong)
    assert repr(rows.documents) == repr(whole.documents)
    assert [mixed[at] for at in rows.messages.tolist()] == [messages[at] for at in whole.messages.tolist()]
