"""The native reader beside the Python client: the same records, whatever they hold, and no way to do harm with it."""

import gc
import os
import random
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from detectors import Reference
from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.fields import FieldMap, SeriesFields
from monitor.sources.kafka import native
from monitor.sources.kafka.client import SAFE_PROPERTIES
from monitor.sources.kafka.native import NativeConsumer, NativeRecords, unavailable
from monitor.sources.kafka.portion import ENOUGH, STEP
from monitor.sources.kafka.reading import PythonConsumer
from monitor.stream.events import OffsetRange, Partition, SeriesKey
from tests.fakes import NOON
from tests.parts.mock import MockBroker
from tests.parts.reader import numbered, produce

ROOT = Path(__file__).parents[4]
FUZZ = ROOT / "tests" / "native" / "fuzz_client.cpp"
SANITIZED = (
    "-std=c++17",
    "-O1",
    "-g1",
    "-Wall",
    "-Wextra",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)
REFERENCE = Reference.fit({"age": [20.0, 30.0, 40.0], "plan": ["free", "pro", "pro"]})
PATIENCE = 30.0  # seconds for what was produced to come
OLDER = {"api.version.request": False, "broker.version.fallback": "0.9.0"}  # record format 0
SECRET = "hunter2-of-the-broker"


def properties(broker: MockBroker, **changes: Any) -> dict[str, Any]:
    named = {name.replace("_", "."): value for name, value in changes.items()}
    return {**SAFE_PROPERTIES, "bootstrap.servers": broker.bootstrap, "group.id": "driftd", **named}


def assigned(consumer: Any, topic: str, partitions: int = 1) -> Any:
    consumer.incremental_assign([TopicPartition(topic, index, 0) for index in range(partitions)])
    return consumer


def taken(consumer: Any, topic: str, count: int) -> Iterator[Any]:
    """The records of a topic, poll by poll, until so many have come."""
    deadline, left = time.monotonic() + PATIENCE, count
    while left > 0:
        assert time.monotonic() < deadline, f"{left} of {count} have not come"
        for records in consumer.batch(left, 0.2).taken([topic]):
            yield records
            left -= len(records)


def columns(records: list[TopicRecords]) -> list[tuple[Any, ...]]:
    """Each record: partition, offset, key, value, timestamp, headers."""
    return sorted(
        (*row, list(headers))
        for each in records
        for *row, headers in zip(
            each.partitions, each.numbers, each.keys, each.values, each.stamps, each.headers, strict=True
        )
    )


def send(broker: MockBroker, topic: str, messages: list[dict[str, Any]], **settings: Any) -> None:
    producer = Producer({"bootstrap.servers": broker.bootstrap, "log_level": 0, **settings})
    for message in messages:
        producer.produce(topic, **message)
    assert producer.flush(PATIENCE) == 0


