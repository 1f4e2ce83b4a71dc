"""Which records of a partition hold which hours of event time: integers, rounded outwards, never a record too few."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import msgspec

from monitor.stream.events import DAY, HOUR, EventBatch, HalfBatch, Nanos, OffsetRange, Partition

KEPT = 35 * 24  # hours before the newest
HOURS = DAY // HOUR


@dataclass(slots=True)
class PartitionHours:
    """First and last offset of the records that were read with events of an hour, by its number since the epoch."""

    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    newest: int = 0

    def take(self, first_hour: int, last_hour: int, first: int, last: int) -> None:
        """Take records whose events lie in these hours, in which of them nobody knows."""
        self.newest = max(self.newest, last_hour)
        for hour in range(max(first_hour, self.newest - KEPT), last_hour + 1):
            low, high = self.spans.get(hour, (first, last))
            self.spans[hour] = min(low, first), max(high, last)

    def forget(self) -> list[int]:
        """Drop the hours that are too old; the numbers of their days are returned where nothing of a day is left."""
        old = [hour for hour in self.spans if hour < self.newest - KEPT]
        for hour in old:
            del self.spans[hour]
        kept = {hour // HOURS for hour in self.spans}
        return sorted({hour // HOURS for hour in old} - kept)

    def between(self, begin: Nanos, end: Nanos) -> tuple[int, int] | None:
        """First offset, and the one after the last, of the events in [begin, end); None where there are none."""
        found = [span for hour, span in self.spans.items() if begin // HOUR <= hour <= (end - 1) // HOUR]
        return (min(low for low, _ in found), max(high for _, high in found) + 1) if found else None


class OffsetIndex:
    """All partitions. Rows of saved state are a day of one partition each, so that a checkpoint writes one of them."""

    def __init__(self) -> None:
        self.partitions: dict[Partition, PartitionHours] = {}
        self._dirty: dict[tuple[Partition, int], None] = {}

    def take(self, batch: EventBatch | HalfBatch) -> None:
        """Take a batch: its records hold events between its first and its last event time."""
        if len(batch) and batch.offsets:
            self.note(batch.offsets, int(batch.event_times.min()), int(batch.event_times.max()))

    def note(self, offsets: Iterable[OffsetRange], earliest: Nanos, latest: Nanos) -> None:
        """Take records whose events lie between two times, both included."""
        first, last = earliest // HOUR, latest // HOUR
        for span in offsets:
            hours = self.partitions.get(span.partition)
            if hours is None:
                hours = self.partitions[span.partition] = PartitionHours()
            hours.take(first, last, span.first, span.last)
            for day in range(max(first, hours.newest - KEPT) // HOURS, last // HOURS + 1):
                self._dirty[span.partition, day] = None

    def between(self, begin: Nanos, end: Nanos) -> Iterator[tuple[Partition, int, int]]:
        """Partition, first offset, and the one after the last, of all events in [begin, end)."""
        for partition, hours in sorted(self.partitions.items()):
            found = hours.between(begin, end)
            if found is not None:
                yield partition, *found

    def reaches(self, begin: Nanos) -> bool:
        """Whether every partition is known as far back as that, or from its first record read on."""
        return all(begin // HOUR >= hours.newest - KEPT for hours in self.partitions.values())

    # --- state --------------------------------------------------------------------------------------------------

    def changes(self) -> Iterator[tuple[str, bytes | None]]:
        """The rows that changed since the last call, by their keys; None: gone."""
        for partition, hours in self.partitions.items():
            self._dirty |= {(partition, day): None for day in hours.forget()}
        for partition, day in self._dirty:
            yield self._row(partition, day)
        self._dirty.clear()

    def rows(self) -> Iterator[tuple[str, bytes | None]]:
        """All rows."""
        for partition, hours in self.partitions.items():
            for day in sorted({hour // HOURS for hour in hours.spans}):
                yield self._row(partition, day)

    def _row(self, partition: Partition, day: int) -> tuple[str, bytes | None]:
        spans = self.partitions[partition].spans
        held = [(hour, *spans[hour]) for hour in range(day * HOURS, (day + 1) * HOURS) if hour in spans]
        key = msgspec.json.encode([partition.topic, partition.index, day]).decode()
        return key, msgspec.json.encode(held) if held else None

    def restore(self, rows: Iterable[tuple[str, bytes]]) -> None:
        """Take up saved rows."""
        for key, payload in rows:
            topic, index, _ = msgspec.json.decode(key, type=tuple[str, int, int])
            hours = self.partitions.setdefault(Partition(topic, index), PartitionHours())
            for hour, first, last in msgspec.json.decode(payload, type=list[tuple[int, int, int]]):
                hours.spans[hour] = first, last
                hours.newest = max(hours.newest, hour)
