"""How often an explicit threshold is passed by data that has not changed: the null law of each detector's score."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from detectors.features import CategoricalFeature, Floats, Ints, NumericFeature
from detectors.reference.reference import Reference
from detectors.univariate import adwin, chi2, psi

COUNTED = 400  # rows that the law of tied values is counted with at most; more scale it
NODES = 32  # places at which a cell's count is weighed
SURE = 1e-9  # chances below this are left at a bound, or at none
EVEN = 3.0  # a cell of more than this share, times the mean one, makes a feature tied
FEW_CELLS = 64  # so does having so few
KNOWN = 50  # a reference so many times the window is as good as the truth
BINARY = 2
LEAST = 0.1  # of the variance that is left where a handful of rows makes the expansion fail
TIE = 1e-9  # a score on the threshold does not breach
Number = Floats | float


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows a rule judges: rows in each, how many disjoint ones a month, slides a window (1: they do not overlap).

    `min_rows` are the usable values below which a score is no data.
    """

    rows: float
    per_month: float
    slides: int = 1
    min_rows: int = 1


@dataclass(frozen=True, slots=True)
class Expected:
    """False alarms a month of one rule on one model, summed over its features; None where no law gives them, and why."""

    per_month: float | None
    why: str


def expected_false_alarms(
    reference: Reference, detector: str, fire_above: Mapping[str, float], windows: Windows, *, hold: int = 1
) -> Expected:
    """Return what a rule raises in a month of rows drawn independently from what the reference was drawn from.

    `fire_above` by feature, `hold` the disjoint windows that must breach in a row. Raises ValueError for an unknown
    feature or detector.

    >>> reference = Reference.fit({"age": list(range(1000))})
    >>> round(expected_false_alarms(reference, "ks", {"age": 0.1}, Windows(100, 8640)).per_month, -2)
    2400.0
    """
    if detector == "volume":
        return Expected(None, "depends on traffic")
    found = chances(reference, detector, fire_above, windows)
    if detector == "adwin":
        hold, windows = _of_adwin(hold, windows)
    return Expected(float(alarms(found, windows, hold=hold).sum()), f"at {windows.rows:,.0f} rows a window")


def alarms(chance: Floats, windows: Windows, *, hold: int = 1) -> Floats:
    """Return the alarms a month of features that breach a window by `chance`: those of disjoint windows, to the power `hold`.

    With `hold` 1, windows that overlap cross a threshold more often: at level c by c sqrt((1 - r²) / 2 pi) of the chance a
    slide, r the correlation of neighbours (Rice 1944), at least as often as disjoint ones and at most once a slide.
    """
    from scipy import special

    if hold > 1:
        return np.asarray(windows.per_month * chance**hold)

    slides = windows.slides
    level = -special.ndtri(np.clip(chance, 1e-300, 1.0) / 2)
    apart = (2 - 1 / slides) / slides  # 1 - r² for r = 1 - 1 / slides
    crossings = np.clip(slides * level * math.sqrt(apart / (2 * math.pi)), 1.0, slides)
    return np.asarray(windows.per_month * crossings * chance)


def _of_adwin(hold: int, windows: Windows) -> tuple[int, Windows]:
    """Its mean runs over 64 panes, so that is its window, and `hold` shorter ones hardly differ from one."""
    runs = windows.slides / adwin.PANES
    return 1 + int((hold - 1) * runs), Windows(windows.rows, windows.per_month * runs, adwin.PANES, windows.min_rows)


def chances(reference: Reference, detector: str, fire_above: Mapping[str, float], windows: Windows) -> Floats:
    """Return for each feature of `fire_above` the chance that a window of unchanged data scores higher, float64.

    0 for a feature that the detector does not judge, or that has fewer usable values than `min_rows`. Laws: ks two-sample
    Kolmogorov, counted out where values are tied; psi a gamma law by its first three moments, exact for two cells; chi2
    its own χ²; missing binomial at the reference's share; unseen beta-binomial by what a reference of that many rows had
    not yet seen; adwin the normal law of its mean over 64 panes, which is an approximation.
    """
    if detector not in LAWS:
        raise ValueError(f"{detector!r} has no law; there is {', '.join(sorted(LAWS))}")
    unknown = [name for name in fire_above if name not in reference.features]
    if unknown:
        raise ValueError(f"the reference has no feature {unknown[0]}")
    number = {name: at for at, name in enumerate(reference.names)}
    places = np.array([number[name] for name in fire_above], dtype=np.int64)
    limits = np.array(list(fire_above.values()), dtype=np.float64)
    found = LAWS[detector](reference, places, limits, windows)
    return np.asarray(np.clip(found, 0.0, 1.0))


