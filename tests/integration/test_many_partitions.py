"""A partition that is never read out beside ninety-nine with hardly anything in them."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest
from confluent_kafka import Producer

from monitor.stream.events import Partition
from tests.parts.reader import Reader, reading

pytestmark = [pytest.mark.usefixtures("reader_kind"), pytest.mark.serial]

PARTITIONS = 100
FULL = 0
AHEAD = 20_000  # events that lie unread in the full one; a hundred bytes each, for the mock cluster keeps 5 MiB of a partition
CHUNK = 2_000
MOST = 400_000
PADDING = "x" * 90


@contextmanager
def kept_full(client: Producer, topic: str, reader: Reader) -> Iterator[list[bytes]]:
    """Somebody writes to the full partition, and is always ahead of who reads; what was written."""
    written: list[bytes] = []
    full, stopped = Partition(topic, FULL), Event()

    def write() -> None:
        while not stopped.is_set() and len(written) < MOST:
            if len(written) - len(reader.values.get(full, ())) > AHEAD:
                stopped.wait(0.001)
                continue
            chunk = [f"{PADDING}{at}".encode() for at in range(len(written), len(written) + CHUNK)]
            for each in chunk:
                client.produce(topic, each, partition=FULL)
            client.flush(60)
            written.extend(chunk)

    thread = Thread(target=write)
    thread.start()
    try:
        yield written
    finally:
        stopped.set()
        thread.join(60)


def test_a_full_partition_keeps_no_other_waiting(broker: Any, topic: str) -> None:
    """One event in each of the others comes though the full one is never read out."""
    broker.create_topic(topic, PARTITIONS)
    others = {Partition(topic, index) for index in range(PARTITIONS) if index != FULL}
    full, quiet = (Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0, "max.in.flight": 1}) for _ in "ab")

    with reading(broker, topic, batch=1_000) as reader:
        with kept_full(full, topic, reader) as written:
            reader.until(lambda: reader.count >= AHEAD)
            for partition in others:
                quiet.produce(topic, b"here", partition=partition.index)
            assert quiet.flush(60) == 0
            reader.until(lambda: others <= reader.values.keys())
            assert len(written) < MOST
        reader.read(len(written) + len(others))

    assert reader.values.pop(Partition(topic, FULL)) == written
    assert reader.values == {partition: [b"here"] for partition in others}
