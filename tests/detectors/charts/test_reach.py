"""The smallest shift that is promised within a time is found in about that time."""

import numpy as np
import pytest

from detectors.charts import ChartPlan
from detectors.charts.plan import Plan
from detectors.charts.reach import smallest_shift
from tests.charted import DAY, HOUR, WINDOW, Charted, fitted, mixed, reference, seeded


@pytest.fixture
def rng() -> np.random.Generator:
    """A seed of its own each time."""
    return seeded()


def test_the_shift_named_as_found_within_a_day_is_found_in_about_a_day(rng: np.random.Generator) -> None:
    """Mean of twelve, in hours."""
    found = fitted(rng, {"x": rng.normal(size=90_000), "y": rng.normal(size=90_000)}, rows=100, window_ns=HOUR)
    assert found.calibration is not None, found.cold
    plan = ChartPlan(step_ns=HOUR)
    shift = float(smallest_shift(Plan(found, found.calibration, plan), DAY)[0])

    delays = []
    for _ in range(12):
        charted = Charted(found, length=HOUR, step_ns=HOUR)
        while len(charted.steps) < 200:
            step = charted.feed({"x": rng.normal(shift, 1, 100), "y": rng.normal(size=100)})
            if step.firing[0].any():
                break
        delays.append(len(charted.steps))

    assert 0.1 < shift < 0.5
    assert 24 / 2 < np.mean(delays) < 24 * 2


def test_what_has_no_location_chart_has_no_smallest_shift(rng: np.random.Generator) -> None:
    found = reference(rng)
    assert found.calibration is not None
    shifts = smallest_shift(Plan(found, found.calibration, ChartPlan(step_ns=WINDOW)), DAY)
    by_name = dict(zip(found.names, shifts.tolist(), strict=False))

    assert by_name.keys() == mixed(rng, 1).keys() - {"plan", "only"}
    assert np.isinf([by_name["constant"], by_name["empty"]]).all()
    assert 0.05 < by_name["normal"] < 1
    assert by_name["normal"] < by_name["holes"] < 1.2 * by_name["normal"] + 0.1


def test_more_time_finds_smaller_shifts(rng: np.random.Generator) -> None:
    found = reference(rng)
    assert found.calibration is not None
    plan = Plan(found, found.calibration, ChartPlan(step_ns=WINDOW))
    hour, day, week = (smallest_shift(plan, within)[0] for within in (HOUR, DAY, 7 * DAY))

    assert week < day < hour
    assert week > 0.05  # the floor
