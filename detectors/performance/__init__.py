"""Performance of a model from counts of its labelled predictions, which merge and subtract exactly."""

from detectors.performance.binary import BinaryCounts, BinaryTask, truths
from detectors.performance.confusion import Confusion, CostMatrix
from detectors.performance.counts import TaskMismatchError
from detectors.performance.coverage import SelectionBias, selection_bias
from detectors.performance.estimated_classes import ClassEstimator
from detectors.performance.estimated_numbers import NumberEstimator
from detectors.performance.estimated_scores import ScoreEstimator
from detectors.performance.measured import Measured, Metric, Unavailable
from detectors.performance.metrics import EstimatedPerformance, Metrics
from detectors.performance.multiclass import MulticlassCounts, MulticlassTask
from detectors.performance.regression import RegressionCounts, RegressionTask
from detectors.performance.reliability import ReliabilityBin

__all__ = [
    "BinaryCounts",
    "BinaryTask",
    "ClassEstimator",
    "Confusion",
    "CostMatrix",
    "EstimatedPerformance",
    "Measured",
    "Metric",
    "Metrics",
    "MulticlassCounts",
    "MulticlassTask",
    "NumberEstimator",
    "RegressionCounts",
    "RegressionTask",
    "ReliabilityBin",
    "ScoreEstimator",
    "SelectionBias",
    "TaskMismatchError",
    "Unavailable",
    "selection_bias",
    "truths",
]
