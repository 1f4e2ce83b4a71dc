"""Metrics held against a bound, against a reference's windows, and by an e-detector: what they promise, measured."""

import math
from functools import partial

import numpy as np
import pytest
from scipy.signal import lfilter
from scipy.special import ndtr, ndtri

from detectors import BinaryCounts, BinaryTask, LabelColumn, Reference
from detectors.charts.bets import BettingDesign, BettingEvidence, stakes
from detectors.charts.metric_bounds import BoundDesign, BoundEvidence, MetricBound, Pooled
from detectors.charts.metric_reference import MetricReference, measured_windows, reference_windows
from detectors.charts.metric_variation import MetricVariation
from detectors.features import Ints
from detectors.performance import Measured
from detectors.performance.bounded import LossSum
from detectors.performance.intervals import wilson
from tests.build import DAY
from tests.charted import seeded

MONTH = 200  # windows
ARL = MONTH / 0.1  # of one judge of two that share a fifth of a budget of 1 a month


def window(wrong: int, rows: int) -> Measured:
    """A window's accuracy."""
    value = 1 - wrong / rows
    return Measured(value, rows, math.sqrt(value * (1 - value) / rows), wilson(value, rows, 0.95))


def learnt(wrong: Ints, rows: int) -> MetricReference:
    return MetricReference.of([window(n, rows) for n in wrong.tolist()])


def charted(wrong: Ints, rows: int, bound: MetricBound, arl: float = ARL) -> list[int]:
    """The windows in which a chart fires, which then begins anew."""
    evidence, design, fired = BoundEvidence(), BoundDesign.of(arl), []
    for number, each in enumerate(wrong.tolist()):
        evidence = evidence.plus(bound, window(each, rows))
        if evidence.score(design) > 1:
            fired.append(number)
            evidence = BoundEvidence()
    return fired


def betted(wrong: Ints, rows: int, design: BettingDesign) -> list[int]:
    """The windows in which an e-detector fires, which then begins anew."""
    evidence, fired = BettingEvidence(), []
    for number, each in enumerate(wrong.tolist()):
        evidence = evidence.plus(design, window(each, rows), LossSum(each, rows))
        if evidence.score(design) >= 1:
            fired.append(number)
            evidence = BettingEvidence()
    return fired


def dependent(rng: np.random.Generator, windows: int, rows: int, memory: float = 0.9) -> Ints:
    """Wrong rows of windows, one in ten, where each row's loss depends on the one before: a normal autoregression, cut."""
    noise = rng.standard_normal(windows * rows + 200) * math.sqrt(1 - memory**2)
    hidden = lfilter([1.0], [1.0, -memory], noise)[200:]
    return np.asarray((hidden > ndtri(0.9)).reshape(windows, rows).sum(axis=1))


def test_a_bet_wins_nothing_on_average_where_the_loss_is_at_its_limit() -> None:
    won, lost = stakes(0.2)
    assert 0.2 * np.exp(won) + 0.8 * np.exp(lost) == pytest.approx(1.0)
    assert (won > 0).all()


def test_false_alarms_of_an_e_detector_are_rarer_than_its_guarantee_says() -> None:
    """Losses on the limit, once in 20 windows at most; also where each loss depends on all before but for its mean."""
    rng = seeded()
    fair = rng.binomial(30, 0.1, 4000)
    swings = np.where(
        np.arange(30 * 4000).reshape(4000, 30) % 2 == 0, 0.02, 0.1
    )  # below the limit, and unlike each other
    unlike = (rng.random((4000, 30)) < swings).sum(axis=1)

    for wrong in (fair, unlike):
        assert len(betted(wrong, 30, BettingDesign(0.1, 20.0))) <= 4000 / 20 + 4 * math.sqrt(4000 / 20)


@pytest.mark.parametrize("arl", [0.07, 0.9, 1.0, 1.5])
def test_a_budget_beyond_all_sense_is_kept_as_the_charts_keep_it(arl: float) -> None:
    """More than one false alarm in twenty windows has no meaning: evidence is asked for all the same."""
    evidence = BettingEvidence().plus(BettingDesign(0.1, arl), window(3, 30), LossSum(3, 30))

    assert evidence.score(BettingDesign(0.1, arl)) == evidence.score(BettingDesign(0.1, 20.0)) < 1


