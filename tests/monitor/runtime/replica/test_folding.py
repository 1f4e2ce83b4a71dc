"""What a replica folds of real partitions: every record once, cell by cell, and what is safe to be forgotten."""

import json
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from monitor.app import build_decoders, build_pipeline, kafka_choice, wanted_parts
from monitor.clock import SystemClock
from monitor.configuration import Configuration
from monitor.facts import EventsCounted, EventsRejected, Fact
from monitor.replica import replica_plan
from monitor.replicas.cells import SourceLog, places_of
from monitor.replicas.folding import SentRecord
from monitor.replicas.owner import ReplicaOwner
from monitor.runtime.replica.folding import Folding, GroupStart
from monitor.sources.base import SourceError
from monitor.sources.kafka.reader import PartitionReader
from monitor.sources.kafka.reading import reading_client
from monitor.stream.events import Partition
from tests.build import of
from tests.monitor.test_app import configuration, home

if TYPE_CHECKING:
    from tests.parts.mock import MockBroker

__all__ = ["home"]
NOON = 1_763_899_200  # seconds
CELL, EACH, PARTITIONS = 10, 37, 2


def produce(bootstrap: str, topic: str) -> None:
    """Events of a model in two partitions, one of each that cannot be read, one of no model."""
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0})
    for number in range(EACH):
        for partition in range(PARTITIONS):
            event = {"ts": (NOON + number) * 1000, "model": "churn", "version": "3", "features": {"age": number}}
            if number == 5:
                event["model"] = "nobody"
            producer.produce(topic, b"{" if number == 11 else json.dumps(event), partition=partition)
    assert producer.flush(10) == 0


class Scene:
    """A replica's folding over a topic; `sent` is what it has sent."""

    def __init__(self, home: Path, broker: "MockBroker", topic: str) -> None:
        broker.create_topic(topic, PARTITIONS)
        produce(broker.bootstrap, topic)
        self.topic = topic
        self.configuration: Configuration = configuration(
            home,
            topics=[{"name": topic}],
            kafka={"bootstrap_servers": broker.bootstrap, "start_from": "earliest"},
            replicas={"cell": CELL, "judge_partitions": 1},
        )
        decoders = build_decoders(self.configuration)
        choice = kafka_choice(self.configuration.settings, parts=wanted_parts(decoders))
        self.client = reading_client(choice).client
        self.reader = PartitionReader(self.client, choice.topics, choice.batch)
        self.plan, self.places = replica_plan(self.configuration), places_of(self.configuration.specs)
        self.sent: list[SentRecord] = []
        self.clock = SystemClock()
        self.folding = Folding(self.reader, choice, decoders, self.plan, self.places, dict, self.send)

    def send(self, record: SentRecord) -> int:
        self.sent.append(record)
        return len(self.sent)

    def take_on(self, index: int, begin: int = 0) -> Partition:
        log = SourceLog(self.topic, "", index)
        self.folding.take_on(log, begin, GroupStart(0), self.clock.elapsed())
        return log.partition

    def read(self, partition: Partition, end: int = EACH) -> list[Fact]:
        """Read a partition to its end, and flush."""
        facts = list[Fact]()
        deadline = self.clock.elapsed() + 20
        while self.folding.logs[partition].folder.position < end:
            assert self.clock.elapsed() < deadline
            facts += self.folding.turn(0.1, self.clock.now())
        self.folding.flush(self.clock.now(), self.clock.elapsed())
        return facts

    def counted(self) -> Counter[str]:
        """What the owner of the model counts of what was sent."""
        owner = ReplicaOwner(build_pipeline(self.configuration)[0], self.plan, self.places)
        owner.assign({SourceLog(self.topic, "", index): 0 for index in range(PARTITIONS)}, 0)
        heard = [owner.hear(record.value) for record in self.sent]
        found = Counter[str]()
        for each in heard:
            assert each.told == []
            for fact in of(each.facts, EventsCounted):
                found[fact.outcome] += fact.count
        return +found


@pytest.fixture
def scene(home: Path, mock_broker: "MockBroker", topic: str) -> Scene:
    return Scene(home, mock_broker, topic)


@pytest.mark.usefixtures("reader_kind")
def test_every_event_is_counted_once_and_what_cannot_be_read_is_said(scene: Scene) -> None:
    facts = [fact for index in range(PARTITIONS) for fact in scene.read(scene.take_on(index))]

    assert scene.counted()["ok"] == PARTITIONS * (EACH - 2)
    assert sum(fact.count for fact in of(facts, EventsRejected)) >= PARTITIONS


def test_who_takes_over_begins_with_the_open_cell_and_nothing_is_counted_twice(scene: Scene) -> None:
    """What the first has sent of the open cell comes again, with more."""
    partition = scene.take_on(0)
    scene.read(partition)
    acknowledged = len(scene.sent)
    begin = scene.folding.logs[partition].safe(acknowledged)
    scene.folding.let_go(partition)
    assert begin == EACH - EACH % CELL

    scene.read(scene.take_on(0, begin))
    scene.read(scene.take_on(1))

    assert scene.counted()["ok"] == PARTITIONS * (EACH - 2)


def test_a_cell_is_safe_once_all_that_was_sent_of_it_is_acknowledged(scene: Scene) -> None:
    partition = scene.take_on(0)
    scene.read(partition)
    log = scene.folding.logs[partition]
    ends = [number for _, number in log.over]

    assert len(ends) == EACH // CELL
    assert log.safe(ends[0] - 1) == 0
    assert log.safe(ends[0]) == CELL
    assert log.safe(ends[1] - 1) == CELL
    assert log.safe(len(scene.sent)) == EACH - EACH % CELL


def test_a_partition_that_is_let_go_is_not_folded(scene: Scene) -> None:
    first, second = scene.take_on(0), scene.take_on(1)
    scene.folding.let_go(first)
    scene.read(second)

    assert scene.folding.logs.keys() == {second}
    assert all(b'",1]' in record.key or b"churn" in record.key for record in scene.sent)


def test_a_position_that_is_gone_ends_it_in_a_line(scene: Scene) -> None:
    partition = scene.take_on(0, 10 * CELL)

    with pytest.raises(SourceError, match=f"{partition}: offset {10 * CELL} is not there any more"):
        scene.read(partition, 11 * CELL)


def test_where_the_group_began_is_read_as_it_was_written_and_of_a_single_process_there_is_nothing() -> None:
    start = GroupStart(17, "an-id")

    assert GroupStart.read(start.written()) == start
    assert GroupStart.read("") is None
