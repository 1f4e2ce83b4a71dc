"""The reference's own windows put through the charts."""

import numpy as np

from detectors.calibration.replay import replayed
from tests.charted import seeded

CHARTS = 100


def test_windows_that_chance_explains_ask_for_nothing() -> None:
    rng = seeded()
    found = [replayed(rng.normal(size=(336, 2)), rng.normal(size=336), CHARTS) for _ in range(200)]

    assert np.mean([one.caps == (0.0, 0.0, 0.0) and one.wider == (1.0, 1.0, 1.0) for one in found]) > 0.98


def test_a_few_wild_windows_are_capped() -> None:
    """An hour a week that is far off, as a retry storm is."""
    u = seeded().normal(size=(336, 2))
    u[[100, 268], 0] = 25.0
    found = replayed(u, np.zeros(336), CHARTS)

    assert 0 < found.caps[0] <= 3.0
    assert found.caps[1:] == (0.0, 0.0)
    assert found.wider == (1.0, 1.0, 1.0)


def test_what_caps_do_not_help_is_taken_for_wider() -> None:
    u = seeded().normal(size=(336, 2))
    u[100:140, 1] -= 4.0
    found = replayed(u, np.zeros(336), CHARTS)

    assert found.wider[1] > 1.5
    assert found.wider[0] == 1.0
