"""Two passes over a reference: find edges and categories, then count on them exactly."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Self

import numpy as np
from numpy.typing import ArrayLike

from detectors.baseline import Baseline, CategoricalBaseline, NumericBaseline
from detectors.calibration.calibration import FEWEST_WINDOWS, Calibration, TooFewWindows, calibrate
from detectors.calibration.collect import Placed, WindowTally
from detectors.calibration.holidays import NO_HOLIDAYS, Holidays
from detectors.columns import Column, as_codes, as_columns, as_floats, as_written_floats, infer_kind, refuse_time
from detectors.encoding import PREDICTION
from detectors.features import CategoricalFeature, Codes, Floats, Ints, Kind, NumericFeature
from detectors.layout import Layout
from detectors.reference.arrivals import Arrivals, nanoseconds
from detectors.reference.copies import Copy, RowSample
from detectors.reference.grouping import GroupColumn
from detectors.reference.labels import LabelColumn
from detectors.reference.profiles import CategoryProfile, NumericProfile
from detectors.reference.workers import Workers
from detectors.sketches.placing import ColumnCells
from detectors.sketches.weights import PERCENT, are_shares, weights_of
from detectors.spellings import CategoryCodes

if TYPE_CHECKING:
    from detectors.reference.labelled import ReferencePerformance
    from detectors.reference.labelling import LabelsSeen, LabelTally

RawChunk = Mapping[str, ArrayLike]
Heard = Callable[[int], None]
CUT_OFF = 2  # windows: the first and the last


@dataclass(frozen=True, slots=True)
class Fitted:
    """What two passes found: the counts, when rows happened, how windows differ.

    `cold` says why there is no calibration, where there were timestamps and a window; `copies` are features that say what
    the prediction says; `performance` what its labels do.
    """

    baseline: Baseline
    period: tuple[int, int] | None
    rows_per_second: float | None
    calibration: Calibration | None
    cold: str
    copies: tuple[Copy, ...]
    performance: "ReferencePerformance | None"


@dataclass(slots=True)
class FirstPass:
    """One profile a column, made when the column first shows a value."""

    kinds: Mapping[str, Kind]
    timestamp: str | None
    arrivals: Arrivals
    workers: Workers = field(default_factory=Workers)
    columns: dict[str, NumericProfile | CategoryProfile | None] = field(default_factory=dict)
    rows: int = 0
    weights: Ints | None = None  # of the rows of a chunk

    def add(self, chunk: Mapping[str, Column], weights: Ints | None = None) -> None:
        """Take one chunk; a column it lacks is missing in its rows. `weights` are how many rows each stands for, in millionths."""
        self.weights = weights
        self.columns |= {name: None for name in chunk if name != self.timestamp and name not in self.columns}
        self.workers.all(partial(self._take, name, column) for name, column in chunk.items())
        self.rows += rows_of(chunk)

    def _take(self, name: str, column: Column) -> None:
        if name == self.timestamp:
            self.arrivals.add(name, column, self.weights)
            return
        profile = self.columns[name]
        if profile is None:
            refuse_time(name, column)
            kind = self.kinds.get(name) or infer_kind(column)
            if kind is None:
                return
            profile = self.columns[name] = NumericProfile(name) if kind is Kind.NUMERIC else CategoryProfile()
        if isinstance(profile, NumericProfile):
            profile.take(column)
        else:
            profile.add(column)

    def layout(self) -> Layout:
        """Return the frozen layout; a column without any value is numeric."""
        found: dict[str, NumericFeature | CategoricalFeature] = {}
        self.workers.all(partial(self._finish, name, found) for name in self.columns)
        features = [found[name] for name in self.columns]
        return Layout(
            tuple(each for each in features if isinstance(each, NumericFeature)),
            tuple(each for each in features if isinstance(each, CategoricalFeature)),
        )

    def _finish(self, name: str, found: dict[str, NumericFeature | CategoricalFeature]) -> None:
        profile = self.columns[name] = self.columns[name] or NumericProfile(name)
        if isinstance(profile, NumericProfile):
            profile.finish()
            found[name] = NumericFeature(name, profile.edges(), profile.discrete)
        else:
            found[name] = CategoricalFeature(name, profile.categories())

    def moments(self, name: str) -> tuple[float, float]:
        """Return mean and standard deviation of a number."""
        profile = self.columns[name]
        assert isinstance(profile, NumericProfile)
        return profile.mean, profile.std

    def sampled(self, layout: Layout) -> Ints:
        """Return counts int64[size] of what was kept in the first pass: nearly the shares that the second will find."""
        counts = np.zeros(layout.size, dtype=np.int64)
        for feature, first, lost in zip(layout.features, layout.offsets.tolist(), layout.lost.tolist(), strict=False):
            match self.columns[feature.name], feature:
                case NumericProfile() as numbers, NumericFeature():
                    counts[first:lost] = numbers.sampled(feature)
                case CategoryProfile() as texts, CategoricalFeature():
                    counts[first:lost] = texts.sampled(feature)
        return counts


class BinCounts:
    """Second pass: how many values of one feature are in each bin, as a sketch would hold them, and their sum."""

    def __init__(self, feature: NumericFeature, mean: float, std: float) -> None:
        self._feature = feature
        self._moments = mean, std
        bound = max(abs(feature.min), abs(feature.max))
        self._cells = ColumnCells(feature.edges, 2.0**-64 if bound > 2.0**900 else 1.0)  # so that a sum stays finite
        self._absent = 0

    def add(self, column: Column) -> tuple[Floats, Codes]:
        """Take a column of any kind. Returns its values as they were counted, and the cell of each."""
        values = as_written_floats(column)
        return values, self._cells.add(values)

    def absent(self, rows: int) -> None:
        """Take rows of a chunk that has no such column."""
        self._absent += rows

    def counted(self) -> NumericBaseline:
        """Return the feature with its counts, and with the mean of each bin kept inside the bin."""
        feature, counts = self._feature, self._cells.counts.copy()
        counts[feature.usable] += self._absent
        means = bin_means(feature, self._cells.means() if feature.bins else np.empty(0))
        return NumericBaseline(feature.name, feature.edges, feature.discrete, counts, means, *self._moments)


def bin_means(feature: NumericFeature, means: Floats) -> Floats:
    """Return float64[B + 2] of the mean of each bin, float64[B], NaN where it is empty: kept inside the bin, and the ends beside them."""
    if not feature.bins:
        return np.zeros(2)
    low, high = np.nextafter(feature.edges[:-1], np.inf), feature.edges[1:]
    means = np.where(np.isnan(means), low / 2 + high / 2, np.clip(means, low, high))  # the middle of what is empty
    return np.concatenate([[feature.min], means, [feature.max]])


class CodeCounts:
    """Second pass: how many rows have each category of one feature."""

    def __init__(self, feature: CategoricalFeature) -> None:
        self._feature = feature
        self._codes = CategoryCodes(feature.categories)
        self._counts = np.zeros(feature.cells, dtype=np.int64)

    def add(self, column: Column) -> tuple[Codes, Codes]:
        """Take a column of any kind. Returns the codes that were counted, which are also the cells of the rows."""
        codes = as_codes(column, self._codes)
        self._counts += np.bincount(codes, minlength=self._counts.size)
        return codes, codes

    def absent(self, rows: int) -> None:
        """Take rows of a chunk that has no such column."""
        self._counts[-1] += rows

    def counted(self) -> CategoricalBaseline:
        """Return the feature with its counts."""
        return CategoricalBaseline(self._feature.name, self._feature.categories, self._counts)


@dataclass(frozen=True, slots=True)
class Labelling:
    """The labels of a table, where a column has them; `detectors.performance` is read for these alone."""

    seen: "LabelsSeen | None" = None

    @classmethod
    def of(cls, column: LabelColumn | None) -> Self:
        """Begin with a column, or with none."""
        if column is None:
            return cls()
        from detectors.reference.labelling import LabelsSeen

        return cls(LabelsSeen(column))

    @property
    def name(self) -> str | None:
        """The column's."""
        return None if self.seen is None else self.seen.column.name

    def holds(self, column: str) -> bool:
        """Whether a column is of labels, and no feature."""
        return self.seen is not None and self.seen.column.holds(column)

    def look(self, chunk: Mapping[str, Column]) -> None:
        """Look at a chunk in the first pass."""
        if self.seen is not None:
            self.seen.look(chunk)

    def tally(self, layout: Layout, columns: Iterable[str], window_ns: int | None) -> "LabelTally | None":
        """Return what counts labels in the second pass. Raises ValueError where they cannot be counted."""
        if self.seen is None:
            return None
        if not self.seen.there:
            raise ValueError(f"there is no column {self.name} of labels; there are {', '.join(columns)}")
        self.seen.refuse_absent()
        return self.seen.tally(next((each for each in layout.features if each.name == PREDICTION), None), window_ns)


