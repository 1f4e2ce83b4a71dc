"""What a reference says against itself."""

import numpy as np
import pytest

from detectors.calibration.changes import largest_step
from tests.charted import seeded

DAY = 288  # windows of five minutes
WINDOWS = 7 * DAY
MANY = 300


# --- steps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0.3, 0.5, 0.8])
def test_a_step_is_found_where_it_is(place: float) -> None:
    rng, at = seeded(), round(place * WINDOWS)
    series = rng.normal(size=WINDOWS) - (np.arange(WINDOWS) >= at) * 1.0
    found = largest_step(series, 0.01, DAY)

    assert found is not None
    assert abs(found[0] - at) <= 2 * WINDOWS // 24
    assert found[1] == pytest.approx(-1.0, abs=0.3)


def test_chance_has_no_step() -> None:
    rng = seeded()
    found = [largest_step(rng.normal(size=WINDOWS), 0.01, DAY) for _ in range(MANY)]

    assert sum(one is not None for one in found) < MANY * 0.05


def test_levels_of_days_are_no_step() -> None:
    """What comes and goes is slow variation, not a change for good."""
    rng = seeded()
    found = [
        largest_step(rng.normal(size=2 * WINDOWS) + np.repeat(rng.normal(size=14), DAY), 0.01, DAY) for _ in range(MANY)
    ]

    assert sum(one is not None for one in found) < MANY * 0.1


def test_a_constant_has_no_step() -> None:
    assert largest_step(np.ones(WINDOWS), 0.01, DAY) is None
    assert largest_step(np.arange(5.0), 0.01, DAY) is None
