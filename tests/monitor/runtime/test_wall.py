"""The wall clock against time that went by: what is taken for now, when nothing is read, what is said."""

import pytest

from monitor.facts import ClockSet
from monitor.runtime.wall import HOLD, Reading, WallClock
from monitor.stream.events import SECOND
from tests.fakes import NOON

HOUR = 3600 * SECOND


class Machine:
    """A wall clock and a monotonic one, read a few times a second."""

    def __init__(self) -> None:
        self.wall = WallClock()
        self.since = 0.0
        self.set = 0

    def read(self, seconds: float = 0.2) -> Reading:
        self.since += seconds
        return self.wall.read(NOON + self.set + round(self.since * SECOND), self.since)

    @property
    def true(self) -> int:
        return NOON + round(self.since * SECOND)


@pytest.fixture
def machine() -> Machine:
    machine = Machine()
    machine.read()
    return machine


def test_a_clock_that_runs_is_believed(machine: Machine) -> None:
    assert [machine.read() for _ in range(5)][-1] == Reading(machine.true)
    assert machine.wall.take_news() == []


def test_a_clock_that_drifts_is_followed(machine: Machine) -> None:
    for _ in range(100):
        machine.set -= SECOND // 10
        assert machine.read() == Reading(machine.true + machine.set)


def test_set_back_by_an_hour_now_goes_on_and_reading_waits_until_it_is_put_right(machine: Machine) -> None:
    machine.set = -HOUR
    readings = [machine.read() for _ in range(60)]

    assert readings[0] == Reading(machine.true - round(59 * 0.2 * SECOND), jumped=True, held=True, behind=HOUR)
    assert readings[-1] == Reading(machine.true, held=True, behind=HOUR)
    machine.set = 0
    assert machine.read() == Reading(machine.true, jumped=True)
    assert machine.wall.take_news() == [ClockSet(-HOUR, HOUR), ClockSet(HOUR, 0)]


def test_set_back_for_good_reading_goes_on_after_a_minute_by_the_time_that_would_be(machine: Machine) -> None:
    machine.set = -HOUR
    held = [machine.read(1.0).held for _ in range(70)]

    assert sum(held) == HOLD // SECOND
    assert held[0]
    assert machine.read() == Reading(machine.true, behind=HOUR)


def test_a_correction_of_some_seconds_holds_nothing_and_now_does_not_go_back(machine: Machine) -> None:
    machine.set = -3 * SECOND

    assert machine.read() == Reading(machine.true, jumped=True, behind=3 * SECOND)


def test_set_forth_it_is_believed_and_set_back_to_where_it_was_too(machine: Machine) -> None:
    """A machine that slept looks the same as a clock that was set forth."""
    machine.set = HOUR
    assert machine.read() == Reading(machine.true + HOUR, jumped=True)
    machine.read(600.0)
    machine.set = SECOND // 4  # it has drifted meanwhile
    assert machine.read() == Reading(machine.true + SECOND // 4, jumped=True)
    assert machine.wall.take_news() == [ClockSet(HOUR, 0), ClockSet(SECOND // 4 - HOUR, 0)]


def test_set_back_beyond_where_it_was_before_it_was_set_forth_it_is_behind(machine: Machine) -> None:
    machine.set = HOUR
    machine.read()
    machine.set = -HOUR

    assert machine.read() == Reading(machine.true + HOUR, jumped=True, held=True, behind=2 * HOUR)
