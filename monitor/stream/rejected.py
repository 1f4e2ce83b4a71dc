"""Records that were rejected, as they came: what is kept of them (dead letters)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.stream.events import Nanos, Partition

Why = tuple[int | None, str]
"""The number of a row in its message, from 1, and why it was rejected; None: the message as a whole, or nobody knows which row."""


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record with the rows of it that were rejected; or a run of records, `offset` to `last`, of which nobody has the bytes.

    `time` is the broker's, where it gives one. `value`, `key` and `headers` are the bytes as they came. `each`: for how many events each
    reason stands.
    """

    partition: Partition
    offset: int
    whys: Sequence[Why]
    time: Nanos | None = None
    value: bytes | None = None
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()
    last: int | None = None
    each: int = 1

    @property
    def reasons(self) -> Counter[str]:
        """How many events of it were rejected, by reason."""
        if len(self.whys) == 1:  # as a rule
            return Counter({self.whys[0][1]: self.each})
        return Counter({reason: count * self.each for reason, count in Counter(why for _, why in self.whys).items()})

    @property
    def events(self) -> int:
        """How many events of it were rejected."""
        return len(self.whys) * self.each

    @property
    def reason(self) -> str:
        """The reason that most of them have, of those the first."""
        return self.whys[0][1] if len(self.whys) == 1 else self.reasons.most_common(1)[0][0]

    @property
    def nbytes(self) -> int:
        """What it holds in memory, about."""
        beside = sum(len(name) + len(value or b"") for name, value in self.headers)
        return len(self.value or b"") + len(self.key or b"") + beside
