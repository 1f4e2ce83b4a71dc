"""Azure's data collector: what the real client sends, in the events that its agent makes of it."""

import json
from typing import Any

import pytest

from monitor.sources.formats.base import REQUEST, RESPONSE
from tests.logged import decoded, documents, looks_like, reasons, recorded

TIME = "2026-11-01T12:00:00Z"


def event(data: Any, collection: str = "model_inputs", **changes: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "type": f"azureml.inference.{collection}",
        "time": TIME,
        "correlationid": "c-1",
        "data": data,
        **changes,
    }


def test_what_the_client_sends_is_halves_of_predictions_value_by_value() -> None:
    """Rounded decimals stay as they came, times are milliseconds, all that is not finite is null."""
    rows = decoded("azureml-mdc", *(line.encode() for line in recorded("azureml")["lines"]))
    head = {"ts": TIME, "version": None}

    assert rows.rejected == {}
    assert rows.halves is not None
    assert rows.halves.tolist() == [REQUEST, REQUEST, RESPONSE, RESPONSE]
    assert rows.messages.tolist() == [0, 0, 1, 1]
    assert rows.documents == [
        head
        | {
            "id": "c-1#0/2",
            "features": {"age": 41.5, "rate": 0.1000000015, "tiny": 0.0, "plan": "pro", "joined": 1_793_534_400_000},
        },
        head | {"id": "c-1#1/2", "features": {"age": None, "rate": 0.0, "tiny": None, "plan": None, "joined": None}},
        head | {"id": "c-1#0/2", "prediction": 0.83, "features": {}},
        head | {"id": "c-1#1/2", "prediction": 0.1, "features": {}},
    ]


def test_halves_stay_halves_when_some_rows_are_taken() -> None:
    rows = decoded("azureml-mdc", event([{"a": 1}]), event([{"p": 1}], "model_outputs"))
    taken = rows.take(rows.messages[1:])

    assert taken.halves is not None
    assert taken.halves.tolist() == [RESPONSE]


def test_rows_belong_together_by_their_place_only_where_both_sides_have_as_many() -> None:
    """Requests that come close to each other are one event: their ids say how many rows it has."""
    inputs = documents("azureml-mdc", event([{"a": 1}, {"a": 2}, {"a": 3}]))
    outputs = documents("azureml-mdc", event([{"p": 1}, {"p": 2}], "model_outputs"))
    (alone,) = documents("azureml-mdc", event([{"a": 1}]))

    assert not {row["id"] for row in inputs} & {row["id"] for row in outputs}
    assert alone["id"] == "c-1"


def test_a_column_may_name_each_row() -> None:
    (asked,) = documents("azureml-mdc", event([{"key": "r-7", "a": 1}]), id="key")
    (told,) = documents("azureml-mdc", event([{"key": "r-7", "p": 0.5}], "model_outputs"), id="key")

    assert asked["id"] == told["id"] == "r-7"
    assert told["prediction"] == 0.5


def test_inputs_without_outputs_are_whole_where_no_outputs_are_collected() -> None:
    rows = decoded("azureml-mdc", event([{"a": 1}], "asked"), inputs="asked", outputs=None)

    assert rows.halves is None
    assert [row["features"] for row in rows.documents] == [{"a": 1}]


def test_the_bodies_of_calls_are_read_where_these_are_collected() -> None:
    """Payload logging has the raw body: a matrix there, a list of numbers here."""
    options = {"inputs": "request", "outputs": "response", "columns": ["a", "b"]}
    asked = documents("azureml-mdc", event({"data": [[1, 2], [3, 4]]}, "request"), **options)
    told = documents("azureml-mdc", event([0.5, 0.25], "response"), **options)

    assert [row["features"] for row in asked] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    assert [row["prediction"] for row in told] == [0.5, 0.25]


def test_the_seconds_of_the_client_are_a_time() -> None:
    (row,) = documents("azureml-mdc", event([{"a": 1}], time="1793534400", modelversion="3"))
    (number,) = documents("azureml-mdc", event([{"a": 1}], time=1_793_534_400))

    assert row["ts"] == number["ts"] == "2026-11-01T12:00:00+00:00"
    assert row["version"] == "3"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (event("https://store.invalid/blob", datainblob="true"), "data_in_blob"),
        (event("https://store.invalid/blob"), "payload_shape_unknown"),
        (event([{"a": 1}], "something_else"), "collection_unknown"),
        (event([{"a": 1}], type=None), "collection_unknown"),
        (event([]), "no_rows"),
        (event([{"a": 1}], correlationid=None), "correlation_missing"),
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("azureml-mdc", message) == {reason: 1}


def test_it_is_recognised() -> None:
    found = looks_like(*(json.loads(line) for line in recorded("azureml")["lines"]))

    assert found == ["azureml-mdc", "cloudevents"]  # of which init takes the one that says more
    assert looks_like({"specversion": "1.0", "type": "other", "data": {}}) == []
