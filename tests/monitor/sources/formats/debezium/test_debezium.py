"""Changes of a table as Debezium wrote them of PostgreSQL (tests/parts/formats/debezium.py), value by value."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from detectors import Reference
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.series.truth import Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.debezium import DebeziumDecoder, Options, recognises
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.registry import recognised
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SeriesKey
from tests.fakes import NOON

RECORDED = json.loads((Path(__file__).parents[4] / "parts" / "formats" / "debezium.json").read_text(encoding="utf-8"))
RECORDS: dict[str, list[tuple[str | None, str | None]]] = RECORDED["records"]
COMMITTED = "2026-09-21T14:13:20.123456+00:00"  # as all times are in what is recorded
COMMITTED_MS = "2026-09-21T14:13:20.123000+00:00"
LATE = 10**18
FIRST = {
    "id": "r-1",
    "label": 1,
    "amount": 12.34,
    "free": 1.5,
    "dbl": 0.1,
    "rl": 0.1,
    "name": "pro",
    "paid": True,
    "day": "2026-01-02",
    "at": "2026-01-02T03:04:05.123456+00:00",
    "at3": "2026-01-02T03:04:05.123000+00:00",
    "zoned": "2026-01-02T02:04:05.123456Z",
    "clock": "03:04:05.500000",
    "doc": {"a": 1},
    "raw": "/wA=",
    "price": 12.34,
    "span": 3_600_000_000,
    "small": 3,
    "large": 9007199254740993,
    "uid": "00000000-0000-0000-0000-000000000001",
    "tags": ["a", "b"],
}
ODD = dict.fromkeys(FIRST) | {"id": "r-2", "label": 0, "dbl": math.nan, "rl": math.inf}
BARE = {  # what no schema explains is as it came
    **FIRST,
    "amount": "BNI=",
    "price": "BNI=",
    "day": 20455,
    "at": 1767323045123456,
    "at3": 1767323045123,
    "clock": 11045500000,
    "doc": '{"a": 1}',
}
BARE_ODD = {**ODD, "day": -622191234, "at": 9223372036825200000, "at3": -9223372036832400, "zoned": "infinity"}


def values(name: str) -> list[bytes | None]:
    return [None if value is None else value.encode() for _, value in RECORDS[name]]


def records(name: str) -> TopicRecords:
    held = values(name)
    keys = [None if key is None else key.encode() for key, _ in RECORDS[name]]
    stamps = [NOON] * len(held)
    return TopicRecords("t", [0] * len(held), held, keys=keys, stamps=stamps, numbers=range(len(held)))


def decoder(fields: FieldMap | None = None, **options: Any) -> DebeziumDecoder:
    return DebeziumDecoder(TopicFields([], fields or FieldMap(), options=Options(**options)))


def columns(row: dict[str, Any]) -> dict[str, Any]:
    """The table's, with words for what is not equal to itself."""
    return {
        name: "NaN" if isinstance(value, float) and math.isnan(value) else value
        for name, value in row.items()
        if name in FIRST
    }


def rows(name: str, **options: Any) -> list[dict[str, Any]]:
    return list(decoder(**options).decode(values(name)).documents)  # type: ignore[attr-defined]


def test_what_is_recorded_is_of_the_versions_that_the_documents_name() -> None:
    assert (RECORDED["debezium"], RECORDED["postgresql"], RECORDED["connect"]) == ("3.6.1.Final", "15", "4.3.0")
    assert list(map(len, RECORDS.values())) == [8, 8, 8, 8, 8, 6, 6]


@pytest.mark.parametrize("name", ["schemas", "unwrapped", "connect_times"])
def test_values_are_read_by_their_schema(name: str) -> None:
    first, odd, _, streamed, changed = rows(name)

    expected = FIRST if name != "connect_times" else FIRST | {"at": FIRST["at3"]}
    assert columns(first) == columns(expected)
    assert columns(odd) == columns(ODD)
    assert columns(streamed) == columns(ODD | {"id": "r-4"})  # an infinite date is another number in the log
    assert columns(changed) == columns(
        expected | {"id": "r-3", "label": 0, "amount": -0.05, "free": None, "dbl": -math.inf}
    )