# --- the same as the Python client ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize("kind", [NativeConsumer, PythonConsumer])
def test_who_has_enough_for_a_turn_waits_for_no_more(mock_broker: MockBroker, topic: str, kind: Any) -> None:
    """A thousand messages and more are worth a turn after one step; fewer are collected for as long as is allowed."""
    mock_broker.create_topic(topic, 1)
    send(mock_broker, topic, [{"value": b"{}"}] * (ENOUGH + 5))
    with closing(assigned(kind(properties(mock_broker)), topic)) as consumer:
        began = time.monotonic()
        assert ENOUGH <= len(consumer.batch(10 * ENOUGH, PATIENCE)) <= ENOUGH + 6  # with the end
        assert time.monotonic() - began < PATIENCE / 2
        while len(consumer.batch(10 * ENOUGH, STEP)):
            pass
        send(mock_broker, topic, [{"value": b"{}"}])
        began = time.monotonic()
        assert len(consumer.batch(10 * ENOUGH, 5 * STEP)) >= 1
        assert time.monotonic() - began > 4 * STEP


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize("compression", ["none", "lz4", "zstd", "gzip", "snappy"])
def test_both_clients_bring_the_same_records(mock_broker: MockBroker, topic: str, compression: str) -> None:
    drawn = random.Random(compression)
    mock_broker.create_topic(topic, 3)
    messages: list[dict[str, Any]] = [
        {
            "value": drawn.choice([None, b"", b"\0", drawn.randbytes(drawn.randrange(200))]),
            "key": drawn.choice([None, b"", drawn.randbytes(5)]),
            "partition": drawn.randrange(3),
            "timestamp": NOON // 1_000_000 + drawn.randrange(1_000_000),
            "headers": drawn.choice([None, [("traceparent", b"00-1")], [("a", None), ("b", b"\0\0"), ("a", b"")]]),
        }
        for _ in range(500)
    ]
    send(mock_broker, topic, messages, **{"compression.type": compression})
    found = []
    for kind in (NativeConsumer, PythonConsumer):
        with closing(assigned(kind(properties(mock_broker)), topic, 3)) as consumer:
            held = list(taken(consumer, topic, len(messages)))
            found.append(columns([records.records((), ~RecordParts.NOTHING) for records in held]))
            last = {index: after for records in held for index, after in records.next_offsets.items()}
            assert sum(last.values()) == len(messages)
            thirds = [range(0, len(records), 3) for records in held]
            some = [records.records(()).with_all(places) for records, places in zip(held, thirds, strict=True)]
            chosen = columns(some)
            assert len(chosen) == sum(map(len, thirds))
            assert all(row in found[-1] for row in chosen)

    assert found[0] == found[1]
    assert len(found[0]) == len(messages)


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize(
    ("headers", "written_as"),
    [(None, {}), ([("traceparent", b"00-1")], {}), (None, OLDER)],
    ids=["plain", "headers", "older"],
)
def test_messages_scanned_where_they_lie_give_the_same_columns(
    mock_broker: MockBroker, topic: str, headers: Any, written_as: dict[str, Any]
) -> None:
    """Also those that no NUL follows, as with headers and in older formats, those left to other readers, and those cut short."""
    drawn = random.Random(7)
    whole = [
        f'{{"id": "{at}", "ts": {NOON // 1_000_000 + at}, "model": "churn", "version": "3", '
        f'"features": {{"age": {drawn.choice([at / 7, "null", "NaN", chr(34) + "old" + chr(34)])}, "plan": "pro{at % 3}"}}}}'.encode()
        for at in range(400)
    ]
    values = [drawn.choice([one, one, one, one[: drawn.randrange(len(one))], one + b" ", b"", None]) for one in whole]
    messages = [{"value": value, "partition": 0, "headers": headers} for value in values]
    send(mock_broker, topic, messages, **written_as)
    with closing(assigned(NativeConsumer(properties(mock_broker)), topic)) as consumer:
        held = [records.records(()) for records in taken(consumer, topic, len(values))]
    assert all(hasattr(records.values, "messages") for records in held)
    assert [value for records in held for value in records.values] == values

    fields = FieldMap()
    series = [SeriesFields(SeriesKey("churn", "3"), REFERENCE.layout, fields)]
    lying, listed = (TopicDecoder(topic, series, fields, NOON, "json") for _ in range(2))
    for records in held:
        one = lying.decode(records, NOON)
        other = listed.decode(TopicRecords(topic, records.partitions, list(records.values)), NOON)
        assert one.facts == other.facts
        assert len(one.batches) == len(other.batches)
        for ours, theirs in zip(one.batches, other.batches, strict=True):
            for name in ("event_times", "numeric", "codes", "ids"):
                np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.usefixtures("compiled_parts")
