"""When a chart that fires has recovered: neither at the first quiet pane nor never."""

import numpy as np
import pytest

from detectors.charts.recovery import RateRecovery, Recovery
from detectors.features import Floats
from tests.charted import seeded

PANES = 12


def rested_after(before: Floats, after: Floats) -> int | None:
    """How many panes of `after` it takes; None where it does not recover. Raises where it recovers before."""
    recovery = Recovery((1,), PANES)
    yes = np.ones(1, dtype=np.bool_)
    for z in before:
        assert not recovery.follow(yes, np.array([z]), yes)[0]
    return next((at for at, z in enumerate(after, start=1) if recovery.follow(yes, np.array([z]), yes)[0]), None)


@pytest.mark.parametrize("level", [2.0, 4.0, 8.0, 50.0])
def test_it_rests_soon_after_the_change_has_gone(level: float) -> None:
    rng = seeded()
    found = [rested_after(level + rng.normal(size=40), rng.normal(size=100)) for _ in range(50)]

    assert all(one is not None and one <= 60 for one in found)


@pytest.mark.parametrize("level", [2.0, 4.0, 8.0])
def test_it_is_quiet_for_twelve_panes_first(level: float) -> None:
    assert rested_after(np.full(40, level), np.zeros(100)) >= PANES


@pytest.mark.parametrize("level", [2.5, 4.0, 8.0])
def test_it_does_not_rest_while_the_change_goes_on(level: float) -> None:
    """A day of it, fifty times; a change of 2.5 standard errors may be missed once in ten thousand panes."""
    rng, recovery, fifty = seeded(), Recovery((50,), PANES), np.ones(50, dtype=np.bool_)
    rested = [recovery.follow(fifty, z, fifty) for z in level + rng.normal(size=(288, 50))]

    assert np.any(rested, axis=0).sum() <= 3


def test_a_change_that_comes_and_goes_does_not_rest_between() -> None:
    """On and off each half an hour."""
    waves = np.tile(np.repeat([6.0, 0.0], 6), 40)

    assert rested_after(np.zeros(0), waves) is None


def test_a_change_that_days_move_about_what_is_tolerated_does_not_rest() -> None:
    """Tolerated are 0.4; what lasts is 0.5 on one day and 0.35 on the next."""
    recovery, yes = Recovery((1,), PANES), np.ones(1, dtype=np.bool_)
    days = np.repeat([0.5, 0.35, 0.5, 0.33, 0.36, 0.5], 24)

    assert not any(recovery.follow(yes, np.array([20 * (x - 0.4)]), yes, np.array([x]))[0] for x in days)
    gone = [bool(recovery.follow(yes, np.array([-8.0]), yes, np.array([0.0]))[0]) for _ in range(2 * PANES)]
    assert any(gone)


def test_panes_that_are_not_judged_do_not_count() -> None:
    recovery, yes, no = Recovery((1,), PANES), np.ones(1, dtype=np.bool_), np.zeros(1, dtype=np.bool_)
    for _ in range(10):
        recovery.follow(yes, np.array([5.0]), yes)
    before = recovery.odds.copy(), recovery.quiet.copy(), recovery.level.copy()
    for _ in range(100):
        assert not recovery.follow(yes, np.array([-5.0]), no)[0]

    assert all(
        np.array_equal(one, other)
        for one, other in zip(before, (recovery.odds, recovery.quiet, recovery.level), strict=True)
    )


def test_what_does_not_fire_is_forgotten() -> None:
    recovery = Recovery((2,), PANES)
    both = np.ones(2, dtype=np.bool_)
    recovery.follow(both, np.array([5.0, 5.0]), both)
    recovery.follow(np.array([True, False]), np.array([5.0, 5.0]), both)

    assert recovery.level[0] > 0
    assert not any(array[1] for array in recovery.arrays("rest").values())


# --- rates ------------------------------------------------------------------------------------------------------------

DAY = 288  # panes
YES = np.ones((1, 1), dtype=np.bool_)


def rates(tolerated: float, dispersion: float = 1.0) -> RateRecovery:
    return RateRecovery(np.full((1, 1), tolerated), np.full((1, 1), dispersion), PANES)


def first_recovery(recovery: RateRecovery, rows: int, rate: float, panes: int, rng: np.random.Generator) -> int | None:
    events = rng.binomial(rows, rate, (panes, 1, 1))
    return next((at for at, one in enumerate(events, start=1) if recovery.follow_counts(YES, one, rows)[0, 0]), None)


@pytest.mark.parametrize(("rows", "rate"), [(10, 0.02), (20, 0.01), (30, 0.01), (100, 0.003), (1000, 0.002)])
def test_a_lasting_rise_of_a_rate_does_not_rest_however_few_the_rows(rows: int, rate: float) -> None:
    """Ten days of it, twenty times; a pane's deviate is about 0.1 to 1."""
    rng, twenty = seeded(), np.ones((20, 1), dtype=np.bool_)
    recovery = RateRecovery(np.full((20, 1), 0.0006), np.ones((20, 1)), PANES)
    rested = [recovery.follow_counts(twenty, one, rows) for one in rng.binomial(rows, rate, (10 * DAY, 20, 1))]

    assert np.any(rested, axis=0).sum() <= 5


@pytest.mark.parametrize(
    ("rows", "before", "after", "tolerated", "within"),
    [(1000, 0.05, 0.001, 0.0016, 24), (100, 0.02, 0.0, 0.0006, 60), (20, 0.01, 0.0, 0.0006, 4 * DAY)],
)
def test_a_rate_that_is_as_it_was_rests(rows: int, before: float, after: float, tolerated: float, within: int) -> None:
    rng, recovery = seeded(), rates(tolerated)
    for events in np.diff(np.floor(np.arange(101) * rows * before)):
        assert not recovery.follow_counts(YES, np.full((1, 1), events), rows)[0, 0]
    found = first_recovery(recovery, rows, after, within, rng)

    assert found is not None


def test_rows_that_are_missing_together_are_fewer_to_go_by() -> None:
    rng, once, ten = seeded(), rates(0.001), rates(0.001, dispersion=10.0)
    for recovery in (once, ten):
        first_recovery(recovery, 100, 0.05, 50, rng)

    assert (first_recovery(once, 100, 0.0, DAY, rng) or DAY) < (first_recovery(ten, 100, 0.0, DAY, rng) or DAY)
