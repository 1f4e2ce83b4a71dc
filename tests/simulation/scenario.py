"""What happens in one simulation, drawn from its seed: events, what the broker, the disk, the clock and receivers do, and when the process dies."""

import json
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from monitor.stream.events import SECOND
from tests.simulation.broker import APPENDED, CREATED
from tests.simulation.process import Surroundings
from tests.simulation.world import BEGIN, World, world

MODELS = {"m": 5, "slow": 20}  # seconds of their windows
LATENESS = 2.0  # seconds
BAD: dict[str, bytes] = {
    "malformed_json": b"{",
    "empty": b"",
    "not_object": b"[1]",
    "too_deep": b"[" * 40,
    "timestamp_missing": b'{"model": "m", "version": "1", "features": {}}',
    "timestamp_before_2000": b'{"ts": 1, "model": "m", "version": "1", "features": {}}',
    "unmonitored": b'{"ts": 1763870700000, "model": "nobody", "version": "1", "features": {}}',
}


@dataclass(frozen=True)
class Spell:
    """Something that is so for a while, in seconds from the beginning."""

    begin: float
    end: float


@dataclass
class Scenario:
    """All that is drawn beforehand. What threads do is drawn while they do it."""

    seed: int
    length: float = 32.0  # seconds of trouble
    partitions: int = 1
    skip_lost: bool = True
    stamps: int = CREATED
    rate: float = 3.0
    shifts: list[Spell] = field(default_factory=list)
    idle: dict[int, Spell] = field(default_factory=dict)
    faults: list[tuple[float, str, Callable[[World, Surroundings], None]]] = field(default_factory=list)
    deaths: list[int] = field(default_factory=list)  # at which step of each process
    stops: list[float] = field(default_factory=list)  # when it is asked to stop
    lossy: bool = False  # records are deleted that nobody may have read

    @classmethod
    def of(cls, seed: int) -> "Scenario":
        """The one of a seed."""
        chance = random.Random(seed)
        found = cls(seed, partitions=chance.choice((1, 2, 2, 3)), stamps=chance.choice((CREATED, APPENDED)))
        found.skip_lost = chance.random() < 0.7
        found.rate = chance.choice((4.0, 5.0, 7.0))
        begin = chance.uniform(7, 20)
        found.shifts = [Spell(begin, begin + chance.uniform(6, 20))]
        if found.partitions > 1 and chance.random() < 0.5:
            found.idle[chance.randrange(found.partitions)] = found.spell(chance, 6, 30)
        found.deaths = [
            round(math.exp(chance.uniform(math.log(3), math.log(800)))) for _ in range(chance.choice((0, 1, 1, 2, 3)))
        ]
        found.stops = [chance.uniform(2, found.length) for _ in range(chance.choice((0, 0, 1)))]
        for kind in chance.sample([*KINDS], chance.choice((0, 1, 1, 2, 3))):
            KINDS[kind](found, chance)
        return found

    def spell(self, chance: random.Random, shortest: float, longest: float) -> Spell:
        """A while within the trouble."""
        begin = chance.uniform(0, self.length * 0.8)
        return Spell(begin, min(self.length, begin + chance.uniform(shortest, longest)))

    def during(self, spell: Spell, what: str, put: Callable[[Surroundings, bool], None]) -> None:
        """Something is so for a while."""
        self.faults.append((spell.begin, what, lambda _, around: put(around, True)))
        self.faults.append((spell.end, f"no longer: {what}", lambda _, around: put(around, False)))

    # --- events -----------------------------------------------------------------------------------------------------

    def event(self, chance: random.Random, at: float) -> tuple[str, bytes]:
        """What is written at a time: under which reason it is rejected, none if it counts; and the message."""
        if chance.random() < 0.04:
            return chance.choice([*BAD.items()])
        happened = max(0.0, at - chance.uniform(0, 0.4 * LATENESS))
        shifted = any(each.begin <= happened < each.end for each in self.shifts)
        features: dict[str, Any] = {"x": chance.gauss(2.5 if shifted else 0.0, 1.0), "plan": chance.choice("abcd")}
        if chance.random() < 0.03:
            features[chance.choice(("x", "plan"))] = None
        stamp = BEGIN * 1000 // SECOND + round(happened * 1000)
        model = chance.choice(("m", "m", "m", "slow"))
        return "", json.dumps({"ts": stamp, "model": model, "version": "1", "features": features}).encode()

    def write(self, chance: random.Random, around: Surroundings, at: float, for_seconds: float) -> None:
        """Write what is written in so many seconds up to a time; an idle partition gets none of it."""
        awake = [
            index
            for index in range(self.partitions)
            if not (index in self.idle and self.idle[index].begin <= at < self.idle[index].end)
        ]
        for _ in range(round(self.rate * for_seconds * chance.uniform(0.6, 1.4))):
            reason, value = self.event(chance, at)
            around.broker.append(chance.choice(awake), reason, value)


