"""Records whose schema is not to be had now wait: nothing is lost, nothing counted twice, and the loop turns all the same."""

import io
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from monitor.backtest.recorded import Lines, RecordedError
from monitor.facts import EventsRejected, Fact, OffsetsLost, RecordsWaiting
from monitor.runtime.waiting import PatientSource
from monitor.series.truth import BINARY, Truth
from monitor.sources.base import Headers, NotNow, Poll, TopicRecords
from monitor.sources.decode.labels import LabelDecoder
from monitor.sources.decode.raw import RawDecoder
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.avro import Options
from monitor.sources.formats.cloudevents import CloudEventOptions
from monitor.sources.formats.fields import FeatureSlots, FieldMap, SeriesFields
from monitor.stream.events import MINUTE, SECOND, OffsetRange, Partition
from tests.fakes import NOON, ListSource
from tests.monitor.runtime.test_loop import CHURN, REFERENCE, Scene
from tests.parts.ports import free_ports
from tests.parts.registry import Registry

fastavro: Any = pytest.importorskip("fastavro")

ZERO, ONE = Partition("t", 0), Partition("t", 1)
SCHEMA = {
    "type": "record",
    "name": "Event",
    "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "model", "type": "string"},
        {"name": "version", "type": "string"},
        {"name": "features", "type": {"type": "map", "values": "double"}},
    ],
}


def events(minutes: int, number: int) -> list[bytes]:
    """Ten events a minute, framed."""
    found = []
    for at in range(minutes * 10):
        stream = io.BytesIO()
        at_ms = (NOON - 15 * MINUTE + at * 6 * SECOND) // 1_000_000
        value = {"ts": at_ms, "model": "churn", "version": "3", "features": {"age": at % 10 / 10}}
        fastavro.schemaless_writer(stream, fastavro.parse_schema(SCHEMA), value)
        found.append(b"\x00" + number.to_bytes(4, "big") + stream.getvalue())
    return found


def scene_of(directory: Path, log: dict[Partition, list[bytes | None]], port: int) -> Scene:
    scene = Scene(directory, log)
    options = Options.model_validate({"registry": {"url": f"http://127.0.0.1:{port}", "timeout": "1s"}})
    fields = FieldMap()
    series = [SeriesFields(CHURN, REFERENCE.layout, fields)]
    scene.loop._decoders = {"t": TopicDecoder("t", series, fields, 3600 * SECOND, "avro", options=options)}
    return scene


def test_a_registry_that_is_down_at_start_is_waited_for_and_nothing_is_lost(tmp_path: Path) -> None:
    [port] = free_ports(1)
    scene = scene_of(tmp_path, {ZERO: [*events(10, 7)]}, port)

    scene.run(polls=5)

    assert scene.source.polls == 5  # it turned
    assert scene.store.positions() == {ZERO: 0}
    assert "it cannot be reached" in str(scene.patient.trouble())
    assert scene.rows == []
    waiting = scene.telemetry.look(lambda board: board.waiting)
    assert waiting is not None
    assert waiting.records == (("t", 10),)
    assert waiting.why.endswith("(schema 7)")

    with Registry(port) as registry:
        registry.add(7, json.dumps(SCHEMA))
        time.sleep(1.2)  # the pause after a question without an answer
        scene.run(polls=30)

    assert scene.patient.trouble() is None
    assert scene.telemetry.look(lambda board: board.waiting) is None
    assert scene.store.positions() == {ZERO: 100}
    assert scene.rows == [10] * 9  # the last minute is still open
    scene.kill()


def test_killed_while_records_wait_they_are_read_again(tmp_path: Path) -> None:
    [port] = free_ports(1)
    log = {ZERO: [*events(10, 7)]}
    scene = scene_of(tmp_path, log, port)
    scene.run(polls=3)
    scene.kill()

    with Registry(port) as registry:
        registry.add(7, json.dumps(SCHEMA))
        again = scene_of(tmp_path, log, port)
        again.run(polls=30)

    assert again.store.positions() == {ZERO: 100}
    assert again.rows == [10] * 9
    again.kill()