def test_records_before_the_end_of_their_partition_are_taken_alone(mock_broker: MockBroker, topic: str) -> None:
    mock_broker.create_topic(topic, 2)
    for index in range(2):
        produce(mock_broker, topic, numbered(10, f"{index}-"), partition=index)
    with closing(assigned(NativeConsumer(properties(mock_broker)), topic, 2)) as consumer:
        held: list[NativeRecords] = list(taken(consumer, topic, 20))
    found = [value for each in held for value in each.before({0: 3, 1: 0}).records(()).values]

    assert found == [b"0-0", b"0-1", b"0-2"]
    spans = tuple(OffsetRange(Partition(topic, index), 0, 9) for index in range(2))
    if len(held) == 1:
        assert held[0].records(spans).numbers == ()  # they are all that there is
    assert len(held[0].records(()).numbers) == len(held[0])


@pytest.mark.usefixtures("compiled_parts")
@pytest.mark.parametrize("changes", [{"no_such": 1}, {"queued_min_messages": "many"}, {"security_protocol": "ftp"}])
def test_properties_are_refused_in_the_words_of_the_python_client(
    mock_broker: MockBroker, changes: dict[str, Any]
) -> None:
    said = []
    for kind in (NativeConsumer, PythonConsumer):
        with pytest.raises(KafkaException) as refused:
            kind(properties(mock_broker, **changes))
        said.append((refused.value.args[0].code(), refused.value.args[0].str()))

    assert said[0] == said[1]


@pytest.mark.usefixtures("compiled_parts")
def test_a_consumer_without_a_group_is_refused(mock_broker: MockBroker) -> None:
    with pytest.raises(KafkaException) as refused:
        NativeConsumer({**properties(mock_broker), "group.id": ""})

    assert refused.value.args[0].code() == KafkaError._UNKNOWN_GROUP


@pytest.mark.usefixtures("compiled_parts")
def test_what_one_client_commits_the_other_reads(mock_broker: MockBroker, topic: str) -> None:
    """Also its metadata, which tells daemons apart: one may be of a version, or of properties, that has the other client."""
    mock_broker.create_topic(topic)
    kinds: list[Any] = [NativeConsumer, PythonConsumer]
    for number, (ours, theirs) in enumerate([(one, other) for one in kinds for other in kinds], start=1):
        with closing(ours(properties(mock_broker))) as consumer, closing(theirs(properties(mock_broker))) as other:
            place = TopicPartition(topic, 0, number, f"driftd {number:032x}")
            consumer.commit(offsets=[place], asynchronous=True)
            deadline = time.monotonic() + PATIENCE
            while (found := other.committed([TopicPartition(topic, 0)], timeout=5.0)[0]).offset != number:
                assert time.monotonic() < deadline, found
                consumer.poll(0.05)

            assert (found.topic, found.partition, found.metadata) == (topic, 0, place.metadata)


# --- who reads --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("compiled_parts")
def test_the_python_client_reads_what_needs_it() -> None:
    assert unavailable({"bootstrap.servers": "a:1", "check.crcs": True, "queued.min.messages": 5}) is None
    for name in ("sasl.mechanism", "sasl.mechanisms"):
        assert unavailable({name: "OAUTHBEARER"}) == f"{name}: OAUTHBEARER is served by the Python client alone"
        assert unavailable({name: "SCRAM-SHA-512"}) is None
    assert unavailable({"stats_cb": print}) == "stats_cb is served by the Python client alone"


