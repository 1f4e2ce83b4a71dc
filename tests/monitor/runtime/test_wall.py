"""The wall clock against time that went by: what is taken for now, when nothing is read, what is said."""

import itertools

import pytest

from monitor.facts import ClockSet
from monitor.runtime.wall import HOLD, JUMP, SLEW, SteppedClock, TimeRead
from monitor.stream.events import SECOND
from tests.fakes import NOON

HOUR = 3600 * SECOND


class Machine:
    """A wall clock and a monotonic one, read a few times a second."""

    def __init__(self) -> None:
        self.wall = SteppedClock()
        self.since = 0.0
        self.set = 0

    def read(self, seconds: float = 0.2, newest: int = 0) -> TimeRead:
        self.since += seconds
        return self.wall.read(NOON + self.set + round(self.since * SECOND), self.since, newest)

    @property
    def true(self) -> int:
        return NOON + round(self.since * SECOND)


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.read()
    return machine


def test_a_clock_that_runs_is_believed(machine: Machine) -> None:
    assert [machine.read() for _ in range(5)][-1] == TimeRead(machine.true)
    assert machine.wall.take_news() == []


def test_a_clock_that_drifts_is_followed(machine: Machine) -> None:
    for _ in range(100):
        machine.set -= SECOND // 10
        assert machine.read() == TimeRead(machine.true + machine.set)


def test_set_back_by_an_hour_now_goes_on_and_reading_waits_until_it_is_put_right(machine: Machine) -> None:
    machine.set = -HOUR
    readings = [machine.read() for _ in range(60)]

    assert readings[0] == TimeRead(machine.true - round(59 * 0.2 * SECOND), jumped=True, held=True, behind=HOUR)
    assert readings[-1] == TimeRead(machine.true, held=True, behind=HOUR)
    machine.set = 0
    assert machine.read() == TimeRead(machine.true, jumped=True)
    assert machine.wall.take_news() == [ClockSet(-HOUR, HOUR), ClockSet(HOUR, 0)]


def test_set_back_for_good_reading_goes_on_after_a_minute_by_the_time_that_would_be(machine: Machine) -> None:
    machine.set = -HOUR
    held = [machine.read(1.0, newest=machine.true + SECOND).held for _ in range(70)]

    assert sum(held) == HOLD // SECOND
    assert held[0]
    assert machine.read(newest=machine.true + SECOND) == TimeRead(machine.true, behind=HOUR)


def test_where_events_are_as_the_clock_says_now_comes_to_it_and_never_goes_back(machine: Machine) -> None:
    """The step has mended a clock that was ahead: what is told of time is right again some time later, and that is said."""
    machine.set = -HOUR
    readings = [machine.read(1.0, newest=machine.true - HOUR)]
    while readings[-1].behind:
        readings.append(machine.read(1.0, newest=machine.true - HOUR))
        assert len(readings) < HOLD // SECOND + (SLEW + 1) * HOUR // SECOND

    assert readings[-1].now == machine.true - HOUR
    steps = [after.now - before.now for before, after in itertools.pairwise(readings)]
    assert min(steps) >= -JUMP  # what is left of it
    assert all(step > 0 for step in steps[:-1])
    assert machine.wall.take_news() == [ClockSet(-HOUR, HOUR), ClockSet(0, 0)]


def test_where_events_come_that_are_later_than_the_clock_now_stays_with_them(machine: Machine) -> None:
    """The clock is wrong: however long it is, nothing that comes is of the future."""
    machine.set = -HOUR
    latency = 2 * SECOND
    readings = [machine.read(1.0, newest=machine.true - latency) for _ in range(20_000)]

    assert all(machine.true - latency - 2 * SECOND <= reading.now for reading in readings[-1:])
    assert readings[-1].behind > HOUR - latency - 2 * SECOND


def test_a_correction_of_some_seconds_holds_nothing_and_now_does_not_go_back(machine: Machine) -> None:
    machine.set = -3 * SECOND

    assert machine.read() == TimeRead(machine.true, jumped=True, behind=3 * SECOND)


def test_set_forth_it_is_believed_and_set_back_to_where_it_was_too(machine: Machine) -> None:
    """A machine that slept looks the same as a clock that was set forth."""
    machine.set = HOUR
    assert machine.read() == TimeRead(machine.true + HOUR, jumped=True)
    machine.read(600.0)
    machine.set = SECOND // 4  # it has drifted meanwhile
    assert machine.read() == TimeRead(machine.true + SECOND // 4, jumped=True)
    assert machine.wall.take_news() == [ClockSet(HOUR, 0), ClockSet(SECOND // 4 - HOUR, 0)]


def test_set_back_beyond_where_it_was_before_it_was_set_forth_it_is_behind(machine: Machine) -> None:
    machine.set = HOUR
    machine.read()
    machine.set = -HOUR

    assert machine.read() == TimeRead(machine.true + HOUR, jumped=True, held=True, behind=2 * HOUR)
