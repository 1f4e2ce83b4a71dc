"""Mappings beyond dotted paths: lists taken apart and numbered, names for what has none, and what stands beside a message's value."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.sketches.identity import hashes_of
from monitor.facts import EventsCounted, EventsRejected
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.decode.shaping import MOST_ROWS, ShapedDecoder, shaped
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json import JsonDecoder
from monitor.sources.formats.values import UNITS
from monitor.stream.events import MINUTE, SeriesKey
from tests.fakes import NOON

TS = NOON // 1_000_000
REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "plan": ["free", "free", "pro"]})
CHURN = SeriesKey("churn", "3")
USUAL = {"id": "id", "timestamp": "ts", "model": "model", "version": "version", "features": "features"}


def decoder(topic: str = "t", **fields: Any) -> TopicDecoder:
    mapped = FieldMap.parse(USUAL | fields, UNITS["ms"], topic)
    return TopicDecoder(topic, [SeriesFields(CHURN, REFERENCE.layout, mapped)], mapped, MINUTE)


def event(**changes: Any) -> bytes:
    usual = {"id": "r-1", "ts": TS, "model": "churn", "version": "3", "features": {"age": 25.0, "plan": "pro"}}
    return json.dumps({name: value for name, value in (usual | changes).items() if value is not ...}).encode()


def records(*values: bytes | None, **parts: Any) -> TopicRecords:
    return TopicRecords("t", [0] * len(values), values, **parts)


def read(made: TopicDecoder, *values: bytes | None, **parts: Any) -> Decoded:
    return made.decode(records(*values, **parts), NOON)


def ages(decoded: Decoded) -> list[float]:
    return [age for batch in decoded.batches for age in batch.numeric[:, 0].tolist()]


def rejected(decoded: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, EventsRejected)}


def hashes(*ids: str | None) -> list[int]:
    found: list[int] = hashes_of(np.array(ids, dtype=object), len(ids)).tolist()
    return found


# --- what costs nothing -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{}, {"model": {"const": "churn"}}, {"model": {"topic": "seldon.{model}.in"}, "version": {"topic": "{version}.x"}}],
)
def test_paths_and_constants_are_read_as_ever(fields: dict[str, Any]) -> None:
    """By the compiled scan, where it is there."""
    mapped = FieldMap.parse(USUAL | fields, UNITS["ms"], "seldon.churn.in")
    plain: Any = object()

    assert shaped(plain, mapped) is plain


@pytest.mark.parametrize(
    ("pattern", "model"),
    [(True, "a.b.v3.in"), ("{model}.in", "a.b.v3"), ("a.{model}.{version}.in", "b"), ("{model}.v{version}.in", "a.b")],
)
def test_the_name_of_a_topic_names_its_model(pattern: Any, model: str) -> None:
    assert FieldMap.parse({"model": {"topic": pattern}}, 1, "a.b.v3.in").model_is == model


# --- beside values ----------------------------------------------------------------------------------------------------


def test_headers_key_and_partition_stand_where_the_mapping_says() -> None:
    made = decoder(
        id={"header": "request-id"}, model={"header": "model"}, version={"key": "v.name"}, group={"partition": True}
    )
    found = made.decode(
        TopicRecords(
            "t",
            [4, 5, 4],
            [event(model=..., version=...)] * 3,
            keys=[b'{"v": {"name": "3"}}', b'{"v": {"name": "3"}}', None],
            headers=[
                [("request-id", b"old"), ("model", b"churn"), ("request-id", b"h-1")],
                [("model", b"churn"), ("request-id", b"\xff")],
                [("model", b"other")],
            ],
        ),
        NOON,
    )

    (batch,) = found.batches
    assert made.wants == RecordParts.HEADERS | RecordParts.KEYS
    assert batch.ids is not None
    assert batch.groups is not None
    assert batch.ids.tolist() == hashes("h-1", None)
    assert batch.groups.tolist() == hashes("4", "5")
    assert EventsCounted("t", "unmonitored", 1) in found.facts


@pytest.mark.parametrize(
    ("written", "time"),
    [(str(TS).encode(), NOON), (b"2026-11-23T12:00:00Z", NOON), (b"yesterday", None), (None, None), (b"9" * 400, None)],
)
def test_event_time_may_stand_in_a_header(written: bytes | None, time: int | None) -> None:
    found = read(decoder(timestamp={"header": "t"}), event(ts=...), headers=[[("t", written)]])

    assert [batch.event_times.tolist() for batch in found.batches] == ([] if time is None else [[time]])


def test_the_brokers_time_stands_in_only_where_the_mapping_says_so() -> None:
    messages = [event(ts=...), event(ts=TS - 5_000), event(ts=...)]
    stamps = [NOON - 1, NOON - 2, 0]

    mapped = read(decoder(timestamp={"broker": True}), *messages, stamps=stamps)
    other = read(decoder(), *messages, stamps=stamps)

    assert decoder().wants is RecordParts.NOTHING
    assert mapped.batches[0].event_times.tolist() == [NOON - 1, NOON - 2]
    assert rejected(mapped) == {"timestamp_missing": 1}
    assert other.batches[0].event_times.tolist() == [NOON - 5_000_000_000]
    assert rejected(other) == {"timestamp_missing": 2}


def test_records_of_a_file_have_nothing_beside_their_values() -> None:
    found = read(decoder(timestamp={"broker": True}, id={"key": True}), event())

    assert rejected(found) == {"timestamp_missing": 1}


@pytest.mark.parametrize("key", [b"", b"r-9", b"[1]", b"{", b'{"a": "r-9"}', b'"r-9"', b"\xff", b"[" * 100, None])
def test_a_key_that_holds_no_such_path_is_no_id(key: bytes | None) -> None:
    found = read(decoder(id={"key": "a.0"}), event(), keys=[key])

    assert found.batches[0].ids is not None
    assert found.batches[0].ids.tolist() == [0]
    assert ages(found) == [25.0]


# --- lists ------------------------------------------------------------------------------------------------------------


def test_places_in_lists_are_parts_of_paths() -> None:
    made = decoder(id="ids.1", features="inputs.0.row", model="about.0")
    messages = [
        event(ids=["a", "b"], inputs=[{"row": {"age": 1, "plan": "pro"}}], about={"0": "churn"}),
        event(ids=["a"], inputs=[{"row": {"age": 2}}], about=["churn", "other"]),
        event(ids=["a"], inputs=[], about=["churn"]),
        event(ids=["a"], inputs=[{"row": [1]}], about=["churn"]),
    ]
    found = read(made, *messages)

    assert ages(found) == [1, 2]
    assert found.batches[0].ids is not None
    assert found.batches[0].ids.tolist() == hashes("b", None)
    assert rejected(found) == {"features_missing": 1, "features_invalid": 1}


def test_each_element_of_a_list_is_a_row_with_an_id_of_its_own() -> None:
    """The number counts within its message, also where there is one: whoever writes labels need not know how many there were."""
    made = decoder(explode="instances", features="instances")
    found = read(
        made,
        event(id="r-1", instances=[{"age": 1}, {"age": 2, "plan": "pro"}]),
        event(id="r-2", instances=[{"age": 3}]),
        event(id=..., instances=[{"age": 4}]),
        event(instances=[]),
        event(),
        event(instances={"age": 1}),
        event(instances=[{}] * (MOST_ROWS + 1)),
        event(instances=[{"age": 5}, 7, None]),
        b"{",
    )

    assert ages(found) == [1, 2, 3, 4, 5]
    assert found.batches[0].ids is not None
    assert found.batches[0].ids.tolist() == hashes("r-1#0", "r-1#1", "r-2#0", None, "r-1#0")
    assert rejected(found) == {
        "rows_missing": 2,
        "rows_invalid": 1,
        "too_many_rows": 1,
        "features_invalid": 1,
        "features_missing": 1,
        "malformed_json": 1,
    }


def test_an_id_inside_the_element_is_its_own() -> None:
    made = decoder(explode="batch.rows", features="batch.rows.x", id="batch.rows.id", timestamp="batch.rows.t")
    rows = [{"id": "a", "t": TS, "x": {"age": 1}}, {"id": "b", "t": TS - 1, "x": {"age": 2}}]
    found = read(made, event(batch={"rows": rows}))

    assert ages(found) == [1, 2]
    assert found.batches[0].ids is not None
    assert found.batches[0].ids.tolist() == hashes("a", "b")
    assert found.batches[0].event_times.tolist() == [NOON, NOON - 1_000_000]


@pytest.mark.parametrize("form", ["json-lines", "json-batch"])
def test_rows_of_one_message_that_share_an_id_beside_it_are_told_apart(form: str) -> None:
    fields = FieldMap.parse({"id": {"header": "request"}}, UNITS["ms"], "t")
    made = TopicDecoder("t", [SeriesFields(CHURN, REFERENCE.layout, fields)], fields, MINUTE, form)
    several = [json.loads(event()), json.loads(event())]
    lines = b"\n".join(json.dumps(each).encode() for each in several)
    values = lines if form == "json-lines" else json.dumps(several).encode(), event()

    found = read(made, *values, headers=[[("request", b"r-1")], [("request", b"r-2")]])

    assert [each for batch in found.batches for each in (batch.ids if batch.ids is not None else ())] == hashes(
        "r-1#0", "r-1#1", "r-2"
    )
    rows = list(made.inspect(TopicRecords("t", (0,), values[:1], headers=[[("request", b"r-1")]])))
    assert [row.get(fields.id) for row in rows] == ["r-1#0", "r-1#1"]


def test_unnamed_columns_get_the_names_of_the_mapping() -> None:
    made = decoder(explode="instances", features="instances", columns=["age", "plan"])
    found = read(made, event(instances=[[1.5, "pro"], [2.5, None], [3.5], {"age": 4.5}]))

    assert ages(found) == [1.5, 2.5, 4.5]
    assert found.batches[0].codes[:, 0].tolist() == [1, 3, 3]
    assert rejected(found) == {"features_invalid": 1}


# --- the same in words ------------------------------------------------------------------------------------------------


SHAPES: Sequence[Mapping[str, Any]] = (
    {"id": {"header": "i"}, "timestamp": {"header": "t"}},
    {"id": {"key": "a.1"}, "group": {"partition": True}},
    {"explode": "instances", "features": "instances", "columns": ["age", "plan"]},
    {"explode": "instances.1", "features": "instances.1.x", "id": {"key": True}},
    {"features": "instances.0", "columns": ["age"], "id": "instances.0.0"},
)
MESSAGES = (
    event(instances=[[1, "pro"], [2, None]]),
    event(instances=[[1], [{"x": {"age": 1}}, {"x": 4}]]),
    event(instances={"1": [{"x": {"age": 3}}], "0": [7]}),
    event(instances=None),
    b"[",
)


class FlatRows:
    """The JSON decoder's messages as columns of their leaves, as formats have them that are no text."""

    def decode(self, values: Sequence[bytes | None]) -> Rows:
        held = [json.loads(value) for value in values if value not in {None, b"["}]
        messages = [at for at, value in enumerate(values) if value not in {None, b"["}]
        columns: dict[tuple[str, ...], list[Any]] = {}
        for at, document in enumerate(held):
            for path, leaf in _flat(document, ()):
                columns.setdefault(path, [None] * len(held))[at] = leaf
        arrays: Any = {path: np.fromiter(each, dtype=object, count=len(held)) for path, each in columns.items()}
        return Rows(arrays, np.array(messages, dtype=np.intp), {"malformed_json": len(values) - len(held)})

    def inspect(self, raw: bytes) -> Sequence[Mapping[tuple[str, ...], object]]:
        return [dict(_flat(json.loads(raw), ()))]


