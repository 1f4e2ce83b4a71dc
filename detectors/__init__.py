"""Drift of a model's data against a frozen reference; works in a notebook, knows no stream."""

from detectors import adwin, chi2, ks, missing, psi, unseen, volume
from detectors.features import CategoricalFeature, Feature, Kind, NumericFeature, canonical
from detectors.reference import Reference
from detectors.registry import DETECTORS, WindowDetector, window_detectors
from detectors.score import DriftScore, ScoreColumns
from detectors.serial import ReferenceFormatError
from detectors.sketches import Grid, GridMismatchError, PackedSketch, Sketch, Tally

__all__ = [
    "DETECTORS",
    "CategoricalFeature",
    "DriftScore",
    "Feature",
    "Grid",
    "GridMismatchError",
    "Kind",
    "NumericFeature",
    "PackedSketch",
    "Reference",
    "ReferenceFormatError",
    "ScoreColumns",
    "Sketch",
    "Tally",
    "WindowDetector",
    "adwin",
    "canonical",
    "chi2",
    "ks",
    "missing",
    "psi",
    "unseen",
    "volume",
    "window_detectors",
]