class SecondPass:
    """Every feature counted on its own, and by window where a tally is given."""

    def __init__(
        self,
        first: FirstPass,
        layout: Layout,
        timestamp: str | None = None,
        tally: WindowTally | None = None,
        group: GroupColumn | None = None,
        labels: "LabelTally | None" = None,
        sampling: str | None = None,
    ) -> None:
        self._sampling = sampling
        self.rows = 0
        self._workers = first.workers
        self._layout = layout
        self._timestamp = timestamp
        self._tally = tally
        self._group = group
        self._labels = labels
        self.sample = RowSample(layout, first.rows)
        self._numeric = {feature.name: BinCounts(feature, *first.moments(feature.name)) for feature in layout.numeric}
        self._categorical = {feature.name: CodeCounts(feature) for feature in layout.categorical}

    def add(self, chunk: Mapping[str, Column]) -> None:
        """Take one chunk; a column it lacks is missing in its rows."""
        placed = self._place(chunk)
        features: dict[str, BinCounts | CodeCounts] = {**self._numeric, **self._categorical}
        said: dict[str, Floats | Codes] = {}
        self._workers.all(
            partial(self._count, at, name, counts, chunk, placed, said)
            for at, (name, counts) in enumerate(features.items())
        )
        if self._labels is not None:
            self._labels.add(chunk, said.get(PREDICTION), self._times(chunk))
        self.rows += rows_of(chunk)

    def _count(
        self,
        at: int,
        name: str,
        counts: BinCounts | CodeCounts,
        chunk: Mapping[str, Column],
        placed: Placed | None,
        said: dict[str, Floats | Codes],
    ) -> None:
        """Count one feature, `at` in the order of the layout; what the prediction said is kept."""
        if name not in chunk:
            counts.absent(rows_of(chunk))
            self.sample.absent(name, self.rows, rows_of(chunk))
            return
        column, cells = counts.add(chunk[name])
        self.sample.take(name, column, self.rows)
        if name == PREDICTION:
            said[name] = column
        if placed is not None:
            placed.add(at, cells)

    def _times(self, chunk: Mapping[str, Column]) -> Ints | None:
        if self._timestamp is None or self._timestamp not in chunk:
            return None
        return nanoseconds(self._timestamp, chunk[self._timestamp])

    def _place(self, chunk: Mapping[str, Column]) -> Placed | None:
        if self._tally is None or (times := self._times(chunk)) is None:
            return None
        groups = None if self._group is None else self._group.hashes(chunk.get(self._group.name), rows_of(chunk))
        return self._tally.place(times, groups, weights_in(chunk, self._sampling))

    def baseline(self) -> Baseline:
        """Return all counts on the layout."""
        numeric = tuple(counts.counted() for counts in self._numeric.values())
        categorical = tuple(counts.counted() for counts in self._categorical.values())
        return Baseline(self._layout, self.rows, numeric, categorical)


