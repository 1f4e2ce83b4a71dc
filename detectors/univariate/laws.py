"""What the null laws of several detectors share: how often a score passes a threshold while nothing has changed."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from detectors import special
from detectors.baseline import Baseline
from detectors.features import Floats, Ints
from detectors.protocols import JudgedWindows

SURE: Final = 1e-9  # chances below this are left at a bound, or at none
BINARY: Final = 2
LEAST: Final = 0.1  # of the variance that is left where a handful of rows makes the expansion fail
TIE: Final = 1e-9  # a score on the threshold does not breach


def limits_by_place(baseline: Baseline, limits: Mapping[str, float]) -> tuple[Ints, Floats]:
    """Return where the features of `limits` stand in the layout, int64[s], and their thresholds, float64[s]."""
    place = {name: at for at, name in enumerate(baseline.names)}
    places = np.array([place[name] for name in limits], dtype=np.int64)
    return places, np.array(list(limits.values()), dtype=np.float64)


def usable_rows(baseline: Baseline, places: Ints, windows: JudgedWindows) -> tuple[Floats, Floats]:
    """Return usable values in a window and in the baseline, float64[s] each; none where too few to be judged."""
    known = baseline.rows - np.rint(baseline.missing_shares[places] * baseline.rows)
    rows = windows.rows * known / baseline.rows
    return np.where(rows >= max(1, windows.min_rows), rows, 0.0), known


def gamma_tail(limits: Floats | float, mean: Floats | float, variance: Floats | float, third: Floats | float) -> Floats:
    """Return the chance to be above, by the shifted gamma law of these moments (Pearson's third)."""
    sd = np.sqrt(variance)
    skew = np.clip(third / sd**3, 1e-3, 1e3)
    shape = 4 / skew**2
    return np.asarray(special.gammaincc(shape, np.maximum((limits - mean) / sd * 2 / skew + shape, 0.0)))


def two_cells(share: float, n: float, score: Callable[[float], float], limit: float) -> float:
    """Return the chance that a score of the first cell's count is above `limit`; it grows on both sides of `share`."""
    centre = n * share
    low = _crossing(score, centre, 0.0, limit) if score(0.0) > limit else -1.0
    high = _crossing(score, centre, n, limit) if score(n) > limit else n + 1.0
    return float(outside(np.array([share]), n, np.array([low]), np.array([high]))[0])


def _crossing(score: Callable[[float], float], inner: float, outer: float, limit: float) -> float:
    """The count between `inner` and `outer` at which the score passes the limit."""
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if score(middle) > limit else (middle, outer)
    return outer


def outside(share: Floats, n: float, low: Floats, high: Floats) -> Floats:
    """Return the chance that a binomial count of n rows is below `low` or above `high`, float64[s]."""
    above = np.clip(np.floor(high + TIE) + 1, 1, n + 1)
    below = np.clip(np.ceil(low - TIE) - 1, -1, n)
    over = special.betainc(above, np.maximum(n - above + 1, 1e-9), share)
    under = special.betainc(np.maximum(n - below, 1e-9), below + 1, 1 - share)
    return np.where(above > n, 0.0, over) + np.where(below < 0, 0.0, under)
