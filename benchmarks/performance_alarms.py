"""False pages of performance, and how soon a fall is heard: `python benchmarks/performance_alarms.py [SERIES]`.

Each series has a reference of so many labelled windows and a month of 200 windows after it; nothing changes, or accuracy falls from 0.90 to
0.85. Losses are independent; or each row's depends on the one before (AR 0.9 of a normal deviate, cut); or the accuracy of each
window does on that of the one before (AR 0.9, two points of spread); or windows differ by 0.7 points, and live ones have 10 000 rows. The chart, the e-detector and the chart of the difference share a fifth of a budget of one a month, as in the daemon.
After each page both begin anew, which the daemon does only when an incident has ended.

Then the chart of the difference between what labels say and what was expected of the same scores: where nothing changes, where scores become less certain and
mean what they meant, and where they forget a share of what they meant (pure concept drift: the scores stay).
"""

import math
import sys
from collections.abc import Callable, Sequence
from itertools import product
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import chi2

from detectors.charts.bets import BettingEvidence
from detectors.charts.metric_bounds import BoundDesign, BoundEvidence
from detectors.charts.metric_difference import DifferenceReference, MetricDifference, as_measured, difference
from detectors.charts.metric_reference import MetricReference
from detectors.charts.metric_variation import FEWEST
from detectors.features import Ints
from detectors.performance import BinaryCounts, BinaryTask, Measured
from detectors.performance.bounded import LossSum
from detectors.performance.estimated_scores import ScoreEstimator
from detectors.performance.intervals import wilson

MONTH, BUDGET, SHARE = 200, 1.0, 0.2
JUDGES = 3  # of a metric: chart, e-detector, and the chart of the difference
ARL = MONTH * JUDGES / (BUDGET * SHARE)
TASK = BinaryTask()
World = Callable[[np.random.Generator, int, int, float], Ints]


def deviates(rng: np.random.Generator, size: int) -> np.ndarray:
    """An autoregression of memory 0.9 and variance 1."""
    return lfilter([1.0], [1.0, -0.9], rng.standard_normal(size + 200) * math.sqrt(1 - 0.81))[200:]


def independent(rng: np.random.Generator, windows: int, rows: int, wrong: float) -> Ints:
    """Losses that know nothing of each other."""
    return rng.binomial(rows, wrong, windows)


def rows_depend(rng: np.random.Generator, windows: int, rows: int, wrong: float) -> Ints:
    """Each row's loss depends on the one before."""
    return (deviates(rng, windows * rows) > ndtri(1 - wrong)).reshape(windows, rows).sum(axis=1)


def windows_depend(rng: np.random.Generator, windows: int, rows: int, wrong: float) -> Ints:
    """The accuracy of each window depends on that of the one before."""
    return rng.binomial(rows, np.clip(wrong + 0.02 * deviates(rng, windows), 0.001, 0.999))


def windows_differ(rng: np.random.Generator, windows: int, rows: int, wrong: float) -> Ints:
    """Each window has an accuracy of its own, less apart than 300 rows can see and plainly apart in thousands."""
    return rng.binomial(rows, np.clip(rng.normal(wrong, 0.007, windows), 0.001, 0.999))


WORLDS: dict[str, World] = {
    "independent": independent,
    "rows depend": rows_depend,
    "windows depend": windows_depend,
}


def measured(wrong: int, rows: int) -> Measured:
    """A window's accuracy."""
    value = 1 - wrong / rows
    return Measured(value, rows, math.sqrt(value * (1 - value) / rows), wilson(value, rows, 0.95))


def fired(
    reference: Ints, live: Ints, rows: int, *, now: int | None = None, first: bool = False
) -> tuple[list[int], list[int]] | None:
    """The windows in which the chart fires, and those of the e-detector, counted from 1; None where the reference says too little to judge.

    `now`: rows of a live window, where they are others.
    """
    now = now or rows
    loss = float(reference.sum()) / (rows * reference.size)
    known = MetricReference.of([measured(each, rows) for each in reference.tolist()])
    if not known.variation.enough:
        return None
    bound, design = known.bound(at_least=True), BoundDesign.of(ARL)
    betting = known.bets(loss, ARL)
    evidence, bets = BoundEvidence(), BettingEvidence()
    by_chart: list[int] = []
    by_bets: list[int] = []
    for number, each in enumerate(live.tolist(), start=1):
        window = measured(each, now)
        evidence, bets = evidence.plus(bound, window), bets.plus(betting, window, LossSum(each, now))
        if evidence.score(design) > 1:
            by_chart.append(number)
            evidence = BoundEvidence()
        if bets.score(betting) >= 1:
            by_bets.append(number)
            bets = BettingEvidence()
        if first and by_chart and by_bets:
            break
    return by_chart, by_bets


def false_pages(world: World, windows: int, series: int, now: int | None = None) -> str:
    """Pages a month where nothing changes."""
    counts, judged = np.zeros(2), 0
    for seed in range(series):
        rng = np.random.default_rng(seed)
        drawn = world(rng, windows + MONTH, 300, 0.1)
        live = drawn[windows:] if now is None else world(rng, MONTH, now, 0.1)
        found = fired(drawn[:windows], live, 300, now=now)
        judged += found is not None
        counts += [len(each) for each in found or ((), ())]
    pages = int(counts.sum())
    lower = chi2.ppf(0.05, 2 * pages) / 2 / max(judged, 1) if pages else 0.0
    rates = [f"{count / max(judged, 1):.2f}" for count in (*counts, pages)]
    return f"{judged / series:.0%} | {' | '.join(rates)} | {lower:.2f}"


