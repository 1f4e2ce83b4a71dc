"""Many events in one message of JSON: lines, arrays, columns, names beside rows; each is read as the same event alone would be."""

import json
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from monitor.facts import EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.base import Decoder
from monitor.sources.formats.fields import FieldMap, SeriesFields, TopicFields
from monitor.sources.formats.json.parts import PartsDecoder
from monitor.sources.formats.json_batch import Options
from monitor.sources.formats.registry import decoder_of, recognised
from monitor.sources.formats.values import Rejected
from monitor.stream.events import SECOND, OffsetRange, Partition, SeriesKey
from tests.fakes import NOON
from tests.properties.test_decode import rows

TS = NOON // 1_000_000
REFERENCE = Reference.fit({"age": [20.0, 30.0], "plan": ["free", "pro"], "score": [0.1, 0.9]}, prediction="score")
KEY = SeriesKey("churn", "3")
Row = Mapping[str, Any]


def make_topic(form: str, fields: FieldMap | None = None, **options: Any) -> TopicDecoder:
    fields = fields or FieldMap()
    said = Options(**options) if options else None
    return TopicDecoder("t", [SeriesFields(KEY, REFERENCE.layout, fields)], fields, 600 * SECOND, form, options=said)


def make_decoder(form: str, fields: FieldMap | None = None, **options: Any) -> Decoder:
    return decoder_of(form, TopicFields([], fields or FieldMap(), options=Options(**options) if options else None))


def rows_of(message: Any, **options: Any) -> list[Row]:
    raw = message if isinstance(message, bytes) else json.dumps(message).encode()
    return [
        {".".join(path): value for path, value in row.items()}
        for row in make_decoder("json-batch", **options).inspect(raw)
    ]


def read(decoder: TopicDecoder, *messages: bytes | None, **records: Any) -> Decoded:
    return decoder.decode(TopicRecords("t", [0] * len(messages), messages, **records), NOON)


def rejected(decoded: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, EventsRejected)}


def event(age: float | None = 30.0, **changes: Any) -> Row:
    features = {"age": age, "plan": "pro"}
    return {"ts": TS, "model": "churn", "version": "3", "id": "r-1", "features": features, "prediction": 0.5, **changes}


def dumped(*events: Row) -> list[bytes]:
    return [json.dumps(each).encode() for each in events]


# --- lines ------------------------------------------------------------------------------------------------------------


