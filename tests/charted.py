"""Builders for what the budget decides on: windows of counts drawn from a law, references calibrated by their own rows, charts."""

import random
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from detectors import Reference, Sketch
from detectors.calibration import Calibration, MergedCells, WindowCounts, calibrate
from detectors.charts import CHARTS, BudgetSpec, ChartPoint, Charts
from detectors.charts.design import COLUMNS
from detectors.features import Floats, Ints

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WINDOW = 5 * MINUTE
MONDAY = 4 * DAY  # after the epoch began
ROWS = 100  # a window

Table = Mapping[str, np.ndarray]


def seeded(seed: int | None = None) -> np.random.Generator:
    """A generator whose seed is printed and follows `--randomly-seed`, so that what fails can be had again."""
    seed = random.getrandbits(32) if seed is None else seed
    print("seed", seed)
    return np.random.default_rng(seed)


@cache
def standard_normal() -> Reference:
    """A standard normal number."""
    from scipy import stats

    return Reference.fit({"x": stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000)})


def normal_cells(rows: float = 1000.0) -> MergedCells:
    """Sixteen cells of it."""
    return MergedCells.of(standard_normal().layout, standard_normal().counts, rows)


def windows_of(values: Floats, cells: MergedCells, window_ns: int = WINDOW) -> WindowCounts:
    """Rows float64[k, n], a window each, of a reference's only number; from a Monday on."""
    rungs, width = cells.rungs(0), cells.width
    places = np.searchsorted(rungs, values, side="left") + np.arange(len(values))[:, None] * width
    counts = np.bincount(places.ravel(), minlength=len(values) * width).reshape(len(values), 1, width)
    starts = MONDAY + np.arange(len(values), dtype=np.int64) * window_ns
    rows = np.full(len(values), values.shape[1], dtype=np.int64)
    return WindowCounts(window_ns, starts, rows, counts.astype(np.uint32))


def calibrated(values: Floats, window_ns: int = WINDOW) -> Calibration:
    """What a number's own windows teach, rows float64[k, n]."""
    cells = normal_cells(values.shape[1])
    return calibrate(windows_of(values, cells, window_ns), cells, standard_normal().counts)


def mixed(rng: np.random.Generator, count: int) -> dict[str, np.ndarray]:
    """Every kind of column there is."""
    return {
        "normal": rng.normal(size=count),
        "other": rng.normal(size=count),
        "heavy": rng.lognormal(sigma=1.5, size=count),
        "zeros": np.where(rng.random(count) < 0.7, 0.0, rng.exponential(size=count)),
        "few": rng.poisson(3, count).astype(np.float64),
        "constant": np.ones(count),
        "empty": np.full(count, np.nan),
        "holes": np.where(rng.random(count) < 0.05, np.nan, rng.normal(size=count)),
        "plan": rng.choice(np.array(list("abcdef")), count, p=[0.4, 0.3, 0.15, 0.1, 0.04, 0.01]),
        "only": np.full(count, "a"),
    }


def fitted(rng: np.random.Generator, table: Table, rows: int = ROWS, window_ns: int = WINDOW) -> Reference:
    """A reference calibrated on windows of so many rows, in the order of the table, beginning on a Monday."""
    count = len(next(iter(table.values())))
    inside = np.sort(rng.integers(0, window_ns, count).reshape(-1, rows), axis=1).ravel()
    times = MONDAY + np.arange(count) // rows * window_ns + inside
    return Reference.fit(table, timestamps=times, window_ns=window_ns)


def reference(rng: np.random.Generator, windows: int = 300, rows: int = ROWS) -> Reference:
    """A calibrated reference of every kind of column."""
    found = fitted(rng, mixed(rng, windows * rows), rows)
    assert found.calibration is not None, found.cold
    return found


def plain_point(**changes: Any) -> ChartPoint:
    """A point of one feature in which nothing happens but `changes`."""
    none = np.zeros((1, len(CHARTS)))
    columns, no = np.zeros((1, COLUMNS)), np.zeros((1, len(CHARTS)), dtype=np.bool_)
    found: dict[str, Any] = {
        "start": MONDAY,
        "end": MONDAY + WINDOW,
        "rows": ROWS,
        "volume": ROWS,
        "increments": columns,
        "values": columns,
        "thresholds": np.ones(COLUMNS),
        "judged": no[:, 0],
        "z": none,
        "effects": none,
        "firing": no,
        "certain": no,
        "warning": no[:, 0],
        "since": none.astype(np.int64),
        "row_values": np.zeros(2),
        "row_firing": no[0, :2],
        "row_since": np.zeros(2, dtype=np.int64),
        "usual_rows": None,
        "warned": 0,
        "expected_warnings": 0.0,
        "of_late": (0.0, 0.0),
        "improved": no[:, :2],
        "suspect": False,
    }
    return ChartPoint(**(found | changes))


def pane(of: Reference, table: Mapping[str, Sequence[Any] | np.ndarray]) -> Sketch:
    """What a pane of these rows counts."""
    sketch = Sketch.empty(of.layout)
    sketch.update(*of.encode(table))
    return sketch


class Charted:
    """Charts fed pane after pane, with all that they said."""

    def __init__(self, of: Reference, start: int = MONDAY, length: int = WINDOW, **plan: Any) -> None:
        self.charts = Charts(of, BudgetSpec(**plan))
        self.points: list[ChartPoint] = []
        self.at, self.length = start, length

    def feed(self, table: Mapping[str, Sequence[Any] | np.ndarray]) -> ChartPoint:
        """One more pane; the point that it completes."""
        tally = pane(self.charts.reference, table).tally()
        self.points += self.charts.update(tally, self.at, self.at + self.length)
        self.at += self.length
        return self.points[-1]

    def pause(self, panes: int = 1) -> None:
        """Nothing comes for a while."""
        self.at += panes * self.length

    def place(self, name: str) -> int:
        """Where a feature stands."""
        return self.charts.reference.names.index(name)


def merged_increments(points: Sequence[ChartPoint]) -> Floats:
    """The increments of some points, float64[k, f, columns]."""
    return np.stack([point.increments for point in points])


def firing_names(point: ChartPoint, names: Sequence[str]) -> set[str]:
    """The features of which a chart fires."""
    return {names[int(at)] for at in np.flatnonzero(point.firing.any(axis=1))}


def counts_of(cells: MergedCells, sketch: Sketch) -> Ints:
    """A sketch on merged cells."""
    return cells.merge(sketch.counts)
