"""How a statistic varies from window to window: chance is left alone, what depends on its neighbour is not."""

import numpy as np
import pytest
from scipy import signal, stats

from detectors.calibration.slow import nested
from detectors.calibration.variation import quick_sd, t_quantile
from detectors.features import Floats
from tests.charted import seeded

DAY = 288
WINDOWS = 7 * DAY
MANY = 300


def dependent(rng: np.random.Generator, phi: float, size: int = WINDOWS) -> Floats:
    """A stationary series of variance one, each value leaning on the one before."""
    found = signal.lfilter([np.sqrt(1 - phi**2)], [1, -phi], rng.normal(size=size + 200))
    return np.asarray(found[200:])


def test_chance_is_taken_for_chance() -> None:
    rng = seeded()
    found = [quick_sd(rng.normal(size=WINDOWS)) for _ in range(MANY)]

    assert np.mean(np.array(found) == 1.0) > 0.9


@pytest.mark.parametrize("size", [100, 300, WINDOWS])
def test_what_varies_more_is_measured_and_not_underestimated(size: int) -> None:
    rng = seeded()
    found = np.array([quick_sd(1.5 * rng.normal(size=size)) for _ in range(MANY)])

    assert 1.45 < np.median(found) < 2.1
    assert np.mean(found < 1.35) < 0.1


def test_what_depends_on_its_neighbour_varies_more_in_blocks() -> None:
    """Sums over blocks grow by (1 + phi) / (1 - phi) in the long run: 2 for a half; six windows are nearly there."""
    rng = seeded()
    found = np.median([quick_sd(dependent(rng, 0.5)) for _ in range(90)])

    assert 1.4 < found < 1.9


def test_a_steady_statistic_counts_as_much_as_its_unit() -> None:
    assert quick_sd(np.zeros(WINDOWS)) == 1.0
    assert quick_sd(np.zeros(WINDOWS), unit=0.05) == 0.05
    assert quick_sd(np.zeros(3)) == 1.0


@pytest.mark.parametrize("size", [0, 1, 2])
def test_few_or_no_windows_say_nothing(size: int) -> None:
    assert quick_sd(np.ones(size), unit=0.5) == 0.5


def test_slow_variation_is_found_apart_from_the_quick() -> None:
    """Levels of hours, sd 0.5, among noise of sd 1: the quick part is hardly touched."""
    rng = seeded()
    series = rng.normal(size=WINDOWS) + np.repeat(0.5 * rng.normal(size=WINDOWS // 36), 36)
    quick = quick_sd(series)

    assert quick < 1.25  # 1.18 at most in 400 draws
    times = np.arange(WINDOWS, dtype=np.int64) * 300 * 10**9
    level = nested(series, quick**2, times, 300 * 10**9, turns=0, weekly=False)
    assert level.variance == pytest.approx(0.25, rel=0.9)  # 0.12 to 0.46 in 1500 draws


@pytest.mark.parametrize("dof", [1, 5, 100])
def test_students_t(dof: int) -> None:
    assert t_quantile(0.01, dof) == pytest.approx(stats.t.isf(0.01, dof))
