"""Thresholds follow from the budget in closed form, and hold it."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detectors.charts.budget import (
    MONTH_NS,
    Budget,
    BudgetError,
    adwin_delta,
    gaussian_arl,
    gaussian_threshold,
    points_per_month,
    ratio_threshold,
)
from detectors.features import Floats
from tests.charted import DAY, HOUR, SECOND, WINDOW, seeded


@pytest.mark.parametrize(
    ("features", "step", "expected"),
    [
        (10, WINDOW, 11.1),
        (50, WINDOW, 12.7),
        (200, WINDOW, 14.1),
        (1000, WINDOW, 15.7),
        (200, HOUR, 11.6),
        (200, DAY, 8.5),
    ],
)
def test_the_threshold_of_one_page_a_month(features: int, step: int, expected: float) -> None:
    """Five charts a feature; the figures were worked out apart from this code."""
    assert gaussian_threshold(Budget(1.0, 5 * features, step).arl) == pytest.approx(expected, abs=0.06)


def test_ten_times_fewer_pages_cost_little() -> None:
    """Which is why one can promise: ln 10 on a threshold of fourteen."""
    assert gaussian_threshold(1e7) - gaussian_threshold(1e6) == pytest.approx(np.log(10), abs=0.01)


def run_length(increments: Floats, threshold: float) -> float:
    """Mean steps between alarms of many charts side by side, float64[steps, charts], each beginning anew when it alarms."""
    sums, alarms = np.zeros(increments.shape[1]), 0
    for step in increments:
        sums = np.maximum(sums + step, 0.0)
        over = sums >= threshold
        alarms += int(over.sum())
        sums[over] = 0.0
    return increments.size / alarms


@pytest.mark.parametrize("arl", [50.0, 300.0])
def test_sums_of_normal_steps_err_as_often_as_promised(arl: float) -> None:
    steps = seeded().normal(size=(5_000, 1_000)) - 0.5

    assert 1 / 1.25 < run_length(steps, gaussian_threshold(arl)) / arl < 1.25


@pytest.mark.parametrize("odds", [1.3, 3.0, 10.0])
def test_sums_of_log_likelihood_ratios_err_no_more_often_than_promised(odds: float) -> None:
    share, rows, arl = 0.01, 300, 100.0
    events = seeded().binomial(rows, share, size=(3_000, 1_000))
    ratios = events * np.log(odds) - rows * np.log1p(share * (odds - 1))

    assert run_length(ratios, ratio_threshold(arl)) > arl


@given(st.floats(20, 1e12), st.floats(0.1, 2))
def test_threshold_and_run_length_are_the_same_formula(arl: float, drift: float) -> None:
    assert gaussian_arl(gaussian_threshold(arl, drift), drift) == pytest.approx(arl, rel=1e-6)


def test_a_month_has_thirty_days() -> None:
    assert points_per_month(WINDOW) == 8640
    assert MONTH_NS == 30 * DAY


def test_charts_share_the_budget() -> None:
    assert Budget(2.0, 1000, WINDOW).arl == 1000 * 8640 / 2


@pytest.mark.parametrize("per_month", [1e6, 500.0, 1e-8, 0.0])
def test_a_budget_that_cannot_be_held_is_refused_in_one_line(per_month: float) -> None:
    with pytest.raises(
        BudgetError, match=r"^false_alarms_per_month .* cannot be held by 5 charts of 720 points a month"
    ):
        Budget(per_month, 5, HOUR)


@given(st.integers(1, 10_000), st.integers(SECOND, MONTH_NS // 25), st.sampled_from([1e15, 1e-300]))
def test_the_budget_named_instead_can_be_held(charts: int, step: int, per_month: float) -> None:
    with pytest.raises(BudgetError) as refused:
        Budget(per_month, charts, step)
    reachable = re.search(r"; (\S+) can$", str(refused.value))
    assert reachable

    assert Budget(float(reachable[1]), charts, step).arl > 0


@pytest.mark.parametrize(("charts", "step"), [(0, WINDOW), (5, 0)])
def test_nothing_to_share_it_among(charts: int, step: int) -> None:
    with pytest.raises(ValueError, match="at least one chart"):
        Budget(1.0, charts, step)


@given(st.integers(0, 10_000), st.floats(1e-6, 1e6))
def test_adwin_is_as_sure_as_the_budget_asks(features: int, per_month: float) -> None:
    delta = adwin_delta(per_month, features, WINDOW)

    assert 0 < delta < 1
    assert adwin_delta(per_month, features + 1, WINDOW) <= delta <= adwin_delta(per_month * 2, features, WINDOW)