def test_where_a_log_begins_anew_while_its_records_wait_what_it_holds_is_read() -> None:
    """The position before those that wait is one of the log as it was."""
    source = ListSource({ZERO: [b"event"] * 9})
    patient = PatientSource(source)
    patient.open({ZERO: 4})
    patient.keep(patient.poll(0.0).records[0], "no schema")
    assert (source.positions(), patient.positions()) == ({ZERO: 9}, {ZERO: 4})

    source.open({ZERO: 2})  # where its reader goes on in a topic that was made anew

    assert patient.positions() == {ZERO: 2}


class ToldSource(ListSource):
    """One that is told what its next poll tells."""

    facts: tuple[Fact, ...] = ()

    def poll(self, timeout: float) -> Poll:
        facts, self.facts = self.facts, ()
        return replace(super().poll(timeout), facts=facts)


def test_of_what_waits_in_two_partitions_that_of_the_log_made_anew_is_lost_and_told() -> None:
    source = ToldSource({ZERO: [b"a"] * 3, ONE: [b"b"] * 2})
    patient = PatientSource(source)
    patient.open({ZERO: 1})
    patient.keep(patient.poll(0.0).records[0], "no schema")
    source.open({ZERO: 0, ONE: 2})
    anew = OffsetsLost(ZERO, 3, 0, "anew")
    source.facts = anew, OffsetsLost(ONE, 9, 0)  # retention took nothing of what waits

    poll = patient.poll(0.0)

    assert poll.facts[0] == OffsetsLost(ZERO, 1, 3, "anew")
    assert poll.facts[1] == anew
    assert [records.values for records in poll.records] == [[b"b", b"b"], [b"a", b"a", b"a"]]


def wrapped(decoder: TopicDecoder, records: TopicRecords, port: int) -> dict[str, int]:
    """What is rejected once the registry is there, after it was not."""
    with pytest.raises(NotNow, match="cannot be reached"):
        decoder.decode(records, NOON)
    with Registry(port) as registry:
        registry.add(7, json.dumps(LABELS))
        time.sleep(1.2)
        found = decoder.decode(records, NOON)
    assert sum(len(join.labels) for join in found.joins) + sum(len(batch) for batch in found.batches) == 1
    return {fact.reason: fact.count for fact in found.facts if isinstance(fact, EventsRejected)}


LABELS = {
    "type": "record",
    "name": "Label",
    "fields": [
        {"name": "ts", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "id", "type": "string"},
        {"name": "label", "type": "int"},
        {"name": "features", "type": {"type": "map", "values": "double"}},
    ],
}


def label_record(headers: Headers = ()) -> TopicRecords:
    stream = io.BytesIO()
    value = {"ts": NOON // 1_000_000, "id": "r-1", "label": 1, "features": {"age": 0.5}}
    fastavro.schemaless_writer(stream, fastavro.parse_schema(LABELS), value)
    raw = b"\x00" + (7).to_bytes(4, "big") + stream.getvalue()
    return TopicRecords("t", (0,), (raw,), keys=(b"r-1",), numbers=(5,), stamps=(NOON,), headers=(headers,))


def test_labels_wait_for_their_schema_as_events_do() -> None:
    [port] = free_ports(1)
    options = Options.model_validate({"registry": {"url": f"http://127.0.0.1:{port}", "timeout": "1s"}})
    fields, keys = FieldMap(features=(), label=("label",)), {"churn": [CHURN]}
    decoder = LabelDecoder("t", {"churn": Truth(BINARY)}, keys, fields, MINUTE, "avro", options=options)

    assert wrapped(decoder, label_record(), port) == {}


def test_what_an_envelope_holds_waits_for_its_schema() -> None:
    [port] = free_ports(1)
    registry = {"registry": {"url": f"http://127.0.0.1:{port}", "timeout": "1s"}}
    options = CloudEventOptions.model_validate({"of": "avro", "options": registry})
    series = [SeriesFields(CHURN, REFERENCE.layout, FieldMap())]
    decoder = TopicDecoder("t", series, FieldMap(), MINUTE, "cloudevents", options=options)
    attributes = {"specversion": "1.0", "id": "r-1", "type": "scored", "source": "/scorer"}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]

    assert wrapped(decoder, label_record(headers), port) == {}


def test_references_are_not_made_of_records_whose_schema_is_away() -> None:
    [port] = free_ports(1)
    options = Options.model_validate({"registry": {"url": f"http://127.0.0.1:{port}", "timeout": "1s"}})
    decoder = RawDecoder("t", [CHURN], CHURN, FeatureSlots(()), FieldMap(), "avro", options=options)

    with pytest.raises(NotNow, match="cannot be reached"):
        decoder.decode(label_record(), NOON)
    assert decoder.reasons == {}


