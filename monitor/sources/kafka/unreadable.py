"""Where a batch that cannot be read ends: gallop past it, then bisect. A probe is a fetch; nothing here does one."""

from dataclasses import dataclass


@dataclass(slots=True)
class UnreadableBatch:
    """The search for the first offset after a batch that the client cannot decompress or check.

    The client names the batch's first offset, never its last. A fetch from inside the batch fails again; one from
    after it does not, or fails in a batch that begins later. So n records cost about 2 log2(n) fetches, and not one
    readable record is stepped over.

        first ------ unreadable ----- after ------------- readable

    >>> batch = UnreadableBatch(first=10)
    >>> while not batch.ended:
    ...     if batch.probe < 17:
    ...         batch.failed(begins=8)
    ...     else:
    ...         batch.passed()
    >>> batch.first, batch.after
    (10, 17)
    """

    first: int  # our position: the first offset not delivered
    unreadable: int = -1  # the largest offset known to lie in the batch
    after: int | None = None  # the smallest offset known to lie behind it
    step: int = 1

    def __post_init__(self) -> None:
        self.unreadable = self.first

    @property
    def probe(self) -> int:
        """The offset to fetch from next."""
        if self.after is None:
            return self.unreadable + self.step
        return (self.unreadable + self.after) // 2

    @property
    def ended(self) -> bool:
        """Whether `after` is known to be the very next offset."""
        return self.after == self.unreadable + 1

    def failed(self, begins: int) -> None:
        """The probe failed in a batch that begins at this offset."""
        if begins > self.unreadable:  # another unreadable batch: ours ends before it
            self.after = begins
        else:
            self.unreadable = self.probe
            self.step *= 2

    def passed(self) -> None:
        """The probe brought a record, or the end of the partition."""
        self.after = self.probe
