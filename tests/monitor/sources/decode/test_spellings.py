"""A value has one code, whoever spells it: in events by each way of reading, in columns on record, in a library's table."""

import json
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.columns import Coded
from detectors.encoding import encode
from detectors.features import CategoricalFeature
from detectors.layout import Layout
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.base import Rows
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.formats.json import scanning
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.fakes import NOON

KEY = SeriesKey("churn", "3")
TS = NOON // 1_000_000
NEW = "new"
BIG = "10000000000000000"
NUMBERS, FLAGS, TRUTH = ("1", "2", BIG), ("1", "0"), ("true", "false")
FOUND: list[tuple[tuple[str, ...], dict[str, list[Any]]]] = [
    (
        NUMBERS,
        {
            "1": [1, 1.0, "1", "1.0"],
            "2": [2, "2.0"],
            BIG: [1e16, int(1e16), "1e+16"],
            NEW: ["01", "1.00", "1.", " 1", "+1", True, "true", 3, "3.0"],
        },
    ),
    (("01000", "75001"), {"01000": ["01000"], "75001": [75001, "75001", "75001.0"], NEW: ["1000", 1000]}),
    (("1.10", "1.1", "2"), {"1.10": ["1.10"], "1.1": ["1.1", 1.1], "2": ["2.0"], NEW: ["1.100", "1"]}),
    (
        TRUTH,
        {
            "true": [True, "true", "True", "TRUE", 1, "1", 1.0, "1.0"],
            "false": [False, "False", "FALSE", 0, "0", "0.0"],
            NEW: ["yes", "tRUE", 2],
        },
    ),
    (FLAGS, {"1": [1, "1.0", True, "true", "True"], "0": [0, False, "FALSE", -0.0], NEW: [2, "on"]}),
    (("true", "maybe", "1"), {"true": [True, "True"], "1": [1, "1.0"], NEW: [0, "false"]}),
    (("1", "1.0", "True"), {"1": [1, 1.0], "1.0": ["1.0"], "True": ["True", True]}),  # as older references may know
]
CASES = [
    pytest.param(categories, value, text, id=f"{value!r} of {','.join(categories)}")
    for categories, found in FOUND
    for text, values in found.items()
    for value in values
]


def series(layout: Layout) -> SeriesFields:
    return SeriesFields(KEY, layout, FieldMap())


def decoder(layout: Layout) -> TopicDecoder:
    return TopicDecoder("t", [series(layout)], FieldMap(), 600 * SECOND)


def event(**features: Any) -> bytes:
    return json.dumps({"ts": TS, "model": "churn", "version": "3", "features": features}).encode()


def by_message(layout: Layout, value: Any) -> int:
    (batch,) = decoder(layout).decode(TopicRecords("t", [0], [event(k=value)]), NOON).batches
    return int(batch.codes[0, 0])


def by_column(layout: Layout, value: Any) -> int:
    columns = {("features", "k"): Coded((value,), np.array([0])), ("ts",): np.array([TS])}
    named = {(name,): Coded((said,), np.array([0])) for name, said in (("model", "churn"), ("version", "3"))}
    rows = Rows(columns | named, np.array([0]))
    (batch,) = decoder(layout).decode_rows(rows, Partition("t", 0)).batches
    return int(batch.codes[0, 0])


def by_table(layout: Layout, value: Any) -> int:
    return int(encode(layout, {"k": np.array([value], dtype=object)})[1][0, 0])


@pytest.mark.parametrize("way", ["compiled", "structs", "columns", "table"])
@pytest.mark.parametrize(("categories", "value", "text"), CASES)
def test_a_value_has_the_code_of_its_category(
    categories: tuple[str, ...], value: Any, text: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if way == "compiled" and not scanning.COMPILED:
        pytest.skip("the compiled part is not used here")
    monkeypatch.setattr(scanning, "COMPILED", way == "compiled")
    layout = Layout((), (CategoricalFeature("k", categories),))

    read = {"columns": by_column, "table": by_table}.get(way, by_message)

    assert read(layout, value) == (len(categories) if text == NEW else categories.index(text))


@pytest.mark.parametrize("compiled", [True, False])
def test_truth_where_a_number_belongs_is_one_and_nought(compiled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "COMPILED", compiled and scanning.COMPILED)
    reference = Reference.fit({"flag": [0, 1, 1]})

    decoded = decoder(reference.layout).decode(TopicRecords("t", [0, 0], [event(flag=True), event(flag=False)]), NOON)

    assert decoded.batches[0].numeric[:, 0].tolist() == [1, 0]
    assert decoded.facts == []


SPELLED: dict[str, list[list[Any]]] = {
    "numbers": [["1", "2", "2"], ["1.0", "2.0", "2"], [1, 2.0, "2"], ["1", 2, "2.0"]],
    "truth": [
        [True, False, True],
        ["True", "False", "true"],
        [True, "FALSE", "TRUE"],
        [1, False, "True"],
        ["1.0", "0", True],
    ],
}


@pytest.mark.parametrize("spelled", SPELLED)
def test_a_reference_is_one_however_its_values_are_spelled(spelled: str) -> None:
    hashes = {
        Reference.fit({"k": np.array(values * 10, dtype=object)}, kinds={"k": "categorical"}).hash
        for values in SPELLED[spelled]
    }

    assert len(hashes) == 1


def test_the_same_events_in_other_spellings_score_nothing() -> None:
    reference = Reference.fit({"k": ["1", "2"] * 50, "f": [True, False] * 50}, kinds={"k": "categorical"})

    scores = reference.compare({"k": ["1.0", "2.0"] * 50, "f": np.array([1, "False"] * 50, dtype=object)})

    assert {score.value for score in scores if score.detector in {"chi2", "unseen", "psi"}} == {0}