def test_lines_are_events_and_a_broken_one_costs_that_line_only() -> None:
    lines = b"\n".join([*dumped(event(1.0), event(2.0)), b'{"ts": ', b"", b"7\r", *dumped(event(3.0))])

    decoded = read(make_topic("json-lines"), lines, b"\xef\xbb\xbf" + dumped(event(4.0))[0], b"\n\n", None, b"")

    (batch,) = decoded.batches
    assert batch.numeric[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert rejected(decoded) == {"malformed_json": 1, "not_object": 1, "empty": 2}


def test_lines_are_counted_before_they_are_cut() -> None:
    """Sixteen MiB of lines of a byte would take a hundred times that."""
    decoded = read(make_topic("json-lines"), b"1\n" * 1_000_001, dumped(event(4.0))[0])

    assert rejected(decoded) == {"too_large": 1}
    assert sum(map(len, decoded.batches)) == 1


def test_what_is_known_of_a_message_is_known_of_each_of_its_lines() -> None:
    decoder = make_topic("json-lines")
    lines = b"\n".join(dumped(event(1.0), event(2.0)))
    records = TopicRecords(
        "t",
        [1, 0],
        [lines, dumped(event(3.0))[0]],
        (OffsetRange(Partition("t", 1), 7, 8), OffsetRange(Partition("t", 0), 3, 4)),
    )

    cut, _ = decoder.format.split(records)  # type: ignore[attr-defined]

    assert (list(cut.partitions), list(cut.numbers)) == ([1, 1, 0], [7, 7, 3])
    assert set(decoder.decode(records, NOON).seen) == {Partition("t", 0), Partition("t", 1)}


def test_rows_for_words_leave_out_what_cannot_be_read() -> None:
    good = make_decoder("json-lines").inspect(b'{"a": 1}\n{"a": \n{"a": 2}')
    assert [row[("a",)] for row in good] == [1, 2]
    with pytest.raises(Rejected, match="malformed_json"):
        list(make_decoder("json-lines").inspect(b"{\n{"))


# --- batches ----------------------------------------------------------------------------------------------------------

AGES: list[Row] = [{"ts": 1, "features.age": 1}, {"ts": 1, "features.age": None}]


@pytest.mark.parametrize(
    "message",
    [
        [{"ts": 1, "features": {"age": 1}}, {"ts": 1, "features": {"age": None}}],
        [{"ts": 1, "age": 1}, {"ts": 1, "age": None}],
        {"ts": 1, "instances": [{"age": 1}, {"age": None}]},
        {"ts": 1, "features": [{"age": 1}, {"age": None}]},
        {"ts": 1, "features": {"age": [1, None]}},
        {"ts": [1, 1], "age": [1, None]},
        {"ts": 1, "inputs": {"age": [1, None]}},
        {"ts": 1, "columns": ["age"], "data": [[1], [None]]},
        {"ts": 1, "dataframe_split": {"index": [0, 1], "columns": ["age"], "data": [[1], [None]]}},
        {"ts": 1, "dataframe_records": [{"age": 1}, {"age": None}]},
    ],
)
def test_every_shape_gives_the_same_rows(message: Any) -> None:
    assert rows_of(message) == AGES


def test_lists_without_names_need_them_said() -> None:
    message = {"ts": 1, "instances": [[1, "a"], [2, None]]}

    with pytest.raises(Rejected, match="unnamed_columns"):
        rows_of(message)
    assert rows_of(message, names=("age", "plan"))[1] == {"ts": 1, "features.age": 2, "features.plan": None}


def test_what_stands_outside_is_of_every_row_and_a_row_says_better() -> None:
    message = {
        "ts": 1,
        "model": "m",
        "id": "r",
        "x": {"y": 2},
        "instances": [{"age": 1}, {"age": 2, "model": "n", "prediction": 0.5}],
    }

    assert rows_of(message) == [
        {"ts": 1, "model": "m", "x.y": 2, "id": "r#0", "features.age": 1},
        {"ts": 1, "model": "n", "x.y": 2, "id": "r#1", "prediction": 0.5, "features.age": 2},
    ]


def test_a_list_outside_that_is_as_long_as_the_rows_is_one_value_a_row() -> None:
    message = {"ts": [1, 2], "id": 7, "prediction": [0.1, 0.2], "tags": [1, 2], "instances": [{"age": 1}, {"age": 2}]}

    assert rows_of(message)[1] == {"ts": 2, "id": "7#1", "prediction": 0.2, "tags": [1, 2], "features.age": 2}


def test_features_may_stand_at_the_top() -> None:
    rows = list(make_decoder("json-batch", FieldMap(features=())).inspect(b'{"ts": 1, "instances": [{"age": 1}]}'))

    assert [dict(row) for row in rows] == [{("ts",): 1, ("age",): 1}]


def test_numbers_that_json_does_not_have_are_let_through() -> None:
    rows = rows_of(b'{"ts": 1, "instances": [{"age": NaN}, {"age": 1e999}, {"age": ' + b"9" * 5000 + b"}]}")

    assert np.isnan(rows[0]["features.age"])
    assert [row["features.age"] for row in rows[1:]] == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (b"[", "malformed_json"),
        (b"7", "not_object"),
        (b"[]", "no_rows"),
        (b'{"instances": []}', "no_rows"),
        (b'{"columns": ["a", "b"], "data": [[1]]}', "uneven_rows"),
        (b'{"instances": {"a": [1], "b": [1, 2]}}', "uneven_rows"),
        (b'{"ts": 1, "a": [1], "b": [1, 2]}', "uneven_rows"),
        (b'{"columns": [1], "data": [[1]]}', "unnamed_columns"),
        (b'{"' + b"k" * 100_000 + b'": 1, "instances": [' + b"{}," * 20_000 + b"{}]}", "expands_too_much"),
        (b" " * (1 << 20) + b"{}", "too_large"),
        (b'[{"a":' * 17 + b"1" + b"}]" * 17, "too_deep"),
        (b"", "empty"),
    ],
)
def test_what_is_no_batch_has_one_reason(message: bytes, reason: str) -> None:
    good = dumped(event(1.0))[0]

    decoded = read(make_topic("json-batch"), good, message, good)

    assert rejected(decoded) == {reason: 1}
    assert len(decoded.batches[0]) == 2
    with pytest.raises(Rejected, match=reason):
        rows_of(message)