@pytest.mark.parametrize("name", ["bare", "unwrapped_rewrite"])
def test_without_schemas_values_are_as_they_came_but_for_what_tells_itself(name: str) -> None:
    first, odd, *_ = rows(name)

    assert columns(first) == columns(BARE)
    assert columns(odd) == columns(BARE_ODD)


def test_without_schemas_the_user_says_what_is_what() -> None:
    first, odd, *_, changed = rows("bare", scales={"amount": 2, "price": 2}, json=["doc"])

    assert columns(first) == columns(BARE | {"amount": 12.34, "price": 12.34, "doc": {"a": 1}})
    assert columns(odd) == columns(BARE_ODD)
    assert changed["amount"] == -0.05


def test_decimals_may_be_doubles_or_texts() -> None:
    first, odd, *_ = rows("bare_double")
    assert (first["amount"], first["free"], first["price"]) == (12.34, 1.5, 12.34)
    assert all(math.isnan(odd[name]) for name in ("amount", "free", "dbl"))

    first, odd, _, _, changed = rows("schemas_string", text_numbers=["amount", "free", "price"])
    assert (first["amount"], first["free"], first["price"]) == (12.34, 1.5, 12.34)
    assert all(math.isnan(odd[name]) for name in ("amount", "free"))
    assert (changed["free"], changed["dbl"]) == (math.inf, -math.inf)


@pytest.mark.parametrize("name", list(RECORDS))
def test_creates_updates_and_reads_are_rows_deletes_and_truncates_are_none(name: str) -> None:
    held = decoder().decode(values(name))

    assert held.messages.tolist() == [0, 1, 2, 3, 4]
    assert [row["id"] for row in held.documents] == ["r-1", "r-2", "r-3", "r-4", "r-3"]  # type: ignore[attr-defined]
    assert held.rejected == ({"skipped": 1} if "unwrapped" in name else {"skipped": 2, "tombstone": 1})


@pytest.mark.parametrize("name", list(RECORDS))
def test_the_time_of_a_snapshot_is_no_time_of_its_rows(name: str) -> None:
    held = [row["ts"] for row in rows(name)]

    expected = {"unwrapped": None, "unwrapped_rewrite": COMMITTED_MS}.get(name, COMMITTED)
    assert held == [None, None, expected, expected, expected]


def test_a_mapped_column_is_the_time_where_the_table_has_it() -> None:
    fields = FieldMap(timestamp=("at",))

    def times(held: FieldMap, **options: Any) -> list[Any]:
        return decoder(held, **options).decode(values("schemas")).column(held.timestamp).tolist()  # type: ignore[union-attr, no-any-return]

    at = [FIRST["at"], None, FIRST["at"], None, FIRST["at"]]
    assert times(fields) == times(fields, timestamp="column") == at
    assert times(fields, timestamp="source") == times(FieldMap()) == [None, None, *[COMMITTED] * 3]
    assert times(FieldMap(), timestamp="column") == [None] * 5


def test_features_are_the_row_but_for_what_is_mapped() -> None:
    fields = FieldMap(timestamp=("at",), label=("label",), prediction=("dbl",))

    held = decoder(fields).decode(values("schemas"))

    assert held.names(("features",)) == FIRST.keys() - {"id", "at", "label", "dbl"}
    assert held.column(("features", "amount")).tolist()[0] == 12.34  # type: ignore[union-attr]
    assert held.column(("__source", "table")).tolist() == ["scores"] * 5  # type: ignore[union-attr]


REFERENCE = Reference.fit(
    {"amount": [1.0, 12.34, 99.0], "dbl": [0.1, 0.2, 0.3], "name": ["pro", "pro", "free"]}, prediction="dbl"
)


