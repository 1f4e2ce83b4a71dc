"""Messages to batches: whatever a message holds, it is counted under its reason and the rest goes on."""

import json
import math
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import Decoded, TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json.structs import plan_series
from monitor.sources.formats.values import UNITS
from monitor.stream.events import SECOND, Partition, SeriesKey
from monitor.stream.halves import RESPONSE
from tests.fakes import NOON

TS = NOON // 1_000_000
REFERENCE = Reference.fit(
    {"age": [20.0, 30.0, 40.0], "income": [1.0, 2.0, 3.0], "plan": ["free", "free", "pro"], "score": [0.1, 0.5, 0.9]},
    prediction="score",
)
PLAN = {"free": 0, "pro": 1, "unseen": 2, "missing": 3}
CHURN = SeriesKey("churn", "3")


def make_decoder(
    keys: Iterable[SeriesKey] = (CHURN,),
    *,
    reference: Reference = REFERENCE,
    fields: FieldMap | None = None,
    max_future: int = 600 * SECOND,
) -> TopicDecoder:
    fields = fields or FieldMap()
    return TopicDecoder("t", [SeriesFields(key, reference.layout, fields) for key in keys], fields, max_future)


def read(decoder: TopicDecoder, *messages: bytes | None, partitions: Iterable[int] | None = None) -> Decoded:
    indices = [0] * len(messages) if partitions is None else list(partitions)
    return decoder.decode(TopicRecords("t", indices, messages), NOON)


def event(**changes: Any) -> bytes:
    """A good event with some top-level keys changed; `...` removes a key."""
    found = {
        "id": "r-1",
        "ts": TS,
        "model": "churn",
        "version": "3",
        "features": {"age": 41.5, "income": 2.0, "plan": "pro"},
        "prediction": 0.83,
        **changes,
    }
    return json.dumps({key: value for key, value in found.items() if value is not ...}).encode()


def with_features(**changes: Any) -> bytes:
    found = {"age": 41.5, "income": 2.0, "plan": "pro", **changes}
    return event(features={key: value for key, value in found.items() if value is not ...})


def rejected(decoded: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, EventsRejected)}


def fields_rejected(decoded: Decoded) -> dict[str, int]:
    return {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, FieldsRejected)}


def outcomes(decoded: Decoded) -> dict[str, int]:
    return {fact.outcome: fact.count for fact in decoded.facts if isinstance(fact, EventsCounted)}


def row(decoded: Decoded, at: int = 0) -> tuple[dict[str, float], int]:
    """The numbers and the code of `plan` of one row of the only batch."""
    (batch,) = decoded.batches
    names = [feature.name for feature in REFERENCE.layout.numeric]
    return dict(zip(names, batch.numeric[at].tolist(), strict=True)), int(batch.codes[at, 0])


def test_a_good_event_becomes_a_row() -> None:
    decoded = read(make_decoder(), event())

    assert row(decoded) == ({"age": 41.5, "income": 2.0, "__prediction__": 0.83}, PLAN["pro"])
    assert decoded.batches[0].event_times.tolist() == [NOON]
    assert decoded.batches[0].key == CHURN
    assert decoded.seen == {Partition("t", 0): NOON}
    assert decoded.facts == []


def test_a_tombstone_is_no_event_and_is_not_rejected() -> None:
    decoded = read(make_decoder(), None, event(), None)

    assert decoded.facts == [EventsCounted("t", "tombstone", 2)]
    assert len(decoded.batches[0]) == 1


