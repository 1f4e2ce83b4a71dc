"""A process of driftd in the simulated world: the real daemon, whose ways to the outside lead into it."""

import os
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

from monitor import app, failpoints
from monitor.configuration import Configuration
from monitor.facts import DetectorFailed, Fact, ForeignCommit, OffsetsExpired, OffsetsLost, StateLost, StateRecovered
from monitor.failpoints import Step
from monitor.runtime import references
from monitor.runtime.references import ReferenceReader
from monitor.runtime.telemetry import Telemetry
from monitor.sources.base import Poll
from monitor.sources.kafka import ends, identity, source, suspects
from monitor.sources.kafka.reading import Chosen
from monitor.sources.kafka.scout import Stage
from monitor.sources.kafka.search import Order, Sighting
from monitor.sources.kafka.source import KafkaSource
from monitor.store import files, sqlite
from monitor.stream.events import Partition
from monitor.targets import deadline, notifier, transport
from monitor.targets.notifier import Notifier
from tests.simulation.broker import SimulatedAdmin, SimulatedBroker, SimulatedClient, wait_for_answers
from tests.simulation.disk import SimulatedDisk, connections
from tests.simulation.receivers import SimulatedNetwork, SimulatedReceiver
from tests.simulation.world import (
    OnSimulatedTime,
    SimulatedEvent,
    SimulatedThread,
    interleave,
    world,
)

Place = tuple[int, int, int]  # in which making of the topic, partition, offset
TRUSTED = cache(transport.tls_context)  # nobody here speaks TLS
LOCKED = frozenset(  # steps that are reached within a transaction: nobody else can have a turn
    {
        Step.RECORDS,
        Step.POSITIONS,
        Step.OUTBOX,
        Step.AUDIT,
        Step.DELIVERED,
        Step.POSTPONED,
        Step.MIGRATED,
        Step.REPAIRED,
    }
)


@dataclass
class Surroundings:
    """All that is outside of the process."""

    broker: SimulatedBroker
    disk: SimulatedDisk
    receivers: list[SimulatedReceiver]
    configuration: Configuration


@dataclass
class Witness:
    """What is seen of the process: what the loop was given, and what was told."""

    given: set[Place] = field(default_factory=set)  # by this process and, as saved, by those before it
    twice: list[Place] = field(default_factory=list)
    saved: frozenset[Place] = frozenset()  # when it last saved
    lost: list[tuple[int, OffsetsLost]] = field(
        default_factory=list
    )  # with the making of the topic that it was told in
    expired: list[tuple[int, OffsetsExpired]] = field(default_factory=list)
    strange: list[Fact] = field(default_factory=list)  # what nothing here gives rise to
    known: set[str] = field(default_factory=set)  # ids of topics that were saved: before that nobody reads them
    first: dict[tuple[int, int], int] = field(default_factory=dict)  # where the first position that was saved stood
    begun: set[tuple[int, int]] = field(default_factory=set)  # makings of partitions of which something was read
    polled_in: int = 0  # the making of the topic that the last poll was of

    def begin(self) -> None:
        """A process begins from what was saved."""
        self.given = set(self.saved)

    def begin_at(self, positions: Mapping[Partition, int], epoch: int) -> None:
        """These positions were saved: the first ones count."""
        for place, at in positions.items():
            self.first.setdefault((epoch, place.index), at)

    def give(self, poll: Poll) -> None:
        """The loop is given these records."""
        for partition, first, last in (each for records in poll.records for each in records.offsets):
            for offset in range(first, last + 1):
                place = self.polled_in, partition.index, offset
                if place in self.given:
                    self.twice.append(place)
                self.given.add(place)
            self.begun.add((self.polled_in, partition.index))

    def hear(self, facts: Sequence[Fact], epoch: int) -> None:
        """These are told."""
        self.lost += [(epoch, fact) for fact in facts if isinstance(fact, OffsetsLost)]
        self.expired += [(epoch, fact) for fact in facts if isinstance(fact, OffsetsExpired)]
        self.strange += [
            fact for fact in facts if isinstance(fact, StateLost | StateRecovered | ForeignCommit | DetectorFailed)
        ]


class SimulatedNotifier(OnSimulatedTime, Notifier):  # type: ignore[misc]
    """A notifier on simulated time."""


class SimulatedReader(OnSimulatedTime, ReferenceReader):  # type: ignore[misc]
    """Who looks for references, on simulated time."""


class SimulatedExamination(OnSimulatedTime, suspects.Examination):  # type: ignore[misc]
    """Who looks for what kills a reader, on simulated time."""


