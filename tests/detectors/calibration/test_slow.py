"""Levels that stay for hours or a day: known from as many days as there are, whatever the number of windows."""

import numpy as np
import pytest
from scipy import stats

from detectors.calibration.slow import DAY_NS, HOUR_NS, Level, chance_of_a_draw, moderated, nested
from detectors.features import Floats, Ints
from tests.charted import MONDAY, seeded

DAYS = 14


def times(window_ns: int = HOUR_NS, days: int = DAYS) -> Ints:
    return MONDAY + window_ns // 2 + np.arange(days * DAY_NS // window_ns, dtype=np.int64) * window_ns


def level(series: Floats, window_ns: int = HOUR_NS, alone: float = 1.0, turns: float = 0.0) -> Level:
    return nested(
        series, alone, times(window_ns, series.shape[0] * window_ns // DAY_NS), window_ns, turns=turns, weekly=False
    )


def of_days(rng: np.random.Generator, sd: float, window_ns: int = HOUR_NS, days: int = DAYS) -> Floats:
    each = DAY_NS // window_ns
    return rng.normal(size=days * each) + np.repeat(rng.normal(0, sd, days), each)


@pytest.mark.parametrize("window_ns", [HOUR_NS // 12, HOUR_NS, 3 * HOUR_NS])
def test_chance_is_no_level(window_ns: int) -> None:
    rng = seeded()
    found = [level(rng.normal(size=DAYS * DAY_NS // window_ns), window_ns) for _ in range(200)]

    assert np.mean([one.variance == 0 for one in found]) > 0.95


@pytest.mark.parametrize("window_ns", [HOUR_NS // 12, HOUR_NS, 3 * HOUR_NS, DAY_NS])
def test_what_differs_between_days_is_known_from_the_days(window_ns: int) -> None:
    rng = seeded()
    found = [level(of_days(rng, 3.0, window_ns), window_ns) for _ in range(100)]

    assert np.mean([one.variance for one in found]) == pytest.approx(9.0, rel=0.3)
    assert 8 < np.median([one.dof for one in found]) < 15
    assert {round(one.draws) for one in found if one.draws < 40}  # a draw a day


def test_levels_of_hours_are_many_and_known_well() -> None:
    rng = seeded()
    found = [level(rng.normal(size=DAYS * 24) + np.repeat(rng.normal(0, 3.0, DAYS * 8), 3)) for _ in range(50)]

    assert np.mean([one.variance for one in found]) == pytest.approx(9.0, rel=0.2)
    assert np.median([one.dof for one in found]) > 40
    assert np.median([one.draws for one in found]) > 150


def test_a_bound_covers_the_next_draw_as_often_as_it_says() -> None:
    """With the days that there are: Student's t, not the normal law."""
    rng, chance = seeded(), 0.02
    drawn = [(rng.normal(0, 3.0), level(of_days(rng, 3.0))) for _ in range(3000)]
    beyond = np.mean([draw**2 > each.most(chance) for draw, each in drawn])

    assert chance / 3 < beyond < 2 * chance
    assert stats.t.isf(chance / 2, 13) ** 2 == pytest.approx(Level(1.0, 13.0).most(chance))


def test_squares_of_several_columns_know_their_degrees_of_freedom() -> None:
    """Nine columns that move along one direction are one degree; nine that move by themselves are nine."""
    rng = seeded()
    along = rng.normal(size=9)
    noise, days = rng.normal(size=(DAYS * 24, 9)), rng.normal(size=(DAYS, 9))
    one = nested(noise + np.repeat(3 * days[:, :1] * along, 24, axis=0), 9.0, times(), HOUR_NS, turns=0, weekly=False)
    nine = nested(noise + np.repeat(3 * days, 24, axis=0), 9.0, times(), HOUR_NS, turns=0, weekly=False)

    assert one.shape < 1.5
    assert nine.shape > 2.5


def test_features_lend_each_other_what_they_know() -> None:
    rng = seeded()
    alone = [[level(of_days(rng, 3.0)) for _ in range(25)] for _ in range(10)]
    lent = [moderated(model) for model in alone]

    def spread(models: list[list[Level]]) -> float:
        return float(np.mean([np.std([one.variance for one in model]) for model in models]))

    assert np.median([one.dof for model in lent for one in model]) > 20
    assert spread(lent) < 0.7 * spread(alone)


def test_a_feature_that_varies_more_keeps_its_own() -> None:
    rng = seeded()
    *_, wild = moderated([*(level(of_days(rng, 1.0)) for _ in range(25)), level(of_days(rng, 12.0))])

    assert wild.variance > 30
    assert wild.dof < 15


def test_features_that_move_together_know_no_more_than_one() -> None:
    rng = seeded()
    days = np.repeat(rng.normal(0, 3.0, DAYS), 24)
    found = moderated([level(days + rng.normal(size=days.size)) for _ in range(25)])

    assert all(one.dof < 20 for one in found)


def test_days_that_resemble_the_day_before_are_fewer() -> None:
    rng = seeded()

    def wandering() -> Floats:
        days = np.zeros(28)
        for at in range(1, 28):
            days[at] = 0.8 * days[at - 1] + rng.normal(0, 3.0)
        return np.repeat(days, 24) + rng.normal(size=28 * 24)

    alone = [level(wandering()) for _ in range(25)]
    found = moderated([*alone])

    assert np.mean([one.variance for one in found]) > np.mean([one.variance for one in alone])


def test_few_days_say_nothing_of_days() -> None:
    assert level(of_days(seeded(), 3.0, days=2)).dof < 1000
    assert nested(np.empty(0), 1.0, np.empty(0, dtype=np.int64), HOUR_NS, turns=0, weekly=False) == Level()
    assert Level().most(0.01) == 0.0


def test_the_budget_is_shared_by_draws_and_levels() -> None:
    assert chance_of_a_draw(1.0, 30.0, 10) == pytest.approx(1 / 300)
    assert chance_of_a_draw(1e9, 30.0, 10) == 0.05