@pytest.mark.usefixtures("compiled_parts")
def test_another_library_than_the_client_says_is_not_called(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("confluent_kafka.libversion", lambda: ("1.9.2", 0x010902FF))
    assert unavailable({}) == "the Python client says that its library is 1.9.2, which it is not"
    monkeypatch.setattr(native.cimpl, "__file__", "/nowhere/cimpl.so")
    assert unavailable({}) == "the Python client is not loaded"
    monkeypatch.setattr(native.cimpl, "__file__", native._native.__file__)
    assert str(unavailable({})).startswith("librdkafka is another than the one known here: ")


def test_without_the_compiled_part_the_python_client_reads() -> None:
    script = "from monitor.sources.kafka.native import unavailable; print(unavailable({}))"
    pure = {**os.environ, "DRIFTD_PURE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=pure, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "the compiled part is not there, or not wanted\n"


# --- no harm ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("compiled_parts")
def test_records_outlive_their_consumer(mock_broker: MockBroker, topic: str) -> None:
    produce(mock_broker, topic, numbered(1_000))
    consumer = assigned(NativeConsumer(properties(mock_broker)), topic)
    held = [records.records(()).values for records in taken(consumer, topic, 1_000)]
    lying = [values.messages for values in held]
    consumer.close()
    del consumer
    gc.collect()

    assert [value for values in held for value in values] == numbered(1_000)
    del held, lying
    gc.collect()


@pytest.mark.usefixtures("compiled_parts")
def test_a_closed_consumer_says_so(mock_broker: MockBroker) -> None:
    consumer = NativeConsumer(properties(mock_broker))
    consumer.close()

    with pytest.raises(RuntimeError, match="the consumer is closed"):
        consumer.batch(1, 0)
    with pytest.raises(RuntimeError, match="the consumer is closed"):
        consumer.close()


@pytest.mark.usefixtures("compiled_parts")
def test_a_forked_process_leaves_the_consumer_alone() -> None:
    script = """
        import os, sys, warnings
        warnings.simplefilter("ignore")
        from confluent_kafka import TopicPartition
        from monitor.sources.kafka.embedded import EmbeddedBroker
        from monitor.sources.kafka.native import NativeConsumer
        broker = EmbeddedBroker()
        broker.create("t")
        broker.producer.produce("t", b"one", partition=0)
        broker.producer.flush(10)
        consumer = NativeConsumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"})
        consumer.incremental_assign([TopicPartition("t", 0, 0)])
        while not (records := consumer.batch(1, 1.0).taken(["t"])):
            pass
        if (child := os.fork()) == 0:
            try:
                consumer.batch(1, 0)
            except RuntimeError as error:
                print(error, flush=True)
            del records, consumer
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 0
        print(list(records[0].records(()).values))
        consumer.close()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )

    assert done.stdout == "the consumer belongs to the process that this one was forked from\n[b'one']\n"


@pytest.mark.usefixtures("compiled_parts")
def test_a_thread_that_reads_when_the_process_ends_does_not_abort_it() -> None:
    """As that of a close that takes too long: Python ends such threads where they ask for its lock."""
    script = """
        import sys, threading, time
        from confluent_kafka import TopicPartition
        from monitor.sources.kafka.embedded import EmbeddedBroker
        from monitor.sources.kafka.native import NativeConsumer
        broker = EmbeddedBroker()
        broker.create("t")
        consumer = NativeConsumer({"bootstrap.servers": broker.bootstrap_servers, "group.id": "g"})
        consumer.incremental_assign([TopicPartition("t", 0, 0)])
        reading = threading.Event()
        def read():
            while True:
                consumer.batch(1, 0.01)
                reading.set()
        class Slow:  # its end comes when the interpreter has begun to end, and is long enough for the call to return
            def __del__(self, sleep=time.sleep):
                sleep(0.3)
        threading.Thread(target=read, daemon=True).start()
        assert reading.wait(60)
        sys.slow = Slow()
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.usefixtures("compiled_parts")
def test_no_secret_is_said(mock_broker: MockBroker) -> None:
    consumer = NativeConsumer(properties(mock_broker, sasl_password=SECRET))
    try:
        assert SECRET not in repr(consumer)
        assert SECRET not in str(consumer.properties)
    finally:
        consumer.close()


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("compiled_parts")
def test_clients_batches_and_records_are_let_go_of_in_any_order_under_the_sanitizers(tmp_path: Path) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    program = tmp_path / "fuzz_client"
    subprocess.run(["c++", *SANITIZED, str(FUZZ), "-o", str(program)], check=True, timeout=120)

    done = subprocess.run([program, str(seed), "200000"], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stderr