def _usable(reference: Reference, places: Ints, windows: Windows) -> tuple[Floats, Floats]:
    """Usable values in a window and in the reference, float64[s] each; none where too few to be judged."""
    known = reference.rows - np.rint(reference.missing_shares[places] * reference.rows)
    rows = windows.rows * known / reference.rows
    return np.where(rows >= max(1, windows.min_rows), rows, 0.0), known


# --- Kolmogorov-Smirnov -------------------------------------------------------------------------------------------------


def _ks(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    from scipy import special

    rows, known = _usable(reference, places, windows)
    numeric = places < len(reference.grid.numeric)
    n = np.where(numeric, rows * known / np.maximum(rows + known, 1), 0.0)
    root = np.sqrt(n)
    found = np.where(n > 0, special.kolmogorov(root * limits), 0.0)
    for at in np.flatnonzero(found > SURE).tolist():
        feature = reference.grid.numeric[int(places[at])]
        shares = feature.counts[: feature.bins + 2] / feature.count
        shares = shares[shares > 0]
        if shares.size <= FEW_CELLS or shares.max() * shares.size > EVEN:
            found[at] = min(found[at], _tied(shares, n[at], limits[at]))
        else:  # Stephens' correction for few rows; Siegmund's for looking at the edges only
            inside = 0.583 * math.sqrt(float(shares @ shares))
            found[at] = special.kolmogorov((root[at] + 0.12 + 0.11 / root[at]) * limits[at] + inside)
    return found


def _tied(shares: Floats, n: float, limit: float) -> float:
    """The chance that a cumulated count of `n` rows leaves a band of `limit` around the shares (Noé 1972).

    Counted as independent Poisson cells, on the condition that they add up to n.
    """
    from scipy import special

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


# --- Population stability -----------------------------------------------------------------------------------------------


def _psi(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    from scipy import special

    rows, known = _usable(reference, places, windows)
    counts, owner, bins = _held(reference, places)
    shrunk = limits / (1 + rows / np.maximum(known, 1))  # the reference's own error widens the law by as much
    found = np.zeros(places.size)
    rough = special.chdtrc(np.maximum(bins - 1, 1), shrunk * rows / 2)  # its first-order law, at half the limit
    judged = (rows > 0) & (bins >= BINARY) & (rough > SURE)
    several = judged & (bins > BINARY)
    if several.any():
        at = np.cumsum(several)[owner] - 1
        chosen = several[owner]
        moments = _moments(counts[chosen], at[chosen], rows[several], known[several], bins[several])
        found[several] = _gamma_tail(shrunk[several], *moments)
    for feature in np.flatnonzero(judged & (bins == BINARY)).tolist():
        share = float(counts[owner == feature][0] / known[feature])
        found[feature] = _two_cells(share, rows[feature], _index(share, rows[feature], known[feature]), shrunk[feature])
    return found


def _index(share: float, n: float, m: float) -> Callable[[float], float]:
    q = (share * m + 0.5) / (m + 1)

    def index(count: float) -> float:
        p = (count + 0.5) / (n + 1)
        return (p - q) * (math.log(p / q) - math.log((1 - p) / (1 - q)))

    return index


def _held(reference: Reference, places: Ints) -> tuple[Floats, Ints, Ints]:
    """The reference's counts on PSI's cells that it holds, whose they are among the places, and how many each has."""
    merged, cells = psi.merged(reference.grid)
    asked = np.full(len(reference.names), -1)
    asked[places] = np.arange(places.size)
    owner = asked[cells.owner]
    kept = (merged > 0) & (owner >= 0)
    return merged[kept].astype(np.float64), owner[kept], np.bincount(owner[kept], minlength=places.size)


def _moments(counts: Floats, owner: Ints, n: Floats, m: Floats, bins: Ints) -> tuple[Floats, Floats, Floats]:
    """Mean, variance and third moment of the index over windows of n rows, float64[F] each.

    Cells as independent Poisson counts; that they add up to n takes out what follows the total in a line, and of what
    follows its square one component of χ² with one degree of freedom.
    """
    mean = n[owner] * counts / m[owner]
    count, weight = _weighed(mean)
    p = (count + 0.5) / (n + bins / 2)[owner][:, None]
    q = ((counts + 0.5) / (m + bins / 2)[owner])[:, None]
    parts = (p - q) * np.log(p / q)
    apart = count - mean[:, None]

    def total(terms: Floats) -> Floats:
        return np.asarray(np.bincount(owner, (weight * terms).sum(axis=1), n.size), dtype=np.float64)

    middle = (weight * parts).sum(axis=1)
    slope = total(parts * apart) / n
    square = total(parts * (apart * apart - mean[:, None])) / n
    rest = parts - middle[:, None] - slope[owner][:, None] * apart
    spread = total(rest**2)
    variance = np.maximum(spread - square**2 / 2, LEAST * spread)
    return np.bincount(owner, middle, n.size) - square / 2, variance, total(rest**3) - square**3


def _weighed(mean: Floats) -> tuple[Floats, Floats]:
    """Places and weights, float64[c, NODES], of a Poisson count: every one where they are few, else evenly apart."""
    from scipy import special

    spread = 6 * np.sqrt(mean)
    last, first = mean + spread + 8, np.maximum(0.0, mean - spread)
    few = last < NODES
    step = np.where(few, 1.0, (last - first) / (NODES - 1))
    count: Floats = np.where(few, 0.0, first)[:, None] + step[:, None] * np.arange(NODES, dtype=np.float64)
    weight = np.exp(special.xlogy(count, mean[:, None]) - mean[:, None] - special.gammaln(count + 1))
    return count, weight / weight.sum(axis=1, keepdims=True)


def _gamma_tail(limits: Number, mean: Number, variance: Number, third: Number) -> Floats:
    """The chance to be above, by the shifted gamma law of these moments (Pearson's third)."""
    from scipy import special

    sd = np.sqrt(variance)
    skew = np.clip(third / sd**3, 1e-3, 1e3)
    shape = 4 / skew**2
    return np.asarray(special.gammaincc(shape, np.maximum((limits - mean) / sd * 2 / skew + shape, 0.0)))


def _two_cells(share: float, n: float, score: Callable[[float], float], limit: float) -> float:
    """The chance that a score of the first cell's count is above `limit`; it grows on both sides of the reference's share."""
    centre = n * share
    low = _crossing(score, centre, 0.0, limit) if score(0.0) > limit else -1.0
    high = _crossing(score, centre, n, limit) if score(n) > limit else n + 1.0
    return float(_outside(np.array([share]), n, np.array([low]), np.array([high]))[0])


def _crossing(score: Callable[[float], float], inner: float, outer: float, limit: float) -> float:
    """The count between `inner` and `outer` at which the score passes the limit."""
    for _ in range(60):
        middle = (inner + outer) / 2
        inner, outer = (inner, middle) if score(middle) > limit else (middle, outer)
    return outer


# --- the others ---------------------------------------------------------------------------------------------------------


def _chi2(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    rows, known = _usable(reference, places, windows)
    judged, counts, owner = chi2.tested(reference.grid, windows.rows / reference.rows)
    number = {name: at for at, name in enumerate(judged)}
    found = np.zeros(places.size)
    for at, place in enumerate(places.tolist()):
        own = counts[owner == number.get(reference.names[place], -1)]
        if own.size < BINARY or not rows[at]:
            continue
        n, share = float(rows[at]), own / known[at]
        if own.size == BINARY:
            first = float(share[0])
            found[at] = _two_cells(first, n, _distance(first, n, float(known[at])), float(limits[at]))
        else:
            found[at] = _gamma_tail(limits[at], *_moments_of_chi2(share, n))
    return found


def _moments_of_chi2(share: Floats, n: float) -> tuple[float, float, float]:
    """Mean, variance and third moment of X² for n rows: the first two exact, the third as in `_moments`, in closed form."""
    cells, few = share.size, 1 / (n * share)
    slope = cells / n
    third = 8 * cells + float((22 * few + few**2).sum()) - 3 * slope * (8 * cells + float(few.sum()))
    third += 3 * slope**2 * (2 * n + cells) - slope**3 * n - (2 + slope) ** 3
    variance = 2 * (cells - 1) + float(few.sum()) - (cells * cells + 2 * cells - 2) / n
    return cells - 1.0, max(variance, LEAST * cells), third


def _distance(share: float, n: float, m: float) -> Callable[[float], float]:
    weight = n * m / ((n + m) * share * (1 - share))
    return lambda count: weight * (count / n - share) ** 2


def _missing(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    share = reference.missing_shares[places]
    hidden = (share * reference.rows + 0.5) / (reference.rows + 1)  # none in so many rows is not never
    return _outside(hidden, windows.rows, windows.rows * (share - limits), windows.rows * (share + limits))


def _outside(share: Floats, n: float, low: Floats, high: Floats) -> Floats:
    """The chance that a binomial count of n rows is below `low` or above `high`, float64[s]."""
    from scipy import special

    above = np.clip(np.floor(high + TIE) + 1, 1, n + 1)
    below = np.clip(np.ceil(low - TIE) - 1, -1, n)
    over = special.betainc(above, np.maximum(n - above + 1, 1e-9), share)
    under = special.betainc(np.maximum(n - below, 1e-9), below + 1, 1 - share)
    return np.where(above > n, 0.0, over) + np.where(below < 0, 0.0, under)


def _unseen(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    """Beyond a reference of m rows lies a share that follows Beta(a, m - a): of a continuous number a is 2, one at each end.

    Of values that repeat it is how many the reference saw once (Good 1953). A count by it, at shares as small as these, is
    negative binomial.
    """
    from scipy import special

    share = reference.unseen_shares[places]
    count = np.floor(windows.rows * (share + limits) + TIE) + 1
    apart, known = windows.rows / (windows.rows + reference.rows), share * reference.rows
    found = special.betainc(count, known + 2, apart)  # of a number at most
    looked = np.flatnonzero((found > SURE) | (places >= len(reference.grid.numeric)))
    fresh = np.array([_fresh(reference, at) for at in places[looked].tolist()])
    found[looked] = special.betainc(count[looked], known[looked] + fresh, apart)
    return np.asarray(found)


def _fresh(reference: Reference, at: int) -> float:
    feature = reference.grid.features[at]
    if isinstance(feature, CategoricalFeature):
        return max(float(np.count_nonzero(feature.counts[:-2] == 1)), 0.5)
    if feature.bins and not feature.discrete:
        return _end(feature, 1) + _end(feature, feature.bins)
    return 0.5


def _end(feature: NumericFeature, cell: int) -> float:
    """One where a number ends with a value of its own, a half where it ends in one that repeats."""
    single = math.nextafter(feature.edges[cell - 1], math.inf) == feature.edges[cell]
    return 0.5 if single and feature.counts[cell] > 1 else 1.0


def _adwin(reference: Reference, places: Ints, limits: Floats, windows: Windows) -> Floats:
    from scipy import special

    rows, known = _usable(reference, places, windows)
    numeric = reference.grid.numeric
    varied = np.array([at < len(numeric) and numeric[at].std > 0 for at in places.tolist()], dtype=np.bool_)
    behind = np.maximum(rows / windows.slides * adwin.PANES, 1e-300)
    error = np.sqrt(1 / behind + 1 / np.maximum(known, 1))
    return np.where(varied & (rows > 0), 2 * special.ndtr(-limits / error), 0.0)


Law = Callable[[Reference, Ints, Floats, Windows], Floats]
LAWS: Final[Mapping[str, Law]] = {
    "adwin": _adwin,
    "chi2": _chi2,
    "ks": _ks,
    "missing": _missing,
    "psi": _psi,
    "unseen": _unseen,
}