@pytest.mark.parametrize("name", ["schemas", "unwrapped"])
def test_rows_of_a_table_of_predictions_reach_their_series(name: str) -> None:
    """`{"amount": "BNI=", "dbl": "NaN"}` of scale 2: 12.34, and missing."""
    fields = FieldMap(timestamp=("at",), prediction=("dbl",), model_is="churn")
    series = SeriesFields(SeriesKey("churn", "*"), REFERENCE.layout, fields)
    held = TopicDecoder("t", [series], fields, LATE, "debezium")

    decoded = held.decode(records(name), NOON)

    [batch] = decoded.batches
    assert batch.numeric.tolist() == [[12.34, 0.1], [12.34, 0.1], [-0.05, -math.inf]]
    assert batch.codes.tolist() == [[0], [0], [0]]
    rejected = {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, EventsRejected)}
    assert rejected == {"timestamp_missing": 2}  # of the rows whose time is infinite
    fields_rejected = {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, FieldsRejected)}
    assert fields_rejected == {"non_finite": 1, "unknown": 16}  # the table's other columns, of a sample


def test_a_number_that_is_none_is_counted_as_such() -> None:
    fields = FieldMap(prediction=("dbl",), model_is="churn", features=())  # the row itself
    series = SeriesFields(SeriesKey("churn", "*"), REFERENCE.layout, fields)
    held = TopicDecoder("t", [series], fields, LATE, "debezium")

    decoded = held.decode(records("schemas"), NOON)

    [batch] = decoded.batches
    np.testing.assert_array_equal(batch.numeric, [[12.34, 0.1], [np.nan, np.nan], [-0.05, -np.inf]])
    fields_rejected = {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, FieldsRejected)}
    assert fields_rejected == {"non_finite": 2, "missing": 2}


@pytest.mark.parametrize("name", ["schemas", "bare"])
def test_rows_of_a_table_of_labels_are_labels_an_update_says_one_again_and_a_tombstone_takes_it_back(name: str) -> None:
    truth = Truth("binary")
    fields = FieldMap(label=("label",))
    key = SeriesKey("churn", "3")
    held = LabelDecoder("t", {"churn": truth}, {"churn": [key]}, fields, LATE, "debezium")

    decoded = held.decode(records(name), NOON)

    [batch, withdrawn] = decoded.joins
    labels = batch.labels
    assert labels["value"].tolist() == [1, 0, 1, 0, 0]
    assert labels["high"][2] == labels["high"][4]  # r-3 was changed
    assert labels["offset"].tolist() == [0, 1, 2, 3, 4]
    assert labels["time"].tolist()[:2] == [NOON, NOON]  # of a snapshot: when its record came
    assert withdrawn.labels["high"].tolist() == [labels["high"][3]]
    assert np.isnan(withdrawn.labels["value"]).all()
    counted = {fact.outcome: fact.count for fact in decoded.facts if isinstance(fact, EventsCounted)}
    assert counted == {"skipped": 2, "ok": 6}


def envelope(**changes: Any) -> bytes:
    held = {
        "before": None,
        "after": {"id": 1, "x": 2},
        "source": {"connector": "mysql", "db": "d"},
        "op": "c",
        **changes,
    }
    return json.dumps({name: value for name, value in held.items() if value is not ...}).encode()


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (envelope(op="x"), "op_unknown"),
        (envelope(after=None), "change_without_row"),
        (envelope(after=...), "change_without_row"),
        (envelope(after="{}", op="r"), "change_without_row"),
        (envelope(op="m", after=...), "skipped"),
        (envelope(op="t", after=None), "skipped"),
        (b'{"schema": null, "payload": null}', "skipped"),
        (b'{"schema": null, "payload": 5}', "change_without_row"),
        (b'{"id": 1, "__deleted": true}', "skipped"),
        (b'{"id": 1, "__op": "d"}', "skipped"),
        (b"[1]", "not_object"),
        (b"{", "malformed_json"),
        (b"", "empty"),
        (b"\x00\x00\x00\x00\x01{}", "schema_registry_framed"),
    ],
)
def test_what_is_no_row_has_one_reason(raw: bytes, reason: str) -> None:
    assert decoder().decode([raw]).rejected == {reason: 1}
    with pytest.raises(Rejected, match=reason):
        list(decoder().inspect(raw))


