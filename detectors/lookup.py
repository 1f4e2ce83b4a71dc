"""What is found by being there: the modules of a package, and the entry points of other packages."""

import importlib
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType


def modules_of(package: str) -> dict[str, ModuleType]:
    """Import every module of a package; returned by their last names."""
    return {name: importlib.import_module(f"{package}.{name}") for name in _names_of(package)}


def module_of(package: str, name: str) -> ModuleType | None:
    """Import one module of a package by its last name, and no other; None where there is none."""
    return importlib.import_module(f"{package}.{name}") if name in _names_of(package) else None


def _names_of(package: str) -> list[str]:
    return [info.name for info in pkgutil.iter_modules(importlib.import_module(package).__path__)]


def entry_points_of(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by their names, none of them loaded."""
    return {point.name: point for point in entry_points(group=group)}


def in_a_line(error: Exception) -> str:
    """Return the kind of an error and the first line of what it says."""
    return f"{type(error).__name__}: {error}".partition("\n")[0]
