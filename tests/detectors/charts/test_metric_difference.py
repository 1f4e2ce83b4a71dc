"""The chart of what labels say less what was expected: no page without concept drift, whatever is shared by all windows."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import poisson

from detectors.charts.metric_bounds import BoundDesign, BoundEvidence
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
    assert np.mean(waits) <= 6


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
