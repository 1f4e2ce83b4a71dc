"""Whether the wall clock was set while we ran: two readings of it are compared with the time that went by. Nothing here asks the time.

    wall less elapsed     ──────┐             ┌──────      set back, and again as it was
                                └─────────────┘
    taken for now         ─────────────────────────       where it would be
    held                        ├────┤                    until it is where it was, or for a minute

Event times are compared with now: behind a clock that was set back all that comes looks like the future, and would be rejected. So now goes
on from where it was. It comes near the wall again by a sixteenth of the time that goes by, for the step may have mended a clock; but not while events come that
are as late as now, for then the clock is wrong. A clock that was set forth is believed, for a machine that slept looks the same; set back to where it had been before
that, it is believed again.
"""

from dataclasses import dataclass, field

from monitor.facts import ClockSet
from monitor.stream.events import MINUTE, SECOND, Nanos

JUMP: Nanos = SECOND  # from one reading to the next, more than that is no drift
KNOWN: Nanos = 5 * SECOND  # two settings that differ by no more are one: clocks drift meanwhile
BACK: Nanos = 10 * SECOND  # by more than that it is held: a correction of seconds is none of the danger
HOLD: Nanos = MINUTE
SLEW = 16  # the part of elapsed time by which now comes near a clock that stays behind: what is measured in it is hardly longer
MOST_SETTINGS = 16  # from which a clock was set forth


@dataclass(frozen=True, slots=True)
class TimeRead:
    """What is taken for now; whether nobody knows how long anything was silent; whether to wait, and for how long the clock is behind."""

    now: Nanos
    jumped: bool = False
    held: bool = False
    behind: Nanos = 0


@dataclass(slots=True)
class SteppedClock:
    """Follows the readings of one wall clock.

    >>> wall = SteppedClock()
    >>> [wall.read(at * SECOND, since).now // SECOND for at, since in ((100, 0.0), (101, 1.0), (42, 2.0), (43, 3.0), (104, 4.0))]
    [100, 101, 102, 103, 104]
    """

    _offset: Nanos | None = None  # of the wall, as it is believed, to elapsed time
    _seen: Nanos | None = None  # same, as it was read last
    _earlier: list[Nanos] = field(default_factory=list)  # believed until the clock was set forth
    _held_until: Nanos | None = None  # elapsed
    _since: Nanos = 0  # of the last reading, elapsed
    news: list[ClockSet] = field(default_factory=list)

    def read(self, wall: Nanos, elapsed: float, newest: Nanos = 0) -> TimeRead:
        """Take in a reading: of the wall, and of a clock that never goes back, in seconds; `newest`: the largest event time that came."""
        since = round(elapsed * SECOND)
        self._come_near(wall - since, since, newest)
        offset, seen = wall - since, self._seen
        jumped = seen is not None and abs(offset - seen) > JUMP
        self._seen = offset
        if self._offset is None or offset >= self._offset - JUMP or self._was_before(offset):
            self._believe(offset)
        believed = offset if self._offset is None else self._offset
        behind = believed - offset if offset < believed - JUMP else 0
        if jumped and seen is not None:
            self.news.append(ClockSet(offset - seen, behind))
            self._held_until = since + min(HOLD, behind) if behind > BACK else None
        held = self._held_until is not None and since < self._held_until
        return TimeRead(max(wall, since + believed) if behind else wall, jumped, held, behind)

    def _come_near(self, offset: Nanos, since: Nanos, newest: Nanos) -> None:
        """Give up some of what the wall is behind, once reading goes on; where it is as the wall says, that is said."""
        went_by, self._since = since - self._since, since
        held = self._held_until is not None and since < self._held_until
        if self._offset is None or self._seen is None or held or self._seen >= self._offset - JUMP:
            return
        nearer = self._offset - went_by // SLEW
        if newest < since + nearer and abs(offset - self._seen) <= JUMP:
            self._offset = max(nearer, offset)
            if offset >= self._offset - JUMP:
                self.news.append(ClockSet(0, 0))

    def _believe(self, offset: Nanos) -> None:
        if self._offset is not None and offset > self._offset + JUMP:
            self._earlier = [*self._earlier, self._offset][-MOST_SETTINGS:]
        self._offset, self._held_until = offset, None

    def _was_before(self, offset: Nanos) -> bool:
        """Whether the clock was set back to where it had been before it was set forth."""
        return any(abs(offset - each) <= KNOWN for each in self._earlier)

    def take_news(self) -> list[ClockSet]:
        """What happened since this was last asked."""
        taken, self.news = self.news, []
        return taken
