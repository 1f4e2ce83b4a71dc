"""Panes, and the windows they make."""

import random

import pytest

from detectors import Sketch
from monitor.stream.events import Nanos
from monitor.stream.sketches import LayoutSketches
from monitor.stream.windows import ClosedWindow, SealedPane, Windows, WindowSpec
from tests.build import MINUTE, REFERENCE, add, at, make_batch, of

TEN = 10 * MINUTE


def windows_of(length: Nanos = TEN, slide: Nanos | None = None, lateness: Nanos = 0, *minutes: float) -> Windows:
    windows = Windows(WindowSpec(length, slide or length, lateness), LayoutSketches(REFERENCE.layout))
    if minutes:
        add(windows, make_batch([at(number) for number in minutes]))
    return windows


def tumbling(*minutes: float, lateness: Nanos = 0) -> Windows:
    """Windows of ten minutes that hold events at these minutes."""
    return windows_of(TEN, TEN, lateness, *minutes)


def sliding(*minutes: float) -> Windows:
    """Windows of ten minutes every two, that hold events at these minutes."""
    return windows_of(TEN, 2 * MINUTE, 0, *minutes)


def close_until(windows: Windows, watermark: Nanos) -> list[SealedPane | ClosedWindow]:
    """What a series alone closes when the watermark comes so far."""
    closed = [one for end in windows.due(watermark) for one in windows.close(end)]
    windows.seal_until(watermark)
    return closed


def spans(closed: list[SealedPane | ClosedWindow]) -> list[tuple[float, float, int]]:
    """Begin and end of the windows in minutes, and their rows."""
    return [
        ((window.start - at(0)) / MINUTE, (window.end - at(0)) / MINUTE, window.sketch.rows)
        for window in of(closed, ClosedWindow)
    ]


@pytest.mark.parametrize("minutes", [7, 10, 25, 1440])
def test_windows_are_aligned_to_the_unix_epoch(minutes: int) -> None:
    length = minutes * MINUTE
    windows = windows_of(length, length, 0, 3.25, 3.25 + minutes, 3.25 + 2 * minutes)
    closed = of(close_until(windows, at(4 * minutes)), ClosedWindow)

    assert closed
    assert all(window.start % length == 0 and window.end == window.start + length for window in closed)


def test_panes_are_aligned_to_the_unix_epoch() -> None:
    windows = windows_of(21 * MINUTE, 7 * MINUTE, 0, 3.25, 30)

    assert all(start % (7 * MINUTE) == 0 for start in windows.panes)


def test_times_before_the_epoch_are_aligned_downwards() -> None:
    windows = windows_of(TEN)
    add(windows, make_batch([-1]))

    assert list(windows.panes) == [-TEN]


def test_an_event_at_the_end_of_a_window_belongs_to_the_next() -> None:
    windows = tumbling(0, 10)

    assert spans(close_until(windows, at(20))) == [(0, 10, 1), (10, 20, 1)]


def test_a_window_closes_when_the_watermark_reaches_its_end_plus_lateness() -> None:
    windows = tumbling(0, lateness=30)

    assert close_until(windows, at(10) + 29) == []
    assert spans(close_until(windows, at(10) + 30)) == [(0, 10, 1)]


def test_a_window_closes_once() -> None:
    windows = tumbling(0)
    close_until(windows, at(10))

    assert close_until(windows, at(10)) == []
    assert close_until(windows, at(30)) == []


def test_a_lateness_that_no_slide_divides_delays_every_window_by_just_that() -> None:
    windows = tumbling(0, 10, lateness=7 * MINUTE)

    assert close_until(windows, at(17) - 1) == []
    assert spans(close_until(windows, at(17))) == [(0, 10, 1)]
    assert close_until(windows, at(27) - 1) == []
    assert spans(close_until(windows, at(27))) == [(10, 20, 1)]


def test_an_event_is_late_when_its_pane_is_sealed() -> None:
    windows = tumbling(0)
    close_until(windows, at(10))

    assert add(windows, make_batch([at(10) - 1, at(10), at(3)])) == 2


