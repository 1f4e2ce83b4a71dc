"""How wild the days of many features are: Student's t where two weeks show it, a normal law where they do not."""

import numpy as np
import pytest

from detectors.calibration.student import APART, SCALES, _difference, _of_pairs, _placed, tail_of_days
from detectors.features import Floats
from tests.charted import seeded

WEEKS = np.arange(28) % 7
ALIKE = np.zeros(14, dtype=np.int64)


def tail(days: Floats, weekdays: np.ndarray) -> float:
    law = tail_of_days(list(days), [weekdays] * len(days))
    return np.inf if law is None else law.tail


@pytest.mark.parametrize("weekdays", [WEEKS, ALIKE], ids=["a week's pattern", "one level"])
def test_the_tail_of_many_features_is_known_whatever_their_scales(weekdays: np.ndarray) -> None:
    rng = seeded()
    places, size = rng.normal(size=(60, 7))[:, weekdays], (60, weekdays.size)
    scales = np.exp(rng.normal(size=(60, 1)))
    wild = [tail(scales * (places + rng.standard_t(3, size)), weekdays) for _ in range(5)]
    calm = [tail(scales * (places + rng.normal(size=size)), weekdays) for _ in range(5)]

    assert np.median(wild) < 8
    assert np.median(calm) > 15


def test_place_and_unit_of_the_days_do_not_matter() -> None:
    days = seeded(3).standard_t(3, (20, 14))
    first = tail_of_days(list(days), [ALIKE] * 20)
    again = tail_of_days(list(1e-4 * days + 7.0), [ALIKE] * 20)

    assert first is not None
    assert again is not None
    assert again.tail == pytest.approx(first.tail, rel=1e-3)
    assert again.variances == pytest.approx(first.variances, rel=1e-3)


def test_a_pair_of_days_is_worth_the_same_as_by_its_difference() -> None:
    """The place of two days integrated out is the density of their difference."""
    assert np.exp(_difference(3.0))[0] == pytest.approx(5 / (4 * np.pi * np.sqrt(3)), rel=1e-3)  # of a t with 3 squared
    assert np.all(np.diff(_difference(3.0)) < 0)
    assert APART[-1] > 1000
    whole = SCALES > 0.4  # finer scales fall between the places
    assert _placed(np.array([-0.7, 0.7]), 4.0)[whole] == pytest.approx(_of_pairs(np.array([1.4]), 4.0)[whole], abs=0.02)


def test_few_days_say_nothing() -> None:
    assert tail_of_days([np.arange(5.0)], [np.zeros(5, dtype=np.int64)]) is None
    assert tail_of_days([], []) is None