def test_options_say_which_shape() -> None:
    held = {"ts": 1, "instances": [{"age": 1}], "mine": {"age": [2, 3]}}

    assert [row["features.age"] for row in rows_of(held, rows="mine", shape="columns")] == [2, 3]
    with pytest.raises(Rejected, match="no_batch"):
        rows_of(held, rows="mine", shape="records")
    with pytest.raises(Rejected, match="no_batch"):
        rows_of(held, rows="theirs")


@pytest.mark.parametrize("form", ["json-lines", "json-batch"])
def test_events_cut_out_are_those_that_stand_alone(form: str) -> None:
    events = dumped(
        *(event(float(at), id=f"r-{at}", ts=TS - at, prediction=None if at % 3 else 0.5) for at in range(50))
    )
    whole = b"\n".join(events) if form == "json-lines" else b"[" + b",".join(events) + b"]"

    alone, cut = read(make_topic("json"), *events), read(make_topic(form), whole)

    for ours, theirs in zip(cut.batches, alone.batches, strict=True):
        assert ours.ids is not None
        assert theirs.ids is not None
        assert np.array_equal(ours.event_times, theirs.event_times)
        assert np.array_equal(ours.numeric, theirs.numeric, equal_nan=True)
        assert np.array_equal(ours.codes, theirs.codes)
        assert np.array_equal(ours.ids, theirs.ids)
    assert cut.facts == alone.facts


def test_batches_and_lines_are_recognised_and_plain_json_is_not() -> None:
    def found(*values: bytes) -> set[str]:
        return {"json-lines", "json-batch"} & set(recognised(TopicRecords("t", [0] * len(values), values)))

    assert found(*dumped(event(), event())) == set()
    assert found(json.dumps(event(), indent=1).encode()) == set()
    assert found(b"\n".join(dumped(event(), event()))) == {"json-lines"}
    assert not found(b"\xef\xbb\xbf")  # a byte order mark, and nothing else
    assert found(b'{"instances": [{"a": 1}]}', b'{"instances": [[1]]}') == {"json-batch"}
    assert found(b'[{"a": 1}]') == {"json-batch"}
    assert found(b"[1]") == found(b"{") == found(b"") == set()


# --- where they lie ------------------------------------------------------------------------------------------------------

WORDS = (
    '{"features":{"age":',
    "[",
    "]",
    "{",
    "}",
    ",",
    ":",
    '"',
    '\\"',
    "\\",
    "\n",
    "\r\n",
    " ",
    "é",
    '"features":{',
    "NaN",
    "1e999",
    "\0",
    "7",
)


def spoilt(random: Random, raw: bytes) -> bytes:
    """A message in which something lacks, or stands where nothing should."""
    at, size = random.randrange(len(raw) + 1), random.choice((0, 0, 1, 3))
    word = random.choice((*(word.encode() for word in WORDS), b"\xff", b"\xc3"))
    return random.choice((raw[:at], raw[:at] + word + raw[at + size :], raw[:at] + raw[at + size + 1 :]))


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize("form", ["json-lines", "json-batch"])
def test_events_read_where_they_lie_are_those_that_are_cut(form: str) -> None:
    """Whatever a message holds: a text cut off in one event goes on in the next one's bytes."""
    random = Random(np.random.randint(2**31))  # noqa: NPY002 - follows the run's seed
    lying, cut = make_topic(form), make_topic(form)
    assert isinstance(cut.bare, PartsDecoder)
    cut.bare._lying = None
    between, (begin, end) = (
        (b"\n", (b"", b"")) if form == "json-lines" else (random.choice((b",", b" ,\n")), (b"[", b" ]\n"))
    )
    for _ in range(8):
        names = [random.choice(("pro", 'a "b" [c]', "größer", "x" * 90)) for _ in range(random.randrange(1, 5))]
        events = dumped(*(event(float(at), note={"text": [name]}, id=name) for at, name in enumerate(names)))
        good = begin + between.join(events) + end
        values = [good, *(spoilt(random, good) for _ in range(6)), spoilt(random, spoilt(random, good)), None, b""]
        for poll in (values, *([value] for value in values[1:8])):
            records = TopicRecords("t", [at % 2 for at in range(len(poll))], poll)
            ahead = replace(records, prepared=lying.prepare(poll, NOON - SECOND))
            assert ahead.prepared is not None
            found, expected = lying.decode(ahead, NOON), cut.decode(records, NOON)
            assert rows(found) == rows(expected), poll
            assert set(found.facts) == set(expected.facts), poll
            assert found.seen == expected.seen


