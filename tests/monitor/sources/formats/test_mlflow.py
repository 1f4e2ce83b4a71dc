"""MLflow's answers as its server writes them, with and without what was asked."""

import json
import math
from typing import Any

import pytest

from monitor.sources.formats.base import REQUEST, RESPONSE
from tests.logged import decoded, documents, looks_like, reasons, recorded

MADE = recorded("mlflow")
NAN = math.nan


def predictions(name: str, **options: Any) -> list[Any]:
    rows = documents("mlflow", MADE["answers"][name].encode(), **options)
    assert all(row["features"] == {} for row in rows)
    return [row["prediction"] for row in rows]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("array", {}, [0.5, NAN, math.inf]),
        ("array32", {}, [0.10000000149011612]),
        ("list", {}, [0.5, 0.25]),
        ("series", {}, [0.5, NAN]),  # one-key objects, whose key is "0"
        ("named_series", {}, [0.5, 0.25]),
        ("frame", {"prediction": "score"}, [0.5, NAN]),
        ("frame", {"prediction": "label"}, ["pro", "free"]),
        ("texts", {}, ["pro", NAN]),  # the text that is missing is NaN, too
        ("matrix", {"prediction": "1"}, [0.75, 0.5]),
        ("object", {"prediction": "score"}, [0.5, 0.25]),
        ("object", {"prediction": "label"}, ["a", "b"]),
        ("scalar", {}, [0.5]),
    ],
)
def test_the_server_answers_in_shapes_that_all_give_predictions(
    name: str, options: dict[str, Any], expected: list[Any]
) -> None:
    assert list(map(repr, predictions(name, **options))) == list(map(repr, expected))  # NaN is NaN


def test_of_several_outputs_and_none_chosen_all_stand_beside_the_prediction() -> None:
    first, _ = documents("mlflow", MADE["answers"]["object"].encode())

    assert first["prediction"] == first["outputs"] == {"score": 0.5, "label": "a"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("split", [{"age": 41.5, "plan": "pro"}, {"age": NAN, "plan": None}]),
        ("records", [{"age": 41.5, "plan": "pro"}, {"age": None, "plan": "free"}]),
        ("instances", [{"x0": 1.5, "x1": 2.5}, {"x0": 3.5, "x1": 4.5}]),
        ("inputs", [{"age": 1.5, "income": 3.5}, {"age": 2.5, "income": 4.5}]),
    ],
)
@pytest.mark.parametrize("together", ["beside", "texts", "objects"])
def test_what_was_asked_is_read_where_it_was_logged_together(name: str, expected: Any, together: str) -> None:
    body, answer = MADE["requests"][name], MADE["answers"]["list"]
    asked, told = json.loads(body), json.loads(answer)
    parts = {
        "beside": asked | told,
        "texts": {"request": body, "response": answer},
        "objects": {"request": asked, "response": told},
    }
    rows = documents("mlflow", {"ts": 5, "id": "r-1", "model": "churn", **parts[together]})

    assert repr([row["features"] for row in rows]) == repr(expected)
    assert [(row["ts"], row["id"], row["model"], row["prediction"]) for row in rows] == [
        (5, "r-1#0", "churn", 0.5),
        (5, "r-1#1", "churn", 0.25),
    ]


def test_requests_and_answers_may_be_messages_of_their_own() -> None:
    asked, told = {"id": "r-1", "instances": [[1.5]]}, {"id": "r-1", "predictions": [0.5]}
    rows = decoded("mlflow", asked, told, halves=True)

    assert rows.halves is not None
    assert rows.halves.tolist() == [REQUEST, RESPONSE]
    assert rows.documents == [{"id": "r-1", "features": {"x0": 1.5}}, {"id": "r-1", "prediction": 0.5, "features": {}}]


def test_what_stands_beside_an_answer_is_not_copied_without_bounds() -> None:
    """Each row has it: many keys of a message of many rows would be more than any memory."""
    beside = {f"k{number}": number for number in range(1000)}

    assert reasons("mlflow", beside | {"predictions": [0.5] * 1000}) == {"too_many_rows": 1}
    assert len(documents("mlflow", beside | {"predictions": [0.5] * 100})) == 100


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"ts": 1}, "predictions_missing"),
        ({"error_code": "BAD_REQUEST", "message": "no"}, "predictions_missing"),
        ({"predictions": []}, "no_rows"),
        ({"predictions": [1, 2, 3], "instances": [[1], [2]]}, "rows_mismatch"),
        ({"request": "{", "response": "{}"}, "payload_malformed"),
        (b"NaN", "not_object"),
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("mlflow", message) == {reason: 1}


def test_it_is_recognised() -> None:
    assert looks_like(*(answer.encode() for answer in MADE["answers"].values())) == ["mlflow"]
    assert looks_like({"prediction": 1}) == []
    assert looks_like({"ts": 1, "model": "churn", "features": {"a": 1}, "predictions": [1]}) == []
