"""What each detector in particular is meant to say."""

import math

import numpy as np
import pytest

from detectors import ChiSquared, DriftScore, Ks, Missing, Psi, Reference, Sketch, Unseen, WindowDetector
from detectors.univariate import volume


def only(detector: WindowDetector, before: object, after: object, **options: object) -> DriftScore:
    """The detector's score of one feature."""
    reference = Reference.fit({"x": before})
    scores = [score for score in reference.compare({"x": after}, **options) if score.detector == detector.name]
    assert len(scores) == 1
    return scores[0]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("field", ["value", "pvalue", "threshold", "detail"])
def test_a_score_never_holds_nan_or_infinity(field: str, number: float) -> None:
    fields = {"details": {"upper": number}} if field == "detail" else {field: number}
    with pytest.raises(ValueError, match=r"age, ks: .* no finite number"):
        DriftScore("age", "ks", **{"value": 0.0, "rows": 1, **fields})


def test_a_score_refuses_negative_rows() -> None:
    with pytest.raises(ValueError, match="rows is -1"):
        DriftScore("age", "ks", None, rows=-1)


def test_ks_of_disjoint_ranges_is_one() -> None:
    score = only(Ks(), np.arange(100.0), np.arange(200.0, 300.0))

    assert score.value == score.details["upper"] == 1.0
    assert score.pvalue < 1e-20


def test_ks_resolution_is_the_largest_share_inside_a_bin() -> None:
    assert only(Ks(), np.arange(3840.0), [1.0]).details["resolution"] == 10 / 3840
    assert only(Ks(), [1.0, 2.0, 2.0], [1.0]).details["resolution"] == 0.0


def test_ks_interval_widens_for_a_value_between_those_of_a_discrete_feature() -> None:
    score = only(Ks(), [1.0, 2.0] * 50, [1.5] * 50)

    assert score.value == 0.5
    assert score.details["upper"] == 0.5  # the gap holds no reference row, so nothing can hide in it


def test_psi_has_ten_bins_near_the_deciles() -> None:
    """Ten equal bins of 100 rows a side would have an expected index of 9 (1/n + 1/m)(1 + 10/2n)."""
    values = np.arange(10_000.0)
    score = only(Psi(), values, values[::10])

    assert score.value < 0.001
    assert score.details["expected"] == pytest.approx(9 * (1 / 1000 + 1 / 10_000) * (1 + 10 / 2000))
    assert score.details["debiased"] == 0.0


def test_psi_takes_the_nine_commonest_categories_and_the_rest() -> None:
    before = [f"c{i}" for i in range(30) for _ in range(100 - i)]
    same_rest = [name.replace("c29", "c28") for name in before]

    assert only(Psi(), before, same_rest).value == 0.0
    assert only(Psi(), before, before).details["expected"] == pytest.approx(9 * (2 / 2565) * (1 + 10 / 5130))


def test_psi_gives_unseen_categories_a_bin_when_there_are_any() -> None:
    before = ["a"] * 60 + ["b"] * 40

    assert only(Psi(), before, before).details["expected"] == pytest.approx(1 * (2 / 100) * (1 + 2 / 200))
    moved = only(Psi(), before, ["a"] * 60 + ["new"] * 40)
    assert moved.details["expected"] == pytest.approx(2 * (2 / 100) * (1 + 3 / 200))
    assert moved.value > 2


def test_psi_of_unchanged_data_has_the_expected_mean_and_its_pvalue_the_stated_size() -> None:
    """2000 windows of 300 rows from the reference's own law; standard errors are 0.0003 and 0.005."""
    rng = np.random.default_rng(11)
    reference = Reference.fit({"x": rng.normal(size=50_000)})
    scores = [Psi().score(reference, window)[0] for window in windows(reference, rng, 2000, 300)]

    mean = np.mean([score.value for score in scores])
    assert mean == pytest.approx(scores[0].details["expected"], rel=0.05)
    assert np.mean([score.pvalue < 0.05 for score in scores]) == pytest.approx(0.05, abs=0.015)


def windows(reference: Reference, rng: np.random.Generator, count: int, rows: int) -> list[Sketch]:
    found = []
    for _ in range(count):
        window = Sketch.empty(reference.layout)
        window.update(*reference.encode({"x": rng.normal(size=rows)}))
        found.append(window)
    return found


def test_chi2_applies_to_categories_and_to_numbers_with_few_values() -> None:
    reference = Reference.fit({"many": np.arange(51), "few": np.arange(51) % 7, "text": ["a"] * 51})

    assert [score.feature for score in ChiSquared().score(reference, reference.sketch)] == ["few", "text"]


def test_chi2_pools_categories_that_hardly_occur() -> None:
    """Of 1000 rows 5 are expected as `rare0`, fewer as the others: those share a cell."""
    before = ["a"] * 9000 + ["b"] * 920 + ["rare0"] * 50 + ["rare1"] * 20 + ["rare2"] * 10
    score = only(ChiSquared(), before, before[::10])

    assert score.details["dof"] == 3


def test_one_unseen_value_is_no_certainty_in_a_long_reference() -> None:
    """Without a floor its expected count of n / (n + m) would make X² about m / n: here 1000."""
    before = ["a"] * 600_000 + ["b"] * 400_000
    after = ["a"] * 600 + ["b"] * 399 + ["new"]

    assert only(ChiSquared(), before, after).pvalue > 0.5
    assert only(Psi(), before, after).pvalue > 0.5


def test_a_window_of_unseen_values_alone_is_certain() -> None:
    for before in (["a"] * 5000, ["a", "b"] * 5000, list("abcdefghijklmnop") * 500):
        for detector in (ChiSquared(), Psi()):
            score = only(detector, before, ["new"] * 500)
            assert score.pvalue < 1e-50
            assert score.value > 1


def test_chi2_of_a_single_category_is_zero() -> None:
    score = only(ChiSquared(), ["a"] * 50, ["a"] * 9)

    assert (score.value, score.pvalue, score.details["dof"]) == (0.0, 1.0, 0)


def test_missing_and_unseen_are_shares_of_all_rows() -> None:
    before, after = [1.0, 2.0, None, 3.0], [None, None, math.inf, 9.0, 1.0, 2.0, 0.0, 3.0]

    gone, strange = only(Missing(), before, after), only(Unseen(), before, after)
    assert (gone.value, gone.details["ratio"], gone.rows, gone.pvalue) == (0.125, 0.375, 8, None)
    assert (strange.value, strange.details["ratio"], strange.rows) == (0.25, 0.25, 8)


def test_volume_is_in_doublings() -> None:
    assert volume.score(100, 100.0).value == 0.0
    assert volume.score(800, 100.0).value == pytest.approx(3.0)
    assert volume.score(100, 800.0).value == pytest.approx(3.0)
    assert volume.score(800, 100.0).details == {"expected_rows": 100.0}
    assert volume.score(800, 100.0).feature == "__volume__"


@pytest.mark.parametrize(("rows", "expected"), [(0, 100.0), (5, None), (5, 0.0), (5, math.nan), (5, math.inf)])
def test_volume_without_a_comparison_is_insufficient(rows: int, expected: float | None) -> None:
    assert volume.score(rows, expected).insufficient
