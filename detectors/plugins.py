"""Which detectors there are: classes in the modules of `detectors.univariate`, and entry points of other packages."""

import inspect
import re
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from detectors.baseline import Baseline
from detectors.lookup import in_a_line, modules_of
from detectors.protocols import Detector, WindowDetector
from detectors.scores import ScoreColumns
from detectors.sketches import Tally

PACKAGE = "detectors.univariate"
GROUP = "driftd.detectors"  # of entry points: each a class made like `detectors.Ks`, or an instance of one


EXPORTED = ("score", "pvalue", "threshold", "state")  # metrics that every detector has
RESERVED = ("drift", "calibration")  # what the daemon's own rules and scores are called


class PluginError(ValueError):
    """A package brings a detector that cannot be used; the message names the entry point."""


class Registry(Mapping[str, Detector]):
    """Detectors by name, in the order of their names. They are looked for when one is first asked for.

    Raises PluginError for an entry point that is no detector, or has the name of another.
    """

    @cached_property
    def _found(self) -> dict[str, Detector]:
        found = {detector.name: detector for detector in _own()}
        for entry in entry_points(group=GROUP):
            detector = _loaded(entry)
            if detector.name in found:
                raise PluginError(f"{_said(entry)}: there is a detector {detector.name} already")
            if detector.name in RESERVED:
                raise PluginError(f"{_said(entry)}: {detector.name} is what driftd calls scores of its own")
            found[detector.name] = detector
        return dict(sorted(found.items()))

    def __getitem__(self, name: str) -> Detector:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


DETECTORS: Final = Registry()


def window_detectors() -> dict[str, WindowDetector]:
    """Return the detectors that judge a window by its counts alone, by name, in the order of their names."""
    return {name: detector for name, detector in DETECTORS.items() if isinstance(detector, WindowDetector)}


def is_own(detector: Detector) -> bool:
    """Return whether a detector is one of ours: what it returns needs no looking at."""
    return type(detector).__module__.startswith(PACKAGE)


def columns_of(detector: WindowDetector, baseline: Baseline, window: Tally, min_rows: int = 1) -> ScoreColumns:
    """Let a detector score a window. Raises PluginError where one of another package fails or returns what is no score."""
    if is_own(detector):
        return detector.columns(baseline, window, min_rows=min_rows)
    try:
        columns = detector.columns(baseline, window, min_rows=min_rows)
    except Exception as error:
        raise PluginError(f"detector {detector.name} failed: {in_a_line(error)}") from error
    if not isinstance(columns, ScoreColumns) or columns.detector != detector.name:
        raise PluginError(f"detector {detector.name} returned no ScoreColumns of its name")
    if set(map(len, (columns.known, columns.rows, columns.values, *columns.details.values()))) - {len(columns)}:
        raise PluginError(f"detector {detector.name} returned columns of several lengths for {len(columns)} features")
    return columns


def _own() -> Iterator[Detector]:
    """One of each class of detector, with its defaults."""
    for module in modules_of(PACKAGE).values():
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if issubclass(kind, Detector) and kind.__module__ == module.__name__:
                yield kind()


def _loaded(entry: EntryPoint) -> Detector:
    try:
        loaded = entry.load()
        detector: Any = loaded() if inspect.isclass(loaded) else loaded
        hash(detector)
    except Exception as error:  # whatever a stranger's code raises
        raise PluginError(f"{_said(entry)}: {in_a_line(error)}") from error
    if not isinstance(detector, Detector) or not isinstance(getattr(detector, "name", None), str):
        raise PluginError(f"{_said(entry)}: {type(detector).__name__} is no detectors.Detector with a name")
    for metric in getattr(detector, "metrics", {}).values():
        if not re.fullmatch("[a-z][a-z0-9_]*", metric.name) or metric.name in EXPORTED:
            raise PluginError(f"{_said(entry)}: {metric.name!r} can be no metric of its own")
    if not isinstance(getattr(detector, "help", None), str):
        raise PluginError(
            f"{_said(entry)}: {type(detector).__name__} has no help, a line that says what a score of 1 means"
        )
    return detector


def _said(entry: EntryPoint) -> str:
    return f"entry point {entry.name} = {entry.value} of {GROUP}"
