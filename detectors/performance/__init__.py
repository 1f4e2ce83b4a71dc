"""Performance of a model from counts of its labelled predictions, which merge and subtract exactly."""

from detectors.performance.binary import BinaryCounts, BinaryTask
from detectors.performance.confusion import Confusion, CostMatrix
from detectors.performance.counts import TaskMismatchError
from detectors.performance.estimated import EstimatedPerformance, PerformanceEstimator
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import Metrics
from detectors.performance.multiclass import MulticlassCounts, MulticlassTask
from detectors.performance.regression import RegressionCounts, RegressionTask
from detectors.performance.reliability import ReliabilityBin

__all__ = [
    "BinaryCounts",
    "BinaryTask",
    "Confusion",
    "CostMatrix",
    "EstimatedPerformance",
    "Measured",
    "Metric",
    "Metrics",
    "MulticlassCounts",
    "MulticlassTask",
    "PerformanceEstimator",
    "RegressionCounts",
    "RegressionTask",
    "ReliabilityBin",
    "TaskMismatchError",
    "Unavailable",
]
