"""A full partition beside ninety-nine with hardly anything in them."""

from typing import Any

import pytest

from monitor.stream.events import Partition
from tests.parts.reader import numbered, produce, reading

pytestmark = pytest.mark.usefixtures("reader_kind")

PARTITIONS = 100
FULL = 0
UNREAD = 40_000  # a hundred bytes each: the mock cluster keeps 5 MiB of a partition
PADDING = "x" * 90


def test_a_full_partition_keeps_no_other_waiting(broker: Any, topic: str) -> None:
    """One event in each of the others has come before half of what lies unread in the full one."""
    broker.create_topic(topic, PARTITIONS)
    produce(broker, topic, numbered(UNREAD, PADDING), partition=FULL)
    others = {Partition(topic, index) for index in range(PARTITIONS) if index != FULL}
    for partition in others:
        produce(broker, topic, [b"here"], partition=partition.index)

    with reading(broker, topic, batch=1_000) as reader:
        reader.until(lambda: others <= reader.values.keys())
        before = len(reader.values.get(Partition(topic, FULL), ()))
        reader.read(UNREAD + len(others))

    assert before < UNREAD / 2
    assert reader.values.pop(Partition(topic, FULL)) == numbered(UNREAD, PADDING)
    assert reader.values == {partition: [b"here"] for partition in others}