def test_what_waits_in_one_topic_keeps_windows_open_for_it_while_another_goes_on(tmp_path: Path) -> None:
    [port] = free_ports(1)
    other = Partition("u", 0)
    told = [{"ts": (NOON - 15 * MINUTE + at * 6 * SECOND) // 1_000_000, "features": {"age": 0.5}} for at in range(100)]
    scene = scene_of(tmp_path, {ZERO: [*events(10, 7)], other: [json.dumps(each).encode() for each in told]}, port)
    series = [SeriesFields(CHURN, REFERENCE.layout, FieldMap())]
    scene.loop._decoders = {**scene.loop._decoders, "u": TopicDecoder("u", series, FieldMap(), 3600 * SECOND)}

    scene.run(polls=600)  # a minute, which is longer than an idle partition is waited for

    assert scene.rows == []
    assert scene.store.positions() == {ZERO: 0, other: 100}

    with Registry(port) as registry:
        registry.add(7, json.dumps(SCHEMA))
        time.sleep(5.0)
        scene.run(polls=60)

    assert scene.rows == [20] * 9
    assert scene.store.positions() == {ZERO: 100, other: 100}
    scene.kill()


def test_files_whose_schema_is_away_are_one_line(tmp_path: Path) -> None:
    [port] = free_ports(1)
    options = Options.model_validate({"registry": {"url": f"http://127.0.0.1:{port}", "timeout": "1s"}})
    decoder = TopicDecoder("t", (), FieldMap(), MINUTE, "avro", options=options)
    (tmp_path / "message.bin").write_bytes(events(1, 7)[0])

    with pytest.raises(RecordedError, match="cannot be reached"):
        list(Lines([tmp_path / "message.bin"], decoder).pieces())


# --- the source that takes records back -------------------------------------------------------------------------------


def test_all_that_is_waited_for_is_said_each_once() -> None:
    source, _ = opened({ZERO: [b"a"], Partition("u", 0): [b"b"], Partition("v", 0): [b"c"]})
    whys = {"t": "registry one is away", "u": "registry two is away", "v": "registry one is away"}
    for _ in range(2):
        for records in source.poll(0).records:
            source.keep(records, whys[records.topic])

    assert source.trouble() == "registry one is away; registry two is away"
    [said] = source.news(NOON)
    assert isinstance(said, RecordsWaiting)
    assert said.why == source.trouble()
    assert source.news(NOON) == []


def opened(log: dict[Partition, list[bytes | None]]) -> tuple[PatientSource, ListSource]:
    inner = ListSource(log, batch=2)
    source = PatientSource(inner)
    source.open({})
    return source, inner


def taken(source: PatientSource) -> list[bytes | None]:
    return [value for records in source.poll(0).records for value in records.values]


def test_what_is_given_back_comes_again_first_and_its_position_stays() -> None:
    source, inner = opened({ZERO: [b"a", b"b", b"c"]})
    records = source.poll(0).records[0]
    source.keep(records, "why")
    source.hold(frozenset())

    assert source.positions() == {ZERO: 0}
    assert source.trouble() == "why"
    assert inner.held == {ZERO}
    assert taken(source) == [b"a", b"b"]

    source.hold(frozenset())
    assert source.positions() == {ZERO: 2}
    assert source.trouble() is None
    assert taken(source) == [b"c"]


def test_positions_are_those_of_the_first_record_where_that_is_known() -> None:
    source, _ = opened({ZERO: [b"a"], ONE: [b"w", b"x", b"y"]})
    source.poll(0)
    source.poll(0)
    source.keep(TopicRecords("t", (1,), (b"x",), (OffsetRange(ONE, 1, 1),)), "why")

    assert source.positions() == {ZERO: 1, ONE: 1}
    assert source.waiting == {ONE}


def test_other_partitions_go_on() -> None:
    source, _ = opened({ZERO: [b"a"], ONE: [b"w", b"x", b"y", b"z"]})
    source.poll(0)
    source.keep(TopicRecords("t", (0,), (b"a",)), "why")
    source.hold(frozenset())

    assert taken(source) == [b"a", b"y", b"z"]
