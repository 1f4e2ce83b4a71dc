"""Days of the week that differ, and seven days that differ by luck."""

import numpy as np
import pytest

from detectors.calibration.season_tests import follows_day, follows_week
from detectors.calibration.slow import HOUR_NS
from detectors.features import Floats, Ints
from tests.charted import MONDAY, seeded

TIMES: Ints = MONDAY + HOUR_NS // 2 + np.arange(14 * 24, dtype=np.int64) * HOUR_NS


def days(of_each: Floats) -> Floats:
    return np.repeat(of_each, 24)


def test_days_that_differ_by_luck_are_no_week() -> None:
    rng = seeded()
    found = [follows_week(days(rng.normal(0, 3, 14)) + rng.normal(size=336), TIMES) for _ in range(300)]

    assert np.mean(found) < 0.08


def test_days_of_the_week_that_differ_are_one() -> None:
    rng = seeded()
    found = [
        follows_week(days(np.tile(rng.normal(0, 10, 7), 2) + rng.normal(0, 1, 14)) + rng.normal(size=336), TIMES)
        for _ in range(50)
    ]

    assert np.mean(found) > 0.9


def test_the_course_of_a_day_may_follow_the_day_of_the_week() -> None:
    rng = seeded()
    weekend = days(np.tile([0, 0, 0, 0, 0, 1, 1], 2).astype(np.float64))
    course = np.tile(np.where(np.arange(24) < 12, -2.0, 2.0), 14)

    assert follows_week(weekend * course + rng.normal(size=336) * 0.5, TIMES)


@pytest.mark.parametrize("sd", [0.0, 5.0])
def test_hours_are_seen_through_days_that_differ(sd: float) -> None:
    rng = seeded()
    wave = 3 * np.sin(2 * np.pi * np.arange(336) / 24)

    assert follows_day(wave + days(rng.normal(0, sd, 14)) + rng.normal(size=336), TIMES)
    assert not follows_day(days(rng.normal(0, sd, 14)) + rng.normal(size=336), TIMES)


def test_less_than_two_weeks_have_no_week() -> None:
    assert not follows_week(np.arange(24.0), TIMES[:24])
    assert not follows_week(np.zeros(336), TIMES)
