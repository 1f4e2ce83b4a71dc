"""Records whose schema is not to be had now wait: nothing is lost, nothing counted twice, and the loop turns all the same."""

import io
import json
import time
from pathlib import Path
from typing import Any

import pytest

from monitor.runtime.waiting import PatientSource
from monitor.sources.base import TopicRecords
from monitor.sources.decode.topic import TopicDecoder
from monitor.sources.formats.avro import Options
from monitor.sources.formats.fields import FieldMap, SeriesFields
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

    with Registry(port) as registry:
        registry.add(7, json.dumps(SCHEMA))
        time.sleep(1.2)  # the pause after a question without an answer
        scene.run(polls=30)

    assert scene.patient.trouble() is None
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


# --- the source that takes records back -------------------------------------------------------------------------------


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
    source, _ = opened({ZERO: [b"a"], ONE: [b"x"]})
    source.poll(0)
    source.keep(TopicRecords("t", (1,), (b"x",), (OffsetRange(ONE, 40, 41),)), "why")

    assert source.positions() == {ZERO: 1, ONE: 40}
    assert source.waiting == {ONE}


def test_other_partitions_go_on() -> None:
    source, _ = opened({ZERO: [b"a"], ONE: [b"w", b"x", b"y", b"z"]})
    source.poll(0)
    source.keep(TopicRecords("t", (0,), (b"a",)), "why")
    source.hold(frozenset())

    assert taken(source) == [b"a", b"y", b"z"]
