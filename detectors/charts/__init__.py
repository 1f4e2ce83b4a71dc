"""Control charts of the budget: sums of calibrated scores against a threshold that follows from the budget."""

from detectors.charts import duplicates
from detectors.charts.budget import Budget, BudgetError, adwin_delta
from detectors.charts.charts import Charts, ChartStanding, Sums
from detectors.charts.compared import Against, Comparison
from detectors.charts.design import CHARTS, BudgetSpec, ChartDesign
from detectors.charts.firing import FiringFeature, FiringReader
from detectors.charts.floors import Floors
from detectors.charts.kinds import KINDS, IncidentKind, kind_of
from detectors.charts.levels import LevelChange, LevelStep
from detectors.charts.point import ChartPoint
from detectors.charts.trailing import TrailingState

__all__ = [
    "CHARTS",
    "KINDS",
    "Against",
    "Budget",
    "BudgetError",
    "BudgetSpec",
    "ChartDesign",
    "ChartPoint",
    "ChartStanding",
    "Charts",
    "Comparison",
    "FiringFeature",
    "FiringReader",
    "Floors",
    "IncidentKind",
    "LevelChange",
    "LevelStep",
    "Sums",
    "TrailingState",
    "adwin_delta",
    "duplicates",
    "kind_of",
]
