"""What a pane's cells say is standard normal, and independent, where nothing has changed."""

import numpy as np
import pytest
from scipy import stats

from detectors.calibration.components import chi2_deviate, chi2_quantile, normal_quantile, normal_scores, straightened
from detectors.features import Floats
from tests.charted import seeded

EVEN = np.full(16, 1 / 16)
TIED = np.array([0.7, 0.1, 0.1, 0.05, 0.05])  # seven in ten are zero
LOPSIDED = np.array([0.001, 0.009, 0.09, 0.3, 0.6])
SHARES = [EVEN, TIED, LOPSIDED, np.array([0.5, 0.2, 0.3])]


def scores_of(shares: Floats) -> Floats:
    return normal_scores(shares[None], np.array([shares.size]), 1)[0]


@pytest.mark.parametrize("shares", SHARES)
def test_scores_have_mean_nought_and_variance_one_and_are_orthogonal(shares: Floats) -> None:
    scores = scores_of(shares)

    assert shares @ scores == pytest.approx([0, 0], abs=1e-9)
    assert (scores.T * shares) @ scores == pytest.approx(np.eye(2), abs=1e-6)


def test_location_rises_with_the_value() -> None:
    for shares in SHARES:
        assert (np.diff(scores_of(shares)[:, 0]) > 0).all()


@pytest.mark.parametrize("shift", [0.1, 0.25])
def test_location_measures_a_shift_of_a_normal_number_in_sigma(shift: float) -> None:
    rungs = stats.norm.ppf(np.arange(1, 16) / 16)
    moved = np.diff(stats.norm.cdf(rungs - shift), prepend=0, append=1)

    assert moved @ scores_of(EVEN)[:, 0] == pytest.approx(shift, rel=0.03)
    assert abs(moved @ scores_of(EVEN)[:, 1]) < shift / 5


def test_scale_measures_a_stretch_times_the_root_of_two() -> None:
    rungs = stats.norm.ppf(np.arange(1, 16) / 16)
    stretched = np.diff(stats.norm.cdf(rungs / 1.05), prepend=0, append=1)

    assert stretched @ scores_of(EVEN)[:, 1] / np.sqrt(2) == pytest.approx(0.05, rel=0.2)
    assert abs(stretched @ scores_of(EVEN)[:, 0]) < 1e-9


@pytest.mark.parametrize("shares", SHARES)
def test_a_windows_scores_vary_as_promised(shares: Floats) -> None:
    rows, windows = 400, 20_000
    counts = seeded().multinomial(rows, shares, size=windows)
    u = (counts / rows - shares) @ scores_of(shares) * np.sqrt(rows)

    assert np.abs(u.mean(axis=0)).max() < 0.05
    assert u.std(axis=0) == pytest.approx([1, 1], abs=0.05)
    assert abs(np.corrcoef(u.T)[0, 1]) < 0.05


def test_what_cannot_have_scores_has_none() -> None:
    shares = np.array([[1.0, 0, 0], [0.5, 0.5, 0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]])
    scores = normal_scores(shares, np.array([1, 2, 3, 3]), numeric=3)

    assert not scores[0].any()  # a constant
    assert scores[1, :2, 0] == pytest.approx([-1, 1])
    assert not scores[1, :, 1].any()  # two cells: location has said all
    assert scores[2].all()
    assert not scores[3].any()  # categories have no order
    assert np.isfinite(scores).all()


def test_empty_cells_do_no_harm() -> None:
    scores = scores_of(np.array([0.0, 0.5, 0.0, 0.5, 0.0]))

    assert np.isfinite(scores).all()


# --- deviates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dof", [1.0, 3.0, 13.0, 40.0])
@pytest.mark.parametrize("noncentral", [0.0, 1.0, 10.0, 300.0])
@pytest.mark.parametrize(("z", "below"), [(1.0, 0.1), (2.0, 0.1), (4.0, 0.3), (6.0, 0.6)])
def test_a_chi_square_deviate_is_that_of_its_tail(dof: float, noncentral: float, z: float, below: float) -> None:
    """A little less than it should be costs some delay; more would cost the budget."""
    tail = stats.norm.sf(z)
    statistic = stats.ncx2.isf(tail, dof, noncentral) if noncentral else stats.chi2.isf(tail, dof)
    found = chi2_deviate(np.array([statistic]), np.array([dof]), np.array([noncentral]))[0]

    assert z - below < found < z + 0.05


def test_no_statistic_is_no_evidence_and_no_nan() -> None:
    found = chi2_deviate(np.zeros(3), np.array([1.0, 13.0, 13.0]), np.array([0.0, 0.0, 1e9]))

    assert np.isfinite(found).all()
    assert (found < 0).all()


@pytest.mark.parametrize("skew", [-0.8, -0.2, 0.0, 0.3, 1.0])
def test_a_skewed_statistic_becomes_normal(skew: float) -> None:
    shape = 1e6 if skew == 0 else 4 / skew**2
    u = np.sign(skew or 1) * stats.gamma.isf(stats.norm.sf([-2.0, 0.0, 1.0, 3.0, 5.0]), shape)
    standardised = (u - np.sign(skew or 1) * shape) / np.sqrt(shape)
    expected = np.sign(skew or 1) * np.array([-2.0, 0.0, 1.0, 3.0, 5.0])
    expected[0] = np.sign(expected[0]) * min(2.0, 1.25 * abs(standardised[0]))  # so far is the short tail stretched

    assert straightened(standardised, np.full(5, skew)) == pytest.approx(expected, abs=0.15)


@pytest.mark.parametrize("skew", [-1.5, -1.0, -0.6, -0.3, 0.3, 0.6, 1.0, 1.5])
def test_a_short_tail_is_hardly_stretched(skew: float) -> None:
    """A skew that outliers have made must not turn two deviations into ten."""
    u = np.linspace(-8, 8, 161)
    z = straightened(u, np.full(161, skew))
    short = u * skew < 0

    assert (np.abs(z[short]) <= np.maximum(1.25 * np.abs(u[short]), abs(skew) / 6) + 1e-12).all()
    assert (np.diff(z) >= 0).all()


def test_quantiles() -> None:
    assert normal_quantile(0.025) == pytest.approx(1.959964)
    assert chi2_quantile(0.05, np.array([1.0, 13.0, 0.0])) == pytest.approx([3.8415, 22.362, 3.8415], abs=1e-3)