def test_losses_between_the_ends_win_no_more_than_those_at_the_ends() -> None:
    """By convexity the bets on a sum are the least that any losses of this sum could have won."""
    losses = seeded().random(200) * 0.4
    design = BettingDesign(0.1, 1000.0)
    taken = design.take(np.zeros(stakes(0.1)[0].size), float(losses.sum()), losses.size)
    lost = stakes(0.1)[1]
    bet = (1 - np.exp(lost)) / 0.1
    exact = np.log1p(bet[:, None] * (losses - 0.1)).sum(axis=1) + np.log(2)

    assert (taken <= exact + 1e-9).all()


def test_losses_beyond_zero_and_one_are_refused() -> None:
    with pytest.raises(ValueError, match="beyond"):
        BettingDesign(0.1, 10.0).take(np.zeros(12), 11.0, 10)


@pytest.mark.parametrize("limit", [0.0, 1.0, -0.1, float("nan")])
def test_a_limit_that_is_no_loss_is_refused(limit: float) -> None:
    with pytest.raises(ValueError, match="limit"):
        BettingDesign(limit, 10.0)


@pytest.mark.parametrize("world", ["independent", "dependent"])
def test_false_pages_keep_to_the_budget_against_a_reference_of_a_month(world: str) -> None:
    """Two judges of 0.1 a month each, ten months: two pages are due at most, where losses depend on each other too."""
    rng = seeded()
    pages = 0
    for _ in range(10):
        drawn = dependent(rng, 2 * MONTH, 300) if world == "dependent" else rng.binomial(300, 0.1, 2 * MONTH)
        reference = learnt(drawn[:MONTH], 300)
        pages += len(charted(drawn[MONTH:], 300, reference.bound(at_least=True)))
        pages += len(betted(drawn[MONTH:], 300, reference.bets(float(drawn[:MONTH].mean()) / 300, ARL)))
    assert pages <= 10  # of a Poisson of 2 once in 100 000


@pytest.mark.parametrize("live", [75, 300, 10_000])
@pytest.mark.parametrize("apart", [0.0, 0.007, 0.014])
def test_false_pages_keep_to_the_budget_where_live_windows_have_other_rows(live: int, apart: float) -> None:
    """What windows vary is hidden in the 300 rows of the reference's, and plain in thousands: it is no change."""
    rng = seeded()
    pages = 0
    for _ in range(10):
        before, after = (np.clip(rng.normal(0.1, apart, windows), 0.001, 0.999) for windows in (60, MONTH))
        reference, now = learnt(rng.binomial(300, before), 300), rng.binomial(live, after)
        pages += len(charted(now, live, reference.bound(at_least=True)))
        pages += len(betted(now, live, reference.bets(1 - reference.value, ARL)))
    assert pages <= 10  # of a Poisson of 2 once in 100 000


def ranked(rng: np.random.Generator, rows: int, positives: float) -> Measured:
    """The AUROC of a window in which so many of the labels are positive by chance."""
    labels = rng.random(rows) < positives
    counts = BinaryCounts.empty(BinaryTask())
    counts.update(labels, ndtr(rng.standard_normal(rows) + 1.2 * labels - 0.6))
    found = counts.metrics()["auroc"]
    assert isinstance(found, Measured)
    return found


def test_an_area_under_a_curve_is_no_worse_where_positives_become_rarer() -> None:
    """The scores tell the labels apart as well as before; fewer positives say less about it, which is chance."""
    rng = seeded()
    windows = [ranked(rng, 300, 0.3) for _ in range(60)]
    bound = MetricReference.of(windows, own_error=True).bound(at_least=True)
    evidence, design, fired = BoundEvidence(), BoundDesign.of(ARL), 0
    for _ in range(3 * MONTH):
        evidence = evidence.plus(bound, ranked(rng, 300, 0.07))
        if evidence.score(design) > 1:
            evidence, fired = BoundEvidence(), fired + 1
    assert fired <= 4  # of a Poisson of 0.3 once in 50 000


