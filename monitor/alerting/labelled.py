"""How many labelled rows there are since a time: disjoint windows as they were last judged. Bounded."""

from dataclasses import dataclass, field

from monitor.stream.events import Nanos

MOST = 512  # windows of one version


@dataclass(slots=True)
class LabelledWindows:
    """Windows [start, end) of each version, rising, with their labelled rows."""

    windows: dict[str, list[tuple[Nanos, Nanos, int]]] = field(default_factory=dict)

    def take(self, version: str, start: Nanos, end: Nanos, rows: int) -> None:
        """Take a window as it was judged; one that was judged before has more labels now, one that overlaps others says nothing new."""
        held = self.windows.setdefault(version, [])
        for at in range(len(held) - 1, -1, -1):
            if held[at][:2] == (start, end):
                held[at] = start, end, max(rows, held[at][2])
                return
            if held[at][1] <= start:
                held.insert(at + 1, (start, end, rows))
                break
            if held[at][0] < end:
                return
        else:
            held.insert(0, (start, end, rows))
        if len(held) > MOST:
            (first, _, one), (_, last, other) = held[:2]
            held[:2] = [(first, last, one + other)]

    def since(self, begin: Nanos) -> int:
        """Labelled rows of windows that end after this."""
        return sum(rows for held in self.windows.values() for _, end, rows in held if end > begin)
