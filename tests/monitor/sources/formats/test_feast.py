"""Feast's log of served features: columns as Feast declares them, rows from its Parquet and as JSON."""

import base64
import io
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.logged import documents, log_decoder, looks_like, reasons, recorded

MADE = recorded("feast")
TIME = "2026-11-01T12:00:00.250000+00:00"


def logged() -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(io.BytesIO(base64.b64decode(MADE["parquet"]))).to_pylist()
    return rows


def test_features_are_the_columns_of_views_and_nothing_beside_them() -> None:
    """No key of an entity, no time and no status; missing is what has no value, and the status says why."""
    rows = log_decoder("feast").decode_objects(logged()).documents

    assert [row["features"]["driver__rating"] for row in rows] == [4.5, None, None, None]
    assert [row["status"]["driver__rating"] for row in rows] == [
        "present",
        "null_value",
        "not_found",
        "outside_max_age",
    ]
    assert [row["id"] for row in rows] == ["r-0", "r-1", "r-2", "r-3"]
    assert {row["ts"] for row in rows} == {TIME}
    assert all(
        list(row["features"]) == ["driver__rating", "driver__city", "driver__trips", "driver__since"] for row in rows
    )


def test_the_words_for_statuses_are_feasts() -> None:
    from monitor.sources.formats.feast import STATUS

    assert [name.lower() for name, _ in sorted(MADE["statuses"].items(), key=lambda each: each[1])] == list(STATUS)


def test_rows_of_json_are_the_same() -> None:
    message = {
        "driver_id": 7,
        "amount": 12.5,
        "driver__rating": 4.5,
        "driver__rating__timestamp": "2026-11-01T11:00:00Z",
        "driver__rating__status": 1,
        "__log_timestamp": TIME,
        "__log_date": "2026-11-01",
        "__request_id": "r-1",
    }
    head = {"ts": TIME, "id": "r-1"}
    status = {"status": {"driver__rating": "present"}}

    assert documents("feast", message) == [head | {"features": {"driver__rating": 4.5}} | status]
    assert documents("feast", message, request_data=["amount"]) == [
        head | {"features": {"amount": 12.5, "driver__rating": 4.5}} | status
    ]


def test_a_row_without_its_time_is_rejected() -> None:
    assert reasons("feast", {"driver__rating": 1, "__request_id": "r"}) == {"timestamp_missing": 1}


@pytest.mark.parametrize("status", [9, -1, True, None, 1.5])
def test_a_status_that_is_none_is_absent(status: Any) -> None:
    (row,) = documents("feast", {"a__b": 1, "a__b__status": status, "__log_timestamp": TIME})

    assert row["status"] == {}


def test_it_is_recognised() -> None:
    assert looks_like({"a__b": 1, "__log_timestamp": TIME, "__request_id": "r"}) == ["feast"]
    assert looks_like({"a__b": 1, "__log_timestamp": TIME}) == []
