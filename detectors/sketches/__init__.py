"""Counted representations of a window on a frozen layout."""

from detectors.sketches import counting, sums
from detectors.sketches.groups import GroupSizes
from detectors.sketches.ids import Duplicates, IdSample
from detectors.sketches.packed import PackedSketch
from detectors.sketches.sketch import Sketch, Tally
from detectors.sketches.stack import TallyStack

COMPILED = {"counting": counting.COMPILED, "scoring": sums.USED}  # what compiled parts do; the rest numpy does

__all__ = ["COMPILED", "Duplicates", "GroupSizes", "IdSample", "PackedSketch", "Sketch", "Tally", "TallyStack"]
