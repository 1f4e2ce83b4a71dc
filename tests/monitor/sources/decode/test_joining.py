"""What is joined is the same, whichever reader reads it: compiled, typed, or as rows."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.sketches.identity import SECOND, hashed, wide_hashes_of
from monitor.facts import EventsCounted, EventsRejected, FieldsRejected
from monitor.series.truth import BINARY, MULTICLASS, REGRESSION, Truth, unpacked
from monitor.sources.base import TopicRecords
from monitor.sources.decode.joining import PredictionColumns, prediction_fields
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import MINUTE, JoinBatch, SeriesKey
from tests.build import of
from tests.charted import seeded
from tests.fakes import NOON
from tests.readers import readers_of

KEYS = [SeriesKey("churn", "1"), SeriesKey("fraud", "*")]
REFERENCE = Reference.fit({"age": np.arange(100.0), "plan": ["free", "pro"] * 50})
IDS = ["r-1", 7, "é" * 40, "x" * 200, True, None, "", {"a": 1}]
MORE = {  # fixed for good: saved joins hold such hashes
    b"r-1": 0x775A72BE0E611C91,
    b"7": 0x3E89D18C4C76DA6,
    b"0b1c9f6e-4c0e-4b1a-9a53-8d8f2f8f4a10": 0x457D80B4F997490B,
    b"x" * 200: 0x4953C7F973922A62,
}
TRUTH = Truth(BINARY, positive="yes", negative="no")


def decoder(*keys: SeriesKey, fields: FieldMap, truth: Truth = TRUTH) -> TopicDecoder:
    series = [
        SeriesFields(key, REFERENCE.layout, fields, prediction_fields(truth, fields, REFERENCE.names)) for key in keys
    ]
    joined = {each.key: PredictionColumns(each, truth) for each in series}
    return TopicDecoder("t", series, fields, MINUTE, joined=joined)


def event(name: Any, score: Any, key: SeriesKey = KEYS[0], **more: Any) -> bytes:
    features = {"age": 5.0, "plan": "pro"}
    said = {"id": name, "ts": NOON // 10**6, "model": key.model, "version": key.version, "features": features}
    return json.dumps(said | {"prediction": score} | more).encode()


def records(values: list[bytes | None]) -> TopicRecords:
    size = len(values)
    return TopicRecords("t", [0] * size, values, (), {}, [None] * size, range(100, 100 + size), [NOON] * size)


def told(joins: list[JoinBatch]) -> list[tuple[Any, ...]]:
    """Rows in an order of their own: readers take turns."""
    rows = [
        (str(join.key), *row) for join in joins for part in (join.predictions, join.labels) for row in part.tolist()
    ]
    return sorted((tuple(None if each != each else each for each in row) for row in rows), key=repr)  # noqa: PLR0124 - NaN


def test_more_bits_of_an_id_are_the_same_in_every_process() -> None:
    assert {text: int(hashed([text], SECOND)[0]) for text in MORE} == MORE


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS], ids=["one series", "several"])
def test_every_reader_finds_the_same_to_join(keys: list[SeriesKey]) -> None:
    fields = FieldMap(label=("truth", "label"))
    answers = ["yes", "no", None, "maybe", float("nan"), "yes", "no", "yes"]
    values = [
        event(name, score, keys[at % len(keys)], truth={"label": answers[at]})
        for at, (name, score) in enumerate(zip(IDS, [0.1, 0.9, None, "0.5", 1, 2.0, 0.3, 0.4], strict=True))
    ]
    found = []
    for skipped in range(3):  # the readers of JSON, the quickest first
        each = decoder(*keys, fields=fields)
        each.readers = [*readers_of(each)[skipped:]]
        decoded = each.decode(records(values), NOON)
        found.append(told(decoded.joins))
        assert sum(join.anonymous for join in decoded.joins) == 3
        assert sum(len(batch) for batch in decoded.batches) == len(values)
        assert {batch.numeric.shape[1] for batch in decoded.batches} == {1}

    assert found[0] == found[1] == found[2]
    high, low = wide_hashes_of(np.array(IDS, dtype=object), len(IDS))
    assert {row[1:3] for row in found[0]} == set(zip(high[:5].tolist(), low[:5].tolist(), strict=True))


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize(
    ("truth", "label", "found", "counted"),
    [
        (Truth(REGRESSION), "12.5", [12.5], {}),
        (Truth(REGRESSION), "dear", [], {"label_invalid": 20}),
        (Truth(REGRESSION), None, [], {}),
        (TRUTH, {"a": 1}, [], {"label_invalid": 20}),
        (Truth(REGRESSION, weighted=True), 3, [3.0], {}),
    ],
)
def test_a_label_that_is_not_there_is_no_missing_feature_and_one_that_is_takes_none_from_them(
    truth: Truth, label: object, found: list[float], counted: dict[str, int], skipped: int
) -> None:
    each = decoder(KEYS[0], fields=FieldMap(label=("label",), weight=("weight",)), truth=truth)
    each.readers = [*readers_of(each)[skipped:]]
    without = [event(number, 0.5, features={"plan": "pro"}) for number in range(20)]
    labelled = [event(100 + number, 0.5, label=label) for number in range(20)]
    decoded = each.decode(records([*without, *labelled]), NOON)

    assert {fact.reason: fact.count for fact in of(decoded.facts, FieldsRejected)} == {"missing": 20} | counted
    assert sum(len(join.labels) for join in decoded.joins) == 20 * len(found)
    assert {row["value"] for join in decoded.joins for row in join.labels} == set(found)


ANSWERS = [1, 1.0, "1", "1.0", True, "2.5", " 2", "", "nan", None, [1], "1e999"]


@pytest.mark.parametrize("truth", [Truth(REGRESSION, weighted=True), Truth(BINARY, positive="1", negative="0")])
@pytest.mark.parametrize("weight", [None, 2, "2", 0, -1, "heavy", [2]])
def test_a_label_is_the_same_inside_its_prediction_and_by_itself(truth: Truth, weight: object) -> None:
    fields = FieldMap(label=("label",), weight=("weight",))
    alone = LabelDecoder("t", {"churn": truth}, {"churn": [KEYS[0]]}, replace(fields, features=()), MINUTE)
    inside = decoder(KEYS[0], fields=fields, truth=truth)
    values: list[bytes | None] = [
        event(f"r-{number}", 0.5, label=answer, weight=weight) for number, answer in enumerate(ANSWERS)
    ]
    of_each = [
        {
            (row["high"], row["value"], row["weight"])
            for join in each.decode(records(values), NOON).joins
            for row in join.labels
            if not np.isnan(row["value"])  # withdrawn: inside a prediction that says nothing
        }
        for each in (alone, inside)
    ]

    assert of_each[0] == of_each[1]
    assert len(of_each[0]) >= (0 if weight in ("2", -1, "heavy", [2]) and truth.weighted else 3)


def test_every_reader_finds_the_same_labels_at_the_same_offsets() -> None:
    answers = ["yes", "no", None, "maybe", float("nan"), True, "no", "yes"]
    values: list[bytes | None] = [
        json.dumps({"id": name, "ts": NOON // 10**6, "model": "churn", "label": answer}).encode()
        for name, answer in zip(IDS, answers, strict=True)
    ]
    values.insert(2, None)
    found = []
    for skipped in range(3):
        each = LabelDecoder(
            "t", {"churn": TRUTH}, {"churn": [KEYS[0]]}, FieldMap(features=(), label=("label",)), MINUTE
        )
        each.readers = [*readers_of(each)[skipped:]]
        found.append(told(each.decode(records(values), NOON).joins))

    assert found[0] == found[1] == found[2]
    assert sorted(row[4] for row in found[0]) == [100, 101, 103]


def test_a_class_that_the_reference_does_not_predict_is_read_beside_it() -> None:
    truth = Truth(MULTICLASS, classes=("1", "2", "x"))
    decoded = decoder(KEYS[0], fields=FieldMap(), truth=truth).decode(
        records([event(number, said) for number, said in enumerate([1, "2", "x", 2.0, "y", None])]), NOON
    )

    [join] = decoded.joins
    np.testing.assert_array_equal(join.predictions["value"], [0, 1, 2, 1, 3, np.nan])


@pytest.mark.parametrize("skipped", range(3))
def test_a_feature_that_is_wrong_has_no_label_looked_for(skipped: int) -> None:
    """Looking reads a message again: only a label that is there and cannot be used is a reason to."""
    truth = Truth(REGRESSION)
    looked: list[int] = []
    plain = decoder(KEYS[0], fields=FieldMap(label=("label",)), truth=truth)
    plain.readers = [*readers_of(plain)[skipped:]]
    columns = plain._joined[KEYS[0]]
    there = columns._labels._there

    def counted(part: Any, lacking: Any, path: Any, look: bool) -> Any:
        looked.append(int(np.count_nonzero(lacking)) if look else 0)
        return there(part, lacking, path, look)

    columns._labels._there = counted  # type: ignore[method-assign]
    values: list[bytes | None] = [event(f"r-{at}", 1.0) for at in range(20)]
    wrong = json.loads(values[3] or b"")
    values[3] = json.dumps(wrong | {"features": {"age": "5.0", "plan": "pro"}}).encode()
    decoded = plain.decode(records(values), NOON)

    assert sum(looked) == 0
    assert {fact.reason: fact.count for fact in decoded.facts if isinstance(fact, FieldsRejected)} == {
        "number_as_text": 1
    }


def test_a_message_that_withdraws_from_several_models_is_one_event() -> None:
    found = LabelDecoder(
        "t",
        {"churn": TRUTH, "fraud": TRUTH},
        {"churn": [KEYS[0]], "fraud": [KEYS[1]]},
        FieldMap(features=(), label=("label",)),
        MINUTE,
    )
    decoded = found.decode(replace(records([None]), keys=[b"r-1"]), NOON)

    assert [join.key for join in decoded.joins] == KEYS
    assert [fact for fact in decoded.facts if isinstance(fact, EventsCounted)] == [EventsCounted("t", "ok", 1)]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"id": "r-1", "label": "yes"}, None),
        ({"id": "r-1", "label": None}, None),
        ({"id": "r-1", "label": "maybe"}, "label_unknown"),
        ({"id": "r-1", "label": {"a": 1}}, "label_invalid"),
        ({"label": "yes"}, "id_missing"),
    ],
)
def test_what_becomes_of_a_label_is_explained_as_it_is_counted(said: dict[str, Any], why: str | None) -> None:
    fields = FieldMap(features=(), label=("label",))
    found = LabelDecoder("t", {"churn": TRUTH}, {"churn": [KEYS[0]]}, fields, MINUTE)
    raw = json.dumps({"ts": NOON // 10**6, "model": "churn"} | said).encode()
    [verdict] = found.verdicts(TopicRecords("t", (0,), (raw,)), NOON)
    facts = found.decode(records([raw]), NOON).facts

    assert verdict.reason == why
    assert [fact.reason for fact in facts if isinstance(fact, EventsRejected)] == ([] if why is None else [why])


SIX = tuple("abcdef")
LISTED = Truth(MULTICLASS, classes=SIX, scored=True, listed=True)


@pytest.mark.parametrize("skipped", range(3))
def test_scores_of_classes_come_as_a_mapping_or_a_list_and_the_highest_wait(skipped: int) -> None:
    """In a mapping some may be left out; of a list, of another length or with something else, nobody knows which is whose.

    A number beyond all floats is a score that is not there, in either.
    """
    given: list[Any] = [
        {"a": 0.1, "b": 0.2, "c": 0.3, "d": 0.1, "e": 0.1, "f": 0.2},
        [0.1, 0.2, 0.3, 0.1, 0.1, 0.2],
        {"b": 5, "f": 3, "a": 2, "c": 1, "d": 0, "other": 9},
        {"a": 0.9, "b": 0.1},
        {"a": "0.9", "b": None, "c": 1, "d": 2, "e": 3, "f": 4},
        [0.1, 0.2],
        [0.1, 0.2, 0.3, 0.1, None, "0.2"],
        [10**400, 0.2, 0.3, 0.1, 0.1, 0.2],
        {"a": -(10**400), "b": 0.2, "c": 0.3, "d": 0.1, "e": 0.1, "f": 0.2},
        "a",
        None,
    ]
    fields = FieldMap(scores=("output", "scores"))
    each = decoder(KEYS[0], fields=fields, truth=LISTED)
    each.readers = [*readers_of(each)[skipped:]]
    values = [event(number, "c", output={"scores": scores}) for number, scores in enumerate(given)]
    decoded = each.decode(records(values), NOON)

    rows = np.concatenate([join.predictions for join in decoded.joins])
    high, _ = wide_hashes_of(np.arange(len(given)).astype(object), len(given))
    classes, codes = unpacked(rows["value"][[int(np.flatnonzero(rows["high"] == one)[0]) for one in high]])
    assert rows.dtype.itemsize == 32
    assert classes.tolist() == [2.0] * len(given)
    best = ["".join(SIX[code] for code in row) if row[0] >= 0 else None for row in codes.tolist()]
    assert best == ["cfbed", "cfbed", "bfacd", None, None, None, None, "cfbed", "cfbed", None, None]
    assert {batch.numeric.shape[1] for batch in decoded.batches} == {1}
    assert {fact.reason: fact.count for fact in of(decoded.facts, FieldsRejected)}["scores_invalid"] == 2


SPELLED = {  # each says 0.1 to 0.5 of five classes, in order
    "as the reference": ["1", "2", "10000000000000000", "true", "01"],
    "as floats": ["1.0", "2.0", "1e+16", "True", "01"],
    "some of both": ["1", "2.0", "10000000000000000", "TRUE", "01"],
}


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize("keys", SPELLED.values(), ids=SPELLED)
def test_keys_of_scores_are_classes_however_they_are_spelled(keys: list[str], skipped: int) -> None:
    """By the one rule: a whole number with a point, truth in other letters; 01 is a code, and no 1."""
    truth = Truth(MULTICLASS, classes=tuple(SPELLED["as the reference"]), scored=True)
    each = decoder(KEYS[0], fields=FieldMap(scores=("scores",)), truth=truth)
    each.readers = [*readers_of(each)[skipped:]]
    scores = dict(zip(keys, [0.05, 0.1, 0.2, 0.25, 0.4], strict=True))
    decoded = each.decode(records([event(at, "2.0", scores=scores) for at in range(20)]), NOON)

    classes, codes = unpacked(np.concatenate([join.predictions["value"] for join in decoded.joins]))
    assert set(classes.tolist()) == {1.0}
    assert {tuple(row) for row in codes[:, :3].tolist()} == {(4, 3, 2)}
    assert of(decoded.facts, FieldsRejected) == []


@pytest.mark.parametrize("skipped", range(3))
@pytest.mark.parametrize(
    ("scores", "listed", "reasons"),
    [
        ({"01": 0.5, "11": 0.4, "yes": 0.1}, True, {"scores_invalid": 20}),  # keys that are no classes
        ([0.5, 0.5], True, {"scores_invalid": 20}),
        ([0.5] * 6, False, {"scores_invalid": 20}),  # whose they are nobody says
        (["x"] * 6, True, {"scores_invalid": 20}),
        ({"a": "x"}, False, {"scores_invalid": 20, "number_as_text": 20}),
        ([0.5] * 6, True, {"scores_sum": 20}),  # no probabilities; they count by their order
        ([-0.5, 0.5, 2.0, 1.0, 0.0, 0.1], True, {}),  # nor are these, and they do not look like any
        ({"b": 0.5}, False, {}),  # the others have none, which is no fault
        (None, True, {"missing": 20}),
        (None, False, {"missing": 20}),
    ],
)
def test_scores_that_are_none_of_any_class_are_counted_once_a_row(
    scores: object, listed: bool, reasons: dict[str, int], skipped: int
) -> None:
    truth = replace(LISTED, listed=listed)
    each = decoder(KEYS[0], fields=FieldMap(scores=("scores",)), truth=truth)
    each.readers = [*readers_of(each)[skipped:]]
    decoded = each.decode(records([event(at, "c", scores=scores) for at in range(20)]), NOON)

    told = {fact.reason: fact.count for fact in of(decoded.facts, FieldsRejected)}
    assert told == reasons


def test_a_list_of_scores_needs_classes_that_say_whose_they_are() -> None:
    fields, truth = FieldMap(scores=("scores",)), replace(LISTED, listed=False)
    decoded = decoder(KEYS[0], fields=fields, truth=truth).decode(
        records([event(1, "c", scores=[1, 2, 3, 4, 5, 6])]), NOON
    )

    assert unpacked(decoded.joins[0].predictions["value"])[1].tolist() == [[-1] * 5]


def test_a_class_that_is_none_has_no_scores_either() -> None:
    fields = FieldMap(scores=("scores",))
    values = [event(at, said, scores=dict.fromkeys(SIX, 1)) for at, said in enumerate(["c", "yak", None])]
    decoded = decoder(KEYS[0], fields=fields, truth=LISTED).decode(records(values), NOON)

    classes, codes = unpacked(np.concatenate([join.predictions["value"] for join in decoded.joins]))
    assert sorted(classes[~np.isnan(classes)].tolist()) == [2.0, 6.0]
    assert sorted((codes >= 0).all(axis=1).tolist()) == [False, False, True]


@pytest.mark.parametrize("many", [4, 6, 256])
def test_what_waits_has_the_very_codes(many: int) -> None:
    truth = Truth(MULTICLASS, classes=tuple(map(str, range(many))), scored=True)
    rng = seeded()
    said, scores = rng.integers(0, many, 500).astype(np.float64), rng.random((500, many)).round(2)

    classes, codes = unpacked(truth.with_scores(said, scores))

    depth = 3 if many == 4 else 5
    order = np.array([sorted(range(many), key=lambda at: (row[at], at))[::-1][:depth] for row in scores])
    assert classes.tolist() == said.tolist()
    assert codes[:, :depth].tolist() == order.tolist()