def test_what_is_larger_in_few_rows_is_held_against_windows_and_not_against_all_rows() -> None:
    windows = [Measured(0.05, 300, 0.01, (0.03, 0.07))] * 59 + [Measured(0.02, 3000, 0.003, (0.014, 0.026))]
    assert MetricReference.of(windows).value == pytest.approx((59 * 0.05 + 10 * 0.02) / 69)


def test_a_fall_of_five_points_is_heard_in_four_windows_by_the_chart_and_eight_by_the_e_detector() -> None:
    rng = seeded()
    by_chart, by_bets = [], []
    for _ in range(30):
        before, after = rng.binomial(1000, 0.1, 100), rng.binomial(1000, 0.15, 60)
        reference = learnt(before, 1000)
        by_chart.append(charted(after, 1000, reference.bound(at_least=True))[0] + 1)
        by_bets.append([*betted(after, 1000, reference.bets(float(before.mean()) / 1000, ARL)), 60][0] + 1)

    assert np.mean(by_chart) <= 4
    assert np.mean(by_bets) <= 8


def test_variation_grows_with_what_neighbours_share() -> None:
    rng = seeded()
    noise = rng.standard_normal(2000)
    alone, shared = (MetricVariation.of(lfilter([1.0], [1.0, -memory], noise).tolist()) for memory in (0.0, 0.8))

    assert alone.lasting < 1.5
    assert shared.lasting > 3
    assert shared.centre > alone.centre


def test_windows_pool_to_what_all_their_rows_say() -> None:
    both = Pooled().plus(window(10, 100)).plus(window(60, 300))
    assert both.value == pytest.approx(1 - 70 / 400)
    low, high = both.interval
    expected = wilson(1 - 70 / 400, 400, 0.95)
    assert (low, high) == pytest.approx(expected, abs=0.01)


def test_what_has_no_interval_says_nothing() -> None:
    before = BoundEvidence(total=2.0)
    assert before.plus(MetricBound(0.9, at_least=True), Measured(0.2, 1)) == before


def test_windows_of_a_reference_are_estimated_together_as_each_by_itself() -> None:
    """Some at a time: the last ones, fewer than that, too."""
    rng = seeded()
    rows, days = 60 * 70, np.datetime64("2026-01-01", "ns") + np.arange(60 * 70) * np.timedelta64(24, "m")
    scores = rng.random(rows)
    table = {"score": scores, "paid": rng.random(rows) < scores, "at": days}
    reference = Reference.fit(table, prediction="score", timestamp="at", window="1d", label=LabelColumn("paid"))
    performance = reference.performance
    assert performance is not None
    estimator, names = performance.expectation(), ("accuracy", "auroc")
    found = measured_windows(performance, DAY, partial(BinaryCounts.metrics, names=names), estimator)

    counted = list(reference_windows(performance, DAY))
    assert len(found) == len(counted) == 70
    assert estimator is not None
    for (metrics, expected), counts in zip(found, counted, strict=True):
        assert metrics == {name: counts.metrics()[name] for name in names}
        alone = estimator.estimate(counts)
        assert expected is not None
        assert expected.rows == alone.rows
        for name in names:
            assert expected.metrics[name].value == pytest.approx(alone.metrics[name].value, rel=1e-12)


@pytest.mark.parametrize("healthy", [10, 60, 300])
@pytest.mark.parametrize("worse", [0.40, 0.50])
def test_an_e_detector_says_since_when_however_long_it_was_well_before(healthy: int, worse: float) -> None:
    """Windows of 100 rows whose loss is 0.28 and then more; the bets are against 0.29."""
    rng, design, apart = seeded(), BettingDesign(0.29, ARL), []
    for _ in range(20):
        evidence = BettingEvidence()
        losses = rng.binomial(100, [0.28] * healthy + [worse] * 60).tolist()
        for number, wrong in enumerate(losses):
            evidence = evidence.plus(design, window(wrong, 100), LossSum(wrong, 100), at=number)
            if number >= healthy and evidence.score(design) >= 1:
                break
        assert evidence.run.since is not None
        assert evidence.run.windows == number - evidence.run.since + 1
        assert evidence.run.value < 1 - design.limit
        apart.append(abs(evidence.run.since - healthy))
    assert np.median(apart) <= 1
    assert np.quantile(apart, 0.9) <= 8
