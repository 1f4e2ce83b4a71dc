"""An e-detector: bets against "the loss is no larger than that", whose winnings sound the alarm.

Null: given all that came before, each loss X in [0, 1] has a mean of at most m. Then e = Π (1 + λ(X − m)) has a mean of at most 1 for any
0 ≤ λ ≤ 1/m, whatever the losses depend on: a bet at odds that are fair at most (Waudby-Smith and Ramdas, JRSS B 86, 2024). Whoever bets
anew at each window and keeps all bets has the Shiryaev-Roberts e-detector

    M_t = (1 + M_{t-1}) · e_t,    alarm when M ≥ A,    and then E[windows until a false alarm] ≥ A

(Shin, Ramdas and Rinaldo, E-detectors: a nonparametric framework for sequential change detection, NEJSDS 2, 2023, thm 2.4), exactly and
with any number of rows a window. Which λ is best nobody knows, so the stake is spread over a few of them, which keeps the law.

log(1 + λ(x − m)) is concave in x, so it lies above its chord over [0, 1]: with S the sum of n losses,

    log e ≥ S·log(1 + λ(1 − m)) + (n − S)·log(1 − λm)

Betting by the right side needs nothing but sum and rows, and gives up nothing where losses are 0 or 1. Then λ = (q − m) / (m(1 − m))
is the likelihood ratio of q against m, and the bets are named by their q.

Of windows that vary more than their rows explain, m is no bound for each, and many rows would see so plainly. Where a reference says that
sums of its windows vary V times as much as by their n₀ rows, a window of n rows is betted on as if it had 1 / (1/n + (V − 1) / min(n, n₀)): the
rows that vary as much by themselves, as the charts have it. e to a power of at most 1 has a mean of at most 1 still, so the law holds as it stands.

Winnings say that the loss is larger, and not since when: the + 1 of each window keeps them from ever being nothing. When it began to be larger is said by
the likeliest pair of change point and q (Page 1954; Lorden 1971): of each bet the log e of the windows is summed up from 0 whenever it is below, and the
largest sum, since it was last 0, is of the windows since the change.
"""

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from detectors.charts.metric_bounds import SHORTEST, Pooled
from detectors.features import Floats
from detectors.performance.bounded import LossSum
from detectors.performance.measured import Measured

BETS: Final = 12
NEAREST: Final = 0.02  # of the way from m to 1: the least loss that is betted on
LEAST_LIMIT, MOST_LIMIT = 1e-6, 1 - 1e-6


def stakes(limit: float) -> tuple[Floats, Floats]:
    """Return log(1 + λ(1 − m)) and log(1 − λm) of each bet, float64[BETS].

    >>> won, lost = stakes(0.1)
    >>> bool((0.1 * np.exp(won) + 0.9 * np.exp(lost)).round(12).tolist() == [1.0] * BETS)
    True
    """
    larger = limit + (1 - limit) * np.geomspace(NEAREST, 0.9, BETS)
    return np.log(larger / limit), np.log((1 - larger) / (1 - limit))


@dataclass(frozen=True, slots=True)
class BettingDesign:
    """Bets against a mean loss of at most `limit`, which sound a false alarm once in `arl` windows at most, and once in 20 where that is fewer.

    Raises ValueError for a limit that is not between 0 and 1.
    """

    limit: float
    arl: float
    spread: float = 1.0  # √V
    usual_rows: float = math.inf  # n₀

    def __post_init__(self) -> None:
        if not LEAST_LIMIT <= self.limit <= MOST_LIMIT:
            raise ValueError(f"limit must be between 0 and 1, not {self.limit}")

    @property
    def alarm(self) -> float:
        """Log of the winnings that sound the alarm."""
        return math.log(max(self.arl, SHORTEST))

    def take(self, winnings: Floats, loss: float, rows: float) -> Floats:
        """Return the log winnings of each bet after a window of so many rows with this sum of losses. Raises ValueError for losses beyond [0, 1].

        >>> design, winnings = BettingDesign(0.1, 1000.0), NOTHING
        >>> for wrong in (10, 9, 11):
        ...     winnings = design.take(winnings, wrong, 100)
        >>> bool(together(winnings) < design.alarm < together(design.take(winnings, 35, 100)))
        True
        """
        return np.logaddexp(0.0, winnings) + self.said(loss, rows)

    def said(self, loss: float, rows: float) -> Floats:
        """Return log e of each bet in a window of so many rows with this sum of losses. Raises ValueError for losses beyond [0, 1]."""
        if not 0 <= loss <= rows * (1 + 1e-12):
            raise ValueError(f"losses of {rows} rows sum up to {loss}: they lie beyond [0, 1]")
        if not rows:
            return np.zeros(BETS)
        won, lost = stakes(self.limit)
        return np.asarray((loss * won + max(rows - loss, 0.0) * lost) * self.worth(rows) / rows)

    def worth(self, rows: float) -> float:
        """Return the rows that would vary by themselves as much as a window of so many does.

        >>> plain, wide = BettingDesign(0.1, 1000.0), BettingDesign(0.1, 1000.0, spread=1.5, usual_rows=300)
        >>> plain.worth(10_000), round(wide.worth(10_000)), round(wide.worth(300))
        (10000.0, 234, 133)
        """
        return 1 / (1 / rows + (self.spread**2 - 1) / min(rows, self.usual_rows))


NOTHING: Floats = np.full(BETS, -np.inf)  # log winnings before the first bet


def together(winnings: Floats) -> float:
    """Return the log of what all bets have won, each at an equal share of the stake."""
    highest = float(winnings.max())
    return highest + math.log(float(np.exp(winnings - highest).mean())) if highest > -math.inf else highest


@dataclass(frozen=True, slots=True)
class BettingEvidence:
    """What the bets say. `run`: the windows since the loss began to be larger, as far as one can say; of each bet `sums` and `runs` since its sum was last 0.

    >>> design, evidence = BettingDesign(0.1, 1000.0), BettingEvidence()
    >>> for number, wrong in enumerate([10] * 50 + [20] * 3):
    ...     evidence = evidence.plus(design, Measured(1 - wrong / 100, 100), LossSum(wrong, 100), at=number)
    >>> evidence.run.windows, evidence.run.since
    (3, 50)
    """

    winnings: tuple[float, ...] = (-math.inf,) * BETS
    run: Pooled = field(default_factory=Pooled)
    sums: tuple[float, ...] = (0.0,) * BETS
    runs: tuple[Pooled, ...] = (Pooled(),) * BETS

    def plus(self, design: BettingDesign, metric: Measured, loss: LossSum, at: int | None = None) -> "BettingEvidence":
        """Return the evidence after one more window, which ends at `at`."""
        said = design.said(loss.loss, loss.rows)
        after = np.logaddexp(0.0, np.array(self.winnings)) + said
        sums = np.maximum(np.array(self.sums), 0.0) + said
        going_on = (run if total > 0 else Pooled() for run, total in zip(self.runs, self.sums, strict=True))
        runs = tuple(run.plus(metric, at) for run in going_on)
        return BettingEvidence(tuple(after.tolist()), runs[int(sums.argmax())], tuple(sums.tolist()), runs)

    def score(self, design: BettingDesign) -> float:
        """Return the winnings over what is asked for, both as logs: from 1 on it is an alarm."""
        return together(np.array(self.winnings)) / design.alarm

    def forgotten(self) -> "BettingEvidence":
        """Return the evidence after the end of an alert: the bets begin anew."""
        return BettingEvidence()
