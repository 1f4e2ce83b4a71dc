"""A source that hands out records from memory, for what is measured without a broker."""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.traffic import TOPIC

BATCH = 10_000


class Feed:
    """Records of one topic in batches, a block a partition in turn, once."""

    foreign = False

    def __init__(self, values: Sequence[bytes], partitions: int = 1, block: int = 100) -> None:
        from monitor.sources.base import TopicRecords

        batch = min(BATCH, max(1, len(values) // 4))
        places = [at // block % partitions for at in range(len(values))]
        self.batches = [
            TopicRecords(TOPIC, places[at : at + batch], list(values[at : at + batch]))
            for at in range(0, len(values), batch)
        ]
        self.partitions = partitions
        self.polls = 0

    def open(self, *_begun: object) -> None:
        """Nothing to look up."""

    def found(self) -> list[Any]:
        """Nothing to tell."""
        return []

    def poll(self, _timeout: float) -> Any:
        """The next batch, at once."""
        from monitor.sources.base import Poll
        from monitor.stream.events import Partition

        at, self.polls = self.polls, self.polls + 1
        assigned = frozenset(Partition(TOPIC, index) for index in range(self.partitions)) if at == 0 else frozenset()
        return Poll((self.batches[at],) if at < len(self.batches) else (), assigned=assigned)

    def positions(self) -> dict[Any, int]:
        """All partitions, at the number of polls."""
        from monitor.stream.events import Partition

        return {Partition(TOPIC, index): self.polls for index in range(self.partitions)}

    def topics(self) -> dict[str, str]:
        """No topic has an id."""
        return {}

    def verified(self) -> dict[Any, int]:
        """Hence none is compared."""
        return {}

    def commit(self, positions: Mapping[Any, int]) -> None:
        """Nobody to tell."""

    def trouble(self) -> None:
        """None."""

    def prepare_with(self, prepare: Any) -> None:
        """Nothing is read ahead."""

    def hold(self, partitions: frozenset[Any]) -> None:
        """Nothing is fetched ahead."""

    def close(self) -> None:
        """Nothing to let go of."""