def delays(world: World, windows: int, series: int) -> str:
    """Windows until a fall is heard, 60 where it is not."""
    waits = []
    for seed in range(series):
        rng = np.random.default_rng(seed)
        found = fired(world(rng, windows, 1000, 0.1), world(rng, 60, 1000, 0.15), 1000, first=True)
        if found is not None:
            waits.append([[*each, 60][0] for each in found])
    return " | ".join(f"{mean:.1f}" for mean in np.mean(waits, axis=0)) if waits else "– | –"


def scored(rng: np.random.Generator, rows: int, forgotten: float = 0.0, sure: float = 9.0) -> BinaryCounts:
    """Scored rows with labels, accuracy 0.90; of what scores mean a share is forgotten. The larger `sure`, the nearer they are to 0 and 1."""
    scores = rng.beta(sure, 1.0, rows)
    scores = np.where(rng.random(rows) < 0.5, 1 - scores, scores)
    counts = BinaryCounts.empty(TASK)
    counts.update(rng.random(rows) < scores * (1 - forgotten) + forgotten / 2, scores)
    return counts


def differences(estimator: ScoreEstimator, windows: Sequence[BinaryCounts]) -> list[MetricDifference]:
    """What labels say of the accuracy of each window, less what was expected."""
    found = []
    for each, expected in zip(windows, estimator.estimate_each(windows), strict=True):
        rows = each.confusion().rows
        found.append(difference(Measured(rows.trace() / rows.sum(), int(rows.sum())), expected, "accuracy"))
    return [each for each in found if each is not None]


def told(known: DifferenceReference, windows: Sequence[MetricDifference]) -> list[int]:
    """The windows in which the chart of the difference fires, counted from 1."""
    evidence, fires, bound, design = BoundEvidence(), [], known.bound(), BoundDesign.of(ARL)
    for number, each in enumerate(windows, start=1):
        evidence = evidence.plus(bound, as_measured(each, known.shared))
        if evidence.score(design) > 1:
            fires.append(number)
            evidence = BoundEvidence()
    return fires


def of_difference(windows: int, rows: int, live: int, series: int) -> str:
    """References that suffice; pages a month without concept drift, the same scores and less certain ones, with the lower bound of all; and the delay of concept drift."""
    pages, waits = np.zeros(2), []
    for seed in range(series):
        rng = np.random.default_rng(seed)
        parts = [scored(rng, rows) for _ in range(windows)]
        total = BinaryCounts.empty(TASK)
        for part in parts:
            total.add(part)
        estimator = ScoreEstimator.of_counts(total)
        apart = differences(estimator, parts)
        if len(apart) < FEWEST or not (known := DifferenceReference.of(apart)).variation.enough:
            continue
        for which, sure in enumerate((9.0, 4.0)):
            pages[which] += len(
                told(known, differences(estimator, [scored(rng, live, sure=sure) for _ in range(MONTH)]))
            )
        changed = [scored(rng, live, forgotten=0.125) for _ in range(60)]
        waits.append([*told(known, differences(estimator, changed)), 60][0])
    if not waits:
        return "0% | – | – | – | –"
    count, judged = int(pages.sum()), len(waits)
    lower = chi2.ppf(0.05, 2 * count) / 2 / (2 * judged) if count else 0.0
    rates = " | ".join(f"{each / judged:.2f}" for each in pages)
    return f"{judged / series:.0%} | {rates} | {lower:.2f} | {np.mean(waits):.1f}"


def main() -> None:
    """Print all tables."""
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(f"{series} series of a month, n = 300; budget {BUDGET:g} a month, of which {SHARE:g} here\n")
    print("| losses | windows of the reference | judged | chart | e-detector | both | lower 95 % bound |")
    print("|---|---|---|---|---|---|---|")
    for (name, world), windows in product(WORLDS.items(), (60, 200)):
        print(f"| {name} | {windows} | {false_pages(world, windows, series)} |", flush=True)
    for windows in (60, 200):
        pages = false_pages(windows_differ, windows, series, 10_000)
        print(f"| windows differ, 10 000 rows live | {windows} | {pages} |", flush=True)
    print("\n| losses | windows of the reference | chart | e-detector |\n|---|---|---|---|")
    for (name, world), windows in product(WORLDS.items(), (60, 200)):
        print(f"| {name} | {windows} | {delays(world, windows, series)} |", flush=True)
    print(
        "\n| reference | rows a live window | judged | same scores | less certain scores | lower 95 % bound | windows until 0.90 → 0.85 |"
    )
    print("|---|---|---|---|---|---|---|")
    for windows, rows, live in ((60, 50, 300), (60, 100, 300), (60, 100, 1000), (60, 300, 300), (200, 300, 1000)):
        found = of_difference(windows, rows, live, series)
        print(f"| {windows} windows of {rows} | {live} | {found} |", flush=True)


if __name__ == "__main__":
    main()
