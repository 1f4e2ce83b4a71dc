"""Rows of tensors, mapped and routed as those of any format: the same columns as from JSON events."""

import base64
import json
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors import Reference
from detectors.sketches.identity import hashes_of, wide_hashes_of
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats import mlserver
from monitor.sources.formats.base import REQUEST
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, SeriesKey
from tests.fakes import NOON
from tests.inferences import decoded, features, records, said

KEY = SeriesKey("churn", "*")
ROWS = 60
RANDOM = np.random.default_rng(5)
AGES = [None if at % 7 == 0 else value for at, value in enumerate(RANDOM.normal(size=ROWS).round(4).tolist())]
RATES = RANDOM.choice(np.array([0.1, 0.2, 0.7], dtype=np.float32), ROWS).astype(float).tolist()
PLANS = [
    None if at % 11 == 0 else value for at, value in enumerate(RANDOM.choice(["pro", "free", "new"], ROWS).tolist())
]
FLAGS = RANDOM.choice([True, False], ROWS).tolist()
EVENTS = [
    json.dumps(
        {"ts": NOON // 1_000_000, "model": "churn", "features": {"age": age, "rate": rate, "plan": plan, "flag": flag}}
    ).encode()
    for age, rate, plan, flag in zip(AGES, RATES, PLANS, FLAGS, strict=True)
]
COLUMNS = {"age": ("FP64", AGES), "rate": ("FP32", RATES), "plan": ("BYTES", PLANS), "flag": ("BOOL", FLAGS)}


def topic(form: str) -> TopicDecoder:
    """The decoder of a topic of one model."""
    reference = Reference.fit(
        {"age": [-9.0, 9.0], "rate": [0.1, 0.7], "plan": ["pro", "free"], "flag": ["true", "false"]}
    )
    fields = FieldMap()
    return TopicDecoder("p", [SeriesFields(KEY, reference.layout, fields)], fields, 60 * SECOND, form)


def requests(each: int) -> list[bytes]:
    """The same rows as requests of so many."""
    return [
        json.dumps(
            {
                "model_name": "churn",
                "inputs": [
                    {
                        "name": name,
                        "shape": [len(held[at : at + each])],
                        "datatype": datatype,
                        "data": held[at : at + each],
                    }
                    for name, (datatype, held) in COLUMNS.items()
                ],
            }
        ).encode()
        for at in range(0, ROWS, each)
    ]


@pytest.mark.parametrize("each", [1, 7, ROWS])
def test_one_data_set_is_the_same_columns(each: int) -> None:
    values = requests(each)
    stamped = TopicRecords(
        "p",
        [0] * len(values),
        values,
        stamps=[NOON] * len(values),
        keys=[b"k"] * len(values),
        headers=[()] * len(values),
    )

    (plain,) = topic("json").decode(TopicRecords("p", [0] * ROWS, EVENTS), NOON).batches
    (tensors,) = topic("mlserver").decode(stamped, NOON).halves

    assert tensors.half == REQUEST
    np.testing.assert_array_equal(tensors.rows["numeric"], plain.numeric)
    np.testing.assert_array_equal(tensors.rows["codes"], plain.codes)
    np.testing.assert_array_equal(tensors.event_times, plain.event_times)


def test_columns_that_nobody_asks_for_are_not_made() -> None:
    """Each message with names of its own: all columns together would be 64 GB."""
    values = [
        json.dumps(
            {
                "inputs": [
                    {"name": f"x{at}_{place}", "shape": [1], "datatype": "FP64", "data": [1]} for place in range(40)
                ]
            }
        ).encode()
        for at in range(2_000)
    ]
    tracemalloc.start()

    rows = decoded(mlserver, records(*values))
    column = rows.column(("features", "x7_3"))

    assert tracemalloc.get_traced_memory()[1] < 500_000_000
    tracemalloc.stop()
    assert np.flatnonzero(~np.isnan(column)).tolist() == [7]  # type: ignore[arg-type]


def test_rows_of_messages_that_differ_keep_their_order() -> None:
    one = {"inputs": [{"name": "a", "shape": [2], "datatype": "FP64", "data": [1, 2]}]}
    other = {"inputs": [{"name": "a", "shape": [1], "datatype": "BYTES", "data": ["x"]}]}
    third = {"inputs": [{"name": "b", "shape": [1], "datatype": "FP64", "data": [3]}]}

    rows = decoded(mlserver, records(*(json.dumps(each).encode() for each in (one, other, third, one))))

    assert features(rows) == [{"a": 1.0}, {"a": 2.0}, {"a": "x"}, {"b": 3.0}, {"a": 1.0}, {"a": 2.0}]
    assert rows.messages.tolist() == [0, 0, 1, 2, 3, 3]
    assert features(rows.take(np.array([1, 2, 5]))) == [{"a": 2.0}, {"a": "x"}, {"a": 2.0}]
    assert features(rows.take(np.array([1, 2, 5])).take(np.array([2]))) == [{"a": 2.0}]


@pytest.mark.parametrize("own", ["r", "é" * 3, "x" * 100, "", "a\0b"])
def test_ids_of_any_kind(own: str) -> None:
    body = json.dumps(
        {"id": own, "inputs": [{"name": "a", "shape": [11], "datatype": "FP64", "data": [1] * 11}]}
    ).encode()

    ids = [row.get("id") for row in said(decoded(mlserver, records(body)))]

    assert ids == [f"{own}#{at}" if own else None for at in range(11)]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=70)))
def test_ids_hash_alike_however_they_are_held(ids: list[str]) -> None:
    together, apart = np.array(ids, dtype=np.str_), np.array(ids, dtype=object)

    np.testing.assert_array_equal(hashes_of(together, len(ids)), hashes_of(apart, len(ids)))
    for one, other in zip(wide_hashes_of(together, len(ids)), wide_hashes_of(apart, len(ids)), strict=True):
        np.testing.assert_array_equal(one, other)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"{", b'{"inputs":[', b"\x2a", b"\x1f\x8b", b"\0\0\0\0\7"]),
    st.sampled_from(["inputs", "outputs"]),
)
def test_bytes_of_any_kind_raise_nothing(held: bytes, begin: bytes, side: str) -> None:
    from monitor.sources.formats import cloudevents, kserve, seldon

    name = f"a.b.model.m.{side}"
    beside = [{"ce_id": "a", "ce_type": "org.kubeflow.serving.inference.request", "x-request-id": "r"}]
    for form in (mlserver, kserve, seldon, cloudevents):
        rows = decoded(form, records(begin + held, topic=name, headers=beside))

        assert sum(rows.rejected.values()) == (0 if len(rows) else 1)


def test_damaged_messages_of_the_sdk_cost_no_other() -> None:
    from monitor.sources.formats import seldon
    from tests.inferences import recorded

    whole = base64.b64decode(recorded("kserve")["messages"]["request"])

    for at in range(len(whole)):
        for byte in (0, 1, 0x7F, 0xFF):
            damaged = whole[:at] + bytes([byte]) + whole[at + 1 :]
            rows = decoded(seldon, records(whole, damaged, whole[:at], whole, topic="a.b.model.m.inputs"))

            assert rows.messages.tolist()[:2] == [0, 0]
            assert rows.messages.tolist()[-2:] == [3, 3]
