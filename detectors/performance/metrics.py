"""All metrics of some rows, by name; on the screen and in a data frame they are a table."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from detectors.features import Floats
from detectors.performance.cells import NO_ROW
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.results import Results
from detectors.tables import Library


class MetricRows(Results[tuple[str, Metric]]):
    """Metrics with their names, a row each."""

    kinds = MappingProxyType(
        {"metric": str, "value": float, "lower": float, "upper": float, "rows": int, "because": str}
    )

    def row(self, value: tuple[str, Metric]) -> tuple[object, ...]:
        """Return name, value, both ends of the interval and rows; or why there is no value."""
        name, metric = value
        if isinstance(metric, Measured):
            return name, metric.value, *(metric.interval or (None, None)), metric.rows, ""
        return name, None, None, None, metric.rows, metric.reason


class Metrics(dict[str, Metric]):
    """Metrics by their names.

    >>> from detectors import Measured, Unavailable
    >>> Metrics(accuracy=Measured(0.9, 200, interval=(0.851, 0.934)), auroc=Unavailable("no positive label", 200))
    metric    value  lower  upper  rows  because
    accuracy    0.9  0.851  0.934   200
    auroc         –      –      –   200  no positive label
    """

    @property
    def table(self) -> MetricRows:
        """The same as a table."""
        return MetricRows(self.items())

    def to_frame(self, library: Library | None = None) -> Any:
        """Return a table of pandas, polars or pyarrow, or a dictionary of lists."""
        return self.table.to_frame(library)

    def __repr__(self) -> str:
        return repr(self.table)

    def _repr_html_(self) -> str:
        return self.table._repr_html_()


def computed(
    measures: Mapping[str, Callable[[], Metric]], names: Collection[str] | None, *, there: bool = True
) -> Metrics:
    """Return these metrics, those of `names` alone where it is given; where no row is `there`, each absent for that."""
    chosen = {name: measure for name, measure in measures.items() if names is None or name in names}
    if not there:
        return Metrics(dict.fromkeys(chosen, Unavailable(NO_ROW)))
    return Metrics({name: measure() for name, measure in chosen.items()})


MOST_OPEN: Final = 0.05  # of a window's rows: about the reach of the interval of a few hundred rows


def uncovered(share: float) -> str:
    """Say why a window is not estimated of which that share may come to anything.

    >>> uncovered(0.414)
    'what 41.4 % of the rows come to is not known: the reference has no labelled rows like these'
    """
    return f"what {100 * share:.3g} % of the rows come to is not known: the reference has no labelled rows like these"


def lopsided(third: Floats, variance: Floats) -> Floats:
    """Return Lyapunov's ratio of sums of independent terms, their third absolute moments over the cube of the standard error: 1/√k where k rare events decide.

    No skew is larger, and the sum is the further from normal the larger it is (Berry and Esseen). 0 where nothing varies.

    >>> rows, wrong = 1000, 0.01  # ten losses
    >>> variance = rows * wrong * (1 - wrong)
    >>> round(float(lopsided(np.array(variance * (1 - 2 * wrong * (1 - wrong))), np.array(variance))), 2)
    0.31
    """
    return np.asarray(third / np.where(variance > 0, variance, np.inf) ** 1.5)


@dataclass(frozen=True, slots=True)
class Shared:
    """What an estimate is off in every window alike: a standard error, of so few labelled rows of the reference; `reach`: as far as none of them says."""

    error: float
    reach: float = 0.0


@dataclass(frozen=True, slots=True)
class EstimatedPerformance:
    """What a window without labels is worth, if labels follow predictions as in the reference (no concept drift).

    `metrics` have the interval of the realised metric of these very rows. `rows` have a prediction; `outside` is the share
    of them whose like the reference has no labelled row of: what is said of those is said of the others, or of their
    neighbours. `open` is the share of them that may come to anything, as far as those labelled rows go; where it is large metrics are
    absent, and say so. `shared` is what of each metric's error other windows have too, for it is the reference's. `skews`: how lopsided by chance
    each is (`lopsided`).
    """

    metrics: Metrics
    rows: int
    outside: float
    open: float = 0.0
    shared: Mapping[str, Shared] = field(default_factory=dict)
    skews: Mapping[str, float] = field(default_factory=dict)