def _flat(held: Any, path: tuple[str, ...]) -> list[tuple[tuple[str, ...], Any]]:
    if not isinstance(held, dict) or not held:
        return [(path, held)]
    return [leaf for name, below in held.items() for leaf in _flat(below, (*path, name))]


@pytest.mark.parametrize("fields", SHAPES)
def test_what_is_said_of_a_row_is_what_is_read(fields: dict[str, Any]) -> None:
    """Also of a format whose rows are columns, and of rows that are taken out of others."""
    mapped = FieldMap.parse(USUAL | fields, UNITS["ms"], "t")
    json_decoder = JsonDecoder(decoder(**fields)._holds)
    whole = records(
        *MESSAGES,
        keys=[b"k", b'{"a": [1, "z"]}', None, b"\xff", b"k"],
        headers=[[("i", b"1"), ("t", str(TS).encode())], [], [("i", None)], [("t", b"x")], []],
    )
    paths = [mapped.id, mapped.group, mapped.timestamp, (*mapped.features, "age"), (*mapped.features, "plan")]
    for inner in (json_decoder, FlatRows()):
        made = ShapedDecoder(inner, mapped)
        rows = made.decode_records(whole)
        said = []
        for at in dict.fromkeys(rows.messages.tolist()):
            said += [[row.get(path) for path in paths] for row in made.inspect_record(whole.only([at]))]
        taken = rows.take(np.arange(len(rows))[::-1])
        columns = [np.full(len(rows), None) if (found := rows.column(path)) is None else found for path in paths]

        assert len(rows) > 0
        assert [rows.values(at, paths) for at in range(len(rows))] == said
        assert [list(each) for each in zip(*(column.tolist() for column in columns), strict=True)] == said
        assert [taken.values(at, paths) for at in range(len(rows))] == said[::-1]
