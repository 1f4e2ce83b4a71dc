"""Drift of a model's data against a frozen reference; works in a notebook, knows no stream."""

import importlib
from typing import TYPE_CHECKING, Any

from detectors.baseline import Baseline, CategoricalBaseline, FeatureBaseline, NumericBaseline
from detectors.charts import BudgetError, Floors
from detectors.distribution import Distribution, Distributions
from detectors.features import CategoricalFeature, Feature, Kind, NumericFeature, canonical
from detectors.layout import Layout, LayoutMismatchError
from detectors.monitor import Alarm, Alarms, BudgetMonitor
from detectors.plugins import DETECTORS, PluginError, window_detectors
from detectors.protocols import DetailMetric, Detector, JudgedWindows, Scorer, WindowDetector
from detectors.reference.file import ReferenceFormatError
from detectors.reference.labels import LabelColumn
from detectors.reference.reference import Reference
from detectors.results import Scores
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import PackedSketch, Sketch, Tally
from detectors.univariate import adwin, chi2, ks, missing, psi, unseen, volume
from detectors.univariate.adwin import Adwin
from detectors.univariate.chi2 import ChiSquared
from detectors.univariate.ks import Ks
from detectors.univariate.missing import Missing
from detectors.univariate.psi import Psi
from detectors.univariate.unseen import Unseen
from detectors.univariate.volume import Volume

if TYPE_CHECKING:
    from detectors.performance import (
        BinaryCounts,
        BinaryTask,
        ClassEstimator,
        Confusion,
        CostMatrix,
        EstimatedPerformance,
        Measured,
        Metric,
        Metrics,
        MulticlassCounts,
        MulticlassTask,
        NumberEstimator,
        RegressionCounts,
        RegressionTask,
        ReliabilityBin,
        ScoreEstimator,
        SelectionBias,
        TaskMismatchError,
        Unavailable,
        selection_bias,
        truths,
    )

__all__ = [
    "DETECTORS",
    "Adwin",
    "Alarm",
    "Alarms",
    "Baseline",
    "BinaryCounts",
    "BinaryTask",
    "BudgetError",
    "BudgetMonitor",
    "CategoricalBaseline",
    "CategoricalFeature",
    "ChiSquared",
    "ClassEstimator",
    "Confusion",
    "CostMatrix",
    "DetailMetric",
    "Detector",
    "Distribution",
    "Distributions",
    "DriftScore",
    "EstimatedPerformance",
    "Feature",
    "FeatureBaseline",
    "Floors",
    "JudgedWindows",
    "Kind",
    "Ks",
    "LabelColumn",
    "Layout",
    "LayoutMismatchError",
    "Measured",
    "Metric",
    "Metrics",
    "Missing",
    "MulticlassCounts",
    "MulticlassTask",
    "NumberEstimator",
    "NumericBaseline",
    "NumericFeature",
    "PackedSketch",
    "PluginError",
    "Psi",
    "Reference",
    "ReferenceFormatError",
    "RegressionCounts",
    "RegressionTask",
    "ReliabilityBin",
    "ScoreColumns",
    "ScoreEstimator",
    "Scorer",
    "Scores",
    "SelectionBias",
    "Sketch",
    "Tally",
    "TaskMismatchError",
    "Unavailable",
    "Unseen",
    "Volume",
    "WindowDetector",
    "adwin",
    "canonical",
    "chi2",
    "ks",
    "missing",
    "psi",
    "selection_bias",
    "truths",
    "unseen",
    "volume",
    "window_detectors",
]


def __getattr__(name: str) -> Any:
    """Read `detectors.performance` once it is asked for: scipy's distributions take long, and drift needs none of them."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module("detectors.performance"), name)