def test_an_event_older_than_the_watermark_is_not_late_while_its_pane_is_open() -> None:
    windows = tumbling(0, lateness=5 * MINUTE)
    close_until(windows, at(14))

    assert add(windows, make_batch([at(1)])) == 0
    assert spans(close_until(windows, at(15))) == [(0, 10, 2)]


def test_late_events_are_kept_out_of_every_window() -> None:
    windows = sliding(0, 6)
    close_until(windows, at(6))
    add(windows, make_batch([at(5)]))

    assert spans(close_until(windows, at(10))) == [(0, 10, 2)]


def test_an_event_is_late_in_a_series_that_was_silent_so_far() -> None:
    windows = windows_of()
    close_until(windows, at(10))

    assert add(windows, make_batch([at(9)])) == 1
    assert windows.origin is None


def test_the_first_window_judged_lies_wholly_after_the_first_event() -> None:
    windows = tumbling(3, 12)

    assert spans(close_until(windows, at(30))) == [(10, 20, 1)]


def test_a_first_event_on_the_boundary_has_its_window_judged() -> None:
    windows = tumbling(10)

    assert spans(close_until(windows, at(20))) == [(10, 20, 1)]


def test_the_first_event_is_the_smallest_time_and_not_the_first_to_arrive() -> None:
    windows = tumbling(10, lateness=5 * MINUTE)
    add(windows, make_batch([at(8)]))
    add(windows, make_batch([at(7)]))
    add(windows, make_batch([at(12)]))

    assert windows.origin == at(7)
    assert spans(close_until(windows, at(40))) == [(10, 20, 2)]


def test_a_late_event_is_no_first_event() -> None:
    windows = windows_of()
    close_until(windows, at(10))
    add(windows, make_batch([at(5), at(20)]))

    assert windows.origin == at(20)


def test_with_a_slide_the_first_window_judged_begins_with_the_first_whole_pane() -> None:
    windows = sliding(1, 3, 13)

    assert spans(close_until(windows, at(12))) == [(2, 12, 1)]


def test_empty_windows_are_not_emitted() -> None:
    windows = tumbling(0, 30)

    assert spans(close_until(windows, at(100))) == [(0, 10, 1), (30, 40, 1)]


def test_a_gap_of_a_century_costs_nothing() -> None:
    century = 100 * 365 * 24 * 60
    windows = sliding(0, century)

    assert len(of(close_until(windows, at(2 * century)), ClosedWindow)) == 6  # 0 itself, and five that hold the other


def test_panes_are_sealed_once_each_and_never_overlap() -> None:
    windows = sliding(0, 1, 2, 4, 9, 10)
    panes = of([*close_until(windows, at(7)), *close_until(windows, at(30))], SealedPane)

    assert [(pane.start, pane.end) for pane in panes] == [(at(n), at(n + 2)) for n in (0, 2, 4, 8, 10)]
    assert sum(pane.sketch.rows for pane in panes) == 6


def test_a_pane_is_sealed_before_the_window_that_ends_with_it() -> None:
    closed = close_until(tumbling(0), at(10))

    assert [type(one) for one in closed] == [SealedPane, ClosedWindow]


def test_the_pane_of_the_first_event_is_not_sealed_when_it_is_cut_off() -> None:
    windows = sliding(1, 2)

    assert [pane.start for pane in of(close_until(windows, at(30)), SealedPane)] == [at(2)]


def test_a_sliding_window_is_the_sum_of_its_panes() -> None:
    windows = sliding(*range(30))

    assert spans(close_until(windows, at(16))) == [(0, 10, 10), (2, 12, 10), (4, 14, 10), (6, 16, 10)]


