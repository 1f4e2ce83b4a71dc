"""Control charts of the budget: sums of calibrated scores against a threshold that follows from the budget."""

from detectors.charts.budget import Budget, BudgetError, adwin_delta
from detectors.charts.charts import Charts, Sums
from detectors.charts.plan import CHARTS, ChartPlan, Floors
from detectors.charts.point import Step

__all__ = ["CHARTS", "Budget", "BudgetError", "ChartPlan", "Charts", "Floors", "Step", "Sums", "adwin_delta"]
