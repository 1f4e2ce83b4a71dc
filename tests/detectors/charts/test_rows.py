"""The rows themselves: what is usual is learnt from the traffic, half and twice of it are let pass, a tenth is not."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from detectors import Reference
from detectors.calibration.arrival_rate import ArrivalRate
from detectors.calibration.seasons import DAY
from detectors.charts import BudgetSpec, ChartPoint, Charts
from detectors.charts.rows import LEARNING, RowCharts
from tests.charted import HOUR, MINUTE, MONDAY, WINDOW, Charted, fitted, pane, seeded

FEW, MANY = 0, 1


@pytest.fixture(scope="module")
def learnt() -> Reference:
    rng = seeded()
    return fitted(rng, {"x": rng.normal(size=30_000)})


def fed(charted: Charted, rows: int, panes: int) -> list[ChartPoint]:
    rng = np.random.default_rng(rows)
    return [charted.feed({"x": rng.normal(size=rows)}) for _ in range(panes)]


def firing(points: list[ChartPoint]) -> list[Any]:
    return [point.row_firing.tolist() for point in points]


@pytest.mark.parametrize("rows", [10, 100, 3_000])
def test_a_reference_is_often_a_sample_so_the_usual_rows_are_learnt(learnt: Reference, rows: int) -> None:
    charted = Charted(learnt)
    points = fed(charted, rows, LEARNING + 30)

    assert not any(any(one) for one in firing(points))
    assert points[LEARNING - 2].usual_rows is None
    assert points[-1].usual_rows == pytest.approx(rows)


@pytest.mark.parametrize(("rows", "chart"), [(20, FEW), (700, MANY)])
def test_far_fewer_and_far_more_rows_fire(learnt: Reference, rows: int, chart: int) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    onset = charted.at
    points = fed(charted, rows, 4)

    assert not any(firing(points)[0])  # one pane may be a deployment
    assert firing(points)[-1][chart]
    assert not firing(points)[-1][1 - chart]
    assert points[-1].row_since[chart] == onset
    assert points[-1].any_firing


@pytest.mark.parametrize(("rows", "fires"), [(3_000, False), (50_000, True)])
def test_a_batch_that_comes_every_night_is_let_pass(learnt: Reference, rows: int, fires: bool) -> None:
    """In the first hour of every day, thirty times the usual rows for three windows: known to the reference, or far more."""
    calibration = learnt.calibration
    assert calibration is not None
    level = (float(np.log(100)),) * DAY
    rate = ArrivalRate(0.1, DAY, level, (float(np.log(30)), *[0.0] * (DAY - 1)))
    charts = RowCharts(
        Charts(replace(learnt, calibration=replace(calibration, arrival_rate=rate)), BudgetSpec()).design, 12
    )
    for at in range(288):
        start = MONDAY + HOUR + at * WINDOW
        charts.follow(rows if 276 <= at < 280 else 100, start, start + WINDOW)
        assert at >= 276 or not charts.firing.any()

    assert charts.firing[MANY] == fires


@pytest.mark.parametrize("rows", [55, 190])
def test_half_and_twice_the_rows_are_let_pass(learnt: Reference, rows: int) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)

    assert not any(any(one) for one in firing(fed(charted, rows, 200)))


def test_they_come_to_rest(learnt: Reference) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    assert firing(fed(charted, 10, 10))[-1][FEW]
    points = fed(charted, 100, 60)

    assert not any(firing(points)[-1])
    assert not points[-1].row_values.any()


def test_traffic_that_has_grown_for_good_is_the_usual_one_a_day_later(learnt: Reference) -> None:
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    grown = fed(charted, 400, 24 * 12 + LEARNING + 2)

    assert firing(grown)[10][MANY]
    assert firing(grown)[24 * 12 - 10][MANY]
    assert not any(firing(grown)[-1])
    assert grown[-1].usual_rows == pytest.approx(400)


def test_a_second_lack_of_rows_began_when_it_began(learnt: Reference) -> None:
    """Not when the first did."""
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    fed(charted, 10, 10)
    fed(charted, 100, 60)
    onset = charted.at

    assert fed(charted, 10, 4)[-1].row_since[FEW] == onset


def test_silence_is_no_day_of_few_rows(learnt: Reference) -> None:
    """Thirty hours without a row: what fired before still does, and so few are not the usual ones."""
    charted = Charted(learnt)
    fed(charted, 100, LEARNING + 5)
    onset = charted.at
    fed(charted, 10, 20)
    charted.at += 30 * HOUR
    points = fed(charted, 10, 20)

    assert all(one[FEW] for one in firing(points))
    assert points[-1].row_since[FEW] == onset
    assert points[-1].usual_rows == pytest.approx(100)


# --- blocks of five panes of a minute ---------------------------------------------------------------------------------


def minutes(learnt: Reference, rows: list[int]) -> list[ChartPoint]:
    """What charts say whose panes have so many rows; none come where there are none."""
    charts, rng = Charted(learnt, length=MINUTE, pane_ns=MINUTE).charts, seeded()
    found: list[ChartPoint] = []
    for number, count in enumerate(rows):
        if count:
            tally = pane(learnt, {"x": rng.normal(size=count)}).tally()
            found += charts.update(tally, MONDAY + number * MINUTE, MONDAY + (number + 1) * MINUTE)
    return found


@pytest.mark.parametrize("at", [0, 2, 4])
def test_panes_without_rows_are_time_too(learnt: Reference, at: int) -> None:
    """As many rows a block as ever, all of them in one minute."""
    bursts = [100 if place == at else 0 for place in range(5)]
    points = minutes(learnt, [20] * 5 * (LEARNING + 5) + bursts * 20)

    assert len(points) >= LEARNING + 24
    assert not any(any(one) for one in firing(points))


def test_one_minute_of_five_has_too_few_rows(learnt: Reference) -> None:
    assert firing(minutes(learnt, [20] * 5 * (LEARNING + 5) + [0, 0, 0, 0, 20] * 10))[-1][FEW]


@pytest.mark.parametrize("late", [1, 4])
def test_a_beginning_in_the_middle_of_a_block_is_judged_by_what_was_seen(learnt: Reference, late: int) -> None:
    points = minutes(learnt, [0] * late + [20] * (5 * (LEARNING + 5) - late))

    assert points[0].rows == 20 * (5 - late)
    assert points[-1].usual_rows == pytest.approx(100)
    assert not any(any(one) for one in firing(points))


def test_hours_without_a_row_stand_still(learnt: Reference) -> None:
    some = [20] * 5 * (LEARNING + 5)
    points = minutes(learnt, some + [0] * 360 + some)

    assert len(points) == 2 * (LEARNING + 5)
    assert not any(point.row_values.any() for point in points)