class SimulatedServer:
    """Bound to no port: nobody asks."""

    url = "http://simulated"

    def __init__(self, host: str, port: int, *, secured: bool = False) -> None:
        pass

    def serve(self, surface: object) -> None:
        pass

    def close(self) -> None:
        pass


class SimulatedScouts:
    """Nothing here kills a reader: every scout comes back."""

    def __init__(self, choice: object) -> None:
        pass

    def send(self, partition: Partition, order: Order, growth: int) -> Sighting:
        world().wait(1.0)
        return Sighting(Stage.THROUGH, order.offset + 1)

    def stop(self) -> None:
        pass


class Failpoints:
    """Stands for an armed failpoint: at each step the process may die, and where no lock is held others may have a turn."""

    def reach(self, step: Step) -> None:
        world().step(f"at {step.value}")
        if step not in LOCKED:
            interleave(0.3)


def written_positions(database: sqlite3.Connection) -> dict[Partition, int]:
    """What is written down, read past the disk that fails."""
    rows = sqlite3.Connection.execute(database, "SELECT topic, partition, next_offset FROM position")
    return {Partition(topic, index): offset for topic, index, offset in rows}


def written_topics(database: sqlite3.Connection) -> set[str]:
    """The ids of topics that are."""
    return {name for (name,) in sqlite3.Connection.execute(database, "SELECT id FROM topic")}


def connected(connect: Any, factory: Any, place: Any, **how: Any) -> sqlite3.Connection:
    """A connection to the simulated disk, or to memory, which never fails."""
    return connect(place, **how) if place == ":memory:" else connect(place, factory=factory, **how)


@contextmanager
def simulated(around: Surroundings, seen: Witness) -> Iterator[None]:
    """Let the modules that start threads, or lead outside, lead into the world instead."""
    broker = around.broker

    class WatchedSource(KafkaSource):
        def poll(self, timeout: float) -> Poll:
            poll = super().poll(timeout)
            seen.give(poll)
            return poll

    class WatchedClient(SimulatedClient):
        def batch(self, most: int, timeout: float) -> Any:
            found = super().batch(most, timeout)
            seen.polled_in = broker.epoch
            return found

    class WatchedTelemetry(Telemetry):
        def record(self, facts: Any) -> None:
            told = list(facts)
            seen.hear(told, broker.epoch)
            super().record(told)

    class WatchedStore(sqlite.StateStore):
        def save(self, *arguments: Any, **named: Any) -> None:
            given = frozenset(seen.given)
            try:
                super().save(*arguments, **named)
            finally:
                if not self._db.in_transaction and arguments[1].items() <= written_positions(self._db).items():
                    seen.saved = given
                    seen.known |= written_topics(self._db)
                    seen.begin_at(arguments[1], broker.epoch)

        def _finish_backup(self) -> None:
            super()._finish_backup()
            for path in files.backups(self.directory)[:1]:
                os.utime(path, ns=(world().truth, world().truth))

    with ExitStack() as patches:

        def put(place: Any, **names: Any) -> None:
            for name, value in names.items():
                patches.enter_context(patch.object(place, name, value))

        connect = partial(connected, sqlite3.connect, connections(around.disk))
        clients = partial(WatchedClient, broker)
        put(sqlite3, connect=connect)
        put(
            source,
            reading_client=lambda _choice, **callbacks: Chosen(clients(**callbacks), None),
            Thread=SimulatedThread,
        )
        put(
            ends,
            make_consumer=lambda *_, **callbacks: SimulatedClient(broker),
            Thread=SimulatedThread,
            Event=SimulatedEvent,
        )
        put(identity, AdminClient=lambda *_, **__: SimulatedAdmin(broker), wait=wait_for_answers)
        put(suspects, Scouts=SimulatedScouts, Examination=SimulatedExamination, Thread=SimulatedThread)
        put(suspects, reading_client=lambda *_, **__: Chosen(clients(), None))
        put(sqlite, Thread=SimulatedThread)
        put(
            notifier,
            Event=SimulatedEvent,
            random=SimpleNamespace(Random=lambda: random.Random(world().random.random())),
        )
        put(deadline.httpcore, SyncBackend=lambda: SimulatedNetwork(around.receivers))
        put(transport, tls_context=TRUSTED)
        put(
            app,
            Notifier=SimulatedNotifier,
            ReferenceReader=SimulatedReader,
            Server=SimulatedServer,
            Event=SimulatedEvent,
        )
        put(references, Event=SimulatedEvent)
        put(app, KafkaSource=WatchedSource, Telemetry=WatchedTelemetry, StateStore=WatchedStore)
        put(failpoints, _armed=Failpoints())
        yield
