"""Event time as one partition tells it: what its neighbours bear out, and no later than it arrived.

One producer whose clock runs fast must not move event time for all. Two bounds see to that, and neither asks what time it is
here, so that a backlog gives the facts that live gave:

- *By neighbours.* Among any eight events that follow each other, sorted by time, one counts as far as it can be reached from
  the middle in steps that are no longer than the tolerance or three times their usual step (their median, as in Hampel's
  identifier, 1974). Fewer than half of them can therefore not move event time, however far ahead they are.
- *By arrival.* Where the broker's timestamps agree with event times (events are *timely*), an event stamped later than the
  last of its batch arrived moves nothing, and event time does not pass that arrival. Whatever comes next arrives after it.

Files have no arrival: there neighbours alone decide, as they do where events are old when they arrive.

A clock that runs fast is named: an event is *ahead* that is past both its neighbours before and those after by more than the
tolerance. Old events that pour in do not make those around them that.
"""

from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from monitor.stream.events import SECOND, Nanos

NEIGHBOURS = 8
MIDDLE = 3  # the fourth of eight
USUAL_STEPS = 3
APART = 64  # windows, one of which is looked at first
TOLERANCE: Nanos = 10 * SECOND  # clocks that differ by no more are none that run fast

Times = NDArray[np.int64]


