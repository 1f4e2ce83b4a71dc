"""The chart of what labels say less what was expected: no page without concept drift, whatever is shared by all windows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson, skew

from detectors.charts.metric_bounds import BoundDesign, BoundEvidence, MetricBound, Pooled
from detectors.charts.metric_difference import DifferenceReference, MetricDifference, as_measured, difference
from detectors.charts.metric_variation import MetricVariation
from detectors.performance import BinaryCounts, BinaryTask, Measured, Unavailable
from detectors.performance.estimated_scores import ScoreEstimator
from tests.charted import seeded

TASK = BinaryTask()


def drawn(rng: np.random.Generator, rows: int, forgotten: float = 0.0, common: float = 4.0) -> BinaryCounts:
    """Scored rows with labels; this share of what scores mean is `forgotten`, the larger `common` the surer scores are."""
    scores = rng.beta(common, 1.0, rows)
    scores = np.where(rng.random(rows) < 0.5, 1 - scores, scores)
    counts = BinaryCounts.empty(TASK)
    counts.update(rng.random(rows) < scores * (1 - forgotten) + forgotten / 2, scores)
    return counts


def accuracy(counts: BinaryCounts) -> Measured:
    rows = counts.confusion().rows
    return Measured(float(rows.trace() / rows.sum()), int(rows.sum()))


def differences(estimator: ScoreEstimator, windows: Sequence[BinaryCounts]) -> list[MetricDifference]:
    found = (
        difference(accuracy(each), expected, "accuracy")
        for each, expected in zip(windows, estimator.estimate_each(windows), strict=True)
    )
    return [each for each in found if each is not None]


def learnt(rng: np.random.Generator, windows: int, rows: int) -> tuple[ScoreEstimator, DifferenceReference]:
    """A reference of so many windows."""
    parts = [drawn(rng, rows) for _ in range(windows)]
    total = BinaryCounts.empty(TASK)
    for part in parts:
        total.add(part)
    estimator = ScoreEstimator.of_counts(total)
    return estimator, DifferenceReference.of(differences(estimator, parts))


def pages(known: DifferenceReference, windows: Sequence[MetricDifference], arl: float) -> list[int]:
    """The windows in which the chart fires, counted from 1, which then begins anew."""
    evidence, found, bound, design = BoundEvidence(), [], known.bound(), BoundDesign.of(arl)
    for number, each in enumerate(windows, start=1):
        evidence = evidence.plus(bound, as_measured(each, known.shared))
        if evidence.score(design) > 1:
            found.append(number)
            evidence = BoundEvidence()
    return found


@pytest.mark.parametrize("common", [4.0, 1.5])
@pytest.mark.parametrize(("windows", "rows", "live"), [(60, 50, 2000), (60, 300, 300), (200, 100, 1000)])
def test_no_concept_drift_is_no_page_however_few_labelled_rows_the_reference_has(
    common: float, windows: int, rows: int, live: int
) -> None:
    """Neither where scores are less certain than they were, as long as they mean what they meant: a page in 100 windows is the budget."""
    rng, paged, length = seeded(), 0, 60
    for _ in range(20):
        estimator, known = learnt(rng, windows, rows)
        now = differences(estimator, [drawn(rng, live, common=common) for _ in range(length)])
        paged += len(pages(known, now, arl=100.0))
    assert poisson.sf(paged - 1, 20 * length / 100) >= 0.001


def test_a_bound_without_the_error_that_all_windows_share_would_page_for_it() -> None:
    rng, wide, narrow = seeded(), 0, 0
    for _ in range(12):
        estimator, known = learnt(rng, 60, 50)
        now = differences(estimator, [drawn(rng, 20_000) for _ in range(40)])
        wide += len(pages(DifferenceReference(known.error, known.shared, MetricVariation()), now, arl=1000.0))
        alone = [replace(each, shared=0.0) for each in now]
        narrow += len(pages(DifferenceReference(known.error, 0.0, MetricVariation()), alone, arl=1000.0))
    assert narrow > 10 * max(wide, 1)


def test_concept_drift_is_heard_within_a_few_windows() -> None:
    rng, waits = seeded(), []
    for _ in range(6):
        estimator, known = learnt(rng, 100, 300)
        now = differences(estimator, [drawn(rng, 1000, forgotten=0.17) for _ in range(30)])  # accuracy 0.80 to 0.75
        waits += [[*pages(known, now, arl=3000.0), 30][0]]
    assert np.mean(waits) <= 8  # 4.8 on average; six vary by 0.7


@pytest.mark.parametrize("losses", [7, 10, 20])
def test_a_model_that_errs_seldom_pages_no_more_often_than_it_may(losses: int) -> None:
    """Poisson counts of few losses have a longer tail than a normal law."""
    rows, length, arl = 1000, 60_000, 1000.0
    wrong = losses / rows
    chance = wrong * (1 - wrong)
    lopsided = (1 - 2 * chance) / np.sqrt(rows * chance)
    bound, design, evidence, paged = MetricBound(0.0, at_least=True), BoundDesign.of(arl), BoundEvidence(), 0
    windows = [
        as_measured(
            MetricDifference(Measured(1 - count / rows, rows), 1 - wrong, np.sqrt(chance / rows), 0.0, 0.0, lopsided),
            0.0,
        )
        for count in range(losses + 60)
    ]
    for count in seeded().binomial(rows, wrong, length).tolist():
        evidence = evidence.plus(bound, windows[count])
        if evidence.score(design) > 1:
            paged, evidence = paged + 1, BoundEvidence()
    assert poisson.sf(paged - 1, length / arl) >= 1e-6


def test_where_fewer_than_seven_losses_are_expected_there_is_no_difference() -> None:
    rng = seeded()
    scores = rng.choice([0.01, 0.99], 50_000)
    total = BinaryCounts.empty(TASK)
    total.update(rng.random(scores.size) < scores, scores)
    estimator = ScoreEstimator.of_counts(total)
    for rows, told in ((300, 0), (1000, 1)):
        window = BinaryCounts.empty(TASK)
        window.update(rng.random(rows) < scores[:rows], scores[:rows])
        assert len(differences(estimator, [window])) == told


@pytest.mark.parametrize("forgotten", [0.0, 0.5])
def test_the_skew_of_a_difference_is_at_most_what_is_said_of_it(forgotten: float) -> None:
    """Of all metrics: labels are drawn anew for the same scores."""
    rng = seeded()
    scores = np.where(rng.random(2000) < 0.1, rng.beta(6, 2, 2000), rng.beta(1, 30, 2000))
    chances = scores * (1 - forgotten) + forgotten * 0.05
    total = BinaryCounts.empty(TASK)
    for _ in range(100):
        total.update(rng.random(2000) < chances, scores)
    names = "accuracy", "specificity", "auroc"
    drawn_anew: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(400):
        window = BinaryCounts.empty(TASK)
        window.update(rng.random(2000) < chances, scores)
        for name, metric in window.metrics().items():
            if name in drawn_anew and isinstance(metric, Measured):
                drawn_anew[name].append(metric.value)
    one = ScoreEstimator.of_counts(total).estimate(window)
    for name in names:
        assert abs(skew(drawn_anew[name])) <= one.skews[name] + 4 * np.sqrt(6 / 400)


def test_what_was_expected_is_told_as_it_was_without_what_is_added_for_safety() -> None:
    window = MetricDifference(Measured(0.8, 1000), 0.9, 0.01, shared=0.02, reach=0.01)
    seen = Pooled().plus(as_measured(window, 0.0))

    assert seen.value == pytest.approx(-0.1 + 0.06 + 0.01, abs=0.002)
    assert seen.expected == pytest.approx(0.9)
    assert seen.realised is not None
    assert seen.realised.value == pytest.approx(0.8)


def test_what_no_label_says_has_no_difference() -> None:
    rng = seeded()
    low = BinaryCounts.empty(TASK)
    scores = rng.uniform(0.1, 0.5, 5000)
    low.update(rng.random(5000) < scores, scores)
    estimator = ScoreEstimator.of_counts(low)
    high = BinaryCounts.empty(TASK)
    high.update(np.zeros(1000), np.full(1000, 0.9))

    assert differences(estimator, [high]) == []
    assert difference(Unavailable("no row"), estimator.estimate(low), "accuracy") is None