# --- kinds of trouble -------------------------------------------------------------------------------------------------


def broker_away(found: Scenario, chance: random.Random) -> None:
    found.during(
        found.spell(chance, 1, 25), "the broker is away", lambda around, is_so: setattr(around.broker, "away", is_so)
    )


def leader_silent(found: Scenario, chance: random.Random) -> None:
    partition = chance.randrange(found.partitions)

    def put(around: Surroundings, is_so: bool) -> None:
        around.broker.silent = {partition} if is_so else set()

    found.during(found.spell(chance, 2, 40), f"the leader of {partition} is silent", put)


def disk_full(found: Scenario, chance: random.Random) -> None:
    found.during(
        found.spell(chance, 1, 20), "the disk is full", lambda around, is_so: setattr(around.disk, "full", is_so)
    )


def disk_fails(found: Scenario, chance: random.Random) -> None:
    share = chance.choice((0.01, 0.1))
    found.during(
        found.spell(chance, 5, 30), "the disk fails", lambda around, is_so: setattr(around.disk, "fails", share * is_so)
    )


def receiver_fails(found: Scenario, chance: random.Random) -> None:
    number, share = chance.randrange(2), chance.choice((0.3, 0.7, 0.95))

    def put(around: Surroundings, is_so: bool) -> None:
        around.receivers[number].fails = share * is_so

    found.during(found.spell(chance, 10, 40), f"receiver {number} fails", put)


def receiver_away(found: Scenario, chance: random.Random) -> None:
    number = chance.randrange(2)

    def put(around: Surroundings, is_so: bool) -> None:
        around.receivers[number].away = is_so

    found.during(found.spell(chance, 6, 30), f"receiver {number} is away", put)


def receiver_gone(found: Scenario, chance: random.Random) -> None:
    def put(around: Surroundings, is_so: bool) -> None:
        around.receivers[1].gone = 0.5 * is_so

    found.during(found.spell(chance, 10, 40), "receiver 1 says 410", put)


def clock_moves(found: Scenario, chance: random.Random) -> None:
    """The wall is set, forth or back; by more than is borne for longer than is held, it comes back."""
    for _ in range(chance.choice((1, 2))):
        by = chance.choice((-3600, -300, -60, -5, -1, 1, 5, 60, 600, 7200))
        spell = found.spell(chance, 2, 20 if abs(by) > 500 else 40)

        def put(around: Surroundings, is_so: bool, by: int = by) -> None:
            world().ahead += by * SECOND if is_so else -by * SECOND

        found.during(spell, f"the clock is set by {by} s", put)


def retention(found: Scenario, chance: random.Random) -> None:
    """All that is older than some records goes, read or not."""
    for _ in range(chance.choice((1, 3))):
        at, keep, partition = (
            chance.uniform(2, found.length),
            chance.choice((0, 5, 20, 60)),
            chance.randrange(found.partitions),
        )
        found.faults.append(
            (at, f"all but {keep} of {partition} go", lambda _, around, k=keep, p=partition: around.broker.retain(p, k))
        )
    found.lossy = True


def made_anew(found: Scenario, chance: random.Random) -> None:
    at, after = chance.uniform(2, found.length), chance.choice((0.01, 0.5, 8.0))

    def delete(_: World, around: Surroundings) -> None:
        around.broker.exists = False

    found.faults.append((at, "the topic is deleted", delete))
    found.faults.append((at + after, "the topic is made anew", lambda _, around: around.broker.make()))
    found.lossy = True


def process_frozen(found: Scenario, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 2))):
        seconds = chance.choice((1.0, 6.0, 20.0))
        found.faults.append(
            (
                chance.uniform(1, found.length),
                f"the process stands still for {seconds} s",
                lambda world_, _, s=seconds: world_.freeze(s),
            )
        )


KINDS: dict[str, Callable[[Scenario, random.Random], None]] = {
    each.__name__: each
    for each in (
        broker_away,
        leader_silent,
        disk_full,
        disk_fails,
        receiver_fails,
        receiver_away,
        receiver_gone,
        clock_moves,
        retention,
        made_anew,
        process_frozen,
    )
}
