"""Where partitions end, asked of each leader in turn by a thread of its own: a broker that is silent holds nobody up."""

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Event, Thread

from confluent_kafka import Consumer, KafkaException

from monitor.clock import Clock
from monitor.sources.kafka.bounds import ask_ends
from monitor.sources.kafka.client import KafkaChoice, make_consumer
from monitor.stream.events import Nanos, Partition

EVERY = 1.0  # seconds
PATIENCE = 1.0  # seconds that one leader may take, while the others wait for their turn


@dataclass(frozen=True, slots=True)
class LeaderEnd:
    """The next offset of a partition, uncommitted records included, and when that was asked: by the wall, and in monotonic seconds.

    `position` is where we stood before it was asked: an end before it is that of another log than the one that we had read.
    """

    offset: int
    as_of: Nanos
    elapsed: float
    position: int


class LeaderEnds:
    """Asks every second. What it knows is read at any time; what no leader has answered is not there."""

    def __init__(self, choice: KafkaChoice, clock: Clock, position: Callable[[Partition], int]) -> None:
        """`position`: where a partition is read now; asked by our thread."""
        self._choice = choice
        self._position = position
        self._clock = clock
        self._leaders: Mapping[Partition, int] = {}
        self._known: Mapping[Partition, LeaderEnd] = {}  # never changed: what is new is put in its place
        self._wanted = Event()
        self._closing = False
        self._thread = Thread(target=self._run, name="kafka-ends", daemon=True)

    def begin(self) -> None:
        """Start asking."""
        self._thread.start()

    def watch(self, leaders: Mapping[Partition, int]) -> None:
        """Ask for these from now on, each its leader."""
        self._leaders = dict(leaders)

    def ask_soon(self) -> None:
        """Ask without waiting for the second to be over."""
        self._wanted.set()

    def known(self) -> Mapping[Partition, LeaderEnd]:
        """The last answers; the very same as long as there is no other."""
        return self._known

    def close(self) -> None:
        """Stop asking; the thread goes by itself."""
        self._closing = True
        self._wanted.set()

    def _run(self) -> None:
        # Read uncommitted: an open transaction then shows as what lies beyond our position.
        consumer = make_consumer(self._choice, {"isolation.level": "read_uncommitted"}, error_cb=lambda _error: None)
        try:
            while not self._closing:
                self._ask(consumer)
                self._wanted.wait(EVERY)
                self._wanted.clear()
        finally:
            consumer.close()

    def _ask(self, consumer: Consumer) -> None:
        by_leader: dict[int, list[Partition]] = defaultdict(list)
        for partition, leader in self._leaders.items():
            by_leader[leader].append(partition)
        for partitions in by_leader.values():
            if self._closing:
                return
            as_of, elapsed = self._clock.now(), self._clock.elapsed()
            stood = {partition: self._position(partition) for partition in partitions}
            try:
                ends = ask_ends(consumer, partitions, PATIENCE)
            except KafkaException:
                continue  # no answer is what there is to know: they grow old
            told = {place: LeaderEnd(offset, as_of, elapsed, stood[place]) for place, offset in ends.items()}
            self._known = {**self._known, **told}
