"""Control charts of the budget: sums of calibrated scores against a threshold that follows from the budget."""

from detectors.charts import duplicates
from detectors.charts.budget import Budget, BudgetError, adwin_delta
from detectors.charts.charts import Charts, Sums
from detectors.charts.design import CHARTS, BudgetSpec, ChartDesign
from detectors.charts.firing import FiringFeature, FiringReader
from detectors.charts.floors import Floors
from detectors.charts.kinds import KINDS, IncidentKind, kind_of
from detectors.charts.levels import LevelChange, LevelStep
from detectors.charts.point import ChartPoint

__all__ = [
    "CHARTS",
    "KINDS",
    "Budget",
    "BudgetError",
    "BudgetSpec",
    "ChartDesign",
    "ChartPoint",
    "Charts",
    "FiringFeature",
    "FiringReader",
    "Floors",
    "IncidentKind",
    "LevelChange",
    "LevelStep",
    "Sums",
    "adwin_delta",
    "duplicates",
    "kind_of",
]
