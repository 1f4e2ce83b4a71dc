"""A simulated Kafka: one topic, its partitions, who leads them, and clients that ask.

It answers as brokers and librdkafka do where the reader listens: positions that are gone come back as errors, ends as marks, a broker that is away
as silence. What was written is never forgotten here, though the log does: `Written` is the truth.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from confluent_kafka import OFFSET_END, KafkaError, KafkaException, Message, TopicPartition

from monitor.sources.kafka.client import ALL_DOWN, END, LOST, TRANSPORT
from monitor.sources.kafka.records import MessageBatch
from monitor.stream.events import MILLISECOND
from tests.simulation.world import SimulatedEvent, world

TOPIC = "predictions"
TIMED_OUT = KafkaError._TIMED_OUT
OUT_OF_RANGE = min(LOST)
ABSENT = KafkaError.UNKNOWN_TOPIC_OR_PART
CREATED, APPENDED = 1, 2  # what timestamps of messages say


@dataclass(frozen=True)
class Written:
    """A record: in which making of the topic, where, and what is to become of it."""

    epoch: int
    partition: int
    offset: int
    reason: str
    value: bytes
    at: float  # when it was appended


@dataclass
class Making:
    """A topic from when it was made until it is made anew."""

    id: str
    partitions: list[list[Written]]
    low: list[int]


@dataclass
class SimulatedBroker:
    """The cluster."""

    partitions: int
    stamps: int = CREATED
    makings: list[Making] = field(default_factory=list)
    exists: bool = True
    away: bool = False
    silent: set[int] = field(default_factory=set)  # partitions whose leader is
    committed: dict[int, tuple[int, str]] = field(default_factory=dict)
    clients: int = 0

    def __post_init__(self) -> None:
        self.make()

    def make(self) -> None:
        """Make the topic, anew where there was one."""
        number, each = len(self.makings), range(self.partitions)
        self.makings.append(Making(f"topic-{number}", [[] for _ in each], [0 for _ in each]))
        self.committed.clear()
        self.exists = True

    @property
    def now(self) -> Making:
        """The topic as it is."""
        return self.makings[-1]

    @property
    def epoch(self) -> int:
        """How often it was made anew."""
        return len(self.makings) - 1

    def append(self, partition: int, reason: str, value: bytes) -> None:
        """Write a record down."""
        if self.exists:
            log = self.now.partitions[partition]
            log.append(Written(self.epoch, partition, len(log), reason, value, world().elapsed))

    def retain(self, partition: int, keep: int) -> None:
        """Delete all but the last records."""
        making = self.now
        making.low[partition] = max(making.low[partition], len(making.partitions[partition]) - keep)

    def written(self) -> Iterable[Written]:
        """All that ever was."""
        return (each for making in self.makings for log in making.partitions for each in log)

    def reachable(self, partition: int) -> bool:
        """Whether the leader answers."""
        return not self.away and partition not in self.silent


class SimulatedClient:
    """One client of it, by the names that `confluent_kafka.Consumer` has."""

    def __init__(self, broker: SimulatedBroker, **callbacks: Callable[..., Any]) -> None:
        self._broker = broker
        self._callbacks = callbacks
        self._fetching: dict[int, int] = {}  # the next offset of each partition
        self._ended: dict[int, int] = {}  # where an end was told of
        self._stopped: set[int] = set()  # after an error, until it is assigned anew
        self._answers: list[Callable[[], None]] = []
        self._told_away = False
        broker.clients += 1

    # --- reading ----------------------------------------------------------------------------------------------------

    def incremental_assign(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            assert place.partition not in self._fetching, f"{place.partition} is assigned already"
            self._fetching[place.partition] = place.offset
            self._ended.pop(place.partition, None)
            self._stopped.discard(place.partition)

    def incremental_unassign(self, places: Sequence[TopicPartition]) -> None:
        for place in places:
            assert place.partition in self._fetching, f"{place.partition} is not assigned"
            del self._fetching[place.partition]

    def batch(self, most: int, timeout: float) -> MessageBatch:
        """What has come by the end of the time; slow machines come back later."""
        self.poll(timeout * world().random.choice((0.3, 1.0, 2.5, 4.0, 6.0)))
        messages: list[Message] = []
        order = [*self._fetching]
        world().random.shuffle(order)
        for partition in order:
            if self._broker.reachable(partition) and partition not in self._stopped:
                messages += self._fetched(partition, most - len(messages))
        return MessageBatch(messages)

    def _fetched(self, partition: int, most: int) -> list[Message]:
        at, making = self._fetching[partition], self._broker.now
        if not self._broker.exists:
            self._stopped.add(partition)
            return [Message(topic=TOPIC, partition=partition, offset=at, error=KafkaError(ABSENT))]
        log = making.partitions[partition]
        if not making.low[partition] <= at <= len(log):
            self._stopped.add(partition)
            return [Message(topic=TOPIC, partition=partition, offset=at, error=KafkaError(OUT_OF_RANGE))]
        taken = log[at : at + min(most, world().random.choice((1, 7, 40, 10_000)))]
        self._fetching[partition] = at + len(taken)
        messages = [self._message(each) for each in taken]
        if self._fetching[partition] == len(log) and self._ended.get(partition) != len(log):
            self._ended[partition] = len(log)
            messages.append(Message(topic=TOPIC, partition=partition, offset=len(log), error=KafkaError(END)))
        return messages

    def _message(self, each: Written) -> Message:
        stamp = (self._broker.stamps, world().truth // MILLISECOND if self._broker.stamps == CREATED else 0)
        if self._broker.stamps == APPENDED:
            stamp = (APPENDED, (world().truth - round((world().elapsed - each.at) * 1e9)) // MILLISECOND + 1)
        return Message(topic=TOPIC, partition=each.partition, offset=each.offset, value=each.value, timestamp=stamp)

    def poll(self, timeout: float) -> None:
        """Let time go by, then say what there is to say."""
        world().step("poll")
        world().wait(timeout)
        answers, self._answers = self._answers, []
        for answer in answers:
            answer()
        if self._broker.away and not self._told_away and "error_cb" in self._callbacks:
            self._callbacks["error_cb"](KafkaError(TRANSPORT))
            self._callbacks["error_cb"](KafkaError(ALL_DOWN))
        self._told_away = self._broker.away

    # --- asking -----------------------------------------------------------------------------------------------------

    def _ask(self, timeout: float, partition: int | None = None) -> None:
        """Wait for an answer, or in vain. Raises KafkaException."""
        world().step("ask")
        reachable = not self._broker.away if partition is None else self._broker.reachable(partition)
        if not reachable:
            world().wait(timeout)
            raise KafkaException(KafkaError(TIMED_OUT))
        world().wait(world().random.choice((0.0, 0.002, 0.002, 0.3)))
        if partition is not None and not self._broker.exists:
            raise KafkaException(KafkaError(ABSENT))

    def list_topics(self, timeout: float) -> Any:
        self._ask(timeout)
        held = {index: SimpleNamespace(leader=index % 2) for index in range(self._broker.partitions)}
        topics = {TOPIC: SimpleNamespace(error=None, partitions=held)} if self._broker.exists else {}
        return SimpleNamespace(topics=topics, brokers={0: None, 1: None})

    def get_watermark_offsets(self, place: TopicPartition, timeout: float) -> tuple[int, int]:
        self._ask(timeout, place.partition)
        making = self._broker.now
        return making.low[place.partition], len(making.partitions[place.partition])

    def offsets_for_times(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._ask(timeout)
        assert all(place.offset == OFFSET_END for place in places)
        logs = self._broker.now.partitions
        known = [place for place in places if self._broker.reachable(place.partition) and self._broker.exists]
        return [TopicPartition(TOPIC, place.partition, len(logs[place.partition])) for place in known]

    def committed(self, places: Sequence[TopicPartition], timeout: float) -> list[TopicPartition]:
        self._ask(timeout)
        found = [(place.partition, *self._broker.committed.get(place.partition, (-1001, ""))) for place in places]
        return [TopicPartition(TOPIC, *each) for each in found]

    def commit(self, offsets: Sequence[TopicPartition], asynchronous: bool) -> None:
        assert asynchronous
        away, tell = self._broker.away, self._callbacks.get("on_commit", lambda *_: None)
        if not away:
            self._broker.committed |= {each.partition: (each.offset, each.metadata or "") for each in offsets}
        self._answers.append(lambda: tell(KafkaError(TRANSPORT) if away else None, offsets))

    def close(self) -> None:
        self._broker.clients -= 1


class SimulatedAdmin:
    """Says which topic a name stands for."""

    def __init__(self, broker: SimulatedBroker) -> None:
        self._broker = broker

    def describe_topics(self, topics: Any, request_timeout: float) -> dict[str, "Future[Any]"]:
        answer: Future[Any] = Future()
        if self._broker.away:
            world().at(world().elapsed + request_timeout, lambda: fail(answer, TIMED_OUT))
        else:
            world().at(world().elapsed + world().random.choice((0.001, 0.2, 3.0)), lambda: self._answer(answer))
        return {TOPIC: answer}

    def _answer(self, answer: "Future[Any]") -> None:
        if self._broker.away:
            fail(answer, TIMED_OUT)
        elif not self._broker.exists:
            fail(answer, ABSENT)
        else:
            answer.set_result(SimpleNamespace(topic_id=self._broker.now.id))


def fail(answer: "Future[Any]", code: int) -> None:
    answer.set_exception(KafkaException(KafkaError(code)))


def wait_for_answers(futures: Iterable["Future[Any]"], timeout: float) -> Any:
    """As `concurrent.futures.wait`."""
    waited, until = list(futures), world().elapsed + timeout
    while (missing := [each for each in waited if not each.done()]) and world().elapsed < until:
        answered = SimulatedEvent()
        missing[0].add_done_callback(lambda _, answered=answered: answered.set())
        answered.wait(until - world().elapsed)
    return SimpleNamespace(not_done={each for each in waited if not each.done()})
