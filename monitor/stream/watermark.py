"""How far event time has come: the minimum over all partitions that are not idle."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from monitor.stream.events import Nanos, Partition


@dataclass(slots=True)
class PartitionClock:
    """What one partition has shown so far. `active` is processing time, `seen` event time.

    A saved clock is not assigned until the source takes its partition on again: its topic may be gone.
    """

    active: Nanos
    seen: Nanos | None = None
    at_end: bool = False
    idle: bool = False
    assigned: bool = True
    latest: Nanos | None = None  # the largest event time of its last batch
    pace: Nanos | None = None  # what its last two batches both reached: an event from a wrong clock is not its pace
    held: bool = False  # not read for now, for it runs ahead

    @property
    def holds(self) -> bool:
        """Whether the watermark waits for it. An idle one with unread events does: it is idle again at its end."""
        return self.assigned and not (self.idle and self.at_end)

    def judge_idleness(self, now: Nanos, idle_after: Nanos) -> None:
        """Idle is a partition read to its end and silent for `idle_after`; an unread or lagging one never is."""
        self.idle = self.idle or (self.at_end and now - self.active >= idle_after)

    def judge_lead(self, behind: Nanos, most: Nanos) -> None:
        """Held is a partition whose pace is more than `most` past `behind`, until that is half made up for.

        What comes meanwhile is unread, so it is not at its end.
        """
        limit = behind + (most // 2 if self.held else most)
        self.held = self.holds and self.pace is not None and self.pace > limit
        self.at_end = self.at_end and not self.held


class Watermark:
    """The minimum over all partitions not idle of the largest event time seen; it never goes back.

    An event time is trusted only after the decoder has bounded it by now + max_future, so one wrong clock cannot
    push the watermark further than that. When every partition is idle the watermark stays where it is.
    """

    def __init__(self, idle_after: Nanos) -> None:
        self.idle_after = idle_after
        self.value: Nanos | None = None
        self._begun: Nanos | None = None  # the least that any partition had shown, for as long as there is no value
        self.partitions: dict[Partition, PartitionClock] = {}

    def assign(self, partitions: Iterable[Partition], now: Nanos) -> None:
        """Let these partitions hold the watermark; known ones keep what they have shown, but their end is unknown."""
        for partition in partitions:
            known = self.partitions.get(partition, PartitionClock(active=now))
            self.partitions[partition] = replace(known, at_end=False, assigned=True)

    def restore(self, partition: Partition, seen: Nanos | None, *, idle: bool, now: Nanos) -> None:
        """Take up what a partition had shown. It holds nothing until it is assigned again."""
        self.partitions[partition] = PartitionClock(active=now, seen=seen, idle=idle, assigned=False)

    @property
    def idle(self) -> frozenset[Partition]:
        """The partitions judged idle."""
        return frozenset(partition for partition, clock in self.partitions.items() if clock.idle)

    def read(self, partition: Partition) -> None:
        """Records came, valid or not: the partition is not at its end."""
        self.partitions[partition].at_end = False

    def observe(self, partition: Partition, event_time: Nanos, now: Nanos) -> None:
        """A valid event came: the partition is alive."""
        clock = self.partitions[partition]
        clock.seen = event_time if clock.seen is None else max(clock.seen, event_time)
        clock.pace = None if clock.latest is None else min(clock.latest, event_time)
        clock.latest = event_time
        clock.active = now
        clock.idle = False
        if self.value is None:
            self._begun = event_time if self._begun is None else min(self._begun, event_time)

    def restart_silence(self, partition: Partition, now: Nanos) -> None:
        """The broker was away, or we were: the partition's silence counts from now on."""
        if partition in self.partitions:
            self.partitions[partition].active = now

    def end(self, partition: Partition) -> None:
        """The partition is read to its end for now."""
        self.partitions[partition].at_end = True

    def advance(self, now: Nanos) -> bool:
        """Judge idleness and move on; true if the watermark moved."""
        for clock in self.partitions.values():
            clock.judge_idleness(now, self.idle_after)
        holding = [clock.seen for clock in self.partitions.values() if clock.holds]
        if not holding or any(seen is None for seen in holding):
            return False
        reached = min(seen for seen in holding if seen is not None)
        if self.value is not None and reached <= self.value:
            return False
        self.value = reached
        return True

    def ahead(self, most: Nanos) -> frozenset[Partition]:
        """The partitions that must wait, for what they bring would pile up: more than `most` past the watermark.

        Never one that the watermark waits for: its pace is no larger than what it has shown, which is no larger
        than the watermark.
        """
        behind = self._begun if self.value is None else self.value
        if behind is None:
            return frozenset()
        for clock in self.partitions.values():
            clock.judge_lead(behind, most)
        return frozenset(partition for partition, clock in self.partitions.items() if clock.held)
