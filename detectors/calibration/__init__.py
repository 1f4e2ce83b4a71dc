"""Learning from a reference's own windows: how far scores go while nothing is wrong, and which hours they follow."""

from detectors.calibration.calibration import Calibration, TooFewWindows, calibrate
from detectors.calibration.cells import MergedCells
from detectors.calibration.windows import WindowCounts

__all__ = ["Calibration", "MergedCells", "TooFewWindows", "WindowCounts", "calibrate"]