@dataclass(slots=True)
class EventClock:
    """What one partition has shown, batch by batch: how they are cut does not matter to what neighbours bear out."""

    tolerance: Nanos = TOLERANCE
    recent: list[Nanos] = field(default_factory=list)  # the last events, in their order
    delays: deque[Nanos] = field(default_factory=lambda: deque(maxlen=NEIGHBOURS))  # of the last of each batch
    ahead: int = 0  # events that are, not taken yet
    lead: Nanos = 0  # how far the farthest of them is

    def take_ahead(self) -> tuple[int, Nanos]:
        """How many events were ahead since this was last asked, and by how much at most."""
        taken, self.ahead, self.lead = (self.ahead, self.lead), 0, 0
        return taken

    def show(self, times: Times, arrival: Nanos | None, ends: tuple[Nanos, Nanos] | None = None) -> Nanos:
        """How far these events, in their order, bring event time; `arrival` is the broker's timestamp of the last.

        `ends` are the least and the largest of them, where somebody knows.
        """
        before: list[Nanos] = self.recent
        last: list[Nanos] = times[-NEIGHBOURS:].tolist()
        self.recent = (before + last)[1 - NEIGHBOURS :]
        least, most = ends or (int(times.min()), int(times.max()))
        newest = sorted((before + last)[-NEIGHBOURS:])
        reached = self._reached(before, times, (min([least, *before]), max([most, *before])), newest)
        if arrival is None:
            return reached
        self.delays.append(arrival - last[-1])
        if sorted(self.delays)[(len(self.delays) - 1) // 2] > self.tolerance:  # events are old when they arrive
            return reached
        return min(arrival, max([reached, *(time for time in newest if time <= arrival)]))

    def _reached(self, before: list[Nanos], times: Times, ends: tuple[Nanos, Nanos], newest: list[Nanos]) -> Nanos:
        """What neighbours bear out, the ends of all and the `newest` of them, sorted, given: as a rule these say it all."""
        least, most = ends
        reached = _reach(newest, self.tolerance)
        sure = reached == most or len(before) + len(times) <= NEIGHBOURS  # see `borne_out`
        if sure and most - least <= self.tolerance:  # so nobody is ahead
            return reached
        known = np.concatenate([np.array(before, dtype=np.int64), times])
        if len(known) >= NEIGHBOURS and (known[1:] < known[:-1] - self.tolerance).any():  # seldom
            found = leads(known, self.tolerance)
            self.ahead += found.size
            self.lead = max(self.lead, int(found.max(initial=0)))
        return reached if sure else borne_out(known, self.tolerance)


@dataclass(slots=True)
class LatestTimes:
    """The latest of all times of a record, which bear each other out: neither their order nor one clock that runs fast decides."""

    held: Times = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def show(self, times: Times) -> None:
        """More times, in any order."""
        self.held = np.unique(np.concatenate([self.held, times]))[-NEIGHBOURS:]

    def reached(self, end: Nanos) -> Nanos:
        """How far they reach, or the end of something else where that is later."""
        return max(end, borne_out(self.held, TOLERANCE)) if self.held.size else end


def leads(times: Times, tolerance: Nanos) -> Times:
    """By how much events are past those around them, of those that are by more than the tolerance.

    Of each eight in a row the fourth is looked at, so that however times are cut into pieces, with seven that overlap, each is
    looked at once.

    >>> on_time = np.arange(20) * SECOND
    >>> on_time[10] += 180 * SECOND
    >>> leads(on_time, TOLERANCE) // SECOND
    array([177])
    """
    last = len(times) - NEIGHBOURS + MIDDLE + 1
    next_two = np.minimum(
        times[MIDDLE + 1 : last + 1], times[MIDDLE + 2 : last + 2]
    )  # one of them is earlier, else it is not ahead
    suspects = np.flatnonzero(times[MIDDLE:last] - tolerance > next_two)
    if not suspects.size:
        return times[:0]
    windows = sliding_window_view(times, NEIGHBOURS)[suspects]
    before, after = np.sort(windows[:, :MIDDLE], axis=1)[:, 1], np.sort(windows[:, MIDDLE + 1 :], axis=1)[:, 2]
    found = windows[:, MIDDLE] - np.maximum(before, after)
    return found[found > tolerance]


def borne_out(times: Times, tolerance: Nanos) -> Nanos:
    """The largest event time that its neighbours bear out.

    >>> on_time = np.arange(20) * SECOND
    >>> borne_out(on_time, TOLERANCE) // SECOND
    19
    >>> on_time[15] += 180 * SECOND
    >>> borne_out(on_time, TOLERANCE) // SECOND
    19
    """
    newest = sorted(times[-NEIGHBOURS:].tolist())
    if len(times) <= NEIGHBOURS:
        return _reach(newest, tolerance)
    largest = int(times.max())
    if newest[-1] == largest == _reach(newest, tolerance):  # as a rule: then nothing else need be looked at
        return largest
    at = int(times.argmax())
    around = times[max(0, at + 1 - NEIGHBOURS) : at + NEIGHBOURS].tolist()
    windows = (sorted(around[first : first + NEIGHBOURS]) for first in range(max(1, len(around) + 1 - NEIGHBOURS)))
    if any(_reach(window, tolerance) == largest for window in windows):
        return largest
    return _farthest(times, tolerance)


def _reach(window: list[Nanos], tolerance: Nanos) -> Nanos:
    """How far one goes, sorted, from its middle on without a step that is too long."""
    if window[-1] - window[0] <= tolerance:  # as a rule
        return window[-1]
    steps = sorted(after - before for before, after in pairwise(window))
    longest = max(tolerance, USUAL_STEPS * steps[len(steps) // 2]) if steps else tolerance
    reached = window[(len(window) - 1) // 2]
    for time in window[(len(window) + 1) // 2 :]:
        if time - reached > longest:
            break
        reached = time
    return reached


def _farthest(times: Times, tolerance: Nanos) -> Nanos:
    """The farthest of all windows: where fast clocks are among them, few windows reach the largest time.

    None reaches beyond its latest time, so that once some were looked at only those need be that hold a later one.
    """
    windows = sliding_window_view(times, NEIGHBOURS)
    reached = int(_reached(windows[::APART], tolerance).max())
    latest = np.maximum.reduce([times[first : first + len(windows)] for first in range(NEIGHBOURS)])
    later = np.flatnonzero(latest > reached)
    return max(reached, int(_reached(windows[later], tolerance).max())) if later.size else reached


def reaches(times: Times, tolerance: Nanos) -> Times:
    """How far each event, with those just before it, bears event time out; the first few with fewer of them."""
    first = [
        _reach(sorted(times[: number + 1].tolist()), tolerance) for number in range(min(len(times), NEIGHBOURS - 1))
    ]
    begin = np.array(first, dtype=np.int64)
    if len(times) < NEIGHBOURS:
        return begin
    return np.concatenate([begin, _reached(sliding_window_view(times, NEIGHBOURS), tolerance)])


def _reached(windows: Times, tolerance: Nanos) -> Times:
    """How far one goes in each window, from its middle on: `_reach` of all of them at once."""
    windows = np.sort(windows, axis=1)
    middle = (NEIGHBOURS - 1) // 2
    steps = np.diff(windows, axis=1)
    usual = np.partition(steps, (NEIGHBOURS - 1) // 2, axis=1)[:, (NEIGHBOURS - 1) // 2]
    longest = np.maximum(tolerance, USUAL_STEPS * usual)
    passed = np.logical_and.accumulate(steps[:, middle:] <= longest[:, np.newaxis], axis=1).sum(axis=1)
    reached: Times = windows[np.arange(len(windows)), middle + passed]
    return reached
