"""How many events would be late live: a record is read in large pieces, in which any order will do; live the order counts."""

from dataclasses import dataclass, field

import numpy as np

from monitor.stream.clocks import NEIGHBOURS, TOLERANCE, Times, borne_out, reaches
from monitor.stream.events import EventBatch, Nanos
from monitor.stream.windows import WindowSpec


@dataclass(slots=True)
class RecordOrder:
    """Follows the events of one series in the order of the record, as a reader would who takes one after the other.

    `reached` is how far event time has come, `recent` are the last events.
    """

    spec: WindowSpec
    reached: Nanos | None = None
    recent: Times = field(default_factory=lambda: np.empty(0, dtype=np.int64))

    def late(self, batch: EventBatch) -> int:
        """How many of these events come after their pane would be sealed."""
        times, spec = batch.event_times, self.spec
        known = np.concatenate([self.recent, times])
        self.recent = known[1 - NEIGHBOURS :]
        sealed = times - times % spec.slide + spec.slide + spec.lateness  # by event time that has come so far
        first = int(times[0]) if self.reached is None else self.reached
        before = np.maximum.accumulate(np.concatenate([[first], times]))
        if not (sealed <= before[:-1]).any():  # nor then where fast clocks move nothing
            self.reached = max(first, borne_out(known, max(TOLERANCE, spec.lateness)))
            return 0
        shown = reaches(known, max(TOLERANCE, spec.lateness))[-len(times) :]
        before = np.maximum.accumulate(np.concatenate([[first], shown]))
        self.reached = int(before[-1])
        return int((sealed <= before[:-1]).sum())
