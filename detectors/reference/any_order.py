"""A fit that knows no order: the same rows give the same reference, bit for bit, however they are parted, sorted or shuffled.

The fit of `fit.py` adds floats one after the other and samples by the number of a row, so its last digits, and the edges of columns with
more values than it samples, depend on the order of rows. Where there is none, as in a table on many machines, counts decide alone:

- **First look**: how often each value occurs, or each of 131 072 runs of neighbouring values (`value_cells`); when rows happened.
- **Closer looks**, only where a run holds 1/384 of a column and more and is several values: what is inside of it. After each the run is
  at least 2⁸ times as narrow, so there are at most eight; a column without common values among many others needs none.
- **Last count**: on the edges that follow; of sums exact ones (`detectors.performance.exact`).

Two passes as a rule. Up to 131 072 values a column, the layout and the counts are those of the fit in order.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import msgspec
import numpy as np

from detectors.baseline import Baseline, CategoricalBaseline, NumericBaseline
from detectors.calibration.calibration import FEWEST_WINDOWS
from detectors.calibration.cells import MergedCells
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays
from detectors.encoding import PREDICTION
from detectors.features import LARGEST, CategoricalFeature, Floats, Ints, Kind, NumericFeature
from detectors.layout import Layout
from detectors.performance import exact
from detectors.reference.arrivals import Arrivals
from detectors.reference.copies import Copy, agreement_of, copies_among, groups_of_cells
from detectors.reference.fit import (
    CUT_OFF,
    Fitted,
    as_kinds,
    bin_means,
    check_columns,
    check_group,
    check_window,
    learn,
)
from detectors.reference.grouping import GroupColumn
from detectors.reference.passes import (
    ROWS,
    Apply,
    CloserLook,
    ColumnSeen,
    CountPlan,
    FeatureCounts,
    FirstLook,
    LastCount,
    ReadAs,
    RowsSeen,
    Scaling,
)
from detectors.reference.profiles import BINS, CategoryProfile, discrete_edges, is_discrete, precision, quantile_edges
from detectors.reference.value_cells import ValueCells, ValueRuns, values_of


def fit(
    apply: Apply,
    *,
    kinds: Mapping[str, Kind | str] | None = None,
    prediction: str | None = None,
    timestamp: str | None = None,
    window_ns: int | None = None,
    calendar: Holidays = NO_HOLIDAYS,
    group: GroupColumn | None = None,
) -> Fitted:
    """Fit to data that `apply` makes passes over, in parts. Raises ValueError as `Reference.fit` does."""
    check_window(timestamp, window_ns)
    check_group(None if group is None else group.name, timestamp, window_ns, prediction)
    plain = None if group is None else GroupColumn(group.name, group.hashed)
    reading = ReadAs(prediction, timestamp, window_ns, plain)
    look = Look.of(apply, reading, as_kinds(kinds, prediction))
    check_columns(look.names, look.rows, look.kinds, prediction, timestamp, look.arrivals)
    if group is not None and not look.grouped:
        raise ValueError(f"there is no column {group.name} to group rows by; there are {', '.join(look.names)}")
    return _counted(apply, reading, look, calendar, group)


@dataclass(frozen=True, slots=True, eq=False)
class NumberSeen:
    """What was seen of a number: runs of its values, rising, whether all are of half precision, whether each has a run of its own."""

    name: str
    runs: ValueRuns
    halves: bool
    exactly: bool

    @classmethod
    def of(cls, name: str, seen: ColumnSeen) -> "NumberSeen":
        """Return what a first look saw."""
        cells = ValueCells.from_bytes(seen.cells) if seen.cells else ValueCells()
        return cls(name, cells.runs, seen.halves, cells.level == 0)

    def closer(self, inside: bytes) -> "NumberSeen":
        """Return the same with what is inside of the runs that hold much."""
        wide = self.runs.wide(BINS)
        return NumberSeen(
            self.name, self.runs.told_apart(wide, ValueCells.from_bytes(inside).runs), self.halves, self.exactly
        )

    @property
    def wide(self) -> tuple[Ints, Ints] | None:
        """Which runs are to be looked at closer; None where none is."""
        wide = self.runs.wide(BINS)
        return (self.runs.least[wide], self.runs.most[wide]) if wide.any() else None

    @property
    def distinct(self) -> Floats | None:
        """The values, where there are few."""
        few = self.exactly and self.runs.least.size <= BINS
        return values_of(self.runs.least) if few else None

    @property
    def ends(self) -> tuple[float, float]:
        """The least and the largest value; 0 where there is none."""
        if not self.runs.least.size:
            return 0.0, 0.0
        return float(values_of(self.runs.least[:1])[0]), float(values_of(self.runs.most[-1:])[0])

    def feature(self) -> NumericFeature:
        """Return the frozen bins."""
        if not self.runs.least.size:
            return NumericFeature(self.name, np.empty(0), is_discrete(self.distinct))
        keys = self.runs.least if self.exactly else np.sort(np.concatenate([self.runs.least, self.runs.most]))
        ends = values_of(keys)
        less = precision(ends, self.distinct, halves=self.halves)
        if self.distinct is not None and is_discrete(self.distinct):
            return NumericFeature(self.name, discrete_edges(self.distinct, less), discrete=True)
        tops = values_of(self.runs.most)
        edges = quantile_edges(tops, self.runs.counts, self.distinct, less, self.ends, self.runs.single)
        return NumericFeature(self.name, edges, discrete=False)

    def about(self, feature: NumericFeature) -> Ints:
        """Return how many values are under, in each bin and over, int64[B + 2], each run taken whole."""
        rungs = feature.edges if feature.edges.size else np.array([-LARGEST])
        cells = np.searchsorted(rungs, values_of(self.runs.most), side="left")
        counts = np.zeros(feature.usable, dtype=np.int64)
        np.add.at(counts, cells, self.runs.counts)
        return counts

    def scaling(self) -> Scaling:
        """Return how its values are made small; what is subtracted is about the median."""
        largest = max(map(abs, self.ends))
        if not largest:
            return Scaling(0, 0.0)
        power = -int(np.frexp(largest)[1]) - 1
        middle = np.searchsorted(np.cumsum(self.runs.counts), self.runs.total // 2, side="right")
        return Scaling(power, float(Scaling(power, 0.0).small(values_of(self.runs.most[middle : middle + 1]))[0]))


@dataclass(frozen=True, eq=False)
class Look:
    """All that was seen before the last count: numbers and texts of each column, in the columns' order."""

    names: tuple[str, ...]
    rows: int
    grouped: bool
    arrivals: Arrivals
    kinds: Mapping[str, Kind]
    numbers: Mapping[str, NumberSeen]
    texts: Mapping[str, CategoryProfile]

    @classmethod
    def of(cls, apply: Apply, reading: ReadAs, kinds: Mapping[str, Kind]) -> "Look":
        """Look at the data once, and closer as long as something is hidden."""
        found = dict(apply(FirstLook(reading, kinds)))
        rows = msgspec.msgpack.decode(found.pop(ROWS), type=RowsSeen) if ROWS in found else RowsSeen()
        seen = {name: msgspec.msgpack.decode(part, type=ColumnSeen) for name, part in found.items()}
        names = tuple(sorted(seen, key=lambda name: (seen[name].rank, name)))
        texts = {name: _texts(seen[name]) for name in names if seen[name].kind is Kind.CATEGORICAL}
        numbers = {name: NumberSeen.of(name, seen[name]) for name in names if name not in texts}
        while wide := {name: runs for name, each in numbers.items() if (runs := each.wide) is not None}:
            inside = apply(CloserLook(reading, wide))
            numbers |= {name: numbers[name].closer(inside[name]) for name in wide}
        return cls(names, rows.rows, rows.grouped, rows.arrivals(reading.window_ns), kinds, numbers, texts)

    @cached_property
    def layout(self) -> Layout:
        """The frozen layout; a column without any value is numeric."""
        texts = (CategoricalFeature(name, profile.categories()) for name, profile in self.texts.items())
        return Layout(tuple(each.feature() for each in self.numbers.values()), tuple(texts))

    @cached_property
    def about(self) -> Mapping[str, Ints]:
        """Of each feature how many values its usable cells have, nearly."""
        counts = {feature.name: self.numbers[feature.name].about(feature) for feature in self.layout.numeric}
        return counts | {each.name: self.texts[each.name].sampled(each) for each in self.layout.categorical}

    def plan(self, window_ns: int | None) -> CountPlan:
        """Return what the last pass is to count on."""
        scales = {name: each.scaling() for name, each in self.numbers.items()}
        groups = {each.name: groups_of_cells(each, self.about[each.name]) for each in self.layout.features}
        parts = self.layout.numeric, self.layout.categorical, scales
        several = len(groups) > 1 and PREDICTION in groups
        if window_ns is None or not self.arrivals.rows:
            return CountPlan(*parts, groups=groups if several else {})
        counts = np.zeros(self.layout.size, dtype=np.int64)
        for feature, first, lost in zip(self.layout.features, self.layout.offsets, self.layout.lost, strict=False):
            counts[first:lost] = self.about[feature.name]
        cells = MergedCells.of(self.layout, counts, float(np.median(list(self.arrivals.rows.values()))))
        windows = np.array(sorted(self.arrivals.rows), dtype=np.int64)
        return CountPlan(*parts, windows, (cells.cuts, cells.joined), groups if several else {})

    def numeric(self, feature: NumericFeature, counts: FeatureCounts, scaling: Scaling) -> NumericBaseline:
        """Return a number with its counts and moments."""
        cells = counts.cells.copy()
        cells[feature.usable] += self.rows - counts.rows
        least, most = self.numbers[feature.name].ends
        sums, held = counts.totals[:-1], cells[: feature.usable]
        total = int(held.sum())
        mean, std = _moments(sum(sums), counts.totals[-1], total, scaling)
        if least == most:
            mean, std = least, 0.0
        means = np.full(feature.bins, np.nan)
        for at in np.flatnonzero(held[1:-1]).tolist():
            means[at] = scaling.large(exact.as_float(sums[at + 1]) / int(held[at + 1]))
        inner = bin_means(feature, means)
        return NumericBaseline(
            feature.name, feature.edges, feature.discrete, cells, inner, min(max(mean, least), most), std
        )

    def categorical(self, feature: CategoricalFeature, counts: FeatureCounts) -> CategoricalBaseline:
        """Return a category with its counts."""
        cells = counts.cells.copy()
        cells[-1] += self.rows - counts.rows
        return CategoricalBaseline(feature.name, feature.categories, cells)


