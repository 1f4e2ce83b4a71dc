"""Imports without what a library loads only if it is there, or without need."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from threading import Lock
from types import ModuleType
from typing import Any


@contextmanager
def without(name: str) -> Iterator[None]:
    """Let a module seem absent to what is imported meanwhile, unless it is loaded already; after that it can be imported as ever."""
    finder = _AbsentFinder(name)
    if name not in sys.modules:
        sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)


class _AbsentFinder(MetaPathFinder):
    """Says that a module is not there. None in its place in `sys.modules` would do for Python, but not for what Cython compiled."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, _path: Sequence[str] | None = None, _target: object = None) -> None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)


def later(name: str) -> None:
    """Let a module be loaded when it is first used, rather than when it is imported, unless it is loaded already.

    A module inside it counts as a use. `importlib.util.LazyLoader` would load it at the second import.
    """
    spec = find_spec(name) if name not in sys.modules else None
    if spec is not None:
        sys.modules[name] = _LaterModule(spec)
        sys.meta_path.insert(0, _InsideFinder(name))


class _LaterModule(ModuleType):
    """Stands where a module would until one of its attributes is asked for, or set."""

    _lock = Lock()

    def __init__(self, spec: ModuleSpec) -> None:
        super().__init__(spec.name)
        places = spec.submodule_search_locations
        vars(self).update(__spec__=spec, **({} if places is None else {"__path__": places}))

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._loaded(), attribute)

    def __setattr__(self, attribute: str, value: Any) -> None:
        setattr(self._loaded(), attribute, value)

    def __delattr__(self, attribute: str) -> None:
        delattr(self._loaded(), attribute)

    def __dir__(self) -> list[str]:
        return dir(self._loaded())

    def _loaded(self) -> ModuleType:
        """The module itself."""
        name = self.__name__
        with self._lock:
            if sys.modules.get(name) is self:
                del sys.modules[name]
        return import_module(name)


class _InsideFinder(MetaPathFinder):
    """Lets the module be loaded before one inside it is, which it often loads itself: that is not to be there twice."""

    def __init__(self, name: str) -> None:
        self._name = name

    def find_spec(self, fullname: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        outer = sys.modules.get(self._name)
        if not fullname.startswith(f"{self._name}.") or not isinstance(outer, _LaterModule):
            return None
        dir(outer)
        inner = sys.modules.get(fullname)
        if inner is None:
            return None
        # Python prefers the spec of a module that came to be there while it was looked for.
        inner.__spec__ = ModuleSpec(fullname, _LoadedAlready(inner), is_package=hasattr(inner, "__path__"))
        return inner.__spec__


class _LoadedAlready(Loader):
    """Gives an import the module that is there."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._spec = module.__spec__

    def create_module(self, _spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._spec
