"""Reading ahead changes nothing of what is handed over: the same records, in the same order, at the same positions."""

import random
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from threading import Event, Lock, get_ident
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from monitor.sources.base import RecordParts, TopicRecords
from monitor.sources.kafka import ahead as reading_ahead
from monitor.sources.kafka.ahead import Fetched, NoMessages, Postponed, ReadAhead
from monitor.sources.kafka.client import END
from monitor.sources.kafka.reader import PartitionReader
from monitor.stream.events import OffsetRange, Partition

ROOT = Path(__file__).parents[4]
RACES = ROOT / "tests" / "native" / "races.cpp"
SANITIZED = ("-std=c++17", "-O1", "-g1", "-Wall", "-Wextra", "-fsanitize=thread")
TOPIC = "predictions"
PARTITIONS = 3
BATCH = 10
PATIENCE = 30.0  # seconds for a thread to come as far as it should


# --- a broker in memory -----------------------------------------------------------------------------------------------


class LoggedMessage:
    """A record, or the end of a partition."""

    def __init__(self, partition: int, offset: int, value: bytes | None) -> None:
        self.place = partition, offset
        self.value = value

    def topic(self) -> str:
        return TOPIC

    def partition(self) -> int:
        return self.place[0]

    def offset(self) -> int:
        return self.place[1]

    def error(self) -> KafkaError | None:
        return KafkaError(END) if self.value is None else None


class LoggedRecords:
    """Records of the one topic."""

    topic = TOPIC
    prepared: Any = None

    def __init__(self, messages: Sequence[LoggedMessage]) -> None:
        self._messages = messages
        self.values: Sequence[bytes | None] = [each.value for each in messages]

    def __len__(self) -> int:
        return len(self._messages)

    @property
    def next_offsets(self) -> dict[int, int]:
        return {each.partition(): each.offset() + 1 for each in self._messages}

    def records(self, offsets: tuple[OffsetRange, ...], parts: RecordParts = RecordParts.NOTHING) -> TopicRecords:
        del parts
        partitions = [each.partition() for each in self._messages]
        return TopicRecords(TOPIC, partitions, self.values, offsets, prepared=self.prepared)

    def before(self, ends: Any) -> "LoggedRecords":
        raise NotImplementedError


class LoggedBatch:
    """What one call brought."""

    def __init__(self, messages: Sequence[LoggedMessage]) -> None:
        self._messages = messages
        self.marks = [each for each in messages if each.value is None]
        self.bytes = sum(len(each.value or b"") for each in messages)

    def __len__(self) -> int:
        return len(self._messages)

    def all(self) -> Iterable[LoggedMessage]:
        return self._messages

    def taken(self, topics: Sequence[str], places: Sequence[int] | None = None) -> Sequence[LoggedRecords]:
        del topics
        chosen = self._messages if places is None else [self._messages[place] for place in places]
        records = [each for each in chosen if each.value is not None]
        return [LoggedRecords(records)] if records else []


class LoggingClient:
    """Partitions as lists. Each call brings as many as are wanted, from the partitions in turn, a few of each; the end of a
    partition each time it is reached. Two calls at once fail."""

    def __init__(self, sizes: Sequence[int], seed: int = 0) -> None:
        self.log = [[f"{index}-{at}".encode() for at in range(size)] for index, size in enumerate(sizes)]
        self.at: dict[int, int] = {}
        self.ended: set[int] = set()
        self.failures: list[Exception] = []
        self.told: Callable[[], object] = lambda: None
        self.fetched = 0
        self.by: set[int] = set()
        self._random = random.Random(seed)
        self._busy = Lock()

    def batch(self, most: int, timeout: float) -> LoggedBatch:
        assert self._busy.acquire(blocking=False), "two fetch at once"
        try:
            self.by.add(get_ident())
            self.told()
            if self.failures:
                raise self.failures.pop()
            found = self._messages(most)
            if len(found) < most:
                time.sleep(min(timeout, 0.001))
            self.fetched += len(found)
            return LoggedBatch(found)
        finally:
            self._busy.release()

    def _messages(self, most: int) -> list[LoggedMessage]:
        found: list[LoggedMessage] = []
        while len(found) < most and (open_ := [index for index in self.at if index not in self.ended]):
            index = self._random.choice(open_)
            first, log = self.at[index], self.log[index]
            until = min(first + self._random.randrange(1, 5), first + most - len(found), len(log))
            found += [LoggedMessage(index, at, log[at]) for at in range(first, until)]
            self.at[index] = until
            if until == len(log) and len(found) < most:
                found.append(LoggedMessage(index, until, None))
                self.ended.add(index)
        return found

    def incremental_assign(self, places: Sequence[Any]) -> None:
        self.at |= {place.partition: place.offset for place in places}
        self.ended -= {place.partition for place in places}

    def incremental_unassign(self, places: Sequence[Any]) -> None:
        assert self._busy.acquire(timeout=PATIENCE), "a fetch does not end"
        for place in places:
            del self.at[place.partition]
        self._busy.release()


