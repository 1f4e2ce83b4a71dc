"""Events through real producers and librdkafka's mock cluster to the daemon's source and decoder."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from detectors import Reference
from driftd.emit import Emitter
from monitor.facts import EventsRejected
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.stream.events import SECOND, Partition, SeriesKey
from tests.fakes import NOON
from tests.parts.mock import Api, MockBroker
from tests.parts.reader import reading

ROOT = Path(__file__).parents[2]
NOW = NOON // 1_000_000
SOON = 30.0
KEY = SeriesKey("churn", "3")
REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "plan": ["free", "free", "pro"]})


def producer(broker: MockBroker, **settings: Any) -> Producer:
    return Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0, **settings})


def values_of(broker: MockBroker, topic: str, count: int) -> list[bytes]:
    with reading(broker, topic) as reader:
        reader.read(count)
        return [value for values in reader.values.values() for value in values if value is not None]


def test_what_is_emitted_is_what_the_daemon_reads(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    emitter = Emitter(producer(mock_broker), topic, "churn", version="3", clock=lambda: NOW)
    rows = [{"age": 20 + number / 7, "plan": ("free", "pro")[number % 2]} for number in range(1000)]

    for number, row in enumerate(rows):
        emitter.emit(row, number / 1000, id=f"r-{number}", ts=NOW - number)
    assert emitter.close(SOON)
    assert (emitter.sent, emitter.dropped, emitter.failed) == (1000, 0, 0)

    values = values_of(mock_broker, topic, 1000)
    fields = FieldMap()
    decoder = TopicDecoder(topic, [SeriesFields(KEY, REFERENCE.layout, fields)], fields, 600 * SECOND)
    decoded = decoder.decode(TopicRecords(topic, [0] * 1000, values), NOON)
    [batch] = decoded.batches
    assert batch.numeric[:, 0].tolist() == [row["age"] for row in rows]
    assert batch.codes[:, 0].tolist() == [number % 2 for number in range(1000)]
    assert batch.event_times.tolist() == [(NOW - number) * 1_000_000 for number in range(1000)]
    assert decoded.seen == {Partition(topic, 0): NOON}
    assert not [fact for fact in decoded.facts if isinstance(fact, EventsRejected)]


def test_a_broker_that_is_away_blocks_nobody(mock_broker: MockBroker, topic: str) -> None:
    """librdkafka's own buffer fills, then ours; what is beyond both is dropped, and all is sent when the broker is back."""
    mock_broker.create_topic(topic)
    mock_broker.set_down()
    emitter = Emitter(
        producer(mock_broker, **{"queue.buffering.max.messages": 50}), topic, "churn", buffer=100, clock=lambda: NOW
    )

    slowest = 0.0
    for number in range(1000):
        begun = time.thread_time()
        emitter.emit({"age": number})
        slowest = max(slowest, time.thread_time() - begun)
        if number == 500:
            assert not emitter.flush(0.2)

    assert emitter.dropped >= 700
    assert emitter.sent == emitter.failed == 0
    assert emitter.pending == 1000 - emitter.dropped
    mock_broker.set_up()
    assert emitter.flush(SOON)
    assert emitter.sent == 1000 - emitter.dropped == len(values_of(mock_broker, topic, emitter.sent))
    assert slowest < 1.0  # not a second of work, whatever the machine does: nothing there waits


def test_what_the_broker_refuses_is_counted(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    emitter = Emitter(producer(mock_broker, retries=0), topic, "churn", log=None)
    mock_broker.push_errors(Api.PRODUCE, 10)  # the message is too large

    emitter.emit({"age": 1})
    assert emitter.flush(SOON)
    emitter.emit({"age": 2})
    assert emitter.flush(SOON)

    assert (emitter.sent, emitter.failed) == (1, 1)
    emitter.close(SOON)


def test_what_waits_at_the_end_of_a_process_arrives(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic)
    code = f"""
from confluent_kafka import Producer
from driftd.emit import Emitter
emitter = Emitter(Producer({{"bootstrap.servers": {mock_broker.bootstrap!r}, "linger.ms": 500}}), {topic!r}, "churn")
for number in range(300):
    emitter.emit({{"age": number}}, id=number)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60, cwd=ROOT)

    ids = [json.loads(value)["id"] for value in values_of(mock_broker, topic, 300)]
    assert ids == [str(number) for number in range(300)]


@pytest.mark.parametrize("way", ["connect", "produce"])
def test_a_process_that_was_forked_has_a_producer_of_its_own_or_says_that_it_has_none(
    mock_broker: MockBroker, topic: str, way: str
) -> None:
    """A producer made before the fork is dead after it: its events would lie in its buffer for good."""
    mock_broker.create_topic(topic)
    code = f"""
import os, sys
from confluent_kafka import Producer
from driftd.emit import Emitter

make = lambda: Producer({{"bootstrap.servers": {mock_broker.bootstrap!r}}})
emitter = Emitter(topic={topic!r}, model="churn", **{{{way!r}: make if {way!r} == "connect" else make()}})
emitter.emit({{"age": 0}}, id="parent")
assert emitter.flush(30) and emitter.sent == 1
if (pid := os.fork()) == 0:
    emitter.emit({{"age": 1}}, id="child")
    assert emitter.flush(30)
    os._exit(10 * emitter.sent + emitter.failed)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        check=True,
        timeout=120,
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ,
    )

    sent, failed = divmod(int(ended.stdout), 10)
    assert (sent, failed) == ((1, 0) if way == "connect" else (0, 1))
    assert ("give `connect`" in ended.stderr) == (way == "produce")
    expected = ["parent", "child"] if way == "connect" else ["parent"]
    assert [json.loads(value)["id"] for value in values_of(mock_broker, topic, len(expected))] == expected
