"""Which detectors there are: classes in the modules of `detectors.univariate`, and entry points of other packages."""

import inspect
from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from detectors.lookup import modules_of
from detectors.protocols import Detector, WindowDetector

PACKAGE = "detectors.univariate"
GROUP = "driftd.detectors"  # of entry points: each a class made like `detectors.Ks`, or an instance of one


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
        line = str(error).partition("\n")[0]
        raise PluginError(f"{_said(entry)}: {type(error).__name__}: {line}") from error
    if not isinstance(detector, Detector) or not isinstance(getattr(detector, "name", None), str):
        raise PluginError(f"{_said(entry)}: {type(detector).__name__} is no detectors.Detector with a name")
    return detector


def _said(entry: EntryPoint) -> str:
    return f"entry point {entry.name} = {entry.value} of {GROUP}"
