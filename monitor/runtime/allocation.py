"""Memory that was freed: kept for what comes next, and given back to the system now and then."""

import ctypes
from collections.abc import Callable

from monitor.stream.events import SECOND, Nanos

EVERY: Nanos = 10 * SECOND  # a look costs about a millisecond
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's names of what can be set
# Bytes at the end of a heap that are not given back as they are freed: each batch would fault them in again. Each thread may have a
# heap of its own, and the end of that is given back by nobody but this thread, as it frees: it may be small alone.
KEPT = 2 << 20
APART = 8 << 20  # bytes from which a block is mapped, and unmapped, by itself


class FreedMemory:
    """What the C library keeps of what was freed: batches that were read, and what was needed to start.

    glibc alone can be asked for it; elsewhere nothing happens.
    """

    def __init__(self, trim: Callable[[int], int] | None = None) -> None:
        self._trim = trim or getattr(ctypes.CDLL(None), "malloc_trim", None)
        self._at: Nanos | None = None
        if trim is None and self._trim is not None:
            keep_what_is_freed()

    def see(self, now: Nanos) -> None:
        """Give back what is free, when it is time. The first look begins the first interval."""
        if self._at is None:
            self._at = now
        if self._trim is not None and abs(now - self._at) >= EVERY:
            self._at = now
            self._trim(0)


def keep_what_is_freed() -> None:
    """Let the C library keep what is freed until it is asked to give it back; by itself it would unmap a batch as soon as it is dealt with."""
    choose = getattr(ctypes.CDLL(None), "mallopt", None)
    if choose is not None:
        choose(TRIM_THRESHOLD, KEPT)
        choose(MMAP_THRESHOLD, APART)
