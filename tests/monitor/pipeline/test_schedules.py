"""One log, read in any way: what is decided does not depend on who was polled when, or on when the daemon was started.

Time is simulated: records lie in partitions from when they arrived, a reader polls at random moments, is started before, while
or after they arrive, asks leaders for ends and is sometimes not answered. What it makes of them is held against the same
events on record. `python -m tests.monitor.pipeline.test_schedules 10000` is the long form.
"""

import random
import sys
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from monitor.facts import EventsCounted, Fact, WindowClosed
from monitor.pipeline import Pipeline
from monitor.stream.clocks import TOLERANCE, EventClock
from monitor.stream.events import SECOND, MicroBatch, Nanos, Partition
from tests.build import at, make_batch, make_pipeline, of
from tests.charted import seeded

IDLE_AFTER = 30 * SECOND
LENGTH = 10 * SECOND
FAST = 180 * SECOND
SCHEDULES = 100

arrived = attrgetter("arrival")


@dataclass(frozen=True, slots=True)
class Record:
    """One event: when it happened, and when it reached its partition."""

    time: Nanos
    arrival: Nanos


@dataclass(frozen=True, slots=True)
class Log:
    """Partitions of records in their order of arrival, none arriving later than the lateness after it happened.

    Some producers' clocks may run fast by three minutes: `honest` is the newest event time of the others.
    """

    lateness: Nanos
    partitions: dict[Partition, list[Record]]

    @property
    def honest(self) -> Nanos:
        return max(record.time for record in self.events if record.time <= record.arrival)

    @property
    def over(self) -> Nanos:
        return max(records[-1].arrival for records in self.partitions.values() if records)

    @property
    def events(self) -> list[Record]:
        return [record for records in self.partitions.values() for record in records]


@dataclass(slots=True)
class Reader:
    """What a daemon does, by hand: polls, positions, confirmations, holding."""

    log: Log
    pipeline: Pipeline
    chance: random.Random
    positions: dict[Partition, int] = field(default_factory=dict)
    ends: dict[Partition, tuple[int, Nanos]] = field(default_factory=dict)  # as told, and when that was asked
    facts: list[Fact] = field(default_factory=list)
    clocks: dict[Partition, EventClock] = field(default_factory=dict)

    @property
    def done(self) -> bool:
        """Whether all is read, all are idle, and every leader was asked since the last event."""
        read = all(self.positions.get(place) == len(records) for place, records in self.log.partitions.items())
        asked = len(self.ends) == len(self.log.partitions) and all(at > self.log.over for _, at in self.ends.values())
        return read and asked and self.pipeline.watermark.idle == self.log.partitions.keys()

    def turn(self, now: Nanos) -> None:
        held = self.pipeline.ahead()
        assigned = frozenset() if self.positions else frozenset(self.log.partitions)
        taken = {
            place: records for place in self.log.partitions if place not in held and (records := self._take(place, now))
        }
        batch = MicroBatch(
            tuple(make_batch([record.time for record in records]) for records in taken.values()),
            {place: self._shown(place, records, now) for place, records in taken.items()},
            frozenset(taken),
            self._confirmed(held),
            assigned,
            held,
        )
        self.facts += [*self.pipeline.ingest(batch, now), *self.pipeline.advance()]

    def ask(self, now: Nanos) -> None:
        """Ask every leader where its partition ends; some do not answer."""
        for place, records in self.log.partitions.items():
            if self.chance.random() < 0.8:
                self.ends[place] = bisect_right(records, now, key=arrived), now

    def _shown(self, place: Partition, records: Sequence[Record], now: Nanos) -> Nanos:
        clock = self.clocks.setdefault(place, EventClock(max(TOLERANCE, self.log.lateness)))
        return min(clock.show(np.array([record.time for record in records]), records[-1].arrival), now)

    def _take(self, place: Partition, now: Nanos) -> list[Record]:
        """What a fetch brings: some of what has arrived, or nothing yet."""
        begin = self.positions.setdefault(place, 0)
        records = self.log.partitions[place]
        end = min(begin + self.chance.choice([0, 1, 3, 20, 1000]), bisect_right(records, now, key=arrived))
        self.positions[place] = end
        return records[begin:end]

    def _confirmed(self, held: frozenset[Partition]) -> dict[Partition, Nanos]:
        """The partitions of which nothing lay beyond our position when that was asked, a moment ago."""
        told = {place: as_of for place, (end, as_of) in self.ends.items() if end <= self.positions[place]}
        return {place: as_of for place, as_of in told.items() if place not in held}


