"""Kolmogorov-Smirnov distance of numeric features, with a certified interval around the exact one."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from detectors import special
from detectors.baseline import Baseline
from detectors.features import Bools, Floats
from detectors.layout import Layout
from detectors.protocols import DetailMetric, JudgedWindows, WindowDetector
from detectors.scores import LateColumns, Rest, ScoreColumns, largest
from detectors.sketches import Tally, TallyStack, sums
from detectors.univariate.laws import SURE, TIE, limits_by_place, usable_rows

COUNTED = 400  # rows that the law of tied values is counted with at most; more scale it
EVEN = 3.0  # a cell of more than this share, times the mean one, makes a feature tied
FEW_CELLS = 64  # so does having so few


@dataclass(frozen=True, slots=True)
class Ks(WindowDetector):
    """sup |F_window - F_baseline| at the bin edges, under and over included, of every numeric feature.

    The value is in [0, 1] and never above the exact D; details hold `upper`, which is never below it, and `resolution`,
    the largest share of the baseline in a bin that holds more than one value. With d_j the difference at the right edge
    of bin j and p_j, q_j the bin's shares, upper = max(d_j + p_j, -d_j + q_j) over those bins, and at least the value.
    The p-value is Kolmogorov's asymptotic one at n m / (n + m); too large, hence cautious, where values are tied.

    References:
        Kolmogorov 1933; Smirnov 1939. The law of few rows: Stephens 1970; of tied values: Noé 1972.

    >>> from detectors import Reference
    >>> reference = Reference.fit({"age": list(range(1000))})
    >>> [score] = [s for s in reference.compare({"age": list(range(100, 1100))}) if s.detector == "ks"]
    >>> round(score.value, 3), round(score.details["upper"], 3)
    (0.1, 0.103)
    """

    name: ClassVar[str] = "ks"
    help: ClassVar[str] = "D at the bin edges"
    metrics: ClassVar[Mapping[str, DetailMetric]] = {
        "upper": DetailMetric("score_upper", "Upper end of the certified interval of the exact score (ks)"),
        "resolution": DetailMetric("resolution", "Largest reference mass of one bin: the interval's widest (ks)"),
    }

    def prepare(self, baseline: Baseline) -> "KsScorer":
        """Cumulate the baseline's counts."""
        layout = baseline.layout
        counts = layout.numbers(baseline.counts)
        rows = counts.sum(axis=1).astype(np.float64)
        single = np.zeros(counts.shape, dtype=np.bool_)
        for bins, feature in zip(single, layout.numeric, strict=True):
            bins[1 : feature.bins + 1] = feature.atoms
            bins[feature.usable :] = True
        names = tuple(feature.name for feature in layout.numeric)
        return KsScorer(layout, names, sums.Cumulated.of(counts, single), rows, rows > 0)

    def false_alarm_chance(self, baseline: Baseline, limits: Mapping[str, float], windows: JudgedWindows) -> Floats:
        """Return the chance of a higher D: the two-sample Kolmogorov law, counted out where values are tied."""
        places, above = limits_by_place(baseline, limits)
        rows, known = usable_rows(baseline, places, windows)
        numeric = places < len(baseline.numeric)
        n = np.where(numeric, rows * known / np.maximum(rows + known, 1), 0.0)
        chances = np.where(n > 0, special.kolmogorov(np.sqrt(n) * above), 0.0)
        for at in np.flatnonzero(chances > SURE).tolist():
            feature = baseline.numeric[int(places[at])]
            shares = feature.counts[: feature.usable] / feature.count
            chances[at] = _corrected(shares[shares > 0], float(n[at]), float(above[at]), float(chances[at]))
        return np.asarray(chances)


score = Ks().score


@dataclass(frozen=True, slots=True, eq=False)
class KsScorer:
    """KS against one baseline: its rows up to each right edge, and how many usable ones each number has, float64[k]."""

    layout: Layout
    names: tuple[str, ...]
    cumulated: sums.Cumulated
    rows: Floats
    known: Bools  # [k] whether there are any

    def __call__(self, window: Tally, min_rows: int = 1) -> ScoreColumns:
        """Score a window."""
        return self.many(TallyStack([window]), min_rows)[0]

    def many(self, windows: TallyStack, min_rows: int = 1) -> list[ScoreColumns]:
        """Score windows."""
        self.layout.same_as(windows.layout)
        numbers = self.rows.size
        usable = np.ascontiguousarray(windows.usable[:, :numbers])
        values, upper = sums.distances(self.layout, windows.kept, usable, self.cumulated)
        known = windows.enough(min_rows)[:, :numbers] & self.known
        return [
            LateColumns(Ks.name, self.names, enough, rows, found, partial(self._rest, inside), most)
            for enough, rows, found, inside, most in zip(known, usable, values, upper, largest(values), strict=True)
        ]

    def _rest(self, upper: Floats, found: ScoreColumns) -> Rest:
        rows = np.maximum(found.rows, 1).astype(np.float64)
        pvalues = special.kolmogorov(np.sqrt(rows * self.rows / (rows + self.rows)) * found.values)
        return pvalues, {"upper": upper, "resolution": self.cumulated.most}


# --- the null law -----------------------------------------------------------------------------------------------------


def _corrected(shares: Floats, n: float, limit: float, asymptotic: float) -> float:
    """The chance at n rows that fall into cells of these shares."""
    if shares.size <= FEW_CELLS or shares.max() * shares.size > EVEN:
        return min(asymptotic, _tied(shares, n, limit))
    root = math.sqrt(n)
    inside = 0.583 * math.sqrt(float(shares @ shares))  # Siegmund's correction for looking at the edges only
    return float(special.kolmogorov((root + 0.12 + 0.11 / root) * limit + inside))  # Stephens' for few rows


def _tied(shares: Floats, n: float, limit: float) -> float:
    """The chance that a cumulated count of `n` rows leaves a band of `limit` around the shares (Noé 1972).

    Counted as independent Poisson cells, on the condition that they add up to n.
    """
    rows = int(min(max(1, round(n)), COUNTED))
    if rows == COUNTED:
        limit *= math.sqrt(n / rows)
    below = np.append(0.0, np.cumsum(shares)) / shares.sum()
    first = np.clip(np.ceil(rows * (below - limit) - TIE), 0, rows).astype(int)
    last = np.clip(np.floor(rows * (below + limit) + TIE), 0, rows).astype(int)
    first[[0, -1]] = last[[0, -1]] = 0, rows
    if (first > last).any():
        return 1.0
    factorials = special.gammaln(np.arange(rows + 1) + 1.0)
    inside = np.ones(1)
    for cell, share in enumerate(np.diff(below).tolist()):
        lowest, begin, to = first[cell], first[cell + 1], last[cell + 1]
        count = np.arange(to - lowest + 1)
        weights = np.exp(count * math.log(rows * share) - rows * share - factorials[: count.size])
        inside = np.convolve(inside, weights)[begin - lowest : to - lowest + 1]
    return 1.0 - float(inside[0]) / math.exp(rows * math.log(rows) - rows - factorials[rows])
