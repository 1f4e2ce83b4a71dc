"""Two windows on layouts of their own: never farther apart than their values are, and as far as bins can tell."""

import random

import numpy as np
import pytest
from scipy import stats

from detectors import Reference
from detectors.distribution.apart import Apart, apart
from detectors.encoding import window_of


def between(first: np.ndarray, second: np.ndarray, one: np.ndarray, two: np.ndarray) -> Apart:  # type: ignore[type-arg]
    """Values on the layouts of two references."""
    parts = []
    for known, values in ((first, one), (second, two)):
        reference = Reference.fit({"x": known})
        layout = reference.layout
        counts = window_of(layout, {"x": values}, None).tally().counts
        parts += [layout.features[0], counts]
    found = apart(*parts)
    assert found is not None
    return found


@pytest.mark.parametrize("shift", [0.0, 0.3, 2.0])
def test_a_distance_of_numbers_is_never_above_that_of_the_values_and_near_it(shift: float) -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    one, two = rng.normal(size=2000), rng.normal(shift, 1.0, size=1500)

    found = between(rng.normal(size=5000), rng.normal(1.0, 2.0, size=4000), one, two)

    exact = stats.ks_2samp(one, two).statistic
    assert found.value <= exact + 1e-12
    assert found.value >= exact - 0.03
    assert found.rows == (2000, 1500)


def test_of_one_source_a_difference_is_as_seldom_as_its_p_value_says() -> None:
    seed = random.getrandbits(32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    fits = rng.normal(size=2000), rng.normal(0.2, 1.1, size=2000)
    small = [between(*fits, rng.normal(size=500), rng.normal(size=500)).pvalue < 0.05 for _ in range(200)]

    assert np.mean(small) < 0.12


def test_the_distance_of_one_window_to_itself_is_none() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=500)

    assert between(rng.normal(size=900), rng.normal(3, 1, size=900), values, values).value == 0.0


def test_categories_that_one_does_not_know_are_taken_as_one() -> None:
    first = np.array(["a"] * 50 + ["b"] * 50), np.array(["a"] * 50 + ["c"] * 50)

    same = between(first[0], first[1], np.array(["a"] * 90 + ["b"] * 10), np.array(["a"] * 90 + ["c"] * 10))
    other = between(first[0], first[1], np.array(["a"] * 90 + ["b"] * 10), np.array(["a"] * 50 + ["c"] * 50))

    assert (same.measure, same.value, same.pvalue) == ("tv", 0.0, 1.0)
    assert other.value == pytest.approx(0.4)
    assert other.pvalue < 1e-6


def test_a_number_and_a_category_cannot_be_held_against_each_other() -> None:
    layouts = [Reference.fit({"x": values}).layout for values in ([1.0, 2.0, 3.0], ["a", "b", "a"])]
    counts = [np.zeros(layout.size, dtype=np.int64) for layout in layouts]

    assert apart(layouts[0].features[0], counts[0], layouts[1].features[0], counts[1]) is None
    assert apart(layouts[0].features[0], counts[0], layouts[0].features[0], counts[0]) is None, "no value at all"
