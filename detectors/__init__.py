"""Drift of a model's data against a frozen reference; works in a notebook, knows no stream."""

from detectors.features import CategoricalFeature, Feature, Kind, NumericFeature, canonical
from detectors.plugins import DETECTORS, WindowDetector, window_detectors
from detectors.reference.file import ReferenceFormatError
from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Grid, GridMismatchError, PackedSketch, Sketch, Tally
from detectors.univariate import adwin, chi2, ks, missing, psi, unseen, volume

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