def some_log(chance: random.Random) -> Log:
    """One to five partitions, some empty, some silent for a while, one of them perhaps with all of it."""
    lateness = chance.choice([0, 0, 5, 20]) * SECOND
    count = chance.randint(1, 5)
    length = chance.choice([40, 150, 400])  # seconds
    one_only = chance.random() < 0.2
    fast = chance.choice([0.0, 0.0, 0.02, 0.1])
    partitions = {
        Partition("predictions", index): list(
            some_records(chance, length, lateness, fast, empty=bool(index) and one_only)
        )
        for index in range(count)
    }
    if not any(record.time <= record.arrival for records in partitions.values() for record in records):
        partitions[Partition("predictions", 0)] = [Record(at(0), at(0)), Record(at(0.5), at(0.5))]
    return Log(lateness, partitions)


def some_records(chance: random.Random, length: int, lateness: Nanos, fast: float, *, empty: bool) -> Iterator[Record]:
    if empty or chance.random() < 0.15:
        return
    spells = [(start := chance.uniform(0, length), start + chance.uniform(5, 120)) for _ in range(chance.randint(0, 2))]
    arrivals = sorted(chance.uniform(0, length) for _ in range(chance.randint(1, 60)))
    for arrival in arrivals:
        if not any(begin < arrival < end for begin, end in spells):
            reached = at(0) + round(arrival * SECOND)
            yield Record(reached + FAST if chance.random() < fast else reached - chance.randint(0, lateness), reached)


def new_pipeline(log: Log) -> Pipeline:
    return make_pipeline(idle_after=IDLE_AFTER, length=LENGTH, lateness=log.lateness)


def read(log: Log, chance: random.Random) -> list[Fact]:
    """Start at any moment, read to the end, and wait until all is idle."""
    reader = Reader(log, new_pipeline(log), chance)
    now = at(0) + round(chance.choice([-30.0, chance.uniform(0, 400), 1000.0]) * SECOND)
    end = max(log.over, now)
    pause = chance.choice([0.1, 1.0, 7.0])
    while now < end or not reader.done:
        if chance.random() < 0.7:
            reader.ask(now)
        now += round(chance.expovariate(1 / pause) * SECOND)  # a fetch may bring what came after that was asked
        reader.turn(now)
    return reader.facts


def on_record(log: Log) -> list[Fact]:
    """The same events in their order, as one partition that ends where they do: what `driftd backtest` makes of them."""
    pipeline, facts = new_pipeline(log), list[Fact]()
    place = frozenset({Partition("predictions", 0)})
    for record in sorted(log.events, key=lambda each: each.time):
        batch = MicroBatch((make_batch([record.time]),), dict.fromkeys(place, record.time), place, assigned=place)
        facts += [*pipeline.ingest(batch, record.arrival), *pipeline.advance()]
    return facts


def decided(facts: Sequence[Fact], log: Log) -> tuple[list[WindowClosed], int]:
    """The windows that the honest clocks have passed, and how many events were late."""
    late = sum(fact.count for fact in of(facts, EventsCounted) if fact.outcome == "late")
    return [window for window in of(facts, WindowClosed) if window.end + log.lateness <= log.honest], late


def differing(schedules: int, chance: random.Random) -> Iterator[str]:
    """Say of each schedule what it makes otherwise."""
    for _ in range(schedules // 5):
        log = some_log(chance)
        expected = decided(on_record(log), log)
        for _ in range(5):
            seed = chance.random()
            if (found := decided(read(log, random.Random(seed)), log)) != expected:
                yield f"{seed}: {len(found[0])} windows and {found[1]} late for {len(expected[0])} and {expected[1]}: {log}"


def test_any_schedule_of_partitions_polls_idle_spells_and_starts_gives_the_facts_of_the_record() -> None:
    assert list(differing(SCHEDULES, random.Random(int(seeded().integers(2**32))))) == []


if __name__ == "__main__":
    count = int(sys.argv[1])
    failures = list(differing(count, random.Random(*map(int, sys.argv[2:]))))
    sys.stdout.write("\n".join([*failures[:3], f"{count:,} schedules, {len(failures)} with other facts\n"]))
    sys.exit(bool(failures))
