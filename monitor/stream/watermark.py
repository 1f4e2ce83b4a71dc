"""How far event time has come: as far as every partition has shown, and no further than what could still arrive.

A partition's *frontier* is a moment that everything which it has yet to bring arrives after: when its leader last confirmed
that nothing lies beyond our position. An event arrives after it happened, and at most the lateness after. So a watermark that
passes no frontier makes no such event late, whoever was polled first and whenever the daemon was started.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

import msgspec

from monitor.stream.events import Nanos, Partition

NOWHERE: Nanos = -(2**63)


@dataclass(slots=True)
class PartitionClock:
    """What one partition has shown so far. `active` and `confirmed` are processing time, `seen` event time.

    A saved clock is not assigned until the source takes its partition on again: its topic may be gone.
    """

    active: Nanos
    seen: Nanos | None = None
    confirmed: Nanos | None = (
        None  # its frontier: when nothing lay beyond our position; None: something does, or nobody knows
    )
    idle: bool = False
    assigned: bool = True
    latest: Nanos | None = None  # the largest event time of its last batch
    pace: Nanos | None = None  # what its last two batches both reached: an event from a wrong clock is not its pace
    held: bool = False  # not read for now, for it runs ahead
    ended: Nanos | None = None  # when it was last confirmed empty, since it was taken on

    @property
    def holds(self) -> bool:
        """Whether the watermark waits for its events. An idle one with unread events does: it is idle again at its end."""
        return self.assigned and not (self.idle and self.confirmed is not None)

    def falls_idle(self, idle_after: Nanos) -> bool:
        """Whether it was confirmed empty `idle_after` after it last brought anything; no other is ever idle."""
        return not self.idle and self.confirmed is not None and self.confirmed - self.active >= idle_after

    def judge_lead(self, behind: Nanos, most: Nanos) -> None:
        """Held is a partition whose pace is more than `most` past `behind`, until that is half made up for.

        What comes meanwhile is unread, so it is not at its end.
        """
        limit = behind + (most // 2 if self.held else most)
        self.held = self.holds and self.pace is not None and self.pace > limit
        if self.held:
            self.confirmed = None


class Watermark:
    """The minimum over all partitions not idle of the largest event time seen; it never goes back.

    It passes no frontier of an idle one. When every partition is idle it goes to the largest event time seen in any;
    whoever wakes first then waits for the others, for `idle_after` at most.
    """

    def __init__(self, idle_after: Nanos) -> None:
        self.idle_after = idle_after
        self.value: Nanos | None = None
        self._begun: Nanos | None = None  # the least that any partition had shown, for as long as there is no value
        self.partitions: dict[Partition, PartitionClock] = {}
        self.fell_idle = False  # any of them, when it last advanced

    def assign(self, partitions: Iterable[Partition], now: Nanos) -> None:
        """Let these partitions hold the watermark; known ones keep what they have shown, but their end is unknown."""
        for partition in sorted(partitions):
            known = self.partitions.get(partition, PartitionClock(active=now))
            self.partitions[partition] = replace(known, confirmed=None, assigned=True, ended=None)

    def restore(self, partition: Partition, seen: Nanos | None, *, idle: bool, now: Nanos) -> None:
        """Take up what a partition had shown. It holds nothing until it is assigned again."""
        self.partitions[partition] = PartitionClock(active=now, seen=seen, idle=idle, assigned=False)

    def go_on_from(self, before: "Watermark") -> None:
        """Be where another is, that of the same partitions, which are still assigned."""
        self.value, self._begun, self.partitions = before.value, before._begun, before.partitions  # noqa: SLF001 - of the same class

    @property
    def idle(self) -> frozenset[Partition]:
        """The partitions judged idle."""
        return frozenset(partition for partition, clock in self.partitions.items() if clock.idle)

    def read(self, partition: Partition) -> None:
        """Records came, valid or not: nobody knows whether more follow."""
        self.partitions[partition].confirmed = None

    def observe(self, partition: Partition, event_time: Nanos, now: Nanos) -> None:
        """A valid event came: the partition is alive."""
        clock = self.partitions[partition]
        if clock.idle and all(each.idle for each in self._assigned()):
            self._wake(now)
        clock.seen = event_time if clock.seen is None else max(clock.seen, event_time)
        clock.pace = None if clock.latest is None else min(clock.latest, event_time)
        clock.latest = event_time
        clock.active = now
        clock.idle = False
        if self.value is None:
            self._begun = event_time if self._begun is None else min(self._begun, event_time)

    def _wake(self, now: Nanos) -> None:
        """All were idle and one is not: a job may be writing partition after partition, so the others' turn is waited for."""
        for clock in self._assigned():
            clock.idle, clock.active = False, now

    def _assigned(self) -> list[PartitionClock]:
        return [clock for clock in self.partitions.values() if clock.assigned]

    def restart_silence(self, partition: Partition, now: Nanos) -> None:
        """The broker was away, or we were: the partition's silence counts from now on."""
        if partition in self.partitions:
            self.partitions[partition].active = now

    def confirm(self, partition: Partition, as_of: Nanos) -> None:
        """Its leader said that nothing lay beyond our position at this moment."""
        self.partitions[partition].confirmed = self.partitions[partition].ended = as_of

    def lag(self, now: Nanos) -> Nanos:
        """How long events may have waited to be read by now: no longer than since a partition was at its end, nor than event time is behind."""
        if self.value is None:
            return 0
        since = [clock.ended or self.value for clock in self._assigned() if clock.confirmed is None]
        return max(0, min(now - self.value, now - min(since))) if since else 0

    def advance(self) -> bool:
        """Judge idleness and move on; true if the watermark moved."""
        self.fell_idle = False
        for clock in self.partitions.values():
            if clock.falls_idle(self.idle_after):
                clock.idle = self.fell_idle = True
        reached = self._reached()
        if reached is None or (self.value is not None and reached <= self.value):
            return False
        self.value = reached
        return True

    def _reached(self) -> Nanos | None:
        """As far as those have come that hold it, or all where none does; not past the frontiers of the idle."""
        holding, idle, frontiers = list[Nanos](), list[Nanos](), list[Nanos]()
        for clock in self._assigned():
            if clock.idle and clock.confirmed is not None:  # it does not hold it
                frontiers.append(clock.confirmed)
                if clock.seen is not None:
                    idle.append(clock.seen)
            elif clock.seen is None:
                return None
            else:
                holding.append(clock.seen)
        if not (holding or idle):
            return None
        return min([min(holding) if holding else max(idle), *frontiers])

    def floor(self, topics: Collection[str] | None = None) -> Nanos | None:
        """How far the partitions have come that anybody must wait for, of some topics; None: nobody must. Before the first event that is nowhere."""
        ours = [clock for place, clock in self.partitions.items() if topics is None or place.topic in topics]
        holding = [clock.seen for clock in ours if clock.assigned and clock.holds]
        if not holding:
            return None
        return NOWHERE if any(seen is None for seen in holding) else min(seen for seen in holding if seen is not None)

    def ahead_of(self, behind: Nanos, most: Nanos) -> frozenset[Partition]:
        """The partitions that are more than `most` past some time, and must wait for it."""
        held = list[Partition]()
        for partition, clock in self.partitions.items():
            if clock.held or (clock.pace is not None and clock.pace - behind > most):  # as a rule none is
                clock.judge_lead(behind, most)
                held += [partition] if clock.held else []
        return frozenset(held)

    def behind(self) -> dict[Partition, Nanos]:
        """How far each partition that is not idle trails the watermark."""
        reached = self.value
        if reached is None:
            return {}
        clocks = self.partitions.items()
        return {
            place: max(0, reached - clock.seen) for place, clock in clocks if clock.holds and clock.seen is not None
        }

    def ahead(self, most: Nanos) -> frozenset[Partition]:
        """The partitions that must wait, for what they bring would pile up: more than `most` past the watermark.

        Never one that the watermark waits for: its pace is no larger than what it has shown, which is no larger
        than the watermark.
        """
        behind = self._begun if self.value is None else self.value
        if behind is None:
            return frozenset()
        return self.ahead_of(behind, most)


# --- state ----------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class SavedPartition:
    """One partition's share of the watermark. Idleness was decided on processing time, so it is kept."""

    topic: str
    index: int
    seen: Nanos | None
    idle: bool


@dataclass(slots=True)
class SavedWatermark:
    """The watermark as saved."""

    value: Nanos | None
    partitions: list[SavedPartition]


def saved_watermark(watermark: Watermark) -> SavedWatermark:
    """A watermark as it is saved."""
    partitions = [
        SavedPartition(partition.topic, partition.index, clock.seen, clock.idle)
        for partition, clock in watermark.partitions.items()
    ]
    return SavedWatermark(watermark.value, partitions)


def restore_watermark(watermark: Watermark, payload: bytes, now: Nanos) -> None:
    """Take up a saved watermark."""
    saved = msgspec.json.decode(payload, type=SavedWatermark)
    watermark.value = saved.value
    for each in saved.partitions:
        watermark.restore(Partition(each.topic, each.index), each.seen, idle=each.idle, now=now)
