"""Excursions that pass by themselves widen what ordinary days may do, those of faults do not."""

from functools import cache

import numpy as np
import pytest

from detectors import Reference
from detectors.charts import BudgetSpec, Charts
from detectors.charts.design import ChartDesign
from detectors.charts.passing import DAY_NS, FAULT, STEP, Passing
from tests.charted import DAY, HOUR, MONDAY, Charted, fitted, seeded

LASTING = 7 * DAY
ROWS = 500
LOCATION = 0


@cache
def unsteady() -> Reference:
    """Two numbers, whose level each day draws anew."""
    rng = np.random.default_rng(8)
    levels = np.repeat(rng.normal(scale=0.1, size=(14, 2)), 24 * ROWS, axis=0)
    table = dict(zip("xy", (levels + rng.normal(size=levels.shape)).T, strict=True))
    return fitted(rng, table, ROWS, HOUR)


def passing(per_month: float = 1.0) -> tuple[Passing, ChartDesign]:
    design = Charts(unsteady(), BudgetSpec(per_month=per_month)).design
    return Passing(design, per_month, LASTING), design


def passes(passing: Passing, times: float, end: int, *, lasted: int = 6 * HOUR, place: int = 0) -> bool:
    """A chart of location comes back, that had gone so many times as far as its bound."""
    recovered = np.zeros((2, 5), dtype=np.bool_)
    recovered[place, LOCATION] = True
    effects = np.zeros((2, 5))
    effects[place, LOCATION] = times * passing._design.bounds[place, 0]
    moved = passing.follow(recovered, np.full((2, 5), end - lasted), effects, end)
    if moved:
        passing._design.widen(passing.widened)
    return moved


def test_the_feature_learns_most_and_all_learn_something() -> None:
    learner, design = passing()
    before = design.slow.copy()
    passes(learner, 1.2, MONDAY)

    assert design.slow[0, 0] / before[0, 0] > 1.2 * design.slow[1, 0] / before[1, 0]
    assert design.slow[1, 0] == pytest.approx(before[1, 0] * np.exp(STEP))


@pytest.mark.parametrize(("times", "lasted"), [(1.01 * FAULT, 6 * HOUR), (1.2, LASTING)], ids=["a fault", "a level"])
def test_faults_and_levels_teach_nothing(times: float, lasted: int) -> None:
    learner, design = passing()
    before = design.slow.copy()
    passes(learner, times, MONDAY, lasted=lasted)

    assert (design.slow == before).all()


def test_no_bound_is_widened_beyond_one_sigma() -> None:
    learner, design = passing()
    for day in range(40):
        passes(learner, 1.2, MONDAY + day * DAY_NS)

    assert design.slow[0, 0] == 1.0
    design.allow(np.array([0]), np.array([[1.4, 1.4, 1.4]]))
    assert design.bounds[0].tolist() == [1.4, 1.4, 1.4]


def test_what_was_learnt_is_forgotten_when_nothing_passes_any_more() -> None:
    learner, design = passing()
    before = design.slow.copy()
    passes(learner, 1.2, MONDAY)
    none = np.zeros((2, 5))
    for day in range(1, 200):
        if learner.follow(none.astype(np.bool_), none.astype(np.int64), none, MONDAY + day * DAY_NS):
            design.widen(learner.widened)

    assert design.slow == pytest.approx(before, rel=0.01)


@pytest.mark.parametrize("budget", [1.0, 4.0])
def test_in_the_long_run_as_many_pass_as_the_budget_says(budget: float) -> None:
    """Days of Student's t with two degrees of freedom, far wilder than any that the reference has shown."""
    rng, (learner, design) = seeded(), passing(budget)
    level, days, pages = design.slow[1, 0] / 3, 6000, 0
    for day in range(days):
        draw = abs(rng.standard_t(2)) * level
        end = MONDAY + day * DAY_NS
        if draw > design.slow[1, 0]:
            pages += 1
            passes(learner, min(draw / design.slow[1, 0], 1.99), end, place=1)
        else:
            nothing = np.zeros((2, 5))
            if learner.follow(nothing.astype(np.bool_), nothing.astype(np.int64), nothing, end):
                design.widen(learner.widened)

    assert pages / (days / 30) <= 1.05 * budget + 0.05


def day_at(charted: Charted, rng: np.random.Generator, level: float) -> bool:
    """A day with the first feature so far from its usual level; whether it fired."""
    fired = False
    for _ in range(24):
        x = rng.normal(size=(2, ROWS)) + np.array([[level], [0.0]])
        fired |= bool(charted.feed(dict(zip("xy", x, strict=True))).firing[0].any())
    return fired


def test_a_day_like_the_one_that_passed_is_not_told_again() -> None:
    rng = seeded()
    charted = Charted(unsteady(), MONDAY + 20 * DAY, HOUR)
    bound = float(charted.charts.design.slow[0, 0])
    first = day_at(charted, rng, 1.25 * bound)
    between = [day_at(charted, rng, 0.0) for _ in range(4)]
    again = day_at(charted, rng, 1.25 * bound)
    [day_at(charted, rng, 0.0) for _ in range(2)]

    assert first
    assert not any(between[2:])
    assert not again
    assert day_at(charted, rng, 6 * bound)


def test_it_goes_on_from_saved_state() -> None:
    rng = seeded()
    charted = Charted(unsteady(), MONDAY + 20 * DAY, HOUR)
    day_at(charted, rng, 1.25 * float(charted.charts.design.slow[0, 0]))
    [day_at(charted, rng, 0.0) for _ in range(3)]
    read = Charts(unsteady(), BudgetSpec())
    read.restore(charted.charts.to_bytes())

    assert charted.charts.passing.common[0] > 0
    assert (read.design.slow == charted.charts.design.slow).all()
