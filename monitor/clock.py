"""The only file that asks the time."""

import time
from typing import Protocol

from monitor.stream.events import Nanos


class Clock(Protocol):
    """Processing time."""

    def now(self) -> Nanos:
        """Wall time, nanoseconds since the Unix epoch: what event times are compared with."""
        ...

    def elapsed(self) -> float:
        """Seconds that never go back, for delays and durations."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> Nanos:
        """Wall time, nanoseconds since the Unix epoch."""
        return time.time_ns()

    def elapsed(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()