@pytest.fixture
def ahead_of() -> Iterator[Callable[..., ReadAhead]]:
    """Makes clients that read ahead; their threads are ended, and have to end."""
    made: list[ReadAhead] = []

    def make(client: LoggingClient, threads: int, postponed: Postponed | None = None) -> ReadAhead:
        made.append(ReadAhead(client, [TOPIC], threads, postponed or Postponed()))
        return made[-1]

    yield make
    for each in made:
        each.stop(PATIENCE)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("ahead-")]


def wait_until(met: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not met():
        assert time.monotonic() < deadline, "it does not come about"
        time.sleep(0.001)


# --- the law ----------------------------------------------------------------------------------------------------------

Holds = Sequence[frozenset[int]]  # of each poll


def read_all(
    client: LoggingClient, threads: int, holds: Holds
) -> tuple[dict[int, list[bytes | None]], dict[Partition, int]]:
    """All records by partition, while some partitions are held at each poll; at the end none is. And the positions."""
    source: Any = client if threads == 1 else ReadAhead(client, [TOPIC], threads, Postponed())
    reader = PartitionReader(source, [TOPIC], BATCH)
    reader.take_on({Partition(TOPIC, index): 0 for index in range(len(client.log))})
    found: dict[int, list[bytes | None]] = defaultdict(list)
    ended: set[Partition] = set()
    deadline, polls = time.monotonic() + PATIENCE, 0
    while not (polls >= len(holds) and len(ended) == len(client.log)):
        assert time.monotonic() < deadline, f"{ended} ended, {reader.positions}"
        held = frozenset(Partition(TOPIC, index) for index in holds[polls]) if polls < len(holds) else frozenset()
        reader.hold(held)
        before = dict(reader.positions)
        polled = reader.poll(0.01)
        assert polled.brought() == {each.partition for taken in polled.taken for each in polled.offsets(taken)}
        for taken in polled.taken:
            for each in polled.offsets(taken):
                assert each.partition not in held
                assert each.first == before[each.partition]
                assert each.last + 1 == reader.positions[each.partition]
            for index, value in zip(taken.records(()).partitions, taken.values, strict=True):
                found[index].append(value)
        ended = (ended - held) | polled.ends
        ended -= {place for place in ended if reader.positions[place] < len(client.log[place.index])}
        polls += 1
    if isinstance(source, ReadAhead):
        source.stop(PATIENCE)
    return dict(found), reader.positions


held_at_each_poll = st.lists(st.frozensets(st.integers(0, PARTITIONS - 1)), max_size=30)
sizes_of_partitions = st.lists(st.integers(0, 120), min_size=PARTITIONS, max_size=PARTITIONS)


@given(sizes_of_partitions, held_at_each_poll, st.sampled_from([1, 2, 4]), st.integers(0, 99))
def test_each_record_comes_once_and_in_order_whatever_is_held_on_any_number_of_threads(
    sizes: list[int], holds: Holds, threads: int, seed: int
) -> None:
    client = LoggingClient(sizes, seed)

    found, positions = read_all(client, threads, holds)

    assert found == {index: log for index, log in enumerate(client.log) if log}
    assert positions == {Partition(TOPIC, index): size for index, size in enumerate(sizes)}


def test_batches_come_in_the_order_in_which_they_were_fetched_however_long_each_is_prepared(
    ahead_of: Callable[..., ReadAhead],
) -> None:
    client = LoggingClient([500])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 4)
    slow = random.Random(1)
    ahead.prepare_with(lambda _topic, _values: time.sleep(slow.random() / 200))
    found: list[bytes | None] = []

    while len(found) < 500:
        for taken in ahead.batch(BATCH, PATIENCE).taken([TOPIC]):
            found += taken.values

    assert found == client.log[0]
    assert len(client.by) > 2


# --- how far ahead ----------------------------------------------------------------------------------------------------


def test_no_more_batches_are_ahead_than_there_are_threads(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 3)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH

    wait_until(lambda: client.fetched == 4 * BATCH)
    time.sleep(0.05)

    assert client.fetched == 4 * BATCH


def test_large_batches_are_not_piled_up(ahead_of: Callable[..., ReadAhead], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading_ahead, "MOST_BYTES", 1)
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 4)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH

    wait_until(lambda: client.fetched == 2 * BATCH)
    time.sleep(0.05)

    assert client.fetched == 2 * BATCH


def test_with_little_traffic_nobody_else_fetches_and_no_batch_waits_for_another(
    ahead_of: Callable[..., ReadAhead],
) -> None:
    client = LoggingClient([BATCH - 1])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 4)

    assert len(ahead.batch(BATCH + 1, PATIENCE)) == BATCH  # with the end
    client.log[0].append(b"more")
    client.ended.clear()
    assert len(ahead.batch(BATCH, PATIENCE)) == 2

    assert client.by == {get_ident()}