def test_a_table_may_have_columns_of_the_envelopes_names() -> None:
    [row] = decoder().decode([b'{"op": "c", "source": "web", "schema": 1, "payload": 2}']).documents  # type: ignore[attr-defined]

    assert (row["op"], row["source"], row["schema"], row["payload"]) == ("c", "web", 1, 2)


def test_what_an_update_left_as_it_was_is_missing() -> None:
    """A long value that did not change is not in the log; Debezium has a word for it."""
    after = {"id": 1, "long": "__debezium_unavailable_value", "raw": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}

    [row] = decoder().decode([envelope(op="u", after=after)]).documents  # type: ignore[attr-defined]

    assert (row["long"], row["raw"]) == (None, None)


@pytest.mark.parametrize(
    ("name", "type_", "value", "read"),
    [
        ("io.debezium.time.NanoTimestamp", "int64", 1767323045123456789, "2026-01-02T03:04:05.123456+00:00"),
        ("io.debezium.time.NanoTime", "int64", 11045500000000, "03:04:05.500000"),
        ("io.debezium.time.Time", "int32", 11045500, "03:04:05.500000"),
        ("io.debezium.time.MicroTime", "int64", -1, None),
        ("io.debezium.time.ZonedTime", "string", "03:04:05Z", "03:04:05Z"),
        ("io.debezium.time.ZonedTimestamp", "string", "-infinity", None),
        ("io.debezium.time.IsoDate", "string", "2026-01-01Z", "2026-01-01"),
        ("io.debezium.time.Date", "int32", -2147472692, None),
        ("io.debezium.time.Date", "int32", "odd", "odd"),
        ("io.debezium.time.Year", "int32", 2026, 2026),
        ("io.debezium.data.Json", "string", "[1, 2]", [1, 2]),
        ("io.debezium.data.Json", "string", "{broken", "{broken"),
        ("io.debezium.data.Json", "string", "[" * 50 + "]" * 50, "[" * 50 + "]" * 50),
        ("unheard.of", "string", "x", "x"),
        (["no", "name"], "string", "x", "x"),
    ],
)
def test_logical_types_by_name(name: Any, type_: str, value: Any, read: Any) -> None:
    field = {"type": type_, "optional": True, "name": name, "field": "v"}
    raw = json.dumps({"schema": {"type": "struct", "fields": [field]}, "payload": {"v": value}}).encode()

    [row] = decoder().decode([raw]).documents  # type: ignore[attr-defined]

    assert row["v"] == read


@pytest.mark.parametrize(
    ("value", "scale", "read"),
    [
        ("BNI=", "2", 12.34),
        ("+w==", "2", -0.05),
        ("AA==", "0", 0),
        ("AP//////////", "0", 2**64 - 1),  # an id, to the last digit
        ("AQ==", "-3", 1000),
        ("AQ==", "400", 0.0),
        (None, "2", None),
    ],
)
def test_a_decimal_is_exact(value: Any, scale: str, read: Any) -> None:
    field = {
        "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": scale},
        "field": "v",
    }
    raw = json.dumps({"schema": {"type": "struct", "fields": [field]}, "payload": {"v": value}}).encode()

    [row] = decoder().decode([raw]).documents  # type: ignore[attr-defined]

    assert row["v"] == read
    assert type(row["v"]) is type(read)


