"""Whether to page: calibrated scores of disjoint panes, summed up against a threshold that follows from the budget."""

from detectors.decision.budget import Budget, BudgetError, adwin_delta
from detectors.decision.calibration import Calibration, Drifting, TooFewWindows, calibrate
from detectors.decision.cells import MergedCells
from detectors.decision.charts import Charts, Sums
from detectors.decision.plan import CHARTS, ChartPlan, Floors
from detectors.decision.step import Step
from detectors.decision.windows import WindowCounts

__all__ = [
    "CHARTS",
    "Budget",
    "BudgetError",
    "Calibration",
    "ChartPlan",
    "Charts",
    "Drifting",
    "Floors",
    "MergedCells",
    "Step",
    "Sums",
    "TooFewWindows",
    "WindowCounts",
    "adwin_delta",
    "calibrate",
]
