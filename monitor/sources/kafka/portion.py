"""How many messages to take at once: as many as are dealt with in a tenth of a second, so that what is shown is no older."""

from collections import deque
from dataclasses import dataclass, field
from statistics import median

TURN = 0.1  # seconds of work between two polls
HELD = 3  # where partitions are held, this part is taken at once: one runs ahead by as many before it is noticed
LEAST = 500  # messages: what a turn costs whatever it brings would weigh on fewer
ENOUGH = 1_000  # messages, which are worth a turn: nobody waits for more, but for a step
STEP = 0.1  # seconds
SEEN = 5  # turns remembered; one that waited for the disk or closed a window does not count for all


@dataclass(slots=True)
class Portion:
    """Follows what a message costs, by the last turns that had enough of them to tell.

    >>> portion = Portion(10_000)
    >>> for _ in range(3):
    ...     portion.took(10_000, seconds=1.0)
    >>> portion.messages
    1000
    """

    most: int
    messages: int = field(init=False)  # how many to take: all where turns are short
    _costs: deque[float] = field(default_factory=lambda: deque(maxlen=SEEN))  # seconds a message

    def __post_init__(self) -> None:
        self.messages = self.most

    def took(self, messages: int, seconds: float) -> None:
        """A turn dealt with so many messages in so many seconds."""
        if messages >= max(1, min(LEAST, self.most) // HELD):  # what is held must not hide that turns are short again
            self._costs.append(max(seconds, 0.0) / messages)
            cost = median(self._costs)
            short = cost * self.most <= TURN
            self.messages = self.most if short else max(min(LEAST, self.most), int(TURN / cost))
