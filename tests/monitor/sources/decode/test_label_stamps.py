"""What the broker's timestamps of labels may be: producers stamp their records, and some of them wrongly."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, Message

from monitor.series.truth import BINARY, Truth
from monitor.sources.base import TopicRecords
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.formats.fields import FieldMap
from monitor.sources.kafka.records import TakenMessages
from monitor.stream.events import DAY, MILLISECOND, MINUTE, SeriesKey
from tests.fakes import NOON

LABEL = json.dumps({"id": "r-1", "model": "churn", "label": 1}).encode()


def decoded(stamp: int, value: bytes | None) -> tuple[int, dict[str, int]]:
    """How many labels one record gives, and what was rejected by reason."""
    message = Message(
        topic="t", key=b"r-1", value=value, partition=0, offset=5, timestamp=(TIMESTAMP_CREATE_TIME, stamp)
    )
    fields = FieldMap(features=(), label=("label",))
    decoder = LabelDecoder("t", {"churn": Truth(BINARY)}, {"churn": [SeriesKey("churn", "1")]}, fields, MINUTE)
    found = decoder.decode(TakenMessages("t", [message]).records((), decoder.wants), NOON)
    rejected = {fact.reason: fact.count for fact in found.facts if hasattr(fact, "reason")}
    return sum(len(join.labels) for join in found.joins), rejected


@pytest.mark.parametrize("value", [LABEL, None], ids=["label", "withdrawal"])
def test_a_record_of_now_has_the_time_of_its_stamp(value: bytes | None) -> None:
    assert decoded(NOON // MILLISECOND, value) == (1, {})


@pytest.mark.parametrize("stamp", [NOON // 1000, NOON, 2**63 - 1, -1, 0], ids=["µs", "ns", "most", "none", "zero"])
@pytest.mark.parametrize("value", [LABEL, None], ids=["label", "withdrawal"])
def test_a_stamp_in_another_unit_is_no_time(stamp: int, value: bytes | None) -> None:
    labels, rejected = decoded(stamp, value)

    assert labels == 0
    assert sum(rejected.values()) == 1


def test_what_is_withdrawn_in_years_to_come_is_not() -> None:
    assert decoded((NOON + 3650 * DAY) // MILLISECOND, None) == (0, {"timestamp_in_future": 1})


@pytest.mark.parametrize(
    ("where", "key", "headers"),
    [
        ({"header": "request"}, b"other", [("request", b"r-1")]),
        ({"key": "order.0"}, b'{"order": ["r-1"]}', []),
        ({"key": True}, b"r-1", []),
    ],
)
def test_what_is_withdrawn_is_named_where_the_mapping_looks_for_ids(
    where: dict[str, Any], key: bytes, headers: list[tuple[str, bytes]]
) -> None:
    fields = replace(FieldMap.parse({"id": where}, MILLISECOND), features=(), label=("label",))
    decoder = LabelDecoder("t", {"churn": Truth(BINARY)}, {"churn": [SeriesKey("churn", "1")]}, fields, MINUTE)
    values = [json.dumps({"model": "churn", "label": 1}).encode(), None]
    records = TopicRecords(
        "t", [0, 0], values, keys=[key, key], stamps=[NOON, NOON], headers=[headers, headers], numbers=[5, 6]
    )

    found = decoder.decode(records, NOON)
    told = np.concatenate([join.labels for join in found.joins])

    assert len(told) == 2
    assert told["high"][0] == told["high"][1] != 0
    assert sorted(told["offset"].tolist()) == [5, 6]
