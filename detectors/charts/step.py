"""The compiled part of a step of the charts, where it was built: what it is not given, or does not know, numpy does."""

from detectors.sketches.counting import COMPILED

try:
    from detectors.charts import _step
except ImportError:  # installed without a compiler
    _step = None  # type: ignore[assignment]

USED = COMPILED and _step is not None
if USED:
    side, advance, warn = _step.side, _step.advance, _step.warn
