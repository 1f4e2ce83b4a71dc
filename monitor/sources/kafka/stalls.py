"""Partitions of which nothing comes though more lies there: a client that has lost track of one looks healthy. Time is an argument."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from monitor.stream.events import Partition

STALLED_AFTER = 30.0  # seconds: then it is assigned anew, and again after as many more
HOPELESS_AFTER = 120.0  # and from then on driftd is not ready


@dataclass(slots=True)
class Stall:
    """Since when a partition stands at an offset, and when it was last assigned anew; monotonic seconds."""

    offset: int
    since: float
    tried: float


@dataclass(slots=True)
class Stalls:
    """What stands still, of what could move.

    >>> one, stalls = Partition("t", 0), Stalls()
    >>> [len(list(stalls.see({one: 5}, {one: 9}, now))) for now in (0.0, 29.0, 31.0, 60.0, 62.0)]
    [0, 0, 1, 0, 1]
    >>> stalls.hopeless(120.0)
    [Partition(topic='t', index=0)]
    >>> list(stalls.see({one: 6}, {one: 9}, 125.0)), stalls.hopeless(130.0)
    ([], [])
    """

    _stalls: dict[Partition, Stall] = field(default_factory=dict)

    def see(
        self, positions: Mapping[Partition, int], ends: Mapping[Partition, int], now: float
    ) -> Iterator[tuple[Partition, float]]:
        """Those to assign anew, and for how many seconds nothing has come. `ends` are of those alone that are being read, as leaders have just said."""
        before, self._stalls = self._stalls, {}
        for place, end in ends.items():
            offset = positions[place]
            if offset >= end:
                continue
            known = before.get(place)
            stall = known if known is not None and known.offset == offset else Stall(offset, now, now)
            self._stalls[place] = stall
            if now - stall.tried >= STALLED_AFTER:
                stall.tried = now
                yield place, now - stall.since

    def hopeless(self, now: float) -> list[Partition]:
        """Those that no new assignment has helped."""
        return sorted(place for place, stall in self._stalls.items() if now - stall.since >= HOPELESS_AFTER)
