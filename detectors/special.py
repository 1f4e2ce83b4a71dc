"""The special functions of SciPy that detectors use, without the rest of `scipy.special`.

`scipy.special` as a whole loads SciPy's linear algebra, every module of NumPy and a data frame library: 0.3 s and 20 MB.
Its functions stand in one compiled module, which is loaded here alone, at the first use. They are the same objects, so
each result has the same bits. Where `scipy.special` is loaded already, or this version of SciPy was never tried, the
whole package serves.
"""

import sys
from collections.abc import Sequence
from importlib import import_module, metadata
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import Lock, get_ident
from types import ModuleType
from typing import Any

PACKAGE = "scipy.special"
COMPILED = f"{PACKAGE}._ufuncs"
TRIED = frozenset({"1.14", "1.15", "1.16", "1.17"})  # of SciPy: a compiled module cannot be loaded a second time
_LOADING = Lock()


def __getattr__(name: str) -> Any:
    """Return a function, and keep it."""
    if name.startswith("_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(_functions(), name)
    globals()[name] = found
    return found


def _functions() -> ModuleType:
    """The module that holds them. An import of what another thread is loading waits for it."""
    with _LOADING:
        if PACKAGE in sys.modules or not (COMPILED in sys.modules or _is_tried()):
            return import_module(PACKAGE)
        if COMPILED not in sys.modules:
            _load_compiled()
        return import_module(COMPILED)


def _is_tried() -> bool:
    return ".".join(metadata.version("scipy").split(".")[:2]) in TRIED


def _load_compiled() -> None:
    """Begin to import the package and break off when its compiled part is there.

    Python's own lock of the package is held meanwhile, so that another thread that imports it waits. It may then hold the
    package that was broken off, which therefore asks the whole one (`_of_the_whole`).
    """
    package = find_spec("scipy")
    assert package is not None
    places = [f"{place}/special" for place in package.submodule_search_locations or ()]
    finder = _CompiledPartFinder(places)
    sys.meta_path.insert(0, finder)
    try:
        import_module(PACKAGE)
    except _BrokenOffError:
        pass
    finally:
        sys.meta_path.remove(finder)


class _BrokenOffError(Exception):
    """The compiled part is loaded; the rest of the package shall not be."""


class _CompiledPartFinder(MetaPathFinder, Loader):
    """Finds the package for the thread that made it, and loads no more of it than the compiled part."""

    def __init__(self, places: Sequence[str]) -> None:
        self._places = places
        self._thread = get_ident()

    def find_spec(self, fullname: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        if fullname != PACKAGE or get_ident() != self._thread:
            return None
        spec = ModuleSpec(fullname, self, is_package=True)
        spec.submodule_search_locations = list(self._places)
        return spec

    def exec_module(self, module: ModuleType) -> None:
        import_module(COMPILED)
        # Another thread may have taken the package before it is forgotten: then it gets what it asks for from the whole one.
        module.__dict__["__getattr__"] = _of_the_whole
        raise _BrokenOffError


def _of_the_whole(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    return getattr(import_module(PACKAGE), name)
