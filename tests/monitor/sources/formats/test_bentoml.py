"""BentoML's monitor as it writes: values that became texts, two monitors in one file, times without a zone."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from detectors import Reference
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.registry import decoder_of, options_of
from monitor.stream.events import SeriesKey
from tests.logged import decoded, documents, log_decoder, looks_like, reasons, recorded, written

MADE = recorded("bentoml")
VALUES = [line.encode() for line in MADE["values"]]
TWO = [line.encode() for line in MADE["two_monitors"]]
ROLES = {"age": "feature", "score": "prediction"}


def line(**columns: Any) -> dict[str, Any]:
    return {**columns, "timestamp": "2026-11-01T12:00:00.250000", "request_id": "None", "trace_id": "0"}


def test_values_are_read_out_of_the_texts_that_the_monitor_made_of_them() -> None:
    rows = decoded("bentoml", *VALUES)
    first, second = rows.documents

    assert rows.rejected == {}
    assert rows.messages.tolist() == [1, 2]  # the schema is no row
    assert first["features"] == {"age": 3, "rate": 0.5, "income": 0.25, "active": True, "plan": "pro", "price": 1.1}
    assert (first["prediction"], first["label"], first["id"]) == (0.83, "1", None)
    assert math.isnan(second["features"].pop("rate"))
    assert second["features"] == {"age": 4, "income": 1.5, "active": None, "plan": None, "price": 2.5}


@pytest.mark.parametrize(
    ("zone", "moment"),
    [
        ("UTC", "2026-11-01T12:00:00.250000+00:00"),
        ("Europe/Berlin", "2026-11-01T11:00:00.250000+00:00"),
        ("America/New_York", "2026-11-01T17:00:00.250000+00:00"),
    ],
)
def test_times_are_those_of_the_servers_zone(zone: str, moment: str) -> None:
    assert documents("bentoml", *VALUES, timezone=zone)[0]["ts"] == moment


def test_without_a_schema_the_roles_are_those_of_the_options() -> None:
    message = line(age="3", score="0.5", plan="pro") | {"request_id": "r-1"}
    (row,) = documents("bentoml", message, roles={**ROLES, "plan": {"role": "feature", "type": "categorical"}})

    assert (row["features"], row["prediction"], row["id"]) == ({"age": 3, "plan": "pro"}, 0.5, "r-1")
    assert reasons("bentoml", message) == {"schema_unknown": 1}


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("3", "numerical", 3),
        ("True", None, True),
        ("False", "categorical", False),
        ("None", "categorical", None),
        ("<NA>", "numerical", None),
        ("nan", "numerical", None),
        ("01234", None, "01234"),
        ("1.50", "categorical", "1.50"),
        ("pro", "numerical", "pro"),
    ],
)
def test_a_text_is_worth_what_its_role_says(text: str, kind: str | None, value: Any) -> None:
    (row,) = documents("bentoml", line(age=text), roles={"age": {"role": "feature", "type": kind}})

    assert row["features"]["age"] == value


def test_the_rows_of_two_monitors_in_one_file_are_told_apart_by_their_columns() -> None:
    """The second monitor takes over the rows of the first: a row is of the schema whose columns it has."""
    rows = documents("bentoml", *TWO)

    assert [(list(row["features"]), row["prediction"]) for row in rows] == [(["a"], 0.5), (["b"], 0.5), (["a"], 0.5)]


def test_rows_without_any_column_of_the_model_are_of_another_one() -> None:
    reference = Reference.fit({"a": [1.0, 2.0], "score": [0.1, 0.2]}, prediction="score")
    fields, section = FieldMap(), options_of("bentoml")
    assert section is not None
    series = [SeriesFields(SeriesKey("first", "*"), reference.layout, fields)]
    decoder = decoder_of("bentoml", TopicFields(series, fields, options=section()))

    rows = decoder.decode(TWO)
    assert (rows.messages.tolist(), dict(rows.rejected)) == ([2, 4], {"other_monitor": 1})


def test_what_was_looked_at_for_words_changes_nothing_in_what_is_decoded() -> None:
    decoder = log_decoder("bentoml")
    assert [list(decoder.inspect(raw)) != [] for raw in VALUES] == [False, True, True]

    assert decoder.decode(VALUES[1:]).rejected == {"schema_unknown": 2}


def test_schemas_are_kept_in_bounds() -> None:
    """The oldest is forgotten."""
    schemas = [
        {"meta_data": {}, "columns": [{"name": f"c{number}", "role": "feature", "type": "numerical"}]}
        for number in range(65)
    ]
    decoder = log_decoder("bentoml")
    decoder.decode(written(schemas))

    rows = decoder.decode(written([line(c0=1), line(c1=1), line(c64=1)]))
    assert (rows.messages.tolist(), dict(rows.rejected)) == ([1, 2], {"schema_unknown": 1})


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ({"age": 1}, "timestamp_missing"),
        (line(other=1), "other_monitor"),
        (b"[1]", "not_object"),
    ],
)
def test_what_gives_no_row_is_counted_by_one_reason(message: Any, reason: str) -> None:
    assert reasons("bentoml", message, roles=ROLES) == {reason: 1}


def test_a_wrong_option_is_said_in_a_line() -> None:
    with pytest.raises(ValidationError, match="Mars/Phobos is no time zone; write one such as UTC or Europe/Berlin"):
        log_decoder("bentoml", {"timezone": "Mars/Phobos"})


def test_it_is_recognised() -> None:
    assert looks_like(*VALUES) == ["bentoml"]
    for other in ({"timestamp": "2026-11-01T12:00:00Z"}, {"features": {"a": 1}}, {"trace_id": "4bf92f3577b34da6"}):
        assert looks_like(line(a=1) | other) == []
