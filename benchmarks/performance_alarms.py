"""False pages of performance, and how soon a fall is heard: `python benchmarks/performance_alarms.py [SERIES]`.

Each series has a reference of so many labelled windows and a month of 200 windows after it; nothing changes, or accuracy falls from 0.90 to
0.85. Losses are independent; or each row's depends on the one before (AR 0.9 of a normal deviate, cut); or the accuracy of each
window does on that of the one before (AR 0.9, two points of spread). The chart and the e-detector share a fifth of a budget of one a month.
After each page both begin anew, which the daemon does only when an incident has ended.
"""

import math
import sys
from collections.abc import Callable

import numpy as np
from scipy.signal import lfilter
from scipy.special import ndtri
from scipy.stats import chi2

from detectors.charts.bets import BettingDesign, BettingEvidence
from detectors.charts.metric_bounds import BoundDesign, BoundEvidence
from detectors.charts.metric_reference import MetricReference
from detectors.features import Ints
from detectors.performance import Measured
from detectors.performance.bounded import LossSum
from detectors.performance.intervals import wilson

MONTH, BUDGET, SHARE, JUDGES = 200, 1.0, 0.2, 2
ARL = MONTH * JUDGES / (BUDGET * SHARE)
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


WORLDS: dict[str, World] = {
    "independent": independent,
    "rows depend": rows_depend,
    "windows depend": windows_depend,
}


def measured(wrong: int, rows: int) -> Measured:
    """A window's accuracy."""
    value = 1 - wrong / rows
    return Measured(value, rows, math.sqrt(value * (1 - value) / rows), wilson(value, rows, 0.95))


def fired(reference: Ints, live: Ints, rows: int, *, first: bool = False) -> tuple[list[int], list[int]]:
    """The windows in which the chart fires, and those of the e-detector, each counted from 1; of each the first alone if asked so."""
    loss = float(reference.sum()) / (rows * reference.size)
    known = MetricReference.of(1 - loss, [measured(each, rows) for each in reference.tolist()])
    bound, design = known.bound(at_least=True), BoundDesign.of(ARL)
    betting = BettingDesign(known.limit(loss, ARL), ARL)
    evidence, bets = BoundEvidence(), BettingEvidence()
    by_chart: list[int] = []
    by_bets: list[int] = []
    for number, each in enumerate(live.tolist(), start=1):
        window = measured(each, rows)
        evidence, bets = evidence.plus(bound, window), bets.plus(betting, window, LossSum(each, rows))
        if evidence.score(design) > 1:
            by_chart.append(number)
            evidence = BoundEvidence()
        if bets.score(betting) >= 1:
            by_bets.append(number)
            bets = BettingEvidence()
        if first and by_chart and by_bets:
            break
    return by_chart, by_bets


def main() -> None:
    """Print both tables."""
    series = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    print(
        f"pages a month without a change, {series} series of a month, n = 300 (budget {BUDGET:g}, of which {SHARE:g} here)"
    )
    print("| losses | windows of the reference | chart | e-detector | both | lower 95 % bound |")
    print("|---|---|---|---|---|---|")
    for name, world in WORLDS.items():
        for windows in (30, 60, 200):
            counts = np.zeros(2)
            for seed in range(series):
                rng = np.random.default_rng(seed)
                drawn = world(rng, windows + MONTH, 300, 0.1)
                counts += [len(each) for each in fired(drawn[:windows], drawn[windows:], 300)]
            pages = int(counts.sum())
            lower = chi2.ppf(0.05, 2 * pages) / 2 / series if pages else 0.0
            rates = [f"{count / series:.2f}" for count in (*counts, pages)]
            print(f"| {name} | {windows} | {' | '.join(rates)} | {lower:.2f} |", flush=True)
    print(f"\nwindows until accuracy 0.90 -> 0.85 is heard, n = 1000, {series} series (60 where it is not)")
    print("| losses | windows of the reference | chart | e-detector |")
    print("|---|---|---|---|")
    for name, world in WORLDS.items():
        for windows in (30, 60, 200):
            waits = []
            for seed in range(series):
                rng = np.random.default_rng(seed)
                before, after = world(rng, windows, 1000, 0.1), world(rng, 60, 1000, 0.15)
                waits.append([[*each, 60][0] for each in fired(before, after, 1000, first=True)])
            chart, bets = np.mean(waits, axis=0)
            print(f"| {name} | {windows} | {chart:.1f} | {bets:.1f} |", flush=True)


if __name__ == "__main__":
    main()