def _texts(seen: ColumnSeen) -> CategoryProfile:
    profile = CategoryProfile()
    profile.take({text.decode(errors="surrogatepass"): count for text, count in seen.texts})
    return profile


def _moments(total: int, squares: int, count: int, scaling: Scaling) -> tuple[float, float]:
    """Return mean and standard deviation of values whose small forms and their squares add up to these, in units of 2⁻¹⁰⁷⁴."""
    if not count:
        return 0.0, 0.0
    mean = exact.as_fraction(total) / count
    variance = exact.as_fraction(squares) / count - mean * mean
    return scaling.large(float(mean)), scaling.length(max(float(variance), 0.0) ** 0.5)


def _counted(apply: Apply, reading: ReadAs, look: Look, calendar: Holidays, group: GroupColumn | None) -> Fitted:
    plan = look.plan(reading.window_ns)
    counting = LastCount(reading, plan)
    found = apply(counting)
    tally = plan.tally(reading.window_ns)
    rows = counting.take_rows(tally, [found[ROWS]])
    if rows != look.rows:
        raise ValueError(f"the first pass read {look.rows} rows, the last {rows}: the data changed between")
    counts = {each.name: counting.take(at, tally, [found[each.name]]) for at, each in enumerate(plan.features)}
    baseline = Baseline(
        look.layout,
        rows,
        tuple(look.numeric(each, counts[each.name], plan.scales[each.name]) for each in plan.numeric),
        tuple(look.categorical(each, counts[each.name]) for each in plan.categorical),
    )
    calibration, cold = learn(baseline, tally, calendar, group)
    if cold and (batches := look.arrivals.batches(FEWEST_WINDOWS + CUT_OFF)):
        cold = f"{cold}; {batches}"
    period, usual = look.arrivals.period, look.arrivals.rows_per_second
    return Fitted(baseline, period, usual, calibration, cold, _copies(plan, counts), None)


def _copies(plan: CountPlan, counts: Mapping[str, FeatureCounts]) -> tuple[Copy, ...]:
    names = [each.name for each in plan.features if each.name != PREDICTION] if plan.groups else []
    return copies_among({name: agreement_of(counts[name].joint) for name in names})
