"""What closed windows and sealed panes have shown."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload

from detectors import Baseline, PackedSketch, Tally
from detectors.charts import ChartPoint
from detectors.features import Floats, Ints
from detectors.sketches.ids import Ids
from monitor.alerting.table import ScoreTable
from monitor.facts.requests import WindowRequests
from monitor.stream.events import Nanos, SeriesKey


@dataclass(frozen=True, slots=True)
class FeatureQuality:
    """Shares of a window's rows in which a feature was missing, or outside what the reference knows.

    `shift_sigma`: how far a number's mean is from the reference's, in reference sd; None without one.
    """

    feature: str
    missing_ratio: float
    unseen_ratio: float
    shift_sigma: float | None = None


class Qualities(Sequence[FeatureQuality]):
    """The quality of all features of a window. Reads like a tuple; the values are made when they are read, which is seldom.

    `window` gives the counts when it is first read, or at `settle`.
    """

    __slots__ = ("_baseline", "_found", "_window")

    def __init__(self, baseline: Baseline, window: Tally | Callable[[], Tally]) -> None:
        self._baseline = baseline
        self._window = window
        self._found: tuple[int, Ints, Ints, Floats] | None = None
        if isinstance(window, Tally):
            self.settle()

    @property
    def missing_values(self) -> int:
        """How many values of all features are missing."""
        return int(self.settle()[1].sum())

    def __len__(self) -> int:
        return len(self._baseline.names)

    def __bool__(self) -> bool:
        return True  # no layout is without features

    def settle(self) -> tuple[int, Ints, Ints, Floats]:
        """Work out rows, missing and unseen values, and how far the means of the numbers went, which come first."""
        window, found = self._window, self._found  # in this order: another thread may do the same
        if found is None:
            window = window if isinstance(window, Tally) else window()
            found = max(window.rows, 1), window.missing, window.unseen, self._baseline.mean_shift(window)
            self._found, self._window = found, _gone
        return found

    @overload
    def __getitem__(self, at: int) -> FeatureQuality: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[FeatureQuality]: ...
    def __getitem__(self, at: int | slice) -> FeatureQuality | Sequence[FeatureQuality]:
        return self._all()[at]

    def __iter__(self) -> Iterator[FeatureQuality]:
        return iter(self._all())

    def _all(self) -> tuple[FeatureQuality, ...]:
        names, (rows, missing, unseen, means) = self._baseline.names, self.settle()
        shares = (missing / rows).tolist(), (unseen / rows).tolist()
        shifts = [shift if math.isfinite(shift) else None for shift in means.tolist()]
        shifts += [None] * (len(names) - len(shifts))
        return tuple(map(FeatureQuality, names, *shares, shifts))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Qualities | tuple) and tuple(self) == tuple(other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())


@dataclass(frozen=True, slots=True)
class WindowIds:
    """The ids of a window: `rows` that have one, `distinct` ids, the `share` of these rows that repeat one, with its standard error."""

    rows: int
    distinct: float
    share: float
    error: float

    @classmethod
    def of(cls, window: Tally) -> "WindowIds | None":
        """Those of a window; None where no row has one. Of a window of many panes they are put together when they are read."""
        ids = window.ids
        if ids is None or not any(part.rows for part in ids.parts):
            return None
        return LateIds(ids) if len(ids.parts) > 1 else cls.said(ids)

    @classmethod
    def said(cls, ids: Ids) -> "WindowIds":
        """What some ids say."""
        found = ids.sample.duplicates()
        return WindowIds(found.rows, found.distinct, found.share, found.error)

    def settle(self) -> "WindowIds":
        """The same, worked out."""
        return self


class LateIds(WindowIds):
    """The ids of a window of many panes, put together when they are first read."""

    __slots__ = ("_found",)
    _found: Ids | WindowIds

    def __init__(self, ids: Ids) -> None:
        object.__setattr__(self, "_found", ids)

    def settle(self) -> WindowIds:
        """The same, worked out."""
        found = self._found
        if isinstance(found, Ids):
            found = WindowIds.said(found)
            object.__setattr__(self, "_found", found)
        return found

    @property
    def rows(self) -> int:
        """Rows that have one."""
        return self.settle().rows

    @property
    def distinct(self) -> float:
        """Distinct ids."""
        return self.settle().distinct

    @property
    def share(self) -> float:
        """The share of these rows that repeat one."""
        return self.settle().share

    @property
    def error(self) -> float:
        """Its standard error."""
        return self.settle().error

    def __eq__(self, other: object) -> bool:
        return self.settle() == (other.settle() if isinstance(other, WindowIds) else other)

    def __hash__(self) -> int:
        return hash(self.settle())

    def __repr__(self) -> str:
        return repr(self.settle())


def _gone() -> Tally:
    raise AssertionError("the counts of a window are asked for twice")


@dataclass(
    slots=True, unsafe_hash=True
)  # not frozen, which takes three times as long: made for each window; nobody changes one
class WindowClosed:
    """A window was closed and judged. `ids`: None where no row has one.

    `group_rows`: how many rows the group of a row has, over those of the reference's usual window; None where either is not known.
    `violations`: columns and rules of a data contract with the rows that break them, of which `excluded` are none of `rows`.
    `unlogged`: how many more a sampled log left out, as estimated.
    """

    key: SeriesKey
    start: Nanos
    end: Nanos
    rows: int
    quality: Sequence[FeatureQuality]
    ids: WindowIds | None = None
    group_rows: float | None = None
    requests: WindowRequests | None = None  # None where nothing is told of them
    violations: tuple[tuple[str, str, int], ...] = ()
    excluded: int = 0
    unlogged: int = 0

    @property
    def volume(self) -> int:
        """How many rows there were, in the log or not."""
        return self.rows + self.excluded + self.unlogged

    def __post_init__(self) -> None:
        if isinstance(self.quality, list):  # as msgspec reads a sequence
            self.quality = tuple(self.quality)


@dataclass(
    slots=True, unsafe_hash=True
)  # not frozen, which takes three times as long: made for each window; nobody changes one
class WindowScored:
    """All scores of the window ending at `at`, and each feature's state: 0 ok, 1 warning, 2 drift, -1 too little data.

    `counts` are those of the window's rows, for pictures; None where they were not kept.
    """

    key: SeriesKey
    at: Nanos
    scores: ScoreTable
    states: Mapping[str, int]
    counts: PackedSketch | None = field(default=None, compare=False, repr=False)


@dataclass(
    slots=True
)  # not frozen: those of windows that close together are filled together, before anybody is told of them
class TrackPoint:
    """How near each feature came to its thresholds in [start, end): its largest score ÷ threshold.

    `nearness` are little-endian float16, one a feature, NaN where nothing was known.
    """

    start: Nanos
    end: Nanos
    nearness: bytes


@dataclass(
    slots=True, unsafe_hash=True
)  # not frozen, which takes three times as long: made for each window; nobody changes one
class FeaturesTracked:
    """How near features came, by window and by hour; an hour comes again with each of its windows."""

    key: SeriesKey
    features: tuple[str, ...]
    windows: tuple[TrackPoint, ...]
    hours: tuple[TrackPoint, ...]


@dataclass(frozen=True, slots=True)
class DetectorFailed:
    """A detector of another package failed on the window that ends so: its scores are not known, and what rests on them stands still."""

    key: SeriesKey
    end: Nanos
    detector: str
    why: str


@dataclass(frozen=True, slots=True)
class FewRows:
    """Usual windows, `length` long, hold fewer rows than `min_rows`, so that most detectors say insufficient data; `few` False: no longer."""

    key: SeriesKey
    rows: float
    length: Nanos
    min_rows: int
    few: bool


@dataclass(
    slots=True, unsafe_hash=True
)  # not frozen, which takes three times as long: made for each window; nobody changes one
class WindowSpan:
    """The window a decision was taken on."""

    start: Nanos
    end: Nanos
    rows: int


@dataclass(frozen=True, slots=True)
class SubgroupCharted:
    """The budget's charts have taken one subgroup, [start, end): `point` is what they say after it."""

    key: SeriesKey
    start: Nanos
    end: Nanos
    rows: int
    point: ChartPoint


@dataclass(frozen=True, slots=True)
class CalibrationStands:
    """Whether a calibration was suspect when the state was saved."""

    key: SeriesKey
    suspect: bool


@dataclass(frozen=True, slots=True)
class BaselineTrails:
    """A feature is compared with its recent past, which has come a day further: `days` of the `wanted` are held.

    `shift`: sigma between that past and the reference, None of a category; `beyond`: share of its rows outside the reference's
    range or categories; `paused`: what comes is kept apart, since the feature warns or fires. `begins`: nothing was compared with it before.
    """

    key: SeriesKey
    at: Nanos
    feature: str
    wanted: int
    days: int
    shift: float | None
    beyond: float
    paused: bool
    begins: bool = False


@dataclass(frozen=True, slots=True)
class RateImproved:
    """Fewer values of a feature are missing, or unseen, than in the reference: good to know, no alert."""

    key: SeriesKey
    at: Nanos
    feature: str
    what: str
    before: float
    now: float
