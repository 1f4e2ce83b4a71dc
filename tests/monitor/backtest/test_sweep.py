"""Other budgets over the same subgroups, and the thinning of what is drawn."""

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, ChartPoint, Charts
from detectors.charts.design import CHARTS, COLUMNS
from monitor.backtest.inject import Plant
from monitor.backtest.result import SweepRow
from monitor.backtest.sweep import Sweep, windows_between
from monitor.backtest.thinning import MOST, PeakPoint, RowsPoint, Thinned, tracks
from tests.build import KEY, MIDNIGHT, MINUTE, at

NAMES = ("age", "income")
PANE = 5 * MINUTE


def real_step() -> ChartPoint:
    """What charts of these features really say, to be changed by the tests."""
    rng, times = np.random.default_rng(0), MIDNIGHT + np.arange(20_000, dtype=np.int64) * (MINUTE // 10)
    columns = {name: rng.normal(size=times.size) for name in NAMES}
    charts = Charts(Reference.fit(columns, timestamps=times, window_ns=PANE), BudgetSpec(per_month=1.0, pane_ns=PANE))
    cells = np.full(charts.design.cells.held.shape, 5)
    (nothing,) = np.zeros((1, len(NAMES)), dtype=np.int64)
    return charts.judge(cells, nothing, nothing, int(cells[0].sum()), at(0), at(0) + PANE)


STEP = real_step()


def a_step(number: int, increments: Sequence[float], *, certain: bool = False) -> ChartPoint:
    """The subgroup of that number: one increment a feature, on its first chart, nothing on the others."""
    found = np.full((len(NAMES), COLUMNS), -0.5)
    found[:, 0] = increments
    sure = np.zeros((len(NAMES), len(CHARTS)), dtype=np.bool_)
    sure[0, 0] = certain
    start = at(0) + number * PANE
    values = np.maximum(found, 0.0)
    return replace(STEP, start=start, end=start + PANE, increments=found, values=values, certain=sure)


def a_plant(minutes: float, until: float | None = None, feature: str = "age") -> Plant:
    end = None if until is None else at(until)
    return Plant("text", KEY, (feature,), at(minutes), end, lambda *_: None)


def swept(ages: Sequence[float], *plants: Plant, budgets: Sequence[float] = (1.0,), **step: bool) -> list[SweepRow]:
    """Panes with these increments of age, under the budget 1."""
    sweep = Sweep(NAMES, plants, budgets, PANE)
    for number, increment in enumerate(ages):
        sweep.take(a_step(number, [increment, -0.5], **step), 1.0)
    return list(sweep.rows(1.0))


QUIET, LOUD = [-0.5] * 40, [4.0] * 6  # the threshold lies between eight and twelve: the third loud subgroup pages


def test_a_lasting_change_is_one_page_until_it_has_gone() -> None:
    (row,) = swept([*QUIET, *LOUD * 20, *QUIET, *LOUD])

    assert row.pages == 2
    assert row.first_page == at((40 + 3) * 5)
    assert row.false_pages is None  # nobody knows which
    assert row.now


def test_a_page_outside_every_planted_change_is_false() -> None:
    plant = a_plant(86 * 5)
    (row,) = swept([*QUIET, *LOUD, *QUIET, *LOUD], plant)

    assert (row.pages, row.false_pages) == (2, 1)
    assert row.delays == (3,)


def test_a_first_pane_that_is_cut_is_no_measure_of_the_others() -> None:
    sweep = Sweep(NAMES, [a_plant(40 * 5)], [1.0], PANE)
    sweep.take(replace(a_step(0, [0.0, 0.0]), start=at(3)), 1.0)
    for number in range(40, 46):
        sweep.take(a_step(number, [4.0, -0.5]), 1.0)

    assert sweep.rows(1.0)[0].delays == (3,)


def test_a_change_that_is_not_found_has_no_delay() -> None:
    (row,) = swept([*QUIET, *LOUD], a_plant(40 * 5, feature="income"), a_plant(10 * 5, until=20 * 5))

    assert row.delays == (None, None)


def test_what_is_certain_pages_at_once_under_any_budget() -> None:
    rows = swept([0.0], budgets=(0.1, 1.0, 10.0), certain=True)

    assert [(row.pages, row.first_page) for row in rows] == [(1, at(5))] * 3


def test_a_smaller_budget_waits_longer() -> None:
    rows = swept([*QUIET, *[0.5] * 200], a_plant(40 * 5), budgets=(0.01, 0.1, 1.0, 10.0, 100.0))
    (delays,) = zip(*(row.delays for row in rows), strict=True)

    assert [row.per_month for row in rows] == [0.01, 0.1, 1.0, 10.0, 100.0]
    assert sorted(delays, reverse=True) == list(delays)
    assert len(set(delays)) == 5


def test_the_configured_budget_is_among_those_compared() -> None:
    rows = swept(QUIET, budgets=(0.3, 3.0))

    assert [(row.per_month, row.now) for row in rows] == [(0.3, False), (1.0, True), (3.0, False)]


def test_a_budget_that_cannot_be_held_is_left_out_and_said() -> None:
    sweep = Sweep(NAMES, [], [1.0, 1e9], PANE)
    sweep.take(a_step(0, [0.0, 0.0]), 1.0)

    assert [row.per_month for row in sweep.rows(1.0)] == [1.0]
    assert "1e+09 cannot be held" in sweep.unreachable[0]


@pytest.mark.parametrize(("end", "windows"), [(0.1, 1), (1, 1), (1.01, 2), (2, 2), (7.5, 8)])
def test_delays_count_the_windows_that_saw_the_change(end: float, windows: int) -> None:
    assert windows_between(at(0), at(end), MINUTE) == windows


# --- thinning -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, MOST - 1, MOST, MOST + 1, 7 * MOST + 3])
def test_rows_are_neither_lost_nor_out_of_order(count: int) -> None:
    thinned: Thinned[RowsPoint] = Thinned()
    for number in range(count):
        thinned.add(RowsPoint(number, 1, number))
    points = thinned.all()

    assert sum(point.rows for point in points) == count * (count - 1) // 2
    assert sum(point.windows for point in points) == thinned.count == count
    assert points[-1].end == count - 1
    assert [point.end for point in points] == sorted({point.end for point in points})
    assert min(count, MOST // 2) <= len(points) <= MOST


def test_the_highest_of_each_feature_stays() -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    peaks = rng.random((3 * MOST, 3))
    peaks[rng.random(peaks.shape) < 0.3] = np.nan
    thinned: Thinned[PeakPoint] = Thinned()
    for number, row in enumerate(peaks):
        thinned.add(PeakPoint(number, row, np.full(3, number % len(CHARTS))))
    found = tracks(thinned.all(), ("a", "b", "c"))

    assert {track.feature: track.highest for track in found} == dict(zip("abc", np.nanmax(peaks, axis=0), strict=True))
    assert [track.highest for track in found] == sorted((track.highest for track in found), reverse=True)
    assert all(peak is None or np.isfinite(peak) for track in found for peak in track.peaks)


def test_a_merged_point_names_the_chart_of_its_peak() -> None:
    one = PeakPoint(1, np.array([0.2, np.nan, np.nan]), np.array([0, 1, 2]))
    two = PeakPoint(2, np.array([0.1, 0.3, np.nan]), np.array([3, 4, 5]))

    for merged in (one.merged(two), replace_end(two.merged(one))):
        assert np.array_equal(merged.peaks, [0.2, 0.3, np.nan], equal_nan=True)
        assert merged.charts.tolist()[:2] == [0, 4]


def replace_end(point: PeakPoint) -> PeakPoint:
    return PeakPoint(2, point.peaks, point.charts)


def test_a_feature_that_was_not_judged_is_not_drawn() -> None:
    step = a_step(0, [3.0, -0.5])
    step.increments[1] = np.nan
    point = PeakPoint.of(step)

    assert point.peaks[0] == pytest.approx(3.0 / step.thresholds[0])
    assert CHARTS[point.charts[0]] == "location+"
    assert np.isnan(point.peaks[1])
