"""Vertex AI's table of requests and responses, by documentation, as BigQuery exports it."""

from typing import Any

import pytest

from tests.logged import documents, looks_like, reasons


def call(asked: Any, told: Any, **changes: Any) -> dict[str, Any]:
    return {
        "endpoint": "123",
        "deployed_model_id": "456",
        "logging_time": "2026-11-01 12:00:00.250000 UTC",
        "request_id": "77",
        "request_payload": asked,
        "response_payload": told,
        **changes,
    }


def test_a_text_an_instance_and_a_text_a_prediction() -> None:
    head = {"endpoint": "123", "deployed_model_id": "456", "ts": "2026-11-01 12:00:00.250000Z"}

    assert documents("vertex-logging", call(["[1.5, null]", "[3, 4]"], ["0.83", "0.1"])) == [
        head | {"id": "77#0", "features": {"x0": 1.5, "x1": None}, "prediction": 0.83},
        head | {"id": "77#1", "features": {"x0": 3, "x1": 4}, "prediction": 0.1},
    ]


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        (['{"age": 41.5, "plan": "pro"}'], ['{"label": "a", "p": 0.9}']),
        (['{"instances": [{"age": 41.5, "plan": "pro"}]}'], ['{"predictions": [{"label": "a", "p": 0.9}]}']),
        ('{"instances": [{"age": 41.5, "plan": "pro"}]}', '{"predictions": [{"label": "a", "p": 0.9}]}'),
    ],
)
def test_a_whole_body_may_stand_there_as_one_text(asked: Any, told: Any) -> None:
    (row,) = documents("vertex-logging", call(asked, told), prediction="p")

    assert (row["id"], row["features"], row["prediction"]) == ("77", {"age": 41.5, "plan": "pro"}, 0.9)


def test_what_is_no_json_is_a_text() -> None:
    (row,) = documents("vertex-logging", call(["good food"], ["positive"]), columns=["review"])

    assert (row["features"], row["prediction"]) == ({"review": "good food"}, "positive")


def test_an_answer_that_was_not_logged_is_absent() -> None:
    (row,) = documents("vertex-logging", call(["[1]"], []))

    assert "prediction" not in row


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (call(None, ["1"]), "payload_not_logged"),
        (call([], []), "payload_not_logged"),
        (call([1], ["1"]), "payload_shape_unknown"),
        (call(["{"], ["1"]), "payload_malformed"),
        (call(["[" * 40], ["1"]), "too_deep"),
        (call(["[1]", "[2]"], ["1", "2", "3"]), "rows_mismatch"),
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("vertex-logging", message) == {reason: 1}


def test_it_is_recognised() -> None:
    assert looks_like(call(["[1]"], ["1"])) == ["vertex-logging"]
    assert looks_like({"request_payload": [], "response_payload": []}) == []
