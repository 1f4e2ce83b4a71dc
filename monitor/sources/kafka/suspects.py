"""Partitions at whose positions the process has died again and again: looked at by scouts, read apart up to what kills, which is stepped over."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Thread
from typing import Any

from monitor.facts import PositionSuspected, RecordsSkipped
from monitor.sources.kafka.client import KafkaChoice, properties_of
from monitor.sources.kafka.reader import PartitionReader, Polled
from monitor.sources.kafka.reading import ReadingClient, reading_client
from monitor.sources.kafka.scout import ANSWER, OUT_OF_MEMORY, SIGHTING, Stage
from monitor.sources.kafka.search import KillerSearch, Order, Sighting
from monitor.stream.events import Partition

DEATHS = 3  # in a row, at one position: then it is suspected
LEAST_GROWTH = 64 << 20  # bytes: what fits into the memory that `driftd check` has for reading is never stepped over
ALONE_SECONDS = 20.0  # that a scout has for one message
STARTING = 30.0  # seconds that a scout may take beside reading
APART = 0.1  # seconds for a poll of what is read apart
MOST_GOOD = 600  # polls, of a tenth to four tenths of a second, in which what scouts could read is read apart
# How a scout ends that gets no memory: by its own word, or since the client aborts or writes to what is not there. That it was told to end, or a fault of
# ours ended it, says nothing about what lies there.
OF_ITS_BOUND = frozenset({OUT_OF_MEMORY, -signal.SIGABRT, -signal.SIGSEGV, -signal.SIGBUS})
ONE_BATCH: Mapping[str, Any] = {  # a fetch brings one batch, and the next is not asked for while its messages wait
    "max.partition.fetch.bytes": 1,
    "queued.min.messages": 1,
    "fetch.min.bytes": 1,
}
NO_OTHER = {
    "fetch.queue.backoff.ms": 1_000
}  # from one fetch to the next: by then who reads has assigned anew, or is gone; the first waits as long


@dataclass(slots=True)
class Suspect:
    """A partition that is kept back. `ranges`: what is to be stepped over, from the first to behind the last; None: not known yet.

    `good`: up to here scouts could read a batch at a time. Batches none of which is too large may be so together: one fetch brings many.
    """

    position: int
    ranges: list[tuple[int, int]] | None = None
    good: int = 0
    polls: int = 0  # in which it was read up to there

    @property
    def until(self) -> int | None:
        """Up to where it is read apart: the next batch that kills, or as far as is known to be good; None where that is not known yet."""
        if self.ranges is None:
            return None
        if self.ranges:
            return self.ranges[0][0]
        return self.good if self.polls < MOST_GOOD else self.position

    @property
    def is_through(self) -> bool:
        """Whether it is to be read as any other."""
        return self.ranges == [] and self.until is not None and self.position >= self.until


class Scouts:
    """Sends child processes, one at a time."""

    def __init__(self, choice: KafkaChoice) -> None:
        self._choice = choice
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def send(self, partition: Partition, order: Order, growth: int) -> Sighting:
        """Have one read in so much memory. Where it was killed from outside less is tried: its own bound is to tell, not who is short of memory beside it."""
        while True:
            sighting, status = self._sent(partition, order, growth)
            if status != -signal.SIGKILL or growth <= LEAST_GROWTH or self._stopped:
                return sighting
            growth = max(LEAST_GROWTH, growth // 2)

    def _sent(self, partition: Partition, order: Order, growth: int) -> tuple[Sighting, int]:
        with tempfile.TemporaryFile() as seen:
            status = self._run(seen.fileno(), self._orders(partition, order, growth))
            written = os.pread(seen.fileno(), SIGHTING.size, 0)
        stage, first, begins = SIGHTING.unpack(written) if len(written) == SIGHTING.size else (Stage.SENT, 0, 0)
        return Sighting(Stage(stage), first, begins, died=status in OF_ITS_BOUND), status

    def _orders(self, partition: Partition, order: Order, growth: int) -> bytes:
        pace = NO_OTHER if order.alone else {}
        properties = {**properties_of(self._choice), **ONE_BATCH, **pace, "statistics.interval.ms": 0}
        where = {"topic": partition.topic, "partition": partition.index, "offset": order.offset, "alone": order.alone}
        seconds = ALONE_SECONDS if order.alone else self._choice.scouting
        return json.dumps({**where, "seconds": seconds, "growth": growth, "properties": properties}).encode()

    def _run(self, seen: int, orders: bytes) -> int:
        """The exit status. One that takes too long is killed, and has not died."""
        command = [
            sys.executable,
            "-P",
            "-m",
            "monitor.sources.kafka.scout",
            str(seen),
        ]  # -P: nothing of where we stand
        ways = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        quiet = subprocess.DEVNULL
        with subprocess.Popen(  # noqa: S603 - ourselves
            command, stdin=subprocess.PIPE, stdout=quiet, stderr=quiet, env=ways, pass_fds=[seen]
        ) as child:
            self._child = child
            try:
                if self._stopped:
                    raise subprocess.TimeoutExpired(command, 0)
                child.communicate(orders, STARTING + ANSWER + max(ALONE_SECONDS, self._choice.scouting))
            except subprocess.TimeoutExpired:
                child.kill()
                return 0
        return child.returncode

    def stop(self) -> None:
        """End the one that is away, and send no other."""
        self._stopped = True
        if (child := self._child) is not None:
            child.kill()


class Examination(Thread):
    """Has scouts look at partitions, one after the other."""

    def __init__(self, scouts: Scouts, suspected: Iterable[PositionSuspected], free: Callable[[], int]) -> None:
        super().__init__(name="kafka-scouts", daemon=True)
        self._scouts = scouts
        self._suspected = list(suspected)
        self._free = free
        self._found: deque[tuple[Partition, KillerSearch]] = deque()

    def run(self) -> None:
        """Look at each. What cannot be looked at is read as ever, whatever is in the way."""
        for each in self._suspected:
            search = KillerSearch(each.offset)
            try:
                self._look(each, search)
            finally:
                self._found.append((each.partition, search))

    def _look(self, suspected: PositionSuspected, search: KillerSearch) -> None:
        with suppress(OSError, MemoryError, ValueError, TypeError):  # no process, no file, properties that are no text
            growth = growth_of(self._free(), suspected.deaths)
            while (order := search.order) is not None:
                search.saw(self._scouts.send(suspected.partition, order, growth))

    def take(self) -> Iterator[tuple[Partition, KillerSearch]]:
        """What is known by now."""
        while self._found:
            yield self._found.popleft()


def growth_of(free: int, deaths: int) -> int:
    """How much memory a batch may need: half of what is free, and half of that for each further death, but no less than reading is allowed anyway.

    >>> growth_of(1 << 30, DEATHS) >> 20, growth_of(1 << 30, DEATHS + 2) >> 20, growth_of(1 << 30, DEATHS + 9) >> 20
    (512, 128, 64)
    """
    return max(LEAST_GROWTH, free >> (deaths - DEATHS + 1))


@dataclass(slots=True)
class SuspectPartitions:
    """The partitions that are kept back. Asked for by each poll; its thread and its clients are there only while there are any."""

    choice: KafkaChoice
    free: Callable[[], int] = field(default_factory=lambda: free_memory)
    _kept: dict[Partition, Suspect] = field(default_factory=dict)
    _scouts: Scouts | None = None
    _examinations: list[Examination] = field(default_factory=list)
    _client: ReadingClient | None = None
    _reader: PartitionReader | None = None
    _apart: Partition | None = None  # the one that is read apart now

    def __bool__(self) -> bool:
        return bool(self._kept)

    def keep(self, suspected: Iterable[PositionSuspected]) -> None:
        """Keep these back, and have them looked at."""
        suspected = list(suspected)
        self._kept |= {each.partition: Suspect(each.offset) for each in suspected}
        if suspected:
            self._scouts = self._scouts or Scouts(self.choice)
            examination = Examination(self._scouts, suspected, self.free)
            self._examinations.append(examination)
            try:
                examination.start()
            except RuntimeError:  # the system has no thread for it: they are read as ever
                for each in suspected:
                    self._kept[each.partition].ranges = []

    def poll(self, positions: dict[Partition, int]) -> tuple[Polled, frozenset[Partition]]:
        """What was read apart or stepped over, with positions moved on; and the partitions that are kept back no more."""
        polled = Polled()
        for partition, search in (found for each in self._examinations for found in each.take()):
            if partition in self._kept:
                self._kept[partition].ranges, self._kept[partition].good = search.ranges, search.at
        anew = {place for place, suspect in self._kept.items() if positions.get(place) != suspect.position}
        self._let_go(anew)
        self._read_apart(polled)
        for partition, suspect in self._kept.items():
            self._step_over(partition, suspect, polled)
            positions[partition] = suspect.position
        through = {place for place, suspect in self._kept.items() if suspect.is_through or place in polled.lost}
        self._let_go(through)
        return polled, frozenset(anew | through)

    def _step_over(self, partition: Partition, suspect: Suspect, polled: Polled) -> None:
        while suspect.ranges and suspect.position >= suspect.ranges[0][0]:
            _, after = suspect.ranges.pop(0)
            if suspect.position < after:
                polled.skipped.append(RecordsSkipped(partition, suspect.position, after - 1, "kills"))
                suspect.position = after

    def _read_apart(self, polled: Polled) -> None:
        """Read what lies before the next batch that kills, a batch at a time: the client must not fetch that one ahead. So, too, what scouts could read so."""
        waiting = [
            place
            for place, suspect in self._kept.items()
            if suspect.until is not None and suspect.position < suspect.until
        ]
        if not waiting:
            return
        partition = self._apart if self._apart in waiting else waiting[0]
        reader, start = self._reading(), self._kept[partition].position
        if self._apart != partition or reader.positions.get(partition) != start:
            self._leave()
            reader.take_on({partition: start})
            self._apart = partition
        read = reader.poll(APART)
        polled.taken, polled.begins, polled.lost = read.taken, read.begins, read.lost
        polled.messages, polled.troubles, polled.skipped = read.messages, read.troubles, read.skipped
        suspect = self._kept[partition]
        suspect.position = reader.positions[partition]
        suspect.polls += not suspect.ranges
        if read.answered and partition not in reader.unreadable:
            self._leave()  # and assigned anew it fetches the next batch

    def _reading(self) -> PartitionReader:
        if self._reader is None:
            properties = {**self.choice.properties, **ONE_BATCH, **NO_OTHER}
            self._client = reading_client(
                replace(self.choice, properties=properties), error_cb=lambda _error: None
            ).client
            self._reader = PartitionReader(self._client, self.choice.topics, self.choice.batch)
        return self._reader

    def _leave(self) -> None:
        if self._apart is not None and self._reader is not None:
            self._reader.let_go([self._apart])
        self._apart = None

    def _let_go(self, free: set[Partition]) -> None:
        for partition in free:
            del self._kept[partition]
            if partition == self._apart:
                self._leave()
        if not self._kept:
            self.close()

    def close(self) -> None:
        """End what looks and reads apart."""
        if self._scouts is not None:
            self._scouts.stop()
        self._scouts, self._examinations = None, []
        if self._client is not None:
            Thread(target=self._client.close, name="kafka-apart-close", daemon=True).start()
        self._client = self._reader = self._apart = None


# --- memory -----------------------------------------------------------------------------------------------------------

CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
PLENTY = 1 << 40


def free_memory() -> int:
    """About how much memory this process could take beyond what it has: no limit says it exactly, and half of it is used at most."""
    limits = [_available(), *map(_number, CGROUPS)]
    limits += [
        most
        for most, _ in map(resource.getrlimit, (resource.RLIMIT_AS, resource.RLIMIT_DATA))
        if most != resource.RLIM_INFINITY
    ]
    return min(limits)


def _number(path: Path) -> int:
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return PLENTY
    return int(text) if text.isdigit() else PLENTY


def _available() -> int:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return PLENTY
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")), PLENTY)