def test_totals_carried_from_window_to_window_equal_full_sums() -> None:
    chance = random.Random(7)
    minutes = [chance.uniform(0, 60) if chance.random() < 0.8 else chance.uniform(90, 120) for _ in range(200)]
    ages = [chance.uniform(-20, 120) for _ in minutes]
    windows = sliding()
    add(windows, make_batch([at(number) for number in minutes], ages))

    for window in of(close_until(windows, at(200)), ClosedWindow):
        inside = [(at(n), age) for n, age in zip(minutes, ages, strict=True) if window.start <= at(n) < window.end]
        whole = Sketch.empty(REFERENCE.layout)
        batch = make_batch([time for time, _ in inside], [age for _, age in inside])
        whole.update(batch.numeric, batch.codes)
        assert window.sketch.counts.tolist() == whole.counts.tolist()
        assert window.sketch.rows == whole.rows


def test_a_closed_window_does_not_change_afterwards() -> None:
    windows = sliding(*range(30))
    first, *_ = of(close_until(windows, at(10)), ClosedWindow)
    before = first.sketch.counts.tolist()
    close_until(windows, at(30))

    assert first.sketch.counts.tolist() == before


def test_panes_that_no_window_needs_are_dropped() -> None:
    windows = sliding(*range(30))
    close_until(windows, at(20))

    assert min(windows.panes) == at(10)


def test_a_tumbling_window_leaves_no_pane_behind() -> None:
    windows = tumbling(0, 5, 10)
    close_until(windows, at(10))

    assert list(windows.panes) == [at(10)]


def test_a_series_that_begins_late_counts_nothing_that_the_watermark_has_passed() -> None:
    windows = windows_of(lateness=5 * MINUTE)
    windows.seal_until(at(24))

    assert add(windows, make_batch([at(9), at(10), at(19)])) == 1


def test_a_slide_must_divide_its_window() -> None:
    with pytest.raises(ValueError, match="must divide the window"):
        WindowSpec(TEN, 3 * MINUTE, 0)


def test_lateness_must_not_be_negative() -> None:
    with pytest.raises(ValueError, match="lateness -1 ns must not be negative"):
        WindowSpec(TEN, TEN, -1)


def test_however_many_panes_are_open_two_are_not_put_away() -> None:
    """One partition that stays behind keeps all of them open."""
    windows = sliding()
    for number in (0, 2, 4, 6, 8, 2.5, 7):
        add(windows, make_batch([at(number)]))

    loose = [start for start, pane in windows.panes.items() if isinstance(pane, Sketch)]
    assert sorted(loose) == [at(2), at(6)]
    assert spans(close_until(windows, at(10))) == [(0, 10, 7)]


def test_a_pane_counts_on_after_it_was_put_away() -> None:
    windows = sliding()
    add(windows, make_batch([at(0)] * 250))
    for number in (2, 4, 6, 0.5):
        add(windows, make_batch([at(number)] * 10))

    assert windows.panes[at(0)].rows == 260
    assert [pane.sketch.rows for pane in of(close_until(windows, at(2)), SealedPane)] == [260]


def test_a_batch_out_of_order_over_many_panes_is_counted_as_if_it_came_one_by_one() -> None:
    chance = random.Random(3)
    minutes = [chance.uniform(0, 40) for _ in range(300)]
    ages = [chance.uniform(-20, 120) for _ in minutes]
    at_once, one_by_one = sliding(), sliding()
    add(at_once, make_batch([at(number) for number in minutes], ages))
    for number, age in zip(minutes, ages, strict=True):
        add(one_by_one, make_batch([at(number)], age))

    together, alone = close_until(at_once, at(60)), close_until(one_by_one, at(60))
    assert [(one.start, one.sketch.counts.tolist()) for one in together] == [
        (one.start, one.sketch.counts.tolist()) for one in alone
    ]
    assert together


def test_a_series_sleeps_until_the_watermark_passes_its_next_pane() -> None:
    windows = tumbling(0, lateness=30)

    assert windows.awake_at is None
    windows.seal_until(at(10) + 30)
    assert windows.awake_at == at(20) + 30
    assert windows.due(at(20) + 29) == []
