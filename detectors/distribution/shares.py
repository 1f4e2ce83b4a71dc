"""A feature's values in its baseline and in a window, on as few bins and names as the eye takes in. Counts in, shares out."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np

from detectors.baseline import CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.distribution.axis import LARGE, thousands
from detectors.features import Bools, Floats, Ints, Kind
from detectors.figures import apart, moved, plain

BINS = 32  # at most, between the smallest and the largest value of the reference
NAMED = 12  # categories, or values of a discrete number, with a row of their own
ALONE = 0.05  # of the values: a single value that is as common stands beside the bins
MOST_ALONE = 5
CENTRAL = 0.01  # on either side of it lie tails
FAR = 0.5  # of the central width: a tail that is longer is one bin
STEPWISE = 0.95  # of the values are single ones: bins are of those, not of widths
CLOSE = 1e-6  # of a bin's width: what rounding does to a mean
NARROW = 0.25  # of a usual bin
STANDING_OUT = 3.0  # × as common as the next of them
TINY = 1e-9  # × the beginning of what is central: logarithms go no lower
SKEWED = 12.0  # × as far from the middle to the one end as to the other: bins grow by a factor instead of a step
FEWEST = 3  # edges: with more of them an end that goes to 0 or below is drawn narrow, beside a scale of logarithms
VALUE_DIGITS = 10  # of a single value: it is itself
WHOLE = 1e4  # from here on numbers are said whole
TOLD = 4  # shares that a description names
LEAST = 0.005  # by which a share has to move to be told


class ShareOf(StrEnum):
    """What a row is of. All are shares of the values but `missing`, which is one of all rows."""

    VALUE = "value"
    CATEGORY = "category"
    OTHER = "other"  # known categories, or values, that have no row
    BELOW = "below"  # less than the reference ever had
    ABOVE = "above"
    BETWEEN = "between"  # of a discrete number: none of its values
    NEW = "new"  # a category that the reference does not know, or that is too rare to be kept
    MISSING = "missing"


ALWAYS = frozenset({ShareOf.VALUE, ShareOf.CATEGORY})


@dataclass(frozen=True, slots=True)
class ShareRow:
    """One share, in the reference and now."""

    part: ShareOf
    label: str
    reference: float
    current: float


@dataclass(frozen=True, slots=True, eq=False)
class Distribution:
    """A feature's shares in the reference and now, aligned.

    `edges` float64[b + 1], rising, in the feature's unit: bin j is (edges[j], edges[j + 1]], the first with both; `reference` and `current`
    float64[b] are the shares in the bins; empty where nothing is binned. `rows` are what has a share of its own: common values,
    all values of a number that has few, categories, what lies outside the reference, what is missing. Shares of bins and
    rows but `missing` add up to 1 (to 0 without any value). `rows_before` and `rows_now` count all rows. `growing`: bins grow
    by a factor, for a logarithmic scale; the first may begin at or below 0. `before` and `now` are the words for both sides.
    """

    feature: str
    kind: Kind
    rows_before: int
    rows_now: int
    edges: Floats
    reference: Floats
    current: Floats
    rows: tuple[ShareRow, ...]
    growing: bool = False
    before: str = "reference"
    now: str = "window"

    def __repr__(self) -> str:
        return f"<Distribution of {self.feature}: {described(self)}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the shares as JSON takes them."""
        return {
            "kind": self.kind.value,
            "rows": {"reference": self.rows_before, "current": self.rows_now},
            "bins": {
                "edges": self.edges.tolist(),
                "reference": self.reference.tolist(),
                "current": self.current.tolist(),
                "scale": "log" if self.growing else "linear",
            },
            "shares": [
                {"part": row.part.value, "label": row.label, "reference": row.reference, "current": row.current}
                for row in self.rows
            ],
        }


def shown_rows(shown: Distribution) -> Iterator[ShareRow]:
    """Yield the rows that are drawn: what is nowhere outside, new or missing is left out."""
    return (row for row in shown.rows if row.part in ALWAYS or row.reference or row.current)


def described(shown: Distribution) -> str:
    """Return in words what the picture shows: how much there is of both, and what has moved most."""
    counts = (
        f"{thousands(shown.rows_before)} rows in the {shown.before}, {thousands(shown.rows_now)} in the {shown.now}."
    )
    if not shown.rows_now:
        return counts
    found = sorted(_moves(shown), key=lambda move: -abs(move[2] - move[1]))[:TOLD]
    told = [f"{what} {moved(before, now)}" for what, before, now in found if abs(now - before) >= LEAST]
    return f"{counts} {'; '.join(told) if told else 'No share has moved by half a point'}."


def _moves(shown: Distribution) -> Iterator[tuple[str, float, float]]:
    """What has which share before and now."""
    edges = shown.edges.tolist()
    for at, shares in enumerate(zip(shown.reference.tolist(), shown.current.tolist(), strict=True)):
        yield between(edges[at], edges[at + 1]), *shares
    for row in shown_rows(shown):
        yield row.label, row.reference, row.current