def weights_in(chunk: Mapping[str, Column], name: str | None) -> Ints | None:
    """How many rows each stands for by its share, in percent, in millionths; None where all stand for themselves.

    Raises ValueError for what is no share.
    """
    if name is None or name not in chunk:
        return None
    percent = as_floats(chunk[name])
    percent = np.where(np.isnan(percent), PERCENT, percent)
    if not (fair := are_shares(percent)).all():
        raise ValueError(
            f"{name}: {percent[~fair][0]:g} is no share of rows in percent: it must be above 0 and at most 100"
        )
    return None if (percent == PERCENT).all() else weights_of(percent)


def rows_of(chunk: Mapping[str, Column]) -> int:
    """Return the rows of a chunk; all its columns have as many."""
    return next(iter(chunk.values())).size if chunk else 0


def fit(
    chunks: Callable[[], Iterable[RawChunk]],
    *,
    kinds: Mapping[str, Kind | str] | None,
    prediction: str | None,
    timestamp: str | None,
    window_ns: int | None,
    progress: Heard | None,
    calendar: Holidays = NO_HOLIDAYS,
    group: GroupColumn | None = None,
    label: LabelColumn | None = None,
    workers: Workers | None = None,
    sampling: str | None = None,
) -> Fitted:
    """Read the chunks twice; `group` is the column that says which rows come together, `label` what came true.

    `workers` share the columns of each chunk; the result is the same. Raises ValueError naming the column or number that makes a reference impossible.
    """
    check_window(timestamp, window_ns)
    name = None if group is None else group.name
    check_group(name, timestamp, window_ns, prediction)
    _check_label(label, {"timestamp": timestamp, "prediction": prediction, "group": name})
    labelling = Labelling.of(label)
    grouped = False
    first = FirstPass(as_kinds(kinds, prediction), timestamp, Arrivals(window_ns), workers or Workers())
    for chunk in _read(chunks, prediction, progress, before=0):
        grouped |= name in chunk
        labelling.look(chunk)
        beside = {name, sampling}
        first.add(
            {each: column for each, column in chunk.items() if each not in beside and not labelling.holds(each)},
            weights_in(chunk, sampling),
        )
    check_columns(first.columns, first.rows, first.kinds, prediction, timestamp, first.arrivals)
    if group is not None and not grouped:
        raise ValueError(f"there is no column {name} to group rows by; there are {', '.join(first.columns)}")
    layout = first.layout()
    tally = None if window_ns is None else first.arrivals.tally(layout, first.sampled(layout))
    labels = labelling.tally(layout, first.columns, window_ns)
    second = SecondPass(first, layout, timestamp, tally, group, labels, sampling)
    for chunk in _read(chunks, prediction, progress, before=first.rows):
        second.add(chunk)
    if second.rows != first.rows:
        raise ValueError(f"the first pass read {first.rows} rows, the second {second.rows}: the data changed between")
    baseline, arrivals = second.baseline(), first.arrivals
    calibration, cold = learn(baseline, tally, calendar, group)
    if cold and (batches := arrivals.batches(FEWEST_WINDOWS + CUT_OFF)):
        cold = f"{cold}; {batches}"
    return Fitted(
        baseline,
        arrivals.period,
        arrivals.rows_per_second,
        calibration,
        cold,
        second.sample.copies(),
        None if labels is None else labels.finished(),
    )


