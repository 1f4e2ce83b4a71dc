"""How rates vary in the reference's own windows: rows that come together, days that differ, storms."""

import numpy as np
import pytest

from detectors.calibration.rates import RateVariation, RateWindows, discount, vary
from detectors.features import Floats
from tests.charted import HOUR, MONDAY, seeded

WINDOWS, ROWS, SHARE = 24 * 28, 1_000, 0.02


def varied(events: Floats, rows: int = ROWS) -> RateVariation:
    shape = (events.size, 1)
    middles = MONDAY + np.arange(events.size, dtype=np.int64) * HOUR
    share = events.sum() / (rows * events.size)
    [found] = vary(RateWindows(events[:, None], np.full(shape, float(rows)), np.full(shape, share), middles, 20))
    return found


def test_independent_rows_vary_as_they_should() -> None:
    found = varied(seeded().binomial(ROWS, SHARE, WINDOWS).astype(np.float64))

    assert 1.0 <= found.dispersion < 1.6
    assert found.rises == found.falls == 0.0


def test_rows_that_come_together_are_dispersed() -> None:
    """Ten at a time."""
    found = varied(10.0 * seeded().binomial(ROWS // 10, SHARE, WINDOWS))

    assert 7 < found.dispersion < 14


@pytest.mark.parametrize("sd", [0.3, 0.6])
def test_days_that_differ_are_allowed_for_with_the_freedom_of_days(sd: float) -> None:
    """Of 28 days; Student's bound at so small a chance is four standard deviations and more."""
    rng = seeded()
    level = np.repeat(np.exp(rng.normal(size=28) * sd), 24)
    found = varied(rng.binomial(ROWS, np.minimum(SHARE * level, 0.5)).astype(np.float64))

    assert found.slow > 2 * sd


def test_storms_of_the_reference_are_room_for_storms() -> None:
    """Five hours each week in which a third of the rows fail."""
    rng = seeded()
    share = np.where(np.arange(WINDOWS) % 168 < 5, 0.3, 0.0002)
    found = varied(rng.binomial(ROWS, share).astype(np.float64))

    assert found.highest > 0.25
    assert found.rises > 0 or found.dispersion > 20


@pytest.mark.parametrize("events", [0.0, float(ROWS)])
def test_what_never_varies_says_so(events: float) -> None:
    assert varied(np.full(WINDOWS, events)) == RateVariation(highest=float(events > 0))


def test_categories_seen_once_say_that_counts_are_too_high() -> None:
    assert discount(np.array([500, 300])) == 0.0
    assert discount(np.array([9, 2, 1, 1])) == 0.5