def between(first: float, last: float) -> str:
    r"""Return the name of a bin, in as many digits as tell its edges apart.

    >>> between(0.25, 0.5), between(20000.4, 41000.0), between(1.00001, 1.00002)
    ('0.25 to 0.5', '20\u202f000 to 41\u202f000', '1.00001 to 1.00002')
    """
    return " to ".join(ends(first, last))


def ends(first: float, last: float) -> tuple[str, str]:
    """Return two numbers in as many digits as tell them apart; large ones with their thousands apart."""
    large = max(abs(first), abs(last))
    if WHOLE <= large < LARGE and round(first) != round(last):
        return thousands(round(first)), thousands(round(last))
    return apart(first, last)


def distribution_of(feature: FeatureBaseline, now: Ints, before: Ints | None = None) -> Distribution:
    """Return how a window's row of counts `now` lies beside its baseline, or beside other counts `before` on the same layout.

    Raises ValueError for counts of another length.

    >>> plan = CategoricalBaseline("plan", ("free", "pro"), np.array([6, 3, 0, 1]))
    >>> [(row.label, round(row.reference, 2), row.current) for row in distribution_of(plan, np.array([1, 2, 1, 0])).rows]
    [('free', 0.67, 0.25), ('pro', 0.33, 0.5), ('new', 0.0, 0.25), ('missing', 0.1, 0.0)]
    """
    before = feature.counts if before is None else before
    if now.shape != (feature.cells,) or before.shape != (feature.cells,):
        raise ValueError(f"{feature.name}: counts must be {feature.cells} numbers")
    pair = np.stack([before, now]).astype(np.float64)
    rows = pair.sum(axis=1)
    values = pair[:, : feature.usable]
    shares = values / np.maximum(values.sum(axis=1, keepdims=True), 1)
    lost = (rows - values.sum(axis=1)) / np.maximum(rows, 1)
    match feature:
        case CategoricalBaseline():
            bins, named = Bins.none(), list(_categories(feature, shares))
        case _ if feature.discrete and feature.atoms.sum() <= NAMED:
            bins, named = Bins.none(), list(_values(feature, shares))
        case _:
            bins, named = _numbers(feature, shares)
    named.append(ShareRow(ShareOf.MISSING, "missing", *lost.tolist()))
    return Distribution(
        feature.name,
        feature.kind,
        rows_before=int(rows[0]),
        rows_now=int(rows[1]),
        edges=bins.edges,
        reference=bins.shares[0],
        current=bins.shares[1],
        rows=tuple(named),
        growing=bins.growing,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Edges float64[b + 1], and the shares between them before and now, float64[2, b]."""

    edges: Floats
    shares: Floats
    growing: bool = False

    @classmethod
    def none(cls) -> "Bins":
        """Nothing is binned."""
        return cls(np.empty(0), np.empty((2, 0)))


def _row(part: ShareOf, label: str, shares: Floats) -> ShareRow:
    return ShareRow(part, label, *shares.tolist())


def _categories(feature: CategoricalBaseline, shares: Floats) -> Iterator[ShareRow]:
    """The categories that are common before or now, in the reference's order; the rest; new ones."""
    known = shares[:, :-1]
    shown = _commonest(known, NAMED)
    for at in shown.tolist():
        yield _row(ShareOf.CATEGORY, feature.categories[at], known[:, at])
    if rest := len(feature.categories) - shown.size:
        yield _row(ShareOf.OTHER, f"{rest} others", known.sum(axis=1) - known[:, shown].sum(axis=1))
    yield _row(ShareOf.NEW, "new or rare" if shares[0, -1] else "new", shares[:, -1])


def _commonest(shares: Floats, most: int) -> Ints:
    """The places of the largest shares, in their order."""
    largest = np.argsort(-shares.max(axis=0), kind="stable")[:most]
    return np.sort(largest)


def _values(feature: NumericBaseline, shares: Floats) -> Iterator[ShareRow]:
    """The values of a number that has few, what lies between them, and what lies outside."""
    inside = shares[:, 1:-1]
    for at in np.flatnonzero(feature.atoms).tolist():
        yield _row(ShareOf.VALUE, plain(float(feature.tops[at]), VALUE_DIGITS), inside[:, at])
    between = inside[:, ~feature.atoms].sum(axis=1)
    if between.any():
        yield _row(ShareOf.BETWEEN, "between", between)
    yield from _outside(feature, shares)


def _outside(feature: NumericBaseline, shares: Floats) -> Iterator[ShareRow]:
    if not feature.bins:
        yield _row(ShareOf.ABOVE, "any value", shares[:, 1])
        return
    least, most = ends(feature.min, feature.max)
    yield _row(ShareOf.BELOW, f"below {least}", shares[:, 0])
    yield _row(ShareOf.ABOVE, f"above {most}", shares[:, -1])


def _numbers(feature: NumericBaseline, shares: Floats) -> tuple[Bins, list[ShareRow]]:
    inside, single = shares[:, 1:-1], _single(feature)
    stepwise = float(inside[0, single].sum()) >= STEPWISE * float(inside[0].sum()) > 0
    alone = _standing_alone(single if stepwise else feature.atoms & single, inside, stepwise=stepwise)
    labels = [plain(float(feature.tops[at]), VALUE_DIGITS) for at in np.flatnonzero(alone).tolist()]
    rows = [_row(ShareOf.VALUE, label, each) for label, each in zip(labels, inside[:, alone].T, strict=True)]
    rest = np.where(alone, 0.0, inside)
    bins = _steps(feature, rest, np.flatnonzero(single & ~alone)) if stepwise else _binned(feature, rest)
    return bins, [*rows, *_outside(feature, shares)]


def _single(feature: NumericBaseline) -> Bools:
    """Which bins hold one value of the reference alone, at their upper end, bool[B]: that is where their mean lies."""
    if not feature.bins:
        return np.empty(0, dtype=bool)
    off = np.abs(feature.bin_means[1:-1] / 2 - feature.tops / 2)
    near = off <= CLOSE * np.diff(feature.edges / 2)
    return np.asarray((feature.atoms | near) & (feature.counts[1 : feature.bins + 1] > 0))


def _standing_alone(single: Bools, inside: Floats, *, stepwise: bool) -> Bools:
    """Which bins are single values so common that they would hide the others; among single values, far above all others."""
    places = np.flatnonzero(single)
    common = inside[:, places].max(axis=0, initial=0.0)
    ordered = np.argsort(-common, kind="stable")
    falling = np.append(common[ordered], 0.0)
    stand = np.flatnonzero(falling[:-1][:MOST_ALONE] >= ALONE)
    if stepwise:
        stand = stand[falling[stand] >= STANDING_OUT * falling[stand + 1]]
    alone = np.zeros(single.size, dtype=bool)
    alone[places[ordered[: stand.max(initial=-1) + 1]]] = True
    return alone


def _steps(feature: NumericBaseline, inside: Floats, atoms: Ints) -> Bins:
    """Bins of as many neighbouring values each, with edges half-way between those."""
    groups = -(-atoms.size // -(-atoms.size // BINS))
    firsts = np.arange(groups) * atoms.size // groups
    values = feature.tops[atoms]
    margin = float(np.median(np.diff(values / 2)))
    after = np.minimum(values[:-1] + margin, values[:-1] / 2 + values[1:] / 2)
    edges = np.concatenate([values[:1] - margin, after[firsts[1:] - 1], values[-1:] + margin])
    begins = np.append(0, atoms[firsts[1:] - 1] + 1)  # what lies between two values counts with the larger
    return Bins(edges, np.add.reduceat(inside, begins, axis=1))


def _binned(feature: NumericBaseline, inside: Floats) -> Bins:
    """The sketch's bins merged into those that the eye takes in; none where nothing is left to bin."""
    if not inside.any():
        return Bins.none()
    wanted, growing = _wanted(feature, inside[0] if inside[0].any() else inside[1])
    middles = feature.edges[1:] / 2 + feature.edges[:-1] / 2
    firsts = np.unique(np.append(0, np.searchsorted(middles, wanted)))
    if growing:  # what is not above 0 has no place on that scale: it is part of the first bin
        firsts = firsts[(firsts == 0) | (feature.edges[firsts] > 0)]
    firsts = _wide_enough(firsts[firsts < feature.bins], feature.edges, wanted)
    edges = np.append(feature.edges[firsts], feature.max)
    edges[0] = feature.min
    growing = growing and (feature.min > 0 or edges.size > FEWEST)
    return Bins(edges, np.add.reduceat(inside, firsts, axis=1), growing)


def _wide_enough(firsts: Ints, edges: Floats, wanted: Floats) -> Ints:
    """Those first bins that leave each group wider than a quarter of the step there: a single value is no bar of its own."""
    step = np.interp(edges[firsts], wanted[1:], np.diff(wanted / 2))
    kept = [0]
    for at in range(1, firsts.size):
        if edges[firsts[at]] / 2 - edges[firsts[kept[-1]]] / 2 >= NARROW * step[at]:
            kept.append(at)
    if len(kept) > 1 and edges[-1] / 2 - edges[firsts[kept[-1]]] / 2 < NARROW * step[-1]:
        kept.pop()
    return firsts[kept]


def _wanted(feature: NumericBaseline, weights: Floats) -> tuple[Floats, bool]:
    """Where edges would lie evenly over what is central, and over tails that are no longer than that; and whether by factors."""
    order = np.cumsum(weights) / weights.sum()
    tops = feature.tops
    low, middle, high = (float(tops[np.searchsorted(order, part)]) for part in (CENTRAL, 0.5, 1 - CENTRAL))
    growing = 0 < low < middle and high / 2 - middle / 2 > SKEWED * (middle / 2 - low / 2)
    if not growing:
        return 2 * _even(feature.min / 2, low / 2, high / 2, feature.max / 2), False  # halves: a distance may overflow
    least = max(feature.min, low * TINY)
    return np.exp(_even(*np.log([least, low, high, feature.max]).tolist())), True


def _even(least: float, low: float, high: float, most: float) -> Floats:
    """Even steps from low to high, or on to the ends where those are near."""
    reach = FAR * (high - low)
    return np.linspace(least if low - least <= reach else low, most if most - high <= reach else high, BINS - 1)
