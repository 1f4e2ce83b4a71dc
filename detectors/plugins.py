"""The detectors this package holds: a module with NAME and score is one."""

import importlib
import pkgutil
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

from detectors.reference.reference import Reference
from detectors.scores import DriftScore, ScoreColumns
from detectors.sketches import Sketch, Tally


class Score(Protocol):
    """What a window detector does: one score for each feature it applies to."""

    def __call__(self, reference: Reference, window: Sketch, *, min_rows: int = 1) -> list[DriftScore]:
        """Judge a window against the reference."""


class Columns(Protocol):
    """The same, as columns, from a window's tally."""

    def __call__(self, reference: Reference, window: Tally, *, min_rows: int = 1) -> ScoreColumns:
        """Judge a window against the reference."""


@dataclass(frozen=True, slots=True)
class WindowDetector:
    """A detector that judges one window by its counts alone."""

    name: str
    score: Score
    columns: Columns


@cache
def _found() -> tuple[WindowDetector, ...]:
    package = importlib.import_module("detectors.univariate")
    modules = [
        importlib.import_module(f"{package.__name__}.{entry.name}") for entry in pkgutil.iter_modules(package.__path__)
    ]
    named = [module for module in modules if hasattr(module, "NAME") and hasattr(module, "score")]
    return tuple(
        sorted(
            (WindowDetector(module.NAME, module.score, module.columns) for module in named),
            key=lambda found: found.name,
        )
    )


def window_detectors() -> dict[str, WindowDetector]:
    """Return the window detectors by name, in the order of their names."""
    return {detector.name: detector for detector in _found()}


BESIDE: Final = ("adwin", "volume")  # the first remembers panes, the second needs no counts
DETECTORS: Final = tuple(sorted((*window_detectors(), *BESIDE)))
