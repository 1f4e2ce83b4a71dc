"""The rules that people use, on raw rows: which features alarm in a window.

Every rule sees the same windows. They know no time: an alarm is a window's alone. Arrays are [features, rows].
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy import special

from detectors.features import Bools, Floats

CHUNKS = 40  # of the reference, for mean + 3 sd
BINS = 10
LEAST = 1e-4  # floor under an empty bin, as is usual
LEVEL = 0.05


@dataclass(eq=False)
class Window:
    """What the rules ask of a window, worked out once: KS distance and p-value, PSI, float64[f]."""

    distance: Floats
    pvalue: Floats
    psi: Floats


@dataclass(eq=False)
class RawReference:
    """A reference's rows, sorted, as CHUNKS windows of `rows`."""

    values: Floats  # [f, CHUNKS * rows], each row sorted
    rows: int
    limits: Floats = field(init=False)  # mean + 3 sd of the reference chunks' own distances

    def __post_init__(self) -> None:
        size = self.values.shape[1]
        self.deciles = self.values[:, (np.arange(1, BINS) * size) // BINS]

    @classmethod
    def of(cls, windows: list[Floats]) -> "RawReference":
        """Take CHUNKS windows."""
        found = cls(np.sort(np.concatenate(windows, axis=1), axis=1), windows[0].shape[1])
        chunks = np.stack([found.compare(window).distance for window in windows])
        found.limits = chunks.mean(axis=0) + 3 * chunks.std(axis=0, ddof=1)
        return found

    def compare(self, window: Floats) -> Window:
        """Two-sample statistics of each feature."""
        n, m = window.shape[1], self.values.shape[1]
        ordered = np.sort(window, axis=1)
        distance, counts = np.empty(len(window)), np.empty((len(window), BINS))
        for at, (values, own) in enumerate(zip(ordered, self.values, strict=True)):
            below = np.searchsorted(own, values, side="right") / m
            rank = np.arange(1, n + 1) / n
            distance[at] = max(np.abs(below - rank).max(), np.abs(below - rank + 1 / n).max())
            counts[at] = np.diff(np.searchsorted(values, self.deciles[at], side="right"), prepend=0, append=n)
        return Window(distance, special.kolmogorov(np.sqrt(n * m / (n + m)) * distance), psi(counts / n))


@dataclass(eq=False)
class CountedReference:
    """The same from counts on very many even cells, where rows are too many to sort."""

    counts: Floats  # [f, cells]
    rows: int
    limits: Floats = field(init=False)

    @classmethod
    def of(cls, windows: list[Floats]) -> "CountedReference":
        """Take CHUNKS windows of counts."""
        found = cls(np.sum(windows, axis=0), int(windows[0][0].sum()))
        chunks = np.stack([found.compare(window).distance for window in windows])
        found.limits = chunks.mean(axis=0) + 3 * chunks.std(axis=0, ddof=1)
        return found

    def compare(self, window: Floats) -> Window:
        """Two-sample statistics of each feature, at the cells' ends."""
        n, m = float(window[0].sum()), float(self.counts[0].sum())
        below = self.counts.cumsum(axis=1) / m
        distance = np.abs(window.cumsum(axis=1) / n - below).max(axis=1)
        tenth = np.minimum((below * BINS - 1e-9).astype(np.int64), BINS - 1)
        shares = np.stack(
            [np.bincount(bins, weights=one, minlength=BINS) for bins, one in zip(tenth, window, strict=True)]
        )
        return Window(distance, special.kolmogorov(np.sqrt(n * m / (n + m)) * distance), psi(shares / n))


RawRules = RawReference | CountedReference


def psi(shares: Floats) -> Floats:
    """Population stability index of deciles."""
    found = np.maximum(shares, LEAST)
    return np.asarray(((found - 1 / BINS) * np.log(found * BINS)).sum(axis=1))


def benjamini_hochberg(pvalues: Floats) -> Bools:
    """Which are significant at a false discovery rate of LEVEL (1995)."""
    order = np.argsort(pvalues)
    bounds = LEVEL * np.arange(1, pvalues.size + 1) / pvalues.size
    passed = np.flatnonzero(pvalues[order] <= bounds)
    found = np.zeros(pvalues.size, dtype=np.bool_)
    if passed.size:
        found[order[: passed[-1] + 1]] = True
    return found


RULES: dict[str, Callable[[Window, RawRules], Bools]] = {
    "KS p < .05": lambda found, _: found.pvalue < LEVEL,
    "KS p < .05, Bonferroni": lambda found, _: found.pvalue < LEVEL / found.pvalue.size,
    "KS p < .05, Benjamini-Hochberg": lambda found, _: benjamini_hochberg(found.pvalue),
    "PSI > .1": lambda found, _: found.psi > 0.1,
    "PSI > .2": lambda found, _: found.psi > 0.2,
    "PSI > .25": lambda found, _: found.psi > 0.25,
    "KS > mean + 3 sd of chunks": lambda found, own: found.distance > own.limits,
}


def one_changed(rule: str, quiet: Window, changed: Window, own: RawRules) -> Bools:
    """Return whether the rule alarms for each feature, were it the only one that has changed, bool[f]."""
    if "Benjamini" not in rule:
        return RULES[rule](changed, own)
    found = np.empty(quiet.pvalue.size, dtype=np.bool_)
    for at in range(found.size):
        pvalues = quiet.pvalue.copy()
        pvalues[at] = changed.pvalue[at]
        found[at] = benjamini_hochberg(pvalues)[at]
    return found


def sequential(name: str, seed: int) -> "object":
    """A detector of river with its own settings, one a feature."""
    from river import drift

    return drift.ADWIN() if name == "ADWIN" else drift.KSWIN(seed=seed)


SEQUENTIAL = {"ADWIN": "ADWIN, raw rows", "KSWIN": "KSWIN, raw rows"}