def check_window(timestamp: str | None, window_ns: int | None) -> None:
    """Raise ValueError for windows of no length, or without times."""
    if window_ns is None:
        return
    if window_ns <= 0:
        raise ValueError(f"window_ns is {window_ns}; a window is longer than zero")
    if timestamp is None:
        raise ValueError(f"window_ns is {window_ns}, but there are no timestamps to cut windows by")


def check_group(group: str | None, timestamp: str | None, window_ns: int | None, prediction: str | None) -> None:
    """Raise ValueError for a group without windows, and for one that is another column as well."""
    if group is None:
        return
    if timestamp is None:
        raise ValueError("group needs timestamp: rows come together in windows of event time")
    if window_ns is None:
        raise ValueError("group needs window: rows come together in windows of event time")
    for what, name in (("timestamp", timestamp), ("prediction", prediction)):
        if group == name:
            raise ValueError(f"group {group} is the {what} and cannot be what rows come together in as well")


def _check_label(label: LabelColumn | None, others: Mapping[str, str | None]) -> None:
    for what, name in others.items():
        if label is not None and label.name == name:
            raise ValueError(f"label {name} is the {what} and cannot be what came true as well")
        if label is not None and name is not None and label.holds(name):
            raise ValueError(f"{name} is the {what} and cannot be of label {label.name} as well (weight, scores)")


