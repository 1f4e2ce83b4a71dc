"""Memory that was freed, given back to the system now and then."""

import ctypes
from collections.abc import Callable

from monitor.stream.events import SECOND, Nanos

EVERY: Nanos = 10 * SECOND  # a look costs about a millisecond


class FreedMemory:
    """What the C library keeps of what was freed: batches that were read, and what was needed to start.

    glibc alone can be asked for it; elsewhere nothing happens.
    """

    def __init__(self, trim: Callable[[int], int] | None = None) -> None:
        self._trim = trim or getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._at: Nanos | None = None

    def see(self, now: Nanos) -> None:
        """Give back what is free, when it is time. The first look begins the first interval."""
        if self._at is None:
            self._at = now
        if self._trim is not None and abs(now - self._at) >= EVERY:
            self._at = now
            self._trim(0)