BAD: dict[str, tuple[bytes | None, str]] = {
    "empty": (b"", "empty"),
    "truncated": (event()[:-2], "malformed_json"),
    "text": (b"hello", "malformed_json"),
    "two objects": (event() + event(), "malformed_json"),
    "UTF-16": (event().decode().encode("utf-16-le"), "malformed_json"),
    "UTF-16 with its mark": (event().decode().encode("utf-16"), "invalid_utf8"),
    "invalid UTF-8 in a feature": (event().replace(b"pro", b"\xff\xfe"), "invalid_utf8"),
    "invalid UTF-8 in what nobody reads": (event().replace(b"r-1", b"\xff\xfe"), "invalid_utf8"),
    "array": (b"[" + event() + b"]", "not_object"),
    "number": (b"1", "not_object"),
    "null": (b"null", "not_object"),
    "over a mebibyte": (event(id="x" * (1 << 20)), "too_large"),
    "100 000 brackets": (b"[" * 100_000, "too_deep"),
    "100 000 brackets inside": (event(id=0).replace(b'"id": 0', b'"id": ' + b"[" * 100_000), "too_deep"),
    "model number": (event(model=3), "model_invalid"),
    "model object": (event(model={"name": "churn"}), "model_invalid"),
    "version object": (event(version={}), "version_invalid"),
    "version list": (event(version=["3"]), "version_invalid"),
    "time absent": (event(ts=...), "timestamp_missing"),
    "time null": (event(ts=None), "timestamp_missing"),
    "time boolean": (event(ts=True), "timestamp_invalid"),
    "time object": (event(ts={}), "timestamp_invalid"),
    "time text": (event(ts="soon"), "timestamp_invalid"),
    "time number as text": (event(ts=str(TS)), "timestamp_invalid"),
    "time NaN": (event(ts=math.nan), "timestamp_invalid"),
    "time 1e999": (event(ts=math.inf), "timestamp_invalid"),
    "time 1970": (event(ts=0), "timestamp_before_2000"),
    "time in seconds": (event(ts=TS // 1000), "timestamp_before_2000"),
    "time in nanoseconds": (event(ts=NOON), "timestamp_in_future"),
    "time 2262": (event(ts="2262-04-11T23:47:16Z"), "timestamp_in_future"),
    "time above int64": (event(ts=2**63), "timestamp_in_future"),
    "time of 5000 digits": (event(ts=0).replace(b'"ts": 0', b'"ts": ' + b"9" * 5000), "timestamp_invalid"),
    "an hour ahead": (event(ts=TS + 3_600_000), "timestamp_in_future"),
    "features absent": (event(features=...), "features_missing"),
    "features null": (event(features=None), "features_missing"),
    "features a list": (event(features=[41.5, 2.0, "pro"]), "features_invalid"),
    "features text": (event(features="age=41.5"), "features_invalid"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_counted_and_the_rest_of_the_batch_goes_on(case: str) -> None:
    message, reason = BAD[case]

    decoded = read(make_decoder(), event(), message, event())

    assert rejected(decoded) == {reason: 1}
    assert outcomes(decoded) == {"rejected": 1}
    assert len(decoded.batches[0]) == 2
    assert fields_rejected(decoded) == {}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_event_is_the_same_to_a_topic_of_several_models(case: str) -> None:
    message, reason = BAD[case]

    decoded = read(make_decoder([CHURN, SeriesKey("fraud", "*")]), message, event())

    assert rejected(decoded) == {reason: 1}
    assert len(decoded.batches[0]) == 1


FIELDS: dict[str, tuple[bytes, str, dict[str, float], int]] = {
    "absent": (with_features(age=...), "missing", {"age": math.nan}, PLAN["pro"]),
    "null": (with_features(age=None), "missing", {"age": math.nan}, PLAN["pro"]),
    "number as text": (with_features(age="41.5"), "number_as_text", {"age": math.nan}, PLAN["pro"]),
    "list": (with_features(age=[41.5]), "wrong_type", {"age": math.nan}, PLAN["pro"]),
    "nested": (with_features(age={"value": 41.5}), "wrong_type", {"age": math.nan}, PLAN["pro"]),
    "NaN": (with_features(age=math.nan), "non_finite", {"age": math.nan}, PLAN["pro"]),
    "Infinity": (with_features(age=math.inf), "non_finite", {"age": math.inf}, PLAN["pro"]),
    "1e999": (event().replace(b"41.5", b"1e999"), "non_finite", {"age": math.inf}, PLAN["pro"]),
    "-1e999": (event().replace(b"41.5", b"-1e999"), "non_finite", {"age": -math.inf}, PLAN["pro"]),
    "401 digits": (event().replace(b"41.5", b"9" * 401), "non_finite", {"age": math.inf}, PLAN["pro"]),
    "5000 digits": (event().replace(b"41.5", b"-" + b"9" * 5000), "non_finite", {"age": -math.inf}, PLAN["pro"]),
    "category absent": (with_features(plan=...), "missing", {"age": 41.5}, PLAN["missing"]),
    "category null": (with_features(plan=None), "missing", {"age": 41.5}, PLAN["missing"]),
    "category list": (with_features(plan=["pro"]), "wrong_type", {"age": 41.5}, PLAN["missing"]),
    "category object": (with_features(plan={"pro": 1}), "wrong_type", {"age": 41.5}, PLAN["missing"]),
    "category NaN": (with_features(plan=math.nan), "non_finite", {"age": 41.5}, PLAN["missing"]),
    "prediction absent": (event(prediction=...), "missing", {"__prediction__": math.nan}, PLAN["pro"]),
    "prediction text": (event(prediction="yes"), "number_as_text", {"__prediction__": math.nan}, PLAN["pro"]),
    "prediction object": (event(prediction={"p": 1}), "wrong_type", {"__prediction__": math.nan}, PLAN["pro"]),
}


@pytest.mark.parametrize("case", FIELDS)
def test_a_bad_field_costs_that_field_only(case: str) -> None:
    message, reason, numbers, code = FIELDS[case]

    decoded = read(make_decoder(), message)

    expected = {"age": 41.5, "income": 2.0, "__prediction__": 0.83} | numbers
    found, found_code = row(decoded)
    assert found == pytest.approx(expected, nan_ok=True)
    assert found_code == code
    assert fields_rejected(decoded) == {reason: 1}
    assert rejected(decoded) == {}


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"9007199254740993", 2.0**53),
        (b"18446744073709551617", 2.0**64),
        (b"-9223372036854775809", -(2.0**63)),
        (b"1e308", 1e308),
        (b"1e-400", 0.0),
        (b"-0.0", 0.0),
        (b"-0", 0.0),
        (b"3", 3.0),
    ],
)
def test_any_finite_number_is_a_number(raw: bytes, value: float) -> None:
    decoded = read(make_decoder(), event().replace(b"41.5", raw))

    assert row(decoded)[0]["age"] == value
    assert fields_rejected(decoded) == {}


@pytest.mark.parametrize(
    ("value", "code"),
    [("free", "free"), ("gold", "unseen"), ("", "unseen"), (True, "unseen"), (3, "unseen"), (2.5, "unseen")],
)
def test_a_category_outside_the_reference_is_unseen(value: Any, code: str) -> None:
    assert row(read(make_decoder(), with_features(plan=value)))[1] == PLAN[code]


@pytest.mark.parametrize("value", ["1", 1, 1.0])
def test_a_category_is_the_same_as_text_and_as_number(value: Any) -> None:
    reference = Reference.fit({"code": ["1", "2", "true"]})

    decoded = read(make_decoder(reference=reference), event(features={"code": value}))

    assert decoded.batches[0].codes.tolist() == [[reference.layout.categorical[0].categories.index("1")]]
    assert decoded.batches[0].numeric.shape == (1, 0)


def test_categories_of_messages_are_not_remembered() -> None:
    decoder = make_decoder()
    before = len(decoder.series[CHURN].tables[0])

    read(decoder, *(with_features(plan=at) for at in range(50)), *(with_features(plan=f"p{at}") for at in range(50)))

    assert len(decoder.series[CHURN].tables[0]) == before


def test_a_categorical_prediction_is_a_column() -> None:
    reference = Reference.fit({"age": [1.0, 2.0, 3.0], "label": ["yes", "no", "no"]}, prediction="label")

    decoded = read(make_decoder(reference=reference), event(features={"age": 2}, prediction="yes"))

    assert decoded.batches[0].codes.tolist() == [[1]]


def test_a_prediction_that_the_reference_lacks_is_ignored() -> None:
    reference = Reference.fit({"age": [1.0, 2.0, 3.0]})

    decoded = read(make_decoder(reference=reference), event(features={"age": 2}, prediction={"a": [1]}))

    assert decoded.batches[0].numeric.tolist() == [[2.0]]
    assert decoded.facts == []


def test_of_duplicate_keys_the_last_wins() -> None:
    raw = event().replace(b'"age": 41.5', b'"age": "x", "age": 1, "age": 42.5').replace(b'"ts":', b'"ts": 0, "ts":')

    decoded = read(make_decoder(), raw)

    assert row(decoded)[0]["age"] == 42.5
    assert decoded.facts == []


def test_escaped_keys_and_values_are_what_they_say() -> None:
    raw = (
        event()
        .replace(b'"age"', b'"\\u0061ge"')
        .replace(b'"pro"', b'"\\u0070ro"')
        .replace(b'"churn"', b'"c\\u0068urn"')
    )

    assert row(read(make_decoder(), raw)) == ({"age": 41.5, "income": 2.0, "__prediction__": 0.83}, PLAN["pro"])


def test_brackets_in_strings_are_not_nesting() -> None:
    decoded = read(make_decoder(), event(id='"[{' * 10_000))

    assert len(decoded.batches[0]) == 1


# --- unknown features -------------------------------------------------------------------------------------------------


def test_unknown_features_are_counted_on_a_sample() -> None:
    decoder = make_decoder()
    message = with_features(height=180, weight=80)

    counts = [fields_rejected(read(decoder, *[message] * 100)).get("unknown", 0) for _ in range(10)]

    assert counts == [2, 0, 2, 0, 0, 2, 0, 2, 0, 0]  # events 0, 256, 512 and 768


@pytest.mark.parametrize(
    "strange", [{"height": 180, "weight": 80}, {"height": {"of": 1}, "a": None}], ids=["plain", "nested"]
)
@pytest.mark.parametrize("odd", [False, True])  # a key said twice is left to a later reader
def test_one_message_among_many_is_looked_through(strange: dict[str, Any], *, odd: bool) -> None:
    message = with_features(**strange)
    message = message.replace(b"{", b'{"more": 1e999, "ts": 0, ', 1) if odd else message

    def found(place: int) -> int:
        messages = [event()] * 300
        messages[place] = message
        return fields_rejected(read(make_decoder(), *messages)).get("unknown", 0)

    assert [found(place) for place in (0, 255, 256)] == [2, 0, 2]


def test_ten_thousand_unknown_features_cost_nothing_else() -> None:
    decoded = read(make_decoder(), with_features(**{f"x{at}": at for at in range(10_000)}))

    assert fields_rejected(decoded) == {"unknown": 10_000}
    assert row(decoded)[0]["age"] == 41.5


@pytest.mark.parametrize(
    "changes", [{"model": "other"}, {"version": "4"}, {"ts": 0}, {"model": 3}], ids=lambda changes: next(iter(changes))
)
def test_features_of_events_that_do_not_count_are_not_unknown(changes: dict[str, Any]) -> None:
    decoded = read(make_decoder(), event(features={"height": 180}, **changes))

    assert fields_rejected(decoded) == {}


@pytest.mark.parametrize("odd", [False, True])  # the same by a later reader
@pytest.mark.parametrize("key", [CHURN, SeriesKey("churn", "*")])
def test_answers_are_asked_for_no_features_whoever_reads_them(key: SeriesKey, *, odd: bool) -> None:
    fields = FieldMap()
    series = [SeriesFields(key, REFERENCE.layout, fields)]
    decoder = TopicDecoder("t", series, fields, 600 * SECOND, half=RESPONSE)
    message = event(features={"height": 180})
    message = message.replace(b"{", b'{"ts": 0, ', 1) if odd else message

    decoded = read(decoder, message)

    assert sum(map(len, decoded.halves)) == 1
    assert fields_rejected(decoded) == {}


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_features_may_stand_at_the_top() -> None:
    raw = json.dumps({"ts": TS, "model": "churn", "version": "3", "age": 41.5, "plan": "free", "x": 1}).encode()

    decoded = read(make_decoder(fields=FieldMap.parse({"features": ""}, UNITS["ms"])), raw)

    assert row(decoded)[0] == pytest.approx({"age": 41.5, "income": math.nan, "__prediction__": math.nan}, nan_ok=True)
    assert row(decoded)[1] == PLAN["free"]
    assert fields_rejected(decoded) == {"missing": 2}


def test_everything_may_stand_deep_in_a_message() -> None:
    paths = {
        "timestamp": "meta.at",
        "model": "meta.model.id",
        "version": "meta.model.v",
        "features": "payload.in",
        "prediction": "payload.out.score",
    }
    raw = json.dumps(
        {
            "meta": {"at": "2026-11-23T12:00:00Z", "model": {"id": "churn", "v": 3}},
            "payload": {"in": {"age": 1, "income": 2, "plan": "free"}, "out": {"score": 0.5}},
        }
    ).encode()

    decoded = read(make_decoder(fields=FieldMap.parse(paths, UNITS["ms"])), raw)

    assert row(decoded) == ({"age": 1.0, "income": 2.0, "__prediction__": 0.5}, PLAN["free"])


def test_a_feature_may_have_the_name_of_an_envelope_field() -> None:
    """Two things at one path: no struct can say it, the lenient reading can."""
    reference = Reference.fit({"ts": [1.0, 2.0, 3.0], "model": ["churn", "b", "b"]})

    decoder = make_decoder(reference=reference, fields=FieldMap.parse({"features": ""}, UNITS["ms"]))
    decoded = read(decoder, json.dumps({"ts": TS, "model": "churn", "version": "3"}).encode())

    assert plan_series(decoder.series[CHURN]) is None
    assert decoded.batches[0].numeric.tolist() == [[float(TS)]]
    assert decoded.batches[0].codes.tolist() == [[1]]


def test_a_feature_name_may_hold_dots_quotes_and_newlines() -> None:
    names = ["a.b", 'say "hi"', "two\nlines", "back\\slash", "", "日本"]
    reference = Reference.fit({name: [1.0, 2.0, 3.0] for name in names})

    decoded = read(make_decoder(reference=reference), event(features={name: at for at, name in enumerate(names)}))

    assert decoded.batches[0].numeric.tolist() == [[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]]


@pytest.mark.parametrize(
    ("unit", "ts"),
    [
        ("s", NOON // SECOND),
        ("s", float(NOON // SECOND)),
        ("us", NOON // 1000),
        ("ns", NOON),
        ("ns", "2026-11-23T12:00Z"),
    ],
)
def test_integers_are_times_in_the_unit_of_the_topic(unit: str, ts: Any) -> None:
    decoder = make_decoder(fields=FieldMap.parse({}, UNITS[unit]))

    assert read(decoder, event(ts=ts)).batches[0].event_times.tolist() == [NOON]


def test_a_whole_batch_of_good_times_is_as_exact_as_one() -> None:
    """Integers are checked as an array; one odd time among them is checked one by one."""
    good = [event(ts=TS + at) for at in (0, 600_000, -100)]

    assert read(make_decoder(), *good).batches[0].event_times.tolist() == (
        read(make_decoder(), *good, event(ts=TS + 600_001)).batches[0].event_times.tolist()
    )


def test_no_tolerance_can_push_time_out_of_its_range() -> None:
    decoded = read(make_decoder(max_future=300 * 365 * 86_400 * SECOND), event(ts=2**62), event(ts=str(2**70)), event())

    assert all(time > 0 for time in decoded.batches[0].event_times.tolist())


# --- routing ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "version", "found"),
    [
        ("churn", "3", "churn/3"),
        ("churn", 3, "churn/3"),
        ("churn", 3.0, "churn/3"),
        ("churn", "4", "churn/*"),
        ("churn", None, "churn/*"),
        ("churn", ..., "churn/*"),
        ("churn", "*", "churn/*"),
        ("fraud", "1", "fraud/1"),
        ("fraud", "2", None),
        ("fraud", None, None),
        ("plain", None, "plain/"),
        ("plain", "1", None),
        ("other", "1", None),
        ("Churn", "3", None),
    ],
)
def test_an_event_goes_to_the_series_of_its_model_and_version(model: str, version: Any, found: str | None) -> None:
    keys = [CHURN, SeriesKey("churn", "*"), SeriesKey("fraud", "1"), SeriesKey("plain", "")]

    decoded = read(make_decoder(keys), event(model=model, version=version))

    assert [str(batch.key) for batch in decoded.batches] == ([] if found is None else [found])
    assert outcomes(decoded) == ({} if found else {"unmonitored": 1})


@pytest.mark.parametrize(
    ("key", "version", "ours"),
    [
        (CHURN, 3, True),
        (CHURN, "03", False),
        (CHURN, None, False),
        (SeriesKey("churn", "*"), None, True),
        (SeriesKey("churn", "*"), 7, True),
    ],
)
def test_a_topic_of_one_series_is_routed_the_same(key: SeriesKey, version: Any, ours: bool) -> None:
    decoded = read(make_decoder([key]), event(version=version), event(version=version, features={"age": "x"}))

    assert outcomes(decoded) == ({} if ours else {"unmonitored": 2})
    assert sum(map(len, decoded.batches)) == 2 * int(ours)


def test_models_of_one_topic_may_be_mixed_and_broken() -> None:
    fraud = SeriesKey("fraud", "*")
    messages = [
        event(),
        event(model="fraud"),
        with_features(age="x"),
        event(model="fraud", features=None),
        event(model="x"),
    ]

    decoded = read(make_decoder([CHURN, fraud]), *messages * 3)

    rows = Counter(key for batch in decoded.batches for key in [batch.key] * len(batch))
    assert rows == {CHURN: 6, fraud: 3}
    assert outcomes(decoded) == {"rejected": 3, "unmonitored": 3}
    assert fields_rejected(decoded) == {"number_as_text": 3}


@pytest.mark.parametrize("model", [..., None])
def test_a_row_that_names_no_model_is_of_the_only_one(model: Any) -> None:
    """Without a version too, of the only series; its version counts where it has one."""
    messages = [event(model=model), event(model=model, version=...), event(model=model, version="4")]

    decoded = read(make_decoder(), *messages)

    assert [(batch.key, len(batch)) for batch in decoded.batches] == [(CHURN, 2)]
    assert outcomes(decoded) == {"unmonitored": 1}


def test_with_two_models_a_row_must_say_whose_it_is() -> None:
    decoded = read(make_decoder([CHURN, SeriesKey("fraud", "*")]), event(model=...), event(model=None), event())

    assert rejected(decoded) == {"model_missing": 2}
    assert [len(batch) for batch in decoded.batches] == [1]


@pytest.mark.parametrize("pure", [False, True])
def test_a_constant_is_what_all_rows_are_of(pure: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever they say themselves; with the compiled part and without."""
    if pure:
        monkeypatch.setattr("monitor.sources.formats.json.scanning.COMPILED", False)
    fraud = SeriesKey("fraud", "*")
    messages = [event(model=...), event(model="fraud"), event(version="9"), event(version=...)]

    by_model = read(make_decoder([CHURN, fraud], fields=FieldMap(model_is="churn")), *messages)
    both = read(make_decoder([CHURN, fraud], fields=FieldMap(model_is="churn", version_is="3")), *messages)

    assert sum(len(batch) for batch in by_model.batches if batch.key == CHURN) == 3
    assert outcomes(by_model) == {"unmonitored": 1}
    assert sum(len(batch) for batch in both.batches if batch.key == CHURN) == 4


# --- event time -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keys", [[CHURN], [CHURN, SeriesKey("fraud", "*")]], ids=["one series", "two series"])
def test_every_valid_event_moves_its_partition_on(keys: list[SeriesKey]) -> None:
    """Also those of models that are not monitored; never those that are rejected."""
    messages = {
        0: [event(ts=TS - 5), event(ts=TS - 9), event(ts=TS - 1, features=None)],
        1: [event(ts=TS - 7), event(ts=TS - 2, model="other"), event(ts=TS - 1, model=7)],
        2: [event(ts=TS - 4, features={"age": "x"}), event(ts=TS - 8)],
        3: [event(ts=TS - 3, model="other", features=None), event(ts=TS - 6, model="other")],
        4: [event(ts=0), b"", b"{"],
    }
    partitions = [index for index, found in messages.items() for _ in found]

    decoded = read(make_decoder(keys), *(raw for found in messages.values() for raw in found), partitions=partitions)

    ago = {partition.index: (NOON - time) // 1_000_000 for partition, time in decoded.seen.items()}
    assert ago == {0: 5, 1: 2, 2: 4, 3: 3}


@pytest.mark.parametrize("keys", [[CHURN], [CHURN, SeriesKey("fraud", "*")]], ids=["one series", "two series"])
def test_neighbours_are_those_of_the_partition_whoever_reads_them(keys: list[SeriesKey]) -> None:
    """A number beyond all floats is read by a slower way: the one clock that runs fast stands among seven all the same."""
    beyond = [event(ts=TS - 300_000 + at * 1000, features={"age": 4.5}) for at in range(7)]
    slow = [raw.replace(b"4.5", b"1e999") for raw in beyond]
    fast = event(ts=TS - 1000)

    for messages in ([*slow, fast], [fast, *slow], [*slow[:4], fast, *slow[4:]]):
        decoded = read(make_decoder(keys), *messages)
        assert decoded.seen == {Partition("t", 0): NOON - 294 * SECOND}


def test_rows_keep_their_own_time_and_values() -> None:
    """Whichever way a row was read, each value must stay in it."""
    messages = [with_features(age=at if at % 3 else str(at), income=at) for at in range(20)]
    messages = [raw.replace(str(TS).encode(), str(TS - at).encode()) for at, raw in enumerate(messages)]

    seen: list[int] = []
    for batch in read(make_decoder(), *messages).batches:
        ago = (NOON - batch.event_times) // 1_000_000
        seen += ago.tolist()
        assert (batch.numeric[:, 1] == ago).all()
        assert (np.isnan(batch.numeric[:, 0]) == (ago % 3 == 0)).all()

    assert sorted(seen) == list(range(20))


def test_nothing_comes_of_nothing() -> None:
    decoded = read(make_decoder())

    assert (decoded.batches, decoded.seen, decoded.facts) == ([], {}, [])


def test_no_reason_is_made_of_a_message() -> None:
    canary = "canary-7f3a"
    messages = [
        event(model=canary, features=canary),
        event(model=[canary], ts=canary),
        event(version=[canary]),
        event(ts=canary),
        with_features(age=canary, **{canary: canary}),
        canary.encode(),
    ]

    assert canary not in repr(read(make_decoder(), *messages).facts)