def drawn_batch(random: Random, count: int) -> Any:
    """Rows of any shape that servers log."""
    texts = "pro", "free", 'a "b" [c]', "größer", "x" * 90, None
    table = {
        "age": [random.choice((30, 1e5, -0.5, None, [1, 2], "7")) for _ in range(count)],
        "plan": [random.choice(texts) for _ in range(count)],
    }
    listed = [list(values) for values in zip(*table.values(), strict=True)]
    events = [{"features": event()["features"], "prediction": 0.5} for _ in range(count)]
    rows = random.choice(
        (
            {"dataframe_split": {"columns": list(table), "data": listed}},
            {"instances": listed},
            {"inputs": table},
            {"instances": [dict(zip(table, values, strict=True)) for values in listed]},
            {"rows": events},
            {**table, "prediction": [0.25] * count},
        )
    )
    times = random.choice((TS, [TS - at for at in range(count)]))
    own = random.choice(("r", 7, [f"r-{at}" for at in range(count)]))
    return {"ts": times, "model": "churn", "version": "3", "id": own, **rows}


@pytest.mark.usefixtures("compiled_parts")
def test_rows_that_are_woven_into_events_are_those_that_are_put_together() -> None:
    random = Random(np.random.randint(2**31))  # noqa: NPY002 - follows the run's seed
    names = {"names": ("age", "plan")}
    woven, together = make_topic("json-batch", **names), make_topic("json-batch", **names)
    assert isinstance(woven.bare, PartsDecoder)
    assert isinstance(together.bare, PartsDecoder)
    together.bare._lying = None
    assert woven.bare._lying is not None
    weave = woven.bare._lying.weave
    assert weave is not None
    for _ in range(12):
        batch = drawn_batch(random, random.randrange(1, 6))
        good = json.dumps(batch, indent=random.choice((None, 1)), ensure_ascii=random.random() < 0.5).encode()
        columns_alone = not {"dataframe_split", "instances", "inputs", "rows"} & batch.keys()
        assert columns_alone or weave(good) is not None, good
        values = [good, *(spoilt(random, good) for _ in range(4)), None, good]
        for poll in (values, *([value] for value in values[:5])):
            records = TopicRecords("t", [at % 2 for at in range(len(poll))], poll)
            found, expected = (decoder.decode(records, NOON) for decoder in (woven, together))
            assert rows(found) == rows(expected), poll
            assert set(found.facts) == set(expected.facts), poll
            assert found.seen == expected.seen


@pytest.mark.parametrize(
    "raw",
    [
        b'{"HALF":1,"rows":[{"features":{"age":1.0}}]}',
        b'{"rows":[{"HALF":1,"age":1.0,"model":"churn"}]}',  # what is mapped stands among features
        b'{"instances":{"HALF":[1],"age":[1.0]}}',
        b'{"HALF":[1],"age":[1.0]}',
    ],
)
def test_a_key_of_half_a_pair_costs_nothing(raw: bytes) -> None:
    """Python's json lets it through, as the reader of events does; it can be written as an escape alone."""
    (row,) = rows_of(raw.replace(b"HALF", b"\\ud83d"))

    assert row["features.age"] == 1.0


def test_space_around_an_array_says_nothing() -> None:
    raw = json.dumps([event(), event()]).encode()
    for around in (b" \n" + raw + b"\r\n", b"\xef\xbb\xbf" + raw):
        assert [row["id"] for row in rows_of(around)] == ["r-1", "r-1"]
