"""What the end of a scout says, and what becomes of a partition that no scout can look at."""

import signal
import sys
from pathlib import Path

import pytest

from monitor.facts import PositionSuspected
from monitor.sources.kafka import suspects
from monitor.sources.kafka.client import KafkaChoice
from monitor.sources.kafka.scout import OUT_OF_MEMORY, Stage
from monitor.sources.kafka.search import Order, Sighting
from monitor.sources.kafka.suspects import LEAST_GROWTH, MOST_GOOD, Examination, Scouts, Suspect, SuspectPartitions
from monitor.stream.events import Partition

PLACE = Partition("t", 0)
ENDS = f"""#!{sys.executable} -S
import os, resource, struct, sys
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
os.pwrite(int(sys.argv[-1]), struct.pack("<qqq", {Stage.READING.value}, 7, 0), 0)
how = int(os.environ["HOW"])
os._exit(how) if how >= 0 else os.kill(os.getpid(), -how)
"""


@pytest.fixture
def scouts() -> Scouts:
    return Scouts(KafkaChoice("127.0.0.1:1", "group", ("t",)))


@pytest.mark.parametrize(
    ("how", "tells"),
    [
        (OUT_OF_MEMORY, True),
        (-signal.SIGABRT, True),
        (-signal.SIGSEGV, True),
        (1, False),  # a fault of ours
        (-signal.SIGTERM, False),  # the supervisor ends us, and our children with us
        (-signal.SIGINT, False),
        (-signal.SIGKILL, False),
    ],
)
def test_only_how_a_process_ends_that_gets_no_memory_tells_of_a_batch(
    scouts: Scouts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: int, tells: bool
) -> None:
    ending = tmp_path / "python"
    ending.write_text(ENDS, encoding="utf-8")
    ending.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(ending))
    monkeypatch.setenv("HOW", str(how))

    sighting = scouts.send(PLACE, Order(7, alone=True), LEAST_GROWTH)

    assert sighting == Sighting(Stage.READING, 7, begins=0, died=tells)
    assert sighting.is_stopped is tells


def test_where_no_process_can_be_made_the_partition_is_read_as_ever(
    scouts: Scouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    examination = Examination(scouts, [PositionSuspected(PLACE, 7, 3)], lambda: 1 << 30)
    examination.run()

    assert [(place, search.ranges, search.at) for place, search in examination.take()] == [(PLACE, [], 7)]


def no_memory() -> int:
    raise MemoryError


def unexpected() -> int:
    raise AssertionError


def test_without_memory_for_a_child_too(scouts: Scouts) -> None:
    examination = Examination(scouts, [PositionSuspected(PLACE, 7, 3)], no_memory)
    examination.run()

    assert [(place, search.ranges, search.at) for place, search in examination.take()] == [(PLACE, [], 7)]


def test_a_fault_of_ours_keeps_nothing_back_for_ever(scouts: Scouts) -> None:
    examination = Examination(scouts, [PositionSuspected(PLACE, 7, 3)], unexpected)
    with pytest.raises(AssertionError):
        examination.run()

    assert [(place, search.ranges, search.at) for place, search in examination.take()] == [(PLACE, [], 7)]


def test_what_scouts_could_read_is_read_apart_for_a_minute_at_most() -> None:
    """One fetch brings many batches: none of them has to be too large by itself."""
    suspect = Suspect(position=7)
    assert (suspect.until, suspect.is_through) == (None, False)

    suspect.ranges, suspect.good = [], 40
    assert (suspect.until, suspect.is_through) == (40, False)
    suspect.position = 39
    assert not suspect.is_through
    suspect.polls = MOST_GOOD
    assert suspect.is_through
    suspect.position, suspect.polls = 40, 0
    assert suspect.is_through


def test_where_no_thread_can_be_made_the_partition_is_let_go_at_once(
    scouts: Scouts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_examination: Examination) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(suspects.Examination, "start", refused)
    kept = SuspectPartitions(scouts._choice)
    kept.keep([PositionSuspected(PLACE, 7, 3)])
    _, released = kept.poll({PLACE: 7})

    assert released == {PLACE}
    assert not kept
