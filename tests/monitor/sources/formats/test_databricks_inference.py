"""Databricks' inference tables, by documentation: the legacy columns and those of the AI Gateway."""

import json
import math
from typing import Any

import pytest

from monitor.sources.formats.fields import FieldMap
from tests.logged import decoded, documents, looks_like, reasons

SPLIT = {"dataframe_split": {"columns": ["age", "plan"], "data": [[41.5, "pro"], [30, None]]}}


def legacy(asked: Any = SPLIT, told: Any = None, **changes: Any) -> dict[str, Any]:
    return {
        "databricks_request_id": "d-1",
        "client_request_id": None,
        "date": "2026-11-01",
        "timestamp_ms": 1_793_534_400_250,
        "status_code": 200,
        "execution_time_ms": 12,
        "sampling_fraction": 1.0,
        "request": json.dumps(asked),
        "response": json.dumps({"predictions": [0.83, 0.1]} if told is None else told),
        "request_metadata": {"model_name": "churn", "model_version": "3", "endpoint_name": "churn-prod"},
        **changes,
    }


def gateway(**changes: Any) -> dict[str, Any]:
    return {
        "request_date": "2026-11-01",
        "databricks_request_id": "d-2",
        "client_request_id": "mine",
        "request_time": "2026-11-01T12:00:00.250Z",
        "status_code": 200,
        "sampling_fraction": 0.25,
        "execution_duration_ms": 7,
        "request": json.dumps({"dataframe_records": [{"age": 41.5}]}),
        "response": json.dumps({"predictions": [{"0": 0.5}]}),
        "logging_error_codes": [],
        "served_entity_id": "e-9",
        "requester": "someone",
        **changes,
    }


def test_a_row_of_the_legacy_table_is_a_row_an_instance_of_the_model_that_answered() -> None:
    first, second = documents("databricks-inference", legacy())

    assert first == {
        "ts": "2026-11-01T12:00:00.250000+00:00",
        "model": "churn",
        "version": "3",
        "endpoint": "churn-prod",
        "served_entity_id": None,
        "status_code": 200,
        "took_ms": 12,
        "sampling": 1.0,
        "id": "d-1#0",
        "features": {"age": 41.5, "plan": "pro"},
        "prediction": 0.83,
    }
    assert (second["id"], second["features"], second["prediction"]) == ("d-1#1", {"age": 30, "plan": None}, 0.1)


def test_a_row_of_the_gateway_names_its_entity_and_the_callers_id() -> None:
    (row,) = documents("databricks-inference", gateway())

    assert (row["ts"], row["id"], row["served_entity_id"]) == ("2026-11-01T12:00:00.250Z", "mine", "e-9")
    assert (row["sampling"], row["took_ms"], row["prediction"]) == (0.25, 7, 0.5)
    assert row["model"] is row["version"] is None


@pytest.mark.parametrize(
    "asked",
    [
        {"dataframe_records": [{"age": 1}, {"age": 2}]},
        {"inputs": {"age": [1, 2]}},
        {"inputs": {"age": [[1], [2]]}},
        {"inputs": [{"age": 1}, {"age": 2}]},
        {"instances": [{"age": 1}, {"age": 2}]},
        {"instances": [1, 2]},
        {"dataframe_split": {"index": [7, 8], "columns": ["age"], "data": [[1], [2]]}},
    ],
)
def test_all_shapes_of_requests_are_read(asked: Any) -> None:
    rows = documents("databricks-inference", legacy(asked), columns=["age"])

    assert [row["features"] for row in rows] == [{"age": 1}, {"age": 2}]


def test_bare_nan_is_let_through() -> None:
    (row,) = documents(
        "databricks-inference", legacy(request='{"instances": [[NaN]]}', response='{"predictions": [NaN]}')
    )

    assert math.isnan(row["features"]["x0"])
    assert math.isnan(row["prediction"])


@pytest.mark.parametrize("metadata", [[["model_name", "churn"]], [{"key": "model_name", "value": "churn"}]])
def test_a_map_may_come_as_a_list(metadata: Any) -> None:
    assert documents("databricks-inference", legacy(request_metadata=metadata))[0]["model"] == "churn"


def test_a_failed_call_is_no_row_unless_errors_are_mapped() -> None:
    """Then it is one without a prediction, of which its status says why."""
    failed = legacy(status_code=500, response='{"error_code": "BAD_REQUEST"}')
    rows = decoded("databricks-inference", failed, fields=FieldMap(error=("status_code",)))

    assert reasons("databricks-inference", failed) == {"status_not_200": 1}
    assert [(row["status_code"], "prediction" in row) for row in rows.documents] == [(500, False), (500, False)]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (gateway(request=None, logging_error_codes=["MAX_REQUEST_SIZE_EXCEEDED"]), "payload_not_logged"),
        (gateway(response=None, logging_error_codes=["MAX_RESPONSE_SIZE_EXCEEDED"]), "payload_not_logged"),
        (gateway(request="{"), "payload_malformed"),
        (gateway(request="[]"), "no_rows"),
        (legacy(told={"predictions": [1, 2, 3]}), "rows_mismatch"),
        (legacy({"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}), "columns_mismatch"),
        (legacy({"inputs": {"a": [1, 2], "b": [1]}}), "columns_mismatch"),
        (legacy({"instances": []}, {"predictions": []}), "no_rows"),
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("databricks-inference", message) == {reason: 1}


@pytest.mark.parametrize("share", [0, -1, 1.5, True, "1", 10**400])
def test_a_share_that_is_none_is_left_for_the_mapping_to_refuse(share: Any) -> None:
    """Were it dropped the row would stand for one call, though nobody knows for how many."""
    said = [
        documents("databricks-inference", gateway(sampling_fraction=share)),
        documents("databricks-inference", legacy(sampling_fraction=None, sampling_percent=share)),
    ]

    fraction, percent = (rows[0]["sampling"] for rows in said)
    assert fraction == share
    assert percent == (share / 100 if share in {0, -1, 1.5} and share is not True else share)


def test_it_is_recognised() -> None:
    assert looks_like(legacy(), gateway()) == ["databricks-inference"]
    assert looks_like({"request": "{}", "response": "{}", "status_code": 200}) == []
