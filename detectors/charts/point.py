"""What the charts say after one subgroup, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from detectors.charts.days import NO_DAYS, DaysSeen
from detectors.charts.duplicates import DuplicatePoint
from detectors.charts.levels import LevelChange
from detectors.charts.trailing import TrailingState
from detectors.features import Bools, Floats, Ints


@dataclass(frozen=True, slots=True, eq=False)
class ChartPoint:
    """What the subgroup [start, end) adds to the charts, and where each stands after it.

    Charts are those of `design.CHARTS`. `increments` float64[f, 9] NaN where nothing was judged; `values` float64[f, 9] the
    sums, `thresholds` float64[9] theirs; `judged` bool[f] whether values were enough; `z`, `effects` float64[f, 9] standard
    errors beyond what is tolerated, and sizes in sigma or share; `firing`, `certain` bool[f, 9]; `warning` bool[f]; `since`
    int64[f, 9] when what fires began. `row_values` float64[2] and
    `row_firing` bool[2] are the sums and states of the rows themselves, (few, many); `usual_rows` what they are held to,
    None while it is learnt. `warned` charts began to warn with this point, where by chance `expected_warnings` would at most.
    """

    start: int
    end: int
    rows: int
    volume: int  # the rows, those that are counted nowhere else, and those that a sampled log left out
    increments: Floats
    values: Floats
    thresholds: Floats
    judged: Bools
    z: Floats
    effects: Floats
    firing: Bools
    certain: Bools
    warning: Bools
    since: Ints
    row_values: Floats
    row_firing: Bools
    row_since: Ints
    usual_rows: float | None
    warned: int
    expected_warnings: float
    of_late: tuple[float, float]  # warnings seen and expected in about the last 2000 points, older ones fading
    improved: Bools  # bool[f, 2]: missing and unseen rates that have just become better than the reference's
    suspect: bool  # far more warnings than chance allows, for long: the calibration does not fit this traffic
    days: DaysSeen = (
        NO_DAYS  # what speaks against the calibration, where days differ by more than the budget allows for
    )
    holiday: bool = False  # nothing but missing values was judged
    changes: tuple[LevelChange, ...] = ()  # features that are held to another level from now on
    moving: frozenset[int] = frozenset()  # places of features that fire and keep moving
    grown: frozenset[int] = frozenset()  # same: of those that have just become twice as large as they were
    turned: Mapping[int, int] = field(
        default_factory=dict
    )  # by place: the chart that newly proves the opposite of what was known
    sizes: Mapping[int, Floats] = field(
        default_factory=dict
    )  # by place of what fires: effects float64[c] over the last subgroups
    creeping: frozenset[int] = frozenset()  # same: of those that slowly leave the level they had settled at
    trailing: tuple[
        TrailingState, ...
    ] = ()  # features that are compared with their recent past, where that is a day further on
    duplicates: DuplicatePoint | None = None  # of rows with ids
    widened: float = 1.0  # what levels may do, over what the reference shows: learnt from excursions that passed

    @property
    def ratios(self) -> Floats:
        """Return the sum of each chart over its threshold, float64[f, 9]."""
        return np.asarray(self.values / self.thresholds)

    @property
    def any_firing(self) -> bool:
        """Whether any chart fires."""
        repeated = self.duplicates is not None and self.duplicates.firing
        return bool(self.firing.any() or self.row_firing.any() or repeated)