def learn(
    baseline: Baseline, tally: WindowTally | None, calendar: Holidays, group: GroupColumn | None
) -> tuple[Calibration | None, str]:
    """Return what the windows teach, or why they teach nothing."""
    if tally is None:
        return None, ""
    counts = tally.counted()
    if group is not None and counts.grouped is not None:
        said = int(counts.grouped.sum())
        counts = counts if group.enough(said, int(counts.rows.sum())) else counts.without_groups()
    try:
        return calibrate(counts, tally.cells, baseline.counts, calendar), ""
    except TooFewWindows as error:
        return None, str(error)


def as_kinds(kinds: Mapping[str, Kind | str] | None, prediction: str | None) -> dict[str, Kind]:
    """Return kinds by column, the prediction under its name. Raises ValueError for one that is unknown."""
    found = {}
    for name, kind in (kinds or {}).items():
        if kind not in set(Kind):
            raise ValueError(f"{name}: kind is {kind!r}; valid are {', '.join(Kind)}")
        found[PREDICTION if name == prediction else name] = Kind(kind)
    return found


def _read(
    chunks: Callable[[], Iterable[RawChunk]], prediction: str | None, progress: Heard | None, *, before: int
) -> Iterator[dict[str, Column]]:
    rows = before
    for raw in chunks():
        chunk = as_chunk(raw, prediction)
        yield chunk
        rows += rows_of(chunk)
        if progress is not None:
            progress(rows)


def as_chunk(raw: RawChunk, prediction: str | None) -> dict[str, Column]:
    """Return columns of one length, the prediction under its name. Raises ValueError naming the column that is none."""
    if prediction is not None and prediction != PREDICTION and prediction in raw and PREDICTION in raw:
        raise ValueError(f"there is a column {PREDICTION} beside the prediction {prediction}")
    return as_columns({PREDICTION if name == prediction else name: values for name, values in raw.items()})


def check_columns(
    names: Collection[str],
    rows: int,
    kinds: Mapping[str, Kind],
    prediction: str | None,
    timestamp: str | None,
    arrivals: Arrivals,
) -> None:
    """Refuse what is no reference, in one line."""
    known = [*names, *([timestamp] if timestamp and arrivals.period else [])]
    columns = ", ".join(known)
    if not names:
        also = "" if rows else " and one row"  # of a table without rows an engine may hand over no columns
        raise ValueError(f"a reference needs at least one column{also}")
    if not rows:
        raise ValueError("a reference needs at least one row")
    if prediction is not None and PREDICTION not in names:
        raise ValueError(f"there is no prediction column {prediction}; there are {columns}")
    if timestamp is not None and arrivals.period is None:
        raise ValueError(f"there is no time in a column {timestamp}; there are {columns}")
    unknown = [name for name in kinds if name not in names]
    if unknown:
        raise ValueError(f"a kind is given for {unknown[0]}, but there is no such column; there are {columns}")
