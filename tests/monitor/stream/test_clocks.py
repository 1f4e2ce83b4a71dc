"""A clock that runs fast moves nobody's event time; what neighbours bear out does not depend on how batches are cut."""

import numpy as np
import pytest
from confluent_kafka import TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME

from monitor.sources.kafka.records import taken_times
from monitor.stream.clocks import NEIGHBOURS, TOLERANCE, EventClock, Times, borne_out, reaches
from monitor.stream.events import SECOND, Nanos
from tests.build import at
from tests.charted import seeded

FAST = 180 * SECOND
DAYS_LATER: Nanos = at(10_000)  # when events of a record arrived


def on_time(count: int, step: Nanos = SECOND) -> Times:
    return at(0) + np.arange(count) * step


def shown(clock: EventClock, times: Times, cuts: list[int], arrivals: Times | None = None) -> Nanos:
    """What the clock comes to when it is shown these events in pieces."""
    reached = 0
    for begin, end in zip([0, *cuts], [*cuts, len(times)], strict=True):
        if begin < end:
            arrival = None if arrivals is None else int(arrivals[end - 1])
            reached = max(reached, clock.show(times[begin:end], arrival))
    return reached


@pytest.mark.parametrize("step", [0, SECOND // 20, SECOND, 60 * SECOND, 3600 * SECOND])
def test_events_in_their_order_bring_time_to_the_last_of_them(step: Nanos) -> None:
    assert borne_out(on_time(50, step), TOLERANCE) == at(0) + 49 * step


@pytest.mark.parametrize("arrived", ["with the events", "days later", "unknown"])
def test_one_event_in_fifty_from_a_fast_clock_moves_nothing(arrived: str) -> None:
    chance = seeded()
    true = on_time(20_000, SECOND // 20)
    times = np.where(chance.random(len(true)) < 1 / 50, true + FAST, true)
    arrivals = {"with the events": true, "days later": np.full_like(true, DAYS_LATER), "unknown": None}[arrived]
    cuts = sorted(chance.integers(NEIGHBOURS, len(true), 40).tolist())

    clock, reached = EventClock(), []
    for begin, end in zip([0, *cuts], [*cuts, len(true)], strict=True):
        if begin < end:
            reached.append(
                (clock.show(times[begin:end], None if arrivals is None else int(arrivals[end - 1])), true[end - 1])
            )

    assert all(value <= newest for value, newest in reached)
    assert true[-1] - max(value for value, _ in reached) < SECOND


def test_how_batches_are_cut_does_not_matter_to_what_neighbours_bear_out() -> None:
    chance = seeded()
    times = on_time(400) + chance.integers(-5, 6, 400) * SECOND
    times[chance.random(400) < 0.05] += FAST
    cuts = sorted({NEIGHBOURS, *chance.integers(NEIGHBOURS, 400, 60).tolist()})

    assert shown(EventClock(), times, cuts) == shown(EventClock(), times, [])


def test_time_does_not_pass_the_arrival_of_the_last_where_all_clocks_run_fast() -> None:
    arrivals = on_time(100)

    assert shown(EventClock(), arrivals + FAST, [20, 60], arrivals) == arrivals[-1]


def test_a_timely_event_after_a_long_silence_moves_time_alone() -> None:
    arrivals = np.append(on_time(20), at(60))

    assert shown(EventClock(), arrivals - SECOND, [20], arrivals) == at(60) - SECOND


def test_where_events_are_old_when_they_arrive_one_that_seems_timely_moves_nothing() -> None:
    """A job that is a minute behind, and a clock in it that runs fast by as much."""
    arrivals = on_time(40)
    times = arrivals - 60 * SECOND
    times[30] = arrivals[30]

    assert shown(EventClock(), times, list(range(1, 40)), arrivals) == times[-1]


def taken(times: Times, cuts: list[int]) -> tuple[int, Nanos]:
    clock = EventClock()
    shown(clock, times, cuts)
    return clock.take_ahead()


def test_a_fast_clock_is_named_by_how_many_events_and_how_far_however_they_are_cut() -> None:
    chance = seeded()
    times, fast = on_time(20_000, SECOND // 20), np.zeros(20_000, dtype=np.bool_)
    fast[chance.choice(np.arange(10, 19_990), 400, replace=False)] = True
    times = np.where(fast, times + FAST, times)
    count, lead = taken(times, [])

    assert 380 <= count <= 400  # two of three neighbours before, or three of four after, may be fast too
    assert FAST - SECOND < lead <= FAST
    assert taken(times, sorted(chance.integers(NEIGHBOURS, 20_000, 300).tolist())) == (count, lead)


def test_old_events_that_pour_in_make_no_clock_fast_nor_does_disorder_within_the_tolerance() -> None:
    chance = seeded()
    jitter = on_time(400) + chance.integers(-5, 5, 400) * SECOND
    flushed = np.concatenate([on_time(200), on_time(100) - 3600 * SECOND, on_time(200) + 200 * SECOND])

    assert taken(jitter, []) == (0, 0)
    assert taken(flushed, []) == (0, 0)
    assert taken(on_time(50, 60 * SECOND), list(range(1, 50))) == (0, 0)


def test_how_far_each_event_bears_time_out_is_what_showing_them_one_by_one_gives() -> None:
    chance = seeded()
    times = on_time(300) + chance.integers(-9, 9, 300) * SECOND
    times[chance.random(300) < 0.05] += FAST
    each = [borne_out(times[max(0, end - NEIGHBOURS) : end], TOLERANCE) for end in range(1, 301)]

    assert reaches(times, TOLERANCE).tolist() == each
    assert reaches(times[:3], TOLERANCE).tolist() == each[:3]


@pytest.mark.parametrize("fast", [0.001, 0.05, 0.3, 0.5, 0.7])
def test_what_all_bear_out_is_the_farthest_of_any_eight(fast: float) -> None:
    chance = seeded()
    times = on_time(2000) + chance.integers(-9, 9, 2000) * SECOND
    times[chance.random(2000) < fast] += FAST * chance.integers(1, 4)

    assert borne_out(times, TOLERANCE) == reaches(times, TOLERANCE)[NEIGHBOURS - 1 :].max()


@pytest.mark.parametrize("kind", [TIMESTAMP_CREATE_TIME, TIMESTAMP_LOG_APPEND_TIME])
def test_a_producers_own_stamp_is_no_arrival(kind: int) -> None:
    """One clock in fifty is fast, and so are its messages' stamps: by default Kafka keeps those."""
    chance = seeded()
    true = on_time(20_000, SECOND // 20)
    times = np.where(chance.random(len(true)) < 1 / 50, true + FAST, true)
    stamps = times if kind == TIMESTAMP_CREATE_TIME else true
    clock, ahead = EventClock(), []
    for begin in range(0, len(true), 10):
        arrival = taken_times({0: (kind, int(stamps[begin + 9]) // 10**6)}).get(0)
        ahead.append(clock.show(times[begin : begin + 10], arrival) - int(true[begin + 9]))

    assert max(ahead) <= TOLERANCE
