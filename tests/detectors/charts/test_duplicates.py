"""Rows that repeat an id."""

import numpy as np
import pytest

from detectors import Sketch
from detectors.charts import BudgetSpec, ChartPoint, Charts, FiringReader
from detectors.charts.duplicates import FEATURE, LEARNING, DuplicateChart, DuplicatePoint
from detectors.sketches import IdSample
from detectors.sketches.ids import Ids
from tests.charted import HOUR, mixed, pane, reference, seeded

QUIET = 12


def sample_of(ids: np.ndarray) -> IdSample:
    held = Ids()
    held.update(ids)
    return held.sample


def a_chart() -> DuplicateChart:
    return DuplicateChart(1.0, HOUR, QUIET, 0.005)


def drawn(rng: np.random.Generator, rows: int) -> np.ndarray:
    return rng.integers(1, 2**64, rows, dtype=np.uint64)


def follow(
    chart: DuplicateChart, rng: np.random.Generator, shares: list[float], rows: int = 1000
) -> list[DuplicatePoint]:
    """So many subgroups, each with a share of its rows repeated."""
    points = []
    for number, share in enumerate(shares):
        fresh = drawn(rng, round(rows * (1 - share)))
        again = rng.choice(fresh, rows - fresh.size, replace=fresh.size < rows - fresh.size)
        point, _ = chart.follow(sample_of(np.concatenate([fresh, again])), number * HOUR)
        assert point is not None
        points.append(point)
    return points


def test_every_row_twice_fires_with_the_first_subgroup() -> None:
    points = follow(a_chart(), seeded(), [0.0] * 20 + [0.5])

    assert not any(point.firing for point in points[:-1])
    assert points[-1].firing
    assert (points[-1].usual, points[-1].since) == (0, 20 * HOUR)
    assert points[-1].share == pytest.approx(0.5, abs=0.02)


def test_a_few_points_fire_when_they_have_added_up_and_less_than_the_floor_never() -> None:
    few, hardly = (follow(a_chart(), seeded(), [0.0] * 20 + [share] * 40, rows=3000) for share in (0.03, 0.002))

    assert any(point.firing for point in few)
    assert not any(point.firing for point in hardly)


def test_a_share_that_is_usual_here_is_none_of_news_and_a_larger_one_is() -> None:
    usual = follow(a_chart(), seeded(), [0.4] * 60)
    more = follow(a_chart(), seeded(), [0.2] * 20 + [0.6])

    assert not any(point.firing for point in usual)
    assert usual[-1].usual == pytest.approx(0.4, abs=0.05)
    assert more[-1].firing


def test_nothing_is_judged_while_the_usual_share_is_learnt() -> None:
    points = follow(a_chart(), seeded(), [0.5] * LEARNING)

    assert not any(point.firing for point in points)
    assert points[-2].usual is None


def test_it_recovers_when_nothing_is_repeated_any_more() -> None:
    points = follow(a_chart(), seeded(), [0.0] * 20 + [0.5] * 5 + [0.0] * 20)

    assert points[24].firing
    assert not points[-1].firing


def test_what_lasts_for_a_day_is_learnt_anew() -> None:
    points = follow(a_chart(), seeded(), [0.0] * 20 + [0.5] * 60)

    assert points[20].firing
    assert not points[-1].firing
    assert points[-1].usual == pytest.approx(0.5, abs=0.05)


def test_the_hour_before_sent_again_as_new_is_duplicates() -> None:
    rng, chart = seeded(), a_chart()
    hours = [drawn(rng, 1000) for _ in range(20)]
    for number, ids in enumerate(hours):
        point, worth = chart.follow(sample_of(ids), number * HOUR)
        assert point is not None
        assert (point.firing, worth) == (False, 1)
    point, _ = chart.follow(sample_of(np.concatenate([hours[-1], drawn(rng, 1000)])), 20 * HOUR)

    assert point is not None
    assert point.firing
    assert point.share == pytest.approx(0.5, abs=0.12)


def test_one_id_that_stands_for_none_is_one_matter_however_often_it_comes() -> None:
    """A hundredth of the rows say `unknown`; the id may be among those sampled."""
    rng, chart = seeded(), a_chart()
    same = np.full(100, 7, dtype=np.uint64)
    for number in range(20):
        chart.follow(sample_of(drawn(rng, 10_000)), number * HOUR)
    point, _ = chart.follow(sample_of(np.concatenate([drawn(rng, 9900), same])), 20 * HOUR)

    assert point is not None
    assert not point.firing


def test_an_alarm_ends_a_day_after_the_last_id() -> None:
    rng, chart = seeded(), a_chart()
    for at in range(LEARNING):
        chart.follow(sample_of(drawn(rng, 1000)), at * HOUR)
    chart.follow(sample_of(np.repeat(drawn(rng, 500), 2)), LEARNING * HOUR)
    assert chart.firing[0]
    points = [chart.follow(None, (LEARNING + 1 + at) * HOUR)[0] for at in range(25)]

    assert [point is not None and point.firing for point in points[:23]] == [True] * 23
    assert points[-1] is None


def test_rows_without_ids_leave_it_as_it_is() -> None:
    chart = a_chart()
    fired = follow(chart, seeded(), [0.0] * 20 + [0.5])[-1]
    point, worth = chart.follow(None, 21 * HOUR)

    assert point is not None
    assert (point.firing, point.since, worth) == (True, fired.since, 1)
    assert a_chart().follow(None, 0) == (None, 1)


def with_ids(sketch: Sketch, ids: np.ndarray) -> Sketch:
    sketch.identify(ids)
    return sketch


def charts_of(rng: np.random.Generator) -> Charts:
    return Charts(reference(rng), BudgetSpec())


def subgroup(charts: Charts, rng: np.random.Generator, number: int, *, copies: int = 1, rows: int = 1000) -> ChartPoint:
    table = {name: np.tile(column, copies) for name, column in mixed(rng, rows).items()}
    sketch = with_ids(pane(charts.reference, table), np.tile(drawn(rng, rows), copies))
    length = charts.design.subgroup_ns
    [point] = charts.update(sketch.tally(), number * length, (number + 1) * length)
    return point


def test_duplicates_stand_first_and_no_feature_is_blamed_for_them() -> None:
    rng = seeded()
    charts = charts_of(rng)
    for number in range(20):
        subgroup(charts, rng, number)
    points = [subgroup(charts, rng, number, copies=4) for number in range(20, 44)]

    assert points[0].duplicates is not None
    assert points[0].duplicates.firing
    for point in points:
        found = FiringReader.of(charts.design).read(point)
        assert not found or found[0].feature == FEATURE
        assert not point.firing.any()


def test_charts_that_were_saved_go_on_bit_for_bit_with_their_ids() -> None:
    rng = seeded()
    charts = charts_of(rng)
    for number in range(20):
        subgroup(charts, rng, number, copies=1 + (number > 15))
    half = charts.design.subgroup_ns // 2
    table = mixed(rng, 500)
    first = with_ids(pane(charts.reference, table), drawn(rng, 500))
    charts.update(first.tally(), 20 * 2 * half, 20 * 2 * half + half)
    fresh = Charts(charts.reference, BudgetSpec())
    fresh.restore(charts.to_bytes())

    rest = [each.update(first.tally(), 41 * half, 42 * half)[0].duplicates for each in (charts, fresh)]
    assert rest[0] == rest[1]
    assert charts.to_bytes() == fresh.to_bytes()
