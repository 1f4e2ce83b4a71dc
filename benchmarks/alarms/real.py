"""Real data, and incidents over days: the car loan set, drift that lasts a day, a feature that flaps."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq

from benchmarks.alarms.incident import Incident
from benchmarks.alarms.model import Model, fitted
from benchmarks.alarms.scoring import DAY
from benchmarks.alarms.streams import SECOND, World
from benchmarks.alarms.trials import charts_of, steps
from benchmarks.alarms.truth import PLAIN, Change
from benchmarks.measure import ROOT, Figures
from detectors import Reference, Sketch
from detectors.calibration.calibration import calibrate
from detectors.calibration.cells import MergedCells
from detectors.calibration.windows import WindowCounts
from detectors.charts.charts import Charts
from detectors.charts.design import BudgetSpec

FOLDER = ROOT / "examples" / "car_loan"
COLUMNS = (
    "car_value",
    "salary_range",
    "debt_to_income_ratio",
    "loan_length",
    "repaid_loan_on_prev_car",
    "size_of_downpayment",
    "driver_tenure",
    "y_pred",
    "y_pred_proba",
)
DRIFTED = {"car_value", "loan_length", "salary_range", "repaid_loan_on_prev_car", "y_pred_proba"}
ROWS = 250  # a window; about 36 hours
DRIFT_AT = 25_000
HOURS_36 = 36 * 3600 * SECOND
Columns = dict[str, np.ndarray]


def car_loan(rng: np.random.Generator) -> Figures:
    """Windows of 250 rows, and windows of 36 hours by the rows' own times."""
    del rng  # nothing is drawn
    before, after = _read("reference"), _read("analysis")
    grid_of = Reference.fit({name: before[name] for name in COLUMNS})
    by_rows = (np.arange(len(before["y_pred"])) // ROWS, np.arange(len(after["y_pred"])) // ROWS)
    by_time = tuple(one["timestamp"].astype("datetime64[ns]").astype(np.int64) // HOURS_36 for one in (before, after))
    return {
        "250 rows": _judged(grid_of, before, after, by_rows[0], by_rows[1] + int(by_rows[0][-1]) + 1),
        "36 hours": _judged(grid_of, before, after, *by_time),
    }


def _read(name: str) -> Columns:
    table = pq.read_table(FOLDER / f"{name}.parquet", columns=[*COLUMNS, "timestamp"])
    return {column: table[column].to_numpy() for column in table.column_names}


def _judged(reference: Reference, before: Columns, after: Columns, own: np.ndarray, numbers: np.ndarray) -> Figures:
    cells = MergedCells.of(reference.layout, reference.counts, float(np.median(np.bincount(own - own[0]))))
    sketches = dict(_sketches(reference, before, own))
    starts = np.array(list(sketches), dtype=np.int64) * HOURS_36
    held = np.stack([cells.merge(one.counts) for one in sketches.values()]).astype(np.uint32)
    counts = WindowCounts(HOURS_36, starts, np.array([one.rows for one in sketches.values()]), held)
    calibrated = replace(reference, calibration=calibrate(counts, cells, reference.counts))
    charts = Charts(calibrated, BudgetSpec(per_month=1.0, pane_ns=HOURS_36))
    changed = int(numbers[DRIFT_AT])
    false, page, named = 0, None, []
    for number, sketch in _sketches(reference, after, numbers):
        for step in charts.update(sketch.tally(), number * HOURS_36, (number + 1) * HOURS_36):
            if not step.any_firing or page is not None:
                continue
            if number < changed:
                false += 1
            else:
                page = number - changed + 1
                named = [reference.names[at] for at in np.flatnonzero(step.firing.any(axis=1))]
    return {"false": false, "windows": changed - int(numbers[0]), "delay": page, "named": named}


def _sketches(reference: Reference, data: Columns, numbers: np.ndarray) -> Iterator[tuple[int, Sketch]]:
    """Count each run of rows with one window's number."""
    for number in np.unique(numbers).tolist():
        sketch = Sketch.empty(reference.layout)
        sketch.update(*reference.encode({name: data[name][numbers == number] for name in COLUMNS}))
        yield number, sketch


# --- incidents over days ----------------------------------------------------------------------------------------------

LASTING = {
    "0.25 σ for 24 h": (Change(shift=0.25), ((0, DAY),)),
    "0.1 σ for 24 h": (Change(shift=0.1), ((0, DAY),)),
    "1 σ for 24 h": (Change(shift=1.0), ((0, DAY),)),
    "missing 0 % → 5 % for 24 h": (Change(missing=0.05), ((0, DAY),)),
    "0.5 σ every other hour for 24 h": (Change(shift=0.5), tuple((at, at + 12) for at in range(0, DAY, 24))),
}


def lasting(rng: np.random.Generator) -> Figures:
    """Pages and resolves of changes that last, or come and go, for a day, with a quiet day after it; n = 1 000."""
    model = fitted(World(1000), PLAIN, rng)
    return {name: [_lived(model, at, change, spans) for at in range(1, 7)] for name, (change, spans) in LASTING.items()}


def _lived(model: Model, at: int, change: Change, spans: Sequence[tuple[int, int]]) -> list[int]:
    """How often people were told that it began, and that it was over. Other features may err meanwhile: not counted here."""
    charts, incident = charts_of(model, "default"), Incident(model, model.reference.names[at])
    changed = np.zeros(2 * DAY, dtype=np.bool_)
    for first, last in spans:
        changed[first:last] = True
    cuts = [0, *(np.flatnonzero(np.diff(changed)) + 1).tolist(), 2 * DAY]
    for first, last in pairwise(cuts):
        changes = {at: change} if changed[first] else None
        for [step] in steps([charts], model, model.begins + first, last - first, changes):
            incident.follow(step)
    return [incident.pages, incident.resolves]