def test_what_is_fetched_by_a_worker_is_handed_over_though_nothing_follows(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([BATCH + 1])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 2)

    assert [len(ahead.batch(BATCH, PATIENCE)) for _ in range(2)] == [BATCH, 2]
    assert len(ahead.batch(BATCH, 0.01)) == 0


# --- what goes wrong --------------------------------------------------------------------------------------------------


def test_what_fails_in_a_worker_is_raised_in_the_loop_in_its_turn(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 2)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH
    wait_until(lambda: client.fetched == 3 * BATCH)
    client.failures = [KafkaException(KafkaError(KafkaError.UNKNOWN))]

    assert [len(ahead.batch(BATCH, PATIENCE)) for _ in range(2)] == [BATCH, BATCH]
    with pytest.raises(KafkaException):
        ahead.batch(BATCH, PATIENCE)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH


def test_a_bug_in_fetching_ends_the_loop_too(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 2)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH
    wait_until(lambda: client.fetched == 3 * BATCH)
    client.failures = [RuntimeError("the consumer is closed")]

    assert [len(ahead.batch(BATCH, PATIENCE)) for _ in range(2)] == [BATCH, BATCH]
    with pytest.raises(RuntimeError, match="closed"):
        ahead.batch(BATCH, PATIENCE)


def test_workers_are_begun_as_they_are_needed(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 64)

    for _ in range(5):
        assert len(ahead.batch(BATCH, PATIENCE)) == BATCH
        wait_until(lambda: client.fetched >= 64 * BATCH)  # there is always one ready

    assert sum(thread.name.startswith("ahead-") for thread in threading.enumerate()) == 1


def test_where_no_thread_can_be_begun_the_loop_reads_by_itself(
    ahead_of: Callable[..., ReadAhead], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = LoggingClient([10 * BATCH])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 4)
    monkeypatch.setattr(reading_ahead, "Thread", ThreadRefused)

    found = [value for _ in range(10) for taken in ahead.batch(BATCH, 0.01).taken([TOPIC]) for value in taken.values]

    assert found == client.log[0]
    assert client.by == {get_ident()}


class ThreadRefused(threading.Thread):
    """What the system allows no more of."""

    def start(self) -> None:
        raise RuntimeError("can't start new thread")


def test_a_bug_in_preparing_ends_the_loop_and_not_silently_a_worker(ahead_of: Callable[..., ReadAhead]) -> None:
    def broken(topic: str, _values: object) -> None:
        raise ZeroDivisionError(topic)

    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 2)
    ahead.prepare_with(broken)
    assert len(ahead.batch(BATCH, PATIENCE)) == BATCH

    with pytest.raises(ZeroDivisionError):
        ahead.batch(BATCH, PATIENCE)


def test_what_the_client_tells_a_worker_the_loop_hears_in_its_own_thread(ahead_of: Callable[..., ReadAhead]) -> None:
    heard: list[int] = []
    postponed, client = Postponed(), LoggingClient([10_000])
    client.told = postponed.wrap(lambda: heard.append(get_ident()))
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead = ahead_of(client, 4, postponed)

    for _ in range(20):
        ahead.batch(BATCH, PATIENCE)

    assert len(heard) >= 20
    assert set(heard) == {get_ident()}
    assert len(client.by) > 1


def test_stopping_waits_for_the_fetch_under_way_and_drops_what_is_ahead(ahead_of: Callable[..., ReadAhead]) -> None:
    client = LoggingClient([10_000])
    client.incremental_assign([TopicPartition(TOPIC, 0, 0)])
    ahead, preparing, may_go_on = ahead_of(client, 2), Event(), Event()

    def prepare(_topic: str, _values: object) -> None:
        preparing.set()
        may_go_on.wait(PATIENCE)

    ahead.prepare_with(prepare)
    ahead.batch(BATCH, PATIENCE)
    assert preparing.wait(PATIENCE)
    assert len(ahead.batch(BATCH, 0.01)) == 0
    may_go_on.set()
    ahead.stop(PATIENCE)
    fetched = client.fetched
    time.sleep(0.02)

    assert client.fetched == fetched


def test_a_batch_that_nothing_has_come_with_is_prepared_too() -> None:
    fetched = Fetched(NoMessages())
    fetched.prepare([TOPIC], lambda _topic, _values: None)

    assert not len(fetched.batch)
    assert not list(fetched.batch.all())
    assert not fetched.batch.taken([TOPIC], [])


# --- the compiled part ------------------------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.usefixtures("compiled_parts")
def test_threads_that_read_ahead_share_nothing_unguarded_under_the_thread_sanitizer(tmp_path: Path) -> None:
    program = tmp_path / "races"
    subprocess.run(["c++", *SANITIZED, str(RACES), "-o", str(program)], check=True, timeout=120)

    done = subprocess.run([program, "1", "3000"], capture_output=True, text=True, timeout=120, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