@pytest.mark.parametrize(
    ("value", "scale"),
    [
        ("BNI=", None),
        ("BNI=", "x"),
        ("BNI=", "99999999999"),
        ("BNI=", "-99999"),
        ("B", "2"),
        (5, "2"),
        ("A" * 2000, "2"),
        ([], "2"),
    ],
)
def test_a_decimal_that_is_none_is_no_number_and_costs_nothing(value: Any, scale: Any) -> None:
    field = {
        "type": "bytes",
        "name": "org.apache.kafka.connect.data.Decimal",
        "parameters": {"scale": scale},
        "field": "v",
    }
    raw = json.dumps({"schema": {"type": "struct", "fields": [field]}, "payload": {"v": value}}).encode()

    [row] = decoder().decode([raw]).documents  # type: ignore[attr-defined]

    assert math.isnan(row["v"])


@pytest.mark.parametrize(
    "options", [{"timestamp": "now"}, {"scales": {"a": 2000}}, {"scales": {"a": "x"}}, {"columns": []}]
)
def test_wrong_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**options)


@pytest.mark.parametrize("name", list(RECORDS))
def test_records_are_recognised(name: str) -> None:
    """So is a row alone with its schema, which tells decimals and times; without one, and without anything of Debezium's beside it, it may be anybody's."""
    assert recognises(records(name))
    assert recognised(records(name)) == ["debezium"]
    if name == "unwrapped":
        rows = [json.dumps(json.loads(value)["payload"]).encode() for value in values(name) if value]
        assert recognised(TopicRecords("t", [0] * len(rows), rows)) == []


def test_other_json_is_not_recognised() -> None:
    for raw in (b'{"id": 1, "op": "c", "source": "x"}', b'{"op": "c", "source": {"a": 1}}', b"[]", b"x", b""):
        assert not recognises(TopicRecords("t", [0, 0], [raw, *values("bare")[:1]] if raw else [raw, raw]))


json_like = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6)),
    lambda held: st.lists(held, max_size=3) | st.dictionaries(st.text(max_size=5), held, max_size=3),
    max_leaves=8,
)
NAMES = [
    name
    for each in json.loads(RECORDS["schemas"][0][1] or "")["schema"]["fields"][1]["fields"]
    if (name := each.get("name"))
]


@settings(max_examples=400)
@given(
    schema=st.one_of(
        json_like,
        st.fixed_dictionaries(
            {
                "fields": st.lists(
                    st.fixed_dictionaries(
                        {"field": st.just("v"), "name": st.sampled_from(NAMES) | json_like, "parameters": json_like}
                    ),
                    max_size=2,
                )
                | json_like
            }
        ),
    ),
    payload=st.one_of(
        json_like,
        st.fixed_dictionaries({"v": json_like | st.sampled_from(["NaN", "BNI=", 2**63, -(2**70)])}),
        st.fixed_dictionaries(
            {"op": st.sampled_from("crudtmx") | json_like, "after": json_like, "before": json_like, "source": json_like}
        ),
        st.fixed_dictionaries(
            {"__deleted": json_like, "__op": json_like, "__source_ts_ms": json_like, "__source_snapshot": json_like}
        ),
    ),
    changed=st.sampled_from(list(RECORDS)),
    at=st.integers(0, 7),
    cut=st.integers(0, 5000),
)
def test_nothing_raises(schema: Any, payload: Any, changed: str, at: int, cut: int) -> None:
    good = values(changed)[at % len(values(changed))] or b""
    messages = [
        json.dumps({"schema": schema, "payload": payload}).encode(),
        json.dumps(payload).encode(),
        good[: cut % (len(good) + 1)] or b"{",
    ]

    held = decoder(scales={"v": 2}).decode(messages)
    plain = decoder().decode(messages)

    for each in (held, plain):
        assert len(each) + sum(each.rejected.values()) == 3
        for path in (("ts",), ("v",), ("features", "v")):
            each.column(path)
