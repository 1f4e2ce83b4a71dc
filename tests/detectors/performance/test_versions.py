"""Two versions over the same windows: the interval of their difference holds the true one as often as it says, split traffic or shadow."""

import random

import numpy as np
import pytest
from scipy import special, stats

from detectors.performance.intervals import wilson
from detectors.performance.versions import FEWEST_WINDOWS, WindowWorth, difference

FIRST, SECOND, COMMON = 0.90, 0.92, 0.7  # accuracies; what of a row is hard for both versions


def drawn(rng: np.random.Generator, windows: int, rows: int, *, shadow: bool, by: float = SECOND) -> tuple[list, list]:  # type: ignore[type-arg]
    """Accuracies of two versions; of shadow traffic a row that is hard for one is hard for the other."""
    hard = rng.normal(size=(windows, rows))
    other = hard if shadow else rng.normal(size=hard.shape)
    own = np.sqrt(1 - COMMON**2)
    found: tuple[list[WindowWorth], list[WindowWorth]] = ([], [])
    for side, common, accuracy in ((found[0], hard, FIRST), (found[1], other, by)):
        right = (COMMON * common + own * rng.normal(size=hard.shape) < stats.norm.ppf(accuracy)).mean(axis=1)
        side += [WindowWorth(float(each), *wilson(float(each), rows, 0.95), rows) for each in right]
    return found


@pytest.mark.parametrize("shadow", [False, True], ids=["split", "shadow"])
@pytest.mark.parametrize("windows", [1, 4, 12, 30])
def test_the_interval_holds_the_true_difference_as_often_as_it_says(windows: int, *, shadow: bool) -> None:
    """2 400 draws of a nominal 95 %: less than 92 % is six standard errors of chance away; pairs of few windows are wider."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    told = [difference(*drawn(rng, windows, 200, shadow=shadow)).interval for _ in range(2400)]
    held = np.mean([lower <= SECOND - FIRST <= upper for lower, upper in told])

    assert held >= 0.92
    if shadow and windows < FEWEST_WINDOWS:
        assert held >= 0.95


def test_differences_of_windows_are_narrower_where_both_versions_see_the_same_rows() -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    wide, narrow = (
        np.mean(
            [
                upper - lower
                for lower, upper in (difference(*drawn(rng, 20, 300, shadow=each)).interval for _ in range(100))
            ]
        )
        for each in (False, True)
    )

    assert narrow < 0.95 * wide


def test_a_versions_own_interval_holds_its_metric_also_of_many_small_windows() -> None:
    """1000 draws of a nominal 95 %; intervals of single windows, put together, held it in 89 %."""
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    shares = np.random.default_rng(seed).binomial(90, 0.97, (1000, 120)) / 90
    draws = [[WindowWorth(float(each), *wilson(float(each), 90, 0.95), 90) for each in draw] for draw in shares]
    told = [difference(draw, draw).first_interval for draw in draws]

    assert np.mean([lower <= 0.97 <= upper for lower, upper in told]) >= 0.92


def test_of_one_version_twice_the_difference_is_none() -> None:
    windows = [WindowWorth(0.9, 0.88, 0.92, 100)] * 20

    told = difference(windows, windows)

    assert told.value == 0.0
    assert not told.beyond_chance
    assert not told.paired, "windows that never differ say nothing of how much they may"


def test_the_more_metrics_are_compared_the_wider_each_interval() -> None:
    rng = np.random.default_rng(1)
    windows = drawn(rng, 12, 200, shadow=False)
    one, ten = (difference(*windows, tests=tests).interval for tests in (1, 10))

    assert ten[0] < one[0] < one[1] < ten[1]
    reach = (ten[1] - ten[0]) / (one[1] - one[0])
    assert reach == pytest.approx(special.stdtrit(11, 0.9975) / special.stdtrit(11, 0.975))


def test_a_window_counts_by_the_rows_that_both_have() -> None:
    large, small = WindowWorth(0.9, 0.89, 0.91, 10_000), WindowWorth(0.5, 0.2, 0.8, 10)

    told = difference([large, large], [large, small])

    assert abs(told.value) < 0.01


@pytest.mark.parametrize(("first", "second"), [(0, 0), (2, 3)])
def test_windows_that_are_no_pairs_are_refused(first: int, second: int) -> None:
    window = WindowWorth(0.9, 0.8, 0.95, 10)

    with pytest.raises(ValueError, match="cannot be compared"):
        difference([window] * first, [window] * second)
